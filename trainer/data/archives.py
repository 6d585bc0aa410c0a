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

from trainer.config import DataSchema
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
    """Arrays "x" (n samples, in the schema's shape or flat) and "y" (n whole numbers); never pickles."""
    check_size(path)
    try:
        with zipfile.ZipFile(path) as archive:
            x, y = _member(archive, "x"), _member(archive, "y")
    except KeyError as error:
        raise ValueError(f"{path}: two plain arrays x and y are expected, not found: {error}") from error
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: an .npz file of two arrays x and y is expected: {error}") from error
    return Dataset(to_float32(x, path), to_labels(y, path))


def write_npz(path: Path, data: Dataset) -> None:
    """Writes a data set that `read` gave, so that it can be read again under the same schema."""
    np.savez_compressed(path, x=data.x, y=data.y)


def to_safetensors(data: Dataset) -> bytes:
    """The file with tensors "x" float32 and "y" int64: how validation data are committed to, and revealed."""
    # The library writes an array's memory as it lies, strides or not.
    return safetensors.numpy.save({"x": np.ascontiguousarray(data.x), "y": np.ascontiguousarray(data.y)})


def from_safetensors(content: bytes, schema: DataSchema, source: object = "the data set") -> Dataset:
    """The data set of `to_safetensors`, checked against the schema. Raises ValueError for anything else."""
    try:
        tensors = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{source}: a safetensors file is expected: {error}") from error
    if set(tensors) != {"x", "y"} or tensors["x"].dtype != np.float32 or tensors["y"].dtype != np.int64:
        found = {name: str(tensor.dtype) for name, tensor in tensors.items()}
        raise ValueError(f"{source}: tensors x of float32 and y of int64 are expected, {found} were found")
    return check(Dataset(tensors["x"], tensors["y"]), schema, source)


def read_safetensors(path: Path, schema: DataSchema) -> Dataset:
    """Tensors "x" float32 (n samples) and "y" int64[n]."""
    check_size(path)
    return from_safetensors(path.read_bytes(), schema, path)
