"""A round's settlement as it is published: proved, with its sum and reference rows sealed."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from marketplace.domain import Job, RoundProof, Rule, Settlement, mask_of
from marketplace.files import write_atomically
from marketplace.keys.sealing import Purpose, SealContext, seal_bytes_to, seal_bytes_with_key
from marketplace.replay import JobHistory
from marketplace.services.judgement import Choice, Judgement
from marketplace.services.node import Node
from marketplace.services.proofs import CommittedRow, JobSetup, SumOpening, committed, open_sum, prove_round
from marketplace.services.rounds import proof_context
from marketplace.storage import put_bytes
from zk.decision import DecisionKey
from zk.encoding import commitment_hash
from zk.files import pack_rows, pack_sum

ROWS = "rows"
"""The file in a settlement's folder that has its reference rows in plain."""


class SumPublication(AbstractContextManager["SumPublication"]):
    """Seals a round's sum and stores it, in the folder `work` and in storage, beside what its caller does."""

    def __init__(
        self,
        node: Node,
        history: JobHistory,
        setup: JobSetup,
        rows: Sequence[CommittedRow | None],
        *,
        job_key: bytes,
        work: Path,
        announce: Callable[[int, bytes, str], None] | None,
    ) -> None:
        """rows: by slot, at least one that opened. job_key: 32 bytes. announce: told the selected slots, the sum's
        commitment and its CID once that is stored, in another thread; it must not wait."""
        self._node = node
        self._setup = setup
        self._rows = rows
        self._context = sealed_in(node, history, Purpose.SUM)
        self._job_key = job_key
        self._work = work
        self._announce = announce
        self._beside = ThreadPoolExecutor(1)
        self._cid: Future[str]
        self.opening: SumOpening

    def __exit__(self, *error: object) -> None:
        self._beside.shutdown()

    def begin(self, choice: Choice) -> None:
        self.opening = open_sum(self._rows, choice.coefficients)
        self._cid = self._beside.submit(self._publish, choice)

    @property
    def cid(self) -> str:
        """Waits until the sum is stored; empty where nobody is selected. Raises StorageError."""
        return self._cid.result()

    def _publish(self, choice: Choice) -> str:
        if choice.total is None:
            return ""
        content = pack_sum(choice.total, self.opening.blinders, self.opening.sums, self._setup.chunks)
        cid = publish(self._node, self._work / "sum", seal_bytes_with_key(self._job_key, content, self._context))
        if self._announce is not None:
            selected = [slot for slot, inside in enumerate(choice.selected) if inside]
            self._announce(mask_of(selected), commitment_hash(self.opening.sums), cid)
        return cid


def publish(node: Node, path: Path, sealed: bytes) -> str:
    """Keeps a file and stores it; its CID. Raises StorageError."""
    write_atomically(path, sealed)
    return put_bytes(node.storage, sealed)


def sealed_in(node: Node, history: JobHistory, purpose: Purpose) -> SealContext:
    """What is published of the round that is judged."""
    round = history.rounds[-1].number
    return node.context(purpose, job_id=history.created.job_id, round=round, party=node.me.address)


def prove_settlement(
    node: Node,
    history: JobHistory,
    job: Job,
    *,
    setup: JobSetup,
    key: DecisionKey,
    rows: Sequence[CommittedRow | None],
    judgement: Judgement,
    publication: SumPublication,
    unopened: int,
    work: Path,
) -> tuple[Settlement, RoundProof]:
    """Proves a judgement; meanwhile writes its reference rows, sealed, to the folder `work` and to storage.

    rows: by slot, at least one that opened. publication: of this judgement's sum, begun. unopened: mask.
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

    def publish_rows() -> str:
        if not references:
            return ""
        first, second = references
        content = pack_rows(first.row, second.row, first.blinders + second.blinders, setup.chunks)
        write_atomically(work / ROWS, content)  # to be shown to all members at the end
        sealed = seal_bytes_to(history.created.encryption_key, content, sealed_in(node, history, Purpose.REFERENCE))
        return publish(node, work / "reference", sealed)

    with ThreadPoolExecutor(1) as beside:
        reference_cid = beside.submit(publish_rows)
        proof = prove_round(
            setup.srs,
            key,
            context,
            rule=terms.rule,
            max_faulty=terms.max_faulty,
            rows=rows,
            references=references,
            judged=decision,
            sums=publication.opening.sums,
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
        sum_cid=publication.cid,
        sum_commitment=commitment_hash(publication.opening.sums),
        reference_cid=reference_cid.result(),
        reference_commitment=reference_commitment,
    )
    return settlement, proof
