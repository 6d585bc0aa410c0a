"""contracts/libraries/Balances.sol against exact integers: what rounds add up to, and how a pot is divided by it."""

from fractions import Fraction
from itertools import permutations
from random import Random

import pytest
from brownie import BalancesHarness, accounts
from hypothesis import given, settings
from hypothesis import strategies as st
from model import divided, loss_units, shares
from world import KRUM_COSINE, MOST, NOTHING, REFERENCE, ROUND, SETTLEMENT, mask

SEEDED = {"derandomize": True, "database": None, "deadline": None}
LEAST, GREATEST = -(2**95), 2**95 - 1  # of a score
LARGEST_RATE = 2**64 - 1
SENDER = {"from": 0}


@pytest.fixture(scope="module")
def harness(module_isolation):
    SENDER["from"] = accounts[0]
    return BalancesHarness.deploy(SENDER)


@pytest.fixture
def fresh(harness, fn_isolation):
    return harness


def units_of(harness, cases):
    return list(harness.lossUnits(cases))


# ------------------------------------------------------------------ one score of rule reference

SCORES = st.one_of(
    st.sampled_from([0, 1, -1, 31, -31, 33, -33, LEAST, LEAST + 1, GREATEST, GREATEST - 1]),
    st.integers(LEAST, GREATEST),
    st.integers(-(10**6), 10**6),
)
RATES = st.one_of(st.sampled_from([0, 1, 2**40, 100 * 2**40, LARGEST_RATE]), st.integers(0, LARGEST_RATE))
EXPONENTS = st.one_of(
    st.integers(-120, 120),
    st.integers(-280, 280),
    st.sampled_from([-(2**16), 2**16 - 2, -264, -263, -262, -9, -8, -7, 87, 88, 89]),
)
CASES = st.tuples(SCORES, RATES, EXPONENTS, st.integers(1, 32))


@given(cases=st.lists(CASES, min_size=100, max_size=100))
@settings(max_examples=10, **SEEDED)
def test_a_score_is_brought_to_loss_units_exactly(harness, cases):
    assert units_of(harness, cases) == [loss_units(*case) for case in cases]


def test_at_every_exponent_the_extremes_are_exact_and_none_overflows(harness):
    for exponent in (*range(-275, -240), *range(-110, 120), -(2**16), 2**16 - 2):
        cases = [
            (score, rate, exponent, chosen)
            for score in (LEAST, -3, -1, 0, 1, 3, GREATEST)
            for rate in (0, 1, 2**40, LARGEST_RATE)
            for chosen in (1, 2, 3, 31, 32)
        ]
        assert units_of(harness, cases) == [loss_units(*case) for case in cases], exponent


def test_a_loss_is_rounded_down_below_zero_too(harness):
    cases = [(score, 1, -8, 3) for score in (-4, -3, -2, -1, 0, 1, 2, 3)]
    assert units_of(harness, cases) == [-2, -1, -1, -1, 0, 0, 0, 1]
    halves = [(score, 1, -9, 1) for score in (-3, -2, -1, 1, 3)]
    assert units_of(harness, halves) == [-2, -1, -1, 0, 1]
    assert units_of(harness, [(-1, 1, -(2**16), 32), (1, 1, -(2**16), 32)]) == [-1, 0]  # far beyond all bits


def test_a_round_adds_and_takes_no_more_than_its_bound_and_below_it_nothing_is_cut(harness):
    edge = 76  # 2^84 · 2^-8
    for chosen in (1, 32):
        exponent = edge + chosen.bit_length() - 1
        around = [(1, 1), (2, 1), (-1, 1), (-2, 1)]
        cases = [(score, rate, exponent, chosen) for score, rate in around]
        assert units_of(harness, cases) == [MOST, MOST, -MOST, -MOST]
        below = [(score, 1, exponent - 40, chosen) for score in (2**40 - 1, 2**40, 2**40 + 1, 1 - 2**40, -(2**40) - 1)]
        assert units_of(harness, below) == [MOST - 2**44, MOST, MOST, 2**44 - MOST, -MOST]


def test_beyond_what_can_be_shifted_all_but_nothing_is_cut_off(harness):
    cases = [(score, rate, 89, 32) for score, rate in ((1, 1), (-1, 1), (0, LARGEST_RATE), (LEAST, 0))]
    assert units_of(harness, cases) == [MOST, -MOST, 0, 0]


# ------------------------------------------------------------------ rounds of a job


def stated(selected, scores, row_exponent=0):
    fields = {**NOTHING, "unopened": 0, "selected": mask(*selected), "scores": scores, "rowExponent": row_exponent}
    return tuple(fields[name] for name in SETTLEMENT)


