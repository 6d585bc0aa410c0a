"""A market at the same address on every chain, and the input from which others compile exactly what is there."""

import json
from pathlib import Path

import pytest
import solcx

from marketplace.chain import abi
from marketplace.chain.compile import PRODUCTS, SOLC
from marketplace.chain.deploy import FACTORY, address_everywhere, deploy_everywhere, standard_input
from marketplace.chain.linking import creation_code, is_genuine, libraries
from marketplace.chain.market import Market
from marketplace.errors import InputError
from tests.chain_fixtures import PEOPLE, Chain

pytest_plugins = ["tests.chain_fixtures"]

MOST_BYTES = 24_576  # EIP-170
SOLC_MARK = bytes.fromhex("64736f6c63430008") + bytes([37])  # "solc", 0.8.37
CONTRACTS = [Path(path).stem for path in PRODUCTS]


def without_places(code: bytes, contract: str) -> bytes:
    """A deployed contract's code with zeros where its libraries and immutables stand."""
    built = abi.artifact(contract)
    bare = bytearray(code)
    for places, size in ((built["deployedLinks"], 20), (built["immutables"], 32)):
        for at in (at for places_of_one in places.values() for at in places_of_one):
            bare[at : at + size] = bytes(size)
    return bytes(bare)


def test_a_market_comes_to_the_same_address_whoever_deploys_it_and_stays_there(chain: Chain) -> None:
    first = deploy_everywhere(chain.connection, PEOPLE[1])
    assert is_genuine(chain.connection, first.market, "JobMarket")
    assert Market(chain.connection, first.market).job_count() == 0
    assert first.market == address_everywhere(creation_code("JobMarket", first.libraries))
    assert first.libraries == {name: address_everywhere(creation_code(name)) for name in libraries("JobMarket")}
    receipt = chain.connection.receipt(str(first.transaction))
    assert receipt is not None
    assert receipt.block == first.block
    chain.forward(60)
    again = deploy_everywhere(chain.connection, PEOPLE[2])
    assert again == first.model_copy(update={"transaction": None})


def test_a_chain_without_the_factory_is_told_from_others_before_anything_is_sent(chain: Chain) -> None:
    for code in ("0x", "0x00"):
        chain.connection.request("anvil_setCode", FACTORY, code)
        count = chain.connection.request("eth_getTransactionCount", PEOPLE[1].address, "latest")
        with pytest.raises(InputError, match="no CREATE2 factory"):
            deploy_everywhere(chain.connection, PEOPLE[1])
        assert chain.connection.request("eth_getTransactionCount", PEOPLE[1].address, "latest") == count


@pytest.mark.slow
def test_the_input_for_verifiers_compiles_to_the_very_code_that_is_deployed(chain: Chain) -> None:
    given = json.loads(standard_input())
    compiled = solcx.compile_standard(given, solc_binary=SOLC)
    place = deploy_everywhere(chain.connection, PEOPLE[1])
    for path, contract in zip(PRODUCTS, CONTRACTS, strict=True):
        made = compiled["contracts"][path][contract]
        assert set(json.loads(made["metadata"])["sources"]) <= set(given["sources"]), "no file beside it was read"
        built = abi.artifact(contract)
        code = bytes.fromhex(built["deployedBytecode"][2:])
        assert len(code) <= MOST_BYTES
        assert b"ipfs" in code[-60:]
        assert code[-11:-2] == SOLC_MARK
        said = made["evm"]["deployedBytecode"]["object"]
        for reference in made["evm"]["deployedBytecode"]["linkReferences"].values():
            for spots in reference.values():
                for spot in spots:
                    at = 2 * spot["start"]
                    said = said[:at] + "0" * 40 + said[at + 40 :]
        assert bytes.fromhex(said) == code, contract
        where = {"JobMarket": place.market, **place.libraries}.get(contract)
        if where is not None:
            assert without_places(chain.connection.code(where), contract) == without_places(code, contract)
