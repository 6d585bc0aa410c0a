"""An account's nonces: which is free, and how many are used for good.

Several nodes may answer behind one address, some of them behind the others. So a count of mined transactions below one
that was seen before means a lagging node as long as the block that it was seen in still stands.
"""

import threading
from collections.abc import Hashable
from typing import NamedTuple, cast

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

from marketplace.chain.answers import Mined, word
from marketplace.chain.connection import Connection

DOUBT = 5.0  # seconds that a node must contradict what was seen before: it may only be behind the others

_locks: dict[Hashable, threading.Lock] = {}


def lock_of(*key: Hashable) -> threading.Lock:
    """The lock that all threads of this process share for a key."""
    return _locks.setdefault(key, threading.Lock())


class _Seen(NamedTuple):
    """That a block had the last of so many transactions of an account."""

    mined: int
    block: int
    hash: str


own: dict[Hashable, set[int]] = {}  # nonces that this process uses at the moment, by account
reached: dict[Hashable, int] = {}  # how many transactions this process has seen mined, by account
_seen: dict[Hashable, _Seen] = {}  # where it has seen that, by account and chain


def forget() -> None:
    """As in a process that has just started."""
    for known in (own, reached, _seen):
        known.clear()


def remember(connection: Connection, address: str, nonce: int, receipt: Mined) -> None:
    """That a transaction of the account with this nonce was seen mined."""
    account = (connection.chain_id, address)
    reached[account] = max(reached.get(account, 0), nonce + 1)
    key = (*account, connection.identity)
    seen = _seen.get(key)
    if receipt.block_hash is not None and (seen is None or seen.mined <= nonce):
        _seen[key] = _Seen(nonce + 1, receipt.block, receipt.block_hash)


def mined_count(connection: Connection, address: str) -> int:
    """How many of an account's transactions are mined: what the node says, or what was seen and still stands.

    Where the node says less, it is behind, or the chain was reorganized, which the block shows in which it was seen. A
    node that has no such block is waited for, DOUBT seconds.
    """
    key = (connection.chain_id, address, connection.identity)

    def look() -> int | None:
        seen, said = _seen.get(key), connection.count(address)
        if seen is None or said >= seen.mined:
            return said
        block = connection.block(seen.block)
        identity = block.fields.maybe("hash", word) if block is not None else None
        if identity is None:
            return None
        if identity == seen.hash:
            return seen.mined
        _seen.pop(key, None)
        return said

    waiting = Retrying(
        stop=stop_after_delay(DOUBT),
        wait=wait_exponential(0.1, max=1),
        retry=retry_if_result(lambda found: found is None),
    )
    try:
        return cast(int, waiting(look))
    except RetryError:
        _seen.pop(key, None)
        return connection.count(address)


def free_nonce(connection: Connection, address: str, mined: int, used: set[int]) -> int:
    """The nonce to send with. used: those that are on their way, which a node may not know yet, or does not tell."""
    # Nonces that a reorganization gave back, which nodes with later ones in their pool pass over.
    highest = reached.get((connection.chain_id, address), 0)
    given_back = next((nonce for nonce in range(mined, highest) if nonce not in used), None)
    if given_back is not None:
        return given_back
    nonce = max(mined, connection.count(address, "pending"))
    while nonce in used:
        nonce += 1
    return nonce
