"""Whether a stated reference row is what the validation data give: held against a gradient computed again.

A row is a vector rounded to int16 (aggregator/reference.py). Two machines that compute the same gradient get vectors
that differ in their last bits, and therefore rows that differ by one where an entry is near a half, or have exponents
that differ by one where the largest entry is near LIMIT. So a row is not compared with another row, but with the
vector: what counts is the distance from it to the nearest vector that rounds to the row. Rounding itself adds nothing.
"""

from math import ldexp

import numpy as np

from zk.encoding import LIMIT, Float32s, Int16s

TOLERANCE = 2.0**-16
"""The largest such distance, in lengths of the vector computed again. docs/rules.md says what it is derived from."""

LEAST_TOP = (LIMIT + 1) // 2
"""A row that is not zero has an entry of at least this size: else its scale is not the least that fits."""

EXPONENTS = range(-163, 115)
"""Those that a row of float32 numbers can have."""

_CHUNK = 2**18


def rows_agree(row: Int16s, exponent: int | None, recomputed: Float32s, noise: float = 0.0) -> bool:
    """Whether 2^exponent · row is what `recomputed` rounds to, up to what machines differ in.

    row: int16[d], as stated; exponent: as stated, None for a first row, of which only the direction counts: then the
    power of two that fits best. recomputed: float32[d], finite, the negative gradient before it is rounded. noise: the
    standard error of that gradient, in its own units (trainer.train.gradient_noise): a gradient that is shorter says
    nothing, so that this takes the place of its length.

    The scale has to be canonical, which the row alone shows: its largest |entry| is in LEAST_TOP … LIMIT, or it is zero
    with exponent 0. Raises ValueError for other dtypes or shapes, and if `recomputed` or `noise` is not finite.
    """
    if row.dtype != np.int16 or row.ndim != 1 or recomputed.dtype != np.float32 or row.shape != recomputed.shape:
        raise ValueError(
            f"int16[d] is compared with float32[d], not {row.dtype}{list(row.shape)} with "
            f"{recomputed.dtype}{list(recomputed.shape)}"
        )
    square = _square(recomputed)
    if not np.isfinite(square + noise):
        raise ValueError("a row is compared with finite numbers")
    allowed = TOLERANCE**2 * max(square, noise**2)
    top = max(-int(row.min()), int(row.max()))
    if top == 0:
        return exponent in (0, None) and square <= allowed
    if not LEAST_TOP <= top <= LIMIT:
        return False
    if exponent is None:
        if square <= allowed:
            return True  # at a small enough scale any direction is as near
        nearest = round(float(np.log2(float(np.abs(recomputed).max()) / top)))
        return any(_distance(row, e, recomputed) <= allowed for e in (nearest - 1, nearest, nearest + 1))
    return exponent in EXPONENTS and _distance(row, exponent, recomputed) <= allowed


def _square(v: Float32s) -> float:
    """⟨v, v⟩ in float64."""
    return sum(float(np.square(v[at : at + _CHUNK], dtype=np.float64).sum()) for at in range(0, len(v), _CHUNK))


def _distance(row: Int16s, exponent: int, v: Float32s) -> float:
    """The square of the distance from v to the nearest vector that 2^exponent · row is the rounding of."""
    half, total = ldexp(0.5, exponent), 0.0
    for at in range(0, len(row), _CHUNK):
        part = slice(at, at + _CHUNK)
        off = np.abs(np.ldexp(row[part].astype(np.float64), exponent) - v[part]) - half
        total += float(np.square(np.maximum(off, 0)).sum())
    return total
