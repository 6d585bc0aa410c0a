"""A round's sum that is announced before it is proved: trainers go on with it, and lose nothing where it was wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from marketplace.chain.market import Market
from marketplace.domain import State
from marketplace.errors import ChainError
from marketplace.services import aggregator, settlements
from marketplace.services.agent import Agent
from marketplace.services.audit import audit_job
from marketplace.services.trainer import ANNOUNCEMENTS
from tests.jobs import Play, World, new_play, step_until

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

TRAINERS = ["trainer 0", "trainer 1", "trainer 2"]
Stated = tuple[int, bytes, str]
"""Selected slots, commitment, CID of an announced sum."""


@pytest.fixture
def play(world: World, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Two rounds, of which the first is announced."""
    monkeypatch.setattr(aggregator, "ANNOUNCED_FROM", 0.0)
    return new_play(world, rounds=2)


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Something happens while the first round is proved."""
    honest, proved = settlements.prove_round, list[None]()

    def prove(*args: Any, **options: Any) -> Any:
        proved.append(None)
        if len(proved) == 1:
            happens()
        return honest(*args, **options)

    monkeypatch.setattr(settlements, "prove_round", prove)


def announced(monkeypatch: pytest.MonkeyPatch, lie: Callable[[Stated], list[Stated]]) -> None:
    """What the aggregator announces in place of the truth."""
    honest = Market.announce_sum

    def announce(self: Market, signer: Any, job_id: int, round: int, *truth: Any) -> Any:
        return [honest(self, signer, job_id, round, *stated) for stated in lie(truth)][-1]

    monkeypatch.setattr(Market, "announce_sum", announce)


def told(world: World, kind: str) -> list[list[int]]:
    """By trainer, the rounds of its notices of a kind."""
    return [[notice.round for who, notice in world.notices if (who, notice.kind) == (name, kind)] for name in TRAINERS]


def everybody(world: World, *kinds: str) -> Callable[[], bool]:
    return lambda: all(set(kinds) & set(world.kinds(name)) for name in TRAINERS)


def finish_well(play: Play, agents: list[Agent]) -> None:
    assert play.finish(agents) is State.COMPLETED
    history = play.history()
    assert [sorted(entry.submissions) for entry in history.rounds] == [[0, 1, 2], [0, 1, 2]]
    assert [entry.settled.settlement.unopened for entry in history.rounds if entry.settled] == [0, 0]
    assert not history.disputed
    assert audit_job(play.world.watcher("auditor"), play.job_id).ok


def test_trainers_train_the_next_round_while_one_is_proved(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, *trainers = play.agents()
    meanwhile(monkeypatch, lambda: step_until(trainers, everybody(play.world, "ahead")))
    finish_well(play, [judge, *trainers])
    assert told(play.world, "trained") == [[1, 2]] * 3
    assert told(play.world, "ahead") == [[2]] * 3
    assert play.world.kinds("aggregator").count("announced") == 1, "after the last round nobody trains"


def test_what_is_settled_otherwise_than_announced_is_trained_again(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, *trainers = play.agents()
    announced(monkeypatch, lambda truth: [(truth[0] & (truth[0] - 1), *truth[1:])])  # one selected less: a longer step
    meanwhile(monkeypatch, lambda: step_until(trainers, everybody(play.world, "ahead")))
    finish_well(play, [judge, *trainers])
    assert told(play.world, "trained") == [[1, 2, 2]] * 3


def test_who_dies_with_an_update_made_ahead_makes_it_again(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, *trainers = play.agents()
    meanwhile(monkeypatch, lambda: step_until(trainers, everybody(play.world, "ahead")))
    step_until([judge, *trainers], lambda: len(play.history().settled) == 1)
    finish_well(play, [judge, *(play.trainer(number) for number in range(3))])
    assert told(play.world, "trained") == [[1, 2, 2]] * 3


def test_a_sum_that_does_not_open_is_not_gone_on_with(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, *trainers = play.agents()
    announced(monkeypatch, lambda truth: [(truth[0], bytes([truth[1][0] ^ 1]) + truth[1][1:], truth[2])])
    meanwhile(monkeypatch, lambda: step_until(trainers, everybody(play.world, "not-ahead")))
    finish_well(play, [judge, *trainers])
    assert told(play.world, "trained") == [[1, 2]] * 3


def test_announcements_without_end_are_not_trained_on_without_end(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, *trainers = play.agents()
    market, account = play.world.chain.market, play.aggregator.me.account

    def announce_on() -> None:
        step_until(trainers, everybody(play.world, "ahead"))
        event = play.history().rounds[0].announced
        assert event is not None
        for selected in (0b001, 0b010, 0b100):
            market.announce_sum(account, play.job_id, 1, selected, event.sum_commitment, event.sum_cid)
            for trainer in trainers:
                trainer.step()

    meanwhile(monkeypatch, announce_on)
    finish_well(play, [judge, *trainers])
    assert told(play.world, "ahead") == [[2] * ANNOUNCEMENTS] * 3


def test_an_announcement_that_cannot_be_sent_keeps_no_round(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise ChainError("out of coin.")

    monkeypatch.setattr(Market, "announce_sum", refuse)
    finish_well(play, play.agents())
    assert play.world.kinds("aggregator").count("unannounced") == 1


def test_an_announcement_of_before_a_void_says_nothing(play: Play) -> None:
    judge, *trainers = play.agents()
    market, account = play.world.chain.market, play.aggregator.me.account
    step_until([judge, *trainers], lambda: (job := market.job(play.job_id)).state is State.RUNNING and job.complete)
    market.announce_sum(account, play.job_id, 1, 0b111, bytes(32), "bafysum")
    assert play.history().rounds[0].announced is not None
    market.void_round(account, play.job_id, 1, 0b111)
    assert play.history().rounds[0].announced is None
    assert not play.history().findings
