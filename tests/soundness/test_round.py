"""A whole round: both proofs by the fast provers, both verifiers, and the ties between the two proofs."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip("zk._core", reason="the Rust core is not built")

from aggregator import rules
from tests import proof_oracle as oracle
from tests.soundness.verdicts import ACCEPTED, MALFORMED, REFUSED, Decision, Gram, Verifier, gram_setup
from zk import _core, decision, gram, kzg
from zk.statements import DecisionStatement
from zk.transcript import P, word
from zk.verifier import GramStatement, gram_claim

CONTEXT = oracle.make_round("context").context_bytes
CIRCUITS = (108, 208)


@dataclass(frozen=True)
class Round:
    gram: Gram
    statement: DecisionStatement
    decision: Decision


@cache
def key(circuit: int) -> decision.DecisionKey:
    return _core.DecisionKey.development(circuit, seed=bytes(32))


@cache
def settled(circuit: int, name: str = "round", context: bytes = CONTEXT) -> Round:
    """Slots 0, 2, 3, 4 opened, slot 1 not; under rule 2 two reference rows."""
    rule, rng = circuit // 100, random.Random(name)
    opened, d = [True, False, True, True, True], 100
    setup = oracle.setup(64)
    srs = _core.Srs.development(6, word(setup.tau))
    references = 2 if rule == 2 else 0
    base = [rng.randint(-2000, 2000) for _ in range(d)]
    rows = [np.array([b + rng.randint(-500, 500) for b in base], np.int16) for _ in range(len(opened) + references)]
    rows[1] = np.zeros(d, np.int16)
    G = [[int(x.astype(np.int64) @ y.astype(np.int64)) for y in rows] for x in rows]
    n = len(opened)
    matrix = np.array([row[:n] for row in G[:n]], np.int64)
    judged: Any
    if rule == 1:
        judged = rules.krum_cosine(matrix, opened, 1)
    else:
        first, second = (np.array([G[i][n + k] for i in range(n)], np.int64) for k in range(2))
        judged = rules.reference(matrix, opened, first, G[n][n], second)
    selected, coefficients, scores = judged.selected, judged.coefficients, judged.scores

    proven = [i for i in range(n) if opened[i]] + list(range(n, n + references))
    blinders = [kzg.random_blinders(d, setup.chunk) for _ in proven]
    commitments = [kzg.commit(srs, rows[i], b) for i, b in zip(proven, blinders, strict=True)]
    mask = gram.draw_mask(srs)
    secret = decision.Secret(G, mask.mu, decision.draw_salt())
    own = [int(c) for c, o in zip(coefficients, opened, strict=True) if o]
    stated = GramStatement(
        context=context,
        positions=sum(1 << i for i in proven if i < n) | (3 << 32 if references else 0),
        gram_hash=decision.gram_hash(circuit, secret),
        commitments=commitments,
        sums=kzg.combine(commitments[: len(own)], own),
        coefficients=own,
    )
    made = gram.prove(srs, stated, [rows[i] for i in proven], blinders, mask)
    claim = DecisionStatement(
        stated.gram_hash, made.r, made.s, made.y, opened, [bool(x) for x in selected], judged.struck, 1,
        [int(c) for c in coefficients], [int(x) for x in scores],
    )  # fmt: skip
    proof = decision.prove(key(circuit), claim, secret)
    inputs = tuple(claim.public_inputs(circuit))
    case = Gram(stated, made.proof, gram_setup(setup))
    return Round(case, claim, Decision(key(circuit).verifying_key, inputs, proof))


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_an_honest_round_is_accepted(verifier: Verifier, circuit: int) -> None:
    made = settled(circuit)
    assert verifier.gram(made.gram) == ACCEPTED
    assert verifier.decision(made.decision) == ACCEPTED
    claim = gram_claim(made.gram.statement, made.gram.proof, made.gram.setup)
    assert made.decision.inputs[:4] == (made.gram.statement.gram_hash, *claim)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_a_decision_belongs_to_one_gram_proof(verifier: Verifier, circuit: int) -> None:
    """The inputs that a contract takes from a Gram proof of another round do not fit this round's decision."""
    made, other = settled(circuit), settled(circuit, "another round")
    for swapped in ((0,), (1,), (2,), (3,), (0, 1, 2, 3)):
        inputs = tuple(other.decision.inputs[i] if i in swapped else x for i, x in enumerate(made.decision.inputs))
        assert verifier.decision(replace(made.decision, inputs=inputs)) == REFUSED


CLAIMS: dict[str, Callable[[DecisionStatement], dict[str, Any]]] = {
    "an outlier opened": lambda s: {"opened": [True] * len(s.opened)},
    "a rival called unopened": lambda s: {"opened": [False, *s.opened[1:]]},
    "a rival left out": lambda s: {"selected": [False, *s.selected[1:]]},
    "another f": lambda s: {"max_faulty": 2},
    "a rival struck": lambda s: {"struck": [True, *s.struck[1:]]},
    "an unopened slot struck": lambda s: {"struck": [s.struck[0], True, *s.struck[2:]]},
    "a score one more": lambda s: {"scores": [s.scores[0] + 1, *s.scores[1:]]},
    "a score one less": lambda s: {"scores": [*s.scores[:-1], s.scores[-1] - 1]},
    "a score turned around": lambda s: {"scores": [-s.scores[0], *s.scores[1:]]},
    "scores swapped": lambda s: {"scores": [s.scores[2], s.scores[1], s.scores[0], *s.scores[3:]]},
    "a score for an unopened slot": lambda s: {"scores": [s.scores[0], 1, *s.scores[2:]]},
}


@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize("name", CLAIMS)
def test_a_decision_shows_no_other_judgement(verifier: Verifier, circuit: int, name: str) -> None:
    made = settled(circuit)
    claimed = replace(made.statement, **CLAIMS[name](made.statement))
    if circuit < 200:  # rule 1 ties the coefficients to the selection
        claimed = replace(claimed, coefficients=[int(flag) for flag in claimed.selected])
    inputs = tuple(claimed.public_inputs(circuit))
    assert inputs != made.decision.inputs
    assert verifier.decision(replace(made.decision, inputs=inputs)) == REFUSED


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_the_inputs_of_a_real_circuit_have_one_encoding(verifier: Verifier, circuit: int) -> None:
    made = settled(circuit).decision
    for i in range(len(made.inputs)):
        inputs = (*made.inputs[:i], made.inputs[i] + P, *made.inputs[i + 1 :])
        assert verifier.decision(replace(made, inputs=inputs)) == MALFORMED


def test_a_proof_of_one_rule_is_none_of_the_other(verifier: Verifier) -> None:
    krum, reference = (settled(circuit).decision for circuit in CIRCUITS)
    assert verifier.decision(replace(krum, key=reference.key)) == MALFORMED  # another number of inputs
    padded = replace(krum, key=reference.key, inputs=(*krum.inputs, *[0] * (len(reference.inputs) - len(krum.inputs))))
    assert verifier.decision(padded) == REFUSED
