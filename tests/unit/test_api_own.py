"""What a node holds of jobs: set-ups, the model, its accuracy, and the validation data that an owner reveals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load

from marketplace.chain.clock import skip_to
from marketplace.chain.transactions import transact
from marketplace.domain import State
from marketplace.services.agent import Step
from marketplace.services.aggregator import AggregatorAgent
from marketplace.services.audit import audit_job
from marketplace.services.handover import Inbox
from marketplace.services.node import JobFeed, fetch_spec, job_key
from marketplace.services.setups import Setups
from tests.api_node import Api, api_of
from tests.chain_fixtures import commitment
from tests.jobs import Play, World, blobs, job_file, new_play
from tests.patience import PATIENCE
from trainer.data import write_npz

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.api_node"]


def got(api: Api, path: str, status: int = 200) -> Any:
    answer = api.web.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


def posted(api: Api, path: str, status: int = 200) -> Any:
    answer = api.web.post(path)
    assert answer.status_code == status, answer.text
    return answer.json()


def own_part(api: Api, job: str) -> tuple[bool, ...]:
    """owner, job_key, validation, can_reveal, can_reveal_to_members, can_hand_over"""
    return tuple(got(api, f"{job}/own").values())


def of_owner(play: Play) -> Any:
    return api_of(play.owner, play.world.chain.first_block)


def test_set_ups_are_listed_by_what_a_job_can_name(api: Api) -> None:
    setups = Setups(api.services.node.home / "setups")
    srs, key = setups.development_srs(2048), setups.development_key(108)
    listed = {entry["hash"]: entry for entry in got(api, "/api/setups")}
    one, other = listed["0x" + srs.hash.hex()], listed["0x" + key.hash.hex()]
    assert (one["what"], one["chunk"], one["rule"], one["seats"]) == ("srs", 2048, None, None)
    assert (other["what"], other["chunk"], other["rule"], other["seats"]) == ("key", None, "krum-cosine", 8)
    assert all(entry["development"] and entry["bytes"] > 1000 for entry in (one, other))
    assert len(listed) == len(setups.list())


def test_an_owner_s_node_shows_accuracy_hands_out_the_model_and_reveals(world: World) -> None:
    play = new_play(world)
    job = f"/api/jobs/{play.job_id}"
    with of_owner(play) as api:
        api.caught_up()
        assert own_part(api, job) == (True, False, True, False, False, False)
        before = got(api, f"{job}/scores")
        assert [entry["round"] for entry in before["rounds"]] == [0]
        # While the job runs, nothing of the validation data leaves this machine.
        stored = set((world.folder / "storage").rglob("*"))
        for path in ("reveal", "reveal/prepare"):
            assert "not over" in posted(api, f"{job}/{path}", 400)["detail"]
        assert set((world.folder / "storage").rglob("*")) == stored

        assert play.finish() is State.COMPLETED
        api.caught_up()
        assert own_part(api, job) == (True, True, True, True, False, False)
        after = got(api, f"{job}/scores")
        assert [entry["round"] for entry in after["rounds"]] == [0, 1, 2]
        assert (after["source"], after["problem"]) == ("kept", "")
        assert after["rounds"][2]["loss"] < after["rounds"][0]["loss"]
        assert after["rounds"][2]["value"] > 0.8

        model = api.web.get(f"{job}/model")
        assert model.status_code == 200
        assert model.headers["content-disposition"] == f'attachment; filename="job-{play.job_id}-round-2.safetensors"'
        assert sum(tensor.size for tensor in load(model.content).values()) == 2 * 4 + 4 + 4 * 2 + 2

        history = play.history()
        assert got(api, job)["revealed"] is None
        prepared = posted(api, f"{job}/reveal/prepare")
        (call,) = prepared["calls"]
        transact(
            world.chain.connection, play.owner.me.account, call["to"], bytes.fromhex(call["data"][2:]), wait=PATIENCE
        )
        api.caught_up()
        assert got(api, job)["revealed"] == prepared["cid"]
        report = audit_job(world.watcher("auditor"), play.job_id, job_key=job_key(play.owner, history))
        assert report.ok, report.findings
        assert {check.name: check.ok for check in report.checks}["reference rows"]
        assert posted(api, f"{job}/reveal")["gas"] > 0

    # Once they are revealed, a trainer's node can measure, too; one that looks on sees the public base only.
    with api_of(play.trainers[0], world.chain.first_block) as api:
        api.caught_up()
        theirs = got(api, f"{job}/scores")
        assert (theirs["source"], theirs["problem"]) == ("revealed", "")
        assert theirs["rounds"] == after["rounds"]
        assert own_part(api, job) == (False, True, False, False, False, False)
        assert "not kept here" in posted(api, f"{job}/reveal/prepare", 404)["detail"]
        assert api.web.get(f"{job}/model").content == model.content
    with api_of(world.watcher("looks on"), world.chain.first_block) as api:
        api.caught_up()
        public = got(api, f"{job}/scores")
        assert [entry["round"] for entry in public["rounds"]] == [0]
        assert "sealed to the job's parties" in public["problem"]
        assert "is not one of them" in got(api, f"{job}/model", 404)["detail"]


def test_an_owner_reveals_to_the_members_what_its_aggregator_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = new_play(world)
    job = f"/api/jobs/{play.job_id}"
    steps: list[str] = []

    def by_owner(_: AggregatorAgent, history: Any) -> Step:
        """In place of the aggregator, whose members wait: by the wallet first, then by the node's own key."""
        if not history.reveals:
            api.caught_up()
            assert own_part(api, job) == (True, True, True, False, True, False)
            assert "not over" in posted(api, f"{job}/reveal/prepare", 400)["detail"]
            (call,) = posted(api, f"{job}/reveal-to-members/prepare")["calls"]
            data = bytes.fromhex(call["data"][2:])
            transact(world.chain.connection, play.owner.me.account, call["to"], data, wait=PATIENCE)
            steps.append("by wallet")
        elif len(history.reveals) == 1:
            assert posted(api, f"{job}/reveal-to-members")["gas"] > 0
            steps.append("by node")
        return Step.WAITING

    monkeypatch.setattr(AggregatorAgent, "_show", by_owner)
    with of_owner(play) as api:
        assert "waits for nothing" in posted(api, f"{job}/reveal-to-members/prepare", 400)["detail"]
        assert play.finish() is State.COMPLETED
        assert steps == ["by wallet", "by node"]
        api.caught_up()
        told = got(api, job)
        assert [each["sender"] for each in told["reveals"]] == [play.owner.me.address] * 2
        assert (told["disputed_rows"], told["rows_disputes"], told["revealed"]) == (False, [], None)
        assert own_part(api, job) == (True, True, True, True, False, False)
        for path in ("reveal-to-members", "reveal-to-members/prepare"):
            assert "waits for nothing" in posted(api, f"{job}/{path}", 400)["detail"]
    assert world.kinds("trainer 0").count("recomputed") == 2


