"""What `make demo` has to show: learning, and pay for those who behaved."""

import pytest

from tests.e2e.demo_kit import check_payouts, demo

pytestmark = pytest.mark.slow


def test_accuracy_is_high_and_misbehaviour_earns_nothing() -> None:
    results = demo()
    assert results["values"][-1] >= 0.93
    check_payouts(results)


def test_misbehaving_trainers_cost_at_most_two_points_of_accuracy() -> None:
    assert demo()["values"][-1] >= demo("--honest")["values"][-1] - 0.02


def test_the_silent_trainer_is_not_selected_in_its_silent_round() -> None:
    (silent,) = (row for row in demo()["payouts"].values() if row["role"] == "silent")
    assert 4 not in silent["selected"]
