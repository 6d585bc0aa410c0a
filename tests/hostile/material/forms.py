"""Hostile descriptions: each number at and beyond its bounds, and bytes that are no description at all."""

from collections.abc import Callable
from itertools import product

from tests.hostile.attack import Edit

# ---------------------------------------------------------------- numbers and other values, as JSON

SAYS_NOTHING = ("null", '""', "[]", "{}", "true", "false", '"1"', '"NaN"', '"0x10"', "[1]", '{"a":1}')
BEYOND_ALL = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e308",
    "-1e308",
    "1e400",
    "1e-400",
    "-0.0",
    "5e-324",
    "9007199254740993",
    "18446744073709551616",
    "1" + "0" * 400,
    "-1",
    "0",
    "0.5",
    "3.0",
)

BOUNDS: dict[str, tuple[str, ...]] = {  # by field: its least and largest values, and the next beyond
    "model.seed": ("0", "9223372036854775807", "9223372036854775808"),
    "data.target.classes": ("2", "65536", "65537", "1"),
    "data.features.0.minimum": ("-1e30", "1e30", "-1.7e308", "1.7e308"),
    "data.features.0.maximum": ("-1e30", "1e30", "1.7e308", "-1.7e308"),
    "data.features.0.mean": ("[1e308]", "[-1e30]", "[NaN]", "[]", "[0,0]", "[1e38]"),
    "data.features.0.std": ("[1e-6]", "[9e-7]", "[5e-324]", "[1e-38]", "[1e308]", "[0]", "[-1]", "[1e-30]"),
    "data.features.0.shape": (
        *("[64]", "[4194304]", "[4194305]", "[2048,2049]", "[0]", "[64,1,1,1,1]", "[1e9]", "[]", "[64.0]"),
    ),
    "data.min_samples": ("1", "2147483648", "4294967296", "4294967297", "1" + "0" * 30),
    "training.learning_rate": ("100", "100.0001", "9.094947017729282e-13", "9e-13", "5e-324"),
    "training.momentum": ("0.9999", "0.99991", "0.9999999999999999", "1"),
    "training.betas": ("[0.999999,0.999999]", "[0.9999999999999999,0]", "[1,1]", "[0.9]", "[0.9,0.9,0.9]", "[NaN,0]"),
    "training.epsilon": ("1", "1e-12", "9e-13", "5e-324", "1.01"),
    "training.weight_decay": ("10", "10.01"),
    "training.epochs": ("10000", "10001", "1"),
    "training.batch_size": ("65536", "65537", "1"),
    "training.schedule_rounds": ("1", "65536", "65537"),
    "training.schedule_factor": ("0", "1", "1.01"),
    "training.label_smoothing": ("0", "0.9999999999999999", "1"),
    "update.scale": (
        "1",
        "1.0000001",
        "9.094947017729282e-13",
        "9e-13",
        "1152921504606846976",
        "8.673617379884035e-19",
        "1152921504606846977",
        "8e-19",
    ),
    "clip": (
        "null",
        "1073741824",
        "1073741825",
        "9.094947017729282e-13",
        "9e-13",
        "1e308",
        "5e-324",
        "3.0517578125e-05",
    ),
    "update.clip": (
        "null",
        "1073741824",
        "1073741825",
        "9.094947017729282e-13",
        "1e308",
        "3.0517578125e-05",
        "5e-324",
        "1e38",
        "1e18",
    ),
    "update.bits": ("4", "8", "16", "0", "17", "8.5", "-8", "true"),
    "update.keep": ("0.0001", "9.9e-05", "1", "1.0000001", "0", "5e-324"),
    "server_rate.initial": ("100", "100.01", "9.094947017729282e-13", "9e-13", "5e-324"),
    "server_rate.decay": ("1", "1.01", "5e-324", "1e-300"),
    "server_rate.momentum": ("0.95", "0.951", "-1e-300", "5e-324", "1"),
    "proofs.chunk": ("1024", "1048576", "2097152", "1023", "1000", "512"),
    "validation": ("null", '{"commitment":"0x' + "0" * 64 + '","sealed_cid":"bafk","samples":1}'),
}

NUMBERS: tuple[Edit, ...] = (
    *((field, value) for field, values in BOUNDS.items() for value in values),
    *product(BOUNDS, (*BEYOND_ALL, *SAYS_NOTHING)),
)

# ---------------------------------------------------------------- models

