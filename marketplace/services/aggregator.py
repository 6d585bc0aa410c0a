"""An aggregator: accepts a job, hands out the job key, and judges every round.

The job key is derived from its keystore and the job, and a round is judged from what chain and storage hold. Once
proved, a round's settlement is kept on disk: a process that is killed and started again sends the same proof, because a
second proof of the same commitments would show more of the updates (zk.gram.prove). Only where a reorganization of the
chain changes what a round's settlement follows from, another is made, a few times at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np

from aggregator import rules
from aggregator.gram import gram, products
from aggregator.reference import first_row, second_row
from aggregator.sums import weighted_sum
from marketplace.chain import abi
from marketplace.domain import (
    ZERO_ADDRESS,
    Job,
    RoundProof,
    Rule,
    Settlement,
    State,
    mask_of,
    slots,
)
from marketplace.errors import (
    ChainError,
    CorruptContent,
    InputError,
    JobOver,
    NotFound,
    Reverted,
    StorageError,
)
from marketplace.files import read_within, write_atomically
from marketplace.keys.sealing import (
    Purpose,
    SealContext,
    open_sealed,
    seal_bytes_to,
    seal_bytes_with_key,
    seal_job_key,
    usable_public_key,
)
from marketplace.replay import JobHistory
from marketplace.services.agent import Notice, Report, Step
from marketplace.services.models import Models
from marketplace.services.node import JobFeed, Node, fetch_opened, fetch_spec
from marketplace.services.proofs import NO_PROOF, CommittedRow, committed, open_key, open_setup, prove_round
from marketplace.services.rounds import proof_context
from marketplace.services.validation import Validation, open_validation
from marketplace.storage import put_bytes
from zk import kzg
from zk.encoding import Float32s, Int16s, commitment_hash
from zk.files import max_update_file_bytes, pack_rows, pack_sum, unpack_update

MAX_KEPT_BYTES = 1 << 22
MAX_SETTLEMENTS = 3  # of one round, for the submissions that reorganizations leave: each proof shows more of them
MISSING_PATIENCE = 2  # bytes that are not to be had are waited for during 1/MISSING_PATIENCE of the settling phase


@dataclass(frozen=True, slots=True)
class Judgement:
    """A round's judgement before it is published. `total`: int64[d], None when nothing is selected."""

    decision: rules.Decision
    total: np.ndarray[tuple[int], np.dtype[np.int64]] | None
    reference_rows: tuple[Int16s, Int16s] | None


class _Submitted(NamedTuple):
    """A submission, by all that decides what opens it: a slot may be another's after a reorganization."""

    round: int
    operator: str
    commitment: bytes
    cid: str


def _submitted(history: JobHistory, round: int, slot: int) -> _Submitted:
    event = history.rounds[round - 1].submissions[slot]
    return _Submitted(round, history.holders[slot].operator, event.commitment, event.cid)


