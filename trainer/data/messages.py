"""Arrow's messages as they lie in a file: what their buffers unpack to is known before anything is unpacked.

Format: https://arrow.apache.org/docs/format/Columnar.html (IPC), with flatbuffers as in Message.fbs.
"""

import struct
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import ipc

MAX_BATCH = 2**30
"""Most bytes that the compressed buffers of one batch may unpack to."""

_FILE = b"ARROW1\0\0"
_DICTIONARY, _BATCH = 2, 3  # a message's kind
_HEADER, _KIND = 2, 1  # fields of a message
_DATA = 1  # of a dictionary's
_BUFFERS, _COMPRESSION = 2, 3  # of a batch's


def open_stream(path: Path, source: Any) -> Any:
    """The reader of an Arrow file or stream, which is mapped. A file's footer is not looked at: what it points to need
    not be what the stream inside it says.

    Raises ValueError where the compressed buffers of a batch say that they unpack to more than MAX_BATCH.
    """
    source.seek(0)
    start = len(_FILE) if source.read(len(_FILE)) == _FILE else 0
    source.seek(start)
    for number, message in enumerate(ipc.MessageReader.open_stream(source)):
        size = _unpacked(message)
        if size > MAX_BATCH:
            raise ValueError(
                f"{path}: batch {number} unpacks to {size} bytes, at most {MAX_BATCH} are possible: write smaller "
                "batches, or no compressed ones"
            )
    source.seek(start)
    return ipc.open_stream(source)


def is_compressed(path: Path) -> bool:
    """Whether any buffer of an Arrow file or stream is compressed."""
    with pa.memory_map(str(path)) as source:
        source.seek(len(_FILE) if source.read(len(_FILE)) == _FILE else 0)
        return any(_unpacked(message) for message in ipc.MessageReader.open_stream(source))


def _unpacked(message: Any) -> int:
    """Bytes that a message's compressed buffers say they unpack to: each begins with its size, −1 where it is as it
    is. Arrow has checked the flatbuffer. 0 where nothing is compressed."""
    table = _Table(memoryview(message.metadata))
    kind = table.small(_KIND)
    if kind not in (_DICTIONARY, _BATCH):
        return 0
    batch = table.below(_HEADER)
    if kind == _DICTIONARY:
        batch = batch.below(_DATA)
    if not batch.has(_COMPRESSION):
        return 0
    body, total = memoryview(message.body or b""), 0
    for offset, length in batch.pairs(_BUFFERS):
        if length == 0:
            continue
        if length < 8 or not 0 <= offset <= len(body) - length:
            raise ValueError("a compressed buffer lies outside of its message")
        (size,) = struct.unpack_from("<q", body, offset)
        if size < -1:
            raise ValueError("a compressed buffer has no size")
        total += length - 8 if size == -1 else size
    return total


class _Table:
    """A flatbuffer's table."""

    def __init__(self, data: memoryview, at: int | None = None) -> None:
        self._data = data
        self._at = struct.unpack_from("<I", data)[0] if at is None else at
        self._fields = self._at - struct.unpack_from("<i", data, self._at)[0]

    def _place(self, field: int) -> int:
        """Where a field is; 0 where it is not there."""
        (size,) = struct.unpack_from("<H", self._data, self._fields)
        entry = 4 + 2 * field
        offset = struct.unpack_from("<H", self._data, self._fields + entry)[0] if entry + 2 <= size else 0
        return self._at + offset if offset else 0

    def has(self, field: int) -> bool:
        return bool(self._place(field))

    def small(self, field: int) -> int:
        """An unsigned byte."""
        place = self._place(field)
        return self._data[place] if place else 0

    def below(self, field: int) -> "_Table":
        place = self._place(field)
        if not place:
            raise ValueError("a message has no content")
        return _Table(self._data, place + struct.unpack_from("<I", self._data, place)[0])

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """A vector of two 64-bit integers each."""
        place = self._place(field)
        if not place:
            return []
        start = place + struct.unpack_from("<I", self._data, place)[0]
        (count,) = struct.unpack_from("<I", self._data, start)
        return [struct.unpack_from("<qq", self._data, start + 4 + 16 * number) for number in range(count)]
