"""Attacks on decision proofs (Groth16). Each is refused by both verifiers, or is not even a proof to them."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from py_ecc.optimized_bn128 import G2, add, field_modulus

from tests import proof_oracle as oracle
from tests.proof_oracle import P, g1, g1_bytes, g2, g2_bytes, word
from tests.soundness.verdicts import ACCEPTED, MALFORMED, REFUSED, Decision, SolidityVerifier, Verifier, mounted
from zk import points
from zk.points import Malformed

KEY = oracle.groth16(oracle.GROTH16_INPUTS)
OTHER_KEY = oracle.groth16(oracle.GROTH16_INPUTS, "another circuit")
RNG = random.Random("decision attacks")
INPUTS = (*(RNG.randrange(P - 1) for _ in range(12)), 5)
HONEST = Decision(KEY.key(), INPUTS, KEY.prove(INPUTS, RNG))
AGAIN = Decision(KEY.key(), INPUTS, KEY.prove(INPUTS, RNG))
ALPHA, BETA, GAMMA, DELTA, IC = 0, 64, 192, 320, 448  # bytes

Attack = Callable[[], Decision]


def parts(proof: bytes) -> tuple[bytes, bytes, bytes]:
    return proof[:64], proof[64:192], proof[192:]


A, B, C = parts(HONEST.proof)


def negated(data: bytes) -> bytes:
    half = len(data) // 2
    y = (int.from_bytes(data[at : at + 32], "big") for at in range(half, len(data), 32))
    return data[:half] + b"".join(word(-k % field_modulus) for k in y)


def moved(data: bytes) -> bytes:
    return g1_bytes(points.add(points.g1(data, "a point"), g1(1)))


def with_proof(*pieces: bytes) -> Decision:
    return replace(HONEST, proof=b"".join(pieces))


def with_input(i: int, value: int) -> Decision:
    return replace(HONEST, inputs=(*INPUTS[:i], value, *INPUTS[i + 1 :]))


def with_key(at: int, data: bytes) -> Decision:
    return replace(HONEST, key=HONEST.key[:at] + data + HONEST.key[at + len(data) :])


def wrong() -> Iterator[tuple[str, Attack]]:
    for i in range(len(INPUTS)):
        yield f"input {i} off by one", lambda i=i: with_input(i, INPUTS[i] + 1)
    yield "an input negated", lambda: with_input(3, P - INPUTS[3])
    yield "two inputs swapped", lambda: replace(HONEST, inputs=(INPUTS[1], INPUTS[0], *INPUTS[2:]))
    yield "all inputs zero", lambda: replace(HONEST, inputs=(0,) * len(INPUTS))
    yield "A moved", lambda: with_proof(moved(A), B, C)
    yield "B moved", lambda: with_proof(A, g2_bytes(add(points.g2(B, "B"), G2)), C)
    yield "C moved", lambda: with_proof(A, B, moved(C))
    yield "A negated", lambda: with_proof(negated(A), B, C)
    yield "B negated", lambda: with_proof(A, negated(B), C)
    yield "C negated", lambda: with_proof(A, B, negated(C))
    yield "A and C swapped", lambda: with_proof(C, B, A)
    for i, name in enumerate("ABC"):
        pieces = [parts(AGAIN.proof)[k] if k == i else parts(HONEST.proof)[k] for k in range(3)]
        yield f"{name} of another proof of the same", lambda pieces=pieces: with_proof(*pieces)
    yield "a proof for another key", lambda: replace(HONEST, proof=OTHER_KEY.prove(INPUTS, random.Random(1)))
    yield "another key", lambda: replace(HONEST, key=OTHER_KEY.key())
    yield "α, β as the proof", lambda: with_proof(HONEST.key[:64], HONEST.key[64:192], C)


def test_what_is_attacked_is_accepted(verifier: Verifier) -> None:
    assert verifier.decision(HONEST) == verifier.decision(AGAIN) == ACCEPTED


def test_a_proof_can_be_made_to_look_different_but_says_the_same(verifier: Verifier) -> None:
    """Groth16 is malleable by design: (−A, −B, C) and (k·A, B/k, C) prove what (A, B, C) proves, of the same inputs.

    Nothing may rest on a proof's bytes; a round is settled once, and the inputs hold the Gram proof's r, s and y, which
    are bound to chain, market, job and round.
    """
    assert verifier.decision(with_proof(negated(A), negated(B), C)) == ACCEPTED
    scaled = g1_bytes(oracle.multiply(points.g1(A, "A"), 7)), oracle.multiply(points.g2(B, "B"), pow(7, -1, P))
    assert verifier.decision(with_proof(scaled[0], g2_bytes(scaled[1]), C)) == ACCEPTED
    other = replace(with_proof(negated(A), negated(B), C), inputs=(*INPUTS[:-1], 6))
    assert verifier.decision(other) == REFUSED


OFF_CURVE = word(1) + word(3)


def unreduced(data: bytes) -> Iterator[bytes]:
    """Each coordinate in turn with the modulus added."""
    for at in range(0, len(data), 32):
        value = int.from_bytes(data[at : at + 32], "big") + field_modulus
        yield data[:at] + word(value) + data[at + 32 :]


def on_another_curve(data: bytes) -> bytes:
    """(4x, 8y), on y² = x³ + 64·b: a curve isomorphic to the right one, so the point's order is right too."""
    values = [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]
    return b"".join(word(value * by % field_modulus) for value, by in zip(values, (4, 4, 8, 8), strict=True))


