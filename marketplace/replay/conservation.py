"""Whether the contract as a whole has the money that its events say it has."""

from collections import Counter
from collections.abc import Iterable, Mapping

from marketplace.domain import AggregationAccepted, Credited, Event, JobCreated, Joined, TakenOver, Terms, Withdrawn
from marketplace.replay.history import Finding


def tokens(events: Iterable[Event]) -> set[str]:
    """The tokens that jobs in these events are paid in."""
    return {event.terms.token for event in events if isinstance(event, JobCreated)}


def conservation(events: Iterable[Event], balances: Mapping[str, int]) -> list[Finding]:
    """Whether the contract holds, in each token, all that was paid in and not out, and paid out just what it credited.

    events: all of the contract's, in order. balances: by token, what the contract has of it after the last of them.
    To have more is no finding: anybody can give a contract coin or tokens that no job knows of, and must not be able
    to spoil an audit by it.
    """
    jobs: dict[int, Terms] = {}
    held: Counter[str] = Counter()
    open_credits: Counter[tuple[str, str]] = Counter()
    findings = []
    for event in events:
        where = f"block {event.block}"
        match event:
            case JobCreated():
                jobs[event.job_id] = event.terms
                held[event.terms.token] += event.terms.escrow
            case AggregationAccepted() | TakenOver() if event.job_id in jobs:
                held[jobs[event.job_id].token] += jobs[event.job_id].bond
            case Joined() if event.job_id in jobs:
                held[jobs[event.job_id].token] += jobs[event.job_id].stake
            case Credited():
                open_credits[event.payee, event.token] += event.amount
            case Withdrawn():
                owed = open_credits.pop((event.payee, event.token), 0)
                if owed != event.amount:
                    findings.append(Finding(where, f"withdrawal by {event.payee} in {event.token}", owed, event.amount))
                held[event.token] -= event.amount
    owed_now: Counter[str] = Counter()
    for (_, token), amount in open_credits.items():
        owed_now[token] += amount
    for token in sorted(held):
        balance = balances.get(token, 0)
        if balance < held[token]:
            findings.append(Finding("contract", f"balance in {token}", f"at least {held[token]}", balance))
        if held[token] < owed_now[token]:
            findings.append(Finding("contract", f"credits in {token}", f"at most {held[token]}", owed_now[token]))
    return findings
