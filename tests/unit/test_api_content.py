"""A node's storage for a job's participants, and those who are none."""

import time
from collections.abc import Iterator
from io import BytesIO

import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from marketplace.api import content
from marketplace.storage.cid import CidBuilder
from tests.api_node import Api
from tests.chain_fixtures import AGGREGATOR, KEY, OWNER, PEOPLE, TRAINERS, terms
from tests.jobs import World

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.api_node"]

BYTES = b"sealed" * 100_000


def cid_of(data: bytes) -> str:
    builder = CidBuilder()
    builder.update(data)
    return str(builder.finish())


@pytest.fixture
def job_id(world: World, api: Api) -> int:
    """With an aggregator, a trainer, and one that has left."""
    market = world.chain.market
    number, _ = market.create_job(OWNER, terms(world.chain), KEY, "bafyspec")
    market.accept_aggregation(AGGREGATOR, number, AGGREGATOR.address, KEY)
    for trainer in TRAINERS[:2]:
        market.join(trainer, number, trainer.address, KEY)
    market.leave(TRAINERS[1], number)
    api.until(lambda: api.services.index.indexed == world.chain.connection.web3.eth.block_number, "the job is indexed")
    return number


def signed(
    api: Api, signer: LocalAccount, method: str, cid: str, job_id: int, *, moment: int | None = None, sent_job: int = 0
) -> dict[str, str]:
    moment = int(time.time()) if moment is None else moment
    market = api.services.node.market
    text = content.message(
        chain_id=market.connection.chain_id,
        market=market.address,
        job_id=job_id,
        method=method,
        cid=cid,
        moment=moment,
    )
    signature = Account.sign_message(encode_defunct(text=text), signer.key).signature
    return {
        "Merit-Job": str(sent_job or job_id),
        "Merit-Time": str(moment),
        "Merit-Signature": "0x" + signature.hex().removeprefix("0x"),
    }


def put(api: Api, cid: str, data: bytes, headers: dict[str, str]) -> httpx.Response:
    return api.bare.put(f"/api/content/{cid}", content=data, headers=headers)


@pytest.mark.parametrize("who", [OWNER, AGGREGATOR, TRAINERS[0]])
def test_participants_put_and_get(api: Api, job_id: int, who: LocalAccount) -> None:
    cid = cid_of(BYTES)
    answer = put(api, cid, BYTES, signed(api, who, "PUT", cid, job_id))
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"cid": cid, "bytes": len(BYTES)}
    got = api.bare.get(f"/api/content/{cid}", headers=signed(api, who, "GET", cid, job_id))
    assert got.content == BYTES
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"] == "attachment"


@pytest.mark.parametrize("who", [PEOPLE[8], TRAINERS[1]])
def test_strangers_and_who_has_left_may_neither(api: Api, job_id: int, who: LocalAccount) -> None:
    cid = cid_of(BYTES)
    assert put(api, cid, BYTES, signed(api, who, "PUT", cid, job_id)).status_code == 403
    assert not api.services.node.storage.has(cid)
    api.services.node.storage.put(BytesIO(BYTES))
    assert api.bare.get(f"/api/content/{cid}", headers=signed(api, who, "GET", cid, job_id)).status_code == 403


def test_a_signature_serves_what_it_was_made_for_only(api: Api, job_id: int) -> None:
    cid, other, who = cid_of(BYTES), cid_of(b"other"), TRAINERS[0]
    now = int(time.time())
    wrong = [
        signed(api, who, "PUT", other, job_id),
        signed(api, who, "GET", cid, job_id),
        signed(api, who, "PUT", cid, job_id + 1, sent_job=job_id),
        signed(api, who, "PUT", cid, job_id, moment=now - content.FRESH - 5),
        signed(api, who, "PUT", cid, job_id, moment=now + content.FRESH + 60),
        signed(api, who, "PUT", cid, job_id) | {"Merit-Time": str(now - 1)},
        signed(api, who, "PUT", cid, job_id) | {"Merit-Signature": "0x" + "00" * 65},
        signed(api, who, "PUT", cid, job_id) | {"Merit-Signature": "nothing"},
    ]
    for headers in wrong:
        assert put(api, cid, BYTES, headers).status_code in (401, 403), headers
    assert not api.services.node.storage.has(cid)


def test_other_bytes_than_signed_are_not_kept(api: Api, job_id: int) -> None:
    cid = cid_of(BYTES)
    answer = put(api, cid, BYTES[:-1], signed(api, TRAINERS[0], "PUT", cid, job_id))
    assert answer.status_code == 400
    assert not api.services.node.storage.has(cid)


@pytest.mark.parametrize("cid", ["../../token", "b" + "a" * 57, "B" + "A" * 58, "b" + "a" * 58, "%2e%2e%2ftoken"])
def test_what_is_no_cid_reaches_no_storage(api: Api, job_id: int, cid: str) -> None:
    for method in ("GET", "PUT"):
        headers = signed(api, TRAINERS[0], method, cid, job_id)
        answer = api.bare.request(method, f"/api/content/{cid}", headers=headers)
        assert answer.status_code in (400, 404, 405, 422)
        assert "token" not in answer.text or answer.headers["content-type"] == "application/problem+json"


def test_the_size_must_be_said(api: Api, job_id: int) -> None:
    def pieces() -> Iterator[bytes]:
        yield BYTES

    cid = cid_of(BYTES)
    headers = signed(api, TRAINERS[0], "PUT", cid, job_id)
    assert api.bare.put(f"/api/content/{cid}", content=pieces(), headers=headers).status_code == 411


def test_a_participant_cannot_fill_the_disk(api: Api, job_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "QUOTA", 2 * len(BYTES))
    for number, status in ((1, 201), (2, 201), (3, 507)):
        data = bytes([number]) + BYTES[1:]
        cid = cid_of(data)
        assert put(api, cid, data, signed(api, TRAINERS[0], "PUT", cid, job_id)).status_code == status
    data = b"another's" + BYTES[9:]
    assert put(api, cid_of(data), data, signed(api, OWNER, "PUT", cid_of(data), job_id)).status_code == 201


def test_content_that_is_not_there_is_said(api: Api, job_id: int) -> None:
    cid = cid_of(b"nowhere")
    api.services.node.storage.put(BytesIO(b"x"))
    answer = api.bare.get(f"/api/content/{cid}", headers=signed(api, OWNER, "GET", cid, job_id))
    assert answer.status_code == 404
