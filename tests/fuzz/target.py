"""What a fuzz target is, and changes of bytes that need no coverage: for `make test`, and where there is no atheris."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MAX_INPUT = 4096  # bytes


class Unbound(Exception):
    """A property that must hold for every input does not."""


@dataclass(frozen=True)
class Target:
    """One decoder.

    run: takes any bytes; returns, or raises one of `refusals`. Everything else is a finding: another exception, a
    broken property (`hold`), more than a few seconds, more than the runner's memory.
    seeds: inputs to start from, made by code: what the decoder takes, and what once was a finding.
    """

    name: str
    run: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    seeds: Callable[[], Sequence[bytes]]

    def try_one(self, data: bytes) -> bool:
        """Whether the decoder took the input. Raises what is a finding."""
        try:
            self.run(data)
        except self.refusals:
            return False
        return True


def hold(condition: object, what: str) -> None:
    """Raises Unbound; not an assertion, which `python -O` would leave out."""
    if not condition:
        raise Unbound(what)


def changed(good: bytes, changes: bytes) -> bytes:
    """A good input after the changes that an input describes, five bytes each: what to do, where, with which byte.

    No fuzzer finds a point of the curve or an authentic seal: what needs one starts from it.
    """
    out = bytearray(good)
    for at in range(0, len(changes) - 4, 5):
        what, value = changes[at], changes[at + 4]
        place = int.from_bytes(changes[at + 1 : at + 4]) % (len(out) + 1)
        match what % 6:
            case 0:
                del out[place:]
            case 1:
                out.insert(place, value)
            case 2 if place < len(out):
                out[place] ^= value
            case 3 if place < len(out):
                out[place] = value
            case 4:
                out[place : place + 32] = bytes([value]) * len(out[place : place + 32])
            case 5:  # a whole word in another's place
                start = value * 32 % (len(out) + 1)
                piece = out[start : start + 32]
                out[place : place + len(piece)] = piece
    return bytes(out)


_TOKENS = (b"\0" * 8, b"\xff" * 8, b"\x80", b"[" * 64, b'{"', b"}", b"-1", b"1e999", b"NaN", b'"\\ud800"', b"\n", b"0x")


def mutations(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` inputs: seeds with a few random changes each. The same for the same seed."""
    chance = random.Random(seed)
    pool = list(seeds) or [b""]
    for _ in range(count):
        data = bytearray(chance.choice(pool))
        for _ in range(chance.choice((1, 1, 2, 4, 8))):
            place = chance.randrange(len(data) + 1)
            match chance.randrange(7):
                case 0:
                    data[place:place] = chance.randbytes(chance.choice((1, 2, 8)))
                case 1 if data:
                    del data[place : place + chance.choice((1, 2, 8, 64))]
                case 2 if place < len(data):
                    data[place] ^= 1 << chance.randrange(8)
                case 3:
                    data[place : place + 1] = bytes([chance.randrange(256)])
                case 4:
                    data[place:place] = chance.choice(_TOKENS)
                case 5:
                    other = chance.choice(pool)
                    start = chance.randrange(len(other) + 1)
                    data[place : place + 16] = other[start : start + 16]
                case 6:
                    del data[place:]
        yield bytes(data[:MAX_INPUT])
