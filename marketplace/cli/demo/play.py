"""Plays the demo: every party is a process of its own, started as its user would start it; this file only watches,
moves the development chain's clock past the deadline that a silent trainer lets pass, and tells what came of it."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Literal, cast

from rich.console import Console
from rich.live import Live

from marketplace.chain.anvil import Anvil
from marketplace.chain.clock import skip_to
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import deploy
from marketplace.chain.events import EventReader
from marketplace.chain.fund import fund
from marketplace.chain.gas import gas_by_call
from marketplace.chain.market import Market
from marketplace.cli.demo.cast import (
    PASSWORD,
    SILENT_ROUND,
    Cast,
    Player,
    data_schema,
    job_document,
    make_cast,
    write_job,
)
from marketplace.cli.demo.outcome import Outcome, board, outcome_document, outcome_tables, picture
from marketplace.cli.forked import Forked
from marketplace.domain import State, slots
from marketplace.errors import ChainError, MeritError
from marketplace.files import write_atomically
from marketplace.services.models import Models
from marketplace.services.node import JobFeed, Node, fetch_spec, job_key
from marketplace.services.programs import fetch_program
from marketplace.services.proofs import open_setup
from marketplace.storage import open_storage
from marketplace.units import format_metric
from trainer.data import Dataset
from trainer.models import load_flat
from trainer.train import Evaluation, evaluate

MERIT = "marketplace.cli.main"
STALL_SECONDS = 300.0  # without any news from any process, which a busy machine starts slowly, the demo has failed
STOP_SECONDS = 20.0
CALL_SECONDS = 900.0  # that one command may take: an audit has minutes of work where others use the processor too


@dataclass(frozen=True, slots=True)
class Script:
    """What is played."""

    trainers: int
    rounds: int
    rule: Literal["reference", "krum-cosine"]
    model: str
    honest: bool
    rpc: str
    ipfs: str
    seed: int


class DemoFailed(MeritError):
    exit_code = 1


@dataclass(frozen=True, slots=True)
class Stage:
    """What a job is played on. first_block: of the market. storage: its address. environment: of everybody's commands,
    but for each one's home."""

    folder: Path
    players: Cast
    market: Market
    first_block: int
    storage: str
    environment: dict[str, str]
    job_id: int


@dataclass(slots=True)
class Process:
    player: Player
    name: str
    popen: Forked | subprocess.Popen[bytes]
    last: list[str] = field(default_factory=list)


