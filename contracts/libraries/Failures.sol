// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobMarket, Job, Reason, Terms, Trainer} from "../interfaces/IJobMarket.sol";
import {Credits} from "./Credits.sol";
import {Delivery} from "./Delivery.sol";
import {Parties} from "./Parties.sol";
import {Slots} from "./Slots.sol";

/// @title What an aggregator that fails leaves to others
/// @dev docs/decisions/2026-11-21-failover.md. The caller has found the job, and opens the round or ends the job.
library Failures {
    using Slots for uint32;

    /// @dev Nobody has taken over in time: those whom the aggregator wronged get its bond. One that had taken over and is not
    /// ready keeps it.
    function abort(
        Job storage j,
        Terms storage t,
        mapping(uint256 slot => Trainer) storage trainers,
        mapping(address payee => mapping(address token => uint256 amount)) storage credit,
        uint256 jobId
    ) external {
        (, uint40 takeableUntil) = _failure(j, t, jobId);
        if (block.timestamp <= takeableUntil) revert IJobMarket.NotAbortable(jobId, takeableUntil);

        if (j.keyPublished || j.takenOverIn == 0) _compensate(j, t, trainers, credit, jobId);
    }

    /// @dev Makes the caller the job's aggregator. Its bond is for the caller of this to take. What was submitted is delivered
    /// again, to the caller; nothing else is, because the one that failed may have opened it all.
    /// @param owed how many rounds' fees wait for the aggregators that lost the job, by payee
    /// @return anew whether nothing could be submitted yet, so that the round is to be opened anew
    function takeOver(
        Job storage j,
        Terms storage t,
        mapping(uint256 slot => Trainer) storage trainers,
        mapping(address payee => mapping(address token => uint256 amount)) storage credit,
        mapping(address payee => uint16 rounds) storage owed,
        uint256 jobId,
        address payee,
        bytes32 encryptionKey
    ) external returns (bool anew) {
        (uint40 failedAfter, uint40 takeableUntil) = _failure(j, t, jobId);
        if (block.timestamp <= failedAfter || block.timestamp > takeableUntil) {
            revert IJobMarket.NotTakeable(jobId, failedAfter, takeableUntil);
        }
        Parties.requireAble(payee, encryptionKey);

        emit IJobMarket.TakenOver(jobId, j.round, msg.sender, payee, encryptionKey);
        _compensate(j, t, trainers, credit, jobId);
        uint16 settled = j.settled - j.settledBefore;
        owed[j.aggregatorPayee] += settled;
        j.owed += settled;
        j.settledBefore = j.settled;
        j.bonded = true;
        j.aggregator = msg.sender;
        j.aggregatorPayee = payee;
        j.takenOverIn = j.round;
        anew = !j.keyPublished;
        if (!anew) Delivery.reopen(j, t, jobId);
        j.keyPublished = false;
    }

    /// @dev When the aggregator has failed in this round, and up to when another may take over. Who has taken over and is not
    /// ready in time leaves the job to be aborted at once.
    function _failure(Job storage j, Terms storage t, uint256 jobId)
        private
        view
        returns (uint40 failedAfter, uint40 takeableUntil)
    {
        bool keyed = j.keyPublished;
        failedAfter = keyed ? j.settleBy : j.submitBy;
        takeableUntil = failedAfter + (keyed || j.takenOverIn == 0 ? t.takeoverWindow : 0);
        if (keyed && block.timestamp > failedAfter && Delivery.delivered(j) == 0) {
            revert IJobMarket.NothingSubmitted(jobId, j.round);
        }
    }

    /// @dev The bond of an aggregator that failed goes to those it wronged; what does not divide, to the pot.
    function _compensate(
        Job storage j,
        Terms storage t,
        mapping(uint256 slot => Trainer) storage trainers,
        mapping(address payee => mapping(address token => uint256 amount)) storage credit,
        uint256 jobId
    ) private {
        uint128 bond = t.bond;
        uint32 wronged = j.keyPublished ? Delivery.delivered(j) : j.active;
        uint128 count = uint128(wronged.count());
        uint128 share = bond / count;
        j.bonded = false;
        j.pot += bond - share * count;
        for (uint256 slot; wronged >> slot != 0; ++slot) {
            if (!wronged.has(slot)) continue;
            Credits.add(credit, jobId, trainers[slot].payee, t.token, share, Reason.Compensation);
        }
    }
}
