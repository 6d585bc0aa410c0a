"""The embedded chain, putting a market on it, and finding it again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from marketplace.chain import abi
from marketplace.chain.anvil import Anvil, find_tool
from marketplace.chain.connection import Connection
from marketplace.chain.deploy import AddressBook, Deployment, deploy
from marketplace.chain.events import EventReader
from marketplace.chain.market import Market
from marketplace.errors import ChainError, InputError, NotFound
from tests.chain_fixtures import DECISION_KEY, GRAM_KEY, KEY, OWNER, PEOPLE, Chain, chain_on, terms

pytest_plugins = ["tests.chain_fixtures"]
PLACE = Deployment(market="0x5FbDB2315678afecb367f032d93F642f64180aa3", block=7, transaction="0x" + "ab" * 32)


def test_a_deployed_market_is_the_artifact_s_and_empty(any_chain: Chain) -> None:
    place = deploy(any_chain.connection, PEOPLE[0])
    code = bytearray(any_chain.connection.code(place.market))
    for places in abi.artifact()["deployedLinks"].values():  # test_chain_linking.py looks at what is there
        for at in places:
            code[at : at + 20] = bytes(20)
    assert "0x" + code.hex() == abi.artifact()["deployedBytecode"]
    market = Market(any_chain.connection, place.market)
    assert market.job_count() == 0
    receipt = any_chain.connection.receipt(place.transaction)
    assert receipt is not None
    assert (receipt.block, receipt.contract) == (place.block, place.market)


def test_the_address_book_keeps_one_market_a_chain(tmp_path: Path) -> None:
    book = AddressBook(tmp_path / "home" / "markets.json")
    assert book.find(31337) is None
    book.put(31337, PLACE)
    book.put(1, PLACE)
    newer = PLACE.model_copy(update={"block": 9})
    AddressBook(book.path).put(31337, newer)
    assert (book.find(1), book.find(31337), book.find(2)) == (PLACE, newer, None)
    assert [p.name for p in book.path.parent.iterdir()] == ["markets.json"]


def test_the_address_book_keeps_verifiers_by_chain_and_key(tmp_path: Path) -> None:
    book = AddressBook(tmp_path / "markets.json")
    assert book.verifier(31337, GRAM_KEY) is None
    book.put_verifier(31337, GRAM_KEY, PEOPLE[1].address)
    book.put_verifier(31337, DECISION_KEY, PEOPLE[2].address)
    assert book.find(31337) is None
    book.put(31337, PLACE)
    book.put_verifier(31337, GRAM_KEY, PEOPLE[3].address)
    assert (book.verifier(31337, GRAM_KEY), book.verifier(1, GRAM_KEY)) == (PEOPLE[3].address, None)
    assert (book.verifier(31337, DECISION_KEY), book.find(31337)) == (PEOPLE[2].address, PLACE)


def test_an_address_book_from_before_verifiers_still_reads(tmp_path: Path) -> None:
    path = tmp_path / "markets.json"
    path.write_text(json.dumps({"1": PLACE.model_dump(), "31337": PLACE.model_dump() | {"block": 8}}))
    book = AddressBook(path)
    assert book.find(1) == PLACE
    book.put_verifier(1, GRAM_KEY, PEOPLE[1].address)
    found = book.find(31337)
    assert found is not None
    assert (book.find(1), found.block, book.verifier(1, GRAM_KEY)) == (PLACE, 8, PEOPLE[1].address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"mainnet": {}}',
        json.dumps({"1": {"market": PLACE.market, "block": 7}}),
        json.dumps({"1": PLACE.model_dump() | {"market": PLACE.market.swapcase()}}),
        json.dumps({"1": PLACE.model_dump() | {"block": "7"}}),
        json.dumps({"1": PLACE.model_dump() | {"block": -1}}),
        json.dumps({"1": PLACE.model_dump() | {"transaction": "0x12"}}),
        json.dumps({"1": PLACE.model_dump() | {"more": 1}}),
        json.dumps({"1": {"verifiers": {"0x12": PLACE.market}}}),
        json.dumps({"1": {"verifiers": {"0x" + "ab" * 32: PLACE.market.swapcase()}}}),
        json.dumps({"1": {"deployment": {}}}),
        "[" * 100_000,
    ],
)
def test_a_file_that_is_no_address_book_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "markets.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"is not an address book .*: mend or remove it"):
        AddressBook(path).find(1)
    with pytest.raises(InputError):
        AddressBook(path).put(1, PLACE)
    assert path.read_text() == text


def test_an_anvil_has_the_chain_and_accounts_asked_for() -> None:
    with Anvil(chain_id=4242, accounts=3, balance=5) as chain:
        connection = Connection(chain.url, chain_id=4242)
        held = [connection.ask(lambda eth, who=who: eth.get_balance(who.address)) for who in chain.accounts]  # type: ignore[misc]
        assert held == [5 * 10**18] * 3


def test_anvils_run_side_by_side() -> None:
    with Anvil() as one, Anvil() as two:
        assert one.url != two.url
        Connection(one.url).request("evm_mine")
        assert Connection(two.url).ask(lambda eth: eth.block_number) == 0


def test_a_taken_port_is_one_sentence() -> None:
    with Anvil() as one:
        taken = int(one.url.rsplit(":", 1)[1])
        with pytest.raises(ChainError, match=r"Anvil did not start.*ddress already in use"), Anvil(port=taken):
            pass


def test_a_missing_tool_says_how_to_get_it() -> None:
    with pytest.raises(NotFound, match="no-such-tool is neither on PATH nor in node_modules: run `npm install`"):
        find_tool("no-such-tool")


def test_a_chain_with_a_state_file_goes_on_where_it_stopped(tmp_path: Path) -> None:
    state = tmp_path / "chain.json"
    with Anvil(state=state) as chain:
        connection = Connection(chain.url)
        fixture = chain_on(connection)
        place = fixture.market.address
        fixture.market.create_job(OWNER, terms(fixture), KEY, "bafy")
        before = fixture.events()
    with Anvil(state=state) as chain:
        connection = Connection(chain.url)
        assert Market(connection, place).job_count() == 1
        assert EventReader(connection, place, fixture.first_block).read()[0] == before


def test_an_anvil_dies_with_its_starter_even_when_that_is_killed() -> None:
    script = "from marketplace.chain.anvil import Anvil\nwith Anvil() as a: print(a.url, flush=True); input()"
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    starter = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    with starter:
        assert starter.stdout
        url = starter.stdout.readline().strip()
        assert Connection(url).chain_id == 31337
        starter.send_signal(signal.SIGKILL)
        starter.wait(10)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            Connection(url, timeout=1)
        except ChainError:
            return
    pytest.fail(f"the Anvil at {url} outlived its starter")
