"""A trainer: joins a job and takes part in every round, unattended, until the job is over.

Each round's update is written to the work folder, sealed, before it is submitted, and a submission is final; so
whenever the process is killed, starting it again submits the same bytes or finds them submitted. What opens them it
delivers once nobody can submit any more. Where another aggregator takes a round over, the same file is sealed to it and
delivered again.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from time import monotonic

from marketplace.chain.market import Receipt
from marketplace.domain import ZERO_ADDRESS, Event, Job, Left, State, slots
from marketplace.errors import (
    ChainError,
    CorruptContent,
    InputError,
    JobOver,
    MeritError,
    NotFound,
    Reverted,
    StorageError,
    WrongSum,
)
from marketplace.replay import JobHistory
from marketplace.replay.history import Enrolled
from marketplace.services.agent import Notice, Report, Step
from marketplace.services.handover import hand_over
from marketplace.services.invitations import admission
from marketplace.services.joining import hasty, measure_effort, unusable_key
from marketplace.services.models import Followed, followed
from marketplace.services.node import JobFeed, Node, fetch_spec, job_key, set_aside_others
from marketplace.services.openings import SUBMISSION, attempt_folder, deliver, put_content
from marketplace.services.proofs import open_setup
from marketplace.services.rows import Recomputing
from marketplace.services.safety import check_computable
from marketplace.services.standing import what_it_waits_for
from marketplace.services.training import LoadData, NothingToSubmit, Plan, Tamper, Training, told
from marketplace.services.validation import read_data
from trainer import data as datasets
from trainer.data import PLAIN, DataOptions, Dataset
from trainer.models import load_flat
from zk.encoding import Float32s, Int16s

__all__ = ["Plan", "Tamper", "TrainerAgent", "data_loader"]

DISPUTE_MARGIN = 2  # what storage lacks is disputed when 1/DISPUTE_MARGIN of the submitting phase is left
LEAVE_MARGIN = 4  # who cannot submit steps aside when a 1/LEAVE_MARGIN of the submitting phase is left
ANNOUNCEMENTS = 2  # sums of one round that are trained on before it is settled
AHEAD_LOOK = 2.0  # seconds between two looks at the job while its next round is trained
HAND_OVER_TURNS = 64  # trainers' turns to hand the job key over are 1/HAND_OVER_TURNS of that phase apart


class TrainerAgent:
    """Whatever keeps it from submitting, it says so, and leaves with its stake before silence would cost any.

    docs/decisions/2026-11-26-never-silent.md
    """

    def __init__(self, node: Node, job_id: int, load_data: LoadData, plan: Plan, report: Report) -> None:
        """load_data: reads the trainer's data and checks them against the job's schema (InputError)."""
        self._node = node
        self._job_id = job_id
        self._plan = plan
        self._report = report
        self._feed = JobFeed(node, job_id)
        self._joined = False  # whether this process has seen its slot
        self._told: set[object] = set()
        self._given_up = 0  # the round in which nothing more is tried
        self._delivered = ""  # the submission that this process has delivered last, by its CID
        self._tried: deque[Followed] = deque(maxlen=ANNOUNCEMENTS)  # announced sums that were trained on
        self._key = ("", b"")  # the CID of a job key document, and the key that it holds for this trainer
        history = self._feed.refresh()
        self._folder = node.work(job_id)
        self._rows: Recomputing | None = None
        self._training = Training(node, job_id, load_data, plan, report)
        if history.state.over and self._unclaimed(history) is not None:
            return  # all that is left takes neither data nor the job's files
        if history.state.over and self._feed.stands(self._feed.last):
            raise JobOver(f"Job {job_id} is over; `merit job list` shows which are open.")
        try:
            self._training.opened(history)
        except Exception:
            mine = [trainer for trainer in history.enrolled if trainer.operator == node.me.address]
            if not mine or mine[-1].until is not None:
                raise
            # Who has a seat must not end here and be slashed for silence: the round's work meets it again, and says it.

    # ---------------------------------------------------------------- one step

    def step(self) -> Step:
        history, job = self._feed.look()
        if job.state.over:
            return self._over(job, history)
        mine = [trainer for trainer in history.enrolled if trainer.operator == self._node.me.address]
        if not mine or (isinstance(mine[-1].until, Left) and job.state is State.OPEN and not self._joined):
            return self._join(job, history)
        self._joined = True
        if mine[-1].until is not None:
            self._tell_once("gone", self._gone(mine[-1]))
            if job.state is State.CONFIRMING and history.members >> mine[-1].slot & 1:
                return self._check_rows(job, mine[-1].slot, self._feed.now(), history)
            return self._end_after(mine[-1].until)
        if job.state is State.OPEN:
            return self._wait_for_start(job, history)
        return self._take_part(job, mine[-1], history)

    def retire(self, error: BaseException) -> None:
        """Leaves before the process ends with an error, where that is possible: nobody would submit for it any more."""
        history, job = self._feed.look()
        slot = history.slot_of(self._node.me.address)
        if slot is None or slot not in list(slots(job.active)) or job.state.over:
            return
        if job.state is State.CONFIRMING:
            self._say("trouble", f"This process ends. {self._later}", job=self._job_id)
            return
        if job.submitted >> slot & 1:
            self._deliver(job, slot, history)
        who = history.participants[slot]
        text = f"Left job {self._job_id}{self._stake(who, history)}, because this process ends: {told(error)}"
        if self._try_exit("leaving", self._leave, text) is Step.WAITING:
            self._say(
                "trouble",
                f"This process ends, and job {self._job_id} cannot be left at the moment: start it again before round "
                f"{job.round + 1} ends, or `merit trainer leave {self._job_id}` once that round is open.",
                job=self._job_id,
            )
        if job.submitted >> slot & 1 and history.rounds[-1].submissions[slot].cid != self._delivered:
            text = f"What opens the update of round {job.round} is not delivered yet: start it again to be paid."
            self._say("trouble", text, round=job.round, job=self._job_id)

    def _leave(self) -> Receipt:
        return self._node.market.leave(self._node.me.account, self._job_id)

    def waiting(self) -> dict[int, str]:
        """What the job waits for, as last seen. Raises ChainError."""
        if self._feed.seen is None:
            return {}
        history, job = self._feed.seen
        return {self._job_id: what_it_waits_for(history.terms, job, self._feed.now())}

    def _over(self, job: Job, history: JobHistory) -> Step:
        """Claims this trainer's pay and stake, then ends."""
        name, slot = job.state.name.lower(), self._unclaimed(history)
        self._tell_once(("over", name), f"Job {self._job_id} is {name}.", kind="over", state=name)
        if slot is None:
            return self._end_after(self._feed.last)
        market, account = self._node.market, self._node.me.account
        text = f"Claimed pay and stake of job {self._job_id}; `merit withdraw` takes them."
        return self._try_exit("claimed", lambda: market.claim(account, self._job_id, slot), text)

    def _unclaimed(self, history: JobHistory) -> int | None:
        """This trainer's seat in a job that is over, if nobody has claimed what it brings."""
        slot = history.slot_of(self._node.me.address)
        return slot if slot in list(slots(history.members)) and slot not in history.claimed else None

    def _stake(self, me: Enrolled, history: JobHistory) -> str:
        """With what a trainer leaves a job that runs, as a clause."""
        struck = me.strikes >= history.terms.max_strikes
        return ", where its stake waits for the end" if struck else ", with its stake"

    def _gone(self, me: Enrolled) -> str:
        """What becomes of a trainer whose part ended early."""
        if not isinstance(me.until, Left):
            return f"This trainer was ejected; the rest of its stake was credited. {self._later}"
        return f"This trainer has left{'' if me.staked else '; its stake was credited'}. {self._later}"

    @property
    def _later(self) -> str:
        number = self._job_id
        return (
            f"Once job {number} is over, `merit job claim {number}` takes what it brought; so does starting this again."
        )

    def _end_after(self, event: Event) -> Step:
        """The end, once no reorganization of the chain is expected to undo it."""
        return Step.FINISHED if self._feed.stands(event) else Step.WAITING

    def _join(self, job: Job, history: JobHistory) -> Step:
        if job.state is not State.OPEN:
            if self._joined:
                self._tell_once("out", "The chain was reorganized, and the job started without this trainer.")
                return Step.WAITING
            raise JobOver(f"Job {self._job_id} has started; trainers can join only while it is open.")
        me, payee = self._node.me, self._plan.payee
        ticket = admission(self._node.market, me.address, self._job_id, history.terms, self._plan.ticket)
        self._check_before_joining(history)
        slot, receipt = self._node.market.join(me.account, self._job_id, payee, me.encryption_key, ticket)
        self._joined = True
        self._say("joined", f"Joined job {self._job_id} in seat {slot}.", receipt=receipt, slot=slot)
        return Step.WORKED

    def _check_before_joining(self, history: JobHistory) -> None:
        """Raises InputError, CorruptContent or StorageError where no stake should be put into the job."""
        problem = unusable_key(history)
        if problem:
            raise InputError(f"Job {self._job_id} is not joined: {problem}.")
        if "measured" in self._told:
            return
        if not self._plan.anyway and (problem := hasty(history.terms, self._node.market.connection.chain_id)):
            raise InputError(f"Not joined: {problem}; --anyway joins all the same.")
        at, terms = self._training.opened(history), history.terms
        base = at.models.base()
        check_computable(terms, at.spec, base=base)
        load_flat(at.program.module, base)
        effort = measure_effort(
            at.program,
            at.data,
            at.spec,
            at.setup,
            terms,
            seed=self._plan.seed,
            device=self._plan.devices[0],
            anyway=self._plan.anyway,
        )
        self._tell_once("measured", f"Measured: {effort}.", **asdict(effort))
        if effort.warning:
            self._tell_once("warning", effort.warning, job=self._job_id)

    def _wait_for_start(self, job: Job, history: JobHistory) -> Step:
        problem = unusable_key(history)
        if problem:
            return self._try_exit("leaving", self._leave, f"Left job {self._job_id} with its stake: {problem}.")
        terms = history.created.terms
        if self._feed.now() <= terms.enrol_by:
            return Step.WAITING
        taken = job.active.bit_count()
        startable = job.aggregator != ZERO_ADDRESS and taken >= terms.min_trainers
        if startable and self._feed.now() < job.submit_by:
            return Step.WAITING  # the delay after the last join
        call = self._node.market.start if startable else self._node.market.cancel
        return self._try_exit("start" if startable else "cancel", lambda: call(self._node.me.account, self._job_id))

    def _take_part(self, job: Job, me: Enrolled, history: JobHistory) -> Step:
        account, market = self._node.me.account, self._node.market
        now = self._feed.now()
        if job.state is State.CONFIRMING:
            return self._confirm(job, me.slot, now, history)
        if now > job.submit_by and not job.delivered and job.key_published:
            return self._try_exit("skip", lambda: market.skip_round(account, self._job_id))
        if now > history.takeable_until:
            return self._try_exit("abort", lambda: market.abort(account, self._job_id))
        if now > history.failed_after:
            text = f"The aggregator failed in round {job.round}; another may take over until {history.takeable_until}."
            self._tell_once(("failed", job.round, job.aggregator), text, kind="failed", round=job.round)
        if job.delivering and now <= job.submit_by:
            return self._deliver_again(job, me.slot, now, history)
        if job.submitted >> me.slot & 1:
            step = self._deliver(job, me.slot, history)
            return self._get_ahead(me.slot, history) if step is Step.WAITING else step
        if now > job.submit_by or job.delivering:
            return Step.WAITING
        if me.strikes + 1 == history.terms.max_strikes:
            text = f"Struck {me.strikes} times: once more costs a part of the stake. `merit trainer leave`?"
            self._tell_once(("strikes", me.strikes), text, kind="warning", round=job.round, job=self._job_id)
        try:
            return self._do_round(job, me, now, history)
        except Exception as error:
            if isinstance(error, ChainError) and not isinstance(error, Reverted):
                raise  # nothing can be sent, so nothing can be left either
            return self._hindered(error, job, me, now, history)

    def _do_round(self, job: Job, me: Enrolled, now: int, history: JobHistory) -> Step:
        problem = unusable_key(history)
        if problem:
            raise NothingToSubmit(f"{problem[:1].upper()}{problem[1:]}.", hopeless=True)
        if self._given_up == job.round:
            return Step.WAITING
        if job.key_published:
            return self._submit(job, me.slot, now, history)
        if self._late(job, now, history) and me.missed + 1 >= history.terms.max_missed:
            raise NothingToSubmit("The job key is not published, and might be when there is no time to train any more.")
        return self._hand_over(job, me.slot, now, history)

    def _window(self, job: Job, history: JobHistory) -> int:
        """Seconds of the phase in which sums can be disputed."""
        confirming = job.state is State.CONFIRMING
        return history.terms.confirm_window if confirming else history.terms.submit_window

    def _late(self, job: Job, now: int, history: JobHistory) -> bool:
        return (job.submit_by - now) * LEAVE_MARGIN < history.terms.submit_window

    def _hindered(self, error: Exception, job: Job, me: Enrolled, now: int, history: JobHistory) -> Step:
        """Says what keeps this trainer from submitting; waits for it to pass; misses the round where that is free of
        cost; and leaves, with its stake, where it is not."""
        round, terms = job.round, history.terms
        final = isinstance(error, NothingToSubmit)
        misses = me.missed + 1
        text, left = told(error), job.submit_by - now
        self._tell_once(
            ("hindered", round, text),
            f"Round {round} cannot be submitted: {text}",
            kind=error.kind if isinstance(error, NothingToSubmit) else "trouble",
            round=round,
            job=self._job_id,
        )
        if not final and not self._late(job, now, history):
            until = left - terms.submit_window // LEAVE_MARGIN
            what = "leaves the job, with its stake" if misses >= terms.max_missed else "misses the round"
            self._tell_once(
                ("tries", round),
                f"Trying again for {until} s; then this trainer {what}.",
                kind="trouble",
                round=round,
                job=self._job_id,
            )
            return Step.WAITING
        if misses >= terms.max_missed or (isinstance(error, NothingToSubmit) and error.hopeless):
            stake = self._stake(me, history)
            said = f"Left job {self._job_id} in round {round}{stake}, rather than be slashed for silence."
            return self._try_exit("leaving", self._leave, said)
        self._given_up = round if final else self._given_up
        said = f"Misses round {round}: pay is lost by it, no stake is. {misses} of {terms.max_missed} misses in a row."
        self._tell_once(("missed", round), said, kind="missed", round=round, job=self._job_id)
        return Step.WAITING

    def _confirm(self, job: Job, slot: int, now: int, history: JobHistory) -> Step:
        """Says that the last sum was found to be right, or disputes it; completes the job when its time is over."""
        account, market = self._node.me.account, self._node.market
        if now > job.submit_by:
            return self._try_exit("complete", lambda: market.complete(account, self._job_id))
        if not job.disputed_sum and self._received(job, slot, now, history) is not None:
            self._tell_once("confirmed", "The last sum opens.", kind="confirmed")
        return self._check_rows(job, slot, now, history)

    def _check_rows(self, job: Job, slot: int, now: int, history: JobHistory) -> Step:
        """Recomputes what points rest on, a round a step, and disputes it where it is wrong or not shown in time."""
        who = history.participants[slot]
        if not history.rows_due or not who.opened(history.settled_rounds) or slot in history.rows_disputed:
            return Step.WAITING
        if not history.reveals:
            return Step.WAITING  # where nobody reveals in time, the contract disputes by itself
        if self._rows is None:
            spec = fetch_spec(self._node.storage, history.created)
            srs = open_setup(self._node, history.created, spec).srs
            self._rows = Recomputing(self._node, history.created, spec, srs)
        look = self._rows.look(history, self._job_key(history))
        late = (job.submit_by - now) * DISPUTE_MARGIN < history.terms.confirm_window
        wrong = {**look.wrong, **(look.missing if late and now > history.reveal_by else {})}
        if wrong and (look.finished or late):
            market, account, round = self._node.market, self._node.me.account, max(wrong)
            what = f"the rows of round {round}" if round else "what was revealed"
            text = f"Disputed {what}: {wrong[round]}."
            return self._try_exit(
                "disputed", lambda: market.dispute_rows(account, self._job_id, round), text.replace("..", ".")
            )
        if look.checked:
            self._say("recomputed", f"Recomputed the rows of round {look.checked}: they are right.", round=look.checked)
            return Step.WORKED
        if look.finished and not look.wrong and not look.missing:
            self._tell_once("rows", "The rows of all rounds follow from the validation data.", kind="confirmed")
        for round, problem in look.missing.items():
            self._tell_once(("unshown", round), f"Waits for what was revealed: {problem}", kind="missing", round=round)
        return Step.WAITING

    def _hand_over(self, job: Job, slot: int, now: int, history: JobHistory) -> Step:
        """Gives the job key to an aggregator that has taken over; trainers take turns, should one give a wrong key."""
        if not history.keys or not history.waits_for(self._node.me.address):
            return Step.WAITING
        turn = list(slots(job.active)).index(slot)
        opened = job.submit_by - history.terms.submit_window
        if now < opened + turn * history.terms.submit_window // HAND_OVER_TURNS:
            return Step.WAITING
        key = self._job_key(history)
        text = "Handed the job key to the aggregator that took over."
        return self._try_exit("handed-over", lambda: hand_over(self._node, history, key), text)

    # ---------------------------------------------------------------- a round

    def _submit(self, job: Job, slot: int, now: int, history: JobHistory) -> Step:
        round = job.round
        work = attempt_folder(self._folder, history.rounds[-1])
        if ("silent", round) in self._told:  # as its plan has it
            return Step.WAITING
        set_aside_others(self._folder, history.created)
        if not (work / SUBMISSION).exists():
            if not self._training.committed(round):
                update = self._update(job, slot, now, history)
                if update is None:
                    return Step.WAITING
                self._training.commit(update, round, history)
            self._training.seal(work, round, history)
        record = put_content(self._node.storage, work)
        try:
            receipt = self._node.market.submit_update(
                self._node.me.account, self._job_id, round, bytes.fromhex(record.commitment), record.cid
            )
        except Reverted as error:
            if error.name in ("AlreadySubmitted", "WrongRound", "SubmittingClosed", "WrongState", "NotTrainer"):
                return Step.WAITING  # the chain has moved on, or an earlier process's transaction got there first
            raise
        text = f"Submitted the update of round {round}. Keep this running: what opens it follows after the phase."
        self._say("submitted", text, receipt=receipt, round=round, cid=record.cid)
        return Step.WORKED

    def _deliver(self, job: Job, slot: int, history: JobHistory) -> Step:
        """Puts what opens this trainer's submission into storage, once nobody can submit any more.

        Storage that fails is tried again, for as long as the round is not judged.
        """
        round, cid = job.round, history.rounds[-1].submissions[slot].cid
        if self._delivered == cid or job.delivering or not self._feed.closed():
            return Step.WAITING
        try:
            if deliver(self._node.storage, attempt_folder(self._folder, history.rounds[-1])).cid != cid:
                raise InputError("another one was submitted")
        except StorageError as error:
            text = f"What opens the update of round {round} cannot be delivered: {error} Trying again."
            self._tell_once(("undelivered", cid, str(error)), text, kind="trouble", round=round, job=self._job_id)
            return Step.WAITING
        except InputError as error:
            lost = f"What opens the update of round {round} is not kept on this machine ({error}): no pay for it."
            self._tell_once(("undelivered", cid), lost, kind="trouble", round=round, job=self._job_id)
            return Step.WAITING
        self._delivered = cid
        self._say("delivered", f"Delivered what opens the update of round {round}.", round=round, cid=cid)
        return Step.WORKED

    def _get_ahead(self, slot: int, history: JobHistory) -> Step:
        """Trains the next round while this one is proved, where its sum is announced.

        Whatever goes wrong, the next round itself meets it again.
        """
        current = history.rounds[-1]
        event, number = current.announced, current.number
        ended = number == history.terms.rounds or history.end_asked
        if event is None or ended or self._delivered != current.submissions[slot].cid:
            return Step.WAITING
        stated = (number, event.selected, event.sum_commitment)
        if stated in self._tried or sum(round == number for round, *_ in self._tried) >= ANNOUNCEMENTS:
            return Step.WAITING
        self._tried.append(stated)
        try:
            self._training.train_ahead(event, history, self._job_key(history), self._called_away(stated))
        except Exception as error:  # noqa: BLE001 (of whatever kind: nothing is lost)
            text = f"Round {number + 1} is not trained on the sum that is announced for round {number}: {told(error)}"
            self._say("not-ahead", text, round=number + 1)
            return Step.WAITING
        self._say("ahead", f"Trained round {number + 1} while round {number} is proved.", round=number + 1)
        return Step.WORKED

    def _called_away(self, stated: Followed) -> Callable[[], bool]:
        """Whether the job goes on otherwise than announced, or asks for something; looked at now and then."""
        looked = monotonic()

        def away() -> bool:
            nonlocal looked
            if monotonic() - looked < AHEAD_LOOK:
                return False
            looked = monotonic()
            try:
                history, job = self._feed.look()
            except MeritError:
                return False
            settled = history.settled.get(stated[0])
            if job.state is State.RUNNING and not job.delivering and job.round == stated[0]:
                return False
            return job.delivering or settled is None or followed(settled) != stated

        return away

    def _deliver_again(self, job: Job, slot: int, now: int, history: JobHistory) -> Step:
        """What is left to do in a round that is void, or that another aggregator has taken over."""
        if problem := unusable_key(history):
            text = f"The update of round {job.round} is not delivered again: {problem}."
            self._tell_once(("unusable", job.round), text, kind="trouble", round=job.round)
            return Step.WAITING
        if not job.key_published:
            return self._hand_over(job, slot, now, history)
        return self._redeliver(job, history) if job.undelivered >> slot & 1 else Step.WAITING

    def _redeliver(self, job: Job, history: JobHistory) -> Step:
        """Puts what was submitted into storage again, and says where: it did not open, or the aggregator is another."""
        work, round = attempt_folder(self._folder, history.rounds[-1]), job.round
        try:
            if not (work / SUBMISSION).exists():
                self._training.seal(work, round, history)
            put_content(self._node.storage, work)
            cid = deliver(self._node.storage, work).cid
        except InputError:  # what was changed on disk opens for nobody
            lost = f"The update of round {round} is asked for again, and is not kept on this machine: no pay for it."
            self._tell_once(("undelivered", round), lost, kind="trouble", round=round)
            return Step.WAITING
        market, account = self._node.market, self._node.me.account
        why = "the aggregator could not open it"
        if job.taken_over_in == round:
            why = "another aggregator has taken the round over"
        text = f"Delivered the update of round {round} again: {why}."
        return self._try_exit("redelivered", lambda: market.redeliver(account, self._job_id, round, cid), text)

    def _update(self, job: Job, slot: int, now: int, history: JobHistory) -> Int16s | None:
        """int16[d]: this round's update; None where there is no base to train from yet, or the plan says nothing."""
        base = self._received(job, slot, now, history)
        if base is None:
            return None
        update = self._training.train(base, job, now, history)
        if update is None:
            text = f"Says nothing in round {job.round}."
            self._tell_once(("silent", job.round), text, kind="silent", round=job.round)
        return update

    def _received(self, job: Job, slot: int, now: int, history: JobHistory) -> Float32s | None:
        """float32[d] that the round starts from, by what those before have left; None where it is missing or wrong.

        It is waited for, then disputed, and at last left: whoever stays would lose stake. A sum that does not open will
        not become right, so it is disputed at once; while storage cannot be reached, nothing can be said of a sum.
        """
        confirming = job.state is State.CONFIRMING
        last = max(history.settled, default=0) if confirming else job.round - 1
        models = self._training.opened(history).models
        try:
            return models.start(last + 1, history, self._job_key(history))
        except (NotFound, StorageError) as error:
            window, left = self._window(job, history), job.submit_by - now
            account, market = self._node.me.account, self._node.market
            wrong, missing = isinstance(error, WrongSum), isinstance(error, NotFound | CorruptContent)
            phase = ("disputed", last, job.submit_by)  # each begins without disputes
            disputed = bool(job.disputed >> slot & 1) or phase in self._told
            if not disputed and (wrong or (missing and left * DISPUTE_MARGIN < window)):
                text = f"Disputed what round {last} left: {error}"
                self._try_exit("disputed", lambda: market.dispute(account, self._job_id), text)
                self._told.add(phase)  # whatever came of it, there is time to leave
            elif self._late(job, now, history) and not confirming:
                text = f"Left, because round {job.round} has no base model: {error}"
                self._try_exit("leaving", self._leave, text)
            else:
                text = f"Waits for the model after round {last}: {error}"
                self._tell_once(("base", last), text, kind="missing", round=last)
            return None

    # ---------------------------------------------------------------- helpers

    def _job_key(self, history: JobHistory) -> bytes:
        """Opened once for each document that is published. Raises NotFound, CorruptContent, StorageError."""
        cid = history.keys[-1][1].cid if history.keys else ""
        if not cid or self._key[0] != cid:
            self._key = cid, job_key(self._node, history)
        return self._key[1]

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


def data_loader(source: str | Dataset, options: DataOptions = PLAIN) -> LoadData:
    """How a trainer's data are read once the job's schema is known: checked, then normalised. Raises InputError."""
    return lambda spec, files: datasets.normalise(read_data(source, spec.data, files, options), spec.data)
