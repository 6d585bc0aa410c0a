"""Sealed files open for their reader, in their context, whole and unchanged; every attack here is refused."""

import dataclasses
import hashlib
import hmac
import os
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings as sodium

from marketplace.errors import CorruptContent, InputError, NotFound
from marketplace.keys import sealing
from marketplace.keys.sealing import (
    CHUNK,
    MAX_JOB_KEY_BYTES,
    MAX_RECIPIENTS,
    Purpose,
    SealContext,
    open_bytes_with_key,
    open_job_key,
    open_sealed,
    open_sealed_bytes,
    open_with_key,
    seal_bytes_to,
    seal_bytes_with_key,
    seal_job_key,
    seal_to,
    seal_with_key,
    sealed_size,
    usable_public_key,
)

MARKET = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
ALICE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
BOB = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
CONTEXT = SealContext(31337, MARKET, 7, 3, ALICE, Purpose.UPDATE)
READER = X25519PrivateKey.from_private_bytes(b"\x11" * 32)
PUBLIC = READER.public_key().public_bytes_raw()
OTHER = X25519PrivateKey.from_private_bytes(b"\x22" * 32)
JOB_KEY = b"\x33" * 32

Seal = Callable[[bytes, SealContext], bytes]
Open = Callable[[bytes, SealContext, int], bytes]

# Where the parts of a file begin, for both kinds: key commitment, stream header, first chunk.
KINDS = {
    "to a public key": (
        lambda data, context: seal_bytes_to(PUBLIC, data, context),
        lambda data, context, bound: open_sealed_bytes(READER, data, context, bound),
        8 + 80,
    ),
    "with a key": (
        lambda data, context: seal_bytes_with_key(JOB_KEY, data, context),
        lambda data, context, bound: open_bytes_with_key(JOB_KEY, data, context, bound),
        8,
    ),
}

# The points of order 1, 2, 4 and 8 on Curve25519 and its twist, and their spellings above the prime.
P = 2**255 - 19
LOW_ORDER = [
    point.to_bytes(32, "little")
    for point in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        P - 1,
        P,
        P + 1,
    )
]


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def kind(request: pytest.FixtureRequest) -> tuple[Seal, Open, int]:
    return request.param


def chunks_of(sealed: bytes, start: int) -> tuple[bytes, list[bytes]]:
    """The header with everything before the first chunk, and the sealed chunks."""
    head = start + 32 + 24
    step = CHUNK + 17
    return sealed[:head], [sealed[at : at + step] for at in range(head, len(sealed), step)]


# ---------------------------------------------------------------- what works


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])
def test_sealed_bytes_come_back(kind: tuple[Seal, Open, int], size: int) -> None:
    seal, open_, _ = kind
    data = os.urandom(size)
    sealed = seal(data, CONTEXT)
    assert open_(sealed, CONTEXT, size) == data
    assert data[:16] not in sealed or size < 16
    assert len(sealed) <= sealed_size(size)


@settings(max_examples=30)
@given(data=st.binary(max_size=300))
def test_any_bytes_come_back(data: bytes) -> None:
    for seal, open_, _ in KINDS.values():
        assert open_(seal(data, CONTEXT), CONTEXT, len(data)) == data


def test_sealed_size_is_exact_to_a_public_key() -> None:
    for size in (0, 1, CHUNK, CHUNK + 1):
        assert len(seal_bytes_to(PUBLIC, bytes(size), CONTEXT)) == sealed_size(size)


def test_same_content_never_seals_to_the_same_bytes(kind: tuple[Seal, Open, int]) -> None:
    seal, _, start = kind
    one, two = seal(b"same", CONTEXT), seal(b"same", CONTEXT)
    assert one[start + 32 :] != two[start + 32 :]


