"""Jobs through the API: real server, real chain, real proofs."""

import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.chain.connection import Connection
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.chain.transactions import transact
from marketplace.domain import Credited, Reason
from marketplace.services.agent import run
from marketplace.services.node import Node
from tests.api_node import POLL, Api, Told, api_of, told
from tests.chain_fixtures import ONE_FAULTY
from tests.jobs import Play, World, blobs, job_file, new_play
from tests.patience import PATIENCE
from trainer.data import write_npz

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.api_node"]


@contextmanager
def judging(play: Play) -> Iterator[None]:
    """The job's aggregator, at work."""
    stop = threading.Event()
    given = {"report": play.world.report("aggregator"), "poll": POLL, "patience": 30.0, "stop": stop}
    thread = threading.Thread(target=run, args=(play.judge(),), kwargs=given, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(60)


def apart(node: Node) -> Node:
    """The same node with connections of its own."""
    connection = Connection(node.market.connection.url)
    market = Market(connection, node.market.address, receipt_within=PATIENCE)
    return replace(node, market=market, events=EventReader(connection, market.address))


@contextmanager
def trainer_api(play: Play, number: int) -> Iterator[Api]:
    node, world = play.trainers[number], play.world
    folders = [world.folder]
    with api_of(node, world.chain.first_block, open_node=lambda: apart(node), folders=folders) as api:
        yield api


def join(play: Play, api: Api, number: int) -> dict[str, Any]:
    api.caught_up()
    request = {"job_id": play.job_id, "data": str(play.data[number]), "device": "cpu", "seed": number}
    answer = api.web.post("/api/trainers", json=request)
    assert answer.status_code == 202, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def test_a_trainer_joins_by_the_ticket_that_the_gate_s_node_makes(world: World) -> None:
    play = new_play(world, validation=False, gate="owner")
    me, job = play.trainers[0].me.address, f"/api/jobs/{play.job_id}"
    request = {"job_id": play.job_id, "data": str(play.data[0]), "device": "cpu"}
    with trainer_api(play, 0) as api, api_of(play.owner, world.chain.first_block) as gate:
        for each in (api, gate):
            each.caught_up()
        detail = got(api, job)
        assert detail["terms"]["gate"] == play.owner.me.address
        assert bytes.fromhex(detail["terms_hash"][2:]) == world.chain.market.job(play.job_id).terms_hash
        assert "whom its owner invites" in detail["summary"]["trust"]

        refused = api.web.post(f"{job}/invitations", json={"operator": me})
        assert (refused.status_code, "invites to job" in refused.json()["detail"]) == (400, True)
        assert gate.bare.post(f"{job}/invitations", json={"operator": me}).status_code == 401
        assert gate.web.post(f"{job}/invitations", json={"operator": me, "valid_for": 0}).status_code == 422
        made = gate.web.post(f"{job}/invitations", json={"operator": me.lower(), "valid_for": 600}).json()
        assert made["operator"] == me

        for ticket, words in (("", "by invitation"), ("x" * 40, "cannot be read"), (made["ticket"][:-1], "read")):
            answer = api.web.post("/api/trainers", json=request | {"ticket": ticket})
            assert (answer.status_code, words in answer.json()["detail"]) == (400, True), answer.text
        assert api.web.post("/api/trainers", json=request | {"ticket": "x" * 5000}).status_code == 422
        assert api.web.get("/api/trainers").json() == []
        answer = api.web.post("/api/trainers", json=request | {"ticket": made["ticket"] + " "})
        assert answer.status_code == 202, answer.text
        api.until(lambda: world.chain.market.job(play.job_id).active == 1, "the seat is taken", within=120)


def got(api: Api, path: str) -> Any:
    answer = api.bare.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def is_over(api: Api, job_id: int) -> bool:
    return got(api, f"/api/jobs/{job_id}")["summary"]["state"] in ("completed", "cancelled", "aborted")


def test_trainers_join_by_the_api_and_are_paid(world: World) -> None:
    play = new_play(world, validation=False, confirm_window="2 s")
    job = f"/api/jobs/{play.job_id}"
    with ExitStack() as stack:
        apis = [stack.enter_context(trainer_api(play, number)) for number in range(3)]
        stack.enter_context(judging(play))
        for number, api in enumerate(apis):
            assert join(play, api, number)["status"] in ("starting", "running")
        first = apis[0]
        first.until(lambda: is_over(first, play.job_id), "the job is over", within=120)
        statuses = lambda: {api.web.get("/api/trainers").json()[0]["status"] for api in apis}  # noqa: E731
        first.until(lambda: statuses() == {"finished"}, "all trainers have claimed")
        first.caught_up()

        detail = got(first, job)
        assert detail["summary"]["state"] == "completed"
        assert detail["summary"]["name"] == detail["spec"]["name"] == "Two clouds"
        assert detail["findings"] == detail["exits"] == []
        assert int(detail["terms"]["escrow"]) == 2 * (3 * 10**17 + 10**16)

        history = play.history()
        for number, gains in history.gains.items():
            shown = got(first, f"{job}/rounds/{number}")
            assert shown["summary"]["status"] == "settled"
            told_of = {each["slot"]: int(each["gain"]) for each in shown["judged"] if each["verdict"] == "selected"}
            assert told_of == gains
            assert dict(zip(shown["summary"]["selected"], map(int, shown["summary"]["gains"]), strict=True)) == gains
            assert shown["gas"] > 100_000
            assert shown["proof_problem"] is None
            assert len(shown["proof"]["decision"]) == 8
        assert [entry["round"] for entry in got(first, f"{job}/rounds")] == [1, 2]
        assert (detail["settled"], int(detail["pot"])) == (2, 2 * 3 * 10**17)

        people = got(first, f"{job}/trainers")
        assert {person["operator"] for person in people} == {node.me.address for node in play.trainers}
        assert {(person["status"], person["claimed"], person["staked"]) for person in people} == {
            ("finished", True, False)
        }
        assert {person["slot"]: int(person["pay"]) for person in people} == history.divided(history.pot)
        assert {person["slot"]: int(person["balance"]) for person in people} == {
            slot: sum(gains.get(slot, 0) for gains in history.gains.values()) for slot in range(3)
        }
        credits = got(first, f"{job}/payouts")
        events = [event for event in world.chain.events(play.job_id) if isinstance(event, Credited)]
        assert sum(int(credit["amount"]) for credit in credits) == sum(event.amount for event in events)
        assert [(credit["round"], credit["amount"]) for credit in credits if credit["reason"] == "fee"] == [
            (2, str(2 * 10**16))
        ], "both at the end"

        progress = first.web.get(f"/api/trainers/{play.job_id}").json()
        assert [result["round"] for result in progress["results"]] == [1, 2]
        assert all(0 <= point["done"] <= 1 for point in progress["losses"])

        me = play.trainers[0].me.address
        owed = int(got(first, f"/api/credits/{me.lower()}")["tokens"][0]["withdrawable"])
        own = [event.amount for event in events if event.payee == me and event.reason in (Reason.PAY, Reason.STAKE)]
        assert owed == sum(own) > 0
        assert first.web.post("/api/withdraw", json={}).json()["gas"] > 0
        first.caught_up()
        after = got(first, f"/api/credits/{me}")["tokens"][0]
        assert (int(after["withdrawable"]), int(after["withdrawn"])) == (0, owed)

        checks = list(told(first.bare, f"{job}/audit"))
        assert checks[-1].event == "result"
        assert checks[-1].data["ok"], checks[-1].data["findings"]
        assert [check.data for check in checks[:-1]] == checks[-1].data["checks"]
        metrics = first.bare.get("/metrics").text
        assert 'merit_jobs{state="completed"} 1.0' in metrics
        assert 'route="/api/jobs/{job_id}"' in metrics


def test_a_node_that_is_restarted_goes_on_with_its_trainers(world: World) -> None:
    play = new_play(world, validation=False, confirm_window="2 s")
    with ExitStack() as stack:
        others = [stack.enter_context(trainer_api(play, number)) for number in (1, 2)]
        with trainer_api(play, 0) as api:
            join(play, api, 0)
            api.until(lambda: world.chain.market.job(play.job_id).active, "it has joined")
        for number, other in enumerate(others, start=1):
            join(play, other, number)
        with trainer_api(play, 0) as again:
            stack.enter_context(judging(play))
            again.until(lambda: is_over(again, play.job_id), "the job is over", within=120)
            again.caught_up()
            detail = got(again, f"/api/jobs/{play.job_id}/trainers")
            (own,) = (person for person in detail if person["operator"] == play.trainers[0].me.address)
            assert own["submitted"] == [1, 2]
            assert got(again, f"/api/jobs/{play.job_id}")["summary"]["state"] == "completed"
            again.until(lambda: again.web.get("/api/trainers").json()[0]["status"] == "finished", "the trainer knows")
        with trainer_api(play, 0) as once_more:
            assert once_more.web.get("/api/trainers").json()[0]["status"] == "finished"


def test_a_trainer_is_paused_resumed_and_leaves(world: World) -> None:
    play = new_play(world, validation=False)
    market = world.chain.market
    own = f"/api/trainers/{play.job_id}"
    with trainer_api(play, 0) as api:
        join(play, api, 0)
        assert (
            "already" in api.web.post("/api/trainers", json={"job_id": play.job_id, "data": "digits"}).json()["detail"]
        )
        api.until(lambda: market.job(play.job_id).active, "it has joined")
        assert api.web.post(f"{own}/pause").json()["status"] == "paused"
    with trainer_api(play, 0) as api:  # what was paused stays so
        assert api.web.get(own).json()["status"] == "paused"
        assert api.web.post(f"{own}/resume").json()["status"] in ("starting", "running")
        api.until(lambda: api.web.get(own).json()["status"] == "running", "it runs")
        answer = api.web.post(f"{own}/leave")
        assert answer.status_code == 200, answer.text
        assert market.job(play.job_id).active == 0
        assert api.web.get(own).status_code == 404
    with trainer_api(play, 0) as api:
        assert api.web.get("/api/trainers").json() == []


def test_a_trainer_of_this_node_disputes_with_the_node_s_key_once(world: World) -> None:
    play = new_play(world, validation=False, **ONE_FAULTY)
    market = world.chain.market
    with trainer_api(play, 0) as api:
        join(play, api, 0)
        api.until(lambda: market.job(play.job_id).active, "it has joined")
        api.web.post(f"/api/trainers/{play.job_id}/pause")
        for other in play.trainers[1:]:
            market.join(other.me.account, play.job_id, other.me.address, other.me.encryption_key)
        judge = play.judge()
        assert any(judge.step() and market.job(play.job_id).key_published for _ in range(20))
        dispute = f"/api/trainers/{play.job_id}/dispute"
        assert api.web.post(dispute).status_code == 200
        assert market.job(play.job_id).disputed == 0b00001
        api.caught_up()
        (told_of,) = got(api, f"/api/jobs/{play.job_id}")["disputes"]
        assert (told_of["slot"], told_of["operator"]) == (0, play.trainers[0].me.address)
        again = api.web.post(dispute)
        assert (again.status_code, again.json()["name"]) == (409, "AlreadyDisputed")


def test_a_trainer_of_this_node_disputes_rows_with_the_node_s_key_once(world: World) -> None:
    play = new_play(world, rounds=1, min_trainers=1, max_trainers=1, max_faulty=0)
    job = f"/api/jobs/{play.job_id}"
    with trainer_api(play, 0) as api, judging(play):
        join(play, api, 0)
        api.until(lambda: got(api, job)["reveals"], "the aggregator has revealed", within=120)
        dispute = f"/api/trainers/{play.job_id}/dispute-rows/1"
        assert api.web.post(dispute).status_code == 200
        api.caught_up()
        detail = got(api, job)
        assert (detail["rows_disputes"], detail["rows_quorum"]) == ([{"slot": 0, "round": 1}], 1)
        assert (detail["disputed_rows"], detail["fees"], int(detail["burnt"])) == (True, "0", 2 * 10**17 + 10**16)
        again = api.web.post(dispute)
        assert (again.status_code, again.json()["name"]) == (409, "AlreadyDisputed")


def test_data_that_do_not_fit_end_the_trainer_with_a_sentence(world: World) -> None:
    play = new_play(world, validation=False)
    with trainer_api(play, 0) as api:
        api.caught_up()
        request = {"job_id": play.job_id, "data": "digits"}
        check = api.web.post("/api/data/check", json=request).json()
        assert not check["fits"]
        assert "do not fit" in check["problem"]
        api.web.post("/api/trainers", json=request)
        own = f"/api/trainers/{play.job_id}"
        failed = api.until(lambda: (s := api.web.get(own).json())["status"] == "failed" and s, "it has failed")
        assert "do not fit" in failed["problem"]
        good = api.web.post("/api/data/check", json=request | {"data": str(play.data[0])}).json()
        assert good["fits"]
        assert good["report"]["samples"] == 60 == sum(good["report"]["classes"].values())
        assert len(good["samples"]) == 8
        assert all(set(sample["cells"]) == {"x", "label"} for sample in good["samples"])


PATIENTS = "age;city;ill\n41;Oslo;yes\n37,5;Rome;no\n;Oslo;no\n62;Bern;yes\n"


def test_an_owner_makes_a_job_of_a_table_and_looks_at_data_before_it_is_created(world: World, api: Api) -> None:
    table = world.folder / "data" / "patients.csv"
    table.write_text(PATIENTS)
    reading = {"decimal": ",", "missing": "drop"}
    found = api.web.post("/api/data/columns", json={"data": str(table), "reading": reading}).json()
    assert found["rows"] == 4
    assert [(each["name"], each["gaps"], each["names"]) for each in found["columns"]] == [
        ("age", 1, ["37,5", "41", "62"]),
        ("city", 0, ["Bern", "Oslo", "Rome"]),
        ("ill", 0, ["no", "yes"]),
    ]
    age = found["columns"][0]["numbers"]
    assert (age["lowest"], age["highest"], age["whole"]) == (37.5, 62, False)
    job = document(world.node("aggregator")) | {
        "data": {
            "features": [
                {"name": "age", "kind": "number", "minimum": 0, "maximum": 120},
                {"name": "city", "kind": "category", "values": ["Bern", "Oslo", "Rome"]},
            ],
            "target": {"kind": "category", "name": "ill", "classes": 2, "names": ["no", "yes"]},
        },
        "model": {"architecture": "mlp", "parameters": {"inputs": 4, "classes": 2}},
    }
    asked = {"document": job, "data": str(table)}
    refused = api.web.post("/api/data/check", json=asked).json()
    assert not refused["fits"]
    assert f"{table}: row 3, column 'age': a number is expected, '37,5' was found" in refused["problem"]
    fits = api.web.post("/api/data/check", json=asked | {"reading": reading}).json()
    assert fits["fits"]
    report = fits["report"]
    assert (report["samples"], report["dropped"], report["missing"]) == (3, 1, {"age": 1})
    assert fits["samples"][0]["cells"] == {"age": "41", "city": "Oslo", "ill": "yes"}
    both = api.web.post("/api/data/check", json=asked | {"job_id": 1})
    assert both.status_code == 400
    table.write_text("age;city\n41\n")
    broken = api.web.post("/api/data/columns", json={"data": str(table)})
    assert broken.status_code == 400
    assert "row 2: 2 cells are expected, 1 were found" in broken.json()["detail"]


def test_a_job_file_is_given_as_a_document_whose_amounts_lose_no_digit(world: World, api: Api) -> None:
    job = document(world.node("aggregator"), reward="600000000000000001 wei")
    shown = api.web.post("/api/jobs/preview", json={"document": job}).json()["document"]
    assert shown["market"]["reward"] == "600000000000000001 wei"
    again = api.web.post("/api/jobs/preview", json={"document": shown}).json()
    assert again["document"] == shown


# ---------------------------------------------------------------- new jobs


def document(play_aggregator: Node, **market: Any) -> dict[str, Any]:
    made: dict[str, Any] = job_file(play_aggregator, **market).model_dump(mode="json", exclude_none=True)
    return made


def test_a_wallet_creates_the_job_that_the_node_prepared(world: World, api: Api) -> None:
    aggregator, wallet = world.node("aggregator"), world.node("wallet")
    write_npz(world.folder / "data" / "held-out.npz", blobs(40, 3))
    job = document(aggregator)
    preview = api.web.post("/api/jobs/preview", json={"document": job})
    assert preview.json()["escrow"] == str(2 * (3 * 10**17 + 10**16))
    again = api.web.post("/api/jobs/preview", json={"yaml": preview.json()["yaml"]})
    assert again.json() == preview.json()

    request = {
        "document": job,
        "owner": wallet.me.address,
        "encryption_key": "0x" + wallet.me.encryption_key.hex(),
        "validation": str(world.folder / "data" / "held-out.npz"),
    }
    prepared = api.web.post("/api/jobs/prepare", json=request)
    assert prepared.status_code == 200, prepared.text
    (call,) = prepared.json()["calls"]
    assert int(call["value"]) == int(preview.json()["escrow"])
    connection = world.chain.connection
    data = bytes.fromhex(call["data"][2:])
    transact(connection, wallet.me.account, call["to"], data, value=int(call["value"]), wait=PATIENCE)
    api.caught_up()
    (listed,) = got(api, f"/api/jobs?search={wallet.me.address}")["items"]
    assert (listed["owner"], listed["rule"], listed["setup"]) == (wallet.me.address, "reference", "development")
    # What the aggregator needs is there, and is sealed in the wallet's name.
    from marketplace.services.aggregator import AggregatorAgent

    AggregatorAgent(aggregator, listed["job_id"], aggregator.me.address, lambda _: None)


def test_a_job_is_created_with_the_node_s_own_key(world: World, api: Api) -> None:
    answer = api.web.post("/api/jobs", json={"document": document(world.node("aggregator"))})
    assert answer.status_code == 201, answer.text
    job_id = answer.json()["job_id"]
    api.caught_up()
    assert got(api, f"/api/jobs/{job_id}")["summary"]["owner"] == api.services.node.me.address
    done = api.web.post(f"/api/jobs/{job_id}/calls/cancel")
    assert done.status_code == 200
    refused = api.web.post(f"/api/jobs/{job_id}/calls/start")
    assert refused.status_code == 409
    assert refused.json()["name"] == "WrongState"
    api.caught_up()
    assert got(api, f"/api/jobs/{job_id}")["summary"]["state"] == "cancelled"


@pytest.mark.parametrize(
    "change", [{"rounds": 0}, {"reward": "-1"}, {"colour": "red"}, {"min_trainers": 9}, {"max_faulty": 1}]
)
def test_mistakes_in_a_job_are_named(world: World, api: Api, change: dict[str, Any]) -> None:
    job = document(world.watcher("aggregator", world.node("a").identity))
    job["market"] |= change
    answer = api.web.post("/api/jobs/preview", json={"document": job})
    assert answer.status_code == 400
    assert next(iter(change)) in answer.json()["detail"]


# ---------------------------------------------------------------- streams


def take(stream: Generator[Told], count: int) -> list[Told]:
    return [next(stream) for _ in range(count)]


def test_a_stream_is_resumed_without_loss_or_repetition(world: World, api: Api) -> None:
    play = new_play(world, validation=False)
    market = world.chain.market
    stream = told(api.bare, "/api/events")
    ready = next(stream)
    assert ready.event == "ready"
    market.accept_aggregation(
        play.aggregator.me.account, play.job_id, play.aggregator.me.address, play.aggregator.me.encryption_key
    )
    seen = [next(stream)]
    while seen[-1].data["kind"] != "AggregationAccepted":
        seen.append(next(stream))
    stream.close()
    for trainer in play.trainers:
        market.join(trainer.me.account, play.job_id, trainer.me.address, trainer.me.encryption_key)
    resumed = told(api.bare, "/api/events", **{"Last-Event-ID": seen[-1].id})
    joined = take(resumed, 3)
    assert [event.data["kind"] for event in joined] == ["Joined"] * 3
    assert [event.data["values"]["operator"] for event in joined] == [node.me.address for node in play.trainers]
    resumed.close()
    everything = told(
        api.bare, f"/api/events?job_id={play.job_id}", **{"Last-Event-ID": f"{ready.id.split('.')[0]}.0.0"}
    )
    kinds = [event.data["kind"] for event in take(everything, 5)]
    assert kinds == ["JobCreated", "AggregationAccepted", "Joined", "Joined", "Joined"]
    everything.close()


def test_a_reorganisation_is_told_before_what_replaced_it(world: World, api: Api) -> None:
    chain = world.chain
    play = new_play(world, validation=False)
    api.caught_up()
    snapshot = chain.connection.request("evm_snapshot")
    me = play.trainers[0].me
    chain.market.join(me.account, play.job_id, me.address, me.encryption_key)
    stream = told(api.bare, "/api/events", **{"Last-Event-ID": f"{api.services.index.generation}.0.0"})
    while (last := next(stream)).data["kind"] != "Joined":
        pass
    stream.close()
    read = api.services.node.events.read  # as audits do
    before = read(None, job_id=play.job_id)[0][-1]
    chain.connection.request("evm_revert", snapshot)
    chain.forward(500)
    other = play.trainers[1].me
    chain.market.join(other.account, play.job_id, other.address, other.encryption_key)
    api.caught_up()
    resumed = told(api.bare, "/api/events", **{"Last-Event-ID": last.id})
    assert next(resumed).event == "reset"
    resumed.close()
    after = read(None, job_id=play.job_id)[0][-1]
    assert after.transaction != before.transaction
    assert after.timestamp > before.timestamp + 400
    (seat,) = got(api, f"/api/jobs/{play.job_id}/trainers")
    assert seat["operator"] == other.address


def test_training_is_told_to_who_has_the_token_only(world: World) -> None:
    play = new_play(world, validation=False)
    with trainer_api(play, 0) as api:
        mine, public = told(api.web, "/api/events"), told(api.bare, "/api/events")
        next(mine), next(public)
        join(play, api, 0)
        heard = [next(mine)]
        while (heard[-1].event, heard[-1].data.get("kind")) != ("training", "joined"):
            heard.append(next(mine))
        assert [said.data["kind"] for said in heard if said.event == "training"] == ["measured", "joined"]
        assert next(public).event == "chain"
        play.world.chain.market.cancel(play.owner.me.account, play.job_id)
        while (last := next(public)).data.get("kind") != "Ended":
            assert last.event == "chain"
        mine.close()
        public.close()


def test_streams_end_when_the_node_stops(world: World) -> None:
    with api_of(world.node("node"), world.chain.first_block) as api:
        stream = told(api.bare, "/api/events")
        next(stream)
    assert list(stream) == []


def test_a_chain_that_is_gone_is_said_and_its_return_too(world: World, proxy: Any, tmp_path: Path) -> None:
    node = world.watcher("watcher")
    connection = Connection(proxy.url, timeout=2)
    market = Market(connection, node.market.address)
    reader = EventReader(connection, market.address, world.chain.first_block)
    with api_of(replace(node, market=market, events=reader), world.chain.first_block) as api:
        api.caught_up()
        proxy.hook = lambda request, forward: 503
        sick = api.until(lambda: (h := got(api, "/api/health"))["status"] == "degraded" and h, "it is noticed")
        assert "has too much to do, or is out of order" in sick["problem"]
        for path in ("/api/jobs", "/api/node", "/metrics"):  # what the index knows needs no chain
            assert api.bare.get(path).status_code == 200
        answer = api.bare.get(f"/api/credits/{'0x' + '1' * 40}")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        proxy.hook = lambda request, forward: forward()
        api.until(lambda: got(api, "/api/health")["status"] == "ok", "it is well again")
        assert not got(api, "/api/node")["acts_as"]
