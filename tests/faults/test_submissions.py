"""Attacks by trainers on a round: what does not open must cost only who submitted it."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from marketplace.chain.clock import skip_to
from marketplace.chain.market import Market
from marketplace.domain import ZERO_ADDRESS, State
from marketplace.errors import Reverted, StorageError
from marketplace.keys.sealing import Purpose
from marketplace.services.agent import Step
from marketplace.services.aggregator import AggregatorAgent
from marketplace.services.audit import audit_job
from marketplace.services.deliveries import seal_update
from marketplace.spec import MIN_CHUNK
from marketplace.storage import put_bytes
from marketplace.storage.folder import FolderStorage
from tests.chain_fixtures import ONE_FAULTY
from tests.jobs import Play, World, new_play
from zk import kzg, setup
from zk.encoding import submission_hash
from zk.files import pack_update

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

D = 2 * 4 + 4 + 4 * 2 + 2  # parameters of the small model


def play_until_submitting(play: Play) -> list[Any]:
    """Everybody but trainer 2 has submitted in round 1; returns the agents, that trainer's at the end."""
    agents = play.agents()
    agents.append(agents.pop(3))
    market = play.world.chain.market
    for _ in range(100):
        if market.job(play.job_id).state is State.OPEN:
            agents[-1].step()
        for agent in agents[:-1]:
            agent.step()
        if market.job(play.job_id).submitted.bit_count() == len(play.trainers) - 1:
            return agents
    pytest.fail("round 1 does not fill")


def submit(play: Play, commitment: bytes, cid: str) -> None:
    play.world.chain.market.submit_update(play.trainers[2].me.account, play.job_id, 1, commitment, cid)


def finish_round(play: Play, agents: list[Any]) -> Any:
    """The settlement of round 1, once the honest have gone on without minding."""
    for _ in range(100):
        outcomes = [agent.step() for agent in agents[:-1]]
        history = play.history()
        if 1 in history.settled:
            return history
        if Step.WORKED not in outcomes:
            play.pass_half_of_settling()
    pytest.fail("round 1 is not settled")


def sealed(play: Play, content: bytes, *, party: str = "", round: int = 1, key: bytes = b"") -> str:
    """Of the third trainer, in round 1, to the aggregator, where not said otherwise."""
    trainer = play.trainers[2]
    context = trainer.context(Purpose.UPDATE, job_id=play.job_id, round=round, party=party or trainer.me.address)
    made = seal_update(key or play.aggregator.me.encryption_key, content, context)
    put_bytes(play.world.storage, made.large)
    return put_bytes(play.world.storage, made.small)


def assert_only_the_attacker_lost(play: Play, history: Any, *, unopened: bool = True) -> None:
    slot = history.slot_of(play.trainers[2].me.address)
    settlement = history.settled[1].settlement
    assert bool(settlement.unopened >> slot & 1) is unopened
    assert slot not in history.rounds[0].gains
    assert len(history.rounds[0].gains) == len(play.trainers) - 1
    assert all(gain > 0 for gain in history.rounds[0].gains.values())


SETUP = setup.development(MIN_CHUNK, seed=b"any set-up: what is attacked is before it")
UPDATE = np.arange(D, dtype=np.int16)
BLINDERS = b"\x05" * 64
POINTS = kzg.commit(SETUP, UPDATE, BLINDERS)
FILE = pack_update(UPDATE, BLINDERS, POINTS, 1)


def committed(play: Play, points: bytes = POINTS) -> bytes:
    """What the third trainer submits for these points."""
    return submission_hash(points, play.trainers[2].me.address)


def holding(value: float, dtype: type) -> bytes:
    """An update's file, but for its values."""
    rest = {"blinders": np.frombuffer(BLINDERS, np.uint8), "commitment": np.frombuffer(POINTS, np.uint8)}
    return save({"update": np.full(D, value, dtype), **rest})


