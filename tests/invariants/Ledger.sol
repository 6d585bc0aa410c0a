// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IJobMarket, Job, State, Trainer} from "../../contracts/interfaces/IJobMarket.sol";
import {Slots} from "../../contracts/libraries/Slots.sol";
import {Actor} from "../../contracts/test/Actor.sol";
import {Books} from "./Books.sol";
import {VM, Vm} from "./Vm.sol";

/// @dev The calls of the market that change something. Those up to Join take money.
enum Kind {
    Create,
    Accept,
    TakeOver,
    Join,
    Leave,
    Cancel,
    Start,
    Publish,
    Submit,
    Settle,
    VoidRound,
    Redeliver,
    Skip,
    AskEnd,
    Abort,
    HandOver,
    Dispute,
    Reveal,
    DisputeRows,
    Complete,
    Show,
    Claim,
    ClaimFees,
    Withdraw,
    RevealValidation
}

/// @title Holds the market against the books: its balances, its jobs word by word, and the invariants of
/// docs/security/job-market.tree, by their numbers there
/// @dev `_call` is the only way to the market: after each call it checks what the call may have touched; `_checkAll` checks
/// everything.
abstract contract Ledger is Books {
    using Slots for uint32;

    bytes4 private constant PANIC = bytes4(keccak256("Panic(uint256)"));
    uint256 internal constant KINDS = uint256(type(Kind).max) + 1;

    IJobMarket public immutable market = IJobMarket(VM.deployCode("JobMarket.sol"));
    address[] public tokens; // the zero address among them, for the chain's coin
    Actor internal _planner; // who calls the market from within another call
    uint16 internal _rowsOf; // the round that a dispute of rows is about
    uint16 internal _named; // that of a void or of a delivery
    uint32 internal _voided; // what is said not to open

    constructor() {
        VM.recordLogs();
    }

    function _name(Kind kind) internal pure returns (string memory) {
        return [
            "createJob",
            "acceptAggregation",
            "takeOver",
            "join",
            "leave",
            "cancel",
            "start",
            "publishKey",
            "submitUpdate",
            "settleRound",
            "voidRound",
            "redeliver",
            "skipRound",
            "askEnd",
            "abort",
            "handOver",
            "dispute",
            "reveal",
            "disputeRows",
            "complete",
            "showOpening",
            "claim",
            "claimFees",
            "withdraw",
            "revealValidation"
        ][uint256(kind)];
    }

    // ------------------------------------------------------------------ one call

    /// @param token what the call may move
    function _call(Kind kind, uint256 jobId, address token, address sender, uint256 value, bytes memory data)
        internal
        returns (bool ok)
    {
        if (value != 0) VM.deal(sender, value);
        VM.getRecordedLogs();
        VM.prank(sender);
        // solhint-disable-next-line avoid-low-level-calls
        bytes memory answer;
        (ok, answer) = address(market).call{value: value}(data);
        Vm.Log[] memory logs = VM.getRecordedLogs();
        if (!ok) {
            _note("refused", _name(kind));
            _note("error", VM.toString(uint256(uint32(bytes4(answer)))));
            need(bytes4(answer) != PANIC, "a call was refused by arithmetic, not by a rule");
            need(_holds(token) == kept[token], "a refused call moved money");
            need(!_may(kind, jobId, sender), string.concat("refused, though the rules allow it: ", _name(kind)));
            return false;
        }
        _note("accepted", _name(kind));
        uint256 last = _readAll(sender, logs);
        if (last != 0) _follow(last);
        if (jobId != 0 && jobId != last) _follow(jobId);
        need(_holds(token) == kept[token], "the balance is not what was paid in, less what was paid out");
        _checkCredits(token);
    }

    /// @dev What one call causes is told before it lets another in: what comes after it is the planner's.
    /// @return last the job that the last event is about: one that was created, or that of the inner call
    function _readAll(address sender, Vm.Log[] memory logs) private returns (uint256 last) {
        address by = sender;
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].emitter != address(market)) continue;
            _read(logs[i].topics, logs[i].data, by);
            if (_nothingDue()) by = address(_planner);
            if (logs[i].topics[0] != IJobMarket.Withdrawn.selector) last = uint256(logs[i].topics[1]);
        }
        need(_nothingDue(), "what has to follow did not");
        _forgetDue();
    }

    /// @dev Whether the rules allow a call, of those that ask for nothing but a state, a time and who calls.
    function _may(Kind kind, uint256 jobId, address by) private view returns (bool) {
        Book storage b = _books[jobId];
        Job storage j = b.job;
        uint256 time = VM.getBlockTimestamp();
        bool owners = by == j.owner;
        if (kind == Kind.Start) return _canStart(b) && (owners || time >= j.submitBy);
        if (kind == Kind.Cancel) return j.state == State.Open && (owners || (time > b.terms.enrolBy && !_canStart(b)));
        if (kind == Kind.Dispute) return _mayDispute(b, by, time);
        if (j.state == State.Running) {
            if (kind == Kind.AskEnd) return owners && !j.endAsked;
            uint32 delivered = _delivered(b);
            if (kind == Kind.Skip) return j.keyPublished && delivered == 0 && time > j.submitBy;
            if (kind == Kind.VoidRound) return _mayVoid(b, by, time);
            if (kind == Kind.Redeliver) {
                if (!j.keyPublished || !j.delivering || time > j.submitBy) return false;
                return _named == j.round && _has(b, j.undelivered, by);
            }
            if (kind != Kind.Abort || (j.keyPublished && delivered == 0)) return false;
            (, uint256 takeable) = _failure(j, b.terms.takeoverWindow);
            return time > takeable;
        }
        if (j.state != State.Confirming) return false;
        if (kind == Kind.Complete) return time > j.submitBy;
        if (kind == Kind.Reveal) return _rowsDue(b) && time <= j.settleBy && (owners || by == j.aggregator);
        return kind == Kind.DisputeRows && _rowsDue(b) && time <= j.submitBy && _rowsOf <= j.round
            && (_rowsOf != 0 || time > j.settleBy) && _has(b, _openers(b) & ~j.rowsDisputed, by);
    }

    function _mayVoid(Book storage b, address by, uint256 time) private view returns (bool) {
        Job storage j = b.job;
        uint32 delivered = _delivered(b);
        bool ripe = delivered != 0 && (time > j.submitBy || _complete(b)) && time <= j.settleBy;
        bool many = _voided & ~delivered == 0 && _voided.count() > _most(b, delivered);
        return ripe && many && by == j.aggregator && _named == j.round;
    }

    function _mayDispute(Book storage b, address by, uint256 time) private view returns (bool) {
        Job storage j = b.job;
        bool ripe = (j.state == State.Running || j.state == State.Confirming) && j.keyPublished && !j.disputedSum;
        ripe = ripe && !j.delivering;
        return ripe && time <= j.submitBy && _has(b, j.active & ~j.submitted & ~j.disputed, by);
    }

    // ------------------------------------------------------------------ everything

    function _checkAll() internal {
        uint256 jobs = market.jobCount();
        for (uint256 jobId = 1; jobId <= jobs; ++jobId) {
            _follow(jobId);
        }
        for (uint256 i; i < tokens.length; ++i) {
            address token = tokens[i];
            uint256 sum = _checkCredits(token);
            for (uint256 jobId = 1; jobId <= jobs; ++jobId) {
                if (_books[jobId].terms.token == token) sum += _books[jobId].held;
            }
            need(_holds(token) == kept[token], "the balance is not what was paid in, less what was paid out");
            need(sum == kept[token] + _seizedOf(token), "1: jobs and credits are not what was paid in");
        }
    }

    /// @dev Invariant 4: the books lower a credit with its own withdraw alone.
    /// @return sum what the market owes to all payees
    function _checkCredits(address token) private view returns (uint256 sum) {
        for (uint256 i; i < payees.length; ++i) {
            uint256 credit = market.credit(payees[i], token);
            need(credit == owed[payees[i]][token], "4: a credit is not the sum of what was credited");
            sum += credit;
        }
        uint256 burnt = market.credit(address(0), token);
        need(burnt == owed[address(0)][token], "4: what was burnt is not what was credited to nobody");
        sum += burnt;
    }

    /// @dev Compares a job with its books.
    function _follow(uint256 jobId) internal {
        Book storage b = _books[jobId];
        _sum(b);
        need(keccak256(_asked(abi.encodeCall(market.terms, (jobId)))) == b.job.termsHash, "terms changed");
        Job memory j = market.job(jobId);
        _checkSums(b, j);
        uint256 stakes = _checkTrainers(jobId, b);
        b.held = j.escrow + stakes + (_over(j.state) ? 0 : j.pot) + (j.bonded ? b.terms.bond : 0);
        need(b.held + b.credited == b.paidIn, "1: a job's money is not what was paid in");
        if (_over(j.state)) {
            uint256 fees = uint256(b.terms.fee) * j.owed;
            need(j.escrow == _unclaimed(b) + fees, "2: a job that is over holds something else than its claims");
            if (_done(jobId)) need(b.held == 0, "2: a job holds something that nobody can claim");
        }
        Job memory must = b.job;
        if (keccak256(abi.encode(j)) != keccak256(abi.encode(must))) revert(_difference(j, must));
    }

    /// @dev Invariant 6.
    function _checkSums(Book storage b, Job memory j) private view {
        (uint256 points, uint256 opened) = _points(b);
        uint256 settled = j.settled;
        // What is wrong may be below zero.
        unchecked {
            uint256 kept_ = settled * j.earned - j.missedOut + j.goneEarned;
            need(kept_ == points, "6: the points that are divided by are not those of all members");
            if (j.members == 0) return;
            uint256 rounds = settled * j.active.count() - j.absences + j.goneOpened;
            need(rounds == opened, "6: the rounds that are divided by are not those of all members");
        }
    }

    /// @return stakes all that the market says it holds
    function _checkTrainers(uint256 jobId, Book storage b) private view returns (uint256 stakes) {
        uint256 taken = b.job.active | b.job.members;
        for (uint8 slot; slot <= b.terms.maxTrainers; ++slot) {
            Trainer memory who = market.trainer(jobId, slot);
            Trainer memory must = b.seats[slot];
            need(keccak256(abi.encode(who)) == keccak256(abi.encode(must)), "a trainer is not what its events say");
            need((taken >> slot) & 1 == 1 || who.operator == address(0), "a trainer without a slot");
            if (who.staked) stakes += b.terms.stake;
        }
    }

    function _difference(Job memory j, Job memory must) private pure returns (string memory) {
        if (j.escrow != must.escrow || j.pot != must.pot) return "escrow or pot is not what the events say";
        if (j.state != must.state || j.outcome != must.outcome) return "a state is not what the events say";
        if (j.rate != must.rate) return "the rate is not what the events say";
        if (j.submitBy != must.submitBy || j.settleBy != must.settleBy) return "a deadline is not what the events say";
        if (j.submitted != must.submitted) return "the submissions are not what the events say";
        if (j.delivering != must.delivering || j.undelivered != must.undelivered || j.voids != must.voids) {
            return "what is delivered again is not what the events say";
        }
        if (j.disputed != must.disputed || j.quorum != must.quorum) return "the disputes are not what the events say";
        if (j.bonded != must.bonded) return "whether there is a bond is not what the events say";
        if (j.owed != must.owed || j.settledBefore != must.settledBefore) {
            return "the fees are not what the events say";
        }
        if (j.keyPublished != must.keyPublished) return "the key is not what the events say";
        if (j.rowsDisputed != must.rowsDisputed || j.ownRowsDisputed != must.ownRowsDisputed) {
            return "the disputes of rows are not what the events say";
        }
        if (j.disputedRows != must.disputedRows) return "whether rows are disputed is not what the events say";
        return "a job is not what its events say";
    }

    /// @return whether the job is over and all of it claimed
    function _done(uint256 jobId) internal view returns (bool) {
        Job storage j = _books[jobId].job;
        return _over(j.state) && j.claimed == j.members && j.owed == 0;
    }

    /// @dev Every struct that the market answers with is static: its encoding is the answer.
    function _asked(bytes memory data) private view returns (bytes memory answer) {
        (, answer) = address(market).staticcall(data);
    }

    function _holds(address token) internal view returns (uint256) {
        return token == address(0) ? address(market).balance : IERC20(token).balanceOf(address(market));
    }

    /// @return taken what the token took from the market behind its back
    function _seizedOf(address token) internal view virtual returns (uint256 taken);
}
