"""The loop that trainers and aggregators run in: look at the chain, do at most one thing, look again.

An agent keeps nothing in memory that it could not read again from the chain, storage and its work folder; so it can be
killed at any point and started again.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, runtime_checkable

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
)
from tenacity.nap import sleep_using_event

from marketplace.chain.heads import Heads
from marketplace.errors import ChainError, CorruptContent, InputError, MeritError, StorageError
from marketplace.files import no_room


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened, for a person (`text`) and for a program (`kind`, `values`)."""

    kind: str
    text: str
    round: int = 0
    values: dict[str, object] = field(default_factory=dict)


Report = Callable[[Notice], None]


class Step(Enum):
    WORKED = "worked"  # something was done: look again at once
    WAITING = "waiting"  # nothing to do yet
    FINISHED = "finished"  # nothing will ever be left to do


class Agent(Protocol):
    def step(self) -> Step: ...


@runtime_checkable
class Waiting(Protocol):
    """An agent that can say what it waits for."""

    def waiting(self) -> dict[int, str]:
        """By job, a sentence; job 0 stands for none of them."""


TOLD_AFTER = 10.0  # seconds that the same thing is waited for before it is said
LOOKED_AFTER = 3.0  # seconds between two looks at what is waited for


class Patience:
    """Says what is waited for once that has taken TOLD_AFTER seconds, and again where it changes; else nothing.

    clock: seconds that only grow.
    """

    def __init__(self, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._since: dict[int, tuple[str, float]] = {}
        self._told: dict[int, str] = {}
        self._looked: float | None = None

    def look(self, agent: Waiting) -> None:
        now = self._clock()
        if self._looked is not None and now - self._looked < LOOKED_AFTER:
            return
        self._looked = now
        found: dict[int, str] = {}
        with suppress(MeritError):  # the agent's next step meets it too, and says it
            found = agent.waiting()
        for job_id, text in found.items():
            said, since = self._since.get(job_id, ("", now))
            if said != text:
                self._since[job_id] = (text, now)
            elif text and self._told.get(job_id) != text and now - since >= TOLD_AFTER:
                self._told[job_id] = text
                self._report(Notice("waiting", text, values={"job": job_id}))


@runtime_checkable
class Retiring(Protocol):
    """An agent that would lose something if it simply ended."""

    def retire(self, error: BaseException) -> None: ...


def run(
    agent: Agent,
    *,
    report: Report,
    poll: float,
    patience: float,
    stop: threading.Event,
    heads: Heads | None = None,
) -> None:
    """Steps the agent until it is finished or `stop` is set.

    poll: seconds between two looks when there is nothing to do. heads: tells of new blocks, at which it looks too.
    patience: seconds that an outage of chain or storage, or a full disk, is borne, with growing pauses, before its
    error is raised.
    Corrupt content is never retried. An agent that ends with an error, whichever it is, may save what it can before.
    """

    def complain(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        report(Notice("trouble", f"{error} Trying again.", values={"attempt": state.attempt_number}))

    borne = Retrying(
        retry=retry_if_exception(passing),
        wait=wait_exponential(multiplier=poll, max=30),
        stop=stop_after_delay(patience) | stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=complain,
        reraise=True,
    )
    waits = Patience(report)
    if heads is None:
        heads = Heads("", 0)  # of which nothing is heard
    else:
        heads.listen()
    try:
        while not stop.is_set():
            seen, begun = heads.count, time.monotonic()
            outcome = borne(agent.step)
            if outcome is Step.FINISHED:
                return
            if isinstance(agent, Waiting):
                waits.look(agent)
            if outcome is Step.WAITING:
                took = time.monotonic() - begun
                if heads.wait(seen, poll, stop):
                    stop.wait(min(took, poll) / 4)  # many blocks at once take few looks
    except Exception as error:
        if isinstance(agent, Retiring) and not stop.is_set():
            _retire(agent, error, report)
        raise


def _retire(agent: Retiring, error: Exception, report: Report) -> None:
    try:
        agent.retire(error)
    except Exception as another:  # noqa: BLE001 (the first error is the one that is raised)
        report(Notice("trouble", f"This process ends, and could not leave its job: {another}"))


def passing(error: BaseException) -> bool:
    """Whether an error may pass by itself: an outage of chain or storage, or a disk that is full at the moment."""
    if isinstance(error, InputError):
        return no_room(error.__cause__)
    return isinstance(error, ChainError | StorageError) and not isinstance(error, CorruptContent)
