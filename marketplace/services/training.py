"""The work of a trainer's round: the base model in, the sealed update and its record on disk out."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from marketplace.domain import Job, SumAnnounced
from marketplace.errors import InputError, MeritError, NotFound
from marketplace.files import read_within, write_atomically
from marketplace.keys.sealing import Purpose
from marketplace.replay import JobHistory
from marketplace.services.agent import Notice, Report
from marketplace.services.deliveries import seal_update
from marketplace.services.models import Followed, Models
from marketplace.services.node import Node, fetch_spec
from marketplace.services.openings import keep_submission
from marketplace.services.programs import fetch_files, fetch_program
from marketplace.services.proofs import CommittedRow, JobSetup, committed, open_setup
from marketplace.spec import Spec
from trainer.config import Files
from trainer.data import Dataset
from trainer.models import flatten, load_flat
from trainer.own import OwnTraining, train_own
from trainer.parallel import train_on
from trainer.programs import Program, check_tokens
from trainer.quantize import Lightened, carry_over, lighten, to_integers
from trainer.train import Progress, RoundResult, train_round, warm_up
from zk.encoding import LIMIT, Float32s, Int16s, submission_hash
from zk.files import max_update_file_bytes, pack_update, unpack_update
from zk.packing import max_packed_bytes, pack_integers, unpack_integers

STOP_MARGIN = 8  # training ends when a 1/STOP_MARGIN of the submitting phase is left, or half of what there was
LEFT = "left-out"
"""The file in a round's folder that has what its update left out."""
ATTEMPTS = 3  # at training, in one round, where it raises what may pass

LoadData = Callable[[Spec, Files], Dataset]
"""Reads a trainer's data, with the files that the job names."""

Tamper = Callable[[int, Int16s], Int16s | None]
"""For demonstrations and tests of attacks: round, honest update → what to submit instead; None for nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a trainer takes part. devices: that it trains on, side by side. own: its own training in place of Merit's.
    anyway: join where a round seems not to be feasible here. ticket: its text, or ""."""

    payee: str
    devices: tuple[torch.device, ...]
    seed: int = 0
    tamper: Tamper | None = None
    anyway: bool = False
    ticket: str = ""
    own: OwnTraining | None = None


class NothingToSubmit(Exception):
    """Why this round's update cannot be made, in one sentence. hopeless: nor any later round's."""

    def __init__(self, text: str, *, kind: str = "trouble", hopeless: bool = False) -> None:
        super().__init__(text)
        self.kind = kind
        self.hopeless = hopeless


@dataclass(frozen=True, slots=True)
class Workplace:
    """What a round's work takes."""

    spec: Spec
    data: Dataset
    setup: JobSetup
    program: Program
    models: Models


@dataclass(frozen=True, slots=True)
class Ahead:
    """The update of a round whose base was only announced. path: what that base follows from. left: out of it."""

    round: int
    path: list[Followed]
    made: CommittedRow
    left: Int16s


