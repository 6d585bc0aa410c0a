"""A job whose rounds start ahead of the model: everybody starts from the same bits, whoever dies or takes over."""

from typing import Any

import numpy as np
import pytest

from marketplace.domain import State
from marketplace.services import aggregator, models
from marketplace.services.audit import audit_job
from marketplace.services.models import Models
from marketplace.services.node import fetch_spec, job_key
from marketplace.services.owner import export_model, reveal_validation
from marketplace.services.proofs import open_setup
from tests.jobs import Play, World, new_play, step_until
from trainer.models import flatten
from zk.encoding import Float32s

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

MOMENTUM = 0.5
AHEAD = {"server_rate": {"momentum": MOMENTUM}}


def followed(play: Play) -> Models:
    spec = fetch_spec(play.owner.storage, play.history().created)
    return Models(play.owner, play.history().created, spec, open_setup(play.owner, play.history().created, spec).srs)


@pytest.mark.parametrize("rule", ["reference", "krum-cosine"])
def test_a_job_completes_its_audit_finds_nothing_and_every_round_starts_ahead(world: World, rule: str) -> None:
    play = new_play(world, validation=rule == "reference", rule=rule, rounds=4, parts=AHEAD)
    assert play.finish() is State.COMPLETED
    history = play.history()
    key = job_key(play.owner, history)
    if rule == "reference":
        reveal_validation(play.owner, play.job_id)
    report = audit_job(world.watcher("auditor"), play.job_id, job_key=key)
    assert report.findings == []
    assert all(check.ok is True for check in report.checks)
    at = followed(play)
    after = [at.after(round, history, key) for round in range(5)]
    assert np.array_equal(at.start(1, history, key), after[0])
    for round in (2, 3, 4):
        ahead = after[round - 1] + np.float32(MOMENTUM) * (after[round - 1] - after[round - 2])
        assert np.array_equal(at.start(round, history, key), ahead)
        assert not np.array_equal(ahead, after[round - 1])
    assert np.array_equal(flatten(export_model(play.owner, play.job_id).program.module).numpy(), after[4])


def test_whoever_is_started_again_goes_on_from_the_same_start(world: World) -> None:
    play = new_play(world, rounds=4, parts=AHEAD)
    step_until(play.agents(), lambda: len(play.history().settled) == 2)
    assert play.finish() is State.COMPLETED, "by new agents, from the files of the others"
    reveal_validation(play.owner, play.job_id)
    key = job_key(play.owner, play.history())
    assert audit_job(world.watcher("auditor"), play.job_id, job_key=key).findings == []


def test_a_sum_that_is_announced_leads_to_the_same_start(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregator, "ANNOUNCED_FROM", 0.0)
    play = new_play(world, rounds=3, parts=AHEAD)
    assert play.finish() is State.COMPLETED
    told = [notice.kind for who, notice in world.notices if who != "aggregator"]
    assert told.count("trained") == 9, "nothing is trained twice"
    assert audit_job(world.watcher("auditor"), play.job_id, job_key=job_key(play.owner, play.history())).findings == []


def test_an_aggregator_that_steps_from_elsewhere_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It adds the sum to the model and not to where the round started: its rows follow from another step."""
    play = new_play(world, rounds=2, parts=AHEAD)
    judge, honest = play.judge(), Models.start

    def start(self: Models, round: int, *rest: Any) -> Float32s:
        return self.after(round - 1, *rest) if self is judge._models else honest(self, round, *rest)

    monkeypatch.setattr(models.Models, "start", start)
    play.finish([judge, *(play.trainer(number) for number in range(3))])
    reveal_validation(play.owner, play.job_id)
    report = audit_job(world.watcher("auditor"), play.job_id, job_key=job_key(play.owner, play.history()))
    assert any("round 2" in finding for finding in report.findings)
