"""A node's answers as values: the one place where the JSON of blocks, receipts, logs and errors is read.

Nodes differ in what they leave out, and gateways before them in how they wrap what went wrong. So a field that nothing
here needs is never looked at, one that can be done without is None where it is not usable, and one that is needed is
asked for where it is used, and its absence said with the method that should have given it.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from eth_utils.address import to_checksum_address
from eth_utils.hexadecimal import decode_hex
from pydantic_core import from_json

from marketplace.chain import reverts
from marketplace.errors import ChainError

T = TypeVar("T")
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_WORD = re.compile(r"0x[0-9a-fA-F]{64}")


def quantity(value: object) -> int:
    """Raises ValueError for what is no number of JSON-RPC's."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise ValueError
    return int(value, 16)


def word(value: object) -> str:
    """32 bytes as 0x and 64 lower-case digits. Raises ValueError."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ValueError
    return value.lower()


def octets(value: object) -> bytes:
    """Raises ValueError."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError
    return decode_hex(value)


def address(value: object) -> str:
    """EIP-55. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError
    return str(to_checksum_address(value))


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object that a method of a node's gave. node: how the node is called in sentences."""

    node: str
    method: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, node: str, method: str, answer: object) -> "Fields | None":
        """None for null. Raises ChainError for what is no object."""
        if answer is None:
            return None
        if not isinstance(answer, dict):
            raise unusable(node, method, "it is not an object")
        return cls(node, method, answer)

    def need(self, name: str, read: Callable[[object], T]) -> T:
        """Raises ChainError where the field is missing, null or something else than it should be."""
        try:
            return read(self.values.get(name))
        except (ValueError, TypeError) as error:
            raise unusable(self.node, self.method, f"{name} is missing or wrong") from error

    def maybe(self, name: str, read: Callable[[object], T]) -> T | None:
        """None where the field is not usable."""
        try:
            return read(self.values.get(name))
        except (ValueError, TypeError):
            return None


def unusable(node: str, method: str, why: str) -> ChainError:
    return ChainError(f"The RPC at {node} gave no usable answer to {method} ({why}): use another node.")


@dataclass(frozen=True, slots=True)
class Block:
    """A block's header. Each property raises ChainError where the node left it out."""

    fields: Fields

    @property
    def number(self) -> int:
        return self.fields.need("number", quantity)

    @property
    def hash(self) -> str:
        return self.fields.need("hash", word)

    @property
    def parent(self) -> str:
        """The hash of the block before; "" where the node does not say."""
        return self.fields.maybe("parentHash", word) or ""

    @property
    def timestamp(self) -> int:
        """Unix seconds."""
        return self.fields.need("timestamp", quantity)

    @property
    def base_fee(self) -> int | None:
        """Wei for each unit of gas; None where the chain has none, or the node does not say."""
        return self.fields.maybe("baseFeePerGas", quantity)

    @property
    def gas_limit(self) -> int | None:
        return self.fields.maybe("gasLimit", quantity)


class Log(NamedTuple):
    """The parts of a log that are used, checked to be there."""

    block: int
    log_index: int
    address: str
    transaction: str
    topics: list[bytes]
    data: bytes
    removed: bool
    block_hash: str


def logs(node: str, method: str, answer: object) -> list[Log]:
    """Raises ChainError for what is no list of logs."""
    if not isinstance(answer, list):
        raise unusable(node, method, "it is not a list of logs")
    return [_log(node, method, entry) for entry in answer]


def _log(node: str, method: str, entry: object) -> Log:
    log = Fields.of(node, method, entry)
    if log is None:
        raise unusable(node, method, "a log is null")
    return Log(
        block=log.need("blockNumber", quantity),
        log_index=log.need("logIndex", quantity),
        address=log.need("address", address),
        transaction=log.need("transactionHash", word),
        topics=log.need("topics", _topics),
        data=log.need("data", octets),
        removed=bool(log.values.get("removed")),
        block_hash=log.need("blockHash", word),
    )


