"""Proof and transcript carry nothing of the updates beyond what docs/proofs.md says."""

import random
from dataclasses import replace

import pytest

from tests import proof_oracle as oracle
from tests.proof_oracle import P, g1
from tests.soundness.verdicts import ACCEPTED, MALFORMED, REFUSED, Gram, Verifier, proved, stated
from zk import points

SECRET = ("blinders", "mask", "accumulator", "gram_hash")


def elements(case: Gram) -> list[bytes]:
    """Every point and every scalar that a verifier is shown, but the sums, which follow from the commitments."""
    shown = [*case.statement.commitments, case.proof[:320]]
    pieces = [data[at : at + 64] for data in shown for at in range(0, len(data), 64)]
    return pieces + [case.proof[at : at + 32] for at in range(320, len(case.proof), 32)]


def rerandomized(round_: oracle.Round, name: str) -> oracle.Round:
    drawn = oracle.make_round(name, slots=round_.positions[: round_.slots], references=round_.slots < len(round_.rows))
    rng = random.Random(name)
    blinders = tuple(tuple(rng.randrange(P) for _ in row) for row in round_.blinders)
    return replace(round_, blinders=blinders, mask=drawn.mask, accumulator=drawn.accumulator, gram_hash=drawn.gram_hash)


@pytest.mark.parametrize(
    "name", ["one trainer, one chunk", "four trainers, three chunks", "reference rows", "a zero update"]
)
def test_two_proofs_of_the_same_updates_share_nothing(verifier: Verifier, name: str) -> None:
    one = oracle.cases()[name]
    first, second = proved(one), proved(rerandomized(one, "again"))
    assert verifier.gram(first) == verifier.gram(second) == ACCEPTED
    assert not set(elements(first)) & set(elements(second))
    assert len(set(elements(first))) == len(elements(first))


@pytest.mark.parametrize("secret", ["mask", "accumulator"])
def test_new_randomness_of_the_prover_changes_its_whole_proof(secret: str) -> None:
    round_ = oracle.cases()["three trainers with gaps"]
    drawn = oracle.make_round("fresh", slots=(0, 1, 2))
    again = oracle.prove(replace(round_, **{secret: getattr(drawn, secret)})).encoded()
    once = oracle.prove(round_).encoded()
    kept = {at for at in range(0, len(once), 32) if once[at : at + 32] == again[at : at + 32]}
    # M depends on the mask alone, and y on r and s, which come before the accumulator.
    assert kept == ({0, 32, 320} if secret == "accumulator" else set())


@pytest.mark.parametrize("name", ["one trainer, one chunk", "four trainers, three chunks", "reference rows"])
def test_a_simulator_that_knows_no_update_convinces_the_verifier(verifier: Verifier, name: str) -> None:
    """With τ, and nothing of rows, blinders or Gram matrix: what it shows cannot tell anything about them."""
    round_ = oracle.cases()[name]
    commitments = round_.commitments()
    at = [[points.g1(row[k : k + 64], "C") for k in range(0, len(row), 64)] for row in commitments]
    simulated = oracle.simulate(round_, commitments, at, random.Random("simulator"))
    assert verifier.gram(stated(round_, simulated)) == ACCEPTED


def test_without_the_true_trapdoor_the_simulator_fails(verifier: Verifier) -> None:
    round_ = oracle.cases()["one trainer, one chunk"]
    guess = replace(round_, setup=replace(round_.setup, tau=round_.setup.tau + 1))
    commitments = round_.commitments()
    at = [[points.g1(row, "C")] for row in commitments]
    simulated = oracle.simulate(guess, commitments, at, random.Random("guess"))
    case = stated(round_, simulated, sums=guess.sums())
    assert verifier.gram(case) in (REFUSED, MALFORMED)


def test_commitments_hide_equal_rows() -> None:
    """Two trainers with the same update cannot be told from two with different ones by their commitments."""
    round_ = oracle.cases()["one trainer, one chunk"]
    blinders = tuple(random.Random("hide").randrange(P) for _ in range(2))
    rows, pairs = (round_.rows[0],) * 2, (round_.blinders[0], blinders)
    first, second = replace(round_, positions=(0, 1), rows=rows, blinders=pairs).commitments()
    assert first != second
    # and to the discrete logarithm both are masked by (β_0 + β_1·τ)(τ^N − 1), a uniform field element
    tau, N = round_.setup.tau, round_.setup.chunk
    masks = [(b[0] + b[1] * tau) * (pow(tau, N, P) - 1) for b in pairs]
    stripped = [
        points.add(points.g1(c, "C"), points.neg(g1(mask))) for c, mask in zip((first, second), masks, strict=True)
    ]
    assert oracle.g1_bytes(stripped[0]) == oracle.g1_bytes(stripped[1])
