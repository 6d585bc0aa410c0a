"""A data set in memory, and the check against a job's schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.config import (
    IGNORED,
    TABLE,
    CategoryFeature,
    ClassTarget,
    DataSchema,
    ImageFeature,
    LabelsTarget,
    MaskTarget,
    NumberFeature,
    NumberTarget,
    TagsTarget,
    Target,
    TensorFeature,
    TextFeature,
)
from zk.encoding import Float32s, Int64s

MAX_BYTES = 2**33
"""Most bytes of a file that is read, and of the values in it."""

BYTE_TOKENS = 257
"""Of the tokenizer `bytes`: the values of a byte, and padding, 256."""

_PIECE = 1024

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Dataset:
    """inputs: float32[n, …], texts int64[n, length], by name as the schema has them; y: int64[n, …] or float32[n, …],
    None where a text is its own target."""

    inputs: Mapping[str, Array]
    y: Array | None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def __getitem__(self, index: Array | slice) -> "Dataset":
        """The samples at these positions (an array of positions or flags, or a slice)."""
        inputs = {name: values[index] for name, values in self.inputs.items()}
        return Dataset(inputs, None if self.y is None else self.y[index])

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return sum(values.nbytes for values in self.inputs.values()) + (0 if self.y is None else self.y.nbytes)


def check_size(path: Path) -> None:
    """Raises ValueError if the file is too large to be read."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, at most {MAX_BYTES} are read")


def to_float32(values: Array, source: object) -> Float32s:
    """Values of any real dtype as float32. Raises ValueError for text, objects, complex numbers."""
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{source}: numbers are expected, values of type {values.dtype} were found")
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def to_labels(labels: Array, source: object) -> Int64s:
    """Labels as int64. Raises ValueError if they are not whole numbers of an integer (or exactly integral) dtype."""
    whole = labels.astype(np.int64) if labels.dtype.kind in "iu" or _integral(labels) else None
    if whole is None:
        raise ValueError(f"{source}: labels are expected to be whole numbers, {labels.dtype} values were found")
    return whole


def _integral(labels: Array) -> bool:
    return (
        labels.dtype.kind == "f"
        and bool(np.isfinite(labels).all() and (np.abs(labels) < 2**53).all())
        and bool((labels == np.rint(labels)).all())
    )


def check(data: Dataset, schema: DataSchema, source: object) -> Dataset:
    """The data set itself, if it is what the schema says: inputs, shapes, target, number of samples, range, no NaN.

    An input whose values are as many as the schema's, but in another shape, is reshaped only from a flat vector.
    """
    if set(data.inputs) != set(schema.inputs):
        wanted, found = ", ".join(schema.inputs), ", ".join(data.inputs)
        raise ValueError(f"{source}: inputs {wanted} are expected, {found} were found")
    inputs = {name: _shaped(data.inputs[name], name, shape, source) for name, shape in schema.inputs.items()}
    n = len(next(iter(inputs.values())))
    if n < schema.min_samples:
        raise ValueError(f"{source}: at least {schema.min_samples} samples are expected, {n} were found")
    for name, values in inputs.items():
        if len(values) != n:
            raise ValueError(f"{source}: {n} samples are expected in {name}, {len(values)} were found")
    for name, feature in schema.features.items():
        if isinstance(feature, ImageFeature | TensorFeature):
            _within(inputs[name], feature.minimum, feature.maximum, source)
    at = 0
    for name, column in schema.columns.items():
        if isinstance(column, NumberFeature):
            _within(inputs[TABLE][:, at], column.minimum, column.maximum, f"{source}: {name}")
        at += 1 if isinstance(column, NumberFeature) else len(column.values)
    for name in schema.texts:
        if inputs[name].dtype != np.int64 or int(inputs[name].min()) < 0:
            raise ValueError(f"{source}: numbers of tokens are expected in {name}")
    return Dataset(inputs, _target(data.y, schema, inputs, source))


def _shaped(values: Array, name: str, shape: tuple[int, ...], source: object) -> Array:
    if values.ndim == 2 and values.shape[1] == np.prod(shape):
        values = values.reshape(len(values), *shape)
    if values.shape[1:] != shape:
        raise ValueError(
            f"{source}: samples of shape {list(shape)} are expected in {name}, {list(values.shape[1:])} were found"
        )
    return values


