"""An aggregator: accepts a job, hands out the job key, and judges every round.

The job key is derived from its keystore and the job, and a round is judged from what chain and storage hold. Once
proved, a round's settlement is kept on disk: a process that is killed and started again sends the same proof, because a
second proof of the same commitments would show more of the updates (zk.gram.prove). Only where a reorganization of the
chain changes what a round's settlement follows from, another is made, a few times at most.
"""

from hashlib import sha256
from pathlib import Path
from time import perf_counter

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
    seal_job_key,
    usable_public_key,
)
from marketplace.replay import JobHistory
from marketplace.services.agent import Notice, Report, Step
from marketplace.services.handover import received_key, received_validation
from marketplace.services.judgement import judge
from marketplace.services.models import Models
from marketplace.services.node import JobFeed, Node, fetch_spec, job_key
from marketplace.services.proofs import open_key, open_setup
from marketplace.services.settlements import prove_settlement
from marketplace.services.submissions import Submissions, submitted
from marketplace.services.validation import Validation, open_validation
from marketplace.storage import put_bytes
from zk.encoding import Float32s

MAX_KEPT_BYTES = 1 << 22
MAX_SETTLEMENTS = 3  # of one round, for the submissions that reorganizations leave: each proof shows more of them
MISSING_PATIENCE = 2  # bytes that are not to be had are waited for during 1/MISSING_PATIENCE of the settling phase


