"""What the tests stand on: usual terms, calls by role, the clock, reverts by name."""

from collections import Counter
from contextlib import contextmanager
from hashlib import sha256

import pytest
from brownie import ZERO_ADDRESS, StubDecisionVerifier, StubGramVerifier, accounts, chain, web3
from brownie.exceptions import VirtualMachineError
from eth_account import Account
from eth_hash.auto import keccak

ACCOUNTS = 80
RICH = 13  # accounts that hold and have approved the ERC-20: the owner, the aggregator, trainers 0 … 8; and the taker
TAKER = 72  # the account that takes a failed aggregator's job over
KEY = "0x" + "11" * 32
ZERO32 = "0x" + "00" * 32
GATE = Account.from_key(b"gate".rjust(32, b"\1"))
TICKET = {"Ticket": [
    {"name": "jobId", "type": "uint256"}, {"name": "termsHash", "type": "bytes32"},
    {"name": "operator", "type": "address"}, {"name": "expiry", "type": "uint64"},
]}  # fmt: skip
NO_TICKET = b""
CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
LONG_CID = "b" * 101
GRAM_WORDS = 16  # of a proof for c = 1
Y = 10  # where it has y

NONE, OPEN, RUNNING, CONFIRMING, COMPLETED, CANCELLED, ABORTED = range(7)
REASONS = ("Pay", "Fee", "Stake", "Bond", "Compensation", "Refund", "Burnt")

USUAL = {
    "token": ZERO_ADDRESS,
    "reward": 1000,
    "fee": 100,
    "stake": 501,
    "bond": 700,
    "aggregator": ZERO_ADDRESS,
    "gate": ZERO_ADDRESS,
    "enrolBy": 1000,  # seconds from creation
    "startDelay": 0,
    "submitWindow": 100,
    "settleWindow": 50,
    "takeoverWindow": 0,
    "confirmWindow": 80,
    "revealWindow": 0,
    "rule": 1,
    "rounds": 3,
    "minRounds": None,  # all of them: World.terms
    "rate": 2**40,
    "rateDecay": 2**32,
    "scaleExponent": -15,
    "minTrainers": 2,
    "maxTrainers": 4,
    "maxFaulty": 0,
    "maxMissed": 2,
    "maxStrikes": 2,
    "maxEmptyRounds": 2,
    "maxVoids": 2,
    "slashBps": 3000,
    "gramVerifier": None,  # those four that fit the others: World.terms
    "gramKey": None,
    "decisionVerifier": None,
    "decisionKey": None,
}
FAULTY = {"minTrainers": 5, "maxTrainers": 5, "maxFaulty": 1}
"""The least job in which one trainer may be faulty: it starts with five."""
SLASH = 501 * 3000 // 10_000
KRUM_COSINE, REFERENCE = 1, 2
ROUND = 2**64  # units that a round of rule krum-cosine brings
MOST = 2**84  # units that a round adds or takes at most


def rpc(method, *params):
    reply = web3.provider.make_request(method, list(params))
    assert "error" not in reply, reply
    return reply["result"]


def now():
    return chain[-1].timestamp


def move_to(timestamp):
    """Every later block has this time, until it is moved again."""
    if timestamp > now():
        rpc("evm_setNextBlockTimestamp", timestamp)
        rpc("evm_mine")
    assert now() == timestamp


def mask(*slots):
    return sum(1 << slot for slot in slots)


def words_hash(words, by=None):
    """by: the trainer whose commitment it is."""
    owner = b"" if by is None else bytes.fromhex(str(by)[2:])
    return "0x" + keccak(b"".join(word.to_bytes(32) for word in words) + owner).hex()


_points = {}


def points(number):
    """The words of the one point that an update commits with; a stub takes any words for a point."""
    return [int.from_bytes(sha256(f"{number} {axis}".encode()).digest()) for axis in "xy"]


def committed(words, by=None):
    """The hash by which a settlement finds the words of these points again."""
    _points[words_hash(words, by)] = words
    return words_hash(words, by)


def commitment(number, by=None):
    return committed(points(number), by)


def _spelled(value):
    if isinstance(value, bytes):
        return str(value.ljust(32, b"\0"))
    if str(value).startswith("0x") and len(str(value)) == 66:
        return str(bytes.fromhex(str(value)[2:]))
    return str(value).lower() if str(value).startswith("0x") else str(value)


@contextmanager
def refuses(error, *values):
    """The call inside reverts with this error and exactly these values (strings under `term` as bytes)."""
    with pytest.raises(VirtualMachineError) as caught:
        yield
    assert caught.value.revert_msg == f"{error}: {', '.join(map(_spelled, values))}"


