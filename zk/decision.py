"""The decision proof: the pay rule, run on a hidden Gram matrix, gives the stated slots, strikes, coefficients, scores.

In order: `gram_hash` binds the matrix before the Gram proof draws r and s; `prove` proves the statement with the key of
the circuit. `zk.verifier.verify_decision` checks. The circuits are described in docs/decision-circuit.md.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from zk import _core
from zk._core import DecisionCircuit, DecisionKey
from zk.statements import REFERENCE, DecisionStatement, circuit_shape
from zk.transcript import P, word

__all__ = ["DecisionCircuit", "DecisionKey", "Secret", "check", "draw_salt", "gram_hash", "prove"]

ENTRY_BITS = 58
"""Every |G_ij| < 2^58, which every update up to zk.encoding.MAX_ENTRIES keeps."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What the proof hides.

    gram: the symmetric matrix of exact products over k ≤ n_max slots, then, under rule `reference`, v0 and u: so k or
    k + 2 rows of as many integers, |·| < 2^58. The rows of slots that were not opened are zero.
    mu: the mask of the Gram proof's y (`zk.gram.Mask`). salt: a random integer < P (`draw_salt`).
    """

    gram: Sequence[Sequence[int]] = field(repr=False)
    mu: int = field(repr=False)
    salt: int = field(repr=False)

    def entries(self, circuit: int) -> list[int]:
        """The matrix in the circuit's order. Raises ValueError if it is none, or does not fit."""
        rule, size = circuit_shape(circuit)
        references = 2 if rule == REFERENCE else 0
        k = len(self.gram) - references
        if not 0 <= k <= size:
            raise ValueError(
                f"the Gram matrix has {len(self.gram)} rows: circuit {circuit} takes {references} … {size + references}"
            )
        G = [[int(g) for g in row] for row in self.gram]
        if any(len(row) != len(G) for row in G) or any(G[i][j] != G[j][i] for i in range(len(G)) for j in range(i)):
            raise ValueError("the Gram matrix is not square and symmetric")
        if any(abs(g) >> ENTRY_BITS for row in G for g in row):
            raise ValueError(f"an entry of the Gram matrix is not below 2^{ENTRY_BITS}")

        def at(i: int, j: int) -> int:
            return G[i][j] if i < k and j < k else 0

        out = [at(i, j) for i in range(size) for j in range(i, size)]
        for reference in range(k, k + references):
            out += [G[i][reference] if i < k else 0 for i in range(size)]
        out += [G[i][j] for i in range(k, k + references) for j in range(i, k + references)]
        return out


def draw_salt() -> int:
    """A salt from the system's randomness."""
    return secrets.randbelow(P)


def gram_hash(circuit: int, secret: Secret) -> int:
    """gramHash, an integer < P. Raises ValueError for a secret that the circuit has no room for."""
    return int.from_bytes(_core.gram_hash(circuit, secret.entries(circuit), _word(secret.mu), _word(secret.salt)))


def prove(key: DecisionKey, statement: DecisionStatement, secret: Secret) -> bytes:
    """A proof of 256 bytes, randomised. Raises ValueError unless the statement follows from the secret."""
    inputs = statement.public_inputs(key.circuit)
    return key.prove(_words(inputs), secret.entries(key.circuit), _word(secret.mu), _word(secret.salt))


def check(circuit: DecisionCircuit, statement: DecisionStatement, secret: Secret) -> None:
    """Raises ValueError, with what does not hold, unless `prove` would prove the statement. Needs no key."""
    inputs = statement.public_inputs(circuit.circuit)
    circuit.check(_words(inputs), secret.entries(circuit.circuit), _word(secret.mu), _word(secret.salt))


def _word(value: int) -> bytes:
    if not 0 <= value < P:
        raise ValueError("μ or the salt is not an integer below the group's order")
    return word(value)


def _words(values: Sequence[int]) -> bytes:
    return b"".join(map(word, values))
