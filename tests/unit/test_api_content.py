"""A node's storage for a job's participants, and those who are none."""

import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from typing import Any

import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from marketplace import overload
from marketplace.api import content, guard
from marketplace.api.problems import Refusal
from marketplace.api.routes import common
from marketplace.storage import peer, put_bytes
from marketplace.storage.cid import CidBuilder
from tests.api_node import Api
from tests.chain_fixtures import AGGREGATOR, KEY, OWNER, PEOPLE, TRAINERS, commitment, running_job, terms
from tests.jobs import World, new_play
from tests.patience import PATIENCE

pytest_plugins = ["tests.chain_fixtures", "tests.jobs", "tests.api_node"]

BYTES = b"sealed" * 100_000


def cid_of(data: bytes) -> str:
    builder = CidBuilder()
    builder.update(data)
    return str(builder.finish())


@pytest.fixture
def people(world: World, api: Api) -> None:
    """A job with an aggregator, a trainer, and one that has left."""
    market = world.chain.market
    number, _ = market.create_job(OWNER, terms(world.chain), KEY, "bafyspec")
    market.accept_aggregation(AGGREGATOR, number, AGGREGATOR.address, KEY)
    for trainer in TRAINERS[:2]:
        market.join(trainer, number, trainer.address, KEY)
    market.leave(TRAINERS[1], number)
    api.until(lambda: api.services.index.indexed == world.chain.connection.web3.eth.block_number, "the job is indexed")


def signed(api: Api, signer: LocalAccount, method: str, cid: str, /, **changes: Any) -> dict[str, str]:
    """Headers of a request. changes: of what is signed, against the rules."""
    market = api.services.node.market
    facts: dict[str, Any] = {
        "host": api.url.removeprefix("http://"),
        "chain_id": market.connection.chain_id,
        "market": market.address,
        "method": method,
        "cid": cid,
        "moment": int(time.time()),
        "nonce": secrets.token_hex(16),
    } | changes
    signature = Account.sign_message(encode_defunct(text=peer.message(**facts)), signer.key).signature
    return {
        "Merit-Time": str(facts["moment"]),
        "Merit-Nonce": facts["nonce"],
        "Merit-Signature": "0x" + signature.hex().removeprefix("0x"),
    }


def put(api: Api, cid: str, data: bytes, headers: dict[str, str]) -> httpx.Response:
    return api.bare.put(f"/api/content/{cid}", content=data, headers=headers)


@pytest.mark.parametrize("who", [OWNER, AGGREGATOR, TRAINERS[0]])
def test_participants_put_and_get(api: Api, people: None, who: LocalAccount) -> None:
    cid = cid_of(BYTES)
    answer = put(api, cid, BYTES, signed(api, who, "PUT", cid))
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"cid": cid, "bytes": len(BYTES)}
    got = api.bare.get(f"/api/content/{cid}", headers=signed(api, who, "GET", cid))
    assert got.content == BYTES
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"] == "attachment"


@pytest.mark.parametrize("who", [PEOPLE[8], TRAINERS[1]])
def test_strangers_and_who_has_left_may_neither(api: Api, people: None, who: LocalAccount) -> None:
    cid = cid_of(BYTES)
    assert put(api, cid, BYTES, signed(api, who, "PUT", cid)).status_code == 403
    assert not api.services.node.storage.has(cid)
    api.services.node.storage.put(BytesIO(BYTES))
    assert api.bare.get(f"/api/content/{cid}", headers=signed(api, who, "GET", cid)).status_code == 403


def test_who_left_after_the_start_and_who_took_over_may_and_the_aggregator_that_failed_may_not(
    world: World, api: Api
) -> None:
    chain, rescuer = world.chain, PEOPLE[8]
    job_id = running_job(chain, takeover_window=300)
    chain.market.leave(TRAINERS[2], job_id)
    chain.market.submit_update(TRAINERS[0], job_id, 1, commitment(1, 0), "bafy")
    chain.forward(1201)
    chain.market.take_over(rescuer, job_id, rescuer.address, KEY)
    api.caught_up()
    cid = cid_of(BYTES)
    for who, status in ((TRAINERS[2], 201), (rescuer, 201), (AGGREGATOR, 403)):
        assert put(api, cid, BYTES, signed(api, who, "PUT", cid)).status_code == status


def test_a_signature_serves_what_it_was_made_for_only(api: Api, people: None) -> None:
    cid, who = cid_of(BYTES), TRAINERS[0]
    now = int(time.time())
    changes: list[dict[str, Any]] = [
        {"cid": cid_of(b"other")},
        {"method": "GET"},
        {"market": PEOPLE[8].address},
        {"chain_id": 1},
        {"host": "another.example"},
        {"moment": now - content.FRESH - 5},
        {"moment": now + content.FRESH + 60},
    ]
    wrong = [signed(api, who, "PUT", cid, **change) for change in changes]
    good = signed(api, who, "PUT", cid)
    wrong += [
        good | {"Merit-Time": str(now - 1)},
        good | {"Merit-Nonce": secrets.token_hex(16)},
        good | {"Merit-Signature": "0x" + "00" * 65},
        good | {"Merit-Signature": "nothing"},
        {name: good[name] for name in ("Merit-Time", "Merit-Nonce")},
        {},
    ]
    for headers in wrong:
        assert put(api, cid, BYTES, headers).status_code in (401, 403), headers
    assert not api.services.node.storage.has(cid)
    assert put(api, cid, BYTES, good).status_code == 201


