"""What a job's owner gives those who need it, where this node's own key is the owner."""

import logging

from marketplace.api.node import AGAIN_AFTER, NodeServices
from marketplace.domain import ConfirmationOpened, State, TakenOver
from marketplace.replay import JobHistory
from marketplace.services.agent import Notice, Step
from marketplace.services.node import Node

log = logging.getLogger("merit.node")
LOOKED_THROUGH = 200  # events at a time


class Provider:
    """Gives the job key and the kept validation data to aggregators that have taken this node's jobs over.

    To the members of a job that confirms it reveals data and rows that nobody else shows them.
    """

    def __init__(self, services: NodeServices, node: Node) -> None:
        self._services = services
        self._node = node
        self._troubles = services.own_troubles
        self._generation = ""
        self._seen = 0
        self._waiting: set[int] = set()

    def step(self) -> Step:
        index, me = self._services.index, self._node.identity
        if me is None:
            return Step.WAITING
        if index.generation != self._generation:  # rows were dropped: sequence numbers may mean others
            self._generation, self._seen = index.generation, 0
        for news in index.events(kinds=[TakenOver, ConfirmationOpened], after=self._seen, limit=LOOKED_THROUGH):
            self._seen = news.seq
            if index.job(news.event.job_id).owner == me.address:
                self._waiting.add(news.event.job_id)
        for job_id in sorted(self._waiting):
            if self._troubles.waits(job_id):
                continue
            try:
                done = self._provide(index.history(job_id), me.address)
            except Exception as error:  # noqa: BLE001 (whatever it is, it is this job's)
                self._troubles.met(job_id, error, longest=AGAIN_AFTER)
            else:
                self._troubles.over(job_id)
                if done:
                    self._waiting.discard(job_id)
        return Step.WAITING

    def report(self, notice: Notice) -> None:
        log.warning(notice.text)

    def _provide(self, history: JobHistory, me: str) -> bool:
        """Whether nobody will need anything more, as far as is known."""
        from marketplace.services.handover import hand_over_all  # noqa: PLC0415 (torch takes seconds)
        from marketplace.services.rows import reveal_what_nobody_else_does  # noqa: PLC0415 (likewise)

        if history.waits_for(me):
            hand_over_all(self._node, history, self._services.spec(history.created))
        if history.state is not State.CONFIRMING or not history.rows_due:
            return True
        return reveal_what_nobody_else_does(self._node, history)
