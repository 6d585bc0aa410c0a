"""The contracts' artifacts, JobMarket's ABI, and values between it and the domain's types.

The names decide: a Solidity `struct Terms` is domain.Terms, its `enrolBy` the field `enrol_by`. So a field that is
added on one side only is refused here, not read into the wrong place.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import Any

from eth_abi.codec import ABICodec
from eth_abi.decoding import StringDecoder
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.registry import BaseEquals, registry
from eth_utils.abi import (
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
    get_abi_input_types,
    get_abi_output_types,
)
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from marketplace import domain
from marketplace.errors import ChainError, InputError

# An entry of an ABI, or one of its components: https://docs.soliditylang.org/en/latest/abi-spec.html#json
Entry = Any
_STRUCTS: dict[str, type] = {
    t.__name__: t for t in (domain.Terms, domain.Job, domain.Trainer, domain.Settlement, domain.RoundProof)
}
_ENUMS: dict[str, type] = {"State": domain.State, "Reason": domain.Reason}


def _lenient_about_text() -> ABICodec:
    """A codec that reads a string which is not UTF-8 as its backslash escapes.

    Solidity does not check strings. Any participant can emit a CID of arbitrary bytes, and that must spoil its own
    submission (no content has such a CID), not everybody's reading of the job.
    """
    own = registry.copy()  # type: ignore[no-untyped-call]
    own.unregister_decoder("string")
    own.register_decoder(BaseEquals("string"), StringDecoder("backslashreplace"), label="string")  # type: ignore[no-untyped-call]
    return ABICodec(own)


codec = _lenient_about_text()


@cache
def artifact(name: str = "JobMarket") -> Entry:
    """What the compiler made of a contract: its `abi`, `bytecode` (creation code, 0x…), `deployedBytecode` and more."""
    text = files("marketplace.chain").joinpath("artifacts", f"{name}.json").read_text(encoding="utf-8")
    return json.loads(text)


def filled(code: str, places: Mapping[str, Sequence[int]], values: Mapping[str, bytes]) -> bytes:
    """An artifact's code (0x…) with what the compiler left open. places: by name, byte offsets. Raises KeyError.

    Of immutables the values are words of 32 bytes, of libraries their addresses, 20 bytes.
    """
    whole = bytearray.fromhex(code.removeprefix("0x"))
    for name, offsets in places.items():
        for at in offsets:
            whole[at : at + len(values[name])] = values[name]
    return bytes(whole)


def element(kind: str, name: str) -> Entry:
    """JobMarket's function, event or error of this name."""
    (found,) = (e for e in artifact()["abi"] if e["type"] == kind and e["name"] == name)
    return found


@cache
def events_by_topic() -> Mapping[bytes, Entry]:
    return {event_abi_to_log_topic(e): e for e in artifact()["abi"] if e["type"] == "event"}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def encode_call(function: str, arguments: Sequence[object]) -> bytes:
    """The call data of a JobMarket function; domain values stand for their structs.

    Raises InputError for an argument that its Solidity type cannot hold.
    """
    abi = element("function", function)
    plain = [_to_abi(component, value) for component, value in zip(abi["inputs"], arguments, strict=True)]
    return selector(function) + encode(get_abi_input_types(abi), plain, function)


def selector(function: str) -> bytes:
    """The 4 bytes that call data of a JobMarket function begin with."""
    return function_abi_to_4byte_selector(element("function", function))


def decode_call(function: str, data: bytes) -> tuple[Any, ...]:
    """The arguments of a JobMarket function's call data, as domain values.

    Raises ChainError unless the data are, to the byte, what `encode_call` makes of these arguments: one list of
    arguments has one encoding here, though the contract would take others.
    """
    abi = element("function", function)
    what = f"call data that should be of {function}"
    arguments = values(abi["inputs"], decode(get_abi_input_types(abi), data[4:], what))
    if encode_call(function, arguments) != data:
        raise ChainError(f"What was given as {what} is of another function, or has another form than Merit's.")
    return arguments


def terms_hash(terms: domain.Terms) -> bytes:
    """keccak256(abi.encode(terms)), 32 bytes: `Job.termsHash`. Raises InputError for terms that do not fit."""
    create = element("function", "createJob")
    component, kind = create["inputs"][0], get_abi_input_types(create)[0]
    return keccak(encode([kind], [_to_abi(component, terms)], "The hash of a job's terms"))


def encode(types: Sequence[str], values: Sequence[object], what: str) -> bytes:
    try:
        return codec.encode(types, values)
    except EncodingError as error:
        raise InputError(f"{what} cannot take these values: {error}.") from error


def decode_result(function: str, data: bytes) -> tuple[Any, ...]:
    """What a JobMarket view returned, as domain values. Raises ChainError."""
    abi = element("function", function)
    return values(abi["outputs"], decode(get_abi_output_types(abi), data, f"the contract's answer to {function}"))


def decode(types: Sequence[str], data: bytes, what: str) -> tuple[Any, ...]:
    try:
        return codec.decode(types, data)
    except (DecodingError, OverflowError, MemoryError, RecursionError) as error:
        raise ChainError(f"{what} cannot be decoded ({error}): is this Merit's contract?") from error


def values(components: Sequence[Entry], raw: Sequence[object]) -> tuple[Any, ...]:
    """Decoded ABI values as domain values: structs, enums, checksummed addresses, tuples for arrays."""
    return tuple(_from_abi(component, value) for component, value in zip(components, raw, strict=True))


def _from_abi(component: Entry, value: Any) -> Any:
    kind, internal = component["type"], component.get("internalType", "")
    if kind == "tuple":
        names = [snake(c["name"]) for c in component["components"]]
        structure = _STRUCTS[internal.removeprefix("struct ")]
        made = dict(zip(names, values(component["components"], value), strict=True))
        return structure(**made)
    if kind.endswith("]"):
        return tuple(value)
    if kind == "address":
        return to_checksum_address(value)
    if internal.startswith("enum "):
        return _enum(_ENUMS[internal.removeprefix("enum ")], value)
    if component["name"] == "rule" and kind == "uint8":
        return _enum(domain.Rule, value)
    return value


def _enum(kind: type, value: int) -> Any:
    try:
        return kind(value)
    except ValueError as error:
        raise ChainError(f"The contract gave {value} as a {kind.__name__}, which is not known here.") from error


def _to_abi(component: Entry, value: Any) -> Any:
    if component["type"] == "bytes32" and len(value) != 32:  # eth_abi would pad it
        raise InputError(f"{component['name']} needs 32 bytes, and got {len(value)}.")
    if component["type"] != "tuple":
        return value
    own = {field.name: getattr(value, field.name) for field in fields(value)}
    return tuple(_to_abi(c, own[snake(c["name"])]) for c in component["components"])
