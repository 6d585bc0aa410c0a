"""What the figures on pay are computed with (benches/pay)."""

import numpy as np
import pytest

from benches.pay.attacks import ATTACKS
from benches.pay.fidelity import misallocated, shapley


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
