"""Jobs whose updates have few bits or few entries: nothing of them is lost over the rounds, whoever dies in between."""

from typing import Any

import numpy as np
import pytest

from marketplace.domain import State
from marketplace.errors import InputError
from marketplace.services import training
from marketplace.services.audit import audit_job
from marketplace.services.node import job_key
from marketplace.services.owner import reveal_validation
from tests.jobs import Play, World, new_play, step_until
from zk.packing import unpack_integers

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

D = 4 * 2 + 4 + 2 * 4 + 2
LIGHT = {"update": {"clip": 8.0, "bits": 4, "keep": 0.25}}


def overheard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What every training gave: as it was made, as it was sent, and what was left out."""
    heard: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    honest = training.lighten

    def lighten(update: np.ndarray, bits: int, keep: float) -> Any:
        found = honest(update, bits, keep)
        heard.append((update, found.sent, found.left))
        return found

    monkeypatch.setattr(training, "lighten", lighten)
    return heard


def audited(play: Play) -> None:
    reveal_validation(play.owner, play.job_id)
    key = job_key(play.owner, play.history())
    assert audit_job(play.world.watcher("auditor"), play.job_id, job_key=key).findings == []


def test_a_job_of_light_updates_is_audited_and_each_carries_on_what_the_last_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, made = overheard(monkeypatch), list[np.ndarray]()
    honest = training.to_integers

    def to_integers(*given: Any) -> np.ndarray:
        made.append(honest(*given))
        return made[-1]

    monkeypatch.setattr(training, "to_integers", to_integers)
    play = new_play(world, rounds=3, parts=LIGHT)
    assert play.finish() is State.COMPLETED
    audited(play)
    assert len(heard) == len(made) == 9
    for first, (whole, _, left) in enumerate(heard[:6]):
        following, _, _ = heard[first + 3]  # the same trainer's, a round later
        assert left.any()
        assert np.array_equal(following, made[first + 3] + left), "nothing is lost between rounds"
        assert len(whole) == D


def test_a_trainer_that_is_started_again_carries_on_what_it_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = overheard(monkeypatch)
    play = new_play(world, rounds=3, parts=LIGHT)
    step_until(play.agents(), lambda: len(play.history().settled) == 1)
    _, _, left = heard[0]
    kept = play.trainers[0].work(play.job_id) / "round-1" / training.LEFT
    assert np.array_equal(unpack_integers(kept.read_bytes(), D, 2**15 - 1, np.int16), left)
    again = play.agents()  # other processes, with the same folders
    assert play.finish(again) is State.COMPLETED
    audited(play)
    assert not kept.exists()
    assert len(list(play.trainers[0].work(play.job_id).glob(f"round-*/{training.LEFT}"))) <= 1


def test_a_damaged_file_of_what_was_left_out_is_said_and_costs_no_stake(world: World) -> None:
    play = new_play(world, rounds=2, parts=LIGHT)
    step_until(play.agents(), lambda: len(play.history().settled) == 1)
    kept = play.trainers[0].work(play.job_id) / "round-1" / training.LEFT
    kept.write_bytes(b"rubbish")
    agent = play.trainer(0)
    with pytest.raises(InputError, match=r"left-out is damaged; delete it"):
        agent._training._left_before(2, D)
    kept.unlink()
    assert play.finish() is State.COMPLETED
