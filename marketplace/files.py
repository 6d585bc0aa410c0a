"""Small files on the own disk, read within bounds and written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from marketplace.errors import InputError


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
    """Replaces the file at once: after a crash there is the old content or the whole new one, on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds a work folder for this process. Raises InputError when another has it; a dead process has none."""
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise InputError(
            f"Another process works in {folder} with the same key: let it go on, or stop it first."
        ) from error
