"""A hostile or broken IPFS node can refuse its service, and nothing else: no wrong byte, no hang, no filled memory."""

import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from marketplace.errors import CorruptContent, NotFound, StorageError
from marketplace.storage import Storage, fetch_to, get_bytes, open_storage, put_bytes, transfer
from marketplace.storage.cid import CHUNK
from marketplace.storage.kubo import ANSWER
from marketplace.storage.memory import MemoryStorage
from marketplace.storage.transfer import ATTEMPTS, Unreachable

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'strict' parameter:FutureWarning"),
    pytest.mark.timeout(300),
]

TIMEOUT = 0.5  # seconds
DATA = bytes(range(256)) * (3 * CHUNK // 256) + b"end"
INFLATING = gzip.compress(bytes(32 << 20))
CID = put_bytes(MemoryStorage(), DATA)


class Request(BaseHTTPRequestHandler):
    """Hands each request to the server's `behave`, and notes its path, options and body."""

    protocol_version = "HTTP/1.1"
    server: "FakeNode"

    def do_POST(self) -> None:
        self.url = urlsplit(self.path)
        self.options = {name: values[-1] for name, values in parse_qs(self.url.query).items()}
        self.body = self.read_body()
        self.server.requests.append(self)
        try:
            self.server.behave(self)
        except OSError:
            self.close_connection = True  # the client has had enough

    def read_body(self) -> bytes:
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return body + self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def start_chunks(self, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_args: object) -> None:
        pass


Behaviour = Callable[[Request], None]


class FakeNode(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.requests: list[Request] = []
        self.stopping = threading.Event()

    def behave(self, request: Request) -> None:
        raise NotImplementedError

    def handle_error(self, request: object, client_address: object) -> None:
        pass

    def storage(self, behave: Behaviour) -> Storage:
        self.behave = behave  # type: ignore[method-assign]
        return open_storage(f"http://127.0.0.1:{self.server_port}", timeout=TIMEOUT)


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


def refused(storage: Storage, kind: type[Exception], sentence: str, max_bytes: int = len(DATA)) -> bytes:
    """What was written before the expected refusal; never more than the bound."""
    sink = BytesIO()
    with pytest.raises(kind, match=sentence):
        storage.get(CID, sink, max_bytes=max_bytes)
    assert len(sink.getvalue()) <= max_bytes
    return sink.getvalue()


# ---------------------------------------------------------------- wrong bytes


def test_other_bytes_of_the_same_size_are_refused(node: FakeNode) -> None:
    refused(node.storage(lambda request: request.answer(b"x" + DATA[1:])), CorruptContent, "are not that content")


def test_truncated_content_is_refused(node: FakeNode) -> None:
    refused(node.storage(lambda request: request.answer(DATA[:-1])), CorruptContent, "are not that content")


def test_empty_answer_is_refused(node: FakeNode) -> None:
    refused(node.storage(lambda request: request.answer(b"")), CorruptContent, "are not that content")


def test_wrong_bytes_never_become_a_file(node: FakeNode, tmp_path: Path) -> None:
    with pytest.raises(CorruptContent):
        fetch_to(node.storage(lambda request: request.answer(b"x" * 100)), CID, tmp_path / "file", len(DATA))
    assert list(tmp_path.iterdir()) == []


def test_put_is_refused_when_the_node_names_another_cid(node: FakeNode) -> None:
    storage = node.storage(lambda request: request.answer(json.dumps({"Name": "", "Hash": CID}).encode()))
    with pytest.raises(StorageError, match=f"stored '{CID}' in place of"):
        put_bytes(storage, b"something else")


# ---------------------------------------------------------------- no end


def never_ending(request: Request) -> None:
    request.start_chunks()
    while not request.server.stopping.is_set():
        request.chunk(bytes(CHUNK))


def never_ending_in_one_chunk(request: Request) -> None:
    request.start_chunks()
    request.wfile.write(b"ffffffffff\r\n")
    while not request.server.stopping.is_set():
        request.wfile.write(bytes(CHUNK))


def never_ending_with_a_length(request: Request) -> None:
    request.answer(b"", length=1 << 40)
    while not request.server.stopping.is_set():
        request.wfile.write(bytes(CHUNK))


def inflating(request: Request) -> None:
    request.answer(INFLATING, Content_Encoding="gzip")


@pytest.mark.parametrize("behave", [never_ending, never_ending_in_one_chunk, never_ending_with_a_length, inflating])
def test_content_without_end_is_cut_at_the_bound(node: FakeNode, behave: Behaviour) -> None:
    storage = node.storage(behave)
    tracemalloc.start()
    try:
        refused(storage, CorruptContent, "larger than the 1000000 bytes", max_bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()


def endless_error(request: Request) -> None:
    request.start_chunks(500)
    while not request.server.stopping.is_set():
        request.chunk(b'{"Message": "' + b"x" * CHUNK)


@pytest.mark.parametrize("behave", [never_ending, endless_error])
def test_answer_without_end_is_cut(node: FakeNode, behave: Behaviour) -> None:
    storage = node.storage(behave)
    with pytest.raises(StorageError, match="sends more than was asked for"):
        put_bytes(storage, b"content")
    with pytest.raises(StorageError, match="sends more than was asked for"):
        storage.has(CID)


def test_error_without_end_is_cut_in_place_of_content(node: FakeNode) -> None:
    refused(node.storage(endless_error), StorageError, "sends more than was asked for", max_bytes=ANSWER)


def test_node_is_asked_for_no_more_than_the_bound(node: FakeNode) -> None:
    storage = node.storage(lambda request: request.answer(DATA))
    assert get_bytes(storage, CID, len(DATA)) == DATA
    assert node.requests[0].options["length"] == str(len(DATA) + 1)


# ---------------------------------------------------------------- silence


def silent(request: Request) -> None:
    request.server.stopping.wait(30)


def silent_after_headers(request: Request) -> None:
    request.start_chunks()
    request.server.stopping.wait(30)


def silent_in_the_middle(request: Request) -> None:
    request.start_chunks()
    request.chunk(DATA[:1000])
    request.server.stopping.wait(30)


@pytest.mark.parametrize("behave", [silent, silent_after_headers, silent_in_the_middle])
def test_silent_node_is_left_after_the_timeout(node: FakeNode, behave: Behaviour) -> None:
    storage = node.storage(behave)
    start = time.monotonic()
    refused(storage, StorageError, "kept silent for 0.5 s")
    assert time.monotonic() - start < 10 * TIMEOUT


def test_silent_node_does_not_hold_a_put(node: FakeNode) -> None:
    with pytest.raises(StorageError, match="kept silent"):
        put_bytes(node.storage(silent), b"content")


def trickling(request: Request) -> None:
    request.start_chunks()
    while not request.server.stopping.wait(0.02):
        request.chunk(b"\0")


def trickling_in_one_chunk(request: Request) -> None:
    request.start_chunks()
    request.wfile.write(b"fffff\r\n")
    while not request.server.stopping.wait(0.02):
        request.wfile.write(b"\0")


@pytest.mark.parametrize("behave", [trickling, trickling_in_one_chunk])
def test_trickling_node_is_given_up(node: FakeNode, behave: Behaviour) -> None:
    start = time.monotonic()
    refused(node.storage(behave), StorageError, "too slow")
    assert time.monotonic() - start < 10 * TIMEOUT


# ---------------------------------------------------------------- broken connections


def breaking_at(size: int) -> Behaviour:
    """Sends at most `size` bytes from the offset asked for, and hangs up in the middle of the body."""

    def behave(request: Request) -> None:
        rest = DATA[int(request.options.get("offset", 0)) :]
        request.answer(rest[:size], length=len(rest))
        request.close_connection = True

    return behave


def test_broken_transfer_goes_on_where_it_stopped(node: FakeNode) -> None:
    assert get_bytes(node.storage(breaking_at(len(DATA) // 2 + 1)), CID, len(DATA)) == DATA
    assert [request.options["offset"] for request in node.requests] == ["0", str(len(DATA) // 2 + 1)]


def test_transfer_that_keeps_breaking_is_given_up(node: FakeNode) -> None:
    refused(node.storage(breaking_at(10)), StorageError, "cannot be reached")
    assert len(node.requests) == ATTEMPTS


def hang_up(request: Request) -> None:
    request.close_connection = True


def test_put_is_repeated_from_where_its_source_began(node: FakeNode) -> None:
    source = BytesIO(b"header" + DATA)
    source.seek(6)
    left = [2]

    def behave(request: Request) -> None:
        left[0] -= 1
        if left[0] >= 0:
            hang_up(request)
        else:
            request.answer(json.dumps({"Hash": CID}).encode())

    assert node.storage(behave).put(source) == CID
    assert len(node.requests) == 3
    assert DATA in node.requests[-1].body
    assert b"header" not in node.requests[-1].body


def test_put_of_what_cannot_be_read_again_is_not_repeated(node: FakeNode) -> None:
    class Stream(BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(StorageError, match="cannot be reached"):
        node.storage(hang_up).put(Stream(b"content"))
    assert len(node.requests) == 1


# ---------------------------------------------------------------- too much to do

BUSY = [
    (status, body) for status in (408, 425, 429, 502, 503, 504) for body in (b"<html>", b'{"Message": "x", "Code": 0}')
]
BUSY.append((500, b"<html>"))


@pytest.mark.parametrize(("status", "body"), BUSY)
def test_busy_node_is_asked_again(node: FakeNode, status: int, body: bytes) -> None:
    left = [2]

    def behave(request: Request) -> None:
        left[0] -= 1
        if left[0] >= 0:
            request.answer(body, status)
        elif request.url.path.endswith("/cat"):
            request.answer(DATA[int(request.options.get("offset", 0)) :])
        else:
            request.answer(json.dumps({"Hash": CID, "Key": CID, "Size": 1}).encode())

    storage = node.storage(behave)
    assert get_bytes(storage, CID, len(DATA)) == DATA
    left[0] = 2
    assert put_bytes(storage, DATA) == CID
    left[0] = 2
    assert storage.has(CID)


@pytest.mark.parametrize(("status", "body"), BUSY)
def test_node_that_stays_busy_has_neither_lost_nor_spoiled_anything(
    node: FakeNode, status: int, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_pause", lambda state: 0.01)
    storage = node.storage(lambda request: request.answer(body, status))
    for call in (
        lambda: get_bytes(storage, CID, len(DATA)),
        lambda: put_bytes(storage, DATA),
        lambda: storage.has(CID),
    ):
        node.requests.clear()
        with pytest.raises(Unreachable, match=r"has too much to do, or is out of order .*: try again later"):
            call()
        assert len(node.requests) == ATTEMPTS


def test_node_may_say_how_long_it_wants_to_be_left_alone(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    honest = transfer._pause
    monkeypatch.setattr(transfer, "_pause", lambda state: waits.append(honest(state)) or 0.0)
    with pytest.raises(Unreachable):
        get_bytes(node.storage(lambda request: request.answer(b"", 429, Retry_After="7")), CID, len(DATA))
    assert set(waits) == {7.0}


def test_gateway_that_takes_no_such_content_says_so_once(node: FakeNode) -> None:
    with pytest.raises(StorageError, match="does not take so much at once"):
        put_bytes(node.storage(lambda request: request.answer(b"<html>", 413)), DATA)
    assert len(node.requests) == 1


def test_node_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        storage = open_storage(f"/ip4/127.0.0.1/tcp/{port}", timeout=TIMEOUT)
        for call in (lambda: put_bytes(storage, b"x"), lambda: storage.has(CID), lambda: get_bytes(storage, CID, 9)):
            with pytest.raises(StorageError, match=f"/ip4/127.0.0.1/tcp/{port} cannot be reached .*refused.*start it"):
                call()


# ---------------------------------------------------------------- answers of another kind


def test_kubos_word_for_absent_content_is_understood(node: FakeNode) -> None:
    message = f"block was not found locally (offline): ipld: could not find {CID}"
    body = json.dumps({"Message": message, "Code": 0, "Type": "error"}).encode()
    storage = node.storage(lambda request: request.answer(body, status=500))
    refused(storage, NotFound, "did not find the content")
    assert not storage.has(CID)
    assert len(node.requests) == 2


def test_nodes_refusal_is_quoted(node: FakeNode) -> None:
    body = json.dumps({"Message": "this dag node is a directory", "Code": 0, "Type": "error"}).encode()
    refused(node.storage(lambda request: request.answer(body, 500)), StorageError, "this dag node is a directory")


def test_redirect_is_not_followed(node: FakeNode) -> None:
    storage = node.storage(lambda request: request.answer(b"", 307, Location="/elsewhere"))
    refused(storage, StorageError, "sends its callers elsewhere")
    assert len(node.requests) == 1


@pytest.mark.parametrize("status", [200, 403, 404, 405, 500])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"1",
        b"[]",
        b'"Hash"',
        b"{}",
        b"{}{}",
        b'{"Hash": 1}',
        b'{"Type": "error"}',
        b"\xff\xfe",
        b"{" * 9,
    ],
)
def test_server_of_another_kind_is_no_ipfs_node(node: FakeNode, status: int, body: bytes) -> None:
    storage = node.storage(lambda request: request.answer(body, status))
    with pytest.raises(StorageError):
        put_bytes(storage, b"content")
    with pytest.raises(StorageError):
        get_bytes(storage, CID, len(DATA))


def test_nothing_of_the_file_but_its_bytes_is_sent(node: FakeNode, tmp_path: Path) -> None:
    path = tmp_path / "private-name"
    path.write_bytes(DATA)
    storage = node.storage(lambda request: request.answer(json.dumps({"Hash": CID}).encode()))
    with path.open("rb") as file:
        assert storage.put(file) == CID
    (request,) = node.requests
    assert DATA in request.body
    assert b"private-name" not in request.body + bytes(request.headers)
    asked = {name: request.options[name] for name in ("cid-version", "raw-leaves", "chunker", "cid-base", "pin")}
    assert asked == {
        "cid-version": "1",
        "raw-leaves": "True",
        "chunker": "size-262144",
        "cid-base": "base32",
        "pin": "True",
    }
