"""Points: what rounds add to balances, and how a pot is divided, against exact fractions."""

import random
from fractions import Fraction
from itertools import permutations
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.points import (
    DECAY_BITS,
    LOSS_BITS,
    MOST,
    RATE_BITS,
    ROUND,
    divide,
    loss_units,
    rate_after,
    rate_at,
    shares,
)
from aggregator.rules import reference
from zk.encoding import LIMIT, ONE

SCORES = st.integers(-(2**95), 2**95 - 1)
RATES = st.integers(1, 100 << RATE_BITS)
EXPONENTS = st.one_of(st.integers(-210, 130), st.integers(-(2**15) - 40, 2**15 - 1))
SELECTED = st.integers(1, 32)


def loss(score: int, rate: int, exponent: int, selected: int) -> Fraction:
    """The validation loss that the score stands for, exactly."""
    return Fraction(score, ONE * selected) * Fraction(rate, 2**RATE_BITS) * Fraction(2) ** exponent


# ---------------------------------------------------------------- loss units


@settings(max_examples=500)
@given(SCORES, RATES, EXPONENTS, SELECTED)
def test_loss_units_are_the_loss_rounded_down_and_cut_off(score: int, rate: int, exponent: int, selected: int) -> None:
    units = loss_units(score, rate=rate, exponent=exponent, selected=selected)
    if abs(exponent) > 2**12:  # fractions of such exponents take long: far beyond all bounds
        assert units == (0 if score == 0 else (MOST if score > 0 else -MOST) if exponent > 0 else min(0, score) and -1)
        return
    exact = floor(loss(score, rate, exponent, selected) * 2**LOSS_BITS)
    assert units == max(-MOST, min(MOST, exact))


def test_negative_units_are_rounded_down_too() -> None:
    # rate 1, and 2^-48 · 1/ONE: one unit of a score is exactly one of loss.
    one = {"rate": 2**RATE_BITS, "exponent": 12 - LOSS_BITS}
    assert [loss_units(score, **one, selected=1) for score in (7, -7)] == [7, -7]
    assert [loss_units(score, **one, selected=2) for score in (7, -7, 1, -1)] == [3, -4, 0, -1]
    half = one | {"exponent": 11 - LOSS_BITS}
    assert [loss_units(score, **half, selected=3) for score in (5, -5, 6, -6)] == [0, -1, 1, -1]


@pytest.mark.parametrize("exponent", [36, 96, 97, 200, 2**15 - 1])
@pytest.mark.parametrize("selected", [1, 32])
def test_what_is_too_much_is_cut_off_and_zero_stays_zero(exponent: int, selected: int) -> None:
    units = [
        loss_units(score, rate=2**RATE_BITS, exponent=exponent, selected=selected) for score in (2**95 - 1, 0, -(2**95))
    ]
    assert units == [MOST, 0, -MOST]


def test_the_smallest_and_the_largest_exponents_change_nothing_else() -> None:
    least = {"rate": 1, "exponent": -(2**15) - 40, "selected": 32}
    assert [loss_units(score, **least) for score in (2**95 - 1, 0, -1, -(2**95))] == [0, 0, -1, -1]
    most = {"rate": 100 << RATE_BITS, "exponent": 2**15 - 1, "selected": 1}
    assert [loss_units(score, **most) for score in (1, 0, -1)] == [MOST, 0, -MOST]


def test_a_thousand_rounds_of_the_most_stay_within_96_bits() -> None:
    assert 1000 * MOST < 2**95
    assert 1000 * ROUND < 2**95
    # Sums over 32 members, and times their rounds, as the contract keeps them: 128 bits each.
    assert 32 * 1000 * MOST * 1000 < 2**128


ROUNDS = st.lists(st.tuples(SCORES, RATES, st.integers(-120, 40), SELECTED), min_size=1, max_size=4)


@given(ROUNDS)
def test_the_order_of_rounds_changes_no_balance(rounds: list[tuple[int, int, int, int]]) -> None:
    gains = [loss_units(score, rate=rate, exponent=at, selected=n) for score, rate, at, n in rounds]
    assert {sum(order) for order in permutations(gains)} == {sum(gains)}


