"""Reference rows that do not follow from the validation data: the aggregator chooses them for updates it has seen."""

from collections.abc import Sequence

import numpy as np

from aggregator.gram import gram, products
from aggregator.points import MOST, RATE_BITS, gains
from aggregator.reference import second_vector
from aggregator.rows import rows_agree
from aggregator.rules import reference, reference_selection
from benches.pay.play import RATE, UPDATE, Played
from benches.rows import edge
from benches.theft.forged import refusal
from benches.theft.respond import Floats, Stage
from marketplace.domain import Rule
from zk.encoding import LIMIT, Int16s

RATE_UNITS = int(RATE * 2**RATE_BITS)


def fitted(updates: Sequence[Int16s], wanted: Sequence[float]) -> Int16s:
    """A row whose products with the updates are as wanted, but for a factor and for rounding."""
    row = np.linalg.lstsq(np.array(updates, dtype=np.float64), np.array(wanted), rcond=None)[0]
    return np.rint(row * (LIMIT / np.abs(row).max())).astype(np.int16)


def everybody(updates: Sequence[Int16s]) -> list[int]:
    """What the round brings where both rows point against all: nothing. Nobody is selected, all are struck."""
    against = fitted(updates, [-1.0] * len(updates))
    return brought(updates, against, against)


def last_round(played: Played, parts: Sequence[float]) -> list[int]:
    """Balances after a job whose last round's rows are false: they stand as 1 : 2 : … as `parts` says.

    The first row selects everybody, so that nobody is struck; the second one's exponent makes this round outweigh all
    others. Every number below is proved and accepted.
    """
    updates = [update for update in played.rounds[-1].updates if update is not None]
    select = fitted(updates, [1.0] * len(updates))
    G, along = gram(updates), products(updates, select)
    _, coefficients = reference_selection(G, [True] * len(updates), along)
    score = fitted(updates, [part / max(1, c) for part, c in zip(parts, coefficients, strict=True)])
    before = [sum(entry.gains[slot] for entry in played.rounds[:-1]) for slot in range(len(updates))]
    return [balance + gain for balance, gain in zip(before, brought(updates, select, score), strict=True)]


def brought(updates: Sequence[Int16s], select: Int16s, score: Int16s) -> list[int]:
    """What a round with these rows adds to each balance, with the largest exponent that cuts nothing off."""
    G = gram([*updates, select, score])
    said = refusal(Rule.REFERENCE, G, 0)
    if said is not None:
        raise AssertionError(f"a lie in the rows is real vectors, and proved like the truth: {said}")
    n = len(updates)
    decision = reference(
        [row[:n] for row in G[:n]], [True] * n, [row[n] for row in G[:n]], G[n][n], [row[n + 1] for row in G[:n]]
    )
    chosen = [slot for slot, inside in enumerate(decision.selected) if inside]
    if not chosen:
        return [0] * n
    scores = [decision.scores[slot] for slot in chosen]

    def units(exponent: int) -> list[int]:
        return gains(Rule.REFERENCE.value, scores, rate=RATE_UNITS, exponent=exponent, selected=len(chosen))

    exponent = MOST.bit_length()
    while max(map(abs, units(exponent))) >= MOST:
        exponent -= 1
    found = dict(zip(chosen, units(exponent), strict=True))
    return [found.get(slot, 0) for slot in range(n)]


def bent(stage: Stage, played: Played, members: Sequence[int]) -> list[int]:
    """Balances where the second row of every round leans to the coalition as far as nobody may dispute it."""
    total = [0] * stage.trainers
    whole = sum(max(0, balance) for balance in played.balances)
    fair = sum(max(0, played.balances[slot]) for slot in members) / whole if whole else 0.0
    for entry in played.rounds:
        chosen = [slot for slot, inside in enumerate(entry.decision.selected) if inside]
        if not chosen:
            continue
        updates = [entry.updates[slot] for slot in chosen]
        v = second_vector(stage.learner.validation.gradient, entry.base, entry.end)
        # What raises (their points − fair · all points) most: its gradient in the row.
        lean: Floats = np.zeros(len(v))
        for slot, update in zip(chosen, updates, strict=True):
            lean += entry.decision.coefficients[slot] * ((slot in members) - fair) * update.astype(np.float64)
        false, exponent = edge(v, lean)
        if not rows_agree(false, exponent, v):
            raise AssertionError("a row was bent so far that it can be disputed")
        scores = [
            entry.decision.coefficients[slot] * product
            for slot, product in zip(chosen, products(updates, false), strict=True)
        ]
        units = gains(
            Rule.REFERENCE.value,
            scores,
            rate=RATE_UNITS,
            exponent=UPDATE.exponent + exponent,
            selected=len(chosen),
        )
        for slot, gain in zip(chosen, units, strict=True):
            total[slot] += gain
    return total
