"""What a token says of itself: how it is called, and how many decimals people write its amounts with.

Anybody can deploy a token that answers anything. Nothing but what people read follows from these facts, and neither
fact is shown before it is bounded: a name that could pass for the chain's own coin, or that would upset a terminal, is
not shown at all.
"""

import re
from typing import NamedTuple

from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.address import to_checksum_address

from marketplace.chain import abi
from marketplace.chain.connection import Connection, Refused
from marketplace.domain import ZERO_ADDRESS
from marketplace.errors import ChainError, Reverted

MAX_DECIMALS = 36
MAX_SYMBOL = 16  # characters
# ASCII that is printed, without spaces and not after a digit: "5" and "000 X" would read as five thousand. "\\" is how
# other bytes are read.
_SYMBOL = re.compile(rf"[A-Za-z$][!-\[\]-~]{{0,{MAX_SYMBOL - 1}}}")
_MAX_ANSWER = 1024  # bytes
_GAS = hex(1_000_000)  # for one question: a token cannot keep the node busy
_RESERVED = ("ether", "eth", "gwei", "wei")


class TokenFacts(NamedTuple):
    """symbol: printable and short. decimals: None where the token does not say, or says nonsense."""

    symbol: str
    decimals: int | None


COIN = TokenFacts("ether", 18)


def token_facts(connection: Connection, address: str) -> TokenFacts:
    """What the token at `address` says; of the zero address, the chain's coin.

    A token without a usable symbol is called by its shortened address. Raises ChainError where no node answers.
    """
    if address == ZERO_ADDRESS:
        return COIN
    symbol = _symbol(_answer(connection, address, "symbol()"))
    return TokenFacts(symbol or f"{address[:6]}…{address[-4:]}", _decimals(_answer(connection, address, "decimals()")))


def _answer(connection: Connection, address: str, signature: str) -> bytes:
    """Empty where the token refuses, or says more than any token has to."""
    data = "0x" + function_signature_to_4byte_selector(signature).hex()
    try:
        said = connection.call({"to": to_checksum_address(address), "data": data, "gas": _GAS})
    except (Reverted, Refused):
        return b""
    return said if len(said) <= _MAX_ANSWER else b""


def _symbol(said: bytes) -> str:
    """ "" for what is none. Tokens from before ERC-20 was final answer with 32 bytes in place of a string."""
    try:
        text = said.rstrip(b"\0").decode() if len(said) == 32 else abi.decode(["string"], said, "a symbol")[0]
    except (ChainError, UnicodeDecodeError):
        return ""
    letters = "".join(filter(str.isalpha, text.lower()))
    return text if _SYMBOL.fullmatch(text) and letters not in _RESERVED else ""


def _decimals(said: bytes) -> int | None:
    if len(said) != 32:
        return None
    value = int.from_bytes(said)
    return value if value <= MAX_DECIMALS else None
