"""An aggregator fails and another takes the round over: with the job key and data that the others hand to it."""

from typing import Any

import pytest

from marketplace.domain import State
from marketplace.errors import JobOver
from marketplace.keys.sealing import Purpose, seal_bytes_to
from marketplace.services.agent import Step
from marketplace.services.aggregator import AggregatorAgent
from marketplace.services.audit import audit_job
from marketplace.services.handover import Handover
from marketplace.services.node import Node, job_key
from marketplace.services.owner import Watcher, export_model
from marketplace.storage import put_bytes
from tests.jobs import Play, World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


def rescuer(play: Play, name: str = "rescuer") -> tuple[Node, AggregatorAgent]:
    node = play.world.node(name)
    return node, AggregatorAgent(node, play.job_id, node.me.address, play.world.report(name), take_over=True)


def fail_in_round_two(play: Play) -> list[Any]:
    """Plays until all have submitted and delivered in round 2, and the aggregator is gone past its deadline; the
    trainers' agents."""
    agents = play.agents()
    market = play.world.chain.market
    for _ in range(200):
        job = market.job(play.job_id)
        if job.round == 2 and job.submitted == job.active:
            for agent in agents[1:]:
                agent.step()
            play.pass_deadline()
            play.pass_deadline()
            return agents[1:]
        outcomes = [agent.step() for agent in (agents if job.round < 2 else agents[1:])]
        if Step.WORKED not in outcomes:
            play.pass_deadline()
    pytest.fail("round 2 is not reached")


def test_who_waits_to_take_over_leaves_an_open_job_alone(world: World) -> None:
    """Also one that has lost its aggregator's acceptance to a reorganization, and can only be cancelled."""
    play = new_play(world, takeover_window="1 h")
    _, other = rescuer(play)
    assert other.step() is Step.WAITING
    play.world.chain.forward(10_000)
    assert other.step() is Step.WAITING
    assert play.world.chain.market.job(play.job_id).state is State.OPEN


@pytest.mark.parametrize("rule", ["reference", "krum-cosine"])
def test_a_round_is_finished_by_an_aggregator_that_takes_over(world: World, rule: str) -> None:
    by_reference = rule == "reference"
    play = new_play(world, validation=by_reference, takeover_window="1 h", rounds=3)
    trainers = fail_in_round_two(play)
    before = play.history().rounds[1].submissions
    node, other = rescuer(play)
    watch = Watcher(play.owner, play.job_id, None) if by_reference else None

    class Owner:
        def step(self) -> Step:
            return Step.WORKED if watch and (watch.hand_over() or watch.reveal()) else Step.WAITING

    assert play.finish([other, *trainers, Owner()]) is State.COMPLETED
    history = play.history()
    terms = history.terms
    assert sorted(history.settled) == [1, 2, 3]
    assert [entry.aggregator for entry in history.rounds] == [play.aggregator.me.address, *[node.me.address] * 2]
    failed = play.aggregator.me
    assert history.credits[failed.address] == 0
    assert dict(history.owed) == {failed.address: 1}
    world.chain.market.claim_fees(failed.account, play.job_id, failed.address)
    history = play.history()
    assert history.credits[failed.address] == terms.fee, "of the round that it settled; its bond is gone"
    assert history.credits[node.me.address] == 2 * terms.fee + terms.bond
    assert (
        sum(history.credits[trainer.me.address] for trainer in play.trainers)
        == sum(history.divided(history.pot).values()) + 3 * terms.stake + terms.bond // 3 * 3
    )
    after = history.rounds[1].submissions
    assert [after[slot].commitment for slot in sorted(after)] == [before[slot].commitment for slot in sorted(before)]
    assert {event.cid for event in after.values()}.isdisjoint(event.cid for event in before.values())
    assert "training" in world.kinds("trainer 0")
    trained = [notice.round for who, notice in world.notices if (who, notice.kind) == ("trainer 0", "trained")]
    assert trained == [1, 2, 3], "what was committed to is sealed again, not trained again"
    key = job_key(play.owner, history)
    report = audit_job(world.watcher("auditor"), play.job_id, job_key=key)
    assert report.ok, report.findings
    assert export_model(play.trainers[0], play.job_id).content == export_model(play.owner, play.job_id).content


def test_without_the_owners_data_an_aggregator_that_took_over_gets_its_bond_back(world: World) -> None:
    play = new_play(world, takeover_window="1 h")
    trainers = fail_in_round_two(play)
    node, other = rescuer(play)
    assert play.finish([other, *trainers]) is State.ABORTED
    history = play.history()
    assert "waits" in world.kinds("rescuer")
    assert history.credits[node.me.address] == history.terms.bond
    assert audit_job(world.watcher("auditor"), play.job_id).ok


def test_wrong_keys_that_are_handed_over_are_passed_over(world: World) -> None:
    play = new_play(world, validation=False, takeover_window="1 h")
    trainers = fail_in_round_two(play)
    node, other = rescuer(play)
    assert other.step() is Step.WORKED
    liar = play.trainers[2]
    context = liar.context(Purpose.HANDOVER, job_id=play.job_id, party=liar.me.address)
    lie = Handover(job_key="07" * 32).model_dump_json().encode()
    for content in (lie, b"no document", b"{}"):
        cid = put_bytes(world.storage, seal_bytes_to(node.me.encryption_key, content, context))
        world.chain.market.hand_over(liar.me.account, play.job_id, cid)
    world.chain.market.hand_over(liar.me.account, play.job_id, "no cid")
    assert other.step() is Step.WAITING
    assert play.finish([other, *trainers]) is State.COMPLETED
    assert audit_job(world.watcher("auditor"), play.job_id).ok


def test_where_nobody_takes_over_the_job_is_aborted_once_the_time_for_it_has_passed(world: World) -> None:
    play = new_play(world, validation=False, takeover_window="1 h")
    trainers = fail_in_round_two(play)
    assert all(agent.step() is Step.WAITING for agent in trainers), "another may still come"
    assert play.finish(trainers) is State.ABORTED
    assert audit_job(world.watcher("auditor"), play.job_id).ok


def test_a_job_without_a_takeover_window_cannot_be_waited_for(play: Play) -> None:
    with pytest.raises(JobOver, match="no takeover window"):
        rescuer(play)
