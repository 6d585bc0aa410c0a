"""Made images of discs on noise; the mask says for each pixel whether it is on a disc."""

from pathlib import Path

import numpy as np

from examples.kit import Parts
from examples.segmentation.model import build
from trainer.data import Dataset, write_npz
from trainer.programs.export import export

SIZE = 24
KINDS = {"trainer-1": (60, 2.0, 3.5), "trainer-2": (60, 3.5, 5.0), "trainer-3": (60, 5.0, 7.0)}
"""By trainer: how many images it has, and how large the discs in them are: each has seen other things."""


def discs(count: int, least: float, most: float, seed: int) -> Dataset:
    """Images with two discs whose radius is between two numbers of pixels."""
    rng = np.random.default_rng(seed)
    across, down = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    centres, radius = rng.uniform(4, SIZE - 4, (count, 2, 2)), rng.uniform(least, most, (count, 2))
    distance = np.hypot(across - centres[..., :1, None], down - centres[..., 1:, None])
    masks = (distance < radius[..., None, None]).any(1)
    images = 50 * masks + rng.normal(90, 45, masks.shape)
    return Dataset({"image": images[:, None].clip(0, 255).astype(np.float32)}, np.asarray(masks, np.int64))


def make(folder: Path, seed: int) -> Parts:
    (folder.parent / "unet.safetensors").write_bytes(export(build()))
    sets = {name: discs(*kind, seed + number) for number, (name, kind) in enumerate(KINDS.items())}
    sets |= {"validation": discs(150, 2.0, 7.0, seed + 10), "test": discs(250, 2.0, 7.0, seed + 11)}
    for name, data in sets.items():
        write_npz(folder / f"{name}.npz", data)
    paths = {name: str(folder / f"{name}.npz") for name in sets}
    return Parts([paths[name] for name in KINDS], paths["validation"], paths["test"])
