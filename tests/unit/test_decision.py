"""The decision circuits against aggregator/rules.py: equal on every input, and satisfied by nothing else."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator import rules
from zk import gram, kzg, setup
from zk.decision import DecisionCircuit, DecisionKey, Secret, check, draw_salt, gram_hash, prove
from zk.statements import DecisionStatement, circuit_id, circuit_shape
from zk.transcript import Context, P
from zk.verifier import GramStatement, gram_claim, verify_decision, verify_gram

LARGEST = (2**15 - 1) ** 2 * 2**28
"""The largest product of two updates."""

CASES = {8: 500, 16: 60, 32: 15}
Matrix = list[list[int]]


@cache
def circuit(number: int) -> DecisionCircuit:
    return DecisionCircuit(number)


@cache
def key(number: int) -> DecisionKey:
    return DecisionKey.development(number, seed=bytes(32))


# ------------------------------------------------------------------ cases: a Gram matrix, who opened, f


def gram_of(rows: Sequence[Sequence[int]]) -> Matrix:
    return [[sum(a * b for a, b in zip(x, y, strict=True)) for y in rows] for x in rows]


def vectors(rng: random.Random, n: int, references: int) -> tuple[Matrix, list[bool], int]:
    """Small vectors, so that ties, equal rows, zero rows and orthogonal rows are frequent."""
    d, size = rng.choice([(1, 1), (2, 2), (3, 3), (6, 50), (6, 32767)])
    rows = [[rng.randint(-size, size) for _ in range(d)] for _ in range(n + references)]
    for i in range(n):
        if rng.random() < 0.15:
            rows[i] = [0] * d
        if rng.random() < 0.15:
            rows[i] = rows[rng.randrange(n)][:]
        if rng.random() < 0.1:
            rows[i] = [-x for x in rows[rng.randrange(n)]]
    share = rng.choice([0, 0.2, 0.5, 0.9, 1, 1])
    opened = [rng.random() < share for _ in range(n)]
    rows = [row if i >= n or opened[i] else [0] * d for i, row in enumerate(rows)]
    return gram_of(rows), opened, rng.randrange(0, n)


def huge(rng: random.Random, n: int, references: int) -> tuple[Matrix, list[bool], int]:
    """Parallel and opposite updates at the largest length, some a little shorter."""
    scale = [rng.choice([1, 1, -1, 0]) for _ in range(n + references)]
    short = [rng.choice([0, 0, 0, 1, 2**20]) for _ in range(n + references)]
    G = [
        [a * b * (LARGEST - max(x, y)) for b, y in zip(scale, short, strict=True)]
        for a, x in zip(scale, short, strict=True)
    ]
    return G, [True] * n, rng.randrange(n)


def arbitrary(rng: random.Random, n: int, references: int) -> tuple[Matrix, list[bool], int]:
    """No Gram matrix of anything: negative norms, norms far too small. The rule's integers are defined all the same."""
    size = rng.choice([1, 3, 2**58 - 1])
    total = n + references
    G = [[0] * total for _ in range(total)]
    for i in range(total):
        for j in range(i, total):
            G[i][j] = G[j][i] = rng.choice([rng.randint(-size, size), size, -size, 0, 1])
    opened = [rng.random() < 0.9 for _ in range(n)]
    for i in range(n):
        for j in range(total):
            if not opened[i]:
                G[i][j] = G[j][i] = 0
    return G, opened, rng.randrange(n)


def decide(rule: int, G: Matrix, opened: list[bool], f: int) -> rules.Decision:
    n = len(opened)
    slots = [line[:n] for line in G[:n]]
    if rule == rules.KRUM_COSINE:
        return rules.krum_cosine(slots, opened, f)
    return rules.reference(slots, opened, [G[i][n] for i in range(n)], [G[i][n + 1] for i in range(n)])


def fold(G: Matrix, slots: int, r: int, s: int, mu: int) -> int:
    """y, as docs/proofs-format.md says it."""
    e = [*range(1, slots + 1), 33, 34][: len(G)]
    pairs = ((i, j) for i in range(len(G)) for j in range(len(G)))
    return (sum(pow(r, e[i], P) * pow(s, e[j], P) * G[i][j] for i, j in pairs) + mu) % P


