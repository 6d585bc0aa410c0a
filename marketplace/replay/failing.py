"""Calls when somebody fails: takeovers, disputes, and what is revealed so that there is nothing to dispute."""

from marketplace.domain import (
    ZERO_ADDRESS,
    Disputed,
    Event,
    HandedOver,
    Reason,
    Revealed,
    RowsDisputed,
    State,
    TakenOver,
    Unrevealed,
)
from marketplace.replay.due import Due, described
from marketplace.replay.steps import Steps


class Failing(Steps):
    """When the aggregator fails, or what it showed is disputed."""

    def _failed(self, event: Event) -> None:
        waited = self.history.key_published is None or self.history.delivered != 0
        self.history.must(event, waited, "submissions in the round of an aggregator that failed", "some", "none")

    def _take_over(self, event: TakenOver) -> list[Due]:
        history, current = self.history, self._round
        history.must(event, event.round == current.number, "round taken over", current.number, event.round)
        self._failed(event)
        self._after(self.history.failed_after, event, "time of the takeover")
        self._by(self.history.takeable_until, event)

        due = self._compensate()
        settled = history.settled_rounds
        if history.accepted is not None and settled > history.settled_before:
            history.owed[history.accepted.payee] += settled - history.settled_before
        history.settled_before, history.bonded = settled, True
        history.accepted = event
        history.takeovers.append(event)
        current.delivering, current.undelivered = history.key_published is not None, set(current.submissions)
        current.unopened, current.redelivered, current.announced = {}, [], None
        history.key_published = None
        history.handed_over.clear()
        current.judge = event
        current.attempts += 1
        if not current.delivering:  # else nothing more is submitted: the one that failed may have opened the rest
            self._disputing()
        current.submit_by, current.settle_by = self._phases(event)
        return [*due, self._opened(current)]

    def _hand_over(self, event: HandedOver) -> list[Due]:
        history = self.history
        history.must(event, self.history.unready, "aggregator that waits for what is handed over", "one", "none")
        known = {history.created.owner, *(who.operator for who in history.holders.values())}
        history.must(event, event.sender in known, "who hands over", "the owner or a trainer", event.sender)
        history.handed_over.append(event)
        return []

    def _dispute(self, event: Disputed) -> list[Due]:
        history, what = self.history, described(event)
        self._keyed(event)
        self._unsubmitted(event, event.slot)
        self._payee(event, event.slot)
        number = history.rounds[-1].number if history.rounds else 0
        history.must(event, event.round == number, f"round of {what}", number, event.round)
        history.must(event, event.slot not in history.disputed, what, "once", "again")
        history.must(event, not history.disputed_sum, what, "before bond and fees are burnt", "after")
        history.disputed.add(event.slot)
        if history.disputed_sum or len(history.disputed) < history.quorum:
            return []
        burnt = self._burn_fees() + self._burn_bond()
        history.disputed_sum = True
        due = self._burnt(burnt)
        return due + (self._finish(event, State.ABORTED) if history.state is State.RUNNING else [])

    def _reveal(self, event: Revealed) -> list[Due]:
        history = self.history
        known = {history.created.owner, history.accepted.aggregator if history.accepted else ""}
        history.must(event, event.sender in known, "who reveals", "the owner or the aggregator", event.sender)
        history.must(event, history.rows_due, "rows that can be recomputed", "some", "none")
        self._by(history.reveal_by, event)
        history.reveals.append(event)
        return []

    def _dispute_rows(self, event: RowsDisputed) -> list[Due]:
        history, what = self.history, described(event)
        history.must(event, history.rows_due, "rows that can be recomputed", "some", "none")
        self._by(history.submit_by, event)
        last = history.rounds[-1].number
        history.must(event, event.round <= last, f"round of {what}", f"at most {last}", event.round)
        if event.round == 0:
            self._after(history.reveal_by, event, f"time of {what}")
        who = history.participants.get(event.slot)
        member = bool(history.members >> event.slot & 1)
        opened = who.opened(history.settled_rounds) if who and member else 0
        history.must(event, opened > 0, f"opened submissions of seat {event.slot}", "some", "none")
        history.must(event, event.slot not in history.rows_disputed, what, "once", "again")
        history.rows_disputed.setdefault(event.slot, event.round)
        quorum = history.rows_quorum
        if len(history.rows_disputed) < quorum:
            return []
        burnt = self._burn_fees()
        history.disputed_rows = True
        if len(history.own_rows_disputed) >= quorum:
            burnt += self._burn_bond()
        return self._burnt(burnt)

    def _complete_unrevealed(self, event: Unrevealed) -> list[Due]:
        history = self.history
        self._after(history.confirm_by, event, "time of the completion")
        history.must(event, history.rows_due, "rows that can be recomputed", "some", "none")
        history.must(event, not history.reveals, described(event), "absent", "present")
        burnt = self._burn_fees()
        history.disputed_rows = True
        if history.key_published:  # who took over and has published no key cannot have the data
            burnt += self._burn_bond()
        return self._burnt(burnt) + self._close(history.outcome)

    def _burn_fees(self) -> int:
        """Takes the fees of all settled rounds out of the job, unless they are burnt already."""
        history = self.history
        if history.fees_burnt:
            return 0
        fees = self._terms.fee * history.settled_rounds
        history.escrow -= fees
        history.owed.clear()
        return fees

    def _burn_bond(self) -> int:
        bond = self._terms.bond if self.history.bonded else 0
        self.history.bonded = False
        return bond

    def _burnt(self, amount: int) -> list[Due]:
        return self._counted(self._credit(ZERO_ADDRESS, amount, Reason.BURNT, "what is burnt"))
