"""Calls before the first round: who aggregates, who takes part."""

from marketplace.domain import (
    ZERO_ADDRESS,
    AggregationAccepted,
    Joined,
    Left,
    Reason,
    Started,
    State,
)
from marketplace.replay.due import Due
from marketplace.replay.history import Enrolled
from marketplace.replay.steps import Steps


class Enrolling(Steps):
    """While a job is open."""

    def _accept(self, event: AggregationAccepted) -> list[Due]:
        history, named = self.history, self._terms.aggregator
        self._by(self._terms.enrol_by, event)
        history.must(event, named in (ZERO_ADDRESS, event.aggregator), "aggregator", named, event.aggregator)
        first = history.accepted.aggregator if history.accepted else ""
        history.must(event, not first, "aggregator", first, event.aggregator)
        history.accepted, history.bonded = event, True
        return []

    def _join(self, event: Joined) -> list[Due]:
        history, holders, most = self.history, self.history.holders, self._terms.max_trainers
        self._by(self._terms.enrol_by, event)
        history.must(event, len(holders) < most, "trainers when another joined", f"fewer than {most}", len(holders))
        free = next(slot for slot in range(len(holders) + 1) if slot not in holders)
        history.must(event, event.slot == free, f"seat of {event.operator}", free, event.slot)
        twice = any(who.operator == event.operator for who in holders.values())
        history.must(event, not twice, f"places of {event.operator}", "one", "two")
        who = Enrolled(event.slot, event.operator, event.payee, event.encryption_key, event.timestamp)
        history.enrolled.append(who)
        holders[event.slot] = who
        return []

    def _leave(self, event: Left) -> list[Due]:
        history, running = self.history, self.history.state is State.RUNNING
        if running:
            self._unsubmitted(event, event.slot)
        payee = self._payee(event, event.slot)
        who = history.holders.get(event.slot)
        due: list[Due] = []
        if who is not None and not (running and who.strikes >= self._terms.max_strikes):
            who.staked = False
            due = self._counted(self._credit(payee, self._terms.stake, Reason.STAKE, f"stake of seat {event.slot}"))
        self._retire(event, event.slot)
        return due + (self._finish(event, State.ABORTED) if running and not history.holders else [])

    def _start(self, event: Started) -> list[Due]:
        history, terms, trainers = self.history, self._terms, len(self.history.holders)
        enough = trainers >= terms.min_trainers and event.timestamp > terms.enrol_by
        wanted = f"{terms.max_trainers}, or {terms.min_trainers} after {terms.enrol_by}"
        history.must(event, trainers == terms.max_trainers or enough, "trainers at the start", wanted, trainers)
        history.must(event, history.accepted is not None, "aggregators at the start", 1, 0)
        history.state, history.started, history.members = State.RUNNING, event, history.active
        return self._open(event, 1)
