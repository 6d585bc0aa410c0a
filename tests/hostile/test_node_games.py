"""What nodes do by themselves on what a counterparty writes: the second table of docs/security/griefing.md, played.

Each game is a job on a real Anvil, with real agents on our side and an attacker that follows no rule. Coin is held to
the unit, gas to one part in twenty, as CIDs and proofs differ in their zero bytes. MERIT_RENEW=1 writes what is
measured into the table.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from marketplace.chain.clock import skip_to
from marketplace.domain import Credited, JobCreated, State
from marketplace.errors import MeritError
from marketplace.services.agent import Step
from marketplace.services.audit import audit_job
from marketplace.services.dispatcher import Dispatcher
from marketplace.services.node import Node, fetch_spec
from marketplace.services.policy import FILE_NAME
from marketplace.storage import Storage, put_bytes
from tests.jobs import ETHER, Play, World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PAGE = Path(__file__).parents[2] / "docs/security/griefing.md"
WITHIN = 240.0  # seconds for anything that an agent does, on a machine that does much else
NOWHERE = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
LOW_ORDER = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
NOBODY = bytes([9]) + bytes(31)


GAMES: dict[Callable[["Stage"], None], tuple[str, str]] = {}


def game(node: str, name: str) -> Callable[[Callable[["Stage"], None]], Callable[["Stage"], None]]:
    """node: whose it is. name: in the table."""

    def add(play: Callable[["Stage"], None]) -> Callable[["Stage"], None]:
        GAMES[play] = (node, name)
        return play

    return add


@dataclass
class Stage:
    """What a game is played with; it says who attacks and who is attacked."""

    world: World
    attackers: list[Node] = field(default_factory=list)
    victims: list[Node] = field(default_factory=list)
    begun: int = 0  # the block before the game

    def begins(self) -> None:
        self.begun = int(self.world.chain.connection.request("eth_blockNumber"), 16)

    def cost(self, side: list[Node]) -> tuple[int, int]:
        """(gas of what they called of the market, coin that they were credited less what they paid in)."""
        ask, market = self.world.chain.connection.request, self.world.chain.market.address.lower()
        low = [node.me.address.lower() for node in side]
        gas = paid = 0
        for number in range(self.begun + 1, int(ask("eth_blockNumber"), 16) + 1):
            for sent in ask("eth_getBlockByNumber", hex(number), True)["transactions"]:
                if sent["from"] in low and sent["to"] == market:
                    receipt = ask("eth_getTransactionReceipt", sent["hash"])
                    gas += int(receipt["gasUsed"], 16)
                    paid += int(sent["value"], 16) * (receipt["status"] == "0x1")
        got = [event for event in self.world.chain.events() if isinstance(event, Credited) and event.block > self.begun]
        return gas, sum(event.amount for event in got if event.payee.lower() in low) - paid

    def hostile(self, **market: object) -> Play:
        """A job of a hostile owner with seats for its own trainers, that names our aggregator."""
        small: dict[str, object] = {"rounds": 1, "min_trainers": 1, "max_trainers": 1, "max_faulty": 0, "stake": "0"}
        self.begins()
        play = new_play(self.world, validation=False, rule="krum-cosine", **{**small, **market})
        self.attackers, self.victims = [play.owner, *play.trainers], [play.aggregator]
        return play

    def instead(self, play: Play, *, cid: str = "", key: bytes = b"") -> None:
        """In place of the play's job, the same with another description, or another key of its owner."""
        market, owner = self.world.chain.market, play.owner.me
        terms, created = market.terms(play.job_id), self.created(play)
        market.cancel(owner.account, play.job_id)
        self.begins()
        play.job_id, _ = market.create_job(owner.account, terms, key or owner.encryption_key, cid or created.spec_cid)

    def created(self, play: Play) -> JobCreated:
        (found,) = [event for event in self.world.chain.events(play.job_id) if isinstance(event, JobCreated)]
        return found

    @contextmanager
    def serving(self, node: Node, policy: dict[str, object]) -> Iterator[Callable[[Callable[[], object]], None]]:
        """Our aggregator under a policy: a function that steps it until something holds."""
        (node.home / FILE_NAME).write_text(json.dumps(policy))
        dispatcher = Dispatcher(node, node.me.address, self.world.report("aggregator"))

        def until(holds: Callable[[], object]) -> None:
            end = time.monotonic() + WITHIN
            while not holds():
                assert time.monotonic() < end, self.world.notices[-10:]
                if dispatcher.step() is not Step.WORKED:
                    time.sleep(0.02)

        try:
            yield until
        finally:
            dispatcher.close()

    def job(self, job_id: int) -> State:
        return self.world.chain.market.job(job_id).state

    def told(self, kind: str, part: str = "") -> bool:
        return any(notice.kind == kind and part in notice.text for _, notice in self.world.notices)


