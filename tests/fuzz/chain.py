"""What a chain's node tells: logs, events, errors of contracts."""

import json
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import IntEnum
from functools import cache
from typing import Any

from eth_utils.abi import get_abi_input_types
from pydantic_core import from_json

from marketplace.chain import abi, answers, reverts
from marketplace.chain.answers import Log
from marketplace.chain.events import decode
from marketplace.domain import (
    ZERO_ADDRESS,
    AggregationAccepted,
    Claimed,
    ConfirmationOpened,
    Credited,
    Ejected,
    EndAsked,
    Ended,
    Event,
    FeesClaimed,
    JobCreated,
    Joined,
    KeyPublished,
    Left,
    Reason,
    Redelivered,
    RoundOpened,
    RoundSettled,
    RoundSkipped,
    RoundVoided,
    Settlement,
    Started,
    State,
    UpdateSubmitted,
    ValidationRevealed,
    Withdrawn,
)  # fmt: skip
from marketplace.errors import AuditFailed, ChainError
from marketplace.replay import conservation, replay, tokens
from tests.fuzz.target import Target, hold
from tests.values import TERMS


def _log(data: bytes) -> Log:
    """An input as a log: which event (1 byte), how many words of topics (1), the topics, the data."""
    known = [*abi.events_by_topic(), b"\x55" * 32]
    first = known[data[0] % len(known)] if data else b""
    count = data[1] % 5 if len(data) > 1 else 0
    rest = data[2:]
    topics = [first, *(rest[32 * i : 32 * i + 32] for i in range(count))] if first else []
    return Log(1, 2, "0x" + "ab" * 20, "0x" + "cd" * 32, topics, rest[32 * count :], False, "0x02")


def _event(data: bytes) -> None:
    log = _log(data)
    event = decode(log, 1_700_000_000)
    hold(isinstance(event, Event) and (event.block, event.log_index) == (1, 2), "an event stands elsewhere")
    named = abi.events_by_topic()[log.topics[0]]["name"]
    hold(type(event).__name__ == named, "an event of another name")
    hold(all(getattr(event, field.name) is not None for field in fields(event)), "a field is missing")


@cache
def logs() -> list[bytes]:
    """One log of each event, of zeros, ones and texts."""
    found = []
    for number, entry in enumerate(abi.events_by_topic().values()):
        indexed = [i for i in entry["inputs"] if i["indexed"]]
        others = [i for i in entry["inputs"] if not i["indexed"]]
        head = bytes([number, len(indexed)]) + b"".join((1).to_bytes(32) for _ in indexed)
        found.append(head + _encoded(others, _value))
    return found


def _encoded(components: Sequence[abi.Entry], value: Callable[[abi.Entry], Any]) -> bytes:
    kinds = get_abi_input_types({"type": "error", "name": "", "inputs": components})
    return abi.codec.encode(kinds, [value(component) for component in components])


def _value(component: abi.Entry) -> Any:
    kind = component["type"]
    if kind == "tuple":
        return tuple(_value(part) for part in component["components"])
    if kind.endswith("[]"):
        return []
    if kind == "string":
        return "bafy\x1b"
    if kind == "address":
        return "0x" + "12" * 20
    if kind.startswith("bytes"):
        return b"\1" * 32
    return True if kind == "bool" else 1


def _json(data: bytes) -> object:
    """As Connection does: what is no JSON is no chain's answer."""
    try:
        return from_json(data)
    except ValueError as error:
        raise ChainError("no JSON") from error


def _node_logs(data: bytes) -> None:
    """A node's answer to eth_getLogs."""
    for found in answers.logs("node.example", "eth_getLogs", _json(data)):
        hold(isinstance(found.block, int) and isinstance(found.data, bytes), "a log of other types")
        decode(found, 1)


def _receipt(data: bytes) -> None:
    """A node's answer to eth_getTransactionReceipt."""
    found = answers.mined("node.example", "0x" + "cd" * 32, _json(data))
    if found is not None:
        hold(isinstance(found.block, int) and found.succeeded in (True, False, None), "a receipt of other types")
        for log in found.logs or ():
            decode(log, 1)


def _refusal(data: bytes) -> None:
    """A node's error, in whatever it is wrapped."""
    said = answers.said(_json(data))
    hold(said.message.isprintable() and len(said.message) <= 300, "a message that is not fit for a terminal")
    reverts.decode(said.data or b"", said.message)


