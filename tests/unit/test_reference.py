"""The reference rows: rounding, Simpson's rule along the step, and when two of them agree."""

import numpy as np
import pytest

from aggregator.gram import products
from aggregator.reference import agrees, first_row, quantize_row, second_row
from zk.encoding import LIMIT


def test_the_largest_entry_uses_the_whole_range_and_the_rest_is_rounded():
    row, scale = quantize_row(np.array([2.0, -4.0, 0.0, 1e-9], dtype=np.float32))
    assert row.dtype == np.int16
    assert row.tolist() == [16384, -LIMIT, 0, 0]  # 16383.5, to even
    assert scale == 4.0 / LIMIT


@pytest.mark.parametrize("largest", [1e-45, 1e-38, 1.0, 3e38])
def test_rows_of_any_magnitude_keep_their_direction(largest):
    row, scale = quantize_row(np.array([largest, -largest, 0], dtype=np.float32))
    assert row.tolist() == [LIMIT, -LIMIT, 0]
    assert scale > 0


def test_a_zero_gradient_gives_a_zero_row():
    row, scale = quantize_row(np.zeros(4, dtype=np.float32))
    assert row.tolist() == [0, 0, 0, 0]
    assert scale == 1.0


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
    assert row.tolist() == [-16384, LIMIT]


def test_the_second_row_times_the_step_is_the_loss_taken_away():
    # Exact for a loss of degree 4 along the step, up to rounding: Simpson integrates its cubic gradient exactly.
    def loss(p):
        return float((p.astype(np.float64) ** 4 / 4 + p.astype(np.float64) ** 2).sum())

    rng = np.random.default_rng(0)
    base = rng.standard_normal(1000).astype(np.float32)
    end = (base * np.float32(0.75)).astype(np.float32)
    row, scale = second_row(lambda p: p**3 + 2 * p, base, end)
    gained = float(np.dot(row.astype(np.float64) * scale, (end - base).astype(np.float64)))
    assert gained == pytest.approx(loss(base) - loss(end), rel=1e-3)


def test_the_gradient_is_asked_for_at_the_start_the_middle_and_the_end_in_float32():
    asked = []

    def gradient(p):
        asked.append((p.dtype, p.tolist()))
        return np.ones_like(p)

    row, _ = second_row(gradient, np.zeros(2, np.float32), np.ones(2, np.float32))
    assert asked == [(np.float32, [0, 0]), (np.float32, [0.5, 0.5]), (np.float32, [1, 1])]
    assert row.tolist() == [-LIMIT, -LIMIT]


def test_rows_agree_with_a_recomputation_on_another_machine():
    rng = np.random.default_rng(2)
    v = rng.standard_normal(5000).astype(np.float32)
    row, _ = quantize_row(v)
    again, _ = quantize_row(v * np.float32(3) + rng.standard_normal(5000).astype(np.float32) * np.float32(0.03))
    assert agrees(row, again)


def test_rows_that_a_liar_made_up_do_not_agree():
    rng = np.random.default_rng(3)
    v = rng.standard_normal(5000).astype(np.float32)
    row, _ = quantize_row(v)
    biased, _ = quantize_row(v + np.float32(0.1) * rng.standard_normal(5000).astype(np.float32))
    for lie in (biased, -row, np.zeros_like(row), np.roll(row, 1)):
        assert not agrees(row, lie)
        assert not agrees(lie, row)


def test_the_threshold_is_a_cosine_of_0_999():
    axis = np.array([1, 0], np.int16)
    # 999² + 44.71…² = 1000²: the entry beside it decides.
    assert agrees(np.array([9990, 447], np.int16), axis)
    assert not agrees(np.array([9990, 448], np.int16), axis)


def test_two_zero_rows_agree():
    zero = np.zeros(3, np.int16)
    assert agrees(zero, zero)
    assert products([zero], zero) == [0]
