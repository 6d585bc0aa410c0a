"""Both verifiers, for every attack."""

from collections.abc import Iterator

import pytest
from web3 import HTTPProvider, Web3

from marketplace.chain.anvil import Anvil
from tests.soundness.verdicts import PythonVerifier, SolidityVerifier, Verifier


@pytest.fixture(scope="session")
def solidity() -> Iterator[SolidityVerifier]:
    with Anvil() as anvil:
        yield SolidityVerifier(Web3(HTTPProvider(anvil.url)))


@pytest.fixture(params=["python", "solidity"])
def verifier(request: pytest.FixtureRequest) -> Verifier:
    if request.param == "python":
        return PythonVerifier()
    contracts: SolidityVerifier = request.getfixturevalue("solidity")
    return contracts
