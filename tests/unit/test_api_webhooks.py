"""Webhooks of a real node on a real chain: what its jobs do arrives, whether the receiver was there or not."""

import json
from collections.abc import Iterator

import pytest

from marketplace.services.webhooks import key_of, signature
from tests.api_node import api_of
from tests.jobs import World, new_play
from tests.receiver import Receiver, hook, receiving

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Receiver()) as made:
        yield made


def test_a_node_tells_what_its_jobs_do_also_what_they_did_while_it_was_off(world: World, receiver: Receiver) -> None:
    node, first, hooks = world.node("node"), world.chain.first_block, (hook(receiver.url + "/hook"),)
    new_play(world, validation=False)
    with api_of(node, first, webhooks=hooks) as api:
        api.caught_up()
        new_play(world, validation=False)
        api.until(lambda: "JobCreated" in receiver.types, "the second job was told of")
        api.until(lambda: 'merit_webhook_waiting{webhook="alerts"} 0.0' in api.bare.get("/metrics").text, "all is told")
        told = len(receiver.came)
    new_play(world, validation=False)
    receiver.statuses += [500, 503]
    with api_of(node, first, webhooks=hooks) as api:
        api.until(lambda: receiver.types[told:].count("JobCreated") >= 1 and not receiver.statuses, "the third, too")
        api.caught_up()
        shown = api.bare.get("/api/activity").json()["items"]
    jobs = [json.loads(body)["data"]["job_id"] for _, _, body in receiver.came]
    assert (1 in jobs, 2 in jobs, 3 in jobs) == (False, True, True)
    by_id = {headers["webhook-id"]: json.loads(body) for _, headers, body in receiver.came}
    for _, headers, body in receiver.came:
        moment = int(headers["webhook-timestamp"])
        assert headers["webhook-signature"] == signature(key_of(hooks[0].secret), headers["webhook-id"], moment, body)
    created = next(entry for entry in shown if entry["kind"] == "JobCreated" and entry["job_id"] == 3)
    (said,) = (one["data"] for one in by_id.values() if one["type"] == "JobCreated" and one["data"]["job_id"] == 3)
    assert {name: said[name] for name in ("transaction", "values")} == {
        name: created[name] for name in ("transaction", "values")
    }
