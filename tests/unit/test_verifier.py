"""The auditor's verifier, held to the vectors; what is refused is in tests/soundness."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from py_ecc.optimized_bn128 import G1, Z1, add, eq, is_inf, multiply, neg

from tests import proof_oracle as oracle
from tests.patience import PATIENCE
from zk.points import Malformed, combine
from zk.transcript import Context, P, Transcript
from zk.verifier import (
    GramSetup,
    GramStatement,
    check_setup,
    gram_claim,
    key_hash,
    verify_gram,
)

GRAM: dict[str, Any] = json.loads((oracle.VECTORS / "gram.json").read_text())
GROTH16: dict[str, Any] = json.loads((oracle.VECTORS / "groth16.json").read_text())
ROOT = Path(__file__).parents[2]
by_name = pytest.mark.parametrize("case", GRAM["cases"], ids=lambda case: case["name"])


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def context(case: dict[str, Any]) -> Context:
    c = case["context"]
    return Context(c["chain_id"], unhex(c["market"]), c["job_id"], c["round"], unhex(c["terms_hash"]))


def statement(case: dict[str, Any]) -> GramStatement:
    return GramStatement(
        context=context(case).encoded(),
        positions=sum(1 << p for p in case["positions"]),
        gram_hash=int(case["gram_hash"], 16),
        commitments=[unhex(c) for c in case["commitments"]],
        sums=unhex(case["sums"]),
        coefficients=case["coefficients"],
    )


def setup(case: dict[str, Any]) -> GramSetup:
    (found,) = (s for s in GRAM["setups"] if s["chunk"] == case["chunk"])
    return GramSetup(found["chunk"], unhex(found["g2"][1]))


def test_the_vectors_are_what_the_oracle_writes() -> None:
    assert oracle.gram_vectors() == GRAM
    assert oracle.groth16_vectors() == GROTH16


@pytest.mark.parametrize("chunk", [8, 16])
def test_the_powers_of_a_vectors_set_up_commit_as_its_trapdoor_does(chunk: int) -> None:
    known = oracle.setup(chunk)
    f = [random.Random(chunk).randrange(P) for _ in range(chunk + 5)]
    total = Z1
    for power, coefficient in zip(known.powers(), f, strict=True):
        total = add(total, multiply(power, coefficient))
    assert oracle.g1_bytes(total) == oracle.g1_bytes(known.commit(f))


@by_name
def test_the_context_is_encoded_as_the_contracts_do(case: dict[str, Any]) -> None:
    assert context(case).encoded() == unhex(case["context"]["encoded"])


@by_name
def test_a_vector_is_accepted_with_its_challenges(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = Transcript.challenge
    monkeypatch.setattr(Transcript, "challenge", lambda self: drawn.append(draw(self)) or drawn[-1])
    assert verify_gram(statement(case), unhex(case["proof"]), setup(case))
    assert drawn == [int(case["challenges"][name], 16) for name in ("r", "s", "z", "v", "u", "rho", "lambda")]


@by_name
def test_the_claim_is_what_the_decision_proof_takes(case: dict[str, Any]) -> None:
    r, s, y = gram_claim(statement(case), unhex(case["proof"]), setup(case))
    assert (r, s) == (int(case["challenges"]["r"], 16), int(case["challenges"]["s"], 16))
    # y = Σ r^{e_i} s^{e_j} G_ij + μ
    claimed = int(case["mu"], 16)
    for i, p in enumerate(case["positions"]):
        for j, q in enumerate(case["positions"]):
            claimed += pow(r, p + 1, P) * pow(s, q + 1, P) * int(case["gram"][i][j])
    assert y == claimed % P


@pytest.mark.parametrize("case", GROTH16["cases"], ids=lambda case: case["name"])
def test_a_key_is_named_by_the_hash_of_the_vectors(case: dict[str, Any]) -> None:
    assert key_hash(unhex(case["key"])) == unhex(case["key_hash"])  # its proof: tests/soundness/test_honest.py


@pytest.mark.parametrize("field", ["market", "terms_hash"])
def test_a_context_of_other_lengths_is_refused(field: str) -> None:
    fields = {"chain_id": 1, "market": bytes(20), "job_id": 1, "round": 1, "terms_hash": bytes(32)}
    with pytest.raises(ValueError, match="20 bytes and a terms hash 32"):
        Context(**fields | {field: bytes(31)}).encoded()  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["chain_id", "job_id", "round"])
@pytest.mark.parametrize("value", [-1, 2**256])
def test_a_context_out_of_range_is_refused(field: str, value: int) -> None:
    fields = {"chain_id": 1, "market": bytes(20), "job_id": 1, "round": 1, "terms_hash": bytes(32)}
    with pytest.raises(ValueError, match="unsigned integers of 256 bits"):
        Context(**fields | {field: value}).encoded()  # type: ignore[arg-type]


@pytest.mark.parametrize("unsafe", ["gamma is delta", "a point off the curve", "a point cut off", "tau at infinity"])
def test_an_unsafe_set_up_is_refused(unsafe: str) -> None:
    whole, key = setup(GRAM["cases"][0]), unhex(GROTH16["cases"][0]["key"])
    check_setup(whole, key)
    changed = {
        "gamma is delta": (whole, key[:192] + key[320:448] + key[320:]),
        "a point off the curve": (whole, key[:-1] + bytes([key[-1] ^ 1])),
        "a point cut off": (whole, key[:-32]),
        "tau at infinity": (replace(whole, tau=bytes(128)), key),
    }
    with pytest.raises(Malformed):
        check_setup(*changed[unsafe])


def test_bytes_that_are_no_proof_are_an_error_and_not_a_verdict() -> None:
    case = GRAM["cases"][0]
    with pytest.raises(Malformed, match="has 0 bytes"):
        verify_gram(statement(case), b"", setup(case))
    assert issubclass(Malformed, ValueError)


def test_sums_of_multiples_are_what_one_by_one_gives() -> None:
    rng = random.Random("combine")
    some = [multiply(G1, rng.randrange(1, P)) for _ in range(6)]
    scalars = [0, 1, P - 1, rng.randrange(P), 16, -5]
    terms = [*zip(some, scalars, strict=True), (Z1, 7), (some[0], 3), (neg(some[0]), 3), (some[1], 15), (some[1], 15)]
    total = Z1
    for point, k in terms:
        total = add(total, multiply(point, k % P))
    assert eq(combine(terms), total)
    assert is_inf(combine([]))
    assert is_inf(combine([(G1, 5), (neg(G1), 5)]))


def test_the_verifier_loads_no_compiled_core_no_prover_and_no_numpy() -> None:
    code = (
        "import sys, zk.verifier; print(sorted(m for m in sys.modules if m.split('.')[0] in ('zk', 'numpy', 'torch')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert found.stdout.strip() == "['zk', 'zk.points', 'zk.transcript', 'zk.verifier']"


def test_nested_json_does_not_crash_a_process_that_verifies() -> None:
    code = """
import json, zk.verifier
try:
    json.loads("[" * 10**6)
except RecursionError:
    print("refused")
"""
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert (found.returncode, found.stdout.strip()) == (0, "refused")
