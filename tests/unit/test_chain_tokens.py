"""Tokens that say anything of themselves: what people are shown stays short, printable and never guessed."""

from typing import Any

import pytest
from eth_abi.abi import encode

from marketplace.chain.connection import Connection
from marketplace.chain.tokens import MAX_SYMBOL, TokenFacts, token_facts
from marketplace.domain import ZERO_ADDRESS
from marketplace.errors import ChainError, InputError
from marketplace.units import format_amount
from tests.chain_fixtures import KEY, OWNER, PEOPLE, Chain, Proxy, new_token, terms

pytest_plugins = ["tests.chain_fixtures"]

SYMBOL, DECIMALS = "0x95d89b41", "0x313ce567"


def token_that_says(chain: Chain, symbol: bytes | None, decimals: bytes | None) -> str:
    """A contract with these answers to symbol() and decimals(); None reverts. Handwritten: it may say anything."""
    address = PEOPLE[9].address
    code = b""
    for selector, said in ((SYMBOL, symbol), (DECIMALS, decimals)):
        # push1 0; calldataload; push1 224; shr; push4 selector; sub; push2 NEXT; jumpi; ANSWER; NEXT: jumpdest
        answer = bytes.fromhex("60006000fd") if said is None else b""
        if said is not None:
            for at in range(0, len(said), 32):
                answer += b"\x7f" + said[at : at + 32].ljust(32, b"\0") + b"\x61" + at.to_bytes(2) + b"\x52"
            answer += b"\x61" + len(said).to_bytes(2) + bytes.fromhex("6000f3")
        head = bytes.fromhex("60003560e01c63") + bytes.fromhex(selector[2:]) + b"\x03\x61"
        following = len(code) + len(head) + 2 + 1 + len(answer)
        code += head + following.to_bytes(2) + b"\x57" + answer + b"\x5b"
    chain.connection.request("anvil_setCode", address, "0x" + (code + bytes.fromhex("60006000fd")).hex())
    return address


def word(value: int) -> bytes:
    return value.to_bytes(32)


def text(value: str | bytes) -> bytes:
    return encode(["bytes"], [value.encode() if isinstance(value, str) else value])


def test_an_honest_token_is_shown_as_it_says(chain: Chain) -> None:
    assert token_facts(chain.connection, new_token(chain).address) == TokenFacts("PLAIN", 18)
    six = token_that_says(chain, text("USDX"), word(6))
    facts = chain.market.token(six)
    assert facts == TokenFacts("USDX", 6)
    assert format_amount(5_000_000, *facts) == "5 USDX"
    assert format_amount(5_000_001, *facts) == "5.000001 USDX"


def test_the_coin_needs_no_question(chain: Chain, proxy: Proxy) -> None:
    connection = Connection(proxy.url)
    proxy.methods = []
    assert token_facts(connection, ZERO_ADDRESS) == TokenFacts("ether", 18)
    assert proxy.methods == []


@pytest.mark.parametrize(
    "said",
    [
        None, b"", b"x", word(0), text(""), text("x" * (MAX_SYMBOL + 1)), text("\x1b[2JUSD"), text("US\nD"),
        text(" USD"),
        text("ether"), text("ETH"), text("Wei"), text("ETH."), text("(ether)"), text("e t h"), text("000"),
        text("000 USDC"), text("000USDC"), text(".5 USDC"), text(",5"), text("USD 5"), text("USD\u202e"),
        text("еther"), text(b"\xff\xfe"), text("x" * 5000),
        b"\xff" * 32, b"\xff" * 96, word(2**255) + word(3), word(32) + word(2**200) + word(0),
    ],
    ids=lambda said: repr(said)[:24],
)  # fmt: skip
def test_a_symbol_that_could_mislead_is_replaced_by_the_address(chain: Chain, said: bytes | None) -> None:
    token = token_that_says(chain, said, word(6))
    assert token_facts(chain.connection, token) == TokenFacts(f"{token[:6]}…{token[-4:]}", 6)


@pytest.mark.parametrize(
    "said", [None, b"", b"\x06", word(37), word(2**256 - 1), word(6) + word(6), text("6")], ids=repr
)
def test_decimals_that_make_no_sense_are_not_guessed(chain: Chain, said: bytes | None) -> None:
    facts = token_facts(chain.connection, token_that_says(chain, text("USDX"), said))
    assert facts == TokenFacts("USDX", None)
    assert format_amount(5_000_000, *facts) == "5000000 smallest units of USDX"


def test_old_tokens_with_32_bytes_for_a_symbol_are_read(chain: Chain) -> None:
    token = token_that_says(chain, b"MKR".ljust(32, b"\0"), word(18))
    assert token_facts(chain.connection, token) == TokenFacts("MKR", 18)


def test_what_is_no_contract_has_no_facts(chain: Chain) -> None:
    assert token_facts(chain.connection, PEOPLE[8].address).decimals is None


def test_a_token_that_never_ends_its_answer_is_cut_off_by_gas(chain: Chain) -> None:
    chain.connection.request("anvil_setCode", PEOPLE[9].address, "0x5b600056")  # jumps in a circle
    assert token_facts(chain.connection, PEOPLE[9].address).decimals is None


def test_an_outage_is_not_taken_for_a_token_without_facts(chain: Chain, proxy: Proxy) -> None:
    market = type(chain.market)(Connection(proxy.url), chain.market.address)
    token = new_token(chain).address

    def dead(request: Any, forward: Any) -> Any:
        return 503 if request["method"] == "eth_call" else forward()

    alive, proxy.hook = proxy.hook, dead
    with pytest.raises(ChainError):
        market.token(token)
    proxy.hook = alive
    assert market.token(token) == TokenFacts("PLAIN", 18)
    asked = proxy.methods.count("eth_call")
    market.token(token)
    assert proxy.methods.count("eth_call") == asked


def test_a_token_that_burns_the_gas_of_whoever_pays_in_it_is_not_called(chain: Chain) -> None:
    """A stranger chooses what a job pays in; what joining it costs was shown before, by what honest tokens use."""
    token = PEOPLE[9].address
    # balanceOf gives 2^255, allowance 0, and every other call, as approve, a 1 after 100,000 turns of a loop.
    code = "60003560e01c806370a0823114603157" + "8063dd62ed3e14603f57" + "620186a05b600190038060" + "1e57"
    code += "600160005260206000f3" + "5b600160ff1b60005260206000f3" + "5b600060005260206000f3"
    chain.connection.request("anvil_setCode", token, "0x" + code)
    before = chain.market.balance(ZERO_ADDRESS, OWNER.address)
    with pytest.raises(InputError, match=r"would use 2[0-9]{6} gas, .* and honest ones let it use at most 500000"):
        chain.market.create_job(OWNER, terms(chain, token=token), KEY, "bafy")
    assert chain.market.balance(ZERO_ADDRESS, OWNER.address) == before
