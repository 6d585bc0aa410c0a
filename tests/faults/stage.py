"""What a campaign's run is played on: an Anvil that can be killed with its state kept, and parties as processes."""

import gzip
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import requests

from marketplace.chain.anvil import Anvil
from marketplace.chain.connection import Connection
from tests.faults import child
from tests.faults.child import Order, Trouble
from tests.ipfs_node import _await_api

SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(["tests.faults.child"])
PASSWORD = "test"
MAX_STARTS = 30  # of one party in one run: whoever needs more makes no progress


class Ledger:
    """An Anvil whose process is killed and which goes on from a state that was kept, at another port."""

    def __init__(self, folder: Path, state: Path | None = None) -> None:
        self._folder = folder
        self.kept = state
        self._start()

    def _start(self) -> None:
        self._anvil = Anvil(state=None)
        if self.kept is not None:
            self._anvil._command += ["--load-state", str(self.kept)]
        self._anvil.__enter__()
        self.url = self._anvil.url
        self.connection = Connection(self.url, timeout=20)
        self.first = self.height()

    def height(self) -> int:
        return int(self.connection.request("eth_blockNumber"), 16)

    def keep(self, path: Path | None = None) -> None:
        """Remembers the state of this moment: what a restart goes on from."""
        path = path or self._folder / "state.json"
        path.write_bytes(gzip.decompress(bytes.fromhex(self.connection.request("anvil_dumpState")[2:])))
        self.kept = path

    def kill(self) -> None:
        """SIGKILL, and a start from the state that was kept last; the clock goes on."""
        moment = self.connection.now()
        (anvil,) = _children(self._anvil._process.pid)
        os.killpg(anvil, signal.SIGKILL)  # the guard made it a group: npm starts Anvil through a program of its own
        self._anvil.__exit__()
        self._start()
        ahead = moment - self.connection.now()
        if ahead > 0:
            self.connection.request("evm_increaseTime", ahead)
            self.connection.request("evm_mine")

    def reorganize(self, depth: int) -> int:
        """Replaces the last blocks, as many as this Anvil still can, by empty ones; how many."""
        depth = min(depth, self.height() - self.first - 1)
        if depth > 0:
            self.connection.request("anvil_reorg", depth, [])
        return max(0, depth)

    def close(self) -> None:
        self._anvil.__exit__()


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class Party:
    """One of the job's processes, its home, and how often it was started, killed, and ended by itself."""

    name: str
    arguments: list[str]
    environment: dict[str, str]
    errors: Path
    news: "queue.Queue[tuple[Party, dict[str, Any]]]"
    trouble: Trouble = field(default_factory=Trouble)
    starts: int = 0
    killed: int = 0
    code: int | None = None
    process: "BaseProcess | subprocess.Popen[str] | None" = None

    def start(self, *, executed: bool = False) -> None:
        """executed: as a program from its file, with no trouble but being killed; else forked, which is faster."""
        self.starts += 1
        self.code = None
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
            order = Order(self.arguments, self.environment, self.errors, self.trouble)
            forked = SERVER.Process(target=child.play, args=(order, theirs), daemon=True)
            forked.start()
            theirs.close()
            self.process = forked
            source = os.fdopen(os.dup(ours.fileno()), encoding="utf-8")
            ours.close()
        threading.Thread(target=self._read, args=(source,), daemon=True).start()
        self.trouble = replace(self.trouble, file_bytes=None)  # a disk is full until somebody looks after it

    def _read(self, source: Any) -> None:
        with source:
            for line in source:
                try:
                    self.news.put((self, json.loads(line)))
                except ValueError:  # it was killed in the middle of a line
                    continue

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
        self._folder, self._seconds = folder, seconds
        folder.mkdir(parents=True)
        self._environment = {**os.environ, "IPFS_PATH": str(folder / "repo"), "IPFS_TELEMETRY": "off"}
        self._run("init", "--profile=test")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"/ip4/127.0.0.1/tcp/{port}"
        self._run("config", "Addresses.API", self.address)
        self._start()

    def _run(self, *command: str) -> None:
        subprocess.run(
            ["ipfs", *command], env=self._environment, capture_output=True, check=True, timeout=self._seconds
        )

    def _start(self) -> None:
        (self._folder / "repo/api").unlink(missing_ok=True)
        log = self._folder / "log"
        with log.open("ab") as output:
            command = ["ipfs", "daemon", "--offline"]
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
        self._aside: list[tuple[float, Path, bytes]] = []

    def files(self) -> list[Path]:
        """The oldest first."""
        found = [path for path in self._folder.glob("*/*") if path.parent.name != "partial"]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def spoil(self, kind: str, path: Path, seconds: float) -> None:
        """seconds: until the file is as it was."""
        content = path.read_bytes()
        self._aside.append((time.monotonic() + seconds, path, content))
        match kind:
            case "lost" | "delayed":
                path.unlink()
            case "truncated":
                os.truncate(path, len(content) // 2)
            case "corrupt":
                path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    def mend(self, *, all: bool = False) -> None:
        due = [entry for entry in self._aside if all or entry[0] <= time.monotonic()]
        self._aside = [entry for entry in self._aside if entry not in due]
        for _, path, content in reversed(due):
            path.write_bytes(content)


def balance(url: str, address: str, wei: int) -> None:
    """Gives an account its money without a transaction."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "anvil_setBalance", "params": [address, hex(wei)]}
    requests.post(url, json=body, timeout=20).raise_for_status()