def stated(number: int, G: Matrix, opened: list[bool], f: int, rng: random.Random) -> tuple[DecisionStatement, Secret]:
    rule, _ = circuit_shape(number)
    secret = Secret(G, rng.randrange(P), rng.randrange(P))
    r, s = rng.randrange(P), rng.randrange(P)
    decision = decide(rule, G, opened, f)
    return (
        DecisionStatement(
            gram_hash=gram_hash(number, secret),
            r=r,
            s=s,
            y=fold(G, len(opened), r, s, secret.mu),
            opened=opened,
            selected=decision.selected,
            max_faulty=f,
            coefficients=decision.coefficients,
            weights=decision.weights,
        ),
        secret,
    )


def holds(number: int, statement: DecisionStatement, secret: Secret) -> bool:
    try:
        check(circuit(number), statement, secret)
    except ValueError:
        return False
    return True


def random_cases(number: int, count: int) -> Iterator[tuple[DecisionStatement, Secret]]:
    rule, size = circuit_shape(number)
    rng = random.Random(number)
    references = 2 if rule == rules.REFERENCE else 0
    made = 0
    while made < count:
        n = rng.choice([size, size, rng.randint(1, size)])
        G, opened, f = rng.choice([vectors, vectors, vectors, huge, arbitrary])(rng, n, references)
        try:
            decide(rule, G, opened, f)
        except ValueError:  # the rule takes no square root of a negative norm
            continue
        yield stated(number, G, opened, f, rng)
        made += 1


# ------------------------------------------------------------------ equal to the rules


@pytest.mark.parametrize("number", [108, 116, 132, 208, 216, 232])
def test_the_circuit_gives_what_the_rule_gives(number: int) -> None:
    seen = set()
    for statement, secret in random_cases(number, CASES[circuit_shape(number)[1]]):
        check(circuit(number), statement, secret)
        seen.add((sum(statement.selected), sum(1 for w in statement.weights if w)))
    assert len(seen) > 5


EDGES = {
    "nobody": ([[0, 0]] * 5, [False] * 5),
    "nobody with an update": ([[0, 0]] * 5, [True] * 5),
    "one": ([[3, 4], *[[0, 0]] * 4], [True] * 5),
    "two": ([[3, 4], [0, 0], [1, -1]], [True] * 3),
    "two opposite, so that the sum is zero": ([[3, 4], [-3, -4]], [True] * 2),
    "all equal": ([[1, 1]] * 8, [True] * 8),
    "all at one distance": ([[int(i == j) for j in range(8)] for i in range(8)], [True] * 8),
    "one against the rest": ([*[[2, 0]] * 7, [-2, 0]], [True] * 8),
    "norm one": ([[1], [1], [1], [-1]], [True] * 4),
}


@pytest.mark.parametrize("rule", [rules.KRUM_COSINE, rules.REFERENCE])
@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("f", [0, 1, 7, 255])
def test_edges_are_those_of_the_rule(rule: int, name: str, f: int) -> None:
    rows, opened = EDGES[name]
    references = [[1] * len(rows[0]), [2] + [-1] * (len(rows[0]) - 1)] if rule == rules.REFERENCE else []
    statement, secret = stated(rule * 100 + 8, gram_of([*rows, *references]), opened, f, random.Random(f))
    check(circuit(rule * 100 + 8), statement, secret)


def test_the_largest_updates_of_the_largest_circuit_fit() -> None:
    for number in (132, 232):
        _, size = circuit_shape(number)
        total = size + (2 if number == 232 else 0)
        statement, secret = stated(number, [[LARGEST] * total] * total, [True] * size, 3, random.Random(1))
        assert sum(statement.weights) > 0
        check(circuit(number), statement, secret)


# ------------------------------------------------------------------ and satisfied by nothing else


def honest(number: int) -> tuple[DecisionStatement, Secret]:
    """A statement with selected and other slots, an unopened one and an empty one, and weights apart."""
    rng = random.Random(5)
    rows = [[3, 1, -2, 5], [3, 1, -2, 4], [0, 0, 0, 0], [4, 0, -1, 6], [-30, 20, 9, 1], [2, 2, -2, 4], [5, 1, 0, 5]]
    references = [[2, 1, -1, 3], [1, 1, -1, 4]] if number > 200 else []
    opened = [True, True, False, True, True, True, True]
    return stated(number, gram_of([*rows, *references]), opened, 1, rng)


def changed(values: Sequence[Any], at: int, value: Any) -> list[Any]:
    return [value if i == at else x for i, x in enumerate(values)]


