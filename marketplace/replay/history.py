"""What a replay yields: a job as its events and the rules make it, and where the two differ."""

from collections import Counter
from dataclasses import dataclass, field, fields

from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak

from marketplace.domain import (
    ZERO_ADDRESS,
    AggregationAccepted,
    Event,
    Job,
    JobCreated,
    KeyPublished,
    Left,
    RoundSettled,
    RoundSkipped,
    State,
    Terms,
    Trainer,
    UpdateSubmitted,
    ValidationRevealed,
    mask_of,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between the log and the rules. where: job, round, block; what: which value or event."""

    where: str
    what: str
    expected: int | str
    found: int | str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} should be {self.expected}, but is {self.found}"


@dataclass(slots=True)
class Enrolled:
    """A trainer from joining on. until: the event that ended its part early (it left, or was ejected), else None."""

    slot: int
    operator: str
    payee: str
    encryption_key: bytes
    missed: int = 0
    strikes: int = 0
    until: Event | None = None


@dataclass(slots=True)
class Round:
    """A round. active: mask of the slots taken when it closed. pot, pays (by slot): by the rules, in units."""

    number: int
    submit_by: int
    settle_by: int
    active: int = 0
    submissions: dict[int, UpdateSubmitted] = field(default_factory=dict)
    settled: RoundSettled | None = None
    skipped: RoundSkipped | None = None
    pot: int = 0
    pays: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class JobHistory:
    """A job as its events and the rules make it.

    enrolled: everybody who ever had a slot, in order of joining; holders: by slot, those who have one. escrow, carry:
    what the job holds of the owner's money and of slashed stakes. credits: by payee, all that the rules make the job
    credit, withdrawn or not. Amounts are in the token's smallest unit. phase: where the call stands that is being
    looked at, for findings.
    """

    created: JobCreated
    state: State = State.OPEN
    accepted: AggregationAccepted | None = None
    key_published: KeyPublished | None = None
    revealed: list[ValidationRevealed] = field(default_factory=list)
    enrolled: list[Enrolled] = field(default_factory=list)
    holders: dict[int, Enrolled] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    empty_rounds: int = 0
    escrow: int = 0
    carry: int = 0
    credits: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    phase: str = "enrolment"

    def must(self, event: Event, holds: bool, what: str, expected: int | str, found: int | str) -> None:
        """Notes a finding unless something holds."""
        if not holds:
            where = f"job {self.created.job_id}, {self.phase}, block {event.block}"
            self.findings.append(Finding(where, what, expected, found))

    @property
    def terms(self) -> Terms:
        return self.created.terms

    @property
    def active(self) -> int:
        return mask_of(set(self.holders))

    @property
    def submitted(self) -> int:
        return mask_of(set(self.rounds[-1].submissions)) if self.rounds and self.state is State.RUNNING else 0

    @property
    def paid_in(self) -> int:
        """What the owner, the aggregator and the trainers have deposited."""
        bond = self.terms.bond if self.accepted else 0
        return self.terms.escrow + bond + self.terms.stake * len(self.enrolled)

    @property
    def held(self) -> int:
        """What was paid in and is credited to nobody yet."""
        bond = self.terms.bond if self.accepted and not self.state.over else 0
        return self.escrow + self.carry + bond + self.terms.stake * len(self.holders)

    def job(self) -> Job:
        """What the contract's `job` view must say."""
        return Job(
            owner=self.created.owner,
            aggregator=self.accepted.aggregator if self.accepted else ZERO_ADDRESS,
            aggregator_payee=self.accepted.payee if self.accepted else ZERO_ADDRESS,
            state=self.state,
            round=self.rounds[-1].number if self.rounds else 0,
            empty_rounds=self.empty_rounds,
            key_published=self.key_published is not None,
            submit_by=self.rounds[-1].submit_by if self.rounds else 0,
            settle_by=self.rounds[-1].settle_by if self.rounds else 0,
            active=self.active,
            submitted=self.submitted,
            escrow=self.escrow,
            carry=self.carry,
            terms_hash=_terms_hash(self.terms),
        )

    def trainer(self, slot: int) -> Trainer | None:
        """What the contract's `trainer` view must say; None for a free slot."""
        who = self.holders.get(slot)
        return Trainer(who.operator, who.payee, who.missed, who.strikes) if who else None

    @property
    def settled(self) -> dict[int, RoundSettled]:
        """The settled rounds by number."""
        return {entry.number: entry.settled for entry in self.rounds if entry.settled is not None}

    @property
    def pays(self) -> dict[int, dict[int, int]]:
        """By settled round and selected slot, the pay by the rules, in units."""
        return {entry.number: entry.pays for entry in self.rounds if entry.settled is not None}

    @property
    def participants(self) -> dict[int, Enrolled]:
        """By slot, who held it last: once a job runs, a slot is nobody else's."""
        return {trainer.slot: trainer for trainer in self.enrolled}

    def slot_of(self, operator: str) -> int | None:
        """The slot of an operator that has one, or was ejected from it; None for anyone else, and for who has left."""
        for trainer in reversed(self.enrolled):
            if trainer.operator == operator:
                return None if isinstance(trainer.until, Left) else trainer.slot
        return None


def _terms_hash(terms: Terms) -> bytes:
    """keccak256(abi.encode(terms)): a word for each term, in their order."""
    return keccak(b"".join(_word(getattr(terms, term.name)) for term in fields(terms)))


def _word(value: int | str | bytes) -> bytes:
    """An integer, an address or 32 bytes as a word of Solidity's ABI."""
    if isinstance(value, int):
        return value.to_bytes(32)
    return value if isinstance(value, bytes) else to_canonical_address(value).rjust(32, b"\0")
