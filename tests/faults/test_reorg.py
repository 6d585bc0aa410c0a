"""A chain that reorganizes past what agents did: they send again what fell out, the same bytes, and nothing else."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from marketplace.chain.clock import skip_to
from marketplace.chain.market import Market
from marketplace.domain import State
from marketplace.errors import ChainError, JobOver
from marketplace.services import settlements
from marketplace.services.agent import Step
from marketplace.services.audit import audit_job
from marketplace.services.node import job_key
from marketplace.services.owner import reveal_validation
from tests.jobs import Play, World, new_play, step_until

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, str], set[tuple[bytes, str]]]:
    """By round and operator, every different (commitment, cid) that was ever submitted, on any fork."""
    seen: dict[tuple[int, str], set[tuple[bytes, str]]] = defaultdict(set)
    honest = Market.submit_update

    def submit(self: Market, signer: Any, job_id: int, round: int, commitment: bytes, cid: str) -> Any:
        seen[round, signer.address].add((commitment, cid))
        return honest(self, signer, job_id, round, commitment, cid)

    monkeypatch.setattr(Market, "submit_update", submit)
    return seen


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The context of every round's proof that was made."""
    made: list[bytes] = []
    honest = settlements.prove_round

    def prove(srs: Any, key: Any, context: bytes, **of: Any) -> Any:
        made.append(context)
        return honest(srs, key, context, **of)

    monkeypatch.setattr(settlements, "prove_round", prove)
    return made


def remember(play: Play) -> Callable[[], None]:
    """The chain at this moment; the call makes it leave what comes after, and mines other blocks in its place."""
    request = play.world.chain.connection.request
    snapshot = request("evm_snapshot")
    height = int(request("eth_blockNumber"), 16)

    def reorganize() -> None:
        gone = int(request("eth_blockNumber"), 16) - height
        assert request("evm_revert", snapshot)
        for _ in range(gone + 1):
            request("evm_mine")

    return reorganize


def assert_sound(play: Play, sent: dict[tuple[int, str], set[tuple[bytes, str]]]) -> None:
    assert all(len(different) == 1 for different in sent.values()), "a second submission of one round"
    reveal_validation(play.owner, play.job_id)
    key = job_key(play.owner, play.history())
    report = audit_job(play.world.watcher("auditor"), play.job_id, job_key=key)
    assert report.findings == []
    assert all(check.ok is True for check in report.checks)


def test_a_submission_that_fell_out_is_sent_again_as_it_was(world: World, sent: Any, proofs: list[bytes]) -> None:
    play = new_play(world)
    agents, market = play.agents(), world.chain.market
    step_until(agents, lambda: market.job(play.job_id).submitted.bit_count() == 2)
    world.chain.connection.request("anvil_reorg", 2, [])
    assert market.job(play.job_id).submitted == 0
    assert play.finish(agents) is State.COMPLETED
    assert [sorted(entry.submissions) for entry in play.history().rounds] == [[0, 1, 2]] * 2
    assert len(proofs) == 2
    assert_sound(play, sent)


def test_a_settlement_that_fell_out_is_sent_again_with_the_same_proof(
    world: World, sent: Any, proofs: list[bytes]
) -> None:
    play = new_play(world)
    agents, market = play.agents(), world.chain.market
    step_until(agents, lambda: market.job(play.job_id).submitted.bit_count() == 3)
    reorganize = remember(play)
    step_until(agents, lambda: market.job(play.job_id).submitted.bit_count() == 2 and len(proofs) == 1)
    reorganize()
    assert market.job(play.job_id).round == 1
    assert play.finish(agents) is State.COMPLETED
    assert len(proofs) == 2, "a second proof of the same commitments would show more of the updates"
    assert_sound(play, sent)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_settlement_is_made_anew_when_the_submissions_it_judged_are_others(
    world: World, sent: Any, proofs: list[bytes], restarted: bool
) -> None:
    """One submission and the settlement fall out, and its trainer comes too late; round 2 already had begun."""
    play = new_play(world)
    agents, market = play.agents(), world.chain.market
    step_until(agents, lambda: market.job(play.job_id).submitted.bit_count() == 2)
    reorganize = remember(play)
    step_until(agents, lambda: market.job(play.job_id).round == 2 and market.job(play.job_id).submitted.bit_count() > 0)
    reorganize()
    submitted = market.job(play.job_id).submitted
    late = [agent for agent in agents[1:] if agent._node.me.address == _missing(play, submitted)]  # type: ignore[attr-defined]
    punctual = [agent for agent in agents if agent not in late]
    if restarted:
        punctual[0] = agents[0] = play.judge()
    skip_to(market.connection, market.job(play.job_id).submit_by + 1)
    step_until(punctual, lambda: market.job(play.job_id).round == 2)
    history = play.history()
    assert history.settled[1].submitted == submitted
    assert len(proofs) == 2
    assert play.finish(agents) is State.COMPLETED
    assert_sound(play, sent)


