"""Random lives of several jobs at once, call by call against a model in Python: the invariants of job-market.tree.

Each life enrols three jobs in two currencies, makes random calls from everybody (sensible ones and wrong ones) with
time jumps between them, lets a stranger end what is still alive, and withdraws everything.
"""

from collections import Counter
from contextlib import contextmanager
from random import Random

import pytest
from brownie import ZERO_ADDRESS, accounts, chain
from brownie.exceptions import VirtualMachineError
from model import ABORTED, CANCELLED, COMPLETED, CONFIRMING, MOST, NOBODY, OPEN, RUNNING, Model, Refused
from world import CID, GATE, KEY, NO_TICKET, REFERENCE, USUAL, World, commitment, events, mask, move_to, now

OVER = (COMPLETED, CANCELLED, ABORTED)
OPERATORS = range(4, 11)  # accounts that train; any of them may be in any job
PAYEES = range(40, 44)  # fewer than those who are paid, so that credits of several parties meet

SIGNED = (0, 1, -1, 7, -7, 2**44, -(2**43), 10**15, -(10**15), 2**95 - 1, -(2**95))
EXPONENTS = (0, 0, -20, -13, 5, 30, 81, 200, -300, 2**15 - 1, -(2**15))

AMOUNTS = {"reward": 1000, "fee": 50, "stake": 300, "bond": 300}
CHOICES = {
    "gate": (ZERO_ADDRESS, GATE.address),
    "rule": (1, 2, 2),
    "rounds": (2, 3, 4, 5, 6),
    "minRounds": (1, 2),
    "rate": (1, 2**38 + 12345, 2**40, 100 * 2**40),
    "rateDecay": (1, 2**31, 2**32 - 1, 2**32),
    "scaleExponent": (-40, -15, 0),
    "maxFaulty": (0, 0, 1, 1, 1, 2),
    "maxVoids": (0, 1, 2, 3, 3),
    "startDelay": (0, 0, 10),
    "takeoverWindow": (0, 30, 30),
    "revealWindow": (0, 8, 8, 14),
    "maxMissed": (1, 2, 3),
    "maxStrikes": (1, 2, 3),
    "maxEmptyRounds": (1, 2, 3),
    "slashBps": (0, 1, 3333, 9999, 10_000),
}


def random_terms(chance):
    amounts = {name: chance.choice((0, 1, *4 * [chance.randrange(most + 1)])) for name, most in AMOUNTS.items()}
    terms = amounts | {name: chance.choice(choices) for name, choices in CHOICES.items()}
    faulty = terms["maxFaulty"]
    least = 2 * faulty + 3 if faulty else chance.choice((1, 2))
    return terms | {"minTrainers": least, "maxTrainers": max(3, least) + chance.choice((0, 1) if faulty else (0, 1, 2))}


