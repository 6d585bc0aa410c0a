"""What a replay yields: a job as its events and the rules make it, and where the two differ."""

from collections import Counter
from dataclasses import dataclass, field, fields

from eth_utils.address import to_canonical_address
from eth_utils.crypto import keccak

from aggregator.points import divide
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
    Redelivered,
    Revealed,
    RoundSettled,
    RoundSkipped,
    RoundVoided,
    Started,
    State,
    SumAnnounced,
    TakenOver,
    Terms,
    Trainer,
    UpdateSubmitted,
    ValidationRevealed,
    mask_of,
    slots,
)

SHOWINGS = 3  # of one submission, the latest, that count


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
    """A trainer from joining on.

    until: the event that ended its part early (it left, or was ejected), else None. missed: submissions in a row;
    absences: settled rounds, while it was active, that did not open for it; opened_before: those that did, once it is
    gone. balance: docs/rules.md, Points. staked: whether its stake is still held. joined_at: Unix time.
    """

    slot: int
    operator: str
    payee: str
    encryption_key: bytes
    joined_at: int
    missed: int = 0
    strikes: int = 0
    absences: int = 0
    balance: int = 0
    staked: bool = True
    opened_before: int | None = None
    until: Event | None = None

    def opened(self, settled: int) -> int:
        """The settled rounds in which its submission opened; settled: how many rounds of the job are settled."""
        return settled - self.absences if self.opened_before is None else self.opened_before

    def points(self, settled: int) -> int:
        return max(0, self.balance) * self.opened(settled)


@dataclass(slots=True)
class Round:
    """A round. active: mask of the slots taken when it closed. gains: by selected slot, what it added to the balance.

    judge: how the aggregator that judges it became it, the last one after takeovers, which attempts counts.
    delivering: whether submissions that did not open, or were made to an aggregator before, are delivered again;
    undelivered: the slots that have not yet, or did not in time. A submission has the CID that was stated last.
    unopened: by slot, the submissions that this judge called unopened, in voids and in the settlement, each with the
    CID that it had then. redelivered: to this judge, before any void of its own. voids: each with what was delivered
    after it. announced: what this judge said last, since any void, that it is going to settle with.
    """

    number: int
    submit_by: int
    settle_by: int
    judge: AggregationAccepted | TakenOver | None = None
    attempts: int = 0
    active: int = 0
    submissions: dict[int, UpdateSubmitted] = field(default_factory=dict)
    delivering: bool = False
    undelivered: set[int] = field(default_factory=set)
    unopened: dict[int, list[UpdateSubmitted]] = field(default_factory=dict)
    redelivered: list[Redelivered] = field(default_factory=list)
    voids: list[tuple[RoundVoided, list[Redelivered]]] = field(default_factory=list)
    announced: SumAnnounced | None = None
    settled: RoundSettled | None = None
    skipped: RoundSkipped | None = None
    gains: dict[int, int] = field(default_factory=dict)

    @property
    def aggregator(self) -> str:
        return self.judge.aggregator if self.judge else ZERO_ADDRESS

    @property
    def delivered(self) -> set[int]:
        """The slots that have submitted and, where they had to, delivered again."""
        return set(self.submissions) - self.undelivered

    def called_unopened(self, mask: int) -> None:
        """Notes that the judge says of these submissions, as they are now, that they do not open."""
        for slot in slots(mask):
            if slot in self.submissions:
                self.unopened.setdefault(slot, []).append(self.submissions[slot])

    def note_delivery(self, event: Redelivered) -> None:
        """Notes what was delivered again, after the judge's last void or, where it has called none, its takeover."""
        void, delivered = self.voids[-1] if self.voids else (None, [])
        own = void is not None and self.judge is not None and void.place > self.judge.place
        (delivered if own else self.redelivered).append(event)

    def part(self, slot: int) -> float:
        """What the round brought a seat, as a part of all that it brought or took; 0 where that is nothing."""
        whole = sum(abs(gain) for gain in self.gains.values())
        return self.gains.get(slot, 0) / whole if whole else 0.0


