"""Vectors of integers in few bytes: their common power of two taken out, signs last, byte by byte, and then zstd.

format: shift (1 byte), width (1 byte), one zstd frame of width · d bytes. Entry v is 2^shift · z, z stands as 2z for
z ≥ 0 and as −2z − 1 else, little endian in `width` bytes; first come all lowest bytes, then all second ones, and so on.
shift is the largest and width the least that do, so that a vector has one such form before zstd. An update of 8 bits
has one byte an entry; high bytes of small entries are zeros, of which zstd leaves next to nothing. zstd passes over
frames without content: they change nothing of what is read, within the file's bound.
"""

from typing import Any, TypeVar

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

_HEAD = 2
_ZSTD = pa.Codec("zstd", compression_level=1)  # higher levels find next to nothing more in such bytes
_SLACK = 1024  # zstd frames of what cannot be compressed are longer by less than 1/256 and this

Signed = TypeVar("Signed", np.int16, np.int64)


def max_packed_bytes(length: int, most: int) -> int:
    """No vector of `length` entries within ±`most` takes more bytes."""
    plain = length * _width(2 * most)
    return _HEAD + plain + plain // 256 + _SLACK


def pack_integers(values: NDArray[Signed]) -> bytes:
    """The bytes of int16[d] or int64[d], d ≥ 1, every entry within ± half of the dtype's range for int64, and no −32768
    for int16. Needs about three copies of `values`."""
    shift = _shift(values)
    least = values >> shift if shift else values
    folded = (least << 1 ^ least >> 8 * values.itemsize - 1).view(_unsigned(values.dtype))
    width = _width(int(folded.max()))
    planes = np.ascontiguousarray(folded.view(np.uint8).reshape(len(values), -1)[:, :width].T)
    return bytes((shift, width)) + bytes(_ZSTD.compress(planes.data, asbytes=True))


def unpack_integers(data: bytes, length: int, most: int, dtype: type[Signed]) -> NDArray[Signed]:
    """int16[length] or int64[length] within ±`most`, from its bytes; most: below the dtype's largest value, halved for
    int64. Raises ValueError for anything else, before more is allocated than such a vector takes."""
    if len(data) < _HEAD:
        raise ValueError(f"packed integers have {len(data)} bytes, fewer than {_HEAD}")
    shift, width = data[0], data[1]
    if not 1 <= width <= _width(2 * most) or shift >= most.bit_length():
        raise ValueError(f"packed integers of {width} bytes times 2^{shift} are not within ±{most}")
    try:
        plain = _ZSTD.decompress(data[_HEAD:], decompressed_size=width * length, asbytes=True)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"packed integers are not {length} entries of {width} bytes") from error
    whole = np.dtype(dtype)
    folded = np.zeros(length, _unsigned(whole))
    planes = np.frombuffer(plain, np.uint8).reshape(width, length)
    places = folded.view(np.uint8).reshape(length, -1)
    for place, plane in enumerate(planes):
        places[:, place] = plane
    if width > 1 and not planes[-1].any():
        raise ValueError(f"packed integers take {width} bytes and need fewer")
    if int(folded.max()) > 2 * (most >> shift):
        raise ValueError(f"a packed integer is not within ±{most}")
    half: NDArray[Signed] = (folded >> 1).view(whole)
    least = half ^ -(folded & 1).view(whole)
    if _shift(least) or (shift and not least.any()):
        raise ValueError("packed integers have a power of two in common")
    return least << shift if shift else least


def _shift(values: NDArray[Signed]) -> int:
    """The largest s with which 2^s divides all; 0 for zeros alone."""
    bits = int(np.bitwise_or.reduce(values))
    return (bits & -bits).bit_length() - 1 if bits else 0


def _width(largest: int) -> int:
    return max(1, -(-largest.bit_length() // 8))


def _unsigned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"<u{dtype.itemsize}")
