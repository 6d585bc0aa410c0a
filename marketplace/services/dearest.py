"""What the dearest settlement of a job takes of a chain, known before the job is made."""

from typing import NamedTuple

from marketplace.chain.gas import MAX_TRANSACTION_GAS
from marketplace.domain import Rule
from zk.encoding import POINT_BYTES

MAX_TRANSACTION_BYTES = 128 << 10  # what Ethereum's nodes pass on


class Cost(NamedTuple):
    """Of one transaction: gas, and bytes."""

    gas: int
    calldata: int


def settlement_cost(rule: Rule, max_trainers: int, chunks: int) -> Cost:
    """At most so much, by what first settlements with real proofs were measured to use (docs/proofs.md).

    chunks: c, the points that commit to an update.
    """
    referenced = rule is Rule.REFERENCE
    rows = max_trainers + 2 if referenced else max_trainers
    gas = 540_000 + 46_000 * max_trainers + 80_000 * referenced + (chunks - 1) * (40_000 + 7_000 * rows)
    return Cost(gas, POINT_BYTES * chunks * (rows + 2) + 64 * max_trainers + 2_500)


def too_dear(rule: Rule, max_trainers: int, chunks: int) -> str:
    """Why no chain would take a settlement of such a job, as a clause; "" where one would."""
    cost = settlement_cost(rule, max_trainers, chunks)
    what = f"a settlement of {max_trainers} seats with {chunks} chunks of an update takes up to"
    if cost.gas > MAX_TRANSACTION_GAS:
        return f"{what} {cost.gas} gas, and no transaction may use more than {MAX_TRANSACTION_GAS} (EIP-7825)"
    if cost.calldata > MAX_TRANSACTION_BYTES:
        return f"{what} {cost.calldata} bytes, and Ethereum's nodes pass on no more than {MAX_TRANSACTION_BYTES}"
    return ""
