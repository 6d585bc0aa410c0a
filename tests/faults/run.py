"""One run of a campaign: the parties of a job are started, its plan's faults befall them, and it is seen to its end."""

import os
import queue
import signal
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

from marketplace.chain import abi
from marketplace.chain.clock import skip_to
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.domain import State
from marketplace.errors import ChainError
from marketplace.services.node import Node
from marketplace.storage import open_storage
from tests.faults.cast import Theatre, cast, create, lend_book, node_with_key
from tests.faults.child import Trouble
from tests.faults.plan import Fault, Plan
from tests.faults.rpc import Weather
from tests.faults.stage import MAX_STARTS, PASSWORD, Kubo, Party, Shelf
from tests.patience import PATIENCE

LIMIT = 600.0  # seconds of a run, after which whoever has not ended counts as stuck; a Ganache needs more
QUIET, WAITING = 10.0, 1.0  # seconds without news before time is moved: when somebody is due, and when nobody is
BEREFT = 4.0  # and once the aggregator is gone, for whom everybody else waits
LOADING = 40.0  # and when whoever is due may still be importing torch
MOVES = 16  # of time, after which the job counts as stuck
BURIED = 6  # blocks over the job's creation and everybody's money, deeper than any reorganization here
IDLE_SIGNS = ("missing", "missed", "stuck", "silent", "leaving", "ejected", "out", "over")


