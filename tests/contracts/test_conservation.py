"""Random lives of several jobs at once, call by call against a model in Python: the invariants of job-market.tree.

Each example enrols three jobs in two currencies, makes random calls from everybody (sensible ones and wrong ones) with
time jumps between them, lets a stranger end what is still alive, and withdraws everything.
"""

from random import Random

import pytest
from brownie import ZERO_ADDRESS, accounts
from brownie.exceptions import VirtualMachineError
from brownie.test import given
from hypothesis import settings
from hypothesis import strategies as st
from model import ABORTED, CANCELLED, COMPLETED, CONFIRMING, NOBODY, OPEN, RUNNING, Model, Refused
from world import CID, KEY, USUAL, World, commitment, events, mask, move_to, now

OVER = (COMPLETED, CANCELLED, ABORTED)
OPERATORS = range(4, 9)  # accounts that train; any of them may be in any job
PAYEES = range(40, 44)  # fewer than those who are paid, so that credits of several parties meet

TERMS = st.fixed_dictionaries(
    {
        "reward": st.integers(0, 1000),
        "fee": st.integers(0, 50),
        "stake": st.integers(0, 300),
        "bond": st.integers(0, 300),
        "rule": st.integers(1, 2),
        "rounds": st.integers(2, 5),
        "minTrainers": st.integers(1, 2),
        "maxTrainers": st.integers(2, 5),
        "maxFaulty": st.integers(0, 1),
        "takeoverWindow": st.sampled_from([0, 30, 30]),
        "maxMissed": st.integers(1, 3),
        "maxStrikes": st.integers(1, 3),
        "maxEmptyRounds": st.integers(1, 3),
        "slashBps": st.sampled_from([0, 1, 3333, 9999, 10_000]),
    }
)


