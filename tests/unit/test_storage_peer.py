"""A hostile or broken Merit node can refuse its storage, and nothing else: no wrong byte, no hang, no filled memory."""

import contextlib
import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from marketplace import overload
from marketplace.errors import CorruptContent, InputError, NotFound, StorageError
from marketplace.storage import Caller, get_bytes, open_storage, peer, put_bytes, transfer
from marketplace.storage.cid import CHUNK
from marketplace.storage.memory import MemoryStorage
from marketplace.storage.peer import PeerStorage
from marketplace.storage.transfer import ATTEMPTS

pytestmark = pytest.mark.timeout(300)

TIMEOUT = 0.5  # seconds
MARKET = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
DATA = bytes(range(256)) * (3 * CHUNK // 256) + b"end"
CID = put_bytes(MemoryStorage(), DATA)
CALLER = Caller(Account.from_key(b"\x05" * 32), 31337, MARKET)


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "FakeNode"

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(self)
        with contextlib.suppress(OSError):  # the client has had enough
            self.server.behave(self)
        self.close_connection = True

    do_PUT = do_HEAD = do_GET

    def answer(self, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None: ...


Behaviour = Callable[[Request], None]


class FakeNode(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.host = f"127.0.0.1:{self.server_port}"
        self.requests: list[Request] = []
        self.stopping = threading.Event()

    def behave(self, request: Request) -> None:
        raise NotImplementedError

    def handle_error(self, *_: object) -> None: ...

    def storage(self, behave: Behaviour, caller: Caller | None = CALLER) -> PeerStorage:
        self.behave = behave  # type: ignore[method-assign]
        made = open_storage(f"node+http://{self.host}", timeout=TIMEOUT, caller=caller)
        assert isinstance(made, PeerStorage)
        return made


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with FakeNode() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


def refused(storage: PeerStorage, kind: type[Exception], sentence: str, max_bytes: int = len(DATA)) -> str:
    """The expected refusal's words; never more than the bound is written."""
    sink = BytesIO()
    with pytest.raises(kind, match=sentence) as error:
        storage.get(CID, sink, max_bytes=max_bytes)
    assert len(sink.getvalue()) <= max_bytes
    return str(error.value)


# ---------------------------------------------------------------- what is asked


def test_a_request_is_signed_for_the_node_that_is_asked(node: FakeNode) -> None:
    assert get_bytes(node.storage(lambda request: request.answer(DATA)), CID, len(DATA)) == DATA
    (asked,) = node.requests
    assert (asked.command, asked.path, asked.headers["Host"]) == ("GET", f"/api/content/{CID}", node.host)
    text = peer.message(
        host=node.host,
        chain_id=31337,
        market=MARKET,
        method="GET",
        cid=CID,
        moment=int(asked.headers["Merit-Time"]),
        nonce=asked.headers["Merit-Nonce"],
    )
    signer = Account.recover_message(encode_defunct(text=text), signature=asked.headers["Merit-Signature"])
    assert signer == CALLER.account.address


def test_who_has_no_key_reads_unsigned_and_stores_nothing(node: FakeNode) -> None:
    storage = node.storage(lambda request: request.answer(DATA), caller=None)
    assert get_bytes(storage, CID, len(DATA)) == DATA
    assert "Merit-Signature" not in node.requests[0].headers
    with pytest.raises(InputError, match="wants a key's signature"):
        put_bytes(storage, DATA)
    assert len(node.requests) == 1


def test_content_is_sent_with_its_size_and_signed_anew_when_it_is_tried_again(node: FakeNode) -> None:
    statuses = iter([429, 201])
    storage = node.storage(lambda request: request.answer(b"{}", next(statuses)))
    assert put_bytes(storage, DATA) == CID
    assert [request.body for request in node.requests] == [DATA, DATA]
    assert [request.headers["Content-Length"] for request in node.requests] == [str(len(DATA))] * 2
    assert len({request.headers["Merit-Nonce"] for request in node.requests}) == 2


def test_content_that_no_node_takes_is_not_sent(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "MAX_CONTENT", len(DATA) - 1)
    with pytest.raises(InputError, match="at most"):
        put_bytes(node.storage(lambda request: request.answer(b"{}", 201)), DATA)
    assert node.requests == []


def test_passwords_of_the_user_s_netrc_stay_at_home(
    node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get_bytes(node.storage(lambda request: request.answer(DATA)), CID, len(DATA))
    assert "Authorization" not in node.requests[0].headers


# ---------------------------------------------------------------- wrong bytes


@pytest.mark.parametrize("body", [b"x" + DATA[1:], DATA[:-1], b"", gzip.compress(DATA)])
def test_other_bytes_are_refused(node: FakeNode, body: bytes) -> None:
    storage = node.storage(lambda request: request.answer(body, Content_Encoding="gzip"))
    refused(storage, CorruptContent, "are not that content")


def test_a_body_that_would_inflate_is_not_inflated(node: FakeNode) -> None:
    body = gzip.compress(bytes(64 << 20))
    storage = node.storage(lambda request: request.answer(body, Content_Encoding="gzip"))
    refused(storage, CorruptContent, "are not that content", max_bytes=1 << 20)


def test_a_size_over_the_bound_is_refused_before_a_byte_is_read(node: FakeNode) -> None:
    refused(node.storage(lambda request: request.answer(b"", length=1 << 50)), CorruptContent, "larger than")
    assert len(node.requests) == 1


def test_an_endless_body_is_cut_off_at_the_bound(node: FakeNode) -> None:
    def behave(request: Request) -> None:
        request.send_response(200)
        request.end_headers()
        while not node.stopping.is_set():
            request.wfile.write(DATA)

    refused(node.storage(behave), CorruptContent, "larger than")


# ---------------------------------------------------------------- breaking off


def test_a_transfer_that_breaks_off_is_taken_up_again(node: FakeNode) -> None:
    def behave(request: Request) -> None:
        offset = int(request.headers.get("Range", "bytes=0-")[6:-1])
        rest = DATA[offset:]
        headers = {"Content_Range": f"bytes {offset}-{len(DATA) - 1}/{len(DATA)}"} if offset else {}
        request.answer(rest[: len(DATA) // 2], 206 if offset else 200, length=len(rest), **headers)

    assert get_bytes(node.storage(behave), CID, len(DATA)) == DATA
    assert len(node.requests) == 3


def test_a_rest_that_begins_elsewhere_is_refused(node: FakeNode) -> None:
    def behave(request: Request) -> None:
        if "Range" in request.headers:
            request.answer(DATA, 206, Content_Range="bytes 0-1/2")
        else:
            request.answer(DATA[:CHUNK], length=len(DATA))

    refused(node.storage(behave), StorageError, "does not answer like a Merit node")


def test_a_node_that_always_breaks_off_is_given_up(node: FakeNode) -> None:
    refused(node.storage(lambda request: request.answer(b"", length=len(DATA))), StorageError, "cannot be reached")
    assert len(node.requests) == ATTEMPTS


def test_silence_is_borne_for_the_timeout_only(node: FakeNode) -> None:
    refused(node.storage(lambda request: bool(node.stopping.wait(20)) and None), StorageError, "kept silent for 0.5 s")


def test_a_trickle_is_given_up(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overload, "MIN_RATE", 1 << 30)

    def behave(request: Request) -> None:
        request.answer(b"", length=len(DATA))
        for at in range(len(DATA)):
            request.wfile.write(DATA[at : at + 1])
            if node.stopping.wait(0.05):
                return

    refused(node.storage(behave), StorageError, "too slow")


# ---------------------------------------------------------------- refusals


def test_absent_content_is_not_found(node: FakeNode) -> None:
    storage = node.storage(lambda request: request.answer(b"", 404))
    refused(storage, NotFound, "is not in the node at")
    assert not storage.has(CID)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_node_cannot_send_its_callers_elsewhere(node: FakeNode, status: int) -> None:
    storage = node.storage(lambda request: request.answer(b"", status, Location=f"http://{node.host}/elsewhere"))
    refused(storage, StorageError, "elsewhere")
    assert len(node.requests) == 1


def test_a_refusal_s_words_are_passed_on_harmless_and_short(node: FakeNode) -> None:
    body = b'{"detail": "no\\u001b[2J\\u0007 seat' + b"!" * 3000 + b'"}'
    said = refused(node.storage(lambda request: request.answer(body, 403)), StorageError, "refused the request")
    assert "seat" in said
    assert said.isprintable()
    assert len(said) < 500


@pytest.mark.parametrize(
    "body", [b"", b"[" * 4096, b"\xff", b'{"detail": "' + b"x" * 100_000, b'"text"', b'{"other": 1}']
)
@pytest.mark.parametrize("status", [200 + 4, 403, 418, 500])
def test_whatever_a_node_says_is_one_sentence(node: FakeNode, body: bytes, status: int) -> None:
    storage = node.storage(lambda request: request.answer(body, status))
    assert len(refused(storage, StorageError, "node at|What is at")) < 500


# ---------------------------------------------------------------- too much to do


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_busy_node_is_asked_again_and_never_taken_for_one_without_the_content(
    node: FakeNode, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [2]

    def behave(request: Request) -> None:
        left[0] -= 1
        if left[0] >= 0:
            request.answer(b"<html>", status)
        else:
            request.answer(b"" if request.command == "HEAD" else DATA, 201 if request.command == "PUT" else 200)

    storage = node.storage(behave)
    assert get_bytes(storage, CID, len(DATA)) == DATA
    left[0] = 2
    assert put_bytes(storage, DATA) == CID
    left[0] = 2
    assert storage.has(CID)
    monkeypatch.setattr(transfer, "_pause", lambda state: 0.01)
    left[0] = 1000
    node.requests.clear()
    for call in (
        lambda: get_bytes(storage, CID, len(DATA)),
        lambda: put_bytes(storage, DATA),
        lambda: storage.has(CID),
    ):
        with pytest.raises(transfer.Unreachable, match="try again later"):
            call()
    assert len(node.requests) == 3 * ATTEMPTS
