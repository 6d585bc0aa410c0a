"""An aggregator of many jobs: whatever comes of one, the others are served.

Each job is worked on in a thread of its own, since strangers can make any of them wait: by a description that no
storage has, or updates that come slowly. What goes wrong in a job is that job's trouble, and is tried again on its own
clock (services/trouble.py). Only a chain that does not answer at all is an outage of all.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Set
from contextlib import ExitStack
from dataclasses import dataclass, replace

from marketplace.domain import Job, State
from marketplace.errors import JobOver, MeritError, NotFound
from marketplace.files import exclusive
from marketplace.services.agent import Notice, Report, Step
from marketplace.services.aggregator import AggregatorAgent
from marketplace.services.crew import Crew
from marketplace.services.lookout import Lookout
from marketplace.services.node import Node
from marketplace.services.policy import Held, Work, work_of
from marketplace.services.requests import Asking, Desk, Request, Verdict, decide, read_asking, read_work, request_of
from marketplace.services.trouble import LONGEST, Trouble, Troubles

HOLD = 1.0  # seconds that a step waits for the jobs that are worked on
LOOK_AGAIN = 60.0  # seconds after which a job that waits is read again
NEWCOMERS = 8  # jobs that are not served yet and are looked into at a time
MOST_SHOWN = 500  # requests
SERVED_LONGEST = 15.0  # seconds between two tries of a job whose bond is posted
ENDING = 30.0  # seconds that jobs may take to end their step when the process stops
MOST_POWER = 4  # a try is made at least so often in the time that is left

_LOOKING = 0  # no job's number: the call that reads jobs


class _Gone(Exception):
    """A job is over, another's, or no longer on the chain."""


@dataclass(slots=True)
class _Case:
    """A job that asks for this aggregator, or that it serves.

    work: what its description asks, once it was read. judged_by: what its objections follow from. told: the version of
    the desk under which they were told. taken: it is to be served. expired: when its enrolment was seen to be over.
    lock: held while this process works on the job.
    """

    asking: Asking
    seen: float
    read: float
    agent: AggregatorAgent | None = None
    work: Work | None = None
    objections: tuple[str, ...] = ()
    judged_by: object = None
    told: int | None = None
    taken: bool = False
    expired: float | None = None
    lock: ExitStack | None = None

    @property
    def job(self) -> Job:
        """As it was seen last."""
        return (self.agent.seen if self.agent is not None else None) or self.asking.job


