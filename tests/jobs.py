"""Whole jobs inside one process, on a real Anvil and a storage folder: the agents are stepped in turn, nothing sleeps.

PYTEST_DONT_REWRITE: test modules import from here before pytest registers the plugin.
"""

import atexit
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from marketplace.chain.clock import skip_to
from marketplace.chain.events import EventReader
from marketplace.chain.transactions import transact
from marketplace.domain import State
from marketplace.keys.identity import Identity
from marketplace.replay import JobHistory
from marketplace.services import submissions
from marketplace.services.agent import Agent, Notice, Step
from marketplace.services.aggregator import AggregatorAgent
from marketplace.services.dispatcher import Dispatcher
from marketplace.services.node import JobFeed, Node
from marketplace.services.owner import create_job
from marketplace.services.trainer import Plan, Tamper, TrainerAgent, data_loader
from marketplace.spec import JobFile
from marketplace.storage import Storage, open_storage
from tests.chain_fixtures import PEOPLE, Chain
from tests.patience import PATIENCE
from trainer.config import Files
from trainer.data import Dataset, write_npz

ETHER = 10**18
MAX_STEPS = 400


@dataclass
class World:
    """A market with storage, parties with money, and a small job that a line can solve."""

    chain: Chain
    folder: Path
    storage: Storage
    notices: list[tuple[str, Notice]] = field(default_factory=list)

    def node(self, name: str, identity: Identity | None = None) -> Node:
        """A funded party's node, with a home folder of its own."""
        identity = identity or Identity(secrets.token_bytes(32))
        transact(self.chain.connection, PEOPLE[9], identity.address, b"", value=20 * ETHER, wait=PATIENCE)
        return self.watcher(name, identity)

    def watcher(self, name: str, identity: Identity | None = None) -> Node:
        market = self.chain.market
        events = EventReader(market.connection, market.address, self.chain.first_block)
        share_setups(self.folder / name)
        return Node(market, events, self.storage, self.folder / name, identity)

    def report(self, name: str) -> Callable[[Notice], None]:
        return lambda notice: self.notices.append((name, notice))

    def kinds(self, name: str) -> list[str]:
        return [notice.kind for who, notice in self.notices if who == name]


