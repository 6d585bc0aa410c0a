"""Made images of discs on noise; the mask says for each pixel whether it is on a disc."""

from pathlib import Path

import numpy as np

from examples.kit import Parts, split
from examples.segmentation.model import build
from trainer.data import Dataset
from trainer.programs.export import export

SIZE, COUNT = 24, 1100


def make(folder: Path, seed: int) -> Parts:
    (folder.parent / "unet.safetensors").write_bytes(export(build()))
    rng = np.random.default_rng(seed)
    across, down = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    centres, radius = rng.uniform(4, SIZE - 4, (COUNT, 2, 2)), rng.uniform(3, 6, (COUNT, 2))
    distance = np.hypot(across - centres[..., :1, None], down - centres[..., 1:, None])
    masks = (distance < radius[..., None, None]).any(1)
    images = 60 * masks + rng.normal(90, 40, masks.shape)
    data = Dataset({"image": images[:, None].clip(0, 255).astype(np.float32)}, np.asarray(masks, np.int64))
    return split(data, folder, seed)
