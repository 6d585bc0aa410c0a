"""What the figures on pay are computed with (benches/pay)."""

from pathlib import Path

import numpy as np
import pytest

from benches.pay.__main__ import Finished, run
from benches.pay.attacks import ATTACKS
from benches.pay.fidelity import misallocated, shapley
from benches.pay.play import Learner
from benches.pay.tasks import task
from marketplace.domain import Rule


def test_shapley_values_of_known_games() -> None:
    gloves = [0.0] * 8  # player 0 has a left glove, players 1 and 2 have right ones
    for mask in (0b011, 0b101, 0b111):
        gloves[mask] = 1.0
    assert shapley(gloves, 3) == pytest.approx([2 / 3, 1 / 6, 1 / 6])
    additive = [sum((3.0, -1.0, 0.0, 7.0)[i] for i in range(4) if mask >> i & 1) for mask in range(16)]
    assert shapley(additive, 4) == pytest.approx([3, -1, 0, 7])


def test_shapley_values_add_up_to_what_all_bring() -> None:
    worth = [0.0, *np.random.default_rng(1).normal(size=31)]
    assert shapley(worth, 5).sum() == pytest.approx(worth[-1])


def test_misallocated_is_the_part_that_is_with_others() -> None:
    assert misallocated([0.5, 0.5], [1, 1]) == 0
    assert misallocated([1.0, 0.0], [1, 1]) == pytest.approx(50)
    assert misallocated([0.75, 0.25], [3, -2]) == pytest.approx(25), "who did harm is owed nothing"


def test_there_are_the_attacks_that_the_rules_speak_of() -> None:
    assert "none" in ATTACKS
    assert len(ATTACKS) > 18


def test_many_models_at_once_have_the_losses_of_each() -> None:
    learner = Learner(task("wine")[1])
    models = learner.base() + np.random.default_rng(1).normal(scale=0.1, size=(600, len(learner.base())))
    models = models.astype(np.float32)
    assert learner.losses(models) == pytest.approx([learner.loss(parameters) for parameters in models], rel=1e-5)


def test_what_is_finished_is_not_run_again(tmp_path: Path) -> None:
    finished = Finished(tmp_path / "cases")
    finished.add("part", ("first", Rule.REFERENCE, 1), {"figure": 1.0})
    finished.add("another", ("second", Rule.REFERENCE, 1), {"figure": 2.0})
    finished.add("part", ("second", Rule.REFERENCE, 1), {"figure": 3.0})
    cases = [("second", Rule.REFERENCE, 1), ("first", Rule.REFERENCE, 1)]
    assert run("part", pytest.fail, cases, 1, finished) == [{"figure": 3.0}, {"figure": 1.0}]
