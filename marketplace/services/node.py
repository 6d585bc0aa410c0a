"""What a use case works with: a market, storage, perhaps an identity, and a folder for work in progress."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.domain import Event, JobCreated
from marketplace.errors import InputError, NotFound
from marketplace.keys.identity import Identity
from marketplace.keys.sealing import MAX_JOB_KEY_BYTES, Purpose, SealContext, open_job_key, sealed_size
from marketplace.replay import JobHistory, replay
from marketplace.spec import MAX_FILE_BYTES, Spec
from marketplace.storage import Storage, get_bytes


@dataclass(frozen=True, slots=True)
class Node:
    market: Market
    events: EventReader
    storage: Storage
    home: Path
    identity: Identity | None = None
    allow_development: bool = False
    """Whether a development set-up is good enough on a public chain too."""

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
        """The folder for this identity's unfinished work on a job; made when it is not there."""
        folder = (
            self.home
            / "work"
            / f"{self.market.connection.chain_id}-{self.market.address}"
            / self.me.address
            / str(job_id)
        )
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class JobFeed:
    """A job's history, read from the chain piece by piece."""

    def __init__(self, node: Node, job_id: int) -> None:
        self._node = node
        self._job_id = job_id
        self._events: list[Event] = []
        self._next_block: int | None = None
        self._history: JobHistory | None = None

    def refresh(self) -> JobHistory:
        """All that has happened up to now. Raises NotFound when there is no such job."""
        events, self._next_block = self._node.events.read(self._next_block, job_id=self._job_id)
        if events or self._history is None:
            self._events.extend(events)
            if not self._events:
                market = self._node.market
                raise NotFound(
                    f"There is no job {self._job_id} in the market {market.address} on chain "
                    f"{market.connection.chain_id}; `merit job list` shows what there is."
                )
            self._history = replay(self._events)
        return self._history


def fetch_spec(storage: Storage, created: JobCreated) -> Spec:
    """The job's published spec. Raises StorageError, CorruptContent."""
    data = get_bytes(storage, created.spec_cid, max_bytes=MAX_FILE_BYTES)
    return Spec.from_bytes(data, where=created.spec_cid)


def job_key(node: Node, history: JobHistory) -> bytes:
    """The job key, opened from its published envelope with this identity. Raises NotFound, CorruptContent.

    An owner who signs in a wallet has its copy sealed to the key of a node.
    """
    if history.key_published is None or history.accepted is None:
        raise NotFound(f"The job key of job {history.created.job_id} is not published: the job has not started.")
    data = get_bytes(node.storage, history.key_published.cid, max_bytes=MAX_JOB_KEY_BYTES)
    context = node.context(Purpose.JOB_KEY, job_id=history.created.job_id, party=history.accepted.aggregator)
    created = history.created
    recipient = created.owner if created.encryption_key == node.me.encryption_key else node.me.address
    return open_job_key(data, recipient, node.me.decryption_key, context)


def fetch_opened(
    storage: Storage, cid: str, opener: Callable[[BinaryIO, BinaryIO], object], *, max_bytes: int
) -> bytes:
    """Fetches a sealed file of at most `max_bytes` of content and opens it with `opener(source, sink)`.

    The sealed bytes go through a temporary file, so that memory holds only the content.
    """
    with TemporaryFile() as sealed:
        storage.get(cid, sealed, max_bytes=sealed_size(max_bytes))
        sealed.seek(0)
        content = BytesIO()
        opener(sealed, content)
        return content.getvalue()
