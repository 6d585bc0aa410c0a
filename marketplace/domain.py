"""What the market is made of, as frozen values: no chain, no storage, no clock in here.

The types mirror contracts/interfaces/IJobMarket.sol field by field, in Python's spelling. Addresses are EIP-55 strings,
keys and commitments 32 bytes, amounts ints in the token's smallest unit (wei for the chain's coin), times Unix seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

ZERO_ADDRESS = "0x0000000000000000000000000000000000000000"
MAX_TRAINERS = 32


class State(IntEnum):
    NONE = 0
    OPEN = 1
    RUNNING = 2
    CONFIRMING = 3
    COMPLETED = 4
    CANCELLED = 5
    ABORTED = 6

    @property
    def over(self) -> bool:
        return self in (State.COMPLETED, State.CANCELLED, State.ABORTED)


class Reason(IntEnum):
    """Why an amount was credited."""

    PAY = 0
    FEE = 1
    STAKE = 2
    BOND = 3
    COMPENSATION = 4
    REFUND = 5
    BURNT = 6


class Rule(IntEnum):
    KRUM_COSINE = 1
    REFERENCE = 2

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Terms:
    """A job's fixed terms; the meaning of each is at `Terms` in IJobMarket.sol."""

    token: str
    reward: int
    fee: int
    stake: int
    bond: int
    aggregator: str
    enrol_by: int
    submit_window: int
    settle_window: int
    takeover_window: int
    rule: Rule
    rounds: int
    min_trainers: int
    max_trainers: int
    max_faulty: int
    max_missed: int
    max_strikes: int
    max_empty_rounds: int
    slash_bps: int
    gram_verifier: str
    gram_key: bytes
    decision_verifier: str
    decision_key: bytes

    @property
    def escrow(self) -> int:
        """What `createJob` escrows, in the token's smallest unit."""
        return self.rounds * (self.reward + self.fee)


@dataclass(frozen=True, slots=True)
class Job:
    """A job's changing part, as the contract holds it."""

    owner: str
    aggregator: str
    aggregator_payee: str
    taken_over: bool
    state: State
    round: int
    empty_rounds: int
    key_published: bool
    submit_by: int
    settle_by: int
    active: int
    submitted: int
    escrow: int
    fee_due: bool
    quorum: int
    disputed: int
    carry: int
    terms_hash: bytes


@dataclass(frozen=True, slots=True)
class Trainer:
    operator: str
    payee: str
    missed: int
    strikes: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """An aggregator's judgement of a round; the meaning of each field is at `Settlement` in IJobMarket.sol."""

    unopened: int
    selected: int
    weights: tuple[int, ...]
    coefficients: tuple[int, ...]
    sum_cid: str
    sum_commitment: bytes
    reference_cid: str
    reference_commitment: bytes


@dataclass(frozen=True, slots=True)
class RoundProof:
    """What shows that a settlement follows from the submissions, as integers below 2^256 (docs/proofs-format.md)."""

    commitments: tuple[int, ...]
    sums: tuple[int, ...]
    gram_hash: int
    gram: tuple[int, ...]
    decision: tuple[int, ...]


def slots(mask: int) -> Iterator[int]:
    """The set bits of a mask, ascending."""
    slot = 0
    while mask:
        if mask & 1:
            yield slot
        mask >>= 1
        slot += 1


def mask_of(members: Iterator[int] | list[int] | set[int]) -> int:
    """The mask with these bits set."""
    mask = 0
    for slot in members:
        mask |= 1 << slot
    return mask


def divide(pot: int, weights: tuple[int, ...] | list[int]) -> list[int]:
    """Pay by weight: floor(pot · weight / Σ weights) each; all zero when the weights are. The rest is the owner's."""
    total = sum(weights)
    return [pot * weight // total if total else 0 for weight in weights]


# ---------------------------------------------------------------- events, as the contract emits them


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Where an event stands on the chain; `job_id` is 0 for events of no job (Withdrawn)."""

    block: int
    log_index: int
    transaction: str
    timestamp: int
    job_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCreated(Event):
    owner: str
    terms: Terms
    encryption_key: bytes
    spec_cid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationAccepted(Event):
    aggregator: str
    payee: str
    encryption_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Event):
    slot: int
    operator: str
    payee: str
    encryption_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Left(Event):
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPublished(Event):
    cid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOpened(Event):
    round: int
    submit_by: int
    settle_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSubmitted(Event):
    round: int
    slot: int
    commitment: bytes
    cid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSettled(Event):
    round: int
    submitted: int
    pot: int
    settlement: Settlement


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSkipped(Event):
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationOpened(Event):
    confirm_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputed(Event):
    round: int
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver(Event):
    round: int
    aggregator: str
    payee: str
    encryption_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver(Event):
    sender: str
    cid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningShown(Event):
    round: int
    slot: int
    cid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ejected(Event):
    slot: int
    strikes: bool
    slashed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Credited(Event):
    payee: str
    token: str
    amount: int
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(Event):
    payee: str
    token: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRevealed(Event):
    cid: str
