"""The market's rules, as the contract applies them: each call changes the job, and makes certain events follow."""

from marketplace.domain import (
    AggregationAccepted,
    Claimed,
    ConfirmationOpened,
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
    Redelivered,
    Revealed,
    RoundOpened,
    RoundSettled,
    RoundSkipped,
    RoundVoided,
    RowsDisputed,
    Started,
    State,
    SumAnnounced,
    TakenOver,
    Unrevealed,
    UpdateSubmitted,
    ValidationRevealed,
)
from marketplace.replay.claiming import Claiming
from marketplace.replay.due import Due, described
from marketplace.replay.enrolling import Enrolling
from marketplace.replay.failing import Failing
from marketplace.replay.history import Round
from marketplace.replay.rounds import Rounds


class Rules(Enrolling, Rounds, Failing, Claiming):
    """One job. What a call may not do becomes a finding; it is applied all the same, as far as it makes sense."""

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
