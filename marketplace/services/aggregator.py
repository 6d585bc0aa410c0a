"""An aggregator: accepts a job, hands out the job key, and judges every round.

The job key is derived from its keystore and the job, and a round is judged from what chain and storage hold. Once
proved, a round's settlement is kept on disk: a process that is killed and started again sends the same proof, because a
second proof of the same commitments would show more of the updates (zk.gram.prove). Only where a reorganization of the
chain changes what a round's settlement follows from, another is made, a few times at most.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from shutil import copyfileobj
from threading import Lock, Thread
from time import perf_counter

from marketplace.chain import abi
from marketplace.documents import MAX_FILE_BYTES
from marketplace.domain import (
    ZERO_ADDRESS,
    Job,
    RoundProof,
    RoundSettled,
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
    MeritError,
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
from marketplace.services.handover import Inbox
from marketplace.services.judgement import judge
from marketplace.services.models import Models
from marketplace.services.node import JobFeed, Node, fetch_opened, fetch_spec, job_key
from marketplace.services.proofs import open_key, open_setup
from marketplace.services.rows import prepare_showing
from marketplace.services.safety import check_computable
from marketplace.services.settlements import ROWS, SumPublication, prove_settlement
from marketplace.services.standing import what_it_waits_for
from marketplace.services.submissions import Submissions, submitted
from marketplace.services.validation import Validation, open_validation
from marketplace.storage import put_bytes
from zk.encoding import Float32s
from zk.files import max_rows_file_bytes

MAX_KEPT_BYTES = 1 << 22
MAX_SETTLEMENTS = 3  # of one round, for the submissions that reorganizations leave: each proof shows more of them
_PROVING = Lock()  # one proof at a time, of all jobs of the process: each takes memory, and all the cores
ANNOUNCED_FROM = 0.25  # seconds of judging and proving from which on a round's sum is announced before
FETCHED_WITHIN = 20.0  # seconds that a step waits for updates, before it looks at the job again
MISSING_PATIENCE = 2  # bytes that storage lacks are waited for during 1/MISSING_PATIENCE of the settling phase


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
        self.created = history.created
        self._terms = history.created.terms
        self.spec = fetch_spec(node.storage, history.created)
        self._setup = open_setup(node, history.created, self.spec)
        self._key = open_key(node, history.created, self.spec, self._setup.verifiers)
        self._folder = node.work(job_id)
        self._models = Models(node, history.created, self.spec, self._setup.srs, cache=self._folder)
        self._validation: Validation | None = None
        self._inbox = Inbox(node)
        self._submissions = Submissions(node, job_id, self._setup, self._models.parameters, report)
        self._told: set[object] = set()
        self._judging = 0.0  # seconds that it took to judge the last round and to prove it
        self._awaited: tuple[int, list[int]] = 0, []  # a round, and whose updates were missing at the last look
        if history.state.over and self._feed.stands(self._feed.last):
            raise JobOver(f"Job {job_id} is over; `merit job list` shows which are open.")
        if not usable_public_key(history.created.encryption_key):
            raise JobOver(f"Job {job_id} is not served: nothing can be sealed to its owner's encryption key.")
        first = not history.takeovers and (history.accepted is None or history.accepted.aggregator == node.me.address)
        if self._terms.rule is Rule.REFERENCE and first and not take_over:
            self._validation = open_validation(node, history.created, self.spec)
        if history.accepted is None:  # before the bond is posted
            check_computable(self._terms, self.spec, base=self._models.base(), validation=self._validation)
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
        if job.aggregator == ZERO_ADDRESS and self._terms.aggregator not in (me, ZERO_ADDRESS) and not self._take_over:
            raise JobOver(f"Job {self._job_id} names {self._terms.aggregator} as its aggregator, not {me}.")
        if job.aggregator == ZERO_ADDRESS and self._feed.now() <= self._terms.enrol_by:
            return self._accept()
        if job.aggregator not in (me, ZERO_ADDRESS):
            if not self._take_over:
                raise JobOver(
                    f"Job {self._job_id} is aggregated by {job.aggregator}, not by {me}.{self._fees(history)}"
                )
            return self._try_to_take_over(job, history)
        if job.state is State.OPEN:
            return self._start_or_cancel(job)
        if job.state is State.CONFIRMING:
            return self._confirm(job, history)
        return self._conduct(job, history)

    @property
    def seen(self) -> Job | None:
        """The job as of the last step."""
        return self._feed.seen[1] if self._feed.seen is not None else None

    def waiting(self, now: int | None = None) -> dict[int, str]:
        """What the job waits for, as last seen. now: the chain's time, else it is asked for it. Raises ChainError."""
        if self._feed.seen is None:
            return {}
        _, job = self._feed.seen
        now = self._feed.now() if now is None else now
        text = what_it_waits_for(self._terms, job, now)
        round, awaited = self._awaited
        if awaited and job.state is State.RUNNING and job.round == round:
            text += f" Not delivered yet: the updates of seats {', '.join(map(str, awaited))}."
        stands_by = self._take_over and job.aggregator != self._node.me.address
        return {self._job_id: f"Stands by for the aggregator to fail. {text}" if stands_by else text}

    def _fees(self, history: JobHistory) -> str:
        """What becomes of its fees, where it has lost the job to another, as a sentence."""
        if not self._terms.fee or not history.owed[self._payee]:
            return ""
        return f" Once it is over, `merit job claim-fees {self._job_id}` takes the fees of the rounds before."

    def _accept(self) -> Step:
        me = self._node.me
        receipt = self._node.market.accept_aggregation(me.account, self._job_id, self._payee, me.encryption_key)
        self._say("accepted", f"Accepted the aggregation of job {self._job_id}.", gas=receipt.gas_used)
        return Step.WORKED

    def _try_to_take_over(self, job: Job, history: JobHistory) -> Step:
        now = self._feed.now()
        failed = job.state is State.RUNNING and (bool(job.delivered) or not job.key_published)
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
        """Keeps the sums available while trainers check them, and shows what points rest on."""
        self._serve(job, history)
        now = self._feed.now()
        if now <= history.reveal_by and not any(event.sender == self._node.me.address for event in history.reveals):
            return self._show(history)
        if now <= job.submit_by:
            return Step.WAITING
        try:
            receipt = self._node.market.complete(self._node.me.account, self._job_id)
        except Reverted:
            return Step.WAITING
        self._say("complete", f"Completed job {self._job_id}.", gas=receipt.gas_used)
        return Step.WORKED

    def _show(self, history: JobHistory) -> Step:
        """Reveals the validation data and its rounds' rows, sealed to the job key: else bond and fees are burnt."""
        if not self._has_validation(history) or self._validation is None:
            self._say_once("unshown", f"Job {self._job_id}: cannot reveal validation data that were not handed over.")
            return Step.WAITING
        self._put_sums("*")  # of all rounds, since all are recomputed
        rows: list[int] = []

        def kept() -> Iterator[tuple[int, bytes]]:
            for event in history.settled.values():
                file = self._kept_rows(event)
                own = history.rounds[event.round - 1].aggregator == self._node.me.address
                if file is not None:
                    rows.append(event.round)
                    yield event.round, file
                elif event.settlement.reference_cid and own:
                    lost = f"The rows of round {event.round} of job {self._job_id} are not on this machine"
                    self._say_once(("no rows", event.round), f"{lost}: they may be disputed.")

        key = self._job_key(history)
        cid = prepare_showing(self._node, history, key, self._validation.content, kept(), self._node.me.address)
        receipt = self._node.market.reveal(self._node.me.account, self._job_id, cid)
        text = (
            f"Revealed the validation data of job {self._job_id} to its members, with the rows of {len(rows)} rounds."
        )
        self._say("revealed", text, gas=receipt.gas_used, cid=cid)
        return Step.WORKED

    def _kept_rows(self, event: RoundSettled) -> bytes | None:
        """The rows file of a round that this aggregator settled."""
        bound = max_rows_file_bytes(self._models.parameters, self._models.chunks)
        for work in self._folder.glob(f"settlement-{event.round}-*"):
            if (work / ROWS).exists() and self._prepared(event.round, work)[0] == event.settlement:
                return read_within(work / ROWS, bound)
        return None

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
        now = self._feed.now()
        taken, enrolled = job.active.bit_count(), now > self._terms.enrol_by
        account = self._node.me.account
        served = job.aggregator != ZERO_ADDRESS
        if served and now < job.submit_by:
            return Step.WAITING  # the delay after the last join
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
        now = self._feed.now()
        if not job.key_published:
            return self._publish_key(history) if now <= job.submit_by else Step.WAITING
        self._serve(job, history)
        if now > job.submit_by and not job.delivered:
            try:
                receipt = market.skip_round(account, self._job_id)
            except Reverted:
                return Step.WAITING
            self._say("skip", f"Skipped round {job.round}: nobody submitted.", round=job.round, gas=receipt.gas_used)
            return Step.WORKED
        if not job.delivered or (not job.complete and now <= job.submit_by) or now > job.settle_by:
            self._get_ready(job, history)
            return Step.WAITING
        if not self._feed.closed():
            return Step.WAITING  # nobody delivers before
        return self._settle(job, now, history)

    def _get_ready(self, job: Job, history: JobHistory) -> None:
        """Rebuilds the round's base model while trainers train; where that fails, judging meets it again."""
        if ("ready", job.round) not in self._told:
            self._told.add(("ready", job.round))
            with suppress(MeritError):
                self._models.start(job.round, history, self._job_key(history))

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
        key = self._inbox.key(history) if history.keys else self._first_key()
        if key is not None and self._has_validation(history):
            self._models.after(max(history.settled, default=0), history, key)
            return key
        self._say_once("waits", f"Job {self._job_id}: waits for the job key or the owner's data to be handed over.")
        return None

    def _has_validation(self, history: JobHistory) -> bool:
        if self._terms.rule is Rule.REFERENCE and self._validation is None:
            self._validation = self._inbox.validation(history, self.spec)
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
        fresh = not (work / "call").exists()
        if fresh:
            instead = self._prepare(job, now, work, history)
            if instead is not None:
                return instead
        prepared = perf_counter()
        settlement, proof = self._prepared(job.round, work)
        for name, cid in (("sum", settlement.sum_cid), ("reference", settlement.reference_cid)):
            if cid and not fresh:  # storage may have lost what an earlier process put there
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
            f"Settled round {job.round}: selected seats {list(slots(settlement.selected))}.",
            round=job.round,
            selected=list(slots(settlement.selected)),
            unopened=list(slots(settlement.unopened)),
            gas=receipt.gas_used,
            seconds={"prepare": prepared - started, "settle": perf_counter() - prepared},
        )
        return Step.WORKED

    def _judged(self, job: Job, history: JobHistory) -> str:
        """A name for all that a settlement of the round follows from."""
        of = [(slot, *submitted(history, job.round, slot)) for slot in slots(job.delivered)]
        # Reference rows also follow from the model before, which the rounds before have made.
        base = self._models.path(job.round - 1, history) if self._terms.rule is Rule.REFERENCE else []
        return sha256(repr((of, base)).encode()).hexdigest()[:32]

    def _prepare(self, job: Job, now: int, work: Path, history: JobHistory) -> Step | None:
        """Opens, judges, proves and keeps the round's settlement, for None; else what came of the attempt."""
        started = perf_counter()
        if not self._has_validation(history):
            raise StorageError(f"The validation data that were handed over for job {self._job_id} cannot be fetched.")
        made = len(list(self._folder.glob(f"settlement-{job.round}-*/call")))
        if made >= MAX_SETTLEMENTS:
            self._say(
                "stuck",
                f"Round {job.round} was proved {made} times; one proof more would show more of its updates.",
            )
            return Step.WAITING
        late = (job.settle_by - now) * MISSING_PATIENCE < self._terms.settle_window
        within = (job.settle_by - now) / MISSING_PATIENCE if late else FETCHED_WITHIN
        rows, unopened, missing = self._submissions.open_all(job, history, within=within, last=late)
        self._awaited = job.round, missing
        if missing and not late:
            return Step.WAITING
        if len(unopened) + len(missing) > job.most_unopened(self._terms.max_faulty):
            if missing and not self._storage_answers(job):
                return Step.WAITING
            return self._void(job, mask_of(unopened + missing))
        unopened = unopened + missing
        opened = perf_counter()
        base = self._base(job.round, history)
        based = perf_counter()
        publication = SumPublication(
            self._node,
            history,
            self._setup,
            rows,
            job_key=self._job_key(history),
            work=work,
            announce=self._announcer(job, history) if self._judging >= ANNOUNCED_FROM else None,
        )
        with publication:
            judgement = judge(
                [row.row if row else None for row in rows],
                base,
                job.round,
                rule=self._terms.rule,
                max_faulty=self._terms.max_faulty,
                models=self._models,
                validation=self._validation,
                chosen=publication.begin,
            )
            judged = perf_counter()
            with _PROVING:
                settlement, proof = prove_settlement(
                    self._node,
                    history,
                    job,
                    setup=self._setup,
                    key=self._key,
                    rows=rows,
                    judgement=judgement,
                    publication=publication,
                    unopened=mask_of(unopened),
                    work=work,
                )
        proved = perf_counter()
        self._judging = proved - based
        write_atomically(work / "call", abi.encode_call("settleRound", [self._job_id, job.round, settlement, proof]))
        self._say(
            "proved",
            f"Proved round {job.round}.",
            round=job.round,
            seconds={"open": opened - started, "judge": judged - opened, "prove": proved - judged},
        )
        return None

    def _announcer(self, job: Job, history: JobHistory) -> Callable[[int, bytes, str], None] | None:
        """What tells trainers of the round's sum while it is proved; None where no round follows.

        It does not wait for the transaction, so that on a slow chain the settlement goes into the same block.
        """
        if job.round == self._terms.rounds or history.end_asked:
            return None
        return lambda *stated: Thread(target=self._announce, args=(job.round, *stated), daemon=True).start()

    def _announce(self, round: int, selected: int, commitment: bytes, cid: str) -> None:
        try:
            receipt = self._node.market.announce_sum(
                self._node.me.account, self._job_id, round, selected, commitment, cid
            )
        except Reverted:
            return  # it is settled by now
        except (ChainError, InputError) as error:  # the settlement says it too
            self._say("unannounced", f"The sum of round {round} was not announced: {error}", round=round)
            return
        self._say("announced", f"Announced the sum of round {round}.", round=round, gas=receipt.gas_used, cid=cid)

    def _storage_answers(self, job: Job) -> bool:
        """Whether it is the updates that are missing, and not the storage: what is known to be there comes."""
        try:  # as updates are
            fetch_opened(self._node.storage, self.created.spec_cid, copyfileobj, max_bytes=MAX_FILE_BYTES)
        except (NotFound, StorageError) as error:
            text = f"Round {job.round}: storage gives nothing, so nothing is said of its updates: {error}"
            self._say_once(("no storage", job.round, job.voids), text)
            return False
        return True

    def _void(self, job: Job, unopened: int) -> Step:
        """Asks for what does not open again: so much of it may not be left out."""
        names = ", ".join(map(str, slots(unopened)))
        try:
            receipt = self._node.market.void_round(self._node.me.account, self._job_id, job.round, unopened)
        except Reverted:
            return Step.WAITING  # the chain has moved on
        last = job.voids >= self._terms.max_voids
        then = "the job ends" if last else "they are delivered again"
        self._say(
            "void",
            f"Round {job.round}: the updates of seats {names} do not open, more than may be left out: {then}.",
            round=job.round,
            unopened=list(slots(unopened)),
            gas=receipt.gas_used,
        )
        return Step.WORKED

    def _base(self, round: int, history: JobHistory) -> Float32s:
        """Where a round starts. Sums that storage has lost or spoiled are put there again, from the work folder.

        Raises StorageError where that is not enough: trainers need the sums too, so it is waited for.
        """
        try:
            return self._models.start(round, history, self._job_key(history))
        except (NotFound, StorageError):
            self._put_sums("*")
        try:
            return self._models.start(round, history, self._job_key(history))
        except (NotFound, CorruptContent) as error:
            raise StorageError(f"The model after round {round - 1} cannot be rebuilt: {error}") from error

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

    def _say_once(self, key: object, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._say(key if isinstance(key, str) else "trouble", text)

    def _say(self, kind: str, text: str, *, round: int = 0, **values: object) -> None:
        self._report(Notice(kind, text, round, values))
