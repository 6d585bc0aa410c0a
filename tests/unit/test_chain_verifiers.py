"""The proof verifiers: what is deployed is found genuine, and nothing else is, whatever it says of itself."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from marketplace.chain import abi
from marketplace.chain.connection import Connection
from marketplace.chain.verifiers import (
    Verifiers,
    deploy_decision,
    deploy_gram,
    gram_key_hash,
    is_decision,
    is_gram,
    read_verifiers,
)
from marketplace.domain import Rule, Terms
from marketplace.errors import ChainError, InputError, Reverted
from tests.chain_fixtures import PEOPLE, Chain, Proxy, new_contract, terms, untouched
from tests.patience import PATIENCE
from zk.verifier import GramSetup, key_hash

pytest_plugins = ["tests.chain_fixtures"]

VECTORS = Path(__file__).parents[1] / "vectors"
SIGNER = PEOPLE[0]
CIRCUIT = 108


def vectors(name: str, part: str) -> list[Any]:
    found: list[Any] = json.loads((VECTORS / f"{name}.json").read_text())[part]
    return found


SETUP, OTHER_SETUP = (GramSetup(s["chunk"], bytes.fromhex(s["g2"][1][2:])) for s in vectors("gram", "setups"))
KEY = bytes.fromhex(vectors("groth16", "cases")[0]["key"][2:])


@dataclass
class Pair:
    """Genuine verifiers on a chain, and terms that name them."""

    chain: Chain
    terms: Terms

    def code(self, address: str) -> bytearray:
        return bytearray(self.chain.connection.ask(lambda eth: eth.get_code(address)))  # type: ignore[arg-type]

    def put(self, address: str, code: bytes) -> None:
        self.chain.connection.request("anvil_setCode", address, "0x" + code.hex())

    def read(self) -> Verifiers:
        return read_verifiers(self.chain.connection, self.terms)

    @property
    def store(self) -> str:
        place = abi.artifact("DecisionVerifier")["immutables"]["_store"][0]
        return to_checksum_address(bytes(self.code(self.terms.decision_verifier)[place + 12 : place + 32]))


def deployed(chain: Chain) -> Pair:
    gram = deploy_gram(chain.connection, SIGNER, SETUP.chunk, SETUP.tau, receipt_within=PATIENCE)
    decision = deploy_decision(chain.connection, SIGNER, CIRCUIT, KEY, receipt_within=PATIENCE)
    names = {"gram_verifier": gram, "gram_key": gram_key_hash(SETUP.chunk, SETUP.tau)}
    return Pair(chain, terms(chain, **names, decision_verifier=decision, decision_key=key_hash(KEY)))


@pytest.fixture(scope="module")
def _pair(_anvil_chain: Chain) -> Iterator[Pair]:
    with untouched(_anvil_chain) as chain:
        yield deployed(chain)


@pytest.fixture
def pair(_pair: Pair) -> Iterator[Pair]:
    with untouched(_pair.chain):
        yield _pair


def test_what_was_deployed_is_found_genuine_and_says_what_it_checks_with(any_chain: Chain) -> None:
    pair = deployed(any_chain)
    assert pair.read() == Verifiers(SETUP, CIRCUIT, KEY)
    connection, t = any_chain.connection, pair.terms
    assert is_gram(connection, t.gram_verifier, SETUP.chunk, SETUP.tau)
    assert is_decision(connection, t.decision_verifier, CIRCUIT, KEY)
    any_chain.market.create_job(SIGNER, t, b"\x07" * 32, "bafy")  # and their own `keyHash` and `circuit` agree


def test_the_verifier_s_own_hash_is_the_one_computed_here(pair: Pair) -> None:
    asked: dict[str, object] = {"to": pair.terms.gram_verifier, "data": "0x" + keccak(text="keyHash()")[:4].hex()}
    assert pair.chain.connection.call(asked) == gram_key_hash(SETUP.chunk, SETUP.tau)


def test_a_verifier_for_something_else_is_not_taken_for_it(pair: Pair) -> None:
    connection, t = pair.chain.connection, pair.terms
    assert not is_gram(connection, t.gram_verifier, SETUP.chunk * 2, SETUP.tau)
    assert not is_gram(connection, t.gram_verifier, SETUP.chunk, OTHER_SETUP.tau)
    assert not is_gram(connection, t.decision_verifier, SETUP.chunk, SETUP.tau)
    assert not is_gram(connection, PEOPLE[9].address, SETUP.chunk, SETUP.tau)
    assert not is_decision(connection, t.decision_verifier, 208, KEY)
    assert not is_decision(connection, t.decision_verifier, CIRCUIT, KEY + bytes(64))
    assert not is_decision(connection, t.gram_verifier, CIRCUIT, KEY)
    assert not is_decision(connection, PEOPLE[9].address, CIRCUIT, KEY)


# ---------------------------------------------------------------- lies


def test_a_stub_with_the_right_hashes_is_refused(pair: Pair) -> None:
    """The market itself would take it: createJob asks for hash and circuit only."""
    gram = new_contract(pair.chain.connection, "StubGramVerifier", encode(["bytes32"], [pair.terms.gram_key]))
    lying = replace(pair.terms, gram_verifier=gram)
    pair.chain.market.create_job(SIGNER, lying, b"\x07" * 32, "bafy")
    with pytest.raises(ChainError, match=f"at {gram} .* is not Merit's Gram verifier"):
        read_verifiers(pair.chain.connection, lying)
    said = encode(["uint256", "bytes32"], [CIRCUIT, pair.terms.decision_key])
    decision = new_contract(pair.chain.connection, "StubDecisionVerifier", said)
    lying = replace(pair.terms, decision_verifier=decision)
    pair.chain.market.create_job(SIGNER, lying, b"\x07" * 32, "bafy")
    with pytest.raises(ChainError, match=f"at {decision} .* is not Merit's decision verifier"):
        read_verifiers(pair.chain.connection, lying)


PLACES = [
    (contract, name, place)
    for contract in ("GramVerifier", "DecisionVerifier")
    for name, places in abi.artifact(contract)["immutables"].items()
    for place in places
]


@pytest.mark.parametrize(("contract", "name", "place"), PLACES, ids=str)
@pytest.mark.parametrize("byte", [0, 31])
def test_genuine_code_with_another_immutable_is_refused(
    pair: Pair, contract: str, name: str, place: int, byte: int
) -> None:
    """So one could pay without a proof: with an _omega of 0, an inputCount of 0, a store of one's own."""
    address = pair.terms.gram_verifier if contract == "GramVerifier" else pair.terms.decision_verifier
    code = pair.code(address)
    code[place + byte] ^= 1
    pair.put(address, bytes(code))
    with pytest.raises(ChainError, match=r"do not take part|has another|for circuit"):
        pair.read()


