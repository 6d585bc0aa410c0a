"""Attacks by trainers on a round: what does not open must cost only who submitted it."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketplace.chain.clock import skip_to
from marketplace.chain.market import Market
from marketplace.domain import State
from marketplace.errors import Reverted, StorageError
from marketplace.keys.sealing import Purpose, seal_bytes_to
from marketplace.services.agent import Step
from marketplace.services.aggregator import AggregatorAgent
from marketplace.services.audit import audit_job
from marketplace.services.node import JobFeed
from marketplace.spec import MIN_CHUNK
from marketplace.storage import put_bytes
from tests.jobs import Play, World, new_play
from zk import kzg, setup
from zk.encoding import commitment_hash
from zk.files import pack_update

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

D = 2 * 4 + 4 + 4 * 2 + 2  # parameters of the small model


def play_until_submitting(play: Play) -> list[Any]:
    """Everybody but trainer 2 has submitted in round 1; returns the agents."""
    agents = play.agents()
    market = play.world.chain.market
    for _ in range(100):
        if market.job(play.job_id).state is State.OPEN:
            agents[3].step()
        for agent in agents[:3]:
            agent.step()
        if market.job(play.job_id).submitted.bit_count() == 2:
            return agents
    pytest.fail("round 1 does not fill")


def submit(play: Play, commitment: bytes, cid: str) -> None:
    play.world.chain.market.submit_update(play.trainers[2].me.account, play.job_id, 1, commitment, cid)


def finish_round(play: Play, agents: list[Any]) -> Any:
    """The settlement of round 1, once the honest have gone on without minding."""
    for _ in range(100):
        outcomes = [agent.step() for agent in agents[:3]]
        history = JobFeed(play.owner, play.job_id).refresh()
        if 1 in history.settled:
            return history
        if Step.WORKED not in outcomes:
            play.pass_half_of_settling()
    pytest.fail("round 1 is not settled")


def sealed(play: Play, content: bytes, *, party: str | None = None) -> str:
    trainer = play.trainers[2]
    party = party or trainer.me.address
    context = trainer.context(Purpose.UPDATE, job_id=play.job_id, round=1, party=party)
    return put_bytes(play.world.storage, seal_bytes_to(play.aggregator.me.encryption_key, content, context))


def assert_only_the_attacker_lost(play: Play, history: Any, *, unopened: bool = True) -> None:
    slot = history.slot_of(play.trainers[2].me.address)
    settlement = history.settled[1].settlement
    assert bool(settlement.unopened >> slot & 1) is unopened
    assert slot not in history.rounds[0].pays
    assert len(history.rounds[0].pays) == 2
    assert all(pay > 0 for pay in history.rounds[0].pays.values())


SETUP = setup.development(MIN_CHUNK, seed=b"any set-up: what is attacked is before it")
UPDATE = np.arange(D, dtype=np.int16)
BLINDERS = b"\x05" * 64
POINTS = kzg.commit(SETUP, UPDATE, BLINDERS)
COMMITMENT = commitment_hash(POINTS)
FILE = pack_update(UPDATE, BLINDERS, POINTS, 1)


def dishonest(play: Play, update: Any, points: bytes | None = None) -> tuple[bytes, str]:
    """A submission of points that the update does not open: they commit to another, in the job's own set-up."""
    srs = play.trainer(2)._setup.srs
    if points is None:
        points = kzg.commit(srs, UPDATE + 1, BLINDERS)
    return commitment_hash(points), sealed(play, pack_update(update, BLINDERS, points, 1))


