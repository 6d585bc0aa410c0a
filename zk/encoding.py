"""Canonical bytes and ranges of updates: what every other part, and every other language, has to agree on.

An update is w ∈ Z^d with |w_i| ≤ LIMIT. Its canonical bytes are the d entries as int16, little endian, nothing before
or after. −32768 is not an entry, so that every update has exactly one encoding and −w is an update too.
"""

from typing import Any

import numpy as np
from eth_hash.auto import keccak
from eth_utils.address import to_canonical_address
from numpy.typing import NDArray

Int16s = NDArray[np.int16]
Int64s = NDArray[np.int64]
Float32s = NDArray[np.float32]

LIMIT = 2**15 - 1
"""Largest absolute value of an entry."""

MAX_ENTRIES = 2**28
"""Largest d. Keeps every |⟨w_i, w_j⟩| ≤ d · 2^30 ≤ 2^58, inside int64."""

ONE = 4096
"""The coefficient that means "the whole update" in rule `reference`; no coefficient is larger."""

SALT_BYTES = 32

POINT_BYTES = 64
"""Of a chunk's commitment."""
BLINDER_BYTES = 64
"""Of a chunk's blinders: two words."""


def chunks(d: int, size: int) -> int:
    """c = ⌈d/N⌉: how many chunks of N = `size` entries an update of d entries has."""
    return -(-d // size)


def commitment_hash(points: bytes) -> bytes:
    """keccak256 of a commitment's points: 32 bytes, by which a settlement names those of its sum and reference rows."""
    return keccak(points)


def submission_hash(points: bytes, operator: str) -> bytes:
    """keccak256 of an update's points and of its trainer's address: 32 bytes, what is submitted.

    Copied from the chain by another it commits to nothing that could be shown. Raises ValueError for no address.
    """
    return keccak(points + to_canonical_address(operator))


def check_entries(w: NDArray[Any], d: int | None = None) -> Int16s:
    """`w` itself, if it is an update: int16[d], 1 ≤ d ≤ MAX_ENTRIES, no −32768. Raises ValueError otherwise."""
    if w.dtype != np.int16 or w.ndim != 1:
        raise ValueError(f"an update is a vector of int16, this is {w.dtype}{list(w.shape)}")
    if not 1 <= len(w) <= MAX_ENTRIES or (d is not None and len(w) != d):
        raise ValueError(f"an update of {len(w)} entries was given where {d or f'1 … {MAX_ENTRIES}'} are required")
    if int(w.min()) < -LIMIT:
        raise ValueError(f"entry {int(w.argmin())} of the update is -32768, below -{LIMIT}")
    return w


def to_bytes(w: NDArray[Any]) -> bytes:
    """The 2·d canonical bytes of an update. Raises ValueError if `w` is none."""
    return check_entries(w).astype("<i2", copy=False).tobytes()


def from_bytes(data: bytes, d: int) -> Int16s:
    """int16[d] from exactly 2·d canonical bytes; read-only, without a copy. Raises ValueError otherwise."""
    if len(data) != 2 * d:
        raise ValueError(f"an update of {d} entries has {2 * d} bytes, {len(data)} were given")
    return check_entries(np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False), d)