def test_an_owner_s_wallet_hands_what_its_node_holds_to_the_aggregator_that_has_taken_over(world: World) -> None:
    chain, market = world.chain, world.chain.market
    wallet, aggregator, rescuer = world.node("wallet").me, world.node("aggregator"), world.node("rescuer")
    nodes = [world.node(f"trainer-{number}") for number in range(3)]
    trainers = [node.me for node in nodes]
    held_out = world.folder / "held-out.npz"
    write_npz(held_out, blobs(40, 3))
    described = job_file(aggregator, takeover_window="1 h").model_dump(mode="json", exclude_none=True)

    def sent(call: dict[str, str], value: int = 0) -> None:
        transact(
            chain.connection, wallet.account, call["to"], bytes.fromhex(call["data"][2:]), value=value, wait=PATIENCE
        )
        api.caught_up()

    with api_of(world.node("node"), chain.first_block, folders=[world.folder]) as api:
        request = {"document": described, "owner": wallet.address, "validation": str(held_out)}
        prepared = api.web.post("/api/jobs/prepare", json=request).json()
        sent(prepared["calls"][0], int(prepared["calls"][0]["value"]))
        (listed,) = got(api, "/api/jobs")["items"]
        job_id, job = listed["job_id"], f"/api/jobs/{listed['job_id']}"
        first = AggregatorAgent(aggregator, job_id, aggregator.me.address, world.report("aggregator"))
        first.step()
        for trainer in trainers:
            market.join(trainer.account, job_id, trainer.address, trainer.encryption_key)
        assert any(first.step() and market.job(job_id).key_published for _ in range(20))
        market.submit_update(trainers[0].account, job_id, 1, commitment(1, 0), "bafy")
        skip_to(chain.connection, market.job(job_id).settle_by + 1)
        api.caught_up()
        assert own_part(api, job) == (False, True, True, False, False, False)
        stored = set((world.folder / "storage").rglob("*"))
        assert "nothing to hand over" in posted(api, f"{job}/hand-over/prepare", 400)["detail"]
        assert set((world.folder / "storage").rglob("*")) == stored, "the data leave for who has taken over only"

        other = AggregatorAgent(rescuer, job_id, rescuer.me.address, world.report("rescuer"), take_over=True)
        other.step()
        assert other.step() is Step.WAITING, "it waits for the owner's data"
        api.caught_up()
        assert own_part(api, job) == (False, True, True, False, False, True)
        with api_of(nodes[0], chain.first_block) as theirs:
            theirs.caught_up()
            assert own_part(theirs, job) == (False, True, False, False, False, False), (
                "the job key alone does not help here"
            )
        announced = posted(api, f"{job}/hand-over/prepare")
        (call,) = announced["calls"]
        sent(call)
        history = JobFeed(rescuer, job_id).refresh()
        assert [(event.sender, event.cid) for event in history.handed_over] == [(wallet.address, announced["cid"])]
        assert Inbox(rescuer).key(history) == job_key(api.services.node, history)
        assert Inbox(rescuer).validation(history, fetch_spec(rescuer.storage, history.created)) is not None
        assert not own_part(api, job)[-1]
        assert "nothing to hand over" in posted(api, f"{job}/hand-over/prepare", 400)["detail"]
        assert other.step() is Step.WORKED
        assert market.job(job_id).key_published


