// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDecisionVerifier} from "../interfaces/IDecisionVerifier.sol";
import {IGramVerifier} from "../interfaces/IGramVerifier.sol";
import {IJobMarket, Job, State, Terms} from "../interfaces/IJobMarket.sol";
import {Cids} from "./Cids.sol";
import {Decision} from "./Decision.sol";
import {Parties} from "./Parties.sol";

/// @title How a job begins: with terms within their bounds, which are kept
library Creation {
    uint256 internal constant MAX_TRAINERS = 32;
    uint256 internal constant MAX_ROUNDS = 1000;
    uint256 internal constant MAX_WAIT = 365 days;
    uint256 internal constant MAX_RATE = 100 << 40; // 100, in units of 2^-40
    int256 internal constant MIN_SCALE_EXPONENT = -40;

    /// @dev Makes the caller the owner of a new job.
    /// @param kept the terms of all jobs
    /// @return escrow what the owner escrows: rounds × (reward + fee)
    function create(
        Job storage j,
        mapping(uint256 jobId => Terms) storage kept,
        uint256 jobId,
        Terms calldata t,
        bytes32 encryptionKey,
        string calldata specCid
    ) external returns (uint128 escrow) {
        escrow = _check(t);
        Parties.requireKey(encryptionKey);
        Cids.requireCid(specCid);

        kept[jobId] = t;
        j.owner = msg.sender;
        j.state = State.Open;
        j.escrow = escrow;
        j.rate = t.rate;
        j.termsHash = keccak256(abi.encode(t));
        emit IJobMarket.JobCreated(jobId, msg.sender, t, encryptionKey, specCid);
    }

    /// @dev Reverts with `InvalidTerm` unless every term is within its bounds.
    function _check(Terms calldata terms) private view returns (uint128 escrow) {
        if (terms.token != address(0) && terms.token.code.length == 0) {
            revert IJobMarket.InvalidTerm("token", uint160(terms.token));
        }
        within("enrolBy", terms.enrolBy, block.timestamp, block.timestamp + MAX_WAIT);
        within("startDelay", terms.startDelay, 0, MAX_WAIT);
        within("submitWindow", terms.submitWindow, 1, MAX_WAIT);
        within("settleWindow", terms.settleWindow, 1, MAX_WAIT);
        within("confirmWindow", terms.confirmWindow, 1, MAX_WAIT);
        bool reveals = terms.rule == Decision.REFERENCE;
        within("revealWindow", terms.revealWindow, 0, reveals ? terms.confirmWindow - 1 : 0);
        within("takeoverWindow", terms.takeoverWindow, 0, MAX_WAIT);
        within("rule", terms.rule, 1, 2);
        within("rounds", terms.rounds, 1, MAX_ROUNDS);
        within("minRounds", terms.minRounds, 1, terms.rounds);
        within("rate", terms.rate, 1, MAX_RATE);
        within("rateDecay", terms.rateDecay, 1, 2 ** 32);
        if (terms.scaleExponent < MIN_SCALE_EXPONENT || terms.scaleExponent > 0) {
            revert IJobMarket.InvalidTerm("scaleExponent", uint256(int256(terms.scaleExponent)));
        }
        within("maxTrainers", terms.maxTrainers, 1, MAX_TRAINERS);
        // More than f honest ones are outside of every minority, and a third of those that submit is more than f of them.
        within(
            "minTrainers",
            terms.minTrainers,
            terms.maxFaulty == 0 ? 1 : 2 * uint256(terms.maxFaulty) + 3,
            terms.maxTrainers
        );
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