def accepting(*owners: Node, **more: object) -> dict[str, object]:
    """A policy that names these owners, and minds nothing else but the bond."""
    coin = {"token": "coin", "bond_at_most": "0.5 ether"}
    wide = {"tokens": [coin], "bond_for_fees": None, "gas_price": 0}
    return {"owners": [owner.me.address for owner in owners], **wide, **more}


# ---------------------------------------------------------------- an aggregator's


@game("aggregator", "a stranger names it, with a bond of all it has")
def named_by_a_stranger(stage: Stage) -> None:
    play = stage.hostile(bond="19 ether")
    with stage.serving(play.aggregator, {}) as until:
        until(lambda: stage.told("declined"))
    stage.world.chain.market.cancel(play.owner.me.account, play.job_id)


@game("aggregator", "an owner that it knows wants a bond above its policy")
def too_large_a_bond(stage: Stage) -> None:
    play = stage.hostile(bond="0.6 ether")
    with stage.serving(play.aggregator, accepting(play.owner)) as until:
        until(lambda: stage.told("declined"))
    stage.world.chain.market.cancel(play.owner.me.account, play.job_id)


@game("aggregator", "an owner that it knows, and f + 1 trainers of its, submit what does not open")
def unopenable(stage: Stage) -> None:
    play = stage.hostile()
    market, (thief,) = stage.world.chain.market, play.trainers
    with stage.serving(play.aggregator, accepting(play.owner)) as until:
        until(lambda: int(market.job(play.job_id).aggregator, 16))
        market.join(thief.me.account, play.job_id, thief.me.address, thief.me.encryption_key)
        until(lambda: market.job(play.job_id).key_published)
        market.submit_update(thief.me.account, play.job_id, 1, b"\x01" * 32, NOWHERE)
        play.pass_half_of_settling()
        until(lambda: stage.told("void"))
        while not (job := market.job(play.job_id)).state.over:  # nothing comes any more, round after round
            skip_to(market.connection, job.submit_by + 1)
            until(lambda at=job.round: market.job(play.job_id).round != at or market.job(play.job_id).state.over)


@game("aggregator", "an owner that it knows cancels once it has accepted")
def cancelled(stage: Stage) -> None:
    play = stage.hostile()
    market = stage.world.chain.market
    with stage.serving(play.aggregator, accepting(play.owner)) as until:
        until(lambda: int(market.job(play.job_id).aggregator, 16))
        market.cancel(play.owner.me.account, play.job_id)


@game("aggregator", "an owner that it knows describes what cannot be fetched")
def nowhere(stage: Stage) -> None:
    play = stage.hostile()
    stage.instead(play, cid=NOWHERE)
    in_trouble(stage, play)


@game("aggregator", "an owner that it knows has a key that nothing can be sealed to")
def unusable_owner(stage: Stage) -> None:
    play = stage.hostile()
    stage.instead(play, key=LOW_ORDER)
    in_trouble(stage, play)


def in_trouble(stage: Stage, play: Play) -> None:
    """The job is told of, and not taken up."""
    with stage.serving(play.aggregator, accepting(play.owner)) as until:
        until(lambda: stage.told("trouble", f"Job {play.job_id}") or stage.told("declined", f"Job {play.job_id}"))
    stage.world.chain.market.cancel(play.owner.me.account, play.job_id)


# ---------------------------------------------------------------- a trainer's


def refuses_to_join(stage: Stage, play: Play) -> None:
    """Our trainer is told to join, and says in a sentence why it does not."""
    stage.victims = [play.trainers[0]]

    def join() -> None:
        play.trainer(0).step()

    with pytest.raises(MeritError):
        join()
    stage.world.chain.market.cancel(play.owner.me.account, play.job_id)


@game("trainer", "the owner's base model is 1e30")
def diverging(stage: Stage) -> None:
    play = stage.hostile(stake="0.1 ether")
    storage = stage.world.storage
    spec = fetch_spec(storage, stage.created(play))
    base = put_bytes(storage, save({"model": np.full(spec.parameters, 1e30, np.float32)}))
    stage.instead(play, cid=put_bytes(storage, spec.model_copy(update={"base_cid": base}).to_bytes()))
    stage.attackers = [play.owner]
    refuses_to_join(stage, play)


@game("trainer", "the aggregator's key is one that nothing can be sealed to")
def unusable_aggregator(stage: Stage) -> None:
    play = stage.hostile(stake="0.1 ether")
    market = stage.world.chain.market
    market.accept_aggregation(play.aggregator.me.account, play.job_id, play.aggregator.me.address, LOW_ORDER)
    stage.attackers = [play.owner, play.aggregator]
    refuses_to_join(stage, play)


