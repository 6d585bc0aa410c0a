"""The market in plain Python, written from docs/security/job-market.tree: the yardstick of the property test.

Every unit of money lies in one account of `money`, a Counter, and moves from one to another:
    ("escrow", job) ("carry", job) ("bond", job) ("stake", job, slot) ("credit", payee, token)
so that what a call created or destroyed would show as a difference between the model and the contract.
"""

from collections import Counter
from dataclasses import dataclass, field

OPEN, RUNNING, CONFIRMING, COMPLETED, CANCELLED, ABORTED = range(1, 7)
NOBODY = "0x" + "00" * 20
"""Who is credited what is burnt."""


class Refused(Exception):
    """A call that the market must refuse; the message is the error's name."""


def need(condition, error):
    if not condition:
        raise Refused(error)


@dataclass
class Member:
    operator: object
    payee: object
    missed: int = 0
    strikes: int = 0


@dataclass
class Job:
    number: int
    terms: dict
    owner: object
    state: int = OPEN
    aggregator: object = None
    fees: object = None
    round: int = 0
    empty: int = 0
    key: bool = False
    taken: bool = False
    due: bool = False
    submit_by: int = 0
    settle_by: int = 0
    quorum: int = 0
    members: dict = field(default_factory=dict)
    submitted: set = field(default_factory=set)
    disputed: set = field(default_factory=set)
    places: dict = field(default_factory=dict)
    commitments: dict = field(default_factory=dict)

    def slot_of(self, operator):
        for slot, member in self.members.items():
            if member.operator == operator:
                return slot
        raise Refused("NotTrainer")

    def startable(self, now):
        enough = len(self.members) == self.terms["maxTrainers"] or (
            now > self.terms["enrolBy"] and len(self.members) >= self.terms["minTrainers"]
        )
        return enough and self.aggregator is not None

    def failure(self, now):
        """When the aggregator fails, and up to when another may take over."""
        failed = self.settle_by if self.key else self.submit_by
        need(now <= failed or not self.key or self.submitted, "NothingSubmitted")
        return failed, failed + (0 if self.taken and not self.key else self.terms["takeoverWindow"])


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

    def credit(self, job, payee, amount, *source):
        self.money[source] -= amount
        self.money["credit", payee, job.terms["token"]] += amount
        assert self.money[source] >= 0

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

    def join(self, now, sender, job, payee):
        need(job.state == OPEN, "WrongState")
        need(now <= job.terms["enrolBy"], "EnrolmentClosed")
        need(all(member.operator != sender for member in job.members.values()), "AlreadyJoined")
        need(len(job.members) < job.terms["maxTrainers"], "JobFull")
        slot = min(set(range(32)) - job.members.keys())
        job.members[slot] = Member(sender, payee)
        job.places[sender] = slot
        self.money["stake", job.number, slot] = job.terms["stake"]

    def leave(self, now, sender, job):
        need(job.state in (OPEN, RUNNING, CONFIRMING), "WrongState")
        slot = job.slot_of(sender)
        if job.state == RUNNING:
            need(now <= job.submit_by, "SubmittingClosed")
            need(slot not in job.submitted, "AlreadySubmitted")
        self.empty_into(job, job.members.pop(slot).payee, "stake", job.number, slot)
        if job.state == OPEN:
            del job.places[sender]
        elif not job.members:
            self.end(job, ABORTED if job.state == RUNNING else COMPLETED)

    def cancel(self, now, sender, job):
        need(job.state == OPEN, "WrongState")
        stale = now > job.terms["enrolBy"] and not job.startable(now)
        need(sender == job.owner or stale, "NotCancellable")
        self.end(job, CANCELLED)

    def start(self, now, sender, job):
        need(job.state == OPEN, "WrongState")
        need(job.startable(now), "NotStartable")
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
        need(now <= job.submit_by, "SubmittingClosed")
        need(slot not in job.submitted, "AlreadySubmitted")
        job.commitments[slot] = commitment
        job.submitted.add(slot)

    def settle(self, now, sender, job, number, selected, weights, unopened):
        terms = job.terms
        need(job.state == RUNNING, "WrongState")
        need(sender == job.aggregator, "NotAggregator")
        need(number == job.round, "WrongRound")
        need(job.submitted, "NothingSubmitted")
        need(job.submitted == job.members.keys() or now > job.submit_by, "SubmittingOpen")
        need(now <= job.settle_by, "SettlingClosed")
        need(selected | unopened <= job.submitted, "NotSubmitted")
        need(not selected & unopened, "SelectedUnopened")
        need(len(unopened) <= terms["maxFaulty"], "TooManyUnopened")
        need(len(weights) == len(selected), "WeightCount")
        last = job.round == terms["rounds"]
        payees = [job.members[slot].payee for slot in sorted(selected)]
        if not last:
            self.pay(job, payees, weights)
        self.count(job, job.submitted - selected - unopened)
        if last:
            self.pay(job, payees, weights)
        self.pay_fee(job)
        job.due = True
        job.empty = 0
        self.advance(job, now, broken=not job.members and not last)

    def pay(self, job, payees, weights):
        carry = self.money.pop(("carry", job.number), 0)
        self.money["escrow", job.number] += carry
        pot = job.terms["reward"] + carry
        for payee, weight in zip(payees, weights, strict=True):
            self.credit(job, payee, pot * weight // max(1, sum(weights)), "escrow", job.number)

    def count(self, job, outliers):
        terms, slash = job.terms, job.terms["stake"] * job.terms["slashBps"] // 10_000
        for slot, member in list(job.members.items()):
            if slot in job.submitted:
                member.missed = 0
                member.strikes += slot in outliers
            else:
                member.missed += 1
            if member.missed == terms["maxMissed"] or (slot in outliers and member.strikes == terms["maxStrikes"]):
                self.money["stake", job.number, slot] -= slash
                self.money["carry", job.number] += slash
                self.empty_into(job, member.payee, "stake", job.number, slot)
                del job.members[slot]

    def skip(self, now, sender, job):
        need(job.state == RUNNING, "WrongState")
        need(job.key, "KeyNotPublished")
        need(not job.submitted, "SomethingSubmitted")
        need(now > job.submit_by, "SubmittingOpen")
        self.credit(job, job.owner, job.terms["reward"] + job.terms["fee"], "escrow", job.number)
        self.pay_fee(job)
        self.count(job, set())
        job.empty += 1
        self.advance(job, now, broken=not job.members or job.empty == job.terms["maxEmptyRounds"])

    # ---------------------------------------------------------------- when the aggregator fails

    def abort(self, now, sender, job):
        need(job.state == RUNNING, "WrongState")
        _, takeable = job.failure(now)
        need(now > takeable, "NotAbortable")
        if job.key or not job.taken:
            self.money["bond", job.number] += self.money.pop(("carry", job.number), 0)
            self.compensate(job)
            self.empty_into(job, job.owner, "bond", job.number)
        self.end(job, ABORTED)

    def take_over(self, now, sender, job, payee):
        need(job.state == RUNNING, "WrongState")
        failed, takeable = job.failure(now)
        need(failed < now <= takeable, "NotTakeable")
        self.compensate(job)
        self.money["carry", job.number] += self.money["bond", job.number]
        self.money["bond", job.number] = job.terms["bond"]
        job.aggregator, job.fees, job.taken, job.key = sender, payee, True, False
        self.open(job, now, job.round)

    def compensate(self, job):
        self.pay_fee(job)
        wronged = sorted(job.submitted if job.key else job.members)
        share = self.money["bond", job.number] // len(wronged)
        for slot in wronged:
            self.credit(job, job.members[slot].payee, share, "bond", job.number)

    def pay_fee(self, job):
        if job.due:
            self.credit(job, job.fees, job.terms["fee"], "escrow", job.number)
        job.due = False

    def hand_over(self, now, sender, job):
        need(job.state == RUNNING, "WrongState")
        need(job.taken and not job.key, "NothingToHandOver")
        if sender != job.owner:
            job.slot_of(sender)

    def dispute(self, now, sender, job):
        need(job.state in (RUNNING, CONFIRMING), "WrongState")
        slot = job.slot_of(sender)
        need(job.key, "KeyNotPublished")
        need(now <= job.submit_by, "SubmittingClosed")
        need(slot not in job.submitted, "AlreadySubmitted")
        need(slot not in job.disputed, "AlreadyDisputed")
        job.disputed.add(slot)
        if len(job.disputed) >= job.quorum:
            self.empty_into(job, NOBODY, "bond", job.number)
            if job.due:
                self.credit(job, NOBODY, job.terms["fee"], "escrow", job.number)
            job.due = False
            self.end(job, ABORTED)

    def complete(self, now, sender, job):
        need(job.state == CONFIRMING, "WrongState")
        need(now > job.submit_by, "NotCompletable")
        self.end(job, COMPLETED)

    def show(self, now, sender, job):
        need(sender in job.places, "NotTrainer")

    def withdraw(self, now, sender, token):
        need(self.money["credit", sender, token], "NothingToWithdraw")
        del self.money["credit", sender, token]

    # ---------------------------------------------------------------- steps

    def open(self, job, now, number):
        job.round = number
        self.begin(job, now)
        job.settle_by = job.submit_by + job.terms["settleWindow"]

    def begin(self, job, now):
        job.submit_by = now + job.terms["submitWindow"]
        job.submitted, job.disputed = set(), set()
        job.quorum = min(job.terms["maxFaulty"] + 1, len(job.members))

    def advance(self, job, now, broken):
        if broken:
            self.end(job, ABORTED)
        elif job.round < job.terms["rounds"]:
            self.open(job, now, job.round + 1)
        elif job.due and job.members:
            job.state = CONFIRMING
            self.begin(job, now)
        else:
            self.end(job, COMPLETED)

    def end(self, job, state):
        job.state = state
        self.pay_fee(job)
        if job.aggregator is not None:
            self.empty_into(job, job.fees, "bond", job.number)
        for slot, member in job.members.items():
            self.empty_into(job, member.payee, "stake", job.number, slot)
        self.empty_into(job, job.owner, "escrow", job.number)
        self.empty_into(job, job.owner, "carry", job.number)
        job.members, job.submitted, job.disputed = {}, set(), set()
