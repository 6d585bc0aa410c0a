"""The reference rows of rule `reference`: where the validation data say that the model should go.

A `Gradient` maps parameters float32[d] to the gradient float32[d] of the validation loss there (pointing uphill). The
rows are its negative, rounded to int16 with a scale of their own: every use of a row is free of its scale.
"""

from collections.abc import Callable

import numpy as np

from aggregator.gram import gram
from zk.encoding import LIMIT, Float32s, Int16s

Gradient = Callable[[Float32s], Float32s]

AGREEMENT = (999, 1000)
"""The least cosine of a recomputed row, as a fraction: gradients differ in their last bits between machines."""


def quantize_row(v: Float32s) -> tuple[Int16s, float]:
    """(int16[d], scale) with v ≈ scale · row; the largest |entry| becomes LIMIT. Zeros and scale 1.0 for a zero vector.

    Rounded to nearest even, in float64. Raises ValueError if `v` is not float32[d], d ≥ 1, or not finite.
    """
    if v.dtype != np.float32 or v.ndim != 1 or len(v) == 0:
        raise ValueError(f"a row is made of a vector of float32, this is {v.dtype}{list(v.shape)}")
    largest = float(np.abs(v).max())
    if not np.isfinite(largest):
        raise ValueError("a row's gradient has an entry that is not a finite number")
    scale = largest / LIMIT if largest else 1.0
    return np.rint(v / np.float64(scale)).astype(np.int16), scale


def first_row(gradient: Gradient, base: Float32s) -> tuple[Int16s, float]:
    """v0: the negative gradient at the round's base model float32[d], which selects. Returns (int16[d], scale)."""
    return quantize_row(-gradient(base))


def second_row(gradient: Gradient, base: Float32s, end: Float32s) -> tuple[Int16s, float]:
    """u: the mean negative gradient along the step from `base` to `end` (float32[d] each), which pays.

    Simpson's rule: (v(base) + 4·v((base + end)/2) + v(end))/6, added in float64. The product of u with the whole step
    is the validation loss that the step takes away, up to the rule's error. Returns (int16[d], scale).
    """
    middle = (base + end) * np.float32(0.5)
    total = gradient(base).astype(np.float64)
    total += 4 * gradient(middle).astype(np.float64)
    total += gradient(end)
    return quantize_row((total / -6).astype(np.float32))


def agrees(row: Int16s, recomputed: Int16s) -> bool:
    """Whether the cosine of two rows int16[d] is at least 0.999, in exact integers. Two zero rows agree."""
    (a, ab), (_, b) = gram([row, recomputed])
    part, whole = AGREEMENT
    if a == 0 or b == 0:
        return a == b
    return ab > 0 and (ab * whole) ** 2 >= part**2 * a * b
