// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IJobMarket, Job, Reason, RoundProof, Settlement, State, Terms, Trainer} from "./interfaces/IJobMarket.sol";
import {Balances} from "./libraries/Balances.sol";
import {Cids} from "./libraries/Cids.sol";
import {Claims} from "./libraries/Claims.sol";
import {Creation} from "./libraries/Creation.sol";
import {Credits} from "./libraries/Credits.sol";
import {Delivery} from "./libraries/Delivery.sol";
import {Disputes} from "./libraries/Disputes.sol";
import {Failures} from "./libraries/Failures.sol";
import {Parties} from "./libraries/Parties.sol";
import {RoundCheck} from "./libraries/RoundCheck.sol";
import {Slots} from "./libraries/Slots.sol";
import {Tickets} from "./libraries/Tickets.sol";

/// @title The market; what each call does is said in IJobMarket
/// @dev Every call validates, moves the state, emits, and only then receives or sends tokens. The calls that reach
/// outside (createJob, acceptAggregation, join, takeOver, withdraw) share a reentrancy guard, because a deposit is checked by
/// the balance it adds. Of the others only settleRound reaches outside: it asks the job's verifiers, as views and before
/// anything changes, as join asks a gate that is a contract.
contract JobMarket is IJobMarket, ReentrancyGuard {
    using SafeERC20 for IERC20;
    using Slots for uint32;

    uint256 private constant RATE_DECAY_ONE = 2 ** 32;

    uint256 public jobCount;
    mapping(address payee => mapping(address token => uint256 amount)) public credit;

    mapping(uint256 jobId => Job) private _jobs;
    mapping(uint256 jobId => Terms) private _terms;
    mapping(uint256 jobId => mapping(uint256 slot => Trainer)) private _trainers;
    mapping(uint256 jobId => mapping(address operator => uint8 slotPlusOne)) private _places;
    mapping(uint256 jobId => mapping(uint256 slot => bytes32 commitment)) private _commitments;
    mapping(uint256 jobId => mapping(address payee => uint16 rounds)) private _owed;

    // ------------------------------------------------------------------ enrolling

    function createJob(Terms calldata t, bytes32 encryptionKey, string calldata specCid)
        external
        payable
        nonReentrant
        returns (uint256 jobId)
    {
        jobId = ++jobCount;
        uint128 escrow = Creation.create(_jobs[jobId], _terms, jobId, t, encryptionKey, specCid);
        _receive(t.token, escrow);
    }

    function acceptAggregation(uint256 jobId, address payee, bytes32 encryptionKey) external payable nonReentrant {
        Job storage j = _jobIn(jobId, State.Open);
        Terms storage t = _terms[jobId];
        if (block.timestamp > t.enrolBy) revert EnrolmentClosed(jobId, t.enrolBy);
        if (j.aggregator != address(0)) revert AggregatorTaken(jobId, j.aggregator);
        if (t.aggregator != address(0) && t.aggregator != msg.sender) revert NotAggregator(jobId, msg.sender);
        Parties.requireAble(payee, encryptionKey);

        j.aggregator = msg.sender;
        j.aggregatorPayee = payee;
        j.bonded = true;
        emit AggregationAccepted(jobId, msg.sender, payee, encryptionKey);

        _receive(t.token, t.bond);
    }

    function join(uint256 jobId, address payee, bytes32 encryptionKey, bytes calldata ticket)
        external
        payable
        nonReentrant
        returns (uint8 slot)
    {
        Job storage j = _jobIn(jobId, State.Open);
        Terms storage t = _terms[jobId];
        uint32 active = j.active;
        if (block.timestamp > t.enrolBy) revert EnrolmentClosed(jobId, t.enrolBy);
        if (_places[jobId][msg.sender] != 0) revert AlreadyJoined(jobId, msg.sender);
        if (active.count() == t.maxTrainers) revert JobFull(jobId, t.maxTrainers);
        Parties.requireAble(payee, encryptionKey);
        address gate = t.gate;
        if (gate != address(0)) Tickets.requireGood(jobId, j.termsHash, gate, ticket);
        else if (ticket.length != 0) revert TicketUnneeded(jobId, ticket.length);

        slot = active.lowestFree();
        j.active = active.with(slot);
        j.submitBy = uint40(block.timestamp) + t.startDelay;
        _places[jobId][msg.sender] = slot + 1;
        Trainer storage who = _trainers[jobId][slot];
        (who.operator, who.payee, who.staked) = (msg.sender, payee, true);
        emit Joined(jobId, slot, msg.sender, payee, encryptionKey);

        _receive(t.token, t.stake);
    }

    function leave(uint256 jobId) external {
        Job storage j = _jobs[jobId];
        bool running = j.state == State.Running;
        if (!running) _jobIn(jobId, State.Open);
        uint8 slot = _slotOf(jobId, j.active, msg.sender);
        if (running) _requireUnsubmitted(jobId, slot);

        Terms storage t = _terms[jobId];
        Trainer storage who = _trainers[jobId][slot];
        address payee = who.payee;
        bool owes = who.strikes >= t.maxStrikes;
        if (running) {
            Balances.retire(j, who);
            who.staked = owes;
        } else {
            delete _places[jobId][msg.sender];
            delete _trainers[jobId][slot];
        }
        j.active = j.active.without(slot);
        emit Left(jobId, slot);
        if (!owes) _credit(jobId, payee, t.stake, Reason.Stake);
        if (running && j.active == 0) _finish(jobId, State.Aborted);
    }

    function cancel(uint256 jobId) external {
        Job storage j = _jobIn(jobId, State.Open);
        bool stale = block.timestamp > _terms[jobId].enrolBy && !_startable(jobId);
        if (msg.sender != j.owner && !stale) revert NotCancellable(jobId, msg.sender);

        j.members = j.active;
        _close(jobId, State.Cancelled);
    }

    function start(uint256 jobId) external {
        Job storage j = _jobIn(jobId, State.Open);
        if (!_startable(jobId)) revert NotStartable(jobId, j.aggregator != address(0), j.active.count());
        if (block.timestamp < j.submitBy && msg.sender != j.owner) revert StartDelayed(jobId, j.submitBy);

        j.state = State.Running;
        j.members = j.active;
        emit Started(jobId);
        _openRound(jobId, 1);
    }

    // ------------------------------------------------------------------ rounds

    function publishKey(uint256 jobId, string calldata cid) external {
        Job storage j = _jobIn(jobId, State.Running);
        if (msg.sender != j.aggregator) revert NotAggregator(jobId, msg.sender);
        if (j.keyPublished) revert KeyAlreadyPublished(jobId);
        if (block.timestamp > j.submitBy) revert SubmittingClosed(jobId, j.submitBy);
        Cids.requireCid(cid);

        j.keyPublished = true;
        emit KeyPublished(jobId, cid);
    }

    function submitUpdate(uint256 jobId, uint16 round, bytes32 hash, string calldata cid) external {
        Job storage j = _jobIn(jobId, State.Running);
        uint8 slot = _slotOf(jobId, j.active, msg.sender);
        if (!j.keyPublished) revert KeyNotPublished(jobId);
        if (round != j.round) revert WrongRound(jobId, j.round, round);
        _requireUnsubmitted(jobId, slot);
        if (hash == 0) revert ZeroCommitment();
        Cids.requireCid(cid);

        j.submitted = j.submitted.with(slot);
        _commitments[jobId][slot] = hash;
        emit UpdateSubmitted(jobId, round, slot, hash, cid);
    }

    function announceSum(uint256 jobId, uint16 round, uint32 selected, bytes32 sumCommitment, string calldata sumCid)
        external
    {
        _jobIn(jobId, State.Running);
        _judgeable(jobId, round);
        Cids.requireCid(sumCid);

        emit SumAnnounced(jobId, round, selected, sumCommitment, sumCid);
    }

    function settleRound(uint256 jobId, uint16 round, Settlement calldata s, RoundProof calldata proof) external {
        Job storage j = _jobIn(jobId, State.Running);
        Terms storage t = _terms[jobId];
        uint32 submitted = _judgeable(jobId, round);
        mapping(uint256 slot => Trainer) storage trainers = _trainers[jobId];
        uint32 opened =
            RoundCheck.requireShown(jobId, j.termsHash, round, submitted, t, _commitments[jobId], trainers, s, proof);

        ++j.settled;
        j.emptyRounds = 0;
        emit RoundSettled(jobId, round, submitted, s);

        Balances.add(j, t, trainers, opened, s);
        _eject(jobId, _tally(jobId, submitted, s.struck));
        // Who has submitted is still there: a settlement ends no job for want of trainers.
        _advance(jobId, j.endAsked && round >= t.minRounds);
    }

    function voidRound(uint256 jobId, uint16 round, uint32 unopened) external {
        Job storage j = _jobIn(jobId, State.Running);
        Terms storage t = _terms[jobId];
        if (!Delivery.voidRound(j, t, jobId, _judgeable(jobId, round), unopened)) return;

        uint128 reward = t.reward;
        j.escrow -= reward;
        _credit(jobId, address(0), reward, Reason.Burnt);
        _finish(jobId, State.Aborted);
    }

    function redeliver(uint256 jobId, uint16 round, string calldata cid) external {
        Job storage j = _jobIn(jobId, State.Running);
        Delivery.redeliver(j, jobId, _slotOf(jobId, j.active, msg.sender), round, cid);
    }

    function skipRound(uint256 jobId) external {
        Job storage j = _jobIn(jobId, State.Running);
        Terms storage t = _terms[jobId];
        if (!j.keyPublished) revert KeyNotPublished(jobId);
        if (Delivery.delivered(j) != 0) revert SomethingSubmitted(jobId, j.round);
        if (block.timestamp <= j.submitBy) revert SubmittingOpen(jobId, j.submitBy);

        uint8 emptyRounds = ++j.emptyRounds;
        emit RoundSkipped(jobId, j.round);

        _eject(jobId, _tally(jobId, 0, 0));
        if (j.active == 0 || emptyRounds == t.maxEmptyRounds) return _finish(jobId, State.Aborted);
        _advance(jobId, false);
    }

    function askEnd(uint256 jobId) external {
        Job storage j = _jobIn(jobId, State.Running);
        if (msg.sender != j.owner) revert NotOwner(jobId, msg.sender);
        if (j.endAsked) revert EndAlreadyAsked(jobId);

        j.endAsked = true;
        emit EndAsked(jobId);
    }

    // ------------------------------------------------------------------ when the aggregator fails

    function abort(uint256 jobId) external {
        Job storage j = _jobIn(jobId, State.Running);
        Failures.abort(j, _terms[jobId], _trainers[jobId], credit, jobId);
        _finish(jobId, State.Aborted);
    }

    function takeOver(uint256 jobId, address payee, bytes32 encryptionKey) external payable nonReentrant {
        Job storage j = _jobIn(jobId, State.Running);
        Terms storage t = _terms[jobId];
        bool anew = Failures.takeOver(j, t, _trainers[jobId], credit, _owed[jobId], jobId, payee, encryptionKey);
        if (anew) _openRound(jobId, j.round);

        _receive(t.token, t.bond);
    }

    function handOver(uint256 jobId, string calldata cid) external {
        Job storage j = _jobIn(jobId, State.Running);
        if (j.takenOverIn == 0 || j.keyPublished) revert NothingToHandOver(jobId);
        if (msg.sender != j.owner) _slotOf(jobId, j.active, msg.sender);
        Cids.requireCid(cid);

        emit HandedOver(jobId, msg.sender, cid);
    }

    function dispute(uint256 jobId) external {
        Job storage j = _jobs[jobId];
        if (j.state != State.Confirming) _jobIn(jobId, State.Running);
        uint8 slot = _slotOf(jobId, j.active, msg.sender);
        _requireUnsubmitted(jobId, slot);

        (bool reached, uint128 burnt) = Disputes.sum(j, _terms[jobId], jobId, slot);
        _credit(jobId, address(0), burnt, Reason.Burnt);
        if (reached && j.state == State.Running) _finish(jobId, State.Aborted);
    }

    function reveal(uint256 jobId, string calldata cid) external {
        Job storage j = _jobIn(jobId, State.Confirming);
        if (msg.sender != j.owner && msg.sender != j.aggregator) revert NotRevealer(jobId, msg.sender);
        if (!Disputes.areDue(_terms[jobId])) revert NothingToReveal(jobId);
        if (block.timestamp > j.settleBy) revert RevealingClosed(jobId, j.settleBy);
        Cids.requireCid(cid);

        j.revealed = true;
        emit Revealed(jobId, msg.sender, cid);
    }

    function disputeRows(uint256 jobId, uint16 round) external {
        Job storage j = _jobIn(jobId, State.Confirming);
        uint8 slot = _slotOf(jobId, j.members, msg.sender);

        uint128 burnt = Disputes.rows(j, _terms[jobId], _trainers[jobId], jobId, slot, round);
        _credit(jobId, address(0), burnt, Reason.Burnt);
    }

    function complete(uint256 jobId) external {
        Job storage j = _jobIn(jobId, State.Confirming);
        if (block.timestamp <= j.submitBy) revert NotCompletable(jobId, j.submitBy);

        _credit(jobId, address(0), Disputes.unrevealed(j, _terms[jobId], jobId), Reason.Burnt);
        _close(jobId, j.outcome);
    }

    function showOpening(uint256 jobId, uint16 round, string calldata cid) external {
        uint8 place = _places[jobId][msg.sender];
        if (place == 0) revert NotTrainer(jobId, msg.sender);
        Cids.requireCid(cid);

        emit OpeningShown(jobId, round, place - 1, cid);
    }

    // ------------------------------------------------------------------ over

    function claim(uint256 jobId, uint8 slot) external {
        Job storage j = _jobOver(jobId);
        (uint128 pay, uint128 stake, uint128 burnt) = Claims.member(j, _terms[jobId], _trainers[jobId], jobId, slot);
        address payee = _trainers[jobId][slot].payee;
        _credit(jobId, payee, pay, Reason.Pay);
        _credit(jobId, payee, stake, Reason.Stake);
        _credit(jobId, address(0), burnt, Reason.Burnt);
    }

    function claimFees(uint256 jobId, address payee) external {
        Job storage j = _jobOver(jobId);
        _credit(jobId, payee, Claims.formerAggregator(j, _terms[jobId], _owed[jobId], jobId, payee), Reason.Fee);
    }

    function withdraw(address token) external nonReentrant {
        uint256 amount = credit[msg.sender][token];
        if (amount == 0) revert NothingToWithdraw(msg.sender, token);

        credit[msg.sender][token] = 0;
        emit Withdrawn(msg.sender, token, amount);

        if (token == address(0)) {
            (bool sent,) = msg.sender.call{value: amount}("");
            if (!sent) revert CoinTransferFailed(msg.sender, amount);
        } else {
            IERC20(token).safeTransfer(msg.sender, amount);
        }
    }

    function revealValidation(uint256 jobId, string calldata cid) external {
        Job storage j = _jobOver(jobId);
        if (msg.sender != j.owner) revert NotOwner(jobId, msg.sender);
        Cids.requireCid(cid);

        emit ValidationRevealed(jobId, cid);
    }

    // ------------------------------------------------------------------ views

    function job(uint256 jobId) external view returns (Job memory) {
        return _jobs[jobId];
    }

    function terms(uint256 jobId) external view returns (Terms memory) {
        return _terms[jobId];
    }

    function trainer(uint256 jobId, uint8 slot) external view returns (Trainer memory) {
        return _trainers[jobId][slot];
    }

    function commitment(uint256 jobId, uint8 slot) external view returns (bytes32) {
        return _commitments[jobId][slot];
    }

    // ------------------------------------------------------------------ checks

    function _jobIn(uint256 jobId, State required) private view returns (Job storage j) {
        j = _jobs[jobId];
        State actual = j.state;
        if (actual == State.None) revert NoSuchJob(jobId);
        if (actual != required) revert WrongState(jobId, actual, required);
    }

    function _jobOver(uint256 jobId) private view returns (Job storage j) {
        j = _jobs[jobId];
        State actual = j.state;
        if (actual == State.None) revert NoSuchJob(jobId);
        if (actual < State.Completed) revert NotOver(jobId, actual);
    }

    function _slotOf(uint256 jobId, uint32 active, address operator) private view returns (uint8 slot) {
        uint8 place = _places[jobId][operator];
        if (place == 0 || !active.has(place - 1)) revert NotTrainer(jobId, operator);
        return place - 1;
    }

    /// @dev Whether a trainer is still free to submit, to leave or to dispute.
    function _requireUnsubmitted(uint256 jobId, uint8 slot) private view {
        Job storage j = _jobs[jobId];
        if (j.delivering || block.timestamp > j.submitBy) revert SubmittingClosed(jobId, j.submitBy);
        if (j.submitted.has(slot)) revert AlreadySubmitted(jobId, j.round, slot);
    }

    /// @dev Whether the aggregator may judge the round now.
    /// @return submitted the slots whose submissions it judges
    function _judgeable(uint256 jobId, uint16 round) private view returns (uint32 submitted) {
        Job storage j = _jobs[jobId];
        submitted = Delivery.delivered(j);
        if (msg.sender != j.aggregator) revert NotAggregator(jobId, msg.sender);
        if (round != j.round) revert WrongRound(jobId, j.round, round);
        if (submitted == 0) revert NothingSubmitted(jobId, round);
        if (block.timestamp <= j.submitBy && !Delivery.isComplete(j, submitted)) {
            revert SubmittingOpen(jobId, j.submitBy);
        }
        if (block.timestamp > j.settleBy) revert SettlingClosed(jobId, j.settleBy);
    }

    function _startable(uint256 jobId) private view returns (bool) {
        Job storage j = _jobs[jobId];
        Terms storage t = _terms[jobId];
        uint256 trainers = j.active.count();
        bool enough = trainers == t.maxTrainers || (trainers >= t.minTrainers && block.timestamp > t.enrolBy);
        return enough && j.aggregator != address(0);
    }

    // ------------------------------------------------------------------ steps

    function _openRound(uint256 jobId, uint16 round) private {
        Job storage j = _jobs[jobId];
        Terms storage t = _terms[jobId];
        j.round = round;
        uint40 submitBy = _openDisputing(jobId, t.submitWindow);
        uint40 settleBy = submitBy + t.settleWindow;
        j.settleBy = settleBy;
        emit RoundOpened(jobId, round, submitBy, settleBy);
    }

    /// @dev Begins a phase in which trainers can dispute the last sum.
    function _openDisputing(uint256 jobId, uint32 window) private returns (uint40 until) {
        Job storage j = _jobs[jobId];
        uint256 trainers = j.active.count();
        uint256 believed = uint256(_terms[jobId].maxFaulty) + 1;
        until = uint40(block.timestamp) + window;
        j.submitBy = until;
        j.submitted = 0;
        Delivery.stop(j);
        j.quorum = uint8(believed < trainers ? believed : trainers);
        if (j.disputed != 0) j.disputed = 0;
    }

    /// @param ended the owner's wish that this round be the last one is to be met
    function _advance(uint256 jobId, bool ended) private {
        Job storage j = _jobs[jobId];
        Terms storage t = _terms[jobId];
        uint16 round = j.round;
        if (ended || round == t.rounds) return _finish(jobId, State.Completed);
        if (t.rateDecay != RATE_DECAY_ONE) j.rate = uint64(uint256(j.rate) * t.rateDecay / RATE_DECAY_ONE);
        _openRound(jobId, round + 1);
    }

    /// @dev Counts the round for each active trainer and returns those that have missed too many in a row.
    function _tally(uint256 jobId, uint32 submitted, uint32 struck) private returns (uint32 missing) {
        Terms storage t = _terms[jobId];
        uint32 active = _jobs[jobId].active;
        uint32 excused = _jobs[jobId].disputed | _jobs[jobId].submitted;
        mapping(uint256 slot => Trainer) storage trainers = _trainers[jobId];
        for (uint256 slot; active >> slot != 0; ++slot) {
            if (!active.has(slot)) continue;
            Trainer storage who = trainers[slot];
            if (!submitted.has(slot)) {
                // Who disputes what the round starts from cannot be asked to build on it; who is late has committed in time.
                if (!excused.has(slot) && ++who.missed == t.maxMissed) missing = missing.with(slot);
                continue;
            }
            if (who.missed != 0) who.missed = 0;
            if (struck.has(slot) && who.strikes != type(uint8).max) ++who.strikes;
        }
    }

    function _eject(uint256 jobId, uint32 slots) private {
        if (slots == 0) return;
        Job storage j = _jobs[jobId];
        uint128 slashed = Claims.slash(_terms[jobId]);
        uint128 rest = _terms[jobId].stake - slashed;
        j.active &= ~slots;
        j.pot += slashed * uint128(slots.count());
        for (uint8 slot; slots >> slot != 0; ++slot) {
            if (!slots.has(slot)) continue;
            Trainer storage who = _trainers[jobId][slot];
            Balances.retire(j, who);
            who.staked = false;
            emit Ejected(jobId, slot, slashed);
            _credit(jobId, who.payee, rest, Reason.Stake);
        }
    }

    /// @dev No round follows. What rounds were settled for can be disputed before it is divided.
    function _finish(uint256 jobId, State outcome) private {
        Job storage j = _jobs[jobId];
        if (j.settled == 0) return _close(jobId, outcome);
        Terms storage t = _terms[jobId];
        (j.state, j.outcome) = (State.Confirming, outcome);
        uint40 confirmBy = _openDisputing(jobId, t.confirmWindow);
        uint40 revealBy = Disputes.areDue(t) ? uint40(block.timestamp) + t.revealWindow : 0;
        j.settleBy = revealBy;
        emit ConfirmationOpened(jobId, confirmBy, revealBy, outcome);
    }

    /// @dev The job is over: fees and bond to the aggregator, what no settled round needs to the owner. The rest is claimed.
    function _close(uint256 jobId, State outcome) private {
        Job storage j = _jobs[jobId];
        Terms storage t = _terms[jobId];
        uint128 earned = t.reward * j.settled;
        uint128 owed = t.fee * j.owed;
        uint128 fees = j.disputedSum || j.disputedRows ? 0 : t.fee * (j.settled - j.settledBefore);
        uint128 refund = j.escrow - earned - owed - fees;
        uint128 bond = j.bonded ? t.bond : 0;
        uint128 pot = j.pot + earned;
        (j.state, j.bonded, j.submitted, j.disputed) = (outcome, false, 0, 0);
        Delivery.stop(j);
        (j.escrow, j.pot) = (pot + owed, pot);

        _credit(jobId, j.aggregatorPayee, fees, Reason.Fee);
        _credit(jobId, j.aggregatorPayee, bond, Reason.Bond);
        _credit(jobId, j.owner, refund, Reason.Refund);
        emit Ended(jobId, outcome, pot);
    }

    function _credit(uint256 jobId, address payee, uint256 amount, Reason reason) private {
        Credits.add(credit, jobId, payee, _terms[jobId].token, amount, reason);
    }

    /// @dev Takes exactly `amount` of `token` from the caller.
    function _receive(address token, uint256 amount) private {
        uint256 coin = token == address(0) ? amount : 0;
        if (msg.value != coin) revert WrongPayment(msg.value, coin);
        if (token == address(0) || amount == 0) return;
        uint256 held = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 holds = IERC20(token).balanceOf(address(this));
        uint256 received = holds > held ? holds - held : 0;
        if (received != amount) revert FeeOnTransfer(token, received, amount);
    }
}
