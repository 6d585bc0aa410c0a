"""Canonical bytes and the files that travel: one encoding each, everything else refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from zk import files
from zk.encoding import LIMIT, check_entries, chunks, from_bytes, to_bytes

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/updates.json").read_text())
C = 2
BLINDERS, POINTS = bytes(range(64 * C)), bytes(64 * C)
W = np.array([1, -2, LIMIT, -LIMIT, 0], dtype=np.int16)


@pytest.mark.parametrize("vector", VECTORS["updates"], ids=lambda v: v["name"])
def test_canonical_bytes_are_those_of_the_vectors(vector):
    w = np.array(vector["entries"], dtype=np.int16)
    assert to_bytes(w).hex() == vector["bytes"]
    assert from_bytes(bytes.fromhex(vector["bytes"]), len(w)).tolist() == vector["entries"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda v: v["name"])
def test_bytes_that_encode_no_update_are_refused(vector):
    with pytest.raises(ValueError, match="update"):
        from_bytes(bytes.fromhex(vector["bytes"]), vector["d"])


@pytest.mark.parametrize(
    "wrong",
    [W.astype(np.int32), W.astype(np.uint16), W.reshape(1, 5), W[:0], W.astype(">i2")],
    ids=["int32", "uint16", "two axes", "empty", "big endian"],
)
def test_what_is_no_vector_of_int16_is_refused(wrong):
    with pytest.raises(ValueError, match="update"):
        check_entries(wrong)


@given(
    entries=st.lists(st.integers(-LIMIT, LIMIT), min_size=1, max_size=50), blinders=st.binary(min_size=64, max_size=64)
)
def test_an_update_file_gives_back_what_went_in(entries, blinders):
    w = np.array(entries, dtype=np.int16)
    data = files.pack_update(w, blinders, blinders[::-1], 1)
    assert len(data) <= files.max_update_file_bytes(len(w), 1)
    read, *rest = files.unpack_update(data, len(w), 1)
    assert read.tolist() == entries
    assert rest == [blinders, blinders[::-1]]


def test_rows_sum_and_model_files_give_back_what_went_in():
    first, second, blinders = files.unpack_rows(files.pack_rows(W, -W, BLINDERS * 2, C), 5, C)
    assert (first.tolist(), second.tolist(), blinders) == (W.tolist(), (-W).tolist(), BLINDERS * 2)
    total = np.array([2**40, -(2**40), 0], dtype=np.int64)
    read, blinders, points = files.unpack_sum(files.pack_sum(total, BLINDERS, POINTS, C), 3, C, 2**40)
    assert (read.tolist(), blinders, points) == (total.tolist(), BLINDERS, POINTS)
    model = np.array([1.5, -0.0, 3e38], dtype=np.float32)
    assert files.unpack_model(files.pack_model(model), 3).tobytes() == model.tobytes()


def test_an_entry_from_a_strided_view_is_packed_as_it_reads():
    strided = np.arange(10, dtype=np.int16)[::2]
    data = files.pack_update(strided, BLINDERS, POINTS, C)
    assert files.unpack_update(data, 5, C)[0].tolist() == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(("d", "c"), [(1, 1), (1023, 1), (1024, 1), (1025, 2), (4096, 4), (4097, 5)])
def test_the_last_chunk_may_be_shorter(d, c):
    assert chunks(d, 1024) == c


PARTS = {"blinders": np.frombuffer(BLINDERS, dtype=np.uint8), "commitment": np.frombuffer(POINTS, dtype=np.uint8)}
GOOD = files.pack_update(W, BLINDERS, POINTS, C)


def _saved(update=W, metadata=None, **changes):
    return safetensors.numpy.save({"update": update, **PARTS, **changes}, metadata=metadata)


def _with_header(change) -> bytes:
    size = int.from_bytes(GOOD[:8], "little")
    header = change(json.loads(GOOD[8 : 8 + size]))
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + GOOD[8 + size :]


def _twice(header) -> bytes:
    return (
        json.dumps(header)
        .encode()
        .replace(b'"blinders"', b'"update": ' + json.dumps(header["update"]).encode() + b', "blinders"')
    )


HOSTILE = {
    "empty": b"",
    "no header": bytes(8),
    "text": b"hello, this is no tensor at all",
    "cut short": GOOD[:-1],
    "trailing byte": GOOD + b"\0",
    "header longer than file": (2**63).to_bytes(8, "little") + GOOD[8:],
    "another d": files.pack_update(W[:4], BLINDERS, POINTS, C),
    "another c": files.pack_update(W, BLINDERS + bytes(64), POINTS + bytes(64), C + 1),
    "int32": _saved(W.astype(np.int32)),
    "uint16": _saved(W.view(np.uint16)),
    "two axes": _saved(W.reshape(1, 5)),
    "short blinders": _saved(blinders=PARTS["blinders"][:-1]),
    "half a point": _saved(commitment=PARTS["commitment"][:-32]),
    "signed blinders": _saved(blinders=PARTS["blinders"].view(np.int8)),
    "no commitment": safetensors.numpy.save({"update": W, "blinders": PARTS["blinders"]}),
    "a fourth tensor": _saved(more=W[:1]),
    "metadata": _saved(metadata={"note": "x"}),
    "-32768": _saved(np.array([0, 0, 0, 0, -(2**15)], dtype=np.int16)),
    "a name twice": _with_header(_twice),
    "a header that is a list": _with_header(lambda header: [header]),
    "a deep header": _with_header(lambda header: b"[" * 900),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_update_file_is_refused(name):
    with pytest.raises(ValueError, match=r"."):
        files.unpack_update(HOSTILE[name], 5, C)


def test_the_size_is_judged_before_anything_is_read():
    with pytest.raises(ValueError, match="at most"):
        files.unpack_update(bytes(files.max_update_file_bytes(5, C) + 1), 5, C)


def test_a_sum_beyond_what_updates_can_add_up_to_is_refused():
    for extreme in (101, -101, -(2**63)):
        with pytest.raises(ValueError, match="±100"):
            files.unpack_sum(
                files.pack_sum(np.array([0, extreme], dtype=np.int64), BLINDERS, POINTS, C), 2, C, bound=100
            )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_that_is_not_finite_is_neither_written_nor_read(value):
    model = np.array([0, value], dtype=np.float32)
    with pytest.raises(ValueError, match="finite"):
        files.pack_model(model)
    with pytest.raises(ValueError, match="finite"):
        files.unpack_model(safetensors.numpy.save({"model": model}), 2)


def test_what_is_wrong_is_not_packed():
    for wrong, blinders, points in (
        (np.array([-(2**15)], dtype=np.int16), BLINDERS, POINTS),
        (W, BLINDERS[:-1], POINTS),
        (W, BLINDERS, POINTS[:-1]),
        (W.astype(np.int64), BLINDERS, POINTS),
    ):
        with pytest.raises(ValueError, match=r"update|blinders|points"):
            files.pack_update(wrong, blinders, points, C)
    with pytest.raises(ValueError, match="entries"):
        files.pack_rows(W, W[:4], BLINDERS * 2, C)
    with pytest.raises(ValueError, match="blinders"):
        files.pack_rows(W, W, BLINDERS, C)
    with pytest.raises(ValueError, match="int64"):
        files.pack_sum(W, BLINDERS, POINTS, C)
