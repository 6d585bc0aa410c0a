"""A market is told by its code and by that of the libraries it calls: either being another's, it is refused."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from eth_utils.address import to_canonical_address, to_checksum_address

from marketplace.chain import abi
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import deploy
from marketplace.chain.linking import creation_code, is_genuine, libraries
from marketplace.chain.market import Market, is_market
from marketplace.errors import ChainError
from tests.chain_fixtures import PEOPLE, Chain, Proxy, untouched

pytest_plugins = ["tests.chain_fixtures"]

LINKS = {name: tuple(places) for name, places in abi.artifact()["deployedLinks"].items()}
PLACES = [(name, place) for name, places in LINKS.items() for place in places]


@dataclass
class Deployed:
    """A market of its own, whose code and libraries a test may change."""

    connection: Connection
    market: str

    def code(self, address: str) -> bytearray:
        return bytearray(self.connection.code(address))

    def put(self, address: str, code: bytes) -> None:
        self.connection.request("anvil_setCode", address, "0x" + code.hex())

    def library(self, name: str) -> str:
        at = LINKS[name][0]
        return to_checksum_address(bytes(self.code(self.market)[at : at + 20]))

    def link(self, place: int, address: str) -> None:
        code = self.code(self.market)
        code[place : place + 20] = to_canonical_address(address)
        self.put(self.market, code)


@pytest.fixture
def deployed(_anvil_chain: Chain) -> Iterator[Deployed]:
    with untouched(_anvil_chain) as chain:
        yield Deployed(chain.connection, deploy(chain.connection, PEOPLE[0]).market)


def test_what_was_deployed_is_a_market_and_so_are_its_libraries(any_chain: Chain) -> None:
    connection = any_chain.connection
    place = deploy(connection, PEOPLE[0])
    assert is_market(connection, place.market)
    found = Deployed(connection, place.market)
    assert libraries("JobMarket") == ["Claims", "Creation", "Delivery", "Disputes", "Failures", "RoundCheck", "Tickets"]
    for name in libraries("JobMarket"):
        assert is_genuine(connection, found.library(name), name)
        assert libraries(name) == []
        assert not is_market(connection, found.library(name))
    assert not is_market(connection, PEOPLE[0].address)


@pytest.mark.parametrize("name", LINKS)
def test_a_market_whose_library_is_another_contract_is_refused(deployed: Deployed, name: str) -> None:
    library = deployed.library(name)
    code = deployed.code(library)
    other = next(there for there in LINKS if there != name)
    for at in (0, len(code) // 2, len(code) - 1):
        changed = bytearray(code)
        changed[at] ^= 1
        deployed.put(library, changed)
        assert not is_market(deployed.connection, deployed.market)
    for another in (b"", code[:-1], code + b"\0", deployed.code(deployed.library(other))):
        deployed.put(library, another)
        assert not is_market(deployed.connection, deployed.market)
    deployed.put(library, code)
    assert is_market(deployed.connection, deployed.market)


@pytest.mark.parametrize(("name", "place"), PLACES, ids=str)
def test_a_market_with_a_link_that_points_elsewhere_is_refused(deployed: Deployed, name: str, place: int) -> None:
    other = next(there for there in LINKS if there != name)
    right = deployed.library(name)
    for elsewhere in (deployed.library(other), deployed.market, PEOPLE[9].address, "0x" + "00" * 20):
        deployed.link(place, elsewhere)
        assert not is_market(deployed.connection, deployed.market)
    deployed.link(place, right)
    assert is_market(deployed.connection, deployed.market)


def test_links_to_copies_of_the_libraries_are_taken_if_all_of_one_library_are_the_same(deployed: Deployed) -> None:
    """A library keeps nothing, so that a copy of it is as good. One that changes something knows its own address."""
    name = max(LINKS, key=lambda each: len(LINKS[each]))
    library, copy = deployed.library(name), PEOPLE[9].address
    deployed.put(copy, deployed.code(library).replace(to_canonical_address(library), to_canonical_address(copy)))
    for number, place in enumerate(LINKS[name], start=1):
        deployed.link(place, copy)
        assert is_market(deployed.connection, deployed.market) is (number == len(LINKS[name]))


def test_a_market_with_other_or_shorter_code_is_refused(deployed: Deployed) -> None:
    code = deployed.code(deployed.market)
    shortest = max(place for _, place in PLACES) + 19
    for length in (0, 1, 19, min(place for _, place in PLACES), shortest, len(code) - 1):
        deployed.put(deployed.market, code[:length])
        assert not is_market(deployed.connection, deployed.market)
    for at in (0, *(place - 1 for _, place in PLACES), *(place + 20 for _, place in PLACES), len(code) - 1):
        changed = bytearray(code)
        changed[at] ^= 1
        deployed.put(deployed.market, changed)
        assert not is_market(deployed.connection, deployed.market)
    with pytest.raises(ChainError, match="another contract, or another version"):
        Market(deployed.connection, deployed.market)


def test_a_node_that_does_not_answer_says_nothing_of_the_code(chain: Chain, proxy: Proxy) -> None:
    asked = []

    def hook(request, forward):  # type: ignore[no-untyped-def]
        if request["method"] != "eth_getCode":
            return forward()
        asked.append(request["params"][0])
        return forward() if len(asked) == 1 else 503

    connection = Connection(proxy.url, timeout=1)
    proxy.hook = hook
    with pytest.raises(ChainError):
        is_market(connection, chain.market.address)
    assert len(asked) > 1


def test_creation_code_is_linked_and_a_library_cannot_be_left_out() -> None:
    linked = {name: PEOPLE[number].address for number, name in enumerate(LINKS)}
    built = abi.artifact()
    code = creation_code("JobMarket", linked)
    zeros = bytearray(code)
    for name, places in built["links"].items():
        for place in places:
            assert code[place : place + 20] == to_canonical_address(linked[name])
            zeros[place : place + 20] = bytes(20)
    assert "0x" + zeros.hex() == built["bytecode"]
    with pytest.raises(KeyError):
        creation_code("JobMarket", {})
    assert "0x" + creation_code("RoundCheck").hex() == abi.artifact("RoundCheck")["bytecode"]
