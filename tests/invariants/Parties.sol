// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Job, RoundProof, Settlement, Terms} from "../../contracts/interfaces/IJobMarket.sol";
import {Slots} from "../../contracts/libraries/Slots.sol";
import {GateWallet} from "../../contracts/test/GateWallet.sol";
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
    uint256 private constant GATE_KEY = 0x9a7e;
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant TICKET =
        keccak256("Ticket(uint256 jobId,bytes32 termsHash,address operator,uint64 expiry)");
    GateWallet private immutable _gate = GateWallet(VM.deployCode("GateWallet.sol", abi.encode(VM.addr(GATE_KEY))));
    StubGramVerifier internal immutable _gram =
        StubGramVerifier(VM.deployCode("StubGramVerifier.sol", abi.encode(KEY)));
    address[2] internal _decisions; // by rule

    uint256 public calls;
    uint256 private _chance;
    uint256 private _made; // how many commitments were made
    mapping(bytes32 commitment => uint256 point) private _pointOf;
    mapping(uint256 jobId => address) private _askedFees; // for whom fees were claimed last, mostly

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

    /// @dev Mostly of the sizes that updates have, of either sign. A proof of rule 1 never states one below zero; if one did,
    /// nothing may be lost.
    function _score(uint256 rule) private returns (int96 score) {
        uint256 size = _below(5);
        if (size == 0) return 0;
        if (size == 1) score = int96(int256(1 + _below(3)));
        else score = size == 2 ? type(int96).max : int96(int256(_below(1 << 60)));
        if (_percent(rule == 2 ? 40 : 3)) score = size == 2 ? type(int96).min : -score;
    }

    /// @dev That of an integer step of an update, or of a reference row. Seldom one that no training has.
    function _exponent() private returns (int16) {
        uint256 size = _below(10);
        if (size == 0) return [type(int16).min, type(int16).max, int16(-160), 100][_below(4)];
        return -int16(int256(_below(48)));
    }

    // ------------------------------------------------------------------ what is said

    /// @dev Windows are of very different lengths: jobs share one clock, and waiting for one is not to end the others.
    function _terms() internal returns (Terms memory t) {
        uint256 longer = 8 ** _below(4);
        uint256 rule = _percent(60) ? 2 : 1;
        t.token = tokens[[0, 0, 1, 2, 2, 3, 3, 3, 4][_below(9)]];
        (t.reward, t.fee, t.stake, t.bond) = (_amount(), _amount(), _amount(), _amount());
        if (_percent(20)) t.aggregator = _anybody();
        if (_percent(25)) t.gate = _percent(60) ? VM.addr(GATE_KEY) : address(_gate);
        t.enrolBy = uint40(VM.getBlockTimestamp() + 1 + _below(300 * longer));
        t.startDelay = _percent(70) ? 0 : uint32(_below(100 * longer));
        t.submitWindow = uint32(1 + _below(20 * longer));
        t.settleWindow = uint32(1 + _below(20 * longer));
        t.takeoverWindow = _percent(25) ? 0 : uint32(_below(20 * longer));
        t.confirmWindow = uint32(1 + _below(20 * longer));
        if (rule == 2 && t.confirmWindow != 1 && _percent(85)) {
            t.revealWindow = uint32(1 + _below(t.confirmWindow - 1));
        }
        t.rule = uint8(rule);
        t.rounds = uint16(1 + _below(6));
        t.minRounds = uint16(1 + _below(t.rounds));
        (t.rate, t.rateDecay) = (_rate(), uint40(_percent(40) ? 2 ** 32 : 1 + _below(2 ** 32)));
        t.scaleExponent = -int16(int256(_below(41)));
        t.maxFaulty = _percent(65) ? 0 : _percent(80) ? 1 : 2;
        if (t.maxFaulty != 0) t.enrolBy += 300; // it takes more to start
        uint256 least = t.maxFaulty == 0 ? 1 : 2 * uint256(t.maxFaulty) + 3;
        t.maxTrainers = uint8(least + _below(t.maxFaulty == 0 ? 6 : 8 - least));
        t.minTrainers = uint8(least + _below(t.maxTrainers + 1 - least));
        t.maxVoids = uint8(_percent(20) ? 0 : 1 + _below(3));
        t.maxMissed = uint8(1 + _below(3));
        t.maxStrikes = uint8(1 + _below(3));
        t.maxEmptyRounds = uint8(1 + _below(3));
        t.slashBps = [uint16(0), 1, 3333, 9999, 10_000][_below(5)];
        (t.gramVerifier, t.gramKey) = (address(_gram), KEY);
        (t.decisionVerifier, t.decisionKey) = (_decisions[rule - 1], CIRCUITS);
    }

    /// @dev In units of 2^-40.
    function _rate() private returns (uint64) {
        uint256 size = _below(6);
        return size == 0 ? 1 : size == 1 ? uint64(100 << 40) : uint64(1 + _below(2 ** 41));
    }

    /// @return sender of a call that is to succeed: whoever has the role, or anybody where it has none
    function _sender(Kind kind, uint256 jobId) internal returns (address sender) {
        Job memory j = market.job(jobId);
        if (kind == Kind.Accept && market.terms(jobId).aggregator != address(0)) return market.terms(jobId).aggregator;
        if (kind == Kind.Cancel || kind == Kind.RevealValidation || kind == Kind.AskEnd) return j.owner;
        if (kind == Kind.Reveal && !_percent(8)) return _percent(50) ? j.owner : j.aggregator;
        if (kind == Kind.Publish || kind == Kind.Settle || kind == Kind.VoidRound) return j.aggregator;
        if (kind == Kind.HandOver && _percent(50)) return j.owner;
        uint32 slots = kind == Kind.HandOver || kind == Kind.Show ? j.active : 0;
        if (kind == Kind.Leave || kind == Kind.Submit) slots = _percent(3) ? j.active : j.active & ~j.submitted;
        if (kind == Kind.Redeliver) slots = _percent(5) ? j.active : j.undelivered;
        if (kind == Kind.Dispute) slots = j.active & ~j.submitted & ~(_percent(5) ? 0 : j.disputed);
        if (kind == Kind.DisputeRows) slots = _rowsDisputers(jobId, j);
        if (slots == 0) return _anybody();
        uint256 which = _below(slots.count());
        for (uint8 slot;; ++slot) {
            if (!slots.has(slot)) continue;
            if (which == 0) return market.trainer(jobId, slot).operator;
            --which;
        }
    }

    function _data(Kind kind, uint256 jobId, address sender) internal returns (bytes memory) {
        if (kind == Kind.Create) return abi.encodeCall(market.createJob, (_terms(), KEY, CID));
        if (kind == Kind.Accept) return abi.encodeCall(market.acceptAggregation, (jobId, _anybody(), KEY));
        if (kind == Kind.TakeOver) return abi.encodeCall(market.takeOver, (jobId, _anybody(), KEY));
        if (kind == Kind.HandOver) return abi.encodeCall(market.handOver, (jobId, CID));
        if (kind == Kind.Dispute) return abi.encodeCall(market.dispute, (jobId));
        if (kind == Kind.Complete) return abi.encodeCall(market.complete, (jobId));
        if (kind == Kind.Show) return abi.encodeCall(market.showOpening, (jobId, 1, CID));
        if (kind == Kind.Join) {
            return abi.encodeCall(market.join, (jobId, _anybody(), KEY, _ticket(jobId, sender)));
        }
        if (kind == Kind.Leave) return abi.encodeCall(market.leave, (jobId));
        if (kind == Kind.Cancel) return abi.encodeCall(market.cancel, (jobId));
        if (kind == Kind.Start) return abi.encodeCall(market.start, (jobId));
        if (kind == Kind.Publish) return abi.encodeCall(market.publishKey, (jobId, CID));
        if (kind == Kind.Skip) return abi.encodeCall(market.skipRound, (jobId));
        if (kind == Kind.Abort) return abi.encodeCall(market.abort, (jobId));
        if (kind == Kind.Withdraw) return abi.encodeCall(market.withdraw, (market.terms(jobId).token));
        if (kind == Kind.RevealValidation) return abi.encodeCall(market.revealValidation, (jobId, CID));
        if (kind == Kind.Reveal) return abi.encodeCall(market.reveal, (jobId, CID));
        if (kind == Kind.DisputeRows) {
            return abi.encodeCall(market.disputeRows, (jobId, _rowsOf = _disputedRound(jobId)));
        }
        if (kind == Kind.AskEnd) return abi.encodeCall(market.askEnd, (jobId));
        if (kind == Kind.Claim) return abi.encodeCall(market.claim, (jobId, _claimant(jobId)));
        if (kind == Kind.ClaimFees) return abi.encodeCall(market.claimFees, (jobId, _feePayee(jobId)));
        uint16 round = market.job(jobId).round + (_percent(2) ? 1 : 0);
        if (kind == Kind.Submit) return abi.encodeCall(market.submitUpdate, (jobId, round, _commitment(sender), CID));
        if (kind == Kind.VoidRound) {
            return abi.encodeCall(market.voidRound, (jobId, _named = round, _voided = _unopened(jobId)));
        }
        if (kind == Kind.Redeliver) return abi.encodeCall(market.redeliver, (jobId, _named = round, CID));
        (Settlement memory s, RoundProof memory p) = _judgement(jobId);
        return abi.encodeCall(market.settleRound, (jobId, round, s, p));
    }

    /// @return ticket mostly what the job asks for; else one that the gate gave somebody else, or for another job or other
    /// terms, one that has expired or was put off, one that another signed, one of another length, or none
    function _ticket(uint256 jobId, address operator) private returns (bytes memory ticket) {
        bool gated = market.terms(jobId).gate != address(0);
        if (_percent(gated ? 4 : 98)) return "";
        uint256 time = VM.getBlockTimestamp();
        uint64 expiry = uint64(time + _below(300));
        uint256 target = _percent(95) ? jobId : 1 + _below(market.jobCount() + 1);
        bytes32 termsHash = _percent(96) ? market.job(target).termsHash : bytes32(0);
        uint256 key = _percent(96) ? GATE_KEY : GATE_KEY + 1;
        if (_percent(6)) operator = _anybody();
        if (_percent(5)) expiry = uint64(time - 1 - _below(time));
        if (
            key == GATE_KEY && termsHash == market.job(target).termsHash
                && expiry > _books[target].invitedUntil[operator]
        ) {
            _books[target].invitedUntil[operator] = expiry;
        }
        bytes32 domain =
            keccak256(abi.encode(DOMAIN, keccak256("Merit"), keccak256("2"), block.chainid, address(market)));
        bytes32 said = keccak256(abi.encode(TICKET, target, termsHash, operator, expiry));
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(key, keccak256(abi.encodePacked(hex"1901", domain, said)));
        ticket = abi.encodePacked(_percent(96) ? expiry : uint64(time + 1000), r, s, v);
        if (_percent(4)) return _percent(50) ? abi.encodePacked(ticket, s) : abi.encodePacked(uint56(expiry));
    }

    /// @return slots mostly those that opened a submission and have not disputed yet
    function _rowsDisputers(uint256 jobId, Job memory j) private returns (uint32 slots) {
        slots = _openers(_books[jobId]);
        if (_percent(25) && j.members != slots) return j.members & ~slots;
        return _percent(5) ? j.members : slots & ~j.rowsDisputed;
    }

    /// @dev Round 0 mostly where it may be; where there was a takeover, first a round before it, later one since.
    function _disputedRound(uint256 jobId) private returns (uint16) {
        Job memory j = market.job(jobId);
        if (_percent(VM.getBlockTimestamp() > j.settleBy ? (j.keyPublished ? 30 : 60) : 12)) return 0;
        if (_percent(2)) return j.round + 1;
        uint256 last = j.round == 0 ? 1 : j.round;
        uint256 since = j.takenOverIn == 0 ? 1 : j.takenOverIn;
        if (since != 1 && _percent(j.disputedRows ? 10 : 75)) return uint16(1 + _below(since - 1));
        return uint16(since + _below(last - since + 1));
    }

    /// @return slot mostly one that is not claimed yet
    function _claimant(uint256 jobId) private returns (uint8 slot) {
        Job memory j = market.job(jobId);
        slot = uint8(_below(8));
        if (j.members & ~j.claimed == 0 || _percent(10)) return slot;
        while (!(j.members & ~j.claimed).has(slot)) {
            slot = (slot + 1) % 8;
        }
    }

    /// @return payee mostly one for whom fees wait
    function _feePayee(uint256 jobId) private returns (address payee) {
        uint256 at = _below(payees.length);
        payee = payees[at];
        if (_percent(10)) return payee;
        if (_percent(15) && _askedFees[jobId] != address(0)) return _askedFees[jobId];
        for (uint256 i; i < payees.length && _books[jobId].owed[payee] == 0; ++i) {
            payee = payees[(at + i) % payees.length];
        }
        _askedFees[jobId] = payee;
    }

    /// @dev Sometimes of points that were submitted before, in this job or another; sometimes another's.
    function _commitment(address sender) private returns (bytes32 commitment) {
        uint256 point = _percent(97) ? ++_made : _below(1 + _made);
        commitment = keccak256(abi.encodePacked(point, uint256(0), _percent(98) ? sender : _anybody()));
        _pointOf[commitment] = point;
    }

    /// @return slots mostly more than may be called unopened
    function _unopened(uint256 jobId) private returns (uint32 slots) {
        uint32 delivered = _delivered(_books[jobId]);
        (uint256 count, uint256 most) = (delivered.count(), _most(_books[jobId], delivered));
        if (count == 0) return uint32(_below(4));
        uint256 wanted = _percent(5) ? most : _percent(25) ? count : most + 1 + _below(count - most);
        for (uint8 slot; delivered >> slot != 0; ++slot) {
            if (!delivered.has(slot)) continue;
            if (_below(count--) < wanted) (slots, wanted) = (slots.with(slot), wanted - 1);
        }
        if (_percent(2)) slots = slots.with(_below(8));
    }

    function _judgement(uint256 jobId) private returns (Settlement memory s, RoundProof memory p) {
        Terms memory t = market.terms(jobId);
        uint32 submitted = _delivered(_books[jobId]);
        uint32 selected;
        uint256 spare = _most(_books[jobId], submitted) + (_percent(2) ? 1 : 0);
        for (uint256 slot; submitted >> slot != 0; ++slot) {
            if (!submitted.has(slot)) continue;
            if (spare != 0 && _percent(15)) {
                s.unopened = s.unopened.with(slot);
                --spare;
            } else if (_percent(70)) {
                selected = selected.with(slot);
            } else if (_percent(70)) {
                s.struck = s.struck.with(slot);
            }
        }
        if (_percent(2)) selected = selected.with(_below(8));
        if (_percent(2)) s.struck = s.struck.with(_below(8));
        if (_percent(3)) s.unopened |= selected;
        if (submitted & ~s.unopened == 0) return (s, p);
        _state(s, selected, t.rule);
        _show(p, jobId, submitted & ~s.unopened, t.rule == 2);
        (s.sumCommitment, s.referenceCommitment) = (keccak256(abi.encode(0, 1)), bytes32(0));
        if (t.rule == 2) s.referenceCommitment = keccak256(abi.encode(1, 2, 3, 4));
    }

    function _state(Settlement memory s, uint32 selected, uint256 rule) private {
        bool byReference = rule == 2;
        s.selected = selected;
        uint256 many = selected.count();
        s.scores = new int96[](many);
        s.coefficients = new uint16[](byReference ? many : 0);
        bool nothing = _percent(5);
        for (uint256 i; i < many; ++i) {
            s.scores[i] = nothing ? int96(0) : _score(rule);
            if (byReference) s.coefficients[i] = uint16(_below(4097));
        }
        if (many != 0) s.sumCid = CID;
        if (byReference) (s.referenceCid, s.rowExponent) = (CID, _exponent());
    }

    /// @dev The stubs take any words for a proof, but the market holds the points to what was submitted.
    function _show(RoundProof memory p, uint256 jobId, uint32 opened, bool byReference) private {
        p.commitments = new uint256[](2 * opened.count() + (byReference ? 4 : 0));
        uint256 at;
        for (uint256 slot; opened >> slot != 0; ++slot) {
            if (!opened.has(slot)) continue;
            p.commitments[at] = _pointOf[_books[jobId].submitted[slot]];
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
}
