"""Properties of the codecs between bytes and values: what is written is read back, and there is one way to write it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from eth_utils.address import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.chain import abi
from marketplace.chain.events import Log, decode
from marketplace.domain import RoundProof, Rule, Settlement
from marketplace.errors import ChainError
from marketplace.keys.sealing import Purpose, SealContext, open_job_key, seal_job_key
from marketplace.services.rounds import bytes_of, words
from marketplace.units import format_amount, parse_amount, parse_duration
from zk import encoding, files
from zk.encoding import LIMIT
from zk.statements import KRUM_COSINE, REFERENCE, SIZES, DecisionStatement
from zk.transcript import Context, P

UINT256 = st.integers(0, 2**256 - 1)
WORDS = st.lists(UINT256, max_size=6).map(tuple)
CID = st.text(st.characters(codec="utf-8"), max_size=40)
ADDRESS = st.binary(min_size=20, max_size=20).map(lambda raw: to_checksum_address("0x" + raw.hex()))


def value_of(component: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Domain values of one field of the ABI."""
    kind, internal = component["type"], component.get("internalType", "")
    if kind == "tuple":
        made = abi._STRUCTS[internal.removeprefix("struct ")]
        return st.builds(made, **{abi.snake(part["name"]): value_of(part) for part in component["components"]})
    if kind.endswith("[]"):
        return st.lists(value_of({**component, "type": kind[:-2], "internalType": ""}), max_size=3).map(tuple)
    if kind.endswith("]"):
        base, _, count = kind[:-1].partition("[")
        one = value_of({**component, "type": base, "internalType": ""})
        return st.lists(one, min_size=int(count), max_size=int(count)).map(tuple)
    if internal.startswith("enum "):
        return st.sampled_from(list(abi._ENUMS[internal.removeprefix("enum ")]))
    if component["name"] == "rule":
        return st.sampled_from(Rule)
    if kind.startswith("uint"):
        return st.integers(0, 2 ** int(kind[4:]) - 1)
    if kind.startswith("int"):
        half = 2 ** (int(kind[3:]) - 1)
        return st.integers(-half, half - 1)
    return {"address": ADDRESS, "bool": st.booleans(), "string": CID, "bytes32": st.binary(min_size=32, max_size=32)}[
        kind
    ]


@pytest.mark.parametrize("entry", abi.events_by_topic().values(), ids=lambda entry: entry["name"])
@settings(max_examples=20)
@given(data=st.data())
def test_an_event_is_read_as_it_was_emitted(entry: Any, data: st.DataObject) -> None:
    values = {i["name"]: data.draw(value_of(i)) for i in entry["inputs"]}
    (topic,) = (topic for topic, other in abi.events_by_topic().items() if other is entry)
    indexed = [i for i in entry["inputs"] if i["indexed"]]
    others = [i for i in entry["inputs"] if not i["indexed"]]
    encode = [abi.get_abi_input_types({**entry, "inputs": part}) for part in (indexed, others)]
    plain = [[abi._to_abi(i, values[i["name"]]) for i in part] for part in (indexed, others)]
    topics = [abi.codec.encode([kind], [value]) for kind, value in zip(encode[0], plain[0], strict=True)]
    body = abi.codec.encode(encode[1], plain[1])
    event = decode(Log(5, 6, "0x", "0x01", [topic, *topics], body, False, "0x02"), 7)
    for name, value in values.items():
        assert getattr(event, abi.snake(name)) == value
    if body:
        with pytest.raises(ChainError):
            decode(Log(5, 6, "0x", "0x01", [topic, *topics], body[:-32], False, "0x02"), 7)
    with pytest.raises(ChainError):
        decode(Log(5, 6, "0x", "0x01", [topic, *topics, bytes(32)], body, False, "0x02"), 7)


def call_part(index: int) -> Mapping[str, Any]:
    inputs: list[Mapping[str, Any]] = abi.element("function", "settleRound")["inputs"]
    return inputs[index]


@settings(max_examples=40)
@given(data=st.data(), cut=st.integers(1, 64), flip=st.integers(0, 2**16))
def test_call_data_of_a_settlement_have_one_encoding(data: st.DataObject, cut: int, flip: int) -> None:
    arguments = tuple(data.draw(value_of(call_part(index))) for index in range(4))
    assert isinstance(arguments[2], Settlement)
    assert isinstance(arguments[3], RoundProof)
    written = abi.encode_call("settleRound", arguments)
    assert abi.decode_call("settleRound", written) == arguments
    place = flip % len(written)
    changed = written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :]
    for other in (written[:-cut], written + bytes(cut), changed):
        try:
            assert abi.decode_call("settleRound", other) != arguments
        except ChainError:
            continue


@settings(max_examples=60)
@given(numbers=WORDS)
def test_words_and_integers_are_the_same(numbers: tuple[int, ...]) -> None:
    assert words(bytes_of(numbers)) == numbers
    assert bytes_of(words(bytes_of(numbers))) == bytes_of(numbers)


@settings(max_examples=60)
@given(chain=UINT256, job=UINT256, round_=UINT256, market=st.binary(min_size=20, max_size=20))
def test_a_proofs_context_says_every_field_once(chain: int, job: int, round_: int, market: bytes) -> None:
    encoded = Context(chain, market, job, round_, b"\5" * 32).encoded()
    assert len(encoded) == 160
    assert words(encoded) == (chain, int.from_bytes(market), job, round_, int.from_bytes(b"\5" * 32))