class Life:
    """The market and its model, driven together."""

    def __init__(self, market, token, verifiers):
        self.market = market
        self.token = token
        self.model = Model()
        self.kinds = {
            currency: World(market, token, verifiers, in_coin=currency == ZERO_ADDRESS)
            for currency in (ZERO_ADDRESS, token.address)
        }
        self.accepted = 0

    def call(self, name, sender, job, method, arguments, *model_arguments, deposit=0):
        """Makes one call on both. They must agree on whether and why it is refused, on credits and all money held."""
        model = self.model
        before = {key: amount for key, amount in model.money.items() if key[0] == "credit"}
        options = {"from": sender, "value": deposit}
        refusal = None
        try:
            getattr(model, name)(now(), sender.address, *([job] if job else []), *model_arguments)
        except Refused as refused:
            refusal = str(refused)
        if refusal:
            with pytest.raises(VirtualMachineError) as caught:
                method.call(*arguments, options)
            assert caught.value.revert_msg.split(":")[0] == refusal, name
            return
        tx = method(*arguments, options)
        self.accepted += 1
        self.compare_credits(tx, before)
        for token, world in self.kinds.items():
            assert world.balance() == model.held(token)
        if job:
            self.compare_job(job)

    def compare_credits(self, tx, before):
        credited = {}
        for event in events(tx, "Credited"):
            key = ("credit", event["payee"], event["token"])
            credited[key] = credited.get(key, 0) + event["amount"]
        after = {key: amount for key, amount in self.model.money.items() if key[0] == "credit"}
        grown = {key: after[key] - before.get(key, 0) for key in after if after[key] > before.get(key, 0)}
        assert credited == grown
        if "Withdrawn" not in tx.events:
            assert all(after[key] >= amount for key, amount in before.items())

    def compare_job(self, job):
        held = self.market.job(job.number)
        assert held["state"] == job.state
        assert held["active"] == mask(*job.members)
        assert held["submitted"] == mask(*job.submitted)
        assert held["disputed"] == mask(*job.disputed)
        assert held["aggregator"] == (job.aggregator or NOBODY)
        assert (held["keyPublished"], held["takenOver"], held["feeDue"]) == (job.key, job.taken, job.due)
        assert held["escrow"] == self.model.money["escrow", job.number]
        assert held["carry"] == self.model.money["carry", job.number]
        assert (held["round"], held["emptyRounds"]) == (job.round, job.empty)
        if job.state in (RUNNING, CONFIRMING):
            assert (held["submitBy"], held["settleBy"]) == (job.submit_by, job.settle_by)
            assert held["quorum"] == job.quorum
        if job.state in OVER:
            assert held["escrow"] == held["carry"] == held["active"] == 0
            assert not any(amount for key, amount in self.model.money.items() if key[1] == job.number)
        for slot, member in job.members.items():
            counted = self.market.trainer(job.number, slot)
            assert (counted["missed"], counted["strikes"]) == (member.missed, member.strikes)
            if slot in job.submitted:
                assert str(self.market.commitment(job.number, slot)) == job.commitments[slot]

    # ---------------------------------------------------------------- the calls, mostly with sensible arguments

    def coin(self, job, term):
        return job.terms[term] if job.terms["token"] == ZERO_ADDRESS else 0

    def create(self, terms, token):
        # Windows of different lengths: the jobs share one clock, and waiting for one is not to end the others.
        longer = 8 ** len(self.model.jobs)
        windows = {"enrolBy": now() + 100, "submitWindow": 20 * longer, "settleWindow": 40 * longer}
        windows["takeoverWindow"] = terms["takeoverWindow"] * longer
        terms = {**terms, **windows}
        listed = self.kinds[token].terms(**terms)
        terms = dict(zip(USUAL, listed, strict=True))
        escrow = terms["rounds"] * (terms["reward"] + terms["fee"])
        deposit = escrow if token == ZERO_ADDRESS else 0
        self.call("create", accounts[0], None, self.market.createJob, (listed, KEY, CID), terms, deposit=deposit)
        job = self.model.jobs[len(self.model.jobs)]
        self.kinds[token].created[job.number] = listed
        return job

    def accept(self, job, chance):
        payee = accounts[chance.choice(PAYEES)].address
        arguments = (job.number, payee, KEY)
        sender = accounts[chance.choice((1, 1, 1, 2))]
        deposit = self.coin(job, "bond")
        self.call("accept", sender, job, self.market.acceptAggregation, arguments, payee, deposit=deposit)

    def join(self, job, chance):
        payee = accounts[chance.choice(PAYEES)].address
        sender = accounts[chance.choice(OPERATORS)]
        arguments = (job.number, payee, KEY)
        self.call("join", sender, job, self.market.join, arguments, payee, deposit=self.coin(job, "stake"))

    def leave(self, job, chance, sender=None):
        self.call("leave", sender or accounts[chance.choice(OPERATORS)], job, self.market.leave, (job.number,))

    def cancel(self, job, chance):
        self.call("cancel", accounts[chance.choice((0, 3, 3, 3))], job, self.market.cancel, (job.number,))

    def start(self, job, chance):
        self.call("start", accounts[3], job, self.market.start, (job.number,))

    def publish(self, job, chance, sender=None):
        sender = sender or accounts[chance.choice((1, 2))]
        self.call("publish", sender, job, self.market.publishKey, (job.number, CID))

    def submit(self, job, chance, sender=None):
        number = job.round if chance.random() < 0.95 else job.round + 1
        update = commitment(self.accepted + 1000 if chance.random() < 0.95 else chance.randrange(1, 9))
        sender = sender or accounts[chance.choice(OPERATORS)]
        arguments = (job.number, number, update, CID)
        self.call("submit", sender, job, self.market.submitUpdate, arguments, number, update)

    def settle(self, job, chance, sender=None):
        judged = set(job.submitted) if chance.random() < 0.9 else {0, 1, 2}
        unopened = {slot for slot in judged if chance.random() < 0.1}
        selected = {slot for slot in judged if chance.random() < 0.75}
        selected -= unopened if chance.random() < 0.9 else set()
        weights = [chance.choice((0, 1, 7, 2**96 - 1)) for _ in selected]
        world = self.kinds[job.terms["token"]]
        judged = world.judged(job.number, mask(*selected), mask(*unopened), **({"weights": weights} if weights else {}))
        sender = sender or accounts[chance.choice((1, 2))]
        arguments = (job.number, job.round, *judged)
        self.call("settle", sender, job, self.market.settleRound, arguments, job.round, selected, weights, unopened)

    def skip(self, job, chance):
        self.call("skip", accounts[3], job, self.market.skipRound, (job.number,))

    def abort(self, job, chance):
        self.call("abort", accounts[3], job, self.market.abort, (job.number,))

    def take_over(self, job, chance):
        payee = accounts[chance.choice(PAYEES)].address
        arguments = (job.number, payee, KEY)
        sender = accounts[chance.choice((1, 2, 3, 4))]
        deposit = self.coin(job, "bond")
        self.call("take_over", sender, job, self.market.takeOver, arguments, payee, deposit=deposit)

    def hand_over(self, job, chance):
        sender = accounts[chance.choice((0, 0, 1, *OPERATORS))]
        self.call("hand_over", sender, job, self.market.handOver, (job.number, CID))

    def dispute(self, job, chance, sender=None):
        self.call("dispute", sender or accounts[chance.choice(OPERATORS)], job, self.market.dispute, (job.number,))

    def complete(self, job, chance):
        self.call("complete", accounts[3], job, self.market.complete, (job.number,))

    def show(self, job, chance):
        self.call("show", accounts[chance.choice(OPERATORS)], job, self.market.showOpening, (job.number, 1, CID))

    def withdraw(self, job, chance):
        payee = accounts[chance.choice((0, *PAYEES))]
        token = job.terms["token"]
        self.call("withdraw", payee, None, self.market.withdraw, (token,), token)

    def wait(self, job, chance):
        instants = 4 * [now() + 1]
        instants += [job.terms["enrolBy"] + 1] if job.state == OPEN else []
        if job.state in (RUNNING, CONFIRMING):
            instants += [job.submit_by, job.submit_by + 1]
        if job.state == RUNNING:
            instants += [job.settle_by, job.settle_by + 1]
        move_to(max(now(), chance.choice(instants)))

    def go_on(self, job, chance):
        """What well-behaved parties would do next, but for those who stay silent or leave from time to time."""
        if job.state == OPEN:
            (self.start if job.startable(now()) else self.join)(job, chance)
        elif job.state == CONFIRMING:
            trainer = accounts.at(job.members[chance.choice(sorted(job.members))].operator)
            if chance.random() < 0.3 and now() <= job.submit_by:
                (self.dispute if chance.random() < 0.5 else self.leave)(job, chance, trainer)
            else:
                move_to(max(now(), job.submit_by + 1))
                self.complete(job, chance)
        elif job.state == RUNNING:
            self.go_on_running(job, chance)

    def go_on_running(self, job, chance):
        aggregator = accounts.at(job.aggregator)
        missing = sorted(job.members.keys() - job.submitted)
        if job.submitted and chance.random() < 0.15:
            move_to(max(now(), job.settle_by + 1))
        if now() > (job.settle_by if job.key else job.submit_by) and (job.submitted or not job.key):
            (self.take_over if now() <= job.failure(now())[1] else self.abort)(job, chance)
        elif not job.key and job.taken and chance.random() < 0.5:
            self.hand_over(job, chance)
        elif not job.key:
            self.publish(job, chance, aggregator)
        elif missing and now() <= job.submit_by and chance.random() < 0.95:
            trainer = accounts.at(job.members[chance.choice(missing)].operator)
            (call,) = chance.choices((self.submit, self.leave, self.dispute), (92, 4, 4))
            call(job, chance, trainer)
        elif job.submitted:
            move_to(max(now(), job.submit_by + 1) if missing else now())
            self.settle(job, chance, aggregator)
        else:
            move_to(max(now(), job.submit_by + 1))
            self.skip(job, chance)

    # ---------------------------------------------------------------- the end

    def end_by_a_stranger(self, job):
        """Past the deadlines a stranger alone ends any job, in at most one call a round and two more."""
        for _ in range(job.terms["rounds"] + 2):
            if job.state in OVER:
                break
            if job.state == OPEN:
                move_to(max(now(), job.terms["enrolBy"] + 1))
                (self.start if job.startable(now()) else self.cancel)(job, AsStranger())
            elif job.state == CONFIRMING:
                move_to(max(now(), job.submit_by + 1))
                self.complete(job, AsStranger())
            else:
                failed = job.submitted or not job.key
                move_to(max(now(), job.settle_by + 1 + (job.terms["takeoverWindow"] if failed else 0)))
                (self.abort if failed else self.skip)(job, AsStranger())
        assert job.state in OVER

    def withdraw_everything(self):
        for (kind, payee, *rest), amount in list(self.model.money.items()):
            if kind == "credit" and amount and payee != NOBODY:
                sender, token = accounts.at(payee), rest[0]
                assert self.market.credit(payee, token) == amount
                self.call("withdraw", sender, None, self.market.withdraw, (token,), token)
        burnt = {token: self.model.money.pop(("credit", NOBODY, token), 0) for token in self.kinds}
        assert not any(self.model.money.values())
        for token, world in self.kinds.items():
            assert world.balance() == self.market.credit(NOBODY, token) == burnt[token]