def test_a_job_that_cannot_be_measured_says_why(world: World) -> None:
    play = new_play(world, validation=False)
    with of_owner(play) as api:
        api.caught_up()
        shown = got(api, f"/api/jobs/{play.job_id}/scores")
        assert (shown["rounds"], shown["source"]) == ([], None)
        assert "no validation data" in shown["problem"]
        got(api, "/api/jobs/77/scores", 404)
        got(api, "/api/jobs/77/model", 404)


def test_rows_that_are_sealed_to_another_s_key_are_not_revealed_from_here(world: World, tmp_path: Path) -> None:
    play = new_play(world, rounds=1)
    assert play.finish() is State.COMPLETED
    another = replace(play.owner, identity=world.node("another").identity)
    with api_of(another, world.chain.first_block) as api:
        api.caught_up()
        assert "sealed to another key" in posted(api, f"/api/jobs/{play.job_id}/reveal/prepare", 400)["detail"]
    assert list((tmp_path / "owner" / "validation").iterdir())


@pytest.mark.parametrize("path", ["model", "scores"])
def test_heavy_work_is_bounded(world: World, path: str) -> None:
    play = new_play(world)
    with of_owner(play) as api:
        api.caught_up()
        with api.services.heavy.taken(), api.services.heavy.taken():
            assert got(api, f"/api/jobs/{play.job_id}/{path}", 429)["status"] == 429
