"""When a stated reference row is what the validation data give."""

from math import ldexp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.reference import quantize_row
from aggregator.rows import EXPONENTS, LEAST_TOP, TOLERANCE, rows_agree
from zk.encoding import LIMIT

RNG = np.random.default_rng(2)
GRADIENT = RNG.standard_normal(5000).astype(np.float32)
LENGTH = float(np.linalg.norm(GRADIENT))
ACROSS = RNG.standard_normal(5000)
ACROSS -= ACROSS @ GRADIENT / LENGTH**2 * GRADIENT
ACROSS *= LENGTH / np.linalg.norm(ACROSS)  # as long as the gradient, and at right angles to it
ROW, EXPONENT = quantize_row(GRADIENT)
FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=6)


def beside(part, along=0.0):
    """The gradient moved by parts of its length."""
    return (GRADIENT * (1 + along) + part * ACROSS).astype(np.float32)


def agrees(vector, recomputed=GRADIENT, noise=0.0):
    """Whether the row of one vector agrees with another, as a second row does; a first row never disagrees where it
    does."""
    row, exponent = quantize_row(vector)
    found = rows_agree(row, exponent, recomputed, noise)
    assert rows_agree(row, None, recomputed, noise) or not found
    return found


@settings(max_examples=300)
@given(FLOATS)
def test_every_gradient_agrees_with_its_own_row(values):
    v = np.array(values, np.float32)
    row, exponent = quantize_row(v)
    assert exponent in EXPONENTS
    assert agrees(v, v)
    assert int(np.abs(row).max()) in (0, *range(LEAST_TOP, LIMIT + 1))


def test_rounding_adds_nothing_to_the_distance():
    """One large entry and a million small ones: rounding alone is 9 % of the length, and halves of a unit differ."""
    v = np.full(2**20 + 1, 1.5, np.float32)
    v[0] = LIMIT
    up, down = v.copy(), v.copy()
    up[1:], down[1:] = np.nextafter(np.float32(1.5), np.float32(2)), np.nextafter(np.float32(1.5), np.float32(1))
    rows = [quantize_row(w)[0].astype(np.float64) for w in (up, down)]
    assert np.linalg.norm(rows[0] - rows[1]) > 3 * TOLERANCE * np.linalg.norm(v.astype(np.float64))
    assert agrees(up, down)
    assert agrees(down, up)


def test_the_last_bit_of_the_largest_entry_may_change_the_exponent():
    below, above = (np.append(GRADIENT, np.float32(end)) for end in (LIMIT, np.nextafter(np.float32(LIMIT), np.inf)))
    assert (quantize_row(below)[1], quantize_row(above)[1]) == (0, 1)
    assert agrees(below, above)
    assert agrees(above, below)


@pytest.mark.parametrize("part", [1e-7, 1e-6, 0.5 * TOLERANCE, 0.99 * TOLERANCE])
def test_what_other_machines_compute_agrees(part):
    for vector in (beside(part), beside(-part), beside(0, part), beside(0, -part)):
        assert agrees(vector)
        assert agrees(GRADIENT, vector)


@pytest.mark.parametrize("part", [5e-4, 1e-3, 1e-2, 1])
def test_a_row_that_is_off_by_more_than_rounding_does_not(part):
    for vector in (beside(part), beside(-part), beside(0, part), beside(0, -part)):
        assert not agrees(vector)
        assert not agrees(GRADIENT, vector)


def test_the_tolerance_is_a_part_of_the_length():
    """Beyond the half unit of rounding, to either side, in units of the row."""
    v = np.array([LIMIT, 20.0], np.float32)
    edge = 0.5 + TOLERANCE * np.linalg.norm(v)
    for off, near in (
        (0, True),
        (0.99 * edge, True),
        (-0.99 * edge, True),
        (1.01 * edge, False),
        (-1.01 * edge, False),
    ):
        moved = np.array([LIMIT, 20 + off], np.float32)
        assert rows_agree(np.array([LIMIT, 20], np.int16), 0, moved) is near


def test_who_uses_up_the_tolerance_gains_no_more_than_rounding_and_the_tolerance():
    for noise in (0.0, 2 * LENGTH):
        for _ in range(20):
            row = ROW + RNG.integers(-1, 2, len(ROW)).astype(np.int16) * (RNG.random(len(ROW)) < RNG.random() / 50)
            off = np.linalg.norm(np.ldexp(row.astype(np.float64), EXPONENT) - GRADIENT)
            if rows_agree(row.astype(np.int16), EXPONENT, GRADIENT, noise):
                assert off <= TOLERANCE * max(LENGTH, noise) + ldexp(0.5, EXPONENT) * np.sqrt(len(ROW))


