"""A round's settlement as it is published: proved, with its sum and reference rows sealed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from marketplace.domain import Job, RoundProof, Rule, Settlement, mask_of
from marketplace.files import write_atomically
from marketplace.keys.sealing import Purpose, SealContext, seal_bytes_to, seal_bytes_with_key
from marketplace.replay import JobHistory
from marketplace.services.judgement import Judgement
from marketplace.services.node import Node
from marketplace.services.proofs import CommittedRow, JobSetup, committed, open_sum, prove_round
from marketplace.services.rounds import proof_context
from marketplace.storage import put_bytes
from zk.decision import DecisionKey
from zk.encoding import commitment_hash
from zk.files import pack_rows, pack_sum

ROWS = "rows"
"""The file in a settlement's folder that has its reference rows in plain."""


def prove_settlement(
    node: Node,
    history: JobHistory,
    job: Job,
    *,
    setup: JobSetup,
    key: DecisionKey,
    rows: Sequence[CommittedRow | None],
    judgement: Judgement,
    unopened: int,
    job_key: bytes,
    work: Path,
    announce: Callable[[int, bytes, str], None] | None,
) -> tuple[Settlement, RoundProof]:
    """Proves a judgement; meanwhile writes what is published of it, sealed, to the folder `work` and to storage.

    rows: by slot, at least one that opened. unopened: mask. job_key: 32 bytes. announce: told the selected slots, the
    sum's commitment and its CID once that is stored, in another thread; it must not wait.
    """
    terms = history.terms
    context = proof_context(
        chain_id=node.market.connection.chain_id,
        market=node.market.address,
        job_id=history.created.job_id,
        round=job.round,
        terms_hash=job.terms_hash,
    )
    references = [committed(setup.srs, row) for row in judgement.reference_rows or ()]
    decision = judgement.decision
    selected = [slot for slot, inside in enumerate(decision.selected) if inside]
    opening = open_sum(rows, decision.coefficients)
    commitment = commitment_hash(opening.sums)

    def sealed_in(purpose: Purpose) -> SealContext:
        return node.context(purpose, job_id=history.created.job_id, round=job.round, party=node.me.address)

    def publish(name: str, sealed: bytes) -> str:
        write_atomically(work / name, sealed)
        return put_bytes(node.storage, sealed)

    def publish_sum() -> str:
        if judgement.total is None:
            return ""
        content = pack_sum(judgement.total, opening.blinders, setup.chunks)
        cid = publish("sum", seal_bytes_with_key(job_key, content, sealed_in(Purpose.SUM)))
        if announce is not None:
            announce(mask_of(selected), commitment, cid)
        return cid

    def publish_rows() -> str:
        if not references:
            return ""
        first, second = references
        content = pack_rows(first.row, second.row, first.blinders + second.blinders, setup.chunks)
        write_atomically(work / ROWS, content)  # to be shown to all members at the end
        owner = history.created.encryption_key
        return publish("reference", seal_bytes_to(owner, content, sealed_in(Purpose.REFERENCE)))

    with ThreadPoolExecutor(1) as beside:
        sum_cid, reference_cid = beside.submit(publish_sum), beside.submit(publish_rows)
        proof = prove_round(
            setup.srs,
            key,
            context,
            rule=terms.rule,
            max_faulty=terms.max_faulty,
            rows=rows,
            references=references,
            judged=decision,
            sums=opening.sums,
        )
    reference_commitment = commitment_hash(b"".join(row.commitment for row in references)) if references else bytes(32)
    clipped = terms.rule is Rule.REFERENCE
    settlement = Settlement(
        unopened=unopened,
        selected=mask_of(selected),
        struck=mask_of([slot for slot, struck in enumerate(decision.struck) if struck]),
        scores=tuple(decision.scores[slot] for slot in selected),
        row_exponent=judgement.row_exponent,
        coefficients=tuple(decision.coefficients[slot] for slot in selected) if clipped else (),
        sum_cid=sum_cid.result(),
        sum_commitment=commitment,
        reference_cid=reference_cid.result(),
        reference_commitment=reference_commitment,
    )
    return settlement, proof
