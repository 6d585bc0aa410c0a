"""What the market is made of, as frozen values: no chain, no storage, no clock in here.

The types mirror contracts/interfaces/IJobMarket.sol field by field, in Python's spelling. Addresses are EIP-55 strings,
keys and commitments 32 bytes, amounts ints in the token's smallest unit (wei for the chain's coin), times Unix seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

ZERO_ADDRESS = "0x0000000000000000000000000000000000000000"
MAX_TRAINERS = 32
BPS = 10_000  # slashes are stated in 1/10,000


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
    gate: str
    enrol_by: int
    start_delay: int
    submit_window: int
    settle_window: int
    takeover_window: int
    confirm_window: int
    reveal_window: int
    rule: Rule
    rounds: int
    min_rounds: int
    rate: int
    rate_decay: int
    scale_exponent: int
    min_trainers: int
    max_trainers: int
    max_faulty: int
    max_missed: int
    max_strikes: int
    max_empty_rounds: int
    max_voids: int
    slash_bps: int
    gram_verifier: str
    gram_key: bytes
    decision_verifier: str
    decision_key: bytes

    @property
    def slash(self) -> int:
        """What an ejection, or `max_strikes` strikes, cost of a stake, in the token's smallest unit."""
        return self.stake * self.slash_bps // BPS

    @property
    def scale(self) -> float:
        """The value of one integer step of an update, in units of the model."""
        return 2.0**self.scale_exponent

    @property
    def escrow(self) -> int:
        """What `createJob` escrows, in the token's smallest unit."""
        return self.rounds * (self.reward + self.fee)


@dataclass(frozen=True, slots=True)
class Job:
    """A job's changing part, as the contract holds it."""

    owner: str
    bonded: bool
    disputed_sum: bool
    disputed_rows: bool
    revealed: bool
    undelivered: int
    outcome: State
    aggregator: str
    settled_before: int
    owed: int
    members: int
    claimed: int
    aggregator_payee: str
    taken_over_in: int
    state: State
    round: int
    empty_rounds: int
    key_published: bool
    settled: int
    end_asked: bool
    delivering: bool
    voids: int
    submit_by: int
    settle_by: int
    active: int
    submitted: int
    quorum: int
    disputed: int
    rate: int
    earned: int
    missed_out: int
    gone_earned: int
    absences: int
    gone_opened: int
    rows_disputed: int
    own_rows_disputed: int
    escrow: int
    pot: int
    terms_hash: bytes

    @property
    def delivered(self) -> int:
        """Mask: the slots that have submitted in this round and, where they had to, delivered again."""
        return self.submitted & ~self.undelivered if self.delivering else self.submitted

    @property
    def complete(self) -> bool:
        """Whether everybody who may still submit or deliver in this round has."""
        return self.delivered == (self.submitted if self.delivering else self.active)

    def most_unopened(self, max_faulty: int) -> int:
        """How many submissions of this round may be called unopened: max_faulty, and less than a third."""
        return most_unopened(self.delivered.bit_count(), max_faulty)


@dataclass(frozen=True, slots=True)
class Trainer:
    """A member of a job; the meaning of each field is at `Trainer` in IJobMarket.sol."""

    operator: str
    missed: int
    strikes: int
    absences: int
    opened: int
    staked: bool
    payee: str
    balance: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """An aggregator's judgement of a round; the meaning of each field is at `Settlement` in IJobMarket.sol."""

    unopened: int
    selected: int
    struck: int
    scores: tuple[int, ...]
    row_exponent: int
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


def most_unopened(submitted: int, max_faulty: int) -> int:
    """How many of so many submissions may be called unopened: max_faulty, and less than a third."""
    return min(max_faulty, max(0, submitted - 1) // 3)


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


# ---------------------------------------------------------------- events, as the contract emits them


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Where an event stands on the chain; `job_id` is 0 for events of no job (Withdrawn)."""

    block: int
    log_index: int
    transaction: str
    timestamp: int
    job_id: int

    @property
    def place(self) -> tuple[int, int]:
        """Events come in this order."""
        return self.block, self.log_index


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
class SumAnnounced(Event):
    """What the aggregator is going to settle a round with; nothing follows from it."""

    round: int
    selected: int
    sum_commitment: bytes
    sum_cid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSettled(Event):
    round: int
    submitted: int
    settlement: Settlement


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSkipped(Event):
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundVoided(Event):
    round: int
    unopened: int
    deliver_by: int
    settle_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Redelivered(Event):
    round: int
    slot: int
    cid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAsked(Event):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationOpened(Event):
    confirm_by: int
    reveal_by: int
    outcome: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Revealed(Event):
    sender: str
    cid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputed(Event):
    round: int
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsDisputed(Event):
    round: int
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrevealed(Event):
    pass


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
    slashed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    state: State
    pot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(Event):
    slot: int
    pay: int
    stake: int
    slashed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeesClaimed(Event):
    payee: str
    fees: int


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
