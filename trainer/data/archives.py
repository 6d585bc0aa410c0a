"""Data sets as arrays in a file: NumPy's .npz, and safetensors."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.lib import format as npy
from numpy.typing import NDArray

from trainer.config import DataSchema, LabelsTarget, NumberTarget
from trainer.data.dataset import MAX_BYTES, Dataset, check, check_size, to_float32, to_labels

# Version 3 is for structured dtypes with names outside Latin-1.
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def _member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array of an .npz; its declared size is checked against the archive before anything is allocated."""
    size = archive.getinfo(f"{name}.npy").file_size
    if size > MAX_BYTES:
        raise ValueError(f"array {name!r} has {size} bytes, at most {MAX_BYTES} are read")
    with archive.open(f"{name}.npy") as file:
        shape, _, dtype = _HEADERS[npy.read_magic(file)](file)
        if int(np.prod(shape, dtype=object)) * dtype.itemsize + file.tell() != size:
            raise ValueError(f"array {name!r} of {dtype}{list(shape)} is not what its {size} bytes can hold")
    with archive.open(f"{name}.npy") as file:
        array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return array


def read_npz(path: Path, schema: DataSchema) -> Dataset:
    """An array for each input by its name, or "x" where there is one; the target's in "y". Never pickles."""
    check_size(path)
    expected = ", ".join([*_names(schema), *(["y"] if schema.target else [])])
    try:
        with zipfile.ZipFile(path) as archive:
            alone = "x.npy" in archive.namelist() and len(schema.inputs) == 1
            found = {name: _member(archive, "x" if alone else name) for name in schema.inputs}
            y = _member(archive, "y") if schema.target else None
    except KeyError as error:
        raise ValueError(f"{path}: plain arrays {expected} are expected, not found: {error}") from error
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: an .npz file of arrays {expected} is expected: {error}") from error
    inputs = {
        name: to_labels(values, path) if name in schema.texts else to_float32(values, path)
        for name, values in found.items()
    }
    return Dataset(inputs, None if y is None else to_target(y, schema, path))


def _names(schema: DataSchema) -> list[str]:
    return ["x"] if len(schema.inputs) == 1 else list(schema.inputs)


def to_target(y: NDArray[Any], schema: DataSchema, source: object) -> NDArray[Any]:
    """Numbers and yes-or-no answers as float32, [n] of one as [n, 1]; all else as int64."""
    if not isinstance(schema.target, NumberTarget | LabelsTarget):
        return to_labels(y, source)
    values = to_float32(y, source)
    return values[:, None] if values.ndim == 1 and len(schema.target.names) == 1 else values


def write_npz(path: Path, data: Dataset) -> None:
    """Writes a data set that `read` gave, so that it can be read again under the same schema."""
    np.savez_compressed(path, allow_pickle=False, **_arrays(data))


def _arrays(data: Dataset) -> dict[str, NDArray[Any]]:
    # The library writes an array's memory as it lies, strides or not.
    names = ["x"] if len(data.inputs) == 1 else list(data.inputs)
    arrays = {name: np.ascontiguousarray(x) for name, x in zip(names, data.inputs.values(), strict=True)}
    return arrays if data.y is None else arrays | {"y": np.ascontiguousarray(data.y)}


def to_safetensors(data: Dataset) -> bytes:
    """A tensor for each input ("x" where there is one) and "y": how validation data are committed to, and revealed."""
    return safetensors.numpy.save(_arrays(data))


def from_safetensors(content: bytes, schema: DataSchema, source: object = "the data set") -> Dataset:
    """The data set of `to_safetensors`, checked against the schema. Raises ValueError for anything else."""
    try:
        tensors = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{source}: a safetensors file is expected: {error}") from error
    numbers = isinstance(schema.target, NumberTarget | LabelsTarget)
    texts = schema.texts
    wanted = {
        name: "int64" if own in texts else "float32" for name, own in zip(_names(schema), schema.inputs, strict=True)
    } | ({"y": "float32" if numbers else "int64"} if schema.target else {})
    found = {name: str(tensor.dtype) for name, tensor in tensors.items()}
    if found != wanted:
        raise ValueError(f"{source}: tensors {wanted} are expected, {found} were found")
    inputs = {own: tensors[name] for name, own in zip(_names(schema), schema.inputs, strict=True)}
    return check(Dataset(inputs, tensors.get("y")), schema, source)


def read_safetensors(path: Path, schema: DataSchema) -> Dataset:
    """Tensors as `to_safetensors` writes them."""
    check_size(path)
    return from_safetensors(path.read_bytes(), schema, path)
