"""Rows that are no vectors: two trainers and the aggregator choose products, and the decision proof says what passes.

A committed row may hold any field elements, and such rows can have any products with others that one likes. What the
rules see is G alone, so it is G that is searched here. The two add up to an in-range vector, as the opened sum shows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from aggregator import rules
from aggregator.gram import gram
from benches.pay.attacks import integers, unit
from benches.theft.respond import Floats
from marketplace.domain import Rule
from zk.decision import ENTRY_BITS, DecisionCircuit, Secret, check, draw_salt, gram_hash
from zk.encoding import LIMIT, Int16s
from zk.statements import DecisionStatement, circuit_id
from zk.transcript import P

Matrix = list[list[int]]

REFUSAL = "no Gram matrix"
_R, _S = 3, 5  # challenges of a Gram proof: any will do, the matrix is judged and not its proof


@cache
def circuit(number: int) -> DecisionCircuit:
    return DecisionCircuit(number)


def decide(rule: Rule, G: Matrix, f: int) -> rules.Decision:
    """G: with the products of the reference rows, under that rule. Raises ValueError where the rule has no answer."""
    if rule is Rule.KRUM_COSINE:
        return rules.krum_cosine(G, [True] * len(G), f)
    n = len(G) - 2
    part = [row[:n] for row in G[:n]]
    return rules.reference(part, [True] * n, [row[n] for row in G[:n]], G[n][n], [row[n + 1] for row in G[:n]])


def refusal(rule: Rule, G: Matrix, f: int) -> str | None:
    """Why there is no decision proof for G and what the rule makes of it; None where there is one."""
    try:
        decision = decide(rule, G, f)
    except ValueError as error:
        return str(error)
    n = len(decision.selected)
    number = circuit_id(rule.value, n)
    secret = Secret(G, 7, draw_salt())
    powers = [k + 1 for k in range(n)] + [33, 34][: len(G) - n]
    y = 7 + sum(
        pow(_R, a, P) * pow(_S, b, P) * entry
        for a, row in zip(powers, G, strict=True)
        for b, entry in zip(powers, row, strict=True)
    )
    try:
        statement = DecisionStatement(
            gram_hash=gram_hash(number, secret),
            r=_R,
            s=_S,
            y=y % P,
            opened=[True] * n,
            selected=decision.selected,
            struck=decision.struck,
            max_faulty=f,
            coefficients=decision.coefficients,
            scores=decision.scores,
        )
        check(circuit(number), statement, secret)
    except ValueError as error:
        return str(error)
    return None


def part_of(rule: Rule, G: Matrix, f: int, members: int) -> float:
    """The part of a round's points that the last slots get, 0 … 1; 0 where the rule has no answer."""
    try:
        decision = decide(rule, G, f)
    except ValueError:
        return 0.0
    scores = [max(0, score) for score in decision.scores]
    return sum(scores[-members:]) / sum(scores) if any(scores) else 0.0


@dataclass(frozen=True, slots=True)
class Scenery:
    """A round: the honest updates int16[d], and the reference rows, none under krum-cosine."""

    rule: Rule
    max_faulty: int
    honest: Sequence[Int16s]
    references: Sequence[Int16s]

    def matrix(self, rows: Sequence[Int16s]) -> Matrix:
        return gram([*self.honest, *rows, *self.references])

    def directions(self) -> list[Floats]:
        mean = np.mean([row.astype(np.float64) for row in self.honest], axis=0)
        return [unit(mean), *(unit(row.astype(np.float64)) for row in self.references), unit(self.honest[0] + mean)]

    @property
    def norm(self) -> float:
        return float(np.median([np.linalg.norm(row.astype(np.float64)) for row in self.honest]))


def real(scene: Scenery, tries: int, rng: np.random.Generator, *, bounded: bool) -> float:
    """The most that two real vectors were found to get. bounded: with entries in the range of an update."""
    known, found = scene.directions(), 0.0
    d, most = len(scene.honest[0]), float(LIMIT if bounded else 2**22)
    base = [row.astype(np.float64) for row in scene.honest]
    references = [row.astype(np.float64) for row in scene.references]
    for number in range(tries):
        rows = []
        for _ in range(2):
            v = (
                known[number]
                if number < len(known)
                else sum(x * part for x, part in zip(rng.dirichlet([0.5] * len(known)), known, strict=True))
            )
            v = v + 10 ** rng.uniform(-3, 0) * unit(rng.standard_normal(d)) * (number >= len(known))
            length = 1.0 if number < len(known) else 10 ** rng.uniform(-2, 2 if bounded else 4)
            rows.append(np.clip(np.rint(unit(v) * length * scene.norm), -most, most))
        every = np.array([*base, *rows, *references])
        # Beyond 2^53 a product of floats is off in its last bits, which moves no share that is looked at here.
        G = [[int(x) for x in line] for line in every @ every.T]
        found = max(found, part_of(scene.rule, G, scene.max_faulty, 2))
    return found


