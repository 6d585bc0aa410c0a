"""What the tests stand on: usual terms, calls by role, the clock, reverts by name."""

from collections import Counter
from contextlib import contextmanager
from hashlib import sha256

import pytest
from brownie import ZERO_ADDRESS, StubDecisionVerifier, StubGramVerifier, accounts, chain, web3
from brownie.exceptions import VirtualMachineError
from eth_hash.auto import keccak

ACCOUNTS = 80
RICH = 12  # accounts that hold and have approved the ERC-20: the owner, the aggregator, trainers 0 … 7; and the taker
TAKER = 72  # the account that takes a failed aggregator's job over
KEY = "0x" + "11" * 32
ZERO32 = "0x" + "00" * 32
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
    "enrolBy": 1000,  # seconds from creation
    "submitWindow": 100,
    "settleWindow": 50,
    "takeoverWindow": 0,
    "rule": 1,
    "rounds": 3,
    "minTrainers": 2,
    "maxTrainers": 4,
    "maxFaulty": 1,
    "maxMissed": 2,
    "maxStrikes": 2,
    "maxEmptyRounds": 2,
    "slashBps": 3000,
    "gramVerifier": None,  # those four that fit the others: World.terms
    "gramKey": None,
    "decisionVerifier": None,
    "decisionKey": None,
}
SLASH = 501 * 3000 // 10_000


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


def words_hash(words):
    return "0x" + keccak(b"".join(word.to_bytes(32) for word in words)).hex()


_points = {}


def points(number):
    """The words of the one point that an update commits with; a stub takes any words for a point."""
    return [int.from_bytes(sha256(f"{number} {axis}".encode()).digest()) for axis in "xy"]


def committed(words):
    """The hash by which a settlement finds the words of these points again."""
    _points[words_hash(words)] = words
    return words_hash(words)


def commitment(number):
    return committed(points(number))


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
    "unopened", "selected", "weights", "coefficients", "sumCid", "sumCommitment", "referenceCid", "referenceCommitment",
)  # fmt: skip
PROOF = ("commitments", "sums", "gramHash", "gram", "decision")
NOTHING = {
    "weights": [], "coefficients": [], "sumCid": "", "sumCommitment": ZERO32, "referenceCid": "",
    "referenceCommitment": ZERO32, "commitments": [], "sums": [], "gramHash": 0, "gram": [], "decision": [0] * 8,
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

    def operator(self, i):
        return accounts[4 + i]

    def payee(self, i):
        return accounts[40 + i]

    def value(self, amount):
        return amount if self.in_coin else 0

    def terms(self, **changes):
        terms = {**USUAL, "token": self.currency, **changes}
        if "enrolBy" not in changes:
            terms["enrolBy"] = now() + USUAL["enrolBy"]
        terms |= self.verifiers.terms(terms["rule"], terms["maxTrainers"]) | changes
        return list(terms.values())

    def create(self, **changes):
        terms = {**USUAL, **changes}
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

    def join(self, job, i):
        args = {"from": self.operator(i), "value": self.value(self.term(job, "stake"))}
        return self.market.join(job, self.payee(i), KEY, args)

    def enrolled(self, trainers=4, **changes):
        """An Open job with its aggregator and this many trainers."""
        job = self.create(**changes)
        self.accept(job)
        for i in range(trainers):
            self.join(job, i)
        return job

    def started(self, trainers=4, **changes):
        job = self.enrolled(trainers, **changes)
        if trainers < self.term(job, "maxTrainers"):
            move_to(self.term(job, "enrolBy") + 1)
        self.market.start(job, {"from": self.stranger})
        return job

    def running(self, trainers=4, **changes):
        """A job in round 1, the key published."""
        job = self.started(trainers, **changes)
        self.market.publishKey(job, CID, {"from": self.aggregator})
        return job

    def submit(self, job, *trainers):
        for i in trainers:
            self.commitments += 1
            number = self.market.job(job)["round"]
            self.market.submitUpdate(job, number, commitment(self.commitments), CID, {"from": self.operator(i)})

    def rows(self, job):
        """The words that each slot committed to in the running round."""
        event = web3.keccak(text="UpdateSubmitted(uint256,uint16,uint8,bytes32,string)").hex()
        topics = [event, *("0x" + int(x).to_bytes(32).hex() for x in (job, self.market.job(job)["round"]))]
        logs = web3.eth.get_logs({"address": self.market.address, "topics": topics, "fromBlock": 0})
        return {int(log["topics"][3].hex(), 16): _points["0x" + bytes(log["data"][:32]).hex()] for log in logs}

    def judged(self, job, selected=0, unopened=0, **changes):
        """A Settlement and its RoundProof for the running round, as tuples.

        By default equal weights, whole coefficients, and all that is needed for what is opened. changes: other fields.
        """
        opened = self.market.job(job)["submitted"] & ~unopened
        by_reference = job in self.created and self.term(job, "rule") == 2
        many = selected.bit_count()
        fields = {**NOTHING, "unopened": unopened, "selected": selected}
        if opened:
            rows = self.rows(job)
            flat = [word for slot in range(32) if opened >> slot & 1 for word in rows[slot]]
            fields |= {
                "weights": [1] * many, "sumCid": CID if selected else "", "sums": points("sum"),
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

    def confirming(self, trainers=4, **changes):
        """A job of one round that is settled, with everybody selected alike."""
        job = self.running(trainers, **{"rounds": 1, **changes})
        self.submit(job, *range(trainers))
        self.settle(job, mask(*range(trainers)))
        return job

    def failed(self, *submitters, trainers=4, **changes):
        """A job whose aggregator has not settled these submissions, in the first second in which it can be taken over."""
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

    def past_submitting(self, job):
        move_to(self.market.job(job)["submitBy"] + 1)

    def past_settling(self, job):
        move_to(self.market.job(job)["settleBy"] + 1)

    def complete(self, job):
        self.past_submitting(job)
        return self.market.complete(job, {"from": self.stranger})

    def trainer(self, job, slot):
        held = self.market.trainer(job, slot)
        return str(held["operator"]), str(held["payee"]), int(held["missed"]), int(held["strikes"])

    def credit(self, account):
        return self.market.credit(account, self.currency)

    def balance(self):
        """What the market holds in this world's currency."""
        return self.market.balance() if self.in_coin else self.token.balanceOf(self.market)
