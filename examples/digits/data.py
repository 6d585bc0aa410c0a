"""scikit-learn's digits: 1,797 images of 8 × 8 pixels."""

from pathlib import Path

from sklearn.datasets import load_digits  # type: ignore[import-untyped]

from examples.kit import Parts, split
from trainer.data import Dataset


def make(folder: Path, seed: int) -> Parts:
    bunch = load_digits()
    images = bunch.images[:, None].astype("float32")
    return split(Dataset({"image": images}, bunch.target.astype("int64")), folder, seed)
