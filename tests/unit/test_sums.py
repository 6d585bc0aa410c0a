"""The sum is exact; the model after it has the same bits everywhere."""

import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.sums import bound, look_ahead, next_model, weighted_sum
from zk.encoding import LIMIT, ONE

ENTRIES = st.lists(st.integers(-LIMIT, LIMIT), min_size=3, max_size=3)


def to_float32(value: Fraction) -> float:
    """The float32 nearest to an exact number, ties to even: an oracle without floating-point arithmetic."""
    if value == 0:
        return 0.0
    sign, value = (-1 if value < 0 else 1), abs(value)
    exponent = -149
    while value >= Fraction(2) ** (exponent + 24):
        exponent += 1
    units = value / Fraction(2) ** exponent
    whole = int(units)
    rest = units - whole
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2):
        whole += 1
    return sign * float(whole * Fraction(2) ** exponent)


@given(st.lists(st.tuples(ENTRIES, st.integers(0, ONE)), min_size=1, max_size=6))
def test_it_equals_the_sum_of_integers(members):
    rows = [np.array(row, dtype=np.int16) for row, _ in members]
    coefficients = [c for _, c in members]
    total = weighted_sum(rows, coefficients)
    assert total.tolist() == [sum(c * row[k] for row, c in members) for k in range(3)]
    assert all(abs(entry) <= bound(coefficients) for entry in total.tolist())


def test_the_largest_sum_stays_exact():
    rows = [np.full(2**18 + 3, -LIMIT, np.int16)] * 32
    total = weighted_sum(rows, [ONE] * 32)
    assert set(total.tolist()) == {-32 * ONE * LIMIT} == {-bound([ONE] * 32)}


def test_slots_without_a_row_add_nothing():
    row = np.array([5, -6], dtype=np.int16)
    assert weighted_sum([None, row, None], [0, 2, 0]).tolist() == [10, -12]


@pytest.mark.parametrize(
    ("rows", "coefficients"),
    [
        ([np.ones(2, np.int16)], [1, 1]),
        ([np.ones(2, np.int16), None], [1, 1]),
        ([np.ones(2, np.int16)], [-1]),
        ([np.ones(2, np.int16)], [ONE + 1]),
        ([np.ones(2, np.int16), np.ones(3, np.int16)], [1, 1]),
        ([None], [0]),
        ([], []),
    ],
)
def test_sums_that_make_no_sense_are_refused(rows, coefficients):
    with pytest.raises(ValueError, match=r"row|coefficient"):
        weighted_sum(rows, coefficients)


@given(
    base=st.floats(-100, 100, width=32),
    total=st.integers(-(2**33), 2**33),
    rate=st.floats(0.01, 4.0),
    scale=st.sampled_from([2.0**-15, 2.0**-12, 1e-5]),
    unit=st.sampled_from([1, ONE]),
    selected=st.integers(1, 32),
)
def test_the_next_model_has_the_bits_of_the_written_formula(base, total, rate, scale, unit, selected):
    # The factor is float64 arithmetic by definition; from there on every rounding is done by the oracle.
    factor = to_float32(Fraction(rate * scale / (unit * selected)))
    product = to_float32(Fraction(factor) * Fraction(to_float32(Fraction(total))))
    expected = to_float32(Fraction(base) + Fraction(product))
    after = next_model(
        np.array([base], np.float32),
        np.array([total], np.int64),
        rate=rate,
        scale=scale,
        unit=unit,
        selected=selected,
    )
    assert after.dtype == np.float32
    assert float(after[0]) == expected


def test_a_fused_multiply_add_would_have_given_other_bits():
    base, factor, total = np.float32(-1), np.float32(1 + 2**-12), 2**24 + 2**12
    fused = to_float32(Fraction(float(factor)) * total * Fraction(1, 2**24) + Fraction(float(base)))
    after = next_model(
        np.array([base]), np.array([total], np.int64), rate=float(factor), scale=2.0**-24, unit=1, selected=1
    )
    assert struct.pack("<f", after[0]) != struct.pack("<f", fused)


def test_without_a_selected_update_the_model_keeps_its_bits():
    base = np.array([1.5, -0.0, 1e-45], dtype=np.float32)
    after = next_model(base, np.zeros(3, np.int64), rate=1.0, scale=1.0, unit=1, selected=0)
    assert after.tobytes() == base.tobytes()
    assert after is not base
    with pytest.raises(ValueError, match="no update"):
        next_model(base, np.ones(3, np.int64), rate=1.0, scale=1.0, unit=1, selected=0)


def test_the_arguments_are_left_as_they_were():
    base, total = np.ones(2, np.float32), np.ones(2, np.int64)
    next_model(base, total, rate=1.0, scale=1.0, unit=1, selected=1)
    assert (base.tolist(), total.tolist()) == ([1, 1], [1, 1])


@given(
    before=st.floats(-(2**20), 2**20, width=32),
    after=st.floats(-(2**20), 2**20, width=32),
    momentum=st.floats(0.0, 0.95),
)
def test_where_the_next_round_starts_has_the_bits_of_the_written_formula(before, after, momentum):
    change = to_float32(Fraction(after) - Fraction(before))
    ahead = to_float32(Fraction(change) * Fraction(to_float32(Fraction(momentum))))
    start = look_ahead(np.array([before], np.float32), np.array([after], np.float32), momentum)
    assert start.dtype == np.float32
    assert float(start[0]) == (to_float32(Fraction(after) + Fraction(ahead)) if momentum else after)


def test_a_start_that_is_not_finite_is_refused_and_arguments_are_left_as_they_were():
    before, after = np.array([-3e38, 0], np.float32), np.array([3e38, 0], np.float32)
    with pytest.raises(ValueError, match="not a finite number"):
        look_ahead(before, after, 0.9)
    assert (before.tolist(), after.tolist()) == ([np.float32(-3e38), 0], [np.float32(3e38), 0])


GOOD = {"rate": 1.0, "scale": 1.0, "unit": 1, "selected": 1}


@pytest.mark.parametrize(
    ("base", "total", "settings"),
    [
        (np.array([np.nan], np.float32), np.zeros(1, np.int64), {}),
        (np.array([np.inf], np.float32), np.zeros(1, np.int64), {"selected": 0}),
        (np.array([3e38], np.float32), np.array([2**40]), {"rate": 1e30}),
        (np.zeros(1, np.float32), np.array([2**40]), {"rate": 1e300}),
        (np.zeros(1, np.float32), np.zeros(1, np.int64), {"rate": float("nan")}),
        (np.zeros(1, np.float32), np.zeros(1, np.int64), {"rate": -1.0}),
        (np.zeros(1, np.float32), np.zeros(1, np.int64), {"scale": 1e-300}),
        (np.zeros(1, np.float64), np.zeros(1, np.int64), {}),
        (np.zeros(1, np.float32), np.zeros(1, np.int32), {}),
        (np.zeros(2, np.float32), np.zeros(1, np.int64), {}),
        (np.zeros((1, 1), np.float32), np.zeros((1, 1), np.int64), {}),
    ],
)
def test_a_model_that_cannot_be_is_refused(base, total, settings):
    with pytest.raises(ValueError, match=r"finite|factor|required|together"):
        next_model(base, total, **{**GOOD, **settings})