class Play:
    def __init__(self, script: Script, out: Console, keep: Path | None) -> None:
        self._script = script
        self._out = out
        self._keep = keep
        self._news: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self._processes: list[Process] = []
        self._seconds: dict[str, float] = {}
        self._status: dict[str, str] = {}
        self._confirmed: set[str] = set()  # trainers who have checked the last sum

    def run(self, *, json_file: Path | None, plot_file: Path | None) -> bool:
        """Plays the whole job; True when its audit found nothing wrong. Raises MeritError when it cannot be played."""
        outcome = self.play()
        self._out.print(outcome_tables(outcome))
        if json_file is not None:
            write_atomically(json_file, json.dumps(outcome_document(outcome), indent=2).encode(), mode=0o644)
        if plot_file is not None:
            picture(outcome, plot_file)
            self._out.print(f"The picture is {plot_file}.")
        return outcome.audit_ok

    def play(self) -> Outcome:
        """Plays the whole job, and stops whatever it started. Raises MeritError when it cannot be played."""
        started = time.perf_counter()
        with self.stage() as stage:
            with self._phase("rounds", "Trainers join, train and are judged"):
                self.start(stage)
                self._watch(stage)
                self._follow(stage)
            return self._outcome(stage, started)

    @contextmanager
    def stage(self) -> Iterator[Stage]:
        """A chain with a market, everybody's files, and the job; whatever was started is stopped at the end."""
        script = self._script
        with ExitStack() as stack:
            if self._keep is not None:
                self._keep.mkdir(parents=True, exist_ok=True)
                folder = self._keep.resolve()
            else:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="merit-demo-")))
            stack.callback(self._stop_all)
            connection = Connection(script.rpc or stack.enter_context(Anvil()).url)
            with self._phase("setup", "Keys, data and the contract"):
                players = self.players(folder)
                fund(connection, *(player.identity.address for player in players.all))
                entry = deploy(connection, players.owner.identity.account)
                market = Market(connection, entry.market)
                storage = script.ipfs or f"folder:{folder / 'storage'}"
                environment = self._environment(connection.url, storage, entry.market)
            with self._phase("create", "The owner creates the job"):
                write_job(folder / "job.yaml", self.document(players))
                options = ["--validation", str(players.validation)] if script.rule == "reference" else []
                options += [] if players.base is None else ["--base", str(players.base)]
                created = self._call(
                    players.owner, environment, "job", "create", "--yes", str(folder / "job.yaml"), *options
                )
            yield Stage(folder, players, market, entry.block, storage, environment, int(created["job"]))

    def _outcome(self, stage: Stage, started: float) -> Outcome:
        """Everybody takes the pay, and an auditor checks it. started: by time.perf_counter."""
        players, market, job_id = stage.players, stage.market, stage.job_id
        events = EventReader(market.connection, market.address, stage.first_block)
        storage = open_storage(stage.storage, timeout=60)
        owner = Node(market, events, storage, players.owner.home, players.owner.identity)
        with self._phase("payout", "Everybody withdraws"):
            token = market.terms(job_id).token
            history = JobFeed(owner, job_id).refresh()
            for slot in {*slots(history.members)} - history.claimed:  # of those whose part ended early
                market.claim(players.owner.identity.account, job_id, slot)
            for player in players.all:
                if market.credit(player.identity.address, token):
                    market.withdraw(player.identity.account, token)
        if self._script.rule == "reference":
            with self._phase("reveal", "The owner reveals the validation data"):
                self._call(players.owner, stage.environment, "job", "reveal", str(job_id))
        with self._phase("audit", "An auditor who knows nobody checks everything"):
            key_file = stage.folder / "job.key"
            history = JobFeed(owner, job_id).refresh()
            key = job_key(owner, history)
            write_atomically(key_file, key.hex().encode())
            audit = self._call(
                players.owner, stage.environment, "audit", str(job_id), "--job-key-file", str(key_file), may_fail=True
            )
        self._seconds["total"] = time.perf_counter() - started
        scores, parameters = _scores(owner, job_id, key, players.test)
        gas = gas_by_call(market.connection, market.address, stage.first_block)
        names = {player.identity.address: (player.name, player.role) for player in players.trainers}
        return Outcome(history, names, scores, gas, dict(self._seconds), audit, parameters)

    def players(self, folder: Path) -> Cast:
        """Makes the parties, and their data below the folder."""
        script = self._script
        return make_cast(
            folder, trainers=script.trainers, honest=script.honest, schema=data_schema(script.model), seed=script.seed
        )

    def document(self, players: Cast) -> dict[str, Any]:
        """The job's document."""
        return job_document(players, rounds=self._script.rounds, rule=self._script.rule, model=self._script.model)

    # ---------------------------------------------------------------- processes

    def _environment(self, rpc: str, storage: str, market: str) -> dict[str, str]:
        keep = {name: value for name, value in os.environ.items() if not name.startswith("MERIT_")}
        return keep | {
            "MERIT_RPC": rpc,
            "MERIT_STORAGE": storage,
            "MERIT_MARKET": market,
            "MERIT_PASSWORD": PASSWORD,
            "MERIT_POLL": "0.25",
            "MERIT_FINALITY": "0",  # nobody waits for a reorganization to be past
            "OMP_NUM_THREADS": "1",  # many trainers share this machine's cores
        }

    def _call(
        self, player: Player, environment: dict[str, str], *arguments: str, may_fail: bool = False
    ) -> dict[str, Any]:
        """Runs a command to its end and returns the JSON it printed."""
        process = Forked(MERIT, ["--json", *arguments], environment | {"MERIT_HOME": str(player.home)})
        try:
            said, errors = process.communicate(CALL_SECONDS)
        except TimeoutError as error:
            raise DemoFailed(f"`merit {' '.join(arguments)}` takes longer than {CALL_SECONDS:.0f} s.") from error
        try:
            if process.poll() == 0 or may_fail:
                return cast(dict[str, Any], json.loads(said))
        except ValueError:
            pass
        raise DemoFailed(f"`merit {' '.join(arguments)}` failed: {errors.decode(errors='replace').strip()}")

    def start(self, stage: Stage) -> None:
        """Starts the aggregator and the trainers."""
        job_id, environment = str(stage.job_id), stage.environment
        self._start(stage.players.aggregator, environment, MERIT, ["--json", "aggregator", "run", "--job", job_id])
        for player in stage.players.trainers:
            if player.role == "honest":
                command = ["--json", "trainer", "join", job_id, "--data", str(player.data), *player.options]
                self._start(player, environment, MERIT, command)
            else:
                command = [player.role, job_id, str(player.data)]
                self._start(player, environment, "marketplace.cli.demo.misbehave", command)

    def _watch(self, stage: Stage) -> None:
        """Starts the owner's watch."""
        watch = ["--json", "job", "watch", str(stage.job_id)]
        if self._script.rule != "reference":
            watch += ["--validation", str(stage.players.validation)]
        self._start(stage.players.owner, stage.environment, MERIT, watch)

    def _start(self, player: Player, environment: dict[str, str], module: str, command: list[str]) -> None:
        environment = environment | {"MERIT_HOME": str(player.home)}
        popen: Forked | subprocess.Popen[bytes]
        if player.python == Path(sys.executable) and not player.path:
            popen = Forked(module, command, environment)
        else:
            popen = subprocess.Popen(
                [str(player.python), "-m", module, *command],
                env=environment | {"PYTHONPATH": os.pathsep.join(map(str, player.path))},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        process = Process(player, player.name, popen)
        self._processes.append(process)
        self._status[player.name] = "starts"
        for stream in (popen.stdout, popen.stderr):
            threading.Thread(target=self._read, args=(process, stream), daemon=True).start()

    def _read(self, process: Process, stream: IO[bytes]) -> None:
        for line in TextIOWrapper(stream, errors="replace"):
            try:
                notice = json.loads(line)
            except ValueError:
                process.last = [*process.last[-9:], line.rstrip()]
                continue
            self._news.put((process.name, notice))

    def _stop_all(self) -> None:
        for process in self._processes:
            if process.popen.poll() is None:
                process.popen.terminate()
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.popen.wait(STOP_SECONDS)
            if process.popen.poll() is None:
                process.popen.kill()
                process.popen.wait()

    # ---------------------------------------------------------------- following

    def _follow(self, stage: Stage) -> None:
        market, job_id, players = stage.market, stage.job_id, stage.players
        heard = time.monotonic()
        with Live(console=self._out, refresh_per_second=4, transient=True) as live:
            while any(process.popen.poll() is None for process in self._processes):
                if self.listen(0.25):
                    heard = time.monotonic()
                else:
                    self._pass_silence(market, job_id, players)
                live.update(board(market.job(job_id), players, self._status, self._script.rounds))
                if time.monotonic() - heard > STALL_SECONDS:
                    raise DemoFailed(f"Nothing has happened for {STALL_SECONDS:.0f} s: {self._status}.")
        self._complain_about_failures()
        while not self._news.empty():
            self._hear(*self._news.get())

    def listen(self, within: float) -> bool:
        """Takes in the next notice of any process; False where none comes within so many seconds.

        Raises DemoFailed where a process has failed.
        """
        try:
            self._hear(*self._news.get(timeout=within))
            return True
        except queue.Empty:
            return False
        finally:
            self._complain_about_failures()

    def _hear(self, name: str, notice: dict[str, Any]) -> None:
        if "kind" in notice:
            if notice["kind"] == "confirmed":
                self._confirmed.add(name)
            done = notice["values"].get("done")
            self._status[name] = str(notice["text"]) if done is None else f"{notice['text']} {done:.0%}"
            return
        problem = f", but {notice['problem']}" if notice["problem"] else ""
        shown = format_metric(notice["value"], share=notice["share"])
        text = f"Round {notice['round']}: validation {notice['metric']} {shown}{problem}"
        self._status[name] = text
        self._out.print(text + ".")

    def _complain_about_failures(self) -> None:
        for process in self._processes:
            code = process.popen.poll()
            if code not in (None, 0):
                raise DemoFailed(f"The process of {process.name} ended with {code}: {' '.join(process.last)}")

    def _pass_silence(self, market: Market, job_id: int, players: Cast) -> None:
        """When only the silent trainer is missing, or all have checked the last sum, the deadline is made to pass."""
        job = market.job(job_id)
        if job.state is State.CONFIRMING and len(self._confirmed) >= job.active.bit_count():
            self._pass(market, job.submit_by)
            return
        silent = [number for number, player in enumerate(players.trainers) if player.role == "silent"]
        if not silent or job.state is not State.RUNNING or job.round != SILENT_ROUND or not job.submitted:
            return
        operator = players.trainers[silent[0]].identity.address
        missing = job.active & ~job.submitted
        who = market.trainer(job_id, missing.bit_length() - 1) if missing.bit_count() == 1 else None
        if who is None or who.operator != operator:
            return
        self._pass(market, job.submit_by)

    def _pass(self, market: Market, deadline: int) -> None:
        try:
            skip_to(market.connection, deadline + 1)
        except ChainError:
            self._status["chain"] = "waits for the deadline, since this chain's clock cannot be moved"

    def _phase(self, name: str, title: str) -> "_Phase":
        return _Phase(self._out, self._seconds, name, title)


@dataclass(slots=True)
class _Phase:
    """Says what goes on and how long it took."""

    out: Console
    seconds: dict[str, float]
    name: str
    title: str
    started: float = 0.0

    def __enter__(self) -> None:
        self.started = time.perf_counter()
        self.out.print(f"[bold]{self.title}[/] …")

    def __exit__(self, *failure: object) -> None:
        self.seconds[self.name] = time.perf_counter() - self.started


def _scores(owner: Node, job_id: int, key: bytes, test: Dataset) -> tuple[list[Evaluation], int]:
    """Of the base model and of that after each round, on the test data; and how many numbers are trained."""
    history = JobFeed(owner, job_id).refresh()
    spec = fetch_spec(owner.storage, history.created)
    models = Models(owner, history.created, spec, open_setup(owner, history.created, spec).srs)
    program = fetch_program(owner, spec)
    metric, scores = program.task.metric(spec.task.metric) if program.task else None, []
    for round in range(max(history.settled, default=0) + 1):
        load_flat(program.module, models.after(round, history, key))
        scores.append(evaluate(program, test, metric))
    return scores, spec.parameters
