"""What a node holds of jobs: set-ups, the model, its accuracy, and the validation data that an owner reveals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load

from marketplace.chain.transactions import transact
from marketplace.domain import State
from marketplace.services.audit import audit_job
from marketplace.services.node import JobFeed, job_key
from marketplace.services.setups import Setups
from tests.api_node import Api, api_of
from tests.jobs import Play, World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.api_node"]


def got(api: Api, path: str, status: int = 200) -> Any:
    answer = api.web.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


def posted(api: Api, path: str, status: int = 200) -> Any:
    answer = api.web.post(path)
    assert answer.status_code == status, answer.text
    return answer.json()


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
        assert got(api, f"{job}/own") == {"owner": True, "job_key": False, "validation": True, "can_reveal": False}
        before = got(api, f"{job}/accuracy")
        assert [entry["round"] for entry in before["rounds"]] == [0]
        # While the job runs, nothing of the validation data leaves this machine.
        stored = set((world.folder / "storage").rglob("*"))
        for path in ("reveal", "reveal/prepare"):
            assert "not over" in posted(api, f"{job}/{path}", 400)["detail"]
        assert set((world.folder / "storage").rglob("*")) == stored

        assert play.finish() is State.COMPLETED
        api.caught_up()
        assert got(api, f"{job}/own") == {"owner": True, "job_key": True, "validation": True, "can_reveal": True}
        after = got(api, f"{job}/accuracy")
        assert [entry["round"] for entry in after["rounds"]] == [0, 1, 2]
        assert (after["source"], after["problem"]) == ("kept", "")
        assert after["rounds"][2]["loss"] < after["rounds"][0]["loss"]
        assert after["rounds"][2]["accuracy"] > 0.8

        model = api.web.get(f"{job}/model")
        assert model.status_code == 200
        assert model.headers["content-disposition"] == f'attachment; filename="job-{play.job_id}-round-2.safetensors"'
        assert sum(tensor.size for tensor in load(model.content).values()) == 2 * 4 + 4 + 4 * 2 + 2

        history = JobFeed(play.owner, play.job_id).refresh()
        assert got(api, job)["revealed"] is None
        prepared = posted(api, f"{job}/reveal/prepare")
        (call,) = prepared["calls"]
        transact(world.chain.connection, play.owner.me.account, call["to"], bytes.fromhex(call["data"][2:]), wait=20)
        api.caught_up()
        assert got(api, job)["revealed"] == prepared["cid"]
        report = audit_job(world.watcher("auditor"), play.job_id, job_key=job_key(play.owner, history))
        assert report.ok, report.findings
        assert {check.name: check.ok for check in report.checks}["reference rows"]
        assert posted(api, f"{job}/reveal")["gas"] > 0

    # Once they are revealed, a trainer's node can measure, too; one that looks on sees the public base only.
    with api_of(play.trainers[0], world.chain.first_block) as api:
        api.caught_up()
        theirs = got(api, f"{job}/accuracy")
        assert (theirs["source"], theirs["problem"]) == ("revealed", "")
        assert theirs["rounds"] == after["rounds"]
        assert got(api, f"{job}/own") == {"owner": False, "job_key": True, "validation": False, "can_reveal": False}
        assert "not kept here" in posted(api, f"{job}/reveal/prepare", 404)["detail"]
        assert api.web.get(f"{job}/model").content == model.content
    with api_of(world.watcher("looks on"), world.chain.first_block) as api:
        api.caught_up()
        public = got(api, f"{job}/accuracy")
        assert [entry["round"] for entry in public["rounds"]] == [0]
        assert "sealed to the job's parties" in public["problem"]
        assert "none of theirs" in got(api, f"{job}/model", 404)["detail"]


def test_a_job_that_cannot_be_measured_says_why(world: World) -> None:
    play = new_play(world, validation=False)
    with of_owner(play) as api:
        api.caught_up()
        shown = got(api, f"/api/jobs/{play.job_id}/accuracy")
        assert (shown["rounds"], shown["source"]) == ([], None)
        assert "no validation data" in shown["problem"]
        got(api, "/api/jobs/77/accuracy", 404)
        got(api, "/api/jobs/77/model", 404)


def test_rows_that_are_sealed_to_another_s_key_are_not_revealed_from_here(world: World, tmp_path: Path) -> None:
    play = new_play(world, rounds=1)
    assert play.finish() is State.COMPLETED
    another = replace(play.owner, identity=world.node("another").identity)
    with api_of(another, world.chain.first_block) as api:
        api.caught_up()
        assert "sealed to another key" in posted(api, f"/api/jobs/{play.job_id}/reveal/prepare", 400)["detail"]
    assert list((tmp_path / "owner" / "validation").iterdir())


@pytest.mark.parametrize("path", ["model", "accuracy"])
def test_heavy_work_is_bounded(world: World, path: str) -> None:
    play = new_play(world)
    with of_owner(play) as api:
        api.caught_up()
        with api.services.heavy.taken(), api.services.heavy.taken():
            assert got(api, f"/api/jobs/{play.job_id}/{path}", 429)["status"] == 429