class Life:
    """The market and its model, driven together."""

    def __init__(self, market, token, verifiers, reached):
        self.market = market
        self.reached = reached  # how often each call was accepted, each refusal met, and what was behind a claim
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
            self.reached[refusal] += 1
            return
        tx = method(*arguments, options)
        self.accepted += 1
        self.reached[name] += 1
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
        if job.state != OPEN:  # members are those who were there at the start
            assert held["members"] == mask(*job.members)
        assert held["active"] == mask(*job.active)
        assert held["submitted"] == mask(*job.submitted)
        assert (held["delivering"], held["undelivered"]) == (job.late is not None, mask(*(job.late or ())))
        assert held["voids"] == job.voids
        assert held["disputed"] == mask(*job.disputed)
        assert held["claimed"] == mask(*job.claimed)
        assert held["aggregator"] == (job.aggregator or NOBODY)
        assert (held["keyPublished"], held["takenOverIn"], held["endAsked"]) == (job.key, job.taken_in, job.end_asked)
        assert (held["round"], held["emptyRounds"], held["settled"]) == (job.round, job.empty, len(job.history))
        assert (held["disputedSum"], held["owed"]) == (job.burnt, job.owed.total())
        assert (held["revealed"], held["disputedRows"]) == (job.revealed, job.rows_burnt)
        assert held["rowsDisputed"] == mask(*job.rows_disputed)
        assert held["ownRowsDisputed"] == mask(*job.own_rows_disputed())
        self.compare_money(job, held)
        self.compare_points(job, held)
        if job.state in (OPEN, RUNNING, CONFIRMING):
            assert (held["submitBy"], held["settleBy"]) == (job.submit_by, job.settle_by)
        if job.state in (RUNNING, CONFIRMING):
            assert held["quorum"] == job.quorum
        if job.state == RUNNING:
            assert held["rate"] == job.rate()
        if job.state == CONFIRMING:
            assert held["outcome"] == job.outcome
        for slot in job.submitted:
            assert str(self.market.commitment(job.number, slot)) == job.commitments[slot]

    def compare_money(self, job, held):
        money = Counter()
        for (kind, number, *_), amount in self.model.money.items():
            if kind != "credit" and number == job.number:
                money[kind] += amount
        over = job.state in OVER
        assert held["escrow"] == money["escrow"] + money["owed"] + (money["pot"] if over else 0)
        assert held["pot"] == (job.whole if over else money["pot"])
        assert job.terms["bond"] * held["bonded"] == money["bond"]
        if over and job.claimed == job.members.keys() and not job.owed:
            assert not any(money.values())

    def compare_points(self, job, held):
        """Each member's record, and the sums that the contract keeps of them in its own way."""
        for slot, member in job.members.items():
            counted = self.market.trainer(job.number, slot)
            assert (counted["missed"], counted["strikes"]) == (member.missed, member.strikes)
            assert counted["balance"] == job.balance(slot)
            assert counted["absences"] == job.absences(slot)
            assert counted["staked"] == (slot in job.staked)
            if job.state != OPEN:
                assert job.opened(slot) == (
                    held["settled"] - counted["absences"] if member.active else counted["opened"]
                )
        rounds = sum(job.opened(slot) for slot in job.members)
        points = sum(job.points(slot) for slot in job.members)
        assert points == held["settled"] * held["earned"] - held["missedOut"] + held["goneEarned"]
        assert rounds == held["settled"] * len(job.active) - held["absences"] + held["goneOpened"]

    # ---------------------------------------------------------------- the calls, mostly with sensible arguments

    def coin(self, job, term):
        return job.terms[term] if job.terms["token"] == ZERO_ADDRESS else 0

    def create(self, terms, token):
        # Windows of different lengths: the jobs share one clock, and waiting for one is not to end the others.
        longer = 8 ** len(self.model.jobs)
        windows = {"enrolBy": now() + 300, "submitWindow": 20 * longer, "settleWindow": 40 * longer}
        windows |= {"takeoverWindow": terms["takeoverWindow"] * longer, "confirmWindow": 15 * longer}
        windows["revealWindow"] = terms["revealWindow"] * longer if terms["rule"] == REFERENCE else 0
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
        free = [i for i in OPERATORS if accounts[i] not in job.places]
        sender = accounts[chance.choice(free if free and chance.random() < 0.7 else OPERATORS)]
        ticket, deserves = self.ticket(job, sender, chance)
        arguments = (job.number, payee, KEY, ticket)
        self.call("join", sender, job, self.market.join, arguments, payee, deserves, deposit=self.coin(job, "stake"))

    def ticket(self, job, sender, chance):
        """Mostly what is right; and what the model is told of it."""
        gated = job.terms["gate"] != ZERO_ADDRESS
        if chance.random() < (0.1 if gated else 0.9):
            return NO_TICKET, "none"
        world, i = self.kinds[job.terms["token"]], list(accounts).index(sender) - 4
        if chance.random() < 0.7:
            return world.ticket(job.number, i), ""
        return chance.choice(
            [
                (world.ticket(job.number, i + 1), "TicketRefused"),
                (world.ticket(job.number, i, jobId=job.number + 1), "TicketRefused"),
                (world.ticket(job.number, i, expiry=now() - 1), "TicketExpired"),
                (world.ticket(job.number, i)[:7], "TicketLength"),
            ]
        )

    def ask_end(self, job, chance):
        self.call("ask_end", accounts[chance.choice((0, 0, 1, 3, 4))], job, self.market.askEnd, (job.number,))

    def leave(self, job, chance, sender=None):
        self.call("leave", sender or accounts[chance.choice(OPERATORS)], job, self.market.leave, (job.number,))

    def cancel(self, job, chance):
        self.call("cancel", accounts[chance.choice((0, 3, 3, 3))], job, self.market.cancel, (job.number,))

    def start(self, job, chance):
        self.call("start", accounts[chance.choice((0, 3, 3))], job, self.market.start, (job.number,))

    def publish(self, job, chance, sender=None):
        sender = sender or accounts[chance.choice((1, 2))]
        self.call("publish", sender, job, self.market.publishKey, (job.number, CID))

    def submit(self, job, chance, sender=None):
        number = job.round if chance.random() < 0.95 else job.round + 1
        name = self.accepted + 1000 if chance.random() < 0.95 else chance.randrange(1, 9)
        sender = sender or accounts[chance.choice(OPERATORS)]
        update = commitment(name, sender)
        arguments = (job.number, number, update, CID)
        self.call("submit", sender, job, self.market.submitUpdate, arguments, number, update)

    def settle(self, job, chance, sender=None):
        judged = set(job.delivered) if chance.random() < 0.9 else {0, 1, 2}
        many = min(len(judged), job.most_unopened() + (chance.random() < 0.1))
        unopened = set(chance.sample(sorted(judged), many)) if chance.random() < 0.4 else set()
        selected = {slot for slot in judged if chance.random() < 0.75}
        selected -= unopened if chance.random() < 0.9 else set()
        struck = {slot for slot in judged - selected - unopened if chance.random() < 0.7}
        struck |= {0, 1} if chance.random() < 0.05 else set()
        by_reference = job.terms["rule"] == 2
        scores = [chance.choice(SIGNED if by_reference else (0, 1, 7, 2**95 - 1)) for _ in selected]
        world = self.kinds[job.terms["token"]]
        stated = {"scores": scores} if scores else {}
        row_exponent = chance.choice(EXPONENTS) if by_reference and job.delivered - unopened else 0
        settlement = world.judged(
            job.number, mask(*selected), mask(*unopened), struck=mask(*struck), rowExponent=row_exponent, **stated
        )
        sender = sender or accounts[chance.choice((1, 2))]
        arguments = (job.number, job.round, *settlement)
        judgement = (job.round, selected, scores, unopened, struck, row_exponent)
        with self.while_delivering("settled", job):
            self.call("settle", sender, job, self.market.settleRound, arguments, *judgement)

    @contextmanager
    def while_delivering(self, what, job):
        """Notes what a call did to a round in which something is delivered again."""
        late, round_before, state = job.late, (job.round, job.aggregator), job.state
        before = {slot: job.members[slot].missed for slot in late or ()}
        yield
        if late is not None and (job.state, job.round, job.aggregator) != (state, *round_before):
            self.reached[f"{what} while delivering"] += 1
            self.reached[f"{what} without what is late"] += bool(before)

    def void(self, job, chance, sender=None):
        judged = set(job.delivered) if chance.random() < 0.9 else {0, 1, 2}
        least = min(len(judged), job.most_unopened() + (chance.random() < 0.75))
        unopened = set(chance.sample(sorted(judged), chance.randint(least, len(judged))))
        number = job.round if chance.random() < 0.95 else job.round + 1
        sender = sender or accounts[chance.choice((1, 2))]
        again, state, voids = job.late is not None, job.state, job.voids
        arguments = (job.number, number, mask(*unopened))
        self.call("void", sender, job, self.market.voidRound, arguments, number, unopened)
        self.reached["void again in a round"] += again and job.voids > voids
        self.reached["void once more than may be"] += state == RUNNING != job.state
        self.reached["void once more than may be, nothing settled"] += state == RUNNING and job.state in OVER

    def redeliver(self, job, chance, sender=None):
        sender = sender or accounts[chance.choice(OPERATORS)]
        number = job.round if chance.random() < 0.95 else job.round + 1
        self.call("redeliver", sender, job, self.market.redeliver, (job.number, number, CID), number)

    def skip(self, job, chance):
        with self.while_delivering("skipped", job):
            self.call("skip", accounts[3], job, self.market.skipRound, (job.number,))

    def abort(self, job, chance):
        with self.while_delivering("aborted", job):
            self.call("abort", accounts[3], job, self.market.abort, (job.number,))

    def take_over(self, job, chance):
        payee = accounts[chance.choice(PAYEES)].address
        arguments = (job.number, payee, KEY)
        sender = accounts[chance.choice((1, 2, 3, 4))]
        deposit = self.coin(job, "bond")
        with self.while_delivering("taken over", job):
            self.call("take_over", sender, job, self.market.takeOver, arguments, payee, deposit=deposit)

    def hand_over(self, job, chance):
        sender = accounts[chance.choice((0, 0, 1, *OPERATORS))]
        self.call("hand_over", sender, job, self.market.handOver, (job.number, CID))

    def dispute(self, job, chance, sender=None):
        self.call("dispute", sender or accounts[chance.choice(OPERATORS)], job, self.market.dispute, (job.number,))

    def reveal(self, job, chance):
        sender = accounts[chance.choice((0, 0, 1, 2, 3))]
        self.call("reveal", sender, job, self.market.reveal, (job.number, CID))

    def dispute_rows(self, job, chance, sender=None):
        sender = sender or accounts[chance.choice(OPERATORS)]
        number = chance.randrange(job.taken_in if chance.random() < 0.7 and job.taken_in else job.round + 2)
        self.call("dispute_rows", sender, job, self.market.disputeRows, (job.number, number), number)

    def complete(self, job, chance):
        unrevealed = job.state == CONFIRMING and job.rows_due() and not job.revealed
        bond = self.model.money["bond", job.number]
        self.call("complete", accounts[3], job, self.market.complete, (job.number,))
        self.reached["unrevealed, a bond burnt"] += unrevealed and job.state in OVER and job.key and bond > 0
        self.reached["unrevealed, a bond kept"] += unrevealed and job.state in OVER and not job.key and bond > 0
        self.reached["rows disputed, a bond kept"] += job.rows_burnt and bond > 0 and job.revealed

    def claim(self, job, chance, slot=None):
        slot = chance.choice((*range(6), 31, 32, 255)) if slot is None else slot
        before, staked = job.claimed.copy(), slot in job.staked
        self.call("claim", accounts[chance.choice((0, 1, 3, 5))], job, self.market.claim, (job.number, slot), slot)
        if job.claimed == before:
            return
        paid, struck = job.pays()[slot], job.strikes_out(slot) and staked
        scored = any(job.points(other) for other in job.members)
        self.reached["paid by points" if scored else "paid by rounds opened"] += paid > 0
        self.reached["nothing for points below zero"] += scored and job.balance(slot) < 0 and job.opened(slot) > 0
        self.reached["slashed for strikes"] += struck
        self.reached["paid once gone"] += paid > 0 and not job.members[slot].active
        self.reached["burnt fees"] += job.burnt
        self.reached["sum and rows disputed"] += job.burnt and job.rows_burnt
        self.reached["paid less for disputed rows"] += job.rows_burnt and paid < job.by_points()[slot]
        self.reached["paid in full for disputed rows"] += job.rows_burnt and 0 < paid == job.by_points()[slot]
        self.reached["cut off"] += any(abs(s.brought.get(slot, 0)) == MOST for s in job.history)
        self.reached["absent"] += paid > 0 and job.absences(slot) > 0
        self.reached["the last"] += job.claimed == job.members.keys()

    def claim_fees(self, job, chance, payee=None):
        payee = payee or accounts[chance.choice(PAYEES)].address
        self.call("claim_fees", accounts[3], job, self.market.claimFees, (job.number, payee), payee)

    def show(self, job, chance):
        self.call("show", accounts[chance.choice(OPERATORS)], job, self.market.showOpening, (job.number, 1, CID))

    def withdraw(self, job, chance):
        payee = accounts[chance.choice((0, *PAYEES))]
        token = job.terms["token"]
        self.call("withdraw", payee, None, self.market.withdraw, (token,), token)

    def wait(self, job, chance):
        instants = 4 * [now() + 1]
        instants += [job.terms["enrolBy"] + 1, job.submit_by] if job.state == OPEN else []
        if job.state in (RUNNING, CONFIRMING):
            instants += [job.submit_by, job.submit_by + 1]
            instants += [job.settle_by, job.settle_by + 1]
        move_to(max(now(), chance.choice(instants)))

    def go_on(self, job, chance):
        """What well-behaved parties would do next, but for those who stay silent or leave from time to time."""
        if job.state == OPEN:
            stale = now() > job.terms["enrolBy"]
            full = len(job.members) == job.terms["maxTrainers"]
            step = self.start if job.startable(now()) else self.cancel if stale else self.accept if full else self.join
            step(job, chance)
        elif job.state == CONFIRMING:
            self.go_on_confirming(job, chance)
        elif job.state == RUNNING:
            self.go_on_running(job, chance)
        elif job.members.keys() > job.claimed:
            self.claim(job, chance, chance.choice(sorted(job.members.keys() - job.claimed)))
        elif job.owed:
            self.claim_fees(job, chance, chance.choice(sorted(job.owed)))

    def go_on_confirming(self, job, chance):
        members = sorted(job.members.keys() if chance.random() < 0.3 else job.openers() - job.rows_disputed.keys())
        if chance.random() < 0.1:
            move_to(max(now(), job.settle_by + 1))
        unready = job.taken_in and not job.key  # seldom, and nobody reveals then
        reveals = now() <= job.settle_by and not job.revealed and chance.random() < (0.1 if unready else 0.5)
        if reveals or chance.random() < 0.05:
            self.reveal(job, chance)
        elif (
            job.active and not job.burnt and chance.random() < (0.1 if job.taken_in else 0.3) and now() <= job.submit_by
        ):
            self.dispute(job, chance, accounts.at(job.members[chance.choice(sorted(job.active))].operator))
        elif (
            job.rows_due() and members and now() <= job.submit_by
            and chance.random() < (0.2 if unready else 0.8 if job.taken_in else 0.5)
        ):  # fmt: skip
            self.dispute_rows(job, chance, accounts.at(job.members[chance.choice(members)].operator))
        else:
            move_to(max(now(), job.submit_by + 1))
            self.complete(job, chance)

    def go_on_running(self, job, chance):
        aggregator = accounts.at(job.aggregator)
        missing = sorted(job.active - job.submitted if job.late is None else job.late)
        if job.delivered and chance.random() < (0.06 if job.late is None else 0.12):
            move_to(max(now(), job.settle_by + 1))
        if now() > (job.settle_by if job.key else job.submit_by) and (job.delivered or not job.key):
            (self.take_over if now() <= job.failure(now())[1] else self.abort)(job, chance)
        elif not job.key and job.taken_in and chance.random() < 0.35:
            move_to(max(now(), job.submit_by + 1))
        elif not job.key and job.taken_in and chance.random() < 0.5:
            self.hand_over(job, chance)
        elif not job.key:
            self.publish(job, chance, aggregator)
        elif missing and now() <= job.submit_by and chance.random() < 0.95:
            trainer = accounts.at(job.members[chance.choice(missing)].operator)
            if job.late and chance.random() < 0.4:
                move_to(max(now(), job.submit_by + 1))
            if job.late:
                return self.redeliver(job, chance, trainer)
            (call,) = chance.choices((self.submit, self.leave, self.dispute), (95, 3, 2))
            call(job, chance, trainer)
        elif job.delivered:
            move_to(max(now(), job.submit_by + 1) if missing else now())
            (self.void if chance.random() < (0.3 if job.late is None else 0.6) else self.settle)(
                job, chance, aggregator
            )
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
                move_to(max(now(), job.terms["enrolBy"] + 1, job.submit_by))
                (self.start if job.startable(now()) else self.cancel)(job, AsStranger())
            elif job.state == CONFIRMING:
                move_to(max(now(), job.submit_by + 1))
                self.complete(job, AsStranger())
            else:
                failed = job.delivered or not job.key
                move_to(max(now(), job.settle_by + 1 + (job.terms["takeoverWindow"] if failed else 0)))
                (self.abort if failed else self.skip)(job, AsStranger())
        assert job.state in OVER
        for slot in sorted(job.members.keys() - job.claimed, reverse=True):
            self.claim(job, AsStranger(), slot)
        for slot in sorted(job.members)[:1]:
            self.claim(job, AsStranger(), slot)  # which is refused
        for payee in list(job.owed):
            self.claim_fees(job, AsStranger(), payee)

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


