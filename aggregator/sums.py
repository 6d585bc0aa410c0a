"""The round's sum, exact, the model after it, and where the next round starts, with the same bits on every machine."""

from collections.abc import Sequence

import numpy as np

from aggregator.gram import Rows, length
from zk.encoding import LIMIT, ONE, Float32s, Int64s

_CHUNK = 2**18


def bound(coefficients: Sequence[int]) -> int:
    """The largest absolute value that an entry of the sum with these coefficients can have."""
    return sum(coefficients) * LIMIT


def weighted_sum(rows: Rows, coefficients: Sequence[int]) -> Int64s:
    """Σ c_i · w_i as int64[d], exact: with 0 ≤ c_i ≤ ONE every entry stays within n · 2^27.

    rows: by slot, int16[d] or None; coefficients: by slot, 0 for a row that is None. Needs 8·d bytes besides the rows.
    Raises ValueError for rows or coefficients of another kind, or if no row is there.
    """
    d = length(rows)
    if len(coefficients) != len(rows):
        raise ValueError(f"{len(coefficients)} coefficients were given for {len(rows)} rows")
    if d == 0:
        raise ValueError("there is no row to add up")
    total: Int64s = np.zeros(d, dtype=np.int64)
    for slot, (row, coefficient) in enumerate(zip(rows, coefficients, strict=True)):
        if not 0 <= coefficient <= ONE or (row is None and coefficient):
            raise ValueError(f"coefficient {coefficient} of slot {slot} is not in 0 … {ONE}, or its row is missing")
        if row is None or coefficient == 0:
            continue
        for start in range(0, d, _CHUNK):
            part = slice(start, start + _CHUNK)
            total[part] += row[part] * np.int64(coefficient)
    return total


def next_model(base: Float32s, total: Int64s, *, rate: float, scale: float, unit: int, selected: int) -> Float32s:
    """The model after a round: base + rate · scale · total / (unit · selected), as float32[d].

    base: float32[d], the model before; total: int64[d], the sum; rate: the server's learning rate; scale: the value of
    one integer step of an update; unit: UNIT of the pay rule; selected: how many updates are in the sum.

    The factor is computed in float64 and rounded to float32 once; the sum is rounded to float32; then one product and
    one addition, each rounded to nearest even on its own (no fused multiply-add). Without a selected update the model
    stays as it is. Raises ValueError for other dtypes or lengths, factors that are not positive, and for a result that
    is not finite.
    """
    if base.dtype != np.float32 or total.dtype != np.int64:
        raise ValueError(f"float32 parameters and an int64 sum are required, not {base.dtype} and {total.dtype}")
    if base.ndim != 1 or base.shape != total.shape:
        raise ValueError(f"{list(base.shape)} parameters and a sum of {list(total.shape)} do not go together")
    if selected == 0:
        if total.any():
            raise ValueError("the sum of no update is not zero")
        step = base.copy()
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            factor = np.float32(rate * scale / (unit * selected))
            if not (np.isfinite(factor) and factor > 0):
                raise ValueError(f"rate {rate}, scale {scale}, unit {unit}, {selected} selected: no positive factor")
            step = total.astype(np.float32)
            step *= factor
            step += base
    if not np.isfinite(step).all():
        raise ValueError("the next model has a parameter that is not a finite number")
    return step


def look_ahead(before: Float32s, after: Float32s, momentum: float) -> Float32s:
    """Where the next round starts from: after + momentum · (after − before), as float32[d].

    before, after: float32[d], the models on both sides of the last round. Nesterov's momentum in the form in which
    gradients are taken where the step begins (Sutskever et al. 2013, section 2; DiLoCo, arXiv:2311.08105, has it as its
    outer optimizer). momentum is rounded to float32; a difference, a product and an addition, each rounded to nearest
    even on its own. Raises ValueError for a result that is not finite.
    """
    if momentum == 0:
        return after
    with np.errstate(over="ignore", invalid="ignore"):
        start = after - before
        start *= np.float32(momentum)
        start += after
    if not np.isfinite(start).all():
        raise ValueError("where the next round would start has a parameter that is not a finite number")
    return start
