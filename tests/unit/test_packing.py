"""Integers in few bytes: whatever goes in comes out, in one form, and nothing else is read."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zk.encoding import LIMIT, ONE
from zk.packing import max_packed_bytes, pack_integers, unpack_integers

SUM = 32 * ONE * LIMIT
KINDS = [(np.int16, LIMIT), (np.int64, SUM), (np.int64, 8 * LIMIT)]


def packed(shift: int, width: int, plain: bytes) -> bytes:
    return bytes((shift, width)) + bytes(pa.Codec("zstd").compress(plain, asbytes=True))


@pytest.mark.parametrize(("dtype", "most"), KINDS)
@given(data=st.data())
def test_what_goes_in_comes_out_within_the_bound(dtype, most, data):
    spread = data.draw(st.sampled_from([1, 3, 200, most]).map(lambda bound: min(bound, most)))
    shift = data.draw(st.integers(0, (most // spread).bit_length() - 1))
    values = data.draw(st.lists(st.integers(-spread, spread), min_size=1, max_size=40))
    vector = (np.array(values, np.int64) << shift).astype(dtype)
    written = pack_integers(vector)
    assert len(written) <= max_packed_bytes(len(vector), most)
    read = unpack_integers(written, len(vector), most, dtype)
    assert read.dtype == dtype
    assert np.array_equal(read, vector)


@pytest.mark.parametrize(("dtype", "most"), KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_what_cannot_be_compressed_is_within_the_bound_too(dtype, most, seed):
    vector = np.random.default_rng(seed).integers(-most, most + 1, 50_000).astype(dtype)
    assert len(pack_integers(vector)) <= max_packed_bytes(len(vector), most)


def test_a_common_power_of_two_and_small_entries_cost_nothing():
    rng = np.random.default_rng(1)
    small = rng.integers(-100, 101, 10_000).astype(np.int16)
    assert len(pack_integers(small)) <= 10_100
    assert len(pack_integers(small << 7)) == len(pack_integers(small))
    assert len(pack_integers(small.astype(np.int64) << 20)) == len(pack_integers(small))
    assert len(pack_integers(np.zeros(10_000, np.int16))) < 50


HOSTILE = {
    "nothing": b"",
    "one byte": b"\0",
    "no frame": b"\0\1",
    "no zstd": b"\0\1hello",
    "too few entries": packed(0, 1, b"\2\2"),
    "too many entries": packed(0, 1, b"\2\2\2\2"),
    "a bomb": packed(0, 1, bytes(2**24)),
    "no width": packed(0, 0, b""),
    "a width beyond the bound": packed(0, 3, b"\2" * 9),
    "a shift beyond the bound": packed(15, 1, b"\2\2\2"),
    "an entry beyond the bound": packed(0, 2, b"\xff" * 6),
    "an entry beyond the bound by its shift": packed(14, 1, b"\4\1\1"),
    "a wider form": packed(0, 2, b"\2\2\2\0\0\0"),
    "a factor that was left in": packed(0, 1, b"\4\4\4"),
    "zeros with a shift": packed(1, 1, b"\0\0\0"),
    "a trailing byte": packed(0, 1, b"\2\2\2") + b"\0",
    "cut short": packed(0, 1, b"\2\2\2")[:-1],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_anything_else_is_refused(name):
    with pytest.raises(ValueError, match="packed integer"):
        unpack_integers(HOSTILE[name], 3, LIMIT, np.int16)


def test_the_least_value_of_int16_is_not_read():
    with pytest.raises(ValueError, match="not within"):
        unpack_integers(packed(0, 2, b"\xff\xff"), 1, LIMIT, np.int16)


@given(st.binary(max_size=60))
def test_no_bytes_do_anything_but_be_refused_or_read_to_what_packs_to_the_same(data):
    try:
        read = unpack_integers(data, 3, LIMIT, np.int16)
    except ValueError:
        return
    assert np.array_equal(unpack_integers(pack_integers(read), 3, LIMIT, np.int16), read)
    assert pack_integers(read)[:2] == data[:2]
