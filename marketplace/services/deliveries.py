"""What a submission is in storage: a large file under a key of its own, and a small one with that key.

The large file is put into storage before the submission is sent, so that no upload eats the time to settle. The
submission names the small file, which its trainer keeps on disk and delivers, puts into storage, only once nobody can
submit any more: until then an aggregator opens nothing, and has nothing that a friend could submit as its own
(docs/decisions/2026-11-27-delivery.md).

    large   sealed with the key, for Purpose.UPDATE                                  zk/files.py has what is in it
    small   key (32) ‖ size of the large file (8, big-endian) ‖ its CID (59, ASCII)  sealed to the aggregator, for
                                                                                     Purpose.DELIVERY

Both are bound to chain, contract, job, round and operator (keys/sealing.py).
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import SEEK_END, BytesIO
from typing import BinaryIO

from marketplace.errors import CorruptContent
from marketplace.keys.sealing import (
    KEY,
    Purpose,
    SealContext,
    SealSecrets,
    open_with_key,
    seal_bytes_with_key,
    seal_to,
    sealed_size,
)
from marketplace.services.node import fetch_opened
from marketplace.storage import Storage
from marketplace.storage.cid import CID_LENGTH, cid_of, parse_cid

_SIZE = 8
DELIVERY = KEY + _SIZE + CID_LENGTH  # bytes

Opener = Callable[[BinaryIO, BinaryIO, SealContext, int], object]
"""Opens a sealed file in a context, up to so many bytes: `open_sealed` or `open_shown` with its keys."""


@dataclass(frozen=True, slots=True, repr=False)
class Delivery:
    """What is in the small file: the key to the large one, and which that is."""

    key: bytes
    size: int
    cid: str

    def __bytes__(self) -> bytes:
        return self.key + self.size.to_bytes(_SIZE) + self.cid.encode("ascii")

    @classmethod
    def decode(cls, data: bytes) -> "Delivery":
        """Raises CorruptContent for all but what `bytes` gives."""
        if len(data) != DELIVERY:
            raise CorruptContent(f"What opens an update has {DELIVERY} bytes; this has {len(data)}.")
        cid = str(parse_cid(data[KEY + _SIZE :].decode("latin-1")))
        return cls(data[:KEY], int.from_bytes(data[KEY : KEY + _SIZE]), cid)


@dataclass(frozen=True, slots=True, repr=False)
class Sealed:
    """An update's two files, with their CIDs, and what shows later to whom the small one was sealed."""

    large: bytes
    content: str
    small: bytes
    cid: str
    secrets: SealSecrets


def seal_update(public_key: bytes, update: bytes, context: SealContext) -> Sealed:
    """Seals an update's file for the holder of an X25519 key. context: for Purpose.UPDATE. Raises InputError."""
    key = secrets.token_bytes(KEY)
    large = seal_bytes_with_key(key, update, context)
    delivery, small = Delivery(key, len(large), cid_of(large)), BytesIO()
    shown = seal_to(public_key, BytesIO(bytes(delivery)), small, _small(context))
    return Sealed(large, delivery.cid, small.getvalue(), cid_of(small.getvalue()), shown)


def open_delivery(storage: Storage, cid: str, opener: Opener, context: SealContext) -> Delivery:
    """What a submission's small file says. context: of the submission, for Purpose.UPDATE.

    Raises NotFound, StorageError, or CorruptContent where it does not open, or is not one.
    """

    def exact(source: BinaryIO, sink: BinaryIO) -> None:
        _expect_size(source, sealed_size(DELIVERY))
        opener(source, sink, _small(context), DELIVERY)

    return Delivery.decode(fetch_opened(storage, cid, exact, max_bytes=DELIVERY))


def fetch_update(storage: Storage, delivery: Delivery, context: SealContext, max_bytes: int) -> bytes:
    """An update's file, of at most `max_bytes`, by its delivery. Raises as `open_delivery` does."""

    def exact(source: BinaryIO, sink: BinaryIO) -> None:
        _expect_size(source, delivery.size)
        open_with_key(delivery.key, source, sink, context, max_bytes)

    return fetch_opened(storage, delivery.cid, exact, max_bytes=max_bytes)


def _small(context: SealContext) -> SealContext:
    return replace(context, purpose=Purpose.DELIVERY)


def _expect_size(source: BinaryIO, size: int) -> None:
    """Raises CorruptContent unless a file has `size` bytes; it is then at its beginning."""
    found = source.seek(0, SEEK_END)
    if found != size:
        raise CorruptContent(f"It has {found} bytes sealed, and should have {size}.")
    source.seek(0)
