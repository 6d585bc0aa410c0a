"""The embedded chain: an Anvil that Merit starts, waits for and stops.

Anvil comes with the npm package @foundry-rs/anvil. Its accounts derive from the mnemonic that every development chain
prints at start: they are public, and nothing of worth belongs on them.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from queue import Empty, Queue
from typing import Self

from eth_account import Account
from eth_account.signers.local import LocalAccount

from marketplace.errors import ChainError, NotFound

MNEMONIC = "test test test test test test test test test test test junk"
CHAIN_ID = 31337
_GUARD = Path(__file__).with_name("guard.py")
_LISTENING = re.compile(r"Listening on (?:127\.0\.0\.1|0\.0\.0\.0):(\d+)")
_TAIL = 20


def find_tool(name: str) -> str:
    """The path of an npm tool: from PATH, else node_modules/.bin of this folder, the project's, or any above.

    Raises NotFound.
    """
    found = shutil.which(name)
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            found = found or shutil.which(name, path=str(folder / "node_modules" / ".bin"))
    if not found:
        raise NotFound(f"{name} is neither on PATH nor in node_modules: run `npm install` in the project's folder.")
    return found


def dev_accounts(count: int = 10) -> tuple[LocalAccount, ...]:
    """The first accounts of the public development mnemonic (BIP-39, path m/44'/60'/0'/0/i)."""
    Account.enable_unaudited_hdwallet_features()
    return tuple(Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{i}") for i in range(count))


class Anvil:
    """A chain of its own, for as long as the `with` block lasts; it stops with the process that started it.

    accounts: how many funded accounts, each with `balance` ether. port: 0 lets the system choose a free one.
    state: a file that the chain starts from where it exists, and is written to at the end. block_time: seconds between
    blocks; None mines a block for each transaction. start_within: seconds to wait for it.
    Raises NotFound without an Anvil, ChainError when it does not come up.
    """

    def __init__(
        self,
        *,
        chain_id: int = CHAIN_ID,
        accounts: int = 10,
        balance: int = 10_000,
        port: int = 0,
        state: Path | None = None,
        block_time: int | None = None,
        start_within: float = 20.0,
    ) -> None:
        self.chain_id = chain_id
        self.accounts = dev_accounts(accounts)
        self.url = ""
        self._start_within = start_within
        self._tail: deque[str] = deque(maxlen=_TAIL)
        options = {"chain-id": chain_id, "accounts": accounts, "balance": balance, "port": port, "mnemonic": MNEMONIC}
        optional = {"state": state, "block-time": block_time}
        options |= {name: value for name, value in optional.items() if value is not None}
        self._command = [find_tool("anvil"), "--host", "127.0.0.1", "--color", "never"]
        for name, value in options.items():
            self._command += [f"--{name}", str(value)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-IS", str(_GUARD), *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            # A chain has no use for our password, which another user's look at its environment could show.
            env={name: value for name, value in os.environ.items() if not name.startswith("MERIT_")},
        )
        ports: Queue[int | None] = Queue()
        self._reader = threading.Thread(target=self._read, args=(ports,), daemon=True)
        self._reader.start()
        try:
            port = ports.get(timeout=self._start_within)
        except Empty:
            port = None
        if port is None:
            self._stop()
            said = " ".join(self._tail).strip() or "it said nothing"
            raise ChainError(f"Anvil did not start, or not within {self._start_within:g} s: {said}")
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _read(self, ports: "Queue[int | None]") -> None:
        """Empties Anvil's output, so that it never blocks on a full pipe; puts its port, or None at the end."""
        for line in self._process.stdout or ():
            self._tail.append(line.strip())
            if match := _LISTENING.search(line):
                ports.put(int(match[1]))
        ports.put(None)

    def _stop(self) -> None:
        """Returns when every process that holds Anvil's output is gone, its state file written."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        if self._process.stdout:
            self._process.stdout.close()
