"""What a use case works with: a market, storage, perhaps an identity, and a folder for work in progress."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

from marketplace.chain.connection import Refused
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.documents import MAX_FILE_BYTES
from marketplace.domain import Event, Job, JobCreated
from marketplace.errors import ChainError, InputError, JobOver, NotFound, StorageError
from marketplace.files import read_within, write_atomically
from marketplace.keys.identity import Identity
from marketplace.keys.sealing import MAX_JOB_KEY_BYTES, Purpose, SealContext, open_job_key, sealed_size
from marketplace.replay import JobHistory, replay
from marketplace.spec import Spec
from marketplace.storage import Storage, get_bytes

LOCAL_CHAINS = (1337, 31337, 5777)
"""Chain ids that development chains have by default; every other one is taken to be public."""

FINALITY = 900
"""Seconds after which no reorganization of a public chain is expected: Ethereum finalizes in two epochs of 384 s."""

MARKS = 1024  # readings whose last block is remembered
READINGS = 4  # attempts to read while the chain changes


@dataclass(frozen=True, slots=True)
class Node:
    market: Market
    events: EventReader
    storage: Storage
    home: Path
    identity: Identity | None = None
    allow_development: bool = False
    """Whether a development set-up is good enough on a public chain too."""
    finality: int = 0
    """Seconds that a job's end must be past before an agent takes it as final; 0 where blocks never leave the chain."""

    @property
    def me(self) -> Identity:
        """The identity to act with. Raises InputError where the process was started without one."""
        if self.identity is None:
            raise InputError("This needs a key: make one with `merit key new`, or choose one with --key.")
        return self.identity

    def context(self, purpose: Purpose, *, job_id: int, round: int = 0, party: str) -> SealContext:
        """What a sealed file is bound to, on this chain and contract."""
        return SealContext(
            chain_id=self.market.connection.chain_id,
            contract=self.market.address,
            job_id=job_id,
            round=round,
            party=party,
            purpose=purpose,
        )

    def work(self, job_id: int) -> Path:
        """The folder for this identity's unfinished work on a job; made when it is not there. Raises InputError."""
        folder = (
            self.home
            / "work"
            / f"{self.market.connection.chain_id}-{self.market.address}"
            / self.me.address
            / str(job_id)
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder} cannot be made: {error.strerror}.") from error
        return folder


class _Mark(NamedTuple):
    number: int
    hash: str
    parent: str


class JobFeed:
    """A job's history, read from the chain piece by piece, also while the chain reorders its last blocks.

    It keeps the hash of the last block of each reading. Where the chain's hash is another, that block has left the
    chain: what was read since the last one that still stands is dropped and read again.
    """

    def __init__(self, node: Node, job_id: int) -> None:
        self._node = node
        self._job_id = job_id
        self._created: JobCreated | None = None
        self.seen: tuple[JobHistory, Job] | None = None  # by the last `look`
        self._seen_at: _Mark | None = None
        self._now: int | None = None
        self._forget()

    def _forget(self) -> None:
        self._events: list[Event] = []
        self._marks: deque[_Mark] = deque(maxlen=MARKS)
        self._history: JobHistory | None = None

    def refresh(self) -> JobHistory:
        """All that has happened up to now. Raises NotFound when there is no such job, JobOver when it became another.

        Raises ChainError when the chain changes faster than it is read, or does not hold the job any more.
        """
        for _ in range(READINGS):
            if self._read_on():
                return self._replayed()
        raise ChainError(f"The chain changed while job {self._job_id} was read: it has to be read again.")

    def look(self) -> tuple[JobHistory, Job]:
        """All that has happened, and the contract's own view of it, which agree.

        Raises ChainError where they do not: the node's logs are behind its state, or left something out. Else as
        `refresh` does.
        """
        self._now = None
        for attempt in range(READINGS):
            history = self.refresh()
            at = self._marks[-1]
            if self.seen is not None and at == self._seen_at:
                return self.seen
            try:
                job = self._node.market.job(self._job_id)
            except NotFound:  # the job left the chain after its events were read
                continue
            if _essence(history.job()) == _essence(job):
                self.seen, self._seen_at = (history, job), at
                return history, job
            if attempt:
                self._forget()
        raise ChainError(
            f"The node's events of job {self._job_id} do not lead to the state that its contract shows: use another "
            "node, or wait until it has caught up."
        )

    def now(self) -> int:
        """The chain's time (Connection.now), asked for once a look. Raises ChainError."""
        if self._now is None:
            self._now = self._node.market.connection.now()
        return self._now

    @property
    def events(self) -> tuple[Event, ...]:
        """All that were read, in order."""
        return tuple(self._events)

    @property
    def last(self) -> Event:
        """The job's last event, of those that were read."""
        return self._events[-1]

    def stands(self, event: Event) -> bool:
        """Whether an event is so long past, by the chain's clock, that no reorganization is expected to undo it."""
        return self.now() - event.timestamp >= self._node.finality

    def closed(self) -> bool:
        """Whether nobody can submit any more in the running round of the last `look`: trainers then deliver.

        Where blocks may leave the chain, the phase is over with the first block after it, which says that all others
        come later still; that everybody has submitted counts once that is past undoing.
        """
        if self.seen is None:
            return False
        _, job = self.seen
        if job.delivering or (job.complete and self.stands(self.last)):
            return True
        connection = self._node.market.connection
        return (connection.latest().timestamp if self._node.finality else self.now()) > job.submit_by

    def _read_on(self) -> bool:
        """Reads up to the latest block; False when the chain changed meanwhile. What was read is of one chain then."""
        tip = self._mark(None)
        if tip is None or (self._marks and tip == self._marks[-1]):
            return tip is not None
        follows = self._marks and (tip.number, tip.parent) == (self._marks[-1].number + 1, self._marks[-1].hash)
        if self._marks and not follows and self._mark(self._marks[-1].number) != self._marks[-1]:
            self._drop()
        start = self._marks[-1].number + 1 if self._marks else None
        events, _ = self._node.events.read(start, to_block=tip.number, job_id=self._job_id)
        if self._mark(tip.number) != tip:  # it commits to all before it
            return False
        if events or self._history is None:
            self._events += events
            self._history = replay(self._events) if self._events else None
        if not self._marks or tip.number > self._marks[-1].number:
            self._marks.append(tip)
        return True

    def _drop(self) -> None:
        while self._marks and self._mark(self._marks[-1].number) != self._marks[-1]:
            self._marks.pop()
        if not self._marks:
            self._forget()
            return
        self._events = [event for event in self._events if event.block <= self._marks[-1].number]
        self._history = replay(self._events) if self._events else None

    def _mark(self, number: int | None) -> _Mark | None:
        """A block of the chain as it is, None for the latest; None for one that the chain does not have."""
        try:
            block = self._node.market.connection.block("latest" if number is None else number)
        except Refused:
            return None
        if block is None:
            return None
        self._node.events.know(block)
        return _Mark(block.number, block.hash, block.parent)

    def _replayed(self) -> JobHistory:
        history, market = self._history, self._node.market
        if history is None and self._created is not None:
            raise ChainError(f"Job {self._job_id} left the chain with its last blocks: wait for it to come back.")
        if history is None:
            raise NotFound(
                f"There is no job {self._job_id} in the market {market.address} on chain "
                f"{market.connection.chain_id}; `merit job list` shows what there is."
            )
        self._created = self._created or history.created
        if _identity(history.created) != _identity(self._created):
            raise JobOver(f"Job {self._job_id} left the chain with its last blocks, and another one has its number.")
        return history