class Played:
    """Rounds that were kept as they were: (opened, selected, scores, exponent of the row)."""

    def __init__(self, rule, rate, scale, members, rounds, gone=()):
        self.rule, self.rate, self.scale, self.members = rule, rate, scale, sorted(members)
        self.rounds = rounds
        self.gone = dict(gone)  # after how many rounds a member left

    def there(self, slot, at):
        return at < self.gone.get(slot, len(self.rounds))

    def brought(self, slot):
        total = 0
        for _, selected, scores, row in self.rounds:
            if slot not in selected:
                continue
            at = sorted(selected).index(slot)
            if self.rule == REFERENCE:
                total += loss_units(scores[at], self.rate, self.scale + row, len(selected))
            else:
                total += shares(scores)[at]
        return total

    def opened(self, slot):
        return sum(slot in opened for opened, *_ in self.rounds)

    def result(self, pot):
        balances = [self.brought(slot) for slot in self.members]
        pays = divided(pot, balances, [self.opened(slot) for slot in self.members])
        return dict(zip(self.members, balances, strict=True)), dict(zip(self.members, pays, strict=True))

    def on_chain(self, harness, pot):
        harness.begin(self.rule, self.rate, self.scale, mask(*self.members), SENDER)
        for at, (opened, selected, scores, row) in enumerate(self.rounds):
            self.leave(harness, at)
            harness.settle(mask(*opened), stated(selected, scores, row), SENDER)
        self.leave(harness, len(self.rounds))
        harness.end(pot, SENDER)
        balances, pays = harness.result()
        return {slot: balances[slot] for slot in self.members}, {slot: pays[slot] for slot in self.members}

    def leave(self, harness, at):
        leaving = [slot for slot, after in self.gone.items() if after == at]
        if leaving:
            harness.retire(mask(*leaving), SENDER)


def random_life(chance, rule):
    """Up to eight rounds of up to 32 members, some of whom leave; scores and exponents of all sizes."""
    members = chance.sample(range(32), chance.choice((1, 2, 3, 5, 8, 32)))
    count = chance.randrange(1, 9)
    gone = {slot: chance.randrange(count + 1) for slot in members if chance.random() < 0.25}
    rounds = []
    for at in range(count):
        there = [slot for slot in members if gone.get(slot, count) > at]
        opened = {slot for slot in there if chance.random() < 0.8}
        selected = {slot for slot in opened if chance.random() < 0.8}
        size = chance.choice((3, 40, 95))
        low = -(2**size) if rule == REFERENCE else 0
        scores = [chance.choice((chance.randrange(low, 2**size), 0)) for _ in selected]
        rounds.append((opened, selected, scores, chance.choice((0, -30, 20, 60, -(2**15), 2**15 - 1))))
    rate = chance.choice((1, 2**40, 100 * 2**40, LARGEST_RATE))
    return Played(rule, rate, chance.choice((-40, -15, 0)), members, rounds, gone)


POTS = (0, 1, 7, 10**18 + 7, 2**128 - 1)


@pytest.mark.parametrize("rule", [KRUM_COSINE, REFERENCE])
@pytest.mark.parametrize("seed", range(12))
def test_balances_rounds_opened_and_pay_are_those_of_the_rounds_added_up(fresh, rule, seed):
    chance = Random(seed)
    played, pot = random_life(chance, rule), POTS[seed % len(POTS)]
    balances, pays = played.on_chain(fresh, pot)
    assert (balances, pays) == played.result(pot)
    assert 0 <= pot - sum(pays.values()) < len(pays) or not any(map(played.opened, played.members))
    for slot in played.members:
        record = fresh.trainer(slot)
        there = [at for at in range(len(played.rounds)) if played.there(slot, at)]
        assert record["absences"] == sum(slot not in played.rounds[at][0] for at in there)


@pytest.mark.parametrize("rule", [KRUM_COSINE, REFERENCE])
@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_the_rounds_changes_nothing(harness, rule, seed):
    """At one rate; who leaves would be in other rounds, so that nobody does."""
    chance = Random(100 + seed)
    played = random_life(chance, rule)
    played.gone, played.rounds = {}, played.rounds[:4]
    orders = list(permutations(played.rounds))
    results = []
    for order in [orders[0], orders[-1], *chance.sample(orders, min(3, len(orders)))]:
        deployed = BalancesHarness.deploy(SENDER)
        played.rounds = list(order)
        results.append(played.on_chain(deployed, 10**18 + 7))
    assert all(result == results[0] for result in results)
    assert results[0] == played.result(10**18 + 7)


