"""News for whoever listens: a counter that says "look again", and the last things this node's trainers said."""

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass

from marketplace.services.agent import Notice

KEPT = 5000


@dataclass(frozen=True, slots=True)
class Said:
    """A trainer's notice. number grows over restarts, too: it begins with the time in milliseconds."""

    number: int
    job_id: int
    time: float
    notice: Notice


class Hub:
    """Threads report to it; coroutines wait on it. Nothing that is said waits for a listener."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._said: deque[Said] = deque(maxlen=KEPT)
        self._number = int(time.time() * 1000)
        self.closed = False

    def say(self, job_id: int, notice: Notice) -> None:
        with self._lock:
            self._number += 1
            self._said.append(Said(self._number, job_id, time.time(), notice))
        self.stir()

    def stir(self) -> None:
        """Makes every listener look again."""
        with self._lock:
            for loop, event in self._listeners:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        """Ends every stream."""
        self.closed = True
        self.stir()

    @property
    def number(self) -> int:
        """Of the last thing said."""
        return self._number

    def since(self, number: int) -> list[Said]:
        with self._lock:
            return [said for said in self._said if said.number > number]

    def listen(self) -> "Listener":
        return Listener(self)


class Listener:
    """`async with hub.listen() as listener: … await listener.wait(15)`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._event = asyncio.Event()

    async def __aenter__(self) -> "Listener":
        self._entry = (asyncio.get_running_loop(), self._event)
        with self._hub._lock:
            self._hub._listeners.add(self._entry)
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._hub._lock:
            self._hub._listeners.discard(self._entry)

    async def wait(self, seconds: float) -> None:
        """Until there is something to look at, or the time is over."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return
        self._event.clear()