def _essence(job: Job) -> tuple[object, ...]:
    """What agents decide by."""
    round = job.round, job.submitted, job.undelivered, job.voids, job.submit_by, job.settle_by
    return job.state, job.active, job.key_published, job.aggregator, round


def _identity(created: JobCreated) -> tuple[object, ...]:
    return created.owner, created.terms, created.encryption_key, created.spec_cid


def set_aside_others(folder: Path, created: JobCreated) -> None:
    """Leaves in a job's work folder what was kept of this job only; the rest goes into its subfolder `other-…`.

    A development chain that is started afresh gives its market, and its jobs, the places of those before, and so may a
    reorganization: what was made for one of them opens nothing in the other. Raises InputError.
    """
    mark, own = folder / "job", sha256(repr(_identity(created)).encode()).hexdigest()
    before = read_within(mark, 64).decode("ascii", "replace") if mark.exists() else ""
    if before == own:
        return
    if before:
        aside = folder / f"other-{sha256(before.encode()).hexdigest()[:16]}"
        try:
            aside.mkdir(exist_ok=True)
            for kept in folder.iterdir():
                if kept != mark and not kept.name.startswith((".", "other-")):
                    kept.rename(aside / kept.name)
        except OSError as error:
            raise InputError(
                f"{folder} has the work of another job, which cannot be moved to {aside}: {error}."
            ) from error
    write_atomically(mark, own.encode())


def fetch_spec(storage: Storage, created: JobCreated) -> Spec:
    """The job's published spec, of a job that can be carried out.

    Raises NotFound where the storage lacks it, StorageError, CorruptContent.
    """
    from marketplace.services.safety import check_computable  # noqa: PLC0415 (torch takes seconds)

    try:
        data = get_bytes(storage, created.spec_cid, max_bytes=MAX_FILE_BYTES)
    except NotFound as error:
        raise NotFound(
            f"The description of job {created.job_id} is not in the storage that is used here, so this is probably not "
            f"the one that the job was published to: name that with --storage, or MERIT_STORAGE. ({error})"
        ) from error
    spec = Spec.from_bytes(data, where=created.spec_cid)
    check_computable(created.terms, spec)
    return spec


def job_key(node: Node, history: JobHistory) -> bytes:
    """The job key, opened from its published envelope with this identity. Raises NotFound, CorruptContent.

    An owner who signs in a wallet has its copy sealed to the key of a node.
    """
    if not history.keys:
        raise NotFound(f"The job key of job {history.created.job_id} is not published: the job has not started.")
    aggregator, published = history.keys[-1]
    data = get_bytes(node.storage, published.cid, max_bytes=MAX_JOB_KEY_BYTES)
    context = node.context(Purpose.JOB_KEY, job_id=history.created.job_id, party=aggregator)
    created = history.created
    recipient = created.owner if created.encryption_key == node.me.encryption_key else node.me.address
    return open_job_key(data, recipient, node.me.decryption_key, context)


def fetch_opened(
    storage: Storage, cid: str, opener: Callable[[BinaryIO, BinaryIO], object], *, max_bytes: int
) -> bytes:
    """Fetches a sealed file of at most `max_bytes` of content and opens it with `opener(source, sink)`.

    The sealed bytes go through a temporary file, so that memory holds only the content.
    """
    try:
        with TemporaryFile() as sealed:
            storage.get(cid, sealed, max_bytes=sealed_size(max_bytes))
            sealed.seek(0)
            content = BytesIO()
            opener(sealed, content)
            return content.getvalue()
    except OSError as error:
        raise StorageError(f"{cid} cannot be kept while it is opened ({error.strerror}): make room on disk.") from error