@cache
def node_logs() -> list[bytes]:
    strange = b'{"topics":[[1,2]],"data":99999999999,"blockNumber":1,"logIndex":0,"address":null,"transactionHash":1}'
    return [json.dumps([_started()]).encode(), b'[{"blockNumber":1e3}]', b"[" + strange + b"]", b"[null]", b"[" * 300]


@cache
def receipts() -> list[bytes]:
    good = {"blockNumber": "0x1", "blockHash": "0x" + "ef" * 32, "status": "0x1", "gasUsed": "0x5208"}
    wrong = {"blockNumber": "0x1", "status": True, "gasUsed": -1, "logs": [{}], "contractAddress": "0x"}
    full = good | {"effectiveGasPrice": "0x7", "contractAddress": None, "logs": [_started()]}
    return [json.dumps(receipt).encode() for receipt in (full, good, wrong, good | {"blockNumber": None}, None)]


@cache
def wrapped() -> list[bytes]:
    inner = {"code": 3, "message": "execution reverted", "data": "0x" + refusals()[2].hex()}
    layers: list[object] = [inner, {"message": "Internal error", "data": {"originalError": inner}}, json.dumps(inner)]
    return [json.dumps({"error": layer}).encode() for layer in layers] + [b'{"message":"\\u001b[31m"}', b"[" * 300]


def _started() -> dict[str, object]:
    """A log as nodes give it."""
    (topic,) = (topic for topic, entry in abi.events_by_topic().items() if entry["name"] == "Started")
    return {
        "blockNumber": "0x1",
        "logIndex": "0x0",
        "address": "0x" + "ab" * 20,
        "transactionHash": "0x" + "cd" * 32,
        "blockHash": "0x" + "ef" * 32,
        "topics": ["0x" + topic.hex(), "0x" + "00" * 31 + "07"],
        "data": "0x",
        "removed": False,
    }


def _revert(data: bytes) -> None:
    error = reverts.decode(data, "the node's words")
    hold(str(error).startswith(("The ", "A ")) or error.name, "an error without a sentence")
    hold(isinstance(error.values, dict), "an error without values")


@cache
def refusals() -> list[bytes]:
    """Each known error with zeros, ones, and its words as large as they can be."""
    found = [b"", b"\0\1\2\3"]
    for selector, entry in reverts.declarations().items():
        found += [selector + (fill * 32 * (len(entry["inputs"]) + 1)) for fill in (b"\0", b"\xff")]
        try:
            found.append(selector + _encoded(entry["inputs"], _largest))
        except (ValueError, TypeError):
            continue
    return found


def _largest(component: abi.Entry) -> Any:
    kind = component["type"]
    plain = kind.startswith("uint") and component["internalType"] == kind
    return 2 ** int(kind[4:]) - 1 if plain else _value(component)


# ---------------------------------------------------------------- a job's whole log


def _place(block: int) -> dict[str, Any]:
    return {"block": block, "log_index": 0, "transaction": f"0x{block:064x}", "timestamp": 1000 + block, "job_id": 1}


