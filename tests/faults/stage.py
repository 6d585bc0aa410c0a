"""What a campaign's run is played on: parties as processes, and storage that can be killed or spoiled."""

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from marketplace.cli.forked import SERVER
from tests.faults import child
from tests.faults.child import Order, Trouble
from tests.ipfs_node import MISSING, _await_api, kubo

PASSWORD = "test"
MAX_STARTS = 30  # of one party in one run: whoever needs more makes no progress


@dataclass
class Party:
    """One of the job's processes, its home, how often it was started and killed, and its exit code once it has ended.

    spoke: whether it has told of anything since it was started last.
    """

    name: str
    arguments: list[str]
    environment: dict[str, str]
    errors: Path
    news: "queue.Queue[tuple[Party, dict[str, Any]]]"
    trouble: Trouble = field(default_factory=Trouble)
    starts: int = 0
    killed: int = 0
    code: int | None = None
    spoke: bool = False
    process: "BaseProcess | subprocess.Popen[str] | None" = None
    _keeper: threading.Thread | None = None

    def start(self, *, executed: bool = False) -> None:
        """executed: as a program from its file, with no trouble but being killed; else forked, which is faster."""
        self.starts += 1
        self.code, self.spoke = None, False
        if executed:
            with self.errors.open("ab") as errors:
                popen = subprocess.Popen(
                    [sys.executable, "-m", "marketplace.cli.main", "--json", *self.arguments],
                    env={**os.environ, **self.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                )
            self.process = popen
            source = os.fdopen(os.dup(popen.stdout.fileno()), encoding="utf-8") if popen.stdout else None
        else:
            ours, theirs = SERVER.Pipe(duplex=False)
            heard, said = SERVER.Pipe(duplex=False)
            order = Order(self.arguments, self.environment, self.trouble)
            forked = SERVER.Process(target=child.play, args=(order, theirs, said), daemon=True)
            forked.start()
            self.process = forked
            source = os.fdopen(os.dup(ours.fileno()), encoding="utf-8")
            errors = os.fdopen(os.dup(heard.fileno()), "rb", buffering=0)
            self._keeper = threading.Thread(target=self._keep, args=(errors,), daemon=True)
            self._keeper.start()
            for end in (ours, theirs, heard, said):
                end.close()
        threading.Thread(target=self._read, args=(source,), daemon=True).start()
        self.trouble = replace(self.trouble, file_bytes=None)  # a disk is full until somebody looks after it

    def _read(self, source: Any) -> None:
        with source:
            for line in source:
                try:
                    self.news.put((self, json.loads(line)))
                    self.spoke = True
                except ValueError:  # it was killed in the middle of a line
                    continue

    def _keep(self, source: Any) -> None:
        with source, self.errors.open("ab", buffering=0) as errors:
            shutil.copyfileobj(source, errors, 1024)

    def said(self) -> str:
        """Its standard error of all its starts; complete once it has ended."""
        if self._keeper is not None and self.ended() is not None:
            self._keeper.join(5)
        return self.errors.read_text(errors="replace") if self.errors.exists() else ""

    def kill(self) -> bool:
        """SIGKILL; False where it has ended."""
        if self.process is None or self.ended() is not None:
            return False
        self.process.kill()
        self._wait(10)
        self.killed += 1
        self.code = -signal.SIGKILL
        return True

    def ended(self) -> int | None:
        """The exit code; None while it runs."""
        if self.code is None and self.process is not None:
            found = self.process.poll() if isinstance(self.process, subprocess.Popen) else self.process.exitcode
            self.code = found
        return self.code

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self._wait(10)

    def _wait(self, seconds: float) -> None:
        if isinstance(self.process, subprocess.Popen):
            self.process.wait(seconds)
            if self.process.stdout:
                self.process.stdout.close()
        elif self.process is not None:
            self.process.join(seconds)


class Kubo:
    """A real Kubo daemon that can be killed and comes back at its address with its blocks."""

    def __init__(self, folder: Path, seconds: float = 60.0) -> None:
        program = kubo()
        if program is None:
            raise RuntimeError(MISSING)
        self._program, self._folder, self._seconds = program, folder, seconds
        folder.mkdir(parents=True)
        self._environment = {**os.environ, "IPFS_PATH": str(folder / "repo"), "IPFS_TELEMETRY": "off"}
        self._run("init", "--profile=test")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"/ip4/127.0.0.1/tcp/{port}"
        self._run("config", "Addresses.API", self.address)
        self._start()

    def _run(self, *command: str) -> None:
        command = (self._program, *command)
        subprocess.run(command, env=self._environment, capture_output=True, check=True, timeout=self._seconds)

    def _start(self) -> None:
        (self._folder / "repo/api").unlink(missing_ok=True)
        log = self._folder / "log"
        with log.open("ab") as output:
            command = [self._program, "daemon", "--offline"]
            self._daemon = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)
        _await_api(self._daemon, self._folder / "repo/api", log)

    def kill(self) -> None:
        self._daemon.kill()
        self._daemon.wait()
        self._start()

    def close(self) -> None:
        self._daemon.kill()
        self._daemon.wait()


class Shelf:
    """Faults of a storage folder, from outside: files that are lost, damaged, cut or late, for a while or for good."""

    KINDS = ("lost", "corrupt", "truncated", "delayed")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._aside: dict[Path, tuple[float, bytes]] = {}  # until when it is spoiled, and what it is otherwise

    def files(self) -> list[Path]:
        """The oldest first."""
        found = [path for path in self._folder.glob("*/*") if path.parent.name != "partial"]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def spoil(self, kind: str, path: Path, seconds: float) -> None:
        """seconds: until the file is as it was before anything befell it."""
        content = self._aside[path][1] if path in self._aside else path.read_bytes()
        self._aside[path] = (time.monotonic() + seconds, content)
        match kind:
            case "lost" | "delayed":
                path.unlink()
            case "truncated":
                path.write_bytes(content[: len(content) // 2])
            case "corrupt":
                path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    def mend(self, *, all: bool = False) -> None:
        due = [path for path, (until, _) in self._aside.items() if all or until <= time.monotonic()]
        for path in due:
            path.write_bytes(self._aside.pop(path)[1])
