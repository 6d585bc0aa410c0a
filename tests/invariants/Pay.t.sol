// SPDX-License-Identifier: Apache-2.0
// solhint-disable one-contract-per-file
pragma solidity ^0.8.28;

import {
    IJobMarket,
    Job,
    RoundProof,
    Settlement,
    State,
    Terms,
    Trainer
} from "../../contracts/interfaces/IJobMarket.sol";
import {Balances} from "../../contracts/libraries/Balances.sol";
import {Slots} from "../../contracts/libraries/Slots.sol";
import {Exact} from "./Exact.sol";
import {VM} from "./Vm.sol";

/// @title One round of up to 32 trainers with any amounts, masks and scores: what everybody is credited, to the unit
contract PayFuzz {
    using Slots for uint32;

    uint256 private constant ROWS = 32;
    bytes32 private constant KEY = bytes32(uint256(1));
    int16 private constant SCALE = -15;
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

    /// @dev What the only round was, of a job whose members are the slots below `trainers`.
    struct Round {
        uint256 trainers;
        uint256 rule;
        uint64 rate;
        int16 exponent;
        uint32 absent; // they are ejected
        uint32 selected;
        uint32 struck; // one strike costs a slash
        uint256 order; // of the claims
    }

    IJobMarket private _market;
    address private _gram;
    address[2] private _decisions;
    uint32 private _revealWindow; // of jobs of rule 2

    function setUp() public {
        _market = IJobMarket(VM.deployCode("JobMarket.sol"));
        _gram = VM.deployCode("StubGramVerifier.sol", abi.encode(KEY));
        _decisions[0] = VM.deployCode("StubDecisionVerifier.sol", abi.encode(132, KEY));
        _decisions[1] = VM.deployCode("StubDecisionVerifier.sol", abi.encode(232, KEY));
    }

    /// @dev What an ejection costs joins the pot; what strikes cost, and what does not divide, is burnt.
    function testFuzz_aPotIsDividedByPointsInAnyOrder(Amounts memory a, Round memory r, int96[ROWS] memory scores)
        public
    {
        _bound(a, r);
        uint32 all = uint32((uint256(1) << r.trainers) - 1);
        uint256 jobId = _submitted(a, r, all & ~r.absent);
        VM.warp(uint256(_market.job(jobId).submitBy) + 1);
        _settle(jobId, r, scores);
        _complete(jobId);

        uint256 slash = uint256(a.stake) * a.slashBps / BPS;
        uint256 pot = a.reward + slash * r.absent.count();
        require(_market.job(jobId).pot == pot, "another pot");
        (uint256[ROWS] memory parts, uint256 whole) = _parts(r, scores);
        uint256 burnt = pot;
        for (uint256 i; i < ROWS; ++i) {
            uint256 slot = (r.order + i * (2 * (r.order >> 8) + 1)) % ROWS; // each slot once, since the step is odd
            if (slot >= r.trainers) continue;
            _market.claim(jobId, uint8(slot));
            uint256 pay = pot * parts[slot] / whole;
            require(pay * whole <= pot * parts[slot], "more than its exact part");
            burnt -= pay;
            if (r.struck.has(slot)) burnt += slash;
            _requireCredit(_payee(slot), pay + a.stake - (r.absent.has(slot) || r.struck.has(slot) ? slash : 0));
        }
        _requireCredit(address(0), burnt);
        _requireCredit(FEES, uint256(a.fee) + a.bond);
        _requireCredit(OWNER, 0);
        _requireAllOwed(jobId, r.trainers);
    }

    /// @dev No round was settled: what does not divide is nobody's.
    function testFuzz_anAbortDividesTheBondAmongTheSubmitters(Amounts memory a, Round memory r, uint32 submitted)
        public
    {
        _bound(a, r);
        submitted &= uint32((uint256(1) << r.trainers) - 1);
        if (submitted == 0) submitted = 1;
        uint256 jobId = _submitted(a, r, submitted);
        VM.warp(uint256(_market.job(jobId).settleBy) + _market.terms(jobId).takeoverWindow + 1);
        _market.abort(jobId);

        uint256 many = submitted.count();
        for (uint256 i; i < r.trainers; ++i) {
            _market.claim(jobId, uint8(i));
            _requireCredit(_payee(i), a.stake + (submitted.has(i) ? a.bond / many : 0));
        }
        _requireCredit(FEES, 0);
        _requireCredit(OWNER, uint256(a.reward) + a.fee);
        _requireCredit(address(0), a.bond % many);
        _requireAllOwed(jobId, r.trainers);
    }

    /// @dev By somebody who does nothing further, so that all that is left can be counted.
    function testFuzz_aTakeoverDividesTheBondAmongTheSubmitters(Amounts memory a, Round memory r, uint32 submitted)
        public
    {
        _bound(a, r);
        submitted &= uint32((uint256(1) << r.trainers) - 1);
        if (submitted == 0) submitted = 1;
        uint256 jobId = _submitted(a, r, submitted);
        VM.warp(uint256(_market.job(jobId).settleBy) + 1);
        _pay(TAKER, a.bond, abi.encodeCall(_market.takeOver, (jobId, TAKER, KEY)));

        uint256 many = submitted.count();
        for (uint256 i; i < r.trainers; ++i) {
            _requireCredit(_payee(i), submitted.has(i) ? a.bond / many : 0);
        }
        VM.warp(uint256(_market.job(jobId).submitBy) + 1);
        _market.abort(jobId);
        for (uint256 i; i < r.trainers; ++i) {
            _market.claim(jobId, uint8(i));
        }
        _requireCredit(FEES, 0);
        _requireCredit(TAKER, a.bond);
        _requireCredit(OWNER, uint256(a.reward) + a.fee);
        _requireCredit(address(0), a.bond % many);
        _requireAllOwed(jobId, r.trainers);
    }

    /// @dev The division stays as it is.
    function testFuzz_aDisputedLastSumBurnsBondAndFee(Amounts memory a, Round memory r, int96[ROWS] memory scores)
        public
    {
        _bound(a, r);
        (r.absent, r.struck) = (0, 0);
        uint256 jobId = _submitted(a, r, uint32((uint256(1) << r.trainers) - 1));
        _settle(jobId, r, scores);
        _pay(_operator(r.trainers - 1), 0, abi.encodeCall(_market.dispute, (jobId)));
        _requireCredit(address(0), uint256(a.fee) + a.bond);
        _complete(jobId);

        (uint256[ROWS] memory parts, uint256 whole) = _parts(r, scores);
        uint256 rest = a.reward;
        for (uint256 i; i < r.trainers; ++i) {
            _market.claim(jobId, uint8(i));
            uint256 pay = a.reward * parts[i] / whole;
            rest -= pay;
            _requireCredit(_payee(i), pay + a.stake);
        }
        _requireCredit(FEES, 0);
        _requireCredit(OWNER, 0);
        _requireCredit(address(0), uint256(a.fee) + a.bond + rest);
        _requireAllOwed(jobId, r.trainers);
    }

    /// @dev Disputed by one that opened its update, or by nobody's revealing what the rows follow from: nobody is paid more than
    /// by points, nor more than by rounds opened, of which each has one here.
    function testFuzz_disputedRowsPayTheLesserPart(
        Amounts memory a,
        Round memory r,
        int96[ROWS] memory scores,
        bool revealed
    ) public {
        (r.rule, _revealWindow) = (1, 5); // bound to rule 2
        _bound(a, r);
        r.struck = 0;
        uint32 there = uint32((uint256(1) << r.trainers) - 1) & ~r.absent;
        uint256 jobId = _submitted(a, r, there);
        VM.warp(uint256(_market.job(jobId).submitBy) + 1);
        _settle(jobId, r, scores);
        if (revealed) _disputeRows(jobId, r.order % there.count(), there);
        _complete(jobId);

        uint256 slash = uint256(a.stake) * a.slashBps / BPS;
        uint256 pot = a.reward + slash * r.absent.count();
        uint256 burnt = uint256(a.fee) + a.bond + pot;
        (uint256[ROWS] memory parts, uint256 whole) = _parts(r, scores);
        for (uint256 i; i < r.trainers; ++i) {
            _market.claim(jobId, uint8(i));
            uint256 pay;
            if (there.has(i)) pay = _lesser(pot * parts[i] / whole, pot / there.count());
            burnt -= pay;
            _requireCredit(_payee(i), pay + a.stake - (r.absent.has(i) ? slash : 0));
        }
        _requireCredit(FEES, 0);
        _requireCredit(OWNER, 0);
        _requireCredit(address(0), burnt);
        _requireAllOwed(jobId, r.trainers);
    }

    // ------------------------------------------------------------------ steps

    /// @dev By the member in the nth of these slots.
    function _disputeRows(uint256 jobId, uint256 nth, uint32 slots) private {
        _pay(OWNER, 0, abi.encodeCall(_market.reveal, (jobId, "data")));
        uint256 slot;
        for (; !slots.has(slot) || nth != 0; ++slot) {
            if (slots.has(slot)) --nth;
        }
        _pay(_operator(slot), 0, abi.encodeCall(_market.disputeRows, (jobId, 1)));
    }

    function _lesser(uint256 x, uint256 y) private pure returns (uint256) {
        return x < y ? x : y;
    }

    /// @dev Amounts to what a job may hold, and masks to what a settlement may say: somebody submits.
    function _bound(Amounts memory a, Round memory r) private pure {
        (a.reward, a.fee, a.bond) = (a.reward >> 2, a.fee >> 2, a.bond >> 2);
        (a.stake, a.slashBps) = (a.stake >> 7, uint16(a.slashBps % (BPS + 1)));
        (r.trainers, r.rule) = (17 + r.trainers % 16, 1 + r.rule % 2);
        r.rate = 1 + r.rate % uint64(100 << 40);
        r.exponent %= 100;
        r.order %= 1 << 16;
        uint32 all = uint32((uint256(1) << r.trainers) - 1);
        r.absent &= all;
        if (r.absent == all) r.absent = 0;
        r.selected &= all & ~r.absent;
        r.struck &= all & ~r.absent & ~r.selected;
    }

    /// @dev A job of one round in which the trainers of the mask have submitted.
    function _submitted(Amounts memory a, Round memory r, uint32 mask) private returns (uint256 jobId) {
        jobId = _create(a, r);
        _pay(AGGREGATOR, a.bond, abi.encodeCall(_market.acceptAggregation, (jobId, FEES, KEY)));
        for (uint256 i; i < r.trainers; ++i) {
            _pay(_operator(i), a.stake, abi.encodeCall(_market.join, (jobId, _payee(i), KEY, "")));
        }
        _market.start(jobId);
        _pay(AGGREGATOR, 0, abi.encodeCall(_market.publishKey, (jobId, "key")));
        for (uint256 i; i < r.trainers; ++i) {
            bytes32 commitment = keccak256(abi.encodePacked(i, uint256(0), _operator(i)));
            bytes memory data = abi.encodeCall(_market.submitUpdate, (jobId, 1, commitment, "update"));
            if (mask.has(i)) _pay(_operator(i), 0, data);
        }
    }

    function _create(Amounts memory a, Round memory r) private returns (uint256) {
        Terms memory t;
        (t.reward, t.fee, t.stake, t.bond, t.slashBps) = (a.reward, a.fee, a.stake, a.bond, a.slashBps);
        t.enrolBy = uint40(VM.getBlockTimestamp() + 1);
        (t.submitWindow, t.settleWindow, t.takeoverWindow, t.confirmWindow) = (10, 10, 10, 10);
        (t.rule, t.rounds, t.minRounds, t.minTrainers) = (uint8(r.rule), 1, 1, 1);
        if (r.rule == 2) t.revealWindow = _revealWindow;
        (t.maxTrainers, t.rate, t.rateDecay, t.scaleExponent) = (uint8(r.trainers), r.rate, 1, SCALE);
        (t.maxMissed, t.maxStrikes, t.maxEmptyRounds) = (1, 1, 1);
        (t.gramVerifier, t.gramKey, t.decisionVerifier, t.decisionKey) = (_gram, KEY, _decisions[r.rule - 1], KEY);
        _pay(OWNER, uint256(t.reward) + t.fee, abi.encodeCall(_market.createJob, (t, KEY, "spec")));
        return _market.jobCount();
    }

    function _settle(uint256 jobId, Round memory r, int96[ROWS] memory scores) private {
        Settlement memory s;
        RoundProof memory p;
        bool byReference = r.rule == 2;
        uint256 many = r.selected.count();
        (s.selected, s.struck, s.scores) = (r.selected, r.struck, new int96[](many));
        if (byReference) s.coefficients = new uint16[](many);
        p.commitments = new uint256[](2 * (r.trainers - r.absent.count()) + (byReference ? 4 : 0));
        (uint256 at, uint256 row) = (0, 0);
        for (uint256 i; i < r.trainers; ++i) {
            if (r.absent.has(i)) continue;
            p.commitments[2 * row++] = i;
            if (r.selected.has(i)) s.scores[at++] = scores[i];
        }
        if (many != 0) s.sumCid = "sum";
        (p.sums, p.gram) = (new uint256[](2), new uint256[](16));
        s.sumCommitment = keccak256(abi.encode(0, 0));
        if (byReference) (s.referenceCid, s.referenceCommitment) = ("rows", keccak256(new bytes(128)));
        if (byReference) s.rowExponent = r.exponent - SCALE;
        _pay(AGGREGATOR, 0, abi.encodeCall(_market.settleRound, (jobId, 1, s, p)));
    }

    function _complete(uint256 jobId) private {
        VM.warp(uint256(_market.job(jobId).submitBy) + 1);
        _market.complete(jobId);
        require(_market.job(jobId).state > State.Confirming, "not over");
    }

    /// @return parts of each slot, and the whole that they are parts of, which is not zero
    function _parts(Round memory r, int96[ROWS] memory scores)
        private
        pure
        returns (uint256[ROWS] memory parts, uint256 whole)
    {
        uint256 total;
        for (uint256 i; i < r.trainers; ++i) {
            if (r.selected.has(i) && scores[i] > 0) total += uint96(scores[i]);
        }
        uint256 many = r.selected.count();
        for (uint256 i; i < r.trainers; ++i) {
            if (!r.selected.has(i) || (r.rule == 1 && total == 0)) continue;
            int256 gain =
                r.rule == 1 ? Exact.share(scores[i], total) : Exact.lossUnits(scores[i], r.rate, r.exponent, many);
            if (gain > 0) parts[i] = uint256(gain);
            whole += parts[i];
        }
        if (whole != 0) return (parts, whole);
        for (uint256 i; i < r.trainers; ++i) {
            if (!r.absent.has(i)) parts[i] = 1;
            whole += parts[i];
        }
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

    function _requireAllOwed(uint256 jobId, uint256 trainers) private view {
        uint256 sum = _market.credit(OWNER, address(0)) + _market.credit(FEES, address(0));
        sum += _market.credit(TAKER, address(0)) + _market.credit(address(0), address(0));
        for (uint256 i; i < trainers; ++i) {
            sum += _market.credit(_payee(i), address(0));
        }
        require(sum == address(_market).balance, "not all of the balance is owed");
        require(_market.job(jobId).escrow == 0, "more is held than can be claimed");
    }

    function _operator(uint256 i) private pure returns (address) {
        return address(uint160(0xbbbb0000 + i));
    }

    function _payee(uint256 i) private pure returns (address) {
        return address(uint160(0xcccc0000 + i));
    }
}

/// @title Balances and the division of a pot, over rounds of all sizes, against what they are defined as
contract PointsFuzz {
    using Slots for uint32;

    uint256 private constant ROWS = 32;
    int256 private constant MOST = 2 ** 84;

    Job private _job;
    Terms private _terms;
    mapping(uint256 slot => Trainer) private _trainers;
    mapping(uint256 slot => uint256) private _opened;
    uint256 private _chance;

    /// @dev The floor q of a fraction is the only integer with q ≤ fraction < q + 1.
    function testFuzz_lossUnitsAreTheFloor(int96 score, uint64 rate, int16 scale, int16 row, uint256 chosen)
        public
        pure
    {
        chosen = 1 + chosen % ROWS;
        // One half with what any two words may say, one with what does not saturate.
        int256 exponent = row % 2 == 0 ? int256(scale) + row : int256(scale) % 200;
        int256 units = Balances.lossUnits(score, rate, exponent, chosen);
        require(units == Exact.lossUnits(score, rate, exponent, chosen), "not the same another way");

        int256 product = int256(score) * int256(uint256(rate));
        int256 shift = exponent + 8;
        int256 parts = int256(chosen);
        require(units >= -MOST && units <= MOST, "beyond the bounds");
        if (shift > 96) {
            require(product == 0 ? units == 0 : units == (product < 0 ? -MOST : MOST), "not the bound");
        } else if (shift >= 0) {
            product <<= uint256(shift); // below 2^255
            require(units == -MOST || units * parts <= product, "above the fraction");
            require(units == MOST || product < (units + 1) * parts, "not the next below the fraction");
        } else {
            // Further right than 2^160, the fraction is nearer to zero than 1 still.
            parts <<= uint256(shift < -160 ? int256(160) : -shift);
            require(units == -MOST || units * parts <= product, "above the fraction");
            require(units == MOST || product < (units + 1) * parts, "not the next below the fraction");
        }
    }

    function testFuzz_aRoundOfKrumCosineBringsOneRound(int96[ROWS] memory scores, uint32 selected, uint256 small)
        public
    {
        _terms.rule = 1;
        (_job.active, _job.members, _job.settled) = (type(uint32).max, type(uint32).max, 1);
        uint256 total;
        for (uint256 i; i < ROWS; ++i) {
            // All of rule 1 are at least zero; some runs are about small ones.
            scores[i] = int96(scores[i] < 0 ? -(scores[i] + 1) : scores[i]);
            if (small % 2 == 0) scores[i] %= int96(int256(1 + small % 1000));
            if (selected.has(i)) total += uint96(scores[i]);
        }
        this.add(type(uint32).max, _settlement(selected, scores));
        uint256 sum;
        for (uint256 i; i < ROWS; ++i) {
            uint256 balance = uint256(int256(_trainers[i].balance));
            uint256 score = selected.has(i) ? uint96(scores[i]) : 0;
            require(balance * total <= score << 64, "more than its part of the round");
            require(
                total == 0 ? balance == 0 : (score << 64) < (balance + 1) * total, "less than its part of the round"
            );
            sum += balance;
        }
        require(sum <= 2 ** 64, "more than a round");
        require(total == 0 || sum + ROWS > 2 ** 64, "less than a round");
        require(_job.earned == sum && _job.missedOut == 0, "other sums than the trainers'");
    }

    /// @dev Some stay away, some leave, some are ejected by the round they miss.
    function testFuzz_aPotIsDividedByTheSumsOverAllMembers(uint256 seed, uint128 pot, bool disputed) public {
        (_chance, _job.disputedRows) = (seed, disputed);
        uint256 trainers = 1 + _below(ROWS);
        _job.active = uint32((uint256(1) << trainers) - 1);
        (_job.members, _job.pot) = (_job.active, pot);
        _terms.rule = uint8(1 + _below(2));
        _terms.scaleExponent = -int16(int256(_below(60)));
        _job.rate = uint64(1 + _below(2 ** (1 + _below(64))));
        for (uint256 rounds = 1 + _below(6); rounds != 0 && _job.active != 0; --rounds) {
            _retire(_job.active & _mask(10));
            uint32 opened = _job.active & _mask(80);
            ++_job.settled;
            int96[ROWS] memory scores;
            uint32 selected = opened & _mask(70);
            for (uint256 i; i < ROWS; ++i) {
                if (selected.has(i)) scores[i] = _score();
            }
            this.add(opened, _settlement(selected, scores));
            for (uint256 i; i < ROWS; ++i) {
                if (opened.has(i)) ++_opened[i];
            }
            _retire(_job.active & ~opened & _mask(20));
        }
        _requireDivided(pot);
    }

    // ------------------------------------------------------------------ steps

    /// @dev Called from outside, since the library reads a settlement from a call's data.
    function add(uint32 opened, Settlement calldata s) external {
        Balances.add(_job, _terms, _trainers, opened, s);
    }

    function _requireDivided(uint256 pot) private view {
        (uint256 whole, uint256 opened, uint256 paid) = (0, 0, 0);
        for (uint256 i; i < ROWS; ++i) {
            whole += _points(i);
            opened += _opened[i];
        }
        for (uint256 i; i < ROWS; ++i) {
            if (!_job.members.has(i)) continue;
            uint256 part = whole != 0 ? _points(i) : _opened[i];
            uint256 total = whole != 0 ? whole : opened;
            uint256 pay = Balances.pay(_job, _trainers[i], _job.active.has(i));
            require(pay * total <= pot * part, "more than its exact part");
            bool least = total == 0 ? pay == 0 : pot * part < (pay + 1) * total;
            if (_job.disputedRows) {
                require(pay * opened <= pot * _opened[i], "more than by rounds opened");
                least = least || pot * _opened[i] < (pay + 1) * opened;
            }
            require(least, "less than the floor of its part");
            paid += pay;
        }
        require(paid <= pot, "more than the pot");
        require(opened == 0 || paid + ROWS > pot || _job.disputedRows, "more than rounding is left");
    }

    function _points(uint256 slot) private view returns (uint256) {
        int256 balance = _trainers[slot].balance;
        return balance > 0 ? uint256(balance) * _opened[slot] : 0;
    }

    function _retire(uint32 slots) private {
        for (uint256 i; i < ROWS; ++i) {
            if (!slots.has(i)) continue;
            Balances.retire(_job, _trainers[i]);
            _job.active = _job.active.without(i);
        }
    }

    function _settlement(uint32 selected, int96[ROWS] memory scores) private pure returns (Settlement memory s) {
        (s.selected, s.scores) = (selected, new int96[](selected.count()));
        uint256 at;
        for (uint256 i; i < ROWS; ++i) {
            if (selected.has(i)) s.scores[at++] = scores[i];
        }
    }

    function _score() private returns (int96 score) {
        score = int96(int256(_below(2 ** (1 + _below(95)))));
        if (_below(3) == 0) score = -score;
    }

    function _mask(uint256 percent) private returns (uint32 mask) {
        for (uint256 i; i < ROWS; ++i) {
            if (_below(100) < percent) mask = mask.with(i);
        }
    }

    function _below(uint256 n) private returns (uint256) {
        _chance = uint256(keccak256(abi.encode(_chance)));
        return _chance % n;
    }
}