@dataclass
class Result:
    seed: int
    end: str = "not begun"
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    starts: int = 0
    story: str = ""
    told: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Scene:
    """The run itself."""

    def __init__(self, theatre: Theatre, plan: Plan, folder: Path, stack: ExitStack) -> None:
        self.theatre, self.plan, self.folder = theatre, plan, folder
        self.gone: Party | None = None  # the aggregator, once it is killed for good
        self.result = Result(plan.seed)
        self.news: queue.Queue[tuple[Party, dict[str, Any]]] = queue.Queue()
        self.submitted: dict[tuple[str, int], set[tuple[bytes, str]]] = {}
        ground = theatre.ground(ganache=plan.ganache)
        self.ledger = ground.ledger(folder)
        stack.callback(self.ledger.close)
        self.kubo = Kubo(folder / "kubo") if plan.kubo else None
        if self.kubo:
            stack.callback(self.kubo.close)
        self.address = self.kubo.address if self.kubo else f"folder:{folder / 'storage'}"
        self.storage = open_storage(self.address, timeout=5)
        self.shelf = Shelf(folder / "storage")
        self.market = Market(self.ledger.connection, ground.market, receipt_within=PATIENCE)
        self.nodes: dict[str, Node] = {}
        owner = self.party("owner")
        lend_book(ground, owner.home)
        self.job_id = create(owner, self.party("aggregator"), plan, theatre.shared / "validation.npz")
        rpc = theatre.rpc
        rpc.forget()
        rpc.random, rpc.target, rpc.on_sent, rpc.injected = Random(plan.seed), self.ledger.url, self._note, Counter()
        self.parties = cast(
            plan, self.job_id, self._environment(), lambda name: self.party(name).home, theatre.shared, self.news
        )
        self.node = self.parties[-1]
        off = sum(map(bool, plan.skew))
        self.result.faults.update({"clock off": off} if off else {})
        self.result.faults.update({f"update: {plan.hostile}"} if plan.hostile else {})
        self.ledger.mine(BURIED)
        self.ledger.keep()
        for party in self.parties:
            stack.callback(party.stop)

    def party(self, name: str) -> Node:
        """What a party works with; the first call makes it."""
        if name not in self.nodes:
            setups = self.theatre.shared / "setups"
            self.nodes[name] = node_with_key(self.folder / name, setups, self.ledger, self.market, self.storage)
        return self.nodes[name]

    def _environment(self) -> dict[str, str]:
        return {
            "MERIT_RPC": self.theatre.rpc.url,
            "MERIT_MARKET": self.market.address,
            "MERIT_STORAGE": self.address,
            "MERIT_PASSWORD": PASSWORD,
            "MERIT_POLL": "1" if self.plan.ganache else "0.1",
            "MERIT_RPC_TIMEOUT": "20" if self.plan.ganache else "1",
            "MERIT_STORAGE_TIMEOUT": "3",
            "MERIT_RECEIPT_TIMEOUT": "20",
            "MERIT_FINALITY": str(self.plan.finality),
            "OMP_NUM_THREADS": "1",
        }

    def _note(self, raw: bytes) -> None:
        """Remembers what a submission that was sent says, whether or not it will be mined."""
        sent = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        if bytes(sent["data"])[:4] == abi.selector("submitUpdate"):
            _, round, commitment, cid = abi.decode_call("submitUpdate", bytes(sent["data"]))
            sender = Account.recover_transaction(raw)
            self.submitted.setdefault((sender, int(round)), set()).add((bytes(commitment), str(cid)))

    # ---------------------------------------------------------------- what happens

    def play(self) -> None:
        """Until the job is over and all its parties have ended, or the run is given up."""
        for party in self.parties:
            party.start(executed=self.plan.executed and party is not self.node)
        started = heard = time.monotonic()
        height, moves, idle, notices = self.ledger.height(), 0, False, 0
        ends: Counter[str] = Counter()
        due: list[tuple[float, Fault]] = []
        told = self.result.told
        limit, look = (3 * LIMIT, 0.5) if self.plan.ganache else (LIMIT, 0.05)
        while time.monotonic() - started < limit:
            try:
                party, notice = self.news.get(timeout=look)
            except queue.Empty:
                pass
            else:
                heard, kind = time.monotonic(), str(notice.get("kind", "told"))
                notices += kind != "trouble"
                ends[kind] += 1
                idle = idle or kind in IDLE_SIGNS if kind in (*IDLE_SIGNS, "trouble", "training") else False
                said = f"{party.name}: {kind}" if kind != "trouble" else f"{party.name}: {notice['text'][:160]}"
                told += [said] if kind != "training" and said not in told[-3:] else []
                due += [(heard + fault.delay, fault) for fault in self._triggered(kind, ends, notices)]
                self.result.faults.update(["taken over"] if kind == "taken-over" else [])
                if kind == self.plan.gone and self.gone is None:
                    self._lose_aggregator()
                if notices % 6 == 0:
                    self.ledger.keep()
            now = time.monotonic()
            for moment, fault in [entry for entry in due if entry[0] <= now]:
                due.remove((moment, fault))
                self._befall(fault, due, now)
                heard = time.monotonic()
            self.shelf.mend()
            job = self.market.job(self.job_id)
            running = [party for party in self.parties if party is not self.node and party.ended() is None]
            if job.state.over and not running:
                break
            if not job.state.over and self._restart_ended():
                heard = time.monotonic()
            if self.ledger.height() != height:
                height, heard, idle = self.ledger.height(), time.monotonic(), idle and job.state.over
            if time.monotonic() - heard > self._patience(idle or job.state.over):
                moves += not job.state.over
                if moves > MOVES:
                    break
                self._move_time()
                told.append("time moves")
                heard = time.monotonic()
        self.shelf.mend(all=True)
        self.theatre.rpc.weather = Weather()
        left = [party.name for party in self.parties if party is not self.node and party.ended() is None]
        self.result.stuck = len(left) or int(not self.market.job(self.job_id).state.over)
        if self.result.stuck:
            stuck = ", ".join(left) or "the job"
            self.result.problems.append(f"stuck after {moves} deadlines: {stuck}; {'; '.join(told[-12:])}")
        self.result.faults.update(self.theatre.rpc.injected)
        self.result.starts = sum(party.starts for party in self.parties)
        self.result.end = self.market.job(self.job_id).state.name.lower()
        self.result.story = f"{self.result.starts} starts, {moves} deadlines passed"
        self.result.seconds = time.monotonic() - started

    def _triggered(self, kind: str, ends: Counter[str], notices: int) -> list[Fault]:
        return [
            fault
            for fault in self.plan.faults
            if (fault.phase == kind and ends[kind] == fault.nth)
            or (not fault.phase and kind != "trouble" and notices == fault.nth)
        ]

    def _restart_ended(self) -> bool:
        """Starts again who ended before the job did, as whoever runs it would: not who had no more to do, nor who has
        spoiled its own files."""
        ended = [party for party in self.parties if party.ended() not in (None, 0) and party is not self.gone]
        honest = [party for party in ended if not party.trouble.hostile or party.code == -signal.SIGKILL]
        again = [party for party in honest if party.starts < MAX_STARTS]
        for party in again:
            party.start()
        return bool(again)

    def _patience(self, idle: bool) -> float:
        """Seconds without news before time is moved: the more, the more processes of others wait for a processor."""
        crowded = min(2.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))
        if idle:
            return WAITING * crowded
        first = [party for party in self.parties[: 1 + self.plan.trainers] if party.starts == 1]
        if self.plan.executed and any(party.ended() is None and not party.spoke for party in first):
            return LOADING * crowded
        return (BEREFT if self.gone else QUIET) * crowded

    def _lose_aggregator(self) -> None:
        self.gone = self.parties[0]
        self.gone.kill()
        self.result.faults["aggregator gone"] += 1
        self.result.told.append("aggregator gone")

    def _move_time(self) -> None:
        job, terms, now = self.market.job(self.job_id), self.market.terms(self.job_id), self.market.connection.now()
        if job.state.over:
            skip_to(self.market.connection, now + self.plan.finality + 1)
            return
        moments = {
            State.RUNNING: [
                job.submit_by,
                job.settle_by - terms.settle_window // 2,
                job.settle_by,
                job.settle_by + terms.takeover_window,  # whoever took over may have failed as well
            ],
            State.CONFIRMING: [job.submit_by],
        }.get(job.state, [terms.enrol_by])
        ahead = [moment for moment in moments if moment >= now]
        skip_to(self.market.connection, min(ahead, default=now) + 1)

    def _befall(self, fault: Fault, due: list[tuple[float, Fault]], now: float) -> None:
        """Does the fault, and counts it where it met something."""
        happened, trainers = True, self.parties[1 : 1 + self.plan.trainers]
        trainer, what = trainers[fault.number % len(trainers)], fault.kind
        match fault.kind:
            case "kill aggregator":
                happened = self.parties[0].kill()
            case "kill trainer":
                happened = trainer.kill()
            case "kill node":
                happened = self.node.kill()
                self.node.start()
            case "kill storage":
                happened = self.kubo is not None
                if self.kubo is not None:
                    self.kubo.kill()
            case "kill chain" | "kill chain, tail lost":
                if fault.kind == "kill chain":
                    self.ledger.keep()
                self.ledger.kill()
                self._moved()
            case "reorg":
                depth = self.ledger.reorganize(1 + fault.number)
                happened, what = depth > 0, f"reorg of {depth}"
            case "rpc":
                self.theatre.rpc.weather = Weather(tuple(fault.what.split("|")), fault.number)
                return  # the RPC counts what it does
            case "storage":
                files, what = self.shelf.files(), f"storage: {fault.what}"
                happened = len(files) >= fault.number
                if happened:
                    self.shelf.spoil(fault.what, files[-fault.number], 0.5 if fault.what == "delayed" else 2.0)
            case "full disk":
                party = trainer if fault.what == "trainer" else self.parties[0]
                happened = party is not self.gone and party.kill()
                if happened:
                    party.trouble = Trouble(party.trouble.skew, fault.number, party.trouble.hostile)
                    party.start()
                    again = Fault("room again", "", 0, 0.0, self.parties.index(party))
                    due.append((now + 2.0, again))
            case "room again":
                self.parties[fault.number].kill()
                return
        if happened:
            self.result.faults[what] += 1
            self.result.told.append(what)

    def _moved(self) -> None:
        """The chain is at another port."""
        self.theatre.rpc.target = self.ledger.url
        self.market = Market(self.ledger.connection, self.market.address, receipt_within=PATIENCE)
        for name, node in self.nodes.items():
            reader = EventReader(self.market.connection, self.market.address)
            self.nodes[name] = Node(self.market, reader, node.storage, node.home, node.identity)


def perform(theatre: Theatre, plan: Plan) -> Result:
    """Plays a plan and judges what came of it."""
    from tests.faults.verdict import judge

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="run-", ignore_cleanup_errors=True)))
        started = time.monotonic()
        scene = Scene(theatre, plan, folder, stack)
        try:
            scene.play()
            judge(scene)
        except (ChainError, AssertionError) as error:
            scene.result.problems.append(f"{type(error).__name__}: {error}")
        scene.result.seconds = time.monotonic() - started
        return scene.result
