"""The examples in the API's document are answers: of the types that they stand for, and as a real node gives them.

MERIT_RENEW=1 pytest tests/unit/test_api_examples.py writes those anew that this node can be asked for.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from marketplace.api import forms, models
from marketplace.api.app import create_app
from marketplace.api.examples import FILE, examples
from marketplace.domain import ZERO_ADDRESS, State
from tests.api_node import Api, api_of
from tests.jobs import World, new_play

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

MOST = 3  # entries of a list that an example shows


def type_of(name: str) -> type[BaseModel]:
    found: type[BaseModel] = getattr(models, name, None) or getattr(forms, name)
    return found


@pytest.mark.parametrize("name", sorted(examples()))
def test_an_example_is_of_its_type_and_leaves_no_field_out(name: str) -> None:
    example = examples()[name]
    assert type_of(name).model_validate(example).model_dump(mode="json", by_alias=True, exclude_unset=True) == example
    kind = type_of(name)
    if kind is not models.Problem:
        assert set(example) == set(kind.model_fields)


def test_each_json_answer_has_an_example_and_each_example_an_answer() -> None:
    without, shown = [], set()
    for methods in create_app(None).openapi()["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                for kind, media in response.get("content", {}).items():
                    if kind == "application/octet-stream":
                        continue
                    if "example" not in media:
                        without.append((operation["operationId"], status))
                        continue
                    entry = media["example"][0] if isinstance(media["example"], list) else media["example"]
                    shown |= {name for name, example in examples().items() if example == entry}
    assert without == []
    assert shown == set(examples())


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    """Of the owner of a job that was paid."""
    play = new_play(world, rounds=1)
    assert play.finish() is State.COMPLETED
    folder = world.folder / "data"
    folder.mkdir()
    (folder / "patients.csv").write_text("age,ill\n41,yes\n57,no\n")
    with api_of(play.owner, world.chain.first_block, folders=[folder]) as made:
        made.caught_up()
        yield made


def answers(api: Api) -> dict[str, Any]:
    """What a node says, by its type; of a list the first entry."""

    def got(path: str, body: object = None) -> Any:
        answer = api.web.get(path) if body is None else api.web.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    job = got("/api/jobs/1")
    owner, table = job["summary"]["owner"], got("/api/data")
    yaml = got("/api/jobs/preview", {"document": preview_of(job)})
    patients = next(entry for entry in table if entry["name"] == "patients.csv")
    return {
        "Health": got("/api/health"),
        "NodeFacts": got("/api/node"),
        "LocalFacts": got("/api/local"),
        "Architecture": next(one for one in got("/api/architectures") if one["name"] == "mlp"),
        "JobPage": got("/api/jobs"),
        "JobDetail": job,
        "RoundSummary": got("/api/jobs/1/rounds")[0],
        "RoundDetail": got("/api/jobs/1/rounds/1"),
        "TrainerFacts": got("/api/jobs/1/trainers")[0],
        "CreditFacts": got("/api/jobs/1/payouts")[0],
        "Holdings": got(f"/api/holdings/{owner}"),
        "TokenText": got(f"/api/tokens/{ZERO_ADDRESS}"),
        "TransactionFacts": got(f"/api/transactions/{job['transaction']}"),
        "Seat": got(f"/api/seats/{got('/api/jobs/1/trainers')[0]['operator']}")[0],
        "Activity": got("/api/activity"),
        "PayeeCredits": got(f"/api/credits/{owner}"),
        "DataEntry": patients,
        "DataCheck": got("/api/data/check", {"job_id": 1, "data": patients["source"]}),
        "TableFacts": got("/api/data/columns", {"data": patients["source"]}),
        "JobPreview": yaml,
        "SetupEntry": next(entry for entry in got("/api/setups") if entry["what"] == "key"),
        "OwnPart": got("/api/jobs/1/own"),
        "JobScores": got("/api/jobs/1/scores"),
    }


def preview_of(job: dict[str, Any]) -> dict[str, Any]:
    """A small job of the same aggregator."""
    return {
        "name": "Two clouds",
        "model": {"architecture": "mlp", "parameters": {"inputs": 2, "hidden": [4], "classes": 2}},
        "data": {
            "features": {"x": {"kind": "tensor", "shape": [2]}},
            "target": {"kind": "category", "classes": 2},
        },
        "training": {"learning_rate": 0.1},
        "update": {"clip": 8.0},
        "market": {
            "reward": "0.3 ether",
            "fee": "0.01 ether",
            "stake": "0.1 ether",
            "bond": "0.2 ether",
            "rounds": 2,
            "min_trainers": 2,
            "max_trainers": 3,
            "max_faulty": 0,
            "aggregator": {"address": job["summary"]["aggregator"], "encryption_key": "0x" + "11" * 32},
        },
    }


def shape(value: Any) -> Any:
    """The names in an answer and what is text: of a list its first entry, of null and numbers nothing."""
    if isinstance(value, dict):
        return {name: shape(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [shape(entry) for entry in value[:1]]
    return "text" if isinstance(value, str) else None


def cut(value: Any, folder: str) -> Any:
    """Without what an example need not show: long lists, and where this machine keeps things."""
    if isinstance(value, dict):
        return {name: cut(entry, folder) for name, entry in value.items()}
    if isinstance(value, list):
        return [cut(entry, folder) for entry in value[:MOST]]
    return value.replace(folder, "/home/ann") if isinstance(value, str) else value


@pytest.mark.slow
def test_a_node_answers_as_the_examples_say(api: Api, world: World) -> None:
    said = {name: cut(answer, str(world.folder)) for name, answer in answers(api).items()}
    if os.environ.get("MERIT_RENEW"):
        kept = json.loads(FILE.read_text()) | said
        FILE.write_text(json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        examples.cache_clear()
    assert {name: shape(answer) for name, answer in said.items()} == {name: shape(examples()[name]) for name in said}