@given(scores=st.lists(st.integers(0, GREATEST), min_size=1, max_size=32), small=st.integers(1, 96))
@settings(max_examples=20, **SEEDED)
def test_a_round_of_krum_cosine_is_shared_in_units_of_one_total(harness, scores, small):
    scores = [score >> small - 1 for score in scores]
    deployed = BalancesHarness.deploy(SENDER)
    slots = range(len(scores))
    deployed.begin(KRUM_COSINE, 1, 0, mask(*slots), SENDER)
    deployed.settle(mask(*slots), stated(slots, scores), SENDER)
    balances = list(deployed.result()[0])[: len(scores)]
    total = sum(scores)
    assert balances == [int(Fraction(score * ROUND, total)) if total else 0 for score in scores]
    assert ROUND - len(scores) < sum(balances) <= ROUND or not total


def test_under_krum_cosine_neither_rate_nor_exponent_counts_and_a_score_below_zero_is_none(fresh):
    fresh.begin(KRUM_COSINE, LARGEST_RATE, -40, mask(0, 1, 2), SENDER)
    fresh.settle(mask(0, 1, 2), stated((0, 1, 2), [1, 3, -5]), SENDER)
    assert list(fresh.result()[0])[:3] == [ROUND // 4, 3 * ROUND // 4, 0]


# ------------------------------------------------------------------ the largest job

ALL_32 = 2**32 - 1


def repeated(harness, times, scores, opened=ALL_32, selected=range(32)):
    for _ in range(times // 100):
        harness.repeat(100, opened, stated(selected, scores, 2**15 - 1), {**SENDER, "gas_limit": 30_000_000})


@pytest.mark.parametrize("absent", [False, True])
def test_a_thousand_rounds_of_the_most_for_32_trainers_overflow_nothing(fresh, absent):
    """With one trainer that is absent in half of them, so that both sums are as large as they get."""
    fresh.begin(REFERENCE, LARGEST_RATE, 0, ALL_32, SENDER)
    repeated(fresh, 500, [GREATEST] * 32)
    late = range(31 if absent else 32)
    repeated(fresh, 500, [GREATEST] * len(late), mask(*late), late)
    if absent:
        fresh.retire(mask(0, 30), SENDER)
    fresh.end(2**128 - 1, SENDER)
    balances, pays = fresh.result()
    expected = [1000 * MOST] * 31 + [500 * MOST if absent else 1000 * MOST]
    opened = [1000] * 31 + [500 if absent else 1000]
    assert list(balances) == expected
    assert list(pays) == divided(2**128 - 1, expected, opened)
    held = fresh.job()
    assert 2**98 < held["earned"] < 2**99 + 1
    assert max(expected) < 2**94


def test_a_thousand_rounds_of_the_worst_are_kept_and_pay_by_rounds_opened(fresh):
    fresh.begin(REFERENCE, LARGEST_RATE, 0, ALL_32, SENDER)
    repeated(fresh, 900, [LEAST] * 32)
    repeated(fresh, 100, [LEAST] * 31, mask(*range(31)), range(31))
    fresh.end(2**128 - 1, SENDER)
    balances, pays = fresh.result()
    assert list(balances) == [-1000 * MOST] * 31 + [-900 * MOST]
    assert list(pays) == divided(2**128 - 1, [0] * 32, [1000] * 31 + [900])
    held = fresh.job()
    assert (held["earned"], held["missedOut"]) == (0, 0)


def test_from_the_most_to_the_worst_and_back_the_sums_follow(fresh):
    """A balance that crosses zero while its trainer has absences."""
    fresh.begin(REFERENCE, LARGEST_RATE, 0, mask(0, 1), SENDER)
    swings = ([GREATEST, 1], [LEAST, 1], [LEAST, -1], [GREATEST, 0], [GREATEST, GREATEST])
    fresh.settle(mask(1), stated((1,), [GREATEST], 100), SENDER)
    balance, other = 0, MOST
    for at, (first, second) in enumerate(swings, 2):
        fresh.settle(mask(0, 1), stated((0, 1), [first, second], 100), SENDER)
        balance += MOST * ((first > 0) - (first < 0))
        other += MOST * ((second > 0) - (second < 0))
        held = fresh.job()
        assert held["earned"] == max(0, balance) + max(0, other)
        assert held["missedOut"] == max(0, balance)
        assert at * held["earned"] - held["missedOut"] == max(0, balance) * (at - 1) + max(0, other) * at