ATTACKS = {
    "another update than committed": lambda play: dishonest(play, UPDATE),
    "another commitment than submitted": lambda play: (bytes([7] * 32), sealed(play, FILE)),
    "points off the curve": lambda play: dishonest(play, UPDATE, b"\x01" * 64),
    "the point at infinity": lambda play: dishonest(play, UPDATE, bytes(64)),
    "an update of another length": lambda play: (
        COMMITMENT,
        sealed(play, pack_update(UPDATE[:-1], BLINDERS, POINTS, 1)),
    ),
    "bytes that are no update": lambda play: (COMMITMENT, sealed(play, b"\x80\x04K\x2a.")),
    "sealed for another operator": lambda play: (COMMITMENT, sealed(play, FILE, party=play.trainers[0].me.address)),
    "bytes that are not sealed": lambda play: (COMMITMENT, put_bytes(play.world.storage, b"hello")),
    "a CID that is none": lambda play: (COMMITMENT, "../../etc/passwd"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_does_not_open_is_left_out_at_once_and_the_others_are_paid(world: World, name: str) -> None:
    play = new_play(world)
    agents = play_until_submitting(play)
    submit(play, *ATTACKS[name](play))
    assert_only_the_attacker_lost(play, finish_round(play, agents))


def test_another_trainers_sealed_update_does_not_open_for_who_copies_its_cid(world: World) -> None:
    play = new_play(world)
    agents = play_until_submitting(play)
    victim = next(iter(JobFeed(play.owner, play.job_id).refresh().rounds[0].submissions.values()))
    submit(play, COMMITMENT, victim.cid)
    assert_only_the_attacker_lost(play, finish_round(play, agents))


def test_another_trainers_commitment_is_refused_by_the_contract(world: World) -> None:
    play = new_play(world)
    play_until_submitting(play)
    victim = next(iter(JobFeed(play.owner, play.job_id).refresh().rounds[0].submissions.values()))
    with pytest.raises(Reverted, match="submitted in job 1 before") as caught:
        submit(play, victim.commitment, victim.cid)
    assert caught.value.name == "CommitmentSeen"


def test_bytes_that_never_come_are_waited_for_and_then_left_out(world: World) -> None:
    play = new_play(world)
    agents = play_until_submitting(play)
    hidden = put_bytes(type(world.storage)(world.folder / "elsewhere"), b"nobody else has this")
    submit(play, COMMITMENT, hidden)
    history = finish_round(play, agents)
    assert "missing" in world.kinds("aggregator")
    assert_only_the_attacker_lost(play, history)


def test_storage_that_fails_on_one_update_does_not_cost_the_aggregator_its_bond(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world)
    agents = play_until_submitting(play)
    slow = put_bytes(world.storage, b"a file that its holder sends too slowly")
    honest = type(world.storage).get

    def get(self: Any, cid: str, sink: BytesIO, *, max_bytes: int) -> int:
        if cid == slow:
            raise StorageError("The transfer is too slow.")
        return int(honest(self, cid, sink, max_bytes=max_bytes))

    monkeypatch.setattr(type(world.storage), "get", get)
    submit(play, COMMITMENT, slow)
    assert_only_the_attacker_lost(play, finish_round(play, agents))


def test_more_unopened_than_the_job_allows_end_in_abort_and_the_audit_agrees(world: World) -> None:
    play = new_play(world, max_faulty=0)
    agents = play_until_submitting(play)
    submit(play, COMMITMENT, put_bytes(world.storage, b"hello"))
    assert play.finish(agents[:3]) is State.ABORTED
    assert "stuck" in world.kinds("aggregator")
    assert audit_job(world.watcher("auditor"), play.job_id).ok


def test_a_commitment_that_was_copied_on_its_way_is_replaced_by_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world, rounds=1)
    thief, honest, stolen = play.trainers[2], Market.submit_update, []

    def overtaken(self: Market, signer: Any, job_id: int, round: int, commitment: bytes, cid: str) -> Any:
        if not stolen and signer.address != thief.me.address:
            stolen.append(commitment)
            honest(self, thief.me.account, job_id, round, commitment, cid)
        return honest(self, signer, job_id, round, commitment, cid)

    monkeypatch.setattr(Market, "submit_update", overtaken)
    assert play.finish() is State.COMPLETED
    submissions = JobFeed(play.owner, play.job_id).refresh().rounds[0].submissions
    assert len(submissions) == 3
    assert len({event.commitment for event in submissions.values()}) == 3


def test_when_the_sum_is_withheld_trainers_leave_with_their_stakes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world, rounds=3, max_missed=1)
    prepared = AggregatorAgent._prepared

    def withheld(self: AggregatorAgent, round: int, work: Path) -> Any:
        settlement, proof = prepared(self, round, work)
        (work / "sum").write_bytes(b"something else")
        elsewhere = type(world.storage)(world.folder / "elsewhere")
        return replace(settlement, sum_cid=put_bytes(elsewhere, b"kept back")), proof

    monkeypatch.setattr(AggregatorAgent, "_prepared", withheld)
    agents = play.agents()
    market = world.chain.market
    for _ in range(100):
        for agent in agents:
            agent.step()
        job = market.job(play.job_id)
        if job.state.over:
            break
        if job.round == 2 and market.connection.now() < job.submit_by - 120:
            skip_to(market.connection, job.submit_by - 100)
    assert market.job(play.job_id).state is State.ABORTED
    history = JobFeed(play.owner, play.job_id).refresh()
    stake = history.terms.stake
    paid = history.rounds[0].pays
    for trainer in play.trainers:
        slot = next(who.slot for who in history.enrolled if who.operator == trainer.me.address)
        assert history.credits[trainer.me.address] == stake + paid.get(slot, 0)
