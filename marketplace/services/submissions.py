"""A round's submissions, fetched and opened by the aggregator that they are sealed to."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import count
from time import monotonic
from typing import NamedTuple

from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_exponential

from marketplace.domain import Job, slots
from marketplace.errors import CorruptContent, NotFound, StorageError
from marketplace.keys.sealing import Purpose, SealContext, open_sealed
from marketplace.replay import JobHistory
from marketplace.services.agent import Notice, Report
from marketplace.services.crew import Crew
from marketplace.services.deliveries import Delivery, fetch_update, open_delivery
from marketplace.services.node import Node
from marketplace.services.proofs import CommittedRow, JobSetup
from zk import kzg
from zk.encoding import submission_hash
from zk.files import max_update_file_bytes, unpack_update

ARRIVING = 0.5  # seconds that a delivery is looked for again and again: no event tells that it is there
FIRST_LOOK, LONGER = 0.01, 1.5  # seconds until the second look, and how much longer each pause after it is
FETCHES = 3  # of one submission that came whole and does not open: storage may have spoiled it, and have it later


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
    """Opens submissions, and keeps those that open until they are forgotten. parameters: d.

    All of a round are fetched at once, and one that does not come is not waited for beyond the time that is given: its
    trainer may be the one who keeps it back. A submission names a file that names another, whosever that is: each is
    fetched FETCHES times at most where it comes and does not open.
    """

    def __init__(self, node: Node, job_id: int, setup: JobSetup, parameters: int, report: Report) -> None:
        self._node = node
        self._job_id = job_id
        self._setup = setup
        self._parameters = parameters
        self._report = report
        self._opened: dict[Submitted, CommittedRow] = {}
        self._refused: Counter[Submitted] = Counter()  # how often what came did not open
        self._voids = 0
        self._crew = Crew(f"updates-{job_id}")
        self._fetching: dict[int, Submitted] = {}
        self._numbers = count()

    def forget(self) -> None:
        self._opened.clear()
        self._refused.clear()

    def open_all(
        self, job: Job, history: JobHistory, *, within: float, last: bool
    ) -> tuple[list[CommittedRow | None], list[int], list[int]]:
        """(rows by slot, slots that do not open, slots whose bytes are missing).

        within: seconds to wait. last: whether what is missing is not waited for any more; before, it may not have been
        delivered yet, which is nothing to be told.
        """
        fresh: dict[int, CommittedRow] = {}
        unopened, missing = [], []
        of = {slot: submitted(history, job.round, slot) for slot in slots(job.delivered)}
        if job.voids != self._voids:  # what is delivered again may be the same, and whole
            self._voids = job.voids
            self._refused.clear()
        known = self._opened.keys() | self._unopenable()
        fetched = self._fetched([submission for submission in of.values() if submission not in known], within)
        for slot, submission in of.items():
            if submission in self._opened:
                continue
            if submission in known:
                unopened.append(slot)
                continue
            outcome = fetched.get(submission, NotFound("it is still on its way."))
            if isinstance(outcome, CommittedRow):
                fresh[slot] = outcome
            elif isinstance(outcome, CorruptContent):
                unopened.append(slot)
                self._refused[submission] += 1
                self._say("unopened", f"The update of seat {slot} does not open: {outcome}", round=job.round, slot=slot)
            elif isinstance(outcome, NotFound | StorageError):
                # Who makes storage fail for its own update alone must not keep the round from being settled.
                missing.append(slot)
                if last or not isinstance(outcome, NotFound):
                    text = f"The update of seat {slot} cannot be fetched: {outcome}"
                    self._say("missing", text, round=job.round, slot=slot)
            else:
                raise outcome
        for slot, opens in zip(fresh, self._open_together(list(fresh.values())), strict=True):
            if opens:
                self._opened[of[slot]] = fresh[slot]
            else:
                unopened.append(slot)
                self._refused[of[slot]] = FETCHES
                text = f"The update of seat {slot} does not open its commitment."
                self._say("unopened", text, round=job.round, slot=slot)
        opened = {slot: self._opened.get(submission) for slot, submission in of.items()}
        rows = [opened.get(slot) for slot in range(history.terms.max_trainers)]
        return rows, unopened, missing

    def _unopenable(self) -> set[Submitted]:
        return {submission for submission, times in self._refused.items() if times >= FETCHES}

    def _fetched(self, wanted: list[Submitted], within: float) -> dict[Submitted, CommittedRow | BaseException]:
        """What came of each submission, those left out that are still on their way."""
        found: dict[Submitted, CommittedRow | BaseException] = {}
        for number, outcome in self._crew.finished(0):
            submission = self._fetching.pop(number)
            if isinstance(outcome, CommittedRow):  # what was missing by then may have been delivered since
                found[submission] = outcome
        for submission in set(wanted) - set(found) - set(self._fetching.values()):
            number = next(self._numbers)
            self._fetching[number] = submission
            self._crew.start(number, partial(self._fetch, submission))
        end = monotonic() + within
        # Those of rounds before may never come; they are not waited for.
        while set(wanted) & set(self._fetching.values()):
            for number, outcome in self._crew.some_finished(end - monotonic()):
                submission = self._fetching.pop(number)
                if isinstance(outcome, CommittedRow | BaseException):
                    found[submission] = outcome
            if monotonic() >= end:
                break
        return found

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
        storage, delivery = self._node.storage, self._arrived(submission.cid, context)
        data = fetch_update(storage, delivery, context, bound)
        try:
            row = CommittedRow(*unpack_update(data, self._parameters, self._setup.chunks))
        except ValueError as error:
            raise CorruptContent(f"{error}.") from error
        if submission_hash(row.commitment, submission.operator) != submission.commitment:
            raise CorruptContent("Its points are not those whose hash was submitted.")
        return row

    def _arrived(self, cid: str, context: SealContext) -> Delivery:
        """What opens a submission: its trainer delivers it once it sees that nobody can submit any more."""
        opener = partial(open_sealed, self._node.me.decryption_key)
        looks = Retrying(
            stop=stop_before_delay(ARRIVING),
            wait=wait_exponential(FIRST_LOOK, exp_base=LONGER),
            retry=retry_if_exception_type(NotFound),
            reraise=True,
        )
        return looks(open_delivery, self._node.storage, cid, opener, context)

    def _say(self, kind: str, text: str, *, round: int, slot: int) -> None:
        self._report(Notice(kind, text, round, {"slot": slot}))
