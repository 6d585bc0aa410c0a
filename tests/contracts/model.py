"""The market in plain Python, written from docs/security/job-market.tree: the yardstick of the property test.

Every unit of money lies in one account of `money`, a Counter, and moves from one to another:
    ("escrow", job) ("pot", job) ("owed", job, payee) ("bond", job) ("stake", job, slot) ("credit", payee, token)
so that what a call created or destroyed would show as a difference between the model and the contract.

What a round brought is kept as it was, round by round: balances, rounds opened and the division are added up over
rounds and members where they are asked for, and not as the contract does it.
"""

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

OPEN, RUNNING, CONFIRMING, COMPLETED, CANCELLED, ABORTED = range(1, 7)
NOBODY = "0x" + "00" * 20
"""Who is credited what is burnt."""
MOST = 2**84


class Refused(Exception):
    """A call that the market must refuse; the message is the error's name."""


def need(condition, error):
    if not condition:
        raise Refused(error)


def loss_units(score, rate, exponent, chosen):
    """What a score of rule reference adds to a balance; exponent: of the updates' scale and of the row's, added up."""
    exact = floor(Fraction(score) * rate * Fraction(2) ** (exponent + 8) / chosen)
    return max(-MOST, min(MOST, exact))


def shares(scores):
    """What the scores of a round of rule krum-cosine add."""
    scores = [max(0, score) for score in scores]
    return [floor(Fraction(score * 2**64, sum(scores))) if score else 0 for score in scores]


def divided(pot, balances, opened):
    """Each member's part of a pot: by points or, where nobody has any, by rounds opened."""
    points = [max(0, balance) * rounds for balance, rounds in zip(balances, opened, strict=True)]
    parts = points if sum(points) else opened
    return [floor(Fraction(pot * part, sum(parts))) if part else 0 for part in parts]


@dataclass
class Member:
    operator: object
    payee: object
    missed: int = 0
    strikes: int = 0
    active: bool = True


@dataclass
class Settled:
    """A settled round: who was there, whose submission opened, and what it brought to whom."""

    active: set
    opened: set
    brought: dict


@dataclass
class Job:
    number: int
    terms: dict
    owner: object
    state: int = OPEN
    outcome: int = 0
    aggregator: object = None
    fees: object = None
    round: int = 0
    empty: int = 0
    key: bool = False
    taken_in: int = 0  # the round in which this aggregator took over
    end_asked: bool = False
    burnt: bool = False
    revealed: bool = False
    rows_burnt: bool = False
    submit_by: int = 0
    settle_by: int = 0
    quorum: int = 0
    whole: int = 0  # the pot that is divided
    members: dict = field(default_factory=dict)
    submitted: set = field(default_factory=set)
    late: set | None = None  # who has still to deliver again, while anybody has to
    voids: int = 0
    disputed: set = field(default_factory=set)
    rows_disputed: dict = field(default_factory=dict)  # the round, by slot
    claimed: set = field(default_factory=set)
    staked: set = field(default_factory=set)
    places: dict = field(default_factory=dict)
    commitments: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    earned: int = 0  # rounds that this aggregator settled
    owed: Counter = field(default_factory=Counter)  # and those before it, by payee

    @property
    def active(self):
        return {slot for slot, member in self.members.items() if member.active}

    @property
    def delivered(self):
        """Whose submissions are to be judged: those that were not said not to open, or were delivered again."""
        return self.submitted - (self.late or set())

    def most_unopened(self):
        """How many of those may be called unopened: no more than may be faulty, and less than a third."""
        return min(self.terms["maxFaulty"], max(0, ceil(len(self.delivered) / 3) - 1))

    def slot_of(self, operator):
        for slot in self.active:
            if self.members[slot].operator == operator:
                return slot
        raise Refused("NotTrainer")

    def balance(self, slot):
        return sum(settled.brought.get(slot, 0) for settled in self.history)

    def opened(self, slot):
        return sum(slot in settled.opened for settled in self.history)

    def absences(self, slot):
        return sum(slot in settled.active - settled.opened for settled in self.history)

    def points(self, slot):
        return max(0, self.balance(slot)) * self.opened(slot)

    def by_rounds(self):
        """What the pot brings each member by rounds opened."""
        return self.divide(dict.fromkeys(self.members, 0))

    def by_points(self):
        return self.divide({slot: self.balance(slot) for slot in self.members})

    def divide(self, balances):
        slots = sorted(self.members)
        parts = divided(self.whole, [balances[slot] for slot in slots], [self.opened(slot) for slot in slots])
        return dict(zip(slots, parts, strict=True))

    def pays(self):
        """What the pot brings each member: where rows are disputed, the lesser of both."""
        pays = self.by_points()
        if self.rows_burnt:
            rounds = self.by_rounds()
            pays = {slot: min(pay, rounds[slot]) for slot, pay in pays.items()}
        return pays

    def openers(self):
        """The members that opened any submission."""
        return {slot for slot in self.members if self.opened(slot)}

    def rows_due(self):
        """Whether somebody has to show what the reference rows follow from."""
        return self.terms["revealWindow"] > 0

    def own_rows_disputed(self):
        """Who disputes rows that this aggregator answers for: who took over and has no key answers for none."""
        return {
            slot for slot, number in self.rows_disputed.items() if self.key and (not number or number >= self.taken_in)
        }

    def rate(self):
        """That of the running round, from the first on."""
        rate = self.terms["rate"]
        for _ in range(self.round - 1):
            rate = rate * self.terms["rateDecay"] // 2**32
        return rate

    def slash(self):
        return self.terms["stake"] * self.terms["slashBps"] // 10_000

    def strikes_out(self, slot):
        return self.members[slot].strikes >= self.terms["maxStrikes"]

    def startable(self, now):
        enough = len(self.members) == self.terms["maxTrainers"] or (
            now > self.terms["enrolBy"] and len(self.members) >= self.terms["minTrainers"]
        )
        return enough and self.aggregator is not None

    def failure(self, now):
        """When the aggregator fails, and up to when another may take over."""
        failed = self.settle_by if self.key else self.submit_by
        need(now <= failed or not self.key or self.delivered, "NothingSubmitted")
        return failed, failed + (0 if self.taken_in and not self.key else self.terms["takeoverWindow"])