class Training:
    """Makes a job's updates, one a round."""

    def __init__(self, node: Node, job_id: int, load_data: LoadData, plan: Plan, report: Report) -> None:
        self._node = node
        self._job_id = job_id
        self._load_data = load_data
        self._plan = plan
        self._report = report
        self._folder = node.work(job_id)
        self._failures: Counter[int] = Counter()  # by round
        self._opened: Workplace | None = None
        self._ahead: Ahead | None = None
        self._left: Int16s | None = None  # out of the last update that was made

    def opened(self, history: JobHistory) -> Workplace:
        """What the work takes, opened once, at the first time that it can be.

        Raises StorageError, CorruptContent, and InputError for data that are not there or do not fit.
        """
        if self._opened is None:
            spec = fetch_spec(self._node.storage, history.created)
            data = self._load_data(spec, fetch_files(self._node, spec))
            setup = open_setup(self._node, history.created, spec)
            program = fetch_program(self._node, spec)
            try:
                check_tokens(program, data)
            except ValueError as error:
                raise InputError(f"The data do not fit: {error}.") from error
            warm_up(spec.training)
            models = Models(self._node, history.created, spec, setup.srs, cache=self._folder)
            self._opened = Workplace(spec, data, setup, program, models)
        return self._opened

    def committed(self, round: int) -> bool:
        """Whether the round's update has been made: it is committed to once, whoever judges it."""
        return self._kept(round).exists()

    def train(self, base: Float32s, job: Job, now: int, history: JobHistory) -> Int16s | None:
        """int16[d]: the round's update; None where the plan says nothing in it.

        Raises NothingToSubmit where there is none; what else training raises may pass, and is given ATTEMPTS.
        """
        round, tamper = job.round, self._plan.tamper
        ahead, path = self._ahead, self.opened(history).models.path(round - 1, history)
        try:
            if ahead is not None and (ahead.round, ahead.path) == (round, path):
                update, self._left = ahead.made.row, ahead.left
            else:
                update, self._left = self._trained(base, round, job.submit_by - now, history)
        except ValueError as error:
            advice = "A smaller learning rate, which is the owner's to choose, or other data would help."
            raise NothingToSubmit(f"{told(error)} {advice}", kind="diverged") from error
        except (MeritError, NothingToSubmit):
            raise
        except Exception as error:  # out of memory, a device that is gone: whatever torch raises
            self._failures[round] += 1
            if self._failures[round] < ATTEMPTS:
                raise
            raise NothingToSubmit(f"Training failed {ATTEMPTS} times: {told(error)}") from error
        if tamper is not None:
            return tamper(round, update)
        if not update.any():
            raise NothingToSubmit(
                "The update is zero once it is rounded to steps of update.scale, and would count as a strike. More "
                "data would help."
            )
        return update

    def train_ahead(self, event: SumAnnounced, history: JobHistory, job_key: bytes, away: Callable[[], bool]) -> None:
        """Trains the next round on what an announced sum leaves; `train` takes the update if that is what was settled.

        It is in memory only: nothing is lost where another sum is settled, or the process ends, but the time. away:
        whether to stop. Raises as `Models.announced` and `train` do.
        """
        at, round = self.opened(history), event.round + 1
        base, path = at.models.announced(event, history, job_key)
        update, left = self._trained(base, round, history.terms.submit_window, history, away)
        self._ahead = Ahead(round, path, committed(at.setup.srs, update), left)

    def _trained(
        self,
        base: Float32s,
        round: int,
        left: int,
        history: JobHistory,
        away: Callable[[], bool] = lambda: False,
    ) -> Lightened:
        """left: seconds of the submitting phase.

        Raises ValueError where training diverges, NothingToSubmit where it takes longer, or was called away.
        """
        at, window = self.opened(history), history.terms.submit_window
        end = monotonic() + max(left / 2, left - window / STOP_MARGIN)
        load_flat(at.program.module, base)

        def progress(seen: Progress) -> None:
            values: dict[str, object] = {"done": seen.done / seen.total, "loss": seen.loss}
            self._report(Notice("training", f"Training in round {round}.", round, values))

        result = self._round(at, round, progress, lambda: monotonic() > end or away())
        if not result.complete:
            raise NothingToSubmit(
                f"Training takes longer than the {left} s that were left: it was stopped after {result.seconds:.0f} s. "
                "A faster device or fewer samples would help."
            )
        delta = flatten(at.program.module).cpu() - torch.from_numpy(base)
        update = to_integers(delta, history.terms.scale, at.spec.clip)
        before = self._left_before(round, len(update))
        if before is not None:
            update = carry_over(update, before, history.terms.scale, at.spec.clip)
        text = f"Trained round {round}: loss {result.loss:.4f}."
        values = {"loss": result.loss, "seconds": result.seconds}
        self._report(Notice("trained", text, round, dict(values)))
        return lighten(update, at.spec.bits, at.spec.keep)

    def _round(
        self, at: Workplace, round: int, progress: Callable[[Progress], None], should_stop: Callable[[], bool]
    ) -> RoundResult:
        plan, training = self._plan, at.spec.training
        first, *others = plan.devices
        if plan.own is not None:
            return train_own(
                plan.own,
                at.program,
                at.data,
                training,
                round=round,
                seed=plan.seed,
                device=first,
                should_stop=should_stop,
            )
        if others:
            return train_on(
                plan.devices,
                at.program,
                at.data,
                training,
                round=round,
                seed=plan.seed,
                schema=at.spec.data,
                on_progress=progress,
                should_stop=should_stop,
            )
        return train_round(
            at.program,
            at.data,
            training,
            round=round,
            seed=plan.seed,
            device=first,
            schema=at.spec.data,
            on_progress=progress,
            should_stop=should_stop,
        )

    def commit(self, update: Int16s, round: int, history: JobHistory) -> None:
        """Keeps the update with the commitment to it, what opens that, and what it leaves to the next one; those of
        earlier rounds go."""
        for old in self._folder.glob("round-*/update"):
            old.unlink()
        setup, ahead = self.opened(history).setup, self._ahead
        made = ahead.made if ahead is not None and ahead.made.row is update else committed(setup.srs, update)
        self._ahead = None
        if self._left is not None and self._left.any():
            write_atomically(self._folder / f"round-{round}" / LEFT, pack_integers(self._left))
        write_atomically(self._kept(round), pack_update(made.row, made.blinders, made.commitment, setup.chunks))
        for number, path in self._lefts():
            if number < round:
                path.unlink()
        self._left = None

    def _lefts(self) -> list[tuple[int, Path]]:
        """By round, what updates left out, as far as it is kept."""
        found = self._folder.glob(f"round-*/{LEFT}")
        return sorted((int(path.parent.name.removeprefix("round-")), path) for path in found)

    def _left_before(self, round: int, d: int) -> Int16s | None:
        """int16[d]: what the last update before `round` left out. Raises InputError for a damaged file."""
        before = [path for number, path in self._lefts() if number < round]
        if not before:
            return None
        try:
            return unpack_integers(read_within(before[-1], max_packed_bytes(d, LIMIT)), d, LIMIT, np.int16)
        except ValueError as error:
            raise InputError(f"{before[-1]} is damaged; delete it to go on without what it says.") from error

    def seal(self, work: Path, round: int, history: JobHistory) -> None:
        """Writes the update that is committed to, sealed to the round's aggregator, and its record into `work`.

        Raises InputError for a damaged file.
        """
        aggregator = history.accepted
        if aggregator is None:
            raise NotFound(f"Job {self._job_id} is running but no aggregator is in its events; check the RPC address.")
        at, path = self.opened(history), self._kept(round)
        d, c = at.models.parameters, at.setup.chunks
        content = read_within(path, max_update_file_bytes(d, c))
        try:
            _, _, commitment = unpack_update(content, d, c)
        except ValueError as error:
            raise InputError(f"{path} is damaged; delete it to train the round again.") from error
        me = self._node.me.address
        context = self._node.context(Purpose.UPDATE, job_id=self._job_id, round=round, party=me)
        sealed = seal_update(aggregator.encryption_key, content, context)
        keep_submission(work, sealed, submission_hash(commitment, me))

    def _kept(self, round: int) -> Path:
        return self._folder / f"round-{round}" / "update"


def told(error: BaseException) -> str:
    """An error as one sentence; of an error that is not Merit's own, its name and first line."""
    text = next(iter(str(error).strip().splitlines()), "")
    if not isinstance(error, MeritError | NothingToSubmit | ValueError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
