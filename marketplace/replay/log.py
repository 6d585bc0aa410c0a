"""The walk along a job's log: each call, and the events after it against those that must follow."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

from marketplace.domain import ConfirmationOpened, Credited, Ejected, Ended, Event, JobCreated, RoundOpened
from marketplace.errors import AuditFailed
from marketplace.replay.due import Due, described, plain
from marketplace.replay.history import JobHistory
from marketplace.replay.rules import Rules

_CONSEQUENCES = (Credited, Ejected, RoundOpened, ConfirmationOpened, Ended)
_ALIKE = 0.5  # above this likeness (difflib's ratio), credits without a call of their own are taken for a job's end


def replay(events: Iterable[Event]) -> JobHistory:
    """Rebuilds one job from all of its events, in their order.

    Differences become `findings`; the replay goes on with what the rules say, or, where an event has no cause in the
    log, with the event. Raises AuditFailed when the events do not begin with the job's creation: without its terms
    there is nothing to hold them against.
    """
    log = list(events)
    first = log[0] if log else None
    if not isinstance(first, JobCreated):
        what = type(first).__name__ if first else "nothing"
        raise AuditFailed(f"The job's events begin with {what}, not its creation: read them from the deployment on.")
    rules = Rules(first)
    history = rules.history
    for before, event in pairwise(log):
        history.must(event, event.place > before.place, "place in the log", f"after {before.place}", str(event.place))
        history.must(event, event.job_id == first.job_id, f"job of {described(event)}", first.job_id, event.job_id)
    log = [event for event in log if event.job_id == first.job_id]

    position = 1
    while position < len(log):
        event = log[position]
        history.phase = f"round {history.rounds[-1].number}" if history.rounds else "enrolment"
        called = not isinstance(event, _CONSEQUENCES)
        start = stop = position + called
        while stop < len(log) and isinstance(log[stop], _CONSEQUENCES) and log[stop].transaction == event.transaction:
            stop += 1
        run = log[start:stop]
        if called:
            position = start + _compare(history, event, rules.take(event), run)
        elif _alike(rules.ending(event), run):
            position = start + _compare(history, event, rules.take_ending(event), run)
        else:
            rules.take_stray(event)
            position += 1
    return history


def _matcher(due: Sequence[Due], run: Sequence[Event]) -> SequenceMatcher[tuple[object, ...]]:
    return SequenceMatcher(None, [one.key for one in due], [Due.key_of(event) for event in run], autojunk=False)


def _alike(ending: Sequence[Due], run: Sequence[Event]) -> bool:
    """Whether consequences without a call of their own are the job's end by a call without an event, or nearly so."""
    return _matcher(ending, run).ratio() > _ALIKE


def _compare(history: JobHistory, call: Event, due: Sequence[Due], run: Sequence[Event]) -> int:
    """Holds the events that follow a call against those that must; returns how many of them are the call's."""
    taken = 0
    for kind, low, high, start, stop in _matcher(due, run).get_opcodes():
        if kind == "insert" and low == len(due):
            continue  # behind all that was due: another call's
        taken = max(taken, stop)
        paired = min(high - low, stop - start)
        for one, event in zip(due[low : low + paired], run[start : start + paired], strict=True):
            _compare_one(history, one, event)
        for one in due[low + paired : high]:
            history.must(call, False, one.what, one.described(), "missing")
        for event in run[start + paired : stop]:
            history.must(event, False, described(event), "absent", "present")
    return taken


def _compare_one(history: JobHistory, due: Due, event: Event) -> None:
    if type(event) is not due.kind:
        history.must(event, False, due.what, due.described(), described(event))
        return
    for name, expected in due.fields.items():
        found = getattr(event, name)
        history.must(event, found == expected, f"{due.what}, {name}", plain(expected), plain(found))
