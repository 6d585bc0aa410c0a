"""Both pay rules against their definition in words, and against every attack that they are meant to answer.

The oracle below is the executable definition of the rules, kept apart from the code that is tested.
"""

from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.gram import gram, products
from aggregator.rules import (
    COSINE_ONE,
    KRUM_COSINE,
    REFERENCE,
    UNIT,
    Decision,
    krum_cosine,
    reference,
    reference_selection,
)
from aggregator.sums import next_model, weighted_sum
from zk.encoding import LIMIT, ONE

# ---------------------------------------------------------------- the definition


def oracle_krum_cosine(G, opened, f):
    n = len(G)
    live = [i for i in range(n) if opened[i] and G[i][i] > 0]
    m = len(live)
    f = min(f, max(0, (m - 3) // 2))
    near = max(0, m - f - 2)
    far = {i: sum(sorted(G[i][i] + G[j][j] - 2 * G[i][j] for j in live if j != i)[:near]) for i in live}
    chosen = set(sorted(live, key=lambda i: (far[i], i))[: m - f])
    selected = [i in chosen for i in range(n)]
    struck = [bool(opened[i]) and G[i][i] <= 0 for i in range(n)]
    along = [sum(G[i][j] for j in chosen) for i in range(n)]
    norm = isqrt(sum(G[i][j] for i in chosen for j in chosen))
    score = [0] * n
    for i in chosen:
        den = isqrt(G[i][i]) * norm
        score[i] = max(0, along[i]) * 2**30 // den if den else 0
    return selected, struck, [int(s) for s in selected], score


def oracle_reference(G, opened, v0, vv, u):
    n = len(G)
    admissible = [bool(o) and G[i][i] > 0 for i, o in enumerate(opened)]
    norms = sorted(G[i][i] for i in range(n) if admissible[i])
    median = norms[(len(norms) - 1) // 2] if norms else 0
    coefficient, selected, struck, score = [0] * n, [False] * n, [False] * n, [0] * n
    for i in range(n):
        if not opened[i]:
            continue
        if not admissible[i]:
            struck[i] = True
        elif v0[i] > 0:
            selected[i] = True
            coefficient[i] = 4096 if G[i][i] <= median else isqrt(4096 * 4096 * median // G[i][i])
            score[i] = coefficient[i] * u[i]
        else:
            # A cosine of at most -1/2: 4 <w, v0>^2 >= <w, w> <v0, v0>, where <w, v0> is negative.
            struck[i] = v0[i] < 0 and 4 * v0[i] ** 2 >= G[i][i] * vv
    return selected, struck, coefficient, score


def flat(decision: Decision):
    return list(decision.selected), list(decision.struck), list(decision.coefficients), list(decision.scores)


def rounds(entry):
    """n rows of d entries, who was opened, two reference rows; small numbers make ties and zero norms common."""

    def of_size(size):
        n, d = size
        row = st.lists(entry, min_size=d, max_size=d)
        return st.tuples(
            st.lists(row, min_size=n, max_size=n), st.lists(st.booleans(), min_size=n, max_size=n), row, row
        )

    return st.tuples(st.integers(1, 10), st.integers(1, 4)).flatmap(of_size)


ROUNDS = st.one_of(
    rounds(st.integers(-1, 1)), rounds(st.integers(-50, 50)), rounds(st.sampled_from([-LIMIT, -1, 0, 1, LIMIT]))
)


@settings(max_examples=400)
@given(ROUNDS, st.integers(0, 12))
def test_both_rules_equal_their_definition(round_, f):
    entries, opened, first, second = round_
    rows = [np.array(row, np.int16) if o else None for row, o in zip(entries, opened, strict=True)]
    G = gram(rows)
    v0, u = products(rows, np.array(first, np.int16)), products(rows, np.array(second, np.int16))
    vv = sum(entry * entry for entry in first)
    decisions = krum_cosine(G, opened, f), reference(G, opened, v0, vv, u)
    assert flat(decisions[0]) == oracle_krum_cosine(G, opened, f)
    assert flat(decisions[1]) == oracle_reference(G, opened, v0, vv, u)
    assert reference_selection(G, opened, v0) == (decisions[1].selected, decisions[1].coefficients)
    for rule, decision in zip((KRUM_COSINE, REFERENCE), decisions, strict=True):
        for i, selected in enumerate(decision.selected):
            assert 0 <= decision.coefficients[i] <= UNIT[rule]
            assert -(2**95) <= decision.scores[i] < 2**95
            assert not decision.struck[i] or (opened[i] and not selected)
            assert decision.struck[i] or rows[i] is None or G[i][i] > 0
            if not selected or rows[i] is None or G[i][i] == 0:
                assert (selected, decision.coefficients[i], decision.scores[i]) == (False, 0, 0)
    assert min(decisions[0].scores) >= 0


def test_a_slot_that_was_not_opened_gets_nothing_even_if_its_products_are_there():
    G, one = [[4, 4], [4, 4]], [True, False]
    assert flat(krum_cosine(G, one, 0)) == ([True, False], [False, False], [1, 0], [COSINE_ONE, 0])
    assert flat(reference(G, one, [1, 1], 1, [3, 3])) == ([True, False], [False, False], [ONE, 0], [3 * ONE, 0])
    assert reference(G, one, [-2, -2], 1, [3, 3]).struck == (True, False)
    assert krum_cosine([[0, 0], [0, 0]], one, 0).struck == (True, False)


def test_ties_go_to_the_lower_slot():
    # Three equal updates and two far ones of equal distance: one of the two has to go.
    rows = [np.array(row, np.int16) for row in ([0, 9], [5, 0], [5, 0], [5, 0], [0, -9])]
    decision = krum_cosine(gram(rows), [True] * 5, 1)
    assert decision.selected == (True, True, True, True, False)


@pytest.mark.parametrize(("m", "kept"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 4), (6, 5), (7, 5), (16, 13)])
def test_krum_cosine_leaves_out_no_more_than_a_minority_can_be(m, kept):
    G = [[9 if i == j else 0 for j in range(m)] for i in range(m)]
    assert sum(krum_cosine(G, [True] * m, 3).selected) == kept


def test_who_krum_cosine_leaves_out_has_no_strike_for_it():
    rows = [np.array(row, np.int16) for row in ([9, 1], [9, 0], [9, -1], [8, 0], [-9, 0])]
    decision = krum_cosine(gram(rows), [True] * 5, 1)
    assert decision.selected == (True, True, True, True, False)
    assert decision.struck == (False,) * 5


def test_the_largest_possible_round_fits_the_contracts_96_bits():
    largest = LIMIT**2 * 2**28
    n = 32
    G = [[largest] * n for _ in range(n)]
    assert max(krum_cosine(G, [True] * n, 3).scores) < 2**95
    for sign in (1, -1):
        scores = reference(G, [True] * n, [largest] * n, largest, [sign * largest] * n).scores
        assert set(scores) == {sign * ONE * largest}
        assert -(2**95) <= scores[0] < 2**95


def test_an_update_far_beyond_the_median_is_shrunk_to_nothing_but_stays_selected():
    huge = ONE * ONE + 1
    selected, coefficients = reference_selection([[1, 0], [0, huge]], [True, True], [1, 1])
    assert (selected, coefficients) == ((True, True), (ONE, 0))


@pytest.mark.parametrize(
    ("along", "struck"), [(3, False), (0, False), (-1, False), (-2, False), (-3, True), (-6, True)]
)
def test_a_strike_under_reference_takes_a_cosine_of_minus_a_half(along, struck):
    # ⟨w, w⟩ = 4 and ⟨v0, v0⟩ = 9: the product of the norms is 6, and half of it 3.
    decision = reference([[4]], [True], [along], 9, [1])
    assert decision.struck == (struck,)
    assert decision.selected == (along > 0,)


def test_without_a_first_row_nobody_is_selected_and_only_what_is_zero_is_struck():
    decision = reference([[4, 0], [0, 0]], [True, True], [0, 0], 0, [0, 0])
    assert flat(decision) == ([False, False], [False, True], [0, 0], [0, 0])


def test_what_raised_the_loss_has_a_negative_score():
    assert reference([[4]], [True], [5], 9, [-7]).scores == (-7 * ONE,)


def test_sums_that_vanish_score_nobody():
    rows = [np.array(row, np.int16) for row in ([3, 0], [-3, 0])]
    assert krum_cosine(gram(rows), [True, True], 0).scores == (0, 0)


def test_nobody_admissible_means_nobody_selected_and_both_struck():
    nothing = ([False, False], [True, True], [0, 0], [0, 0])
    G = [[0, 0], [0, 0]]
    for decision in (krum_cosine(G, [True, True], 1), reference(G, [True, True], [0, 0], 4, [0, 0])):
        assert flat(decision) == nothing


def test_arguments_of_different_sizes_are_refused():
    G = [[1, 0], [0, 1]]
    for call in (
        lambda: krum_cosine(G, [True], 0),
        lambda: krum_cosine([[1, 0], [0]], [True, True], 0),
        lambda: reference_selection(G, [True, True], [1]),
        lambda: reference(G, [True, True], [1, 1], 1, [1, 1, 1]),
    ):
        with pytest.raises(ValueError, match="entries"):
            call()


# ---------------------------------------------------------------- attacks, on a quadratic loss with a known gradient

D = 4000
RNG_SEED = 7


class Game:
    """Honest trainers who see the true direction through noise; the reference row shows it too."""

    def __init__(self, honest: int, seed: int = RNG_SEED):
        self.rng = np.random.default_rng(seed)
        self.direction = self.rng.standard_normal(D) * 300
        self.honest = [self.int16(self.direction + self.rng.standard_normal(D) * 200) for _ in range(honest)]
        self.v = self.int16(self.direction + self.rng.standard_normal(D) * 50)

    @staticmethod
    def int16(values) -> np.ndarray:
        return np.clip(np.rint(values), -LIMIT, LIMIT).astype(np.int16)

    def judge(self, rule, rows, f=2, u=None) -> Decision:
        G, opened = gram(rows), [row is not None for row in rows]
        if rule == KRUM_COSINE:
            return krum_cosine(G, opened, f)
        squared = gram([self.v])[0][0]
        return reference(G, opened, products(rows, self.v), squared, products(rows, self.v if u is None else u))


RULES = pytest.mark.parametrize("rule", [KRUM_COSINE, REFERENCE], ids=["krum-cosine", "reference"])


@RULES
def test_a_zero_update_is_paid_nothing(rule):
    game = Game(5)
    decision = game.judge(rule, [*game.honest, np.zeros(D, np.int16)])
    assert (decision.selected[5], decision.struck[5], decision.scores[5]) == (False, True, 0)
    assert not any(decision.struck[:5])
    assert sum(decision.selected[:5]) >= 4


@RULES
def test_a_sign_flipped_and_scaled_update_is_paid_nothing_and_not_added(rule):
    game = Game(4)
    decision = game.judge(rule, [*game.honest, game.int16(-5.0 * game.honest[0]), np.zeros(D, np.int16)])
    assert decision.selected == (True, True, True, True, False, False)
    assert decision.scores[4:] == (0, 0)
    assert min(decision.scores[:4]) > 0
    assert decision.struck == (False,) * 4 + (rule == REFERENCE, True)


@RULES
def test_colluding_flips_up_to_f_are_paid_nothing(rule):
    game = Game(7)
    flips = [game.int16(-(1.0 + 0.01 * k) * game.honest[k]) for k in range(2)]
    decision = game.judge(rule, [*game.honest, *flips], f=2)
    assert decision.scores[7:] == (0, 0)
    assert decision.selected[:7] == (True,) * 7
    assert decision.struck == (False,) * 7 + (rule == REFERENCE,) * 2


def test_krum_cosine_needs_five_admissible_updates_to_leave_one_out():
    # The limit of rule 1: among four, f' is 0, and a flipped update scaled by 5 outweighs the three honest ones.
    game = Game(3)
    flip = game.int16(-5.0 * game.honest[0])
    assert game.judge(KRUM_COSINE, [*game.honest, flip]).selected == (True,) * 4
    assert game.judge(KRUM_COSINE, [*game.honest, flip]).scores[:3] == (0, 0, 0)
    assert game.judge(REFERENCE, [*game.honest, flip]).selected == (True, True, True, False)


@RULES
def test_noise_earns_next_to_nothing(rule):
    earned = honest = 0
    for seed in range(20):
        game = Game(5, seed)
        noise = game.int16(game.rng.standard_normal(D) * 350)
        decision = game.judge(rule, [*game.honest, noise])
        # The sum keeps what noise lowers the loss by and what it raises it by: in the long run they cancel.
        earned += decision.scores[5]
        honest += sum(decision.scores[:5]) // 5
        assert not any(decision.struck)
    assert earned * 50 < honest


def test_scaling_up_earns_nothing_under_krum_cosine():
    game = Game(5)
    assert game.judge(KRUM_COSINE, [*game.honest, game.int16(10.0 * game.honest[0])]).scores[5] == 0


def test_scaling_up_earns_no_more_than_the_median_norm_under_reference():
    game = Game(5)
    boosted = [*game.honest[:4], game.int16(10.0 * game.honest[4])]
    plain, scaled = game.judge(REFERENCE, game.honest), game.judge(REFERENCE, boosted)
    assert scaled.scores[4] <= 1.1 * plain.scores[4]
    assert scaled.coefficients[4] < ONE // 9


@RULES
def test_a_copy_earns_what_its_original_earns(rule):
    # The limit of both rules: neither tells a copy from its original. What keeps copies out is that updates are sealed,
    # commitments hide them, and a commitment is bound to its sender.
    game = Game(6)
    rows = [*game.honest, game.honest[2].copy()]
    decision = game.judge(rule, rows, f=0)
    assert decision.scores[2] == decision.scores[6] > 0


def test_splitting_an_update_among_identities_is_neutral_under_reference():
    # While no part is longer than the median, the weight is linear: the parts of an update earn what it earned.
    game = Game(5)
    mine = game.honest[4]
    half = (mine // 2).astype(np.int16)
    parts = [half, (mine - half).astype(np.int16)]
    # Shorter rows pull the median down; long ones of the same direction keep it where it was.
    others = [*game.honest[:4], *game.honest[:3]]
    whole = game.judge(REFERENCE, [*others, mine])
    split = game.judge(REFERENCE, [*others, *parts])
    capped = whole.coefficients[7] * products([mine], game.v)[0]
    assert whole.scores[7] == capped
    assert split.coefficients[7:] == (ONE, ONE)
    assert split.scores[7] + split.scores[8] == ONE * products([mine], game.v)[0]


def test_splitting_a_long_update_gets_around_the_clip_of_reference():
    # The limit of the split-neutral part: what the median clips in one update comes through in ten.
    game = Game(5)
    long = game.int16(10.0 * game.honest[4])
    tenth = (long // 10).astype(np.int16)
    whole = game.judge(REFERENCE, [*game.honest[:4], long])
    split = game.judge(REFERENCE, [*game.honest[:4], *[tenth] * 10])
    assert sum(split.scores[4:]) > 5 * whole.scores[4]


def test_splitting_pays_twice_under_krum_cosine():
    # The limit of rule 1, which pays direction, not length: against it stands the stake of each identity.
    game = Game(5)
    half = (game.honest[4] // 2).astype(np.int16)
    whole = game.judge(KRUM_COSINE, game.honest, f=0)
    split = game.judge(KRUM_COSINE, [*game.honest[:4], half, half.copy()], f=0)
    assert split.scores[4] + split.scores[5] > 1.5 * whole.scores[4]


def test_under_reference_the_last_global_update_is_paid_for_what_it_still_adds_only():
    # Loss ½‖p − target‖²: a step of the right length leaves a gradient with nothing along that step.
    game = Game(6)
    target, scale = game.direction.astype(np.float32), 1.0
    step = weighted_sum(game.honest, [1] * 6)
    base = next_model(np.zeros(D, np.float32), step, rate=1.0, scale=scale, unit=1, selected=6)
    length = float(np.dot(target, base) / np.dot(base, base))
    base = base * np.float32(length)
    remaining = game.int16(target - base)
    honest = [game.int16(remaining + game.rng.standard_normal(D) * 20) for _ in range(5)]
    rows = [*honest, game.int16(base)]
    along, squared = products(rows, remaining), gram([remaining])[0][0]
    decision = reference(gram(rows), [True] * 6, along, squared, along)
    assert decision.scores[5] * 100 < min(decision.scores[:5])


def test_under_krum_cosine_the_last_global_update_is_paid_like_an_honest_one():
    # The limit of rule 1: without validation data, a step that still points the right way cannot be told from work.
    game = Game(5)
    last = (weighted_sum(game.honest, [1] * 5) // 5).astype(np.int16)
    again = [game.int16(game.direction + game.rng.standard_normal(D) * 200) for _ in range(5)]
    decision = game.judge(KRUM_COSINE, [*again, last])
    assert decision.scores[5] > min(score for score in decision.scores if score)


def test_an_update_that_the_step_makes_harmful_is_selected_and_counts_against_its_sender_under_reference():
    game = Game(5)
    helpful, harmful = (game.judge(REFERENCE, game.honest, u=u) for u in (game.v, (-game.v).astype(np.int16)))
    assert harmful.selected == (True,) * 5
    assert harmful.scores == tuple(-score for score in helpful.scores)
    assert max(harmful.scores) < 0
    assert harmful.struck == (False,) * 5
