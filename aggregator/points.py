"""Points: what the rounds of a job add to the balances of its members, and how its pot is divided by them.

Integers only; contracts/libraries/Balances.sol computes the same, and docs/rules.md says why it is so. Divisions floor,
of negative numbers too.
"""

from collections.abc import Sequence

from zk.encoding import ONE
from zk.statements import KRUM_COSINE

LOSS_BITS = 60
"""Under rule `reference` one unit of a balance is 2^-60 of validation loss."""

ROUND = 2**64
"""Under rule `krum-cosine` a round brings so many units in all."""

RATE_BITS = 40
"""A rate of the server is stated in units of 2^-40, "one" is 2^40."""

DECAY_BITS = 32
"""Its factor from one round to the next is stated in units of 2^-32."""

MOST = 2**84
"""A round adds no more than this to a balance, and takes no more from it: 1,000 rounds stay within 96 bits."""

_SHIFT = LOSS_BITS - RATE_BITS - (ONE.bit_length() - 1)


def rate_after(rate: int, decay: int) -> int:
    """The rate of the round after one with this rate. rate: in 2^-40, ≥ 0. decay: in 2^-32, 1 … 2^32."""
    return rate * decay >> DECAY_BITS


def rate_at(first: int, decay: int, round: int) -> int:
    """The rate of a round (from 1), of which `first` is that of round 1; both in 2^-40."""
    rate = first
    for _ in range(round - 1):
        rate = rate_after(rate, decay)
    return rate


def loss_units(score: int, *, rate: int, exponent: int, selected: int) -> int:
    """What a round of rule `reference` adds to a balance, −MOST … MOST, in units of 2^-60 of validation loss.

    score: c_i · ⟨w_i, u⟩ of the slot. rate: the server's rate of the round, in 2^-40. exponent: that of the updates'
    scale and that of the second reference row's, added up: 2^exponent is what one unit of ⟨w_i, u⟩ stands for.
    selected: how many updates are in the sum, ≥ 1. The step is rate · 2^scale · Σ c_i·w_i / (ONE · selected), so this
    is the step's product with the negative gradient, as far as this slot's update goes.
    """
    power = exponent + _SHIFT
    product = score * rate
    if power >= 0:
        # Beyond this every product that is not zero is cut off: there are no more than 32 to share it.
        exact = (product << min(power, MOST.bit_length() + 32)) // selected
    else:
        exact = (product >> -power) // selected
    return max(-MOST, min(MOST, exact))


def shares(scores: Sequence[int]) -> list[int]:
    """What a round of rule `krum-cosine` adds to the balances of the selected slots; nothing where none is above 0."""
    total = sum(max(0, score) for score in scores)
    return [ROUND * max(0, score) // total if total else 0 for score in scores]


def gains(rule: int, scores: Sequence[int], *, rate: int, exponent: int, selected: int) -> list[int]:
    """What a round adds to the balances of its selected slots. scores: theirs; the rest as for `loss_units`."""
    if rule == KRUM_COSINE:
        return shares(scores)
    return [loss_units(score, rate=rate, exponent=exponent, selected=selected) for score in scores]


def divide(pot: int, balances: Sequence[int], opened: Sequence[int], *, disputed: bool = False) -> list[int]:
    """What each member of a job gets of its pot, in the token's smallest unit; what is left is burnt.

    balances: by member. opened: the settled rounds in which each member's submission opened. By points, which are
    max(0, balance) · rounds opened; where nobody has any, by rounds opened. disputed: whether the rows that points rest
    on are; then the lesser of both.
    """
    points = [max(0, balance) * rounds for balance, rounds in zip(balances, opened, strict=True)]
    by_presence = _parts(pot, opened)
    by_points = _parts(pot, points) if any(points) else by_presence
    return list(map(min, by_points, by_presence)) if disputed else by_points


def _parts(pot: int, parts: Sequence[int]) -> list[int]:
    whole = sum(parts)
    return [pot * part // whole if whole else 0 for part in parts]
