"""A node's own aggregator through its API: what asks for it, what its user says, and the jobs in trouble."""

from collections.abc import Iterator
from typing import Any

import pytest

from marketplace.api import node as api_node
from marketplace.api import provider
from marketplace.api.node import Describer
from marketplace.api.provider import Provider
from marketplace.domain import ZERO_ADDRESS, State
from marketplace.errors import StorageError
from marketplace.services.agent import Step
from marketplace.services.dispatcher import Dispatcher
from marketplace.services.trainer import TrainerAgent
from tests.api_node import Api, api_of
from tests.jobs import ETHER, Play, World, new_play
from tests.unit.test_api_flow import join, trainer_api

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.api_node"]


@pytest.fixture
def greedy(world: World) -> Play:
    """Its bond is more than a development chain's policy allows."""
    return new_play(world, validation=False, rule="krum-cosine", bond="12 ether", rounds=1)


@pytest.fixture
def served(greedy: Play) -> Iterator[tuple[Api, Dispatcher]]:
    node = greedy.aggregator
    dispatcher = Dispatcher(node, node.me.address, greedy.world.report("dispatcher"), hold=30.0)
    with api_of(node, greedy.world.chain.first_block, aggregator=node.me, dispatcher=dispatcher) as api:
        dispatcher.step()
        api.caught_up()
        yield api, dispatcher


