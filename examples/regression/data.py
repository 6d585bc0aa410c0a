"""scikit-learn's diabetes table: ten numbers of 442 patients, and how the disease went on in a year."""

from pathlib import Path

import pandas as pd
from sklearn.datasets import load_diabetes  # type: ignore[import-untyped]

from examples.kit import Parts

TRAINERS = 3


def make(folder: Path, seed: int) -> Parts:
    frame = load_diabetes(as_frame=True, scaled=False).frame.sample(frac=1, random_state=seed)
    sizes = {"test": 80, "validation": 60}
    paths, at = {}, 0
    for name, size in sizes.items():
        paths[name], at = _written(frame[at : at + size], folder / f"{name}.csv"), at + size
    step = -(-(len(frame) - at) // TRAINERS)
    trainers = [
        _written(frame[start : start + step], folder / f"trainer-{number}.csv")
        for number, start in enumerate(range(at, len(frame), step), start=1)
    ]
    return Parts(trainers, paths["validation"], paths["test"])


def _written(frame: pd.DataFrame, path: Path) -> str:
    frame.to_csv(path, index=False)
    return str(path)
