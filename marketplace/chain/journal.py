"""What was sent, on disk before anybody waits for it: a command that dies does not forget a transaction.

One JSON file for each account and chain, HOME/sent/CHAIN-FIRSTBLOCK-ACCOUNT.json. An entry is written before its
transaction is sent, and again with each replacement, so what may be on its way is always there. It says what the action
is for (`intent`), and is closed once its receipt was given to whoever asked for it. Nothing in it is secret: it is what
the chain shows anyway.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from marketplace.errors import InputError
from marketplace.files import read_within, write_atomically

MAX_ENTRIES = 200  # of one account; the oldest closed ones go first
MAX_FILE = 64 * 2**20  # bytes
_LOCKED_FOR = 30.0  # seconds that another process may take to write its entry

_Word = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]


class Entry(BaseModel):
    """One action under one nonce.

    intent: what it is for, the same for each repeat. hashes: all that was signed for it, of which one is mined at most.
    fields: the transaction as it was signed last; empty once it is closed. at: Unix seconds when it was first sent.
    failed: whether it was mined without effect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    intent: str
    nonce: int = Field(ge=0)
    hashes: list[_Word] = Field(min_length=1)
    fields: dict[str, int | str]
    at: int
    closed: bool = False
    failed: bool = False


_ENTRIES: TypeAdapter[list[Entry]] = TypeAdapter(list[Entry])


class Journal:
    """The journals in a folder. clock: Unix seconds."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def find(self, account: tuple[int, str, str], intent: str) -> Entry | None:
        """The latest action for this intent that may have taken, or may still take, effect.

        account: chain id, hash of the chain's first block, address. Raises InputError for a file that is no journal.
        """
        found = [entry for entry in self._read(self._path(account)) if entry.intent == intent and not entry.failed]
        return found[-1] if found else None

    def note(self, account: tuple[int, str, str], intent: str, hashes: list[str], fields: dict[str, int | str]) -> None:
        """Keeps an action that is about to be sent, in place of what was kept of it under the same nonce.

        Raises InputError where it cannot be written.
        """
        nonce = int(fields["nonce"])
        with self._changed(account) as entries:
            at = int(self._clock())
            for entry in [entry for entry in entries if (entry.intent, entry.nonce) == (intent, nonce)]:
                at, hashes = entry.at, list(dict.fromkeys([*entry.hashes, *hashes]))
                entries.remove(entry)
            entries.append(Entry(intent=intent, nonce=nonce, hashes=hashes, fields=fields, at=at))

    def close(self, account: tuple[int, str, str], intent: str, nonce: int, *, failed: bool) -> None:
        """Notes that its receipt was given. Raises InputError where it cannot be written."""
        with self._changed(account) as entries:
            for number, entry in enumerate(entries):
                if (entry.intent, entry.nonce) == (intent, nonce):
                    entries[number] = entry.model_copy(update={"closed": True, "failed": failed, "fields": {}})

    @contextmanager
    def _changed(self, account: tuple[int, str, str]) -> Iterator[list[Entry]]:
        path = self._path(account)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock"), timeout=_LOCKED_FOR):
                entries = self._read(path)
                yield entries
                while len(entries) > MAX_ENTRIES:
                    entries.remove(next((entry for entry in entries if entry.closed), entries[0]))
                write_atomically(path, _ENTRIES.dump_json(entries, indent=1) + b"\n")
        except Timeout as error:
            raise InputError(f"{path} is held by another process: try again.") from error
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.") from error

    def _path(self, account: tuple[int, str, str]) -> Path:
        chain_id, first_block, address = account
        return self._folder / f"{chain_id}-{first_block[2:18] or 'unknown'}-{address}.json"

    def _read(self, path: Path) -> list[Entry]:
        if not path.exists():
            return []
        try:
            return _ENTRIES.validate_json(read_within(path, MAX_FILE))
        except ValidationError as error:
            raise InputError(
                f"{path} is damaged: see on the chain what this account has done, then remove the file."
            ) from error