class Dripping(BytesIO):
    """A source that gives at most 1,000 bytes a read, as a pipe or socket may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(1000 if size is None or size < 0 else min(size, 1000))


def test_source_may_give_its_bytes_in_any_pieces() -> None:
    data, sealed, plain = os.urandom(2 * CHUNK), BytesIO(), BytesIO()
    seal_with_key(JOB_KEY, Dripping(data), sealed, CONTEXT)
    assert open_with_key(JOB_KEY, Dripping(sealed.getvalue()), plain, CONTEXT, len(data)) == len(data)
    assert plain.getvalue() == data


def test_large_files_are_sealed_and_opened_in_little_memory(tmp_path: Path) -> None:
    size = 64 << 20
    plain, sealed, opened = tmp_path / "plain", tmp_path / "sealed", tmp_path / "opened"
    with plain.open("wb") as file:
        file.truncate(size)
    tracemalloc.start()
    try:
        with plain.open("rb") as source, sealed.open("wb") as sink:
            seal_to(PUBLIC, source, sink, CONTEXT)
        with sealed.open("rb") as source, opened.open("wb") as sink:
            assert open_sealed(READER, source, sink, CONTEXT, size) == size
        assert tracemalloc.get_traced_memory()[1] < 8 * CHUNK
    finally:
        tracemalloc.stop()
    assert opened.stat().st_size == size


# ---------------------------------------------------------------- another reader, another context


def test_other_reader_cannot_open() -> None:
    with pytest.raises(CorruptContent, match="does not open"):
        open_sealed_bytes(OTHER, seal_bytes_to(PUBLIC, b"secret", CONTEXT), CONTEXT, 100)


def test_other_symmetric_key_cannot_open() -> None:
    with pytest.raises(CorruptContent, match="does not open"):
        open_bytes_with_key(b"\x34" * 32, seal_bytes_with_key(JOB_KEY, b"secret", CONTEXT), CONTEXT, 100)


CHANGES = {
    "chain_id": 1,
    "contract": BOB,
    "job_id": 8,
    "round": 4,
    "party": BOB,
    "purpose": Purpose.SUM,
}


def test_every_field_of_the_context_is_tried() -> None:
    assert set(CHANGES) == {field.name for field in dataclasses.fields(SealContext)}


@pytest.mark.parametrize("field", CHANGES)
def test_file_opens_in_no_other_context(kind: tuple[Seal, Open, int], field: str) -> None:
    seal, open_, _ = kind
    other = dataclasses.replace(CONTEXT, **{field: CHANGES[field]})
    sealed = seal(b"secret", CONTEXT)
    assert open_(sealed, CONTEXT, 100) == b"secret"
    with pytest.raises(CorruptContent, match="does not open"):
        open_(sealed, other, 100)


def test_anothers_sealed_update_cannot_be_handed_in_as_ones_own() -> None:
    alices = seal_bytes_to(PUBLIC, b"alice's work", CONTEXT)
    with pytest.raises(CorruptContent, match="does not open"):
        open_sealed_bytes(READER, alices, dataclasses.replace(CONTEXT, party=BOB), 100)


def test_contexts_never_share_their_bytes() -> None:
    contexts = [CONTEXT, *(dataclasses.replace(CONTEXT, **{name: value}) for name, value in CHANGES.items())]
    assert len({bytes(context) for context in contexts}) == len(contexts)
    assert {len(bytes(context)) for context in contexts} == {107}


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": -1},
        {"chain_id": 1 << 256},
        {"job_id": -1},
        {"job_id": 1 << 256},
        {"round": -1},
        {"round": 1 << 16},
        {"contract": "0x12"},
        {"party": ""},
        {"party": ALICE + "00"},
        {"party": "0x" + "g" * 40},
    ],
)
def test_context_out_of_range_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        dataclasses.replace(CONTEXT, **change)


def test_kinds_of_files_are_not_mistaken_for_each_other() -> None:
    with pytest.raises(CorruptContent, match="not a sealed file of the expected kind"):
        open_bytes_with_key(JOB_KEY, seal_bytes_to(PUBLIC, b"x", CONTEXT), CONTEXT, 100)
    with pytest.raises(CorruptContent, match="not a sealed file of the expected kind"):
        open_sealed_bytes(READER, seal_bytes_with_key(JOB_KEY, b"x", CONTEXT), CONTEXT, 100)


# ---------------------------------------------------------------- changed bytes


def test_no_bit_can_be_flipped(kind: tuple[Seal, Open, int]) -> None:
    seal, open_, _ = kind
    sealed = seal(b"short", CONTEXT)
    for at in range(len(sealed)):
        for bit in (1, 0x80):
            changed = sealed[:at] + bytes([sealed[at] ^ bit]) + sealed[at + 1 :]
            with pytest.raises(CorruptContent):
                open_(changed, CONTEXT, 100)


def test_no_end_can_be_cut_off(kind: tuple[Seal, Open, int]) -> None:
    seal, open_, _ = kind
    sealed = seal(b"short", CONTEXT)
    for size in range(len(sealed)):
        with pytest.raises(CorruptContent):
            open_(sealed[:size], CONTEXT, 100)


def attacks(head: bytes, chunks: list[bytes]) -> dict[str, bytes]:
    one, two, three, last = chunks
    return {
        "last chunk cut off": head + one + two + three,
        "two chunks cut off": head + one + two,
        "all chunks cut off": head,
        "middle chunk left out": head + one + three + last,
        "first chunk left out": head + two + three + last,
        "chunks swapped": head + two + one + three + last,
        "chunk repeated": head + one + one + two + three + last,
        "end before its place": head + one + last,
        "last chunk repeated": head + one + two + three + last + last,
        "byte appended": head + one + two + three + last + b"\0",
        "whole file appended": (head + one + two + three + last) * 2,
        "last chunk shortened": head + one + two + three + last[:-1],
    }


@pytest.mark.parametrize("attack", attacks(b"", [b""] * 4))
def test_chunks_cannot_be_cut_swapped_or_added(kind: tuple[Seal, Open, int], attack: str) -> None:
    seal, open_, start = kind
    data = b"".join(bytes([number]) * CHUNK for number in range(3)) + b"the end"
    sealed = seal(data, CONTEXT)
    head, chunks = chunks_of(sealed, start)
    assert head + b"".join(chunks) == sealed
    with pytest.raises(CorruptContent):
        open_(attacks(head, chunks)[attack], CONTEXT, 10 * CHUNK)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK])
def test_nothing_can_follow_the_end(kind: tuple[Seal, Open, int], size: int) -> None:
    seal, open_, _ = kind
    with pytest.raises(CorruptContent):
        open_(seal(bytes(size), CONTEXT) + b"\0", CONTEXT, 10 * CHUNK)


def test_chunks_of_two_files_cannot_be_mixed(kind: tuple[Seal, Open, int]) -> None:
    seal, open_, start = kind
    head, ones = chunks_of(seal(bytes(2 * CHUNK), CONTEXT), start)
    _, others = chunks_of(seal(bytes(2 * CHUNK), CONTEXT), start)
    with pytest.raises(CorruptContent, match="damaged or cut off after 262144 bytes"):
        open_(head + ones[0] + others[1], CONTEXT, 10 * CHUNK)


def test_content_over_the_bound_is_not_written() -> None:
    sealed, sink = seal_bytes_with_key(JOB_KEY, bytes(2 * CHUNK), CONTEXT), BytesIO()
    with pytest.raises(CorruptContent, match="more than the 300000 bytes"):
        open_with_key(JOB_KEY, BytesIO(sealed), sink, CONTEXT, 300_000)
    assert len(sink.getvalue()) <= 300_000


@settings(max_examples=50)
@given(junk=st.binary(max_size=400), magic=st.booleans())
def test_junk_is_refused(junk: bytes, magic: bool) -> None:
    for seal, open_, _ in KINDS.values():
        with pytest.raises(CorruptContent):
            open_((seal(b"", CONTEXT)[:8] if magic else b"") + junk, CONTEXT, 1000)


def test_header_names_the_one_key_that_a_file_opens_under() -> None:
    """Chunks can be made to authenticate under two keys, since Poly1305 does not commit to its key; a header cannot."""
    one, two = JOB_KEY, b"\x44" * 32
    sealed = seal_bytes_with_key(one, b"sum for the first group", CONTEXT)
    other = seal_bytes_with_key(two, b"sum for the second group", CONTEXT)
    assert sealed[8:40] != other[8:40]
    # The second group's chunks below the first's commitment: refused by the second, before any chunk is looked at.
    with pytest.raises(CorruptContent, match="does not open"):
        open_bytes_with_key(two, sealed[:40] + other[40:], CONTEXT, 100)


def test_stream_under_the_content_key_itself_is_refused() -> None:
    """Dropping the context binding by using the bare key, as a naive sealer would, gives no file that opens."""
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    header = sodium.crypto_secretstream_xchacha20poly1305_init_push(state, JOB_KEY)
    final = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
    chunk = sodium.crypto_secretstream_xchacha20poly1305_push(state, b"unbound", b"", final)
    commitment = seal_bytes_with_key(JOB_KEY, b"", CONTEXT)[8:40]
    with pytest.raises(CorruptContent, match="damaged"):
        open_bytes_with_key(JOB_KEY, b"MRTSYMM1" + commitment + header + chunk, CONTEXT, 100)


# ---------------------------------------------------------------- public keys


@pytest.mark.parametrize("high_bit", [0, 0x80])
@pytest.mark.parametrize("point", LOW_ORDER, ids=lambda point: point.hex()[:8])
def test_points_of_low_order_are_refused(point: bytes, high_bit: int) -> None:
    point = point[:31] + bytes([point[31] | high_bit])
    assert not usable_public_key(point)
    with pytest.raises(InputError, match="not a usable X25519 public key"):
        seal_bytes_to(point, b"secret", CONTEXT)


@pytest.mark.parametrize("key", [b"", b"\x09", PUBLIC[:31], PUBLIC + b"\0"])
def test_public_keys_of_another_length_are_refused(key: bytes) -> None:
    assert not usable_public_key(key)
    with pytest.raises(InputError, match="not a usable X25519 public key"):
        seal_bytes_to(key, b"secret", CONTEXT)


@pytest.mark.parametrize("point", LOW_ORDER, ids=lambda point: point.hex()[:8])
def test_envelope_made_with_a_low_order_point_is_refused(point: bytes) -> None:
    sealed = seal_bytes_to(PUBLIC, b"secret", CONTEXT)
    with pytest.raises(CorruptContent, match="does not open"):
        open_sealed_bytes(READER, sealed[:8] + point + sealed[40:], CONTEXT, 100)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_symmetric_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(InputError, match="has 32 bytes"):
        seal_bytes_with_key(bytes(size), b"secret", CONTEXT)


# ---------------------------------------------------------------- the job key

KEY_CONTEXT = dataclasses.replace(CONTEXT, round=0, purpose=Purpose.JOB_KEY)
DOCUMENT = seal_job_key(JOB_KEY, {ALICE: PUBLIC, BOB: OTHER.public_key().public_bytes_raw()}, KEY_CONTEXT)


def test_each_recipient_opens_the_job_key() -> None:
    assert open_job_key(DOCUMENT, ALICE, READER, KEY_CONTEXT) == JOB_KEY
    assert open_job_key(DOCUMENT, BOB.lower(), OTHER, KEY_CONTEXT) == JOB_KEY


def test_job_key_is_not_in_sight() -> None:
    assert JOB_KEY not in DOCUMENT


def test_recipient_cannot_open_anothers_envelope() -> None:
    with pytest.raises(CorruptContent, match="does not open"):
        open_job_key(DOCUMENT, BOB, READER, KEY_CONTEXT)


def test_account_without_envelope_is_told_so() -> None:
    with pytest.raises(NotFound, match=f"not sealed to {MARKET}"):
        open_job_key(DOCUMENT, MARKET, READER, KEY_CONTEXT)


@pytest.mark.parametrize("field", CHANGES)
def test_job_key_opens_in_no_other_context(field: str) -> None:
    with pytest.raises(CorruptContent, match="does not open"):
        open_job_key(DOCUMENT, ALICE, READER, dataclasses.replace(KEY_CONTEXT, **{field: CHANGES[field]}))


def test_envelopes_cannot_change_hands() -> None:
    alices, bobs = DOCUMENT[40:140], DOCUMENT[140:]
    swapped = DOCUMENT[:40] + alices[:20] + bobs[20:] + bobs[:20] + alices[20:]
    for address, secret in ((ALICE, OTHER), (BOB, READER), (ALICE, READER), (BOB, OTHER)):
        with pytest.raises(CorruptContent):
            open_job_key(swapped, address, secret, KEY_CONTEXT)


def test_two_groups_cannot_be_given_two_job_keys() -> None:
    second = seal_job_key(b"\x44" * 32, {ALICE: PUBLIC}, KEY_CONTEXT)
    bobs_first = next(entry for entry in (DOCUMENT[40:140], DOCUMENT[140:]) if entry[:20].hex() == BOB[2:].lower())
    mixed = DOCUMENT[:40] + b"".join(sorted([bobs_first, second[40:]]))
    assert open_job_key(mixed, BOB, OTHER, KEY_CONTEXT) == JOB_KEY
    with pytest.raises(CorruptContent, match="not the one that the aggregator committed to"):
        open_job_key(mixed, ALICE, READER, KEY_CONTEXT)


MALFORMED = {
    "empty": b"",
    "other magic": b"MRTJKEY2" + DOCUMENT[8:],
    "cut in the commitment": DOCUMENT[:39],
    "cut in an address": DOCUMENT[:150],
    "cut in an envelope": DOCUMENT[:-1],
    "byte appended": DOCUMENT + b"\0",
    "descending": DOCUMENT[:40] + DOCUMENT[140:] + DOCUMENT[40:140],
    "repeated": DOCUMENT + DOCUMENT[140:],
    "oversized": DOCUMENT + bytes(MAX_JOB_KEY_BYTES),
}


@pytest.mark.parametrize("document", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_job_key_document_is_refused(document: bytes) -> None:
    for address, secret in ((ALICE, READER), (BOB, OTHER)):
        with pytest.raises(CorruptContent):
            open_job_key(document, address, secret, KEY_CONTEXT)


def test_trainer_with_an_unusable_key_harms_only_itself() -> None:
    document = seal_job_key(JOB_KEY, {ALICE: PUBLIC, BOB: LOW_ORDER[1], MARKET: b"short"}, KEY_CONTEXT)
    assert open_job_key(document, ALICE, READER, KEY_CONTEXT) == JOB_KEY
    with pytest.raises(NotFound):
        open_job_key(document, BOB, OTHER, KEY_CONTEXT)


def test_job_key_goes_to_as_many_as_a_job_may_have() -> None:
    addresses = ["0x" + f"{number:040x}" for number in range(1, MAX_RECIPIENTS + 2)]
    document = seal_job_key(JOB_KEY, dict.fromkeys(addresses[:-1], PUBLIC), KEY_CONTEXT)
    assert len(document) == MAX_JOB_KEY_BYTES
    assert all(open_job_key(document, address, READER, KEY_CONTEXT) == JOB_KEY for address in addresses[:-1])
    with pytest.raises(InputError, match=f"at most {MAX_RECIPIENTS} recipients"):
        seal_job_key(JOB_KEY, dict.fromkeys(addresses, PUBLIC), KEY_CONTEXT)


def test_sizes_in_the_format_are_those_documented() -> None:
    assert (sealing._WRAPPED, sealing._HEADER, sealing._OVERHEAD) == (80, 24, 17)


def test_format_is_the_documented_one() -> None:
    """Opens a file with the primitives alone, from the words of sealing.py."""
    sealed = seal_bytes_with_key(JOB_KEY, b"content", CONTEXT)
    extracted = hmac.digest(bytes(32), JOB_KEY, "sha256")
    info = b"merit/stream/v1" + b"MRTSYMM1" + bytes(CONTEXT)
    stream_key = hmac.digest(extracted, info + b"\x01", "sha256")
    commitment = hmac.digest(extracted, stream_key + info + b"\x02", "sha256")
    assert sealed[:40] == b"MRTSYMM1" + commitment
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, sealed[40:64], stream_key)
    binding = hashlib.sha256(sealed[:64] + bytes(CONTEXT)).digest()
    opened = sodium.crypto_secretstream_xchacha20poly1305_pull(state, sealed[64:], binding)
    assert opened == (b"content", sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL)
    assert bytes(CONTEXT) == (
        (31337).to_bytes(32)
        + bytes.fromhex(MARKET[2:])
        + (7).to_bytes(32)
        + (3).to_bytes(2)
        + bytes.fromhex(ALICE[2:])
        + b"\x01"
    )
