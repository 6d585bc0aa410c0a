"""A data set in memory, and the check against a job's schema."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config import DataSchema
from zk.encoding import Float32s, Int64s

MAX_BYTES = 2**33
"""Most bytes of a file that is read, and of the values in it."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """x: float32[n, *shape]; y: int64[n], 0 … classes − 1."""

    x: Float32s
    y: Int64s

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: NDArray[Any] | slice) -> "Dataset":
        """The samples at these positions (an array of positions or flags, or a slice)."""
        return Dataset(self.x[index], self.y[index])


def check_size(path: Path) -> None:
    """Raises ValueError if the file is too large to be read."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, at most {MAX_BYTES} are read")


def to_float32(values: NDArray[Any], source: object) -> Float32s:
    """Values of any real dtype as float32. Raises ValueError for text, objects, complex numbers."""
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{source}: numbers are expected, values of type {values.dtype} were found")
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def to_labels(labels: NDArray[Any], source: object) -> Int64s:
    """Labels as int64. Raises ValueError if they are not whole numbers of an integer (or exactly integral) dtype."""
    whole = labels.astype(np.int64) if labels.dtype.kind in "iu" or _integral(labels) else None
    if whole is None:
        raise ValueError(f"{source}: labels are expected to be whole numbers, {labels.dtype} values were found")
    return whole


def _integral(labels: NDArray[Any]) -> bool:
    return (
        labels.dtype.kind == "f"
        and bool(np.isfinite(labels).all() and (np.abs(labels) < 2**53).all())
        and bool((labels == np.rint(labels)).all())
    )


def check(data: Dataset, schema: DataSchema, source: object) -> Dataset:
    """The data set itself, if it is what the schema says: shape, labels, number of samples, range, no NaN.

    Samples whose values are as many as the schema's, but in another shape, are reshaped only from a flat vector.
    """
    x, y = data.x, data.y
    if x.ndim == 2 and x.shape[1] == np.prod(schema.shape):
        x = x.reshape(len(x), *schema.shape)
    if x.shape[1:] != schema.shape:
        raise ValueError(
            f"{source}: samples of shape {list(schema.shape)} are expected, {list(x.shape[1:])} were found"
        )
    if y.shape != (len(x),):
        raise ValueError(f"{source}: {len(x)} samples need as many labels, labels of shape {list(y.shape)} were found")
    if len(x) < schema.min_samples:
        raise ValueError(f"{source}: at least {schema.min_samples} samples are expected, {len(x)} were found")
    if int(y.min()) < 0 or int(y.max()) >= schema.classes:
        wrong = int(y.min()) if int(y.min()) < 0 else int(y.max())
        raise ValueError(f"{source}: labels 0 … {schema.classes - 1} are expected, {wrong} was found")
    lowest, highest = float(x.min()), float(x.max())
    # Written so that NaN, which compares false, fails.
    if not (schema.minimum <= lowest and highest <= schema.maximum):
        raise ValueError(
            f"{source}: values {schema.minimum} … {schema.maximum} are expected, {lowest} … {highest} were found"
        )
    return Dataset(x, y)


def normalise(data: Dataset, schema: DataSchema) -> Dataset:
    """(x − mean) / std in float32, each one number or one along the first axis of a sample."""
    along = (-1, *[1] * (len(schema.shape) - 1))
    mean = np.array(schema.mean, dtype=np.float32).reshape(along)
    std = np.array(schema.std, dtype=np.float32).reshape(along)
    return Dataset((data.x - mean) / std, data.y)
