// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobMarket, Job, Reason, Settlement, State, Terms, Trainer} from "../../contracts/interfaces/IJobMarket.sol";
import {Slots} from "../../contracts/libraries/Slots.sol";
import {Exact} from "./Exact.sol";
import {VM} from "./Vm.sol";

/// @title Each job as docs/security/job-market.tree has it, rebuilt from the market's events alone
/// @dev An event that says what somebody did is checked against the rules, moves the books, and puts down which events have to
/// follow, to the unit and in which order. Sums are computed anew from all members each time. `cancel`, `complete` and `abort`
/// have no event of their own: the first that they cause names them, by the job's state. A broken rule reverts with a sentence.
abstract contract Books {
    using Slots for uint32;

    struct Book {
        Terms terms;
        Job job; // what the market has to say of it
        uint256 paidIn;
        uint256 credited;
        uint256 held; // in the job, when it was compared last
        uint256 rest; // what of the pot does not divide, once the job is over
        bool feesBurnt;
        uint128 lost; // the reward of the round that voids ended
        mapping(uint256 slot => Trainer) seats;
        mapping(uint256 slot => uint256) opened; // rounds
        mapping(uint256 slot => uint256) pays; // once the job is over
        mapping(uint256 slot => bytes32) submitted; // last
        mapping(address payee => uint256) owed; // rounds settled before a takeover
        mapping(address operator => uint256) invitedUntil; // by the gate, 0: never
    }

    uint256 private constant BPS = 10_000;

    address[] public payees; // whoever can be credited
    mapping(address payee => mapping(address token => uint256)) public owed;
    mapping(address token => uint256) public kept; // paid in, less paid out, less what the token itself took away
    mapping(uint256 jobId => Book) internal _books;
    mapping(address payee => bool) internal _known;
    string[] internal _reached; // what happened in this run
    mapping(string what => uint256) internal _times;

    uint256 private _jobs;
    bytes32[] private _due; // hashes of the events that have to follow
    uint256 private _met; // how many of them did

    function need(bool holds, string memory broken) internal pure {
        if (!holds) revert(broken);
    }

    function _note(string memory kind, string memory what) internal {
        string memory name = string.concat(kind, " ", what);
        if (_times[name]++ == 0) _reached.push(name);
    }

    // ------------------------------------------------------------------ one event

    /// @param by who made the call
    function _read(bytes32[] memory topics, bytes memory data, address by) internal {
        if (topics[0] == IJobMarket.Withdrawn.selector) return _withdrawn(topics, data, by);
        bool told = _nothingDue() && _deed(topics, data, by);
        if (topics[0] == IJobMarket.Credited.selector) _credited(topics, data);
        if (told) return;
        bytes32 hash = keccak256(abi.encodePacked(topics, data));
        if (_nothingDue() || _due[_met] != hash) revert(_unexpected(topics[0], data));
        ++_met;
    }

    /// @dev Whether all that the events so far cause has followed: the next one is another call's.
    function _nothingDue() internal view returns (bool) {
        return _met == _due.length;
    }

    function _forgetDue() internal {
        delete _due;
        _met = 0;
    }

    function _unexpected(bytes32 topic, bytes memory data) private pure returns (string memory) {
        if (topic == IJobMarket.Credited.selector) {
            (, Reason reason) = abi.decode(data, (uint256, Reason));
            return string.concat("not what the rules credit: ", _reason(reason));
        }
        if (topic == IJobMarket.Ejected.selector) return "not whom the rules eject, or not at their price";
        if (topic == IJobMarket.RoundOpened.selector) return "not the round that the rules open";
        if (topic == IJobMarket.ConfirmationOpened.selector) return "not the confirmation that the rules open";
        if (topic == IJobMarket.Unrevealed.selector) return "rows were revealed, or nobody had to";
        if (topic == IJobMarket.Ended.selector) return "not the end, or not the pot, that the rules have";
        return "something else has to follow";
    }

    function _reason(Reason reason) private pure returns (string memory) {
        return ["pay", "fee", "stake", "bond", "compensation", "refund", "burnt"][uint256(reason)];
    }

    function _credited(bytes32[] memory topics, bytes memory data) private {
        (uint256 amount, Reason reason) = abi.decode(data, (uint256, Reason));
        address payee = _address(topics[2]);
        need(payee == address(0) ? reason == Reason.Burnt : _known[payee], "somebody unknown was credited");
        _books[uint256(topics[1])].credited += amount;
        owed[payee][_address(topics[3])] += amount;
        _note("credited", _reason(reason));
    }

    function _withdrawn(bytes32[] memory topics, bytes memory data, address by) private {
        uint256 amount = abi.decode(data, (uint256));
        (address payee, address token) = (_address(topics[1]), _address(topics[2]));
        need(payee == by, "a call lowered another's credit");
        need(amount == owed[payee][token], "another amount was paid out than was credited");
        owed[payee][token] = 0;
        kept[token] -= amount;
    }

    /// @return told whether the event says what was done; else it is the first that follows
    function _deed(bytes32[] memory topics, bytes memory data, address by) private returns (bool told) {
        bytes32 topic = topics[0];
        uint256 jobId = uint256(topics[1]);
        Book storage b = _books[jobId];
        told = true;
        if (topic == IJobMarket.JobCreated.selector) _created(jobId, data, by);
        else if (topic == IJobMarket.AggregationAccepted.selector) _accepted(b, _address(topics[2]), data, by);
        else if (topic == IJobMarket.Joined.selector) _joined(b, uint256(topics[2]), _address(topics[3]), data, by);
        else if (topic == IJobMarket.Left.selector) _left(jobId, b, uint256(topics[2]), by);
        else if (topic == IJobMarket.Started.selector) _started(jobId, b, by);
        else if (topic == IJobMarket.KeyPublished.selector) _keyed(b, by);
        else if (topic == IJobMarket.UpdateSubmitted.selector) _submit(b, topics, data, by);
        else if (topic == IJobMarket.RoundSettled.selector) _settled(jobId, b, uint256(topics[2]), data, by);
        else if (topic == IJobMarket.RoundVoided.selector) _void(jobId, b, uint256(topics[2]), data, by);
        else if (topic == IJobMarket.Redelivered.selector) _redeliver(b, topics, by);
        else if (topic == IJobMarket.RoundSkipped.selector) _skipped(jobId, b, uint256(topics[2]));
        else if (topic == IJobMarket.EndAsked.selector) _asked(b, by);
        else if (topic == IJobMarket.Disputed.selector) _dispute(jobId, b, topics, by);
        else if (topic == IJobMarket.Revealed.selector) _reveal(b, _address(topics[2]), by);
        else if (topic == IJobMarket.RowsDisputed.selector) _disputeRows(jobId, b, topics, by);
        else if (topic == IJobMarket.TakenOver.selector) _taken(jobId, b, topics, data, by);
        else if (topic == IJobMarket.HandedOver.selector) _handed(b, _address(topics[2]), by);
        else if (topic == IJobMarket.Claimed.selector) _claim(jobId, b, uint256(topics[2]), data);
        else if (topic == IJobMarket.FeesClaimed.selector) _claimFees(jobId, b, _address(topics[2]), data);
        else if (topic == IJobMarket.OpeningShown.selector) _shown(b, uint256(topics[3]), by);
        else if (topic == IJobMarket.ValidationRevealed.selector) _told(b, by);
        else told = false;
        if (!told) _silent(jobId, b, by);
    }

    // ------------------------------------------------------------------ enrolling

    function _created(uint256 jobId, bytes memory data, address by) private {
        (Terms memory t,,) = abi.decode(data, (Terms, bytes32, string));
        Book storage b = _books[jobId];
        need(jobId == ++_jobs, "jobs are not counted up");
        b.terms = t;
        (b.job.owner, b.job.state, b.job.rate) = (by, State.Open, t.rate);
        b.job.termsHash = keccak256(abi.encode(t));
        b.job.escrow = uint128(uint256(t.rounds) * (uint256(t.reward) + t.fee));
        _paid(b, b.job.escrow);
    }

    function _accepted(Book storage b, address aggregator, bytes memory data, address by) private {
        (address payee,) = abi.decode(data, (address, bytes32));
        Job storage j = b.job;
        need(j.state == State.Open && _now() <= b.terms.enrolBy, "an aggregator came at another time");
        need(j.aggregator == address(0) && aggregator == by, "an aggregator was replaced");
        need(b.terms.aggregator == address(0) || b.terms.aggregator == by, "another aggregator than the terms name");
        (j.aggregator, j.aggregatorPayee, j.bonded) = (by, payee, true);
        _paid(b, b.terms.bond);
    }

    function _joined(Book storage b, uint256 slot, address operator, bytes memory data, address by) private {
        (address payee,) = abi.decode(data, (address, bytes32));
        Job storage j = b.job;
        need(j.state == State.Open && _now() <= b.terms.enrolBy, "a trainer came at another time");
        need(slot < b.terms.maxTrainers && !j.active.has(slot), "a slot that is taken, or not there");
        for (uint256 i; i < slot; ++i) {
            need(j.active.has(i), "a lower slot was free");
        }
        need(operator == by && _slotOf(b, by) == 32, "a trainer joined twice");
        bool gated = b.terms.gate != address(0);
        need(!gated || _now() <= b.invitedUntil[by], "9: a trainer joined whom the gate did not let in");
        if (gated) _note("joined", b.terms.gate.code.length == 0 ? "by a key's ticket" : "by a contract's ticket");
        j.active = j.active.with(slot);
        b.seats[slot].operator = operator;
        (b.seats[slot].payee, b.seats[slot].staked) = (payee, true);
        j.submitBy = uint40(_now() + b.terms.startDelay);
        _paid(b, b.terms.stake);
    }

    function _left(uint256 jobId, Book storage b, uint256 slot, address by) private {
        Job storage j = b.job;
        need(j.active.has(slot) && b.seats[slot].operator == by, "somebody else's slot was given up");
        j.active = j.active.without(slot);
        address payee = b.seats[slot].payee;
        if (j.state == State.Open) {
            delete b.seats[slot];
            return _credit(jobId, payee, b.terms.stake, Reason.Stake);
        }
        _requireFree(b, slot);
        need(j.state == State.Running, "a trainer left at another time");
        bool owes = b.seats[slot].strikes >= b.terms.maxStrikes;
        b.seats[slot].staked = owes;
        _note("left", owes ? "with a stake that waits" : "with the stake");
        if (!owes) _credit(jobId, payee, b.terms.stake, Reason.Stake);
        if (j.active == 0) {
            _note("left", "as the last one");
            _finish(jobId, b, State.Aborted);
        }
    }

    function _started(uint256 jobId, Book storage b, address by) private {
        need(_canStart(b), "a job was started that cannot start");
        bool early = _now() < b.job.submitBy;
        need(!early || by == b.job.owner, "a job was started before all could see who joined");
        if (b.terms.startDelay != 0) _note("started", early ? "by the owner at once" : "after a delay");
        (b.job.state, b.job.members) = (State.Running, b.job.active);
        _open(jobId, b, 1);
    }

    function _canStart(Book storage b) internal view returns (bool) {
        uint256 trainers = b.job.active.count();
        bool late = _now() > b.terms.enrolBy;
        bool enough = trainers == b.terms.maxTrainers || (late && trainers >= b.terms.minTrainers);
        return b.job.state == State.Open && b.job.aggregator != address(0) && enough;
    }

    // ------------------------------------------------------------------ rounds

    function _keyed(Book storage b, address by) private {
        need(b.job.state == State.Running && b.job.aggregator == by, "a key was published by another");
        need(!b.job.keyPublished && _now() <= b.job.submitBy, "a key was published twice, or too late");
        b.job.keyPublished = true;
    }

    function _submit(Book storage b, bytes32[] memory topics, bytes memory data, address by) private {
        (bytes32 commitment,) = abi.decode(data, (bytes32, string));
        uint256 slot = uint256(topics[3]);
        Job storage j = b.job;
        need(j.active.has(slot) && b.seats[slot].operator == by, "a submission in another's name");
        need(j.state == State.Running && j.keyPublished && uint256(topics[2]) == j.round, "not a round to submit in");
        need(commitment != 0, "nothing was submitted");
        _requireFree(b, slot);
        j.submitted = j.submitted.with(slot);
        b.submitted[slot] = commitment;
    }

    /// @dev Whether a trainer may still submit, leave or dispute.
    function _requireFree(Book storage b, uint256 slot) private view {
        need(_now() <= b.job.submitBy && !b.job.delivering, "the phase is over");
        need(!b.job.submitted.has(slot), "a trainer that has submitted did something else");
    }

    function _settled(uint256 jobId, Book storage b, uint256 round, bytes memory data, address by) private {
        (uint32 submitted, Settlement memory s) = abi.decode(data, (uint32, Settlement));
        Job storage j = b.job;
        _requireRipe(b, round, by);
        need(submitted == _delivered(b), "other submissions than were made");
        if (j.delivering) _note("settled", j.undelivered == 0 ? "with all that was late" : "without what was late");
        uint32 opened = submitted & ~s.unopened;
        _requireMasks(b, submitted, opened, s);
        ++j.settled;
        j.emptyRounds = 0;
        _addAll(b, opened, s);
        uint32 missing = _tally(b, submitted, s.struck);
        _eject(jobId, b, missing);
        bool asked = j.endAsked && round >= b.terms.minRounds;
        if (j.endAsked && !asked) _note("asked to end", "before the least round");
        if (j.active == 0 && round < b.terms.rounds) return _finish(jobId, b, State.Aborted);
        if (asked && round < b.terms.rounds) _note("asked to end", "and ended early");
        _next(jobId, b, asked);
    }

    /// @dev Whether the aggregator may judge the round.
    function _requireRipe(Book storage b, uint256 round, address by) private view {
        Job storage j = b.job;
        need(j.state == State.Running && round == j.round && by == j.aggregator, "another judged, or another round");
        need(_delivered(b) != 0, "a round was judged without a submission");
        need(_complete(b) || _now() > j.submitBy, "a round was judged before all could submit");
        need(_now() <= j.settleBy, "a round was judged too late");
    }

    /// @return slots that have submitted and, where they had to, delivered again
    function _delivered(Book storage b) internal view returns (uint32 slots) {
        return b.job.submitted & ~b.job.undelivered;
    }

    /// @return whether nobody is waited for
    function _complete(Book storage b) internal view returns (bool) {
        Job storage j = b.job;
        return (j.delivering ? j.undelivered : j.active & ~j.submitted) == 0;
    }

    /// @return most how many of these submissions may be called unopened: one fewer than a third of them, or maxFaulty
    function _most(Book storage b, uint32 submitted) internal view returns (uint256 most) {
        while (most < b.terms.maxFaulty && 3 * (most + 1) < submitted.count()) {
            ++most;
        }
    }

    function _void(uint256 jobId, Book storage b, uint256 round, bytes memory data, address by) private {
        (uint32 unopened, uint256 deliverBy, uint256 settleBy) = abi.decode(data, (uint32, uint256, uint256));
        Job storage j = b.job;
        _requireRipe(b, round, by);
        uint32 delivered = _delivered(b);
        need(unopened & ~delivered == 0, "what was not submitted, or not delivered again, is void");
        need(unopened.count() > _most(b, delivered), "a round is void for what could be left out");
        if (j.voids == b.terms.maxVoids) {
            need(deliverBy == 0 && settleBy == 0, "a round that is lost was opened again");
            _note("voided once more than may be", j.settled == 0 ? "before a settlement" : "after a settlement");
            (b.lost, j.escrow) = (b.terms.reward, j.escrow - b.terms.reward);
            _credit(jobId, address(0), b.terms.reward, Reason.Burnt);
            return _finish(jobId, b, State.Aborted);
        }
        need(deliverBy == _now() + b.terms.settleWindow, "not the time that there is to deliver");
        need(settleBy == deliverBy + b.terms.settleWindow, "not the time that there is to settle then");
        bool late = j.delivering && j.undelivered != 0;
        _note("voided", late ? "again, while some are late" : j.delivering ? "again in a round" : "once in a round");
        if (unopened == delivered) _note("voided", "with all there is");
        ++j.voids;
        (j.delivering, j.undelivered) = (true, (j.submitted & ~delivered) | unopened);
        (j.submitBy, j.settleBy) = (uint40(deliverBy), uint40(settleBy));
    }

    function _redeliver(Book storage b, bytes32[] memory topics, address by) private {
        uint256 slot = uint256(topics[3]);
        Job storage j = b.job;
        need(j.active.has(slot) && b.seats[slot].operator == by, "a delivery in another's name");
        need(j.state == State.Running && uint256(topics[2]) == j.round, "a delivery for another round");
        need(
            j.delivering && j.undelivered.has(slot) && _now() <= j.submitBy, "a delivery that nobody asked for, or late"
        );
        need(j.keyPublished, "a delivery to who is not ready");
        if (j.takenOverIn == j.round) _note("delivered", "after a takeover");
        j.undelivered = j.undelivered.without(slot);
    }

    function _requireMasks(Book storage b, uint32 submitted, uint32 opened, Settlement memory s) private {
        need((s.unopened | s.selected) & ~submitted == 0, "what was not submitted was judged");
        need(s.selected & s.unopened == 0, "what was not opened was selected");
        need(s.unopened.count() <= _most(b, submitted), "too much was called unopened");
        if (s.unopened != 0) _note("settled", "with something unopened");
        need(s.struck & ~opened == 0 && s.struck & s.selected == 0, "what was selected, or not opened, was struck");
        need(s.scores.length == s.selected.count(), "not one score for each selected slot");
        need(s.coefficients.length == (b.terms.rule == 2 ? s.scores.length : 0), "not one coefficient for each");
        need(b.terms.rule == 2 || s.rowExponent == 0, "rows without a reference");
        if (s.selected == 0) _note("settled", "with nothing selected");
        if (s.struck != 0) _note("settled", "with a strike");
        if (b.job.takenOverIn != 0) _note("settled", "after a takeover");
    }

    function _addAll(Book storage b, uint32 opened, Settlement memory s) private {
        uint256 total;
        for (uint256 i; i < s.scores.length; ++i) {
            if (s.scores[i] > 0) total += uint256(int256(s.scores[i]));
        }
        if (b.terms.rule == 1 && s.selected != 0 && total == 0) _note("settled", "with no score above zero");
        uint256 at;
        for (uint256 slot; b.job.active >> slot != 0; ++slot) {
            if (!b.job.active.has(slot)) continue;
            Trainer storage who = b.seats[slot];
            if (opened.has(slot)) ++b.opened[slot];
            else ++who.absences;
            if (s.selected.has(slot)) who.balance += int96(_gain(b, s, s.scores[at++], total));
        }
    }

    function _gain(Book storage b, Settlement memory s, int256 score, uint256 total) private returns (int256 gain) {
        if (b.terms.rule == 1) {
            gain = total == 0 ? int256(0) : Exact.share(score, total);
            if (gain > 0) _note("gained", gain < 2 ** 64 ? "a part of a round" : "a whole round");
            return gain;
        }
        int256 exponent = int256(b.terms.scaleExponent) + s.rowExponent;
        gain = Exact.lossUnits(score, b.job.rate, exponent, s.scores.length);
        if (gain == int256(Exact.MOST) || gain == -int256(Exact.MOST)) _note("gained", "the most");
        else if (gain < -1) _note("gained", "less than nothing");
        else if (gain > 0) _note("gained", "something");
    }

    function _tally(Book storage b, uint32 submitted, uint32 struck) private returns (uint32 missing) {
        for (uint256 slot; b.job.active >> slot != 0; ++slot) {
            if (!b.job.active.has(slot)) continue;
            Trainer storage who = b.seats[slot];
            if (submitted.has(slot)) {
                who.missed = 0;
                if (struck.has(slot) && who.strikes < 255) ++who.strikes;
            } else if (b.job.disputed.has(slot)) {
                _note("missed", "by who disputed");
            } else if (b.job.submitted.has(slot)) {
                _note("missed", "by who is late");
            } else if (++who.missed == b.terms.maxMissed) {
                missing = missing.with(slot);
            }
        }
    }

    function _eject(uint256 jobId, Book storage b, uint32 missing) private {
        uint128 slash = _slash(b);
        for (uint256 slot; missing >> slot != 0; ++slot) {
            if (!missing.has(slot)) continue;
            b.job.active = b.job.active.without(slot);
            b.job.pot += slash;
            b.seats[slot].staked = false;
            _expect(abi.encode(IJobMarket.Ejected.selector, jobId, slot, slash));
            _credit(jobId, b.seats[slot].payee, b.terms.stake - slash, Reason.Stake);
            _note("ejected", b.job.settled == 0 ? "before a settlement" : "after a settlement");
        }
    }

    function _skipped(uint256 jobId, Book storage b, uint256 round) private {
        Job storage j = b.job;
        need(j.state == State.Running && round == j.round && j.keyPublished, "not a round to skip");
        need(_delivered(b) == 0 && _now() > j.submitBy, "a round was skipped too early, or with a submission");
        if (j.delivering) _note("skipped", "with all late");
        uint256 empty = ++j.emptyRounds;
        _eject(jobId, b, _tally(b, 0, 0));
        if (j.active == 0 || empty == b.terms.maxEmptyRounds) {
            _note("skipped", j.active == 0 ? "and nobody is left" : "as often as may be");
            return _finish(jobId, b, State.Aborted);
        }
        if (round == b.terms.rounds) _note("skipped", "as the last round");
        _next(jobId, b, false);
    }

    function _asked(Book storage b, address by) private {
        need(
            b.job.state == State.Running && by == b.job.owner && !b.job.endAsked, "another asked for the end, or twice"
        );
        b.job.endAsked = true;
    }

    function _next(uint256 jobId, Book storage b, bool asked) private {
        Job storage j = b.job;
        if (asked || j.round == b.terms.rounds) return _finish(jobId, b, State.Completed);
        uint256 rate = uint256(j.rate) * b.terms.rateDecay / 2 ** 32;
        _note("rate", rate == j.rate ? "kept" : rate == 0 ? "decayed to nothing" : "decayed");
        j.rate = uint64(rate);
        _open(jobId, b, j.round + 1);
    }

    function _open(uint256 jobId, Book storage b, uint16 round) private {
        b.job.round = round;
        _beginPhase(b);
        _openUntil(jobId, b);
    }

    function _openUntil(uint256 jobId, Book storage b) private {
        b.job.submitBy = uint40(_now() + b.terms.submitWindow);
        b.job.settleBy = b.job.submitBy + b.terms.settleWindow;
        _expect(abi.encode(IJobMarket.RoundOpened.selector, jobId, b.job.round, b.job.submitBy, b.job.settleBy));
    }

    function _beginPhase(Book storage b) private {
        uint256 trainers = b.job.active.count();
        uint256 believed = uint256(b.terms.maxFaulty) + 1;
        (b.job.submitted, b.job.disputed, b.job.undelivered, b.job.delivering) = (0, 0, 0, false);
        b.job.quorum = uint8(trainers < believed ? trainers : believed);
    }

    // ------------------------------------------------------------------ when the aggregator fails

    /// @return failed the last second in which the aggregator can do its duty; takeable the last for another to take over
    function _failure(Job memory j, uint256 window) internal pure returns (uint256 failed, uint256 takeable) {
        failed = j.keyPublished ? j.settleBy : j.submitBy;
        takeable = failed + (j.takenOverIn != 0 && !j.keyPublished ? 0 : window);
    }

    function _taken(uint256 jobId, Book storage b, bytes32[] memory topics, bytes memory data, address by) private {
        (address payee,) = abi.decode(data, (address, bytes32));
        Job storage j = b.job;
        (uint256 failed, uint256 takeable) = _failure(j, b.terms.takeoverWindow);
        need(j.state == State.Running && uint256(topics[2]) == j.round, "another job was taken over");
        need(_now() > failed && _now() <= takeable, "a job was taken over at the wrong time");
        need(!j.keyPublished || _delivered(b) != 0, "a job was taken over that can be skipped");
        if (j.delivering) _note("taken over", "in the middle of a void");
        _note(j.takenOverIn != 0 ? "taken over again" : "taken over", j.keyPublished ? "with a key" : "without a key");
        _compensate(jobId, b);
        uint16 rounds = j.settled - j.settledBefore;
        b.owed[j.aggregatorPayee] += rounds;
        (j.owed, j.settledBefore, j.bonded) = (j.owed + rounds, j.settled, true);
        need(_address(topics[3]) == by, "another took over");
        (j.aggregator, j.aggregatorPayee, j.takenOverIn) = (by, payee, j.round);
        if (j.keyPublished) (j.keyPublished, j.delivering, j.undelivered) = (false, true, j.submitted);
        else _beginPhase(b);
        _openUntil(jobId, b);
        _paid(b, b.terms.bond);
    }

    function _compensate(uint256 jobId, Book storage b) private {
        uint32 wronged = b.job.keyPublished ? _delivered(b) : b.job.active;
        uint128 many = uint128(wronged.count());
        for (uint256 slot; wronged >> slot != 0; ++slot) {
            if (wronged.has(slot)) _credit(jobId, b.seats[slot].payee, b.terms.bond / many, Reason.Compensation);
        }
        b.job.pot += b.terms.bond % many;
        b.job.bonded = false;
        if (b.terms.bond % many != 0) _note("a bond", "did not divide");
    }

    function _handed(Book storage b, address sender, address by) private view {
        need(b.job.state == State.Running && b.job.takenOverIn != 0 && !b.job.keyPublished, "nothing to hand over");
        uint256 slot = _slotOf(b, by);
        need(sender == by && (by == b.job.owner || b.job.active.has(slot)), "another handed over");
    }

    function _dispute(uint256 jobId, Book storage b, bytes32[] memory topics, address by) private {
        Job storage j = b.job;
        uint256 slot = uint256(topics[3]);
        need(j.active.has(slot) && b.seats[slot].operator == by, "a dispute in another's name");
        need(j.state == State.Running || j.state == State.Confirming, "a dispute at another time");
        need(j.keyPublished && uint256(topics[2]) == j.round, "a dispute of nothing");
        need(!j.disputed.has(slot) && !j.disputedSum, "a dispute after all was burnt, or twice");
        _requireFree(b, slot);
        j.disputed = j.disputed.with(slot);
        string memory when = j.state == State.Running ? "disputed while running" : "disputed while confirming";
        if (j.disputed.count() < j.quorum) return _note(when, "by too few");
        _note(when, j.disputed.count() <= b.terms.maxFaulty ? "by all there were" : "by enough");
        if (j.owed != 0) _note("disputed", "with fees of before a takeover");
        if (!j.bonded) _note("disputed", "without a bond");
        if (j.disputedRows) _note("disputed", "after the rows");
        _credit(jobId, address(0), _burnFees(b) + _burnBond(b), Reason.Burnt);
        j.disputedSum = true;
        if (j.state == State.Running) _finish(jobId, b, State.Aborted);
    }

    /// @dev Once: fees of all settled rounds are held up to the end.
    function _burnFees(Book storage b) private returns (uint256 fees) {
        if (b.feesBurnt) return 0;
        fees = uint256(b.terms.fee) * b.job.settled;
        b.job.escrow -= uint128(fees);
        (b.feesBurnt, b.job.owed) = (true, 0);
    }

    function _burnBond(Book storage b) private returns (uint256 bond) {
        if (b.job.bonded) bond = b.terms.bond;
        b.job.bonded = false;
    }

    // ------------------------------------------------------------------ reference rows

    /// @dev Whether points rest on rows that somebody has to make recomputable.
    function _rowsDue(Book storage b) internal view returns (bool) {
        return b.terms.revealWindow != 0;
    }

    function _reveal(Book storage b, address sender, address by) private {
        Job storage j = b.job;
        need(j.state == State.Confirming && _rowsDue(b), "nothing to reveal, or at another time");
        need(_now() <= uint256(j.submitBy) - b.terms.confirmWindow + b.terms.revealWindow, "revealed too late");
        need(sender == by && (by == j.owner || by == j.aggregator), "another revealed");
        _note("revealed", j.revealed ? "again" : by == j.owner ? "by the owner" : "by the aggregator");
        j.revealed = true;
    }

    function _disputeRows(uint256 jobId, Book storage b, bytes32[] memory topics, address by) private {
        Job storage j = b.job;
        (uint256 round, uint256 slot) = (uint256(topics[2]), uint256(topics[3]));
        need(j.members.has(slot) && b.seats[slot].operator == by, "rows were disputed in another's name");
        need(j.state == State.Confirming && _now() <= j.submitBy, "rows were disputed at another time");
        need(_rowsDue(b), "rows were disputed that nobody has to show");
        need(round <= j.round, "rows of a round to come were disputed");
        uint256 revealBy = uint256(j.submitBy) - b.terms.confirmWindow + b.terms.revealWindow;
        need(round != 0 || _now() > revealBy, "what was revealed was disputed before it had to be there");
        need(b.opened[slot] != 0, "rows were disputed by a member that opened nothing");
        need(!j.rowsDisputed.has(slot), "rows were disputed twice by one member");
        _noteRows(b, round, slot);
        j.rowsDisputed = j.rowsDisputed.with(slot);
        bool own = j.keyPublished && (round == 0 || round >= j.takenOverIn);
        if (own) j.ownRowsDisputed = j.ownRowsDisputed.with(slot);

        uint256 quorum = _openers(b).count();
        bool all = quorum <= b.terms.maxFaulty;
        if (!all) quorum = uint256(b.terms.maxFaulty) + 1;
        if (j.rowsDisputed.count() < quorum) return _note("rows disputed", "by too few");
        bool bond = j.bonded && j.ownRowsDisputed.count() >= quorum;
        if (j.disputedRows) _note("rows disputed", bond ? "again, and the bond burnt" : "again");
        else _note("rows disputed", all ? "by all that opened any" : "by enough");
        if (b.feesBurnt && !j.disputedRows) _note("rows disputed", "after the sum");
        if (j.owed != 0) _note("rows disputed", "with fees of before a takeover");
        if (j.bonded && !bond) {
            _note("rows disputed", j.keyPublished ? "and the bond kept" : "and the bond kept, without a key");
        }
        _credit(jobId, address(0), _burnFees(b) + (bond ? _burnBond(b) : 0), Reason.Burnt);
        j.disputedRows = true;
    }

    function _noteRows(Book storage b, uint256 round, uint256 slot) private {
        Job storage j = b.job;
        if (round == 0) _note("rows disputed", j.keyPublished ? "as round 0" : "as round 0, without a key");
        else _note("rows disputed", round < j.takenOverIn ? "of before a takeover" : "of a round");
        if (j.active.has(slot)) return;
        bool ejected = b.seats[slot].missed == b.terms.maxMissed;
        _note("rows disputed", ejected ? "by who was ejected" : "by who left");
    }

    /// @return openers the members that opened a submission of a settled round
    function _openers(Book storage b) internal view returns (uint32 openers) {
        for (uint256 slot; b.job.members >> slot != 0; ++slot) {
            if (b.job.members.has(slot) && b.opened[slot] != 0) openers = openers.with(slot);
        }
    }

    /// @dev Nobody revealed what had to be.
    function _unrevealed(uint256 jobId, Book storage b) private {
        Job storage j = b.job;
        if (!_rowsDue(b)) return;
        if (j.revealed) return _note("revealed", j.disputedRows ? "and disputed" : "and not disputed");
        if (b.feesBurnt) _note("unrevealed", "after a dispute");
        _note("unrevealed", j.keyPublished ? "with a key" : "without a key");
        if (j.owed != 0) _note("unrevealed", "with fees of before a takeover");
        _expect(abi.encode(IJobMarket.Unrevealed.selector, jobId));
        _credit(jobId, address(0), _burnFees(b) + (j.keyPublished ? _burnBond(b) : 0), Reason.Burnt);
        j.disputedRows = true;
    }

    // ------------------------------------------------------------------ the end

    function _silent(uint256 jobId, Book storage b, address by) private {
        Job storage j = b.job;
        if (j.state == State.Open) {
            bool stale = _now() > b.terms.enrolBy && !_canStart(b);
            need(by == j.owner || stale, "a job was cancelled that can start");
            _note("cancelled", by == j.owner ? "by the owner" : "by another");
            j.members = j.active;
            _close(jobId, b, State.Cancelled);
        } else if (j.state == State.Confirming) {
            need(_now() > j.submitBy, "a job was completed before all could dispute");
            _unrevealed(jobId, b);
            _close(jobId, b, j.outcome);
        } else {
            need(j.state == State.Running, "something happened to a job that is over, or not there");
            _abort(jobId, b);
        }
    }

    function _abort(uint256 jobId, Book storage b) private {
        Job storage j = b.job;
        (, uint256 takeable) = _failure(j, b.terms.takeoverWindow);
        need(_now() > takeable, "a job was aborted that could still be taken over");
        need(!j.keyPublished || _delivered(b) != 0, "a job was aborted that can be skipped");
        if (j.delivering) _note("aborted", "in the middle of a void");
        bool keeps = j.takenOverIn != 0 && !j.keyPublished;
        _note("aborted", keeps ? "and the bond kept" : j.keyPublished ? "without a settlement" : "without a key");
        if (!keeps) _compensate(jobId, b);
        _finish(jobId, b, State.Aborted);
    }

    function _finish(uint256 jobId, Book storage b, State outcome) private {
        Job storage j = b.job;
        if (j.settled == 0) return _close(jobId, b, outcome);
        (j.state, j.outcome) = (State.Confirming, outcome);
        _beginPhase(b);
        j.submitBy = uint40(_now() + b.terms.confirmWindow);
        j.settleBy = _rowsDue(b) ? uint40(_now() + b.terms.revealWindow) : 0;
        _expect(abi.encode(IJobMarket.ConfirmationOpened.selector, jobId, j.submitBy, j.settleBy, outcome));
        if (j.settleBy != 0) _note("confirming", "with rows to reveal");
        _note("confirming", _stateName(outcome));
    }

    /// @dev What each member can claim is computed here, once: no claim may change it.
    function _close(uint256 jobId, Book storage b, State outcome) private {
        Job storage j = b.job;
        uint128 settled = j.settled;
        if (!b.feesBurnt) {
            _credit(jobId, j.aggregatorPayee, b.terms.fee * (settled - j.settledBefore), Reason.Fee);
        }
        if (j.bonded) _credit(jobId, j.aggregatorPayee, b.terms.bond, Reason.Bond);
        // Nothing of a settled round, and nothing that was slashed, is the owner's.
        _credit(jobId, j.owner, (b.terms.rounds - settled) * (b.terms.reward + b.terms.fee) - b.lost, Reason.Refund);
        j.pot += b.terms.reward * settled;
        j.escrow = j.pot + b.terms.fee * j.owed;
        (j.state, j.bonded, j.submitted, j.disputed) = (outcome, false, 0, 0);
        (j.delivering, j.undelivered) = (false, 0);
        _expect(abi.encode(IJobMarket.Ended.selector, jobId, outcome, j.pot));
        _note("ended", _stateName(outcome));
        _divide(b);
    }

    function _divide(Book storage b) private {
        (uint256 points, uint256 opened) = _points(b);
        b.rest = b.job.pot;
        for (uint256 slot; b.job.members >> slot != 0; ++slot) {
            if (!b.job.members.has(slot)) continue;
            b.pays[slot] = _part(b, slot, points, opened);
            b.rest -= b.pays[slot];
        }
        _note("divided", points != 0 ? "by points" : opened != 0 ? "by rounds opened" : "among nobody");
        if (b.rest != 0) _note("divided", opened == 0 ? "not at all, though there is a pot" : "with a rest");
    }

    /// @dev Disputed rows pay nobody more than its part by rounds opened.
    function _part(Book storage b, uint256 slot, uint256 points, uint256 opened) private returns (uint256 part) {
        if (opened == 0) return 0;
        uint256 pot = b.job.pot;
        uint256 byRounds = pot * b.opened[slot] / opened;
        part = points != 0 ? pot * _pointsOf(b, slot) / points : byRounds;
        if (!b.job.disputedRows) return part;
        if (part != byRounds) _note("divided while disputed", part < byRounds ? "by points" : "by rounds opened");
        return part < byRounds ? part : byRounds;
    }

    function _claim(uint256 jobId, Book storage b, uint256 slot, bytes memory data) private {
        (uint256 pay, uint256 stake, uint256 slashed) = abi.decode(data, (uint256, uint256, uint256));
        Job storage j = b.job;
        Trainer storage who = b.seats[slot];
        need(_over(j.state) && j.members.has(slot), "a claim before the end, or for nobody");
        need(!j.claimed.has(slot), "a slot was claimed twice");
        need(pay == b.pays[slot], "another part of the pot than its points, or claims before it changed it");
        uint256 burnt = who.strikes >= b.terms.maxStrikes && who.staked ? _slash(b) : 0;
        need(slashed == burnt, "another slash for strikes");
        need(stake == (who.staked ? b.terms.stake - burnt : 0), "another stake than is held");
        _noteClaim(b, slot, pay, burnt);
        who.staked = false;
        j.claimed = j.claimed.with(slot);
        uint256 rest = j.claimed == j.members ? b.rest : 0;
        j.escrow -= uint128(pay + rest);
        _credit(jobId, who.payee, pay, Reason.Pay);
        _credit(jobId, who.payee, stake, Reason.Stake);
        _credit(jobId, address(0), burnt + rest, Reason.Burnt);
    }

    function _noteClaim(Book storage b, uint256 slot, uint256 pay, uint256 burnt) private {
        if (burnt != 0) _note("claimed", "less a slash for strikes");
        if (b.seats[slot].balance < 0) _note("claimed", "with a balance below zero");
        if (pay == 0) return;
        if (b.job.active.has(slot)) {
            _note("claimed", "pay by who stayed");
        } else {
            _note("claimed", b.seats[slot].missed == b.terms.maxMissed ? "pay by who was ejected" : "pay by who left");
        }
    }

    function _claimFees(uint256 jobId, Book storage b, address payee, bytes memory data) private {
        uint256 rounds = b.owed[payee];
        need(_over(b.job.state) && !b.feesBurnt && rounds != 0, "fees were claimed that are not held");
        uint256 fees = abi.decode(data, (uint256));
        need(fees == b.terms.fee * rounds, "other fees than of the rounds that it settled");
        b.owed[payee] = 0;
        b.job.owed -= uint16(rounds);
        b.job.escrow -= uint128(fees);
        _credit(jobId, payee, fees, Reason.Fee);
    }

    function _shown(Book storage b, uint256 slot, address by) private view {
        need(b.seats[slot].operator == by, "an opening in another's name");
    }

    function _told(Book storage b, address by) private view {
        need(_over(b.job.state) && b.job.owner == by, "another revealed, or too early");
    }

    // ------------------------------------------------------------------ sums and what follows

    function _pointsOf(Book storage b, uint256 slot) private view returns (uint256) {
        int256 balance = b.seats[slot].balance;
        return balance > 0 ? uint256(balance) * b.opened[slot] : 0;
    }

    /// @return points Σ points; opened Σ rounds opened: over all members
    function _points(Book storage b) internal view returns (uint256 points, uint256 opened) {
        for (uint256 slot; b.job.members >> slot != 0; ++slot) {
            if (!b.job.members.has(slot)) continue;
            points += _pointsOf(b, slot);
            opened += b.opened[slot];
        }
    }

    /// @return sum what is still to be claimed as pay, the rest among it until the last claim
    function _unclaimed(Book storage b) internal view returns (uint256 sum) {
        uint32 left = b.job.members & ~b.job.claimed;
        if (left != 0) sum = b.rest;
        for (uint256 slot; left >> slot != 0; ++slot) {
            if (left.has(slot)) sum += b.pays[slot];
        }
    }

    /// @dev The sums that the market keeps as they change, from nothing but the members.
    function _sum(Book storage b) internal {
        Job storage j = b.job;
        (uint256 earned, uint256 missedOut, uint256 goneEarned) = (0, 0, 0);
        (j.absences, j.goneOpened) = (0, 0);
        for (uint256 slot; j.members >> slot != 0; ++slot) {
            if (!j.members.has(slot)) continue;
            Trainer storage who = b.seats[slot];
            uint256 positive = who.balance > 0 ? uint256(int256(who.balance)) : 0;
            if (j.active.has(slot)) {
                earned += positive;
                missedOut += positive * who.absences;
                j.absences += who.absences;
            } else {
                who.opened = uint16(b.opened[slot]);
                goneEarned += positive * b.opened[slot];
                j.goneOpened += who.opened;
            }
        }
        (j.earned, j.missedOut, j.goneEarned) = (uint128(earned), uint128(missedOut), uint128(goneEarned));
    }

    function _slash(Book storage b) private view returns (uint128) {
        return uint128(uint256(b.terms.stake) * b.terms.slashBps / BPS);
    }

    function _credit(uint256 jobId, address payee, uint256 amount, Reason reason) private {
        if (amount == 0) return;
        address token = _books[jobId].terms.token;
        _expect(abi.encode(IJobMarket.Credited.selector, jobId, payee, token, amount, reason));
    }

    /// @param log its topics and data: every word of those that follow has 32 bytes
    function _expect(bytes memory log) private {
        _due.push(keccak256(log));
    }

    function _paid(Book storage b, uint256 amount) private {
        b.paidIn += amount;
        kept[b.terms.token] += amount;
    }

    /// @return whether an account has, or had, one of the slots
    function _has(Book storage b, uint32 slots, address operator) internal view returns (bool) {
        for (uint256 slot; slots >> slot != 0; ++slot) {
            if (slots.has(slot) && b.seats[slot].operator == operator) return true;
        }
        return false;
    }

    /// @return slot the one that an account holds; 32 where it holds none
    function _slotOf(Book storage b, address operator) private view returns (uint256 slot) {
        for (; slot < 32; ++slot) {
            if (b.job.active.has(slot) && b.seats[slot].operator == operator) break;
        }
    }

    function _over(State state) internal pure returns (bool) {
        return state > State.Confirming;
    }

    function _stateName(State state) private pure returns (string memory) {
        return state == State.Completed ? "completed" : state == State.Aborted ? "aborted" : "cancelled";
    }

    function _now() private view returns (uint256) {
        return VM.getBlockTimestamp();
    }

    function _address(bytes32 topic) private pure returns (address) {
        return address(uint160(uint256(topic)));
    }
}
