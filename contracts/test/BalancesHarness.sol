// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Job, Settlement, Terms, Trainer} from "../interfaces/IJobMarket.sol";
import {Balances} from "../libraries/Balances.sol";
import {Slots} from "../libraries/Slots.sol";

/// @title The arithmetic of balances, callable: one job's rounds without the market around them
contract BalancesHarness {
    using Slots for uint32;

    struct Case {
        int96 score;
        uint64 rate;
        int256 exponent;
        uint256 chosen;
    }

    Job private _job;
    Terms private _terms;
    mapping(uint256 slot => Trainer) private _trainers;

    function begin(uint8 rule, uint64 rate, int16 scaleExponent, uint32 members) external {
        (_terms.rule, _terms.scaleExponent) = (rule, scaleExponent);
        (_job.rate, _job.members, _job.active) = (rate, members, members);
    }

    function settle(uint32 opened, Settlement calldata s) external {
        _settle(opened, s);
    }

    /// @notice The same round so many times.
    function repeat(uint256 times, uint32 opened, Settlement calldata s) external {
        for (uint256 i; i < times; ++i) {
            _settle(opened, s);
        }
    }

    function retire(uint32 slots) external {
        for (uint256 slot; slots >> slot != 0; ++slot) {
            if (!slots.has(slot)) continue;
            Balances.retire(_job, _trainers[slot]);
            _job.active = _job.active.without(slot);
        }
    }

    function end(uint128 pot) external {
        _job.pot = pot;
    }

    function job() external view returns (Job memory) {
        return _job;
    }

    function trainer(uint256 slot) external view returns (Trainer memory) {
        return _trainers[slot];
    }

    /// @return balances of all slots, and what the pot pays each member
    function result() external view returns (int256[32] memory balances, uint256[32] memory pays) {
        for (uint256 slot; slot < 32; ++slot) {
            Trainer storage who = _trainers[slot];
            balances[slot] = who.balance;
            if (_job.members.has(slot)) pays[slot] = Balances.pay(_job, who, _job.active.has(slot));
        }
    }

    function lossUnits(Case[] calldata cases) external pure returns (int256[] memory units) {
        units = new int256[](cases.length);
        for (uint256 i; i < cases.length; ++i) {
            Case calldata c = cases[i];
            units[i] = Balances.lossUnits(c.score, c.rate, c.exponent, c.chosen);
        }
    }

    function _settle(uint32 opened, Settlement calldata s) private {
        ++_job.settled;
        Balances.add(_job, _terms, _trainers, opened, s);
    }
}