class AsStranger(Random):
    """Always chooses the stranger's account."""

    def choice(self, options):
        return 3


STEPS = 100
CALLS = {
    "go_on": 60, "submit": 6, "settle": 3, "wait": 3, "join": 2, "publish": 1, "skip": 2, "leave": 1, "abort": 2,
    "withdraw": 3, "start": 2, "accept": 1, "cancel": 1, "take_over": 3, "hand_over": 1, "dispute": 3, "complete": 2,
    "show": 1,
}  # fmt: skip
"""What happens, and how often: two thirds carry a job on, the others come from anybody at any time."""


@given(terms=st.tuples(TERMS, TERMS, TERMS), seed=st.integers(0, 2**64))
@settings(max_examples=14, derandomize=True, database=None, deadline=None)
def test_no_sequence_of_calls_creates_loses_or_locks_money(deployed, terms, seed):
    token = deployed[1]
    life, chance = Life(*deployed), Random(seed)
    jobs = [
        life.create(t, currency) for t, currency in zip(terms, (ZERO_ADDRESS, token.address, ZERO_ADDRESS), strict=True)
    ]
    for job in jobs:
        for call in ["accept"] + ["join"] * 5:
            getattr(life, call)(job, chance)
    for _ in range(STEPS):
        alive = [job for job in jobs if job.state not in OVER]
        if not alive:
            break
        (call,) = chance.choices(list(CALLS), list(CALLS.values()))
        getattr(life, call)(chance.choice(alive + jobs[:1]), chance)
    for job in jobs:
        life.end_by_a_stranger(job)
    life.withdraw_everything()
