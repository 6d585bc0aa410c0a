"""What a job waits for, as a sentence: for `merit job show`, for processes that wait, and for the page."""

from collections.abc import Callable
from datetime import datetime, tzinfo

from marketplace.domain import ZERO_ADDRESS, Job, Rule, State, Terms


def what_it_waits_for(terms: Terms, job: Job, now: int, *, zone: tzinfo | None = None) -> str:
    """One or two sentences; "" for a job that is over.

    now: Unix seconds by the chain's clock. zone: of the times that it names, this machine's by default.
    """

    def at(moment: int) -> str:
        return clock(moment, now, zone)

    if job.state is State.OPEN:
        return _enrolling(terms, job, now, at)
    if job.state is State.CONFIRMING:
        return _confirming(terms, job, now, at)
    return _round(terms, job, now, at) + _end(terms, job) if job.state is State.RUNNING else ""


def clock(moment: int, now: int, zone: tzinfo | None = None) -> str:
    """A moment (Unix seconds) as people write it: 14:20, and with its date where that is not the day of `now`."""
    then, today = (datetime.fromtimestamp(time, zone) for time in (moment, now))
    return then.strftime("%H:%M" if then.date() == today.date() else "%H:%M on %-d %B")


def _enrolling(terms: Terms, job: Job, now: int, at: Callable[[int], str]) -> str:
    end = at(terms.enrol_by)
    delayed = now < job.submit_by
    now_ = f"its owner can start it now, anybody at {at(job.submit_by)}" if delayed else "it can start now"
    taken, least, most = job.active.bit_count(), terms.min_trainers, terms.max_trainers
    seats = f"{taken} of {_count(most, 'seat')} taken"
    served = job.aggregator != ZERO_ADDRESS
    if now > terms.enrol_by:
        if served and taken >= least:
            return f"{seats}, and enrolment has ended: {now_}."
        lacks = f"{least} are needed" if taken < least else "no aggregator has accepted it"
        return f"{seats}, but {lacks}, and enrolment has ended: it can be cancelled now."
    if taken == most:
        return f"{seats}: {now_}." if served else f"{seats}; starts when an aggregator has accepted it."
    start = f"starts when {'it is' if most == 1 else f'{most} are'}"
    if least < most:
        start += f", or with {least} at {end}"
    else:
        start += f"; without them it can be cancelled after {end}"
    return f"{seats}; {start}." + ("" if served else " No aggregator has accepted it yet.")


def _confirming(terms: Terms, job: Job, now: int, at: Callable[[int], str]) -> str:
    end = at(job.submit_by)
    if now > job.submit_by:
        return "The time to dispute is over: it can be completed now."
    done = f"{_count(job.settled, 'round')} {'is' if job.settled == 1 else 'are'} settled"
    if job.disputed_rows:
        burnt = "fees" if job.bonded else "fees and bond"
        return (
            f"{done}, and the reference rows were disputed: {burnt} are burnt, and nobody is paid more than its part "
            f"by rounds opened. It can be completed after {end}."
        )
    if job.disputed_sum:
        return f"{done}, and the sum was disputed: bond and fees are burnt. It can be completed after {end}."
    if not job.settle_by or not terms.reveal_window:
        return f"{done}; trainers can dispute the last sum until {end}."
    if job.revealed:
        return f"{done}, and the validation data are shown to all members, who can dispute sum and rows until {end}."
    if now <= job.settle_by:
        return f"{done}; the aggregator has until {at(job.settle_by)} to show all members the validation data."
    return f"{done}, and nobody showed the validation data in time: once completed, after {end}, the rows are disputed."


def _round(terms: Terms, job: Job, now: int, at: Callable[[int], str]) -> str:
    place = f"Round {job.round} of {terms.rounds}"
    done, seats = job.submitted.bit_count(), job.active.bit_count()
    if not job.key_published:
        if now > job.submit_by:
            # Who has taken over and is not ready in time leaves the job to be aborted at once.
            failed = _failed(0 if job.taken_over_in else terms.takeover_window, job.submit_by, now, at)
            return f"{place}: the aggregator did not publish the job key in time. {failed}"
        what = "to be handed the job key" if job.taken_over_in else "for the aggregator to publish the job key"
        return f"{place}: waits {what}, until {at(job.submit_by)}."
    if job.delivering:
        left = (job.submitted & job.undelivered).bit_count()
        if now <= job.submit_by and left:
            what = _count(left, "update")
            if job.taken_over_in == job.round:
                to = "to be delivered again, to the aggregator that took over,"
                return f"{place}: {what} {to} until {at(job.submit_by)}."
            return f"{place}: {what} did not open, to be delivered again until {at(job.submit_by)}."
        done = job.delivered.bit_count()
    elif now <= job.submit_by and done < seats:
        return f"{place}: {done} of {_count(seats, 'update')} submitted; trainers have until {at(job.submit_by)}."
    if not done:
        what = "no update was delivered again" if job.delivering else "nobody submitted"
        return f"{place}: {what} in time: the round can be skipped now."
    if now > job.settle_by:
        failed = _failed(terms.takeover_window, job.settle_by, now, at)
        return f"{place}: the aggregator did not settle it in time. {failed}"
    judging = f"the aggregator has until {at(job.settle_by)} to settle"
    return f"{place}: {done} of {_count(seats, 'update')} submitted; {judging}."


def _end(terms: Terms, job: Job) -> str:
    if not job.end_asked:
        return ""
    earliest = f", of round {terms.min_rounds} at the earliest" if job.round < terms.min_rounds else ""
    return f" Its owner ends the job with the next settlement{earliest}."


def _failed(window: int, deadline: int, now: int, at: Callable[[int], str]) -> str:
    """window: seconds for another aggregator to take over."""
    until = deadline + window
    if now <= until:
        return f"Another aggregator may take over until {at(until)}; then the job can be aborted."
    return "The job can be aborted now."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def trust(terms: Terms, owner: str) -> str:
    """What a member's points rest on, and what a seat shows it, in one sentence for whoever decides to join."""
    faulty = terms.max_faulty
    assumed = f"at most {faulty} {'is' if faulty == 1 else 'are'} faulty" if faulty else "none is faulty"
    if terms.rule is not Rule.REFERENCE:
        what = "Points are proved to follow from the updates"
    elif terms.reveal_window:
        what = (
            "Points rest on validation data that are revealed to all members before the pot is divided: each of them "
            "can recompute the points, and keep a copy of the data"
        )
    else:
        what = "Points rest on the aggregator's word alone, since the members are never shown the validation data"
    whom = "whom its owner invites, who can invite itself" if terms.gate == owner else f"whom {terms.gate} invites"
    who = "who may be anybody" if terms.gate == ZERO_ADDRESS else whom
    return f"{what}; of the trainers, {who}, the job assumes that {assumed}."