@cache
def history() -> list[Event]:
    """A short job: created, accepted, joined twice, a round settled, completed, paid out."""
    owner, aggregator, payee = (f"0x{n:040x}" for n in (1, 2, 3))
    terms = replace(
        TERMS, reward=90, fee=9, stake=50, bond=70, aggregator=aggregator, enrol_by=2000, submit_window=9,
        settle_window=9, confirm_window=9, rounds=1, min_rounds=1, min_trainers=2, max_trainers=2, max_missed=1,
        max_strikes=1, max_empty_rounds=1, max_voids=1, gram_verifier=owner, decision_verifier=owner,
    )  # fmt: skip
    judged = Settlement(0, 0b11, 0, (1, 2), 0, (), "bafy", bytes(32), "", bytes(32))
    key = b"\1" * 32
    rows: list[tuple[type[Event], dict[str, Any]]] = [
        (JobCreated, {"owner": owner, "terms": terms, "encryption_key": key, "spec_cid": "bafy"}),
        (AggregationAccepted, {"aggregator": aggregator, "payee": payee, "encryption_key": key}),
        (Joined, {"slot": 0, "operator": payee, "payee": payee, "encryption_key": key}),
        (Joined, {"slot": 1, "operator": owner, "payee": payee, "encryption_key": key}),
        (Started, {}),
        (RoundOpened, {"round": 1, "submit_by": 1014, "settle_by": 1023}),
        (KeyPublished, {"cid": "bafy"}),
        (UpdateSubmitted, {"round": 1, "slot": 0, "commitment": key, "cid": "bafy"}),
        (UpdateSubmitted, {"round": 1, "slot": 1, "commitment": b"\2" * 32, "cid": "bafy"}),
        (RoundVoided, {"round": 1, "unopened": 0b10, "deliver_by": 1019, "settle_by": 1028}),
        (Redelivered, {"round": 1, "slot": 1, "cid": "bafyagain"}),
        (RoundSettled, {"round": 1, "submitted": 0b11, "settlement": judged}),
        (ConfirmationOpened, {"confirm_by": 1018, "reveal_by": 0, "outcome": State.COMPLETED}),
        (Ejected, {"slot": 1, "slashed": 5}),
        (RoundSkipped, {"round": 2}),
        (EndAsked, {}),
        (Left, {"slot": 0}),
        (Credited, {"payee": aggregator, "token": ZERO_ADDRESS, "amount": 9, "reason": Reason.FEE}),
        (Ended, {"state": State.COMPLETED, "pot": 90}),
        (Claimed, {"slot": 0, "pay": 30, "stake": 50, "slashed": 0}),
        (Credited, {"payee": payee, "token": ZERO_ADDRESS, "amount": 30, "reason": Reason.PAY}),
        (FeesClaimed, {"payee": aggregator, "fees": 9}),
        (Withdrawn, {"payee": payee, "token": ZERO_ADDRESS, "amount": 30}),
        (ValidationRevealed, {"cid": "bafy"}),
    ]
    return [kind(**_place(block), **values) for block, (kind, values) in enumerate(rows)]


WIDTHS = {"slot": 8, "round": 16, "submit_by": 40, "settle_by": 40, "confirm_by": 40}
WIDTHS |= dict.fromkeys(("submitted", "selected", "struck", "unopened"), 32)
NUMBERS = (0, 1, 2, 31, 32, 255, 2**16 - 1, 2**32 - 1, 2**40 - 1, 2**128 - 1, 2**256 - 1)


def _strange(event: Any, which: int, number: int) -> Any:
    """The event with another number in one of its fields, or in one of the struct that it carries."""
    names = [field.name for field in fields(event)]
    name = names[which % len(names)]
    value = getattr(event, name)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(event, **{name: _strange(value, which // len(names), number)})
    if isinstance(value, tuple):
        return replace(event, **{name: value[1:] if number % 2 else (*value, number)})
    plain = isinstance(value, int) and not isinstance(value, IntEnum)
    return replace(event, **{name: number % 2 ** WIDTHS.get(name, 256)}) if plain else event


def _history(data: bytes) -> None:
    """Any log of known events is replayed and added up: what is wrong with it are findings."""
    log: list[Event] = list(history())
    for at in range(0, len(data) - 3, 4):
        what, one, other, number = data[at : at + 4]
        one %= len(log)
        match what % 4:
            case 0:
                log[one] = _strange(log[one], other, NUMBERS[number % len(NUMBERS)])
            case 1 if len(log) > 1:
                del log[one]
            case 2 if len(log) < 60:
                log.insert(one, log[other % len(log)])
            case 3:
                log[one] = replace(log[one], transaction=log[other % len(log)].transaction)
    rebuilt = replay(log)
    hold(all(isinstance(str(finding), str) for finding in rebuilt.findings), "a finding without words")
    rebuilt.job()
    conservation(log, dict.fromkeys(tokens(log), 100))


TARGETS = [
    Target("history", _history, (AuditFailed,), lambda: [b"", b"\1\0\0\0", b"\0\7\1\3", b"\2\5\3\0\3\4\2\0"]),
    Target("event", _event, (ChainError,), logs),
    Target("node-logs", _node_logs, (ChainError,), node_logs),
    Target("receipt", _receipt, (ChainError,), receipts),
    Target("refusal", _refusal, (ChainError,), wrapped),
    Target("revert", _revert, (), refusals),
]
