"""The two verifiers behind one face, and what attacks are mounted on.

A verdict is "accepted", "refused" (a proof, but not of this statement) or "malformed" (no proof, statement or key at
all: `Malformed` in Python, a revert in Solidity). Every attack expects the same verdict of both.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import pytest
import solcx
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak
from eth_utils.abi import function_signature_to_4byte_selector
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError

from marketplace.chain.compile import ARTIFACTS, ROOT, SETTINGS, SOLC
from tests import proof_oracle as oracle
from zk.points import Malformed
from zk.verifier import GramSetup, GramStatement, verify_decision, verify_gram

ACCEPTED, REFUSED, MALFORMED = "accepted", "refused", "malformed"
GRAM = "((bytes32,uint256,uint256,uint256[],uint256[],uint256[]),uint256[])"
DECISION = "(uint256[],uint256[8])"
CALL_GAS = 2**24  # what one transaction may use on Ethereum (EIP-7825)

M, A, Q, WZ, WW, Y, EA_AT_Z, EM, EA_AT_WZ, ROWS_AT_Z = 0, 2, 4, 6, 8, 10, 11, 12, 13, 14
"""Where the words of a Gram proof are."""


@dataclass(frozen=True)
class Gram:
    """A statement, its proof, and the set-up of its verifier."""

    statement: GramStatement
    proof: bytes
    setup: GramSetup

    def stating(self, **changes: Any) -> "Gram":
        return replace(self, statement=replace(self.statement, **changes))

    def with_word(self, at: int, value: int | bytes) -> "Gram":
        data = value if isinstance(value, bytes) else oracle.word(value)
        return replace(self, proof=self.proof[: 32 * at] + data + self.proof[32 * at + len(data) :])

    def word(self, at: int) -> int:
        return int.from_bytes(self.proof[32 * at : 32 * at + 32], "big")

    def point(self, at: int) -> bytes:
        return self.proof[32 * at : 32 * at + 64]


@dataclass(frozen=True)
class Decision:
    key: bytes
    inputs: tuple[int, ...]
    proof: bytes


def gram_setup(setup: oracle.Setup) -> GramSetup:
    return GramSetup(setup.chunk, oracle.g2_bytes(oracle.g2(setup.tau)))


def stated(round_: oracle.Round, proof: oracle.Proof, **changes: Any) -> Gram:
    """What the prover of `round_` hands over."""
    statement = GramStatement(
        context=round_.context_bytes,
        positions=sum(1 << p for p in round_.positions),
        gram_hash=round_.gram_hash,
        commitments=tuple(round_.commitments()),
        sums=round_.sums(),
        coefficients=round_.coefficients,
    )
    return Gram(replace(statement, **changes), proof.encoded(), gram_setup(round_.setup))


def proved(round_: oracle.Round) -> Gram:
    return stated(round_, oracle.prove(round_))


def mounted(attacks: Iterable[tuple[str, Callable[[], Any]]]) -> list[Any]:
    """The parameters of a test: each attack is prepared once, for both verifiers."""
    return [pytest.param(cache(attack), id=name) for name, attack in attacks]


class Verifier(Protocol):
    def gram(self, case: Gram) -> str: ...
    def decision(self, case: Decision) -> str: ...


class PythonVerifier:
    def gram(self, case: Gram) -> str:
        return self._verdict(verify_gram, case.statement, case.proof, case.setup)

    def decision(self, case: Decision) -> str:
        return self._verdict(verify_decision, case.key, case.inputs, case.proof)

    @staticmethod
    def _verdict(verify: Any, *arguments: Any) -> str:
        try:
            return ACCEPTED if verify(*arguments) else REFUSED
        except Malformed:
            return MALFORMED


def words(data: bytes) -> list[int]:
    if len(data) % 32:
        raise Malformed("not a whole number of words: no contract can be given this")
    return [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]


class SolidityVerifier:
    """The contracts of the artifacts, on a chain; each set-up and key is deployed once."""

    def __init__(self, web3: Web3) -> None:
        self.web3 = web3
        self._deployed: dict[bytes, str] = {}

    def deploy(self, code: str, types: Sequence[str], arguments: Sequence[Any]) -> str:
        """The address of a contract; raises Malformed where its constructor reverts."""
        data = bytes.fromhex(code.removeprefix("0x")) + encode(types, arguments)
        if data not in self._deployed:
            transaction: Any = {"from": self.web3.eth.accounts[0], "data": data, "gas": CALL_GAS}
            mined = self.web3.eth.wait_for_transaction_receipt(self.web3.eth.send_transaction(transaction), 20)
            if mined["status"] != 1 or mined["contractAddress"] is None:
                raise Malformed("the constructor reverted")
            self._deployed[data] = mined["contractAddress"]
        return self._deployed[data]

    def gram_verifier(self, setup: GramSetup, code: str | None = None) -> str:
        return self.deploy(
            code or artifact("GramVerifier")["bytecode"], ["uint256", "uint256[4]"], [setup.chunk, words(setup.tau)]
        )

    def decision_verifier(self, key: bytes) -> str:
        return self.deploy(artifact("DecisionVerifier")["bytecode"], ["uint256", "uint256[]"], [108, words(key)])

    def call(self, to: str, signature: str, arguments: Sequence[Any], returned: Sequence[str]) -> tuple[Any, ...]:
        return decode(returned, self.web3.eth.call(self._transaction(to, signature, arguments)))

    def gas(self, to: str, signature: str, arguments: Sequence[Any]) -> int:
        """Of a whole transaction that only does this, calldata included."""
        transaction = self._transaction(to, signature, arguments)
        hashed = self.web3.eth.send_transaction({**transaction, "from": self.web3.eth.accounts[0]})
        return int(self.web3.eth.wait_for_transaction_receipt(hashed, 20)["gasUsed"])

    @staticmethod
    def _transaction(to: str, signature: str, arguments: Sequence[Any]) -> Any:
        types = signature[signature.index("(") + 1 : -1]
        data = function_signature_to_4byte_selector(signature) + encode(_split(types), arguments)
        return {"to": to, "data": data, "gas": CALL_GAS}

    def gram(self, case: Gram, code: str | None = None) -> str:
        return self._verdict(
            lambda: self.call(
                self.gram_verifier(case.setup, code),
                "verify" + GRAM,
                gram_arguments(case),
                ["bool", "uint256", "uint256"],
            )
        )

    def decision(self, case: Decision) -> str:
        return self._verdict(
            lambda: self.call(self.decision_verifier(case.key), "verify" + DECISION, decision_arguments(case), ["bool"])
        )

    @staticmethod
    def _verdict(ask: Any) -> str:
        try:
            return ACCEPTED if ask()[0] else REFUSED
        except (Malformed, ContractLogicError, Web3RPCError):
            return MALFORMED


def _split(types: str) -> list[str]:
    """The types of a signature's arguments; a tuple is one of them."""
    parts, depth = [""], 0
    for character in types:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part]


def gram_arguments(case: Gram) -> list[Any]:
    s = case.statement
    flat = words(b"".join(s.commitments))
    fields = (keccak(s.context), s.positions, s.gram_hash, flat, words(s.sums), list(s.coefficients))
    return [fields, words(case.proof)]


def decision_arguments(case: Decision) -> list[Any]:
    proof = words(case.proof)
    if len(proof) != 8:
        raise Malformed("the ABI itself refuses another length")
    return [list(case.inputs), proof]


def artifact(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ARTIFACTS / f"{name}.json").read_text())
    return content


def compiled_with(name: str, this: str, instead: str) -> str:
    """The creation code of a verifier in whose source `this`, which is there once, is replaced."""
    path = f"contracts/verifiers/{name}.sol"
    source = (ROOT / path).read_text()
    assert source.count(this) == 1
    request = {
        "language": "Solidity",
        "sources": {path: {"content": source.replace(this, instead)}},
        "settings": {**SETTINGS, "outputSelection": {path: {name: ["evm.bytecode.object"]}}},
    }
    compiled = solcx.compile_standard(request, solc_binary=SOLC)
    return str(compiled["contracts"][path][name]["evm"]["bytecode"]["object"])
