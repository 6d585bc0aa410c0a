"""Files that travel: sealed files, safetensors, keystores, set-ups, content ids."""

import bz2
import gzip
import json
import lzma
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import safetensors.numpy
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from eth_account import Account

from marketplace.errors import CorruptContent, InputError, NotFound
from marketplace.keys.keystore import Keystore
from marketplace.keys.sealing import (
    Purpose,
    SealContext,
    open_bytes_with_key,
    open_job_key,
    open_sealed_bytes,
    seal_bytes_to,
    seal_bytes_with_key,
    seal_job_key,
)
from marketplace.services.deliveries import Delivery
from marketplace.storage.cid import CidBuilder, cid_of, parse_cid
from tests.fuzz.target import Target, changed, hold
from trainer.config import DataSchema, ModelConfig
from trainer.data import DataOptions, Dataset, Notes, from_safetensors, read, to_safetensors
from trainer.models import build, flatten
from trainer.models import to_safetensors as state_file
from trainer.models.tensors import opened, read_into
from trainer.results import whole
from zk import encoding, files, setup
from zk.encoding import LIMIT

D, C = 5, 2
MAX_PLAIN = 3000
SECRET = X25519PrivateKey.from_private_bytes(b"\x11" * 32)
KEY = b"\x22" * 32
MARKET, OPERATOR = "0x" + "ab" * 20, "0x" + "cd" * 20
CONTEXT = SealContext(chain_id=1337, contract=MARKET, job_id=7, round=2, party=OPERATOR, purpose=Purpose.UPDATE)


# ---------------------------------------------------------------- seals


@cache
def sealed() -> dict[bytes, bytes]:
    """What is in each sealed file that was really made."""
    plain = [b"", b"x", b"some update" * 20, bytes(MAX_PLAIN)]
    public = SECRET.public_key().public_bytes_raw()
    return {seal_bytes_to(public, p, CONTEXT): p for p in plain} | {
        seal_bytes_with_key(KEY, p, CONTEXT): p for p in plain
    }


def _open_seal(data: bytes) -> None:
    opener = open_bytes_with_key if data[:8] == b"MRTSYMM1" else open_sealed_bytes
    opened = opener(KEY if opener is open_bytes_with_key else SECRET, data, CONTEXT, MAX_PLAIN)  # type: ignore[arg-type]
    hold(sealed().get(data) == opened, "a file opens that was never sealed")


@cache
def job_keys() -> list[bytes]:
    public = SECRET.public_key().public_bytes_raw()
    others = {f"0x{n:040x}": X25519PrivateKey.generate().public_key().public_bytes_raw() for n in range(3)}
    return [seal_job_key(KEY, {OPERATOR: public}, CONTEXT), seal_job_key(KEY, others | {OPERATOR: public}, CONTEXT)]


def _open_job_key(data: bytes) -> None:
    hold(open_job_key(data, OPERATOR, SECRET, CONTEXT) == KEY, "a job key opens that was never sealed")


def _delivery(data: bytes) -> None:
    hold(bytes(Delivery.decode(data)) == data, "what opens an update has two encodings")


# ---------------------------------------------------------------- arrays


def _update_bytes(data: bytes) -> None:
    hold(encoding.to_bytes(encoding.from_bytes(data, D)) == data, "an update has two encodings")


def _update_file(data: bytes) -> None:
    w, blinders, points = files.unpack_update(data, D, C)
    again = files.unpack_update(files.pack_update(w, blinders, points, C), D, C)
    hold(np.array_equal(again[0], w) and again[1:] == (blinders, points), "an update file changes on its way")
    hold(w.dtype == np.int16 and len(w) == D and int(np.abs(w.astype(np.int32)).max()) <= LIMIT, "not an update")


def _rows_file(data: bytes) -> None:
    first, second, blinders = files.unpack_rows(data, D, C)
    again = files.unpack_rows(files.pack_rows(first, second, blinders, C), D, C)
    same = np.array_equal(again[0], first) and np.array_equal(again[1], second) and again[2] == blinders
    hold(same, "a rows file changes on its way")


def _sum_file(data: bytes) -> None:
    total, blinders, points = files.unpack_sum(data, D, C, 3 * LIMIT)
    again = files.unpack_sum(files.pack_sum(total, blinders, points, C), D, C, 3 * LIMIT)
    hold(np.array_equal(again[0], total) and again[1:] == (blinders, points), "a sum file changes on its way")
    hold(int(total.max()) <= 3 * LIMIT and int(total.min()) >= -3 * LIMIT, "a sum is out of bounds")


def _model_file(data: bytes) -> None:
    model = files.unpack_model(data, D)
    hold(np.isfinite(model).all(), "a parameter is not finite")
    hold(files.unpack_model(files.pack_model(model), D).tobytes() == model.tobytes(), "a model changes on its way")