LIVES = 26
STEPS = 120
CALLS = {
    "go_on": 120, "submit": 6, "settle": 4, "wait": 3, "join": 2, "publish": 1, "skip": 2, "leave": 1, "abort": 2,
    "withdraw": 3, "start": 2, "accept": 1, "cancel": 1, "take_over": 3, "hand_over": 1, "dispute": 2, "complete": 2,
    "reveal": 2, "dispute_rows": 2, "void": 2, "redeliver": 3,
    "show": 1, "ask_end": 5, "claim": 3, "claim_fees": 2,
}  # fmt: skip
"""What happens, and how often: three quarters carry a job on, the others come from anybody at any time."""


def live(deployed, reached, chance):
    token = deployed[1]
    life = Life(*deployed, reached)
    jobs = [life.create(random_terms(chance), currency) for currency in (ZERO_ADDRESS, token.address, ZERO_ADDRESS)]
    for job in jobs:
        wanted = chance.random() < 0.9
        for call in ["accept"] * wanted + ["join"] * (job.terms["maxTrainers"] + 3):
            getattr(life, call)(job, chance)
    for _ in range(STEPS):
        alive = [job for job in jobs if job.state not in OVER]
        (call,) = chance.choices(list(CALLS), list(CALLS.values()))
        job = chance.choice(6 * alive[:1] + alive + jobs)  # those with short windows first, before time takes them
        for _ in range(chance.randint(1, 6) if call == "go_on" else 1):  # a phase of one job, before others let it pass
            getattr(life, call)(job, chance)
        if not alive and all(job.claimed == job.members.keys() for job in jobs):
            break
    for job in jobs:
        life.end_by_a_stranger(job)
    life.withdraw_everything()


