"""What the owner of a job does when another aggregator takes it over, where this node's own key is the owner."""

import logging
import time

from marketplace.api.node import AGAIN_AFTER, NodeServices
from marketplace.domain import TakenOver
from marketplace.errors import MeritError
from marketplace.replay import JobHistory
from marketplace.services.agent import Notice, Step
from marketplace.services.node import Node

log = logging.getLogger("merit.node")
LOOKED_THROUGH = 200  # takeovers at a time


class HandingOver:
    """Gives the job key and the kept validation data to aggregators that have taken this node's jobs over."""

    def __init__(self, services: NodeServices, node: Node) -> None:
        self._services = services
        self._node = node
        self._generation = ""
        self._seen = 0
        self._waiting: dict[int, float] = {}  # job → when to look at it

    def step(self) -> Step:
        index, me = self._services.index, self._node.identity
        if me is None:
            return Step.WAITING
        if index.generation != self._generation:  # rows were dropped: sequence numbers may mean others
            self._generation, self._seen = index.generation, 0
        for news in index.events(kinds=[TakenOver], after=self._seen, limit=LOOKED_THROUGH):
            self._seen = news.seq
            if index.job(news.event.job_id).owner == me.address:
                self._waiting[news.event.job_id] = 0.0
        for job_id, moment in list(self._waiting.items()):
            if moment > time.monotonic():
                continue
            try:
                self._hand_over(index.history(job_id), me.address)
                del self._waiting[job_id]
            except MeritError as error:
                log.warning("job %d cannot be handed over yet: %s", job_id, error)
                self._waiting[job_id] = time.monotonic() + AGAIN_AFTER
        return Step.WAITING

    def report(self, notice: Notice) -> None:
        log.warning(notice.text)

    def _hand_over(self, history: JobHistory, me: str) -> None:
        from marketplace.services.handover import hand_over_all  # noqa: PLC0415 (torch takes seconds)

        if history.waits_for(me):
            hand_over_all(self._node, history, self._services.spec(history.created))
