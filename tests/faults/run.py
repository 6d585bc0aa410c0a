"""One run of a campaign: the parties of a job are started, its plan's faults befall them, and it is seen to its end."""

import queue
import shutil
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
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import deploy
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.cli.demo.cast import data_schema
from marketplace.domain import State
from marketplace.errors import ChainError
from marketplace.keys.keystore import Keystore
from marketplace.services.node import Node
from marketplace.services.owner import create_job
from marketplace.services.proofs import JobSetups
from marketplace.spec import JobFile, ProofsConfig
from marketplace.storage import open_storage
from tests.chain_fixtures import PEOPLE
from tests.faults.child import Trouble
from tests.faults.plan import Fault, Plan
from tests.faults.rpc import FaultyRpc, Weather
from tests.faults.stage import MAX_STARTS, PASSWORD, Kubo, Ledger, Party, Shelf, balance
from trainer.data import read

ETHER = 10**18
LIMIT = 150.0  # seconds of a run, after which whoever has not ended counts as stuck
QUIET, WAITING = 10.0, 1.0  # seconds without news before time is moved: when somebody is due, and when nobody is
LOADING = 40.0  # and when whoever is due may still be importing torch
MOVES = 16  # of time, after which the job counts as stuck
BURIED = 6  # blocks over the job's creation and everybody's money, deeper than any reorganization here
IDLE_SIGNS = ("missing", "stuck", "silent", "leaving", "ejected", "out", "over")


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


class Theatre:
    """What the runs of one process share: the chain's state with the contracts on it, and the RPC in front."""

    def __init__(self, shared: Path) -> None:
        self.shared = shared
        self.rpc = FaultyRpc(Random(0))
        self._folder = Path(tempfile.mkdtemp(dir=shared))
        ledger = Ledger(self._folder)
        home = self._folder / "deployer"
        home.mkdir()
        (home / "setups").symlink_to(shared / "setups")
        self.market = deploy(ledger.connection, PEOPLE[0]).market
        node = Node(
            Market(ledger.connection, self.market),
            EventReader(ledger.connection, self.market),
            open_storage("memory:", timeout=5),
            home,
            Keystore(home / "keys", scrypt_n=2).create("default", PASSWORD),
        )
        balance(ledger.url, node.me.address, ETHER)
        for circuit in (108, 208):
            JobSetups.choose(node, ProofsConfig(), circuit, 310).contracts(node)
        self.book = home / "markets.json"
        self.state = self._folder / "state.json"
        ledger.keep(self.state)
        ledger.close()


