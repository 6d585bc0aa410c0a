"""scikit-learn's digits for four trainers, each of whom trains with another framework."""

from dataclasses import replace
from pathlib import Path

from sklearn.datasets import load_digits  # type: ignore[import-untyped]

from examples.kit import Own, Parts, split
from trainer.data import Dataset

ROOT = Path(__file__).parents[2]
FLOWER = ROOT / ".venv-flower" / "bin" / "python"


def make(folder: Path, seed: int) -> Parts:
    if not FLOWER.exists():
        raise FileNotFoundError(f"{FLOWER} is missing: `make .venv-flower/.ready` installs Flower beside Merit")
    bunch = load_digits()
    digits = Dataset({"image": bunch.data.astype("float32")}, bunch.target.astype("int64"))
    own = [
        Own("with_lightning:train"),
        Own("with_transformers:train"),
        Own("with_flower:train", FLOWER),
        Own("with_flower_app:train", FLOWER),
    ]
    return replace(split(digits, folder, seed, trainers=4), own=own)
