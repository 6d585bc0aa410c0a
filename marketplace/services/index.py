"""A node's index of the market: every event as a row, and a summary of each job, to answer lists fast.

The chain is the truth: an index can be deleted at any time and builds itself again. It keeps the hash of each block
that has events, and of the last ones it has read; where the chain's hash is another, it drops all after the fork and
reads on from there. What the rules make of a job (pots, pay, findings) is marketplace.replay's to say, from these rows.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import Engine, Select, create_engine, delete, func, inspect, literal, or_, select, tuple_, update
from sqlalchemy import event as sql_event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from marketplace.chain.connection import Connection
from marketplace.chain.events import EventReader
from marketplace.domain import Event, JobCreated
from marketplace.errors import ChainError, InputError, NotFound
from marketplace.replay import JobHistory, replay
from marketplace.services.index_tables import TAKING_PART, Base, Block, EventRow, JobRow, Meta, Named, event_row, fold
from marketplace.storage.cid import CID_LENGTH
from marketplace.urls import shown_url, without_secrets

SCHEMA = "6"
BATCH = 20_000  # blocks that are read and written at once
CHECKPOINTS = 1024  # blocks without events whose hash is kept behind the last one
HISTORIES = 64  # replayed jobs that are kept in memory
Sort = Literal["newest", "reward", "enrol_by"]


class News(NamedTuple):
    """An event and its place in the index: `seq` grows, and is never used twice."""

    seq: int
    round: int
    event: Event


@dataclass(frozen=True, slots=True)
class Description:
    """What a job's published description says that lists show. problem: why it cannot be read, else None."""

    name: str | None = None
    architecture: str | None = None
    parameters: int | None = None
    development: bool | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class JobQuery:
    """search: a part of the name, a job's number, or an owner's or aggregator's address. ids: only these jobs."""

    search: str = ""
    state: str | None = None
    rule: str | None = None
    sort: Sort = "newest"
    after: tuple[str | int, int] | None = None  # the last job of the page before: (sort key, job id)
    limit: int = 50
    ids: tuple[int, ...] | None = None