class Scene:
    """The run itself."""

    def __init__(self, theatre: Theatre, plan: Plan, folder: Path, stack: ExitStack) -> None:
        self.theatre, self.plan, self.folder = theatre, plan, folder
        self.random = Random(plan.seed)
        self.result = Result(plan.seed)
        self.news: queue.Queue[tuple[Party, dict[str, Any]]] = queue.Queue()
        self.submitted: dict[tuple[str, int], set[tuple[bytes, str]]] = {}
        self.ledger = Ledger(folder, theatre.state)
        stack.callback(self.ledger.close)
        self.kubo = Kubo(folder / "kubo") if plan.kubo else None
        if self.kubo:
            stack.callback(self.kubo.close)
        self.address = self.kubo.address if self.kubo else f"folder:{folder / 'storage'}"
        self.storage = open_storage(self.address, timeout=5)
        self.shelf = Shelf(folder / "storage")
        self.market = Market(self.ledger.connection, theatre.market, receipt_within=20)
        self.nodes: dict[str, Node] = {}
        self.job_id = self._create()
        rpc = theatre.rpc
        rpc.forget()
        rpc.random, rpc.target, rpc.on_sent, rpc.injected = self.random, self.ledger.url, self._note, Counter()
        self.parties = self._cast()
        self.ledger.connection.request("anvil_mine", hex(BURIED))
        self.ledger.keep()
        for party in self.parties:
            stack.callback(party.stop)

    # ---------------------------------------------------------------- who plays

    def node(self, name: str) -> Node:
        """A party with a key of its own and money; the first call makes it."""
        if name not in self.nodes:
            home = self.folder / name
            home.mkdir()
            (home / "setups").symlink_to(self.theatre.shared / "setups")
            identity = Keystore(home / "keys", scrypt_n=2).create("default", PASSWORD)
            balance(self.ledger.url, identity.address, 20 * ETHER)
            reader = EventReader(self.ledger.connection, self.market.address)
            self.nodes[name] = Node(self.market, reader, self.storage, home, identity)
        return self.nodes[name]

    def _create(self) -> int:
        owner, judge = self.node("owner"), self.node("aggregator")
        shutil.copy(self.theatre.book, owner.home / "markets.json")
        parameters = {"inputs": 64, "hidden": [4], "classes": 10}
        document = {
            "name": "Digits under fire",
            "model": {"architecture": "mlp", "parameters": parameters, "seed": 1},
            "data": data_schema("mlp").model_dump(mode="json"),
            "training": {"learning_rate": 0.05, "epochs": 2, "batch_size": 16},
            "market": {
                "reward": "0.3 ether",
                "fee": "0.01 ether",
                "stake": "0.1 ether",
                "bond": "0.2 ether",
                "rounds": 2,
                "min_trainers": 2,
                "max_trainers": self.plan.trainers,
                "max_faulty": 1,
                "enrol_for": "10 min",
                "submit_window": "10 min",
                "settle_window": "10 min",
                "aggregator": {
                    "address": judge.me.address,
                    "encryption_key": "0x" + judge.me.encryption_key.hex(),
                },
            },
        }
        file, schema = self.theatre.shared / "validation.npz", data_schema("mlp")
        validation = read(str(file), schema) if self.plan.rule == "reference" else None
        return create_job(owner, JobFile.model_validate(document), validation).job_id

    def _cast(self) -> list[Party]:
        environment = {
            "MERIT_RPC": self.theatre.rpc.url,
            "MERIT_MARKET": self.market.address,
            "MERIT_STORAGE": self.address,
            "MERIT_PASSWORD": PASSWORD,
            "MERIT_POLL": "0.1",
            "MERIT_RPC_TIMEOUT": "1",
            "MERIT_STORAGE_TIMEOUT": "3",
            "MERIT_RECEIPT_TIMEOUT": "20",
            "MERIT_FINALITY": str(self.plan.finality),
            "OMP_NUM_THREADS": "1",
        }

        def party(name: str, arguments: list[str], trouble: Trouble) -> Party:
            home = self.node(name).home
            return Party(name, arguments, {**environment, "MERIT_HOME": str(home)}, home / "errors", self.news, trouble)

        skew = self.plan.skew
        cast = [party("aggregator", ["aggregator", "run", "--job", str(self.job_id)], Trouble(skew[0]))]
        for number in range(self.plan.trainers):
            data = self.theatre.shared / f"data-{number}.npz"
            command = ["trainer", "join", str(self.job_id), "--data", str(data), "--seed", str(number)]
            hostile = self.plan.hostile if number == 0 else ""
            cast.append(party(f"trainer {number}", command, Trouble(skew[number + 1], hostile=hostile)))
        for _ in filter(None, skew):
            self.result.faults["clock off"] += 1
        if self.plan.hostile:
            self.result.faults[f"update: {self.plan.hostile}"] += 1
        self.index = party("index", ["index", str(self.folder / "index.sqlite")], Trouble())
        return [*cast, self.index]

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
            party.start(executed=self.plan.executed and party is not self.index)
        started = heard = time.monotonic()
        height, moves, idle, notices = self.ledger.height(), 0, False, 0
        ends: Counter[str] = Counter()
        due: list[tuple[float, Fault]] = []
        told = self.result.told
        while time.monotonic() - started < LIMIT:
            try:
                party, notice = self.news.get(timeout=0.05)
            except queue.Empty:
                pass
            else:
                heard, kind = time.monotonic(), str(notice["kind"])
                notices += kind != "trouble"
                ends[kind] += 1
                idle = idle or kind in IDLE_SIGNS if kind in (*IDLE_SIGNS, "trouble", "training") else False
                said = f"{party.name}: {kind}" if kind != "trouble" else f"{party.name}: {notice['text'][:160]}"
                told += [said] if kind != "training" and said not in told[-3:] else []
                due += [(heard + fault.delay, fault) for fault in self._triggered(kind, ends, notices)]
                if notices % 6 == 0:
                    self.ledger.keep()
            now = time.monotonic()
            for moment, fault in [entry for entry in due if entry[0] <= now]:
                due.remove((moment, fault))
                self._befall(fault, due, now)
                heard = time.monotonic()
            self.shelf.mend()
            job = self.market.job(self.job_id)
            running = [party for party in self.parties if party is not self.index and party.ended() is None]
            if job.state.over and not running:
                break
            if not job.state.over and self._restart_ended():
                heard = time.monotonic()
            if self.ledger.height() != height:
                height, heard, idle = self.ledger.height(), time.monotonic(), idle and job.state.over
            if time.monotonic() - heard > (
                WAITING if idle or job.state.over else LOADING if self.plan.executed else QUIET
            ):
                moves += not job.state.over
                if moves > MOVES:
                    break
                self._move_time()
                told.append("time moves")
                heard = time.monotonic()
        self.shelf.mend(all=True)
        self.theatre.rpc.weather = Weather()
        left = [party.name for party in self.parties if party is not self.index and party.ended() is None]
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
        """Starts again who ended before the job did, as whoever runs it would."""
        again = [party for party in self.parties if party.ended() is not None and party.starts < MAX_STARTS]
        for party in again:
            party.start()
        return bool(again)

    def _move_time(self) -> None:
        job, terms, now = self.market.job(self.job_id), self.market.terms(self.job_id), self.market.connection.now()
        if job.state.over:
            skip_to(self.market.connection, now + self.plan.finality + 1)
            return
        moments = [job.submit_by, job.settle_by - terms.settle_window // 2, job.settle_by]
        ahead = [moment for moment in (moments if job.state is State.RUNNING else [terms.enrol_by]) if moment >= now]
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
            case "kill index":
                happened = self.index.kill()
                self.index.start()
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
                happened = party.kill()
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
        self.market = Market(Connection(self.ledger.url), self.theatre.market, receipt_within=20)
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