def events(tx, name):
    return list(tx.events[name]) if name in tx.events else []


def credits(tx):
    """What a transaction credited: {(payee, reason): amount}."""
    found = Counter()
    for event in events(tx, "Credited"):
        assert event["amount"] > 0
        found[event["payee"], REASONS[event["reason"]]] += event["amount"]
    return dict(found)


def pay(world, *amounts):
    """What the trainers are credited as pay, in the order of their seats."""
    return {(world.payee(i), "Pay"): amount for i, amount in enumerate(amounts) if amount}


def pay_each(world, each, trainers=range(5)):
    return {(world.payee(i), "Pay"): each for i in trainers}


def stakes(world, trainers=range(5)):
    return {(world.payee(i), "Stake"): 501 for i in trainers}


class Verifiers:
    """Stubs of a Gram verifier and of a decision verifier for each circuit, which find every proof valid."""

    gram_key = commitment("gram key")

    def __init__(self):
        self.gram = StubGramVerifier.deploy(self.gram_key, {"from": accounts[0]})
        self.decision = {
            100 * rule + size: StubDecisionVerifier.deploy(
                100 * rule + size, self.decision_key(100 * rule + size), {"from": accounts[0]}
            )
            for rule in (1, 2)
            for size in (8, 16, 32)
        }

    @staticmethod
    def decision_key(circuit):
        return commitment(f"key of {circuit}")

    def terms(self, rule, trainers):
        """Those for a rule and a number of trainers; of some circuit where there is none for them."""
        circuit = rule * 100 + next((size for size in (8, 16, 32) if size >= trainers), 32)
        circuit = circuit if circuit in self.decision else 108
        return {
            "gramVerifier": self.gram.address,
            "gramKey": self.gram_key,
            "decisionVerifier": self.decision[circuit].address,
            "decisionKey": self.decision_key(circuit),
        }


SETTLEMENT = (
    "unopened", "selected", "struck", "scores", "rowExponent", "coefficients", "sumCid", "sumCommitment",
    "referenceCid", "referenceCommitment",
)  # fmt: skip
PROOF = ("commitments", "sums", "gramHash", "gram", "decision")
NOTHING = {
    "struck": 0, "scores": [], "rowExponent": 0, "coefficients": [], "sumCid": "", "sumCommitment": ZERO32,
    "referenceCid": "", "referenceCommitment": ZERO32, "commitments": [], "sums": [], "gramHash": 0, "gram": [],
    "decision": [0] * 8,
}  # fmt: skip


