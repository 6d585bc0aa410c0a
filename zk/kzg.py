"""Hiding KZG commitments to updates, by chunks of a set-up's N entries (docs/proofs-format.md).

An update int16[d] has c = ⌈d/N⌉ chunks. Its commitment is c points (64·c bytes), its blinders 2·c words (64·c bytes).
Commitments add up: that of Σ x_i·w_i, with blinders Σ x_i·β_i, is Σ x_i·C_i.
Scheme: Kate, Zaverucha, Goldberg 2010 (https://cacr.uwaterloo.ca/techreports/2010/cacr2010-10.pdf).
"""

import secrets
from collections.abc import Sequence

from zk import _core
from zk.encoding import Int16s, Int64s, chunks
from zk.setup import Srs
from zk.transcript import P, word


def random_words(count: int) -> bytes:
    """`count` uniform scalars from the system's randomness, 32·count bytes."""
    return b"".join(word(secrets.randbelow(P)) for _ in range(count))


def random_blinders(d: int, size: int) -> bytes:
    """Blinders for one vector of d entries, 64·c bytes. They serve one commitment."""
    return random_words(2 * chunks(d, size))


def commit(srs: Srs, w: Int16s, blinders: bytes) -> bytes:
    """The c points that commit to the update w, int16[d], no entry −32768. Raises ValueError for other inputs."""
    return srs.commit(w, blinders)


def commit_sum(srs: Srs, total: Int64s, blinders: bytes) -> bytes:
    """The c points that commit to a sum of updates, int64[d]. Raises ValueError for other inputs."""
    return srs.commit_sum(total, blinders)


def open_together(srs: Srs, rows: Sequence[Int16s], blinders: Sequence[bytes], commitments: Sequence[bytes]) -> bool:
    """Whether every rows[i], int16[d], with blinders[i] opens commitments[i]: one sum of size N for all of them.

    A wrong opening passes with probability 2^−128. Raises ValueError for inputs that are no rows of one length,
    scalars or points; `which_open` tells which one it is.
    """
    return srs.check_openings(rows, blinders, commitments, secrets.token_bytes(32))


def sum_opens(srs: Srs, total: Int64s, blinders: bytes, commitment: bytes) -> bool:
    """Whether total, int64[d], with its blinders opens a commitment to a sum: one sum of size N for all chunks.

    A wrong opening passes with probability 2^−128. Raises ValueError for what is no vector, scalars or points.
    """
    return srs.check_sum(total, blinders, commitment, secrets.token_bytes(32))


def which_open(srs: Srs, rows: Sequence[Int16s], blinders: Sequence[bytes], commitments: Sequence[bytes]) -> list[bool]:
    """For each row whether it opens its commitment; malformed bytes do not. One check for all if all hold, else halves.

    Raises ValueError for sequences of different lengths.
    """
    if not len(rows) == len(blinders) == len(commitments):
        raise ValueError(f"{len(rows)} rows, {len(blinders)} blinders and {len(commitments)} commitments do not match")
    if not rows:
        return []
    try:
        if open_together(srs, rows, blinders, commitments):
            return [True] * len(rows)
    except ValueError:
        pass  # some member is malformed: found by halving, as a wrong one is
    if len(rows) == 1:
        return [False]
    half = len(rows) // 2
    first = which_open(srs, rows[:half], blinders[:half], commitments[:half])
    return first + which_open(srs, rows[half:], blinders[half:], commitments[half:])


def combine(commitments: Sequence[bytes], coefficients: Sequence[int]) -> bytes:
    """Σ x_i·C_i, c points, at infinity where nothing is added. coefficients: integers, taken modulo P.

    Raises ValueError for no or different numbers of them, or commitments of different lengths.
    """
    return _core.combine(commitments, b"".join(word(x % P) for x in coefficients))


def combine_blinders(blinders: Sequence[bytes], coefficients: Sequence[int]) -> bytes:
    """Σ x_i·β_i: what opens `combine` of the commitments. Raises ValueError for blinders of different lengths."""
    if not blinders or len(blinders) != len(coefficients) or len({len(each) for each in blinders}) != 1:
        raise ValueError("blinders of one length, and one coefficient for each, are required")
    sums = [0] * (len(blinders[0]) // 32)
    for each, x in zip(blinders, coefficients, strict=True):
        for at in range(len(sums)):
            sums[at] += x * int.from_bytes(each[32 * at : 32 * at + 32])
    return b"".join(word(value % P) for value in sums)