@settings(max_examples=60)
@given(amount=st.integers(0, 2**128 - 1), seconds=st.integers(1, 2**64))
def test_amounts_and_durations_survive_their_text(amount: int, seconds: int) -> None:
    assert parse_amount(format_amount(amount)) == parse_amount(amount) == parse_amount(f"{amount} wei") == amount
    assert parse_duration(f"{seconds} s") == parse_duration(seconds) == seconds


@settings(max_examples=60)
@given(text=st.text(max_size=200))
def test_text_that_is_no_amount_or_duration_is_refused_as_such(text: str) -> None:
    for parse in (parse_amount, parse_duration):
        try:
            assert parse(text) >= 0
        except ValueError:
            continue


@settings(max_examples=40)
@given(
    w=st.lists(st.integers(-LIMIT, LIMIT), min_size=1, max_size=40),
    c=st.integers(1, 3),
    fill=st.binary(min_size=64, max_size=64),
)
def test_files_of_arrays_are_read_as_they_were_written(w: list[int], c: int, fill: bytes) -> None:
    row, d, blinders = np.array(w, dtype=np.int16), len(w), fill * c
    assert np.array_equal(encoding.from_bytes(encoding.to_bytes(row), d), row)
    update = files.pack_update(row, blinders, blinders, c)
    got = files.unpack_update(update, d, c)
    assert np.array_equal(got[0], row)
    assert got[1:] == (blinders, blinders)
    assert len(update) <= files.max_update_file_bytes(d, c)
    rows = files.pack_rows(row, -row, blinders * 2, c)
    assert np.array_equal(files.unpack_rows(rows, d, c)[1], -row)
    total = row.astype(np.int64) * 4096
    sums = files.pack_sum(total, blinders, blinders, c)
    read, *opening = files.unpack_sum(sums, d, c, 4096 * LIMIT)
    assert np.array_equal(read, total)
    assert opening == [blinders, blinders]
    model = files.pack_model(row.astype(np.float32))
    assert np.array_equal(files.unpack_model(model, d), row.astype(np.float32))
    unpack = (
        (update, lambda data, n: files.unpack_update(data, n, c)),
        (rows, lambda data, n: files.unpack_rows(data, n, c)),
        (sums, lambda data, n: files.unpack_sum(data, n, c, 4096 * LIMIT)),
        (model, files.unpack_model),
    )
    for number, (file, read) in enumerate(unpack):
        for other in (unpack[number - 1][0], file[:-1], file + b"\0"):
            with pytest.raises(ValueError):  # noqa: PT011 (any sentence)
                read(other, d)
        with pytest.raises(ValueError):  # noqa: PT011
            read(file, d + 1)


@settings(max_examples=20)
@given(secrets=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=5, unique=True))
def test_every_recipient_of_a_job_key_opens_the_same(secrets: list[bytes]) -> None:
    context = SealContext(1, "0x" + "ab" * 20, 2, 0, "0x" + "cd" * 20, Purpose.JOB_KEY)
    keys = {f"0x{n:040x}": X25519PrivateKey.from_private_bytes(secret) for n, secret in enumerate(secrets)}
    document = seal_job_key(b"\7" * 32, {a: k.public_key().public_bytes_raw() for a, k in keys.items()}, context)
    assert {open_job_key(document, address, key, context) for address, key in keys.items()} == {b"\7" * 32}


@settings(max_examples=60)
@given(
    data=st.data(),
    rule=st.sampled_from((KRUM_COSINE, REFERENCE)),
    size=st.sampled_from(SIZES),
    scalars=st.lists(st.integers(0, P - 1), min_size=4, max_size=4),
)
def test_public_inputs_tell_every_slot_apart(data: st.DataObject, rule: int, size: int, scalars: list[int]) -> None:
    """They can be read back, so two judgements never share their inputs."""
    n = data.draw(st.integers(1, size))
    flags = data.draw(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=n, max_size=n))
    opened, selected, struck = ([flag[k] for flag in flags] for k in range(3))
    scores = data.draw(st.lists(st.integers(-(2**95), 2**95 - 1), min_size=n, max_size=n))
    coefficients = data.draw(st.lists(st.integers(0, 4096), min_size=n, max_size=n))
    if rule == KRUM_COSINE:
        coefficients = [int(flag) for flag in selected]
    faulty = data.draw(st.integers(0, 255))
    gram_hash, r, s, y = scalars
    statement = DecisionStatement(gram_hash, r, s, y, opened, selected, struck, faulty, coefficients, scores)
    inputs = statement.public_inputs(rule * 100 + size)
    assert all(0 <= x < P for x in inputs)
    packed = inputs[5:]
    if rule == REFERENCE:
        read = [packed[i // 16] >> 13 * (i % 16) & 8191 for i in range(n)]
        assert read == coefficients
        packed = packed[-(-size // 16) :]
    for i in range(0, n, 2):
        # Two to a word, s_i + 2^96 · s_{i+1} modulo P: as an integer of least magnitude it says both.
        word = packed[i // 2] if packed[i // 2] <= P // 2 else packed[i // 2] - P
        low = (word + 2**95) % 2**96 - 2**95
        assert [low, (word - low) >> 96][: len(scores[i : i + 2])] == scores[i : i + 2]
    masks = inputs[4]
    assert [bool(masks >> i & 1) for i in range(n)] == opened
    assert [bool(masks >> 32 + i & 1) for i in range(n)] == selected
    assert [bool(masks >> 72 + i & 1) for i in range(n)] == struck
    assert masks >> 64 & 255 == faulty
