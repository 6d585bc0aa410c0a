"""Contracts and the libraries that they call: put together for deployment, and told from other code.

A library is a contract of its own, whose address stands in the code of those that call it. JobMarket is too large for
one contract (EIP-170), so checks and disputes are in libraries. Those that change something know their own address.
"""

from collections.abc import Mapping

from eth_utils.address import to_canonical_address, to_checksum_address

from marketplace.chain import abi
from marketplace.chain.connection import Connection

_ADDRESS = 20
"""Bytes of an address."""
_WORD = 32
"""Bytes of an immutable."""


def libraries(contract: str) -> list[str]:
    """The libraries that a contract of Merit's calls."""
    return sorted(abi.artifact(contract)["links"])


def creation_code(contract: str, linked: Mapping[str, str] | None = None) -> bytes:
    """The code that creates a contract of Merit's. linked: where its libraries are, KeyError where one is missing."""
    built = abi.artifact(contract)
    addresses = {name: to_canonical_address(where) for name, where in (linked or {}).items()}
    return abi.filled(built["bytecode"], built["links"], addresses)


def is_genuine(connection: Connection, address: str, contract: str) -> bool:
    """Whether the code there is that contract of this version, and so are the libraries that it calls.

    Raises ChainError where the node does not answer.
    """
    built, code = abi.artifact(contract), connection.code(address)
    links: Mapping[str, list[int]] = built["deployedLinks"]
    if any(len(code) < places[0] + _ADDRESS for places in links.values()):
        return False
    linked = {name: code[at[0] : at[0] + _ADDRESS] for name, at in links.items()}
    own = {"library_deploy_address": to_canonical_address(address).rjust(_WORD, b"\0")} if built["immutables"] else {}
    expected = abi.filled(built["deployedBytecode"], {**links, **built["immutables"]}, {**linked, **own})
    return code == expected and all(
        is_genuine(connection, to_checksum_address(where), name) for name, where in linked.items()
    )
