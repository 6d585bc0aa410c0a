"""BN254 for the verifier: strict decoding, sums of multiples and pairing checks, over py_ecc.

Encoding as in EIP-196 and EIP-197: a point of G1 is x ‖ y, one of G2 x₁ ‖ x₀ ‖ y₁ ‖ y₀ (the imaginary part first), each
word 32 bytes, big endian, less than the base field's modulus.
"""

import sys
from collections.abc import Iterable, Sequence

from py_ecc.fields import optimized_bn128_FQ as FQ
from py_ecc.fields import optimized_bn128_FQ2 as FQ2
from py_ecc.fields import optimized_bn128_FQ12 as FQ12
from py_ecc.optimized_bn128.optimized_curve import (
    G1,
    G2,
    Z1,
    add,
    b,
    b2,
    double,
    field_modulus,
    is_inf,
    is_on_curve,
    multiply,
    neg,
)
from py_ecc.optimized_bn128.optimized_pairing import final_exponentiate, pairing
from py_ecc.typing import Optimized_Point3D

from zk.transcript import P

__all__ = [
    "G1",
    "G2",
    "Malformed",
    "PointG1",
    "PointG2",
    "combine",
    "g1",
    "g2",
    "is_inf",
    "neg",
    "pairing_is_one",
    "scalar",
]

PointG1 = Optimized_Point3D[FQ]
PointG2 = Optimized_Point3D[FQ2]

# py_ecc sets it to 100,000, at which nested JSON from outside would overflow the C stack before Python notices.
sys.setrecursionlimit(2_000)

_WINDOW = 4
_MASK = (1 << _WINDOW) - 1


class Malformed(ValueError):
    """Bytes that encode no statement, key or proof: they were not even checked."""


def scalar(data: bytes, what: str) -> int:
    """An integer < P from 32 bytes. Raises Malformed; so do all functions here that decode."""
    value = int.from_bytes(data, "big")
    if len(data) != 32 or value >= P:
        raise Malformed(f"{what} is not a word below the group's order")
    return value


def _coordinates(data: bytes, count: int, what: str) -> list[int]:
    if len(data) != 32 * count:
        raise Malformed(f"{what} has {len(data)} bytes, a point has {32 * count}")
    values = [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]
    if any(value >= field_modulus for value in values):
        raise Malformed(f"{what} has a coordinate that is not below the field's modulus")
    return values


def g1(data: bytes, what: str, *, infinity: bool = False) -> PointG1:
    """A point on the curve from 64 bytes; the one at infinity, (0, 0), only where `infinity` says so."""
    x, y = _coordinates(data, 2, what)
    if x == y == 0:
        if infinity:
            return Z1
        raise Malformed(f"{what} is the point at infinity")
    point: PointG1 = (FQ(x), FQ(y), FQ(1))
    if not is_on_curve(point, b):
        raise Malformed(f"{what} is not on the curve")
    return point


def g2(data: bytes, what: str) -> PointG2:
    """A point of the subgroup of order P, not at infinity, from 128 bytes."""
    x1, x0, y1, y0 = _coordinates(data, 4, what)
    # Infinity, all zero, is not on the curve either.
    point: PointG2 = (FQ2((x0, x1)), FQ2((y0, y1)), FQ2.one())
    if not is_on_curve(point, b2):
        raise Malformed(f"{what} is not on the curve")
    if not is_inf(multiply(point, P)):
        raise Malformed(f"{what} is outside the subgroup of order P")
    return point


def combine(terms: Sequence[tuple[PointG1, int]]) -> PointG1:
    """Σ k·point, by Pippenger's buckets: of 4 bits, the points of a digit are added before they are multiplied."""
    scalars = [k % P for _, k in terms]
    total = Z1
    for shift in range(-(-P.bit_length() // _WINDOW) * _WINDOW - _WINDOW, -1, -_WINDOW):
        for _ in range(_WINDOW):
            total = double(total)
        buckets = [Z1] * (_MASK + 1)
        for (point, _), k in zip(terms, scalars, strict=True):
            digit = k >> shift & _MASK
            if digit:
                buckets[digit] = add(buckets[digit], point)
        # Σ digit·bucket: a bucket is in as many of the running sums as its digit says.
        running = Z1
        for bucket in reversed(buckets[1:]):
            running = add(running, bucket)
            total = add(total, running)
    return total


def pairing_is_one(pairs: Iterable[tuple[PointG1, PointG2]]) -> bool:
    """Whether ∏ e(p, q) = 1, with one final exponentiation for all."""
    product = FQ12.one()
    for p, q in pairs:
        product *= pairing(q, p, final_exponentiate=False)
    return bool(final_exponentiate(product) == FQ12.one())
