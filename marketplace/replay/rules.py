"""The market's rules, as the contract applies them: each call changes the job, and makes certain events follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from marketplace.domain import (
    ZERO_ADDRESS,
    AggregationAccepted,
    ConfirmationOpened,
    Credited,
    Disputed,
    Ejected,
    Ended,
    Event,
    HandedOver,
    JobCreated,
    Joined,
    KeyPublished,
    Left,
    OpeningShown,
    Reason,
    RoundOpened,
    RoundSettled,
    RoundSkipped,
    Rule,
    Started,
    State,
    TakenOver,
    UpdateSubmitted,
    ValidationRevealed,
    divide,
    slots,
)
from marketplace.replay.history import Enrolled, JobHistory, Round

BPS = 10_000
MAX_COEFFICIENT = 4096  # all of an update
_KEYS = ("payee", "reason", "slot", "round")  # what tells events of one type from another


@dataclass(frozen=True, slots=True)
class Due:
    """An event that must follow a call: its type, its fields, and what it is for a person."""

    kind: type[Event]
    fields: Mapping[str, int | str]
    what: str

    @property
    def key(self) -> tuple[object, ...]:
        return self.kind, *(self.fields.get(name) for name in _KEYS)

    @staticmethod
    def key_of(event: Event) -> tuple[object, ...]:
        return type(event), *(getattr(event, name, None) for name in _KEYS)

    def described(self) -> str:
        return f"{self.kind.__name__}: " + ", ".join(f"{name} {plain(value)}" for name, value in self.fields.items())


class Rules:
    """One job. What a call may not do becomes a finding; it is applied all the same, as far as it makes sense."""

    def __init__(self, created: JobCreated) -> None:
        self.history = JobHistory(created, escrow=created.terms.escrow)
        self._terms = created.terms

    def take(self, event: Event) -> list[Due]:
        """Applies a call that has an event of its own; returns the events that must follow, in order."""
        match event:
            case AggregationAccepted() if self._in(State.OPEN, event):
                return self._accept(event)
            case Joined() if self._in(State.OPEN, event):
                return self._join(event)
            case Started() if self._in(State.OPEN, event):
                return self._start(event)
            case Left() if self._started or self._in(State.OPEN, event):
                return self._leave(event)
            case KeyPublished() if self._in(State.RUNNING, event):
                return self._publish_key(event)
            case UpdateSubmitted() if self._in(State.RUNNING, event):
                return self._submit(event)
            case RoundSettled() if self._in(State.RUNNING, event):
                return self._settle(event)
            case RoundSkipped() if self._in(State.RUNNING, event):
                return self._skip(event)
            case TakenOver() if self._in(State.RUNNING, event):
                return self._take_over(event)
            case HandedOver() if self._in(State.RUNNING, event):
                return self._hand_over(event)
            case Disputed() if self._started or self._in(State.RUNNING, event):
                return self._dispute(event)
            case OpeningShown():
                known = event.slot in self.history.participants
                self.history.must(event, known, f"holder of slot {event.slot}", "a trainer", "nobody")
                self.history.shown.append(event)
            case ValidationRevealed():
                state = self.history.state
                self.history.must(event, state.over, f"state at {described(event)}", "over", plain(state))
                self.history.revealed.append(event)
            case JobCreated():
                self.history.must(event, False, described(event), "absent", "present")
        return []

    def ending(self) -> list[Due]:
        """What must follow a call without an event of its own: `cancel`, `abort` or `complete`, by the state.

        That `cancel` came from somebody who may is not to be seen in events; the contract alone holds that.
        """
        match self.history.state:
            case State.OPEN:
                return self._ended(State.CANCELLED)
            case State.RUNNING if self.history.unready:
                return self._ended(State.ABORTED)
            case State.RUNNING:
                return self._aborted()
            case State.CONFIRMING:
                return self._ended(State.COMPLETED)
        return []

    def take_ending(self, event: Event, ending: list[Due]) -> list[Due]:
        """Applies it. event: the first that followed."""
        history = self.history
        if history.state is State.RUNNING:
            self._failed(event)
            self._after(self.history.takeable_until, event, "time of the abort")
        elif history.state is State.CONFIRMING:
            self._after(history.confirm_by, event, "time of the completion")
        return self._close(ending)

    def take_stray(self, event: Event) -> None:
        """A consequence that nothing in the log brought about: a finding, and believed so that the rest can follow."""
        history = self.history
        history.must(event, False, described(event), "absent", "present")
        match event:
            case Ejected():
                self._remove(event, event.slot)
            case RoundOpened():
                history.state = State.RUNNING
                history.rounds.append(Round(event.round, event.submit_by, event.settle_by))
            case ConfirmationOpened():
                history.state, history.confirm_by = State.CONFIRMING, event.confirm_by
            case Ended() if event.state.over:
                history.state = event.state
                history.holders.clear()
                history.escrow = history.carry = 0

    # ------------------------------------------------------------ enrolling

    def _accept(self, event: AggregationAccepted) -> list[Due]:
        history, named = self.history, self._terms.aggregator
        self._by(self._terms.enrol_by, event)
        history.must(event, named in (ZERO_ADDRESS, event.aggregator), "aggregator", named, event.aggregator)
        first = history.accepted.aggregator if history.accepted else ""
        history.must(event, not first, "aggregator", first, event.aggregator)
        history.accepted = event
        return []

    def _join(self, event: Joined) -> list[Due]:
        history, holders, most = self.history, self.history.holders, self._terms.max_trainers
        self._by(self._terms.enrol_by, event)
        history.must(event, len(holders) < most, "trainers when another joined", f"fewer than {most}", len(holders))
        free = next(slot for slot in range(len(holders) + 1) if slot not in holders)
        history.must(event, event.slot == free, f"slot of {event.operator}", free, event.slot)
        twice = any(who.operator == event.operator for who in holders.values())
        history.must(event, not twice, f"places of {event.operator}", "one", "two")
        who = Enrolled(event.slot, event.operator, event.payee, event.encryption_key)
        history.enrolled.append(who)
        holders[event.slot] = who
        return []

    def _leave(self, event: Left) -> list[Due]:
        history = self.history
        started, confirming = self._started, history.state is State.CONFIRMING
        if started and not confirming:
            self._unsubmitted(event, event.slot)
        payee = self._payee(event, event.slot)
        due = self._counted(self._credit(payee, self._terms.stake, Reason.STAKE, f"stake of slot {event.slot}"))
        self._remove(event, event.slot)
        if not started or history.holders:
            return due
        return due + self._close(self._ended(State.COMPLETED if confirming else State.ABORTED))

    def _start(self, event: Started) -> list[Due]:
        history, terms, trainers = self.history, self._terms, len(self.history.holders)
        enough = trainers >= terms.min_trainers and event.timestamp > terms.enrol_by
        wanted = f"{terms.max_trainers}, or {terms.min_trainers} after {terms.enrol_by}"
        history.must(event, trainers == terms.max_trainers or enough, "trainers at the start", wanted, trainers)
        history.must(event, history.accepted is not None, "aggregators at the start", 1, 0)
        history.state, history.started = State.RUNNING, event
        return self._open(event, 1)

    # ------------------------------------------------------------ rounds

    def _publish_key(self, event: KeyPublished) -> list[Due]:
        self._by(self._round.submit_by, event)
        self.history.must(event, self.history.key_published is None, "publishing of the job key", "once", "again")
        self.history.key_published = event
        self.history.keys.append((self._round.aggregator, event))
        return []

    def _submit(self, event: UpdateSubmitted) -> list[Due]:
        history, current, what = self.history, self._round, described(event)
        self._unsubmitted(event, event.slot)
        self._keyed(event)
        history.must(event, event.round == current.number, f"round of {what}", current.number, event.round)
        self._payee(event, event.slot)
        history.must(event, any(event.commitment), f"commitment of {what}", "some", "none")
        current.submissions[event.slot] = event
        return []

    def _settle(self, event: RoundSettled) -> list[Due]:
        history, terms, current, judged = self.history, self._terms, self._round, event.settlement
        submitted = history.submitted
        self._judged(event, submitted)

        current.settled, current.active = event, history.active
        last = current.number == terms.rounds
        missing, struck = self._tally(submitted, submitted & ~judged.selected & ~judged.unopened)
        slashed = self._slash * (len(missing) + len(struck))
        current.pot = terms.reward + history.carry + (slashed if last else 0)
        history.must(event, event.pot == current.pot, "pot", current.pot, event.pot)
        current.pays = dict(zip(slots(judged.selected), divide(current.pot, judged.weights), strict=False))
        history.escrow += current.pot - sum(current.pays.values()) - terms.reward
        history.carry = 0 if last else slashed
        history.empty_rounds = 0

        due: list[Due] = []
        for slot, pay in current.pays.items():
            due += self._credit(self._payee(event, slot), pay, Reason.PAY, f"pay of slot {slot}")
        due += self._pay_fee()
        history.fee_due = True
        due += self._eject(event, missing, False) + self._eject(event, struck, True)
        return self._counted(due) + self._advance(event, broken=not history.holders and not last)

    def _judged(self, event: RoundSettled, submitted: int) -> None:
        """Whether the settlement came when it may, and says what it may."""
        history, terms, current, judged = self.history, self._terms, self._round, event.settlement
        self._by(current.settle_by, event)
        early = submitted != history.active and event.timestamp <= current.submit_by
        history.must(event, not early, f"time of {described(event)}", f"after {current.submit_by}", event.timestamp)
        history.must(event, event.round == current.number, "settled round", current.number, event.round)
        history.must(event, event.submitted == submitted, "submitted slots", _slots(submitted), _slots(event.submitted))
        history.must(event, submitted != 0, "submitted slots", "some", "none")
        stray = (judged.selected | judged.unopened) & ~submitted
        history.must(event, not stray, "slots judged without a submission", "none", _slots(stray))
        both = judged.selected & judged.unopened
        history.must(event, not both, "slots both selected and unopened", "none", _slots(both))
        unopened, most = judged.unopened.bit_count(), terms.max_faulty
        history.must(event, unopened <= most, "unopened submissions", f"at most {most}", unopened)
        selected = judged.selected.bit_count()
        history.must(event, len(judged.weights) == selected, "number of weights", selected, len(judged.weights))
        history.must(
            event, bool(judged.sum_cid) == bool(selected), "CID of the sum", "where slots are selected", "else"
        )
        opened = submitted & ~judged.unopened != 0
        committed = any(judged.sum_commitment)
        history.must(event, committed == opened, "commitment of the sum", "where submissions are opened", "else")
        ruled = terms.rule is Rule.REFERENCE
        coefficients, most = judged.coefficients, MAX_COEFFICIENT
        wanted = selected if ruled else 0
        history.must(event, len(coefficients) == wanted, "number of coefficients", wanted, len(coefficients))
        largest = max(coefficients, default=0)
        history.must(event, largest <= most, "coefficients", f"at most {most}", largest)
        rows = bool(judged.reference_cid) == any(judged.reference_commitment) == (ruled and opened)
        history.must(event, rows, "reference rows", f"as the rule {terms.rule.label} has them", "else")

    def _skip(self, event: RoundSkipped) -> list[Due]:
        history, terms, current = self.history, self._terms, self._round
        self._keyed(event)
        self._after(current.submit_by, event, f"time of {described(event)}")
        history.must(event, event.round == current.number, "skipped round", current.number, event.round)
        submitted = history.submitted
        history.must(event, not submitted, "submitted slots of a skipped round", "none", _slots(submitted))

        current.skipped, current.active = event, history.active
        missing, _ = self._tally(0, 0)
        refund = terms.reward + terms.fee
        history.escrow -= refund
        history.carry += self._slash * len(missing)
        history.empty_rounds += 1
        due = self._credit(history.created.owner, refund, Reason.REFUND, "refund of the skipped round")
        due += self._pay_fee()
        due = self._counted(due + self._eject(event, missing, False))
        broken = not history.holders or history.empty_rounds == terms.max_empty_rounds
        return due + self._advance(event, broken=broken)

    # ------------------------------------------------------------ when the aggregator fails

    def _failed(self, event: Event) -> None:
        waited = self.history.key_published is None or self.history.submitted != 0
        self.history.must(event, waited, "submissions in the round of an aggregator that failed", "some", "none")

    def _take_over(self, event: TakenOver) -> list[Due]:
        history, current = self.history, self._round
        history.must(event, event.round == current.number, "round taken over", current.number, event.round)
        self._failed(event)
        self._after(self.history.failed_after, event, "time of the takeover")
        self._by(self.history.takeable_until, event)

        due = self._counted(self._pay_fee())
        compensation, rest = self._compensation(self._terms.bond)
        due += self._counted(compensation)
        history.carry += rest
        history.accepted = event
        history.takeovers.append(event)
        history.key_published = None
        history.handed_over.clear()
        current.failed += current.submissions.values()
        current.submissions = {}
        current.judge = event
        current.attempts += 1
        current.submit_by, current.settle_by = self._phase(event)
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
        number = self._round.number
        history.must(event, event.round == number, f"round of {what}", number, event.round)
        history.must(event, event.slot not in history.disputed, what, "once", "again")
        history.disputed.add(event.slot)
        if len(history.disputed) < history.quorum:
            return []
        fee = self._due_fee
        history.escrow -= fee
        history.fee_due = False
        burnt = self._credit(ZERO_ADDRESS, self._terms.bond + fee, Reason.BURNT, "what is burnt")
        return self._close(burnt + self._emptied(State.ABORTED, history.carry))

    # ------------------------------------------------------------ steps

    @property
    def _started(self) -> bool:
        return self.history.state in (State.RUNNING, State.CONFIRMING)

    @property
    def _round(self) -> Round:
        return self.history.rounds[-1]

    @property
    def _slash(self) -> int:
        return self._terms.stake * self._terms.slash_bps // BPS

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
        submitted = bool(self.history.submitted >> slot & 1)
        self.history.must(event, not submitted, described(event), "before it submitted", "after it submitted")

    def _keyed(self, event: Event) -> None:
        published = self.history.key_published is not None
        self.history.must(event, published, f"job key at {described(event)}", "published", "not published")

    def _payee(self, event: Event, slot: int) -> str:
        who = self.history.holders.get(slot)
        self.history.must(event, who is not None, f"holder of slot {slot}", "a trainer", "nobody")
        return who.payee if who else ZERO_ADDRESS

    def _remove(self, event: Event, slot: int) -> None:
        who = self.history.holders.pop(slot, None)
        if who:
            who.until = event

    def _tally(self, submitted: int, outliers: int) -> tuple[list[int], list[int]]:
        """Counts the round for each trainer; returns the slots that reached the limit of misses, and of strikes."""
        missing, struck = [], []
        for slot, who in sorted(self.history.holders.items()):
            if not submitted >> slot & 1:
                who.missed += 1
                if who.missed == self._terms.max_missed:
                    missing.append(slot)
                continue
            who.missed = 0
            if outliers >> slot & 1:
                who.strikes += 1
                if who.strikes == self._terms.max_strikes:
                    struck.append(slot)
        return missing, struck

    def _eject(self, event: Event, ejected: Sequence[int], strikes: bool) -> list[Due]:
        due: list[Due] = []
        for slot in ejected:
            fields = {"slot": slot, "strikes": strikes, "slashed": self._slash}
            due.append(Due(Ejected, fields, f"ejection of slot {slot}"))
            rest = self._terms.stake - self._slash
            due += self._credit(self._payee(event, slot), rest, Reason.STAKE, f"rest of the stake of slot {slot}")
            self._remove(event, slot)
        return due

    def _advance(self, event: Event, *, broken: bool) -> list[Due]:
        if broken:
            return self._close(self._ended(State.ABORTED))
        history = self.history
        if self._round.number != self._terms.rounds:
            return self._open(event, self._round.number + 1)
        if not history.fee_due or not history.holders:
            return self._close(self._ended(State.COMPLETED))
        history.confirm_by, _ = self._phase(event)
        self._round.active = self._round.active or history.active
        history.state = State.CONFIRMING
        return [Due(ConfirmationOpened, {"confirm_by": history.confirm_by}, "opening of the confirmation")]

    def _open(self, event: Event, number: int) -> list[Due]:
        self.history.rounds.append(Round(number, *self._phase(event), self.history.accepted))
        return [self._opened(self._round)]

    def _phase(self, event: Event) -> tuple[int, int]:
        """Begins a phase in which trainers can dispute the last sum: its end, and that of a settling phase after it."""
        history = self.history
        history.quorum = min(self._terms.max_faulty + 1, len(history.holders))
        history.disputed.clear()
        submit_by = event.timestamp + self._terms.submit_window
        return submit_by, submit_by + self._terms.settle_window

    def _opened(self, round: Round) -> Due:
        fields = {"round": round.number, "submit_by": round.submit_by, "settle_by": round.settle_by}
        return Due(RoundOpened, fields, f"opening of round {round.number}")

    @property
    def _due_fee(self) -> int:
        return self._terms.fee if self.history.fee_due else 0

    def _fee(self) -> list[Due]:
        """The credit of a due fee."""
        accepted = self.history.accepted
        payee = accepted.payee if accepted else ZERO_ADDRESS
        return self._credit(payee, self._due_fee, Reason.FEE, "fee of the aggregator")

    def _pay_fee(self) -> list[Due]:
        due = self._fee()
        self.history.escrow -= self._due_fee
        self.history.fee_due = False
        return due

    def _credit(self, payee: str, amount: int, reason: Reason, what: str) -> list[Due]:
        fields: dict[str, int | str] = {"payee": payee, "token": self._terms.token, "amount": amount, "reason": reason}
        return [Due(Credited, fields, what)] if amount else []

    def _ended(self, state: State) -> list[Due]:
        """An end that is not the aggregator's fault."""
        accepted = self.history.accepted
        bond = self._credit(accepted.payee, self._terms.bond, Reason.BOND, "bond") if accepted else []
        return self._fee() + bond + self._emptied(state, self.history.carry)

    def _aborted(self) -> list[Due]:
        """An end that is: bond and carry go to those who waited for it."""
        compensation, rest = self._compensation(self._terms.bond + self.history.carry)
        return self._fee() + compensation + self._emptied(State.ABORTED, rest)

    def _compensation(self, pot: int) -> tuple[list[Due], int]:
        """What those get whom an aggregator that failed has wronged, and what does not divide."""
        history = self.history
        wronged = sorted(self._round.submissions if history.key_published else history.holders)
        share = pot // len(wronged) if wronged else 0
        due: list[Due] = []
        for slot in wronged:
            payee = history.holders[slot].payee if slot in history.holders else ZERO_ADDRESS
            due += self._credit(payee, share, Reason.COMPENSATION, f"compensation of slot {slot}")
        return due, pot - share * len(wronged)

    def _emptied(self, state: State, carry: int) -> list[Due]:
        """Stakes and what is left go back; a due fee is somebody else's."""
        history = self.history
        rest = history.escrow - self._due_fee + carry
        due: list[Due] = []
        for slot, who in sorted(history.holders.items()):
            due += self._credit(who.payee, self._terms.stake, Reason.STAKE, f"stake of slot {slot}")
        due += self._credit(history.created.owner, rest, Reason.REFUND, "refund of the owner")
        return [*due, Due(Ended, {"state": state}, "end of the job")]

    def _close(self, ending: list[Due]) -> list[Due]:
        """Applies an end."""
        history = self.history
        if history.rounds and not history.rounds[-1].active:
            history.rounds[-1].active = history.active
        history.holders.clear()
        history.disputed.clear()
        history.escrow = history.carry = 0
        history.fee_due = False
        history.state = State(int(ending[-1].fields["state"]))
        return self._counted(ending)

    def _counted(self, due: list[Due]) -> list[Due]:
        for one in due:
            if one.kind is Credited:
                self.history.credits[str(one.fields["payee"])] += int(one.fields["amount"])
        return due


def described(event: Event) -> str:
    match event:
        case Credited():
            return f"credit of {event.amount} to {event.payee} ({plain(event.reason)})"
        case Ejected() | UpdateSubmitted() | Joined() | Left() | Disputed() | OpeningShown():
            return f"{type(event).__name__} of slot {event.slot}"
        case RoundOpened() | RoundSettled() | RoundSkipped() | TakenOver():
            return f"{type(event).__name__} of round {event.round}"
    return type(event).__name__


def plain(value: int | str) -> int | str:
    """A value as a finding shows it: enums and booleans in words."""
    if isinstance(value, IntEnum):
        return value.name.lower()
    return str(value).lower() if isinstance(value, bool) else value


def _slots(mask: int) -> str:
    return ", ".join(map(str, slots(mask))) or "none"