@pytest.mark.parametrize("number", [108, 208])
def test_no_other_statement_holds(number: int) -> None:
    right, secret = honest(number)
    assert holds(number, right, secret)
    assert 1 < sum(right.selected) < 6
    wrong = [
        replace(right, gram_hash=(right.gram_hash + 1) % P),
        replace(right, r=right.r + 1),
        replace(right, s=right.s + 1),
        replace(right, y=(right.y + 1) % P),
    ]
    if number == 108:  # under the other rule f plays no part in the decision
        wrong.append(replace(right, max_faulty=0))
    for slot in range(7):
        flipped = changed(right.selected, slot, not right.selected[slot])
        coefficients = [int(flag) for flag in flipped] if number == 108 else right.coefficients
        wrong.append(replace(right, selected=flipped, coefficients=coefficients))
        wrong.append(replace(right, opened=changed(right.opened, slot, not right.opened[slot])))
        for step in (1, -1):
            if right.weights[slot] + step >= 0:
                wrong.append(replace(right, weights=changed(right.weights, slot, right.weights[slot] + step)))
            if number == 208 and 0 <= right.coefficients[slot] + step <= 4096:
                more = changed(right.coefficients, slot, right.coefficients[slot] + step)
                wrong.append(replace(right, coefficients=more))
    accepted = [statement for statement in wrong if holds(number, statement, secret)]
    # Slot 2 may be said to have opened with a zero update: that changes nothing that is decided.
    assert accepted == [replace(right, opened=[True] * 7)]
    # A slot without an update is not selected, opened or not.
    beyond = replace(
        right,
        opened=[*right.opened, False],
        selected=[*right.selected, True],
        coefficients=[*right.coefficients, int(number == 108)],
        weights=[*right.weights, 0],
    )
    assert not holds(number, beyond, secret)


@pytest.mark.parametrize("number", [108, 208])
def test_no_other_secret_fits(number: int) -> None:
    right, secret = honest(number)
    assert not holds(number, right, replace(secret, mu=(secret.mu + 1) % P))
    assert not holds(number, right, replace(secret, salt=(secret.salt + 1) % P))
    size = len(secret.gram)
    for i in range(size):
        for j in range(i, size):
            G = [list(row) for row in secret.gram]
            G[i][j] += 1
            G[j][i] = G[i][j]
            assert not holds(number, right, replace(secret, gram=G))