@game("trainer", "the aggregator's job key does not open")
def no_key(stage: Stage) -> None:
    play = stage.hostile(stake="0.1 ether", max_missed=1, slash_bps=10_000)
    market, (trainer,) = stage.world.chain.market, play.trainers
    stage.attackers, stage.victims = [play.owner, play.aggregator], [trainer]
    market.accept_aggregation(play.aggregator.me.account, play.job_id, play.aggregator.me.address, NOBODY)
    agent = play.trainer(0)
    while agent.step() is not Step.WORKED:
        pass
    market.start(play.owner.me.account, play.job_id)
    market.publish_key(play.aggregator.me.account, play.job_id, NOWHERE)
    while not stage.job(play.job_id).over:
        agent.step()
        stage.world.chain.forward(60)
    while agent.step() is not Step.FINISHED:  # it claims its stake
        pass


@game("trainer", "the training that the owner describes takes longer than its submitting phase")
def too_long(stage: Stage) -> None:
    play = stage.hostile(stake="0.1 ether", submit_window="1 s")
    spec = fetch_spec(stage.world.storage, stage.created(play))
    training = spec.training.model_copy(update={"epochs": 10_000})
    content = spec.model_copy(update={"training": training}).to_bytes()
    stage.instead(play, cid=put_bytes(stage.world.storage, content))
    stage.attackers = [play.owner]
    refuses_to_join(stage, play)


# ---------------------------------------------------------------- an auditor's, or whoever looks on


class Counting:
    """Storage that counts what it is asked for."""

    def __init__(self, storage: Storage) -> None:
        self._storage, self.asked = storage, 0

    def get(self, *arguments: object, **named: object) -> int:
        self.asked += 1
        return self._storage.get(*arguments, **named)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> object:
        return getattr(self._storage, name)


@game("auditor", "a trainer shows sixty openings of a submission that nobody called unopened")
def openings(stage: Stage) -> None:
    """Of one seat the latest are looked at, however many there are."""
    play = stage.hostile()
    market, (flooder,) = stage.world.chain.market, play.trainers
    judge = play.judge()
    while judge.step() is Step.WORKED:
        pass
    trainer = play.trainer(0)
    play.finish([judge, trainer])
    stage.begins()
    for number in range(60):
        market.show_opening(flooder.me.account, play.job_id, 1 + number % 2, NOWHERE)
    counting = Counting(stage.world.storage)
    watcher = stage.world.watcher("auditor")
    stage.attackers, stage.victims = [flooder], []
    audit_job(replace(watcher, storage=counting), play.job_id)  # type: ignore[arg-type]
    assert counting.asked < 20


# ---------------------------------------------------------------- the table


def rows() -> dict[tuple[str, str], list[str]]:
    """By node and name: the four measured cells."""
    row = r"^\| (\w+) \| ([^|`]+?) \| ([\d ,]+) \| ([-+.\d]+) \| ([\d ,]+) \| ([-+.\d]+) \|"
    found = re.findall(row, PAGE.read_text(), re.M)
    return {(node, name): [cell.replace(",", "").strip() for cell in cells] for node, name, *cells in found}


def in_ether(amount: int) -> str:
    text = f"{Decimal(amount) / ETHER:+f}"
    return "0" if amount == 0 else text.rstrip("0").rstrip(".") if "." in text else text


def renew(node: str, name: str, measured: list[str]) -> None:
    cells = [f"{int(cell):,}" if cell.isdigit() and cell != "0" else cell for cell in measured]
    text, count = re.subn(
        rf"^(\| {node} \| {re.escape(name)} \|)[^|]*\|[^|]*\|[^|]*\|[^|]*\|",
        lambda match: f"{match[1]} {' | '.join(cells)} |",
        PAGE.read_text(),
        flags=re.M,
    )
    assert count == 1, f"no row {name!r}"
    PAGE.write_text(text)


@pytest.mark.parametrize("play", GAMES, ids=lambda play: str(play.__name__))
def test_a_node_loses_by_itself_what_the_table_says(world: World, play: Callable[[Stage], None]) -> None:
    stage = Stage(world)
    play(stage)
    jobs = range(1, world.chain.market.job_count() + 1)
    assert all(stage.job(job_id).over for job_id in jobs)
    node, name = GAMES[play]
    (spent, price), (lost, harm) = (stage.cost(side) for side in (stage.attackers, stage.victims))
    if os.environ.get("MERIT_RENEW"):
        renew(node, name, [str(spent), in_ether(price), str(lost), in_ether(harm)])
    stated = rows()[node, name]
    assert [stated[1], stated[3]] == [in_ether(price), in_ether(harm)]
    for said, gas in ((stated[0], spent), (stated[2], lost)):
        assert abs(int(said) - gas) * 20 <= gas, f"measured {gas:,}"


def test_every_game_has_a_row_and_every_row_a_game() -> None:
    assert set(rows()) == set(GAMES.values())