@pytest.mark.parametrize(("contract", "name"), sorted({(contract, name) for contract, name, _ in PLACES}))
def test_genuine_code_with_another_immutable_wherever_it_is_used_is_refused(
    pair: Pair, contract: str, name: str
) -> None:
    address = pair.terms.gram_verifier if contract == "GramVerifier" else pair.terms.decision_verifier
    code = pair.code(address)
    for place in abi.artifact(contract)["immutables"][name]:
        code[place + 31] ^= 1
    pair.put(address, bytes(code))
    with pytest.raises(ChainError, match=r"do not take part|has another|for circuit"):
        pair.read()


def test_every_immutable_is_covered() -> None:
    assert {name for _, name, _ in PLACES} == {
        *("chunk", "keyHash", "_chunkInverse", "_omega", "_tau0", "_tau1", "_tau2", "_tau3"),
        *("circuit", "inputCount", "_store"),
    }


def changed(place: int) -> Callable[[bytearray], bytes]:
    def change(code: bytearray) -> bytes:
        code[place] ^= 1
        return bytes(code)

    return change


@pytest.mark.parametrize("which", ["gram_verifier", "decision_verifier"])
@pytest.mark.parametrize(
    "change",
    [
        changed(0),
        changed(-1),
        changed(400),
        lambda code: bytes(code) + b"\0",
        lambda code: bytes(code[:-1]),
        lambda code: bytes(code[:100]),
        lambda code: b"",
        lambda code: b"\0",
        lambda code: bytes.fromhex("ef0100") + bytes(code[:20]),  # an account that has delegated itself, EIP-7702
        lambda code: bytes(len(code)),
        lambda code: b"\xff" * len(code),
    ],
)
def test_other_code_is_refused(pair: Pair, which: str, change: Callable[[bytearray], bytes]) -> None:
    address = getattr(pair.terms, which)
    pair.put(address, change(pair.code(address)))
    with pytest.raises(ChainError, match="do not take part in this job"):
        pair.read()


def other_words(code: bytearray) -> bytes:
    """Another γ: anything could be proved with a key of one's own."""
    code[1 + 6 * 32 : 1 + 7 * 32] = bytes(31) + b"\x05"
    return bytes(code)