def test_no_sequence_of_calls_creates_loses_or_locks_money(deployed, fn_isolation):
    reached = Counter()
    for seed in range(LIVES):
        chain.snapshot()
        try:
            live(deployed, reached, Random(seed))
        except BaseException as error:
            error.add_note(f"in life {seed}")
            raise
        chain.revert()
    missing = [what for what in REACHED if not reached[what]]
    assert not missing, reached


REACHED = [
    "create", "accept", "join", "leave", "cancel", "start", "publish", "submit", "settle", "skip", "ask_end", "abort",
    "take_over", "hand_over", "dispute", "reveal", "dispute_rows", "complete", "show", "claim", "claim_fees",
    "withdraw", "StartDelayed", "NotRevealer", "NothingToReveal", "RevealingClosed", "RevealingOpen", "OpenedNothing",
    "TicketMissing", "TicketUnneeded", "TicketRefused", "TicketExpired", "TicketLength",
    "WrongState", "NotOver", "NotMember", "AlreadyClaimed", "NothingToClaim", "WrongStrikes",
    "paid by points", "paid by rounds opened", "nothing for points below zero", "slashed for strikes", "paid once gone",
    "burnt fees", "cut off", "the last", "absent", "unrevealed, a bond burnt", "unrevealed, a bond kept",
    "void", "redeliver", "NotVoidable", "NothingToDeliver", "TooManyUnopened", "void again in a round",
    "void once more than may be", "void once more than may be, nothing settled", "settled while delivering",
    "settled without what is late", "skipped while delivering", "taken over while delivering",
    "aborted while delivering",
    "rows disputed, a bond kept", "sum and rows disputed", "paid less for disputed rows",
    "paid in full for disputed rows",
]  # fmt: skip
"""What has to happen at least once in all lives: else they show little."""
