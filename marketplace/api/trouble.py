"""What may come of a job in trouble, as the API says it: exits, takeovers, disputes."""

from collections.abc import Iterable

from marketplace.api.models import Dispute, Exit, Takeover, TakeoverWindow
from marketplace.api.present import operator_of
from marketplace.domain import ConfirmationOpened, Disputed, RoundOpened, State
from marketplace.replay import JobHistory
from marketplace.services.index import News


def exits(history: JobHistory) -> list[Exit]:
    """The calls that anyone may send, and from when on; IJobMarket.sol says the conditions."""
    terms, job = history.terms, history.job()
    if history.state is State.OPEN:
        after, startable = terms.enrol_by + 1, history.startable_from
        taken, aggregated = len(history.holders), history.accepted is not None
        if aggregated and taken == terms.max_trainers:
            return [Exit(call="start", since=startable, text="All seats are taken: round 1 can open.")]
        if aggregated and taken >= terms.min_trainers:
            return [Exit(call="start", since=max(after, startable), text="Enrolment is over: round 1 can open.")]
        text = "The job cannot start any more: all money goes back; trainers claim their stakes."
        return [Exit(call="cancel", since=after, text=text)]
    if history.state is State.CONFIRMING:
        text = "The time to dispute is over: the pot can be divided; trainers claim their pay and stakes."
        return [Exit(call="complete", since=history.confirm_by + 1, text=text)]
    if history.state is not State.RUNNING:
        return []
    if job.key_published and not job.delivered:
        what = "No update was delivered again" if job.delivering else "Nobody has submitted"
        text = f"{what}: the round costs nothing, and the next one opens."
        return [Exit(call="skip", since=job.submit_by + 1, text=text)]
    if job.key_published:
        text = "The aggregator missed its deadline: its bond goes to who submitted, and the job ends."
    elif history.unready:
        text = "The aggregator that took over was not ready in time: it gets its bond back, and the job ends."
    else:
        text = "The aggregator did not hand out the job key: its bond goes to the trainers, and the job ends."
    return [Exit(call="abort", since=history.takeable_until + 1, text=text)]


def takeover_window(history: JobHistory) -> TakeoverWindow | None:
    """When another may take the running round over unless it is settled first, as IJobMarket.sol has it."""
    nothing_waits = history.key_published is not None and not history.delivered
    if history.state is not State.RUNNING or nothing_waits or history.takeable_until == history.failed_after:
        return None
    return TakeoverWindow(since=history.failed_after + 1, until=history.takeable_until)


def takeovers(history: JobHistory, first: str) -> list[Takeover]:
    """first: the aggregator that accepted the job."""
    found, before = [], first
    for event in history.takeovers:
        found.append(
            Takeover(
                round=event.round,
                failed=before,
                aggregator=event.aggregator,
                payee=event.payee,
                timestamp=event.timestamp,
                transaction=event.transaction,
            )
        )
        before = event.aggregator
    return found


def disputes(history: JobHistory, news: Iterable[News]) -> list[Dispute]:
    """news: the job's events, of which those that begin a phase and the disputes count."""
    found: list[Dispute] = []
    confirming = False
    for event in (item.event for item in news):
        if isinstance(event, RoundOpened | ConfirmationOpened):
            confirming = isinstance(event, ConfirmationOpened)
            found = [dispute.model_copy(update={"stands": False}) for dispute in found]
        elif isinstance(event, Disputed):
            found.append(
                Dispute(
                    round=event.round,
                    slot=event.slot,
                    operator=operator_of(history, event.slot),
                    timestamp=event.timestamp,
                    transaction=event.transaction,
                    confirming=confirming,
                    stands=True,
                )
            )
    return found
