"""The decision proof's public inputs: pure Python, for provers, contracts' callers and auditors alike.

Layout: docs/proofs-format.md. The verifying key, whose hash is in the job's terms, is that of one circuit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zk.encoding import ONE
from zk.transcript import P

KRUM_COSINE = 1
REFERENCE = 2
SIZES = (8, 16, 32)
"""n_max: the numbers of slots for which there are circuits."""

_SCORE_BITS = 96
_COEFFICIENT_BITS = 13
_MAX_FAULTY = 2**8 - 1


def circuit_id(rule: int, slots: int) -> int:
    """rule · 100 + n_max, for the least n_max ≥ slots. Raises ValueError if there is no such circuit."""
    fitting = [size for size in SIZES if size >= slots]
    if rule not in (KRUM_COSINE, REFERENCE) or slots < 1 or not fitting:
        raise ValueError(f"there is no circuit for rule {rule} and {slots} slots")
    return rule * 100 + fitting[0]


def circuit_shape(circuit: int) -> tuple[int, int]:
    """(rule, n_max) of a circuit's id. Raises ValueError if there is no such circuit."""
    rule, slots = divmod(circuit, 100)
    if rule not in (KRUM_COSINE, REFERENCE) or slots not in SIZES:
        raise ValueError(f"there is no circuit {circuit}")
    return rule, slots


def _mask(flags: Sequence[bool]) -> int:
    return sum(1 << slot for slot, flag in enumerate(flags) if flag)


def _packed(values: Sequence[int], bits: int, count: int) -> list[int]:
    groups = [values[at : at + count] for at in range(0, len(values), count)]
    return [sum(value << bits * k for k, value in enumerate(group)) % P for group in groups]


@dataclass(frozen=True, slots=True)
class DecisionStatement:
    """The pay rule, run on the Gram matrix behind `gram_hash`, gives these slots, coefficients and scores.

    gram_hash, r, s, y: integers < P, of the round's Gram proof. opened, selected, struck, coefficients, scores: by
    slot, at most n_max of them; slots beyond are empty. max_faulty: 0 … 255, the job's f. Coefficients are 0 … ONE;
    under rule `krum-cosine` they are the flags `selected` as integers. Scores are −2^95 … 2^95 − 1.
    """

    gram_hash: int
    r: int
    s: int
    y: int
    opened: Sequence[bool]
    selected: Sequence[bool]
    struck: Sequence[bool]
    max_faulty: int
    coefficients: Sequence[int]
    scores: Sequence[int]

    def public_inputs(self, circuit: int) -> list[int]:
        """The public inputs in their order, each < P. Raises ValueError if the circuit has no room for them."""
        rule, size = circuit_shape(circuit)
        n = len(self.opened)
        by_slot = (self.selected, self.struck, self.coefficients, self.scores)
        if any(len(values) != n for values in by_slot) or n > size:
            raise ValueError(f"flags, coefficients and scores of one number of slots up to {size} are required")
        if not all(0 <= x < P for x in (self.gram_hash, self.r, self.s, self.y)):
            raise ValueError("the Gram hash, r, s or y is not an integer below the group's order")
        if not 0 <= self.max_faulty <= _MAX_FAULTY:
            raise ValueError(f"max_faulty is {self.max_faulty}: 0 … {_MAX_FAULTY} are possible")
        if not all(-(2 ** (_SCORE_BITS - 1)) <= score < 2 ** (_SCORE_BITS - 1) for score in self.scores):
            raise ValueError(f"a score is not a signed integer of {_SCORE_BITS} bits")
        if not all(0 <= c <= ONE for c in self.coefficients):
            raise ValueError(f"a coefficient is not in 0 … {ONE}")
        if rule == KRUM_COSINE and [bool(flag) for flag in self.selected] != list(self.coefficients):
            raise ValueError("under krum-cosine a coefficient is 1 for a selected slot and 0 for another")
        empty = [0] * (size - n)
        masks = _mask(self.opened) | _mask(self.selected) << 32 | self.max_faulty << 64 | _mask(self.struck) << 72
        inputs = [self.gram_hash, self.r, self.s, self.y, masks]
        if rule == REFERENCE:
            inputs += _packed([*self.coefficients, *empty], _COEFFICIENT_BITS, 16)
        return inputs + _packed([*self.scores, *empty], _SCORE_BITS, 2)
