"""What keeps a process from working on its jobs: each job's trouble is that job's, and is tried again by itself."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from marketplace.errors import MeritError
from marketplace.services.agent import Notice, Report

FIRST = 1.0  # seconds until a job is tried again, twice as many after each failure
LONGEST = 600.0
MAX_TEXT = 500  # characters: a part of it may be a stranger's
MOST_TOLD = 50  # texts of one trouble that are told

log = logging.getLogger("merit.jobs")


@dataclass(frozen=True, slots=True)
class Trouble:
    """since, again_at: Unix seconds by this machine's clock; again_at: None where nothing is tried any more."""

    job_id: int
    since: float
    text: str
    again_at: float | None


@dataclass(slots=True)
class _Record:
    trouble: Trouble
    attempts: int = 1
    told: set[str] = field(default_factory=set)


class Troubles:
    """The troubles of one process; any thread may ask. report: told each text once. clock: Unix seconds."""

    def __init__(self, report: Report, clock: Callable[[], float] = time.time) -> None:
        self._report = report
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[int, _Record] = {}

    def met(self, job_id: int, error: BaseException, *, longest: float = LONGEST) -> Trouble:
        """A job has failed once more. longest: seconds after which it must be tried again."""
        text = sentence(error)
        if not isinstance(error, MeritError):
            log.error("job %d", job_id, exc_info=error)
        with self._lock:
            known = self._records.get(job_id)
            attempts = known.attempts + 1 if known else 1
            now = self._clock()
            pause = min(FIRST * 2 ** min(attempts - 1, 20), longest)
            trouble = Trouble(job_id, known.trouble.since if known else now, text, now + pause)
            record = _Record(trouble, attempts, known.told if known else set())
            self._records[job_id] = record
            new = text not in record.told and len(record.told) < MOST_TOLD
            record.told.add(text)
        if new:
            self._report(Notice("trouble", f"Job {job_id}: {text}", values={"job": job_id}))
        return trouble

    def over(self, job_id: int) -> None:
        """The job goes on, or is not this process's any more."""
        with self._lock:
            self._records.pop(job_id, None)

    def attempts(self, job_id: int) -> int:
        """How often in a row the job has failed."""
        with self._lock:
            record = self._records.get(job_id)
            return record.attempts if record else 0

    def waits(self, job_id: int) -> bool:
        """Whether the time to try the job again is still to come."""
        with self._lock:
            record = self._records.get(job_id)
            return record is not None and (record.trouble.again_at or 0.0) > self._clock()

    def hurry(self, job_id: int) -> None:
        """Lets the job be tried at once, because something has changed."""
        with self._lock:
            record = self._records.get(job_id)
            if record is not None:
                record.trouble = replace(record.trouble, again_at=self._clock())

    def all(self) -> list[Trouble]:
        """By job."""
        with self._lock:
            return [record.trouble for _, record in sorted(self._records.items())]


def sentence(error: BaseException) -> str:
    """One plain sentence, fit for a terminal; of an error that nobody expected, its kind."""
    if isinstance(error, MeritError):
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(str(error).split()))
        return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
    return f"An unexpected {type(error).__name__} came up; the log says more."
