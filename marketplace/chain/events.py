"""The contract's log as the domain's events, strictly decoded, in the order in which the chain has them.

Blocks are taken as they are at the moment. To follow a chain that reorders its last blocks, a caller keeps the hash of
the last block it has read, compares it before it reads on, and on a difference drops what it read since the last block
that still matches: services/node.py does so for one job, services/index.py for a market.
"""

from collections.abc import Mapping
from functools import lru_cache

from eth_utils.abi import get_abi_input_types
from eth_utils.address import to_checksum_address

from marketplace.chain import abi
from marketplace.chain.answers import Block, Log
from marketplace.chain.connection import Connection, Pruned, Refused, Unanswered
from marketplace.domain import Event
from marketplace.errors import ChainError

BLOCKS = 10_000  # of one request, until a node wants fewer

_TYPES: Mapping[str, type[Event]] = {kind.__name__: kind for kind in Event.__subclasses__()}


def decode(log: Log, timestamp: int) -> Event:
    """One log of a JobMarket as the event that it is. Raises ChainError for any other log."""
    where = f"Log {log.log_index} of block {log.block}"
    entry = abi.events_by_topic().get(log.topics[0]) if log.topics else None
    if entry is None:
        raise ChainError(
            f"{where} is not an event that this version of Merit knows: use the version that fits the contract."
        )
    indexed = [i for i in entry["inputs"] if i["indexed"]]
    others = [i for i in entry["inputs"] if not i["indexed"]]
    if len(log.topics) != 1 + len(indexed):
        raise ChainError(f"{where} has {len(log.topics)} topics, which is wrong for {entry['name']}.")
    where += f" ({entry['name']})"
    types = get_abi_input_types(entry)
    kinds = [kind for i, kind in zip(entry["inputs"], types, strict=True) if not i["indexed"]]
    raw = [abi.decode([i["type"]], topic, where)[0] for i, topic in zip(indexed, log.topics[1:], strict=True)]
    raw += abi.decode(kinds, log.data, where)
    inputs = (*indexed, *others)
    values = dict(zip((abi.snake(i["name"]) for i in inputs), abi.values(inputs, raw), strict=True))
    place = {"block": log.block, "log_index": log.log_index, "transaction": log.transaction, "timestamp": timestamp}
    return _TYPES[entry["name"]](**({"job_id": 0} | values | place))


class EventReader:
    """Reads the events of one JobMarket.

    market: its address. first_block: the block of its deployment, before which it has no events.
    """

    def __init__(self, connection: Connection, market: str, first_block: int = 0) -> None:
        self._connection = connection
        self._market = to_checksum_address(market)
        self._first = first_block
        self._blocks = BLOCKS
        self.timestamp = lru_cache(maxsize=65_536)(self._timestamp)
        self._known: tuple[str, int] = "", 0

    def read(
        self, from_block: int | None = None, *, to_block: int | None = None, job_id: int | None = None
    ) -> tuple[list[Event], int]:
        """The events from one block to another, both inclusive, and the block to go on from.

        from_block: None for the deployment. to_block: None for the latest. job_id: only the events of this job.
        Raises ChainError when the node refuses even single blocks, keeps none so old, or sends what is no log of this
        contract.
        """
        start = max(self._first, from_block or 0)
        end = self._connection.head() if to_block is None else to_block
        events: list[Event] = []
        while start <= end:
            last = min(end, start + self._blocks - 1)
            try:
                logs = self._logs(start, last, job_id)
            except Pruned:
                raise
            except (Refused, Unanswered):
                if last == start:
                    raise
                self._connection.head()  # raises where it is not the width that the node has trouble with
                self._blocks = (last - start + 1) // 2
                continue
            events += self._decoded(logs, start, last)
            self._blocks = min(BLOCKS, self._blocks + max(1, self._blocks // 8))
            start = last + 1
        return [e for e in events if job_id in (None, e.job_id)], start

    def know(self, block: Block) -> None:
        """Takes a block's time from its header, which then need not be asked for."""
        self._known = block.hash, block.timestamp

    def _logs(self, start: int, last: int, job_id: int | None) -> list[Log]:
        topics = None if job_id is None else [None, "0x" + job_id.to_bytes(32, "big").hex()]
        return self._connection.logs(self._market, start, last, topics)

    def _decoded(self, logs: list[Log], start: int, last: int) -> list[Event]:
        for log in logs:
            if log.address != self._market or not start <= log.block <= last:
                what = f"a log of {log.address} in block {log.block}"
                raise ChainError(f"The node sent {what}, which was not asked for: use another node.")
            if log.removed:
                raise ChainError(f"Block {log.block} left the chain while it was read: read it again.")
        ordered = sorted(logs)
        if len({(log.block, log.log_index) for log in ordered}) != len(ordered):
            raise ChainError(f"The node sent a log of blocks {start} to {last} twice: use another node.")
        return [decode(log, self.timestamp(log.block_hash)) for log in ordered]

    def _timestamp(self, block_hash: str) -> int:
        """By its hash, which is the same block's for ever: its number is another's after a reorganization."""
        if block_hash == self._known[0]:
            return self._known[1]
        block = self._connection.block(block_hash)
        if block is None:
            raise ChainError(f"The node gave logs of block {block_hash}, and has no such block: read again.")
        return block.timestamp