def test_a_cosine_of_0_999_is_not_enough():
    vector = beside(float(np.tan(np.arccos(0.999))))
    row, exponent = quantize_row(vector)
    for exponents in (None, *range(exponent - 2, exponent + 3)):
        assert not rows_agree(row, exponents, GRADIENT)


def test_a_scale_that_is_wrong_by_two_is_found():
    for wrong in (EXPONENT - 1, EXPONENT + 1, EXPONENT - 40, EXPONENT + 40, 0, 2**15 - 1, -(2**15)):
        assert not rows_agree(ROW, wrong, GRADIENT)
        assert not rows_agree(-ROW, wrong, GRADIENT)


def test_a_row_is_stated_with_its_own_scale_only():
    """The same vector with half of the numbers and twice the scale is near, but not canonical."""
    halved = np.rint(ROW / 2).astype(np.int16)
    assert int(np.abs(halved).max()) < LEAST_TOP
    assert not rows_agree(halved, EXPONENT + 1, GRADIENT)
    assert not rows_agree(halved, None, GRADIENT)
    assert not rows_agree(np.array([-(2**15), 0], np.int16), 0, np.array([-(2**15), 0], np.float32))


def test_only_the_direction_of_a_first_row_counts():
    for power in (-40, -1, 0, 1, 40):
        assert rows_agree(ROW, None, np.ldexp(GRADIENT, power))
    for lie in (-ROW, np.roll(ROW, 1), quantize_row(beside(0.02))[0]):
        assert not rows_agree(lie, None, GRADIENT)
        assert not rows_agree(lie, EXPONENT, GRADIENT)


def test_zero_agrees_with_zero_alone():
    zero, none = np.zeros_like(ROW), np.zeros_like(GRADIENT)
    for exponent in (0, None):
        assert rows_agree(zero, exponent, none)
        assert not rows_agree(zero, exponent, GRADIENT)
        assert not rows_agree(zero, exponent, np.ldexp(GRADIENT, -120))
        assert not rows_agree(ROW, exponent or EXPONENT, none)
    assert not rows_agree(zero, 5, none)  # the exponent of zeros is 0
    assert not rows_agree(ROW, -140, none)


def test_a_gradient_far_below_its_own_noise_says_nothing():
    small = np.ldexp(GRADIENT, -40)
    noise = ldexp(LENGTH, -40) / TOLERANCE * 1.01
    other = np.ldexp(np.roll(GRADIENT, 7), -60)
    assert agrees(other, small, noise)
    assert agrees(np.zeros_like(small), small, noise)
    assert agrees(small, np.zeros_like(small), noise)
    assert not agrees(other, small, noise / 1.1)
    assert not agrees(np.ldexp(other, 30), small, noise)  # what is large enough to pay is still found
    assert not agrees(GRADIENT, small, noise)


def test_noise_that_is_shorter_than_the_gradient_changes_nothing():
    assert not agrees(beside(0.02), noise=0.9 * LENGTH)
    assert agrees(beside(0.02), noise=0.02 / TOLERANCE * LENGTH)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(-LIMIT, LIMIT), st.integers(-LIMIT, LIMIT)), min_size=1, max_size=4),
    st.integers(-140, 100),
    st.integers(-2, 2),
)
def test_agreement_is_the_distance_beyond_rounding(pairs, exponent, shift):
    row, own = (np.array(entries, np.int16) for entries in zip(*pairs, strict=True))
    v = np.ldexp(own.astype(np.float32), exponent)
    off = [max(0.0, abs(ldexp(int(a), shift) - int(b)) - ldexp(0.5, shift)) for a, b in pairs]
    distance, length = sum(x * x for x in off), sum(int(b) ** 2 for b in own)
    canonical = int(np.abs(row).max()) >= LEAST_TOP
    expected = canonical and distance <= TOLERANCE**2 * length
    if row.any() and distance != TOLERANCE**2 * length:
        assert rows_agree(row, exponent + shift, v) is expected


def test_other_arrays_are_refused():
    for row, vector in (
        (ROW.astype(np.int32), GRADIENT),
        (ROW, GRADIENT.astype(np.float64)),
        (ROW[1:], GRADIENT),
        (ROW.reshape(2, -1), GRADIENT.reshape(2, -1)),
    ):
        with pytest.raises(ValueError, match="compared"):
            rows_agree(row, 0, vector)
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite"):
            rows_agree(ROW, 0, np.append(GRADIENT[1:], np.float32(value)))
        with pytest.raises(ValueError, match="finite"):
            rows_agree(ROW, 0, GRADIENT, value)
