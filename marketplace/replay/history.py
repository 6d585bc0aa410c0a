"""What a replay yields: a job as its events and the rules make it, and where the two differ."""

from collections import Counter
from dataclasses import dataclass, field, fields

from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak

from marketplace.domain import (
    ZERO_ADDRESS,
    AggregationAccepted,
    Event,
    HandedOver,
    Job,
    JobCreated,
    KeyPublished,
    Left,
    OpeningShown,
    RoundSettled,
    RoundSkipped,
    Started,
    State,
    TakenOver,
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
    """A round. active: mask of the slots taken when it closed. pot, pays (by slot): by the rules, in units.

    judge: how the aggregator that judges it became it; submissions: to that aggregator. After a takeover both are the
    last one's, and failed has what was submitted to those before; attempts counts them.
    """

    number: int
    submit_by: int
    settle_by: int
    judge: AggregationAccepted | TakenOver | None = None
    attempts: int = 0
    active: int = 0
    submissions: dict[int, UpdateSubmitted] = field(default_factory=dict)
    failed: list[UpdateSubmitted] = field(default_factory=list)
    settled: RoundSettled | None = None
    skipped: RoundSkipped | None = None
    pot: int = 0
    pays: dict[int, int] = field(default_factory=dict)

    @property
    def aggregator(self) -> str:
        return self.judge.aggregator if self.judge else ZERO_ADDRESS


@dataclass(slots=True)
class JobHistory:
    """A job as its events and the rules make it.

    enrolled: everybody who ever had a slot, in order of joining; holders: by slot, those who have one. escrow, carry:
    what the job holds of the owner's money and of slashed stakes. credits: by payee, all that the rules make the job
    credit, withdrawn or not. Amounts are in the token's smallest unit. phase: where the call stands that is being
    looked at, for findings.

    accepted: how the aggregator became it, by accepting or by taking over; keys: each published job key with its
    aggregator, in order, and key_published the one of this aggregator; handed_over: to this aggregator. fee_due:
    whether the fee of the round settled last is still to be paid. quorum, disputed: how many disputes end the job, and
    the slots that dispute in this phase. confirm_by: the end of the last phase, 0 before.
    """

    created: JobCreated
    state: State = State.OPEN
    started: Started | None = None
    accepted: AggregationAccepted | TakenOver | None = None
    takeovers: list[TakenOver] = field(default_factory=list)
    key_published: KeyPublished | None = None
    keys: list[tuple[str, KeyPublished]] = field(default_factory=list)
    handed_over: list[HandedOver] = field(default_factory=list)
    shown: list[OpeningShown] = field(default_factory=list)
    revealed: list[ValidationRevealed] = field(default_factory=list)
    enrolled: list[Enrolled] = field(default_factory=list)
    holders: dict[int, Enrolled] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    empty_rounds: int = 0
    fee_due: bool = False
    quorum: int = 0
    disputed: set[int] = field(default_factory=set)
    confirm_by: int = 0
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
    def submit_by(self) -> int:
        """Up to when trainers submit, leave and dispute; while Confirming and after: could."""
        return self.confirm_by or (self.rounds[-1].submit_by if self.rounds else 0)

    @property
    def unready(self) -> bool:
        """Whether the aggregator has taken over and not published the key."""
        return bool(self.takeovers) and self.key_published is None

    def waits_for(self, sender: str) -> bool:
        """Whether an aggregator that has taken over waits for what `sender` has not handed over to it yet."""
        handed = any(event.sender == sender for event in self.handed_over)
        return self.state is State.RUNNING and self.unready and not handed

    @property
    def failed_after(self) -> int:
        """The last second that the running round's aggregator has, for what it has to do next."""
        return self.rounds[-1].settle_by if self.key_published else self.rounds[-1].submit_by

    @property
    def takeable_until(self) -> int:
        """The last second in which another may take over; afterwards the job is to be aborted."""
        return self.failed_after + (0 if self.unready else self.terms.takeover_window)

    @property
    def active(self) -> int:
        return mask_of(set(self.holders))

    @property
    def submitted(self) -> int:
        return mask_of(set(self.rounds[-1].submissions)) if self.rounds and self.state is State.RUNNING else 0

    @property
    def paid_in(self) -> int:
        """What the owner, the aggregators and the trainers have deposited."""
        bonds = self.terms.bond * (len(self.takeovers) + 1 if self.accepted else 0)
        return self.terms.escrow + bonds + self.terms.stake * len(self.enrolled)

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
            taken_over=bool(self.takeovers),
            state=self.state,
            round=self.rounds[-1].number if self.rounds else 0,
            empty_rounds=self.empty_rounds,
            key_published=self.key_published is not None,
            submit_by=self.submit_by,
            settle_by=self.rounds[-1].settle_by if self.rounds else 0,
            active=self.active,
            submitted=self.submitted,
            escrow=self.escrow,
            fee_due=self.fee_due,
            quorum=self.quorum,
            disputed=mask_of(self.disputed),
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
        """The slot that an operator has, or had when the job had started: from then on it is nobody else's."""
        for trainer in reversed(self.enrolled):
            if trainer.operator == operator:
                return None if self._left_before_start(trainer) else trainer.slot
        return None

    def _left_before_start(self, trainer: Enrolled) -> bool:
        left = trainer.until
        if not isinstance(left, Left):
            return False
        return self.started is None or (left.block, left.log_index) < (self.started.block, self.started.log_index)


def _terms_hash(terms: Terms) -> bytes:
    """keccak256(abi.encode(terms)): a word for each term, in their order."""
    return keccak(b"".join(_word(getattr(terms, term.name)) for term in fields(terms)))


def _word(value: int | str | bytes) -> bytes:
    """An integer, an address or 32 bytes as a word of Solidity's ABI."""
    if isinstance(value, int):
        return value.to_bytes(32)
    return value if isinstance(value, bytes) else to_canonical_address(value).rjust(32, b"\0")
