"""What is true is accepted, by both verifiers, byte by byte the same; and what that costs in gas."""

import json
import time

import pytest

from tests import proof_oracle as oracle
from tests.soundness.verdicts import (
    ACCEPTED,
    DECISION,
    GRAM,
    Decision,
    Gram,
    PythonVerifier,
    SolidityVerifier,
    Verifier,
    decision_arguments,
    gram_arguments,
    proved,
)
from zk.verifier import GramSetup, GramStatement

GRAM_VECTORS = json.loads((oracle.VECTORS / "gram.json").read_text())
GROTH16_VECTORS = json.loads((oracle.VECTORS / "groth16.json").read_text())
SETUPS = {s["chunk"]: s for s in GRAM_VECTORS["setups"]}


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def from_vector(v: dict) -> Gram:  # type: ignore[type-arg]
    statement = GramStatement(
        context=unhex(v["context"]["encoded"]),
        positions=sum(1 << p for p in v["positions"]),
        gram_hash=int(v["gram_hash"], 16),
        commitments=tuple(unhex(c) for c in v["commitments"]),
        sums=unhex(v["sums"]),
        coefficients=tuple(v["coefficients"]),
    )
    return Gram(statement, unhex(v["proof"]), GramSetup(v["chunk"], unhex(SETUPS[v["chunk"]]["g2"][1])))


@pytest.mark.parametrize("vector", GRAM_VECTORS["cases"], ids=lambda v: v["name"])
def test_a_true_gram_matrix_is_accepted(verifier: Verifier, vector: dict) -> None:  # type: ignore[type-arg]
    assert verifier.gram(from_vector(vector)) == ACCEPTED


@pytest.mark.parametrize("vector", GRAM_VECTORS["cases"], ids=lambda v: v["name"])
def test_the_contract_draws_the_challenges_of_the_vectors(solidity: SolidityVerifier, vector: dict) -> None:  # type: ignore[type-arg]
    case = from_vector(vector)
    returned = ["bool", "uint256", "uint256"]
    given = solidity.call(solidity.gram_verifier(case.setup), "verify" + GRAM, gram_arguments(case), returned)
    assert given == (True, int(vector["challenges"]["r"], 16), int(vector["challenges"]["s"], 16))


@pytest.mark.parametrize("vector", GROTH16_VECTORS["cases"], ids=lambda v: v["name"])
def test_a_true_decision_is_accepted(verifier: Verifier, vector: dict) -> None:  # type: ignore[type-arg]
    inputs = tuple(int(x, 16) for x in vector["inputs"])
    assert verifier.decision(Decision(unhex(vector["key"]), inputs, unhex(vector["proof"]))) == ACCEPTED


def test_a_deployed_verifier_says_what_it_checks(solidity: SolidityVerifier) -> None:
    vector = GROTH16_VECTORS["cases"][1]
    address = solidity.decision_verifier(unhex(vector["key"]))
    assert solidity.call(address, "keyHash()", [], ["bytes32"])[0] == unhex(vector["key_hash"])
    assert solidity.call(address, "inputCount()", [], ["uint256"])[0] == len(vector["inputs"])
    assert solidity.call(address, "circuit()", [], ["uint256"])[0] == 108
    key = solidity.call(address, "key()", [], ["uint256[]"])[0]
    assert b"".join(map(oracle.word, key)) == unhex(vector["key"])
    setup = SETUPS[8]
    gram = solidity.gram_verifier(GramSetup(8, unhex(setup["g2"][1])))
    assert solidity.call(gram, "chunk()", [], ["uint256"])[0] == 8
    tau = solidity.call(gram, "tau()", [], ["uint256"] * 4)
    assert b"".join(map(oracle.word, tau)) == unhex(setup["g2"][1])


@pytest.mark.parametrize(
    ("slots", "references", "chunks", "most"),
    [(8, True, 1, 325_000), (16, True, 1, 400_000), (16, True, 8, 1_450_000), (32, True, 1, 550_000)],
)
def test_gas_of_a_gram_proof(solidity: SolidityVerifier, slots: int, references: bool, chunks: int, most: int) -> None:
    case = proved(oracle.make_round("gas", slots=range(slots), references=references, d=8 * chunks))
    gas = solidity.gas(solidity.gram_verifier(case.setup), "verify" + GRAM, gram_arguments(case))
    assert gas <= most


def test_gas_of_a_decision_proof(solidity: SolidityVerifier) -> None:
    vector = GROTH16_VECTORS["cases"][1]
    case = Decision(unhex(vector["key"]), tuple(int(x, 16) for x in vector["inputs"]), unhex(vector["proof"]))
    address = solidity.decision_verifier(case.key)
    gas = solidity.gas(address, "verify" + DECISION, decision_arguments(case))
    assert gas <= 315_000


def test_a_round_of_eight_trainers_is_verified_within_seconds() -> None:
    case = proved(oracle.make_round("time", slots=range(8), references=True, d=8))
    vector = GROTH16_VECTORS["cases"][1]
    decision = Decision(unhex(vector["key"]), tuple(int(x, 16) for x in vector["inputs"]), unhex(vector["proof"]))
    began = time.monotonic()
    assert PythonVerifier().gram(case) == PythonVerifier().decision(decision) == ACCEPTED
    took = time.monotonic() - began
    assert took < 15