def forge(scene: Scenery, both: Int16s, along: Sequence[int], within: int, square: int) -> Matrix | None:
    """G of the honest, two rows that add up to `both`, and the references. None where an entry leaves its range.

    along: the first row's products with the honest, then with the references. within: its product with `both`.
    """
    known = [*scene.honest, *scene.references]
    whole = gram([*known, both])
    h = len(scene.honest)
    total = whole[-1]  # products of `both` with all known, then with itself
    rest = [total[k] - along[k] for k in range(len(known))]
    cross, other = within - square, total[-1] - 2 * within + square
    G = [row[:-1] for row in whole[:-1]]
    for k, row in enumerate(G):
        row[h:h] = [along[k], rest[k]]
    G[h:h] = [
        [*along[:h], square, cross, *along[h:]],
        [*rest[:h], cross, other, *rest[h:]],
    ]
    return None if any(abs(entry) >> ENTRY_BITS for row in G for entry in row) else G


def forgeries(scene: Scenery, tries: int, rng: np.random.Generator) -> Iterator[tuple[float, int, Int16s, list[int]]]:
    """(the part that it would get, the norm² of its first row, the sum of the two, its products)."""
    mean = np.mean([row.astype(np.float64) for row in scene.honest], axis=0)
    for number in range(tries):
        both = integers(2 * mean * (1 if number == 0 else 10 ** rng.uniform(-1, 0.5)))
        total = gram([*scene.honest, *scene.references, both])[-1]
        along = [round(x / 2 * (1 if number == 0 else 10 ** rng.uniform(-1, 1))) for x in total[:-1]]
        if scene.rule is Rule.REFERENCE:
            along[-2] = abs(along[-2]) + 1
            along[-1] = 2 ** int(rng.integers(30, ENTRY_BITS - 1))
        square = 1 if number == 0 else 2 ** int(rng.integers(0, max(2, total[-1].bit_length())))
        G = forge(scene, both, along, total[-1] // 2, square)
        if G is not None:
            yield part_of(scene.rule, G, scene.max_faulty, 2), square, both, along


@dataclass(frozen=True, slots=True)
class Searched:
    """Parts of a round's points, 0 … 1: the best forgery, how many were worth more than `in_range` and how many of
    these the proof refused for REFUSAL, the most that passes it, and real vectors in range and of any length."""

    best: float
    worth: int
    refused: int
    passes: float
    in_range: float
    any_length: float


def search(scene: Scenery, tries: int, seed: int) -> Searched:
    rng = np.random.default_rng(seed)
    in_range = real(scene, tries, rng, bounded=True)
    any_length = real(scene, tries, rng, bounded=False)
    found = sorted(forgeries(scene, tries, rng), key=lambda one: -one[0])
    worth = [one for one in found if one[0] > in_range]
    refused, passes = 0, any_length
    for part, square, both, along in worth:
        G = forge(scene, both, along, gram([both])[0][0] // 2, square)
        said = refusal(scene.rule, G, scene.max_faulty) if G else REFUSAL
        if said is None:
            passes = max(passes, part)
        elif REFUSAL in said:
            refused += 1
    for _, _, both, along in worth[:3]:
        passes = max(passes, lengthened(scene, both, along))
    return Searched(max((one[0] for one in found), default=0.0), len(worth), refused, passes, in_range, any_length)


def lengthened(scene: Scenery, both: Int16s, along: Sequence[int]) -> float:
    """What a forgery gets once its first row is as long as its products ask for: the least norm² that passes."""
    within = gram([both])[0][0] // 2

    def passing(bits: float) -> Matrix | None:
        G = forge(scene, both, along, within, int(2**bits))
        return G if G is not None and refusal(scene.rule, G, scene.max_faulty) is None else None

    low, high = 0.0, float(ENTRY_BITS) - 0.01
    if passing(high) is None:
        return 0.0  # its products are so large that no row in G's range has them
    while high - low > 0.05:
        middle = (low + high) / 2
        low, high = (low, middle) if passing(middle) else (middle, high)
    G = passing(high)
    return part_of(scene.rule, G, scene.max_faulty, 2) if G else 0.0
