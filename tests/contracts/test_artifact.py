"""What is tested here is what is committed and deployed."""

import json
from pathlib import Path

import pytest
from brownie import JobMarket, web3

from marketplace.chain import compile as compiler
from marketplace.errors import InputError

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


def test_an_artifact_that_the_sources_do_not_compile_to_is_named(artifact, monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "ARTIFACTS", tmp_path)
    monkeypatch.setattr(compiler, "compile_sources", lambda paths: {"JobMarket": artifact})
    assert compiler.main([]) is None
    assert compiler.main(["--check"]) is None
    written = tmp_path / "JobMarket.json"
    assert written.read_text() == ARTIFACT.read_text()
    written.write_text(written.read_text().replace("createJob", "createjob", 1))
    (tmp_path / "Forgotten.json").write_text("{}")
    complaint = compiler.main(["--check"])
    assert complaint.startswith("Forgotten.json, JobMarket.json in ")


def test_sources_that_are_missing_or_wrong_are_refused_in_a_sentence(monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"No such contract source in .*: contracts/Absent\.sol"):
        compiler.compile_sources(["contracts/Absent.sol"])
    (tmp_path / "node_modules" / "solc").mkdir(parents=True)
    (tmp_path / "Broken.sol").write_text("contract Broken { uint256 x = true; }")
    monkeypatch.setattr(compiler, "ROOT", tmp_path)
    with pytest.raises(InputError, match="The contracts do not compile"):
        compiler.compile_sources(["Broken.sol"])


def test_without_a_compiler_the_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "ROOT", tmp_path)
    with pytest.raises(InputError, match="run npm install"):
        compiler.compile_sources(["contracts/JobMarket.sol"])