def _missing(play: Play, submitted: int) -> str:
    (one,) = (who.operator for who in play.history().enrolled if not submitted >> who.slot & 1)
    return one


def test_agents_go_on_when_trainers_come_back_in_other_slots(world: World, sent: Any) -> None:
    play = new_play(world)
    agents, market = play.agents(), world.chain.market
    reorganize = remember(play)
    step_until(agents, lambda: market.job(play.job_id).submitted.bit_count() == 3)
    reorganize()
    assert play.finish([agents[0], *reversed(agents[1:])]) is State.COMPLETED
    assert_sound(play, sent)


def test_agents_stay_until_a_job_s_end_is_final_and_end_it_again_when_it_falls_out(world: World, sent: Any) -> None:
    play = new_play(world)
    market = world.chain.market
    step_until(
        play.agents(), lambda: market.job(play.job_id).round == 2 and market.job(play.job_id).submitted.bit_count() == 3
    )
    play.aggregator = replace(play.aggregator, finality=900)
    play.trainers = [replace(trainer, finality=900) for trainer in play.trainers]
    agents = play.agents()
    reorganize = remember(play)
    assert play.finish(agents) is State.COMPLETED
    assert {agent.step() for agent in agents} == {Step.WAITING}
    reorganize()
    assert not market.job(play.job_id).state.over
    assert play.finish([play.judge(), *agents[1:]]) is State.COMPLETED
    skip_to(market.connection, market.connection.now() + 901)
    assert {agent.step() for agent in agents} == {Step.FINISHED}
    with pytest.raises(JobOver):
        play.judge()
    assert_sound(play, sent)


def test_another_job_with_the_number_of_one_that_fell_out_is_not_served(world: World) -> None:
    play = new_play(world)
    reorganize = remember(play)
    later = new_play(world)
    agents = later.agents()
    agents[1].step()
    reorganize()
    for agent in agents:
        with pytest.raises(ChainError, match="left the chain with its last blocks: wait for it"):
            agent.step()
    new_play(world, rounds=3)
    for agent in agents:
        with pytest.raises(JobOver, match="another one has its number"):
            agent.step()
    assert play.finish() is State.COMPLETED


def test_logs_that_lag_behind_the_contract_stop_an_agent_instead_of_misleading_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world)
    agents = play.agents()
    step_until(agents, lambda: world.chain.market.job(play.job_id).submitted.bit_count() == 1)
    honest = type(play.aggregator.events).read

    def blind(self: Any, *args: Any, **kwargs: Any) -> Any:
        events, following = honest(self, *args, **kwargs)
        return [event for event in events if type(event).__name__ != "UpdateSubmitted"], following

    with monkeypatch.context() as during:
        during.setattr(type(play.aggregator.events), "read", blind)
        with pytest.raises(ChainError, match="do not lead to the state that its contract shows"):
            agents[0].step()
    assert play.finish(agents) is State.COMPLETED


def test_a_diverging_pair_of_processes_with_one_key_submits_once(world: World) -> None:
    """Two machines run the same trainer: one's update is taken, the other's refused by name, and both go on."""
    play = new_play(world)
    twin = replace(play.trainers[0], home=world.folder / "twin")
    agents = play.agents()
    one = play.trainers[0]
    play.trainers[0] = twin
    agents.append(play.trainer(0))
    play.trainers[0] = one
    assert play.finish(agents) is State.COMPLETED
    history = play.history()
    assert len(history.enrolled) == 3
    assert [sorted(entry.submissions) for entry in history.rounds] == [[0, 1, 2]] * 2
    assert audit_job(world.watcher("auditor"), play.job_id).ok
