"""The reference rows: rounding, and Simpson's rule on both halves of the step."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.reference import first_row, quantize_row, second_row, second_vector
from zk.encoding import LIMIT

FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=6)


def row_of(*values):
    return quantize_row(np.array(values, dtype=np.float32))


def test_the_scale_is_the_least_power_of_two_that_fits_and_the_rest_is_rounded():
    row, exponent = row_of(2.0, -4.0, 0.0, 1e-9, 2.5 * 2.0**-12)
    assert row.dtype == np.int16
    assert row.tolist() == [8192, -16384, 0, 0, 2]  # 2.5, to even
    assert exponent == -12


@settings(max_examples=400)
@given(FLOATS)
def test_no_entry_exceeds_the_limit_and_one_more_bit_would_not_fit(values):
    row, exponent = row_of(*values)
    exact = [Fraction(value) for value in np.array(values, np.float32).tolist()]
    if not any(exact):
        assert (row.tolist(), exponent) == ([0] * len(values), 0)
        return
    largest = max(map(abs, exact))
    assert largest / Fraction(2) ** exponent <= LIMIT < largest / Fraction(2) ** (exponent - 1)
    for value, entry in zip(exact, row.tolist(), strict=True):
        assert entry == round(value / Fraction(2) ** exponent)  # to even, as round does


@pytest.mark.parametrize(
    ("largest", "entry", "exponent"),
    [
        (2.0**-149, 2**14, -163),  # the least number above 0
        (2.0**-126, 2**14, -140),  # the least normal one
        (2.0**-126 - 2.0**-149, 2**14, -140),  # the largest denormal one, rounded up
        (1.0, 2**14, -14),
        (LIMIT * 2.0**-10, LIMIT, -10),
        (float(np.float32(LIMIT + 0.25)), 2**14, 1),  # would be rounded down to LIMIT, but exceeds it
        (2.0**15, 2**14, 1),
        (float(np.finfo(np.float32).max), 2**14, 114),
    ],
)
def test_rows_of_any_magnitude_keep_their_direction(largest, entry, exponent):
    row, found = row_of(largest, -largest, 0)
    assert (row.tolist(), found) == ([entry, -entry, 0], exponent)
    assert -(2**15) <= found < 2**15  # as the settlement states it


def test_a_zero_gradient_gives_a_zero_row():
    assert row_of(0, -0.0, 0, 0)[0].tolist() == [0, 0, 0, 0]
    assert row_of(0, -0.0, 0, 0)[1] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        quantize_row(np.array([1.0, value], dtype=np.float32))


def test_a_row_is_made_of_a_vector_of_float32():
    for wrong in (np.zeros(3), np.zeros((1, 3), np.float32), np.zeros(0, np.float32)):
        with pytest.raises(ValueError, match="float32"):
            quantize_row(wrong)


def test_the_first_row_points_downhill():
    row, _ = first_row(lambda p: p, np.array([1.0, -2.0], dtype=np.float32))
    assert row.tolist() == [-8192, 16384]


def test_the_second_row_times_the_step_is_the_loss_taken_away():
    # Exact for a loss of degree 4 along the step, up to rounding: Simpson integrates its cubic gradient exactly.
    def loss(p):
        return float((p.astype(np.float64) ** 4 / 4 + p.astype(np.float64) ** 2).sum())

    rng = np.random.default_rng(0)
    base = rng.standard_normal(1000).astype(np.float32)
    end = (base * np.float32(0.75)).astype(np.float32)
    row, exponent = second_row(lambda p: p**3 + 2 * p, base, end)
    gained = float(np.dot(row.astype(np.float64) * 2.0**exponent, (end - base).astype(np.float64)))
    assert gained == pytest.approx(loss(base) - loss(end), rel=1e-3)


def test_the_second_row_weighs_the_gradient_at_the_quarters_of_the_step():
    asked = []

    def gradient(p):
        asked.append((p.dtype, p.tolist()))
        return p**4

    u = second_vector(gradient, np.zeros(2, np.float32), np.ones(2, np.float32))
    assert asked == [(np.float32, [t, t]) for t in (0, 0.25, 0.5, 0.75, 1)]
    assert u == pytest.approx([-(4 * 0.25**4 + 2 * 0.5**4 + 4 * 0.75**4 + 1) / 12] * 2, rel=1e-6)
    assert u.dtype == np.float32


def test_where_the_gradient_is_not_finite_the_row_is_zero():
    for value in (np.nan, np.inf, -np.inf):
        assert first_row(lambda p, v=value: p * np.float32(v), np.ones(2, np.float32))[0].tolist() == [0, 0]
        row, exponent = second_row(lambda p, v=value: p * np.float32(v), np.ones(2, np.float32), np.ones(2, np.float32))
        assert (row.tolist(), exponent) == ([0, 0], 0)


@pytest.mark.parametrize("late", [1.25, 1.5, 1.75, 2.0])
def test_nor_where_it_is_not_finite_from_somewhere_on_the_step(late):
    row, exponent = second_row(
        lambda p: np.where(p >= late, np.float32(np.inf), p), np.ones(2, np.float32), np.full(2, 2, np.float32)
    )
    assert (row.tolist(), exponent) == ([0, 0], 0)
