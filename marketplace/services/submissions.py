"""A round's submissions, fetched and opened by the aggregator that they are sealed to."""

from collections.abc import Sequence
from typing import NamedTuple

from marketplace.domain import Job, slots
from marketplace.errors import CorruptContent, NotFound, StorageError
from marketplace.keys.sealing import Purpose, open_sealed
from marketplace.replay import JobHistory
from marketplace.services.agent import Notice, Report
from marketplace.services.node import Node, fetch_opened
from marketplace.services.proofs import CommittedRow, JobSetup
from zk import kzg
from zk.encoding import commitment_hash
from zk.files import max_update_file_bytes, unpack_update


class Submitted(NamedTuple):
    """A submission, by all that decides what opens it: a slot may be another's after a reorganization."""

    round: int
    operator: str
    commitment: bytes
    cid: str


def submitted(history: JobHistory, round: int, slot: int) -> Submitted:
    event = history.rounds[round - 1].submissions[slot]
    return Submitted(round, history.holders[slot].operator, event.commitment, event.cid)


class Submissions:
    """Opens submissions, and keeps those that open until they are forgotten. parameters: d."""

    def __init__(self, node: Node, job_id: int, setup: JobSetup, parameters: int, report: Report) -> None:
        self._node = node
        self._job_id = job_id
        self._setup = setup
        self._parameters = parameters
        self._report = report
        self._opened: dict[Submitted, CommittedRow] = {}

    def forget(self) -> None:
        self._opened.clear()

    def open_all(self, job: Job, history: JobHistory) -> tuple[list[CommittedRow | None], list[int], list[int]]:
        """(rows by slot, slots that do not open, slots whose bytes are not to be had)."""
        fresh: dict[int, CommittedRow] = {}
        unopened, missing = [], []
        of = {slot: submitted(history, job.round, slot) for slot in slots(job.submitted)}
        for slot, submission in of.items():
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
                self._opened[of[slot]] = fresh[slot]
            else:
                unopened.append(slot)
                text = f"The update of slot {slot} does not open its commitment."
                self._say("unopened", text, round=job.round, slot=slot)
        opened = {slot: self._opened.get(submission) for slot, submission in of.items()}
        rows = [opened.get(slot) for slot in range(history.terms.max_trainers)]
        return rows, unopened, missing

    def _open_together(self, rows: Sequence[CommittedRow]) -> list[bool]:
        return kzg.which_open(
            self._setup.srs,
            [row.row for row in rows],
            [row.blinders for row in rows],
            [row.commitment for row in rows],
        )

    def _fetch(self, submission: Submitted) -> CommittedRow:
        """The update with the points that were submitted; whether it opens them is not looked at.

        Raises NotFound, StorageError or CorruptContent.
        """
        context = self._node.context(
            Purpose.UPDATE, job_id=self._job_id, round=submission.round, party=submission.operator
        )
        bound = max_update_file_bytes(self._parameters, self._setup.chunks)
        data = fetch_opened(
            self._node.storage,
            submission.cid,
            lambda source, sink: open_sealed(self._node.me.decryption_key, source, sink, context, bound),
            max_bytes=bound,
        )
        try:
            row = CommittedRow(*unpack_update(data, self._parameters, self._setup.chunks))
        except ValueError as error:
            raise CorruptContent(f"{error}.") from error
        if commitment_hash(row.commitment) != submission.commitment:
            raise CorruptContent("Its points are not those whose hash was submitted.")
        return row

    def _say(self, kind: str, text: str, *, round: int, slot: int) -> None:
        self._report(Notice(kind, text, round, {"slot": slot}))