class Model:
    """Each method is the call of that name, with the time and the sender in front; it raises Refused or moves money."""

    def __init__(self):
        self.money = Counter()
        self.jobs = {}

    # ---------------------------------------------------------------- money

    def held(self, token):
        """What the market must hold in this token."""
        of_jobs = {number for number, job in self.jobs.items() if job.terms["token"] == token}
        return sum(
            amount
            for (kind, who, *rest), amount in self.money.items()
            if (rest[0] == token if kind == "credit" else who in of_jobs)
        )

    def move(self, amount, source, target):
        self.money[source] -= amount
        self.money[target] += amount
        assert self.money[source] >= 0

    def credit(self, job, payee, amount, *source):
        self.move(amount, source, ("credit", payee, job.terms["token"]))

    def empty_into(self, job, payee, *source):
        self.credit(job, payee, self.money[source], *source)

    # ---------------------------------------------------------------- enrolling

    def create(self, now, sender, terms):
        job = Job(len(self.jobs) + 1, terms, sender)
        self.jobs[job.number] = job
        self.money["escrow", job.number] = terms["rounds"] * (terms["reward"] + terms["fee"])

    def accept(self, now, sender, job, payee):
        need(job.state == OPEN, "WrongState")
        need(now <= job.terms["enrolBy"], "EnrolmentClosed")
        need(job.aggregator is None, "AggregatorTaken")
        job.aggregator, job.fees = sender, payee
        self.money["bond", job.number] = job.terms["bond"]

    def join(self, now, sender, job, payee, ticket):
        """ticket: "none", or the error that it deserves where the job has a gate; "" for a good one."""
        need(job.state == OPEN, "WrongState")
        need(now <= job.terms["enrolBy"], "EnrolmentClosed")
        need(all(member.operator != sender for member in job.members.values()), "AlreadyJoined")
        need(len(job.members) < job.terms["maxTrainers"], "JobFull")
        if job.terms["gate"] == NOBODY:
            need(ticket == "none", "TicketUnneeded")
        else:
            need(ticket != "none", "TicketMissing")
            need(not ticket, ticket)
        slot = min(set(range(32)) - job.members.keys())
        job.members[slot] = Member(sender, payee)
        job.places[sender] = slot
        self.money["stake", job.number, slot] = job.terms["stake"]
        job.staked.add(slot)
        job.submit_by = now + job.terms["startDelay"]

    def leave(self, now, sender, job):
        need(job.state in (OPEN, RUNNING), "WrongState")
        slot = job.slot_of(sender)
        if job.state == RUNNING:
            need(now <= job.submit_by and job.late is None, "SubmittingClosed")
            need(slot not in job.submitted, "AlreadySubmitted")
        member = job.members[slot]
        if not job.strikes_out(slot):
            self.free(job, slot)
        if job.state == OPEN:
            del job.places[sender], job.members[slot]
            return
        member.active = False
        if not job.active:
            self.finish(job, now, ABORTED)

    def cancel(self, now, sender, job):
        need(job.state == OPEN, "WrongState")
        stale = now > job.terms["enrolBy"] and not job.startable(now)
        need(sender == job.owner or stale, "NotCancellable")
        self.end(job, CANCELLED)

    def start(self, now, sender, job):
        need(job.state == OPEN, "WrongState")
        need(job.startable(now), "NotStartable")
        need(now >= job.submit_by or sender == job.owner, "StartDelayed")
        job.state = RUNNING
        self.open(job, now, 1)

    # ---------------------------------------------------------------- rounds

    def publish(self, now, sender, job):
        need(job.state == RUNNING, "WrongState")
        need(sender == job.aggregator, "NotAggregator")
        need(not job.key, "KeyAlreadyPublished")
        need(now <= job.submit_by, "SubmittingClosed")
        job.key = True

    def submit(self, now, sender, job, number, commitment):
        need(job.state == RUNNING, "WrongState")
        slot = job.slot_of(sender)
        need(job.key, "KeyNotPublished")
        need(number == job.round, "WrongRound")
        need(now <= job.submit_by and job.late is None, "SubmittingClosed")
        need(slot not in job.submitted, "AlreadySubmitted")
        job.commitments[slot] = commitment
        job.submitted.add(slot)

    def judgeable(self, now, sender, job, number):
        need(job.state == RUNNING, "WrongState")
        need(sender == job.aggregator, "NotAggregator")
        need(number == job.round, "WrongRound")
        need(job.delivered, "NothingSubmitted")
        waits = job.active - job.submitted if job.late is None else job.late
        need(not waits or now > job.submit_by, "SubmittingOpen")
        need(now <= job.settle_by, "SettlingClosed")

    def settle(self, now, sender, job, number, selected, scores, unopened, struck, row_exponent):
        terms = job.terms
        self.judgeable(now, sender, job, number)
        need(selected | unopened <= job.delivered, "NotSubmitted")
        need(not selected & unopened, "SelectedUnopened")
        need(len(unopened) <= job.most_unopened(), "TooManyUnopened")
        opened = job.delivered - unopened
        need(struck <= opened - selected, "WrongStrikes")
        need(len(scores) == len(selected), "ScoreCount")
        if terms["rule"] == 2:
            exponent = terms["scaleExponent"] + row_exponent
            units = [loss_units(score, job.rate(), exponent, len(selected)) for score in scores]
        else:
            units = shares(scores)
        job.history.append(Settled(job.active, opened, dict(zip(sorted(selected), units, strict=True))))
        job.earned += 1
        for slot in struck:
            job.members[slot].strikes += 1
        self.count(job)
        job.empty = 0
        self.advance(job, now, ended=job.end_asked and job.round >= terms["minRounds"])

    def void(self, now, sender, job, number, unopened):
        self.judgeable(now, sender, job, number)
        need(unopened <= job.delivered, "NotSubmitted")
        need(len(unopened) > job.most_unopened(), "NotVoidable")
        if job.voids == job.terms["maxVoids"]:
            self.credit(job, NOBODY, job.terms["reward"], "escrow", job.number)
            self.finish(job, now, ABORTED)
            return
        job.voids += 1
        job.late = unopened | (job.late or set())
        job.submit_by = now + job.terms["settleWindow"]
        job.settle_by = job.submit_by + job.terms["settleWindow"]

    def redeliver(self, now, sender, job, number):
        need(job.state == RUNNING, "WrongState")
        slot = job.slot_of(sender)
        need(number == job.round, "WrongRound")
        need(slot in (job.late or set()), "NothingToDeliver")
        need(job.key, "KeyNotPublished")
        need(now <= job.submit_by, "SubmittingClosed")
        job.late.remove(slot)

    def count(self, job):
        """Who has neither submitted nor disputed has missed the round. Who is late has missed none, and is forgiven none."""
        for slot in job.active:
            member = job.members[slot]
            if slot in job.delivered:
                member.missed = 0
            elif slot not in job.disputed | job.submitted:
                member.missed += 1
            if member.missed == job.terms["maxMissed"]:
                self.move(job.slash(), ("stake", job.number, slot), ("pot", job.number))
                self.free(job, slot)
                member.active = False

    def skip(self, now, sender, job):
        need(job.state == RUNNING, "WrongState")
        need(job.key, "KeyNotPublished")
        need(not job.delivered, "SomethingSubmitted")
        need(now > job.submit_by, "SubmittingOpen")
        self.count(job)
        job.empty += 1
        self.advance(job, now, broken=not job.active or job.empty == job.terms["maxEmptyRounds"])

    def ask_end(self, now, sender, job):
        need(job.state == RUNNING, "WrongState")
        need(sender == job.owner, "NotOwner")
        need(not job.end_asked, "EndAlreadyAsked")
        job.end_asked = True

    # ---------------------------------------------------------------- when the aggregator fails

    def abort(self, now, sender, job):
        need(job.state == RUNNING, "WrongState")
        _, takeable = job.failure(now)
        need(now > takeable, "NotAbortable")
        if job.key or not job.taken_in:
            self.compensate(job)
        self.finish(job, now, ABORTED)

    def take_over(self, now, sender, job, payee):
        need(job.state == RUNNING, "WrongState")
        failed, takeable = job.failure(now)
        need(failed < now <= takeable, "NotTakeable")
        self.compensate(job)
        self.move(job.terms["fee"] * job.earned, ("escrow", job.number), ("owed", job.number, job.fees))
        job.owed[job.fees] += job.earned
        job.earned = 0
        self.money["bond", job.number] = job.terms["bond"]
        job.aggregator, job.fees, job.taken_in = sender, payee, job.round
        if job.key:
            job.key, job.late = False, set(job.submitted)
            job.submit_by = now + job.terms["submitWindow"]
            job.settle_by = job.submit_by + job.terms["settleWindow"]
        else:
            self.open(job, now, job.round)

    def compensate(self, job):
        wronged = sorted(job.delivered if job.key else job.active)
        share = self.money["bond", job.number] // len(wronged)
        for slot in wronged:
            self.credit(job, job.members[slot].payee, share, "bond", job.number)
        self.move(self.money["bond", job.number], ("bond", job.number), ("pot", job.number))

    def hand_over(self, now, sender, job):
        need(job.state == RUNNING, "WrongState")
        need(job.taken_in and not job.key, "NothingToHandOver")
        if sender != job.owner:
            job.slot_of(sender)

    def dispute(self, now, sender, job):
        need(job.state in (RUNNING, CONFIRMING), "WrongState")
        slot = job.slot_of(sender)
        need(now <= job.submit_by and job.late is None, "SubmittingClosed")
        need(slot not in job.submitted, "AlreadySubmitted")
        need(job.key, "KeyNotPublished")
        need(slot not in job.disputed, "AlreadyDisputed")
        need(not job.burnt, "AlreadyBurnt")
        job.disputed.add(slot)
        if len(job.disputed) < job.quorum:
            return
        job.burnt = True
        self.burn(job, bond=True)
        if job.state == RUNNING:
            self.finish(job, now, ABORTED)

    def burn(self, job, bond):
        """What is left of the fees of all settled rounds, and of the bond or not."""
        if bond:
            self.empty_into(job, NOBODY, "bond", job.number)
        self.credit(job, NOBODY, job.terms["fee"] * job.earned, "escrow", job.number)
        for payee in job.owed:
            self.empty_into(job, NOBODY, "owed", job.number, payee)
        job.earned, job.owed = 0, Counter()

    def reveal(self, now, sender, job):
        need(job.state == CONFIRMING, "WrongState")
        need(sender in (job.owner, job.aggregator), "NotRevealer")
        need(job.rows_due(), "NothingToReveal")
        need(now <= job.settle_by, "RevealingClosed")
        job.revealed = True

    def dispute_rows(self, now, sender, job, number):
        need(job.state == CONFIRMING, "WrongState")
        need(sender in job.places, "NotTrainer")
        slot = job.places[sender]
        need(job.rows_due(), "NothingToReveal")
        need(now <= job.submit_by, "SubmittingClosed")
        need(number <= job.round, "WrongRound")
        need(number or now > job.settle_by, "RevealingOpen")
        need(job.opened(slot), "OpenedNothing")
        need(slot not in job.rows_disputed, "AlreadyDisputed")
        job.rows_disputed[slot] = number
        quorum = min(job.terms["maxFaulty"] + 1, len(job.openers()))
        if len(job.rows_disputed) >= quorum:
            job.rows_burnt = True
            self.burn(job, bond=len(job.own_rows_disputed()) >= quorum)

    def complete(self, now, sender, job):
        need(job.state == CONFIRMING, "WrongState")
        need(now > job.submit_by, "NotCompletable")
        if job.rows_due() and not job.revealed:
            job.rows_burnt = True
            self.burn(job, bond=job.key)
        self.end(job, job.outcome)

    def show(self, now, sender, job):
        need(sender in job.places, "NotTrainer")

    # ---------------------------------------------------------------- over

    def claim(self, now, sender, job, slot):
        need(job.state > CONFIRMING, "NotOver")
        need(slot in job.members, "NotMember")
        need(slot not in job.claimed, "AlreadyClaimed")
        self.credit(job, job.members[slot].payee, job.pays()[slot], "pot", job.number)
        if job.strikes_out(slot) and slot in job.staked:
            self.credit(job, NOBODY, job.slash(), "stake", job.number, slot)
        self.free(job, slot)
        job.claimed.add(slot)
        if job.claimed == job.members.keys():
            self.empty_into(job, NOBODY, "pot", job.number)

    def claim_fees(self, now, sender, job, payee):
        need(job.state > CONFIRMING, "NotOver")
        need(job.owed.pop(payee, 0), "NothingToClaim")
        self.empty_into(job, payee, "owed", job.number, payee)

    def withdraw(self, now, sender, token):
        need(self.money["credit", sender, token], "NothingToWithdraw")
        del self.money["credit", sender, token]

    # ---------------------------------------------------------------- steps

    def free(self, job, slot):
        self.empty_into(job, job.members[slot].payee, "stake", job.number, slot)
        job.staked.discard(slot)

    def open(self, job, now, number):
        job.round = number
        self.begin(job, now + job.terms["submitWindow"])
        job.settle_by = job.submit_by + job.terms["settleWindow"]

    def begin(self, job, until):
        job.submit_by = until
        job.submitted, job.disputed, job.late = set(), set(), None
        job.quorum = min(job.terms["maxFaulty"] + 1, len(job.active))

    def advance(self, job, now, broken=False, ended=False):
        if broken:
            self.finish(job, now, ABORTED)
        elif ended or job.round == job.terms["rounds"]:
            self.finish(job, now, COMPLETED)
        else:
            self.open(job, now, job.round + 1)

    def finish(self, job, now, outcome):
        if not job.history:
            self.end(job, outcome)
            return
        job.state, job.outcome = CONFIRMING, outcome
        self.begin(job, now + job.terms["confirmWindow"])
        job.settle_by = now + job.terms["revealWindow"] if job.rows_due() else 0

    def end(self, job, outcome):
        job.state = outcome
        self.move(job.terms["reward"] * len(job.history), ("escrow", job.number), ("pot", job.number))
        job.whole = self.money["pot", job.number]
        self.credit(job, job.fees, job.terms["fee"] * job.earned, "escrow", job.number)
        if job.aggregator is not None:
            self.empty_into(job, job.fees, "bond", job.number)
        self.empty_into(job, job.owner, "escrow", job.number)
        job.submitted, job.disputed, job.late = set(), set(), None
