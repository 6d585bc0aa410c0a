"""The trainers that run in this node: one thread a job, and a record of what was asked, to go on after a restart."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from marketplace.api.forms import LocalTrainer, LossPoint, Reading, RoundResult
from marketplace.api.hub import Hub
from marketplace.api.models import TrainerStatus
from marketplace.chain.market import Receipt
from marketplace.errors import InputError, JobOver, MeritError, NotFound
from marketplace.files import exclusive, read_within, write_atomically
from marketplace.services.agent import Agent, Notice, Step
from marketplace.services.node import Node
from marketplace.services.trouble import Trouble, Troubles

MOST = 8  # trainers at a time
LOSSES = 500
MAX_RECORD_BYTES = 1 << 20
LONGEST_PAUSE = 60.0  # seconds until a trainer that failed is tried again
STOP_WITHIN = 60.0  # seconds that a round of training may take to end


class Wish(BaseModel):
    """What the user asked for, as it is kept on disk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: int
    data: str
    reading: Reading = Reading()
    payee: str
    device: str
    seed: int
    ticket: str = ""
    paused: bool = False
    finished: bool = False


_WISHES = TypeAdapter(list[Wish])


@dataclass
class _Running:
    wish: Wish
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    status: TrainerStatus = "starting"
    last: Notice = field(default_factory=lambda: Notice("", ""))
    problem: str | None = None
    losses: deque[LossPoint] = field(default_factory=lambda: deque(maxlen=LOSSES))
    results: list[RoundResult] = field(default_factory=list)


class _Watched:
    """An agent that tells of each step that went well."""

    def __init__(self, agent: Agent, went_well: Callable[[], None]) -> None:
        self._agent = agent
        self._went_well = went_well

    def step(self) -> Step:
        outcome = self._agent.step()
        self._went_well()
        return outcome


