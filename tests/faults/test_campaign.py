"""A slice of the campaign (`make test-faults` plays 200 runs), and that the campaign would see what it looks for."""

from pathlib import Path

import pytest

from tests.campaigns import printed
from tests.faults.campaign import prepare
from tests.faults.cast import Theatre
from tests.faults.plan import PHASES, Fault, Plan, draw
from tests.faults.run import perform

pytestmark = pytest.mark.slow


def test_six_seeded_runs_lose_nothing_double_nothing_and_leave_nobody() -> None:
    out = printed("tests.faults.campaign", "--runs", "6", "--seed", "8", "--workers", "3")
    assert out.count("\nrun ") + out.startswith("run ") == 6
    for line in ("runs: 6 of 6", "units lost: 0", "submissions doubled: 0", "parties stuck: 0"):
        assert line in out


def test_a_second_submission_is_seen(tmp_path: Path) -> None:
    """A trainer that keeps no record sends another update when a reorganization undoes its first."""
    prepare(tmp_path)
    after = Fault("reorg", "submitted", 2, 0.0, 4)
    plan = Plan(1, "krum-cosine", 2, (after,), (0, 0, 0), "forgetful", 0, kubo=False, executed=False)
    result = perform(Theatre(tmp_path), plan)
    assert result.faults["reorg of 5"] == 1
    assert result.doubled >= 1
    assert any("different updates in round 1" in problem for problem in result.problems)


def test_a_plan_follows_from_its_seed() -> None:
    plans = [draw(seed, kubo=False, executed=False) for seed in range(200)]
    assert plans == [draw(seed, kubo=False, executed=False) for seed in range(200)]
    met = {(fault.kind, fault.phase) for plan in plans for fault in plan.faults}
    for who, phases in {"kill aggregator": PHASES, "kill trainer": PHASES}.items():
        assert {phase for kind, phase in met if kind == who} >= set(phases)