class Dispatcher:
    """Serves the jobs that name this account as their aggregator, as far as its policy or its operator accepts them."""

    def __init__(
        self, node: Node, payee: str, report: Report, *, hold: float = HOLD, clock: Callable[[], float] = time.time
    ) -> None:
        """hold: seconds that a step waits for the jobs that are worked on. clock: Unix seconds.

        Raises InputError for a policy or a list of decisions that cannot be read.
        """
        self._node = node
        self._me = node.me.address
        self._payee = payee
        self._hold = hold
        self._clock = clock
        self._saying = threading.Lock()
        self._told = report
        self._troubles = Troubles(self._report, clock)
        self._desk = Desk(node)
        self._problems: list[str] = []
        self._crew = Crew("job")
        self._lock = threading.Lock()  # of _cases, which other threads read
        self._cases: dict[int, _Case] = {}
        self._lookout = Lookout(node)
        self._now = 0

    # ---------------------------------------------------------------- for other threads

    @property
    def policy_source(self) -> str:
        """Where its policy comes from, for a person."""
        return self._desk.rules.source

    def troubles(self) -> list[Trouble]:
        """Of the jobs that it serves, or wants to."""
        return self._troubles.all()

    def requests(self) -> list[Request]:
        """The jobs that it serves, then those that ask for it, newest first; at most MOST_SHOWN."""
        with self._lock:
            cases = list(self._cases.values())
        shown = [self._request(case) for case in cases]
        return sorted(shown, key=lambda request: (request.decision != "served", -request.job_id))[:MOST_SHOWN]

    def decide(self, job_id: int, verdict: Verdict) -> Request:
        """Keeps the operator's word on a job. Raises as `requests.decide` does."""
        asking = decide(self._node, self._desk, job_id, verdict)
        self._troubles.hurry(job_id)
        with self._lock:
            case = self._cases.get(job_id)
        now = self._clock()
        return self._request(case or _Case(asking, now, now))

    def _request(self, case: _Case) -> Request:
        asking = replace(case.asking, job=case.job)
        known = None if case.judged_by is None else case.objections
        return request_of(self._desk, asking, known, account=self._me, seen=case.seen)

    # ---------------------------------------------------------------- one step

    def step(self) -> Step:
        """One step of each job, as far as they end within `hold`; WORKED also while some still go on.

        Raises ChainError where the chain does not answer what belongs to no job.
        """
        self._now = self._node.market.connection.now()
        self._lookout.count()
        self._look_at_the_desk()
        end = time.monotonic() + self._hold
        begun: set[int] = set()
        worked = False
        while self._begin(begun) or self._crew.busy:
            for key, outcome in self._crew.finished(end - time.monotonic()):
                worked |= self._saw(outcome) if key == _LOOKING else self._heard(key, outcome)
            if time.monotonic() >= end:
                break
        return Step.WORKED if worked or self._crew.busy else Step.WAITING

    def waiting(self) -> dict[int, str]:
        """By job that is served; without any, what would be. Raises ChainError."""
        with self._lock:
            agents = [case.agent for case in self._cases.values() if case.agent is not None]
        if not agents:
            return {0: f"Waits for a job that names {self._me} as its aggregator."}
        found = [waited for agent in agents for waited in agent.waiting(self._now).items()]
        return {job_id: f"Job {job_id}: {text}" if text else "" for job_id, text in found}

    def close(self) -> None:
        """Waits for the steps that go on, within bounds: what is left undone, the next process does."""
        self._crew.finished(ENDING)
        for case in self._cases.values():
            _unlock(case)

    def _begin(self, begun: set[int]) -> bool:
        """Begins what is due and was not begun in this step, served jobs first; whether there was anything."""
        due: list[tuple[int, Callable[[], object]]] = []
        newcomers: list[_Case] = []
        busy = self._crew.busy
        for job_id, case in list(self._cases.items()):
            if job_id in busy:
                continue
            if not self._serves(case) and case.agent is None and case.asking.terms.enrol_by < self._now:
                self._expire(job_id, case)
            elif job_id in begun or self._troubles.waits(job_id):
                continue
            elif self._serves(case):
                if case.agent is not None or self._locks(case):
                    due.append((job_id, self._next(case)))
            else:
                newcomers.append(case)
        due += self._chosen(newcomers, busy)
        if _LOOKING not in busy | begun:
            batch = self._lookout.take(self._stale(busy | {key for key, _ in due}))
            if batch:
                due.append((_LOOKING, lambda: self._lookout.look(batch)))
        for key, call in due:
            if key == _LOOKING or self._cases[key].agent is not None:
                begun.add(key)
            self._crew.start(key, call)
        return bool(due)

    def _expire(self, job_id: int, case: _Case) -> None:
        """Forgets a job that nobody may accept any more, once it was read again: the bond may be posted by now."""
        if case.expired is None:
            case.expired = self._clock()
            self._lookout.again(job_id)
        elif case.read >= case.expired:
            self._drop(job_id)

    def _chosen(self, newcomers: list[_Case], busy: Set[int]) -> list[tuple[int, Callable[[], object]]]:
        """Those to look into or to take up: who failed least comes first, and one job of each owner at a time."""
        going = [case for job_id, case in self._cases.items() if job_id in busy and not self._serves(case)]
        owners, room, held = {case.job.owner for case in going}, NEWCOMERS - len(going), self._held()
        due: list[tuple[int, Callable[[], object]]] = []
        for case in sorted(newcomers, key=lambda c: (self._troubles.attempts(c.asking.job_id), c.asking.job_id)):
            if len(due) >= room:
                break
            if case.job.owner not in owners and self._wants(case, held):
                owners.add(case.job.owner)
                held = self._held()
                due.append((case.asking.job_id, self._next(case)))
        return due

    def _next(self, case: _Case) -> Callable[[], object]:
        """What there is to do for a job, as a call that raises _Gone once it is not this aggregator's any more."""
        job_id, agent, asking = case.asking.job_id, case.agent, case.asking
        work = case.work if self._desk.decisions.of(asking) is None else None

        def call() -> object:
            try:
                if agent is not None:
                    return agent.step()
                if case.taken:
                    return self._taken_up(asking, work)
                return read_work(self._node, job_id)
            except JobOver as error:
                if self._is_gone(job_id):
                    raise _Gone(str(error)) from error
                raise

        return call

    def _taken_up(self, asking: Asking, work: Work | None) -> AggregatorAgent:
        """work: what the policy was asked about; None where the operator accepted the job, or its bond is posted."""
        agent = AggregatorAgent(self._node, asking.job_id, self._payee, self._report)
        same = (agent.created.owner, agent.created.terms) == (asking.job.owner, asking.terms)
        if not same or work not in (None, work_of(agent.spec)):
            raise JobOver(f"Job {asking.job_id} is another one since blocks left the chain.")
        return agent

    def _is_gone(self, job_id: int) -> bool:
        try:
            return read_asking(self._node, job_id) is None
        except NotFound:
            return True

    def _heard(self, job_id: int, outcome: object) -> bool:
        """What came of a job's call; whether that was work."""
        case = self._cases.get(job_id)
        if case is None:  # it was over when the market was read, which ended at the same time as this call
            return False
        match outcome:
            case BaseException():
                self._failed(job_id, case, outcome)
                return False
            case AggregatorAgent():
                case.agent = outcome
            case Work():
                case.work, case.judged_by = outcome, None
            case Step.FINISHED:
                self._drop(job_id)
            case Step():
                self._troubles.over(job_id)
        return outcome is not Step.WAITING

    def _failed(self, job_id: int, case: _Case, error: BaseException) -> None:
        served = self._serves(case)
        if isinstance(error, _Gone):
            self._drop(job_id)
            if served:
                self._report(
                    Notice("given-up", f"Job {job_id} is not served any more: {error}", values={"job": job_id})
                )
            return
        if isinstance(error, JobOver) or not isinstance(error, MeritError):
            # An agent keeps nothing that cannot be read again: the next try begins with a new one.
            self._drop(job_id, keep_trouble=True)
            self._lookout.again(job_id)
        self._troubles.met(job_id, error, longest=self._longest(case))

    def _longest(self, case: _Case) -> float:
        """Seconds after which a job in trouble must be tried again, so that time is left before its deadline."""
        job = case.job
        if not self._serves(case):
            due, most = case.asking.terms.enrol_by, LONGEST
        elif job.state is State.RUNNING:
            due, most = (job.settle_by if job.key_published else job.submit_by), SERVED_LONGEST
        else:
            return SERVED_LONGEST
        left = due - self._now
        return min(most, max(1.0, left / MOST_POWER)) if left > 0 else most

    # ---------------------------------------------------------------- what it takes up

    def _serves(self, case: _Case) -> bool:
        """Whether its bond is posted."""
        return case.job.aggregator == self._me

    def _wants(self, case: _Case, held: Held) -> bool:
        """Whether there is something to do for a job that is not served: to read its description, or to take it up."""
        try:
            return self._judged(case, held)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is this job's)
            self._troubles.met(case.asking.job_id, error, longest=self._longest(case))
            return False

    def _judged(self, case: _Case, held: Held) -> bool:
        said = self._desk.decisions.of(case.asking)
        if said == "declined":
            self._let_go(case)
            return False
        if said is None:
            held = self._held(case) if case.taken else held
            judged_by = (self._desk.version, held)
            if case.judged_by != judged_by:
                case.judged_by = judged_by
                case.objections = tuple(self._desk.objections(case.asking, case.work, held, now=self._now))
                if case.objections:
                    self._decline(case)
            if case.objections or case.work is None:
                self._let_go(case)
                return not case.objections
        if case.agent is not None:
            return True
        case.taken = self._locks(case)
        return case.taken

    def _let_go(self, case: _Case) -> None:
        if case.agent is not None:
            self._lookout.again(case.asking.job_id)  # whose bond it may just have posted
        case.agent, case.taken = None, False
        _unlock(case)

    def _held(self, but: _Case | None = None) -> Held:
        others = [case for case in self._cases.values() if case is not but and case.taken and not case.job.state.over]
        bonds: Counter[str] = Counter()
        for case in others:
            bonds[case.asking.terms.token] += case.asking.terms.bond
        return Held(len(others), bonds)

    def _decline(self, case: _Case) -> None:
        """Says once, and again after the policy has changed, why a job is not taken up."""
        number, why = case.asking.job_id, " ".join(case.objections)
        self._troubles.over(number)
        if case.told == self._desk.version:
            return
        case.told = self._desk.version
        text = f"Job {number} waits for you: {why} `merit aggregator accept {number}` takes it up all the same."
        self._report(Notice("declined", text, values={"job": number, "objections": list(case.objections)}))

    def _locks(self, case: _Case) -> bool:
        """Keeps other processes of this key off the job: two would prove its rounds twice."""
        if case.lock is None:
            held = ExitStack()
            try:
                held.enter_context(exclusive(self._node.work(case.asking.job_id)))
            except MeritError as error:
                self._troubles.met(case.asking.job_id, error, longest=self._longest(case))
                return False
            case.lock = held
        return True

    def _look_at_the_desk(self) -> None:
        self._desk.refresh()
        problems = self._desk.problems
        for problem in problems:
            if problem not in self._problems:
                self._report(Notice("trouble", f"{problem} What was in force before stays so."))
        self._problems = problems

    # ---------------------------------------------------------------- the market's jobs

    def _stale(self, busy: Set[int]) -> list[int]:
        """Jobs that wait and were read long ago: they may have been cancelled, or be others by now."""
        before = self._clock() - LOOK_AGAIN
        found = [(c.read, job_id) for job_id, c in self._cases.items() if c.agent is None and job_id not in busy]
        return [job_id for read, job_id in sorted(found) if read < before]

    def _saw(self, outcome: object) -> bool:
        """Enters the jobs that were read; whether more wait to be."""
        if not isinstance(outcome, list):
            return False
        failed = 0
        for job_id, asking in outcome:
            case = self._cases.get(job_id)
            if case is not None and (case.agent is not None or job_id in self._crew.busy):
                continue
            if isinstance(asking, Asking):
                now = self._clock()
                same = case is not None and case.asking.terms == asking.terms and case.job.owner == asking.job.owner
                if same and case is not None:
                    case.asking, case.read = asking, now
                else:
                    self._drop(job_id, keep_trouble=True)
                    case = _Case(asking, now, now)
                    with self._lock:
                        self._cases[job_id] = case
                case.taken = case.taken or self._serves(case)
            elif isinstance(asking, Exception) and not isinstance(asking, NotFound):
                failed += 1
                if case is None:
                    self._lookout.again(job_id)
            else:
                self._drop(job_id)
        return failed < len(outcome) and self._lookout.waiting

    def _drop(self, job_id: int, *, keep_trouble: bool = False) -> None:
        with self._lock:
            case = self._cases.pop(job_id, None)
        if case is not None:
            _unlock(case)
        if not keep_trouble:
            self._troubles.over(job_id)

    def _report(self, notice: Notice) -> None:
        with self._saying:
            self._told(notice)


def _unlock(case: _Case) -> None:
    if case.lock is not None:
        case.lock.close()
        case.lock = None