def _within(values: Array, minimum: float, maximum: float, where: object) -> None:
    lowest, highest = float(values.min()), float(values.max())
    # Of a bound like 0.1 the float32 next to it may lie outside. Written so that NaN, which compares false, fails.
    if not (float(np.float32(minimum)) <= lowest and highest <= float(np.float32(maximum))):
        raise ValueError(f"{where}: values {minimum} … {maximum} are expected, {lowest} … {highest} were found")


def target_shape(target: Target, inputs: Mapping[str, tuple[int, ...]], schema: DataSchema) -> tuple[int, ...]:
    """Of one sample's target."""
    if isinstance(target, NumberTarget | LabelsTarget):
        return (len(target.names),)
    if isinstance(target, TagsTarget):
        return inputs[next(iter(schema.texts))]
    if isinstance(target, MaskTarget):
        images = [name for name, feature in schema.features.items() if isinstance(feature, ImageFeature)]
        return inputs[images[0]][1:]
    return ()


def _target(y: Array | None, schema: DataSchema, inputs: Mapping[str, Array], source: object) -> Array | None:
    target, n = schema.target, len(next(iter(inputs.values())))
    if target is None:
        if y is not None:
            raise ValueError(f"{source}: no target is expected, one was found")
        return None
    wanted = (n, *target_shape(target, schema.inputs, schema))
    if y is None or y.shape != wanted:
        found = "none" if y is None else f"labels of shape {list(y.shape)}"
        raise ValueError(f"{source}: {n} samples need labels of shape {list(wanted)}, {found} were found")
    if isinstance(target, ClassTarget | TagsTarget | MaskTarget):
        asked = y if isinstance(target, ClassTarget) else y[y != IGNORED]
        if asked.size and (int(asked.min()) < 0 or int(asked.max()) >= target.classes):
            wrong = int(asked.min()) if int(asked.min()) < 0 else int(asked.max())
            raise ValueError(f"{source}: labels 0 … {target.classes - 1} are expected, {wrong} was found")
    elif isinstance(target, NumberTarget):
        _within(y, target.minimum, target.maximum, source)
    elif not bool(((y == 0) | (y == 1)).all()):
        raise ValueError(f"{source}: labels 0 and 1 are expected, others were found")
    return y


def normalise(data: Dataset, schema: DataSchema) -> Dataset:
    """(value − mean) / std in float32, each one number or one along the first axis of a sample; tokens as they are."""
    inputs = {}
    for name, shape in schema.inputs.items():
        values = data.inputs[name]
        feature = schema.features.get(name)
        if isinstance(feature, ImageFeature | TensorFeature):
            values = _scaled(values, feature.mean, feature.std, len(shape))
        elif not isinstance(feature, TextFeature):
            mean, std = np.array([entry for column in schema.columns.values() for entry in _scales(column)]).T
            values = _scaled(values, mean, std, 1)
        inputs[name] = values
    y = data.y
    if isinstance(schema.target, NumberTarget) and y is not None:
        y = _scaled(y, (schema.target.mean,), (schema.target.std,), 1)
    return Dataset(inputs, y)


def _scales(column: NumberFeature | CategoryFeature) -> list[tuple[float, float]]:
    """Mean and std of each of the table's entries: a category's are 0 or 1, and stay so."""
    return [(0.0, 1.0)] * len(column.values) if isinstance(column, CategoryFeature) else [(column.mean, column.std)]


def _scaled(values: Array, mean: ArrayLike, std: ArrayLike, ndim: int) -> Float32s:
    along = (-1, *[1] * (ndim - 1))
    shift = np.array(mean, dtype=np.float32).reshape(along)
    width = np.array(std, dtype=np.float32).reshape(along)
    if isinstance(values, np.memmap):  # larger than memory
        return _scaled_in_pieces(values, shift, width)
    scaled: Float32s = (values - shift) / width
    return scaled


def _scaled_in_pieces(values: Array, shift: Float32s, width: Float32s) -> Float32s:
    from trainer.data.store import Growing  # noqa: PLC0415 - which is made of what is here

    rows = Growing(values.shape[1:], np.float32, "the data set")
    for start in range(0, len(values), _PIECE):
        rows.append((values[start : start + _PIECE] - shift) / width)
    return rows.array()
