// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobMarket, Job, Terms} from "../interfaces/IJobMarket.sol";
import {Cids} from "./Cids.sol";
import {Slots} from "./Slots.sol";

/// @title Submissions that do not open: how many are believed, and what is delivered again where there are more, or where
/// another aggregator takes over
/// @dev docs/decisions/2026-11-27-voids.md. The caller has found the job and the slot.
library Delivery {
    using Slots for uint32;

    /// @dev How many of so many submissions may be called unopened: `maxFaulty`, and less than a third.
    function most(uint256 submitted, uint8 maxFaulty) internal pure returns (uint256) {
        uint256 third = submitted == 0 ? 0 : (submitted - 1) / 3;
        return third < maxFaulty ? third : maxFaulty;
    }

    /// @return slots that have submitted in this round and, where they had to, delivered again so far
    function delivered(Job storage j) internal view returns (uint32) {
        return j.delivering ? j.submitted & ~j.undelivered : j.submitted;
    }

    /// @dev Whether everybody who may still submit or deliver has.
    /// @param submitted as `delivered` has it
    function isComplete(Job storage j, uint32 submitted) internal view returns (bool) {
        return submitted == (j.delivering ? j.submitted : j.active);
    }

    /// @dev The round is over, or opens anew.
    function stop(Job storage j) internal {
        if (j.delivering) (j.delivering, j.undelivered) = (false, 0);
    }

    /// @dev Declares the round void: more submissions than may be called unopened do not open.
    /// @param submitted as `delivered` has it
    /// @return last whether there were as many voids as the job allows, so that it ends
    function voidRound(Job storage j, Terms storage t, uint256 jobId, uint32 submitted, uint32 unopened)
        external
        returns (bool last)
    {
        if (unopened & ~submitted != 0) revert IJobMarket.NotSubmitted(jobId, unopened, submitted);
        (uint256 count, uint256 believed) = (unopened.count(), most(submitted.count(), t.maxFaulty));
        if (count <= believed) revert IJobMarket.NotVoidable(jobId, count, believed);

        (uint16 round, uint8 voids, uint40 deliverBy, uint40 settleBy) = (j.round, j.voids, 0, 0);
        last = voids == t.maxVoids;
        if (!last) {
            deliverBy = uint40(block.timestamp) + t.settleWindow;
            settleBy = deliverBy + t.settleWindow;
            // Who was late before is asked again: forgotten, it would count as one that has missed the round.
            (j.voids, j.delivering, j.undelivered) = (voids + 1, true, (j.submitted & ~submitted) | unopened);
            (j.submitBy, j.settleBy) = (deliverBy, settleBy);
        }
        emit IJobMarket.RoundVoided(jobId, round, unopened, deliverBy, settleBy);
    }

    /// @dev All submissions of the round are delivered again, to an aggregator that has taken over: as long as trainers had to
    /// submit, since it has to be handed the job key first.
    function reopen(Job storage j, Terms storage t, uint256 jobId) internal {
        uint40 deliverBy = uint40(block.timestamp) + t.submitWindow;
        uint40 settleBy = deliverBy + t.settleWindow;
        (j.delivering, j.undelivered) = (true, j.submitted);
        (j.submitBy, j.settleBy) = (deliverBy, settleBy);
        emit IJobMarket.RoundOpened(jobId, j.round, deliverBy, settleBy);
    }

    /// @dev Takes where a trainer has put the content of the submission that it committed to.
    function redeliver(Job storage j, uint256 jobId, uint8 slot, uint16 round, string calldata cid) external {
        if (round != j.round) revert IJobMarket.WrongRound(jobId, j.round, round);
        uint32 undelivered = j.delivering ? j.undelivered : 0;
        if (!undelivered.has(slot)) revert IJobMarket.NothingToDeliver(jobId, slot);
        if (!j.keyPublished) revert IJobMarket.KeyNotPublished(jobId);
        if (block.timestamp > j.submitBy) revert IJobMarket.SubmittingClosed(jobId, j.submitBy);
        Cids.requireCid(cid);

        j.undelivered = undelivered.without(slot);
        emit IJobMarket.Redelivered(jobId, round, slot, cid);
    }
}
