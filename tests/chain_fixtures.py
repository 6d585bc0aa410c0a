"""Chains for tests: one Anvil and one Ganache a run, reset to a fresh market before each test.

Use with `pytest_plugins = ["tests.chain_fixtures"]`. A test that takes `chain` runs on Anvil; one that takes
`any_chain` runs on both, the second leg marked `ganache`.

PYTEST_DONT_REWRITE: test modules import from here before pytest registers the plugin.
"""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import solcx
from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_utils.abi import function_signature_to_4byte_selector

from marketplace.chain import guard
from marketplace.chain.anvil import MNEMONIC, Anvil, dev_accounts, find_tool
from marketplace.chain.compile import SETTINGS, SOLC, compile_sources
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import deploy
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.chain.transactions import transact
from marketplace.domain import ZERO_ADDRESS, Event, Rule, Settlement, Terms

PEOPLE = dev_accounts(10)
KEY = b"\x07" * 32


@dataclass(frozen=True)
class Chain:
    """A market on a chain whose clock the test turns."""

    connection: Connection
    market: Market
    first_block: int

    def forward(self, seconds: int) -> None:
        self.connection.request("evm_increaseTime", seconds)
        self.connection.request("evm_mine")

    def events(self, job_id: int | None = None) -> list[Event]:
        return EventReader(self.connection, self.market.address, self.first_block).read(job_id=job_id)[0]


