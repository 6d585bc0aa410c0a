"""Calls of a round: the key, updates, what is judged of them, and what is delivered again."""

from dataclasses import replace

from aggregator.points import gains
from marketplace.domain import (
    ZERO_ADDRESS,
    KeyPublished,
    Reason,
    Redelivered,
    RoundSettled,
    RoundSkipped,
    RoundVoided,
    Rule,
    Settlement,
    State,
    SumAnnounced,
    UpdateSubmitted,
    most_unopened,
    slots,
)
from marketplace.replay.due import Due, described, named_slots
from marketplace.replay.steps import Steps

MAX_STRIKES = 2**8 - 1  # more are not counted
MAX_COEFFICIENT = 4096  # all of an update


class Rounds(Steps):
    """While a job runs."""

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
        history.must(event, not stray, "seats called unopened without a submission", "none", named_slots(stray))
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
        history.must(
            event, event.submitted == submitted, "submitted seats", named_slots(submitted), named_slots(event.submitted)
        )
        stray = (judged.selected | judged.unopened) & ~submitted
        history.must(event, not stray, "seats judged without a submission", "none", named_slots(stray))
        both = judged.selected & judged.unopened
        history.must(event, not both, "seats both selected and unopened", "none", named_slots(both))
        unopened, most = judged.unopened.bit_count(), most_unopened(submitted.bit_count(), terms.max_faulty)
        history.must(event, unopened <= most, "unopened submissions", f"at most {most}", unopened)
        selected = judged.selected.bit_count()
        history.must(event, len(judged.scores) == selected, "number of scores", selected, len(judged.scores))
        stray = judged.struck & (judged.selected | judged.unopened | ~submitted)
        history.must(event, not stray, "struck seats that are selected or did not open", "none", named_slots(stray))
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
        history.must(event, not submitted, "submitted seats of a skipped round", "none", named_slots(submitted))

        current.skipped, current.active = event, history.active
        history.empty_rounds += 1
        due = self._eject(event, self._missing(0))
        if not history.holders or history.empty_rounds == terms.max_empty_rounds:
            return due + self._finish(event, State.ABORTED)
        return due + self._advance(event)
