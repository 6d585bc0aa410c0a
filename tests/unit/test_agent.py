"""The loop that agents run in: outages are borne, other errors are not, and it stops when told."""

import threading

import pytest

from marketplace.errors import ChainError, CorruptContent, InputError, StorageError
from marketplace.services.agent import Notice, Step, run


class Scripted:
    """An agent whose steps are given: an error to raise or a result."""

    def __init__(self, *script: Step | Exception) -> None:
        self.script = list(script)

    def step(self) -> Step:
        outcome = self.script.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def play(agent: Scripted, *, patience: float = 60.0, stop: threading.Event | None = None) -> list[Notice]:
    notices: list[Notice] = []
    run(agent, report=notices.append, poll=0.001, patience=patience, stop=stop or threading.Event())
    return notices


def test_it_ends_when_the_agent_has_finished() -> None:
    agent = Scripted(Step.WORKED, Step.WAITING, Step.WORKED, Step.FINISHED, Step.WORKED)
    assert play(agent) == []
    assert agent.script == [Step.WORKED]


@pytest.mark.parametrize("error", [ChainError("no chain."), StorageError("no storage.")])
def test_an_outage_is_told_and_borne(error: Exception) -> None:
    notices = play(Scripted(error, error, Step.FINISHED))
    assert [notice.kind for notice in notices] == ["trouble", "trouble"]
    assert str(error) in notices[0].text


@pytest.mark.parametrize("error", [CorruptContent("bad bytes."), InputError("bad input.")])
def test_what_will_not_pass_is_raised_at_once(error: Exception) -> None:
    agent = Scripted(error, Step.FINISHED)
    with pytest.raises(type(error)):
        play(agent)
    assert agent.script == [Step.FINISHED]


def test_an_outage_beyond_patience_is_raised() -> None:
    with pytest.raises(ChainError):
        play(Scripted(*[ChainError("no chain.")] * 50), patience=0.02)


def test_it_stops_between_steps_when_told() -> None:
    stop = threading.Event()

    class Stopping(Scripted):
        def step(self) -> Step:
            stop.set()
            return super().step()

    agent = Stopping(Step.WORKED, Step.WORKED)
    play(agent, stop=stop)
    assert agent.script == [Step.WORKED]
