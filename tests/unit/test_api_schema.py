"""What a node answers is what its OpenAPI document says, whatever is asked: generated requests to a real node."""

from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.openapi.loaders import from_url
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from marketplace.api.logs import JsonLines
from marketplace.domain import State
from marketplace.services.node import JobFeed, Node, job_key
from tests.api_node import TOKEN, Api, api_of
from tests.jobs import World, new_play
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

pytest_plugins = ["tests.chain_fixtures", "tests.jobs"]

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ENDLESS, AUDIT = "/api/events", "/api/jobs/{job_id}/audit"  # what the streams say, test_api_flow.py looks at
EXAMPLES = {GenerationMode.POSITIVE: 10, GenerationMode.NEGATIVE: 5}


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    """Of the owner of a job that was paid, so that there is something to show."""
    play = new_play(world, validation=False, rounds=1)
    assert play.finish() is State.COMPLETED
    (world.folder / "data").mkdir()
    with api_of(play.owner, world.chain.first_block, folders=[world.folder / "data"]) as made:
        made.caught_up()
        yield made


def real(case: Any, values: dict[str, str]) -> None:
    """Puts what is there in place of what was made up."""
    for name in case.path_parameters or {}:
        if name in values:
            case.path_parameters[name] = values[name]


def secrets_of(node: Node) -> list[bytes]:
    history = JobFeed(node, 1).refresh()
    keys = [bytes(node.me.account.key), node.me.decryption_key.private_bytes_raw(), job_key(node, history)]
    return [TOKEN.encode(), *keys, *(key.hex().encode() for key in keys), *(b64encode(key) for key in keys)]


def test_every_answer_is_as_the_document_says_and_tells_no_secret(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    for logger in ("merit", "uvicorn"):
        caplog.set_level("INFO", logger)
    schema = from_url(f"{api.url}/api/openapi.json")
    created = api.services.index.history(1).created
    values = {"job_id": "1", "number": "1", "payee": created.owner, "cid": created.spec_cid}
    seen: defaultdict[str, Counter[int]] = defaultdict(Counter)
    said: list[bytes] = []

    def check(case: Any, there: bool, token: bool) -> None:
        if case.path == AUDIT:
            case.path_parameters["job_id"] = "77"
        elif there:
            real(case, values)
        headers = {"Authorization": f"Bearer {TOKEN}"} if token else {}
        response = case.call(headers=headers, timeout=PATIENCE)
        case.validate_response(response, checks=CHECKS)
        said.append(response.content)
        seen[case.operation.label][response.status_code] += 1

    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == ENDLESS:
            continue
        for mode, examples in EXAMPLES.items():
            bounded = settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            cases = operation.as_strategy(generation_mode=mode)
            run = given(case=cases, there=st.booleans(), token=st.sampled_from([True, True, True, False]))(check)
            with suppress(Unsatisfiable):  # an operation that takes nothing cannot be asked wrongly
                seed(crc32(operation.label.encode()))(bounded(run))()  # by its name: another one changes nothing for it
    answered = {label for label, statuses in seen.items() if any(status < 300 for status in statuses)}
    reads = {label for label in seen if label.startswith("GET") and "audit" not in label}
    assert reads - answered == {"GET /api/trainers/{job_id}"}, "this node trains nothing; all else was shown"
    logged = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert "/api/jobs/1" in logged
    everything = b"\n".join([*said, logged.encode()])
    assert api.services.node.me.address.lower().encode() in everything.lower()
    assert not [secret for secret in secrets_of(api.services.node) if secret.lower() in everything.lower()]
