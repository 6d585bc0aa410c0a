"""The chains of a campaign: an Anvil or a Ganache that can be killed and goes on from its state at another port."""

import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from marketplace.chain import guard
from marketplace.chain.anvil import MNEMONIC, Anvil, find_tool
from marketplace.chain.connection import Connection
from marketplace.errors import ChainError
from tests.patience import PATIENCE


class Ledger:
    """An Anvil. kept: the state, a file, that it starts from; None for an empty chain."""

    def __init__(self, folder: Path, kept: Path | None = None) -> None:
        self._folder = folder
        self.kept = kept
        self._start()

    def _start(self) -> None:
        self._anvil = Anvil(state=None)
        if self.kept is not None:
            self._anvil._command += ["--load-state", str(self.kept)]
        self._anvil.__enter__()
        self.url = self._anvil.url
        self.connection = Connection(self.url, timeout=PATIENCE)
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
        self._catch_up(moment)

    def _catch_up(self, moment: int) -> None:
        ahead = moment - self.connection.now()
        if ahead > 0:
            self.connection.request("evm_increaseTime", ahead)
            self.connection.request("evm_mine")

    def mine(self, blocks: int) -> None:
        self.connection.request("anvil_mine", hex(blocks))

    def endow(self, address: str, wei: int) -> None:
        """Gives an account its money without a transaction."""
        self.connection.request("anvil_setBalance", address, hex(wei))

    def reorganize(self, depth: int) -> int:
        """Replaces the last blocks, as many as this Anvil still can, by empty ones; how many.

        Anvil loses blocks where it is told to in the midst of making one: it makes none meanwhile, and the one that is
        mined here waits for one that is on its way.
        """
        self.connection.request("evm_setAutomine", False)
        self.mine(1)
        depth = min(depth, self.height() - self.first - 2)
        if depth > 0:
            self.connection.request("anvil_reorg", depth + 1, [])
        self.connection.request("evm_setAutomine", True)
        self.mine(1)  # what was sent meanwhile
        return max(0, depth)

    def close(self) -> None:
        self._anvil.__exit__()


class GanacheLedger(Ledger):
    """A Ganache, whose state is a folder that it writes as it goes. It cannot reorganize its blocks."""

    def _start(self) -> None:
        database = self._folder / "ganache"
        if self.kept is not None and not database.exists():
            shutil.copytree(self.kept, database)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        options = [f"--server.port={port}", f"--database.dbPath={database}", f"--wallet.mnemonic={MNEMONIC}"]
        command = [find_tool("ganache"), "--chain.hardfork=shanghai", "--chain.chainId=1337", *options]
        self._process = subprocess.Popen(
            [sys.executable, "-IS", guard.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.url = f"http://127.0.0.1:{port}"
        until = Retrying(
            wait=wait_fixed(0.2), stop=stop_after_delay(PATIENCE), retry=retry_if_exception_type(ChainError)
        )
        self.connection = until(Connection, self.url, timeout=PATIENCE)
        self.first = self.height()

    def keep(self, path: Path | None = None) -> None:
        """What it wrote is there. path: where the folder is copied to, for ledgers that start from it."""
        if path is not None:
            self.close()
            shutil.copytree(self._folder / "ganache", path)
            self._start()

    def kill(self) -> None:
        moment = self.connection.now()
        (ganache,) = _children(self._process.pid)
        os.killpg(ganache, signal.SIGKILL)
        self.close()
        self._start()
        self._catch_up(moment)

    def mine(self, blocks: int) -> None:
        self.connection.request("evm_mine", {"blocks": blocks})

    def endow(self, address: str, wei: int) -> None:
        self.connection.request("evm_setAccountBalance", address, hex(wei))

    def reorganize(self, depth: int) -> int:
        return 0

    def close(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(20)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
