// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Settlement} from "../interfaces/IJobMarket.sol";
import {Bn254} from "./Bn254.sol";

/// @title The circuits of the pay rules and the public inputs of their proofs
/// @dev The layout is in docs/proofs-format.md; zk/statements.py packs the same.
library Decision {
    uint256 internal constant REFERENCE = 2; // the rule of that name
    uint256 internal constant ONE = 4096; // the coefficient of an update that enters a sum whole

    uint256 private constant MASKS = 4;
    uint256 private constant SELECTED_BITS = 32;
    uint256 private constant MAX_FAULTY_BITS = 64;
    uint256 private constant STRUCK_BITS = 72;
    uint256 private constant COEFFICIENT_BITS = 13;
    uint256 private constant COEFFICIENTS_IN_WORD = 16;
    uint256 private constant SCORE_BITS = 96;
    int256 private constant P = int256(Bn254.ORDER);

    /// @dev What an input depends on beside the settlement.
    struct Facts {
        uint256 gramHash;
        uint256 r;
        uint256 s;
        uint256 y;
        uint32 opened;
        uint256 rule;
        uint256 maxTrainers;
        uint256 maxFaulty;
    }

    /// @return the circuit's id
    function circuit(uint256 rule, uint256 maxTrainers) internal pure returns (uint256) {
        return rule * 100 + _size(maxTrainers);
    }

    /// @dev The settlement has a score, and under rule `reference` a coefficient ≤ ONE, for each selected slot.
    function inputs(Facts memory facts, Settlement calldata settlement) internal pure returns (uint256[] memory words) {
        bool byReference = facts.rule == REFERENCE;
        uint256 size = _size(facts.maxTrainers);
        uint256 start = MASKS + 1;
        if (byReference) start += (size + COEFFICIENTS_IN_WORD - 1) / COEFFICIENTS_IN_WORD;
        words = new uint256[](start + size / 2);
        (words[0], words[1], words[2], words[3]) = (facts.gramHash, facts.r, facts.s, facts.y);
        uint256 selected = settlement.selected;
        words[MASKS] = facts.opened | selected << SELECTED_BITS | facts.maxFaulty << MAX_FAULTY_BITS
            | uint256(settlement.struck) << STRUCK_BITS;

        int96[] calldata scores = settlement.scores;
        uint16[] calldata coefficients = settlement.coefficients;
        uint256 at;
        for (uint256 slot; selected >> slot != 0; ++slot) {
            if ((selected >> slot) & 1 == 0) continue;
            words[start + slot / 2] = _plus(words[start + slot / 2], int256(scores[at]) << (SCORE_BITS * (slot % 2)));
            if (byReference) {
                uint256 shift = COEFFICIENT_BITS * (slot % COEFFICIENTS_IN_WORD);
                words[MASKS + 1 + slot / COEFFICIENTS_IN_WORD] |= uint256(coefficients[at]) << shift;
            }
            ++at;
        }
    }

    /// @return the sum modulo P of a word below P and an integer whose magnitude is below P
    function _plus(uint256 word, int256 value) private pure returns (uint256) {
        int256 all = int256(word) + value;
        return uint256(all < 0 ? all + P : all >= P ? all - P : all);
    }

    /// @return the number of slots of the least circuit that holds so many trainers
    function _size(uint256 maxTrainers) private pure returns (uint256) {
        return maxTrainers <= 8 ? 8 : maxTrainers <= 16 ? 16 : 32;
    }
}
