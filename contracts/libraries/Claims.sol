// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobMarket, Job, Terms, Trainer} from "../interfaces/IJobMarket.sol";
import {Balances} from "./Balances.sol";
import {Slots} from "./Slots.sol";

/// @title What a job that is over brings its members and the aggregators that lost it
/// @dev The caller has found the job to be over, and credits what is returned.
library Claims {
    using Slots for uint32;

    uint256 private constant BPS = 10_000;

    /// @return slashed what one ejection costs
    function slash(Terms storage t) internal view returns (uint128 slashed) {
        return uint128(uint256(t.stake) * t.slashBps / BPS);
    }

    /// @return pay a member's part of the pot
    /// @return stake what comes back of its stake
    /// @return burnt what of the stake is slashed and, with the last claim, what of the pot is not divided
    function member(
        Job storage j,
        Terms storage t,
        mapping(uint256 slot => Trainer) storage trainers,
        uint256 jobId,
        uint8 slot
    ) external returns (uint128 pay, uint128 stake, uint128 burnt) {
        if (!j.members.has(slot)) revert IJobMarket.NotMember(jobId, slot);
        if (j.claimed.has(slot)) revert IJobMarket.AlreadyClaimed(jobId, slot);

        Trainer storage who = trainers[slot];
        pay = Balances.pay(j, who, j.active.has(slot));
        if (who.staked) stake = t.stake;
        if (stake != 0 && who.strikes >= t.maxStrikes) {
            burnt = slash(t);
            stake -= burnt;
        }
        j.claimed = j.claimed.with(slot);
        who.staked = false;
        emit IJobMarket.Claimed(jobId, slot, pay, stake, burnt);
        // The last one's claim burns what of the pot did not divide.
        uint128 rest = j.claimed == j.members ? j.escrow - pay - t.fee * j.owed : 0;
        j.escrow -= pay + rest;
        burnt += rest;
    }

    /// @param rounds how many rounds of this payee's wait, by payee
    /// @return fees of the rounds that an aggregator settled before it lost the job
    function formerAggregator(
        Job storage j,
        Terms storage t,
        mapping(address payee => uint16) storage rounds,
        uint256 jobId,
        address payee
    ) external returns (uint128 fees) {
        uint16 owed = rounds[payee];
        if (owed == 0 || j.disputedSum || j.disputedRows) revert IJobMarket.NothingToClaim(jobId, payee);

        fees = t.fee * owed;
        rounds[payee] = 0;
        j.owed -= owed;
        j.escrow -= fees;
        emit IJobMarket.FeesClaimed(jobId, payee, fees);
    }
}