@settings(max_examples=200)
@given(st.data())
def test_splitting_an_update_below_the_median_norm_changes_what_it_brings_by_rounding_only(data: st.DataObject) -> None:
    """The parts of an update, sent from several seats, together bring what the whole would have.

    That is so of one step: each slot's part of it is linear in what it sent, as long as no norm is beyond the median.
    """
    entry = st.integers(-50, 50)
    mine = data.draw(st.lists(entry, min_size=4, max_size=4))
    parts = data.draw(st.integers(2, 5))
    cuts = [data.draw(st.lists(entry, min_size=4, max_size=4)) for _ in range(parts - 1)]
    cuts.append([whole - sum(cut[k] for cut in cuts) for k, whole in enumerate(mine)])
    u = data.draw(st.lists(st.integers(-LIMIT, LIMIT), min_size=4, max_size=4))

    def score(row: list[int]) -> int:
        # Alone in its round, so that its norm is the median; opposite to nothing, so that it is selected.
        along = sum(a * b for a, b in zip(row, u, strict=True))
        norm = sum(a * a for a in row)
        decision = reference([[norm]], [True], [1], 1, [along])
        return decision.scores[0]

    at = {"rate": data.draw(RATES), "exponent": data.draw(st.integers(-60, -20)), "selected": data.draw(SELECTED)}
    whole = loss_units(score(mine), **at)
    split = [loss_units(score(cut), **at) for cut in cuts]
    assert 0 <= whole - sum(split) < parts


# ---------------------------------------------------------------- rule krum-cosine


@given(st.lists(st.integers(0, 2**95 - 1), max_size=32))
def test_a_round_of_krum_cosine_brings_one_total_in_proportion(scores: list[int]) -> None:
    found, total = shares(scores), sum(scores)
    assert len(found) == len(scores)
    if total == 0:
        assert not any(found)
        return
    assert ROUND - len(scores) < sum(found) <= ROUND
    assert found == [floor(Fraction(ROUND * score, total)) for score in scores]


def test_nobody_gains_where_nobody_scored() -> None:
    assert shares([]) == []
    assert shares([0, 0]) == [0, 0]
    assert shares([0, 7]) == [0, ROUND]


# ---------------------------------------------------------------- the pot

MEMBERS = st.lists(st.tuples(st.integers(-(2**94), 2**94), st.integers(0, 1000)), max_size=32)
POTS = st.integers(0, 2**128 - 1)


@settings(max_examples=300)
@given(POTS, MEMBERS)
def test_a_pot_is_divided_by_points_and_never_beyond_itself(pot: int, members: list[tuple[int, int]]) -> None:
    balances, opened = [balance for balance, _ in members], [rounds for _, rounds in members]
    parts = divide(pot, balances, opened)
    points = [max(0, balance) * rounds for balance, rounds in members]
    by = points if any(points) else opened
    assert len(parts) == len(members)
    assert all(part >= 0 for part in parts)
    assert parts == [floor(Fraction(pot * part, sum(by))) if any(by) else 0 for part in by]
    rest = pot - sum(parts)
    assert rest == pot if not any(by) else 0 <= rest < max(1, sum(part > 0 for part in by))


def test_pots_that_can_be_divided_by_hand() -> None:
    assert divide(100, [3, -2, 1], [10, 10, 5]) == [85, 0, 14]
    assert divide(100, [0, -2], [3, 1]) == [75, 25]  # nobody has points: by rounds opened
    assert divide(100, [5, -2], [0, 1]) == [0, 100]  # no round opened, so no points either
    assert divide(100, [5, -2], [0, 0]) == [0, 0]
    assert divide(100, [], []) == []
    assert divide(0, [1], [1]) == [0]
    with pytest.raises(ValueError, match="zip"):
        divide(1, [1, 2], [1])


@given(POTS, MEMBERS, st.randoms(use_true_random=False))
def test_the_order_of_members_changes_nothing(
    pot: int, members: list[tuple[int, int]], shuffled: random.Random
) -> None:
    order = list(range(len(members)))
    shuffled.shuffle(order)
    parts = divide(pot, [balance for balance, _ in members], [rounds for _, rounds in members])
    mixed = divide(pot, [members[i][0] for i in order], [members[i][1] for i in order])
    assert mixed == [parts[i] for i in order]


# ---------------------------------------------------------------- the server's rate


@given(RATES, st.integers(1, 2**DECAY_BITS), st.integers(1, 40))
def test_the_rate_is_the_product_rounded_down_in_each_round(first: int, decay: int, round_: int) -> None:
    expected = [first]
    for _ in range(round_ - 1):
        expected.append(floor(Fraction(expected[-1] * decay, 2**DECAY_BITS)))
    assert [rate_at(first, decay, number) for number in range(1, round_ + 1)] == expected
    assert rate_after(expected[-1], decay) == rate_at(first, decay, round_ + 1)
    exact = Fraction(first) * Fraction(decay, 2**DECAY_BITS) ** (round_ - 1)
    assert 0 <= exact - expected[-1] < round_  # each round loses less than one unit


def test_a_rate_without_decay_stays_and_one_that_falls_reaches_zero() -> None:
    assert rate_at(7, 2**DECAY_BITS, 1000) == 7
    assert [rate_at(8, 2 ** (DECAY_BITS - 1), number) for number in range(1, 6)] == [8, 4, 2, 1, 0]
    assert rate_at(100 << RATE_BITS, 1, 2) == (100 << RATE_BITS) >> DECAY_BITS
