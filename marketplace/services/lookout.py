"""Which of a market's jobs an aggregator reads next: all of them once, and those that wait again and again."""

from collections import deque
from collections.abc import Collection, Iterable

from marketplace.services.node import Node
from marketplace.services.requests import Asking, read_asking

AT_A_TIME = 50  # jobs


class Lookout:
    """A queue of job numbers: first those that were worked on before, then the newest."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._queue: deque[int] = deque()
        self._count = 0

    @property
    def waiting(self) -> bool:
        return bool(self._queue)

    def count(self) -> None:
        """Queues the jobs that were created since. Raises ChainError."""
        count = self._node.market.job_count()
        if count < self._count:  # jobs above it left the chain: their numbers may be others' when they come back
            self._queue = deque(job_id for job_id in self._queue if job_id <= count)
        elif not self._count:
            worked_on = self._worked_on()
            self._queue.extend(job_id for job_id in worked_on if job_id <= count)
            self._queue.extend(job_id for job_id in range(count, 0, -1) if job_id not in worked_on)
        else:
            self._queue.extendleft(range(self._count + 1, count + 1))
        self._count = count

    def again(self, job_id: int) -> None:
        """Puts a job at the queue's end."""
        self._queue.append(job_id)

    def take(self, waiting: Iterable[int]) -> list[int]:
        """The next jobs of the queue; where it is empty, the first of those that are given."""
        if not self._queue:
            return [job_id for job_id, _ in zip(waiting, range(AT_A_TIME), strict=False)]
        return [self._queue.popleft() for _ in range(min(AT_A_TIME, len(self._queue)))]

    def look(self, job_ids: Collection[int]) -> list[tuple[int, Asking | Exception | None]]:
        """Each job as `requests.read_asking` gives it, or what reading it raised."""
        found: list[tuple[int, Asking | Exception | None]] = []
        for job_id in job_ids:
            try:
                found.append((job_id, read_asking(self._node, job_id)))
            except Exception as error:  # noqa: BLE001 (it is this job's, and keeps no other from being read)
                found.append((job_id, error))
        return found

    def _worked_on(self) -> dict[int, None]:
        """The jobs that this account has a work folder for, newest first."""
        names = [folder.name for folder in self._node.work(0).parent.iterdir()]
        numbers = sorted((int(name) for name in names if name.isdecimal() and len(name) < 19), reverse=True)
        return dict.fromkeys(number for number in numbers if number)