@cache
def array_files() -> list[bytes]:
    w = np.array([0, 1, -1, LIMIT, -LIMIT], dtype=np.int16)
    words = bytes(range(64)) * C
    plain = {"update": w, "blinders": np.frombuffer(words, np.uint8), "commitment": np.frombuffer(words, np.uint8)}
    return [
        files.pack_update(w, words, words, C),
        files.pack_rows(w, w[::-1].copy(), words * 2, C),
        files.pack_sum(w.astype(np.int64), words, words, C),
        files.pack_model(np.linspace(-1, 1, D, dtype=np.float32)),
        safetensors.numpy.save(plain, metadata={"a": "b"}),
        safetensors.numpy.save({}),
        (2).to_bytes(8, "little") + b"{}",
        (2**63).to_bytes(8, "little") + b"{}",
        (60).to_bytes(8, "little") + b"[" * 60,
    ]


SCHEMA = DataSchema.model_validate(
    {
        "features": {"x": {"kind": "tensor", "shape": [3], "minimum": -10, "maximum": 10}},
        "target": {"kind": "category", "classes": 4},
    }
)


def _data_file(data: bytes) -> None:
    found = from_safetensors(data, SCHEMA)
    x, y = found.inputs["x"], found.y
    hold(y is not None and x.dtype == np.float32 and x.shape == (len(y), 3), "data of another shape")
    hold(float(x.min()) >= -10 and float(x.max()) <= 10, "values beyond the schema")
    again = from_safetensors(to_safetensors(found), SCHEMA).inputs["x"]
    hold(again.tobytes() == x.tobytes(), "data change on their way")


@cache
def data_files() -> list[bytes]:
    made = Dataset({"x": np.linspace(-9, 9, 12, dtype=np.float32).reshape(4, 3)}, np.arange(4, dtype=np.int64))
    halves = {"x": np.zeros((2, 3), np.float16), "y": np.zeros(2, np.int64)}
    empty = {"x": np.zeros((0, 3), np.float32), "y": np.zeros(0, np.int64)}
    half = safetensors.numpy.save(halves)
    return [
        to_safetensors(made),
        half,
        half.replace(b"F16", b"BF16", 1).replace(b'{"x"', b'{"x"', 1),
        safetensors.numpy.save(empty),
        safetensors.numpy.save({"x": np.zeros(3, np.float32), "y": np.zeros((), np.int64)}),
    ]


TABLE = DataSchema.model_validate(
    {
        "features": {
            "a": {"kind": "number", "minimum": -10, "maximum": 10},
            "c": {"kind": "category", "values": ["None", "é"]},
            "t": {"kind": "text", "length": 4},
        },
        "target": {"kind": "category", "name": "y", "classes": 2},
    }
)
OPTIONS = [
    DataOptions(),
    DataOptions(missing="drop"),
    DataOptions(missing="mean", decimal=",", encoding="latin-1"),
]


