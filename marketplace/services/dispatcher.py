"""An aggregator of many jobs."""

from marketplace.errors import ChainError, CorruptContent, InputError, JobOver, MeritError, StorageError
from marketplace.services.agent import Notice, Report, Step, passing
from marketplace.services.aggregator import AggregatorAgent
from marketplace.services.node import Node


class Dispatcher:
    """Serves every job that names this account as its aggregator, each by an agent of its own."""

    def __init__(self, node: Node, payee: str, report: Report) -> None:
        self._node = node
        self._payee = payee
        self._report = report
        self._agents: dict[int, AggregatorAgent] = {}
        self._troubles: dict[int, str] = {}
        self._looked_at = 0

    def step(self) -> Step:
        """One step of each job's agent. A job that cannot be served is reported and left alone; the others go on.

        Raises the first job's error where no job at all can be worked on: an outage.
        """
        self._find_jobs()
        worked = False
        failed: list[MeritError] = []
        serving = list(self._agents.items())
        for job_id, agent in serving:
            try:
                outcome = agent.step()
            except (ChainError, StorageError, InputError, JobOver) as error:
                if passing(error):
                    failed.append(error)
                    self._complain(job_id, error)
                else:
                    self._give_up(job_id, error)
                continue
            self._troubles.pop(job_id, None)
            if outcome is Step.FINISHED:
                del self._agents[job_id]
            worked = worked or outcome is Step.WORKED
        if failed and len(failed) == len(serving):
            raise failed[0]
        return Step.WORKED if worked else Step.WAITING

    def _find_jobs(self) -> None:
        market = self._node.market
        count = market.job_count()
        self._looked_at = min(self._looked_at, count)  # jobs above it left the chain: they are looked at again
        for job_id in range(self._looked_at + 1, count + 1):
            terms = market.terms(job_id)
            named = terms.aggregator == self._node.me.address and not market.job(job_id).state.over
            if named and job_id not in self._agents:
                try:
                    self._agents[job_id] = AggregatorAgent(self._node, job_id, self._payee, self._report)
                except (CorruptContent, JobOver, InputError) as error:
                    self._give_up(job_id, error)
            self._looked_at = job_id

    def _complain(self, job_id: int, error: Exception) -> None:
        """Once for each trouble, however often it is met."""
        if self._troubles.get(job_id) != str(error):
            self._troubles[job_id] = str(error)
            self._report(Notice("trouble", f"Job {job_id}: {error}", values={"job": job_id}))

    def _give_up(self, job_id: int, error: Exception) -> None:
        self._agents.pop(job_id, None)
        self._report(Notice("given-up", f"Job {job_id} is not served: {error}", values={"job": job_id}))
