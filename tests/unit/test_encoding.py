"""Canonical bytes and the files that travel: one encoding each, everything else refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from zk import files
from zk.encoding import LIMIT, check_entries, from_bytes, to_bytes

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/updates.json").read_text())
SALT = bytes(range(32))
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


@given(entries=st.lists(st.integers(-LIMIT, LIMIT), min_size=1, max_size=50), salt=st.binary(min_size=32, max_size=32))
def test_an_update_file_gives_back_what_went_in(entries, salt):
    w = np.array(entries, dtype=np.int16)
    data = files.pack_update(w, salt)
    assert len(data) <= files.max_update_file_bytes(len(w))
    read, read_salt = files.unpack_update(data, len(w))
    assert read.tolist() == entries
    assert read_salt == salt


def test_rows_sum_and_model_files_give_back_what_went_in():
    first, second, salt = files.unpack_rows(files.pack_rows(W, -W, SALT), 5)
    assert (first.tolist(), second.tolist(), salt) == (W.tolist(), (-W).tolist(), SALT)
    total = np.array([2**40, -(2**40), 0], dtype=np.int64)
    assert (files.unpack_sum(files.pack_sum(total), 3, 2**40) == total).all()
    model = np.array([1.5, -0.0, 3e38], dtype=np.float32)
    assert files.unpack_model(files.pack_model(model), 3).tobytes() == model.tobytes()


def test_an_entry_from_a_strided_view_is_packed_as_it_reads():
    strided = np.arange(10, dtype=np.int16)[::2]
    assert files.unpack_update(files.pack_update(strided, SALT), 5)[0].tolist() == [0, 2, 4, 6, 8]


SALT_ARRAY = np.frombuffer(SALT, dtype=np.uint8)
GOOD = files.pack_update(W, SALT)


def _with_header(change) -> bytes:
    size = int.from_bytes(GOOD[:8], "little")
    header = change(json.loads(GOOD[8 : 8 + size]))
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + GOOD[8 + size :]


def _twice(header) -> bytes:
    return (
        json.dumps(header)
        .encode()
        .replace(b'"salt"', b'"update": ' + json.dumps(header["update"]).encode() + b', "salt"')
    )


HOSTILE = {
    "empty": b"",
    "no header": bytes(8),
    "text": b"hello, this is no tensor at all",
    "cut short": GOOD[:-1],
    "trailing byte": GOOD + b"\0",
    "header longer than file": (2**63).to_bytes(8, "little") + GOOD[8:],
    "another d": files.pack_update(W[:4], SALT),
    "int32": safetensors.numpy.save({"update": W.astype(np.int32), "salt": SALT_ARRAY}),
    "uint16": safetensors.numpy.save({"update": W.view(np.uint16), "salt": SALT_ARRAY}),
    "two axes": safetensors.numpy.save({"update": W.reshape(1, 5), "salt": SALT_ARRAY}),
    "short salt": safetensors.numpy.save({"update": W, "salt": SALT_ARRAY[:31]}),
    "signed salt": safetensors.numpy.save({"update": W, "salt": SALT_ARRAY.view(np.int8)}),
    "no salt": safetensors.numpy.save({"update": W}),
    "a third tensor": safetensors.numpy.save({"update": W, "salt": SALT_ARRAY, "more": W[:1]}),
    "metadata": safetensors.numpy.save({"update": W, "salt": SALT_ARRAY}, metadata={"note": "x"}),
    "-32768": safetensors.numpy.save({"update": np.array([0, 0, 0, 0, -(2**15)], dtype=np.int16), "salt": SALT_ARRAY}),
    "a name twice": _with_header(_twice),
    "a header that is a list": _with_header(lambda header: [header]),
    "a deep header": _with_header(lambda header: b"[" * 900),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_update_file_is_refused(name):
    with pytest.raises(ValueError, match=r"."):
        files.unpack_update(HOSTILE[name], 5)


def test_the_size_is_judged_before_anything_is_read():
    with pytest.raises(ValueError, match="at most"):
        files.unpack_update(bytes(files.max_update_file_bytes(5) + 1), 5)


def test_a_sum_beyond_what_updates_can_add_up_to_is_refused():
    for extreme in (101, -101, -(2**63)):
        with pytest.raises(ValueError, match="±100"):
            files.unpack_sum(files.pack_sum(np.array([0, extreme], dtype=np.int64)), 2, bound=100)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_that_is_not_finite_is_neither_written_nor_read(value):
    model = np.array([0, value], dtype=np.float32)
    with pytest.raises(ValueError, match="finite"):
        files.pack_model(model)
    with pytest.raises(ValueError, match="finite"):
        files.unpack_model(safetensors.numpy.save({"model": model}), 2)


def test_what_is_wrong_is_not_packed():
    for wrong, salt in ((np.array([-(2**15)], dtype=np.int16), SALT), (W, SALT[:-1]), (W.astype(np.int64), SALT)):
        with pytest.raises(ValueError, match=r"update|salt"):
            files.pack_update(wrong, salt)
    with pytest.raises(ValueError, match="entries"):
        files.pack_rows(W, W[:4], SALT)
    with pytest.raises(ValueError, match="int64"):
        files.pack_sum(W)