@contextmanager
def ganache() -> Iterator[str]:
    """The address of a Ganache's RPC. It takes no port 0: one that was just free is tried, a few times."""
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [find_tool("ganache"), f"--server.port={port}", "--chain.hardfork=shanghai"]
        process = subprocess.Popen(
            [sys.executable, "-IS", guard.__file__, *command, f"--wallet.mnemonic={MNEMONIC}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started = threading.Event()
        threading.Thread(target=_drain, args=(process, started), daemon=True).start()
        try:
            started.wait(60)
            if process.poll() is None:
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            if process.stdin:
                process.stdin.close()
            process.wait(20)
    pytest.fail("Ganache did not start")


def _drain(process: "subprocess.Popen[str]", started: threading.Event) -> None:
    for line in process.stdout or ():
        if "Listening on" in line:
            started.set()
    started.set()


class Proxy:
    """An RPC between a test and a chain that does to requests what the test wants.

    hook(request, forward) gives the answer: JSON as an object, an HTTP status as int, or bytes as they are. forward()
    asks the chain and returns its answer.
    """

    Hook = Callable[[dict[str, Any], Callable[[], Any]], Any]

    def __init__(self, target: str) -> None:
        self.hook: Proxy.Hook = lambda request, forward: forward()
        self.methods: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = json.loads(body)
                proxy.methods.append(request["method"])
                headers = {"Content-Type": "application/json"}
                answer = proxy.hook(request, lambda: requests.post(target, body, headers=headers, timeout=20).json())
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(answer if isinstance(answer, int) else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:  # clients that hang up are part of the tests
                ...

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _on(connection: Connection) -> Chain:
    deployment = deploy(connection, PEOPLE[0])
    return Chain(connection, Market(connection, deployment.market, receipt_within=20), deployment.block)


@contextmanager
def _untouched(chain: Chain) -> Iterator[Chain]:
    """The chain, and afterwards as it was before."""
    snapshot = chain.connection.request("evm_snapshot")
    yield chain
    chain.connection.request("evm_revert", snapshot)


@pytest.fixture(scope="session")
def anvil() -> Iterator[Anvil]:
    with Anvil() as running:
        yield running


@pytest.fixture(scope="session")
def _anvil_chain(anvil: Anvil) -> Chain:
    return _on(Connection(anvil.url))


@pytest.fixture(scope="session")
def ganache_url() -> Iterator[str]:
    with ganache() as url:
        yield url


@pytest.fixture(scope="session")
def _ganache_chain(ganache_url: str) -> Chain:
    return _on(Connection(ganache_url))


@pytest.fixture
def chain(_anvil_chain: Chain) -> Iterator[Chain]:
    with _untouched(_anvil_chain) as chain:
        yield chain


@pytest.fixture(params=["anvil", pytest.param("ganache", marks=pytest.mark.ganache)])
def any_chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    with _untouched(request.getfixturevalue(f"_{request.param}_chain")) as chain:
        yield chain


@pytest.fixture
def proxy(chain: Chain) -> Iterator[Proxy]:
    """Between the test and `chain`'s node."""
    between = Proxy(chain.connection.url)
    yield between
    between.close()


@cache
def _test_contract(name: str) -> dict[str, Any]:
    return compile_sources([f"contracts/test/{name}.sol"])[name]


@dataclass(frozen=True)
class Token:
    """An ERC-20 of contracts/test, which anybody may mint."""

    connection: Connection
    address: str

    def send(self, signature: str, *arguments: object, signer: LocalAccount = PEOPLE[0]) -> None:
        types = signature[signature.index("(") + 1 : -1].split(",")
        data = function_signature_to_4byte_selector(signature) + encode(types, arguments)
        transact(self.connection, signer, self.address, data, wait=20)


STUBBORN = """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;
import {PlainToken} from "contracts/test/PlainToken.sol";
/// Changes an allowance only from zero or to zero, as USDT does.
contract StubbornToken is PlainToken {
    function approve(address spender, uint256 value) public override returns (bool) {
        require(value == 0 || allowance(msg.sender, spender) == 0);
        return super.approve(spender, value);
    }
}
"""


@cache
def _stubborn() -> str:
    request = {
        "language": "Solidity",
        "sources": {"StubbornToken.sol": {"content": STUBBORN}},
        "settings": {**SETTINGS, "outputSelection": {"*": {"StubbornToken": ["evm.bytecode.object"]}}},
    }
    compiled = solcx.compile_standard(request, solc_binary=SOLC)
    return str(compiled["contracts"]["StubbornToken.sol"]["StubbornToken"]["evm"]["bytecode"]["object"])


def new_token(chain: Chain, name: str = "PlainToken") -> Token:
    """One of contracts/test, or the StubbornToken."""
    code = bytes.fromhex(_stubborn() if name == "StubbornToken" else _test_contract(name)["bytecode"][2:])
    address = transact(chain.connection, PEOPLE[0], None, code, wait=20)["contractAddress"]
    assert address
    return Token(chain.connection, address)


def terms(chain: Chain, **changes: Any) -> Terms:
    """Terms that leave an hour to enrol and ten minutes for each phase."""
    usual: dict[str, Any] = {
        "token": ZERO_ADDRESS,
        "reward": 1_000_000,
        "fee": 70_000,
        "stake": 500_000,
        "bond": 900_000,
        "aggregator": ZERO_ADDRESS,
        "enrol_by": chain.connection.now() + 3600,
        "submit_window": 600,
        "settle_window": 600,
        "rule": Rule.KRUM_COSINE,
        "rounds": 2,
        "min_trainers": 2,
        "max_trainers": 3,
        "max_faulty": 1,
        "max_missed": 2,
        "max_strikes": 2,
        "max_empty_rounds": 2,
        "slash_bps": 3000,
    }
    return Terms(**usual | changes)


def settlement(selected: int, weights: tuple[int, ...], unopened: int = 0) -> Settlement:
    return Settlement(unopened, selected, weights, "bafysum" if selected else "", "", bytes(32))


OWNER, AGGREGATOR, TRAINERS = PEOPLE[1], PEOPLE[2], PEOPLE[3:6]


def running_job(chain: Chain, **changes: Any) -> int:
    """A job in round 1 with three trainers in slots 0 to 2, its key published."""
    market = chain.market
    job_id, _ = market.create_job(OWNER, terms(chain, **changes), KEY, "bafyspec")
    market.accept_aggregation(AGGREGATOR, job_id, AGGREGATOR.address, KEY)
    for trainer in TRAINERS:
        market.join(trainer, job_id, trainer.address, KEY)
    market.start(OWNER, job_id)
    market.publish_key(AGGREGATOR, job_id, "bafykey")
    return job_id


def commitment(*parts: int) -> bytes:
    return bytes([1, *parts]).ljust(32, b"\0")
