"""What is hostile in storage: base models, sealed files, key documents, set-ups, and files in another's folder."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from marketplace.keys.sealing import Purpose, SealContext, seal_bytes_to, seal_bytes_with_key, seal_job_key
from marketplace.services.deliveries import Delivery, seal_update
from marketplace.storage.cid import cid_of

# ---------------------------------------------------------------- round 1's base


def _header(document: object, body: bytes = b"") -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return len(text).to_bytes(8, "little") + text + body


def _whole(d: int, value: float) -> bytes:
    return save({"model": np.full(d, value, np.float32)})


def _one(d: int, value: float) -> bytes:
    model = np.zeros(d, np.float32)
    model[d // 2] = value
    return save({"model": model})


BASES: dict[str, Callable[[int], bytes]] = {  # of d parameters
    "NaN": lambda d: _whole(d, np.nan),
    "one NaN": lambda d: _one(d, np.nan),
    "infinity": lambda d: _whole(d, np.inf),
    "one −infinity": lambda d: _one(d, -np.inf),
    "2^20, the largest there may be": lambda d: _whole(d, 2.0**20),
    "a little more than 2^20": lambda d: _one(d, 2.0**20 + 1),
    "1e30": lambda d: _whole(d, 1e30),
    "−1e30": lambda d: _whole(d, -1e30),
    "one 3e38": lambda d: _one(d, 3e38),
    "1e19, whose squares overflow": lambda d: _whole(d, 1e19),
    "1e-45": lambda d: _whole(d, 1e-45),
    "zeros": lambda d: _whole(d, 0),
    "one parameter less": lambda d: _whole(d - 1, 0.1),
    "one parameter more": lambda d: _whole(d + 1, 0.1),
    "a million more": lambda d: _whole(d + 2**20, 0.1),
    "float64": lambda d: save({"model": np.zeros(d)}),
    "float16": lambda d: save({"model": np.zeros(d, np.float16)}),
    "int32": lambda d: save({"model": np.zeros(d, np.int32)}),
    "two dimensions": lambda d: save({"model": np.zeros((1, d), np.float32)}),
    "another name": lambda d: save({"base": np.zeros(d, np.float32)}),
    "another tensor too": lambda d: save({"model": np.zeros(d, np.float32), "a": np.zeros(1, np.float32)}),
    "cut off": lambda d: _whole(d, 0.1)[:-1],
    "a byte behind": lambda d: _whole(d, 0.1) + b"\0",
    "no bytes": lambda d: b"",
    "seven bytes": lambda d: b"\0" * 7,
    "a header of 2^64 − 1 bytes": lambda d: b"\xff" * 8 + b"{}",
    "a header of 2^31 bytes": lambda d: (2**31).to_bytes(8, "little") + b"{}",
    "a header of lists within lists": lambda d: _header(b"[" * 900 + b"]" * 900),
    "a header that is a number": lambda d: _header(b"1"),
    "an empty header": lambda d: _header(b""),
    "2^63 entries": lambda d: _header({"model": {"dtype": "F32", "shape": [2**63], "data_offsets": [0, 4]}}, b"\0" * 4),
    "−1 entries": lambda d: _header({"model": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "offsets turned round": lambda d: _header(
        {"model": {"dtype": "F32", "shape": [d], "data_offsets": [4 * d, 0]}}, b"\0" * 4 * d
    ),
    "offsets beyond the file": lambda d: _header(
        {"model": {"dtype": "F32", "shape": [d], "data_offsets": [2**62, 2**62 + 4 * d]}}, b"\0" * 4 * d
    ),
    "metadata": lambda d: save({"model": np.zeros(d, np.float32)}, metadata={"a": "b" * 500}),
    "a pickle": lambda d: b"\x80\x04cos\nsystem\n(S'true'\ntR." * 40,
    "a zip": lambda d: b"PK\x03\x04" + bytes(1000),
}

# ---------------------------------------------------------------- what a trainer of the attacker submits

SIZES = {"16 MiB of zeros": 2**24}


def _flipped(made: bytes, at: int) -> bytes:
    changed = bytearray(made)
    changed[at] ^= 1
    return bytes(changed)


class Submitting:
    """Who submits, to whom: makes what a name in SUBMISSIONS stands for, a submission's small file. good: an honest
    update's file and 32-byte hash; put: a file into storage."""

    def __init__(
        self, key: bytes, context: SealContext, good: bytes, digest: bytes, put: Callable[[bytes], object]
    ) -> None:
        self.key, self.context, self.good, self.digest, self.put = key, context, good, digest, put

    def sealed(self, content: bytes | None = None, **changes: object) -> bytes:
        made = seal_update(self.key, self.good if content is None else content, self._context(changes))
        self.put(made.large)
        return made.small

    def small(self, content: bytes, **changes: object) -> bytes:
        """A small file with something else in it."""
        return seal_bytes_to(self.key, content, self._context({"purpose": Purpose.DELIVERY} | changes))

    def large(self, change: Callable[[bytes], bytes], *, more: int = 0, **changes: object) -> bytes:
        """A small file that names the large one as `change` leaves it, and `more` bytes of it."""
        content = change(seal_bytes_with_key(bytes(32), self.good, self._context(changes)))
        self.put(content)
        return self.small(bytes(Delivery(bytes(32), len(content) + more, cid_of(content))))

    def _context(self, changes: Mapping[str, object]) -> SealContext:
        named = {name: getattr(self.context, name) for name in self.context.__dataclass_fields__} | dict(changes)
        return SealContext(**named)  # type: ignore[arg-type]


