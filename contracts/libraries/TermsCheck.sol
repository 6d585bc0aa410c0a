// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDecisionVerifier} from "../interfaces/IDecisionVerifier.sol";
import {IGramVerifier} from "../interfaces/IGramVerifier.sol";
import {IJobMarket, Terms} from "../interfaces/IJobMarket.sol";
import {Decision} from "./Decision.sol";

/// @title The bounds of a job's terms
library TermsCheck {
    uint256 internal constant MAX_TRAINERS = 32;
    uint256 internal constant MAX_ROUNDS = 1000;
    uint256 internal constant MAX_WAIT = 365 days;

    /// @dev Reverts with `InvalidTerm` unless every term is within its bounds.
    /// @return escrow what the owner escrows: rounds × (reward + fee)
    function check(Terms calldata terms) internal view returns (uint128 escrow) {
        if (terms.token != address(0) && terms.token.code.length == 0) {
            revert IJobMarket.InvalidTerm("token", uint160(terms.token));
        }
        within("enrolBy", terms.enrolBy, block.timestamp, block.timestamp + MAX_WAIT);
        within("submitWindow", terms.submitWindow, 1, MAX_WAIT);
        within("settleWindow", terms.settleWindow, 1, MAX_WAIT);
        within("takeoverWindow", terms.takeoverWindow, 0, MAX_WAIT);
        within("rule", terms.rule, 1, 2);
        within("rounds", terms.rounds, 1, MAX_ROUNDS);
        within("maxTrainers", terms.maxTrainers, 1, MAX_TRAINERS);
        within("minTrainers", terms.minTrainers, 1, terms.maxTrainers);
        within("maxFaulty", terms.maxFaulty, 0, terms.maxTrainers - 1);
        within("maxMissed", terms.maxMissed, 1, type(uint8).max);
        within("maxStrikes", terms.maxStrikes, 1, type(uint8).max);
        within("maxEmptyRounds", terms.maxEmptyRounds, 1, type(uint8).max);
        within("slashBps", terms.slashBps, 0, 10_000);
        checkVerifiers(terms);
        // All that a job can ever hold fits in 128 bits, so that no sum of its money can overflow.
        uint256 owed = uint256(terms.rounds) * (uint256(terms.reward) + terms.fee);
        within("total", owed + uint256(terms.maxTrainers) * terms.stake + terms.bond, 0, type(uint128).max);
        return uint128(owed);
    }

    /// @dev What has no code would answer a view with a revert that names nothing.
    function checkVerifiers(Terms calldata terms) private view {
        address gram = terms.gramVerifier;
        if (gram.code.length == 0) revert IJobMarket.InvalidTerm("gramVerifier", uint160(gram));
        if (IGramVerifier(gram).keyHash() != terms.gramKey) {
            revert IJobMarket.InvalidTerm("gramKey", uint256(terms.gramKey));
        }
        address decision = terms.decisionVerifier;
        uint256 circuit = Decision.circuit(terms.rule, terms.maxTrainers);
        if (decision.code.length == 0 || IDecisionVerifier(decision).circuit() != circuit) {
            revert IJobMarket.InvalidTerm("decisionVerifier", uint160(decision));
        }
        if (IDecisionVerifier(decision).keyHash() != terms.decisionKey) {
            revert IJobMarket.InvalidTerm("decisionKey", uint256(terms.decisionKey));
        }
    }

    function within(bytes32 term, uint256 value, uint256 low, uint256 high) private pure {
        if (value < low || value > high) revert IJobMarket.InvalidTerm(term, value);
    }
}
