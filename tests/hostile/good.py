"""Good jobs, one after the other, while hostile descriptions come in: each must end as the same job ended alone."""

import time
from collections import deque

from marketplace.domain import Credited, Reason, State
from tests.faults.stage import Party
from tests.hostile.attack import Attack
from tests.hostile.strangers import Guest, Strangers
from tests.hostile.world import RULES, World, last_words

PATIENCE = 240.0  # seconds that a good job may take on a machine that does much else
# The last is a trainer of the node itself. One of five may be faulty: a guest is the fifth.
TRAINERS = ("trainer-0", "trainer-1", "trainer-2", "node")

Pay = tuple[tuple[str, int], ...]


class GoodJobs:
    """One at a time. alone: what trainers and aggregator were credited by a job of each rule without company."""

    def __init__(self, world: World, strangers: Strangers) -> None:
        self._world, self._strangers = world, strangers
        self.guests: deque[Attack] = deque()
        self.alone: dict[str, Pay] = {}
        self.ids: list[int] = []
        self.completed = 0
        self._turn = 0
        self._job: int | None = None
        self._guest: Guest | None = None
        self._rule = ""
        self._parties: list[Party] = []

    # ---------------------------------------------------------------- one job

    def begin(self) -> None:
        world = self._world
        self._rule = RULES[self._turn % len(RULES)]
        self._turn += 1
        attack = self.guests.popleft() if self.guests and self.alone else None
        self._job = job = world.good_job(self._rule, len(TRAINERS) + (attack is not None))
        self.ids.append(job)
        self._guest = self._strangers.sit_down(attack, job) if attack else None
        self._began, self._asked = time.monotonic(), False
        self._parties = []
        for number, name in enumerate(TRAINERS[:-1]):
            command = ["trainer", "join", str(job), "--data", self._data(number), "--seed", str(number)]
            party = world.party(f"{name} in job {job}", name, command)
            party.start()
            self._parties.append(party)

    def _data(self, number: int) -> str:
        return str(self._world.theatre.shared / f"data-{number}.npz")

    def look(self) -> None:
        """Goes on with the job, and ends it."""
        if self._job is None:
            return
        world, job = self._world, self._job
        if not self._asked:
            last = len(TRAINERS) - 1
            body = {"job_id": job, "data": self._data(last), "seed": last, "device": "cpu"}
            self._asked = world.ask("/api/trainers", token=True, method="POST", body=body)[0] == 202
        if self._guest is not None:
            self._guest.advance()
        state = world.bare.job(job).state
        done = state.over and all(party.ended() is not None for party in self._parties) and self._claimed(job)
        if not done and time.monotonic() - self._began < PATIENCE:
            return
        self._judge(state, done)
        if self._guest is not None:
            self._guest.show()
        for party in self._parties:
            party.stop()
        self._job = None

    def _judge(self, state: State, done: bool) -> None:
        world, job = self._world, self._job
        said = f"good job {job} ({self._rule}{f', with {self._guest.attack}' if self._guest else ''})"
        if not done or state is not State.COMPLETED:
            left = [party.name for party in self._parties if party.ended() is None]
            node = str(world.ask(f"/api/trainers/{job}", token=True)[1])[:300]
            paid = self._pay(job)
            world.problems.append(
                f"{said} is {state.name.lower()}, paid {paid}; still at work: {left}; the node's: {node}"
            )
            return
        for party in self._parties:
            if party.ended() != 0 or "Traceback" in party.said():
                world.problems.append(f"{said}: {party.name} ended with {party.ended()}: {last_words(party)}")
        pay = self._pay(job)
        if self._guest is None and self.alone.setdefault(self._rule, pay) != pay:
            world.problems.append(f"{said} paid {pay}, alone it paid {self.alone[self._rule]}")
        elif self._guest is not None and self._guest.spoilt and pay != self.alone[self._rule]:
            world.problems.append(f"{said} paid {pay}, without the guest it paid {self.alone[self._rule]}")
        self.completed += 1

    def _claimed(self, job: int) -> bool:
        """Whether our trainers and the aggregator have their pay, which each claims by itself."""
        return all(amount for _, amount in self._pay(job))

    def _pay(self, job: int | None) -> Pay:
        credited = dict.fromkeys((*TRAINERS, "aggregator"), 0)
        names = {self._world.address_of(name): name for name in credited}
        for event in self._world.nodes["owner"].events.read(job_id=job)[0]:
            if isinstance(event, Credited) and event.payee in names and event.reason in (Reason.PAY, Reason.FEE):
                credited[names[event.payee]] += event.amount
        return tuple(sorted(credited.items()))

    @property
    def at_work(self) -> bool:
        return self._job is not None
