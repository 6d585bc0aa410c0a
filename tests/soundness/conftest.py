"""Both verifiers, for every attack."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from marketplace.chain.anvil import Anvil
from tests.soundness.verdicts import PythonVerifier, SolidityVerifier, Verifier
from zk import points


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[str, Any] = {}

    def call(*arguments: Any, **options: Any) -> Any:
        key = repr((arguments, options))
        if key not in known:
            known[key] = function(*arguments, **options)
        return known[key]

    return call


@pytest.fixture(scope="session", autouse=True)
def pairings_are_computed_once() -> Iterator[None]:
    """Most attacks change one point of an honest proof: py_ecc's pairings of the others are the same again."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("pairing", "multiply"):
            patched.setattr(points, name, remembered(getattr(points, name)))
        yield


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
