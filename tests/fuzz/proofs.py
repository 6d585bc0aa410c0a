"""Proofs in the plain verifier, and the round that they settle."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from marketplace.chain import abi
from marketplace.chain.verifiers import Verifiers
from marketplace.domain import RoundProof, RoundSettled, Rule, Settlement, UpdateSubmitted
from marketplace.errors import ChainError
from marketplace.services.rounds import bytes_of, proof_problem, words
from tests.fuzz.target import Target, changed, hold
from tests.values import SOMEBODY, TERMS
from zk.encoding import submission_hash
from zk.points import Malformed
from zk.verifier import GramSetup, GramStatement, check_setup, verify_decision, verify_gram

VECTORS = Path(__file__).parents[1] / "vectors"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@cache
def gram_case() -> tuple[GramStatement, bytes, GramSetup]:
    vectors = json.loads((VECTORS / "gram.json").read_text())
    case: Any = min(vectors["cases"], key=lambda c: len(c["proof"]) + sum(map(len, c["commitments"])))
    statement = GramStatement(
        context=_bytes(case["context"]["encoded"]),
        positions=sum(1 << p for p in case["positions"]),
        gram_hash=int(case["gram_hash"], 16),
        commitments=tuple(map(_bytes, case["commitments"])),
        sums=_bytes(case["sums"]),
        coefficients=tuple(case["coefficients"]),
    )
    tau = next(s for s in vectors["setups"] if s["chunk"] == case["chunk"])["g2"][1]
    return statement, _bytes(case["proof"]), GramSetup(case["chunk"], _bytes(tau))


def _gram(data: bytes) -> None:
    """The first byte says what is changed: the proof, the set-up, or a part of the statement."""
    statement, proof, setup = gram_case()
    which, changes = data[:1], data[1:]
    before = (statement, proof, setup)
    match which:
        case b"p":
            proof = changed(proof, changes)
        case b"t":
            setup = replace(setup, tau=changed(setup.tau, changes))
        case b"n":
            setup = replace(setup, chunk=int.from_bytes(changes[:5]))
        case b"c":
            cut = changed(b"".join(statement.commitments), changes)
            size = len(statement.commitments[0])
            statement = replace(statement, commitments=tuple(cut[at : at + size] for at in range(0, len(cut), size)))
        case b"s":
            statement = replace(statement, sums=changed(statement.sums, changes))
        case b"h":
            statement = replace(statement, gram_hash=int.from_bytes(changes), positions=int.from_bytes(changes[:5]))
        case b"x":
            statement = replace(statement, context=changed(statement.context, changes), coefficients=tuple(changes))
        case _:
            proof = data
    if (statement, proof, setup) != before:  # what is true takes half a second to say, and is said elsewhere
        hold(not verify_gram(statement, proof, setup), "another statement is proved, or another proof is accepted")


@cache
def decision_case() -> tuple[bytes, list[int], bytes]:
    vectors: Any = json.loads((VECTORS / "groth16.json").read_text())
    case = vectors["cases"][0]
    return _bytes(case["key"]), [int(x, 16) for x in case["inputs"]], _bytes(case["proof"])


def _decision(data: bytes) -> None:
    key, inputs, proof = decision_case()
    which, changes = data[:1], data[1:]
    match which:
        case b"k":
            key = changed(key, changes)
        case b"i":
            inputs = list(words(changed(bytes_of(inputs), changes)))
        case _:
            proof = changed(proof, changes) if which == b"p" else data
    if (key, inputs, proof) != decision_case():
        hold(not verify_decision(key, inputs, proof), "another statement is proved, or another proof is accepted")


def _key(data: bytes) -> None:
    setup, key = gram_case()[2], decision_case()[0]
    if data[:1] == b"t":
        setup = replace(setup, tau=changed(setup.tau, data[1:]))
    else:
        key = changed(key, data[1:]) if data[:1] == b"k" else data
    check_setup(setup, key)


# ---------------------------------------------------------------- a round as a chain may tell it


@cache
def round_() -> tuple[Settlement, RoundProof]:
    statement, proof, _ = gram_case()
    settlement = Settlement(
        0,
        0b11,
        0,
        (1, -2),
        -9,
        (3, 4),
        "bafy",
        keccak(statement.sums),
        "bafy",
        keccak(b"".join(statement.commitments[-2:])),
    )
    commitments = words(b"".join(statement.commitments))
    return settlement, RoundProof(commitments, words(statement.sums), 5, words(proof), words(decision_case()[2]))


@cache
def calls() -> list[bytes]:
    settlement, proof = round_()
    empty = RoundProof((), (), 0, (), (0,) * 8)
    plain = replace(settlement, coefficients=(), row_exponent=0, reference_cid="", reference_commitment=bytes(32))
    return [
        abi.encode_call("settleRound", (1, 1, settlement, proof)),
        abi.encode_call("settleRound", (1, 1, replace(settlement, selected=1 << 31), proof)),
        abi.encode_call("settleRound", (2, 65535, plain, empty)),
        abi.encode_call("settleRound", (1, 1, replace(plain, unopened=2**32 - 1, sum_cid="\x1b[2J"), empty)),
    ]


def _call(data: bytes) -> None:
    """Call data; then, whatever they state, a verdict on them and no exception."""
    arguments = abi.decode_call("settleRound", data)
    hold(abi.encode_call("settleRound", arguments) == data, "call data have two encodings")
    job_id, number, settlement, proof = arguments
    place = {"block": 1, "log_index": 0, "transaction": "0x", "timestamp": 1, "job_id": job_id}
    statement, _, setup = gram_case()
    points = bytes_of(proof.commitments)
    size = 32 * len(proof.sums)
    for rule in Rule:
        terms = replace(TERMS, rule=rule, min_trainers=7, max_faulty=2)
        for submitted in (0b11, settlement.selected, 2**32 - 1):
            event = RoundSettled(round=number, submitted=submitted, settlement=settlement, **place)
            opened = [slot for slot in range(32) if (submitted & ~settlement.unopened) >> slot & 1]
            submissions = {
                slot: UpdateSubmitted(
                    round=number,
                    slot=slot,
                    commitment=submission_hash(points[at * size : (at + 1) * size], SOMEBODY),
                    cid="",
                    **place,
                )
                for at, slot in enumerate(opened)
            }
            problem = proof_problem(
                event,
                proof,
                terms=terms,
                submissions=submissions,
                operators=dict.fromkeys(range(32), SOMEBODY),
                verifiers=Verifiers(setup, 100 * rule + 8, decision_case()[0]),
                context=statement.context,
            )
            hold(problem, "a round is accepted that nobody proved")


def _seeds(*first: bytes) -> list[bytes]:
    change = b"\2\0\0\7\1"
    return [*first, *(one + change for one in first), *(one + b"\0\0\0\x40\0" for one in first)]


GRAM_PARTS = (b"p", b"t", b"n", b"c", b"s", b"h", b"x")
TARGETS = [
    Target("gram-proof", _gram, (Malformed,), lambda: [gram_case()[1], *_seeds(*GRAM_PARTS)]),
    Target("decision-proof", _decision, (Malformed,), lambda: [decision_case()[2], *_seeds(b"p", b"k", b"i")]),
    Target("verifying-key", _key, (Malformed,), lambda: [decision_case()[0], *_seeds(b"t", b"k")]),
    Target("settlement", _call, (ChainError,), calls),
]
