"""CIDs equal those of a real IPFS node (tests/vectors/cids.json), and only one spelling of them is read."""

import base64
import json
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.errors import CorruptContent
from marketplace.storage.cid import CHUNK, Cid, CidBuilder, parse_cid

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/cids.json").read_text())["files"]
GOOD = VECTORS[4]["cid"]


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def cid_of(*pieces: bytes) -> str:
    builder = CidBuilder()
    for piece in pieces:
        builder.update(piece)
    return str(builder.finish())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['size']}B")
def test_cid_equals_that_of_an_ipfs_node(vector: dict[str, object]) -> None:
    assert cid_of(pattern(int(str(vector["size"])))) == vector["cid"]


@given(st.lists(st.integers(0, CHUNK + 2), max_size=6))
def test_cid_does_not_depend_on_how_the_bytes_arrive(cuts: list[int]) -> None:
    data = pattern(2 * CHUNK + 1)
    ends = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    assert cid_of(*(data[a:b] for a, b in pairwise(ends))) == cid_of(data)


def test_builder_holds_no_content() -> None:
    builder, piece = CidBuilder(), bytes(CHUNK)
    tracemalloc.start()
    try:
        for _ in range(400):  # 100 MiB, three levels
            builder.update(piece)
        builder.finish()
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['size']}B")
def test_parsed_cid_is_written_as_it_was_read(vector: dict[str, str]) -> None:
    assert str(parse_cid(vector["cid"])) == vector["cid"]


def spelled(data: bytes) -> str:
    """`data` in lower-case base32, whatever it is."""
    return "b" + base64.b32encode(data).decode().lower().rstrip("=")


BAD_CIDS = {
    "empty": "",
    "version 0": "QmZfF6C9j4VtoCsTp4KSrhYH47QMd3DNXVZBKaxJdhaPab",
    "base58": "zb2rhcc1wJn2GHDLT2YkmPq5b69cXc2xfRZZmyufbjFUfBkxr",
    "upper case": GOOD.upper(),
    "one upper-case letter": GOOD[:-2] + GOOD[-2].upper() + GOOD[-1],
    "set padding bits": GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
    "padding": GOOD[:-1] + "=",
    "too short": GOOD[:-1],
    "too long": GOOD + "a",
    "digits outside of base32": GOOD[:-2] + "01",
    "white space": " " + GOOD[1:],
    "line end": GOOD + "\n",
    "non-ASCII letters": GOOD[:-1] + "é",
    "path out of the folder": "../../x",
    "long path out of the folder": ("../" * 20)[:58] + "x",
    "absolute path": "/etc/passwd",
    "path below a CID": GOOD + "/../../x",
    "gateway path": "/ipfs/" + GOOD,
    "NUL": GOOD[:-1] + "\0",
    "version 2": spelled(b"\x02\x55\x12\x20" + bytes(32)),
    "dag-cbor": spelled(b"\x01\x71\x12\x20" + bytes(32)),
    "blake2s": spelled(b"\x01\x55\x13\x20" + bytes(32)),
    "short digest": spelled(b"\x01\x55\x12\x1f" + bytes(32)),
}


@pytest.mark.parametrize("text", BAD_CIDS.values(), ids=BAD_CIDS.keys())
def test_anything_but_the_one_spelling_is_refused(text: str) -> None:
    with pytest.raises(CorruptContent, match="is not a content id"):
        parse_cid(text)


@given(st.binary(min_size=32, max_size=32), st.sampled_from([0x55, 0x70]))
def test_every_cid_survives_writing_and_reading(digest: bytes, codec: int) -> None:
    assert parse_cid(str(Cid(codec, digest))) == Cid(codec, digest)
