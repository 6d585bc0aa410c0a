// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobMarket, Job, Terms, Trainer} from "../interfaces/IJobMarket.sol";
import {Slots} from "./Slots.sol";

/// @title What those who are paid say against it
/// @dev docs/decisions/2026-11-27-rows.md. The caller has found the job and the slot, and credits what is burnt.
library Disputes {
    using Slots for uint32;

    /// @dev Takes a dispute of the last sum, of the active trainer in `slot`, which has not submitted, up to `submitBy`.
    /// @return reached whether more do than are not believed
    /// @return burnt what of bond and fees is to be credited to nobody
    function sum(Job storage j, Terms storage t, uint256 jobId, uint8 slot)
        external
        returns (bool reached, uint128 burnt)
    {
        if (!j.keyPublished) revert IJobMarket.KeyNotPublished(jobId);
        uint32 disputed = j.disputed;
        if (disputed.has(slot)) revert IJobMarket.AlreadyDisputed(jobId, j.round, slot);
        if (j.disputedSum) revert IJobMarket.AlreadyBurnt(jobId);

        disputed = disputed.with(slot);
        j.disputed = disputed;
        emit IJobMarket.Disputed(jobId, j.round, slot);
        if (disputed.count() < j.quorum) return (false, 0);

        burnt = _burnFees(j, t) + _burnBond(j, t);
        j.disputedSum = true;
        return (true, burnt);
    }

    /// @dev Takes a dispute of the reference rows of `round`, of the member in `slot`, from a job that is Confirming.
    /// @return burnt what of bond and fees is to be credited to nobody
    function rows(
        Job storage j,
        Terms storage t,
        mapping(uint256 slot => Trainer) storage trainers,
        uint256 jobId,
        uint8 slot,
        uint16 round
    ) external returns (uint128 burnt) {
        (uint40 revealBy, uint40 disputeBy) = (j.settleBy, j.submitBy);
        if (!areDue(t)) revert IJobMarket.NothingToReveal(jobId);
        if (block.timestamp > disputeBy) revert IJobMarket.SubmittingClosed(jobId, disputeBy);
        if (round > j.round) revert IJobMarket.WrongRound(jobId, j.round, round);
        if (round == 0 && block.timestamp <= revealBy) revert IJobMarket.RevealingOpen(jobId, revealBy);
        if (!_openedAny(j, trainers[slot], slot)) revert IJobMarket.OpenedNothing(jobId, slot);
        uint32 disputed = j.rowsDisputed;
        if (disputed.has(slot)) revert IJobMarket.AlreadyDisputed(jobId, round, slot);

        (disputed, j.rowsDisputed) = (disputed.with(slot), disputed.with(slot));
        // Who took over and has published no key has stated no rows, and cannot have the data.
        bool own = j.keyPublished && (round == 0 || round >= j.takenOverIn);
        if (own) j.ownRowsDisputed = j.ownRowsDisputed.with(slot);
        emit IJobMarket.RowsDisputed(jobId, round, slot);

        uint256 quorum = _quorum(j, t, trainers);
        if (disputed.count() < quorum) return 0;
        burnt = _burnFees(j, t);
        j.disputedRows = true;
        if (j.ownRowsDisputed.count() >= quorum) burnt += _burnBond(j, t);
    }

    /// @dev Ends a confirmation in which nobody revealed what had to be: the rows are disputed by nobody's showing them. Who took
    /// over and has published no key cannot have the data, and keeps the bond.
    /// @return burnt what of bond and fees is to be credited to nobody
    function unrevealed(Job storage j, Terms storage t, uint256 jobId) external returns (uint128 burnt) {
        if (j.revealed || !areDue(t)) return 0;
        emit IJobMarket.Unrevealed(jobId);
        burnt = _burnFees(j, t);
        j.disputedRows = true;
        if (j.keyPublished) burnt += _burnBond(j, t);
    }

    /// @dev Whether points of a job that is Confirming rest on rows that somebody has to make recomputable. It has settled a
    /// round, in which something has opened.
    function areDue(Terms storage t) internal view returns (bool) {
        return t.revealWindow != 0;
    }

    /// @dev More than `maxFaulty` of the members that opened a submission, or all of them.
    function _quorum(Job storage j, Terms storage t, mapping(uint256 slot => Trainer) storage trainers)
        private
        view
        returns (uint256 quorum)
    {
        uint256 believed = uint256(t.maxFaulty) + 1;
        uint32 members = j.members;
        for (uint8 slot; members >> slot != 0 && quorum < believed; ++slot) {
            if (members.has(slot) && _openedAny(j, trainers[slot], slot)) ++quorum;
        }
    }

    function _openedAny(Job storage j, Trainer storage who, uint8 slot) private view returns (bool) {
        return j.active.has(slot) ? who.absences < j.settled : who.opened != 0;
    }

    /// @dev The fees of all settled rounds, unless they are burnt already.
    function _burnFees(Job storage j, Terms storage t) private returns (uint128 fees) {
        if (j.disputedSum || j.disputedRows) return 0;
        fees = t.fee * j.settled;
        j.escrow -= fees;
        j.owed = 0;
    }

    function _burnBond(Job storage j, Terms storage t) private returns (uint128 bond) {
        if (!j.bonded) return 0;
        j.bonded = false;
        return t.bond;
    }
}