class TrainerPool:
    """open_node: a node with the acting identity and connections of its own, for each thread. path: of the record."""

    def __init__(
        self, open_node: Callable[[], Node], path: Path, hub: Hub, *, poll: float, patience: float = 3600.0
    ) -> None:
        self._open_node = open_node
        self._path = path
        self._hub = hub
        self._poll = poll
        self._patience = patience
        self._lock = threading.RLock()
        self._all: dict[int, _Running] = {}
        self._troubles = Troubles(
            lambda notice: hub.say(int(str(notice.values["job"])), replace(notice, kind="failed"))
        )

    # ---------------------------------------------------------------- what the user asks for

    def resume_all(self) -> None:
        """Goes on with what the record says. Raises InputError for a damaged record."""
        if not self._path.exists():
            return
        try:
            wishes = _WISHES.validate_json(read_within(self._path, MAX_RECORD_BYTES))
        except ValidationError as error:
            raise InputError(f"{self._path} is damaged: delete it, and join again; no work is lost.") from error
        with self._lock:
            for wish in wishes:
                self._all[wish.job_id] = _Running(wish, status="finished" if wish.finished else "paused")
                if not wish.paused and not wish.finished:
                    self._start(self._all[wish.job_id])

    def join(self, wish: Wish) -> LocalTrainer:
        """Raises InputError when this node is already a trainer of the job, or has too many."""
        with self._lock:
            known = self._all.get(wish.job_id)
            if known is not None and known.status not in ("finished", "failed"):
                raise InputError(f"This node already takes part in job {wish.job_id}.")
            if known is not None:
                known.stop.set()  # one that failed waits to try again
            if sum(entry.status in ("starting", "running") for entry in self._all.values()) >= MOST:
                raise InputError(f"This node already runs {MOST} trainers: let one finish, or pause it.")
            self._all[wish.job_id] = running = _Running(wish)
            self._keep()
            self._start(running)
            return self._shown(running)

    def pause(self, job_id: int) -> LocalTrainer:
        running = self._found(job_id)
        self._halt(running)
        return self._wished(running, paused=True)

    def resume(self, job_id: int) -> LocalTrainer:
        running = self._found(job_id)
        if running.status == "failed":  # it waits to try again: now
            self._halt(running)
        with self._lock:
            if running.thread is None or not running.thread.is_alive():
                self._start(running)
        return self._wished(running, paused=False)

    def leave(self, job_id: int) -> Receipt:
        """Stops, gives the slot up on the chain and forgets the job. Raises Reverted, ChainError."""
        running = self._found(job_id)
        self._halt(running)
        node = self._open_node()
        try:
            receipt = node.market.leave(node.me.account, job_id)
        except MeritError:
            self._wished(running, paused=True)
            raise
        with self._lock:
            del self._all[job_id]
            self._keep()
        return receipt

    def all(self) -> list[LocalTrainer]:
        with self._lock:
            return [self._shown(running) for _, running in sorted(self._all.items())]

    def troubles(self) -> list[Trouble]:
        return self._troubles.all()

    def one(self, job_id: int) -> LocalTrainer:
        """Raises NotFound."""
        return self._shown(self._found(job_id))

    def stop(self) -> None:
        """Ends all threads, each after its step; the record stays, so that the next start goes on."""
        with self._lock:
            running = list(self._all.values())
        for entry in running:
            entry.stop.set()
        for entry in running:
            if entry.thread is not None:
                entry.thread.join(STOP_WITHIN)

    # ---------------------------------------------------------------- threads

    def _start(self, running: _Running) -> None:
        running.stop = threading.Event()
        running.status, running.problem = "starting", None
        name = f"trainer-{running.wish.job_id}"
        running.thread = threading.Thread(target=self._run, args=(running, running.stop), name=name, daemon=True)
        running.thread.start()

    def _run(self, running: _Running, stop: threading.Event) -> None:
        import torch  # noqa: PLC0415 (takes seconds)

        from marketplace.services.agent import run  # noqa: PLC0415
        from marketplace.services.trainer import Plan, TrainerAgent, data_loader  # noqa: PLC0415
        from trainer.train import pick_device  # noqa: PLC0415

        wish = running.wish

        def take_part() -> None:
            node = self._open_node()
            heads = node.market.connection.heads
            device = torch.device(wish.device) if wish.device else pick_device()
            plan = Plan(wish.payee, (device,), wish.seed, ticket=wish.ticket)
            report = self._reporter(running)
            with exclusive(node.work(wish.job_id)):
                agent = TrainerAgent(node, wish.job_id, data_loader(wish.data, wish.reading.options()), plan, report)
                running.status = "running"
                watched = _Watched(agent, lambda: self._goes_on(running))
                run(watched, report=report, poll=self._poll, patience=self._patience, stop=stop, heads=heads)

        while not stop.is_set():
            running.status = "starting"
            try:
                take_part()
            except Exception as error:  # noqa: BLE001 (whatever it is, it is this job's: a stake waits for it)
                if stop.is_set():  # it was in trouble when it was told to stop
                    break
                pause = self._fail(running, error)
                if isinstance(error, JobOver):
                    break
                stop.wait(pause)
            else:
                if not stop.is_set():
                    self._finish(running)
                break
        if stop.is_set():
            running.status = "paused"
        self._troubles.over(wish.job_id)
        self._hub.stir()

    def _finish(self, running: _Running) -> None:
        with self._lock:
            running.wish = running.wish.model_copy(update={"finished": True})
            running.status = "finished"
            self._keep()

    def _fail(self, running: _Running, error: Exception) -> float:
        """Seconds until it is tried again."""
        trouble = self._troubles.met(running.wish.job_id, error, longest=LONGEST_PAUSE)
        running.status, running.problem = "failed", trouble.text
        self._hub.stir()
        return (trouble.again_at or 0.0) - time.time()

    def _goes_on(self, running: _Running) -> None:
        if running.problem is not None:
            running.problem = None
            self._hub.stir()
        self._troubles.over(running.wish.job_id)

    def _reporter(self, running: _Running) -> Callable[[Notice], None]:
        def report(notice: Notice) -> None:
            values = notice.values
            with self._lock:
                running.last = notice
                if notice.kind == "training":
                    point = {"done": values["done"], "loss": values["loss"]}
                    running.losses.append(LossPoint.model_validate({"round": notice.round, **point}))
                elif notice.kind == "trained":
                    known = {name: values[name] for name in ("loss", "seconds")}
                    running.results.append(RoundResult.model_validate({"round": notice.round, **known}))
            self._hub.say(running.wish.job_id, notice)

        return report

    def _halt(self, running: _Running) -> None:
        """Stops the thread. Raises InputError when its step does not end in time."""
        running.stop.set()
        if running.thread is not None:
            running.thread.join(STOP_WITHIN)
            if running.thread.is_alive():
                raise InputError(f"The trainer of job {running.wish.job_id} is still training: it stops after this.")

    # ---------------------------------------------------------------- records

    def _found(self, job_id: int) -> _Running:
        with self._lock:
            if job_id not in self._all:
                raise NotFound(f"This node does not take part in job {job_id}.")
            return self._all[job_id]

    def _wished(self, running: _Running, *, paused: bool) -> LocalTrainer:
        with self._lock:
            running.wish = running.wish.model_copy(update={"paused": paused})
            self._keep()
            return self._shown(running)

    def _keep(self) -> None:
        write_atomically(self._path, _WISHES.dump_json([running.wish for running in self._all.values()], indent=1))

    def _shown(self, running: _Running) -> LocalTrainer:
        done = running.last.values.get("done") if running.last.kind == "training" else None
        wish = running.wish
        return LocalTrainer(
            job_id=wish.job_id,
            status=running.status,
            data=wish.data,
            payee=wish.payee,
            device=wish.device,
            seed=wish.seed,
            text=running.last.text,
            round=running.last.round,
            done=float(str(done)) if done is not None else None,
            problem=running.problem,
            losses=list(running.losses),
            results=list(running.results),
        )
