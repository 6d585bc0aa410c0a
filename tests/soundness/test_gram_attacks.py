"""Attacks on Gram proofs. Each is refused by both verifiers, or is not even a proof to them.

The statement under attack: slots 4, 7, 8, 9 and both reference rows, two chunks of 16.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from py_ecc.optimized_bn128 import field_modulus
from py_ecc.optimized_bn128.optimized_curve import neg

from tests import proof_oracle as oracle
from tests.proof_oracle import P, g1, g1_bytes
from tests.soundness.forgeries import known_coefficient_challenges, known_opening_challenge
from tests.soundness.verdicts import (
    ACCEPTED,
    EA_AT_WZ,
    EA_AT_Z,
    EM,
    MALFORMED,
    REFUSED,
    ROWS_AT_Z,
    WW,
    WZ,
    A,
    Gram,
    M,
    PythonVerifier,
    Q,
    SolidityVerifier,
    Verifier,
    Y,
    compiled_with,
    gram_setup,
    mounted,
    proved,
    stated,
)
from zk import points
from zk.transcript import Transcript

ROUND = oracle.cases()["reference rows, two chunks of 16"]
HONEST = proved(ROUND)
_DRAWN = oracle.make_round("other", slots=range(4), references=True, d=20)
OTHER = proved(replace(ROUND, rows=_DRAWN.rows, mask=_DRAWN.mask, accumulator=_DRAWN.accumulator))
C = ROUND.chunks

Attack = Callable[[], Gram]
SCALARS = {"y": Y, "eA": EA_AT_Z, "eM": EM, "eAw": EA_AT_WZ} | {
    f"{side}_{k}": ROWS_AT_Z + C * (side == "eb") + k for side in ("ea", "eb") for k in range(C)
}
POINTS = {"M": M, "A": A, "Q": Q, "Wz": WZ, "Ww": WW}


def moved(data: bytes, by: int = 1) -> bytes:
    """A point plus a multiple of the generator."""
    return g1_bytes(points.add(points.g1(data, "a point"), g1(by)))


def negated(data: bytes) -> bytes:
    return g1_bytes(neg(points.g1(data, "a point")))


def swapped(items: tuple, i: int, j: int) -> tuple:  # type: ignore[type-arg]
    out = list(items)
    out[i], out[j] = out[j], out[i]
    return tuple(out)


def with_commitment(case: Gram, row: int, k: int, data: bytes) -> Gram:
    rows = list(case.statement.commitments)
    rows[row] = rows[row][: 64 * k] + data + rows[row][64 * k + 64 :]
    return case.stating(commitments=tuple(rows))


def with_context(field: int) -> Gram:
    other = (1, "0x" + "5b" * 20, 8, 4, b"\x12" * 32)
    context = (*ROUND.context[:field], other[field], *ROUND.context[field + 1 :])
    return HONEST.stating(context=replace(ROUND, context=context).context_bytes)


def claiming(i: int, j: int, by: int, *, both: bool = True) -> Gram:
    """All steps of the honest prover, for a Gram matrix that is off."""
    gram = [list(row) for row in ROUND.true_gram()]
    gram[i][j] += by
    gram[j][i] += by if both and i != j else 0
    return proved(replace(ROUND, gram=tuple(map(tuple, gram))))


def summing(*coefficients: int) -> Gram:
    """The sums of other coefficients than those stated, from the first step on."""
    other = replace(ROUND, coefficients=coefficients)
    return stated(other, oracle.prove(other), coefficients=ROUND.coefficients)


class ShiftedSums(oracle.Round):
    """What chunk 0 has too much, chunk 1 has too little."""

    def sums(self) -> bytes:
        true = super().sums()
        return moved(true[:64], 5) + moved(true[64:], -5)


def shifted_sums() -> Gram:
    crooked = ShiftedSums(**{name: getattr(ROUND, name) for name in ROUND.__dataclass_fields__})
    return stated(crooked, oracle.prove(crooked))


def statement_attacks() -> Iterator[tuple[str, Attack]]:
    rows = HONEST.statement.commitments
    yield "the Gram matrix of other vectors", lambda: HONEST.stating(commitments=OTHER.statement.commitments)
    yield "the proof of other vectors", lambda: replace(HONEST, proof=OTHER.proof)
    yield "two rows swapped", lambda: HONEST.stating(commitments=swapped(rows, 0, 1))
    yield "the reference rows swapped", lambda: HONEST.stating(commitments=swapped(rows, 4, 5))
    yield "a slot's row for a reference row", lambda: HONEST.stating(commitments=swapped(rows, 3, 4))
    yield "a row twice", lambda: HONEST.stating(commitments=(rows[1], *rows[1:]))
    yield "the chunks of a row swapped", lambda: HONEST.stating(commitments=(rows[0][64:] + rows[0][:64], *rows[1:]))
    yield "a row negated", lambda: with_commitment(HONEST, 2, 0, negated(rows[2][:64]))
    yield (
        "a row dropped",
        lambda: HONEST.stating(
            commitments=rows[1:],
            positions=HONEST.statement.positions ^ 1 << 4,
            coefficients=HONEST.statement.coefficients[1:],
        ),
    )
    yield (
        "a row added",
        lambda: HONEST.stating(
            commitments=(rows[0], *rows),
            positions=HONEST.statement.positions | 1,
            coefficients=(0, *HONEST.statement.coefficients),
        ),
    )
    yield "a row at another position", lambda: HONEST.stating(positions=HONEST.statement.positions ^ (1 << 4 | 1 << 5))
    yield (
        "a reference row called a slot's",
        lambda: HONEST.stating(
            positions=HONEST.statement.positions ^ (3 << 32 | 3 << 30), coefficients=(4096, 0, 12, 4095, 0, 0)
        ),
    )
    yield "another Gram hash", lambda: HONEST.stating(gram_hash=HONEST.statement.gram_hash + 1)
    for field, name in enumerate(("chain", "market", "job", "round", "terms")):
        yield f"replayed for another {name}", lambda field=field: with_context(field)
    yield "another τ", lambda: replace(HONEST, setup=gram_setup(oracle.Setup(16, ROUND.setup.tau + 1)))
    yield "another length of chunks", lambda: replace(HONEST, setup=gram_setup(oracle.Setup(8, ROUND.setup.tau)))


def sum_attacks() -> Iterator[tuple[str, Attack]]:
    sums, coefficients = HONEST.statement.sums, HONEST.statement.coefficients
    for i in range(4):
        off = tuple(c + (k == i) for k, c in enumerate(coefficients))
        yield f"coefficient {i} off by one", lambda off=off: HONEST.stating(coefficients=off)
    yield "coefficients swapped", lambda: HONEST.stating(coefficients=swapped(coefficients, 0, 3))
    yield "coefficients negated", lambda: HONEST.stating(coefficients=tuple((P - c) % P for c in coefficients))
    yield "sums moved", lambda: HONEST.stating(sums=moved(sums[:64]) + sums[64:])
    yield "sums of the chunks swapped", lambda: HONEST.stating(sums=sums[64:] + sums[:64])
    yield "sums negated", lambda: HONEST.stating(sums=negated(sums[:64]) + negated(sums[64:]))
    yield "sums at infinity", lambda: HONEST.stating(sums=bytes(128))
    yield "the sum of other coefficients, from the start", lambda: summing(4096, 1, 12, 4095)
    yield "nothing summed, from the start", lambda: summing(0, 0, 0, 0)
    yield "sums shifted between chunks, from the start", shifted_sums
    yield "coefficients chosen after ρ and λ", known_coefficient_challenges


def proof_attacks() -> Iterator[tuple[str, Attack]]:
    yield "an entry off by one", lambda: claiming(0, 1, 1)
    yield "a norm off by one", lambda: claiming(2, 2, -1)
    yield "a product with a reference row off by one", lambda: claiming(0, 4, 1)
    yield "a matrix that is not symmetric", lambda: claiming(0, 1, 1, both=False)
    yield "openings chosen after u", known_opening_challenge
    for name, at in SCALARS.items():
        yield f"{name} off by one", lambda at=at: HONEST.with_word(at, (HONEST.word(at) + 1) % P)
        yield f"{name} negated", lambda at=at: HONEST.with_word(at, P - HONEST.word(at))
    for name, at in POINTS.items():
        yield f"{name} moved", lambda at=at: HONEST.with_word(at, moved(HONEST.point(at)))
        yield f"{name} negated", lambda at=at: HONEST.with_word(at, negated(HONEST.point(at)))
        yield f"{name} of another proof", lambda at=at: HONEST.with_word(at, OTHER.point(at))
    for (one, i), (other, j) in itertools.combinations(POINTS.items(), 2):
        yield (
            f"{one} and {other} swapped",
            lambda i=i, j=j: HONEST.with_word(i, HONEST.point(j)).with_word(j, HONEST.point(i)),
        )
    for i, j in ((0, 1), (0, 2), (1, 3)):
        yield (
            f"evaluations {i} and {j} swapped",
            lambda i=ROWS_AT_Z + i, j=ROWS_AT_Z + j: HONEST.with_word(i, HONEST.word(j)).with_word(j, HONEST.word(i)),
        )


def test_what_is_attacked_is_accepted(verifier: Verifier) -> None:
    assert verifier.gram(HONEST) == verifier.gram(OTHER) == ACCEPTED


# ------------------------------------------------------------------ bytes that are no proof

OFF_CURVE = oracle.word(1) + oracle.word(3)
BEYOND_ORDER = 2**256 - 1


def high(data: bytes, *, x: bool) -> bytes:
    """The same point with a coordinate that is not reduced."""
    a, b = int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big")
    return oracle.word(a + field_modulus * x) + oracle.word(b + field_modulus * (not x))


def encoding_attacks() -> Iterator[tuple[str, Attack]]:
    s, row = HONEST.statement, HONEST.statement.commitments[1][64:]
    for name, at in SCALARS.items():
        yield f"{name} + P", lambda at=at: HONEST.with_word(at, HONEST.word(at) + P)
    yield "y = P", lambda: HONEST.with_word(Y, P)
    yield "eb at most", lambda: HONEST.with_word(ROWS_AT_Z + 2 * C - 1, BEYOND_ORDER)
    for name, at in POINTS.items():
        yield f"{name} at infinity", lambda at=at: HONEST.with_word(at, bytes(64))
        yield f"{name} off the curve", lambda at=at: HONEST.with_word(at, OFF_CURVE)
        for x in (True, False):
            yield (
                f"{name} with {'x' if x else 'y'} not reduced",
                lambda at=at, x=x: HONEST.with_word(at, high(HONEST.point(at), x=x)),
            )
    for name, data in {
        "at infinity": bytes(64),
        "off the curve": OFF_CURVE,
        "with x not reduced": high(row, x=True),
        "with y not reduced": high(row, x=False),
    }.items():
        yield f"a commitment {name}", lambda data=data: with_commitment(HONEST, 1, 1, data)
        yield f"a reference row {name}", lambda data=data: with_commitment(HONEST, 5, 0, data)
    yield "a sum off the curve", lambda: HONEST.stating(sums=OFF_CURVE + s.sums[64:])
    yield "a sum with x not reduced", lambda: HONEST.stating(sums=high(s.sums[:64], x=True) + s.sums[64:])
    yield "the Gram hash + P", lambda: HONEST.stating(gram_hash=s.gram_hash + P)
    yield "a coefficient + P", lambda: HONEST.stating(coefficients=(s.coefficients[0] + P, *s.coefficients[1:]))
    yield "a proof without its last word", lambda: replace(HONEST, proof=HONEST.proof[:-32])
    yield "a proof without its last chunk", lambda: replace(HONEST, proof=HONEST.proof[:-64])
    yield "a proof with a word more", lambda: replace(HONEST, proof=HONEST.proof + bytes(32))
    yield "a proof with a byte more", lambda: replace(HONEST, proof=HONEST.proof + b"\0")
    yield "no proof", lambda: replace(HONEST, proof=b"")
    yield "a commitment too few", lambda: HONEST.stating(commitments=s.commitments[:-1])
    yield "a commitment too many", lambda: HONEST.stating(commitments=(*s.commitments, s.commitments[0]))
    yield "commitments of one chunk", lambda: HONEST.stating(commitments=tuple(c[:64] for c in s.commitments))
    yield "a coefficient too few", lambda: HONEST.stating(coefficients=s.coefficients[:-1])
    yield "a coefficient too many", lambda: HONEST.stating(coefficients=(*s.coefficients, 0))
    yield "coefficients for the reference rows", lambda: HONEST.stating(coefficients=(*s.coefficients, 0, 0))
    yield "sums of one chunk", lambda: HONEST.stating(sums=s.sums[:64])
    yield "sums of three chunks", lambda: HONEST.stating(sums=s.sums + bytes(64))
    yield "half a point more in the sums", lambda: HONEST.stating(sums=s.sums + bytes(32))
    yield "no sums", lambda: HONEST.stating(sums=b"")
    yield "no rows", lambda: HONEST.stating(positions=0, commitments=(), coefficients=())
    yield "one reference row", lambda: HONEST.stating(positions=s.positions ^ 1 << 33, commitments=s.commitments[:-1])
    yield (
        "a position too many",
        lambda: HONEST.stating(positions=s.positions | 1 << 34, commitments=(*s.commitments, s.commitments[0])),
    )
    yield "a position beyond the last", lambda: HONEST.stating(positions=s.positions ^ (1 << 9 | 1 << 34))


@pytest.mark.parametrize("attack", mounted(encoding_attacks()))
def test_bytes_that_are_no_proof_are_not_checked(verifier: Verifier, attack: Attack) -> None:
    assert verifier.gram(attack()) == MALFORMED


def bad_setups() -> Iterator[tuple[str, Attack]]:
    tau = HONEST.setup.tau
    for chunk in (0, 1, 3, 12, 2**29):
        yield f"chunks of {chunk}", lambda chunk=chunk: replace(HONEST, setup=replace(HONEST.setup, chunk=chunk))
    for name, data in {
        "at infinity": bytes(128),
        "off the curve": bytes(127) + b"\1",
        "outside the subgroup": oracle.outside_subgroup(),
        "not reduced": oracle.word(int.from_bytes(tau[:32], "big") + field_modulus) + tau[32:],
    }.items():
        yield f"[τ]₂ {name}", lambda data=data: replace(HONEST, setup=replace(HONEST.setup, tau=data))


@pytest.mark.parametrize("attack", mounted(bad_setups()))
def test_a_set_up_that_is_none_is_refused(verifier: Verifier, attack: Attack) -> None:
    assert verifier.gram(attack()) == MALFORMED


@pytest.mark.parametrize("attack", mounted(bad_setups()))
def test_a_set_up_that_is_none_is_not_even_deployed(solidity: SolidityVerifier, attack: Attack) -> None:
    with pytest.raises(points.Malformed):
        solidity.gram_verifier(attack().setup)


# ------------------------------------------------------------------ proofs of something else


@pytest.mark.parametrize("attack", mounted(statement_attacks()))
def test_a_proof_shows_no_other_statement(verifier: Verifier, attack: Attack) -> None:
    assert verifier.gram(attack()) == REFUSED


@pytest.mark.parametrize("attack", mounted(sum_attacks()))
def test_a_wrong_sum_is_refused(verifier: Verifier, attack: Attack) -> None:
    assert verifier.gram(attack()) == REFUSED


@pytest.mark.parametrize("attack", mounted(proof_attacks()))
def test_a_tampered_proof_is_refused(verifier: Verifier, attack: Attack) -> None:
    assert verifier.gram(attack()) == REFUSED


# ------------------------------------------------------------------ z on the domain, which no one can wait for


def test_z_on_the_domain_is_refused_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter((3, 5, ROUND.setup.omega, 7, 11, 13, 17))  # r s z v u ρ λ
    monkeypatch.setattr(Transcript, "challenge", lambda self: next(drawn))
    assert PythonVerifier().gram(HONEST) == REFUSED
    assert next(drawn, None) is None


def test_z_on_the_domain_is_refused_by_the_contract(solidity: SolidityVerifier) -> None:
    """The contract, compiled with ω for z: nobody can wait for a transcript that gives it."""
    code = compiled_with("GramVerifier", "ch.z = talk.challenge();", "talk.challenge(); ch.z = _omega;")
    assert solidity.gram(HONEST, code) == REFUSED