def _table(ending: str) -> Callable[[bytes], None]:
    """The first byte chooses the options, the others are the file."""

    def run(data: bytes) -> None:
        with tempfile.NamedTemporaryFile(suffix=ending, dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as file:
            file.write(data[1:])
            file.flush()
            notes = Notes()
            found = read(file.name, TABLE, OPTIONS[(data[0] if data else 0) % len(OPTIONS)], notes=notes)
        x, text = found.inputs["table"], found.inputs["t"]
        hold(x.dtype == np.float32 and x.shape == (len(found), 3), "data of another shape")
        hold(bool((np.abs(x[:, 0]) <= 10).all() and (x[:, 1:].sum(axis=1) == 1).all()), "values beyond the schema")
        hold(text.dtype == np.int64 and int(text.min()) >= 0 and int(text.max()) <= 256, "no tokens")
        hold(found.y is not None and set(found.y.tolist()) <= {0, 1}, "labels beyond the schema")
        hold(notes.dropped == 0 or data[0] % len(OPTIONS) == 1, "samples are dropped unasked")

    return run


@cache
def text_tables() -> list[bytes]:
    csv = 'a,c,t,y\n1,None,x y,0\n-2.5,é,"q\n""",1\n'
    rows = csv.encode()
    return [
        b"\0" + rows,
        b"\1" + rows.replace(b"1,None", b"NA,None"),
        b"\2" + csv.replace(",", ";").replace("2.5", "2,5").encode("latin-1"),
        b"\0\xef\xbb\xbf" + rows.replace(b",", b"\t").replace(b"\n", b"\r\n"),
        b"\0" + csv.encode("utf-16"),
        b"\0" + gzip.compress(rows),
        b"\0" + bz2.compress(rows),
        b"\0" + lzma.compress(rows),
        b"\0,a,c,t,y\n,1,None,x,0\n",
    ]


@cache
def json_tables() -> list[bytes]:
    good = b'{"a": 1, "c": "None", "t": "x", "y": 0}\n{"y": 1, "a": -2.5e0, "c": "\\u00e9", "t": "q", "z": [{}]}\n'
    return [
        b"\0" + good,
        b"\1" + good.replace(b"1,", b"null,"),
        b"\0" + good.replace(b"1,", b"NaN,"),
        b"\0" + good.replace(b"1,", b'"1",'),
        b"\0" + good.replace(b'"x"', b'"\\ud800"'),
        b'\0{"a": ' + b"[" * 2000,
        b'\0{"a": ' + b"1" * 2000,
    ]


@cache
def typed_tables() -> list[bytes]:
    table = pa.table({"a": [1.0, -2.5], "c": ["None", "é"], "t": ["x", "q"], "y": [0, 1]})
    out = []
    for made in (pa.ipc.new_file, pa.ipc.new_stream):
        sink = pa.BufferOutputStream()
        with made(sink, table.schema) as writer:
            writer.write_table(table)
        out.append(b"\0" + sink.getvalue().to_pybytes())
    return out


@cache
def module():  # type: ignore[no-untyped-def]
    return build(ModelConfig(architecture="mlp", parameters={"inputs": 2, "hidden": [2], "classes": 2}, seed=1))


def read_state(module: Any, data: bytes) -> Any:
    with opened(data) as file:
        read_into(file, whole(module))
    return flatten(module)


def _state_file(data: bytes) -> None:
    vector = read_state(module(), data)
    hold(vector.isfinite().all(), "a parameter is not finite")
    hold(bool((read_state(module(), state_file(module())) == vector).all()), "a model changes on its way")


# ---------------------------------------------------------------- keys, set-ups, ids


def _keystore(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        (Path(folder) / "a.json").write_bytes(data)
        (entry,) = Keystore(Path(folder)).entries()
        hold(len(entry.address) == 42, "an address of another length")
        parameters = json.loads(data)["crypto"]["kdfparams"]
        if parameters["n"] * parameters["r"] * parameters["p"] <= 64:  # others take their time, within 1 GiB
            loaded = Keystore(Path(folder)).load("a", "password")
            hold(loaded.address == entry.address, "a key of another address")


@cache
def keystores() -> list[bytes]:
    document = Account.encrypt(b"\x33" * 32, "password", kdf="scrypt", iterations=2)
    weak = json.dumps(document)
    return [weak.encode(), weak.replace('"n": 2', '"n": 4').encode(), b"[" * 3000]


def _setup_header(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as file:
        file.write(changed(setup_file(), data[1:]) if data[:1] == b"c" else data)
        file.flush()
        path = Path(file.name)
        facts = setup.facts(path)
        hold(facts.kind in (setup.DEVELOPMENT, setup.CEREMONY), "another kind of set-up")
        made = setup.load(path) if facts.what == "srs" else setup.load_key(path)
        hold(made.kind == facts.kind, "the header says another kind than the file")


@cache
def setup_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "srs"
        setup.save(setup.development(8, b"seed"), path)
        return path.read_bytes()


@cache
def setup_headers() -> list[bytes]:
    key = b"merit/decision-key/v1" + (108).to_bytes(4) + b"\0" + (2).to_bytes(2)
    return [b"c", b"c\0\0\0\0\0", setup_file(), setup_file()[:64], key, key + bytes(500)]


def _cid(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    cid = parse_cid(text)
    hold(str(cid) == text and parse_cid(str(cid)) == cid, "an id has two spellings")


def _cid_pieces(data: bytes) -> None:
    """However bytes are cut, their id is one: the first bytes say how."""
    cuts, content = data[:4], data[4:] * 300
    whole, pieces = CidBuilder(), CidBuilder()
    whole.update(content)
    at = 0
    for cut in cuts:
        pieces.update(content[at : at + 1000 * cut])
        at += 1000 * cut
    pieces.update(content[at:])
    hold(whole.finish() == pieces.finish() and whole.size == pieces.size == len(content), "an id depends on the cuts")


@cache
def cids() -> list[bytes]:
    builder = CidBuilder()
    builder.update(b"x" * 300_000)
    return [b"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", str(builder.finish()).encode()]


TARGETS = [
    Target("seal", _open_seal, (CorruptContent,), lambda: list(sealed())),
    Target("job-key", _open_job_key, (CorruptContent, NotFound), job_keys),
    Target(
        "delivery", _delivery, (CorruptContent,), lambda: [bytes(Delivery(KEY, 1 << n, cid_of(KEY))) for n in (0, 63)]
    ),
    Target(
        "update", _update_bytes, (ValueError,), lambda: [bytes(10), b"\xff\x7f" * 5, b"\x01\x80" * 5, b"\0\x80" * 5]
    ),
    Target("update-file", _update_file, (ValueError,), array_files),
    Target("rows-file", _rows_file, (ValueError,), array_files),
    Target("sum-file", _sum_file, (ValueError,), array_files),
    Target("model-file", _model_file, (ValueError,), array_files),
    Target("data-file", _data_file, (ValueError,), data_files),
    Target("data-csv", _table(".csv"), (ValueError,), text_tables),
    Target("data-json", _table(".jsonl"), (ValueError,), json_tables),
    Target("data-arrow", _table(".arrow"), (ValueError,), typed_tables),
    Target("state-file", _state_file, (ValueError,), lambda: [state_file(module()), *data_files()]),
    Target("keystore", _keystore, (InputError,), keystores),
    Target("set-up", _setup_header, (ValueError,), setup_headers),
    Target("cid", _cid, (CorruptContent,), cids),
    Target("cid-pieces", _cid_pieces, (), lambda: [b"\x01\x02\x03\x04abc", b""]),
]
