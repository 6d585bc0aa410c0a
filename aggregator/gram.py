"""Exact integer products of updates, at the speed of float64 matrix multiplication.

An entry is at most 2^15 in absolute value, a product 2^30, a sum of CHUNK = 2^14 products 2^44: every partial sum of a
chunk is an integer below 2^53, which float64 holds exactly in whatever order it is added up. Chunks are added in int64:
d ≤ MAX_ENTRIES = 2^28 keeps each total within 2^58.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from zk.encoding import MAX_ENTRIES, Int16s, Int64s

CHUNK = 2**14
"""Columns of one float64 product. 32 rows of it are 4 MiB."""

Rows = Sequence[Int16s | None]


def length(rows: Rows) -> int:
    """d, the common length of all rows that are there; 0 if none is. Raises ValueError if a row is no int16[d]."""
    lengths = set()
    for slot, row in enumerate(rows):
        if row is None:
            continue
        if row.dtype != np.int16 or row.ndim != 1 or not 1 <= len(row) <= MAX_ENTRIES:
            raise ValueError(f"row {slot} is {row.dtype}{list(row.shape)}, int16[1 … {MAX_ENTRIES}] is required")
        lengths.add(len(row))
    if len(lengths) > 1:
        raise ValueError(f"the rows have different lengths: {sorted(lengths)}")
    return lengths.pop() if lengths else 0


def _blocks(rows: Rows) -> Iterator[NDArray[np.float64]]:
    """The rows, CHUNK columns at a time, as float64[n, ≤ CHUNK]; zeros for a row that is None."""
    d = length(rows)
    block = np.zeros((len(rows), min(CHUNK, d)), dtype=np.float64)
    for start in range(0, d, CHUNK):
        part = block[:, : min(CHUNK, d - start)]
        for slot, row in enumerate(rows):
            if row is not None:
                part[slot] = row[start : start + CHUNK]
        yield part


def gram(rows: Rows) -> list[list[int]]:
    """The symmetric matrix G_ij = ⟨w_i, w_j⟩, exact, as n lists of n ints.

    rows: n rows of int16[d], arrays or memory maps; reference rows may simply be appended. A row that is None counts as
    zeros. Needs n · CHUNK · 8 bytes besides the rows. Raises ValueError for rows of another kind or different lengths.
    """
    total: Int64s = np.zeros((len(rows), len(rows)), dtype=np.int64)
    for block in _blocks(rows):
        total += (block @ block.T).astype(np.int64)
    return [[int(entry) for entry in line] for line in total]


def products(rows: Rows, row: Int16s) -> list[int]:
    """⟨w_i, row⟩ for each of n rows, exact: what `gram` would give for an appended row, at 1/n of the work.

    row: int16[d]. Raises ValueError as `gram` does.
    """
    total: Int64s = np.zeros(len(rows), dtype=np.int64)
    for block in _blocks([*rows, row]):
        total += (block[:-1] @ block[-1]).astype(np.int64)
    return [int(entry) for entry in total]
