"""Processes of `merit` that begin at once: forked from one that has loaded what all of them use.

Loading the chain's client and torch takes a processor five seconds, which each of ten parties on one machine would
spend before it does anything. A forked process is one of its own all the same: its memory, files, signals and end.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(
    [  # but for the module that began this process, which multiprocessing runs anew in each
        "marketplace.api.serve",
        "marketplace.services.aggregator",
        "marketplace.services.audit",
        "marketplace.services.owner",
        "marketplace.services.trainer",
        "torch._dynamo",  # which torch loads with its first optimizer
        "torchmetrics",
    ]
)


def load() -> None:
    """Begins to load what the processes use, in another process, so that the first of them need not wait for it."""
    forkserver.ensure_running()


class Forked:
    """A process that calls a module's `main()` with arguments, an environment and outputs of its own.

    stdout, stderr: what it writes. Its methods are those of `subprocess.Popen`.
    """

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path | None = None
    ) -> None:
        """arguments: sys.argv from 1 on. environment: all of it. log: a file to which standard error is added in place
        of `stderr`. Standard input is empty."""
        ours, output = SERVER.Pipe(duplex=False)
        heard, errors = SERVER.Pipe(duplex=False)
        what = (module, list(arguments), dict(environment), output, errors, log)
        self._process = SERVER.Process(target=_play, args=what)
        self._process.start()
        self.stdout, self.stderr = _file(ours), _file(heard)
        for end in (ours, output, heard, errors):
            end.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code, below zero by the signal that ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code; None where it still runs after so many seconds."""
        self._process.join(timeout)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """All that it writes to its end. Raises TimeoutError where it takes longer, and ends it."""
        with ThreadPoolExecutor(2) as readers:
            parts = [readers.submit(stream.read) for stream in (self.stdout, self.stderr)]
            if self.wait(timeout) is None:
                self.kill()
                raise TimeoutError(f"it takes longer than {timeout:.0f} s")
            return parts[0].result(), parts[1].result()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _file(end: Connection) -> IO[bytes]:
    return os.fdopen(os.dup(end.fileno()), "rb")


def _play(
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    output: Connection,
    errors: Connection,
    log: Path | None,
) -> None:
    import torch

    os.environ.clear()
    os.environ.update(environment)
    if threads := environment.get("OMP_NUM_THREADS"):  # which torch read when it was loaded
        torch.set_num_threads(int(threads))
    for number, end in ((1, output), (2, errors)):
        os.dup2(end.fileno(), number)
        end.close()
    if log is not None:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    sys.argv = ["merit", *arguments]
    import_module(module).main()
