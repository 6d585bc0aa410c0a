"""What the contracts use, in gas: proofs alone, and the submissions and settlements of a whole job with real proofs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from eth_hash.auto import keccak
from web3 import HTTPProvider, Web3

from aggregator.gram import gram
from aggregator.rules import krum_cosine, reference
from marketplace.chain.abi import artifact
from marketplace.chain.anvil import Anvil
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import deploy
from marketplace.chain.market import Market
from marketplace.chain.verifiers import deploy_decision, deploy_gram, gram_key_hash
from marketplace.domain import ZERO_ADDRESS, Rule, Settlement, mask_of
from marketplace.services.proofs import committed, open_sum, prove_round
from marketplace.services.rounds import proof_context, words
from tests.values import TERMS
from zk import setup
from zk.encoding import LIMIT, commitment_hash, submission_hash
from zk.statements import circuit_id
from zk.verifier import GramSetup, GramStatement, key_hash

GAS = 29_000_000
ZERO = bytes(32)
CHUNK = 64
"""Gas depends on the number of chunks, not on their length."""
CID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


def of_verifiers(
    statement: GramStatement,
    linear: bytes,
    powers: GramSetup,
    circuit: int,
    key: bytes,
    inputs: Sequence[int],
    decision: bytes,
) -> dict[str, int]:
    """gas_gram and gas_decision, of transactions that only verify: calldata and their 21,000 included."""
    with Anvil() as anvil:
        web3 = Web3(HTTPProvider(anvil.url))
        sender: Any = {"from": web3.eth.accounts[0], "gas": GAS}

        def used(name: str, address: str, *arguments: Any) -> int:
            contract = web3.eth.contract(Web3.to_checksum_address(address), abi=artifact(name)["abi"])
            hashed = contract.functions.verify(*arguments).transact(sender)
            receipt = web3.eth.wait_for_transaction_receipt(hashed, 20)
            if receipt["status"] != 1:
                raise SystemExit(f"{name} refused an honest proof")
            return int(receipt["gasUsed"])

        connection, signer = Connection(anvil.url), anvil.accounts[0]
        fields = (
            keccak(statement.context),
            statement.positions,
            statement.gram_hash,
            words(b"".join(statement.commitments)),
            words(statement.sums),
            list(statement.coefficients),
        )
        gram_at = deploy_gram(connection, signer, powers.chunk, powers.tau)
        decision_at = deploy_decision(connection, signer, circuit, key)
        return {
            "gas_gram": used("GramVerifier", gram_at, fields, words(linear)),
            "gas_decision": used("DecisionVerifier", decision_at, list(inputs), words(decision)),
        }


def of_a_job(n: int, c: int, rule: Rule = Rule.REFERENCE) -> dict[str, int]:
    """gas_submit, gas_settle_first (the first round also makes every balance) and gas_settle.

    All n updates point much the same way, so that all are selected and paid.
    """
    circuit, references = circuit_id(rule, n), 2 if rule is Rule.REFERENCE else 0
    srs, key = setup.development(CHUNK), setup.development_key(circuit)
    rng = np.random.default_rng(0)
    used: dict[str, int] = {}
    with Anvil(accounts=n + 2) as anvil:
        owner, aggregator, *trainers = anvil.accounts
        connection = Connection(anvil.url)
        market = Market(connection, deploy(connection, owner).market)
        terms = replace(
            TERMS,
            reward=10**18,
            fee=10**16,
            stake=10**17,
            bond=10**17,
            aggregator=ZERO_ADDRESS,
            enrol_by=connection.now() + 3600,
            rule=rule,
            rounds=3,
            min_rounds=3,
            min_trainers=2,
            max_trainers=n,
            max_missed=2,
            max_strikes=2,
            max_empty_rounds=2,
            slash_bps=3000,
            gram_verifier=deploy_gram(connection, owner, CHUNK, srs.tau_g2),
            gram_key=gram_key_hash(CHUNK, srs.tau_g2),
            decision_verifier=deploy_decision(connection, owner, circuit, key.verifying_key),
            decision_key=key_hash(key.verifying_key),
        )
        job, _ = market.create_job(owner, terms, bytes(31) + b"\1", CID)
        market.accept_aggregation(aggregator, job, aggregator.address, bytes(31) + b"\1")
        for trainer in trainers:
            market.join(trainer, job, trainer.address, bytes(31) + b"\1")
        if market.job(job).round == 0:
            market.start(owner, job)
        market.publish_key(aggregator, job, CID)
        for number in (1, 2):
            base = rng.integers(-LIMIT // 2, LIMIT // 2, CHUNK * c, dtype=np.int16)
            noise = (rng.integers(-LIMIT // 4, LIMIT // 4, CHUNK * c, dtype=np.int16) for _ in range(n + references))
            rows = [committed(srs, base + each) for each in noise]
            for trainer, row in zip(trainers, rows, strict=False):
                hashed = submission_hash(row.commitment, trainer.address)
                used["gas_submit"] = market.submit_update(trainer, job, number, hashed, CID).gas_used
            products = gram([row.row for row in rows])
            lines = [line[:n] for line in products[:n]]
            if rule is Rule.REFERENCE:
                v0, u = ([products[i][n + k] for i in range(n)] for k in range(2))
                judged = reference(lines, [True] * n, v0, products[n][n], u)
            else:
                judged = krum_cosine(lines, [True] * n, terms.max_faulty)
            context = proof_context(
                chain_id=connection.chain_id,
                market=market.address,
                job_id=job,
                round=number,
                terms_hash=market.job(job).terms_hash,
            )
            sums = open_sum(rows[:n], judged.coefficients).sums
            proof = prove_round(
                srs,
                key,
                context,
                rule=rule,
                max_faulty=terms.max_faulty,
                rows=rows[:n],
                references=rows[n:],
                judged=judged,
                sums=sums,
            )
            chosen = [slot for slot in range(n) if judged.selected[slot] and judged.scores[slot]]
            if len(chosen) < n:
                raise SystemExit("an update that points the right way was not selected")
            settlement = Settlement(
                unopened=0,
                selected=mask_of(set(chosen)),
                struck=0,
                scores=tuple(judged.scores[slot] for slot in chosen),
                row_exponent=-20 if references else 0,
                coefficients=tuple(judged.coefficients[slot] for slot in chosen) if references else (),
                sum_cid=CID,
                sum_commitment=commitment_hash(sums),
                reference_cid=CID if references else "",
                reference_commitment=commitment_hash(b"".join(row.commitment for row in rows[n:]))
                if references
                else ZERO,
            )
            receipt = market.settle_round(aggregator, job, number, settlement, proof)
            used["gas_settle_first" if number == 1 else "gas_settle"] = receipt.gas_used
    return used