def _update(entries: object, **more: object) -> bytes:
    points = {"blinders": np.zeros(64, np.uint8), "commitment": np.zeros(64, np.uint8)}
    return save({"update": np.asarray(entries), **points, **more})  # type: ignore[arg-type]


D = 310  # parameters of the model that these are of

SUBMISSIONS: dict[str, Callable[[Submitting], bytes]] = {
    "an honest update": lambda to: to.sealed(),
    "nothing sealed": lambda to: to.good,
    "no bytes": lambda to: b"",
    "random bytes": lambda to: os.urandom(4096),
    "a magic and zeros": lambda to: b"MRTSEAL1" + bytes(4096),
    "cut off in its header": lambda to: to.sealed()[:100],
    "cut off in its end": lambda to: to.sealed()[:-1],
    "a byte behind": lambda to: to.sealed() + b"\0",
    "a bit flipped": lambda to: _flipped(to.sealed(), -40),
    "twice": lambda to: to.sealed() * 2,
    "16 MiB of zeros": lambda to: bytes(SIZES["16 MiB of zeros"]),
    "of another round": lambda to: to.sealed(round=7),
    "of another job": lambda to: to.sealed(job_id=1),
    "of another party": lambda to: to.sealed(party="0x" + "11" * 20),
    "of another purpose": lambda to: to.small(bytes(Delivery(bytes(32), 0, cid_of(b""))), purpose=Purpose.HANDOVER),
    "of another chain": lambda to: to.sealed(chain_id=1),
    "sealed to another": lambda to: seal_bytes_to(bytes([9]) + bytes(31), to.good, to.context),
    "sealed with a key": lambda to: seal_bytes_with_key(bytes(32), to.good, to.context),
    "the large file alone": lambda to: seal_bytes_to(to.key, to.good, to.context),
    "small: no bytes": lambda to: to.small(b""),
    "small: 99 bytes": lambda to: to.small(b"\xff" * 99),
    "small: 16 MiB": lambda to: to.small(bytes(2**24)),
    "small: a path": lambda to: to.small(bytes(40) + b"../" * 19 + b"/."),
    "small: capitals": lambda to: to.small(bytes(40) + cid_of(b"").upper().encode()),
    "large: whole": lambda to: to.large(lambda made: made),
    "large: nothing sealed": lambda to: to.large(lambda _: to.good),
    "large: no bytes": lambda to: to.large(lambda _: b""),
    "large: cut off": lambda to: to.large(lambda made: made[:-1]),
    "large: a bit flipped": lambda to: to.large(lambda made: _flipped(made, -40)),
    "large: of another party": lambda to: to.large(lambda made: made, party="0x" + "11" * 20),
    "large: of another round": lambda to: to.large(lambda made: made, round=7),
    "large: 16 MiB of zeros": lambda to: to.large(lambda _: bytes(2**24)),
    "large: shorter than said": lambda to: to.large(lambda made: made, more=1),
    "large: longer than said": lambda to: to.large(lambda made: made, more=-1),
    "large: 2⁶³ bytes, as it says": lambda to: to.large(lambda made: made, more=2**63),
    "sealed: no bytes": lambda to: to.sealed(b""),
    "sealed: 16 MiB": lambda to: to.sealed(bytes(2**24)),
    "sealed: no file": lambda to: to.sealed(b"\xff" * 8 + b"{}"),
    "sealed: points at infinity": lambda to: to.sealed(_update(np.ones(D, np.int16))),
    "sealed: points beyond the field": lambda to: to.sealed(
        _update(np.ones(D, np.int16), commitment=np.full(64, 255, np.uint8))
    ),
    "sealed: −32768": lambda to: to.sealed(_update(np.full(D, -(2**15), np.int16))),
    "sealed: NaN": lambda to: to.sealed(_update(np.full(D, np.nan, np.float32))),
    "sealed: too long": lambda to: to.sealed(_update(np.ones(D + 1, np.int16))),
    "sealed: another tensor": lambda to: to.sealed(_update(np.ones(D, np.int16), more=np.zeros(1, np.int16))),
}
UNPUBLISHED = ("bytes that are nowhere", "a CID that is none")  # submitted without any file
VALUES = ("ones", "zeros", "all 32767", "all −32767", "one entry")  # of honest files with odd entries