WIDE = "[" + ",".join(["1048576"] * 64) + "]"
ARCHITECTURES: tuple[Edit, ...] = (
    *(
        ("model.architecture", name)
        for name in ('"transformer9"', '""', '"../mlp"', '"__class__"', '"MLP"', "7", "null")
    ),
    ("model.architecture", '"' + "m" * 200 + '"'),
    ("model.architecture", '"' + "m" * 201 + '"'),
    ("model.architecture", '"cnn"'),
    ("model.parameters", "{}"),
    ("model.parameters", "null"),
    ("model.parameters", "[]"),
    ("model.parameters", '{"inputs":64,"hidden":[],"classes":10}'),
    ("model.parameters", f'{{"inputs":1048576,"hidden":{WIDE},"classes":65536}}'),
    ("model.parameters", '{"inputs":64,"hidden":[0],"classes":10}'),
    ("model.parameters", '{"inputs":64,"hidden":[-4],"classes":10}'),
    ("model.parameters", '{"inputs":64,"hidden":[4.5],"classes":10}'),
    ("model.parameters", '{"inputs":64,"hidden":"4","classes":10}'),
    ("model.parameters", '{"inputs":64,"hidden":[4],"classes":10,"dropout":0.5}'),
    ("model.parameters", '{"inputs":64,"hidden":[4],"classes":10,"__init__":1}'),
    ("model.parameters", '{"inputs":1e308,"hidden":[4],"classes":10}'),
    ("model.parameters", '{"inputs":64,"hidden":[1],"classes":65536}'),
    ("model.parameters", '{"inputs":64,"hidden":[1048576],"classes":255}'),
    ("model.parameters", '{"inputs":65,"hidden":[4],"classes":10}'),
    ("model.parameters", '{"inputs":64,"hidden":[4],"classes":9}'),
    ("model.parameters", '{"inputs":64,"hidden":[' + ",".join(["1"] * 64) + '],"classes":10}'),
    ("model.parameters", '{"inputs":64,"hidden":[' + ",".join(["1"] * 65) + '],"classes":10}'),
    ("model.parameters", "{" + ",".join(f'"p{i}":{i}' for i in range(65)) + "}"),
    (
        "model",
        '{"architecture":"cnn","parameters":{"channels":1024,"height":4096,"width":4096,"classes":65536},"seed":1}',
    ),
    (
        "model",
        '{"architecture":"cnn","parameters":{"channels":1,"height":8,"width":8,"filters":[4096,4096,4096,4096,4096,4096,'
        '4096,4096,4096,4096,4096,4096,4096,4096,4096,4096],"classes":10},"seed":1}',
    ),
    (
        "model",
        '{"architecture":"cnn","parameters":{"channels":1,"height":8,"width":8,"filters":[],"classes":10},"seed":1}',
    ),
    ("model", '{"architecture":"cnn","parameters":{"channels":1,"height":8,"width":8,"classes":10},"seed":1}'),
)

# ---------------------------------------------------------------- text, and fields that are none

