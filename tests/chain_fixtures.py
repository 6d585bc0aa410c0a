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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import solcx
from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_utils.abi import function_signature_to_4byte_selector

from marketplace.chain import guard, transactions
from marketplace.chain.answers import Mined
from marketplace.chain.anvil import MNEMONIC, Anvil, dev_accounts, find_tool
from marketplace.chain.compile import SETTINGS, SOLC, compile_sources
from marketplace.chain.connection import Connection, Refused
from marketplace.chain.deploy import deploy
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.chain.transactions import transact
from marketplace.domain import ZERO_ADDRESS, Event, RoundProof, Rule, Settlement, Terms, slots
from tests.patience import PATIENCE
from tests.values import TERMS
from zk.encoding import commitment_hash, submission_hash
from zk.statements import circuit_id

PEOPLE = dev_accounts(10)
KEY = b"\x07" * 32
GRAM_KEY, DECISION_KEY = b"\x0a" * 32, b"\x0b" * 32
STUB_CIRCUITS = (108, 208)


@dataclass(frozen=True)
class Chain:
    """A market on a chain whose clock the test turns.

    gram, decisions: verifiers that take any proof, until they are told not to; the latter by circuit.
    """

    connection: Connection
    market: Market
    first_block: int
    gram: str
    decisions: Mapping[int, str]

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
            disable_nagle_algorithm = True  # else each answer, written in two parts, waits 40 ms for an acknowledgement

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = json.loads(body)
                proxy.methods.append(request["method"])
                headers = {"Content-Type": "application/json"}
                answer = proxy.hook(
                    request, lambda: requests.post(target, body, headers=headers, timeout=PATIENCE).json()
                )
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


@cache
def _code(name: str) -> bytes:
    return bytes.fromhex(compile_sources([f"contracts/test/{name}.sol"])[name]["bytecode"][2:])


def _created(connection: Connection, code: bytes) -> str:
    address = transact(connection, PEOPLE[0], None, code, wait=PATIENCE).contract
    assert address
    return address


def new_contract(connection: Connection, name: str, arguments: bytes = b"") -> str:
    """One of contracts/test; its address. arguments: the constructor's, encoded."""
    return _created(connection, _code(name) + arguments)


def chain_on(connection: Connection) -> Chain:
    """A fresh market with verifiers that take any proof."""
    deployment = deploy(connection, PEOPLE[0])
    return with_stubs(connection, Market(connection, deployment.market, receipt_within=PATIENCE), deployment.block)


def with_stubs(connection: Connection, market: Market, first_block: int = 0) -> Chain:
    """A market that is there, with verifiers that take any proof."""
    gram = new_contract(connection, "StubGramVerifier", encode(["bytes32"], [GRAM_KEY]))
    decisions = {
        circuit: new_contract(
            connection, "StubDecisionVerifier", encode(["uint256", "bytes32"], [circuit, DECISION_KEY])
        )
        for circuit in STUB_CIRCUITS
    }
    return Chain(connection, market, first_block, gram, decisions)


@contextmanager
def untouched(chain: Chain) -> Iterator[Chain]:
    """The chain, and afterwards as it was before."""
    snapshot = chain.connection.request("evm_snapshot")
    yield chain
    chain.connection.request("evm_revert", snapshot)
    with suppress(Refused):  # Anvil's pool would keep what the test left in it, and mine it in the next one
        chain.connection.request("anvil_dropAllTransactions")
    transactions.forget()  # what was mined since is no more


@pytest.fixture(scope="session")
def anvil() -> Iterator[Anvil]:
    with Anvil() as running:
        yield running


@pytest.fixture(scope="session")
def _anvil_chain(anvil: Anvil) -> Chain:
    return chain_on(Connection(anvil.url, timeout=PATIENCE))


@pytest.fixture(scope="session")
def ganache_url() -> Iterator[str]:
    with ganache() as url:
        yield url


@pytest.fixture(scope="session")
def _ganache_chain(ganache_url: str) -> Chain:
    return chain_on(Connection(ganache_url, timeout=PATIENCE))


@pytest.fixture
def chain(_anvil_chain: Chain) -> Iterator[Chain]:
    with untouched(_anvil_chain) as chain:
        yield chain


@pytest.fixture(params=["anvil", pytest.param("ganache", marks=pytest.mark.ganache)])
def any_chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    with untouched(request.getfixturevalue(f"_{request.param}_chain")) as chain:
        yield chain


@pytest.fixture
def proxy(chain: Chain) -> Iterator[Proxy]:
    """Between the test and `chain`'s node."""
    between = Proxy(chain.connection.url)
    yield between
    between.close()


