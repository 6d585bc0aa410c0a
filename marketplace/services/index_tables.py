"""The tables of a node's index (services/index.py), and how an event changes them."""

from typing import Any

from pydantic import ConfigDict, TypeAdapter
from sqlalchemy import BigInteger, Index, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from marketplace.domain import (
    AggregationAccepted,
    ConfirmationOpened,
    Credited,
    Ejected,
    Ended,
    Event,
    HandedOver,
    JobCreated,
    Joined,
    Left,
    RoundOpened,
    RoundVoided,
    State,
    TakenOver,
    UpdateSubmitted,
    Withdrawn,
)
from marketplace.errors import NotFound
from marketplace.storage.cid import CID_LENGTH

_Id = BigInteger().with_variant(Integer, "sqlite")
_HEX = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex")
_KINDS: list[Any] = Event.__subclasses__()
_CODECS = {kind.__name__: TypeAdapter(kind | None, config=_HEX) for kind in _KINDS}


TAKING_PART = (Joined, AggregationAccepted, TakenOver)
"""Events by which somebody takes part in a job, and names a payee."""


class Base(DeclarativeBase):
    pass


class Meta(Base):
    __tablename__ = "meta"
    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(String(200))


class Block(Base):
    """A block whose hash is known: one with events, or a checkpoint."""

    __tablename__ = "blocks"
    number: Mapped[int] = mapped_column(_Id, primary_key=True, autoincrement=False)
    hash: Mapped[str] = mapped_column(String(66))
    checkpoint: Mapped[bool]


class EventRow(Base):
    """An event. round: the job's when it happened. party: who is paid, or takes part, by it. payee: whom who takes part
    by it names. data: all, as JSON."""

    __tablename__ = "events"
    seq: Mapped[int] = mapped_column(_Id, primary_key=True, autoincrement=True)
    block: Mapped[int] = mapped_column(_Id, index=True)
    log_index: Mapped[int]
    job_id: Mapped[int] = mapped_column(_Id)
    round: Mapped[int]
    kind: Mapped[str] = mapped_column(String(40))
    party: Mapped[str | None] = mapped_column(String(42))
    payee: Mapped[str | None] = mapped_column(String(42))
    data: Mapped[str] = mapped_column(Text)
    __table_args__ = (
        Index("events_of_job", "job_id", "seq"),
        Index("events_of_party", "party", "seq"),
        Index("events_of_payee", "payee", "seq"),
        Index("events_in_order", "block", "log_index", unique=True),
        {"sqlite_autoincrement": True},
    )

    @property
    def event(self) -> Event:
        found: Event | None = _CODECS[self.kind].validate_json(self.data)
        assert found is not None  # noqa: S101 (the codec's type has None only so that a configuration can be given)
        return found


class JobRow(Base):
    """A job as lists show it: what its events say, field by field, and what its description adds."""

    __tablename__ = "jobs"
    job_id: Mapped[int] = mapped_column(_Id, primary_key=True, autoincrement=False)
    created: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))
    rule: Mapped[str] = mapped_column(String(20))
    owner: Mapped[str] = mapped_column(String(42))
    aggregator: Mapped[str | None] = mapped_column(String(42))
    reward: Mapped[str] = mapped_column(String(39))  # padded with zeros, so that it sorts
    enrol_by: Mapped[int] = mapped_column(_Id)
    seats: Mapped[int] = mapped_column(default=0)
    startable_from: Mapped[int | None] = mapped_column(_Id)  # by anybody, as long as it is open
    round: Mapped[int] = mapped_column(default=0)
    submitted: Mapped[int] = mapped_column(default=0)
    submit_by: Mapped[int | None] = mapped_column(_Id)
    settle_by: Mapped[int | None] = mapped_column(_Id)
    confirm_by: Mapped[int | None] = mapped_column(_Id)
    # From the description, which may be read later than the events, or never.
    name: Mapped[str | None] = mapped_column(String(100))
    search: Mapped[str] = mapped_column(String(100), default="")
    architecture: Mapped[str | None] = mapped_column(String(200))
    parameters: Mapped[int | None] = mapped_column(_Id)
    development: Mapped[bool | None]
    problem: Mapped[str | None] = mapped_column(Text)
    __table_args__ = (
        Index("jobs_by_state", "state", "job_id"),
        Index("jobs_by_rule", "rule", "job_id"),
        Index("jobs_by_owner", "owner", "job_id"),
        Index("jobs_by_reward", "reward", "job_id"),
        Index("jobs_by_enrolment", "enrol_by", "job_id"),
    )

    @property
    def creation(self) -> JobCreated:
        found = _CODECS["JobCreated"].validate_json(self.created)
        if not isinstance(found, JobCreated):
            raise NotFound(f"The index has no creation of job {self.job_id}: delete it, and it is built again.")
        return found


class Named(Base):
    """Content that is a job's description or is named there. It stays when a reorganization drops the job."""

    __tablename__ = "named"
    cid: Mapped[str] = mapped_column(String(CID_LENGTH), primary_key=True)


def event_row(event: Event, round: int) -> EventRow:
    return EventRow(
        block=event.block,
        log_index=event.log_index,
        job_id=event.job_id,
        round=round,
        kind=type(event).__name__,
        party=_party(event),
        payee=event.payee if isinstance(event, TAKING_PART) else None,
        data=_CODECS[type(event).__name__].dump_json(event).decode(),
    )


def _party(event: Event) -> str | None:
    match event:
        case Credited() | Withdrawn():
            return event.payee
        case JobCreated():
            return event.owner
        case AggregationAccepted() | TakenOver():
            return event.aggregator
        case HandedOver():
            return event.sender
        case Joined():
            return event.operator
    return None


def fold(db: Session, event: Event) -> JobRow | None:
    """Enters what an event says into its job's row, and returns the row; None for an event of no job."""
    if isinstance(event, JobCreated):
        row = _created(event)
        db.add(row)
        return row
    row_or_none = db.get(JobRow, event.job_id) if event.job_id else None
    if row_or_none is None:
        return None
    row = row_or_none
    match event:
        case AggregationAccepted() | TakenOver():
            row.aggregator = event.aggregator
        case Joined():
            row.seats += 1
            row.startable_from = event.timestamp + row.creation.terms.start_delay
        case Left() | Ejected():
            row.seats -= 1
        case RoundOpened():
            row.state = State.RUNNING.name.lower()
            row.round, row.submitted = event.round, 0
            row.startable_from = None
            row.submit_by, row.settle_by = event.submit_by, event.settle_by
        case UpdateSubmitted():
            row.submitted += 1
        case RoundVoided() if event.deliver_by:
            row.submit_by, row.settle_by = event.deliver_by, event.settle_by
        case ConfirmationOpened():
            row.state = State.CONFIRMING.name.lower()
            row.submitted = 0
            row.submit_by = row.settle_by = None
            row.confirm_by = event.confirm_by
        case Ended():
            row.state = event.state.name.lower()
            row.startable_from = row.submit_by = row.settle_by = row.confirm_by = None
    return row


def _created(event: JobCreated) -> JobRow:
    return JobRow(
        job_id=event.job_id,
        created=_CODECS["JobCreated"].dump_json(event).decode(),
        state=State.OPEN.name.lower(),
        rule=event.terms.rule.label,
        owner=event.owner,
        reward=f"{event.terms.reward:039}",
        enrol_by=event.terms.enrol_by,
        seats=0,
        round=0,
        submitted=0,
        search="",
    )