class AggregatorAgent:
    def __init__(self, node: Node, job_id: int, payee: str, report: Report) -> None:
        self._node = node
        self._job_id = job_id
        self._payee = payee
        self._report = report
        self._feed = JobFeed(node, job_id)
        history = self._feed.refresh()
        self._terms = history.created.terms
        self.spec = fetch_spec(node.storage, history.created)
        self._setup = open_setup(node, history.created, self.spec)
        self._key = open_key(node, history.created, self.spec, self._setup.verifiers)
        self._folder = node.work(job_id)
        self._models = Models(node, history.created, self.spec, self._setup.srs, cache=self._folder)
        self._validation: Validation | None = None
        self._opened: dict[_Submitted, CommittedRow] = {}  # until the round is settled
        self._told: set[object] = set()
        if history.state.over and self._feed.stands(self._feed.last):
            raise JobOver(f"Job {job_id} is over; `merit job list` shows jobs that are open.")
        if not usable_public_key(history.created.encryption_key):
            raise JobOver(f"Job {job_id} is not served: nothing can be sealed to its owner's encryption key.")
        if self._terms.rule is Rule.REFERENCE:
            self._validation = open_validation(node, history.created, self.spec)

    # ---------------------------------------------------------------- one step

    def step(self) -> Step:
        history, job = self._feed.look()
        if job.state.over:
            if job.state not in self._told:
                self._told.add(job.state)
                self._report(Notice("over", f"Job {self._job_id} is {job.state.name.lower()}."))
            return Step.FINISHED if self._feed.stands(self._feed.last) else Step.WAITING
        me = self._node.me.address
        if job.aggregator == ZERO_ADDRESS and self._node.market.connection.now() <= self._terms.enrol_by:
            return self._accept()
        if job.aggregator not in (me, ZERO_ADDRESS):
            raise JobOver(f"Job {self._job_id} is aggregated by {job.aggregator}, not by {me}.")
        if job.state is State.OPEN:
            return self._start_or_cancel(job)
        return self._conduct(job, history)

    def _accept(self) -> Step:
        me = self._node.me
        receipt = self._node.market.accept_aggregation(me.account, self._job_id, self._payee, me.encryption_key)
        self._say("accepted", f"Accepted the aggregation of job {self._job_id}.", gas=receipt.gas_used)
        return Step.WORKED

    def _start_or_cancel(self, job: Job) -> Step:
        taken, enrolled = job.active.bit_count(), self._node.market.connection.now() > self._terms.enrol_by
        account = self._node.me.account
        served = job.aggregator != ZERO_ADDRESS
        if served and (taken == self._terms.max_trainers or (enrolled and taken >= self._terms.min_trainers)):
            name, call = "start", self._node.market.start
        elif enrolled:
            name, call = "cancel", self._node.market.cancel
        else:
            return Step.WAITING
        try:
            receipt = call(account, self._job_id)
        except Reverted:
            return Step.WAITING  # another party did it first
        self._say(name, f"Called {name} on job {self._job_id}.", gas=receipt.gas_used)
        return Step.WORKED

    def _conduct(self, job: Job, history: JobHistory) -> Step:
        market, account = self._node.market, self._node.me.account
        now = market.connection.now()
        if not job.key_published:
            return self._publish_key(history) if now <= job.submit_by else Step.WAITING
        if now > job.submit_by and not job.submitted:
            try:
                receipt = market.skip_round(account, self._job_id)
            except Reverted:
                return Step.WAITING
            self._say("skip", f"Skipped round {job.round}: nobody submitted.", round=job.round, gas=receipt.gas_used)
            return Step.WORKED
        if not job.submitted or (job.submitted != job.active and now <= job.submit_by) or now > job.settle_by:
            return Step.WAITING
        return self._settle(job, now, history)

    # ---------------------------------------------------------------- the job key

    def _publish_key(self, history: JobHistory) -> Step:
        recipients = {trainer.operator: trainer.encryption_key for trainer in history.holders.values()}
        recipients[history.created.owner] = history.created.encryption_key
        recipients[self._node.me.address] = self._node.me.encryption_key
        context = self._context(Purpose.JOB_KEY)
        cid = put_bytes(self._node.storage, seal_job_key(self._job_key(), recipients, context))
        receipt = self._node.market.publish_key(self._node.me.account, self._job_id, cid)
        self._say("key", f"Sealed the job key to {len(recipients)} parties.", gas=receipt.gas_used, cid=cid)
        return Step.WORKED

    def _job_key(self) -> bytes:
        return self._node.me.job_key(self._context(Purpose.JOB_KEY))

    def _context(self, purpose: Purpose, round: int = 0) -> SealContext:
        """Of what this aggregator publishes."""
        return self._node.context(purpose, job_id=self._job_id, round=round, party=self._node.me.address)

    # ---------------------------------------------------------------- a round

    def _settle(self, job: Job, now: int, history: JobHistory) -> Step:
        started = perf_counter()
        # A settlement fits the submissions that it judges: where a reorganization changes them, another is made.
        work = self._folder / f"settlement-{job.round}-{self._judged(job, history)}"
        if not (work / "call").exists() and not self._prepare(job, now, work, history):
            return Step.WAITING
        prepared = perf_counter()
        settlement, proof = self._prepared(job.round, work)
        for name, cid in (("sum", settlement.sum_cid), ("reference", settlement.reference_cid)):
            if cid:
                with (work / name).open("rb") as sealed:
                    self._node.storage.put(sealed)
        try:
            receipt = self._node.market.settle_round(self._node.me.account, self._job_id, job.round, settlement, proof)
        except Reverted as error:
            if error.name in ("WrongRound", "WrongState", "SettlingClosed"):
                return Step.WAITING
            raise
        self._opened.clear()
        self._say(
            "settled",
            f"Settled round {job.round}: selected slots {list(slots(settlement.selected))}.",
            round=job.round,
            selected=list(slots(settlement.selected)),
            unopened=list(slots(settlement.unopened)),
            gas=receipt.gas_used,
            seconds={"prepare": prepared - started, "settle": perf_counter() - prepared},
        )
        return Step.WORKED

    def _judged(self, job: Job, history: JobHistory) -> str:
        """A name for all that a settlement of the round follows from."""
        of = [(slot, *_submitted(history, job.round, slot)) for slot in slots(job.submitted)]
        # Reference rows also follow from the model before, which the rounds before have made.
        base = self._models.path(job.round - 1, history) if self._terms.rule is Rule.REFERENCE else []
        return sha256(repr((of, base)).encode()).hexdigest()[:32]

    def _prepare(self, job: Job, now: int, work: Path, history: JobHistory) -> bool:
        """Opens, judges, proves and keeps the round's settlement; False where it cannot be settled, or not yet."""
        started = perf_counter()
        made = len(list(self._folder.glob(f"settlement-{job.round}-*/call")))
        if made >= MAX_SETTLEMENTS:
            self._say("stuck", f"Round {job.round} was proved {made} times: no more of its updates is shown.")
            return False
        rows, unopened, missing = self._open_all(job, history)
        late = (job.settle_by - now) * MISSING_PATIENCE < self._terms.settle_window
        if missing and not late:
            return False
        unopened = unopened + missing
        if len(unopened) > self._terms.max_faulty:
            self._say(
                "stuck",
                f"Round {job.round} cannot be settled: {len(unopened)} submissions cannot be opened and the job allows "
                f"{self._terms.max_faulty}.",
                round=job.round,
            )
            return False
        opened = perf_counter()
        base = self._base(job.round - 1, history)
        judgement = self.judge([row.row if row else None for row in rows], base, job.round)
        judged = perf_counter()
        settlement, proof = self._prove(job, rows, judgement, mask_of(unopened), history, work)
        write_atomically(work / "call", abi.encode_call("settleRound", [self._job_id, job.round, settlement, proof]))
        self._say(
            "proved",
            f"Proved round {job.round}.",
            round=job.round,
            seconds={"open": opened - started, "judge": judged - opened, "prove": perf_counter() - judged},
        )
        return True

    def _base(self, round: int, history: JobHistory) -> Float32s:
        """The model after a round. Sums that storage has lost or spoiled are put there again, from the work folder.

        Raises StorageError where that is not enough: trainers need the sums too, so it is waited for.
        """
        try:
            return self._models.after(round, history, self._job_key())
        except (NotFound, StorageError):
            for kept in self._folder.glob("settlement-*/sum"):
                with kept.open("rb") as sealed:
                    self._node.storage.put(sealed)
        try:
            return self._models.after(round, history, self._job_key())
        except (NotFound, CorruptContent) as error:
            raise StorageError(f"The model after round {round} cannot be rebuilt: {error}") from error

    def _prepared(self, round: int, work: Path) -> tuple[Settlement, RoundProof]:
        """The settlement that was kept. Raises InputError for a damaged file."""
        path = work / "call"
        try:
            job_id, number, settlement, proof = abi.decode_call("settleRound", read_within(path, MAX_KEPT_BYTES))
        except ChainError as error:
            raise InputError(
                f"{path} is damaged: restore it; proving the round again would show more of it."
            ) from error
        if (job_id, number) != (self._job_id, round):
            raise InputError(
                f"{path} settles round {number} of job {job_id}: it was moved there; restore the right one."
            )
        return settlement, proof

    def _open_all(self, job: Job, history: JobHistory) -> tuple[list[CommittedRow | None], list[int], list[int]]:
        """(rows by slot, slots that do not open, slots whose bytes are not to be had)."""
        fresh: dict[int, CommittedRow] = {}
        unopened, missing = [], []
        submitted = {slot: _submitted(history, job.round, slot) for slot in slots(job.submitted)}
        for slot, submission in submitted.items():
            if submission in self._opened:
                continue
            try:
                fresh[slot] = self._fetch(submission)
            except CorruptContent as error:
                unopened.append(slot)
                self._say("unopened", f"The update of slot {slot} does not open: {error}", round=job.round, slot=slot)
            except (NotFound, StorageError) as error:
                # Who makes storage fail for its own update alone must not keep the round from being settled.
                missing.append(slot)
                self._say("missing", f"The update of slot {slot} cannot be had: {error}", round=job.round, slot=slot)
        for slot, opens in zip(fresh, self._open_together(list(fresh.values())), strict=True):
            if opens:
                self._opened[submitted[slot]] = fresh[slot]
            else:
                unopened.append(slot)
                text = f"The update of slot {slot} does not open its commitment."
                self._say("unopened", text, round=job.round, slot=slot)
        opened = {slot: self._opened.get(submission) for slot, submission in submitted.items()}
        rows = [opened.get(slot) for slot in range(self._terms.max_trainers)]
        return rows, unopened, missing

    def _open_together(self, rows: Sequence[CommittedRow]) -> list[bool]:
        return kzg.which_open(
            self._setup.srs,
            [row.row for row in rows],
            [row.blinders for row in rows],
            [row.commitment for row in rows],
        )

    def _fetch(self, submission: _Submitted) -> CommittedRow:
        """The update with the points that were submitted; whether it opens them is not looked at.

        Raises NotFound, StorageError or CorruptContent.
        """
        context = self._node.context(
            Purpose.UPDATE, job_id=self._job_id, round=submission.round, party=submission.operator
        )
        bound = max_update_file_bytes(self._models.parameters, self._setup.chunks)
        data = fetch_opened(
            self._node.storage,
            submission.cid,
            lambda source, sink: open_sealed(self._node.me.decryption_key, source, sink, context, bound),
            max_bytes=bound,
        )
        try:
            row = CommittedRow(*unpack_update(data, self._models.parameters, self._setup.chunks))
        except ValueError as error:
            raise CorruptContent(f"{error}.") from error
        if commitment_hash(row.commitment) != submission.commitment:
            raise CorruptContent("Its points are not those whose hash was submitted.")
        return row

    def judge(self, rows: Sequence[Int16s | None], base: Float32s, round: int) -> Judgement:
        """Runs the job's pay rule. rows: int16[d] or None, by slot; base: float32[d], the model before the round."""
        opened = [row is not None for row in rows]
        if not any(opened):
            none = (0,) * len(rows)
            return Judgement(rules.Decision((False,) * len(rows), none, none), None, None)
        matrix = gram(rows)
        if self._terms.rule is Rule.KRUM_COSINE:
            decision = rules.krum_cosine(matrix, opened, self._terms.max_faulty)
            return Judgement(decision, _total(rows, decision), None)
        if self._validation is None:
            raise NotFound(f"Job {self._job_id} pays by reference but names no validation data.")
        gradient = self._validation.gradient
        first, _ = first_row(gradient, base)
        along = products(rows, first)
        selected, coefficients = rules.reference_selection(matrix, opened, along)
        total = _total(rows, rules.Decision(selected, coefficients, coefficients))
        end = base if total is None else self._models.step(base, total, round=round, selected=sum(selected))
        second, _ = second_row(gradient, base, end)
        decision = rules.reference(matrix, opened, along, products(rows, second))
        return Judgement(decision, total, (first, second))

    def _prove(
        self,
        job: Job,
        rows: Sequence[CommittedRow | None],
        judgement: Judgement,
        unopened: int,
        history: JobHistory,
        work: Path,
    ) -> tuple[Settlement, RoundProof]:
        """Proves the judgement, and writes what is published of it, sealed, to the work folder."""
        if not any(rows):
            return Settlement(unopened, 0, (), (), "", bytes(32), "", bytes(32)), NO_PROOF
        references = [committed(self._setup.srs, row) for row in judgement.reference_rows or ()]
        proved = prove_round(
            self._setup.srs,
            self._key,
            self._proof_context(job),
            rule=self._terms.rule,
            max_faulty=self._terms.max_faulty,
            rows=rows,
            references=references,
            judged=judgement.decision,
        )
        c = self._setup.chunks
        sum_cid = reference_cid = ""
        reference_commitment = bytes(32)
        if judgement.total is not None:
            content = pack_sum(judgement.total, proved.sum_blinders, c)
            sum_cid = self._keep(
                work / "sum", seal_bytes_with_key(self._job_key(), content, self._context(Purpose.SUM, job.round))
            )
        if references:
            first, second = references
            content = pack_rows(first.row, second.row, first.blinders + second.blinders, c)
            context = self._context(Purpose.REFERENCE, job.round)
            reference_cid = self._keep(
                work / "reference", seal_bytes_to(history.created.encryption_key, content, context)
            )
            reference_commitment = commitment_hash(first.commitment + second.commitment)
        selected = [slot for slot, inside in enumerate(judgement.decision.selected) if inside]
        clipped = self._terms.rule is Rule.REFERENCE
        settlement = Settlement(
            unopened=unopened,
            selected=mask_of(selected),
            weights=tuple(judgement.decision.weights[slot] for slot in selected),
            coefficients=tuple(judgement.decision.coefficients[slot] for slot in selected) if clipped else (),
            sum_cid=sum_cid,
            sum_commitment=commitment_hash(proved.sums),
            reference_cid=reference_cid,
            reference_commitment=reference_commitment,
        )
        return settlement, proved.proof

    def _keep(self, path: Path, sealed: bytes) -> str:
        """Writes sealed bytes to the work folder and to storage; their CID."""
        write_atomically(path, sealed)
        return put_bytes(self._node.storage, sealed)

    def _proof_context(self, job: Job) -> bytes:
        return proof_context(
            chain_id=self._node.market.connection.chain_id,
            market=self._node.market.address,
            job_id=self._job_id,
            round=job.round,
            terms_hash=job.terms_hash,
        )

    def _say(self, kind: str, text: str, *, round: int = 0, **values: object) -> None:
        self._report(Notice(kind, text, round, values))


def _total(
    rows: Sequence[Int16s | None], decision: rules.Decision
) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    return weighted_sum(rows, decision.coefficients) if any(decision.selected) else None
