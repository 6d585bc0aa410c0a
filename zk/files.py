"""The files that travel: safetensors with exactly the tensors named here, checked strictly on the way in.

file    tensors
update  "update" packed[d], "blinders" uint8[64·c], "commitment" uint8[64·c]  sealed with a key that the aggregator gets
rows    "first" packed[d], "second" packed[d], "blinders" uint8[128·c]        the reference rows, sealed to the owner
sum     "sum" packed[d], "blinders" uint8[64·c], "commitment" uint8[64·c]     sealed to the job key
model   "model" float32[d]                                                    round 1's base, public

d is the number of a model's parameters, c that of the chunks they are committed in (zk.encoding.chunks). packed[d] are
d integers in a uint8 tensor of as many bytes as they take (zk.packing). Blinders and points are bytes of the right
number here; what they are worth is for `zk.kzg` to say.

Every `unpack_*` raises ValueError for anything else: another size, name, dtype or shape, metadata, entries out of
range. The `max_*_file_bytes` bound a file's length before it is fetched. Format: https://huggingface.co/docs/safetensors.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from zk.encoding import BLINDER_BYTES, LIMIT, ONE, POINT_BYTES, Float32s, Int16s, Int64s, check_entries
from zk.packing import Signed, max_packed_bytes, pack_integers, unpack_integers

_MAX_HEADER_BYTES = 1024
_MAX_SELECTED = 32  # the most slots of a job
_DTYPES: Mapping[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U8": np.dtype("u1")}


class Packed(NamedTuple):
    """`length` integers within ±`most`, as zk.packing writes them."""

    length: int
    most: int


Layout = Mapping[str, tuple[str, int] | Packed]
"""Tensor name → (safetensors dtype, length), or what is packed in it."""


def _update_layout(d: int, c: int) -> Layout:
    return {
        "update": Packed(d, LIMIT),
        "blinders": ("U8", BLINDER_BYTES * c),
        "commitment": ("U8", POINT_BYTES * c),
    }


def _rows_layout(d: int, c: int) -> Layout:
    return {"first": Packed(d, LIMIT), "second": Packed(d, LIMIT), "blinders": ("U8", 2 * BLINDER_BYTES * c)}


def _sum_layout(d: int, c: int, bound: int = _MAX_SELECTED * ONE * LIMIT) -> Layout:
    return {
        "sum": Packed(d, bound),
        "blinders": ("U8", BLINDER_BYTES * c),
        "commitment": ("U8", POINT_BYTES * c),
    }


def _model_layout(d: int) -> Layout:
    return {"model": ("F32", d)}


def _most(entry: tuple[str, int] | Packed) -> int:
    """The most bytes that a tensor has."""
    if isinstance(entry, Packed):
        return max_packed_bytes(entry.length, entry.most)
    dtype, length = entry
    return _DTYPES[dtype].itemsize * length


def _max_bytes(layout: Layout) -> int:
    return 8 + _MAX_HEADER_BYTES + sum(map(_most, layout.values()))


def _pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    # The library writes an array's memory as it lies, strides or not.
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def _unpack(data: bytes, layout: Layout) -> dict[str, NDArray[Any]]:
    if not 8 <= len(data) <= _max_bytes(layout):
        raise ValueError(f"the file has {len(data)} bytes, at most {_max_bytes(layout)} are allowed")
    header_bytes = int.from_bytes(data[:8], "little")
    try:
        found = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
        # The library drops metadata and lets a name come twice; the header shows both.
        names = [name for name, _ in json.loads(data[8 : 8 + header_bytes], object_pairs_hook=list)]
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"the file is not a safetensors file: {error}") from error
    if sorted(names) != sorted(layout):
        raise ValueError(f"the file has the entries {sorted(names)}, {sorted(layout)} are required")
    arrays: dict[str, NDArray[Any]] = {}
    for name, wanted in layout.items():
        tensor = found[name]
        dtype, length = ("U8", len(tensor["data"])) if isinstance(wanted, Packed) else wanted
        if tensor["dtype"] != dtype or list(tensor["shape"]) != [length]:
            raise ValueError(f"tensor {name!r} is {tensor['dtype']}{tensor['shape']}, {dtype}[{length}] is required")
        if isinstance(wanted, Packed):
            kind = np.int16 if wanted.most <= LIMIT else np.int64
            arrays[name] = unpack_integers(tensor["data"], wanted.length, wanted.most, kind)
        else:
            arrays[name] = np.frombuffer(tensor["data"], dtype=_DTYPES[dtype])
    return arrays


def _packed(values: NDArray[Signed]) -> NDArray[np.uint8]:
    return np.frombuffer(pack_integers(values), np.uint8)


def _bytes(data: bytes, length: int, what: str) -> NDArray[np.uint8]:
    if len(data) != length:
        raise ValueError(f"{what} have {length} bytes, {len(data)} were given")
    return np.frombuffer(data, dtype=np.uint8)


def max_update_file_bytes(d: int, c: int) -> int:
    """Upper bound of an update file's length in bytes, for d entries in c chunks."""
    return _max_bytes(_update_layout(d, c))


