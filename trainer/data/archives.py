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

from trainer.config import TABLE, DataSchema, LabelsTarget, NumberTarget
from trainer.data.dataset import MAX_BYTES, Dataset, check, check_size, to_float32, to_labels
from trainer.data.options import PLAIN, DataOptions, target_names
from trainer.data.reading import Reading

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


def read_npz(reading: Reading) -> Dataset:
    """An array for each input by its name, or "x" where there is one; the target's in "y"; or as mapped. Never
    pickles."""
    path, schema = reading.path, reading.schema
    check_size(path)
    names, target = array_names(schema, reading.options)
    expected = ", ".join([*names.values(), *([target] if schema.target else [])])
    try:
        with zipfile.ZipFile(path) as archive:
            there = archive.namelist()
            found = {
                name: _member(archive, name if array == "x" and "x.npy" not in there else array)
                for name, array in names.items()
            }
            y = _member(archive, target) if schema.target else None
    except KeyError as error:
        raise ValueError(f"{path}: plain arrays {expected} are expected, not found: {error}") from error
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: an .npz file of arrays {expected} is expected: {error}") from error
    inputs = {
        name: to_labels(values, path) if name in schema.texts else to_float32(values, path)
        for name, values in found.items()
    }
    return Dataset(inputs, None if y is None else to_target(y, schema, path))


def array_names(schema: DataSchema, options: DataOptions = PLAIN) -> tuple[dict[str, str], str]:
    """The array of each input, and the target's. Raises ValueError if `map` has a name that no array stands for."""
    target = target_names(schema)
    arrays = {*schema.inputs, *(target if len(target) == 1 else ())}
    for name in options.map:
        if name not in arrays:
            where = TABLE if name in schema.columns else "y"
            raise ValueError(f"map: {name!r} is a column of the array {where!r} here, and has no name")
    alone = len(schema.inputs) == 1
    names = {name: options.map.get(name, "x" if alone else name) for name in schema.inputs}
    y = options.map.get(target[0], "y") if target else "y"
    if len({*names.values(), y}) <= len(names):
        raise ValueError(f"map: {y if y in names.values() else 'an array'!r} is taken for two names")
    return names, y


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


def from_safetensors(
    content: bytes, schema: DataSchema, source: object = "the data set", options: DataOptions = PLAIN
) -> Dataset:
    """The data set of `to_safetensors`, checked against the schema. Raises ValueError for anything else."""
    names, y = array_names(schema, options)
    try:
        tensors = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{source}: a safetensors file is expected: {error}") from error
    numbers = isinstance(schema.target, NumberTarget | LabelsTarget)
    texts = schema.texts
    wanted = {array: "int64" if own in texts else "float32" for own, array in names.items()} | (
        {y: "float32" if numbers else "int64"} if schema.target else {}
    )
    found = {name: str(tensor.dtype) for name, tensor in tensors.items()}
    if found != wanted:
        raise ValueError(f"{source}: tensors {wanted} are expected, {found} were found")
    inputs = {own: tensors[array] for own, array in names.items()}
    return check(Dataset(inputs, tensors.get(y)), schema, source)


def read_safetensors(reading: Reading) -> Dataset:
    """Tensors as `to_safetensors` writes them, or of the names that they are mapped to."""
    check_size(reading.path)
    return from_safetensors(reading.path.read_bytes(), reading.schema, reading.path, reading.options)
