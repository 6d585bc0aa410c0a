"""The digits that come with scikit-learn: 1,797 images of 8 × 8 pixels, values 0 … 16, ten classes.

Source: https://archive.ics.uci.edu/dataset/80 (the test part).
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

from trainer.config import DataSchema
from trainer.data.dataset import Dataset


def read_digits(path: Path, schema: DataSchema) -> Dataset:
    """All digits, flat float32[1797, 64]; `check` gives them the schema's shape, [64] or [1, 8, 8]."""
    bunch = load_digits()
    return Dataset({next(iter(schema.inputs)): bunch.data.astype(np.float32)}, bunch.target.astype(np.int64))
