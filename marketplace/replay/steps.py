"""What calls of several phases have in common: deadlines, seats, money, and the way from one round to the next."""

from collections.abc import Sequence

from aggregator.points import rate_after
from marketplace.domain import (
    ZERO_ADDRESS,
    ConfirmationOpened,
    Credited,
    Ejected,
    Ended,
    Event,
    JobCreated,
    Reason,
    RoundOpened,
    State,
)
from marketplace.replay.due import Due, described, plain
from marketplace.replay.history import JobHistory, Round


class Steps:
    """A job, and what the calls of several phases do to it."""

    def __init__(self, created: JobCreated) -> None:
        self.history = JobHistory(created, escrow=created.terms.escrow, rate=created.terms.rate)
        self._terms = created.terms

    @property
    def _started(self) -> bool:
        return self.history.state in (State.RUNNING, State.CONFIRMING)

    @property
    def _round(self) -> Round:
        return self.history.rounds[-1]

    def _over(self, event: Event) -> None:
        state = self.history.state
        self.history.must(event, state.over, f"state at {described(event)}", "over", plain(state))

    def _in(self, required: State, event: Event) -> bool:
        state = self.history.state
        self.history.must(event, state is required, f"state at {described(event)}", plain(required), plain(state))
        return state is required

    def _by(self, deadline: int, event: Event) -> None:
        in_time = event.timestamp <= deadline
        self.history.must(event, in_time, f"time of {described(event)}", f"at most {deadline}", event.timestamp)

    def _after(self, deadline: int, event: Event, what: str) -> None:
        self.history.must(event, event.timestamp > deadline, what, f"after {deadline}", event.timestamp)

    def _unsubmitted(self, event: Event, slot: int) -> None:
        """That a slot is still free to submit, to leave or to dispute."""
        self._by(self.history.submit_by, event)
        self.history.must(event, not self.history.delivering, described(event), "while updates are made", "later")
        submitted = bool(self.history.submitted >> slot & 1)
        self.history.must(event, not submitted, described(event), "before it submitted", "after it submitted")

    def _keyed(self, event: Event) -> None:
        published = self.history.key_published is not None
        self.history.must(event, published, f"job key at {described(event)}", "published", "not published")

    def _payee(self, event: Event, slot: int) -> str:
        who = self.history.holders.get(slot)
        self.history.must(event, who is not None, f"holder of seat {slot}", "a trainer", "nobody")
        return who.payee if who else ZERO_ADDRESS

    def _retire(self, event: Event, slot: int) -> None:
        who = self.history.holders.pop(slot, None)
        if who:
            who.until = event
            who.opened_before = who.opened(self.history.settled_rounds)

    def _missing(self, submitted: int) -> list[int]:
        """Counts who has missed the round; returns the slots that reached the limit."""
        missing = []
        for slot, who in sorted(self.history.holders.items()):
            if submitted >> slot & 1:
                who.missed = 0
            elif slot not in self.history.disputed and slot not in self._round.undelivered:
                who.missed += 1
                if who.missed == self._terms.max_missed:
                    missing.append(slot)
        return missing

    def _eject(self, event: Event, ejected: Sequence[int]) -> list[Due]:
        due: list[Due] = []
        slash = self._terms.slash
        rest = self._terms.stake - slash
        for slot in ejected:
            due.append(Due(Ejected, {"slot": slot, "slashed": slash}, f"ejection of seat {slot}"))
            due += self._credit(self._payee(event, slot), rest, Reason.STAKE, f"rest of the stake of seat {slot}")
            self.history.holders[slot].staked = False
            self.history.pot += slash
            self._retire(event, slot)
        return self._counted(due)

    def _advance(self, event: Event, *, ended: bool = False) -> list[Due]:
        """ended: the owner's wish that this round be the last one is to be met."""
        if ended or self._round.number == self._terms.rounds:
            return self._finish(event, State.COMPLETED)
        self.history.rate = rate_after(self.history.rate, self._terms.rate_decay)
        return self._open(event, self._round.number + 1)

    def _open(self, event: Event, number: int) -> list[Due]:
        self._disputing()
        self.history.rounds.append(Round(number, *self._phases(event), self.history.accepted))
        return [self._opened(self._round)]

    def _phases(self, event: Event) -> tuple[int, int]:
        """The end of a submitting phase that begins with an event, and that of the settling phase after it."""
        submit_by = event.timestamp + self._terms.submit_window
        return submit_by, submit_by + self._terms.settle_window

    def _disputing(self) -> None:
        """Begins a phase in which trainers can dispute the last sum."""
        self.history.quorum = min(self._terms.max_faulty + 1, len(self.history.holders))
        self.history.disputed.clear()

    def _opened(self, round: Round) -> Due:
        fields = {"round": round.number, "submit_by": round.submit_by, "settle_by": round.settle_by}
        return Due(RoundOpened, fields, f"opening of round {round.number}")

    def _credit(self, payee: str, amount: int, reason: Reason, what: str) -> list[Due]:
        fields: dict[str, int | str] = {"payee": payee, "token": self._terms.token, "amount": amount, "reason": reason}
        return [Due(Credited, fields, what)] if amount else []

    def _compensation(self) -> tuple[list[Due], int]:
        """What those get whom an aggregator that failed has wronged, and what of the bond does not divide."""
        history, bond = self.history, self._terms.bond
        wronged = sorted(self._round.delivered if history.key_published else history.holders)
        share = bond // len(wronged) if wronged else 0
        due: list[Due] = []
        for slot in wronged:
            payee = history.holders[slot].payee if slot in history.holders else ZERO_ADDRESS
            due += self._credit(payee, share, Reason.COMPENSATION, f"compensation of seat {slot}")
        return due, bond - share * len(wronged)

    def _compensate(self) -> list[Due]:
        due, rest = self._compensation()
        self.history.pot += rest
        self.history.bonded = False
        return self._counted(due)

    def _finishing(
        self, event: Event, outcome: State, *, bonded: bool | None = None, pot: int | None = None
    ) -> list[Due]:
        """What must follow when no round does. bonded, pot: of the job, where they are others by then."""
        if self.history.settled_rounds == 0:
            return self._closing(outcome, bonded=bonded, pot=pot)
        confirm_by = event.timestamp + self._terms.confirm_window
        reveal_by = event.timestamp + self._terms.reveal_window if self.history.rows_due else 0
        fields: dict[str, int | str] = {"confirm_by": confirm_by, "reveal_by": reveal_by, "outcome": outcome}
        return [Due(ConfirmationOpened, fields, "opening of the confirmation")]

    def _finish(self, event: Event, outcome: State) -> list[Due]:
        """Applies that no round follows."""
        history = self.history
        if history.settled_rounds == 0:
            return self._close(outcome)
        due = self._finishing(event, outcome)
        self._round.active = self._round.active or history.active
        history.reveal_by = event.timestamp + self._terms.reveal_window if history.rows_due else 0
        history.confirm_by = event.timestamp + self._terms.confirm_window
        self._disputing()
        history.state, history.outcome = State.CONFIRMING, outcome
        return due

    def _closing(self, outcome: State, *, bonded: bool | None = None, pot: int | None = None) -> list[Due]:
        """What must follow when the job is over: fees, bond and what no settled round needs. The rest is claimed."""
        history, terms = self.history, self._terms
        bonded, pot = history.bonded if bonded is None else bonded, history.pot if pot is None else pot
        payee = history.accepted.payee if history.accepted else ZERO_ADDRESS
        due = self._credit(payee, self._fees, Reason.FEE, "fees of the aggregator")
        due += self._credit(payee, terms.bond if bonded else 0, Reason.BOND, "bond")
        due += self._credit(history.created.owner, self._refund, Reason.REFUND, "refund of the owner")
        fields: dict[str, int | str] = {"state": outcome, "pot": pot + terms.reward * history.settled_rounds}
        return [*due, Due(Ended, fields, "end of the job")]

    def _close(self, outcome: State) -> list[Due]:
        """Applies an end."""
        history = self.history
        due = self._counted(self._closing(outcome))
        if history.rounds and not history.rounds[-1].active:
            history.rounds[-1].active = history.active
        history.escrow += history.pot - self._fees - self._refund
        history.pot += self._terms.reward * history.settled_rounds
        history.disputed.clear()
        history.bonded, history.state = False, outcome
        return due

    @property
    def _fees(self) -> int:
        """Of the rounds that this aggregator settled, where they are not burnt."""
        history = self.history
        return 0 if history.fees_burnt else self._terms.fee * (history.settled_rounds - history.settled_before)

    @property
    def _refund(self) -> int:
        """What of the owner's money no settled round needs."""
        history, terms = self.history, self._terms
        needed = terms.reward * history.settled_rounds + terms.fee * history.owed.total()
        return history.escrow - needed - self._fees

    def _counted(self, due: list[Due]) -> list[Due]:
        for one in due:
            if one.kind is Credited:
                self.history.credits[str(one.fields["payee"])] += int(one.fields["amount"])
        return due
