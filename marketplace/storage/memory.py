"""Storage in a dictionary: the twin of the others for tests."""

from typing import BinaryIO

from marketplace.errors import NotFound
from marketplace.storage.cid import cid_of, parse_cid
from marketplace.storage.transfer import PIECE, VerifiedSink


class MemoryStorage:
    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def put(self, source: BinaryIO) -> str:
        data = source.read()
        cid = cid_of(data)
        self.contents[cid] = data
        return cid

    def get(self, cid: str, sink: BinaryIO, *, max_bytes: int) -> int:
        checked = VerifiedSink(cid, sink, max_bytes, "memory")
        if cid not in self.contents:
            raise NotFound(f"{cid} is not in memory; it was never put there.")
        data = self.contents[cid]
        checked.expect(len(data))
        for start in range(0, len(data), PIECE):
            checked.write(data[start : start + PIECE])
        return checked.finish()

    def has(self, cid: str) -> bool:
        return str(parse_cid(cid)) in self.contents
