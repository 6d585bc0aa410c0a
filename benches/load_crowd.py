"""An owner and many trainers for measuring load, simulated in one process against the real market.

Simulated: nobody trains. A trainer's update is a common direction and noise of its own, drawn at random. Real: every
trainer's account, commitment, sealed file and transaction, and the owner's jobs, each with real set-ups and contracts.
"""

import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from marketplace.chain.connection import Connection
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.domain import Event, State
from marketplace.errors import MeritError, Reverted
from marketplace.keys.identity import Identity
from marketplace.keys.sealing import Purpose
from marketplace.services.deliveries import seal_update
from marketplace.services.node import Node
from marketplace.services.owner import create_job
from marketplace.services.proofs import committed
from marketplace.services.setups import Setups
from marketplace.spec import JobFile, ProofsConfig
from marketplace.storage import open_storage, put_bytes
from trainer.config import DataSchema
from trainer.data import Dataset, read
from trainer.data.split import hold_out
from trainer.models import count_parameters
from zk.encoding import chunks, submission_hash
from zk.files import pack_update

ETHER = 10**18
RULES = ("krum-cosine", "reference")
WINDOW = "2 h"  # of each phase: no deadline passes while load is measured
CONFIRM = "2 s"  # there is nothing to check


@dataclass(frozen=True)
class Size:
    """Of the jobs. trainers: of each. inputs, hidden: of the model, a network with one hidden layer and ten classes."""

    trainers: int
    rounds: int
    inputs: int = 64
    hidden: int = 16


@dataclass
class Counts:
    """What happened, each with time.monotonic() of when it was seen on the chain."""

    submitted: list[float] = field(default_factory=list)
    settled: list[float] = field(default_factory=list)
    ended: list[tuple[float, int, str]] = field(default_factory=list)  # with the job and its state
    waited: list[float] = field(default_factory=list)  # seconds from a round's last submission to its settlement
    failures: Counter[str] = field(default_factory=Counter)


