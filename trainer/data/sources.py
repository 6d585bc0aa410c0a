"""Text files from outside: compression and encoding are found by their first bytes, sizes are bounded."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa  # type: ignore[import-untyped]

from trainer.data.dataset import MAX_BYTES, check_size
from trainer.data.reading import Reading

MAX_LINE = 2**24
"""Most characters of a line."""

_XZ_MEMORY = 2**27
_PIECE = 2**20
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
COMPLAINTS = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)
"""What decompressors raise for damaged files."""


class _Xz(io.RawIOBase):
    """Decompresses .xz in bounded memory: a file's header may ask for gigabytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._waiting = file, b""
        self._new()

    def _new(self) -> None:
        self._xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        while True:
            if self._xz.eof:
                self._waiting = self._xz.unused_data.lstrip(b"\0") or self._file.read(_PIECE).lstrip(b"\0")
                if not self._waiting:
                    return 0
                self._new()
            elif self._xz.needs_input and not self._waiting:
                self._waiting = self._file.read(_PIECE)
                if not self._waiting:
                    raise EOFError("the compressed file ends too early")
            out = self._xz.decompress(self._waiting, len(view))
            self._waiting = b""
            if out:
                view[: len(out)] = out
                return len(out)


class _Bounded(io.RawIOBase):
    """Passes bytes on, up to `MAX_BYTES`."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path, self._left = file, path, MAX_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        piece = self._file.read(min(len(view), _PIECE))
        self._left -= len(piece)
        if self._left < 0:
            raise ValueError(f"{self._path} has more than {MAX_BYTES} bytes, at most {MAX_BYTES} are read")
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()


def compression(path: Path) -> str | None:
    """How the file is compressed, by its first bytes; None where it is not."""
    with path.open("rb") as file:
        first = file.read(8)
    return next((name for magic, name in _MAGIC.items() if first.startswith(magic)), None)


def open_bytes(path: Path) -> io.BufferedReader:
    """The file's bytes, decompressed. Raises ValueError for archives, for too many bytes, and what is in `COMPLAINTS`
    where the file is damaged, here or when it is read."""
    check_size(path)
    kind = compression(path)
    file: Any
    if kind == "zip":
        raise ValueError(f"{path}: one file is expected, this is an archive, or a workbook: unpack or export it first")
    if kind == "gzip":
        file = gzip.open(path)  # noqa: SIM115 - closed with what is returned
    elif kind == "bz2":
        file = bz2.open(path)  # noqa: SIM115
    elif kind == "xz":
        file = io.BufferedReader(_Xz(path.open("rb")), _PIECE)
    elif kind == "zstd":
        file = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    else:
        file = path.open("rb")
    found: io.BufferedReader = io.BufferedReader(_Bounded(file, path), _PIECE)
    if kind is not None and any(found.peek(8).startswith(magic) for magic in _MAGIC):
        raise ValueError(f"{path}: a text is expected, something compressed twice was found: unpack it first")
    return found


def encoding_of(path: Path, reading: Reading) -> str:
    """The file's encoding, from the options, its byte order mark, or its bytes, which are UTF-8 to the last or not.

    What is not UTF-8 is taken for cp1252 only where all texts are checked against names that the job knows: a wrong
    guess then shows. Raises ValueError otherwise.
    """
    given = reading.options.encoding
    with open_bytes(path) as file:
        first = file.peek(4)[:4]
        marked = next((name for mark, name in _MARKS.items() if first.startswith(mark)), None)
        if given is not None:
            return "utf-8-sig" if given == "utf-8" else given
        if marked is not None:
            return marked
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while piece := file.read(_PIECE):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            if reading.schema.texts:
                raise ValueError(f"{path}: UTF-8 is expected, other bytes were found: give its encoding") from error
            reading.notes.remark("text files are no UTF-8, read as cp1252")
            return "cp1252"
    return "utf-8"


def lines(path: Path, reading: Reading) -> Iterator[str]:
    """Lines with their ends, as they stand. Raises ValueError in one sentence for what is no text."""
    try:
        with io.TextIOWrapper(open_bytes(path), encoding_of(path, reading), errors="strict", newline="") as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                if len(line) == MAX_LINE:
                    raise ValueError(f"{path}: row {number}: a line below {MAX_LINE} characters is expected")
                if "\0" in line:
                    raise ValueError(f"{path}: row {number}: a text is expected, a zero byte was found")
                yield line
    except UnicodeError as error:
        raise ValueError(f"{path}: a text in the encoding {reading.options.encoding or 'found'} is expected") from error
    except COMPLAINTS as error:
        raise ValueError(f"{path}: a text file is expected: {error}") from error