def _topics(value: object) -> list[bytes]:
    if not isinstance(value, list):
        raise ValueError
    return [octets(word(topic)) for topic in value]


@dataclass(frozen=True, slots=True)
class Mined:
    """The receipt of a transaction in a block.

    succeeded: None where the node does not say. gas_used, gas_price (wei for each): None where it does not say, as
    contract (its address, EIP-55) for every transaction that made none. logs: None where they cannot be read from it.
    """

    transaction: str
    block: int
    block_hash: str | None
    succeeded: bool | None
    gas_used: int | None
    gas_price: int | None
    contract: str | None
    logs: tuple[Log, ...] | None


def mined(node: str, transaction: str, answer: object) -> Mined | None:
    """A receipt, None where there is none yet. transaction: the hash that was asked for."""
    method = "eth_getTransactionReceipt"
    receipt = Fields.of(node, method, answer)
    if receipt is None or (receipt.values.get("blockNumber", "") is None):  # some nodes give those of pending ones
        return None
    found = receipt.values.get("logs")
    try:
        read = tuple(logs(node, method, found))
    except ChainError:
        read = None
    status = receipt.maybe("status", quantity)
    succeeded = None if status not in (0, 1) else status == 1
    return Mined(
        transaction=transaction,
        block=receipt.need("blockNumber", quantity),
        block_hash=receipt.maybe("blockHash", word),
        succeeded=True if succeeded is None and read else succeeded,  # what fails leaves no logs
        gas_used=receipt.maybe("gasUsed", quantity),
        gas_price=receipt.maybe("effectiveGasPrice", quantity),
        contract=receipt.maybe("contractAddress", address),
        logs=read,
    )


# ---------------------------------------------------------------- errors

_MOST, _DEEPEST, _LONGEST = 64, 8, 2**16  # objects of an error that are looked at; levels; characters of JSON in one
_MESSAGE = 300  # characters
_WRAPPERS = re.compile(r"internal (json-rpc )?error\.?|server error|processing response error|", re.IGNORECASE)
_DATA = ("data", "result", "return", "output")


class Said(NamedTuple):
    """An error of a node's, whatever it is wrapped in. data: the revert data, None for what is no revert."""

    message: str
    codes: frozenset[int]
    data: bytes | None


def said(error: object) -> Said:
    """What is in any layer of an error: gateways put a node's own into `data`, `error`, `originalError`, `cause`."""
    messages: list[str] = []
    codes: set[int] = set()
    datas: list[bytes] = []
    waiting = deque([(error, 0)])
    for _ in range(_MOST):
        if not waiting:
            break
        layer, depth = waiting.popleft()
        if isinstance(layer, str) and layer.lstrip().startswith("{") and len(layer) <= _LONGEST:
            layer = _json(layer)
        if depth > _DEEPEST or not isinstance(layer, dict | list):
            continue
        inner = layer.items() if isinstance(layer, dict) else (("", entry) for entry in layer)
        for name, value in inner:
            if name in ("message", "reason", "details") and isinstance(value, str):
                messages.append(value[:_MESSAGE])
            elif name == "code" and isinstance(value, int):
                codes.add(value)
            if name in _DATA and isinstance(value, str) and (data := _data(value)) is not None:
                datas.append(data)
            waiting.append((value, depth + 1))
    telling = [text for text in messages if not _WRAPPERS.fullmatch(text.strip())] or messages
    known = [data for data in datas if data[:4] in reverts.declarations()]
    return Said(
        printable("; ".join(dict.fromkeys(telling)), _MESSAGE), frozenset(codes), next(iter(known or datas), None)
    )


def _json(text: str) -> object:
    try:
        return from_json(text)
    except ValueError:
        return None


def _data(text: str) -> bytes | None:
    """Nethermind writes "Reverted " before it."""
    text = text.removeprefix("Reverted ")
    try:
        return decode_hex(text) if text.startswith("0x") and len(text) <= _LONGEST else None
    except ValueError:
        return None


def printable(text: str, most: int) -> str:
    """What a stranger wrote, fit for a terminal: at most so many characters, and no control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:most])
