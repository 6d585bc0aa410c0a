"""What the node counts, for Prometheus, and one line of log for each request."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketplace.api.trainers import TrainerPool
from marketplace.services.index import Index
from marketplace.services.trouble import Trouble

log = logging.getLogger("merit.access")


class Metrics:
    """index, trainers, troubles: what is counted when it is asked for."""

    def __init__(
        self, index: Index, trainers: TrainerPool, troubles: Callable[[], Iterable[tuple[str, Trouble]]]
    ) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "merit_http_seconds",
            "Time until an answer begins.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._index = index
        self._trainers = trainers
        self._troubles = troubles
        self.head: int | None = None
        self.registry.register(self)

    def collect(self) -> Iterable[Metric]:
        jobs = GaugeMetricFamily("merit_jobs", "Jobs by state.", labels=["state"])
        for state, count in self._index.counts().items():
            jobs.add_metric([state], count)
        yield jobs
        running = GaugeMetricFamily("merit_trainers", "This node's trainers by status.", labels=["status"])
        statuses = [trainer.status for trainer in self._trainers.all()]
        for status in sorted(set(statuses)):
            running.add_metric([status], statuses.count(status))
        yield running
        troubled = GaugeMetricFamily(
            "merit_jobs_in_trouble", "Jobs that cannot be worked on, by role.", labels=["role"]
        )
        counted = Counter(role for role, _ in self._troubles())
        for role in ("aggregator", "trainer", "node"):
            troubled.add_metric([role], counted[role])
        yield troubled
        yield GaugeMetricFamily("merit_indexed_block", "The last block in the index.", self._index.indexed or 0)
        yield GaugeMetricFamily("merit_chain_block", "The chain's last block, as last seen.", self.head or 0)


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

        async def metered(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - started
                route = getattr(scope.get("route"), "path", "other")  # never the path: strangers choose that
                self._metrics.seconds.labels(scope["method"], route, message["status"]).observe(seconds)
                facts = {"method": scope["method"], "path": scope["path"], "status": message["status"]}
                log.info("request", extra={"facts": facts | {"ms": round(seconds * 1000, 1)}})
            await send(message)

        await self._app(scope, receive, metered)
