// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IJobMarket, Job, Reason, RoundProof, Settlement, State, Terms, Trainer} from "./interfaces/IJobMarket.sol";
import {Decision} from "./libraries/Decision.sol";
import {RoundCheck} from "./libraries/RoundCheck.sol";
import {Slots} from "./libraries/Slots.sol";
import {TermsCheck} from "./libraries/TermsCheck.sol";

/// @title The market; what each call does is said in IJobMarket
/// @dev Every call validates, moves the state, emits, and only then receives or sends tokens. The calls that reach
/// outside (createJob, acceptAggregation, join, takeOver, withdraw) share a reentrancy guard, because a deposit is checked by
/// the balance it adds. Of the others only settleRound reaches outside: it asks the job's verifiers, as views and before
/// anything changes.
contract JobMarket is IJobMarket, ReentrancyGuard {
    using SafeERC20 for IERC20;
    using Slots for uint32;

    uint256 private constant MAX_CID_BYTES = 100;
    uint256 private constant BPS = 10_000;

    uint256 public jobCount;
    mapping(address payee => mapping(address token => uint256 amount)) public credit;

    mapping(uint256 jobId => Job) private _jobs;
    mapping(uint256 jobId => Terms) private _terms;
    mapping(uint256 jobId => mapping(uint256 slot => Trainer)) private _trainers;
    mapping(uint256 jobId => mapping(address operator => uint8 slotPlusOne)) private _places;
    mapping(uint256 jobId => mapping(uint256 slot => bytes32 commitment)) private _commitments;

    // ------------------------------------------------------------------ enrolling

    function createJob(Terms calldata t, bytes32 encryptionKey, string calldata specCid)
        external
        payable
        nonReentrant
        returns (uint256 jobId)
    {
        uint128 escrow = TermsCheck.check(t);
        _requireKey(encryptionKey);
        _requireCid(specCid);

        jobId = ++jobCount;
        _terms[jobId] = t;
        Job storage j = _jobs[jobId];
        j.owner = msg.sender;
        j.state = State.Open;
        j.escrow = escrow;
        j.termsHash = keccak256(abi.encode(t));
        emit JobCreated(jobId, msg.sender, t, encryptionKey, specCid);

        _receive(t.token, escrow);
    }

    function acceptAggregation(uint256 jobId, address payee, bytes32 encryptionKey) external payable nonReentrant {
        Job storage j = _jobIn(jobId, State.Open);
        Terms storage t = _terms[jobId];
        if (block.timestamp > t.enrolBy) revert EnrolmentClosed(jobId, t.enrolBy);
        if (j.aggregator != address(0)) revert AggregatorTaken(jobId, j.aggregator);
        if (t.aggregator != address(0) && t.aggregator != msg.sender) revert NotAggregator(jobId, msg.sender);
        _requirePayee(payee);
        _requireKey(encryptionKey);

        j.aggregator = msg.sender;
        j.aggregatorPayee = payee;
        emit AggregationAccepted(jobId, msg.sender, payee, encryptionKey);

        _receive(t.token, t.bond);
    }

    function join(uint256 jobId, address payee, bytes32 encryptionKey)
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
        _requirePayee(payee);
        _requireKey(encryptionKey);

        slot = active.lowestFree();
        j.active = active.with(slot);
        _places[jobId][msg.sender] = slot + 1;
        _trainers[jobId][slot] = Trainer({operator: msg.sender, payee: payee, missed: 0, strikes: 0});
        emit Joined(jobId, slot, msg.sender, payee, encryptionKey);

        _receive(t.token, t.stake);
    }

    function leave(uint256 jobId) external {
        Job storage j = _jobs[jobId];
        State state = j.state;
        bool started = state == State.Running || state == State.Confirming;
        if (!started) _jobIn(jobId, State.Open);
        uint8 slot = _slotOf(jobId, j.active, msg.sender);
        if (state == State.Running) _requireUnsubmitted(jobId, slot);

        address payee = _trainers[jobId][slot].payee;
        j.active = j.active.without(slot);
        if (!started) {
            delete _places[jobId][msg.sender];
            delete _trainers[jobId][slot];
        }
        emit Left(jobId, slot);
        _credit(jobId, payee, _terms[jobId].stake, Reason.Stake);
        if (started && j.active == 0) _end(jobId, state == State.Running ? State.Aborted : State.Completed);
    }

    function cancel(uint256 jobId) external {
        Job storage j = _jobIn(jobId, State.Open);
        bool stale = block.timestamp > _terms[jobId].enrolBy && !_startable(jobId);
        if (msg.sender != j.owner && !stale) revert NotCancellable(jobId, msg.sender);

        _end(jobId, State.Cancelled);
    }

    function start(uint256 jobId) external {
        Job storage j = _jobIn(jobId, State.Open);
        if (!_startable(jobId)) revert NotStartable(jobId, j.aggregator != address(0), j.active.count());

        j.state = State.Running;
        emit Started(jobId);
        _openRound(jobId, 1);
    }

    // ------------------------------------------------------------------ rounds

    function publishKey(uint256 jobId, string calldata cid) external {
        Job storage j = _jobIn(jobId, State.Running);
        if (msg.sender != j.aggregator) revert NotAggregator(jobId, msg.sender);
        if (j.keyPublished) revert KeyAlreadyPublished(jobId);
        if (block.timestamp > j.submitBy) revert SubmittingClosed(jobId, j.submitBy);
        _requireCid(cid);

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
        _requireCid(cid);

        j.submitted = j.submitted.with(slot);
        _commitments[jobId][slot] = hash;
        emit UpdateSubmitted(jobId, round, slot, hash, cid);
    }

    function settleRound(uint256 jobId, uint16 round, Settlement calldata s, RoundProof calldata proof) external {
        Job storage j = _jobIn(jobId, State.Running);
        Terms storage t = _terms[jobId];
        uint32 submitted = j.submitted;
        if (msg.sender != j.aggregator) revert NotAggregator(jobId, msg.sender);
        if (round != j.round) revert WrongRound(jobId, j.round, round);
        if (submitted == 0) revert NothingSubmitted(jobId, round);
        if (submitted != j.active && block.timestamp <= j.submitBy) revert SubmittingOpen(jobId, j.submitBy);
        if (block.timestamp > j.settleBy) revert SettlingClosed(jobId, j.settleBy);
        _requireShown(jobId, round, s, proof);

        bool last = round == t.rounds;
        (uint32 missing, uint32 struck) = _tally(jobId, submitted, submitted & ~s.selected & ~s.unopened);
        uint128 slashed = missing | struck == 0 ? 0 : _slash(t) * uint128((missing | struck).count());
        // What the last round slashes joins its own pot, since there is no next one.
        uint128 pot = t.reward + j.carry + (last ? slashed : 0);
        j.carry = last ? 0 : slashed;
        j.emptyRounds = 0;
        emit RoundSettled(jobId, round, submitted, pot, s);

        uint128 paid = _pay(jobId, pot, s);
        j.escrow = j.escrow - t.reward + (pot - paid);
        _payFee(jobId);
        j.feeDue = true;
        _eject(jobId, missing, false);
        _eject(jobId, struck, true);
        _advance(jobId, j.active == 0 && !last);
    }

    function skipRound(uint256 jobId) external {
        Job storage j = _jobIn(jobId, State.Running);
        Terms storage t = _terms[jobId];
        if (!j.keyPublished) revert KeyNotPublished(jobId);
        if (j.submitted != 0) revert SomethingSubmitted(jobId, j.round);
        if (block.timestamp <= j.submitBy) revert SubmittingOpen(jobId, j.submitBy);

        (uint32 missing,) = _tally(jobId, 0, 0);
        uint128 refund = t.reward + t.fee;
        j.escrow -= refund;
        j.carry += _slash(t) * uint128(missing.count());
        uint8 emptyRounds = ++j.emptyRounds;
        emit RoundSkipped(jobId, j.round);

        _credit(jobId, j.owner, refund, Reason.Refund);
        _payFee(jobId);
        _eject(jobId, missing, false);
        _advance(jobId, j.active == 0 || emptyRounds == t.maxEmptyRounds);
    }

    // ------------------------------------------------------------------ when the aggregator fails

    function abort(uint256 jobId) external {
        Job storage j = _jobIn(jobId, State.Running);
        (, uint40 takeableUntil) = _failure(jobId);
        if (block.timestamp <= takeableUntil) revert NotAbortable(jobId, takeableUntil);
        if (!j.keyPublished && j.takenOver) return _end(jobId, State.Aborted);

        // What does not divide ends up with the owner.
        j.carry = _compensate(jobId, _terms[jobId].bond + j.carry);
        _close(jobId, State.Aborted);
    }

    function takeOver(uint256 jobId, address payee, bytes32 encryptionKey) external payable nonReentrant {
        Job storage j = _jobIn(jobId, State.Running);
        Terms storage t = _terms[jobId];
        (uint40 failedAfter, uint40 takeableUntil) = _failure(jobId);
        if (block.timestamp <= failedAfter || block.timestamp > takeableUntil) {
            revert NotTakeable(jobId, failedAfter, takeableUntil);
        }
        _requirePayee(payee);
        _requireKey(encryptionKey);

        emit TakenOver(jobId, j.round, msg.sender, payee, encryptionKey);
        j.carry += _compensate(jobId, t.bond);
        j.aggregator = msg.sender;
        j.aggregatorPayee = payee;
        j.takenOver = true;
        j.keyPublished = false;
        _openRound(jobId, j.round);

        _receive(t.token, t.bond);
    }

    function handOver(uint256 jobId, string calldata cid) external {
        Job storage j = _jobIn(jobId, State.Running);
        if (!j.takenOver || j.keyPublished) revert NothingToHandOver(jobId);
        if (msg.sender != j.owner) _slotOf(jobId, j.active, msg.sender);
        _requireCid(cid);

        emit HandedOver(jobId, msg.sender, cid);
    }

    function dispute(uint256 jobId) external {
        Job storage j = _jobs[jobId];
        if (j.state != State.Confirming) _jobIn(jobId, State.Running);
        uint8 slot = _slotOf(jobId, j.active, msg.sender);
        if (!j.keyPublished) revert KeyNotPublished(jobId);
        _requireUnsubmitted(jobId, slot);
        uint32 disputed = j.disputed;
        if (disputed.has(slot)) revert AlreadyDisputed(jobId, j.round, slot);

        disputed = disputed.with(slot);
        j.disputed = disputed;
        emit Disputed(jobId, j.round, slot);
        if (disputed.count() < j.quorum) return;

        uint128 burnt = _terms[jobId].bond;
        if (j.feeDue) burnt += _takeFee(jobId);
        _credit(jobId, address(0), burnt, Reason.Burnt);
        _close(jobId, State.Aborted);
    }

    function complete(uint256 jobId) external {
        Job storage j = _jobIn(jobId, State.Confirming);
        if (block.timestamp <= j.submitBy) revert NotCompletable(jobId, j.submitBy);

        _end(jobId, State.Completed);
    }

    function showOpening(uint256 jobId, uint16 round, string calldata cid) external {
        uint8 place = _places[jobId][msg.sender];
        if (place == 0) revert NotTrainer(jobId, msg.sender);
        _requireCid(cid);

        emit OpeningShown(jobId, round, place - 1, cid);
    }

    // ------------------------------------------------------------------ over

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
        Job storage j = _jobs[jobId];
        State state = j.state;
        if (state == State.None) revert NoSuchJob(jobId);
        if (state < State.Completed) revert NotOver(jobId, state);
        if (msg.sender != j.owner) revert NotOwner(jobId, msg.sender);
        _requireCid(cid);

        emit ValidationRevealed(jobId, cid);
    }

    // ------------------------------------------------------------------ views

    function job(uint256 jobId) external view returns (Job memory) {
        return _jobs[jobId];
    }

    function terms(uint256 jobId) external view returns (Terms memory) {
        return _terms[jobId];
    }

    function trainer(uint256 jobId, uint8 slot) external view returns (Trainer memory taken) {
        if (_jobs[jobId].active.has(slot)) taken = _trainers[jobId][slot];
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

    function _slotOf(uint256 jobId, uint32 active, address operator) private view returns (uint8 slot) {
        uint8 place = _places[jobId][operator];
        if (place == 0 || !active.has(place - 1)) revert NotTrainer(jobId, operator);
        return place - 1;
    }

    /// @dev Whether a trainer is still free to submit, to leave or to dispute.
    function _requireUnsubmitted(uint256 jobId, uint8 slot) private view {
        Job storage j = _jobs[jobId];
        if (block.timestamp > j.submitBy) revert SubmittingClosed(jobId, j.submitBy);
        if (j.submitted.has(slot)) revert AlreadySubmitted(jobId, j.round, slot);
    }

    /// @dev When the aggregator has failed in this round, and up to when another may take over. Who has taken over and is not
    /// ready in time leaves the job to be aborted at once.
    function _failure(uint256 jobId) private view returns (uint40 failedAfter, uint40 takeableUntil) {
        Job storage j = _jobs[jobId];
        bool keyed = j.keyPublished;
        failedAfter = keyed ? j.settleBy : j.submitBy;
        takeableUntil = failedAfter + (keyed || !j.takenOver ? _terms[jobId].takeoverWindow : 0);
        if (keyed && j.submitted == 0 && block.timestamp > failedAfter) revert NothingSubmitted(jobId, j.round);
    }

    function _startable(uint256 jobId) private view returns (bool) {
        Job storage j = _jobs[jobId];
        Terms storage t = _terms[jobId];
        uint256 trainers = j.active.count();
        bool enough = trainers == t.maxTrainers || (trainers >= t.minTrainers && block.timestamp > t.enrolBy);
        return enough && j.aggregator != address(0);
    }

    /// @dev What is opened is judged as the proof shows it, and where nothing is, nothing is judged.
    function _requireShown(uint256 jobId, uint16 round, Settlement calldata s, RoundProof calldata proof) private view {
        Job storage j = _jobs[jobId];
        Terms storage t = _terms[jobId];
        uint32 opened = _opened(jobId, j.submitted, t.maxFaulty, s);
        if (opened == 0) return RoundCheck.requireNothing(jobId, s, proof);
        _requireSound(jobId, t, s);
        RoundCheck.Round memory settled = RoundCheck.Round(jobId, j.termsHash, round, opened);
        RoundCheck.requireProved(settled, t, _commitments[jobId], s, proof);
    }

    function _opened(uint256 jobId, uint32 submitted, uint8 maxFaulty, Settlement calldata s)
        private
        pure
        returns (uint32)
    {
        uint32 judged = s.unopened | s.selected;
        if (judged & ~submitted != 0) revert NotSubmitted(jobId, judged, submitted);
        if (s.selected & s.unopened != 0) revert SelectedUnopened(jobId, s.selected, s.unopened);
        uint256 unopened = s.unopened.count();
        if (unopened > maxFaulty) revert TooManyUnopened(jobId, unopened, maxFaulty);
        return submitted & ~s.unopened;
    }

    function _requireSound(uint256 jobId, Terms storage t, Settlement calldata s) private view {
        uint256 selected = s.selected.count();
        bool byReference = t.rule == Decision.REFERENCE;
        if (s.weights.length != selected) revert WeightCount(jobId, s.weights.length, selected);
        uint16[] calldata stated = s.coefficients;
        uint256 coefficients = byReference ? selected : 0;
        if (stated.length != coefficients) revert CoefficientCount(jobId, stated.length, coefficients);
        for (uint256 i; i < coefficients; ++i) {
            if (stated[i] > Decision.ONE) revert InvalidCoefficient(jobId, stated[i]);
        }
        if (selected != 0) _requireCid(s.sumCid);
        else if (bytes(s.sumCid).length != 0) revert InvalidCid(bytes(s.sumCid).length);
        bool hasRows = bytes(s.referenceCid).length != 0;
        bool hasCommitment = s.referenceCommitment != 0;
        if (hasRows != byReference || hasCommitment != byReference) revert ReferenceRows(jobId, t.rule);
        if (byReference) _requireCid(s.referenceCid);
    }

    function _requireCid(string calldata cid) private pure {
        uint256 length = bytes(cid).length;
        if (length == 0 || length > MAX_CID_BYTES) revert InvalidCid(length);
    }

    function _requireKey(bytes32 key) private pure {
        if (key == 0) revert ZeroKey();
    }

    function _requirePayee(address payee) private pure {
        if (payee == address(0)) revert ZeroAddress();
    }

    // ------------------------------------------------------------------ steps

    function _openRound(uint256 jobId, uint16 round) private {
        Job storage j = _jobs[jobId];
        Terms storage t = _terms[jobId];
        j.round = round;
        uint40 submitBy = _openDisputing(jobId);
        uint40 settleBy = submitBy + t.settleWindow;
        j.settleBy = settleBy;
        emit RoundOpened(jobId, round, submitBy, settleBy);
    }

    /// @dev Begins a phase of `submitWindow` in which trainers can dispute the last sum.
    function _openDisputing(uint256 jobId) private returns (uint40 until) {
        Job storage j = _jobs[jobId];
        uint256 trainers = j.active.count();
        uint256 believed = uint256(_terms[jobId].maxFaulty) + 1;
        until = uint40(block.timestamp) + _terms[jobId].submitWindow;
        j.submitBy = until;
        j.submitted = 0;
        j.quorum = uint8(believed < trainers ? believed : trainers);
        if (j.disputed != 0) j.disputed = 0;
    }

    function _advance(uint256 jobId, bool broken) private {
        Job storage j = _jobs[jobId];
        uint16 round = j.round;
        if (broken) return _end(jobId, State.Aborted);
        if (round != _terms[jobId].rounds) return _openRound(jobId, round + 1);
        if (!j.feeDue || j.active == 0) return _end(jobId, State.Completed);
        j.state = State.Confirming;
        emit ConfirmationOpened(jobId, _openDisputing(jobId));
    }

    /// @dev Counts the round for each active trainer and returns those that reached a limit, by which one.
    function _tally(uint256 jobId, uint32 submitted, uint32 outliers) private returns (uint32 missing, uint32 struck) {
        Terms storage t = _terms[jobId];
        uint32 active = _jobs[jobId].active;
        mapping(uint256 slot => Trainer) storage trainers = _trainers[jobId];
        for (uint256 slot; active >> slot != 0; ++slot) {
            if (!active.has(slot)) continue;
            Trainer storage who = trainers[slot];
            if (!submitted.has(slot)) {
                if (++who.missed == t.maxMissed) missing = missing.with(slot);
                continue;
            }
            if (who.missed != 0) who.missed = 0;
            if (outliers.has(slot) && ++who.strikes == t.maxStrikes) struck = struck.with(slot);
        }
    }

    function _pay(uint256 jobId, uint128 pot, Settlement calldata s) private returns (uint128 paid) {
        uint96[] calldata weights = s.weights;
        uint256 total;
        for (uint256 i; i < weights.length; ++i) {
            total += weights[i];
        }
        if (total == 0) return 0;
        mapping(uint256 slot => Trainer) storage trainers = _trainers[jobId];
        uint32 selected = s.selected;
        uint256 at;
        for (uint256 slot; selected >> slot != 0; ++slot) {
            if (!selected.has(slot)) continue;
            uint128 pay = uint128(uint256(pot) * weights[at++] / total);
            paid += pay;
            _credit(jobId, trainers[slot].payee, pay, Reason.Pay);
        }
    }

    /// @dev What one ejection costs.
    function _slash(Terms storage t) private view returns (uint128) {
        return uint128(uint256(t.stake) * t.slashBps / BPS);
    }

    function _eject(uint256 jobId, uint32 slots, bool strikes) private {
        if (slots == 0) return;
        uint128 slashed = _slash(_terms[jobId]);
        uint128 rest = _terms[jobId].stake - slashed;
        _jobs[jobId].active &= ~slots;
        for (uint8 slot; slots >> slot != 0; ++slot) {
            if (!slots.has(slot)) continue;
            emit Ejected(jobId, slot, strikes, slashed);
            _credit(jobId, _trainers[jobId][slot].payee, rest, Reason.Stake);
        }
    }

    /// @dev Pays the fee that is due, if one is.
    function _payFee(uint256 jobId) private {
        Job storage j = _jobs[jobId];
        if (j.feeDue) _credit(jobId, j.aggregatorPayee, _takeFee(jobId), Reason.Fee);
    }

    /// @return fee what leaves the escrow for a due fee
    function _takeFee(uint256 jobId) private returns (uint128 fee) {
        Job storage j = _jobs[jobId];
        fee = _terms[jobId].fee;
        j.feeDue = false;
        j.escrow -= fee;
    }

    /// @dev The end of an aggregator that failed: it gets a due fee, and those it wronged divide `pot`.
    /// @return rest what does not divide
    function _compensate(uint256 jobId, uint128 pot) private returns (uint128 rest) {
        Job storage j = _jobs[jobId];
        _payFee(jobId);
        uint32 wronged = j.keyPublished ? j.submitted : j.active;
        uint128 count = uint128(wronged.count());
        uint128 share = pot / count;
        for (uint256 slot; wronged >> slot != 0; ++slot) {
            if (wronged.has(slot)) _credit(jobId, _trainers[jobId][slot].payee, share, Reason.Compensation);
        }
        return pot - share * count;
    }

    /// @dev The end of a job that its aggregator is not to blame for: it gets a due fee and the bond.
    function _end(uint256 jobId, State state) private {
        Job storage j = _jobs[jobId];
        _payFee(jobId);
        if (j.aggregator != address(0)) _credit(jobId, j.aggregatorPayee, _terms[jobId].bond, Reason.Bond);
        _close(jobId, state);
    }

    /// @dev Gives back every stake and all that is left, and leaves nothing in the job.
    function _close(uint256 jobId, State state) private {
        Job storage j = _jobs[jobId];
        uint128 stake = _terms[jobId].stake;
        uint32 active = j.active;
        for (uint256 slot; active >> slot != 0; ++slot) {
            if (active.has(slot)) _credit(jobId, _trainers[jobId][slot].payee, stake, Reason.Stake);
        }
        uint128 rest = j.escrow + j.carry;
        j.state = state;
        (j.active, j.submitted, j.disputed, j.escrow, j.carry) = (0, 0, 0, 0, 0);
        _credit(jobId, j.owner, rest, Reason.Refund);
        emit Ended(jobId, state);
    }

    function _credit(uint256 jobId, address payee, uint256 amount, Reason reason) private {
        if (amount == 0) return;
        address token = _terms[jobId].token;
        credit[payee][token] += amount;
        emit Credited(jobId, payee, token, amount, reason);
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
