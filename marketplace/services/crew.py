"""Work on many jobs at once, so that one that waits for its storage, or proves for minutes, holds up no other."""

import threading
from collections.abc import Callable


class Crew:
    """Calls in threads of their own, one at a time for each key. The threads end with the process, also in a call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._busy: set[int] = set()
        self._done: list[tuple[int, object]] = []

    @property
    def busy(self) -> frozenset[int]:
        """The keys whose call goes on, or has ended and was not asked for yet."""
        with self._changed:
            return frozenset(self._busy)

    def start(self, key: int, call: Callable[[], object]) -> None:
        """Begins a call; its key must not be busy."""
        with self._changed:
            if key in self._busy:
                raise ValueError(f"{key} is busy")
            self._busy.add(key)
        threading.Thread(target=self._run, args=(key, call), name=f"{self._name}-{key}", daemon=True).start()

    def some_finished(self, within: float) -> list[tuple[int, object]]:
        """As `finished`, once any call has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._done or not self._busy, max(0.0, within))
        return self.finished(0)

    def finished(self, within: float) -> list[tuple[int, object]]:
        """What the ended calls gave, or the exception that each raised, by key. within: seconds to wait for all."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._done) == len(self._busy), max(0.0, within))
            done, self._done = self._done, []
            self._busy -= {key for key, _ in done}
            return done

    def _run(self, key: int, call: Callable[[], object]) -> None:
        outcome: object
        try:
            outcome = call()
        except BaseException as error:  # noqa: BLE001 (a panic of the core is no Exception; whose it is, is told by its key)
            outcome = error
        with self._changed:
            self._done.append((key, outcome))
            self._changed.notify_all()
