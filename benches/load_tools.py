"""What load is measured with: processes of Merit, their memory over time, and how fast a node answers."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import httpx
import numpy as np
from tenacity import RetryCallState, Retrying, retry_if_not_result, stop_after_delay, wait_fixed

MIB = 2**20


def memory(pid: int, what: str = "VmRSS") -> int:
    """Bytes that a process holds in memory, or (VmHWM) has held at most; 0 once it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) * 1024
    return 0


def quantiles(values: list[float]) -> dict[str, float]:
    """median and p95; 0 where there is no value."""
    at = np.quantile(values or [0.0], [0.5, 0.95])
    return {"p50": float(at[0]), "p95": float(at[1]), "count": len(values)}


def slope(points: list[tuple[float, float]]) -> float:
    """Of the least-squares line through (x, y): y for each x."""
    x, y = np.array(points, dtype=float).T
    return float(np.polyfit(x, y, 1)[0]) if len(points) > 2 else 0.0


@dataclass
class Process:
    """A `merit` process. notices: the lines of JSON that it prints, each with when it was heard. errors: its log."""

    name: str
    pid: int
    errors: Path
    notices: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [notice for _, notice in list(self.notices) if notice.get("kind") == kind]


@contextmanager
def running(name: str, arguments: list[str], home: Path, environment: Mapping[str, str]) -> Iterator[Process]:
    """Runs `merit --json ARGUMENTS` until the block ends."""
    home.mkdir(parents=True, exist_ok=True)
    errors = home / "errors"
    with errors.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "marketplace.cli.main", "--json", *arguments],
            env={**os.environ, "MERIT_HOME": str(home), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
        )
        made = Process(name, process.pid, errors)

        def listen() -> None:
            for line in process.stdout or ():
                with contextlib.suppress(ValueError):
                    made.notices.append((time.monotonic(), json.loads(line)))

        reader = threading.Thread(target=listen, daemon=True)
        reader.start()
        try:
            yield made
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            reader.join(10)


def until(holds: Callable[[], Any], what: str, within: float) -> Any:
    """What `holds` gives once it is true. Raises TimeoutError."""

    def give_up(_: RetryCallState) -> NoReturn:
        raise TimeoutError(f"not within {within:g} s: {what}")

    wanted = retry_if_not_result(bool)
    asked = Retrying(wait=wait_fixed(0.1), stop=stop_after_delay(within), retry=wanted, retry_error_callback=give_up)
    return asked(holds)


class Repeating:
    """Calls `work` every `seconds` in a thread, while the `with` block lasts."""

    def __init__(self, seconds: float, work: Callable[[], None]) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(seconds, work), daemon=True)

    def _run(self, seconds: float, work: Callable[[], None]) -> None:
        while not self._stop.wait(seconds):
            work()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)


class Memory:
    """Samples of processes' memory: (seconds since the first, bytes), by name."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._started = time.monotonic()
        self.samples: dict[str, list[tuple[float, int]]] = {name: [] for name in pids}

    def look(self) -> None:
        for name, pid in self._pids.items():
            self.samples[name].append((time.monotonic() - self._started, memory(pid)))


class Visitor:
    """Asks a node for pages, one after another, and remembers how long each took, in seconds; and its failures."""

    def __init__(self, url: str, paths: Mapping[str, str]) -> None:
        self._client = httpx.Client(base_url=url, timeout=60)
        self._paths = paths
        self.seconds: dict[str, list[float]] = {name: [] for name in paths}
        self.failures = 0

    def answers(self, path: str) -> bool:
        try:
            return self._client.get(path).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def look(self) -> None:
        for name, path in self._paths.items():
            started = time.perf_counter()
            self.failures += not self.answers(path)
            self.seconds[name].append(time.perf_counter() - started)


class Listeners:
    """Clients of a node's event stream. heard: how many events each was sent; breaks: how often a stream ended."""

    def __init__(self, url: str, count: int) -> None:
        self._url = url
        self.heard = [0] * count
        self.breaks = 0
        for number in range(count):
            threading.Thread(target=self._listen, args=(number,), daemon=True).start()

    def _listen(self, number: int) -> None:
        while True:
            with (
                contextlib.suppress(httpx.HTTPError),
                httpx.Client(base_url=self._url, timeout=60) as client,
                client.stream("GET", "/api/events") as answer,
            ):
                for line in answer.iter_lines():
                    self.heard[number] += line.startswith("event:")
            self.breaks += 1
            time.sleep(1)
