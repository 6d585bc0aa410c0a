"""The fast prover, held to the slow one byte by byte, and to both verifiers."""

import random
from dataclasses import replace

import numpy as np
import pytest

from tests import proof_oracle as oracle
from tests.proof_oracle import word
from tests.soundness.verdicts import ACCEPTED, REFUSED, Gram, Verifier, gram_setup, stated
from zk.transcript import P

core = pytest.importorskip("zk._core", reason="the Rust core is not built")
by_name = pytest.mark.parametrize("name", oracle.cases())


def srs(round_: oracle.Round):  # type: ignore[no-untyped-def]
    return core.Srs.development(round_.setup.chunk.bit_length() - 1, word(round_.setup.tau))


def rows(round_: oracle.Round) -> list[np.ndarray]:  # type: ignore[type-arg]
    return [np.array(row, np.int16) for row in round_.rows]


def blinders(round_: oracle.Round) -> list[bytes]:
    return [b"".join(map(word, each)) for each in round_.blinders]


def fast_proof(round_: oracle.Round) -> list[bytes]:
    """[proof, r, s, y]"""
    proved: list[bytes] = srs(round_).prove_gram(
        round_.context_bytes,
        sum(1 << p for p in round_.positions),
        rows(round_),
        blinders(round_),
        round_.commitments(),
        round_.sums(),
        word(round_.gram_hash),
        b"".join(map(word, round_.mask)),
        b"".join(map(word, round_.accumulator)),
    )
    return proved


@by_name
def test_set_ups_agree(name: str) -> None:
    round_ = oracle.cases()[name]
    assert srs(round_).tau_g2 == gram_setup(round_.setup).tau


@by_name
def test_commitments_agree(name: str) -> None:
    round_ = oracle.cases()[name]
    made = [srs(round_).commit(w, b) for w, b in zip(rows(round_), blinders(round_), strict=True)]
    assert made == round_.commitments()


@pytest.mark.parametrize("name", [name for name, round_ in oracle.cases().items() if round_.slots])
def test_sums_of_commitments_agree(name: str) -> None:
    round_ = oracle.cases()[name]
    coefficients = b"".join(map(word, round_.coefficients))
    assert core.combine(round_.commitments()[: round_.slots], coefficients) == round_.sums()


@by_name
def test_proofs_agree(name: str) -> None:
    round_ = oracle.cases()[name]
    slow = oracle.prove(round_)
    challenges = [word(slow.challenges["r"]), word(slow.challenges["s"]), word(slow.y)]
    assert fast_proof(round_) == [slow.encoded(), *challenges]


def larger(chunk: int, d: int) -> oracle.Round:
    return oracle.make_round(
        "larger", chunk=chunk, slots=(0, 1, 2, 4, 9), references=True, d=d, coefficients=(4096, 7, 0, 1, 2)
    )


def fast_case(round_: oracle.Round) -> Gram:
    case = stated(round_, oracle.Proof(b"", b"", b"", b"", b"", 0, 0, 0, 0, (), ()))
    return replace(case, proof=fast_proof(round_)[0])


@pytest.mark.parametrize(("chunk", "d"), [(64, 64), (64, 65), (32, 70)])
def test_a_larger_proof_is_accepted_and_binds_its_rows(verifier: Verifier, chunk: int, d: int) -> None:
    round_ = larger(chunk, d)
    case = fast_case(round_)
    assert verifier.gram(case) == ACCEPTED
    commitments = case.statement.commitments
    assert verifier.gram(case.stating(commitments=(commitments[1], commitments[0], *commitments[2:]))) == REFUSED


def test_two_fast_proofs_of_the_same_updates_share_nothing() -> None:
    round_ = larger(64, 100)
    rng = random.Random("again")
    fresh = {"mask": 3, "accumulator": 4}
    again = replace(round_, **{name: tuple(rng.randrange(P) for _ in range(count)) for name, count in fresh.items()})
    one, two = fast_proof(round_)[0], fast_proof(again)[0]
    assert not {one[at : at + 32] for at in range(0, len(one), 32)} & {
        two[at : at + 32] for at in range(0, len(two), 32)
    }
