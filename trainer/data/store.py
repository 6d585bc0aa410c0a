"""Arrays that grow while a source is read: in memory, and beyond a size in a file without a name."""

import tempfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import DTypeLike

from trainer.data.dataset import MAX_BYTES, Array

IN_MEMORY = 2**29
"""Bytes of an array up to which it is held in memory."""


class Growing:
    """Rows of one shape and dtype. Raises ValueError beyond `MAX_BYTES`.

    The file has no name: it holds private data, and is gone with the process, however that ends.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, what: object, folder: Path | None = None) -> None:
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._what, self._folder = what, folder
        self._pieces: list[Array] = []
        self._file: IO[bytes] | None = None
        self.rows = 0

    def append(self, rows: Array) -> None:
        """Adds rows [n, …]."""
        rows = np.ascontiguousarray(rows, dtype=self._dtype)
        self.rows += len(rows)
        size = self.rows * int(np.prod(self._shape, dtype=np.int64)) * self._dtype.itemsize
        if size > MAX_BYTES:
            raise ValueError(f"{self._what}: more than {size} bytes of values, at most {MAX_BYTES} are read")
        self._pieces.append(rows)
        if self._file is None and size > IN_MEMORY:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - the array keeps it open
        if self._file is not None:
            for piece in self._pieces:
                piece.tofile(self._file)
            self._pieces = []

    def array(self) -> Array:
        """All rows: an array, or a map of the file whose changes stay in memory."""
        if self._file is None:
            return np.concatenate([np.empty((0, *self._shape), self._dtype), *self._pieces])
        self._file.flush()
        return np.memmap(self._file, dtype=self._dtype, mode="c", shape=(self.rows, *self._shape))
