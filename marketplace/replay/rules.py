"""The market's rules, as the contract applies them: each call changes the job, and makes certain events follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from aggregator.points import gains, rate_after
from marketplace.domain import (
    ZERO_ADDRESS,
    AggregationAccepted,
    Claimed,
    ConfirmationOpened,
    Credited,
    Disputed,
    Ejected,
    EndAsked,
    Ended,
    Event,
    FeesClaimed,
    HandedOver,
    JobCreated,
    Joined,
    KeyPublished,
    Left,
    OpeningShown,
    Reason,
    Redelivered,
    Revealed,
    RoundOpened,
    RoundSettled,
    RoundSkipped,
    RoundVoided,
    RowsDisputed,
    Rule,
    Settlement,
    Started,
    State,
    SumAnnounced,
    TakenOver,
    Unrevealed,
    UpdateSubmitted,
    ValidationRevealed,
    mask_of,
    most_unopened,
    slots,
)
from marketplace.replay.history import Enrolled, JobHistory, Round

MAX_STRIKES = 2**8 - 1  # more are not counted
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
        self.history = JobHistory(created, escrow=created.terms.escrow, rate=created.terms.rate)
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
            case Left() if self.history.state is State.RUNNING or self._in(State.OPEN, event):
                return self._leave(event)
            case KeyPublished() if self._in(State.RUNNING, event):
                return self._publish_key(event)
            case UpdateSubmitted() if self._in(State.RUNNING, event):
                return self._submit(event)
            case SumAnnounced() if self._in(State.RUNNING, event):
                self._judgeable(event, self.history.delivered)
                self._round.announced = event
            case RoundSettled() if self._in(State.RUNNING, event):
                return self._settle(event)
            case RoundSkipped() if self._in(State.RUNNING, event):
                return self._skip(event)
            case RoundVoided() if self._in(State.RUNNING, event):
                return self._void(event)
            case Redelivered() if self._in(State.RUNNING, event):
                return self._redeliver(event)
            case TakenOver() if self._in(State.RUNNING, event):
                return self._take_over(event)
            case HandedOver() if self._in(State.RUNNING, event):
                return self._hand_over(event)
            case Disputed() if self._started or self._in(State.RUNNING, event):
                return self._dispute(event)
            case Revealed() if self._in(State.CONFIRMING, event):
                return self._reveal(event)
            case RowsDisputed() if self._in(State.CONFIRMING, event):
                return self._dispute_rows(event)
            case Unrevealed() if self._in(State.CONFIRMING, event):
                return self._complete_unrevealed(event)
            case EndAsked() if self._in(State.RUNNING, event):
                self.history.must(event, not self.history.end_asked, described(event), "once", "again")
                self.history.end_asked = True
            case Claimed():
                return self._claim(event)
            case FeesClaimed():
                return self._claim_fees(event)
            case OpeningShown():
                known = event.slot in self.history.participants
                self.history.must(event, known, f"holder of seat {event.slot}", "a trainer", "nobody")
                self.history.shown.append(event)
            case ValidationRevealed():
                self._over(event)
                self.history.revealed.append(event)
            case JobCreated():
                self.history.must(event, False, described(event), "absent", "present")
        return []

    def ending(self, event: Event) -> list[Due]:
        """What must follow a call without an event of its own: `cancel`, `abort` or `complete`, by the state.

        event: the first that followed. That `cancel` came from somebody who may is not to be seen in events; the
        contract alone holds that.
        """
        history = self.history
        match history.state:
            case State.OPEN:
                return self._closing(State.CANCELLED)
            case State.RUNNING if history.unready:
                return self._finishing(event, State.ABORTED)
            case State.RUNNING:
                compensation, rest = self._compensation()
                return compensation + self._finishing(event, State.ABORTED, bonded=False, pot=history.pot + rest)
            case State.CONFIRMING:
                return self._closing(history.outcome)
        return []

    def take_ending(self, event: Event) -> list[Due]:
        """Applies it. event: the first that followed."""
        history = self.history
        if history.state is State.OPEN:
            history.members = history.active
            return self._close(State.CANCELLED)
        if history.state is State.RUNNING:
            self._failed(event)
            self._after(history.takeable_until, event, "time of the abort")
            due = [] if history.unready else self._compensate()
            return due + self._finish(event, State.ABORTED)
        self._after(history.confirm_by, event, "time of the completion")
        shown = bool(history.reveals) or not history.rows_due
        history.must(event, shown, "completion of a job that nobody revealed the validation data of", "disputed", "not")
        return self._close(history.outcome)

    def take_stray(self, event: Event) -> None:
        """A consequence that nothing in the log brought about: a finding, and believed so that the rest can follow."""
        history = self.history
        history.must(event, False, described(event), "absent", "present")
        match event:
            case Ejected():
                self._retire(event, event.slot)
            case RoundOpened():
                history.state = State.RUNNING
                history.rounds.append(Round(event.round, event.submit_by, event.settle_by))
            case ConfirmationOpened():
                history.state, history.outcome = State.CONFIRMING, event.outcome
                history.confirm_by, history.reveal_by = event.confirm_by, event.reveal_by
            case Ended() if event.state.over:
                history.state, history.pot, history.escrow = event.state, event.pot, event.pot
                history.bonded = False

    # ------------------------------------------------------------ enrolling

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
        submitted = history.delivered
        self._judgeable(event, submitted)
        self._judged(event, submitted)

        current.called_unopened(judged.unopened)
        current.settled, current.active = event, history.active
        current.gains = self._gains(judged)
        opened = submitted & ~judged.unopened
        for slot, who in history.holders.items():
            if opened >> slot & 1:
                who.balance += current.gains.get(slot, 0)
                who.strikes = min(MAX_STRIKES, who.strikes + (judged.struck >> slot & 1))
            else:
                who.absences += 1
        history.empty_rounds = 0
        due = self._eject(event, self._missing(submitted))
        # Who has submitted is still there, so that a settlement never ends a job for want of trainers.
        return due + self._advance(event, ended=history.end_asked and current.number >= terms.min_rounds)

    def _gains(self, judged: Settlement) -> dict[int, int]:
        """By selected slot, what the settlement adds to its balance."""
        selected, terms = list(slots(judged.selected)), self._terms
        if not selected:
            return {}
        units = gains(
            terms.rule,
            judged.scores,
            rate=self.history.rate,
            exponent=terms.scale_exponent + judged.row_exponent,
            selected=len(selected),
        )
        return dict(zip(selected, units, strict=False))

    def _judgeable(self, event: SumAnnounced | RoundSettled | RoundVoided, submitted: int) -> None:
        """Whether the aggregator judges the round when it may."""
        history, current = self.history, self._round
        self._by(current.settle_by, event)
        complete = submitted == (history.submitted if current.delivering else history.active)
        early = not complete and event.timestamp <= current.submit_by
        history.must(event, not early, f"time of {described(event)}", f"after {current.submit_by}", event.timestamp)
        history.must(event, event.round == current.number, f"round of {described(event)}", current.number, event.round)
        history.must(event, submitted != 0, "submitted seats", "some", "none")

    def _void(self, event: RoundVoided) -> list[Due]:
        history, terms, current = self.history, self._terms, self._round
        submitted = history.delivered
        self._judgeable(event, submitted)
        stray = event.unopened & ~submitted
        history.must(event, not stray, "seats called unopened without a submission", "none", _slots(stray))
        count, most = event.unopened.bit_count(), most_unopened(submitted.bit_count(), terms.max_faulty)
        history.must(event, count > most, "unopened submissions of a void round", f"more than {most}", count)
        last = history.voids >= terms.max_voids
        deliver_by = 0 if last else event.timestamp + terms.settle_window
        settle_by = 0 if last else deliver_by + terms.settle_window
        history.must(event, event.deliver_by == deliver_by, "time to deliver again", deliver_by, event.deliver_by)
        history.must(event, event.settle_by == settle_by, "time to settle then", settle_by, event.settle_by)
        current.announced = None
        current.called_unopened(event.unopened)
        current.voids.append((event, []))
        if last:
            history.escrow -= terms.reward
            due = self._counted(self._credit(ZERO_ADDRESS, terms.reward, Reason.BURNT, "what is burnt"))
            return due + self._finish(event, State.ABORTED)
        history.voids += 1
        current.delivering = True
        current.undelivered |= set(slots(event.unopened))
        current.submit_by, current.settle_by = deliver_by, settle_by
        return []

    def _redeliver(self, event: Redelivered) -> list[Due]:
        history, current, what = self.history, self._round, described(event)
        history.must(event, event.round == current.number, f"round of {what}", current.number, event.round)
        asked = current.delivering and event.slot in current.undelivered
        history.must(event, asked, what, "where its submission did not open, or was made to another", "else")
        self._keyed(event)
        self._by(current.submit_by, event)
        if asked and event.slot in current.submissions:
            current.submissions[event.slot] = replace(current.submissions[event.slot], cid=event.cid)
        current.undelivered.discard(event.slot)
        current.note_delivery(event)
        return []

    def _judged(self, event: RoundSettled, submitted: int) -> None:
        """Whether the settlement says what it may."""
        history, terms, judged = self.history, self._terms, event.settlement
        history.must(event, event.submitted == submitted, "submitted seats", _slots(submitted), _slots(event.submitted))
        stray = (judged.selected | judged.unopened) & ~submitted
        history.must(event, not stray, "seats judged without a submission", "none", _slots(stray))
        both = judged.selected & judged.unopened
        history.must(event, not both, "seats both selected and unopened", "none", _slots(both))
        unopened, most = judged.unopened.bit_count(), most_unopened(submitted.bit_count(), terms.max_faulty)
        history.must(event, unopened <= most, "unopened submissions", f"at most {most}", unopened)
        selected = judged.selected.bit_count()
        history.must(event, len(judged.scores) == selected, "number of scores", selected, len(judged.scores))
        stray = judged.struck & (judged.selected | judged.unopened | ~submitted)
        history.must(event, not stray, "struck seats that are selected or did not open", "none", _slots(stray))
        history.must(
            event, bool(judged.sum_cid) == bool(selected), "CID of the sum", "where seats are selected", "else"
        )
        history.must(event, any(judged.sum_commitment), "commitment of the sum", "some", "none")
        ruled = terms.rule is Rule.REFERENCE
        coefficients, most = judged.coefficients, MAX_COEFFICIENT
        wanted = selected if ruled else 0
        history.must(event, len(coefficients) == wanted, "number of coefficients", wanted, len(coefficients))
        largest = max(coefficients, default=0)
        history.must(event, largest <= most, "coefficients", f"at most {most}", largest)
        rows = bool(judged.reference_cid) == any(judged.reference_commitment) == ruled
        rows = rows and (ruled or judged.row_exponent == 0)
        history.must(event, rows, "reference rows", f"as the rule {terms.rule.label} has them", "else")

    def _skip(self, event: RoundSkipped) -> list[Due]:
        history, terms, current = self.history, self._terms, self._round
        self._keyed(event)
        self._after(current.submit_by, event, f"time of {described(event)}")
        history.must(event, event.round == current.number, "skipped round", current.number, event.round)
        submitted = history.delivered
        history.must(event, not submitted, "submitted seats of a skipped round", "none", _slots(submitted))

        current.skipped, current.active = event, history.active
        history.empty_rounds += 1
        due = self._eject(event, self._missing(0))
        if not history.holders or history.empty_rounds == terms.max_empty_rounds:
            return due + self._finish(event, State.ABORTED)
        return due + self._advance(event)

    # ------------------------------------------------------------ when the aggregator fails

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

    # ------------------------------------------------------------ over

    def _claim(self, event: Claimed) -> list[Due]:
        history, terms, slot = self.history, self._terms, event.slot
        self._over(event)
        member = bool(history.members >> slot & 1)
        history.must(event, member, f"member in seat {slot}", "a trainer", "nobody")
        history.must(event, slot not in history.claimed, described(event), "once", "again")
        if not member or slot in history.claimed:
            return []
        who = history.participants[slot]
        pay = history.divided(history.pot)[slot]
        stake, slashed = history.stake_of(who)
        history.claimed.add(slot)
        who.staked = False
        history.escrow -= pay
        rest = 0
        if mask_of(history.claimed) == history.members:
            rest = history.escrow - terms.fee * history.owed.total()
        history.escrow -= rest
        stated = {"pay": (pay, event.pay), "stake": (stake, event.stake), "slash": (slashed, event.slashed)}
        for name, (expected, found) in stated.items():
            history.must(event, expected == found, f"{name} of seat {slot}", expected, found)
        due = self._credit(who.payee, pay, Reason.PAY, f"pay of seat {slot}")
        due += self._credit(who.payee, stake, Reason.STAKE, f"stake of seat {slot}")
        return self._counted(due + self._credit(ZERO_ADDRESS, slashed + rest, Reason.BURNT, "what is burnt"))

    def _claim_fees(self, event: FeesClaimed) -> list[Due]:
        history = self.history
        self._over(event)
        fees = self._terms.fee * history.owed.pop(event.payee, 0)
        history.must(event, event.fees == fees, f"fees of {event.payee}", fees, event.fees)
        history.escrow -= fees
        return self._counted(self._credit(event.payee, fees, Reason.FEE, "fees of an aggregator before a takeover"))

    # ------------------------------------------------------------ steps

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


def described(event: Event) -> str:
    match event:
        case Credited():
            return f"credit of {event.amount} to {event.payee} ({plain(event.reason)})"
        case (
            Ejected()
            | UpdateSubmitted()
            | Joined()
            | Left()
            | Disputed()
            | RowsDisputed()
            | Redelivered()
            | OpeningShown()
            | Claimed()
        ):
            return f"{type(event).__name__} of seat {event.slot}"
        case RoundOpened() | SumAnnounced() | RoundSettled() | RoundSkipped() | RoundVoided() | TakenOver():
            return f"{type(event).__name__} of round {event.round}"
    return type(event).__name__


def plain(value: int | str) -> int | str:
    """A value as a finding shows it: enums and booleans in words."""
    if isinstance(value, IntEnum):
        return value.name.lower()
    return str(value).lower() if isinstance(value, bool) else value


def _slots(mask: int) -> str:
    return ", ".join(map(str, slots(mask))) or "none"
