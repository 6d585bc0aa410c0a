"""A trainer: joins a job and takes part in every round, unattended, until the job is over.

Each round's update is written to the work folder, sealed, before it is submitted, and a submission is final; so
whenever the process is killed, starting it again submits the same bytes or finds them submitted.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from marketplace.chain.market import Receipt
from marketplace.domain import ZERO_ADDRESS, Event, Job, Left, State
from marketplace.errors import CorruptContent, InputError, JobOver, NotFound, Reverted, StorageError
from marketplace.files import read_within, write_atomically
from marketplace.keys.sealing import Purpose, seal_bytes_to
from marketplace.replay import JobHistory
from marketplace.services.agent import Notice, Report, Step
from marketplace.services.models import Models
from marketplace.services.node import JobFeed, Node, fetch_spec, job_key
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
from zk.files import pack_update

LEAVE_MARGIN = 4  # without a base model, the trainer leaves when a 1/LEAVE_MARGIN of the submitting phase is left

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
        submitted = bool(job.submitted >> slot & 1)
        if job.submitted and now > job.settle_by:
            return self._try_exit("abort", lambda: market.abort(account, self._job_id))
        if now > job.submit_by and not job.key_published:
            return self._try_exit("abort", lambda: market.abort(account, self._job_id))
        if now > job.submit_by and not job.submitted:
            return self._try_exit("skip", lambda: market.skip_round(account, self._job_id))
        if submitted or now > job.submit_by or not job.key_published:
            return Step.WAITING
        return self._submit(job, slot, now, history)

    # ---------------------------------------------------------------- a round

    def _submit(self, job: Job, slot: int, now: int, history: JobHistory) -> Step:
        round = job.round
        work = self._folder / f"round-{round}"
        if ("silent", round) in self._told:
            return Step.WAITING
        if not (work / "submission.json").exists() and not self._prepare(job, now, work, history):
            return Step.WAITING
        record = _read_submission(work / "submission.json")
        with (work / "sealed").open("rb") as sealed:
            cid = self._node.storage.put(sealed)
        if cid != record["cid"]:
            raise InputError(
                f"{work} was changed on disk: its content is {cid}, not {record['cid']}; delete the folder."
            )
        try:
            receipt = self._node.market.submit_update(
                self._node.me.account, self._job_id, round, bytes.fromhex(record["commitment"]), cid
            )
        except Reverted as error:
            if error.name in ("AlreadySubmitted", "WrongRound", "SubmittingClosed", "WrongState", "NotTrainer"):
                return Step.WAITING  # the chain has moved on, or an earlier process's transaction got there first
            if error.name == "CommitmentSeen":
                return self._replace_stolen(round, slot, work, bytes.fromhex(record["commitment"]))
            raise
        self._say("submitted", f"Submitted the update of round {round}.", receipt=receipt, round=round, cid=cid)
        return Step.WORKED

    def _replace_stolen(self, round: int, slot: int, work: Path, commitment: bytes) -> Step:
        """Somebody saw this commitment on its way and submitted it first: makes another, with other blinders."""
        if self._node.market.submission(self._job_id, commitment) not in (None, (round, slot)):
            (work / "submission.json").unlink()
            return Step.WORKED
        return Step.WAITING  # it was this trainer's own, or it has left the chain again

    def _prepare(self, job: Job, now: int, work: Path, history: JobHistory) -> bool:
        """Trains and writes the sealed update and its record; False where there is nothing to submit, or not yet."""
        update = self._train(job, now, history)
        if update is None:
            return False
        made = committed(self._setup.srs, update)
        aggregator = history.accepted
        if aggregator is None:
            raise NotFound(f"Job {self._job_id} is running but no aggregator is in its events; check the RPC address.")
        context = self._node.context(Purpose.UPDATE, job_id=self._job_id, round=job.round, party=self._node.me.address)
        content = pack_update(made.row, made.blinders, made.commitment, self._setup.chunks)
        sealed = seal_bytes_to(aggregator.encryption_key, content, context)
        write_atomically(work / "sealed", sealed)
        cid = put_bytes(self._node.storage, sealed)
        record = {"commitment": commitment_hash(made.commitment).hex(), "cid": cid}
        write_atomically(work / "submission.json", json.dumps(record).encode())
        return True

    def _base(self, job: Job, now: int, history: JobHistory) -> Float32s | None:
        """The round's base model float32[d]. Without it there is nothing to train: it waits, and leaves in time.

        A sum that is there but wrong will not become right, so it leaves at once; whoever stays would lose stake.
        """
        try:
            return self._models.after(job.round - 1, history, job_key(self._node, history))
        except (NotFound, StorageError) as error:
            window = history.created.terms.submit_window
            if isinstance(error, CorruptContent) or (job.submit_by - now) * LEAVE_MARGIN < window:
                self._node.market.leave(self._node.me.account, self._job_id)
                self._say("leaving", f"Left, because round {job.round} has no base model: {error}", round=job.round)
            else:
                text = f"Waits for the base model of round {job.round}: {error}"
                self._tell_once(("base", job.round), text, kind="missing", round=job.round)
            return None

    def _train(self, job: Job, now: int, history: JobHistory) -> Int16s | None:
        round = job.round
        base = self._base(job, now, history)
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

    def _try_exit(self, name: str, call: Callable[[], Receipt]) -> Step:
        """One of the exits that anybody may take; another party may have taken it first."""
        try:
            receipt = call()
        except Reverted:
            return Step.WAITING
        self._say(name, f"Called {name} on job {self._job_id}: its deadline has passed.", receipt=receipt)
        return Step.WORKED

    def _tell_once(self, key: object, text: str, *, kind: str = "", round: int = 0, **values: object) -> None:
        if key not in self._told:
            self._told.add(key)
            self._report(Notice(kind or str(key), text, round, values))

    def _say(self, kind: str, text: str, *, receipt: Receipt | None = None, round: int = 0, **values: object) -> None:
        if receipt is not None:
            values |= {"transaction": receipt.transaction, "gas": receipt.gas_used}
        self._report(Notice(kind, text, round, values))


def _read_submission(path: Path) -> dict[str, str]:
    try:
        record = json.loads(read_within(path, 4096))
        return {"commitment": str(record["commitment"]), "cid": str(record["cid"])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged; delete its folder to train the round again.") from error


def data_loader(source: str) -> Callable[[Spec], Dataset]:
    """How a trainer's data are read once the job's schema is known: checked, then normalised. Raises InputError."""
    return lambda spec: datasets.normalise(read_data(source, spec.data), spec.data)