class AggregatorAgent:
    def __init__(self, node: Node, job_id: int, payee: str, report: Report, *, take_over: bool = False) -> None:
        """take_over: whether to wait for the job's aggregator to fail and to take its place."""
        self._node = node
        self._take_over = take_over
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
        self._submissions = Submissions(node, job_id, self._setup, self._models.parameters, report)
        self._told: set[object] = set()
        if history.state.over and self._feed.stands(self._feed.last):
            raise JobOver(f"Job {job_id} is over; `merit job list` shows jobs that are open.")
        if not usable_public_key(history.created.encryption_key):
            raise JobOver(f"Job {job_id} is not served: nothing can be sealed to its owner's encryption key.")
        first = not history.takeovers and (history.accepted is None or history.accepted.aggregator == node.me.address)
        if self._terms.rule is Rule.REFERENCE and first and not take_over:
            self._validation = open_validation(node, history.created, self.spec)
        if take_over and not self._terms.takeover_window:
            raise JobOver(f"Job {job_id} cannot be taken over: its terms have no takeover window.")

    # ---------------------------------------------------------------- one step

    def step(self) -> Step:
        history, job = self._feed.look()
        if job.state.over:
            if job.state not in self._told:
                self._told.add(job.state)
                self._report(Notice("over", f"Job {self._job_id} is {job.state.name.lower()}."))
            return Step.FINISHED if self._feed.stands(self._feed.last) else Step.WAITING
        me = self._node.me.address
        if self._take_over and job.state is State.OPEN:
            return Step.WAITING
        if job.aggregator == ZERO_ADDRESS and self._node.market.connection.now() <= self._terms.enrol_by:
            return self._accept()
        if job.aggregator not in (me, ZERO_ADDRESS):
            if not self._take_over:
                raise JobOver(f"Job {self._job_id} is aggregated by {job.aggregator}, not by {me}.")
            return self._try_to_take_over(job, history)
        if job.state is State.OPEN:
            return self._start_or_cancel(job)
        if job.state is State.CONFIRMING:
            return self._confirm(job, history)
        return self._conduct(job, history)

    def _accept(self) -> Step:
        me = self._node.me
        receipt = self._node.market.accept_aggregation(me.account, self._job_id, self._payee, me.encryption_key)
        self._say("accepted", f"Accepted the aggregation of job {self._job_id}.", gas=receipt.gas_used)
        return Step.WORKED

    def _try_to_take_over(self, job: Job, history: JobHistory) -> Step:
        now = self._node.market.connection.now()
        failed = job.state is State.RUNNING and (bool(job.submitted) or not job.key_published)
        if not failed or not history.failed_after < now <= history.takeable_until:
            return Step.WAITING
        me = self._node.me
        try:
            receipt = self._node.market.take_over(me.account, self._job_id, self._payee, me.encryption_key)
        except Reverted:
            return Step.WAITING  # another party did it first, or it is too late
        text = f"Took round {job.round} of job {self._job_id} over."
        self._say("taken-over", text, round=job.round, gas=receipt.gas_used)
        return Step.WORKED

    def _confirm(self, job: Job, history: JobHistory) -> Step:
        """Keeps the last sum available while trainers check it."""
        self._serve(job, history)
        if self._node.market.connection.now() <= job.submit_by:
            return Step.WAITING
        try:
            receipt = self._node.market.complete(self._node.me.account, self._job_id)
        except Reverted:
            return Step.WAITING
        self._say("complete", f"Completed job {self._job_id}.", gas=receipt.gas_used)
        return Step.WORKED

    def _serve(self, job: Job, history: JobHistory) -> None:
        """Puts the last sum into storage again, once a phase and at each dispute of it: storage may have lost it."""
        last = max(history.settled, default=0)
        if last and ("served", last, job.disputed) not in self._told:
            self._told.add(("served", last, job.disputed))
            self._put_sums(last)

    def _put_sums(self, round: int | str) -> None:
        for kept in self._folder.glob(f"settlement-{round}-*/sum"):
            with kept.open("rb") as sealed:
                self._node.storage.put(sealed)

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
        self._serve(job, history)
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
        key = self._ready(history)
        if key is None:
            return Step.WAITING
        recipients = {trainer.operator: trainer.encryption_key for trainer in history.holders.values()}
        recipients[history.created.owner] = history.created.encryption_key
        recipients[self._node.me.address] = self._node.me.encryption_key
        cid = put_bytes(self._node.storage, seal_job_key(key, recipients, self._context(Purpose.JOB_KEY)))
        receipt = self._node.market.publish_key(self._node.me.account, self._job_id, cid)
        self._say("key", f"Sealed the job key to {len(recipients)} parties.", gas=receipt.gas_used, cid=cid)
        return Step.WORKED

    def _ready(self, history: JobHistory) -> bytes | None:
        """The job key once everything is here that judging takes; None while an aggregator that took over waits for it.

        To publish the key is to answer for the round with the bond, and for the sums of the rounds before.
        """
        key = received_key(self._node, history) if history.keys else self._first_key()
        if key is not None and self._has_validation(history):
            self._models.after(max(history.settled, default=0), history, key)
            return key
        if "waits" not in self._told:
            self._told.add("waits")
            self._say("waits", f"Job {self._job_id}: waits for the job key or the owner's data to be handed over.")
        return None

    def _has_validation(self, history: JobHistory) -> bool:
        if self._terms.rule is Rule.REFERENCE and self._validation is None:
            self._validation = received_validation(self._node, history, self.spec)
        return self._terms.rule is not Rule.REFERENCE or self._validation is not None

    def _first_key(self) -> bytes:
        return self._node.me.job_key(self._context(Purpose.JOB_KEY))

    def _job_key(self, history: JobHistory) -> bytes:
        """The key that was published: what was derived, where nobody has failed before, needs no storage."""
        return job_key(self._node, history) if history.takeovers else self._first_key()

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
        self._submissions.forget()
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
        of = [(slot, *submitted(history, job.round, slot)) for slot in slots(job.submitted)]
        # Reference rows also follow from the model before, which the rounds before have made.
        base = self._models.path(job.round - 1, history) if self._terms.rule is Rule.REFERENCE else []
        return sha256(repr((of, base)).encode()).hexdigest()[:32]

    def _prepare(self, job: Job, now: int, work: Path, history: JobHistory) -> bool:
        """Opens, judges, proves and keeps the round's settlement; False where it cannot be settled, or not yet."""
        started = perf_counter()
        if not self._has_validation(history):
            raise StorageError(f"The validation data that were handed over for job {self._job_id} are not to be had.")
        made = len(list(self._folder.glob(f"settlement-{job.round}-*/call")))
        if made >= MAX_SETTLEMENTS:
            self._say("stuck", f"Round {job.round} was proved {made} times: no more of its updates is shown.")
            return False
        rows, unopened, missing = self._submissions.open_all(job, history)
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
        judgement = judge(
            [row.row if row else None for row in rows],
            base,
            job.round,
            terms=self._terms,
            models=self._models,
            validation=self._validation,
        )
        judged = perf_counter()
        settlement, proof = prove_settlement(
            self._node,
            history,
            job,
            setup=self._setup,
            key=self._key,
            rows=rows,
            judgement=judgement,
            unopened=mask_of(unopened),
            job_key=self._job_key(history),
            work=work,
        )
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
            return self._models.after(round, history, self._job_key(history))
        except (NotFound, StorageError):
            self._put_sums("*")
        try:
            return self._models.after(round, history, self._job_key(history))
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

    def _say(self, kind: str, text: str, *, round: int = 0, **values: object) -> None:
        self._report(Notice(kind, text, round, values))
