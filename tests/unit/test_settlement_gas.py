"""Whole settlements with real proofs against the real verifiers: what they cost in a job's first round, and that a
settlement which says anything else is refused."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from aggregator import rules
from aggregator.gram import gram
from marketplace.chain import abi
from marketplace.chain.anvil import Anvil, dev_accounts
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import deploy
from marketplace.chain.gas import MAX_TRANSACTION_GAS
from marketplace.chain.market import Market
from marketplace.chain.verifiers import Verifiers, deploy_decision, deploy_gram, gram_key_hash, read_verifiers
from marketplace.domain import ZERO_ADDRESS, RoundProof, RoundSettled, Rule, Settlement, Terms
from marketplace.errors import ChainError, Reverted
from marketplace.services.dearest import MAX_TRANSACTION_BYTES, settlement_cost, too_dear
from marketplace.services.proofs import CommittedRow, committed, open_sum, prove_round
from marketplace.services.rounds import proof_context
from tests.patience import PATIENCE
from tests.values import TERMS
from zk import setup
from zk.decision import DecisionKey
from zk.encoding import commitment_hash, submission_hash
from zk.statements import circuit_id
from zk.verifier import key_hash

pytestmark = pytest.mark.slow

CHUNK = 8
KEY = b"\x11" * 32
CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
SUBMISSION = 64_000
MOST_TRAINERS = 32

OWNER, AGGREGATOR, *TRAINERS = dev_accounts(2 + MOST_TRAINERS)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with Anvil(accounts=2 + MOST_TRAINERS) as anvil:
        yield Connection(anvil.url, timeout=PATIENCE)


def fresh(name: str) -> str:
    """An account that was never credited."""
    return to_checksum_address(keccak(text=name)[:20])


@dataclass
class Job:
    """A job whose trainers have all submitted in round 1. gas: of the dearest submission."""

    market: Market
    job_id: int
    terms: Terms
    rows: Sequence[CommittedRow]
    references: Sequence[CommittedRow]
    key: DecisionKey
    srs: setup.Srs
    gas: int

    def judge(self) -> rules.Decision:
        n = len(self.rows)
        G = gram([row.row for row in (*self.rows, *self.references)])
        slots, opened = [line[:n] for line in G[:n]], [True] * n
        if self.terms.rule is Rule.KRUM_COSINE:
            return rules.krum_cosine(slots, opened, self.terms.max_faulty)
        return rules.reference(slots, opened, [G[i][n] for i in range(n)], G[n][n], [G[i][n + 1] for i in range(n)])

    def settlement(self) -> tuple[Settlement, RoundProof]:
        judged = self.judge()
        sums = open_sum(self.rows, judged.coefficients).sums
        proof = prove_round(
            self.srs,
            self.key,
            proof_context(
                chain_id=self.market.connection.chain_id,
                market=self.market.address,
                job_id=self.job_id,
                round=1,
                terms_hash=self.market.job(self.job_id).terms_hash,
            ),
            rule=self.terms.rule,
            max_faulty=self.terms.max_faulty,
            rows=self.rows,
            references=self.references,
            judged=judged,
            sums=sums,
        )
        by_reference = self.terms.rule is Rule.REFERENCE
        chosen = [slot for slot, selected in enumerate(judged.selected) if selected]
        settlement = Settlement(
            unopened=0,
            selected=sum(1 << slot for slot in chosen),
            struck=sum(1 << slot for slot, struck in enumerate(judged.struck) if struck),
            scores=tuple(judged.scores[slot] for slot in chosen),
            row_exponent=-20 if by_reference else 0,
            coefficients=tuple(judged.coefficients[slot] for slot in chosen) if by_reference else (),
            sum_cid=CID,
            sum_commitment=commitment_hash(sums),
            reference_cid=CID if by_reference else "",
            reference_commitment=commitment_hash(b"".join(row.commitment for row in self.references))
            if by_reference
            else bytes(32),
        )
        return settlement, proof


def submitted(connection: Connection, rule: Rule, n: int, chunks: int) -> Job:
    """n trainers with updates of so many chunks; everybody's is like the others', so that everybody is selected."""
    srs = setup.development(CHUNK, seed=b"gas")
    key = DecisionKey.development(circuit_id(rule, n), seed=bytes(32))
    market = Market(connection, deploy(connection, OWNER).market, receipt_within=PATIENCE)
    terms = replace(
        TERMS,
        reward=10**18,
        fee=10**17,
        stake=10**17,
        bond=10**17,
        aggregator=ZERO_ADDRESS,
        enrol_by=connection.now() + 1000,
        submit_window=1000,
        settle_window=1000,
        confirm_window=1000,
        rule=rule,
        rounds=3,
        min_rounds=3,
        rate_decay=2**32 - 1,
        min_trainers=2,
        max_trainers=n,
        max_missed=2,
        max_strikes=2,
        max_empty_rounds=2,
        slash_bps=3000,
        gram_verifier=deploy_gram(connection, OWNER, CHUNK, srs.tau_g2),
        gram_key=gram_key_hash(CHUNK, srs.tau_g2),
        decision_verifier=deploy_decision(connection, OWNER, key.circuit, key.verifying_key),
        decision_key=key_hash(key.verifying_key),
    )
    assert isinstance(read_verifiers(connection, terms), Verifiers)
    job_id, _ = market.create_job(OWNER, terms, KEY, CID)
    market.accept_aggregation(AGGREGATOR, job_id, fresh(f"{market.address} fees"), KEY)
    for slot, trainer in enumerate(TRAINERS[:n]):
        market.join(trainer, job_id, fresh(f"{market.address} {slot}"), KEY)
    market.start(OWNER, job_id)
    market.publish_key(AGGREGATOR, job_id, CID)

    rng = np.random.default_rng(n)
    base = rng.integers(-20_000, 20_000, chunks * CHUNK)
    rows = [committed(srs, (base + rng.integers(-5000, 5000, base.size)).astype(np.int16)) for _ in range(n + 2)]
    gas = [
        market.submit_update(trainer, job_id, 1, submission_hash(row.commitment, trainer.address), CID).gas_used
        for trainer, row in zip(TRAINERS[:n], rows, strict=False)
    ]
    references = rows[n:] if rule is Rule.REFERENCE else []
    return Job(market, job_id, terms, rows[:n], references, key, srs, max(gas))


def one_score_more(settlement: Settlement, proof: RoundProof) -> tuple[Settlement, RoundProof]:
    return replace(settlement, scores=(settlement.scores[0] + 1, *settlement.scores[1:])), proof


def one_less_selected(settlement: Settlement, proof: RoundProof) -> tuple[Settlement, RoundProof]:
    fewer = replace(settlement, selected=settlement.selected & ~1, scores=settlement.scores[1:])
    return replace(fewer, coefficients=settlement.coefficients[1:]), proof


def one_struck(settlement: Settlement, proof: RoundProof) -> tuple[Settlement, RoundProof]:
    """Its strike alone is a lie, and its being left out too: it was selected, and not against the first row."""
    settlement, proof = one_less_selected(settlement, proof)
    return replace(settlement, struck=1), proof


def another_sum(settlement: Settlement, proof: RoundProof) -> tuple[Settlement, RoundProof]:
    sums = proof.commitments[: len(proof.sums)]
    named = commitment_hash(b"".join(word.to_bytes(32) for word in sums))
    return replace(settlement, sum_commitment=named), replace(proof, sums=sums)


def another_gram_hash(settlement: Settlement, proof: RoundProof) -> tuple[Settlement, RoundProof]:
    return settlement, replace(proof, gram_hash=proof.gram_hash ^ 1)


LIES: dict[Callable[[Settlement, RoundProof], tuple[Settlement, RoundProof]], str] = {
    one_score_more: "DecisionProofRefused",
    one_less_selected: "GramProofRefused",
    one_struck: "GramProofRefused",
    another_sum: "GramProofRefused",
    another_gram_hash: "GramProofRefused",
}


@pytest.mark.parametrize(
    ("rule", "n", "chunks", "bound"),
    [
        (Rule.KRUM_COSINE, 8, 1, 900_000),
        (Rule.KRUM_COSINE, 16, 8, 2_200_000),
        (Rule.REFERENCE, 8, 1, 920_000),
        (Rule.REFERENCE, 16, 8, 2_340_000),
    ],
)
def test_a_first_round_is_settled_by_proofs_within_its_gas_and_by_nothing_else(
    connection: Connection, rule: Rule, n: int, chunks: int, bound: int, record_property: Callable[[str, object], None]
) -> None:
    job = submitted(connection, rule, n, chunks)
    settlement, proof = job.settlement()
    assert len(settlement.scores) == n  # nobody is cheaper to settle with
    for lie, error in LIES.items():
        with pytest.raises(Reverted) as refused:
            job.market.settle_round(AGGREGATOR, job.job_id, 1, *lie(settlement, proof))
        assert refused.value.name == error
    receipt = job.market.settle_round(AGGREGATOR, job.job_id, 1, settlement, proof)
    record_property("gas", receipt.gas_used)
    assert any(isinstance(event, RoundSettled) for event in receipt.events)
    assert receipt.gas_used <= bound
    cost = settlement_cost(rule, n, chunks)  # what owner and aggregator go by before their money moves
    assert receipt.gas_used <= cost.gas
    assert len(abi.encode_call("settleRound", [job.job_id, 1, settlement, proof])) <= cost.calldata
    assert job.gas <= SUBMISSION


def test_the_largest_settlement_that_a_job_may_need_is_taken_by_a_chain_with_ethereums_limits(
    connection: Connection, record_property: Callable[[str, object], None]
) -> None:
    chunks = max(c for c in range(1, 100) if not too_dear(Rule.REFERENCE, MOST_TRAINERS, c))
    job = submitted(connection, Rule.REFERENCE, MOST_TRAINERS, chunks)
    settlement, proof = job.settlement()
    assert len(settlement.scores) == MOST_TRAINERS
    receipt = job.market.settle_round(AGGREGATOR, job.job_id, 1, settlement, proof)
    record_property("gas", receipt.gas_used)
    assert any(isinstance(event, RoundSettled) for event in receipt.events)
    sent = connection.request("eth_getTransactionByHash", receipt.transaction)
    assert receipt.gas_used <= int(sent["gas"], 16) <= MAX_TRANSACTION_GAS
    assert len(sent["input"]) // 2 <= MAX_TRANSACTION_BYTES
    with pytest.raises(ChainError, match="gas"):  # the chain does hold to the limit
        connection.request("eth_sendTransaction", {"from": OWNER.address, "to": OWNER.address, "gas": hex(2**24 + 1)})


def test_a_proof_for_another_market_is_refused(connection: Connection) -> None:
    first, second = (submitted(connection, Rule.KRUM_COSINE, 2, 1) for _ in range(2))
    # The same updates and commitments, proved for the job of that number in another market.
    other = replace(first, job_id=second.job_id, market=second.market)
    settlement, proof = other.settlement()
    with pytest.raises(Reverted) as refused:
        first.market.settle_round(AGGREGATOR, first.job_id, 1, settlement, proof)
    assert refused.value.name == "GramProofRefused"
    first.market.settle_round(AGGREGATOR, first.job_id, 1, *first.settlement())
