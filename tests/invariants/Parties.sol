// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Job, RoundProof, Settlement, State, Terms} from "../../contracts/interfaces/IJobMarket.sol";
import {Slots} from "../../contracts/libraries/Slots.sol";
import {HookedToken} from "../../contracts/test/HookedToken.sol";
import {OddToken} from "../../contracts/test/OddToken.sol";
import {PlainToken} from "../../contracts/test/PlainToken.sol";
import {StubGramVerifier} from "../../contracts/test/StubGramVerifier.sol";
import {Kind, Ledger} from "./Ledger.sol";
import {SeizingToken} from "./SeizingToken.sol";
import {VM} from "./Vm.sol";

/// @title Who plays, with what money, and what they say: mostly what is valid, sometimes not
/// @dev Everybody may have any role in any job. All choices come from `_chance`, which a call's seed sets.
abstract contract Parties is Ledger {
    using Slots for uint32;

    uint256 internal constant PEOPLE = 6;
    uint256 internal constant CONTRACTS = 4; // the payees after the people: they refuse, or call back
    uint256 internal constant RICH = 1 << 240;
    bytes32 private constant KEY = bytes32(uint256(1));
    bytes32 private constant CIRCUITS = bytes32(uint256(2));
    string private constant CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    address internal constant STRANGER = address(0x57a4);
    PlainToken internal immutable _plain = PlainToken(VM.deployCode("PlainToken.sol"));
    OddToken internal immutable _odd = OddToken(VM.deployCode("OddToken.sol"));
    HookedToken internal immutable _hooked = HookedToken(VM.deployCode("HookedToken.sol"));
    SeizingToken internal immutable _seizing = SeizingToken(VM.deployCode("SeizingToken.sol"));
    StubGramVerifier internal immutable _gram =
        StubGramVerifier(VM.deployCode("StubGramVerifier.sol", abi.encode(KEY)));
    address[2] internal _decisions; // by rule

    uint256 public calls;
    uint256 private _chance;
    uint256 private _points; // how many commitments were made
    mapping(bytes32 commitment => uint256 point) private _pointOf;

    constructor() {
        for (uint256 rule = 1; rule <= 2; ++rule) {
            bytes memory arguments = abi.encode(100 * rule + 8, CIRCUITS);
            _decisions[rule - 1] = VM.deployCode("StubDecisionVerifier.sol", arguments);
        }
        tokens = [address(0), address(_plain), address(_odd), address(_hooked), address(_seizing)];
        for (uint256 i; i < PEOPLE; ++i) {
            payees.push(address(uint160(0xaaaa0000 + i)));
        }
        for (uint256 i; i < CONTRACTS; ++i) {
            payees.push(VM.deployCode("Actor.sol"));
        }
        for (uint256 i; i < payees.length; ++i) {
            _known[payees[i]] = true;
            for (uint256 k = 1; k < tokens.length; ++k) {
                PlainToken(tokens[k]).mint(payees[i], RICH);
                VM.prank(payees[i]);
                IERC20(tokens[k]).approve(address(market), type(uint256).max);
            }
        }
    }

    // ------------------------------------------------------------------ chance

    modifier seeded(uint256 seed) {
        _chance = seed;
        ++calls;
        _;
    }

    function _below(uint256 n) internal returns (uint256) {
        _chance = uint256(keccak256(abi.encode(_chance)));
        return _chance % n;
    }

    function _percent(uint256 chance) internal returns (bool) {
        return _below(100) < chance;
    }

    function _anybody() internal returns (address) {
        return payees[_below(payees.length)];
    }

    function _isContract(address who) internal view returns (bool) {
        return who.code.length != 0;
    }

    function _amount() private returns (uint128) {
        uint256 size = _below(8);
        if (size == 0) return 0;
        if (size == 1) return 1;
        if (size == 2) return uint128(_below(1 << 120)); // jobs of several rounds and trainers still fit in 128 bits
        return uint128(_below(size < 6 ? 1000 : 1 ether));
    }

    function _weight() private returns (uint96) {
        uint256 size = _below(4);
        return size == 0 ? 0 : size == 1 ? 1 : size == 2 ? type(uint96).max : uint96(_below(1 << 60));
    }

    // ------------------------------------------------------------------ what is said

    /// @dev Windows are of very different lengths: jobs share one clock, and waiting for one is not to end the others.
    function _terms() internal returns (Terms memory t) {
        uint256 longer = 8 ** _below(4);
        uint256 rule = 1 + _below(2);
        t.token = tokens[[0, 0, 1, 2, 2, 3, 3, 3, 4][_below(9)]];
        (t.reward, t.fee, t.stake, t.bond) = (_amount(), _amount(), _amount(), _amount());
        if (_percent(20)) t.aggregator = _anybody();
        t.enrolBy = uint40(VM.getBlockTimestamp() + 1 + _below(100 * longer));
        t.submitWindow = uint32(1 + _below(20 * longer));
        t.settleWindow = uint32(1 + _below(20 * longer));
        t.takeoverWindow = _percent(25) ? 0 : uint32(_below(20 * longer));
        t.rule = uint8(rule);
        t.rounds = uint16(1 + _below(4));
        t.maxTrainers = uint8(1 + _below(6));
        t.minTrainers = uint8(1 + _below(t.maxTrainers));
        t.maxFaulty = uint8(_below(t.maxTrainers));
        t.maxMissed = uint8(1 + _below(3));
        t.maxStrikes = uint8(1 + _below(3));
        t.maxEmptyRounds = uint8(1 + _below(3));
        t.slashBps = [uint16(0), 1, 3333, 9999, 10_000][_below(5)];
        (t.gramVerifier, t.gramKey) = (address(_gram), KEY);
        (t.decisionVerifier, t.decisionKey) = (_decisions[rule - 1], CIRCUITS);
    }

    /// @return sender of a call that is to succeed: whoever has the role, or anybody where it has none
    function _sender(Kind kind, uint256 jobId) internal returns (address sender) {
        Job memory j = market.job(jobId);
        if (kind == Kind.Accept && market.terms(jobId).aggregator != address(0)) return market.terms(jobId).aggregator;
        if (kind == Kind.Cancel || kind == Kind.Reveal) return j.owner;
        if (kind == Kind.Publish || kind == Kind.Settle) return j.aggregator;
        if (kind == Kind.HandOver && _percent(50)) return j.owner;
        uint32 slots = kind >= Kind.HandOver && kind <= Kind.Show ? j.active : 0;
        if (kind == Kind.Leave || kind == Kind.Submit) slots = j.active & ~j.submitted;
        if (kind == Kind.Dispute) slots = j.active & ~j.submitted & ~j.disputed;
        if (slots == 0) return _anybody();
        uint256 which = _below(slots.count());
        for (uint8 slot;; ++slot) {
            if (!slots.has(slot)) continue;
            if (which == 0) return market.trainer(jobId, slot).operator;
            --which;
        }
    }

    function _data(Kind kind, uint256 jobId) internal returns (bytes memory) {
        if (kind == Kind.Create) return abi.encodeCall(market.createJob, (_terms(), KEY, CID));
        if (kind == Kind.Accept) return abi.encodeCall(market.acceptAggregation, (jobId, _anybody(), KEY));
        if (kind == Kind.TakeOver) return abi.encodeCall(market.takeOver, (jobId, _anybody(), KEY));
        if (kind == Kind.HandOver) return abi.encodeCall(market.handOver, (jobId, CID));
        if (kind == Kind.Dispute) return abi.encodeCall(market.dispute, (jobId));
        if (kind == Kind.Complete) return abi.encodeCall(market.complete, (jobId));
        if (kind == Kind.Show) return abi.encodeCall(market.showOpening, (jobId, 1, CID));
        if (kind == Kind.Join) return abi.encodeCall(market.join, (jobId, _anybody(), KEY));
        if (kind == Kind.Leave) return abi.encodeCall(market.leave, (jobId));
        if (kind == Kind.Cancel) return abi.encodeCall(market.cancel, (jobId));
        if (kind == Kind.Start) return abi.encodeCall(market.start, (jobId));
        if (kind == Kind.Publish) return abi.encodeCall(market.publishKey, (jobId, CID));
        if (kind == Kind.Skip) return abi.encodeCall(market.skipRound, (jobId));
        if (kind == Kind.Abort) return abi.encodeCall(market.abort, (jobId));
        if (kind == Kind.Withdraw) return abi.encodeCall(market.withdraw, (market.terms(jobId).token));
        if (kind == Kind.Reveal) return abi.encodeCall(market.revealValidation, (jobId, CID));
        uint16 round = market.job(jobId).round + (_percent(2) ? 1 : 0);
        if (kind == Kind.Submit) return abi.encodeCall(market.submitUpdate, (jobId, round, _commitment(), CID));
        (Settlement memory s, RoundProof memory p) = _judgement(jobId);
        return abi.encodeCall(market.settleRound, (jobId, round, s, p));
    }

    /// @dev Sometimes one that was submitted before, in this job or another.
    function _commitment() private returns (bytes32 commitment) {
        uint256 point = _percent(97) ? ++_points : _below(1 + _points);
        commitment = keccak256(abi.encode(point, 0));
        _pointOf[commitment] = point;
    }

    function _judgement(uint256 jobId) private returns (Settlement memory s, RoundProof memory p) {
        Terms memory t = market.terms(jobId);
        uint32 submitted = market.job(jobId).submitted;
        uint32 selected;
        uint256 spare = t.maxFaulty + (_percent(2) ? 1 : 0);
        bool nothing = submitted.count() <= spare && _percent(40);
        for (uint256 slot; submitted >> slot != 0; ++slot) {
            if (!submitted.has(slot)) continue;
            if (spare != 0 && (nothing || _percent(15))) {
                s.unopened = s.unopened.with(slot);
                --spare;
            } else if (_percent(75)) {
                selected = selected.with(slot);
            }
        }
        if (_percent(2)) selected = selected.with(_below(8));
        if (submitted & ~s.unopened == 0) return (s, p);
        _state(s, selected, t.rule == 2);
        _show(p, jobId, submitted & ~s.unopened, t.rule == 2);
        (s.sumCommitment, s.referenceCommitment) = (keccak256(abi.encode(0, 1)), bytes32(0));
        if (t.rule == 2) s.referenceCommitment = keccak256(abi.encode(1, 2, 3, 4));
    }

    function _state(Settlement memory s, uint32 selected, bool byReference) private {
        s.selected = selected;
        uint256 many = selected.count();
        s.weights = new uint96[](many);
        s.coefficients = new uint16[](byReference ? many : 0);
        for (uint256 i; i < many; ++i) {
            s.weights[i] = _weight();
            if (byReference) s.coefficients[i] = uint16(_below(4097));
        }
        if (many != 0) s.sumCid = CID;
        if (byReference) s.referenceCid = CID;
    }

    /// @dev The stubs take any words for a proof, but the market holds the points to what was submitted.
    function _show(RoundProof memory p, uint256 jobId, uint32 opened, bool byReference) private {
        p.commitments = new uint256[](2 * opened.count() + (byReference ? 4 : 0));
        uint256 at;
        for (uint256 slot; opened >> slot != 0; ++slot) {
            if (!opened.has(slot)) continue;
            p.commitments[at] = _pointOf[_submitted[jobId][slot]];
            at += 2;
        }
        for (uint256 i = 1; at < p.commitments.length; ++i) {
            p.commitments[at++] = i;
        }
        if (_percent(2)) p.commitments[0] = 0;
        p.sums = new uint256[](2);
        p.sums[1] = 1;
        p.gram = new uint256[](16);
    }

    function _over(uint256 jobId) internal view returns (bool) {
        return _over(market.job(jobId).state);
    }

    function _startable(uint256 jobId) internal view returns (bool) {
        Terms memory t = market.terms(jobId);
        Job memory j = market.job(jobId);
        uint256 trainers = j.active.count();
        bool enough = trainers == t.maxTrainers || (trainers >= t.minTrainers && VM.getBlockTimestamp() > t.enrolBy);
        return j.state == State.Open && j.aggregator != address(0) && enough;
    }
}