# ---------------------------------------------------------------- the job key, as a hostile aggregator hands it out


def _turned(document: bytes) -> bytes:
    """With the first envelope, of 100 bytes behind 40, at the end."""
    return document[:40] + document[140:] + document[40:140]


KEY_DOCUMENTS: dict[str, Callable[[dict[str, bytes], SealContext], bytes]] = {
    "a good one": lambda to, context: seal_job_key(b"\x05" * 32, to, context),
    "sealed to nobody": lambda to, context: seal_job_key(b"\x05" * 32, {}, context),
    "of another job": lambda to, context: seal_job_key(
        b"\x05" * 32,
        to,
        SealContext(context.chain_id, context.contract, context.job_id + 1, 0, context.party, Purpose.JOB_KEY),
    ),
    "envelopes out of order": lambda to, context: _turned(
        seal_job_key(b"\x05" * 32, {**to, "0x" + "ff" * 20: bytes([9]) + bytes(31)}, context)
    ),
    "another commitment": lambda to, context: _flipped(seal_job_key(b"\x05" * 32, to, context), 20),
    "a bit of an envelope flipped": lambda to, context: _flipped(seal_job_key(b"\x05" * 32, to, context), -1),
    "cut off": lambda to, context: seal_job_key(b"\x05" * 32, to, context)[:-1],
    "no bytes": lambda to, context: b"",
    "random bytes": lambda to, context: os.urandom(140),
    "too long": lambda to, context: b"MRTJKEY1" + bytes(100_000),
    "16 MiB": lambda to, context: bytes(2**24),
    "JSON": lambda to, context: b'{"job_key":"' + b"0" * 64 + b'"}',
}

# ---------------------------------------------------------------- in place of a set-up or of a proving key

PINNED: dict[str, tuple[str, str]] = {  # the field of `proofs`, and what stands there as JSON; CID is of random bytes
    "a set-up that is nowhere": ("proofs.srs", '{"hash":"0x' + "11" * 32 + '","cid":"NOWHERE"}'),
    "a set-up of random bytes": ("proofs.srs", '{"hash":"0x' + "11" * 32 + '","cid":"RANDOM"}'),
    "a set-up whose CID is a path": ("proofs.srs", '{"hash":"0x' + "22" * 32 + '","cid":"../../etc/passwd"}'),
    "a set-up with a hash that is none": ("proofs.srs", '{"hash":"0x../../etc","cid":"RANDOM"}'),
    "a key that is nowhere": ("proofs.key", '{"hash":"0x' + "33" * 32 + '","cid":"NOWHERE"}'),
    "a key of random bytes": ("proofs.key", '{"hash":"0x' + "44" * 32 + '","cid":"RANDOM"}'),
    "a key whose CID holds a newline": ("proofs.key", '{"hash":"0x' + "55" * 32 + '","cid":"a\\nb"}'),
    "no set-up": ("proofs.srs", "null"),
    "a larger chunk than the set-up's": ("proofs.chunk", "2048"),
    "the largest chunk": ("proofs.chunk", "1048576"),
}

# ---------------------------------------------------------------- what is done to a file in a folder that many share


def _hole(path: Path) -> None:
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2**33)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(to: str) -> Callable[[Path], None]:
    def link(path: Path) -> None:
        path.unlink()
        path.symlink_to(to)

    return link


SHELVES: dict[str, Callable[[Path], object]] = {
    "other bytes": lambda path: path.write_bytes(b"{}"),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b" "),
    "emptied": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "8 GiB of nothing": _hole,
    "a pipe that nobody writes to": _pipe,
    "a folder": _folder,
    "a link to /etc/passwd": _link("/etc/passwd"),
    "a link to /dev/zero": _link("/dev/zero"),
    "a link to itself": _link("self"),
    "not readable": lambda path: path.chmod(0),
}
