"""The loop that trainers and aggregators run in: look at the chain, do at most one thing, look again.

An agent keeps nothing in memory that it could not read again from the chain, storage and its work folder; so it can be
killed at any point and started again.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
)
from tenacity.nap import sleep_using_event

from marketplace.errors import ChainError, CorruptContent, InputError, StorageError
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


def run(agent: Agent, *, report: Report, poll: float, patience: float, stop: threading.Event) -> None:
    """Steps the agent until it is finished or `stop` is set.

    poll: seconds between two looks when there is nothing to do.
    patience: seconds that an outage of chain or storage, or a full disk, is borne, with growing pauses, before its
    error is raised.
    Corrupt content is never retried.
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
    while not stop.is_set():
        outcome = borne(agent.step)
        if outcome is Step.FINISHED:
            return
        if outcome is Step.WAITING:
            stop.wait(poll)


def passing(error: BaseException) -> bool:
    """Whether an error may pass by itself: an outage of chain or storage, or a disk that is full at the moment."""
    if isinstance(error, InputError):
        return no_room(error.__cause__)
    return isinstance(error, ChainError | StorageError) and not isinstance(error, CorruptContent)
