"""What is tested here is what is committed and deployed."""

import json
from pathlib import Path

import pytest
from brownie import (
    Claims,
    Creation,
    Delivery,
    Disputes,
    Failures,
    GramVerifier,
    JobMarket,
    RoundCheck,
    Tickets,
    accounts,
    web3,
)
from world import words_hash

from marketplace.chain import compile as compiler
from marketplace.errors import InputError

ARTIFACT = Path(__file__).parents[2] / "marketplace" / "chain" / "artifacts" / "JobMarket.json"
LIBRARIES = {
    "Claims": Claims, "Creation": Creation, "Delivery": Delivery, "Disputes": Disputes, "Failures": Failures,
    "RoundCheck": RoundCheck, "Tickets": Tickets,
}  # fmt: skip
LARGEST_CODE = 24_576  # bytes, EIP-170
GENERATOR = (
    11559732032986387107991004021392285783925812861821192530917403151452391805634,
    10857046999023057135944570762232829481370756359578518086990519993285655852781,
    4082367875863433681332203403145435568316851327593401208105741076214120093531,
    8495653923123431417604973247489272438418190587263600148770280649306958101930,
)
"""Of BN254's G2, in the order of EIP-197: [τ]₂ for τ = 1."""


@pytest.fixture
def artifact():
    return json.loads(ARTIFACT.read_text())


def without_metadata(code):
    """Runtime code without its CBOR trailer, whose length is in the last two bytes; Brownie's holds a source hash."""
    return code[: -int.from_bytes(code[-2:], "big") - 2]


def test_the_committed_artifact_is_the_contract_under_test(deployed, artifact):
    committed = bytearray.fromhex(artifact["deployedBytecode"].removeprefix("0x"))
    assert artifact["deployedLinks"].keys() == LIBRARIES.keys()
    for name, offsets in artifact["deployedLinks"].items():
        for at in offsets:
            assert committed[at : at + 20] == bytes(20)
            committed[at : at + 20] = bytes.fromhex(LIBRARIES[name][-1].address[2:])
    tested = bytes(web3.eth.get_code(deployed[0].address))
    assert without_metadata(bytes(committed)) == without_metadata(tested)
    assert sorted(map(str, artifact["abi"])) == sorted(map(str, JobMarket.abi))


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_that_it_calls_is_the_committed_one(deployed, name):
    """And changes nothing by itself: it only looks, or refuses whoever calls it and is not linked to it."""
    artifact = json.loads(ARTIFACT.with_name(f"{name}.json").read_text())
    address = LIBRARIES[name][-1].address
    tested = bytes(web3.eth.get_code(address))
    committed = bytearray.fromhex(artifact["deployedBytecode"][2:])
    own = set() if name in ("RoundCheck", "Tickets") else {"library_deploy_address"}
    assert (artifact["deployedLinks"], artifact["immutables"].keys()) == ({}, own)
    for offsets in artifact["immutables"].values():
        for at in offsets:
            committed[at : at + 32] = bytes.fromhex(address[2:]).rjust(32, b"\0")
    assert without_metadata(bytes(committed)) == without_metadata(tested)
    assert len(tested) <= LARGEST_CODE
    assert all(entry.get("stateMutability") in (None, "view", "pure") for entry in artifact["abi"])


def test_a_deployed_verifier_is_its_artifact_with_the_immutables_filled_in(module_isolation):
    order = 21888242871839275222246405745257275088548364400416034343698204186575808495617
    artifact = json.loads(ARTIFACT.with_name("GramVerifier.json").read_text())
    tau = list(GENERATOR)
    deployed = GramVerifier.deploy(8, tau, {"from": accounts[0]})
    values = {
        "chunk": 8,
        "_chunkInverse": pow(8, -1, order),
        "_omega": pow(5, (order - 1) // 8, order),
        "keyHash": int(words_hash([8, *tau]), 16),
        **{f"_tau{i}": word for i, word in enumerate(tau)},
    }
    code = bytearray.fromhex(artifact["deployedBytecode"][2:])
    assert artifact["immutables"].keys() == values.keys()
    for name, offsets in artifact["immutables"].items():
        for at in offsets:
            assert code[at : at + 32] == bytes(32)
            code[at : at + 32] = values[name].to_bytes(32)
    found = bytes(web3.eth.get_code(deployed.address))
    assert without_metadata(bytes(code)) == without_metadata(found)
    assert str(deployed.keyHash()) == words_hash([8, *tau])


def test_the_code_fits_into_a_contract(artifact):
    assert artifact["immutables"] == {}
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
        "announceSum", "settleRound", "voidRound", "redeliver", "skipRound", "askEnd", "abort", "takeOver", "handOver", "dispute", "reveal", "disputeRows",
        "complete", "showOpening", "claim", "claimFees", "withdraw", "revealValidation",
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