@pytest.mark.parametrize(
    "change",
    [
        other_words,
        lambda code: b"\x01" + bytes(code[1:]),  # the right words, but a call could run them, up to a SELFDESTRUCT
        lambda code: b"\xff" + bytes(code[1:]),
        lambda code: bytes(code[1:]),
        lambda code: bytes(code) + bytes(64),
        lambda code: bytes(code) + b"\0",
        lambda code: bytes(code[:-64]),
        lambda code: bytes(code[: 1 + 14 * 32]),
        lambda code: b"\0",
        lambda code: b"",
    ],
)
def test_a_store_with_anything_but_the_key_is_refused(pair: Pair, change: Callable[[bytearray], bytes]) -> None:
    pair.put(pair.store, change(pair.code(pair.store)))
    with pytest.raises(ChainError, match="is not Merit's decision verifier"):
        pair.read()


def test_genuine_verifiers_of_another_set_up_key_or_circuit_are_refused(pair: Pair) -> None:
    connection, t = pair.chain.connection, pair.terms
    gram = deploy_gram(connection, SIGNER, OTHER_SETUP.chunk, OTHER_SETUP.tau, receipt_within=PATIENCE)
    with pytest.raises(ChainError, match=f"The Gram verifier at {gram} has another set-up"):
        read_verifiers(connection, replace(t, gram_verifier=gram))
    longer = KEY + KEY[-64:]
    decision = deploy_decision(connection, SIGNER, CIRCUIT, longer, receipt_within=PATIENCE)
    with pytest.raises(ChainError, match=f"The decision verifier at {decision} has another key"):
        read_verifiers(connection, replace(t, decision_verifier=decision))
    decision = deploy_decision(connection, SIGNER, 208, KEY, receipt_within=PATIENCE)
    with pytest.raises(ChainError, match=r"is for circuit 208, and the job's terms need 108"):
        read_verifiers(connection, replace(t, decision_verifier=decision))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_trainers": 8}, None),
        ({"max_trainers": 9}, "is for circuit 108, and the job's terms need 116"),
        ({"rule": Rule.REFERENCE}, "is for circuit 108, and the job's terms need 208"),
        ({"max_trainers": 33}, "have no circuit"),
        ({"gram_key": bytes(32)}, "has another set-up"),
        ({"decision_key": bytes(32)}, "has another key"),
    ],
)
def test_the_terms_say_which_circuit_and_keys(pair: Pair, changes: dict[str, Any], message: str | None) -> None:
    wanted = replace(pair.terms, **changes)
    if message is None:
        assert read_verifiers(pair.chain.connection, wanted) == pair.read()
        return
    with pytest.raises(ChainError, match=message):
        read_verifiers(pair.chain.connection, wanted)


@pytest.mark.parametrize("code", [None, 7, "0xzz", "verifier", [], {"code": "0x"}])
def test_a_node_that_sends_no_code_is_one_sentence(pair: Pair, proxy: Proxy, code: object) -> None:
    def hook(request: dict[str, Any], forward: Callable[[], Any]) -> Any:
        answer = forward()
        return answer | {"result": code} if request["method"] == "eth_getCode" else answer

    proxy.hook = hook
    with pytest.raises(ChainError):
        read_verifiers(Connection(proxy.url), pair.terms)


# ---------------------------------------------------------------- deploying


def test_what_is_no_set_up_or_key_is_not_deployed(pair: Pair) -> None:
    connection = pair.chain.connection
    for tau in (b"", SETUP.tau[:-1], SETUP.tau + b"\0"):
        with pytest.raises(InputError, match="128 bytes"):
            deploy_gram(connection, SIGNER, SETUP.chunk, tau)
    for key in (b"", KEY[:-1], KEY + bytes(32), KEY[: 14 * 32]):
        with pytest.raises(InputError, match="A verifying key has no"):
            deploy_decision(connection, SIGNER, CIRCUIT, key)
    with pytest.raises(Reverted, match="does not take chunks of 3 entries"):
        deploy_gram(connection, SIGNER, 3, SETUP.tau)
    with pytest.raises(Reverted) as caught:
        deploy_gram(connection, SIGNER, SETUP.chunk, bytes(127) + b"\x01")
    assert caught.value.name == "InvalidPoint"
    unsafe = KEY[: 10 * 32] + KEY[6 * 32 : 10 * 32] + KEY[14 * 32 :]
    with pytest.raises(Reverted, match="anything could be proved"):
        deploy_decision(connection, SIGNER, CIRCUIT, unsafe)
