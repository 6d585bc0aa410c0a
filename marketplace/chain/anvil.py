"""The embedded chain: an Anvil that Merit starts, waits for and stops.

Its state is kept in a file, which is replaced as a whole soon after each block: Anvil's own --state-interval rewrites a
file in place, and a power loss in the middle of that leaves neither the old state nor the new one. What Anvil writes
itself, when it is told to stop, goes into a file beside, and is taken over once it is known to be whole.

Anvil comes with the npm package @foundry-rs/anvil, or is downloaded from it (chain/download.py). Its accounts derive
from the mnemonic that every development chain prints at start: they are public, and nothing of worth belongs on them.
"""

import gzip
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Self

from eth_account import Account
from eth_account.signers.local import LocalAccount
from pydantic_core import from_json

from marketplace.chain.connection import Connection
from marketplace.chain.download import downloaded_anvil
from marketplace.errors import ChainError, InputError, NotFound
from marketplace.files import write_atomically

MNEMONIC = "test test test test test test test test test test test junk"
CHAIN_ID = 31337
_GUARD = Path(__file__).with_name("guard.py")
_LISTENING = re.compile(r"Listening on (?:127\.0\.0\.1|0\.0\.0\.0):(\d+)")
_TAIL = 20
KEPT_EVERY = 0.5  # seconds between two looks for a block that is not in the state file yet

log = logging.getLogger("merit.chain")


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


def find_anvil() -> str:
    """The path of Anvil: as `find_tool` finds it, else downloaded. Raises as `downloaded_anvil` does."""
    try:
        return find_tool("anvil")
    except NotFound:
        return str(downloaded_anvil())


def dev_accounts(count: int = 10) -> tuple[LocalAccount, ...]:
    """The first accounts of the public development mnemonic (BIP-39, path m/44'/60'/0'/0/i)."""
    Account.enable_unaudited_hdwallet_features()
    return tuple(Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{i}") for i in range(count))


class Anvil:
    """A chain of its own, for as long as the `with` block lasts; it stops with the process that started it.

    accounts: how many funded accounts, each with `balance` ether. port: 0 lets the system choose a free one.
    state: a file that the chain starts from where it exists, and that it is kept in while it runs. block_time: seconds
    between blocks; None mines a block for each transaction. start_within: seconds to wait for it.
    Without an Anvil on the machine it is downloaded first. Raises as `find_anvil` does, ChainError when it does not
    come up, InputError for a state that is not whole.
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
        self._state = state
        self._ending = threading.Event()
        self._tail: deque[str] = deque(maxlen=_TAIL)
        options = {"chain-id": chain_id, "accounts": accounts, "balance": balance, "port": port, "mnemonic": MNEMONIC}
        if block_time is not None:
            options["block-time"] = block_time
        if state is not None:
            options["dump-state"] = _at_exit(state)
        # Its own default is to allow any gas: what works here has to work on Ethereum.
        self._command = [find_anvil(), "--host", "127.0.0.1", "--color", "never", "--enable-tx-gas-limit"]
        for name, value in options.items():
            self._command += [f"--{name}", str(value)]

    def __enter__(self) -> Self:
        load: list[str] = []
        if self._state is not None:
            self._state.parent.mkdir(parents=True, exist_ok=True)
            _take_over(self._state)
            load = ["--load-state", str(self._state)] if _is_whole(self._state) else []
        self._process = subprocess.Popen(
            [sys.executable, "-IS", str(_GUARD), *self._command, *load],
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
        if self._state is not None:
            self._keeper = threading.Thread(target=self._keep, args=(self._state,), daemon=True)
            self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._stop()
        if self._state is not None:
            self._keeper.join(10)
            _take_over(self._state)

    def _keep(self, state: Path) -> None:
        """Writes the state whenever there is another block, until the chain ends."""
        connection, kept, wait = None, "", KEPT_EVERY
        while not self._ending.wait(wait):
            begun = time.monotonic()
            try:
                connection = connection or Connection(self.url)
                latest = connection.latest().hash
                if latest != kept:
                    dumped = gzip.decompress(bytes.fromhex(connection.request("anvil_dumpState")[2:]))
                    write_atomically(state, dumped)
                    kept = latest
            except (ChainError, InputError) as error:
                if not self._ending.is_set():
                    log.warning("The chain's state was not kept: %s", error)
            wait = max(KEPT_EVERY, 10 * (time.monotonic() - begun))  # a large chain is busy a tenth of the time

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


def _at_exit(state: Path) -> Path:
    """Where Anvil writes when it is told to stop."""
    return state.with_name(f"{state.name}.exit")


def _take_over(state: Path) -> None:
    """Makes what Anvil wrote at its end the state, where that is whole and later than what was kept before it."""
    written = _at_exit(state)
    with suppress(FileNotFoundError):
        late = not state.exists() or written.stat().st_mtime_ns >= state.stat().st_mtime_ns
        try:
            if late and _is_whole(written):
                write_atomically(state, written.read_bytes())
        except InputError:  # cut short, as by a power loss: what was kept is there
            pass
        written.unlink()


def _is_whole(state: Path) -> bool:
    """Whether there is a state; raises InputError where there is a part of one."""
    if not state.exists():
        return False
    try:
        found = from_json(state.read_bytes())
    except ValueError:
        found = None
    except OSError as error:
        raise InputError(f"{state} cannot be read: {error.strerror}.") from error
    if not isinstance(found, dict) or "blocks" not in found:
        raise InputError(f"{state} is not a chain's whole state: move it away, and a new chain starts without it.")
    return True
