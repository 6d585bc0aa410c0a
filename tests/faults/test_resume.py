"""A trainer or aggregator that dies at any of its contacts with chain and storage, and is started again."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from marketplace.chain import transactions
from marketplace.chain.market import Market
from marketplace.domain import State
from marketplace.errors import JobOver
from marketplace.services import settlements
from marketplace.services.agent import Step
from marketplace.services.audit import audit_job
from marketplace.services.owner import create_job
from marketplace.spec import JobFile
from tests.jobs import Play, World, job_file, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


class Killed(BaseException):
    """Like SIGKILL, nothing in the program may catch it."""


TRAINER_CALLS = ["join", "submit_update", "claim"]
DEADLY_WRITES = (1, 3, 4, 6, 8, 10, 13)
AGGREGATOR_CALLS = ["accept_aggregation", "start", "publish_key", "settle_round"]


def dies_around(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> Callable[[], list[str]]:
    """The first call of a method kills its caller before it has taken effect, the second one after."""
    honest = getattr(owner, name)
    died: list[str] = []

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not died:
            died.append("before")
            raise Killed
        result = honest(self, *args, **kwargs)
        if len(died) == 1:
            died.append("after")
            raise Killed
        return result

    monkeypatch.setattr(owner, name, call)
    return lambda: died


def finish_restarting(play: Play) -> State:
    """Steps everybody; whoever is killed is started again from its home folder."""
    makers: list[Callable[[], Any]] = [play.judge, *(lambda n=n: play.trainer(n) for n in range(3))]
    agents = [make() for make in makers]
    for _ in range(400):
        worked = False
        for index, make in enumerate(makers):
            try:
                worked |= agents[index].step() is Step.WORKED
            except Killed:
                worked = True
                try:
                    agents[index] = make()
                except JobOver:  # it died once all was done
                    agents[index] = SimpleNamespace(step=lambda: Step.FINISHED)
        state = play.world.chain.market.job(play.job_id).state
        if worked:
            continue
        if state.over:
            return state
        play.pass_deadline()
    pytest.fail("the job does not end")


def test_whoever_dies_around_a_transaction_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call, by whoever is the first to make it: killed before it was sent, started, killed once it was mined."""
    play = new_play(world)
    deaths = {name: dies_around(monkeypatch, Market, name) for name in TRAINER_CALLS + AGGREGATOR_CALLS}
    proved: list[None] = []
    honest = settlements.prove_round
    monkeypatch.setattr(settlements, "prove_round", lambda *a, **k: proved.append(None) or honest(*a, **k))
    assert finish_restarting(play) is State.COMPLETED
    assert {name: died() for name, died in deaths.items()} == {name: ["before", "after"] for name in deaths}
    history = play.history()
    assert [sorted(entry.submissions) for entry in history.rounds] == [[0, 1, 2], [0, 1, 2]]
    assert len(history.enrolled) == 3
    assert len(proved) == 2, "a second proof of the same commitments would show more of the updates"
    assert audit_job(world.watcher("auditor"), play.job_id).ok


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_whoever_dies_around_a_write_to_storage_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """One process after the other is killed, wherever it is with its job."""
    play = new_play(world)
    store = type(world.storage)
    honest, calls = store.put, list[None]()

    def put(self: Any, source: Any) -> str:
        calls.append(None)
        deadly = len(calls) in DEADLY_WRITES
        if deadly and before:
            raise Killed
        cid = honest(self, source)
        if deadly:
            raise Killed
        return str(cid)

    monkeypatch.setattr(store, "put", put)
    assert finish_restarting(play) is State.COMPLETED
    assert len(calls) > max(DEADLY_WRITES)
    assert audit_job(world.watcher("auditor"), play.job_id).ok


def test_what_is_kept_of_another_job_with_the_same_number_is_not_submitted(world: World) -> None:
    """A development chain that is started afresh gives its market and its jobs the places of those before; so may a
    reorganization. What a trainer made for one of them opens nothing in the other, and would cost the bond."""
    play = new_play(world, validation=False)
    fields = job_file(play.aggregator, max_faulty=0).model_dump(mode="json", exclude_none=True)
    market, request = world.chain.market, world.chain.connection.request
    snapshot = request("evm_snapshot")
    play.job_id = create_job(play.owner, JobFile.model_validate(fields), None).job_id
    agents = play.agents()
    while not market.job(play.job_id).submitted & 1:
        for agent in agents:
            agent.step()
    assert request("evm_revert", snapshot)
    transactions.forget()
    fields["model"]["parameters"]["hidden"] = [8]
    assert create_job(play.owner, JobFile.model_validate(fields), None).job_id == play.job_id
    assert play.finish() is State.COMPLETED
    assert "unopened" not in world.kinds("aggregator")
    assert list(play.trainers[0].work(play.job_id).glob("other-*/round-1/submission.json")), "nothing is lost"
