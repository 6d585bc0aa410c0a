"""What is tested here is what is committed and deployed."""

import json
from pathlib import Path

import pytest
from brownie import JobMarket, web3

ARTIFACT = Path(__file__).parents[2] / "marketplace" / "chain" / "artifacts" / "JobMarket.json"
LARGEST_CODE = 24_576  # bytes, EIP-170


@pytest.fixture
def artifact():
    return json.loads(ARTIFACT.read_text())


def without_metadata(code):
    """Runtime code without its CBOR trailer, whose length is in the last two bytes; Brownie's holds a source hash."""
    return code[: -int.from_bytes(code[-2:], "big") - 2]


def test_the_committed_artifact_is_the_contract_under_test(deployed, artifact):
    committed = bytes.fromhex(artifact["deployedBytecode"].removeprefix("0x"))
    tested = bytes(web3.eth.get_code(deployed[0].address))
    assert without_metadata(committed) == without_metadata(tested)
    assert sorted(map(str, artifact["abi"])) == sorted(map(str, JobMarket.abi))


def test_the_code_fits_into_a_contract(artifact):
    assert len(artifact["deployedBytecode"]) // 2 - 1 <= LARGEST_CODE


def test_only_the_calls_of_the_market_change_anything(artifact):
    """No owner, no admin, no upgrade, no way to send it coin unasked."""
    writing = {
        entry.get("name", entry["type"])
        for entry in artifact["abi"]
        if entry.get("stateMutability") in ("nonpayable", "payable")
    }
    assert writing == {
        "createJob", "acceptAggregation", "join", "leave", "cancel", "start", "publishKey", "submitUpdate",
        "settleRound", "skipRound", "abort", "withdraw", "revealValidation",
    }  # fmt: skip
