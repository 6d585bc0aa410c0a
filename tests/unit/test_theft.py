"""What coalitions gain: the smallest slice of `make bench-theft`, and the claims of docs/security/theft.md."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.points import divide
from benches.pay.play import POT
from benches.theft import forged, lies
from benches.theft.__main__ import FAULTY
from benches.theft.books import Coalition, Ending, Terms, takes
from benches.theft.games import Row, case, losses_by_dispute
from marketplace.domain import Rule

pytestmark = pytest.mark.slow

OPEN = {
    "rows bent within the tolerance, and the best response",
    "the same, members dispute only at no cost",
    "the last round never settled, without a bond",
    "good submissions called unopened",
}
"""The games in which somebody gains, whatever else holds. Who closes one takes it out here and in theft.md."""


def by_verdict(rows: Sequence[Row], verdict: str) -> set[str]:
    return {row.game for row in rows if row.verdict == verdict}


@pytest.fixture(scope="module", params=list(Rule), ids=lambda rule: rule.label)
def rows(request: pytest.FixtureRequest) -> list[Row]:
    return case(request.param, 8, 2, 4, "wine", 3, 1)


def test_only_what_is_listed_as_open_gains(rows: list[Row]) -> None:
    rule = rows[0].rule
    expected = {game for game in OPEN if rule == Rule.REFERENCE.label or ("rows" not in game and "members" not in game)}
    assert by_verdict(rows, "open") == expected


def test_what_has_no_proof_would_have_been_worth_it(rows: list[Row]) -> None:
    forgery = next(row for row in rows if row.game == "products that no vectors have")
    assert forgery.unstopped > 70
    assert forgery.stopped_by == "the decision proof: no Gram matrix"
    assert forgery.vs_best <= 0


def test_a_lie_in_the_rows_takes_all_where_nobody_disputes_and_loses_where_they_do(rows: list[Row]) -> None:
    if rows[0].rule != Rule.REFERENCE.label:
        assert not any("false rows" in row.game for row in rows)
        return
    lie = [row for row in rows if row.game == "false rows: every point to them"]
    assert {row.coalition for row in lie} == {"(owner) + aggregator + 1 trainer", "(owner) + aggregator + 3 trainers"}
    for row in lie:
        assert row.unstopped > 50
        assert row.vs_honest < -30  # bond and fees are gone
        assert row.dispute_costs == 0  # who was robbed of all has nothing to lose


def test_owner_and_aggregator_gain_nothing_from_settled_rounds(rows: list[Row]) -> None:
    both = [row for row in rows if row.coalition in ("owner", "owner + aggregator")]
    assert {row.game for row in both if row.vs_honest > 0} == {"the last round never settled, without a bond"}


def test_trainers_alone_gain_by_no_dispute_and_by_nothing_that_does_not_open(rows: list[Row]) -> None:
    alone = [row for row in rows if row.coalition in ("1 trainer", "3 trainers", "(owner) + 3 trainers")]
    assert {row.game for row in alone if row.verdict == "open"} == set()
    assert all(row.vs_best <= 0 for row in alone if "disputed" in row.game)
    rubbish = [row for row in rows if row.game == "what does not open until the job ends, in the last round"]
    assert {row.coalition for row in rubbish} == {"3 trainers", "owner + 3 trainers"}
    for row in rubbish:
        assert row.vs_best < 0
        assert row.unstopped > row.vs_honest + 10  # their part of the bond, and with the owner the reward


def test_whoever_ends_a_job_by_calling_good_submissions_unopened_gains_nothing(rows: list[Row]) -> None:
    ends = [row for row in rows if row.game.startswith("good submissions called unopened until the job ends")]
    assert {row.coalition for row in ends} == {"owner + aggregator", "aggregator", "(owner) + aggregator + 3 trainers"}
    assert all(row.vs_best <= 0 for row in ends)
    assert all(row.unstopped > row.vs_honest for row in ends if row.coalition == "owner + aggregator")


def test_three_trainers_have_none_that_may_be_left_out_or_is_too_few_to_dispute() -> None:
    rows = case(Rule.REFERENCE, 3, 0, 2, "wine", 3, 1)
    assert not any(row.game in ("good submissions called unopened", "false rows: f members robbed") for row in rows)
    (lie,) = (row for row in rows if row.game == "false rows: every point to them")
    assert (lie.verdict, lie.unstopped > 50) == ("holds", True)
    assert all(trainers >= 2 * faulty + 3 for trainers, faulty in FAULTY.items())


MEMBERS = st.lists(st.tuples(st.integers(-(2**94), 2**94), st.integers(0, 1000)), min_size=1, max_size=32)


@given(st.integers(0, 2**128 - 1), MEMBERS)
def test_a_dispute_of_rows_leaves_nobody_with_more(pot: int, members: list[tuple[int, int]]) -> None:
    balances, opened = [balance for balance, _ in members], [rounds for _, rounds in members]
    plain, disputed = divide(pot, balances, opened), divide(pot, balances, opened, disputed=True)
    whole = sum(opened)
    for part, capped, rounds in zip(plain, disputed, opened, strict=True):
        assert capped == min(part, pot * rounds // whole if whole else 0)


def test_a_disputed_division_by_hand() -> None:
    assert divide(100, [3, 1, 0, 0], [1, 1, 1, 1], disputed=True) == [25, 25, 0, 0]
    assert divide(100, [3, 1], [1, 3], disputed=True) == [25, 50]
    assert divide(100, [0, -2], [3, 1], disputed=True) == [75, 25]  # nobody has points
    assert losses_by_dispute([3, 1], [1, 1], [0, 1]) == [POT // 4, 0]


def test_books_burn_bond_and_fees_of_what_is_disputed() -> None:
    terms, coalition = Terms(4, 1, 10), Coalition([3], aggregator=True, owner=True)
    honest = takes(terms, coalition, [1] * 4, [10] * 4)
    assert honest == POT // 4 + 10 * terms.fee
    assert takes(terms, coalition, [1] * 4, [10] * 4, Ending.SUM) == POT // 4 - POT // 2
    assert takes(terms, coalition, [0, 0, 0, 1], [10] * 4) == POT + 10 * terms.fee
    assert takes(terms, coalition, [0, 0, 0, 1], [10] * 4, Ending.ROWS) == POT // 4 - POT // 2


def test_rows_can_be_fitted_to_any_points() -> None:
    rng = np.random.default_rng(1)
    updates = [np.rint(rng.normal(size=200) * 1000).astype(np.int16) for _ in range(5)]
    row = lies.fitted(updates, [1.0, -1.0, 0.5, -2.0, 3.0])
    got = np.array(updates, dtype=float) @ row
    assert got / got[0] == pytest.approx([1, -1, 0.5, -2, 3], abs=0.01)
    assert not any(lies.everybody(updates))


def test_a_forged_row_passes_once_it_is_as_long_as_its_products_ask_for() -> None:
    rng = np.random.default_rng(2)
    towards = rng.normal(size=64)
    honest = [np.rint(2000 * (towards + rng.normal(size=64))).astype(np.int16) for _ in range(6)]
    scene = forged.Scenery(Rule.KRUM_COSINE, 2, honest, [])
    found = forged.search(scene, 6, 1)
    assert found.worth == found.refused > 0
    assert found.best > 0.99
    assert found.passes <= found.in_range + 0.005