def listed(api: Api) -> list[dict[str, Any]]:
    answer = api.web.get("/api/requests")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def test_a_request_outside_the_policy_waits_for_the_user_s_word(served: tuple[Api, Dispatcher], greedy: Play) -> None:
    api, dispatcher = served
    created = api.services.index.job(greedy.job_id).creation
    expected = {
        "job_id": greedy.job_id,
        "owner": greedy.owner.me.address,
        "name": "Two clouds",
        "bond": str(12 * ETHER),
        "fee": str(ETHER // 100),
        "reward": str(3 * ETHER // 10),
        "token": ZERO_ADDRESS,
        "rounds": 1,
        "decision": "open",
        "objections": ["Its bond is 12 ether; the policy allows at most 10 ether."],
        "created": created.timestamp,
    }
    assert listed(api) == [expected]
    path = f"/api/requests/{greedy.job_id}"
    declined = api.web.post(f"{path}/decline")
    assert (declined.status_code, declined.json()) == (200, expected | {"decision": "declined"})
    accepted = api.web.post(f"{path}/accept")
    assert (accepted.status_code, accepted.json()) == (200, expected | {"decision": "accepted"})
    while greedy.world.chain.market.job(greedy.job_id).aggregator == ZERO_ADDRESS:
        dispatcher.step()
    dispatcher.step()
    assert listed(api) == [expected | {"decision": "served", "objections": []}]
    for word in ("accept", "decline"):
        again = api.web.post(f"{path}/{word}")
        assert (again.status_code, "bond is posted" in again.json()["detail"]) == (409, True)


def test_a_request_that_its_owner_took_back_is_not_shown(served: tuple[Api, Dispatcher], greedy: Play) -> None:
    api, _ = served
    assert len(listed(api)) == 1
    greedy.world.chain.market.cancel(greedy.owner.me.account, greedy.job_id)
    api.caught_up()
    assert listed(api) == []
    assert api.web.post(f"/api/requests/{greedy.job_id}/accept").status_code == 409


def test_requests_and_troubles_need_the_token(served: tuple[Api, Dispatcher], greedy: Play) -> None:
    api, _ = served
    asked = [("GET", "/api/requests"), ("GET", "/api/troubles"), ("POST", f"/api/requests/{greedy.job_id}/accept")]
    assert [api.bare.request(*call).status_code for call in asked] == [401] * 3


def test_a_node_without_an_aggregator_has_no_requests(api: Api) -> None:
    assert listed(api) == []
    answer = api.web.post("/api/requests/1/accept")
    assert (answer.status_code, "No aggregator runs in this node" in answer.json()["detail"]) == (400, True)
    assert api.web.get("/api/troubles").json() == []
    assert 'merit_jobs_in_trouble{role="aggregator"} 0.0' in api.bare.get("/metrics").text


def test_jobs_in_trouble_are_counted_and_listed(
    served: tuple[Api, Dispatcher], greedy: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, dispatcher = served

    def gone(*_: Any) -> Any:
        raise StorageError("The description cannot be fetched.")

    monkeypatch.setattr("marketplace.services.aggregator.fetch_spec", gone)
    api.web.post(f"/api/requests/{greedy.job_id}/accept")
    dispatcher.step()
    (trouble,) = api.web.get("/api/troubles").json()
    assert (trouble["job_id"], trouble["role"]) == (greedy.job_id, "aggregator")
    assert trouble["text"] == "The description cannot be fetched."
    assert trouble["again_at"] >= trouble["since"] > 0
    health = api.bare.get("/api/health").json()
    assert (health["jobs_in_trouble"], health["status"]) == (1, "ok")
    assert 'merit_jobs_in_trouble{role="aggregator"} 1.0' in api.bare.get("/metrics").text


def test_a_trainer_that_fails_unexpectedly_is_listed_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"min_trainers": 1, "max_trainers": 1, "max_faulty": 0, "rounds": 1}
    play = new_play(world, validation=False, confirm_window="2 s", **one)
    honest, failures = TrainerAgent.step, [ValueError("one"), KeyError("two")]

    def step(agent: TrainerAgent) -> Step:
        if failures:
            raise failures.pop(0)
        return honest(agent)

    monkeypatch.setattr(TrainerAgent, "step", step)
    judge = play.judge()
    with trainer_api(play, 0) as api:
        join(play, api, 0)
        (trouble,) = api.until(lambda: api.web.get("/api/troubles").json(), "the trouble is listed")
        assert (trouble["job_id"], trouble["role"]) == (play.job_id, "trainer")
        assert "unexpected" in trouble["text"]

        def paid() -> bool:
            judge.step()
            return world.chain.market.job(play.job_id).state is State.COMPLETED

        api.until(paid, "the job is completed", within=120)
        own = f"/api/trainers/{play.job_id}"
        done = api.until(
            lambda: (s := api.web.get(own).json())["status"] == "finished" and s, "the trainer has finished"
        )
        assert done["problem"] is None
        assert api.web.get("/api/troubles").json() == []


def test_a_trainer_that_failed_is_tried_at_once_when_its_user_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world, validation=False, min_trainers=1, max_trainers=1, max_faulty=0, rounds=1)
    monkeypatch.setattr("marketplace.services.trouble.FIRST", 10_000.0)
    monkeypatch.setattr("marketplace.api.trainers.LONGEST_PAUSE", 10_000.0)
    with trainer_api(play, 0) as api:
        api.caught_up()
        missing = world.folder / "later.npz"
        own = f"/api/trainers/{play.job_id}"
        missing.write_bytes(b"no data")
        api.web.post("/api/trainers", json={"job_id": play.job_id, "data": str(missing), "device": "cpu"})
        api.until(lambda: api.web.get(own).json()["status"] == "failed", "it has failed")
        missing.write_bytes(play.data[0].read_bytes())
        assert api.web.post(f"{own}/resume").status_code == 200
        api.until(lambda: world.chain.market.job(play.job_id).active == 1, "it has joined")


def test_a_description_that_nobody_expected_keeps_no_other_from_being_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, bad, last = (new_play(world, validation=False) for _ in range(3))
    honest = api_node.fetch_spec

    def fetch(storage: Any, created: Any) -> Any:
        if created.job_id == bad.job_id:
            raise RecursionError
        return honest(storage, created)

    monkeypatch.setattr(api_node, "fetch_spec", fetch)
    with api_of(world.watcher("node"), world.chain.first_block) as api:
        index = api.services.index
        api.until(lambda: len(index.undescribed(9)) == 1 and index.indexed, "the others are described")
        assert [created.job_id for created in index.undescribed(9)] == [bad.job_id]
        assert {index.job(play.job_id).name for play in (first, last)} == {"Two clouds"}
        assert Describer(api.services, api.services.node).step() is Step.WAITING


def test_a_job_that_cannot_be_handed_over_keeps_no_other_from_it(
    greedy: Play, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = new_play(world, validation=False)
    tried: list[int] = []

    def provide(provider_: Provider, history: Any, me: str) -> bool:
        tried.append(history.created.job_id)
        if history.created.job_id == greedy.job_id:
            raise OverflowError
        return True

    monkeypatch.setattr(provider.Provider, "_provide", provide)
    with api_of(greedy.owner, world.chain.first_block) as api:
        api.caught_up()
        agent = Provider(api.services, greedy.owner)
        agent._waiting = {greedy.job_id, other.job_id}
        agent._generation = api.services.index.generation
        agent.step()
        assert tried == [greedy.job_id, other.job_id]
        assert agent._waiting == {greedy.job_id}
        (trouble,) = api.web.get("/api/troubles").json()
        assert (trouble["job_id"], trouble["role"]) == (greedy.job_id, "node")
