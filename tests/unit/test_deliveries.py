"""An update's two files: what the small one says, and that neither opens for anybody, or as anything, else."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from marketplace.errors import CorruptContent, NotFound
from marketplace.keys.sealing import (
    Purpose,
    SealContext,
    open_sealed,
    open_sealed_bytes,
    open_shown,
    seal_bytes_to,
    seal_bytes_with_key,
    sealed_size,
)
from marketplace.services.deliveries import DELIVERY, Delivery, Sealed, fetch_update, open_delivery, seal_update
from marketplace.storage import Storage, open_storage, put_bytes
from marketplace.storage.cid import CHUNK, cid_of

READER, OTHER = X25519PrivateKey.generate(), X25519PrivateKey.generate()
PUBLIC = READER.public_key().public_bytes_raw()
ALICE, BOB, MARKET = "0x" + "a1" * 20, "0x" + "b0" * 20, "0x" + "cd" * 20
CONTEXT = SealContext(31337, MARKET, 7, 3, ALICE, Purpose.UPDATE)
UPDATE = b"an update" * 100
BOUND = len(UPDATE)
KEY = bytes(range(32))


@pytest.fixture
def storage() -> Storage:
    return open_storage("memory:", timeout=1)


def stored(storage: Storage, made: Sealed) -> str:
    put_bytes(storage, made.large)
    return put_bytes(storage, made.small)


def opened(storage: Storage, cid: str, context: SealContext = CONTEXT, key: X25519PrivateKey = READER) -> bytes:
    delivery = open_delivery(storage, cid, partial(open_sealed, key), context)
    return fetch_update(storage, delivery, context, BOUND)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1), st.binary())
def test_what_a_delivery_says_is_read_as_it_was_written(key: bytes, size: int, content: bytes) -> None:
    written = bytes(Delivery(key, size, cid_of(content)))
    assert len(written) == DELIVERY == 99
    assert Delivery.decode(written) == Delivery(key, size, cid_of(content))


GOOD = bytes(Delivery(KEY, 5, cid_of(b"hello")))
MALFORMED = {
    "nothing": b"",
    "cut off": GOOD[:-1],
    "longer": GOOD + b"\0",
    "a CID in capitals": GOOD[:40] + GOOD[40:].upper(),
    "a CID with a path": GOOD[:-2] + b"/a",
    "no ASCII": GOOD[:-1] + b"\xff",
    "another codec": GOOD[:40] + b"bafyrei" + GOOD[47:],
    "zeros": bytes(DELIVERY),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_delivery_has_one_form(name: str) -> None:
    with pytest.raises(CorruptContent):
        Delivery.decode(MALFORMED[name])


@pytest.mark.parametrize("size", [0, 1, CHUNK, 3 * CHUNK + 5])
def test_an_update_comes_back_whatever_its_size_and_both_ids_are_those_that_storage_gives(
    storage: Storage, size: int
) -> None:
    update = os.urandom(size)
    made = seal_update(PUBLIC, update, CONTEXT)
    assert put_bytes(storage, made.large) == made.content
    assert put_bytes(storage, made.small) == made.cid
    assert len(made.small) == sealed_size(DELIVERY)
    delivery = open_delivery(storage, made.cid, partial(open_sealed, READER), CONTEXT)
    assert (delivery.cid, delivery.size) == (made.content, len(made.large))
    assert fetch_update(storage, delivery, CONTEXT, size) == update


def test_without_the_small_file_its_reader_opens_nothing(storage: Storage) -> None:
    """What an aggregator has before the delivery: its key, all of storage, and the id that the submission names."""
    made = seal_update(PUBLIC, UPDATE, CONTEXT)
    put_bytes(storage, made.large)
    with pytest.raises(NotFound):
        opened(storage, made.cid)
    for context in (CONTEXT, replace(CONTEXT, purpose=Purpose.DELIVERY)):
        with pytest.raises(CorruptContent):
            open_sealed_bytes(READER, made.large, context, BOUND)
    assert UPDATE[:9] not in made.large


def test_every_update_has_a_key_of_its_own_and_no_file_says_anything_of_the_key(storage: Storage) -> None:
    first, second = (seal_update(PUBLIC, UPDATE, CONTEXT) for _ in range(2))
    keys = [
        open_delivery(storage, stored(storage, made), partial(open_sealed, READER), CONTEXT).key
        for made in (first, second)
    ]
    assert keys[0] != keys[1]
    assert keys[0] not in first.large + first.small
    assert first.content != second.content


def test_an_update_opens_for_its_reader_in_its_senders_name_alone(storage: Storage) -> None:
    cid = stored(storage, seal_update(PUBLIC, UPDATE, CONTEXT))
    assert opened(storage, cid) == UPDATE
    with pytest.raises(CorruptContent):
        opened(storage, cid, key=OTHER)
    for other in (replace(CONTEXT, party=BOB), replace(CONTEXT, round=4), replace(CONTEXT, job_id=8)):
        with pytest.raises(CorruptContent):
            opened(storage, cid, other)


def test_who_is_told_the_key_of_anothers_large_file_cannot_hand_it_in_as_its_own(storage: Storage) -> None:
    """As an aggregator could tell a friend in a later round: the file is bound to who made it."""
    stored(storage, made := seal_update(PUBLIC, UPDATE, CONTEXT))
    delivery = open_delivery(storage, made.cid, partial(open_sealed, READER), CONTEXT)
    bobs = replace(CONTEXT, party=BOB)
    small = seal_bytes_to(PUBLIC, bytes(delivery), replace(bobs, purpose=Purpose.DELIVERY))
    with pytest.raises(CorruptContent, match="does not open"):
        opened(storage, put_bytes(storage, small), bobs)


def test_what_its_sender_shows_opens_the_small_file_as_its_reader_would(storage: Storage) -> None:
    made = seal_update(PUBLIC, UPDATE, CONTEXT)
    cid = stored(storage, made)
    delivery = open_delivery(storage, cid, partial(open_shown, PUBLIC, made.secrets), CONTEXT)
    assert fetch_update(storage, delivery, CONTEXT, BOUND) == UPDATE
    with pytest.raises(CorruptContent):
        open_delivery(storage, cid, partial(open_shown, OTHER.public_key().public_bytes_raw(), made.secrets), CONTEXT)


def test_a_small_file_of_another_size_is_not_opened(storage: Storage) -> None:
    for content in (GOOD[:-1], GOOD + b"\0", bytes(1 << 20)):
        small = seal_bytes_to(PUBLIC, content, replace(CONTEXT, purpose=Purpose.DELIVERY))
        with pytest.raises(CorruptContent):
            opened(storage, put_bytes(storage, small))


LARGE: dict[str, Callable[[bytes], tuple[bytes, int]]] = {
    "shorter than said": lambda made: (made, len(made) + 1),
    "longer than said": lambda made: (made, len(made) - 1),
    "of no bytes": lambda made: (b"", 0),
    "cut off": lambda made: (made[:-1], len(made) - 1),
    "with a byte behind": lambda made: (made + b"\0", len(made) + 1),
    "not sealed": lambda _: (UPDATE, len(UPDATE)),
    "beyond what an update may have": lambda _: (
        seal_bytes_with_key(KEY, bytes(BOUND + 1), CONTEXT),
        len(seal_bytes_with_key(KEY, bytes(BOUND + 1), CONTEXT)),
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_file_that_is_not_what_was_said_does_not_open(storage: Storage, name: str) -> None:
    content, size = LARGE[name](seal_bytes_with_key(KEY, UPDATE, CONTEXT))
    delivery = bytes(Delivery(KEY, size, put_bytes(storage, content)))
    small = seal_bytes_to(PUBLIC, delivery, replace(CONTEXT, purpose=Purpose.DELIVERY))
    with pytest.raises(CorruptContent):
        opened(storage, put_bytes(storage, small))


def test_a_large_file_that_says_it_is_huge_is_read_up_to_what_an_update_may_have() -> None:
    asked: list[int] = []

    class Endless:
        def put(self, source: object) -> str:
            raise NotImplementedError

        def has(self, cid: str) -> bool:
            raise NotImplementedError

        def get(self, cid: str, sink: BytesIO, *, max_bytes: int) -> int:
            asked.append(max_bytes)
            raise CorruptContent("It is larger.")

    with pytest.raises(CorruptContent):
        fetch_update(Endless(), Delivery(KEY, 1 << 63, cid_of(b"")), CONTEXT, BOUND)  # type: ignore[arg-type]
    assert asked == [sealed_size(BOUND)]