def send(
    connection: Connection, to: str, signature: str, *arguments: object, signer: LocalAccount = PEOPLE[0]
) -> Mined:
    """Calls a function of any contract."""
    types = signature[signature.index("(") + 1 : -1].split(",")
    data = function_signature_to_4byte_selector(signature) + encode(types, arguments)
    return transact(connection, signer, to, data, wait=PATIENCE)


@dataclass(frozen=True)
class Token:
    """An ERC-20 of contracts/test, which anybody may mint."""

    connection: Connection
    address: str

    def send(self, signature: str, *arguments: object, signer: LocalAccount = PEOPLE[0]) -> None:
        send(self.connection, self.address, signature, *arguments, signer=signer)


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
    code = bytes.fromhex(_stubborn()) if name == "StubbornToken" else _code(name)
    return Token(chain.connection, _created(chain.connection, code))


def terms(chain: Chain, **changes: Any) -> Terms:
    """Terms that leave an hour to enrol and ten minutes for each phase."""
    usual = replace(
        TERMS,
        reward=1_000_000,
        fee=70_000,
        stake=500_000,
        bond=900_000,
        aggregator=ZERO_ADDRESS,
        enrol_by=chain.connection.now() + 3600,
        rounds=2,
        min_rounds=changes.get("rounds", 2),
        min_trainers=2,
        max_trainers=3,
        max_missed=2,
        max_strikes=2,
        max_empty_rounds=2,
        slash_bps=3000,
        gram_verifier=chain.gram,
        gram_key=GRAM_KEY,
        decision_key=DECISION_KEY,
    )
    usual = replace(usual, **changes)
    if "decision_verifier" in changes:
        return usual
    circuit = circuit_id(usual.rule, usual.max_trainers)
    return replace(usual, decision_verifier=chain.decisions.get(circuit, ZERO_ADDRESS))


def points(*parts: int) -> tuple[int, int]:
    """The words of a made-up point, which no real verifier would take."""
    return int.from_bytes(bytes([1, *parts])), 2


def packed(words: tuple[int, ...]) -> bytes:
    return b"".join(word.to_bytes(32) for word in words)


def commitment(round_: int, slot: int = 0, *, by: LocalAccount | None = None) -> bytes:
    """What submits the point of a round and slot. by: its sender; None for the trainer that a running job has there."""
    return submission_hash(packed(points(round_, slot)), (by or FIVE[slot]).address)


NO_PROOF = RoundProof((), (), 0, (), (0,) * 8)
"""Not even the wrong one."""


def settlement(
    selected: int,
    scores: tuple[int, ...],
    unopened: int = 0,
    *,
    struck: int = 0,
    row_exponent: int = 0,
    submitted: int,
    round_: int = 1,
    rule: Rule = Rule.KRUM_COSINE,
    coefficients: tuple[int, ...] | None = None,
) -> tuple[Settlement, RoundProof]:
    """A judgement of submissions of `commitment(round_, slot)`, one chunk each, and a proof for the chains' verifiers.

    coefficients: None for those of the rule.
    """
    opened = submitted & ~unopened
    reference = rule is Rule.REFERENCE
    if coefficients is None:
        coefficients = (4096,) * selected.bit_count() if reference else ()
    total = points(200, round_)
    rows = points(201, round_) + points(202, round_) if reference else ()
    judged = Settlement(
        unopened=unopened,
        selected=selected,
        struck=struck,
        scores=scores,
        row_exponent=row_exponent,
        coefficients=coefficients,
        sum_cid="bafysum" if selected else "",
        sum_commitment=commitment_hash(packed(total)),
        reference_cid="bafyrows" if reference else "",
        reference_commitment=commitment_hash(packed(rows)) if reference else bytes(32),
    )
    committed = tuple(word for slot in slots(opened) for word in points(round_, slot))
    return judged, RoundProof(committed + rows, total, 5, tuple(range(16)), tuple(range(8)))


OWNER, AGGREGATOR, TRAINERS, FIVE = PEOPLE[1], PEOPLE[2], PEOPLE[3:6], PEOPLE[3:8]
ONE_FAULTY: dict[str, Any] = {"min_trainers": 5, "max_trainers": 5, "max_faulty": 1}
"""Of a job of five trainers, the fewest of which one may be faulty."""


def running_job(chain: Chain, trainers: Sequence[LocalAccount] = TRAINERS, **changes: Any) -> int:
    """A job in round 1 with its trainers in slots 0 to 2, or as many as there are, its key published."""
    market = chain.market
    job_id, _ = market.create_job(OWNER, terms(chain, **changes), KEY, "bafyspec")
    market.accept_aggregation(AGGREGATOR, job_id, AGGREGATOR.address, KEY)
    for trainer in trainers:
        market.join(trainer, job_id, trainer.address, KEY)
    market.start(OWNER, job_id)
    market.publish_key(AGGREGATOR, job_id, "bafykey")
    return job_id
