"""What every storage shares: the interface, and bytes that are checked while they are copied."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from marketplace.errors import CorruptContent, StorageError
from marketplace.overload import time_for
from marketplace.storage.cid import CidBuilder, parse_cid

PIECE = 262_144  # bytes that are read at a time
ATTEMPTS = 4  # with up to 4 s between them, or as long as the storage says


class Storage(Protocol):
    """Bytes by content id. Whoever holds the bytes is trusted for nothing: what comes back is hashed again.

    Every method raises StorageError when the storage cannot be reached or used.
    """

    def put(self, source: BinaryIO) -> str:
        """Stores everything that `source` still gives, and returns its CID."""
        ...

    def get(self, cid: str, sink: BinaryIO, *, max_bytes: int) -> int:
        """Writes the content of `cid` to `sink` and returns its size in bytes.

        What the sink holds is only valid once this returns; `fetch_to` and `get_bytes` keep that rule for the caller.
        Raises NotFound where the content is absent, CorruptContent for a malformed CID, for content larger than
        `max_bytes` (before more than that is written), and for bytes that do not hash to the CID.
        """
        ...

    def has(self, cid: str) -> bool:
        """Whether the storage says that it holds `cid`; only `get` shows that it does.

        Raises CorruptContent for a malformed CID.
        """
        ...


class Unreachable(StorageError):
    """The connection was refused or broke, or the storage is busy: the failures that trying again may mend.

    after: seconds for which the storage wants to be left alone.
    """

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class Silent(Unreachable):
    """Nothing came within the timeout."""


def with_retries(attempt: Callable[[], None]) -> None:
    """Makes the attempt until it is no more Unreachable, ATTEMPTS times at most; raises what the last one raised.

    Whoever keeps silent, for a long time each, is asked twice.
    """
    attempts = Retrying(retry=retry_if_exception_type(Unreachable), stop=_enough, wait=_pause, reraise=True)
    attempts(attempt)


def _enough(state: RetryCallState) -> bool:
    return state.attempt_number >= (2 if isinstance(_error(state), Silent) else ATTEMPTS)


def _pause(state: RetryCallState) -> float:
    error = _error(state)
    return max(error.after if isinstance(error, Unreachable) else 0.0, wait_exponential(multiplier=0.1, max=4)(state))


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def pace(timeout: float, where: str) -> Callable[[int], None]:
    """A check, given the bytes so far, that a transfer which begins here takes no longer than overload.time_for.

    timeout: seconds that it may take beside. where: as for `VerifiedSink`.
    """
    start = time.monotonic()

    def check(size: int) -> None:
        if time.monotonic() - start > time_for(size, timeout):
            raise StorageError(f"The transfer with {where} is too slow after {size} bytes; use another one.")

    return check


class VerifiedSink:
    """Passes bytes on to `sink`, never more than `max_bytes`, and tells at the end whether they are `cid`.

    where: the storage's name in sentences, such as "the folder runs/store".
    """

    def __init__(self, cid: str, sink: BinaryIO, max_bytes: int, where: str) -> None:
        self._cid = parse_cid(cid)
        self._sink = sink
        self._max_bytes = max_bytes
        self._where = where
        self._builder = CidBuilder()

    @property
    def size(self) -> int:
        return self._builder.size

    def expect(self, size: int) -> None:
        """Raises CorruptContent when `size` bytes in all would be too many."""
        if size > self._max_bytes:
            raise CorruptContent(
                f"{self._cid} in {self._where} is larger than the {self._max_bytes} bytes allowed here; it is not read."
            )

    def write(self, piece: bytes) -> None:
        self.expect(self.size + len(piece))
        self._builder.update(piece)
        self._sink.write(piece)

    def finish(self) -> int:
        """The size in bytes of the verified content. Raises CorruptContent when it is another's."""
        if self._builder.finish() != self._cid:
            raise CorruptContent(
                f"The {self.size} bytes that {self._where} gave for {self._cid} are not that content; "
                "get it from another storage, or have it published again."
            )
        return self.size


def fetch_to(storage: Storage, cid: str, path: Path, max_bytes: int) -> int:
    """Fetches `cid` into the file `path`, which appears (or is replaced) only when all of it is verified.

    Returns the size in bytes. Raises what `Storage.get` raises, and StorageError where the disk is full; `path` is then
    as it was.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with on_disk(str(path)):
        try:
            with partial.open("xb") as sink:
                size = storage.get(cid, sink, max_bytes=max_bytes)
                sync(sink)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(path.parent)
    return size


@contextmanager
def on_disk(what: str) -> Iterator[None]:
    """For `what` is kept on the own disk: raises StorageError where it cannot be, as when the disk is full."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{what} cannot be kept on disk ({error.strerror or error}): make room.") from error


def get_bytes(storage: Storage, cid: str, max_bytes: int) -> bytes:
    """The verified content of `cid`, for what fits in memory. Raises what `Storage.get` raises."""
    sink = BytesIO()
    storage.get(cid, sink, max_bytes=max_bytes)
    return sink.getvalue()


def put_bytes(storage: Storage, data: bytes) -> str:
    return storage.put(BytesIO(data))


def sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a crash, where the system can (Windows opens no folders)."""
    with suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
