"""Every error that the contract can raise becomes one sentence that carries its values."""

import re
import string

import pytest
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector, get_abi_input_types

from marketplace.chain import abi, linking, reverts
from marketplace.domain import State

SAMPLES = {
    "uint256": 123_456,
    "uint128": 77,
    "uint64": 1_795_226_715,
    "uint40": 1_795_226_715,
    "uint32": 0b1011,
    "uint16": 4,
    "uint8": 2,
    "bool": True,
    "address": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "bytes32": b"minTrainers".ljust(32, b"\0"),
    "string": "so it said",
}


def test_the_errors_of_the_libraries_that_the_market_calls_are_known() -> None:
    assert set(linking.libraries("JobMarket")) <= set(reverts._CONTRACTS)


def test_there_is_a_sentence_for_each_error_and_no_other() -> None:
    assert {entry["name"] for entry in reverts.declarations().values()} == set(reverts.SENTENCES)


@pytest.mark.parametrize("entry", reverts.declarations().values(), ids=lambda entry: entry["name"])
def test_an_error_is_one_sentence_with_its_values(entry: abi.Entry) -> None:
    types = get_abi_input_types(entry)
    given = [SAMPLES[kind] for kind in types]
    selector = function_signature_to_4byte_selector(f"{entry['name']}({','.join(types)})")
    error = reverts.decode(selector + encode(types, given))
    assert error.name == entry["name"]
    assert list(error.values) == [component["name"] for component in entry["inputs"]]
    sentence = str(error)
    assert re.fullmatch(r"[A-Z0-9].*[^.]\.", sentence)
    placeholders = {field for _, field, _, _ in string.Formatter().parse(reverts.SENTENCES[error.name]) if field}
    assert placeholders <= set(error.values)


def revert(signature: str, *values: object) -> bytes:
    types = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
    return function_signature_to_4byte_selector(signature) + encode(types, values)


def test_values_are_shown_as_people_read_them() -> None:
    closed = reverts.decode(revert("EnrolmentClosed(uint256,uint40)", 3, 1_795_226_715))
    assert str(closed) == "Enrolment in job 3 closed at 2026-11-21 02:05:15 UTC."
    state = reverts.decode(revert("WrongState(uint256,uint8,uint8)", 3, 6, 2))
    assert str(state) == "Job 3 is aborted; this can be done only while it is running."
    assert state.values["actual"] is State.ABORTED
    term = reverts.decode(revert("InvalidTerm(bytes32,uint256)", b"minTrainers".ljust(32, b"\0"), 9))
    assert str(term) == "The term minTrainers is out of its bounds: 9."
    slots = reverts.decode(revert("NotSubmitted(uint256,uint32,uint32)", 3, 0b1011, 0))
    assert str(slots) == "The settlement of job 3 judges seats 0, 1, 3, but only seats (none) have submitted."
    coin = reverts.decode(revert("NothingToWithdraw(address,address)", SAMPLES["address"], "0x" + "0" * 40))
    assert str(coin) == f"{SAMPLES['address']} has no credit in the chain's coin."


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The contract refused the call: execution reverted."),
        (bytes.fromhex("deadbeef00"), "The contract refused the call: an unknown error 0xdeadbeef."),
        (revert("JobFull(uint256,uint8)", 1, 2)[:-1], "The contract refused the call with a malformed error JobFull."),
        (revert("WrongState(uint256,uint8,uint8)", 1, 9, 1), "The contract refused the call with a malformed error"),
        (revert("Panic(uint256)", 0x99), "The contract stopped on an internal error (Solidity panic 0x99)."),
        (revert("Error(string)", "too {late}"), "The contract refused: too {late}."),
    ],
)
def test_what_is_no_known_error_is_told_all_the_same(data: bytes, sentence: str) -> None:
    assert str(reverts.decode(data, "execution reverted")).startswith(sentence)


def test_a_token_s_reason_that_is_no_text_is_shown_escaped() -> None:
    selector = function_signature_to_4byte_selector("Error(string)")
    assert str(reverts.decode(selector + encode(["bytes"], [b"\xff\x00bad"]))) == "The contract refused: \\xff\\x00bad."
