"""What the routes work with, and the thread that keeps the index current."""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from marketplace.api.content import ContentDesk
from marketplace.api.folders import Folders
from marketplace.api.hub import Hub
from marketplace.api.metrics import Metrics
from marketplace.api.problems import Refusal
from marketplace.api.sent import SentLog
from marketplace.api.trainers import TrainerPool
from marketplace.domain import JobCreated
from marketplace.errors import CorruptContent, MeritError
from marketplace.keys.identity import Identity
from marketplace.replay import JobHistory
from marketplace.services.agent import Agent, Notice, Step, run
from marketplace.services.crew import Crew
from marketplace.services.index import Description, Index
from marketplace.services.node import Node, fetch_spec
from marketplace.services.trouble import Trouble, Troubles
from marketplace.services.webhooks import Webhook
from marketplace.spec import Spec

if TYPE_CHECKING:
    from marketplace.services.dispatcher import Dispatcher
    from marketplace.services.scores import Scores

log = logging.getLogger("merit.node")
LOOKED_THROUGH = 1000  # jobs without a description at a time
AT_A_TIME = 16  # descriptions that are fetched
HOLD = 1.0  # seconds that a look waits for them
SPECS = 256  # descriptions that are kept in memory
CLOCK_AFTER = 30.0  # seconds after which the chain's clock is read even without a block
SCORES = 64  # jobs whose models' scores are kept in memory
AGAIN_AFTER = 60.0  # seconds until a description that could not be had is asked for again
Role = Literal["aggregator", "trainer", "node"]


class Slots:
    """So many at a time, and nobody waits: who comes too much is refused. each: of them for one party."""

    def __init__(self, name: str, count: int, each: int | None = None) -> None:
        self._name = name
        self._free = threading.BoundedSemaphore(count)
        self._each = each
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many are taken."""
        with self._lock:
            return sum(self._held.values())

    @contextmanager
    def taken(self, by: str = "") -> Iterator[None]:
        """Raises Refusal (429)."""
        refusal = Refusal(429, f"This node does no more {self._name} at a time: try again soon.", {"Retry-After": "5"})
        with self._lock:
            if (self._each is not None and self._held[by] >= self._each) or not self._free.acquire(blocking=False):
                raise refusal
            self._held[by] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held -= Counter({by: 1})
                self._free.release()


class Sample(NamedTuple):
    """A trainer with a key of its own beside the node's, so that a newcomer sees a job run on one machine."""

    address: str
    trainers: TrainerPool


@dataclass
class NodeServices:
    """node: for reading and short calls. aggregator, dispatcher: the one that runs in this process. local_rpc: the
    address of the chain, where it is this process's own. dist: the built page. docs: the built documentation."""

    node: Node
    index: Index
    hub: Hub
    trainers: TrainerPool
    token: str = field(repr=False)
    folders: Folders
    version: str
    aggregator: Identity | None = None
    dispatcher: "Dispatcher | None" = None
    local_rpc: str | None = None
    hosts: tuple[str, ...] = ()
    dist: Path | None = None
    docs: Path | None = None
    problem: str = ""  # why the index does not follow the chain; "" while it does
    audits: Slots = field(default_factory=lambda: Slots("audits", 2))
    heavy: Slots = field(default_factory=lambda: Slots("checks of data and preparing of jobs", 2))
    streams: Slots = field(default_factory=lambda: Slots("event streams", 64))
    transfers: Slots = field(default_factory=lambda: Slots("transfers of participants' content", 8, each=4))
    openly: Slots = field(default_factory=lambda: Slots("transfers of descriptions", 8, each=4))
    webhooks: tuple[Webhook, ...] = ()
    admitted: frozenset[str] = frozenset()  # accounts that may use the storage without taking part in a job

    samples: tuple[Sample, ...] = ()  # on a local chain only
    sent: SentLog = field(default_factory=SentLog)
    unread: dict[int, str] = field(default_factory=dict)  # jobs whose description could not be had yet, and why
    offset: float = 0.0  # the chain's clock less this machine's, in seconds

    def __post_init__(self) -> None:
        market = self.node.market
        self.metrics = Metrics(
            self.index,
            self.trainers,
            self.troubles,
            accounts=self.accounts,
            now=self.now,
            requests=self._decisions,
            slots=self._taken,
        )
        self.own_troubles = Troubles(lambda notice: log.warning(notice.text))  # of what the node does for its owner
        self.content = ContentDesk(self.index, market.connection.chain_id, market.address, self.admitted)
        self._specs: OrderedDict[str, Spec] = OrderedDict()
        self._scores: OrderedDict[tuple[object, ...], Scores] = OrderedDict()

    def now(self) -> int:
        """The chain's time as last seen, carried on by this machine's clock: also while the chain is out of reach."""
        return int(time.time() + self.offset)

    def _decisions(self) -> list[str]:
        return [request.decision for request in self.dispatcher.requests()] if self.dispatcher is not None else []

    def _taken(self) -> dict[str, int]:
        kinds = {"audits": self.audits, "heavy": self.heavy, "streams": self.streams}
        kinds |= {"transfers": self.transfers, "openly": self.openly}
        return {name: slots.count for name, slots in kinds.items()}

    def accounts(self) -> set[str]:
        """Those that act from this node: its own, its aggregator's, its samples'."""
        found = {sample.address for sample in self.samples}
        found |= {identity.address for identity in (self.node.identity, self.aggregator) if identity is not None}
        return found

    def troubles(self) -> list[tuple[Role, Trouble]]:
        """The jobs that this node cannot work on at the moment, by what it is in them."""
        served = self.dispatcher.troubles() if self.dispatcher is not None else []
        found: list[tuple[Role, Trouble]] = [("aggregator", trouble) for trouble in served]
        for trainers in (self.trainers, *(sample.trainers for sample in self.samples)):
            found += [("trainer", trouble) for trouble in trainers.troubles()]
        return found + [("node", trouble) for trouble in self.own_troubles.all()]

    def spec(self, created: JobCreated) -> Spec:
        """A job's description, from memory where it was read before: a CID's content never changes.

        Raises StorageError, CorruptContent.
        """
        known = self._specs.get(created.spec_cid)
        if known is None:
            known = fetch_spec(self.node.storage, created)
            self._specs[created.spec_cid] = known
            while len(self._specs) > SPECS:
                self._specs.popitem(last=False)
        return known

    def scores(self, history: JobHistory) -> "Scores":
        """As services.scores.job_scores, from memory where nothing has changed. Raises Refusal (429), too."""
        from marketplace.services.scores import holds_job_key, job_scores, validation_source  # noqa: PLC0415 (torch)

        spec = self.spec(history.created)
        settled = tuple(event.transaction for event in history.settled.values())
        known = holds_job_key(self.node, history), validation_source(self.node, history, spec)
        key = (history.created.spec_cid, history.created.job_id, settled, *known)
        with self.heavy.taken():
            found = self._scores.get(key) or job_scores(self.node, history, spec)
        self._scores[key] = found
        while len(self._scores) > SCORES:
            self._scores.popitem(last=False)
        return found


