"""Hash commitment to one update, or to several rows of equal length.

commitment = keccak256(DOMAIN ‖ d as 8 bytes, big endian ‖ salt ‖ canonical bytes of each row in turn)

Binding because keccak256 resists collisions: d and the total length fix the number of rows, so no two openings share a
preimage. Hiding as long as the 32-byte salt is random and kept with the update.
"""

import numpy as np
from eth_hash.auto import keccak

from zk.encoding import SALT_BYTES, Int16s, to_bytes

DOMAIN = b"merit/commitment/hash/v1"
COMMITMENT_BYTES = 32


def commit(rows: Int16s, salt: bytes) -> bytes:
    """32 bytes that bind to `rows`: an update int16[d], or rows int16[k, d].

    salt: 32 random bytes. Raises ValueError for rows that are no updates, or a salt of another length.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, {len(salt)} were given")
    members = np.atleast_2d(rows)
    if members.size == 0:
        raise ValueError("there is no row to commit to")
    hasher = keccak.new(DOMAIN + members.shape[-1].to_bytes(8, "big") + salt)
    for row in members:
        hasher.update(to_bytes(row))
    return hasher.digest()


def check(commitment: bytes, rows: Int16s, salt: bytes) -> bool:
    """Whether (rows, salt) opens the commitment. Raises ValueError as `commit` does."""
    return commit(rows, salt) == commitment
