"""What the owner of a job does when another aggregator takes it over, where this node's own key is the owner."""

import logging
import time

from marketplace.api.node import AGAIN_AFTER, NodeServices
from marketplace.domain import State, TakenOver
from marketplace.errors import MeritError
from marketplace.replay import JobHistory
from marketplace.services.agent import Notice, Step
from marketplace.services.node import Node, job_key

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
                done = self._hand_over(index.history(job_id), me.address)
            except MeritError as error:
                log.warning("job %d cannot be handed over yet: %s", job_id, error)
                done = False
            if done:
                del self._waiting[job_id]
            else:
                self._waiting[job_id] = time.monotonic() + AGAIN_AFTER
        return Step.WAITING

    def report(self, notice: Notice) -> None:
        log.warning(notice.text)

    def _hand_over(self, history: JobHistory, me: str) -> bool:
        """True when nothing is left to do."""
        from marketplace.services.handover import hand_over  # noqa: PLC0415 (torch takes seconds)
        from marketplace.services.validation import holds_validation  # noqa: PLC0415

        handed = any(event.sender == me for event in history.handed_over)
        if history.state is not State.RUNNING or not history.unready or handed:
            return True
        spec = self._services.spec(history.created)
        key = job_key(self._node, history) if history.keys else b""
        hand_over(self._node, history, key, spec if holds_validation(self._node, spec) else None)
        return True
