"""Jobs that ask for an aggregator by its name: what its policy has against them, and what its operator says."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from marketplace.domain import ZERO_ADDRESS, Job, State, Terms
from marketplace.errors import InputError, JobOver, MeritError
from marketplace.files import read_within, write_atomically
from marketplace.services.node import JobFeed, Node, fetch_spec
from marketplace.services.policy import NOTHING, Held, Policy, PolicyFile, Work, stamp_of, work_of

FILE_NAME = "requests.json"
MAX_BYTES = 4 << 20
MOST_DECISIONS = 10_000
LOCKED_WITHIN = 10.0  # seconds
Verdict = Literal["accepted", "declined"]
Decided = Literal["open", "accepted", "declined", "served"]


@dataclass(frozen=True, slots=True)
class Asking:
    """A job as the chain had it when it was read."""

    job_id: int
    job: Job
    terms: Terms


def read_asking(node: Node, job_id: int) -> Asking | None:
    """A job that this node's account aggregates, or that names it and waits; else None. Raises NotFound, ChainError."""
    me, job = node.me.address, node.market.job(job_id)
    if job.state.over or job.aggregator not in (me, ZERO_ADDRESS):
        return None
    terms = node.market.terms(job_id)
    waits = job.state is State.OPEN and terms.aggregator == me
    return Asking(job_id, job, terms) if waits or job.aggregator == me else None


def read_owner_and_terms(node: Node, job_id: int) -> tuple[str, Terms]:
    """Of any job. Raises NotFound, ChainError."""
    return node.market.job(job_id).owner, node.market.terms(job_id)


def read_work(node: Node, job_id: int) -> Work:
    """What a job's description asks of its aggregator. Raises NotFound, ChainError, StorageError, CorruptContent."""
    return work_of(fetch_spec(node.storage, JobFeed(node, job_id).refresh().created))


# ---------------------------------------------------------------- what the operator says


class _Decision(BaseModel):
    """owner, terms: of the job that was decided on; after a reorganization another may have its number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: int = Field(ge=1, lt=2**63)
    verdict: Verdict
    owner: str = Field(max_length=42)
    terms: str = Field(pattern=r"^[0-9a-f]{64}$")


_DECISIONS = TypeAdapter(Annotated[list[_Decision], Field(max_length=MOST_DECISIONS)])


class Decisions:
    """The operator's word on single jobs, in a file that every process of the account reads and writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, ...] | None = None
        self._known: dict[int, _Decision] = {}
        self.problem = ""
        self.refresh()
        if self.problem:
            raise InputError(self.problem)

    def refresh(self) -> bool:
        """Reads the file where it has changed, and says whether it has. A damaged one leaves all as it was."""
        stamp = stamp_of(self._path)
        if stamp == self._read:
            return False
        self._read = stamp
        try:
            self._known = self._load() if stamp else {}
        except InputError as error:
            self.problem = str(error)
            return True
        self.problem = ""
        return True

    def of(self, asking: Asking) -> Verdict | None:
        known = self._known.get(asking.job_id)
        return known.verdict if known is not None and known == _decision(asking, known.verdict) else None

    def put(self, asking: Asking, verdict: Verdict) -> None:
        """Raises InputError where it cannot be kept."""
        with self._locked():
            known = self._load() if stamp_of(self._path) else {}
            known.pop(asking.job_id, None)
            known[asking.job_id] = _decision(asking, verdict)
            kept = list(known.values())[-MOST_DECISIONS:]
            write_atomically(self._path, json.dumps([d.model_dump() for d in kept], indent=1).encode())
        self.refresh()

    def _load(self) -> dict[int, _Decision]:
        try:
            return {d.job_id: d for d in _DECISIONS.validate_json(read_within(self._path, MAX_BYTES))}
        except ValidationError as error:
            raise InputError(f"{self._path} is damaged: delete it, and decide again on the jobs that wait.") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self._path.with_suffix(".lock"), timeout=LOCKED_WITHIN)
        try:
            lock.acquire()
        except (Timeout, OSError) as error:
            raise InputError(f"{self._path} cannot be locked: another process writes it; try again.") from error
        try:
            yield
        finally:
            lock.release()


def _decision(asking: Asking, verdict: Verdict) -> _Decision:
    job = asking.job
    return _Decision(job_id=asking.job_id, verdict=verdict, owner=job.owner, terms=job.terms_hash.hex())


class Desk:
    """Where an aggregator's policy and its operator's word meet. Raises InputError where either cannot be read."""

    def __init__(self, node: Node) -> None:
        self.rules = PolicyFile(node.home, node.market.connection.chain_id)
        self.decisions = Decisions(node.work(0).parent / FILE_NAME)
        self.version = 0

    @property
    def policy(self) -> Policy:
        return self.rules.policy

    @property
    def problems(self) -> list[str]:
        """What keeps a file that was changed from being in force."""
        return [problem for problem in (self.rules.problem, self.decisions.problem) if problem]

    def refresh(self) -> None:
        """Looks for changes of the two files; `version` is another one where the policy has changed."""
        self.decisions.refresh()
        if self.rules.refresh():
            self.version += 1

    def objections(self, asking: Asking, work: Work | None, held: Held = NOTHING, *, now: int) -> list[str]:
        return self.policy.objections(asking.job.owner, asking.terms, work, held, now=now)


# ---------------------------------------------------------------- what is shown


@dataclass(frozen=True, slots=True)
class Request:
    """A job that asks for this aggregator. decision: served once the bond is posted. seen: Unix seconds."""

    job_id: int
    owner: str
    terms: Terms
    decision: Decided
    objections: tuple[str, ...]
    seen: float


def decide(node: Node, desk: Desk, job_id: int, verdict: Verdict) -> Asking:
    """Keeps the operator's word on a job. Raises JobOver for one that does not wait for it, InputError, NotFound."""
    asking = read_asking(node, job_id)
    if asking is None:
        raise JobOver(
            f"Job {job_id} does not wait for {node.me.address}: it is over, has an aggregator, or names none."
        )
    if asking.job.aggregator == node.me.address:
        raise JobOver(f"Job {job_id} is served already: its bond is posted.")
    desk.decisions.put(asking, verdict)
    return asking


def request_of(desk: Desk, asking: Asking, objections: Sequence[str] | None, *, account: str, seen: float) -> Request:
    """A job as it is shown to the operator of `account`. objections: None while they are not known."""
    said = desk.decisions.of(asking)
    decision: Decided
    if asking.job.aggregator == account:
        decision, objections = "served", ()
    elif said is None:
        decision = "open" if objections is None or objections else "accepted"
    else:
        decision = said
    return Request(asking.job_id, asking.job.owner, asking.terms, decision, tuple(objections or ()), seen)


def examine(node: Node, desk: Desk, asking: Asking, held: Held = NOTHING) -> list[str]:
    """What the policy has against a job, its description included where that makes a difference."""
    now = node.market.connection.now()
    found = desk.objections(asking, None, held, now=now)
    if found:
        return found
    try:
        return desk.objections(asking, read_work(node, asking.job_id), held, now=now)
    except MeritError as error:
        return [f"Its description cannot be read: {error}"]
