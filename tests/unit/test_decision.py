"""The decision circuits against aggregator/rules.py: equal on every input, and satisfied by nothing else."""

import random
from collections.abc import Callable, Iterator, Sequence
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

SLACK = 71 / 1024
"""What a matrix of 34 rows may lack to be one of vectors."""

CASES = {8: 500, 16: 60, 32: 15}
Matrix = list[list[int]]
Case = Callable[[random.Random, int, int], tuple[Matrix, list[bool], int]]


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
    """Seldom a Gram matrix: negative norms, norms far too small. The rule is defined on their integers all the same."""
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
    return rules.reference(slots, opened, [G[i][n] for i in range(n)], G[n][n], [G[i][n + 1] for i in range(n)])


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
            struck=decision.struck,
            max_faulty=f,
            coefficients=decision.coefficients,
            scores=decision.scores,
        ),
        secret,
    )


def holds(number: int, statement: DecisionStatement, secret: Secret) -> bool:
    try:
        check(circuit(number), statement, secret)
    except ValueError:
        return False
    return True


def random_cases(
    number: int, count: int, kinds: Sequence[Case] = (vectors, vectors, vectors, huge)
) -> Iterator[tuple[DecisionStatement, Secret]]:
    rule, size = circuit_shape(number)
    rng = random.Random(number)
    references = 2 if rule == rules.REFERENCE else 0
    made = 0
    while made < count:
        n = rng.choice([size, size, rng.randint(1, size)])
        G, opened, f = rng.choice(kinds)(rng, n, references)
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
        below = sum(score < 0 for score in statement.scores)
        seen.add((sum(statement.selected), sum(statement.struck), below))
    assert len(seen) > 5
    assert any(struck for _, struck, _ in seen)
    assert any(below for _, _, below in seen) == (number > 200)


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
    "zero, opened and not": ([[0, 0], [1, 2], [0, 0], [2, 1]], [True, True, False, True]),
}


@pytest.mark.parametrize("rule", [rules.KRUM_COSINE, rules.REFERENCE])
@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("f", [0, 1, 7, 255])
def test_edges_are_those_of_the_rule(rule: int, name: str, f: int) -> None:
    rows, opened = EDGES[name]
    references = [[1] * len(rows[0]), [2] + [-1] * (len(rows[0]) - 1)] if rule == rules.REFERENCE else []
    statement, secret = stated(rule * 100 + 8, gram_of([*rows, *references]), opened, f, random.Random(f))
    check(circuit(rule * 100 + 8), statement, secret)


Products = tuple[int, int, int]

