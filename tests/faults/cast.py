"""Who plays in a campaign's runs, and on what ground: chains with the contracts, a job, and its parties' processes."""

import queue
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from marketplace.chain.deploy import deploy
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.cli.demo.cast import data_schema
from marketplace.keys.keystore import Keystore
from marketplace.services.node import Node
from marketplace.services.owner import create_job
from marketplace.services.proofs import JobSetups
from marketplace.spec import JobFile, ProofsConfig
from marketplace.storage import open_storage
from tests.chain_fixtures import PEOPLE
from tests.faults.child import Trouble
from tests.faults.ledger import GanacheLedger, Ledger
from tests.faults.plan import Plan
from tests.faults.rpc import FaultyRpc
from tests.faults.stage import PASSWORD, Party
from trainer.data import read

ETHER = 10**18


@dataclass(frozen=True)
class Ground:
    """A chain's state with the contracts on it, and the address book that names them."""

    kind: type[Ledger]
    market: str
    state: Path
    book: Path

    def ledger(self, folder: Path) -> Ledger:
        return self.kind(folder, self.state)


class Theatre:
    """What the runs of one process share: a ground of each kind, made when it is first needed, and the RPC in front."""

    def __init__(self, shared: Path) -> None:
        self.shared = shared
        self.rpc = FaultyRpc(Random(0))
        self._grounds: dict[type[Ledger], Ground] = {}

    def ground(self, *, ganache: bool) -> Ground:
        kind = GanacheLedger if ganache else Ledger
        if kind not in self._grounds:
            self._grounds[kind] = self._prepared(kind)
        return self._grounds[kind]

    def _prepared(self, kind: type[Ledger]) -> Ground:
        folder = Path(tempfile.mkdtemp(dir=self.shared))
        ledger = kind(folder)
        home = folder / "deployer"
        home.mkdir()
        (home / "setups").symlink_to(self.shared / "setups")
        market = deploy(ledger.connection, PEOPLE[0]).market
        node = Node(
            Market(ledger.connection, market),
            EventReader(ledger.connection, market),
            open_storage("memory:", timeout=5),
            home,
            Keystore(home / "keys", scrypt_n=2).create("default", PASSWORD),
        )
        ledger.endow(node.me.address, ETHER)
        for circuit in (108, 208):
            JobSetups.choose(node, ProofsConfig(), circuit, 310).contracts(node)
        ledger.keep(folder / "state")
        ledger.close()
        return Ground(kind, market, folder / "state", home / "markets.json")


def node_with_key(home: Path, setups: Path, ledger: Ledger, market: Market, storage: Any) -> Node:
    """A party with a key of its own and money. home: made here."""
    home.mkdir()
    (home / "setups").symlink_to(setups)
    identity = Keystore(home / "keys", scrypt_n=2).create("default", PASSWORD)
    ledger.endow(identity.address, 20 * ETHER)
    return Node(market, EventReader(ledger.connection, market.address), storage, home, identity)


def create(owner: Node, judge: Node, plan: Plan, validation: Path, confirm: str = "10 min") -> int:
    """The run's job. validation: what pay by reference is measured on. confirm: how long its end can be disputed.

    One of five trainers may be faulty, none of fewer.
    """
    faulty = int(plan.trainers >= 5)
    document = {
        "name": "Digits under fire",
        "model": {"architecture": "mlp", "parameters": {"inputs": 64, "hidden": [4], "classes": 10}, "seed": 1},
        "data": data_schema("mlp").model_dump(mode="json"),
        "training": {"learning_rate": 0.05, "epochs": 2, "batch_size": 16},
        "market": {
            "reward": "0.3 ether",
            "fee": "0.01 ether",
            "stake": "0.1 ether",
            "bond": "0.2 ether",
            "rounds": 2,
            "min_trainers": 5 if faulty else 2,
            "max_trainers": plan.trainers,
            "max_faulty": faulty,
            "enrol_for": "10 min",
            "start_delay": "2 s",  # there is such a phase, and nobody waits for long
            "submit_window": "10 min",
            "settle_window": "10 min",
            "takeover_window": "10 min" if plan.gone else "0 s",
            "confirm_window": confirm,
            "aggregator": {"address": judge.me.address, "encryption_key": "0x" + judge.me.encryption_key.hex()},
        },
    }
    data = read(str(validation), data_schema("mlp")) if plan.rule == "reference" else None
    return create_job(owner, JobFile.model_validate(document), data).job_id


def cast(
    plan: Plan,
    job_id: int,
    environment: dict[str, str],
    home: Callable[[str], Path],
    data: Path,
    news: "queue.Queue[Any]",
) -> list[Party]:
    """The aggregator, the trainers, where the plan wants them a second aggregator and the owner, and last a node.

    home: the folder of the party of this name. data: the folder of the trainers' data.
    """

    def party(name: str, arguments: list[str], trouble: Trouble) -> Party:
        folder = home(name)
        return Party(name, arguments, {**environment, "MERIT_HOME": str(folder)}, folder / "errors", news, trouble)

    made = [party("aggregator", ["aggregator", "run", "--job", str(job_id)], Trouble(plan.skew[0]))]
    for number in range(plan.trainers):
        command = ["trainer", "join", str(job_id), "--data", str(data / f"data-{number}.npz"), "--seed", str(number)]
        hostile = plan.hostile if number == 0 else ""
        made.append(party(f"trainer {number}", command, Trouble(plan.skew[number + 1], hostile=hostile)))
    if plan.gone:
        made.append(party("successor", ["aggregator", "run", "--job", str(job_id), "--take-over"], Trouble()))
    if plan.gone and plan.rule == "reference":  # whose data the second aggregator needs
        made.append(party("owner", ["job", "watch", str(job_id)], Trouble()))
    return [*made, party("node", ["up", "--port", "0"], Trouble())]


def lend_book(ground: Ground, home: Path) -> None:
    """Lets a party know the contracts that the ground has."""
    shutil.copy(ground.book, home / "markets.json")
