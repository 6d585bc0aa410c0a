"""The pay rules: from the Gram matrix to who is in the sum, with which coefficient, what each brought, who is struck.

Integers only: floor division, integer square roots, ties to the lower slot. The circuit and every auditor have to agree
with these functions to the unit (docs/rules.md).

G: n × n exact inner products of the updates by slot, symmetric. opened: n flags; slot i was submitted and opened.
A slot is admissible if it was opened and its update is not zero; any other slot gets nothing, whatever G says of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from zk.encoding import ONE
from zk.statements import KRUM_COSINE, REFERENCE

UNIT = {KRUM_COSINE: 1, REFERENCE: ONE}
"""By rule, the coefficient of a whole update: the step is rate · scale · Σ c_i·w_i / (UNIT · number selected)."""

COSINE_ONE = 2**30
"""The score that `krum-cosine` gives an update that points exactly along the selected sum."""

Matrix = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Decision:
    """A round's judgement by slot: in the sum or not; a strike or none; its coefficient there (0 … UNIT); its score.

    A score is 0 for a slot that is not selected. Under `reference` it may be negative.
    """

    selected: tuple[bool, ...]
    struck: tuple[bool, ...]
    coefficients: tuple[int, ...]
    scores: tuple[int, ...]


def _admissible(G: Matrix, opened: Sequence[bool], *products: Sequence[int]) -> list[int]:
    """The admissible slots, ascending. Raises ValueError if the arguments are not of one size."""
    n = len(G)
    if any(len(line) != n for line in G) or any(len(line) != n for line in (opened, *products)):
        raise ValueError(f"G has {n} rows: every row, the opened flags and the products need {n} entries")
    return [i for i in range(n) if opened[i] and G[i][i] > 0]


def krum_cosine(G: Matrix, opened: Sequence[bool], f: int) -> Decision:
    """Rule 1: Multi-Krum selects, the cosine to the selected sum is the score. A zero update is struck.

    Of m admissible slots the m − f' that are least far from others are selected, f' = min(f, max(0, ⌊(m − 3)/2⌋)): far
    is the sum of a slot's m − f' − 2 smallest squared distances. Blanchard et al. 2017, arXiv:1703.02757.
    """
    live = _admissible(G, opened)
    m = len(live)
    faulty = min(f, max(0, (m - 3) // 2))
    near = max(0, m - faulty - 2)

    def far(i: int) -> int:
        return sum(sorted(G[i][i] + G[j][j] - 2 * G[i][j] for j in live if j != i)[:near])

    chosen = sorted(sorted(live, key=lambda i: (far(i), i))[: m - faulty])
    along = {i: sum(G[i][j] for j in chosen) for i in chosen}
    norm = isqrt(sum(along.values()))
    scores = [0] * len(G)
    for i in chosen:
        if norm:
            scores[i] = max(0, along[i]) * COSINE_ONE // (isqrt(G[i][i]) * norm)
    selected = tuple(i in along for i in range(len(G)))
    struck = tuple(bool(flag) and i not in live for i, flag in enumerate(opened))
    return Decision(selected, struck, tuple(UNIT[KRUM_COSINE] * s for s in selected), tuple(scores))


def reference_selection(
    G: Matrix, opened: Sequence[bool], v0: Sequence[int]
) -> tuple[tuple[bool, ...], tuple[int, ...]]:
    """The first half of rule 2: (selected, coefficients) by slot, which fix the round's step.

    v0: ⟨w_i, v0⟩ by slot, v0 being the first reference row. Selected is who points along it. A coefficient is ONE up to
    the lower median of the admissible norms, and shrinks a longer update to that norm.
    """
    live = _admissible(G, opened, v0)
    norms = sorted(G[i][i] for i in live)
    median = norms[(len(norms) - 1) // 2] if norms else 0
    selected, coefficients = [False] * len(G), [0] * len(G)
    for i in live:
        if v0[i] > 0:
            selected[i] = True
            coefficients[i] = ONE if G[i][i] <= median else isqrt(ONE * ONE * median // G[i][i])
    return tuple(selected), tuple(coefficients)


def reference(G: Matrix, opened: Sequence[bool], v0: Sequence[int], vv: int, u: Sequence[int]) -> Decision:
    """Rule 2: selects by the first reference row and scores by the second, linearly in the update.

    vv: ⟨v0, v0⟩. u: ⟨w_i, u⟩ by slot, u being the second reference row: the mean negative gradient of the validation
    loss along the step that `reference_selection` has fixed. The scores then add up to the validation loss that the
    step takes away. Struck is what opened and is zero, or has a cosine of at most −1/2 to v0.
    """
    selected, coefficients = reference_selection(G, opened, v0)
    live = _admissible(G, opened, v0, u)

    def against(i: int) -> bool:
        return v0[i] < 0 and 4 * v0[i] * v0[i] >= G[i][i] * vv

    struck = tuple(bool(flag) and (i not in live or against(i)) for i, flag in enumerate(opened))
    return Decision(
        selected, struck, coefficients, tuple(c * product for c, product in zip(coefficients, u, strict=True))
    )