class Crowd:
    """Keeps `groups` jobs going at a time: when one ends, the next is created for the same trainers.

    aggregator: who judges all jobs, by address and encryption key. rules: of the jobs in turn.
    """

    def __init__(
        self,
        folder: Path,
        rpc: str,
        market: str,
        storage: str,
        aggregator: tuple[str, bytes],
        size: Size,
        *,
        groups: int,
        rules: tuple[str, ...] = RULES,
        workers: int = 16,
    ) -> None:
        self.counts = Counts()
        self.more = True  # whether ended jobs are followed by others
        self._rpc, self._market, self._size, self._rules = rpc, market, size, rules
        self._aggregator = aggregator
        self._storage = open_storage(storage, timeout=60)
        self._local = threading.local()
        self._creating = threading.Lock()
        self._created = 0
        self._pool = ThreadPoolExecutor(workers)
        self._members = [[_somebody() for _ in range(size.trainers)] for _ in range(groups)]
        self._group: dict[int, int] = {}
        self._slots: dict[int, dict[str, int]] = defaultdict(dict)
        self._last: dict[int, float] = {}  # when a job's round had its last submission
        connection = Connection(rpc)
        self._reader = EventReader(connection, market)
        self._next = connection.ask(lambda eth: eth.block_number)
        owner = _somebody()
        (folder / "owner").mkdir(parents=True)
        self.owner = Node(Market(connection, market), self._reader, self._storage, folder / "owner", owner)
        for somebody in [owner, *(member for group in self._members for member in group)]:
            connection.request("anvil_setBalance", somebody.address, hex(1_000_000 * ETHER))
        schema, model = self._schema(), self._document(RULES[0])["model"]
        self.parameters = count_parameters(JobFile.model_validate(self._document(RULES[0])).model)
        self._chunk = ProofsConfig().chunk_for(self.parameters)
        self._srs = Setups(folder / "owner" / "setups").development_srs(self._chunk)
        self._validation = _validation(schema, model["parameters"]["inputs"])
        rng = np.random.default_rng(1)
        self._direction = rng.integers(-500, 501, self.parameters, dtype=np.int16)
        for group in range(groups):
            self._later(self._create, group)

    @property
    def current(self) -> list[int]:
        """The jobs that go on."""
        return sorted(self._group)

    def height(self) -> int:
        """Of the chain; where each transaction is mined in a block of its own, how many there were."""
        return self.owner.market.connection.ask(lambda eth: int(eth.block_number))

    # ---------------------------------------------------------------- what happens

    def follow(self) -> None:
        """Reads the chain's next events and answers each, as trainers would."""
        events, self._next = self._reader.read(self._next)
        now = time.monotonic()
        for event in events:
            if event.job_id in self._group:
                self._answer(event, now)

    def _answer(self, event: Event, now: float) -> None:
        job_id, members = event.job_id, self._members[self._group[event.job_id]]
        seen: Any = event
        match type(event).__name__:
            case "Joined":
                self._slots[job_id][seen.operator] = seen.slot
            case "KeyPublished":
                self._all(self._submit, members, job_id, 1)
            case "RoundOpened" if seen.round > 1:
                self._all(self._submit, members, job_id, seen.round)
            case "UpdateSubmitted":
                self.counts.submitted.append(now)
                self._last[job_id] = now
            case "RoundSettled":
                self.counts.settled.append(now)
                self.counts.waited.append(now - self._last[job_id])
            case "Ended":
                self._all(self._claim, members, job_id)
                self.counts.ended.append((now, job_id, State(seen.state).name.lower()))
                group = self._group.pop(job_id)
                if self.more:
                    self._later(self._create, group)

    def close(self) -> None:
        self.more = False
        self._pool.shutdown(cancel_futures=True)

    # ---------------------------------------------------------------- what they do

    def _all(self, work: Callable[..., None], members: list[Identity], *arguments: object) -> None:
        for member in members:
            self._later(work, member, *arguments)

    def _later(self, work: Callable[..., None], *arguments: object) -> None:
        def run() -> None:
            try:
                work(*arguments)
            except MeritError as error:
                what = error.name if isinstance(error, Reverted) else str(error)
                self.counts.failures[f"{work.__name__.strip('_')}: {what}"] += 1

        self._pool.submit(run)

    def _here(self) -> Market:
        """This thread's connection."""
        if not hasattr(self._local, "market"):
            self._local.market = Market(Connection(self._rpc, timeout=60), self._market)
        market: Market = self._local.market
        return market

    def _create(self, group: int) -> None:
        with self._creating:
            rule = self._rules[self._created % len(self._rules)]
            self._created += 1
            job = JobFile.model_validate(self._document(rule))
            made = create_job(self.owner, job, self._validation if rule == "reference" else None)
            self._group[made.job_id] = group
        self._all(self._join, self._members[group], made.job_id)

    def _join(self, member: Identity, job_id: int) -> None:
        self._here().join(member.account, job_id, member.address, member.encryption_key)

    def _submit(self, member: Identity, job_id: int, round: int) -> None:
        noise = np.random.default_rng(int.from_bytes(os.urandom(8))).integers(-500, 501, self.parameters, np.int16)
        made = committed(self._srs, self._direction + noise)
        content = pack_update(made.row, made.blinders, made.commitment, chunks(self.parameters, self._chunk))
        context = self.owner.context(Purpose.UPDATE, job_id=job_id, round=round, party=member.address)
        sealed = seal_update(self._aggregator[1], content, context)
        for file in (sealed.large, sealed.small):  # at once: nobody here would use what it opens
            put_bytes(self._storage, file)
        digest = submission_hash(made.commitment, member.address)
        self._here().submit_update(member.account, job_id, round, digest, sealed.cid)

    def _claim(self, member: Identity, job_id: int) -> None:
        self._here().claim(member.account, job_id, self._slots[job_id][member.address])

    # ---------------------------------------------------------------- their jobs

    def _schema(self) -> DataSchema:
        pixels = {"kind": "tensor", "shape": [self._size.inputs], "minimum": 0, "maximum": 16, "std": [16.0]}
        return DataSchema.model_validate({"features": {"image": pixels}, "target": {"kind": "category", "classes": 10}})

    def _document(self, rule: str) -> dict[str, Any]:
        size = self._size
        return {
            "name": f"Load by {rule}",
            "model": {
                "architecture": "mlp",
                "parameters": {"inputs": size.inputs, "hidden": [size.hidden], "classes": 10},
                "seed": 1,
            },
            "data": self._schema().model_dump(mode="json"),
            "training": {"learning_rate": 0.05, "epochs": 1, "batch_size": 16},
            "market": {
                "reward": "0.1 ether",
                "fee": "0.01 ether",
                "stake": "0.1 ether",
                "bond": "0.1 ether",
                "rule": rule,
                "rounds": size.rounds,
                "min_trainers": size.trainers,
                "max_trainers": size.trainers,
                "max_faulty": min(max(1, size.trainers // 5), max(0, (size.trainers - 3) // 2)),
                "enrol_for": WINDOW,
                "submit_window": WINDOW,
                "settle_window": WINDOW,
                "confirm_window": CONFIRM,
                "aggregator": {"address": self._aggregator[0], "encryption_key": "0x" + self._aggregator[1].hex()},
            },
        }


def _somebody() -> Identity:
    return Identity(os.urandom(32))


def _validation(schema: DataSchema, inputs: int) -> Dataset:
    """Digits where they fit, else noise."""
    if inputs == 64:
        return hold_out(read("digits", schema), [80], 1)[0]
    rng = np.random.default_rng(2)
    return Dataset(
        {next(iter(schema.inputs)): rng.uniform(0, 16, (80, inputs)).astype(np.float32)}, rng.integers(0, 10, 80)
    )
