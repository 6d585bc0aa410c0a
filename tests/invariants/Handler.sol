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

    // ------------------------------------------------------------------ actions

    function createJob(uint256 seed) external seeded(seed) {
        if (market.jobCount() < JOBS) _create();
    }

    /// @dev Up to six calls that the parties of one job would make next.
    function goOn(uint256 seed) external seeded(seed) {
        if (market.jobCount() == 0) _create();
        uint256 jobId = _living();
        for (uint256 steps = _below(6) + 1; steps != 0 && !_done(jobId); --steps) {
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
        uint256 deadline = _percent(70) ? j.submitBy : j.state == State.Open ? t.enrolBy : j.settleBy;
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

    /// @notice Past the deadlines a stranger ends every job and has all of it claimed, whatever tokens and payees do: the
    /// market then holds the credits and nothing else. Then everybody takes out all that is owed.
    function endAll() external {
        _calm();
        _odd.set(OddToken.Mode.Reverts);
        for (uint256 i = PEOPLE; i < payees.length; ++i) {
            Actor(payable(payees[i])).refuse(true);
        }
        for (uint256 jobId = 1; jobId <= market.jobCount(); ++jobId) {
            _end(jobId);
            _claimAll(jobId);
            need(_books[jobId].held == 0, "2: a job that is claimed holds something");
        }
        _checkAll();
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
            need(calls != 0, "3: a stranger cannot end a job within two calls more than it has rounds");
            Job memory j = market.job(jobId);
            bool ended;
            if (j.state == State.Open) {
                _until(uint256(t.enrolBy) + 1);
                if (_canStart(_books[jobId])) _until(j.submitBy);
                ended = _exit(Kind.Start, jobId) || _exit(Kind.Cancel, jobId);
            } else if (j.state == State.Running) {
                _until(uint256(j.settleBy) + t.takeoverWindow + 1);
                ended = _exit(Kind.Abort, jobId) || _exit(Kind.Skip, jobId);
            } else {
                _until(uint256(j.submitBy) + 1);
                ended = _exit(Kind.Complete, jobId);
            }
            need(ended, "3: a job is stuck");
        }
    }

    /// @dev In any order, and fees before, between or after.
    function _claimAll(uint256 jobId) private {
        Job storage j = _books[jobId].job;
        for (uint256 tries = 1000; !_done(jobId); --tries) {
            need(tries != 0, "3: a stranger cannot have all of a job claimed");
            bool fees = j.claimed == j.members || (j.owed != 0 && _percent(30));
            _exit(fees ? Kind.ClaimFees : Kind.Claim, jobId);
        }
    }

    function _exit(Kind kind, uint256 jobId) private returns (bool) {
        return _call(kind, jobId, _token(jobId), STRANGER, 0, _data(kind, jobId, STRANGER));
    }

    /// @dev What was seized cannot be taken out; the credit of who comes too late stays.
    function _takeOut(address payee, address token) private {
        bool there = owed[payee][token] <= _holds(token);
        bool out = _call(Kind.Withdraw, 0, token, payee, 0, abi.encodeCall(market.withdraw, (token)));
        need(out == there, "a credit cannot be taken out");
    }

    function _seizedOf(address token) internal view override returns (uint256) {
        return token == address(_seizing) ? _seized : 0;
    }

    // ------------------------------------------------------------------ steps

    function _create() private {
        Terms memory t = _terms();
        _odds_(t.token, 60);
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
        if (_over(j.state) && j.owed != 0 && _percent(60)) return _withdrawWithin(jobId);
        if (!_over(j.state) && j.owed != 0 && _percent(4)) return _act(Kind.ClaimFees, jobId, STRANGER); // too early
        if (j.state == State.Confirming) _untilRevealed(kind, j);
        if (kind == Kind.DisputeRows && _percent(j.takenOverIn > 1 ? 95 : 10)) return _disputeAllRows(jobId, j);
        if (kind == Kind.Submit) {
            if (_percent(8)) return _until(uint256(j.submitBy) + 1);
            if (_percent(_has(_books[jobId], _struck(jobId, t), sender) ? 25 : 4)) {
                return _act(Kind.Leave, jobId, sender);
            }
            if (_percent(4)) return _act(Kind.Dispute, jobId, sender);
            if (_percent(j.active.count() <= t.maxFaulty ? 40 : 3)) return _disputeAll(jobId, j);
            if (t.maxFaulty != 0 && _percent(j.submitted == 0 ? 8 : 0)) return _leaveToFew(jobId, t, j);
        }
        if (kind == Kind.Redeliver && _percent(25)) return _until(uint256(j.submitBy) + 1);
        if (j.state == State.Running && _percent(j.endAsked ? 1 : 5)) (kind, sender) = (Kind.AskEnd, j.owner);
        if (kind == Kind.Publish && _percent(j.settled != 0 ? 45 : 6)) return _until(uint256(j.submitBy) + 1);
        kind = _atDeadline(kind, t, j);
        _act(kind, jobId, kind == Kind.TakeOver ? _anybody() : sender);
    }

    /// @dev So many leave that all who are left are no more than may be faulty.
    function _leaveToFew(uint256 jobId, Terms memory t, Job memory j) private {
        uint256 left = j.active.count();
        for (uint8 slot; left > t.maxFaulty; ++slot) {
            if (!j.active.has(slot)) continue;
            _act(Kind.Leave, jobId, market.trainer(jobId, slot).operator);
            --left;
        }
    }

    /// @dev All who can: some, after the fees are burnt, that cost the bond.
    function _disputeAllRows(uint256 jobId, Job memory j) private {
        uint32 able = _openers(_books[jobId]) & ~j.rowsDisputed;
        for (uint8 slot; able >> slot != 0; ++slot) {
            if (able.has(slot)) _act(Kind.DisputeRows, jobId, market.trainer(jobId, slot).operator);
        }
    }

    /// @dev Some disputes of rows come when nothing can be revealed any more, or in the last second in which it can; few too late.
    function _untilRevealed(Kind kind, Job memory j) private {
        if (kind == Kind.DisputeRows && _percent(5)) _until(uint256(j.submitBy) + 1);
        if (kind == Kind.Reveal && _percent(15)) _until(j.settleBy + _below(2));
        if (kind == Kind.DisputeRows && _percent(j.keyPublished ? 40 : 80)) _until(j.settleBy + _below(3));
    }

    /// @return slots those whose strikes cost a slash
    function _struck(uint256 jobId, Terms memory t) private view returns (uint32 slots) {
        for (uint256 slot; slot < t.maxTrainers; ++slot) {
            if (_books[jobId].seats[slot].strikes >= t.maxStrikes) slots = slots.with(slot);
        }
    }

    /// @dev Fees wait in few jobs and not for long: they are claimed within a payment of another job, where one is due.
    function _withdrawWithin(uint256 jobId) private {
        uint256 at = _below(payees.length);
        for (uint256 i = 1; i <= market.jobCount(); ++i) {
            address token = _token(i);
            if (token != address(0) && token != address(_hooked)) continue;
            for (uint256 k; k < payees.length; ++k) {
                address payee = payees[(at + k) % payees.length];
                bool called = token != address(0) || _isContract(payee);
                if (called && owed[payee][token] != 0) return _act(Kind.Withdraw, i, payee);
            }
        }
        _act(Kind.Claim, jobId, STRANGER);
    }

    /// @dev All who can, until that ends the job or is enough.
    function _disputeAll(uint256 jobId, Job memory j) private {
        uint32 able = j.active & ~j.submitted & ~j.disputed;
        for (uint8 slot; able >> slot != 0 && market.job(jobId).state == State.Running; ++slot) {
            if (able.has(slot)) _act(Kind.Dispute, jobId, market.trainer(jobId, slot).operator);
        }
    }

    /// @dev Some calls come in the last second before they may, or in the first after they might.
    function _atDeadline(Kind kind, Terms memory t, Job memory j) private returns (Kind) {
        if (kind == Kind.Complete) _until(j.submitBy + _below(2));
        // The owner at any time; to who is not, the last second before the delay is over is too early.
        if (kind == Kind.Start && _percent(70)) _until(j.submitBy - (j.submitBy == 0 ? 0 : _below(2)));
        if (kind == Kind.Abort && _percent(20)) return Kind.TakeOver;
        if (kind == Kind.VoidRound && _percent(10)) _until(j.settleBy + _below(2));
        if (kind == Kind.Settle && _percent(j.settled == 0 ? 20 : j.takenOverIn == 0 ? 60 : j.delivering ? 40 : 8)) {
            _until(j.settleBy + _below(2));
            return _percent(80) ? Kind.TakeOver : Kind.Settle;
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
            if (_canStart(_books[jobId]) && _percent(96)) return (Kind.Start, _percent(80) ? STRANGER : j.owner);
            if (time > t.enrolBy) return (Kind.Cancel, STRANGER);
            if (j.aggregator == address(0)) return (Kind.Accept, _sender(Kind.Accept, jobId));
            return (Kind.Join, _anybody());
        }
        if (j.state == State.Confirming) return _nextConfirming(jobId, j);
        if (j.state != State.Running) {
            if (_percent(5)) return (Kind.RevealValidation, j.owner);
            // Some that are burnt, or claimed already.
            bool fees = j.owed != 0 ? j.claimed == j.members || _percent(15) : j.settledBefore != 0 && _percent(25);
            return (fees ? Kind.ClaimFees : Kind.Claim, STRANGER);
        }
        (uint256 failed, uint256 takeable) = _failure(j, t.takeoverWindow);
        uint32 delivered = _delivered(_books[jobId]);
        if (time > failed && (delivered != 0 || !j.keyPublished)) {
            return time > takeable ? (Kind.Abort, STRANGER) : (Kind.TakeOver, _anybody());
        }
        if (!j.keyPublished) {
            return j.takenOverIn != 0 && _percent(40) ? (Kind.HandOver, j.owner) : (Kind.Publish, j.aggregator);
        }
        if (!_complete(_books[jobId]) && time <= j.submitBy) {
            Kind kind = j.delivering ? Kind.Redeliver : Kind.Submit;
            return (kind, _sender(kind, jobId));
        }
        if (delivered == 0) return (Kind.Skip, STRANGER);
        return (_percent(j.delivering ? 40 : 12) ? Kind.VoidRound : Kind.Settle, j.aggregator);
    }

    /// @dev Seldom what rows that nobody has to show are not for.
    function _nextConfirming(uint256 jobId, Job memory j) private returns (Kind, address) {
        bool over = VM.getBlockTimestamp() > j.submitBy;
        if (!over) {
            bool due = _rowsDue(_books[jobId]);
            bool open = due && VM.getBlockTimestamp() <= j.settleBy;
            if (_percent(!open ? 5 : j.revealed ? 12 : 25)) return (Kind.Reveal, _sender(Kind.Reveal, jobId));
            bool some = _openers(_books[jobId]) & ~j.rowsDisputed != 0;
            if (some && _percent(!due ? 8 : j.disputedRows || j.takenOverIn > 1 ? 85 : 50)) {
                return (Kind.DisputeRows, _sender(Kind.DisputeRows, jobId));
            }
        }
        bool all = j.disputed == j.active || !j.keyPublished || (j.disputedSum && _percent(80));
        if (over || all || _percent(40)) return (Kind.Complete, STRANGER);
        return (Kind.Dispute, _sender(Kind.Dispute, jobId));
    }

    function _act(Kind kind, uint256 jobId, address sender) private {
        address token = _token(jobId);
        bool deposits = kind == Kind.Accept || kind == Kind.TakeOver || kind == Kind.Join;
        Terms memory t = market.terms(jobId);
        uint256 value;
        if (deposits && token == address(0)) value = kind == Kind.Join ? t.stake : t.bond;
        if (deposits && _percent(1)) ++value;
        bytes memory data = _data(kind, jobId, sender);
        bool moves = deposits || kind == Kind.Withdraw;
        if (moves) _odds_(token, kind == Kind.Withdraw ? 40 : 60);
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
                    Kind.Reveal,
                    Kind.DisputeRows,
                    Kind.Complete,
                    Kind.Claim,
                    Kind.AskEnd
                ][_below(13)];
                bool owners = _planned == Kind.Cancel || _planned == Kind.AskEnd;
                natural = owners ? market.job(jobId).owner : sender;
            }
            if (natural == STRANGER || (token == address(0) && _isContract(natural))) natural = sender;
            if (_isContract(natural)) break;
        }
        (other, natural) = _planSeldom(other, natural);
        if (!_isContract(natural)) natural = payees[PEOPLE + _below(CONTRACTS)];
        _planner = Actor(payable(natural));
        _planner.prepare(address(market), _data(_planned, other, natural));
        if (token != address(0)) _hooked.tell(_planner);
    }

    /// @dev What few jobs are ripe for, where one is; else what was planned.
    function _planSeldom(uint256 planned, address sender) private returns (uint256 other, address natural) {
        (other, natural) = (planned, sender);
        for (uint256 i = 1; i <= market.jobCount(); ++i) {
            Job memory j = market.job(i);
            if (j.state != State.Running || j.endAsked || !_isContract(j.owner) || _percent(80)) continue;
            (_planned, other, natural) = (Kind.AskEnd, i, j.owner); // once a job, and by one party
        }
        for (uint256 i = 1; i <= market.jobCount(); ++i) {
            Job memory j = market.job(i);
            bool late = VM.getBlockTimestamp() > j.submitBy;
            if (j.state != State.Confirming || _percent(10)) continue;
            Kind kind = late ? Kind.Complete : _percent(55) ? Kind.Reveal : Kind.DisputeRows;
            if (!late && (!_rowsDue(_books[i]) || _percent(15))) kind = Kind.Dispute;
            address by = _sender(kind, i);
            for (uint256 tries; tries < 4 && !_isContract(by); ++tries) {
                by = _sender(kind, i);
            }
            if (_isContract(by)) (_planned, other, natural) = (kind, i, by);
        }
        for (uint256 i = 1; i <= market.jobCount(); ++i) {
            Job memory j = market.job(i);
            bool late = VM.getBlockTimestamp() > j.submitBy;
            if (j.state != State.Running || _percent(20)) continue;
            if (j.delivering && j.undelivered != 0 && !late) {
                address by = _sender(Kind.Redeliver, i);
                if (_isContract(by)) (_planned, other, natural) = (Kind.Redeliver, i, by);
            } else if (_delivered(_books[i]) != 0 && (late || _complete(_books[i])) && _isContract(j.aggregator)) {
                if (_percent(20)) (_planned, other, natural) = (Kind.VoidRound, i, j.aggregator);
            }
        }
        for (uint256 i = 1; i <= market.jobCount(); ++i) {
            if (_done(i) || !_over(i) || market.job(i).owed == 0 || _percent(5)) continue;
            (_planned, other) = (Kind.ClaimFees, i); // seldom open to anybody
        }
    }

    function _noteNested() private {
        bool moves = _planned <= Kind.Join || _planned == Kind.Withdraw;
        need(!moves || !_planner.succeeded(), "a call that moves money was made within another");
        _note(_planner.succeeded() ? "nested" : "nested, refused", _name(_planned));
    }

    function _calm() private {
        if (address(_planner) != address(0)) {
            _planner.prepare(address(0), "");
            _hooked.tell(Actor(payable(address(0))));
            _planner = Actor(payable(address(0)));
        }
        _gram.setValid(true);
    }

    function _odds_(address token, uint256 honest) private {
        if (token == address(_odd)) _odd.set(_percent(honest) ? OddToken.Mode.Honest : OddToken.Mode(_below(7)));
    }

    function _until(uint256 time) private {
        if (time > VM.getBlockTimestamp()) VM.warp(time);
    }

    function _token(uint256 jobId) private view returns (address) {
        return market.terms(jobId).token;
    }

    /// @dev A job that is not over, or not claimed, if there is one.
    function _living() private returns (uint256 jobId) {
        uint256 jobs = market.jobCount();
        jobId = 1 + _below(jobs);
        for (uint256 i; i < jobs && _done(jobId); ++i) {
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