@pytest.mark.parametrize("number", [108, 208])
def test_every_entry_counts_in_y_even_if_the_hash_is_that_of_the_wrong_matrix(number: int) -> None:
    right, secret = honest(number)
    for i in range(len(secret.gram)):
        for j in range(i, len(secret.gram)):
            G = [list(row) for row in secret.gram]
            G[i][j] += 1
            G[j][i] = G[i][j]
            forged = replace(secret, gram=G)
            n = len(right.opened)
            try:
                decision = decide(number // 100, G, list(right.opened), 1)
            except ValueError:
                continue
            statement = replace(
                right,
                gram_hash=gram_hash(number, forged),
                selected=decision.selected,
                coefficients=decision.coefficients,
                weights=decision.weights,
            )
            assert not holds(number, statement, forged)
            # With the y of the forged matrix only rows that were not opened are refused.
            y = fold(G, n, right.r, right.s, secret.mu)
            closed = any(k < n and not right.opened[k] for k in (i, j))
            assert holds(number, replace(statement, y=y), forged) == (not closed)


def test_the_hash_tells_circuits_apart() -> None:
    zeros = Secret([[0, 0], [0, 0]], 1, 2)
    hashes = {gram_hash(number, zeros) for number in (108, 116, 132, 208, 216, 232)}
    assert len(hashes) == 6


# ------------------------------------------------------------------ proofs


@pytest.mark.parametrize("number", [108, 208])
def test_a_proof_convinces_the_other_verifier_and_says_one_thing(number: int) -> None:
    statement, secret = honest(number)
    inputs = statement.public_inputs(number)
    proof = prove(key(number), statement, secret)
    assert verify_decision(key(number).verifying_key, inputs, proof)
    # No input is without a point of its own: the verifier takes no key with one at infinity.
    for k in (0, len(inputs) - 1):
        assert not verify_decision(key(number).verifying_key, changed(inputs, k, (inputs[k] + 1) % P), proof)


@pytest.mark.parametrize("number", [108, 208])
def test_a_round_is_proved_from_the_commitments_to_the_weights(number: int) -> None:
    d, opened, rng = 37, [True, False, True, True, True], np.random.default_rng(number)
    srs = setup.development(16, seed=b"decision tests")
    rows = [rng.integers(-200, 200, d, np.int16) for _ in range(5)]
    references = [rows[0] + rows[2], rows[2] + rows[3]] if number == 208 else []
    slots = [i for i in range(5) if opened[i]]
    shown = [*(rows[i] for i in slots), *references]
    blinders = [kzg.random_blinders(d, srs.size) for _ in shown]
    commitments = [kzg.commit(srs, w, b) for w, b in zip(shown, blinders, strict=True)]
    G = gram_of([[int(x) * (i >= 5 or opened[i]) for x in w] for i, w in enumerate([*rows, *references])])
    decision = decide(number // 100, G, opened, 1)
    mask = gram.draw_mask(srs)
    secret = Secret(G, mask.mu, draw_salt())
    coefficients = [decision.coefficients[i] for i in slots]
    positions = sum(1 << i for i in slots) + (3 << 32 if references else 0)
    sums = kzg.combine(commitments[: len(slots)], coefficients)
    context = Context(31337, bytes(20), 1, 1, bytes(32)).encoded()
    claim = GramStatement(context, positions, gram_hash(number, secret), commitments, sums, coefficients)
    linear = gram.prove(srs, claim, shown, blinders, mask)
    assert verify_gram(claim, linear.proof, setup.verifier_setup(srs))
    r, s, y = gram_claim(claim, linear.proof, setup.verifier_setup(srs))
    statement = DecisionStatement(
        claim.gram_hash, r, s, y, opened, decision.selected, 1, decision.coefficients, decision.weights
    )
    assert any(decision.weights)
    proof = prove(key(number), statement, secret)
    assert verify_decision(key(number).verifying_key, statement.public_inputs(number), proof)


def test_two_proofs_of_one_statement_share_no_word() -> None:
    statement, secret = honest(208)
    first, second = (prove(key(208), statement, secret) for _ in range(2))
    assert not {first[i : i + 32] for i in range(0, 256, 32)} & {second[i : i + 32] for i in range(0, 256, 32)}


def test_what_does_not_hold_is_not_proved() -> None:
    statement, secret = honest(208)
    with pytest.raises(ValueError, match="does not give these selected slots"):
        prove(key(208), replace(statement, weights=changed(statement.weights, 0, 5)), secret)
    with pytest.raises(ValueError, match="y is not what"):
        prove(key(208), replace(statement, y=1), secret)
    with pytest.raises(ValueError, match="Gram hash is not"):
        prove(key(208), replace(statement, gram_hash=1), secret)


def test_a_key_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "208.key"
    key(208).write(path)
    read = DecisionKey.read(path, check=False)
    assert (read.circuit, read.kind, read.verifying_key) == (208, "development", key(208).verifying_key)
    assert DecisionKey.development(208).verifying_key != key(208).verifying_key
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="bytes, "):
        DecisionKey.read(path, check=False)


def test_statements_and_secrets_that_do_not_fit_are_refused() -> None:
    statement, _ = honest(208)
    with pytest.raises(ValueError, match="no circuit"):
        statement.public_inputs(209)
    with pytest.raises(ValueError, match="no circuit"):
        circuit_id(1, 33)
    for why, wrong in (
        ("one number of slots", replace(statement, weights=[*statement.weights, 1])),
        ("a weight", replace(statement, weights=changed(statement.weights, 0, 2**96))),
        ("a coefficient", replace(statement, coefficients=changed(statement.coefficients, 0, 4097))),
        ("max_faulty is 256", replace(statement, max_faulty=256)),
        ("below the group's order", replace(statement, y=P)),
        ("up to 8", replace(statement, opened=[True] * 9, selected=[True] * 9, coefficients=[0] * 9, weights=[0] * 9)),
    ):
        with pytest.raises(ValueError, match=why):
            wrong.public_inputs(208)
    with pytest.raises(ValueError, match="krum-cosine a coefficient"):
        replace(statement, coefficients=[2] * 7).public_inputs(108)
    for why, matrix in (
        ("symmetric", [[1, 2], [3, 4]]),
        ("square", [[1, 2]]),
        ("not below", [[2**58]]),
        ("9 rows", [[0] * 9] * 9),
    ):
        with pytest.raises(ValueError, match=why):
            gram_hash(108, Secret(matrix, 0, 0))
    with pytest.raises(ValueError, match="below the group's order"):
        gram_hash(108, Secret([[1]], P, 0))
    assert 0 <= draw_salt() < P
    assert [circuit_id(2, n) for n in (1, 8, 9, 32)] == [208, 208, 216, 232]
