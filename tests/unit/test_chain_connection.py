"""What a person is told of a node that is away, slow, wrong, or hostile; and which requests are repeated."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest

from marketplace.chain import connection as connection_module
from marketplace.chain.connection import ATTEMPTS, Connection, Refused, Unanswered
from marketplace.errors import ChainError, InputError
from tests.chain_fixtures import Chain, Proxy

pytest_plugins = ["tests.chain_fixtures"]


def first(count: int, answer: object) -> Proxy.Hook:
    """A hook that answers so to the first requests, and forwards the others."""
    left = [count]

    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        left[0] -= 1
        return forward() if left[0] < 0 else answer

    return hook


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_read_is_repeated_when_the_node_is_busy(chain: Chain, proxy: Proxy, status: int) -> None:
    connection = Connection(proxy.url)
    proxy.hook, proxy.methods = first(2, status), []
    assert connection.ask(lambda eth: eth.block_number) == chain.connection.ask(lambda eth: eth.block_number)
    assert proxy.methods == ["eth_blockNumber"] * 3


def test_a_read_is_repeated_a_bounded_number_of_times(chain: Chain, proxy: Proxy) -> None:
    connection = Connection(proxy.url)
    proxy.hook, proxy.methods = first(100, 503), []
    with pytest.raises(Unanswered, match=r"has too much to do, .* \(HTTP status 503\): try again later"):
        connection.ask(lambda eth: eth.block_number)
    assert len(proxy.methods) == ATTEMPTS


def test_a_sending_is_not_repeated_by_the_connection(chain: Chain, proxy: Proxy) -> None:
    connection = Connection(proxy.url)
    proxy.hook, proxy.methods = first(100, 503), []
    for method in ("eth_sendRawTransaction", "evm_mine"):
        with pytest.raises(ChainError):
            connection.request(method, "0x00")
    assert proxy.methods == ["eth_sendRawTransaction", "evm_mine"]


def test_an_error_of_the_node_is_told_and_not_repeated(chain: Chain, proxy: Proxy) -> None:
    connection = Connection(proxy.url)
    error = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "the method does not exist"}}
    proxy.hook, proxy.methods = first(1, error), []
    with pytest.raises(Refused, match="the method does not exist"):
        connection.request("eth_blockNumber")
    assert len(proxy.methods) == 1


def test_an_unreachable_node_is_one_sentence_without_the_secret_in_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ChainError) as caught:
        Connection(f"http://user:password@127.0.0.1:{port}/v3/SECRET?key=SECRET")
    sentence = str(caught.value)
    assert sentence.startswith(f"The chain's RPC at http://127.0.0.1:{port} does not answer")
    assert "SECRET" not in sentence
    assert "password" not in sentence


@pytest.mark.parametrize("answer", [b"<html>", b"", b"[]", b"{}", b'{"error": "no"}', b"[" * 100_000, b"\xff\xfe"])
def test_what_is_no_rpc_is_told_apart(proxy: Proxy, answer: bytes) -> None:
    proxy.hook = first(100, answer)
    with pytest.raises(ChainError, match=r"is not a chain's RPC: check the address\.$"):
        Connection(proxy.url)


@pytest.mark.parametrize("result", ["zz", None, [], {"a": 1}])
def test_a_result_of_the_wrong_kind_is_refused(proxy: Proxy, result: object) -> None:
    proxy.hook = first(100, {"jsonrpc": "2.0", "id": 1, "result": result})
    with pytest.raises(ChainError, match="gave no usable answer"):
        Connection(proxy.url)


def test_an_endless_answer_is_cut_off(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MAX_RESPONSE", 1000)
    proxy.hook = first(1, b'"' + b"x" * 100_000 + b'"')
    with pytest.raises(ChainError, match="sent more than 1000 bytes in one answer"):
        Connection(proxy.url)


def test_a_silent_node_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ChainError, match="ReadTimeout"):
        Connection(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1)


def test_a_node_that_answers_a_byte_at_a_time_is_given_up_in_time() -> None:
    """Each byte comes well within the timeout."""
    ended = threading.Event()

    class Trickling(StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            with suppress(OSError):
                while not ended.wait(0.02):
                    self.wfile.write(b" ")

    with ThreadingTCPServer(("127.0.0.1", 0), Trickling) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            with pytest.raises(Unanswered, match="answers too slowly: use another node"):
                Connection(f"http://127.0.0.1:{server.server_address[1]}", timeout=0.3)
        finally:
            ended.set()
            server.shutdown()


def test_another_chain_is_refused(chain: Chain) -> None:
    with pytest.raises(ChainError, match="serves chain 31337, not 1: give the address of a node of chain 1"):
        Connection(chain.connection.url, chain_id=1)


@pytest.mark.parametrize("address", ["", "127.0.0.1:8545", "ftp://127.0.0.1", "file:///etc/passwd", "http://"])
def test_only_http_addresses_are_taken(address: str) -> None:
    with pytest.raises(InputError, match="is not an RPC address"):
        Connection(address)


def test_now_is_the_time_of_the_next_block(any_chain: Chain) -> None:
    connection = any_chain.connection
    before = connection.now()
    connection.request("evm_increaseTime", 5000)
    assert before + 5000 <= connection.now() < before + 5060
    expected = connection.now()
    connection.request("evm_mine")
    assert expected <= connection.ask(lambda eth: eth.get_block("latest"))["timestamp"] < expected + 60


def test_now_falls_back_to_the_latest_block(chain: Chain, proxy: Proxy) -> None:
    def without_pending(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        if request["params"][:1] == ["pending"]:
            return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32000, "message": "pending unsupported"}}
        return forward()

    connection = Connection(proxy.url)
    proxy.hook = without_pending
    assert connection.now() == chain.connection.ask(lambda eth: eth.get_block("latest"))["timestamp"]
