"""Content ids of files as an IPFS node gives them, computed while the bytes stream by.

One import format only: UnixFS file, CIDv1, SHA2-256, base32, raw leaves of 256 KiB, balanced DAG of at most 174 links a
node. `ipfs add --cid-version=1 --raw-leaves --chunker=size-262144` gives the same. Sources: the UnixFS specification
(specs.ipfs.tech/unixfs), the CID specification (github.com/multiformats/cid), the DAG-PB specification (ipld.io).
"""

import base64
import hashlib
from dataclasses import dataclass

from marketplace.errors import CorruptContent

CHUNK = 262_144  # bytes in a leaf
FANOUT = 174  # links in a node
RAW = 0x55
DAG_PB = 0x70
CID_LENGTH = 59  # characters

_SHA2_256 = b"\x12\x20"  # multihash: code, then a digest of 32 bytes


@dataclass(frozen=True, slots=True)
class Cid:
    """A CIDv1: the codec of the root block (RAW or DAG_PB) and its SHA2-256 digest (32 bytes)."""

    codec: int
    digest: bytes

    def __bytes__(self) -> bytes:
        return bytes([1, self.codec]) + _SHA2_256 + self.digest

    def __str__(self) -> str:
        return "b" + base64.b32encode(bytes(self)).decode().lower().rstrip("=")


def parse_cid(text: str) -> Cid:
    """Reads a CID in the one spelling that `str(Cid)` gives.

    Raises CorruptContent for everything else: other versions, bases, codecs and hashes, upper case, padding, paths.
    """
    problem = CorruptContent(
        f"{text[:80]!r} is not a content id: CIDv1 in lower-case base32 with SHA2-256, raw or dag-pb, is expected."
    )
    if len(text) != CID_LENGTH or not text.isascii() or not text.startswith("b"):
        raise problem
    try:
        data = base64.b32decode(text[1:].upper() + "=" * (-(CID_LENGTH - 1) % 8))
    except ValueError as error:
        raise problem from error
    cid = Cid(data[1], data[4:])
    if cid.codec not in (RAW, DAG_PB) or str(cid) != text:  # the one spelling has the one version and hash
        raise problem
    return cid


@dataclass(frozen=True, slots=True)
class _Node:
    """A finished block: its id, the file bytes below it, and the bytes of all blocks below and including it."""

    cid: Cid
    file_size: int
    dag_size: int


class CidBuilder:
    """The CID of a file given piece by piece; holds one running hash and at most 174 links a level, never the file."""

    def __init__(self) -> None:
        self.size = 0
        self._leaf = hashlib.sha256()
        self._leaf_size = 0
        self._levels: list[list[_Node]] = [[]]

    def update(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self.size += len(view)
        while view:
            if self._leaf_size == CHUNK:
                self._end_leaf()
            piece, view = view[: CHUNK - self._leaf_size], view[CHUNK - self._leaf_size :]
            self._leaf.update(piece)
            self._leaf_size += len(piece)

    def finish(self) -> Cid:
        """The CID of everything given so far. The builder is spent: nothing may be added afterwards."""
        self._end_leaf()  # an empty file is one empty leaf
        level = 0
        while level < len(self._levels) - 1 or len(self._levels[level]) > 1:
            self._append(level + 1, _parent(self._levels[level]))
            level += 1
        return self._levels[level][0].cid

    def _end_leaf(self) -> None:
        self._append(0, _Node(Cid(RAW, self._leaf.digest()), self._leaf_size, self._leaf_size))
        self._leaf = hashlib.sha256()
        self._leaf_size = 0

    def _append(self, level: int, node: _Node) -> None:
        if level == len(self._levels):
            self._levels.append([])
        # A full level is folded only when another node follows: a lone full level is itself the root's links.
        if len(self._levels[level]) == FANOUT:
            full, self._levels[level] = self._levels[level], []
            self._append(level + 1, _parent(full))
        self._levels[level].append(node)


def cid_of(data: bytes) -> str:
    """The CID that every storage gives these bytes."""
    builder = CidBuilder()
    builder.update(data)
    return str(builder.finish())


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _parent(children: list[_Node]) -> _Node:
    """The dag-pb block that links to these children: PBNode{Links (field 2), Data (field 1)}, in this order."""
    size = sum(child.file_size for child in children)
    # UnixFS Data: Type (1) = File (2), filesize (3), blocksizes (4, one for each link)
    data = b"\x08\x02\x18" + _varint(size) + b"".join(b"\x20" + _varint(child.file_size) for child in children)
    # PBLink: Hash (1), Name (2, empty), Tsize (3)
    links = (_field(1, bytes(child.cid)) + _field(2, b"") + b"\x18" + _varint(child.dag_size) for child in children)
    block = b"".join(_field(2, link) for link in links) + _field(1, data)
    dag_size = len(block) + sum(child.dag_size for child in children)
    return _Node(Cid(DAG_PB, hashlib.sha256(block).digest()), size, dag_size)
