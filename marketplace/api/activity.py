"""What happened in the market, newest first, each event with who did it; and the seats that an account has."""

from collections.abc import Sequence

from marketplace.api import present
from marketplace.api.models import Activity, Happened, Seat
from marketplace.domain import (
    ZERO_ADDRESS,
    AggregationAccepted,
    EndAsked,
    Event,
    JobCreated,
    Joined,
    KeyPublished,
    RoundSettled,
    RoundVoided,
    SumAnnounced,
    TakenOver,
    ValidationRevealed,
)
from marketplace.services.index import Index, JobQuery, News
from marketplace.services.index_tables import TAKING_PART, JobRow

LATEST_JOBS = 50  # whose seats are shown
_BY_OWNER = (EndAsked, ValidationRevealed)
_BY_AGGREGATOR = (KeyPublished, SumAnnounced, RoundSettled, RoundVoided)
_NAMES = ("owner", "operator", "aggregator", "sender", "payee")


def activity(index: Index, job_id: int | None, before: int | None, limit: int) -> Activity:
    """A page of events, of one job or of the market. Raises NotFound for a job that is not there."""
    if job_id is not None:
        index.job(job_id)
    news = index.events(job_id=job_id, before=before, limit=limit, newest_first=True)
    ids = tuple({item.event.job_id for item in news} - {0})
    rows, _ = index.jobs(JobQuery(ids=ids, limit=max(1, len(ids))))
    parts = {row.job_id: index.events(job_id=row.job_id, kinds=TAKING_PART) for row in rows}
    known = {row.job_id: row for row in rows}
    items = [_happened(item, known.get(item.event.job_id), parts.get(item.event.job_id, ())) for item in news]
    return Activity(items=items, next=news[-1].seq if len(news) == limit else None)


def seats(index: Index, account: str) -> list[Seat]:
    """Those that `account` holds or is the payee of, in its latest jobs, newest first."""
    rows, _ = index.jobs(JobQuery(ids=tuple(index.parts_of(account, LATEST_JOBS)), limit=LATEST_JOBS))
    found = [(row, seat) for row in rows for seat in present.trainers(index.history(row.job_id))]
    own = [(row, seat) for row, seat in found if account in (seat.operator, seat.payee)]
    return [Seat(job=present.summary(row, None), seat=seat) for row, seat in own]


def _happened(item: News, row: JobRow | None, parts: Sequence[News]) -> Happened:
    event = item.event
    created = row.creation if row is not None else None
    return Happened(
        **dict(present.chain_news(item)),
        seq=item.seq,
        name=row.name if row is not None else None,
        token=created.terms.token if created is not None else getattr(event, "token", ZERO_ADDRESS),
        round=item.round,
        who=_who(item, created, [part.event for part in parts if part.seq < item.seq]),
    )


def _who(item: News, created: JobCreated | None, before: Sequence[Event]) -> str | None:
    """before: by whom seats and the aggregator's place were taken before the event."""
    event = item.event
    for name in _NAMES:
        if named := getattr(event, name, None):
            return str(named)
    if isinstance(event, _BY_OWNER):
        return created.owner if created is not None else None
    if isinstance(event, _BY_AGGREGATOR):
        places = [part.aggregator for part in before if isinstance(part, AggregationAccepted | TakenOver)]
        return places[-1] if places else None
    slot = getattr(event, "slot", None)
    holders = [part.operator for part in before if isinstance(part, Joined) and part.slot == slot]
    return holders[-1] if holders else None
