"""The Gram proof: y = Σ r^{e_i} s^{e_j} ⟨w_i, w_j⟩ + μ for committed rows, without a row or a product revealed.

In order: draw a mask, which fixes μ; hash the Gram matrix with μ; state, prove. `zk.verifier.verify_gram` checks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from zk.encoding import Int16s
from zk.kzg import random_words
from zk.setup import Srs
from zk.transcript import P, word
from zk.verifier import GramStatement

Progress = Callable[[str, int, int], object]
"""Called with (phase, done, total) between steps; what it raises ends the proof."""


@dataclass(frozen=True, slots=True)
class Mask:
    """What hides y: μ = N·m₀ is added to it. Secret, and good for one proof: two that share it reveal products."""

    words: bytes = field(repr=False)
    mu: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class GramProof:
    """proof: 14 + 2c words. r, s, y: public inputs of the decision proof, integers < P."""

    proof: bytes
    r: int
    s: int
    y: int


def draw_mask(srs: Srs) -> Mask:
    """A mask from the system's randomness."""
    words = random_words(3)
    return Mask(words, srs.size * int.from_bytes(words[:32]) % P)


def prove(
    srs: Srs,
    statement: GramStatement,
    rows: Sequence[Int16s],
    blinders: Sequence[bytes],
    mask: Mask,
    progress: Progress | None = None,
) -> GramProof:
    """Proves a statement about rows int16[d] in the order of its positions, with the blinders of their commitments.

    Prove once for a set of commitments and keep the proof: each proof shows two evaluations for every chunk, and every
    row brings only two blinders to hide them. Rows and blinders must open the commitments (`zk.kzg.which_open`), the
    Gram hash must bind their products and mask.mu, and the sums be those of the coefficients, or the proof is refused.
    Needs about 64·d bytes beside the rows.
    Raises ValueError for inputs that cannot be proved, and what `progress` or a signal raises.
    """
    proof, r, s, y = srs.prove_gram(
        statement.context,
        statement.positions,
        rows,
        blinders,
        statement.commitments,
        statement.sums,
        word(statement.gram_hash),
        mask.words,
        random_words(4),
        progress,
    )
    return GramProof(proof, int.from_bytes(r), int.from_bytes(s), int.from_bytes(y))
