"""What waits for claims: pay and stakes of seats in jobs that are over, and fees of aggregators before a takeover."""

from collections.abc import Iterator

from marketplace.api.models import Unclaimed
from marketplace.domain import Claimed, Joined, State, TakenOver, slots
from marketplace.services.index import Index, JobQuery
from marketplace.services.index_tables import JobRow

LATEST_JOBS = 200
_OVER = {state.name.lower() for state in State if state.over}


def unclaimed(index: Index, account: str) -> list[Unclaimed]:
    """Of seats that `account` holds or is the payee of, and its fees; newest job first."""
    rows, _ = index.jobs(JobQuery(ids=tuple(index.parts_of(account, LATEST_JOBS)), limit=LATEST_JOBS))
    return [found for row in rows if row.state in _OVER for found in _of_job(index, row, account)]


def _of_job(index: Index, row: JobRow, account: str) -> Iterator[Unclaimed]:
    # Whoever has claimed all of its seats is told from few rows: a replay needs them all.
    events = [news.event for news in index.events(job_id=row.job_id, kinds=[Joined, Claimed, TakenOver])]
    claimed = {event.slot for event in events if isinstance(event, Claimed)}
    seats = {event.slot for event in events if isinstance(event, Joined) and account in (event.operator, event.payee)}
    if seats <= claimed and not any(isinstance(event, TakenOver) for event in events):
        return
    history = index.history(row.job_id)
    parts, terms = history.divided(history.pot), history.terms
    for slot in slots(history.members):
        who = history.participants[slot]
        if slot in history.claimed or account not in (who.operator, who.payee):
            continue
        pay, stake = parts[slot], history.stake_of(who)[0]
        if pay or stake:
            yield _waiting(row, who.payee, slot=slot, pay=pay, stake=stake)
    if fees := terms.fee * history.owed[account]:
        yield _waiting(row, account, fees=fees)


def _waiting(
    row: JobRow, payee: str, *, slot: int | None = None, pay: int = 0, stake: int = 0, fees: int = 0
) -> Unclaimed:
    return Unclaimed(
        job_id=row.job_id,
        name=row.name,
        slot=slot,
        payee=payee,
        token=row.creation.terms.token,
        pay=str(pay),
        stake=str(stake),
        fees=str(fees),
    )