@dataclass(slots=True)
class JobHistory:
    """A job as its events and the rules make it.

    enrolled: everybody who ever had a slot, in order of joining; holders: by slot, those who have one, once the job is
    over those who had one at its end; members: the slots held at the start. escrow: what the job holds of the owner's
    money; pot: of slashed stakes, and once it is over the whole pot that is divided. credits: by payee, all that the
    rules make the job credit, withdrawn or not. Amounts are in the token's smallest unit. phase: where the call stands
    that is being looked at, for findings.

    accepted: how the aggregator became it, by accepting or by taking over; keys: each published job key with its
    aggregator, in order, and key_published the one of this aggregator; handed_over: to this aggregator. bonded:
    whether its bond is held. settled_before: rounds settled before it took over; owed: by payee, settled rounds of
    those before it whose fees are unclaimed. quorum, disputed: how many disputes end the job, and the slots that
    dispute in this phase; disputed_sum: whether they were enough. reveals: where the validation data is said to be,
    sealed to the job key; rows_disputed: by slot, the round whose reference rows a member disputes, 0 for what was
    revealed; disputed_rows: whether they are enough, or nobody revealed in time. confirm_by: the end of the last
    phase, 0 before; reveal_by: that of its time to reveal, 0 where nobody has to. outcome: what the job will then
    be. rate: the server's in this round, in 2^-40.
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
    members: int = 0
    claimed: set[int] = field(default_factory=set)
    empty_rounds: int = 0
    bonded: bool = False
    settled_before: int = 0
    owed: Counter[str] = field(default_factory=Counter)
    quorum: int = 0
    disputed: set[int] = field(default_factory=set)
    disputed_sum: bool = False
    reveals: list[Revealed] = field(default_factory=list)
    rows_disputed: dict[int, int] = field(default_factory=dict)
    disputed_rows: bool = False
    confirm_by: int = 0
    reveal_by: int = 0
    outcome: State = State.NONE
    end_asked: bool = False
    voids: int = 0
    rate: int = 0
    escrow: int = 0
    pot: int = 0
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
        """Up to when trainers submit, leave and dispute; while Confirming and after: could. Open: `startable_from`."""
        return self.confirm_by or (self.rounds[-1].submit_by if self.rounds else self.startable_from)

    @property
    def startable_from(self) -> int:
        """From when on anybody, and not the owner alone, may start the job; 0 where nobody has joined."""
        return self.enrolled[-1].joined_at + self.terms.start_delay if self.enrolled else 0

    @property
    def settle_by(self) -> int:
        """Up to when the aggregator settles; while Confirming and after: could reveal, 0 where it did not have to."""
        if self.confirm_by:
            return self.reveal_by
        return self.rounds[-1].settle_by if self.rounds else 0

    @property
    def taken_over_in(self) -> int:
        """The round in which this aggregator took the job over; 0 where it accepted it."""
        return self.takeovers[-1].round if self.takeovers else 0

    @property
    def openers(self) -> int:
        """How many members opened a submission in a settled round: it is they who are paid."""
        participants, settled = self.participants, self.settled_rounds
        return sum(participants[slot].opened(settled) > 0 for slot in slots(self.members))

    @property
    def rows_quorum(self) -> int:
        """How many members dispute reference rows where they are believed."""
        return min(self.terms.max_faulty + 1, self.openers)

    @property
    def rows_due(self) -> bool:
        """Whether points of a job that has settled a round rest on rows that members must be able to recompute."""
        return self.terms.reveal_window != 0

    @property
    def own_rows_disputed(self) -> set[int]:
        """The members that dispute rows of this aggregator's; who has published no key has stated none."""
        if self.key_published is None:
            return set()
        since = self.taken_over_in
        return {slot for slot, round in self.rows_disputed.items() if round == 0 or round >= since}

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
    def delivered(self) -> int:
        return mask_of(self.rounds[-1].delivered) if self.rounds and self.state is State.RUNNING else 0

    @property
    def delivering(self) -> bool:
        return self.state is State.RUNNING and self.rounds[-1].delivering

    @property
    def paid_in(self) -> int:
        """What the owner, the aggregators and the trainers have deposited."""
        bonds = self.terms.bond * (len(self.takeovers) + 1 if self.accepted else 0)
        return self.terms.escrow + bonds + self.terms.stake * len(self.enrolled)

    @property
    def held(self) -> int:
        """What was paid in and is credited to nobody yet."""
        stakes = sum(self.terms.stake for who in self._stakers if who.staked)
        slashed = 0 if self.state.over else self.pot
        return self.escrow + slashed + (self.terms.bond if self.bonded else 0) + stakes

    @property
    def _stakers(self) -> list[Enrolled]:
        """Those whose stake may be held: once a job runs, all its members."""
        return list((self.participants if self.started else self.holders).values())

    def stake_of(self, who: Enrolled) -> tuple[int, int]:
        """Of a stake that is held: what a claim gives back of it, and what is burnt for strikes."""
        if not who.staked:
            return 0, 0
        slashed = self.terms.slash if who.strikes >= self.terms.max_strikes else 0
        return self.terms.stake - slashed, slashed

    def divided(self, pot: int) -> dict[int, int]:
        """By slot, what each member gets of a pot if the job ended now, in units."""
        participants, settled = self.participants, self.settled_rounds
        members = {slot: participants[slot] for slot in slots(self.members)}
        opened = [who.opened(settled) for who in members.values()]
        balances = [who.balance for who in members.values()]
        parts = divide(pot, balances, opened, disputed=self.disputed_rows)
        return dict(zip(members, parts, strict=True))

    @property
    def settled_rounds(self) -> int:
        return sum(entry.settled is not None for entry in self.rounds)

    @property
    def fees_burnt(self) -> bool:
        return self.disputed_sum or self.disputed_rows

    @property
    def fees_held(self) -> int:
        """For all aggregators, until the job is over; then what those before a takeover have not claimed."""
        rounds = self.owed.total() if self.state.over else self.settled_rounds
        return 0 if self.fees_burnt else self.terms.fee * rounds

    @property
    def pot_so_far(self) -> int:
        """What the members would divide if the job ended now; once it is over, what they do."""
        return self.pot if self.state.over else self.pot + self.terms.reward * self.settled_rounds

    def job(self) -> Job:
        """What the contract's `job` view must say."""
        settled = self.settled_rounds
        staying = list(self.holders.values())
        gone = [who for who in self.participants.values() if who.opened_before is not None]
        return Job(
            owner=self.created.owner,
            bonded=self.bonded,
            disputed_sum=self.disputed_sum,
            disputed_rows=self.disputed_rows,
            revealed=bool(self.reveals),
            outcome=self.outcome,
            settled_before=self.settled_before,
            owed=self.owed.total(),
            members=self.members,
            claimed=mask_of(self.claimed),
            aggregator=self.accepted.aggregator if self.accepted else ZERO_ADDRESS,
            aggregator_payee=self.accepted.payee if self.accepted else ZERO_ADDRESS,
            taken_over_in=self.taken_over_in,
            state=self.state,
            round=self.rounds[-1].number if self.rounds else 0,
            empty_rounds=self.empty_rounds,
            key_published=self.key_published is not None,
            submit_by=self.submit_by,
            settle_by=self.settle_by,
            active=self.active,
            submitted=self.submitted,
            settled=settled,
            end_asked=self.end_asked,
            delivering=self.delivering,
            undelivered=mask_of(self.rounds[-1].undelivered) if self.delivering else 0,
            voids=self.voids,
            quorum=self.quorum,
            disputed=mask_of(self.disputed),
            rate=self.rate,
            earned=sum(max(0, who.balance) for who in staying),
            missed_out=sum(max(0, who.balance) * who.absences for who in staying),
            gone_earned=sum(who.points(settled) for who in gone),
            absences=sum(who.absences for who in staying),
            gone_opened=sum(who.opened(settled) for who in gone),
            rows_disputed=mask_of(set(self.rows_disputed)),
            own_rows_disputed=mask_of(self.own_rows_disputed),
            escrow=self.escrow,
            pot=self.pot,
            terms_hash=_terms_hash(self.terms),
        )

    def trainer(self, slot: int) -> Trainer | None:
        """What the contract's `trainer` view must say; None for a slot that nobody holds or held since the start."""
        who = self.holders.get(slot)
        if self.members >> slot & 1:  # also of who has left since the start; who left before is nobody's member
            who = self.participants[slot]
        if who is None:
            return None
        return Trainer(
            who.operator,
            who.missed,
            who.strikes,
            who.absences,
            who.opened_before or 0,
            who.staked,
            who.payee,
            who.balance,
        )

    @property
    def settled(self) -> dict[int, RoundSettled]:
        """The settled rounds by number."""
        return {entry.number: entry.settled for entry in self.rounds if entry.settled is not None}

    @property
    def gains(self) -> dict[int, dict[int, int]]:
        """By settled round and selected slot, what the round added to the balance."""
        return {entry.number: entry.gains for entry in self.rounds if entry.settled is not None}

    @property
    def participants(self) -> dict[int, Enrolled]:
        """By slot, who held it last: once a job runs, a slot is nobody else's."""
        return {trainer.slot: trainer for trainer in self.enrolled}

    def called_unopened(self, round: int, slot: int) -> list[UpdateSubmitted]:
        """What of this slot the round's aggregator said that it does not open, whether it asked for it again or not."""
        return self.rounds[round - 1].unopened.get(slot, []) if 0 < round <= len(self.rounds) else []

    @property
    def showings(self) -> dict[tuple[int, int], list[OpeningShown]]:
        """By (round, slot) of each submission that was called unopened, what its trainer has shown, the latest first.

        A trainer may show without end, also what nobody called unopened: of each submission SHOWINGS are looked at.
        """
        found: dict[tuple[int, int], list[OpeningShown]] = {}
        for shown in reversed(self.shown):
            of = found.setdefault((shown.round, shown.slot), [])
            if len(of) < SHOWINGS and all(shown.cid != other.cid for other in of):
                of.append(shown)
        return {place: of for place, of in sorted(found.items()) if self.called_unopened(*place)}

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
        return self.started is None or left.place < self.started.place


def _terms_hash(terms: Terms) -> bytes:
    """keccak256(abi.encode(terms)): a word for each term, in their order."""
    return keccak(b"".join(_word(getattr(terms, term.name)) for term in fields(terms)))


def _word(value: int | str | bytes) -> bytes:
    """An integer, an address or 32 bytes as a word of Solidity's ABI."""
    if isinstance(value, int):
        return (value % 2**256).to_bytes(32)
    return value if isinstance(value, bytes) else to_canonical_address(value).rjust(32, b"\0")
