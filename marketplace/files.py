"""Small files on the own disk, read within bounds and written whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from marketplace.errors import InputError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def no_room(error: BaseException | None) -> bool:
    """Whether a disk was full, which passes once somebody has made room."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def read_within(path: Path, max_bytes: int) -> bytes:
    """The file's bytes. Raises InputError when it cannot be read or is longer than `max_bytes`."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > max_bytes:
        raise InputError(f"{path} is longer than the {max_bytes} bytes it may have.")
    return data


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replaces the file at once: after a crash there is the old content or the whole new one, on disk.

    Raises InputError where it cannot be written; its cause is the OSError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, mode)
            os.replace(name, path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds a work folder for this process. Raises InputError when another has it; a dead process has none."""
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"Another process works in {folder} with the same key: let it go on, or stop it first."
        ) from error
    except OSError as error:
        raise InputError(f"{folder} cannot be worked in: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()
