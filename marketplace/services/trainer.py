"""A trainer: joins a job and takes part in every round, unattended, until the job is over.

Each round's update is written to the work folder, sealed, before it is submitted, and a submission is final; so
whenever the process is killed, starting it again submits the same bytes or finds them submitted. Where another
aggregator takes a round over, the same update is committed to and sealed anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch

from marketplace.chain.market import Receipt
from marketplace.domain import ZERO_ADDRESS, Event, Job, Left, State, slots
from marketplace.errors import CorruptContent, InputError, JobOver, NotFound, Reverted, StorageError, WrongSum
from marketplace.files import read_within, write_atomically
from marketplace.keys.sealing import Purpose, seal_to
from marketplace.replay import JobHistory
from marketplace.services.agent import Notice, Report, Step
from marketplace.services.handover import hand_over
from marketplace.services.models import Models
from marketplace.services.node import JobFeed, Node, fetch_spec, job_key
from marketplace.services.openings import SUBMISSION, Submission, attempt_folder, read_submission
from marketplace.services.proofs import committed, open_setup
from marketplace.services.validation import read_data
from marketplace.spec import Spec
from marketplace.storage import put_bytes
from trainer import data as datasets
from trainer.data import Dataset
from trainer.models import build, flatten, load_flat
from trainer.quantize import to_integers
from trainer.train import Progress, train_round, warm_up
from zk.encoding import Float32s, Int16s, commitment_hash
from zk.files import max_update_file_bytes, pack_update, unpack_update

DISPUTE_MARGIN = 2  # what is not to be had is disputed when 1/DISPUTE_MARGIN of the submitting phase is left
LEAVE_MARGIN = 4  # without a base model, the trainer leaves when a 1/LEAVE_MARGIN of the submitting phase is left
HAND_OVER_TURNS = 64  # trainers' turns to hand the job key over are 1/HAND_OVER_TURNS of that phase apart

Tamper = Callable[[int, Int16s], Int16s | None]
"""For demonstrations and tests of attacks: round, honest update → what to submit instead; None for nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How this trainer takes part."""

    payee: str
    device: torch.device
    seed: int = 0
    tamper: Tamper | None = None


class TrainerAgent:
    def __init__(
        self, node: Node, job_id: int, load_data: Callable[[Spec], Dataset], plan: Plan, report: Report
    ) -> None:
        """load_data: reads the trainer's data and checks them against the job's schema (InputError)."""
        self._node = node
        self._job_id = job_id
        self._plan = plan
        self._report = report
        self._feed = JobFeed(node, job_id)
        history = self._feed.refresh()
        if history.state.over and self._feed.stands(self._feed.last):
            raise JobOver(f"Job {job_id} is over; `merit job list` shows jobs that are open.")
        self.spec = fetch_spec(node.storage, history.created)
        self._data = load_data(self.spec)
        self._setup = open_setup(node, history.created, self.spec)
        self._module = build(self.spec.model)
        warm_up(self.spec.training)
        self._folder = node.work(job_id)
        self._models = Models(node, history.created, self.spec, self._setup.srs, cache=self._folder)
        self._joined = False  # whether this process has seen its slot
        self._told: set[object] = set()

    # ---------------------------------------------------------------- one step

    def step(self) -> Step:
        history, job = self._feed.look()
        if job.state.over:
            name = job.state.name.lower()
            self._tell_once(("over", name), f"Job {self._job_id} is {name}.", kind="over", state=name)
            return self._end_after(self._feed.last)
        mine = [trainer for trainer in history.enrolled if trainer.operator == self._node.me.address]
        if not mine or (isinstance(mine[-1].until, Left) and job.state is State.OPEN and not self._joined):
            return self._join(job)
        self._joined = True
        if mine[-1].until is not None:
            self._tell_once("ejected", "This trainer was ejected, or has left; what is left of its stake was credited.")
            return self._end_after(mine[-1].until)
        if job.state is State.OPEN:
            return self._wait_for_start(job, history)
        return self._take_part(job, mine[-1].slot, history)

    def _end_after(self, event: Event) -> Step:
        """The end, once no reorganization of the chain is expected to undo it."""
        return Step.FINISHED if self._feed.stands(event) else Step.WAITING

    def _join(self, job: Job) -> Step:
        if job.state is not State.OPEN:
            if self._joined:
                self._tell_once("out", "The chain was reorganized, and the job started without this trainer.")
                return Step.WAITING
            raise JobOver(f"Job {self._job_id} has started; trainers can join only while it is open.")
        me = self._node.me
        slot, receipt = self._node.market.join(me.account, self._job_id, self._plan.payee, me.encryption_key)
        self._joined = True
        self._say("joined", f"Joined job {self._job_id} in slot {slot}.", receipt=receipt, slot=slot)
        return Step.WORKED

    def _wait_for_start(self, job: Job, history: JobHistory) -> Step:
        terms = history.created.terms
        if self._node.market.connection.now() <= terms.enrol_by:
            return Step.WAITING
        taken = job.active.bit_count()
        startable = job.aggregator != ZERO_ADDRESS and taken >= terms.min_trainers
        call = self._node.market.start if startable else self._node.market.cancel
        return self._try_exit("start" if startable else "cancel", lambda: call(self._node.me.account, self._job_id))

    def _take_part(self, job: Job, slot: int, history: JobHistory) -> Step:
        account, market = self._node.me.account, self._node.market
        now = market.connection.now()
        if job.state is State.CONFIRMING:
            return self._confirm(job, slot, now, history)
        if now > job.submit_by and not job.submitted and job.key_published:
            return self._try_exit("skip", lambda: market.skip_round(account, self._job_id))
        if now > history.takeable_until:
            return self._try_exit("abort", lambda: market.abort(account, self._job_id))
        if now > history.failed_after:
            text = f"The aggregator failed in round {job.round}; another may take over until {history.takeable_until}."
            self._tell_once(("failed", job.round, job.aggregator), text, kind="failed", round=job.round)
        if bool(job.submitted >> slot & 1) or now > job.submit_by:
            return Step.WAITING
        if not job.key_published:
            return self._hand_over(job, slot, now, history)
        return self._submit(job, slot, now, history)

    def _confirm(self, job: Job, slot: int, now: int, history: JobHistory) -> Step:
        """Leaves with the stake once the last sum was found to be right; disputes one that is not."""
        account, market = self._node.me.account, self._node.market
        if now > job.submit_by:
            return self._try_exit("complete", lambda: market.complete(account, self._job_id))
        if self._received(job, slot, now, history) is None:
            return Step.WAITING
        return self._try_exit("confirmed", lambda: market.leave(account, self._job_id), "The last sum opens: left.")

    def _hand_over(self, job: Job, slot: int, now: int, history: JobHistory) -> Step:
        """Gives the job key to an aggregator that has taken over; trainers take turns, should one give a wrong key."""
        if not history.keys or not history.waits_for(self._node.me.address):
            return Step.WAITING
        turn = list(slots(job.active)).index(slot)
        opened = job.submit_by - history.terms.submit_window
        if now < opened + turn * history.terms.submit_window // HAND_OVER_TURNS:
            return Step.WAITING
        key = job_key(self._node, history)
        text = "Handed the job key to the aggregator that took over."
        return self._try_exit("handed-over", lambda: hand_over(self._node, history, key), text)

    # ---------------------------------------------------------------- a round

    def _submit(self, job: Job, slot: int, now: int, history: JobHistory) -> Step:
        round = job.round
        work = attempt_folder(self._folder, history.rounds[-1])
        if ("silent", round) in self._told:
            return Step.WAITING
        if not (work / SUBMISSION).exists() and not self._prepare(job, slot, now, work, history):
            return Step.WAITING
        record = read_submission(work)
        with (work / "sealed").open("rb") as sealed:
            cid = self._node.storage.put(sealed)
        if cid != record.cid:
            raise InputError(f"{work} was changed on disk: its content is {cid}, not {record.cid}; delete the folder.")
        try:
            receipt = self._node.market.submit_update(
                self._node.me.account, self._job_id, round, bytes.fromhex(record.commitment), cid
            )
        except Reverted as error:
            if error.name in ("AlreadySubmitted", "WrongRound", "SubmittingClosed", "WrongState", "NotTrainer"):
                return Step.WAITING  # the chain has moved on, or an earlier process's transaction got there first
            raise
        self._say("submitted", f"Submitted the update of round {round}.", receipt=receipt, round=round, cid=cid)
        return Step.WORKED

    def _prepare(self, job: Job, slot: int, now: int, work: Path, history: JobHistory) -> bool:
        """Trains and writes the sealed update and its record; False where there is nothing to submit, or not yet."""
        update = self._update(job, slot, now, history)
        if update is None:
            return False
        aggregator = history.accepted
        if aggregator is None:
            raise NotFound(f"Job {self._job_id} is running but no aggregator is in its events; check the RPC address.")
        made = committed(self._setup.srs, update)  # blinded anew for each aggregator
        content = pack_update(made.row, made.blinders, made.commitment, self._setup.chunks)
        write_atomically(self._folder / f"round-{job.round}" / "update", content)
        context = self._node.context(Purpose.UPDATE, job_id=self._job_id, round=job.round, party=self._node.me.address)
        sealed = BytesIO()
        secrets = seal_to(aggregator.encryption_key, BytesIO(content), sealed, context)
        write_atomically(work / "sealed", sealed.getvalue())
        cid = put_bytes(self._node.storage, sealed.getvalue())
        record = Submission(
            commitment=commitment_hash(made.commitment).hex(),
            cid=cid,
            ephemeral=secrets.ephemeral.hex(),
            content_key=secrets.content_key.hex(),
        )
        write_atomically(work / SUBMISSION, record.model_dump_json().encode())
        return True

    def _update(self, job: Job, slot: int, now: int, history: JobHistory) -> Int16s | None:
        """int16[d]: this round's update, trained once, also where another aggregator takes the round over."""
        kept = self._folder / f"round-{job.round}" / "update"
        if not kept.exists():
            for old in self._folder.glob("round-*/update"):
                old.unlink()
            return self._train(job, slot, now, history)
        d, c = self._models.parameters, self._setup.chunks
        try:
            return unpack_update(read_within(kept, max_update_file_bytes(d, c)), d, c)[0]
        except ValueError as error:
            raise InputError(f"{kept} is damaged; delete it to train the round again.") from error

    def _received(self, job: Job, slot: int, now: int, history: JobHistory) -> Float32s | None:
        """The model float32[d] that the rounds before leave; None where it is not to be had, or wrong.

        It is waited for, then disputed, and at last left: whoever stays would lose stake. A sum that does not open will
        not become right, so it is disputed at once; while storage cannot be reached, nothing can be said of a sum.
        """
        confirming = job.state is State.CONFIRMING
        last = job.round if confirming else job.round - 1
        try:
            return self._models.after(last, history, job_key(self._node, history))
        except (NotFound, StorageError) as error:
            window, left = history.terms.submit_window, job.submit_by - now
            account, market = self._node.me.account, self._node.market
            wrong, missing = isinstance(error, WrongSum), isinstance(error, NotFound | CorruptContent)
            disputed = bool(job.disputed >> slot & 1) or ("disputed", last) in self._told
            if not disputed and (wrong or (missing and left * DISPUTE_MARGIN < window)):
                text = f"Disputed what round {last} left: {error}"
                self._try_exit("disputed", lambda: market.dispute(account, self._job_id), text)
                self._told.add(("disputed", last))  # whatever came of it, there is time to leave
            elif left * LEAVE_MARGIN < window and not confirming:
                text = f"Left, because round {job.round} has no base model: {error}"
                self._try_exit("leaving", lambda: market.leave(account, self._job_id), text)
            else:
                text = f"Waits for the model after round {last}: {error}"
                self._tell_once(("base", last), text, kind="missing", round=last)
            return None

    def _train(self, job: Job, slot: int, now: int, history: JobHistory) -> Int16s | None:
        round = job.round
        base = self._received(job, slot, now, history)
        if base is None:
            return None
        load_flat(self._module, base)

        def progress(seen: Progress) -> None:
            self._say(
                "training", f"Training in round {round}.", round=round, done=seen.epoch / seen.epochs, loss=seen.loss
            )

        try:
            result = train_round(
                self._module,
                self._data,
                self.spec.training,
                round=round,
                seed=self._plan.seed,
                device=self._plan.device,
                on_progress=progress,
            )
            delta = flatten(self._module).cpu() - torch.from_numpy(base)
            update = to_integers(delta, self.spec.update.scale, self.spec.update.clip)
        except ValueError as error:
            self._tell_once(("silent", round), f"Nothing to submit: {error}.", kind="diverged", round=round)
            return None
        self._say(
            "trained",
            f"Trained round {round}: loss {result.loss:.4f}, accuracy {result.accuracy:.1%}.",
            round=round,
            loss=result.loss,
            accuracy=result.accuracy,
            seconds=result.seconds,
        )
        submitted = update if self._plan.tamper is None else self._plan.tamper(round, update)
        if submitted is None:
            self._tell_once(("silent", round), f"Says nothing in round {round}.", kind="silent", round=round)
        return submitted

    # ---------------------------------------------------------------- helpers

    def _try_exit(self, name: str, call: Callable[[], Receipt], text: str = "") -> Step:
        """One of the exits that the contract gives; where it refuses, the job has moved on, or is not there yet."""
        try:
            receipt = call()
        except Reverted:
            return Step.WAITING
        said = text or f"Called {name} on job {self._job_id}: its deadline has passed."
        self._say(name, said, receipt=receipt)
        return Step.WORKED

    def _tell_once(self, key: object, text: str, *, kind: str = "", round: int = 0, **values: object) -> None:
        if key not in self._told:
            self._told.add(key)
            self._report(Notice(kind or str(key), text, round, values))

    def _say(self, kind: str, text: str, *, receipt: Receipt | None = None, round: int = 0, **values: object) -> None:
        if receipt is not None:
            values |= {"transaction": receipt.transaction, "gas": receipt.gas_used}
        self._report(Notice(kind, text, round, values))


def data_loader(source: str) -> Callable[[Spec], Dataset]:
    """How a trainer's data are read once the job's schema is known: checked, then normalised. Raises InputError."""
    return lambda spec: datasets.normalise(read_data(source, spec.data), spec.data)
