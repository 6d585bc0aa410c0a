// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Job, State, Terms} from "../../contracts/interfaces/IJobMarket.sol";
import {Slots} from "../../contracts/libraries/Slots.sol";
import {Actor} from "../../contracts/test/Actor.sol";
import {OddToken} from "../../contracts/test/OddToken.sol";
import {Kind} from "./Ledger.sol";
import {Parties} from "./Parties.sol";
import {VM} from "./Vm.sol";

/// @title What forge calls at random: the market's calls by anybody at any time, and well-behaved parties who go on
contract Handler is Parties {
    using Slots for uint32;

    uint256 private constant JOBS = 8;
    string private constant REACH = "build/forge/reach.txt";

    uint256 private _seized;
    Kind private _planned;
    uint256 private _plannedJob;
    Actor private _planner;

    // ------------------------------------------------------------------ actions

    function createJob(uint256 seed) external seeded(seed) {
        if (market.jobCount() < JOBS) _create();
    }

    /// @dev Up to six calls that the parties of one job would make next.
    function goOn(uint256 seed) external seeded(seed) {
        if (market.jobCount() == 0) _create();
        uint256 jobId = _living();
        for (uint256 steps = _below(6) + 1; steps != 0 && !_over(jobId); --steps) {
            _step(jobId);
        }
    }

    function anyCall(uint256 seed) external seeded(seed) {
        if (market.jobCount() == 0) return;
        uint256 jobId = 1 + _below(market.jobCount());
        Kind kind = Kind(1 + _below(KINDS - 1));
        _act(kind, jobId, _percent(60) ? _sender(kind, jobId) : _anybody());
    }

    function withdraw(uint256 seed) external seeded(seed) {
        if (market.jobCount() == 0) return;
        uint256 jobId = 1 + _below(market.jobCount());
        uint256 at = _below(payees.length);
        for (uint256 i; i < payees.length && owed[payees[at]][_token(jobId)] == 0; ++i) {
            at = (at + 1) % payees.length;
        }
        _act(Kind.Withdraw, jobId, payees[at]);
    }

    /// @dev Moves the clock to a deadline of a job, or just past it.
    function wait_(uint256 seed) external seeded(seed) {
        if (market.jobCount() == 0) return;
        uint256 jobId = _living();
        Job memory j = market.job(jobId);
        Terms memory t = market.terms(jobId);
        uint256 deadline = j.state == State.Open ? t.enrolBy : _percent(70) ? j.submitBy : j.settleBy;
        if (j.state == State.Running && _percent(10)) (, deadline) = _failure(j, t.takeoverWindow);
        _until(deadline + _below(2));
    }

    function seize(uint256 seed) external seeded(seed) {
        uint256 held = _seizing.balanceOf(address(market));
        if (held == 0 || !_percent(20)) return;
        uint256 amount = 1 + _below(held);
        _seizing.seize(address(market), amount);
        kept[address(_seizing)] -= amount;
        _seized += amount;
    }

    // ------------------------------------------------------------------ what is checked

    function check() external {
        _checkAll();
    }

    /// @notice Past the deadlines a stranger ends every job, whatever tokens and payees do; then everybody takes out all
    /// that is owed, and the market is empty.
    function endAll() external {
        _calm();
        _odd.set(OddToken.Mode.Reverts);
        for (uint256 i = PEOPLE; i < payees.length; ++i) {
            Actor(payable(payees[i])).refuse(true);
        }
        for (uint256 jobId = 1; jobId <= market.jobCount(); ++jobId) {
            _end(jobId);
        }
        _odd.set(OddToken.Mode.Honest);
        for (uint256 i; i < payees.length; ++i) {
            if (i >= PEOPLE) Actor(payable(payees[i])).refuse(false);
            for (uint256 k; k < tokens.length; ++k) {
                if (owed[payees[i]][tokens[k]] != 0) _takeOut(payees[i], tokens[k]);
            }
        }
        _checkAll();
        for (uint256 k; k < tokens.length; ++k) {
            bool empty = _holds(tokens[k]) == owed[address(0)][tokens[k]];
            need(empty || tokens[k] == address(_seizing), "the market holds more than what was burnt");
        }
    }

    function _end(uint256 jobId) private {
        Terms memory t = market.terms(jobId);
        for (uint256 calls = uint256(t.rounds) + 2; !_over(jobId); --calls) {
            need(calls != 0, "a stranger cannot end a job within two calls more than it has rounds");
            Job memory j = market.job(jobId);
            bool ended;
            if (j.state == State.Open) {
                _until(uint256(t.enrolBy) + 1);
                ended = _exit(Kind.Start, jobId) || _exit(Kind.Cancel, jobId);
            } else if (j.state == State.Running) {
                _until(uint256(j.settleBy) + t.takeoverWindow + 1);
                ended = _exit(Kind.Abort, jobId) || _exit(Kind.Skip, jobId);
            } else {
                _until(uint256(j.submitBy) + 1);
                ended = _exit(Kind.Complete, jobId);
            }
            need(ended, "a job is stuck");
        }
    }

    function _exit(Kind kind, uint256 jobId) private returns (bool) {
        return _call(kind, jobId, _token(jobId), STRANGER, 0, _data(kind, jobId));
    }

    /// @dev What was seized cannot be taken out; the credit of who comes too late stays.
    function _takeOut(address payee, address token) private {
        bool there = owed[payee][token] <= _holds(token);
        bool out = _call(Kind.Withdraw, 0, token, payee, 0, abi.encodeCall(market.withdraw, (token)));
        need(out == there, "a credit cannot be taken out");
    }

    function _taken(address token) internal view override returns (uint256) {
        return token == address(_seizing) ? _seized : 0;
    }

    // ------------------------------------------------------------------ steps

    function _create() private {
        Terms memory t = _terms();
        _odds_(t.token);
        uint256 value = t.token == address(0) ? uint256(t.rounds) * (uint256(t.reward) + t.fee) : 0;
        bytes memory data = abi.encodeCall(market.createJob, (t, bytes32(uint256(1)), "spec"));
        _call(Kind.Create, 0, t.token, _anybody(), value, data);
    }

    /// @dev Makes the next call of well-behaved parties, but for some who stay silent or leave.
    function _step(uint256 jobId) private {
        Terms memory t = market.terms(jobId);
        Job memory j = market.job(jobId);
        (Kind kind, address sender) = _next(jobId, t, j);
        if (kind == Kind.Join && j.active.count() >= t.minTrainers && _percent(10)) {
            return _until(uint256(t.enrolBy) + 1);
        }
        if (kind == Kind.Submit) {
            if (_percent(8)) return _until(uint256(j.submitBy) + 1);
            if (_percent(4)) return _act(Kind.Leave, jobId, sender);
            if (_percent(4)) return _act(Kind.Dispute, jobId, sender);
        }
        if (kind == Kind.Publish && _percent(6)) return _until(uint256(j.submitBy) + 1);
        kind = _atDeadline(kind, t, j);
        _act(kind, jobId, kind == Kind.TakeOver ? _anybody() : sender);
    }

    /// @dev Some calls come in the last second before they may, or in the first after they might.
    function _atDeadline(Kind kind, Terms memory t, Job memory j) private returns (Kind) {
        if (kind == Kind.Complete) _until(j.submitBy + _below(2));
        if (kind == Kind.Abort && _percent(20)) return Kind.TakeOver;
        if (kind == Kind.Settle && _percent(12)) {
            _until(j.settleBy + _below(2));
            return Kind.TakeOver;
        }
        if (kind == Kind.TakeOver && _percent(25)) {
            (, uint256 takeable) = _failure(j, t.takeoverWindow);
            _until(takeable + _below(2));
            return _percent(50) ? Kind.TakeOver : Kind.Abort;
        }
        return kind;
    }

    function _next(uint256 jobId, Terms memory t, Job memory j) private returns (Kind, address) {
        uint256 time = VM.getBlockTimestamp();
        if (j.state == State.Open) {
            if (_startable(jobId)) return (Kind.Start, STRANGER);
            if (time > t.enrolBy) return (Kind.Cancel, STRANGER);
            if (j.aggregator == address(0)) return (Kind.Accept, _sender(Kind.Accept, jobId));
            return (Kind.Join, _anybody());
        }
        if (j.state == State.Confirming) {
            if (time > j.submitBy || _percent(30)) return (Kind.Complete, STRANGER);
            Kind kind = _percent(60) ? Kind.Dispute : Kind.Leave;
            return (kind, _sender(kind, jobId));
        }
        if (j.state != State.Running) return (Kind.Reveal, j.owner);
        (uint256 failed, uint256 takeable) = _failure(j, t.takeoverWindow);
        if (time > failed && (j.submitted != 0 || !j.keyPublished)) {
            return time > takeable ? (Kind.Abort, STRANGER) : (Kind.TakeOver, _anybody());
        }
        if (!j.keyPublished) {
            return j.takenOver && _percent(40) ? (Kind.HandOver, j.owner) : (Kind.Publish, j.aggregator);
        }
        if (j.active != j.submitted && time <= j.submitBy) return (Kind.Submit, _sender(Kind.Submit, jobId));
        if (j.submitted == 0) return (Kind.Skip, STRANGER);
        return (Kind.Settle, j.aggregator);
    }

    function _act(Kind kind, uint256 jobId, address sender) private {
        address token = _token(jobId);
        bool deposits = kind == Kind.Accept || kind == Kind.TakeOver || kind == Kind.Join;
        Terms memory t = market.terms(jobId);
        uint256 value;
        if (deposits && token == address(0)) value = kind == Kind.Join ? t.stake : t.bond;
        if (deposits && _percent(1)) ++value;
        bytes memory data = _data(kind, jobId);
        bool moves = deposits || kind == Kind.Withdraw;
        if (moves) _odds_(token);
        bool calls = token == address(_hooked) || (token == address(0) && _isContract(sender) && kind == Kind.Withdraw);
        if (moves && calls && _percent(70)) _plan(jobId, sender, token);
        bool refuses = kind == Kind.Withdraw && token == address(0) && _isContract(sender) && _percent(20);
        if (refuses) Actor(payable(sender)).refuse(true);
        if (kind == Kind.Settle && _percent(3)) _gram.setValid(false);

        bool owedSome = owed[sender][token] != 0;
        bool ok = _call(kind, jobId, token, sender, value, data);

        need(!(refuses && owedSome && ok), "a payee was paid that refuses");
        if (refuses && owedSome) _note("payee", "refused");
        if (moves && token == address(_odd)) {
            _note(ok ? "odd token taken in mode" : "odd token refused in mode", VM.toString(uint256(_odd.mode())));
        }
        if (ok && address(_planner) != address(0) && _planner.reacted()) _noteNested();
        if (refuses) Actor(payable(sender)).refuse(false);
        _calm();
        if (kind != Kind.Withdraw) _follow(jobId);
    }

    /// @dev Within the next transfer of the job the market is called back: with what comes next in some job, or with what
    /// the job is in the midst of.
    function _plan(uint256 jobId, address sender, address token) private {
        address natural = sender;
        uint256 other = jobId;
        for (uint256 tries; tries < 4; ++tries) {
            if (_percent(50)) {
                other = _living();
                (_planned, natural) = _next(other, market.terms(other), market.job(other));
            } else {
                _planned = [
                    Kind.Leave,
                    Kind.Start,
                    Kind.Cancel,
                    Kind.Withdraw,
                    Kind.Join,
                    Kind.Create,
                    Kind.TakeOver,
                    Kind.Dispute,
                    Kind.Complete
                ][_below(9)];
                natural = _planned == Kind.Cancel ? market.job(jobId).owner : sender;
            }
            if (natural == STRANGER || (token == address(0) && _isContract(natural))) natural = sender;
            if (_isContract(natural)) break;
        }
        if (!_isContract(natural)) natural = payees[PEOPLE + _below(CONTRACTS)];
        _plannedJob = other;
        _planner = Actor(payable(natural));
        _planner.prepare(address(market), _data(_planned, other));
        if (token != address(0)) _hooked.tell(_planner);
    }

    function _noteNested() private {
        bool moves = _planned <= Kind.Join || _planned == Kind.Withdraw;
        need(!moves || !_planner.succeeded(), "a call that moves money was made within another");
        _note(_planner.succeeded() ? "nested" : "nested, refused", _name(_planned));
        _follow(_plannedJob);
    }

    function _calm() private {
        if (address(_planner) != address(0)) {
            _planner.prepare(address(0), "");
            _hooked.tell(Actor(payable(address(0))));
            _planner = Actor(payable(address(0)));
        }
        _gram.setValid(true);
    }

    function _odds_(address token) private {
        if (token == address(_odd)) _odd.set(_percent(60) ? OddToken.Mode.Honest : OddToken.Mode(_below(7)));
    }

    function _until(uint256 time) private {
        if (time > VM.getBlockTimestamp()) VM.warp(time);
    }

    function _token(uint256 jobId) private view returns (address) {
        return market.terms(jobId).token;
    }

    /// @dev A job that is not over, if there is one.
    function _living() private returns (uint256 jobId) {
        uint256 jobs = market.jobCount();
        jobId = 1 + _below(jobs);
        for (uint256 i; i < jobs && _over(jobId); ++i) {
            jobId = 1 + jobId % jobs;
        }
    }

    // ------------------------------------------------------------------ reach

    /// @notice Adds a line of counts to the file that tests/invariants/reach.py adds up.
    function report() external {
        string memory line;
        for (uint256 i; i < _reached.length; ++i) {
            line = string.concat(line, _reached[i], "=", VM.toString(_times[_reached[i]]), ";");
        }
        VM.writeLine(REACH, line);
    }
}