BIDI = "pay\\u202eyap\\u2066\\u2069\\u200f"
TEXTS = (
    '""',
    '"' + "n" * 100 + '"',
    '"' + "n" * 101 + '"',
    '"\\u0000"',
    '"\\u001b[2J\\u001b]0;owned\\u0007"',
    '"a\\rb"',
    '"a\\nb\\tc"',
    '"\\u009b31m"',
    '"\\u2028\\u2029\\u0085"',
    f'"{BIDI}"',
    '"\\ud800"',
    '"<script>alert(1)</script>"',
    '"[bold red]error:[/] [link=file:///etc/passwd]x[/link] [/nothing]"',
    '"{job} %s %n ${PATH} $(id)"',
    '"\\ufeff\\ufffe\\uffff"',
    '"' + "🦀" * 100 + '"',
    '"Z' + "\\u0301" * 99 + '"',
    "7",
    "null",
    '["name"]',
)
SCHEMAS: tuple[Edit, ...] = (
    *product(("name", "description", "data.target.name", "format"), TEXTS),
    *product(("data.features.0.kind", "data.features.0.name"), TEXTS),
    ("data.features.0.kind", '"image"'),
    ("data.features", "[" + ",".join(f'{{"name":"c{i}","kind":"number"}}' for i in range(64)) + "]"),
    ("data.features", "[" + ",".join(['{"name":"c","kind":"number"}'] * 64) + "]"),
    ("data.features", "[" + ",".join(f'{{"name":"c{i}","kind":"number"}}' for i in range(20_000)) + "]"),
    ("data.features", '[{"name":"t","kind":"text","length":64}]'),
    ("data.features", '[{"name":"t","kind":"text","length":64,"tokenizer":"../../etc/passwd"}]'),
    ("data.target", "null"),
    ("data.target", '{"kind":"number"}'),
    ("task.kind", '"own"'),
    ("task.kind", '"language-modelling"'),
    ("task.metric", '"rmse"'),
    ("task.class_weights", "[1]"),
    ("task.class_weights", "[" + ",".join(["1e6"] * 10) + "]"),
    ("parameters", "1"),
    ("parameters", "536870912"),
    ("files", '{"x":{"hash":"0x00","cid":"x"}}'),
    ("model.trainable", '["nothing.*"]'),
    ("model.trainable", "[]"),
    ("model.lora", '{"rank":1024,"targets":["1"]}'),
    ("model.architecture", '"program"'),
    ("model.architecture", '"timm"'),
    ("model.architecture", '"transformers"'),
    ("training.steps", "10000001"),
    ("training.steps", "0"),
    ("training.accumulate", "4096"),
    ("training.warmup_steps", "1000001"),
    ("training.clip_gradient", "1e-30"),
    ("training.proximal_mu", "1001"),
    ("training.augment", '["flip","rm -rf"]'),
    ("data.target.names", "[" + ",".join(f'"k{i}"' for i in range(10)) + "]"),
    ("data.target.names", "[" + ",".join(['"../.."'] * 10) + "]"),
    ("data.target.names", '["..","/etc","a/b","\\u0000","","nul","%00","~","-","\\u202e"]'),
    ("extra", "1"),
    ("market", '{"reward":"1 ether"}'),
    ("training.__proto__", '{"epochs":1}'),
    ("update.unit", "1"),
    ("proofs.development", "false"),
    ("proofs.development", "null"),
)

# ---------------------------------------------------------------- the bytes

WHOLE = 262_144


def _padded(size: int) -> Callable[[bytes], bytes]:
    """The description, still valid JSON, with so many bytes."""
    return lambda valid: valid[:-1] + b" " * (size - len(valid)) + b"}"


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "no bytes": lambda valid: b"",
    "a space": lambda valid: b" ",
    "null": lambda valid: b"null",
    "a list": lambda valid: b"[" + valid + b"]",
    "a number": lambda valid: b"1" * 5000,
    "a string": lambda valid: b'"' + b"a" * 5000 + b'"',
    "one key twice": lambda valid: valid[:-1] + b',"name":"another"}',
    "each key twice": lambda valid: valid[:-1] + b"," + valid[1:],
    "cut off": lambda valid: valid[: len(valid) // 2],
    "something behind": lambda valid: valid + b"{}",
    "a newline behind": lambda valid: valid + b"\n\n",
    "as many bytes as allowed": _padded(WHOLE),
    "a byte more": _padded(WHOLE + 1),
    "eight times as many": _padded(8 * WHOLE),
    "not UTF-8": lambda valid: valid.replace(b"Digits", b"\xff\xfe\x80"),
    "overlong UTF-8": lambda valid: valid.replace(b"Digits", b"\xc0\xaf"),
    "UTF-16": lambda valid: valid.decode().encode("utf-16"),
    "a byte order mark": lambda valid: b"\xef\xbb\xbf" + valid,
    "lists within lists": lambda valid: b"[" * 100_000 + b"]" * 100_000,
    "objects within objects": lambda valid: b'{"model":' * 20_000 + b"1" + b"}" * 20_000,
    "deep parameters": lambda valid: valid.replace(
        b'"parameters":{', b'"parameters":{"deep":' + b"[" * 5000 + b"]" * 5000 + b","
    ),
    "sixty thousand keys": lambda valid: (
        (b"{" + b",".join(b'"k%d":0' % number for number in range(20_000)) + b"," + valid[1:])[: WHOLE - 1] + b"}"
    ),
    "NUL bytes": lambda valid: b"\0" * 4096,
    "NUL in a string": lambda valid: valid.replace(b"Digits", b"\0"),
    "a comment": lambda valid: b"/* */" + valid,
    "a pickle": lambda valid: b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "a gzip": lambda valid: b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x4b\x04\0\x43\xbe\xb7\xe8\x01\0\0\0",
    "YAML": lambda valid: b"name: !!python/object/apply:os.system [true]\n",
    "single quotes": lambda valid: valid.replace(b'"', b"'"),
    "a safetensors file": lambda valid: b"\xff" * 8 + b"{}",
}
