// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobMarket, RoundProof, Settlement, State, Terms} from "../../contracts/interfaces/IJobMarket.sol";
import {VM} from "./Vm.sol";

/// @title One round of up to 32 trainers with any amounts, masks and weights: what everybody is credited, to the unit
contract PayFuzz {
    uint256 private constant ROWS = 32;
    bytes32 private constant KEY = bytes32(uint256(1));
    uint256 private constant BPS = 10_000;
    address private constant OWNER = address(0xaaaa0001);
    address private constant AGGREGATOR = address(0xaaaa0002);
    address private constant FEES = address(0xaaaa0003);
    address private constant TAKER = address(0xaaaa0004);

    struct Amounts {
        uint128 reward;
        uint128 fee;
        uint128 stake;
        uint128 bond;
        uint16 slashBps;
    }

    IJobMarket private _market;
    address private _gram;
    address private _decision;

    function setUp() public {
        _market = IJobMarket(VM.deployCode("JobMarket.sol"));
        _gram = VM.deployCode("StubGramVerifier.sol", abi.encode(KEY));
        _decision = VM.deployCode("StubDecisionVerifier.sol", abi.encode(132, KEY));
    }

    /// @dev Outliers are struck out, and what they lose joins the pot.
    function testFuzz_aPotIsDividedByWeightAndNothingIsLeftOver(
        Amounts memory a,
        uint256 trainers,
        uint32 selected,
        uint96[ROWS] memory weights
    ) public {
        trainers = 17 + trainers % 16;
        uint256 jobId = _submitted(a, trainers, type(uint32).max);
        selected &= uint32((uint256(1) << trainers) - 1);
        uint256 total = _settle(jobId, trainers, selected, weights);
        if (_market.job(jobId).state == State.Confirming) {
            VM.warp(uint256(_market.job(jobId).submitBy) + 1);
            _market.complete(jobId);
        }

        uint256 slash = uint256(a.stake) * a.slashBps / BPS;
        uint256 pot = a.reward;
        for (uint256 i; i < trainers; ++i) {
            if ((selected >> i) & 1 == 0) pot += slash;
        }
        uint256 paid;
        for (uint256 i; i < trainers; ++i) {
            bool chosen = (selected >> i) & 1 == 1;
            uint256 pay = chosen && total != 0 ? pot * weights[i] / total : 0;
            paid += pay;
            _requireCredit(_payee(i), pay + a.stake - (chosen ? 0 : slash));
        }
        _requireCredit(FEES, uint256(a.fee) + a.bond);
        _requireCredit(OWNER, pot - paid);
        require(paid <= pot && _market.job(jobId).state == State.Completed, "not settled");
        _requireAllOwed(trainers);
    }

    function testFuzz_anAbortDividesTheBondAmongTheSubmitters(Amounts memory a, uint256 trainers, uint32 submitted)
        public
    {
        trainers = 17 + trainers % 16;
        submitted &= uint32((uint256(1) << trainers) - 1);
        if (submitted == 0) submitted = 1;
        uint256 jobId = _submitted(a, trainers, submitted);
        VM.warp(uint256(_market.job(jobId).settleBy) + _market.terms(jobId).takeoverWindow + 1);
        _market.abort(jobId);

        uint256 many;
        for (uint256 i; i < trainers; ++i) {
            many += (submitted >> i) & 1;
        }
        for (uint256 i; i < trainers; ++i) {
            _requireCredit(_payee(i), a.stake + ((submitted >> i) & 1) * (a.bond / many));
        }
        _requireCredit(FEES, 0);
        _requireCredit(OWNER, uint256(a.reward) + a.fee + a.bond % many);
        _requireAllOwed(trainers);
    }

    /// @dev By somebody who does nothing further, so that all that is left can be counted.
    function testFuzz_aTakeoverDividesTheBondAmongTheSubmitters(Amounts memory a, uint256 trainers, uint32 submitted)
        public
    {
        trainers = 17 + trainers % 16;
        submitted &= uint32((uint256(1) << trainers) - 1);
        if (submitted == 0) submitted = 1;
        uint256 jobId = _submitted(a, trainers, submitted);
        VM.warp(uint256(_market.job(jobId).settleBy) + 1);
        _pay(TAKER, a.bond, abi.encodeCall(_market.takeOver, (jobId, TAKER, KEY)));

        uint256 many;
        for (uint256 i; i < trainers; ++i) {
            many += (submitted >> i) & 1;
        }
        for (uint256 i; i < trainers; ++i) {
            _requireCredit(_payee(i), ((submitted >> i) & 1) * (a.bond / many));
        }
        VM.warp(uint256(_market.job(jobId).submitBy) + 1);
        _market.abort(jobId);
        _requireCredit(FEES, 0);
        _requireCredit(TAKER, a.bond);
        _requireCredit(OWNER, uint256(a.reward) + a.fee + a.bond % many);
        _requireAllOwed(trainers);
    }

    function testFuzz_aDisputedLastSumBurnsBondAndFee(Amounts memory a, uint256 trainers, uint96[ROWS] memory weights)
        public
    {
        trainers = 17 + trainers % 16;
        uint256 jobId = _submitted(a, trainers, type(uint32).max);
        _settle(jobId, trainers, uint32((uint256(1) << trainers) - 1), weights);
        _pay(_operator(trainers - 1), 0, abi.encodeCall(_market.dispute, (jobId)));
        _requireCredit(FEES, 0);
        _requireCredit(address(0), uint256(a.fee) + a.bond);
        require(_market.job(jobId).state == State.Aborted, "not aborted");
        _requireAllOwed(trainers);
    }

    // ------------------------------------------------------------------ steps

    /// @dev A job of one round in which the trainers of the mask have submitted. Bounds the amounts to what a job may hold.
    function _submitted(Amounts memory a, uint256 trainers, uint32 mask) private returns (uint256 jobId) {
        (a.reward, a.fee, a.bond) = (a.reward >> 2, a.fee >> 2, a.bond >> 2);
        (a.stake, a.slashBps) = (a.stake >> 7, uint16(a.slashBps % (BPS + 1)));
        uint256 time = VM.getBlockTimestamp();
        jobId = _create(a, uint8(trainers), uint40(time + 1));
        _pay(AGGREGATOR, a.bond, abi.encodeCall(_market.acceptAggregation, (jobId, FEES, KEY)));
        for (uint256 i; i < trainers; ++i) {
            _pay(_operator(i), a.stake, abi.encodeCall(_market.join, (jobId, _payee(i), KEY)));
        }
        _market.start(jobId);
        _pay(AGGREGATOR, 0, abi.encodeCall(_market.publishKey, (jobId, "key")));
        for (uint256 i; i < trainers; ++i) {
            bytes32 commitment = keccak256(abi.encode(i, 0));
            bytes memory data = abi.encodeCall(_market.submitUpdate, (jobId, 1, commitment, "update"));
            if ((mask >> i) & 1 == 1) _pay(_operator(i), 0, data);
        }
    }

    function _create(Amounts memory a, uint8 trainers, uint40 enrolBy) private returns (uint256) {
        Terms memory t;
        (t.reward, t.fee, t.stake, t.bond, t.slashBps) = (a.reward, a.fee, a.stake, a.bond, a.slashBps);
        (t.enrolBy, t.submitWindow, t.settleWindow, t.takeoverWindow) = (enrolBy, 10, 10, 10);
        (t.rule, t.rounds, t.minTrainers, t.maxTrainers) = (1, 1, 1, trainers);
        (t.maxMissed, t.maxStrikes, t.maxEmptyRounds) = (1, 1, 1);
        (t.gramVerifier, t.gramKey, t.decisionVerifier, t.decisionKey) = (_gram, KEY, _decision, KEY);
        _pay(OWNER, uint256(t.reward) + t.fee, abi.encodeCall(_market.createJob, (t, KEY, "spec")));
        return _market.jobCount();
    }

    function _settle(uint256 jobId, uint256 trainers, uint32 selected, uint96[ROWS] memory weights)
        private
        returns (uint256 total)
    {
        Settlement memory s;
        RoundProof memory p;
        uint96[] memory chosen = new uint96[](trainers);
        uint256 many;
        p.commitments = new uint256[](2 * trainers);
        for (uint256 i; i < trainers; ++i) {
            p.commitments[2 * i] = i;
            if ((selected >> i) & 1 == 0) continue;
            total += weights[i];
            chosen[many++] = weights[i];
        }
        s.selected = selected;
        s.weights = new uint96[](many);
        for (uint256 i; i < many; ++i) {
            s.weights[i] = chosen[i];
        }
        if (many != 0) s.sumCid = "sum";
        (p.sums, p.gram) = (new uint256[](2), new uint256[](16));
        s.sumCommitment = keccak256(abi.encode(0, 0));
        _pay(AGGREGATOR, 0, abi.encodeCall(_market.settleRound, (jobId, 1, s, p)));
    }

    function _pay(address sender, uint256 value, bytes memory data) private {
        VM.deal(sender, value);
        VM.prank(sender);
        // solhint-disable-next-line avoid-low-level-calls
        (bool ok,) = address(_market).call{value: value}(data);
        require(ok, "refused");
    }

    function _requireCredit(address payee, uint256 amount) private view {
        require(_market.credit(payee, address(0)) == amount, "another credit");
    }

    function _requireAllOwed(uint256 trainers) private view {
        uint256 sum = _market.credit(OWNER, address(0)) + _market.credit(FEES, address(0));
        sum += _market.credit(TAKER, address(0)) + _market.credit(address(0), address(0));
        for (uint256 i; i < trainers; ++i) {
            sum += _market.credit(_payee(i), address(0));
        }
        require(sum == address(_market).balance, "not all of the balance is owed");
    }

    function _operator(uint256 i) private pure returns (address) {
        return address(uint160(0xbbbb0000 + i));
    }

    function _payee(uint256 i) private pure returns (address) {
        return address(uint160(0xcccc0000 + i));
    }
}