def dishonest(play: Play, update: Any, points: bytes | None = None) -> tuple[bytes, str]:
    """A submission of points that the update does not open: they commit to another, in the job's own set-up."""
    srs = play.trainer(2)._training.opened(play.history()).setup.srs
    if points is None:
        points = kzg.commit(srs, UPDATE + 1, BLINDERS)
    return committed(play, points), sealed(play, pack_update(update, BLINDERS, points, 1))


ATTACKS = {
    "another update than committed": lambda play: dishonest(play, UPDATE),
    "another commitment than submitted": lambda play: (bytes([7] * 32), sealed(play, FILE)),
    "points off the curve": lambda play: dishonest(play, UPDATE, b"\x01" * 64),
    "the point at infinity": lambda play: dishonest(play, UPDATE, bytes(64)),
    "an update of another length": lambda play: (
        committed(play),
        sealed(play, pack_update(UPDATE[:-1], BLINDERS, POINTS, 1)),
    ),
    "NaN": lambda play: (committed(play), sealed(play, holding(np.nan, np.float32))),
    "infinities": lambda play: (committed(play), sealed(play, holding(np.inf, np.float32))),
    "values out of range": lambda play: (committed(play), sealed(play, holding(-(2**15), np.int16))),
    "sealed to another key": lambda play: (committed(play), sealed(play, FILE, key=play.owner.me.encryption_key)),
    "sealed for another round": lambda play: (committed(play), sealed(play, FILE, round=2)),
    "bytes that are no update": lambda play: (committed(play), sealed(play, b"\x80\x04K\x2a.")),
    "sealed for another operator": lambda play: (
        committed(play),
        sealed(play, FILE, party=play.trainers[0].me.address),
    ),
    "bytes that are not sealed": lambda play: (committed(play), put_bytes(play.world.storage, b"hello")),
    "a CID that is none": lambda play: (committed(play), "../../etc/passwd"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_does_not_open_is_left_out_at_once_and_the_others_are_paid(world: World, name: str) -> None:
    play = new_play(world, **ONE_FAULTY)
    agents = play_until_submitting(play)
    submit(play, *ATTACKS[name](play))
    assert_only_the_attacker_lost(play, finish_round(play, agents))


def test_another_trainers_sealed_update_does_not_open_for_who_copies_its_cid(world: World) -> None:
    play = new_play(world, **ONE_FAULTY)
    agents = play_until_submitting(play)
    victim = next(iter(play.history().rounds[0].submissions.values()))
    submit(play, committed(play), victim.cid)
    assert_only_the_attacker_lost(play, finish_round(play, agents))


def test_another_trainers_commitment_and_cid_open_for_their_sender_alone(world: World) -> None:
    play = new_play(world, **ONE_FAULTY)
    agents = play_until_submitting(play)
    victim = next(iter(play.history().rounds[0].submissions.values()))
    submit(play, victim.commitment, victim.cid)
    assert_only_the_attacker_lost(play, finish_round(play, agents))


def test_bytes_that_never_come_are_waited_for_and_then_left_out(world: World) -> None:
    play = new_play(world, **ONE_FAULTY)
    agents = play_until_submitting(play)
    hidden = put_bytes(FolderStorage(world.folder / "elsewhere"), b"nobody else has this")
    submit(play, committed(play), hidden)
    history = finish_round(play, agents)
    assert "missing" in world.kinds("aggregator")
    assert_only_the_attacker_lost(play, history)


def test_storage_that_fails_on_one_update_does_not_cost_the_aggregator_its_bond(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world, **ONE_FAULTY)
    agents = play_until_submitting(play)
    slow = put_bytes(world.storage, b"a file that its holder sends too slowly")
    honest = type(world.storage).get

    def get(self: Any, cid: str, sink: BytesIO, *, max_bytes: int) -> int:
        if cid == slow:
            raise StorageError("The transfer is too slow.")
        return int(honest(self, cid, sink, max_bytes=max_bytes))

    monkeypatch.setattr(type(world.storage), "get", get)
    submit(play, committed(play), slow)
    assert_only_the_attacker_lost(play, finish_round(play, agents))


@pytest.mark.parametrize("name", ["bytes that are not sealed", "another update than committed"])
def test_more_unopened_than_the_job_allows_are_asked_for_again_and_the_audit_agrees(world: World, name: str) -> None:
    """The others are paid as if the attacker had said nothing, and the aggregator keeps its bond."""
    play = new_play(world, rounds=1)
    agents = play_until_submitting(play)
    submit(play, *ATTACKS[name](play))
    assert play.finish(agents[:-1]) is State.COMPLETED
    assert "void" in world.kinds("aggregator")
    history = play.history()
    assert history.rounds[0].undelivered == {history.slot_of(play.trainers[2].me.address)}
    assert history.settled[1].settlement.unopened == 0
    assert len(history.rounds[0].gains) == 2
    assert history.credits[play.aggregator.me.address] == history.terms.bond + history.terms.fee
    assert audit_job(world.watcher("auditor"), play.job_id).ok


def test_a_commitment_that_was_copied_on_its_way_counts_for_who_can_open_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world, rounds=1, **ONE_FAULTY)
    thief, honest, stolen = play.trainers[2], Market.submit_update, []

    def overtaken(self: Market, signer: Any, job_id: int, round: int, commitment: bytes, cid: str) -> Any:
        if not stolen and signer.address != thief.me.address:
            stolen.append(commitment)
            honest(self, thief.me.account, job_id, round, commitment, cid)
        return honest(self, signer, job_id, round, commitment, cid)

    monkeypatch.setattr(Market, "submit_update", overtaken)
    assert play.finish() is State.COMPLETED
    entry = play.history().rounds[0]
    assert [event.commitment for event in entry.submissions.values()].count(stolen[0]) == 2
    assert entry.settled is not None
    assert entry.settled.settlement.unopened.bit_count() == 1, "the thief's"
    assert len(entry.gains) == 4


def test_a_withheld_sum_is_disputed_and_costs_the_aggregator_fee_and_bond(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play, history = play_with_withheld_sum(world, monkeypatch, **ONE_FAULTY)
    terms = history.terms
    assert world.chain.market.job(play.job_id).state is State.ABORTED
    assert history.disputed_sum
    assert burnt(history) == terms.bond + terms.fee, "nobody gains by a dispute"
    assert history.credits[play.aggregator.me.address] == 0
    assert_trainers_have_stakes_and_pay(play, history)
    assert audit_job(world.watcher("auditor"), play.job_id).ok is False, "the sum is missing"


def test_where_too_few_dispute_a_withheld_sum_trainers_leave_with_their_stakes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but one trainer are deaf to the trouble, so the one's word does not count."""
    honest = Market.dispute
    said: list[str] = []

    def dispute(self: Market, signer: Any, job_id: int) -> Any:
        said.append(signer.address)
        if len(said) == 1:
            return honest(self, signer, job_id)
        raise Reverted("This trainer keeps still.")

    monkeypatch.setattr(Market, "dispute", dispute)
    play, history = play_with_withheld_sum(world, monkeypatch, **ONE_FAULTY, reveal_window="never")
    assert len(set(said)) == 5
    assert world.chain.market.job(play.job_id).state is State.ABORTED
    assert not history.disputed_sum
    assert burnt(history) == 0
    assert_trainers_have_stakes_and_pay(play, history)


def test_a_last_sum_that_is_withheld_is_disputed_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    play, history = play_with_withheld_sum(world, monkeypatch, rounds=1)
    assert history.disputed_sum
    assert world.chain.market.job(play.job_id).state is State.COMPLETED
    assert burnt(history) == history.terms.bond + history.terms.fee
    assert_trainers_have_stakes_and_pay(play, history)


def play_with_withheld_sum(world: World, monkeypatch: pytest.MonkeyPatch, **market: Any) -> tuple[Play, Any]:
    """A job to its end whose aggregator settles the first round and keeps its sum to itself."""
    play = new_play(world, **{"rounds": 3, "max_missed": 1, **market})
    prepared = AggregatorAgent._prepared

    def withheld(self: AggregatorAgent, round: int, work: Path) -> Any:
        settlement, proof = prepared(self, round, work)
        (work / "sum").write_bytes(b"something else")
        elsewhere = FolderStorage(world.folder / "elsewhere")
        return replace(settlement, sum_cid=put_bytes(elsewhere, b"kept back")), proof

    monkeypatch.setattr(AggregatorAgent, "_prepared", withheld)
    agents = play.agents()
    on_chain = world.chain.market
    for _ in range(200):
        worked = Step.WORKED in [agent.step() for agent in agents]
        job = on_chain.job(play.job_id)
        if worked:
            continue
        if job.state.over:
            break
        if (job.round == 2 or job.state is State.CONFIRMING) and on_chain.connection.now() < job.submit_by - 120:
            skip_to(on_chain.connection, job.submit_by - 100)
        elif job.state is State.CONFIRMING:
            play.pass_deadline()
    return play, play.history()


def burnt(history: Any) -> int:
    """What was burnt beside the units of the pot that do not divide."""
    return int(history.credits[ZERO_ADDRESS]) - (history.pot - sum(history.divided(history.pot).values()))


def until_settled(play: Play) -> list[Any]:
    """Plays until round 1 is settled, and nobody has looked at its sum; the agents."""
    agents = play.agents()
    for _ in range(200):
        outcomes = []
        for agent in agents:
            outcomes.append(agent.step())
            if 1 in play.history().settled:
                return agents
        if Step.WORKED not in outcomes:
            play.pass_deadline()
    pytest.fail("round 1 is not settled")


def assert_trainers_have_stakes_and_pay(play: Play, history: Any) -> None:
    for trainer in play.trainers:
        slot = next(who.slot for who in history.enrolled if who.operator == trainer.me.address)
        assert history.credits[trainer.me.address] == history.terms.stake + history.divided(history.pot)[slot]


def test_trainers_whose_storage_is_down_dispute_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    play = new_play(world, rounds=3, reveal_window="never")
    agents = until_settled(play)

    def down(*_: Any, **__: Any) -> int:
        raise StorageError("The storage cannot be reached.")

    monkeypatch.setattr(type(world.storage), "get", down)
    job = world.chain.market.job(play.job_id)
    skip_to(world.chain.connection, job.submit_by - 100)
    for agent in agents[1:]:
        agent.step()
    history = play.history()
    assert not history.disputed
    assert (history.state, history.active) == (State.CONFIRMING, 0), "all have left in time"
    play.pass_deadline()
    agents[0].step()
    history = play.history()
    assert history.state is State.ABORTED
    assert history.credits[play.aggregator.me.address] == history.terms.bond + history.terms.fee


def test_a_sum_that_storage_has_spoiled_is_put_there_again_at_the_first_dispute(world: World) -> None:
    play = new_play(world, rounds=2, **ONE_FAULTY)
    agents = until_settled(play)
    history = play.history()
    agents[0].step()  # it has served the sum once
    cid = history.settled[1].settlement.sum_cid
    path = world.folder / "storage" / cid[-3:-1] / cid
    path.write_bytes(path.read_bytes()[:-1])
    for agent in agents[1:]:
        assert agent.step() is Step.WAITING, "it may come back by itself"
    job = world.chain.market.job(play.job_id)
    skip_to(world.chain.connection, job.submit_by - history.terms.submit_window // 3)
    agents[1].step()
    assert world.chain.market.job(play.job_id).disputed.bit_count() == 1
    assert play.finish(agents) is State.COMPLETED
    assert len(play.history().rounds[1].submissions) == 5