def pack_update(w: Int16s, blinders: bytes, commitment: bytes, c: int) -> bytes:
    """The update file of int16[d], its blinders and the c points that commit to it. Raises ValueError for others."""
    return _pack(
        {
            "update": _packed(check_entries(w)),
            "blinders": _bytes(blinders, BLINDER_BYTES * c, "blinders"),
            "commitment": _bytes(commitment, POINT_BYTES * c, "points"),
        }
    )


def unpack_update(data: bytes, d: int, c: int) -> tuple[Int16s, bytes, bytes]:
    """(int16[d], blinders, points) from an update file."""
    arrays = _unpack(data, _update_layout(d, c))
    return arrays["update"], arrays["blinders"].tobytes(), arrays["commitment"].tobytes()


def max_rows_file_bytes(d: int, c: int) -> int:
    """Upper bound of a rows file's length in bytes, for d entries a row in c chunks."""
    return _max_bytes(_rows_layout(d, c))


def pack_rows(first: Int16s, second: Int16s, blinders: bytes, c: int) -> bytes:
    """The rows file of the two reference rows, int16[d] each, and their blinders, those of the first row first."""
    check_entries(second, len(first))
    every = _bytes(blinders, 2 * BLINDER_BYTES * c, "blinders")
    return _pack({"first": _packed(check_entries(first)), "second": _packed(second), "blinders": every})


def unpack_rows(data: bytes, d: int, c: int) -> tuple[Int16s, Int16s, bytes]:
    """(first int16[d], second int16[d], blinders of both) from a rows file."""
    arrays = _unpack(data, _rows_layout(d, c))
    return arrays["first"], arrays["second"], arrays["blinders"].tobytes()


def max_sum_file_bytes(d: int, c: int) -> int:
    """Upper bound of a sum file's length in bytes, for d entries in c chunks."""
    return _max_bytes(_sum_layout(d, c))


def pack_sum(total: Int64s, blinders: bytes, commitment: bytes, c: int) -> bytes:
    """The sum file of int64[d], every entry within ±2^62, the sum of its terms' blinders, and the points that commit to
    it: with these at hand one check of size N is enough for all chunks (zk.kzg.sum_opens)."""
    if total.dtype != np.int64 or total.ndim != 1:
        raise ValueError(f"a sum is a vector of int64, this is {total.dtype}{list(total.shape)}")
    return _pack(
        {
            "sum": _packed(total),
            "blinders": _bytes(blinders, BLINDER_BYTES * c, "blinders"),
            "commitment": _bytes(commitment, POINT_BYTES * c, "points"),
        }
    )


def unpack_sum(data: bytes, d: int, c: int, bound: int) -> tuple[Int64s, bytes, bytes]:
    """(int64[d], blinders, points) from a sum file, every entry within ±bound (Σ coefficients · LIMIT of the round)."""
    arrays = _unpack(data, _sum_layout(d, c, bound))
    return arrays["sum"].astype(np.int64, copy=False), arrays["blinders"].tobytes(), arrays["commitment"].tobytes()


def max_model_file_bytes(d: int) -> int:
    """Upper bound of a model file's length in bytes, for d parameters."""
    return _max_bytes(_model_layout(d))


def pack_model(parameters: Float32s) -> bytes:
    """The model file of float32[d], all finite."""
    if parameters.dtype != np.float32 or parameters.ndim != 1:
        raise ValueError(f"parameters are a vector of float32, this is {parameters.dtype}{list(parameters.shape)}")
    if not np.isfinite(parameters).all():
        raise ValueError("the model has a parameter that is not a finite number")
    return _pack({"model": parameters})


def unpack_model(data: bytes, d: int) -> Float32s:
    """float32[d], all finite, from a model file."""
    parameters: Float32s = _unpack(data, _model_layout(d))["model"].astype(np.float32, copy=False)
    if not np.isfinite(parameters).all():
        raise ValueError("the model has a parameter that is not a finite number")
    return parameters
