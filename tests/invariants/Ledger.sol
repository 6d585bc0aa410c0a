// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IJobMarket, Job, Reason, State, Terms} from "../../contracts/interfaces/IJobMarket.sol";
import {Slots} from "../../contracts/libraries/Slots.sol";
import {VM, Vm} from "./Vm.sol";

/// @dev The calls of the market that change something.
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
    Skip,
    Abort,
    HandOver,
    Dispute,
    Complete,
    Show,
    Withdraw,
    Reveal
}

/// @title Books of all money, kept from what the market's balance and events say, and held against what it says it holds
/// @dev `_call` is the only way to the market: after each call it checks what the call may have touched; `check` checks
/// everything. A rule that is broken reverts with a sentence.
abstract contract Ledger {
    using Slots for uint32;

    struct Book {
        uint256 paidIn;
        uint256 credited;
        address token;
        bool taken; // over, since it was as in `last`
        bool keyed; // by its present aggregator
        uint256 held; // in the job, when it changed last
        bytes32 termsHash;
        bytes32 lastHash;
        Job last; // as it was after the last call
        uint256 active;
        uint256 quorum;
        uint256 disputes; // in this phase
        uint256 settled; // rounds
        uint256 fees;
        uint256 burnt;
    }

    uint256 internal constant KINDS = uint256(type(Kind).max) + 1;

    IJobMarket public immutable market = IJobMarket(VM.deployCode("JobMarket.sol"));
    address[] public payees; // whoever can be credited
    address[] public tokens; // the zero address among them, for the chain's coin
    mapping(uint256 jobId => Book) public books;
    mapping(address payee => mapping(address token => uint256)) public owed;
    mapping(address token => uint256) public kept; // paid in, less paid out, less what the token itself took away
    mapping(uint256 jobId => mapping(uint256 slot => bytes32)) internal _submitted;

    mapping(address payee => bool) internal _known;
    string[] internal _reached; // what happened in this run
    mapping(string what => uint256) internal _times;

    constructor() {
        VM.recordLogs();
    }

    function need(bool holds, string memory broken) internal pure {
        if (!holds) revert(broken);
    }

    function _note(string memory kind, string memory what) internal {
        string memory name = string.concat(kind, " ", what);
        if (_times[name]++ == 0) _reached.push(name);
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
            "skipRound",
            "abort",
            "handOver",
            "dispute",
            "complete",
            "showOpening",
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
            need(_holds(token) == kept[token], "a refused call moved money");
            return false;
        }
        _note("accepted", _name(kind));
        _readAll(kind, sender, logs);
        if (kind <= Kind.Join) _deposited(kind == Kind.Create ? market.jobCount() : jobId, kind, token);
        need(_holds(token) == kept[token], "the balance is not what was paid in, less what was paid out");
        _checkCredits(token);
    }

    function _deposited(uint256 jobId, Kind kind, address token) private {
        Terms memory t = market.terms(jobId);
        if (kind == Kind.Create) (books[jobId].termsHash, books[jobId].token) = (keccak256(abi.encode(t)), t.token);
        uint256 due = kind == Kind.Join ? t.stake : t.bond;
        if (kind == Kind.Create) due = uint256(t.rounds) * (uint256(t.reward) + t.fee);
        books[jobId].paidIn += due;
        kept[token] += due;
    }

    function _readAll(Kind kind, address sender, Vm.Log[] memory logs) private {
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].emitter == address(market)) _read(kind, sender, logs[i].topics, logs[i].data);
        }
    }

    function _read(Kind kind, address sender, bytes32[] memory topics, bytes memory data) private {
        bytes32 topic = topics[0];
        uint256 jobId = uint256(topics[1]);
        if (topic == IJobMarket.Credited.selector) {
            (uint256 amount, Reason reason) = abi.decode(data, (uint256, Reason));
            _readCredit(jobId, _address(topics[2]), reason, amount);
            owed[_address(topics[2])][_address(topics[3])] += amount;
            _note("credited", ["pay", "fee", "stake", "bond", "compensation", "refund", "burnt"][uint256(reason)]);
        } else if (topic == IJobMarket.Withdrawn.selector) {
            uint256 amount = abi.decode(data, (uint256));
            (address payee, address token) = (_address(topics[1]), _address(topics[2]));
            need(kind == Kind.Withdraw && payee == sender, "a call lowered another's credit");
            need(amount == owed[payee][token], "another amount was paid out than was credited");
            owed[payee][token] = 0;
            kept[token] -= amount;
        } else if (topic == IJobMarket.UpdateSubmitted.selector) {
            (bytes32 commitment,) = abi.decode(data, (bytes32, string));
            _submitted[jobId][uint256(topics[3])] = commitment;
        } else if (topic == IJobMarket.Ended.selector) {
            State state = abi.decode(data, (State));
            _requireDue(kind, jobId);
            _note("ended", state == State.Completed ? "completed" : state == State.Aborted ? "aborted" : "cancelled");
        } else if (topic == IJobMarket.Ejected.selector) {
            (bool strikes,) = abi.decode(data, (bool, uint256));
            --books[jobId].active;
            _note("ejected", strikes ? "for strikes" : "for silence");
        } else {
            _count(topic, books[jobId], jobId);
        }
    }

    function _readCredit(uint256 jobId, address payee, Reason reason, uint256 amount) private {
        Book storage book = books[jobId];
        book.credited += amount;
        bool burnt = reason == Reason.Burnt;
        need(burnt ? payee == address(0) : _known[payee], "somebody unknown was credited");
        if (reason == Reason.Fee) {
            need(payee == book.last.aggregatorPayee, "another was paid than the aggregator that settled");
            book.fees += amount;
        }
        if (burnt) {
            need(book.disputes == book.quorum, "a bond was burnt by fewer disputes than the quorum");
            Terms memory t = market.terms(jobId);
            need(amount == t.bond + (book.last.feeDue ? t.fee : 0), "another amount was burnt than bond and due fee");
            book.burnt += amount;
        }
    }

    function _count(bytes32 topic, Book storage book, uint256 jobId) private {
        if (topic == IJobMarket.Joined.selector) ++book.active;
        else if (topic == IJobMarket.Left.selector) --book.active;
        else if (topic == IJobMarket.RoundSettled.selector) ++book.settled;
        else if (topic == IJobMarket.Disputed.selector) ++book.disputes;
        else if (topic == IJobMarket.KeyPublished.selector) book.keyed = true;
        else if (topic == IJobMarket.TakenOver.selector) (book.taken, book.keyed) = (true, false);
        bool confirming = topic == IJobMarket.ConfirmationOpened.selector;
        if (confirming) _note("opened", "confirmation");
        if (confirming || topic == IJobMarket.RoundOpened.selector) {
            uint256 believed = uint256(market.terms(jobId).maxFaulty) + 1;
            (book.quorum, book.disputes) = (believed < book.active ? believed : book.active, 0);
        }
    }

    /// @dev An end that a deadline allows does not come before it.
    function _requireDue(Kind kind, uint256 jobId) private view {
        Job storage was = books[jobId].last;
        uint256 time = VM.getBlockTimestamp();
        if (kind == Kind.Complete) need(time > was.submitBy, "a job was completed before all could dispute");
        (, uint256 takeable) = _failure(was, market.terms(jobId).takeoverWindow);
        if (kind == Kind.Abort) need(time > takeable, "a job was aborted that could still be taken over");
    }

    /// @return failed the last second in which the aggregator can do its duty; takeable the last for another to take over
    function _failure(Job memory j, uint256 window) internal pure returns (uint256 failed, uint256 takeable) {
        failed = j.keyPublished ? j.settleBy : j.submitBy;
        takeable = failed + (j.takenOver && !j.keyPublished ? 0 : window);
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
                if (books[jobId].token == token) sum += books[jobId].held;
            }
            need(_holds(token) == kept[token], "the balance is not what was paid in, less what was paid out");
            need(sum == kept[token] + _taken(token), "jobs and credits are not what was paid in");
        }
    }

    /// @return sum what the market owes to all payees
    function _checkCredits(address token) private view returns (uint256 sum) {
        for (uint256 i; i < payees.length; ++i) {
            uint256 credit = market.credit(payees[i], token);
            need(credit == owed[payees[i]][token], "a credit is not the sum of what was credited");
            sum += credit;
        }
        uint256 burnt = market.credit(address(0), token);
        need(burnt == owed[address(0)][token], "what was burnt is not what was credited to nobody");
        sum += burnt;
    }

    /// @dev Compares a job with its books and with what it was.
    function _follow(uint256 jobId) internal {
        Book storage book = books[jobId];
        bytes memory terms = _asked(abi.encodeCall(market.terms, (jobId)));
        need(keccak256(terms) == book.termsHash, "terms changed");
        bytes memory words = _asked(abi.encodeCall(market.job, (jobId)));
        if (keccak256(words) != book.lastHash) {
            Job memory j = abi.decode(words, (Job));
            Terms memory t = abi.decode(terms, (Terms));
            if (book.taken) _checkTakeover(book.last, j, t);
            else _checkStep(book.last, j);
            need(j.termsHash == book.termsHash, "the hash of the terms changed");
            need(j.keyPublished == book.keyed, "a key was published by another than the aggregator");
            _checkFees(book, j, t);
            (book.held, book.last, book.lastHash, book.taken) = (_held(t, j), j, keccak256(words), false);
        }
        need(book.held + book.credited == book.paidIn, "a job's money is not what was paid in");
    }

    function _held(Terms memory t, Job memory j) private pure returns (uint256) {
        if (_over(j.state)) {
            need(j.escrow | j.carry | j.active | j.submitted == 0, "a job ended with something in it");
            return 0;
        }
        return uint256(j.escrow) + j.carry + j.active.count() * t.stake + (j.aggregator == address(0) ? 0 : t.bond);
    }

    /// @dev Every struct that the market answers with is static: its encoding is the answer.
    function _asked(bytes memory data) private view returns (bytes memory answer) {
        (, answer) = address(market).staticcall(data);
    }

    function _checkStep(Job memory was, Job memory j) private pure {
        need(!_over(was.state), "an ended job changed");
        need(j.state >= was.state && j.state != State.None, "a job went back");
        need(was.state == State.None || was.owner == j.owner, "an owner changed");
        bool same = was.aggregator == j.aggregator && was.aggregatorPayee == j.aggregatorPayee;
        need(was.aggregator == address(0) || same && was.takenOver == j.takenOver, "an aggregator changed");
        if (was.state < State.Running) return;
        need(j.state != State.Cancelled, "a running job was cancelled");
        need(j.round >= was.round, "a round went back");
        if (j.state == was.state && j.round == was.round) {
            need(j.submitBy == was.submitBy && j.settleBy == was.settleBy, "a deadline moved");
            need(was.submitted & ~j.submitted == 0 && (j.keyPublished || !was.keyPublished), "a deed was undone");
            need(was.disputed & ~j.disputed == 0 && was.feeDue == j.feeDue, "a dispute or a due fee was forgotten");
        }
    }

    function _checkTakeover(Job memory was, Job memory j, Terms memory t) private view {
        need(was.state == State.Running && was.owner == j.owner && was.round == j.round, "another job was taken over");
        (uint256 failed, uint256 takeable) = _failure(was, t.takeoverWindow);
        uint256 time = VM.getBlockTimestamp();
        need(time > failed && time <= takeable, "a job was taken over at the wrong time");
        need(j.takenOver && j.submitted | j.disputed == 0 && !j.feeDue, "a failed round was not begun anew");
        bool opened = j.submitBy == time + t.submitWindow && j.settleBy == time + t.submitWindow + t.settleWindow;
        need(_over(j.state) || opened, "a round that was taken over has other deadlines");
    }

    function _checkFees(Book storage book, Job memory j, Terms memory t) private view {
        uint256 burnt = book.burnt == 0 ? 0 : book.burnt - t.bond;
        uint256 due = j.feeDue ? t.fee : 0;
        need(book.fees + burnt + due == book.settled * t.fee, "a fee was not paid once for each settled round");
        bool none = j.state < State.Confirming && (j.round < 2 || j.emptyRounds != 0 || j.takenOver);
        need(_over(j.state) || j.feeDue || none, "a fee was paid before its sum could be disputed");
        need(
            _over(j.state) || book.disputes < book.quorum || j.state < State.Running, "a quorum of disputes did nothing"
        );
    }

    function _over(State state) internal pure returns (bool) {
        return state > State.Confirming;
    }

    function _holds(address token) internal view returns (uint256) {
        return token == address(0) ? address(market).balance : IERC20(token).balanceOf(address(market));
    }

    /// @return taken what the token took from the market behind its back
    function _taken(address token) internal view virtual returns (uint256 taken);

    function _address(bytes32 topic) private pure returns (address) {
        return address(uint160(uint256(topic)));
    }
}
