// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {IDecisionVerifier} from "../interfaces/IDecisionVerifier.sol";
import {IGramVerifier} from "../interfaces/IGramVerifier.sol";
import {IJobMarket, RoundProof, Settlement, Terms, Trainer} from "../interfaces/IJobMarket.sol";
import {Cids} from "./Cids.sol";
import {Decision} from "./Decision.sol";
import {Delivery} from "./Delivery.sol";
import {Slots} from "./Slots.sol";

// Points are hashed and passed on as bytes: an array the compiler would copy word by word.
// solhint-disable no-inline-assembly

/// @title What a settlement has to show: docs/proofs-format.md, Settlement
/// @dev The verifiers are called as views, by STATICCALL: whatever their code is, nothing changes before they have answered.
library RoundCheck {
    using Address for address;
    using Slots for uint32;

    uint256 private constant REFERENCE_BITS = 3 << 32;
    uint256 private constant STATEMENT = 0xc0; // bytes of a statement before its arrays
    uint256 private constant Y = 10; // where a Gram proof has y

    /// @dev The round that is settled.
    struct Round {
        uint256 jobId;
        bytes32 termsHash;
        uint16 number;
        uint32 opened;
    }

    /// @dev Reverts unless the settlement is one that follows from what was submitted, as the proof shows it.
    /// @param submitted the slots that have submitted in this round, of which there is one
    /// @param commitments what each slot submitted last
    /// @return opened the slots whose submissions opened
    function requireShown(
        uint256 jobId,
        bytes32 termsHash,
        uint16 number,
        uint32 submitted,
        Terms storage t,
        mapping(uint256 slot => bytes32 commitment) storage commitments,
        mapping(uint256 slot => Trainer) storage trainers,
        Settlement calldata s,
        RoundProof calldata p
    ) external view returns (uint32 opened) {
        opened = _opened(jobId, submitted, t.maxFaulty, s);
        _requireSound(jobId, t.rule, s);
        Round memory round = Round(jobId, termsHash, number, opened);
        _requirePoints(round, t.rule == Decision.REFERENCE, commitments, trainers, s, p);
        _requireProved(round, t, s, p);
    }

    /// @return opened at least one: fewer than have submitted may be called unopened
    function _opened(uint256 jobId, uint32 submitted, uint8 maxFaulty, Settlement calldata s)
        private
        pure
        returns (uint32 opened)
    {
        uint32 judged = s.unopened | s.selected;
        if (judged & ~submitted != 0) revert IJobMarket.NotSubmitted(jobId, judged, submitted);
        if (s.selected & s.unopened != 0) revert IJobMarket.SelectedUnopened(jobId, s.selected, s.unopened);
        uint256 unopened = s.unopened.count();
        uint256 most = Delivery.most(submitted.count(), maxFaulty);
        if (unopened > most) revert IJobMarket.TooManyUnopened(jobId, unopened, most);
        opened = submitted & ~s.unopened;
        if (s.struck & (s.selected | ~opened) != 0) revert IJobMarket.WrongStrikes(jobId, s.struck);
    }

    /// @dev Reverts unless every field is there, or is not, as the rule and what is selected have it.
    function _requireSound(uint256 jobId, uint8 rule, Settlement calldata s) private pure {
        uint256 selected = s.selected.count();
        bool byReference = rule == Decision.REFERENCE;
        if (s.scores.length != selected) revert IJobMarket.ScoreCount(jobId, s.scores.length, selected);
        uint16[] calldata stated = s.coefficients;
        uint256 coefficients = byReference ? selected : 0;
        if (stated.length != coefficients) revert IJobMarket.CoefficientCount(jobId, stated.length, coefficients);
        for (uint256 i; i < coefficients; ++i) {
            if (stated[i] > Decision.ONE) revert IJobMarket.InvalidCoefficient(jobId, stated[i]);
        }
        if (selected != 0) Cids.requireCid(s.sumCid);
        else if (bytes(s.sumCid).length != 0) revert IJobMarket.InvalidCid(bytes(s.sumCid).length);
        bool hasRows = bytes(s.referenceCid).length != 0;
        bool hasCommitment = s.referenceCommitment != 0;
        bool hasScale = s.rowExponent != 0;
        if (hasRows != byReference || hasCommitment != byReference || (hasScale && !byReference)) {
            revert IJobMarket.ReferenceRows(jobId, rule);
        }
        if (byReference) Cids.requireCid(s.referenceCid);
    }

    /// @dev Reverts unless the proofs show that the settlement follows from the opened submissions.
    function _requireProved(Round memory round, Terms storage t, Settlement calldata s, RoundProof calldata p)
        private
        view
    {
        Decision.Facts memory facts = Decision.Facts({
            gramHash: p.gramHash,
            r: 0,
            s: 0,
            y: 0,
            opened: round.opened,
            rule: t.rule,
            maxTrainers: t.maxTrainers,
            maxFaulty: t.maxFaulty
        });
        bool valid;
        bytes memory call = _gramCall(round, facts.rule == Decision.REFERENCE, s, p);
        (valid, facts.r, facts.s) = abi.decode(t.gramVerifier.functionStaticCall(call), (bool, uint256, uint256));
        if (!valid) revert IJobMarket.GramProofRefused(round.jobId, round.number);
        facts.y = p.gram[Y];
        if (!IDecisionVerifier(t.decisionVerifier).verify(Decision.inputs(facts, s), p.decision)) {
            revert IJobMarket.DecisionProofRefused(round.jobId, round.number);
        }
    }

    /// @dev Every point is one that its trainer submitted in this round, or that the settlement names. A commitment
    /// holds its trainer's address: another's, copied from the chain, commits to nothing that can be shown.
    function _requirePoints(
        Round memory round,
        bool byReference,
        mapping(uint256 slot => bytes32 commitment) storage commitments,
        mapping(uint256 slot => Trainer) storage trainers,
        Settlement calldata s,
        RoundProof calldata p
    ) private view {
        uint256[] calldata points = p.commitments;
        uint256 width = p.sums.length;
        if (width == 0 || width % 2 != 0) revert IJobMarket.PointCount(round.jobId, width, 2);
        uint256 rows = round.opened.count() + (byReference ? 2 : 0);
        if (points.length != rows * width) revert IJobMarket.PointCount(round.jobId, points.length, rows * width);

        uint32 opened = round.opened;
        for (uint8 slot; opened >> slot != 0; ++slot) {
            if (!opened.has(slot)) continue;
            bytes32 hash = keccak256(abi.encodePacked(_bytes(points[:width]), trainers[slot].operator));
            points = points[width:];
            if (commitments[slot] != hash) revert IJobMarket.NotItsCommitment(round.jobId, slot, hash);
        }
        if (byReference) _requireHash(round.jobId, "referenceCommitment", points, s.referenceCommitment);
        _requireHash(round.jobId, "sumCommitment", p.sums, s.sumCommitment);
    }

    /// @dev The data of a call of `IGramVerifier.verify`, encoded here because the points are most of a round's data.
    function _gramCall(Round memory round, bool byReference, Settlement calldata s, RoundProof calldata p)
        private
        view
        returns (bytes memory)
    {
        uint256 rows = round.opened.count();
        uint256 sumsAt = STATEMENT + 0x20 * (1 + p.commitments.length);
        uint256 coefficientsAt = sumsAt + 0x20 * (1 + p.sums.length);
        uint256 proofAt = 0x40 + coefficientsAt + 0x20 * (1 + rows);
        bytes32 context =
            keccak256(abi.encode(block.chainid, address(this), round.jobId, round.number, round.termsHash));
        uint256 positions = round.opened | (byReference ? REFERENCE_BITS : 0);
        bytes memory head = abi.encodeWithSelector(
            IGramVerifier.verify.selector,
            0x40,
            proofAt,
            context,
            positions,
            p.gramHash,
            STATEMENT,
            sumsAt,
            coefficientsAt
        );
        return abi.encodePacked(
            head,
            p.commitments.length,
            _bytes(p.commitments),
            p.sums.length,
            _bytes(p.sums),
            rows,
            _coefficients(rows, round.opened, byReference, s),
            p.gram.length,
            _bytes(p.gram)
        );
    }

    /// @return every a coefficient for each opened slot, ascending
    function _coefficients(uint256 rows, uint32 opened, bool byReference, Settlement calldata s)
        private
        pure
        returns (uint256[] memory every)
    {
        every = new uint256[](rows);
        uint16[] calldata stated = s.coefficients;
        uint32 selected = s.selected;
        uint256 row;
        uint256 at;
        for (uint256 slot; opened >> slot != 0; ++slot) {
            if (selected.has(slot)) every[row] = byReference ? stated[at++] : 1;
            if (opened.has(slot)) ++row;
        }
    }

    function _requireHash(uint256 jobId, bytes32 what, uint256[] calldata points, bytes32 required) private pure {
        bytes32 hash = keccak256(_bytes(points));
        if (hash != required) revert IJobMarket.WrongPoints(jobId, what, hash);
    }

    function _bytes(uint256[] calldata words) private pure returns (bytes calldata data) {
        assembly ("memory-safe") {
            data.offset := words.offset
            data.length := mul(words.length, 0x20)
        }
    }
}