def test_a_signature_serves_once(api: Api, people: None) -> None:
    cid, who = cid_of(BYTES), TRAINERS[0]
    for method, status in (("PUT", 201), ("GET", 200), ("HEAD", 200)):
        headers = signed(api, who, method, cid)
        body = BYTES if method == "PUT" else b""
        assert api.bare.request(method, f"/api/content/{cid}", content=body, headers=headers).status_code == status
        assert api.bare.request(method, f"/api/content/{cid}", content=body, headers=headers).status_code == 401


def test_a_nonce_is_known_for_as_long_as_its_signature_is_fresh() -> None:
    recent = content._Recent()
    recent.add("a", 0.0)
    with pytest.raises(Refusal, match="used before"):
        recent.add("a", 2.0 * content.FRESH)
    recent.add("a", 2.0 * content.FRESH + 1)  # its time is over


def test_an_account_that_asks_too_often_is_refused(api: Api, people: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOST_SIGNED", 3)
    path = f"/api/content/{cid_of(b'nowhere')}"
    asked = [api.bare.head(path, headers=signed(api, OWNER, "HEAD", path[-59:])).status_code for _ in range(4)]
    assert asked == [404, 404, 404, 429]
    assert api.bare.head(path, headers=signed(api, AGGREGATOR, "HEAD", path[-59:])).status_code == 404


def test_what_a_description_names_is_for_everybody_and_nothing_else(world: World, api: Api) -> None:
    play = new_play(world)
    api.caught_up()
    created = api.services.index.history(play.job_id).created
    spec = api.services.spec(created)
    assert spec.validation is not None
    named = [created.spec_cid, spec.base_cid, spec.proofs.srs.cid, spec.proofs.key.cid, spec.validation.sealed_cid]
    for cid in named:
        answer = api.bare.get(f"/api/content/{cid}")
        assert (answer.status_code, cid_of(answer.content)) == (200, cid)
        assert api.bare.head(f"/api/content/{cid}").status_code == 200
    hidden = put_bytes(world.storage, b"an update, sealed")
    for method in ("GET", "HEAD"):
        assert api.bare.request(method, f"/api/content/{hidden}").status_code == 401
    assert put(api, created.spec_cid, b"", {}).status_code == 401


def test_a_read_is_taken_up_where_it_broke_off(api: Api, people: None) -> None:
    cid = put_bytes(api.services.node.storage, BYTES)

    def read(range: str) -> httpx.Response:
        return api.bare.get(f"/api/content/{cid}", headers=signed(api, OWNER, "GET", cid) | {"Range": range})

    rest = read("bytes=599000-")
    assert (rest.status_code, rest.content) == (206, BYTES[599_000:])
    assert rest.headers["content-range"] == f"bytes 599000-{len(BYTES) - 1}/{len(BYTES)}"
    for other in ("bytes=0-", "bytes=1-5", "bytes=-5", "bytes=x-", "bytes=1-,5-", "pages=1-", "bytes=0x1-"):
        assert read(other).status_code == 200
        assert read(other).content == BYTES
    beyond = read(f"bytes={len(BYTES)}-")
    assert (beyond.status_code, beyond.headers["content-type"]) == (416, "application/problem+json")


def test_a_body_that_trickles_is_not_waited_for(api: Api, people: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_WITHIN", 0.3)
    cid = cid_of(BYTES)
    lines = {"Host": api.url.removeprefix("http://"), "Content-Length": str(len(BYTES))}
    lines |= signed(api, TRAINERS[0], "PUT", cid)
    head = f"PUT /api/content/{cid} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    for path_and_headers in (head, "POST /api/withdraw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"):
        with socket.create_connection(("127.0.0.1", int(api.url.rsplit(":", 1)[1])), timeout=PATIENCE) as raw:
            raw.sendall(path_and_headers.encode() + b"\r\n" + BYTES[:50])
            answer = b""
            while b"\r\n\r\n" not in answer and (piece := raw.recv(65_536)):
                answer += piece
        assert answer.split()[1] in (b"400", b"401"), answer
    assert api.services.content._used[TRAINERS[0].address] == 0
    assert put(api, cid, BYTES, signed(api, TRAINERS[0], "PUT", cid)).status_code == 201


def test_who_sends_slowly_takes_no_more_than_half_of_the_turns(api: Api, people: None) -> None:
    """Anybody is a participant who has made a job of one wei, and a slow sender may take hours for what is large."""
    with ExitStack() as stack:
        for number in range(8):
            cid = cid_of(bytes([number]))
            lines = {"Host": api.url.removeprefix("http://"), "Content-Length": "1000000"}
            lines |= signed(api, OWNER, "PUT", cid)
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            place = ("127.0.0.1", int(api.url.rsplit(":", 1)[1]))
            raw = stack.enter_context(socket.create_connection(place, timeout=PATIENCE))
            raw.sendall(f"PUT /api/content/{cid} HTTP/1.1\r\n{head}\r\n".encode() + bytes([number]))
        free = api.services.transfers._free
        api.until(lambda: free._value == 4, "the slow sender has its turns", within=PATIENCE)
        cid = cid_of(BYTES)
        assert put(api, cid, BYTES, signed(api, TRAINERS[0], "PUT", cid)).status_code == 201


def test_strangers_that_read_slowly_take_half_of_the_turns_from_one_address(
    api: Api, people: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.services.content, "is_open", lambda cid: True)
    cid = put_bytes(api.services.node.storage, bytes(32 << 20))
    place = ("127.0.0.1", int(api.url.rsplit(":", 1)[1]))
    request = f"GET /api/content/{cid} HTTP/1.1\r\nHost: {place[0]}:{place[1]}\r\n\r\n".encode()

    def status(stack: ExitStack, address: str) -> bytes:
        raw = stack.enter_context(socket.create_connection(place, timeout=PATIENCE, source_address=(address, 0)))
        raw.sendall(request)
        return raw.recv(1000).split()[1]

    with ExitStack() as stack:
        assert [status(stack, "127.0.0.1") for _ in range(5)] == [b"200"] * 4 + [b"429"]
        assert status(stack, "127.0.0.2") == b"200"


def test_a_reader_that_stalls_is_cut_off(api: Api, people: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "PATIENCE", 0.3)
    monkeypatch.setattr(overload, "MIN_RATE", 1 << 40)
    large = bytes(32 << 20)  # more than the buffers between the two hold
    cid = put_bytes(api.services.node.storage, large)
    lines = {"Host": api.url.removeprefix("http://")} | signed(api, OWNER, "GET", cid)
    request = f"GET /api/content/{cid} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    slots = api.services.transfers._free
    with socket.create_connection(("127.0.0.1", int(api.url.rsplit(":", 1)[1])), timeout=PATIENCE) as raw:
        raw.sendall(request.encode() + b"\r\n")
        raw.recv(1000)
        api.until(lambda: slots._value == 8, "the turn is given back", within=PATIENCE)
        received = 0
        while piece := raw.recv(1 << 20):
            received += len(piece)
    assert received < len(large)


def test_other_bytes_than_signed_are_not_kept(api: Api, people: None) -> None:
    cid = cid_of(BYTES)
    answer = put(api, cid, BYTES[:-1], signed(api, TRAINERS[0], "PUT", cid))
    assert answer.status_code == 400
    assert not api.services.node.storage.has(cid)


@pytest.mark.parametrize("cid", ["../../token", "b" + "a" * 57, "B" + "A" * 58, "b" + "a" * 58, "%2e%2e%2ftoken"])
def test_what_is_no_cid_reaches_no_storage(api: Api, people: None, cid: str) -> None:
    for method in ("GET", "PUT"):
        headers = signed(api, TRAINERS[0], method, cid)
        answer = api.bare.request(method, f"/api/content/{cid}", headers=headers)
        assert answer.status_code in (400, 404, 405, 422)
        assert "token" not in answer.text or answer.headers["content-type"] == "application/problem+json"


def test_the_size_must_be_said(api: Api, people: None) -> None:
    def pieces() -> Iterator[bytes]:
        yield BYTES

    cid = cid_of(BYTES)
    headers = signed(api, TRAINERS[0], "PUT", cid)
    assert api.bare.put(f"/api/content/{cid}", content=pieces(), headers=headers).status_code == 411


def test_a_participant_cannot_fill_the_disk(api: Api, people: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "QUOTA", 2 * len(BYTES))
    for number, status in ((1, 201), (2, 201), (3, 507)):
        data = bytes([number]) + BYTES[1:]
        cid = cid_of(data)
        assert put(api, cid, data, signed(api, TRAINERS[0], "PUT", cid)).status_code == status
    data = b"another's" + BYTES[9:]
    assert put(api, cid_of(data), data, signed(api, OWNER, "PUT", cid_of(data))).status_code == 201


def test_content_that_is_not_there_is_said(api: Api, people: None) -> None:
    cid = cid_of(b"nowhere")
    api.services.node.storage.put(BytesIO(b"x"))
    answer = api.bare.get(f"/api/content/{cid}", headers=signed(api, OWNER, "GET", cid))
    assert answer.status_code == 404
