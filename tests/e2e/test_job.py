"""Whole jobs through the real services, contract and storage."""

import numpy as np
import pytest

from marketplace.domain import ZERO_ADDRESS, State
from marketplace.services.audit import audit_job
from marketplace.services.node import job_key
from marketplace.services.owner import Watcher, export_model, reveal_validation
from tests.jobs import World, new_play
from zk.encoding import LIMIT

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


def flip(round: int, update: np.ndarray) -> np.ndarray:
    return np.clip(update.astype(np.int32) * -5, -LIMIT, LIMIT).astype(np.int16)


@pytest.mark.parametrize("rule", ["reference", "krum-cosine"])
def test_a_job_completes_and_its_audit_finds_nothing(world: World, rule: str) -> None:
    play = new_play(world, validation=rule == "reference", rule=rule)
    assert play.finish() is State.COMPLETED
    key = job_key(play.owner, play.history())
    if rule == "reference":
        reveal_validation(play.owner, play.job_id)
    report = audit_job(world.watcher("auditor"), play.job_id, job_key=key)
    assert report.findings == []
    assert all(check.ok is True for check in report.checks)


def test_all_money_leaves_the_contract_when_everybody_withdraws(world: World) -> None:
    play = new_play(world)
    play.finish()
    market = world.chain.market
    token = market.terms(play.job_id).token
    for node in [play.owner, play.aggregator, *play.trainers]:
        if market.credit(node.me.address, token):
            market.withdraw(node.me.account, token)
    assert market.balance(token) == market.credit(ZERO_ADDRESS, token), "what does not divide is burnt"


def test_a_poisoner_gets_nothing_and_an_honest_trainer_is_paid(world: World) -> None:
    play = new_play(world, tampers={2: flip})
    play.finish()
    history = play.history()
    bad = history.slot_of(play.trainers[2].me.address)
    good = history.slot_of(play.trainers[0].me.address)
    assert all(bad not in entry.gains for entry in history.rounds)
    pay = history.divided(history.pot)
    assert (pay[bad], pay[good] > 0) == (0, True)


def test_a_free_rider_that_sends_zeros_is_struck_and_slashed_at_its_claim(world: World) -> None:
    play = new_play(world, tampers={1: lambda round, update: np.zeros_like(update)}, rounds=3, max_strikes=2)
    play.finish()
    history = play.history()
    slot = history.slot_of(play.trainers[1].me.address)
    rider = history.participants[slot]
    assert (rider.strikes, rider.until) == (3, None), "nobody is ejected for strikes"
    terms = history.terms
    assert history.credits[rider.payee] == terms.stake - terms.stake * terms.slash_bps // 10_000


def test_a_round_without_submissions_is_skipped_and_its_money_returns(world: World) -> None:
    nothing = {number: lambda round, update: None if round == 1 else update for number in range(3)}
    play = new_play(world, tampers=nothing)
    assert play.finish() is State.COMPLETED
    history = play.history()
    assert history.rounds[0].skipped is not None
    assert set(history.settled) == {2}
    assert audit_job(world.watcher("auditor"), play.job_id).ok


def test_without_an_aggregator_the_job_is_cancelled_by_a_trainer_after_enrolment(world: World) -> None:
    play = new_play(world)
    assert play.finish([play.trainer(number) for number in range(3)]) is State.CANCELLED


def test_when_the_aggregator_vanishes_a_trainer_aborts_and_shares_the_bond(world: World) -> None:
    play = new_play(world)
    agents = play.agents()
    for _ in range(200):
        for agent in agents:
            agent.step()
        if world.chain.market.job(play.job_id).submitted.bit_count() == 3:
            break
    assert play.finish(agents[1:]) is State.ABORTED
    history = play.history()
    bond, stake = history.terms.bond, history.terms.stake
    assert history.credits[play.trainers[0].me.address] == bond // 3 + stake


def test_the_owners_watch_confirms_the_reference_rows_and_sees_accuracy(world: World) -> None:
    play = new_play(world)
    play.finish()
    seen = list(Watcher(play.owner, play.job_id, None).news())
    assert [check.round for check in seen] == [1, 2]
    assert all(check.problem == "" for check in seen)
    assert seen[-1].found.value > 0.9


def test_owner_and_trainer_export_the_same_model(world: World) -> None:
    play = new_play(world)
    play.finish()
    owners = export_model(play.owner, play.job_id)
    assert owners.rounds == 2
    assert owners.content == export_model(play.trainers[0], play.job_id).content