def malformed() -> Iterator[tuple[str, Attack]]:
    for i in (0, 4, 12):
        yield f"input {i} + P", lambda i=i: with_input(i, INPUTS[i] + P)
    yield "an input of P", lambda: with_input(0, P)
    yield "an input of 2^256 − 1", lambda: with_input(12, 2**256 - 1)
    yield "an input missing", lambda: replace(HONEST, inputs=INPUTS[:-1])
    yield "an input more", lambda: replace(HONEST, inputs=(*INPUTS, 0))
    yield "no inputs", lambda: replace(HONEST, inputs=())
    for i, name in enumerate("ABC"):
        pieces = list(parts(HONEST.proof))
        bad = {"at infinity": bytes(len(pieces[i]))}
        bad["off the curve"] = OFF_CURVE if i != 1 else bytes(127) + b"\1"
        bad |= {f"with coordinate {k} not reduced": data for k, data in enumerate(unreduced(pieces[i]))}
        if i == 1:
            bad["outside the subgroup"] = oracle.outside_subgroup()
            bad["of the right order on another curve"] = on_another_curve(B)
            bad["with its halves the wrong way round"] = B[32:64] + B[:32] + B[96:] + B[64:96]
        for what, data in bad.items():
            changed = (*pieces[:i], data, *pieces[i + 1 :])
            yield f"{name} {what}", lambda changed=changed: with_proof(*changed)
    yield "A = (0, modulus), infinity in disguise", lambda: with_proof(word(0) + word(field_modulus), B, C)
    yield "a proof without its last word", lambda: with_proof(HONEST.proof[:-32])
    yield "a proof with a word more", lambda: with_proof(HONEST.proof, bytes(32))
    yield "no proof", with_proof


@pytest.mark.parametrize("attack", mounted(malformed()))
def test_bytes_that_are_no_proof_are_not_checked(verifier: Verifier, attack: Attack) -> None:
    assert verifier.decision(attack()) == MALFORMED


def bad_keys() -> Iterator[tuple[str, Attack]]:
    outside = oracle.outside_subgroup()
    yield "γ = δ", lambda: with_key(DELTA, HONEST.key[GAMMA:DELTA])
    for name, at in {"α": ALPHA, "IC_0": IC, "IC_13": IC + 13 * 64}.items():
        yield f"{name} at infinity", lambda at=at: with_key(at, bytes(64))
        yield f"{name} off the curve", lambda at=at: with_key(at, OFF_CURVE)
        high = next(iter(unreduced(HONEST.key[at : at + 64])))
        yield f"{name} not reduced", lambda at=at, high=high: with_key(at, high)
    for name, at in {"β": BETA, "γ": GAMMA, "δ": DELTA}.items():
        yield f"{name} at infinity", lambda at=at: with_key(at, bytes(128))
        yield f"{name} outside the subgroup", lambda at=at: with_key(at, outside)
        yield f"{name} off the curve", lambda at=at: with_key(at, bytes(127) + b"\1")
    yield "a key without its last word", lambda: replace(HONEST, key=HONEST.key[:-32])
    yield "a key with a word more", lambda: replace(HONEST, key=HONEST.key + bytes(32))
    yield "a key without inputs or IC_0", lambda: replace(HONEST, key=HONEST.key[:IC], inputs=())
    yield "no key", lambda: replace(HONEST, key=b"")


@pytest.mark.parametrize("attack", mounted(bad_keys()))
def test_a_key_that_is_none_is_refused(verifier: Verifier, attack: Attack) -> None:
    assert verifier.decision(attack()) == MALFORMED


@pytest.mark.parametrize("attack", mounted(bad_keys()))
def test_a_key_that_is_none_is_not_even_deployed(solidity: SolidityVerifier, attack: Attack) -> None:
    with pytest.raises(Malformed):
        solidity.decision_verifier(attack().key)


@pytest.mark.parametrize("attack", mounted(wrong()))
def test_a_wrong_decision_is_refused(verifier: Verifier, attack: Attack) -> None:
    assert verifier.decision(attack()) == REFUSED


def test_with_equal_gamma_and_delta_any_inputs_can_be_proved() -> None:
    """Why such keys are refused: C = C' + Σ (x_i − x'_i)·IC_i turns a proof of x into one of x'."""
    weak = replace(KEY, delta=KEY.gamma)
    proof = weak.prove(INPUTS, random.Random(2))
    turned = g1(sum((x - y) * k for x, y, k in zip(INPUTS, (1,) * 13, KEY.ic[1:], strict=True)))
    forged = proof[:192] + g1_bytes(points.add(points.g1(proof[192:], "C"), turned))
    a, b, c = points.g1(forged[:64], "A"), points.g2(forged[64:192], "B"), points.g1(forged[192:], "C")
    bound = g1(sum(KEY.ic))
    equation = [(points.neg(a), b), (g1(KEY.alpha), g2(KEY.beta)), (bound, g2(weak.gamma)), (c, g2(weak.delta))]
    assert points.pairing_is_one(equation)
