"""What is hostile on the chain: terms at and beyond the contract's bounds, contracts, CIDs, keys, strangers' calls."""

from itertools import product

# ---------------------------------------------------------------- terms

YEAR = 31_536_000  # seconds: the contract's longest wait
AMOUNTS = (0, 1, 2**64, 2**96, 2**127, 2**128 - 1, 2**128, 2**256 - 1)
WINDOWS = (0, 1, 2, YEAR, YEAR + 1, 2**32 - 1, 2**32, 2**40)
BYTE = (0, 1, 32, 33, 255, 256)
TERMS: tuple[tuple[str, int], ...] = (
    *product(("reward", "fee", "stake", "bond"), AMOUNTS),
    *product(("submitWindow", "settleWindow", "takeoverWindow", "confirmWindow"), WINDOWS),
    *product(("minTrainers", "maxTrainers", "maxFaulty"), BYTE),
    *product(("maxMissed", "maxStrikes", "maxEmptyRounds", "maxVoids"), BYTE),
    *product(("rule",), (0, 1, 2, 3, 255, 256)),
    *product(("rounds",), (0, 1, 1000, 1001, 65535, 65536)),
    *product(("minRounds",), (0, 1, 2, 65535, 65536)),
    *product(("rate",), (0, 1, 100 << 40, (100 << 40) + 1, 2**64 - 1, 2**64)),
    *product(("rateDecay",), (0, 1, 2**32, 2**32 + 1, 2**40 - 1, 2**40)),
    *product(("scaleExponent",), (-41, -40, 0, 1, 2**15 - 1, -(2**15), 2**16)),
    *product(("slashBps",), (0, 1, 10_000, 10_001, 65535)),
    *product(
        ("token", "aggregator", "gate", "gramVerifier", "decisionVerifier"), (0, 1, 4, 9, 2**160 - 1, 2**160, 2**255)
    ),
    *product(("gramKey", "decisionKey"), (0, 1, 2**256 - 1)),
)
ENROLMENT = (-YEAR, -1, 0, 1, YEAR, YEAR + 1, 2**40)  # seconds from now to the end of enrolment
PAIRS: tuple[tuple[tuple[str, int], ...], ...] = (  # what only together is at a bound
    (("reward", 1), ("fee", 0), ("bond", 19 * 10**18), ("stake", 0)),
    (("reward", 0), ("fee", 0), ("bond", 0), ("stake", 0)),
    (("reward", 2**107), ("fee", 0), ("rounds", 1000)),
    (("reward", 2**117), ("rounds", 1000)),
    (("reward", 1), ("rounds", 1000), ("submitWindow", 1), ("settleWindow", 1)),
    (("reward", 1), ("rounds", 1000), ("submitWindow", YEAR), ("settleWindow", YEAR)),
    (("minTrainers", 1), ("maxTrainers", 1), ("maxFaulty", 0), ("submitWindow", 1), ("settleWindow", 1)),
    (("minTrainers", 1), ("maxTrainers", 8), ("maxFaulty", 7)),
    (("minTrainers", 6), ("maxTrainers", 8), ("maxFaulty", 2)),
    (("minTrainers", 7), ("maxTrainers", 8), ("maxFaulty", 2)),
    (("minTrainers", 31), ("maxTrainers", 32), ("maxFaulty", 14)),  # for which the verifier has another circuit
    (("slashBps", 10_000), ("maxMissed", 1), ("maxStrikes", 1), ("maxEmptyRounds", 1), ("maxVoids", 0)),
    (("fee", 2**100), ("reward", 1), ("bond", 2**100)),
    (("rounds", 1000), ("rate", 1), ("rateDecay", 1)),  # from round 2 on the model stays as it is
    (("rounds", 1000), ("minRounds", 1000), ("rate", 100 << 40), ("scaleExponent", 0)),
    (("rule", 2),),  # with a verifier of rule 1, and without validation data
)

# ---------------------------------------------------------------- contracts, as what they do when they are called

ANY_KEY = 108  # the circuit of eight seats under rule 1, which such a verifier says of itself, and of its key
CONTRACTS: dict[str, bytes] = {
    "answers nothing": bytes.fromhex("00"),
    "answers 0": bytes.fromhex("60206000f3"),
    "answers 2^256 − 1": bytes.fromhex("60001960005260206000f3"),
    "answers 108 to everything": bytes.fromhex("606c60005260206000f3"),
    "answers a mebibyte": bytes.fromhex("621000006000f3"),
    "answers a string of 2^255 bytes": bytes.fromhex("602060005260ff1b60205260406000f3"),
    "reverts": bytes.fromhex("60006000fd"),
    "reverts with 100,000 bytes": bytes.fromhex("620186a06000fd"),
    "burns all gas": bytes.fromhex("5b600056"),
    "is destroyed by a call": bytes.fromhex("33ff"),
    "is an invalid instruction": bytes.fromhex("fe"),
}
PARTS = ("token", "gate", "gramVerifier", "decisionVerifier")


def deploying(code: bytes) -> bytes:
    """Creation code that leaves `code` on the chain."""
    return bytes.fromhex(f"60{len(code):02x}600c60003960{len(code):02x}6000f3") + code


# ---------------------------------------------------------------- CIDs

