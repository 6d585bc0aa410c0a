"""What the node counts, for Prometheus, and one line of log for each request."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client import Counter as Total
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketplace.api.metrics_own import OwnMetrics
from marketplace.api.trainers import TrainerPool
from marketplace.services.index import Index
from marketplace.services.trouble import Trouble

MOST_UNDESCRIBED = 1000  # that are counted

log = logging.getLogger("merit.access")


class Told(Protocol):
    """A receiver of events, as api/webhooks.py has it. counts: by outcome."""

    name: str
    counts: Counter[str]

    @property
    def waiting(self) -> int: ...


class Metrics:
    """What is counted when it is asked for.

    trainers, troubles: the node's. undescribed, requests: jobs that wait for their description, and those that ask for
    the node's aggregator, by its decision. slots: by name, how many are taken.
    """

    def __init__(
        self,
        index: Index,
        trainers: TrainerPool,
        troubles: Callable[[], Iterable[tuple[str, Trouble]]],
        *,
        accounts: Callable[[], Collection[str]],
        now: Callable[[], int],
        requests: Callable[[], Iterable[str]],
        slots: Callable[[], Mapping[str, int]],
    ) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "merit_http_seconds",
            "Time until an answer begins.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.bytes = Total(
            "merit_http_bytes",
            "Bytes of bodies that came in and went out.",
            ("direction", "route"),
            registry=self.registry,
        )
        self._index = index
        self._trainers = trainers
        self._troubles = troubles
        self._requests = requests
        self._slots = slots
        self.head: int | None = None
        self.followed: float | None = None  # time.monotonic() when the chain was followed last
        self.tellers: Sequence[Told] = ()
        self.registry.register(self)
        self.own = OwnMetrics(self.registry, index, accounts, now)

    def collect(self) -> Iterator[Metric]:
        yield _gauge("merit_jobs", "Jobs by state.", "state", self._index.counts())
        statuses: Counter[str] = Counter(trainer.status for trainer in self._trainers.all())
        yield _gauge("merit_trainers", "This node's trainers by status.", "status", statuses)
        troubled = dict.fromkeys(("aggregator", "trainer", "node"), 0)
        troubled |= Counter(role for role, _ in self._troubles())
        yield _gauge("merit_jobs_in_trouble", "Jobs that cannot be worked on, by role.", "role", troubled)
        indexed = self._index.indexed or 0
        yield GaugeMetricFamily("merit_indexed_block", "The last block in the index.", indexed)
        yield GaugeMetricFamily("merit_chain_block", "The chain's last block, as last seen.", self.head or 0)
        lag = max(0, (self.head or 0) - indexed)
        yield GaugeMetricFamily("merit_chain_lag_blocks", "Blocks that the index lacks.", lag)
        silent = float("nan") if self.followed is None else time.monotonic() - self.followed
        yield GaugeMetricFamily("merit_chain_silent_seconds", "Since the chain was followed last.", silent)
        waiting = len(self._index.undescribed(MOST_UNDESCRIBED))
        yield GaugeMetricFamily("merit_descriptions_waiting", "Jobs whose description was not had yet.", waiting)
        asked = Counter(self._requests())
        yield _gauge("merit_requests", "Jobs that ask for this node's aggregator, by decision.", "decision", asked)
        yield _gauge("merit_slots_taken", "What is done at the moment and bounded.", "what", self._slots())
        queued = {teller.name: teller.waiting for teller in self.tellers}
        yield _gauge("merit_webhook_waiting", "Events that a webhook was not asked about yet.", "webhook", queued)
        told = CounterMetricFamily(
            "merit_webhook_events", "Events by what became of them.", labels=["webhook", "outcome"]
        )
        for teller in self.tellers:
            for outcome, count in list(teller.counts.items()):
                told.add_metric([teller.name, outcome], count)
        yield told


def _gauge(name: str, help: str, label: str, values: Mapping[str, int]) -> Metric:
    gauge = GaugeMetricFamily(name, help, labels=[label])
    for value, count in sorted(values.items()):
        gauge.add_metric([value], count)
    return gauge


class Metered:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        came = went = 0

        async def received() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            return message

        async def metered(message: Message) -> None:
            nonlocal went
            went += len(message.get("body", b""))
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - started
                route = _route(scope)
                self._metrics.seconds.labels(scope["method"], route, message["status"]).observe(seconds)
                facts = {"method": scope["method"], "path": scope["path"], "status": message["status"]}
                log.info("request", extra={"facts": facts | {"ms": round(seconds * 1000, 1)}})
            await send(message)

        try:
            await self._app(scope, received, metered)
        finally:
            for direction, count in (("in", came), ("out", went)):
                self._metrics.bytes.labels(direction, _route(scope)).inc(count)


def _route(scope: Scope) -> str:
    """Never the path: strangers choose that."""
    return str(getattr(scope.get("route"), "path", "other"))