class Follower:
    """Keeps the index current: an agent of services.agent."""

    def __init__(self, services: NodeServices, node: Node) -> None:
        self._services = services
        self._node = node
        self._clock_read = float("-inf")

    def step(self) -> Step:
        services, connection = self._services, self._node.market.connection
        head = connection.head()
        if head != services.metrics.head or time.monotonic() > self._clock_read + CLOCK_AFTER:
            services.offset = connection.now() - time.time()
            self._clock_read = time.monotonic()
        services.metrics.head = head
        changed = services.index.update(self._node.events, connection)
        services.problem = ""
        services.metrics.followed = time.monotonic()
        if changed:
            services.hub.stir()
        return Step.WORKED if changed else Step.WAITING

    def report(self, notice: Notice) -> None:
        if notice.kind == "trouble":
            self._services.problem = notice.text
            log.warning(notice.text)


class Describer:
    """Reads the descriptions of the jobs in the index, which storage may give late or never."""

    def __init__(self, services: NodeServices, node: Node) -> None:
        self._services = services
        self._node = node
        self._crew = Crew("description")
        self._tries: Counter[int] = Counter()
        self._again: dict[int, float] = {}

    def step(self) -> Step:
        """Those that were asked for least come first: what storage has not keeps no other from being read."""
        busy, now = self._crew.busy, time.monotonic()
        undescribed = self._services.index.undescribed(LOOKED_THROUGH)
        due = [c for c in undescribed if c.job_id not in busy and self._again.get(c.job_id, 0.0) <= now]
        for created in sorted(due, key=lambda c: self._tries[c.job_id])[: max(0, AT_A_TIME - len(busy))]:
            self._crew.start(created.job_id, partial(self._describe, created))
        described = False
        for job_id, outcome in self._crew.finished(HOLD):
            if outcome is True:
                self._services.unread.pop(job_id, None)
                described = True
            self._tries[job_id] += 1
            self._again[job_id] = time.monotonic() + AGAIN_AFTER
            if isinstance(outcome, BaseException):
                log.error("the description of job %d", job_id, exc_info=outcome)
        if described:
            self._services.hub.stir()
        return Step.WORKED if described else Step.WAITING

    def report(self, notice: Notice) -> None:
        log.warning(notice.text)

    def _describe(self, created: JobCreated) -> bool:
        """False where the description may be had later."""
        describe, named = self._services.index.describe, [created.spec_cid]
        try:
            spec = fetch_spec(self._node.storage, created)
        except CorruptContent as error:
            describe(created.job_id, Description(problem=str(error)))
        except MeritError as error:
            self._services.unread[created.job_id] = str(error)
            return False
        except ValueError as error:
            describe(created.job_id, Description(problem=f"The model does not fit: {error}."), named)
        else:
            found = Description(spec.name, spec.model.architecture, spec.parameters, spec.proofs.development)
            named += [spec.base_cid, spec.proofs.srs.cid, spec.proofs.key.cid]
            named += [pinned.cid for pinned in (*spec.files.values(), spec.frozen) if pinned]
            named += [spec.validation.sealed_cid] if spec.validation else []
            describe(created.job_id, found, named)
        return True


class Reporting(Agent, Protocol):
    """An agent that says by itself what is to be reported."""

    def report(self, notice: Notice) -> None: ...


def keep_running(agent: Reporting, services: NodeServices, poll: float, stop: threading.Event) -> None:
    """Steps an agent until `stop` is set, whatever happens meanwhile."""
    while not stop.is_set():
        try:
            run(agent, report=agent.report, poll=poll, patience=float("inf"), stop=stop)
        except Exception as error:
            if not stop.is_set():
                log.exception("%s", type(agent).__name__)
                services.problem = str(error) if isinstance(error, MeritError) else "The node's log says what is wrong."
            stop.wait(max(poll, 5.0))