class World:
    """A market with its parties. Trainer i works through `operator(i)` and is paid at `payee(i)`."""

    def __init__(self, market, token, verifiers, in_coin):
        self.market = market
        self.token = token
        self.verifiers = verifiers
        self.in_coin = in_coin
        self.currency = ZERO_ADDRESS if in_coin else token.address
        self.owner, self.aggregator, self.fees, self.stranger = accounts[:4]
        self.taker, self.taker_fees = accounts[TAKER : TAKER + 2]
        self.commitments = 0
        self.created = {}  # terms by job
        self.usual, self.usually = USUAL, 4  # terms, trainers

    def with_faulty(self):
        """Jobs are by default such that one of their five trainers may be faulty, and each part of a pot is 250."""
        self.usual, self.usually = {**USUAL, **FAULTY, "reward": 1250}, 5
        return self

    def operator(self, i):
        return accounts[4 + i]

    def payee(self, i):
        return accounts[40 + i]

    def value(self, amount):
        return amount if self.in_coin else 0

    def terms(self, **changes):
        terms = {**self.usual, "token": self.currency, **changes}
        if "enrolBy" not in changes:
            terms["enrolBy"] = now() + USUAL["enrolBy"]
        if terms["minRounds"] is None:
            terms["minRounds"] = terms["rounds"]
        terms |= self.verifiers.terms(terms["rule"], terms["maxTrainers"]) | changes
        return list(terms.values())

    def create(self, **changes):
        terms = {**self.usual, **changes}
        value = self.value(terms["rounds"] * (terms["reward"] + terms["fee"]))
        tuple_of_terms = self.terms(**changes)
        tx = self.market.createJob(tuple_of_terms, KEY, CID, {"from": self.owner, "value": value})
        job = tx.events["JobCreated"]["jobId"]
        self.created[job] = tuple_of_terms
        return job

    def term(self, job, name):
        return self.created[job][list(USUAL).index(name)]

    def accept(self, job, sender=None):
        args = {"from": sender or self.aggregator, "value": self.value(self.term(job, "bond"))}
        return self.market.acceptAggregation(job, self.fees, KEY, args)

    def join(self, job, i, ticket=None):
        """ticket: by default a good one where the job has a gate."""
        if ticket is None:
            ticket = NO_TICKET if self.term(job, "gate") == ZERO_ADDRESS else self.ticket(job, i)
        args = {"from": self.operator(i), "value": self.value(self.term(job, "stake"))}
        return self.market.join(job, self.payee(i), KEY, ticket, args)

    def ticket(self, job, i, expiry=None, gate=GATE, domain=None, **changes):
        """What a gate gives trainer i for a job. domain, changes: what it signs in place of what it should."""
        expiry = now() + 1000 if expiry is None else expiry
        under = {"name": "Merit", "version": "2", "chainId": chain.id, "verifyingContract": self.market.address}
        said = {"jobId": job, "termsHash": bytes(self.market.job(job)["termsHash"]), "expiry": expiry}
        said["operator"] = self.operator(i).address
        signed = gate.sign_typed_data(under | (domain or {}), TICKET, said | changes)
        return expiry.to_bytes(8) + bytes(signed.signature)

    def enrolled(self, trainers=None, **changes):
        """An Open job with its aggregator and this many trainers."""
        job = self.create(**changes)
        self.accept(job)
        for i in range(trainers or self.usually):
            self.join(job, i)
        return job

    def started(self, trainers=None, **changes):
        job = self.enrolled(trainers, **changes)
        if (trainers or self.usually) < self.term(job, "maxTrainers"):
            move_to(self.term(job, "enrolBy") + 1)
        self.market.start(job, {"from": self.stranger})
        return job

    def running(self, trainers=None, **changes):
        """A job in round 1, the key published."""
        job = self.started(trainers, **changes)
        self.market.publishKey(job, CID, {"from": self.aggregator})
        return job

    def submit(self, job, *trainers):
        for i in trainers:
            self.commitments += 1
            number = self.market.job(job)["round"]
            sender = self.operator(i)
            self.market.submitUpdate(job, number, commitment(self.commitments, sender), CID, {"from": sender})

    def rows(self, job):
        """The words that each slot committed to in the running round."""
        event = web3.keccak(text="UpdateSubmitted(uint256,uint16,uint8,bytes32,string)").hex()
        topics = [event, *("0x" + int(x).to_bytes(32).hex() for x in (job, self.market.job(job)["round"]))]
        logs = web3.eth.get_logs({"address": self.market.address, "topics": topics, "fromBlock": 0})
        return {int(log["topics"][3].hex(), 16): _points["0x" + bytes(log["data"][:32]).hex()] for log in logs}

    def judged(self, job, selected=0, unopened=0, **changes):
        """A Settlement and its RoundProof for the running round, as tuples.

        By default equal scores, nobody struck, whole coefficients, and all that is needed for what is opened.
        changes: other fields.
        """
        held = self.market.job(job)
        opened = held["submitted"] & ~unopened & ~held["undelivered"]
        by_reference = job in self.created and self.term(job, "rule") == 2
        many = selected.bit_count()
        fields = {**NOTHING, "unopened": unopened, "selected": selected}
        if opened:
            rows = self.rows(job)
            flat = [word for slot in range(32) if opened >> slot & 1 for word in rows[slot]]
            fields |= {
                "scores": [1] * many, "sumCid": CID if selected else "", "sums": points("sum"),
                "sumCommitment": commitment("sum"), "commitments": flat, "gramHash": 7,
                "gram": list(range(GRAM_WORDS)), "decision": list(range(1, 9)),
            }  # fmt: skip
            if by_reference:
                reference = points("v0") + points("u")
                fields |= {"coefficients": [4096] * many, "referenceCid": CID, "commitments": flat + reference}
                fields["referenceCommitment"] = words_hash(reference)
        assert changes.keys() <= fields.keys()
        fields |= changes
        return tuple(fields[name] for name in SETTLEMENT), tuple(fields[name] for name in PROOF)

    def settle(self, job, selected=0, unopened=0, sender=None, **changes):
        number = self.market.job(job)["round"]
        judged = self.judged(job, selected, unopened, **changes)
        return self.market.settleRound(job, number, *judged, {"from": sender or self.aggregator})

    def void(self, job, *unopened, sender=None, number=None):
        number = self.market.job(job)["round"] if number is None else number
        return self.market.voidRound(job, number, mask(*unopened), {"from": sender or self.aggregator})

    def redeliver(self, job, *trainers, cid=CID):
        """The last of these to deliver again."""
        number = self.market.job(job)["round"]
        for i in trainers:
            tx = self.market.redeliver(job, number, cid, {"from": self.operator(i)})
        return tx

    def settled(self, job, rounds=1, sender=None, **changes):
        """The next rounds: every active trainer submits, and is selected alike unless changes say otherwise.

        Where what they have submitted is delivered again, they deliver.
        """
        for _ in range(rounds):
            held = self.market.job(job)
            active = held["active"]
            work, slots = (self.redeliver, held["undelivered"]) if held["delivering"] else (self.submit, active)
            work(job, *(slot for slot in range(32) if slots >> slot & 1))
            tx = self.settle(job, **{"selected": active, "sender": sender, **changes})
        return tx

    def confirming(self, trainers=None, **changes):
        """A job of one round that is settled, with everybody selected alike."""
        job = self.running(trainers, **{"rounds": 1, **changes})
        self.settled(job)
        return job

    def completed(self, trainers=None, **changes):
        """The same, over: nobody has claimed."""
        job = self.confirming(trainers, **changes)
        self.complete(job)
        return job

    def revealing(self, trainers=None, scores=None, **changes):
        """A job under rule reference whose one round is settled, with these scores: its rows are to be revealed."""
        job = self.running(trainers, **{"rule": REFERENCE, "rounds": 1, "revealWindow": 30, **changes})
        self.settled(job, **({"scores": scores} if scores else {}))
        return job

    def failed(self, *submitters, trainers=None, **changes):
        """A job whose aggregator has not settled these submissions, in the first second that allows a takeover."""
        job = self.running(trainers, **{"takeoverWindow": 30, **changes})
        self.submit(job, *submitters)
        self.past_settling(job)
        return job

    def take_over(self, job, sender=None, payee=None):
        args = {"from": sender or self.taker, "value": self.value(self.term(job, "bond"))}
        return self.market.takeOver(job, payee or self.taker_fees, KEY, args)

    def taken_over(self, *submitters, **changes):
        """A job that another aggregator has taken over after these had submitted."""
        job = self.failed(*submitters, **changes)
        self.take_over(job)
        return job

    def dispute(self, job, *trainers):
        """The last of these disputes."""
        for i in trainers:
            tx = self.market.dispute(job, {"from": self.operator(i)})
        return tx

    def reveal(self, job, sender=None, cid=CID):
        return self.market.reveal(job, cid, {"from": sender or self.aggregator})

    def dispute_rows(self, job, *trainers, number=1):
        """The last of these disputes of the rows of a round."""
        for i in trainers:
            tx = self.market.disputeRows(job, number, {"from": self.operator(i)})
        return tx

    def past_submitting(self, job):
        move_to(self.market.job(job)["submitBy"] + 1)

    def past_settling(self, job):
        move_to(self.market.job(job)["settleBy"] + 1)

    def past_revealing(self, job):
        """While the job is Confirming."""
        self.past_settling(job)

    def complete(self, job):
        self.past_submitting(job)
        return self.market.complete(job, {"from": self.stranger})

    def claim(self, job, slot):
        return self.market.claim(job, slot, {"from": self.stranger})

    def claim_all(self, job, slots=None):
        """What the claims of all members, or of these slots in this order, credited together."""
        members = self.market.job(job)["members"]
        found = Counter()
        for slot in (i for i in range(32) if members >> i & 1) if slots is None else slots:
            found.update(credits(self.claim(job, slot)))
        return dict(found)

    def claim_fees(self, job, payee):
        return self.market.claimFees(job, payee, {"from": self.stranger})

    def leave(self, job, *trainers):
        """The last of these to leave."""
        for i in trainers:
            tx = self.market.leave(job, {"from": self.operator(i)})
        return tx

    def skip(self, job):
        self.past_submitting(job)
        return self.market.skipRound(job, {"from": self.stranger})

    def trainer(self, job, slot):
        held = self.market.trainer(job, slot)
        return str(held["operator"]), str(held["payee"]), int(held["missed"]), int(held["strikes"])

    def balances(self, job, slots=range(4)):
        return [int(self.market.trainer(job, slot)["balance"]) for slot in slots]

    def credit(self, account):
        return self.market.credit(account, self.currency)

    def balance(self):
        """What the market holds in this world's currency."""
        return self.market.balance() if self.in_coin else self.token.balanceOf(self.market)
