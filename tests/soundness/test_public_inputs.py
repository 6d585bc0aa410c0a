"""A contract and an auditor make the same public inputs of what a settlement states, negative scores included."""

import random
from functools import cache
from typing import Any

import pytest
import solcx

from marketplace.chain.compile import ROOT, SETTINGS, SOLC
from tests.soundness.verdicts import SolidityVerifier
from zk.statements import KRUM_COSINE, REFERENCE, DecisionStatement, circuit_id
from zk.transcript import P

HARNESS = """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Settlement} from "contracts/interfaces/IJobMarket.sol";
import {Decision} from "contracts/libraries/Decision.sol";

contract Harness {
    function inputs(Decision.Facts calldata facts, Settlement calldata settlement)
        external pure returns (uint256[] memory)
    {
        return Decision.inputs(facts, settlement);
    }
}
"""
EXTREMES = (0, 1, -1, 2**70, -(2**70), 2**95 - 1, -(2**95))


@cache
def harness() -> tuple[str, list[dict[str, Any]]]:
    """Its creation code, and the ABI type of a settlement's fields."""
    request = {
        "language": "Solidity",
        "sources": {"Harness.sol": {"content": HARNESS}},
        "settings": {**SETTINGS, "outputSelection": {"*": {"Harness": ["evm.bytecode.object", "abi"]}}},
    }
    compiled = solcx.compile_standard(request, solc_binary=SOLC, base_path=str(ROOT), allow_paths=[str(ROOT)])
    made = compiled["contracts"]["Harness.sol"]["Harness"]
    (function,) = made["abi"]
    return str(made["evm"]["bytecode"]["object"]), function["inputs"]


def tuple_type(argument: dict[str, Any]) -> str:
    return "(" + ",".join(field["type"] for field in argument["components"]) + ")"


def by_name(argument: dict[str, Any], values: dict[str, Any]) -> tuple[Any, ...]:
    """A struct's fields in their order; what the public inputs do not depend on is empty."""
    empty = {"string": "", "bytes32": bytes(32)}
    return tuple(values.get(f["name"], empty.get(f["type"], 0)) for f in argument["components"])


def drawn(rng: random.Random, rule: int, slots: int) -> DecisionStatement:
    opened, selected, struck = ([rng.random() < 0.6 for _ in range(slots)] for _ in range(3))
    scores = [rng.choice([*EXTREMES, rng.randrange(-(2**95), 2**95)]) * flag for flag in selected]
    coefficients = [(rng.choice([1, 4095, 4096]) if rule == REFERENCE else 1) * flag for flag in selected]
    gram_hash, r, s, y = (rng.randrange(P) for _ in range(4))
    return DecisionStatement(gram_hash, r, s, y, opened, selected, struck, rng.randrange(256), coefficients, scores)


@pytest.mark.parametrize("rule", [KRUM_COSINE, REFERENCE])
@pytest.mark.parametrize("slots", [1, 3, 8, 9, 16, 17, 32])
def test_contract_and_auditor_make_the_same_public_inputs(solidity: SolidityVerifier, rule: int, slots: int) -> None:
    code, (facts, settlement) = harness()
    at = solidity.deploy(code, [], [])
    signature = f"inputs({tuple_type(facts)},{tuple_type(settlement)})"
    rng = random.Random(f"{rule} {slots}")
    for _ in range(20):
        s = drawn(rng, rule, slots)
        masks = {
            name: sum(1 << slot for slot, flag in enumerate(getattr(s, name)) if flag)
            for name in ("opened", "selected", "struck")
        }
        chosen = [slot for slot in range(slots) if s.selected[slot]]
        told = {
            **masks,
            "unopened": 0,
            "scores": [s.scores[slot] for slot in chosen],
            "coefficients": [s.coefficients[slot] for slot in chosen if rule == REFERENCE],
        }
        known = {"gramHash": s.gram_hash, "r": s.r, "s": s.s, "y": s.y, "opened": masks["opened"]}
        known |= {"rule": rule, "maxTrainers": slots, "maxFaulty": s.max_faulty}
        arguments = [by_name(facts, known), by_name(settlement, told)]
        (made,) = solidity.call(at, signature, arguments, ["uint256[]"])
        assert list(made) == s.public_inputs(circuit_id(rule, slots))
