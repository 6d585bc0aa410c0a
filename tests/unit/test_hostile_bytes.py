"""Every decoder that reads bytes from outside, on what it takes, what once broke one, and changes of both.

A few hundred inputs each, the same in every run; tests/fuzz/run.py looks further, guided by coverage.
"""

import time
import zlib

import pytest

from tests.fuzz.run import targets
from tests.fuzz.target import Target, Unbound, changed, hold, mutations

SECONDS = 0.5  # for the changes of one decoder's seeds
MOST = 400  # changes of them
SLOWEST = 15.0  # seconds for one input, of which the slowest takes one

TARGETS = targets()


@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_takes_its_own_and_survives_what_is_near(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    taken = [target.try_one(seed) for seed in seeds]
    assert any(taken), "none of its seeds is taken"
    end = time.monotonic() + SECONDS
    for data in mutations(seeds, MOST, zlib.crc32(name.encode())):
        start = time.monotonic()
        try:
            target.try_one(data)
        except BaseException as error:
            raise AssertionError(f"a finding of {name}, add it to its seeds: {data!r}") from error
        assert time.monotonic() - start < SLOWEST, data
        if time.monotonic() > end:
            break


def _leaky(data: bytes) -> None:
    """A decoder with faults of the kinds that are looked for."""
    if data[:1] == b"\xff":
        raise IndexError("past the end")
    hold(data != b"other", "it has two encodings")
    if len(data) > 3:
        raise ValueError("documented")


def test_faults_are_found_and_refusals_are_none() -> None:
    leaky = Target("leaky", _leaky, (ValueError,), lambda: [b"abc"])
    assert leaky.try_one(b"abc")
    assert not leaky.try_one(b"abcd")
    with pytest.raises(IndexError):
        leaky.try_one(b"\xff")
    with pytest.raises(Unbound):
        leaky.try_one(b"other")
    assert any(data[:1] == b"\xff" for data in mutations([b"\x7f"], 500, 1))


def test_changes_are_those_that_were_asked_for_and_the_same_each_time() -> None:
    good = bytes(range(100))
    assert changed(good, b"") == good
    assert changed(good, b"\0\0\0\x05\0") == good[:5]
    assert changed(good, b"\2\0\0\x05\1")[5] == 4
    assert changed(good, b"\5\0\0\x00\1")[:32] == good[32:64]
    assert list(mutations([good], 50, 3)) == list(mutations([good], 50, 3))
    assert list(mutations([good], 50, 3)) != list(mutations([good], 50, 4))