@dataclass
class Play:
    """A job with its parties."""

    world: World
    owner: Node
    aggregator: Node
    trainers: list[Node]
    job_id: int
    data: list[Path]
    tampers: list[Tamper | None]

    def trainer(self, number: int) -> TrainerAgent:
        plan = Plan(self.trainers[number].me.address, (torch.device("cpu"),), number, self.tampers[number])
        load = data_loader(str(self.data[number]))
        return TrainerAgent(self.trainers[number], self.job_id, load, plan, self.world.report(f"trainer {number}"))

    def history(self) -> JobHistory:
        """The job as its events have it now."""
        return JobFeed(self.owner, self.job_id).refresh()

    def judge(self) -> AggregatorAgent:
        payee = self.aggregator.me.address
        return AggregatorAgent(self.aggregator, self.job_id, payee, self.world.report("aggregator"))

    def agents(self) -> list[Agent]:
        return [self.judge(), *(self.trainer(number) for number in range(len(self.trainers)))]

    def finish(self, agents: list[Agent] | None = None) -> State:
        """Steps everybody until the job is over and they have claimed; when all wait, the clock is moved on."""
        agents = self.agents() if agents is None else agents
        for _ in range(MAX_STEPS):
            outcomes = [agent.step() for agent in agents]
            job = self.world.chain.market.job(self.job_id)
            # Once no round is left, what a dispatcher works at may be other jobs, without end.
            rounds = job.state in (State.OPEN, State.RUNNING)
            own = [rounds or not isinstance(agent, Dispatcher) for agent in agents]
            if any(outcome is Step.WORKED for outcome, counts in zip(outcomes, own, strict=True) if counts):
                continue
            if job.state.over:
                return job.state
            self.pass_deadline()
        pytest.fail(f"the job does not end: {self.world.notices[-20:]}")

    def pass_half_of_settling(self) -> None:
        market = self.world.chain.market
        job, terms = market.job(self.job_id), market.terms(self.job_id)
        skip_to(market.connection, max(job.submit_by, job.settle_by - terms.settle_window // 2) + 1)

    def pass_deadline(self) -> None:
        market = self.world.chain.market
        job, now = market.job(self.job_id), market.connection.now()
        terms = market.terms(self.job_id)
        deadlines = [terms.enrol_by, job.submit_by, job.settle_by, job.settle_by + terms.takeover_window]
        skip_to(market.connection, min(moment for moment in deadlines if moment >= now) + 1)


def step_until(agents: list[Agent], holds: Callable[[], bool]) -> None:
    """Steps everybody in turn, until it holds."""
    for _ in range(200):
        if holds():
            return
        for agent in agents:
            agent.step()
            if holds():
                return
    pytest.fail("what is waited for does not come")


@cache
def _setups() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="merit-test-setups-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def share_setups(home: Path) -> None:
    """Lets a party use the set-ups that this run has made and checked once: what each would fetch is the same."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "setups").exists():
        (home / "setups").symlink_to(_setups())


def blobs(count: int, seed: int) -> Dataset:
    """Two classes around two points of the plane."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    x = rng.normal(0, 1, (count, 2)) + np.where(y[:, None] == 1, 2.0, -2.0)
    return Dataset({"x": x.astype(np.float32)}, y.astype(np.int64))


def job_file(aggregator: Node, *, parts: Mapping[str, Any] = MappingProxyType({}), **market: Any) -> JobFile:
    """A job of two rounds for three trainers. parts: of its document, in place of these."""
    document: dict[str, Any] = {
        "name": "Two clouds",
        "model": {"architecture": "mlp", "parameters": {"inputs": 2, "hidden": [4], "classes": 2}, "seed": 1},
        "data": {
            "features": {"x": {"kind": "tensor", "shape": [2]}},
            "target": {"kind": "category", "classes": 2},
        },
        "training": {"learning_rate": 0.1, "epochs": 5, "batch_size": 16},
        "update": {"clip": 8.0},
        "market": {
            "reward": "0.3 ether",
            "fee": "0.01 ether",
            "stake": "0.1 ether",
            "bond": "0.2 ether",
            "rounds": 2,
            "min_trainers": 2,
            "max_trainers": 3,
            "max_faulty": 0,
            "start_delay": "0 s",
            "aggregator": {
                "address": aggregator.me.address,
                "encryption_key": "0x" + aggregator.me.encryption_key.hex(),
            },
            **market,
        },
    }
    return JobFile.model_validate(yaml.safe_load(yaml.safe_dump(document | dict(parts))))


@pytest.fixture
def world(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(submissions, "ARRIVING", 0.0)  # agents that are stepped in turn deliver between steps
    return World(chain, tmp_path, open_storage(f"folder:{tmp_path / 'storage'}", timeout=5))


def new_play(
    world: World,
    *,
    validation: bool = True,
    tampers: dict[int, Tamper] | None = None,
    parts: Mapping[str, Any] = MappingProxyType({}),
    files: Files = MappingProxyType({}),
    **market: Any,
) -> Play:
    """Creates the job and its parties; nobody has joined."""
    owner, aggregator = world.node("owner"), world.node("aggregator")
    job = job_file(aggregator, parts=parts, **market)
    trainers, data = [], []
    for number in range(job.market.max_trainers):
        trainers.append(world.node(f"trainer-{number}"))
        data.append(world.folder / f"data-{number}.npz")
        write_npz(data[-1], blobs(60, 10 + number))
    created = create_job(owner, job, blobs(80, 1) if validation else None, files=files)
    chosen = [(tampers or {}).get(number) for number in range(len(trainers))]
    return Play(world, owner, aggregator, trainers, created.job_id, data, chosen)


@pytest.fixture
def play(world: World) -> Play:
    return new_play(world)
