"""The reference rows of rule `reference`: where the validation data say that the model should go.

A `Gradient` maps parameters float32[d] to the gradient float32[d] of the validation loss there (pointing uphill). The
rows are its negative, rounded to int16 with a scale of their own, a power of two. Only the direction of the first row
counts; the second one's scale makes loss of integer products, and is stated with the round (aggregator/points.py).
"""

from collections.abc import Callable
from math import frexp, ldexp

import numpy as np

from zk.encoding import LIMIT, Float32s, Int16s

Gradient = Callable[[Float32s], Float32s]


def quantize_row(v: Float32s) -> tuple[Int16s, int]:
    """(int16[d], exponent) with v ≈ 2^exponent · row: the least exponent with which no |entry| exceeds LIMIT.

    Rounded to nearest even, in float64. Zeros and exponent 0 for a zero vector. Raises ValueError if `v` is not
    float32[d], d ≥ 1, or not finite.
    """
    if v.dtype != np.float32 or v.ndim != 1 or len(v) == 0:
        raise ValueError(f"a row is made of a vector of float32, this is {v.dtype}{list(v.shape)}")
    largest = float(np.abs(v).max())
    if not np.isfinite(largest):
        raise ValueError("a row's gradient has an entry that is not a finite number")
    if largest == 0:
        return np.zeros(len(v), np.int16), 0
    exponent = frexp(largest)[1] - LIMIT.bit_length()  # 2^14 ≤ largest / 2^exponent < 2^15, which may exceed LIMIT
    if largest > ldexp(LIMIT, exponent):
        exponent += 1
    return np.rint(np.ldexp(v.astype(np.float64), -exponent)).astype(np.int16), exponent


def first_vector(gradient: Gradient, base: Float32s) -> Float32s:
    """v0 before it is rounded: the negative gradient float32[d] at the round's base model float32[d]."""
    return _downhill(gradient(base))


def second_vector(gradient: Gradient, base: Float32s, end: Float32s) -> Float32s:
    """u before it is rounded: the mean negative gradient float32[d] along the step from `base` to `end`.

    Simpson's rule on both halves of the step, (v₀ + 4·v₁ + 2·v₂ + 4·v₃ + v₄)/12 at its quarters, added in float64. The
    product of u with the whole step is the validation loss that the step takes away, up to the rule's error.
    """
    middle = _middle(base, end)
    points = (base, _middle(base, middle), middle, _middle(middle, end), end)
    total = np.zeros(len(base))
    with np.errstate(invalid="ignore", over="ignore"):  # infinity − infinity, which `_downhill` answers
        for weight, point in zip((1, 4, 2, 4, 1), points, strict=True):
            total += weight * gradient(point).astype(np.float64)
        return _downhill((total / 12).astype(np.float32))


def _middle(a: Float32s, b: Float32s) -> Float32s:
    return (a + b) * np.float32(0.5)


def first_row(gradient: Gradient, base: Float32s) -> tuple[Int16s, int]:
    """v0, which selects: int16[d] and exponent."""
    return quantize_row(first_vector(gradient, base))


def second_row(gradient: Gradient, base: Float32s, end: Float32s) -> tuple[Int16s, int]:
    """u, which scores: int16[d] and exponent."""
    return quantize_row(second_vector(gradient, base, end))


def _downhill(uphill: Float32s) -> Float32s:
    """Where the gradient is not finite the model has diverged on the validation data, which then say nothing: zeros.

    Every auditor finds the same, the round can be proved like any other, and nobody is selected or paid by it.
    """
    return -uphill if np.isfinite(uphill).all() else np.zeros_like(uphill)
