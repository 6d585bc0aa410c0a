"""A trainer that works in a thread of its own."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from marketplace.services.agent import Notice, Report

log = logging.getLogger("merit.participation")

MOST_KEPT = 1000  # notices

Work = Callable[[Report, threading.Event, Callable[[], AbstractContextManager[object]]], None]
"""Given whom to tell, what says that it is to stop, and what to hold while it begins."""


class Participation:
    """Made by `Job.join`. It ends by itself when the job is over, and with the process, which may then join again."""

    def __init__(self, name: str, work: Work, report: Report) -> None:
        """Returns once the work has begun; raises what keeps it from beginning."""
        self._name = name
        self._told = report
        self._notices: deque[Notice] = deque(maxlen=MOST_KEPT)
        self._error: BaseException | None = None
        self._stop, self._begun = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._thread.start()
        try:
            self._begun.wait()
        except BaseException:  # interrupted: nobody will have what could stop it
            self._stop.set()
            raise
        if not self._thread.is_alive() or self._error is not None:
            self.wait()

    def __repr__(self) -> str:
        return f"<merit.Participation, {self._name}, {'running' if self.running else 'ended'}>"

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    @property
    def notices(self) -> list[Notice]:
        """What has happened, up to now; the last MOST_KEPT."""
        return list(self._notices)

    def wait(self, timeout: float | None = None) -> None:
        """Until the job is over. timeout: seconds. Raises TimeoutError, and what the trainer ended with."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"The {self._name} still works after {timeout:g} s.")
        if self._error is not None:
            raise self._error

    def stop(self, timeout: float | None = None) -> None:
        """Ends it after what it does at the moment; the seat stays taken, and silence costs stake. Else as `wait`."""
        self._stop.set()
        self.wait(timeout)

    def _run(self, work: Work) -> None:
        try:
            work(self._report, self._stop, self._beginning)
        except BaseException as error:  # noqa: BLE001 (it is raised where somebody waits)
            self._error = error
        finally:
            self._begun.set()

    @contextmanager
    def _beginning(self) -> Iterator[None]:
        yield
        self._begun.set()

    def _report(self, notice: Notice) -> None:
        self._notices.append(notice)
        try:
            self._told(notice)
        except Exception:  # silence would cost stake: the work goes on
            log.exception("A report of the %s", self._name)