GOOD_FORM = b"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"  # of nothing that anybody has
CIDS: tuple[tuple[str, bytes | None], ...] = (
    ("a folder in place of it", None),  # which is made when it is used
    ("empty", b""),
    ("of nothing that is anywhere", GOOD_FORM),
    ("of a node of nothing", b"bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"),
    ("of no bytes", b"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
    ("version 0", b"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"),
    ("upper case", GOOD_FORM.upper()),
    ("another base", b"zdj7WhuEjrB52m1BisYCtmjH1hSKa7yZ3jEZ9JcXaFRD51wVz"),
    ("another hash", b"bafkrmiea3eor2yopwh6cpl5cnv5rnbwwxnvfvvzvymhmfqzapdhxspsxnu"),
    ("an identity hash", b"bafkqabtimvwgy3yk"),
    ("a path behind", GOOD_FORM[:59] + b"/../../etc/passwd"),
    ("a path", b"../../../../../../../../etc/passwd"),
    ("an absolute path", b"/etc/passwd"),
    ("an address", b"http://127.0.0.1:5001/api/v0/shutdown"),
    ("a file's address", b"file:///etc/passwd"),
    ("an option", b"--help"),
    ("a query", GOOD_FORM + b"?arg=x&stream-channels=true"),
    ("a newline", GOOD_FORM[:40] + b"\n" + GOOD_FORM[41:]),
    ("ANSI escapes", b"\x1b[2J\x1b[31mowned\x1b[0m\x07"),
    ("markup", b"[bold red]owned[/bold red][/]"),
    ("a script", b"<script>fetch('/api/local')</script>"),
    ("NUL bytes", b"\0" * 59),
    ("not UTF-8", b"\xff\xfe\xfd" * 20),
    ("bidi", "b\u202eafk\u2066rei\u200f".encode()),
    ("digits of another script", b"bafkrei" + "٣".encode() * 26),
    ("a hundred bytes", b"b" + b"a" * 99),
    ("a hundred and one", b"b" + b"a" * 100),
    ("ten thousand bytes", b"b" * 10_000),
    ("spaces", b" " + GOOD_FORM + b" "),
    ("JSON", b'{"/":"' + GOOD_FORM + b'"}'),
)

# ---------------------------------------------------------------- X25519 keys

KEYS: tuple[tuple[str, bytes], ...] = (
    ("zero", bytes(32)),
    ("one", bytes([1]) + bytes(31)),
    ("order 8", bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")),
    ("order 8, the other", bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")),
    ("p − 1", bytes.fromhex("ec" + "ff" * 30 + "7f")),
    ("p", bytes.fromhex("ed" + "ff" * 30 + "7f")),
    ("p + 1", bytes.fromhex("ee" + "ff" * 30 + "7f")),
    ("p with the high bit", bytes.fromhex("ed" + "ff" * 31)),
    ("2^256 − 1", b"\xff" * 32),
    ("the base point", bytes([9]) + bytes(31)),
    ("text", b"<script>alert(1)</script>\x1b[2J\0\0\0"),
)

# ---------------------------------------------------------------- what a stranger calls; JOB stands for some job

JOB = "job"
CALLS: dict[str, tuple[str, tuple[object, ...]]] = {
    "cancels another's job": ("cancel", (JOB,)),
    "starts too early": ("start", (JOB,)),
    "aborts": ("abort", (JOB,)),
    "skips a round": ("skipRound", (JOB,)),
    "completes": ("complete", (JOB,)),
    "voids a round": ("voidRound", (JOB, 1, 0b111)),
    "delivers again": ("redeliver", (JOB, 1, GOOD_FORM)),
    "leaves": ("leave", (JOB,)),
    "disputes": ("dispute", (JOB,)),
    "asks for the end": ("askEnd", (JOB,)),
    "claims another's seat": ("claim", (JOB, 0)),
    "claims a seat that is none": ("claim", (JOB, 255)),
    "claims fees": ("claimFees", (JOB, 1)),
    "withdraws": ("withdraw", (0,)),
    "withdraws a token that is none": ("withdraw", (2**160 - 1,)),
    "publishes a key": ("publishKey", (JOB, GOOD_FORM)),
    "hands over": ("handOver", (JOB, GOOD_FORM)),
    "shows an opening": ("showOpening", (JOB, 1, GOOD_FORM)),
    "shows an opening of round 65535": ("showOpening", (JOB, 65535, b"\x1b[2J")),
    "reveals data": ("revealValidation", (JOB, GOOD_FORM)),
    "submits": ("submitUpdate", (JOB, 1, b"\x01" * 32, GOOD_FORM)),
    "submits to round 0": ("submitUpdate", (JOB, 0, b"\x01" * 32, GOOD_FORM)),
    "accepts the aggregation": ("acceptAggregation", (JOB, 1, b"\x09" + bytes(31))),
    "joins without a ticket": ("join", (JOB, 1, b"\x09" + bytes(31), b"")),
    "joins with a ticket of zeros": ("join", (JOB, 1, b"\x09" + bytes(31), bytes(73))),
    "joins with a ticket of ten thousand bytes": ("join", (JOB, 1, b"\x09" + bytes(31), b"\xff" * 10_000)),
    "takes over": ("takeOver", (JOB, 1, b"\x09" + bytes(31))),
    "of job 0": ("start", (0,)),
    "of job 2^256 − 1": ("abort", (2**256 - 1,)),
    "calls what is not there": ("", ()),
}