class Index:
    """url: SQLAlchemy's, such as sqlite:///PATH or postgresql+psycopg://…; one database holds one market.

    Raises InputError for a database that cannot be used, or that holds another market's index.
    """

    def __init__(self, url: str, *, chain_id: int, market: str, first_block: int) -> None:
        self.first_block = first_block
        self._lock = threading.Lock()
        self._histories: OrderedDict[int, tuple[int, JobHistory]] = OrderedDict()
        try:
            self.engine: Engine = create_engine(url)
            if self.engine.dialect.name == "sqlite":
                sql_event.listen(self.engine, "connect", _write_ahead)
            self._open = sessionmaker(self.engine, expire_on_commit=False)
            self._prepare(f"{chain_id} {market} {first_block}")
        except (SQLAlchemyError, ImportError, ValueError) as error:
            reason = without_secrets((str(error).splitlines() or [type(error).__name__])[0], url)
        else:
            return
        # Not from the library's error, which may have the password in it.
        raise InputError(f"The index cannot be kept in {shown_url(url)}: {reason}.")

    def session(self) -> AbstractContextManager[Session]:
        """A transaction of one's own: for tools and tests."""
        return self._open.begin()

    def close(self) -> None:
        self.engine.dispose()

    # ---------------------------------------------------------------- building

    def update(self, reader: EventReader, connection: Connection) -> bool:
        """Reads the chain's next blocks, or drops those that have left it; False when there was nothing to do.

        Raises ChainError.
        """
        with self._lock:
            head = connection.head()
            indexed = self.indexed
            start = self.first_block if indexed is None else indexed + 1
            end = min(head, start + BATCH - 1)
            # Before anything else is looked at: still there at the end, it commits to what was seen meanwhile.
            tip = _hash(connection, end) if start <= end else ""
            if indexed is not None and not self._stands(connection, indexed, head):
                self._roll_back(self._fork(connection, head))
                return True
            if start > end:
                return False
            events, _ = reader.read(start, to_block=end)
            hashes = {number: _hash(connection, number) for number in {event.block for event in events}}
            if _hash(connection, end) != tip:
                return True
            self._write(events, hashes, end, tip)
            return True

    @property
    def indexed(self) -> int | None:
        """The last block that is in the index."""
        with self._open() as db:
            return db.scalar(select(func.max(Block.number)))

    @property
    def generation(self) -> str:
        """A word that changes whenever rows have been dropped."""
        with self._open() as db:
            return db.scalars(select(Meta.value).where(Meta.key == "generation")).one()

    def describe(self, job_id: int, description: Description, named: Collection[str] = ()) -> None:
        """named: the CIDs that the description names."""
        values = {name: getattr(description, name) for name in Description.__dataclass_fields__}
        values["search"] = (description.name or "").lower()
        with self._lock, self._open.begin() as db:
            db.execute(update(JobRow).where(JobRow.job_id == job_id).values(**values))
            for cid in set(named):
                if len(cid) == CID_LENGTH:  # others are none
                    db.merge(Named(cid=cid))

    def is_named(self, cid: str) -> bool:
        """Whether this content is some job's description, or named there."""
        with self._open() as db:
            return db.get(Named, cid) is not None

    def undescribed(self, limit: int) -> list[JobCreated]:
        """Jobs whose description was neither read nor found wanting."""
        wanted = select(JobRow).where(JobRow.architecture.is_(None), JobRow.problem.is_(None))
        with self._open() as db:
            return [row.creation for row in db.scalars(wanted.order_by(JobRow.job_id.desc()).limit(limit))]

    def _prepare(self, identity: str) -> None:
        if inspect(self.engine).has_table(Meta.__tablename__):
            with self._open() as db:
                kept = {row.key: row.value for row in db.scalars(select(Meta))}
            if kept.get("schema") != SCHEMA:
                Base.metadata.drop_all(self.engine)
            elif kept.get("identity") != identity:
                raise InputError("The database holds another market's index: name another one, or delete it.")
            else:
                return
        Base.metadata.create_all(self.engine)
        with self._open.begin() as db:
            known = {"schema": SCHEMA, "identity": identity, "generation": secrets.token_hex(4)}
            db.add_all(Meta(key=key, value=value) for key, value in known.items())

    def _stands(self, connection: Connection, number: int, head: int) -> bool:
        if number > head:
            return False
        with self._open() as db:
            return db.scalars(select(Block.hash).where(Block.number == number)).one() == _hash(connection, number)

    def _fork(self, connection: Connection, head: int) -> int:
        """The last block of the index that is still in the chain; -1 when none is. All before it are, too."""
        with self._open() as db:
            known = list(db.scalars(select(Block.number).order_by(Block.number)))
        low, high = 0, len(known)
        while low < high:
            middle = (low + high) // 2
            if self._stands(connection, known[middle], head):
                low = middle + 1
            else:
                high = middle
        return known[low - 1] if low else -1

    def _roll_back(self, fork: int) -> None:
        with self._open.begin() as db:
            touched = db.scalars(select(EventRow.job_id).where(EventRow.block > fork).distinct()).all()
            db.execute(delete(EventRow).where(EventRow.block > fork))
            db.execute(delete(Block).where(Block.number > fork))
            for job_id in touched:
                _fold_again(db, job_id)
            db.execute(update(Meta).where(Meta.key == "generation").values(value=secrets.token_hex(4)))
        self._histories.clear()

    def _write(self, events: Sequence[Event], hashes: dict[int, str], end: int, tip: str) -> None:
        with self._open.begin() as db:
            for event in events:
                job = fold(db, event)
                db.add(event_row(event, job.round if job else 0))
            blocks = [Block(number=number, hash=hash, checkpoint=False) for number, hash in hashes.items()]
            db.add_all(blocks if end in hashes else [*blocks, Block(number=end, hash=tip, checkpoint=True)])
            db.execute(delete(Block).where(Block.checkpoint, Block.number < end - CHECKPOINTS))

    # ---------------------------------------------------------------- asking

    def jobs(self, query: JobQuery) -> tuple[list[JobRow], int]:
        """A page of jobs, and how many match in all."""
        found = filtered(select(JobRow), query)
        total = filtered(select(func.count()).select_from(JobRow), query)
        with self._open() as db:
            return list(db.scalars(page(found, query))), db.scalar(total) or 0

    def job(self, job_id: int) -> JobRow:
        """Raises NotFound."""
        with self._open() as db:
            row = db.get(JobRow, job_id)
        if row is None:
            raise NotFound(f"There is no job {job_id} in this market, or it has not been read from the chain yet.")
        return row

    def history(self, job_id: int) -> JobHistory:
        """The job replayed from its rows. Raises NotFound."""
        with self._open() as db:
            last = db.scalar(select(func.max(EventRow.seq)).where(EventRow.job_id == job_id))
        kept = self._histories.get(job_id)
        if kept is not None and kept[0] == last:
            return kept[1]
        self.job(job_id)
        history = replay(news.event for news in self.events(job_id=job_id))
        self._histories[job_id] = (last or 0, history)
        while len(self._histories) > HISTORIES:
            self._histories.popitem(last=False)
        return history

    def events(
        self,
        *,
        job_id: int | None = None,
        party: str | None = None,
        kinds: Sequence[type[Event]] = (),
        after: int = 0,
        before: int | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[News]:
        """Events in order, of one job, or of one party (who was paid, or takes part by them), or of everybody.

        after, before: places in the index, both left out.
        """
        wanted = select(EventRow).where(EventRow.seq > after)
        if before is not None:
            wanted = wanted.where(EventRow.seq < before)
        if job_id is not None:
            wanted = wanted.where(EventRow.job_id == job_id)
        if party is not None:
            wanted = wanted.where(EventRow.party == party)
        if kinds:
            wanted = wanted.where(EventRow.kind.in_([kind.__name__ for kind in kinds]))
        wanted = wanted.order_by(EventRow.seq.desc() if newest_first else EventRow.seq).limit(limit)
        with self._open() as db:
            return [News(row.seq, row.round, row.event) for row in db.scalars(wanted)]

    def parts_of(self, account: str, limit: int) -> list[int]:
        """The latest jobs that somebody takes part in whose account or payee this is, newest first."""
        wanted = select(EventRow.job_id).where(EventRow.kind.in_([kind.__name__ for kind in TAKING_PART]))
        wanted = wanted.where(or_(EventRow.party == account, EventRow.payee == account))
        with self._open() as db:
            return list(db.scalars(wanted.distinct().order_by(EventRow.job_id.desc()).limit(limit)))

    @property
    def last_seq(self) -> int:
        with self._open() as db:
            return db.scalar(select(func.max(EventRow.seq))) or 0

    def jobs_of(self, accounts: Collection[str]) -> set[int]:
        """The jobs that these accounts created, aggregate or have or had a seat in."""
        kinds = [kind.__name__ for kind in (JobCreated, *TAKING_PART)]
        wanted = select(EventRow.job_id).where(EventRow.party.in_(accounts), EventRow.kind.in_(kinds))
        with self._open() as db:
            return set(db.scalars(wanted.distinct()))

    def seq_at(self, block: int) -> int:
        """The last event's place up to and in this block; 0 before the first."""
        with self._open() as db:
            return db.scalar(select(func.max(EventRow.seq)).where(EventRow.block <= block)) or 0

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        with self._open() as db:
            found = db.execute(select(JobRow.state, func.count()).group_by(JobRow.state))
            return {state: count for state, count in found}  # noqa: C416 (rows are no pairs to mypy)


_COLUMNS = {"newest": JobRow.job_id, "reward": JobRow.reward, "enrol_by": JobRow.enrol_by}


def sort_key(row: JobRow, sort: Sort) -> str | int:
    return {"newest": row.job_id, "enrol_by": row.enrol_by}.get(sort, row.reward)


def page(wanted: Select[Any], query: JobQuery) -> Select[Any]:
    """The page after `query.after`: by keys, so that the thousandth costs what the first does."""
    column = _COLUMNS[query.sort]
    keys = (column,) if query.sort == "newest" else (column, JobRow.job_id)
    if query.after is not None:
        values = query.after[-len(keys) :]
        here = tuple_(*keys)
        there = tuple_(*(literal(value, key.type) for key, value in zip(keys, values, strict=True)))
        wanted = wanted.where(here > there if query.sort == "enrol_by" else here < there)
    order = keys if query.sort == "enrol_by" else tuple(key.desc() for key in keys)
    return wanted.order_by(*order).limit(query.limit)


def filtered(wanted: Select[Any], query: JobQuery) -> Select[Any]:
    if query.state:
        wanted = wanted.where(JobRow.state == query.state)
    if query.rule:
        wanted = wanted.where(JobRow.rule == query.rule)
    if query.ids is not None:
        wanted = wanted.where(JobRow.job_id.in_(query.ids))
    text = query.search.strip()
    if text:
        named = JobRow.search.contains(text.lower(), autoescape=True)
        whose = or_(func.lower(JobRow.owner) == text.lower(), func.lower(JobRow.aggregator) == text.lower())
        number = [JobRow.job_id == int(text)] if text.isascii() and text.isdigit() and len(text) < 18 else []
        wanted = wanted.where(or_(named, whose, *number))
    return wanted


def _fold_again(db: Session, job_id: int) -> None:
    """Makes a job's row from its remaining events; what its description says stays while it is the same one."""
    row = db.get(JobRow, job_id)
    if row is None:
        return
    described = {name: getattr(row, name) for name in (*Description.__dataclass_fields__, "search")}
    cid = row.creation.spec_cid
    db.delete(row)
    db.flush()
    for kept in db.scalars(select(EventRow).where(EventRow.job_id == job_id).order_by(EventRow.seq)):
        again = fold(db, kept.event)
        if again is not None and isinstance(kept.event, JobCreated) and kept.event.spec_cid == cid:
            for name, value in described.items():
                setattr(again, name, value)


def _hash(connection: Connection, number: int) -> str:
    block = connection.block(number)
    if block is None:
        raise ChainError(f"The node has no block {number} any more: it may be behind.")
    return block.hash


def _write_ahead(connection: Any, _: object) -> None:
    """Readers of SQLite go on while it is written."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA busy_timeout=10000")