BOUNDS: dict[str, tuple[Products, bool]] = {
    # ⟨w, w⟩, ⟨w, v0⟩, ⟨v0, v0⟩; struck or not
    "a cosine of −1/2": ((4, -3, 9), True),
    "little less": ((4, -2, 9), False),
    "little more": ((4, -4, 9), True),
    "of 1/2": ((4, 3, 9), False),
    "none": ((4, 0, 9), False),
    "of −1/2, largest": ((2**58 - 2, -(2**57 - 1), 2**58 - 2), True),
    "little above, largest": ((2**58 - 1, -(2**57 - 1), 2**58 - 2), False),
    "opposite, largest": ((2**58 - 1, 1 - 2**58, 2**58 - 1), True),
    "alike, largest": ((2**58 - 1, 2**58 - 1, 2**58 - 1), False),
    "along nothing": ((4, 0, 0), False),
    "along nothing, largest": ((2**58 - 1, 0, 0), False),
    "zero": ((0, 0, 9), True),
    "zero, along nothing": ((0, 0, 0), True),
    # No vectors, but within the slack; the circuit keeps to the rule there too.
    "along nothing, and against it": ((2**30, -1, 0), True),
    "zero, and against something": ((0, -1, 2**30), True),
    "zero, and along something": ((0, 1, 2**30), True),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_who_is_clearly_against_the_first_row_is_struck(name: str) -> None:
    (norm, along, vv), struck = BOUNDS[name]
    # Slot 0 as said, slot 1 not opened, slot 2 with a norm that clips it where it can; no product with the second row.
    G = [
        [norm, 0, 0, along, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [along, 0, 0, vv, 0],
        [0, 0, 0, 0, 0],
    ]
    statement, secret = stated(208, G, [True, False, True], 1, random.Random(name))
    assert list(statement.struck) == [struck, False, False]
    check(circuit(208), statement, secret)
    for slot in range(3):
        assert not holds(
            208, replace(statement, struck=changed(statement.struck, slot, not statement.struck[slot])), secret
        )


@pytest.mark.parametrize("number", [132, 232])
@pytest.mark.parametrize("second", [1, -1])
def test_the_largest_updates_of_the_largest_circuit_fit(number: int, second: int) -> None:
    signs = [1] * 32 + [1, second] * (number == 232)
    G = [[a * b * LARGEST for b in signs] for a in signs]
    statement, secret = stated(number, G, [True] * 32, 3, random.Random(1))
    if number == 232:
        assert set(statement.scores) == {second * 4096 * LARGEST}
    assert any(statement.scores)
    check(circuit(number), statement, secret)


# ------------------------------------------------------------------ and satisfied by nothing else


def least(G: Sequence[Sequence[int]]) -> float:
    """The smallest eigenvalue: not below 0 for vectors, but for what floats of this size lose."""
    return float(np.linalg.eigvalsh(np.array(G, dtype=float))[0])


@pytest.mark.parametrize("number", [108, 116, 132, 208, 216, 232])
def test_what_is_no_gram_matrix_has_no_decision(number: int) -> None:
    refused, cases = 0, CASES[circuit_shape(number)[1]] // 3
    for statement, secret in random_cases(number, cases, [arbitrary]):
        lost = max(abs(entry) for row in secret.gram for entry in row) * 2.0**-40
        if least(secret.gram) < -SLACK - lost:
            with pytest.raises(ValueError, match="no Gram matrix: no real vectors have these products"):
                check(circuit(number), statement, secret)
            refused += 1
        elif least(secret.gram) > lost:
            check(circuit(number), statement, secret)
    assert refused > cases // 2


def colluding(rule: int) -> tuple[Matrix, int]:
    """Six honest updates, and two that sum to twice the honest mean: of them the first has a norm of 1, which small
    integers cannot have together with its other products. What it is paid by, and how many rows are honest.

    The entries of such rows are any field elements; a Gram proof shows these products all the same.
    """
    rng = random.Random(1)
    towards = [rng.gauss(0, 1) for _ in range(48)]
    rows = [[int(3000 * (x + 1.5 * rng.gauss(0, 1))) for x in towards] for _ in range(6)]
    mean = [round(sum(column) / 6) for column in zip(*rows, strict=True)]
    both = [2 * x for x in mean]
    references = [[int(3000 * (x + 0.3 * rng.gauss(0, 1))) for x in towards] for _ in range(2)][: 2 * (rule == 2)]
    known = [*rows, *references]

    def dot(a: Sequence[int], b: Sequence[int]) -> int:
        return sum(x * y for x, y in zip(a, b, strict=True))

    first = [dot(mean, row) for row in rows] if rule == rules.KRUM_COSINE else [0] * 6
    first += [1, 2**57][: len(references)]
    second = [dot(both, row) - x for row, x in zip(known, first, strict=True)]
    half = dot(both, both) // 2
    G = [[dot(a, b) for b in known] for a in known]
    for row, (x, y) in zip(G, zip(first, second, strict=True), strict=True):
        row[6:6] = [x, y]
    G[6:6] = [
        [*first[:6], 1, half - 1, *first[6:]],
        [*second[:6], half - 1, dot(both, both) - 2 * half + 1, *second[6:]],
    ]
    return G, 6


@pytest.mark.parametrize("number", [108, 132, 208, 232])
def test_colluders_whose_rows_are_no_vectors_would_take_the_pot_and_have_no_proof(number: int) -> None:
    G, honest = colluding(number // 100)
    statement, secret = stated(number, G, [True] * 8, 2, random.Random(2))
    paid = [max(0, score) for score in statement.scores]  # who has less than nothing is paid nothing
    assert sum(paid[honest:]) > 0.99 * sum(paid)
    with pytest.raises(ValueError, match="no Gram matrix"):
        check(circuit(number), statement, secret)


def honest(number: int) -> tuple[DecisionStatement, Secret]:
    """A statement with selected, struck and other slots, an unopened one and a zero one, and scores apart.

    Under rule 2 slot 4 is against the first row, and slot 6 raised the loss.
    """
    rng = random.Random(5)
    rows = [[3, 1, -2, 5], [3, 1, -2, 4], [0, 0, 0, 0], [4, 0, -1, 6], [-30, -20, 9, -1], [0, 0, 0, 0], [5, 1, 0, -3]]
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
    assert sum(right.struck) == number // 100
    assert any(score < 0 for score in right.scores) == (number == 208)
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
        struck = changed(right.struck, slot, not right.struck[slot])
        wrong.append(replace(right, struck=struck))
        wrong.append(replace(right, opened=changed(right.opened, slot, not right.opened[slot]), struck=struck))
        for score in (right.scores[slot] + 1, right.scores[slot] - 1, -right.scores[slot]):
            if score != right.scores[slot]:
                wrong.append(replace(right, scores=changed(right.scores, slot, score)))
        for step in (1, -1):
            if number == 208 and 0 <= right.coefficients[slot] + step <= 4096:
                more = changed(right.coefficients, slot, right.coefficients[slot] + step)
                wrong.append(replace(right, coefficients=more))
    accepted = [statement for statement in wrong if holds(number, statement, secret)]
    # Slot 2 may be said to have opened with a zero update, slot 5 not to have opened: either with what the rule says of
    # it. Who opened is the contract's to say.
    assert accepted == [
        replace(right, opened=changed(right.opened, slot, opened), struck=changed(right.struck, slot, opened))
        for slot, opened in ((2, True), (5, False))
    ]
    # A slot without an update is not selected, opened or not.
    beyond = replace(
        right,
        opened=[*right.opened, False],
        selected=[*right.selected, True],
        struck=[*right.struck, False],
        coefficients=[*right.coefficients, int(number == 108)],
        scores=[*right.scores, 0],
    )
    assert not holds(number, beyond, secret)
    # Nor is it struck, unless it opened.
    unselected = replace(beyond, selected=[*right.selected, False], coefficients=[*right.coefficients, 0])
    assert holds(number, unselected, secret)
    assert not holds(number, replace(unselected, struck=[*right.struck, True]), secret)


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
                struck=decision.struck,
                coefficients=decision.coefficients,
                scores=decision.scores,
            )
            assert not holds(number, statement, forged)
            # With the y of the forged matrix only rows that were not opened are refused.
            y = fold(G, n, right.r, right.s, secret.mu)
            closed = any(k < n and not right.opened[k] for k in (i, j))
            if abs(least(G)) < SLACK and not closed:  # so little that it may be within the slack
                continue
            assert holds(number, replace(statement, y=y), forged) == (not closed and least(G) > 0)


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
def test_a_round_is_proved_from_the_commitments_to_the_scores(number: int) -> None:
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
        claim.gram_hash, r, s, y, opened, decision.selected, decision.struck, 1, decision.coefficients, decision.scores
    )
    assert any(decision.scores)
    proof = prove(key(number), statement, secret)
    assert verify_decision(key(number).verifying_key, statement.public_inputs(number), proof)


def test_two_proofs_of_one_statement_share_no_word() -> None:
    statement, secret = honest(208)
    first, second = (prove(key(208), statement, secret) for _ in range(2))
    assert not {first[i : i + 32] for i in range(0, 256, 32)} & {second[i : i + 32] for i in range(0, 256, 32)}


def test_what_does_not_hold_is_not_proved() -> None:
    statement, secret = honest(208)
    with pytest.raises(ValueError, match="does not give these selected slots, struck slots, coefficients and scores"):
        prove(key(208), replace(statement, scores=changed(statement.scores, 0, 5)), secret)
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


@pytest.mark.parametrize("number", [108, 132, 216, 232])
def test_the_public_inputs_can_be_read_in_one_way_only(number: int) -> None:
    """Taken apart again as docs/proofs-format.md says: each digit is the one of least magnitude."""
    rng, (rule, size) = random.Random(number), circuit_shape(number)
    extremes = [0, 1, -1, 2**70, -(2**70), 2**95 - 1, -(2**95)]
    for _ in range(50):
        n = rng.randint(1, size)
        opened, selected, struck = ([rng.random() < 0.5 for _ in range(n)] for _ in range(3))
        scores = [rng.choice([*extremes, rng.randrange(-(2**95), 2**95)]) for _ in range(n)]
        coefficients = [rng.randint(0, 4096) if rule == 2 else int(flag) for flag in selected]
        told = DecisionStatement(7, 8, 9, P - 1, opened, selected, struck, rng.randrange(256), coefficients, scores)
        first, second, third, fourth, masks, *rest = told.public_inputs(number)
        assert (first, second, third, fourth) == (7, 8, 9, P - 1)
        flags = [[masks >> at + i & 1 == 1 for i in range(32)] for at in (0, 32, 72)]
        assert flags == [[*mask, *[False] * (32 - n)] for mask in (opened, selected, struck)]
        assert (masks >> 64 & 0xFF, masks >> 104) == (told.max_faulty, 0)
        if rule == 2:
            packed, rest = rest[: -(-size // 16)], rest[-(-size // 16) :]
            assert [packed[i // 16] >> 13 * (i % 16) & 0x1FFF for i in range(n)] == coefficients
        read = []
        for word in rest:
            whole = word - P if word > P // 2 else word
            low = (whole + 2**95) % 2**96 - 2**95
            read += [low, (whole - low) >> 96]
        assert read == [*scores, *[0] * (size - n)]


def test_statements_and_secrets_that_do_not_fit_are_refused() -> None:
    statement, _ = honest(208)
    with pytest.raises(ValueError, match="no circuit"):
        statement.public_inputs(209)
    with pytest.raises(ValueError, match="no circuit"):
        circuit_id(1, 33)
    for why, wrong in (
        ("one number of slots", replace(statement, scores=[*statement.scores, 1])),
        ("one number of slots", replace(statement, struck=statement.struck[1:])),
        ("a score", replace(statement, scores=changed(statement.scores, 0, 2**95))),
        ("a score", replace(statement, scores=changed(statement.scores, 0, -(2**95) - 1))),
        ("a coefficient", replace(statement, coefficients=changed(statement.coefficients, 0, 4097))),
        ("max_faulty is 256", replace(statement, max_faulty=256)),
        ("below the group's order", replace(statement, y=P)),
        ("up to 8", DecisionStatement(1, 1, 1, 1, [True] * 9, [True] * 9, [True] * 9, 1, [0] * 9, [0] * 9)),
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
