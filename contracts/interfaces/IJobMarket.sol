// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @dev What a job is, fixed at creation. Amounts are in the smallest unit of `token`; times in seconds.
struct Terms {
    /// The ERC-20 that everything in this job is paid in; the zero address means the chain's coin. A token that takes a fee
    /// on transfers is refused; one whose balances change by themselves must not be used.
    address token;
    /// Escrowed for the trainers of each round.
    uint128 reward;
    /// Escrowed for the aggregator of each round, paid once the trainers had a phase to dispute the round's sum in.
    uint128 fee;
    /// What a trainer deposits to join.
    uint128 stake;
    /// What the aggregator deposits to accept.
    uint128 bond;
    /// The only account that may accept the aggregation; the zero address lets anyone.
    address aggregator;
    /// Unix time up to which, inclusive, trainers may join and an aggregator may accept.
    uint40 enrolBy;
    /// Length of the submitting phase of each round.
    uint32 submitWindow;
    /// Length of the settling phase, counted from the end of the submitting phase.
    uint32 settleWindow;
    /// How long, after an aggregator has failed, another may take the round over; 0: the job can only be aborted.
    uint32 takeoverWindow;
    /// 1 krum-cosine, 2 reference (docs/rules.md).
    uint8 rule;
    /// Number of rounds, 1 … MAX_ROUNDS.
    uint16 rounds;
    uint8 minTrainers;
    uint8 maxTrainers;
    /// f: how many trainers the rule assumes to be faulty, how many submissions of a round the aggregator may call unopened,
    /// and how many trainers' disputes of a sum are not believed.
    uint8 maxFaulty;
    /// This many missed submissions in a row eject a trainer.
    uint8 maxMissed;
    /// This many rounds as an outlier, in the whole job, eject a trainer.
    uint8 maxStrikes;
    /// This many rounds in a row without any submission abort the job.
    uint8 maxEmptyRounds;
    /// The part of the stake that ejection costs, in 1/10,000.
    uint16 slashBps;
    /// The contract that checks Gram proofs, and the `keyHash` it has: its set-up.
    address gramVerifier;
    bytes32 gramKey;
    /// The contract that checks decision proofs, and the `keyHash` it has: its verifying key. Its circuit is that of `rule` for
    /// the least number of slots, 8, 16 or 32, that holds `maxTrainers`.
    address decisionVerifier;
    bytes32 decisionKey;
}

enum State {
    None,
    Open,
    Running,
    Confirming,
    Completed,
    Cancelled,
    Aborted
}

/// @dev Why an amount was credited.
enum Reason {
    Pay, // a trainer's part of a round's pot
    Fee, // the aggregator's fee of a settled round whose sum stands
    Stake, // a trainer's stake, or what is left of it
    Bond, // the aggregator's bond, back to the aggregator
    Compensation, // a wronged trainer's part of the bond, and of the carried pot of an aborted job
    Refund, // escrow that went back to the owner
    Burnt // bond and fee for a disputed sum: credited to the zero address, out of everybody's reach
}

/// @dev A job's changing part. Masks have bit i set for slot i. Ordered so that a settlement writes two words of it.
// solhint-disable-next-line gas-struct-packing
struct Job {
    address owner;
    /// The aggregator's account; zero until one accepted.
    address aggregator;
    /// Where the aggregator's fee and bond are credited.
    address aggregatorPayee;
    /// Whether this aggregator has taken the job over from another.
    bool takenOver;
    State state;
    /// The running round, from 1; 0 while Open.
    uint16 round;
    /// Rounds in a row that ended without a submission.
    uint8 emptyRounds;
    /// Whether the aggregator has published the sealed job key.
    bool keyPublished;
    /// Last second of the submitting phase, while Confirming of the disputing; of the settling phase.
    uint40 submitBy;
    uint40 settleBy;
    /// Slots that are taken; slots that have submitted in this round.
    uint32 active;
    uint32 submitted;
    /// What is left of the owner's money in this job, a due fee included.
    uint128 escrow;
    /// Whether the fee of the round settled last is still to be paid.
    bool feeDue;
    /// How many disputes end the job: more than `maxFaulty`, or all trainers there were when the phase began.
    uint8 quorum;
    /// Slots that dispute what the last settlement, or the aggregator's key, left them with.
    uint32 disputed;
    /// Slashed stakes waiting for the next pot.
    uint128 carry;
    /// keccak256 of abi.encode(terms): every proof of this job is bound to it.
    bytes32 termsHash;
}

struct Trainer {
    address operator;
    address payee;
    /// Missed submissions in a row.
    uint8 missed;
    /// Rounds as an outlier so far.
    uint8 strikes;
}

/// @dev The aggregator's judgement of one round; what it says of opened submissions is proved. A submission that is not
/// unopened is opened. Where nothing is opened, there is nothing to judge: every field but `unopened` is empty.
struct Settlement {
    /// Submitted, but could not be opened: no pay, no strike. At most `maxFaulty` of them.
    uint32 unopened;
    /// In the sum. A submitted slot that is neither selected nor unopened is an outlier.
    uint32 selected;
    /// One for each selected slot, in ascending order of slot.
    uint96[] weights;
    /// Rule `reference`: how much of each selected update enters the sum, in 1/4096, by ascending slot; else empty: all of it.
    uint16[] coefficients;
    /// The sum of coefficient · update over the selected slots, sealed to the job key; empty where nothing is selected.
    string sumCid;
    /// keccak256 of the points that commit to that sum.
    bytes32 sumCommitment;
    /// Rule `reference`: the two reference rows, sealed to the owner; else empty.
    string referenceCid;
    /// Rule `reference`: keccak256 of the points that commit to the reference rows, the first row's before the second's; else zero.
    bytes32 referenceCommitment;
}

/// @dev What shows that a settlement follows from the submissions (docs/proofs-format.md). Points are two words each. The
/// words are not kept: auditors read them from the transaction. Empty where nothing is opened.
struct RoundProof {
    /// The c points of each opened slot in ascending order, then, under rule `reference`, of the two reference rows.
    uint256[] commitments;
    /// The c points that commit to the sum.
    uint256[] sums;
    uint256 gramHash;
    uint256[] gram;
    uint256[8] decision;
}

/// @title Escrow, order and pay of learning jobs
/// @notice An owner escrows a reward; trainers submit committed updates round by round; a bonded aggregator settles each
/// round. Nobody administers this contract, and every state of a job has an exit that anybody may take after a deadline.
/// Money leaves only through `withdraw`; every other call moves it between the escrow, stakes, bonds and credits.
/// For each job and token: escrow + carry + stakes + bond + credits == paid in − paid out, after every call.
interface IJobMarket {
    // ------------------------------------------------------------------ events: they alone rebuild every state

    event JobCreated(uint256 indexed jobId, address indexed owner, Terms terms, bytes32 encryptionKey, string specCid);
    event AggregationAccepted(uint256 indexed jobId, address indexed aggregator, address payee, bytes32 encryptionKey);
    event Joined(
        uint256 indexed jobId, uint8 indexed slot, address indexed operator, address payee, bytes32 encryptionKey
    );
    event Left(uint256 indexed jobId, uint8 indexed slot);
    event Started(uint256 indexed jobId);
    event KeyPublished(uint256 indexed jobId, string cid);
    event RoundOpened(uint256 indexed jobId, uint16 indexed round, uint40 submitBy, uint40 settleBy);
    event UpdateSubmitted(
        uint256 indexed jobId, uint16 indexed round, uint8 indexed slot, bytes32 commitment, string cid
    );
    /// @notice Comes before the credits and ejections that the settlement causes.
    /// @param submitted the slots that had submitted; `pot` what was divided: reward and carried slashes, in the last round
    /// also those of this round.
    event RoundSettled(
        uint256 indexed jobId, uint16 indexed round, uint32 submitted, uint128 pot, Settlement settlement
    );
    event RoundSkipped(uint256 indexed jobId, uint16 indexed round);
    /// @notice The last round is settled: its sum can be disputed up to `confirmBy`.
    event ConfirmationOpened(uint256 indexed jobId, uint40 confirmBy);
    /// @notice Slot `slot` says that what round `round` starts from, while Confirming what it left, is not to be had or wrong.
    event Disputed(uint256 indexed jobId, uint16 indexed round, uint8 indexed slot);
    /// @notice Comes before the credits of the failed aggregator and of those it wronged, and before the round opens again.
    event TakenOver(
        uint256 indexed jobId, uint16 indexed round, address indexed aggregator, address payee, bytes32 encryptionKey
    );
    event HandedOver(uint256 indexed jobId, address indexed sender, string cid);
    event OpeningShown(uint256 indexed jobId, uint16 indexed round, uint8 indexed slot, string cid);
    /// @param strikes true for too many strikes, false for too many missed submissions.
    event Ejected(uint256 indexed jobId, uint8 indexed slot, bool strikes, uint128 slashed);
    /// @notice The job is over; `state` is Completed, Cancelled or Aborted. Comes after all credits of the job.
    event Ended(uint256 indexed jobId, State state);
    event Credited(uint256 indexed jobId, address indexed payee, address indexed token, uint256 amount, Reason reason);
    event Withdrawn(address indexed payee, address indexed token, uint256 amount);
    event ValidationRevealed(uint256 indexed jobId, string cid);

    // ------------------------------------------------------------------ errors: which rule, and the values that broke it

    /// A term is outside its bounds. `term` is the field's name in `Terms`, or "total" for all that the job could ever hold,
    /// rounds × (reward + fee) + maxTrainers × stake + bond, which must fit in 128 bits.
    error InvalidTerm(bytes32 term, uint256 value);
    error NoSuchJob(uint256 jobId);
    error WrongState(uint256 jobId, State actual, State required);
    error NotOver(uint256 jobId, State actual);
    error NotOwner(uint256 jobId, address caller);
    error NotAggregator(uint256 jobId, address caller);
    error NotTrainer(uint256 jobId, address caller);
    error AggregatorTaken(uint256 jobId, address aggregator);
    error AlreadyJoined(uint256 jobId, address operator);
    error JobFull(uint256 jobId, uint8 maxTrainers);
    error EnrolmentClosed(uint256 jobId, uint40 enrolBy);
    error NotStartable(uint256 jobId, bool hasAggregator, uint256 trainers);
    error NotCancellable(uint256 jobId, address caller);
    error ZeroAddress();
    error ZeroKey();
    error InvalidCid(uint256 length);
    error ZeroCommitment();
    error KeyAlreadyPublished(uint256 jobId);
    error KeyNotPublished(uint256 jobId);
    error WrongRound(uint256 jobId, uint16 actual, uint16 given);
    error SubmittingClosed(uint256 jobId, uint40 submitBy);
    error SubmittingOpen(uint256 jobId, uint40 submitBy);
    error SettlingClosed(uint256 jobId, uint40 settleBy);
    error AlreadySubmitted(uint256 jobId, uint16 round, uint8 slot);
    error NothingSubmitted(uint256 jobId, uint16 round);
    error SomethingSubmitted(uint256 jobId, uint16 round);
    error NotAbortable(uint256 jobId, uint40 abortableAfter);
    error NotTakeable(uint256 jobId, uint40 takeableAfter, uint40 takeableUntil);
    error NothingToHandOver(uint256 jobId);
    error AlreadyDisputed(uint256 jobId, uint16 round, uint8 slot);
    error NotCompletable(uint256 jobId, uint40 completableAfter);
    error NotSubmitted(uint256 jobId, uint32 mask, uint32 submitted);
    error SelectedUnopened(uint256 jobId, uint32 selected, uint32 unopened);
    error TooManyUnopened(uint256 jobId, uint256 unopened, uint8 maxFaulty);
    error WeightCount(uint256 jobId, uint256 given, uint256 required);
    error CoefficientCount(uint256 jobId, uint256 given, uint256 required);
    error InvalidCoefficient(uint256 jobId, uint256 coefficient);
    error ReferenceRows(uint256 jobId, uint8 rule);
    /// Every row and the sum have the same number of points, at least one. Counted in words.
    error PointCount(uint256 jobId, uint256 given, uint256 required);
    /// The points given for a slot are not those whose hash it submitted in this round.
    error NotItsCommitment(uint256 jobId, uint8 slot, bytes32 hash);
    /// The points of the sum or of the reference rows do not have the hash that the settlement names in the field `what`.
    error WrongPoints(uint256 jobId, bytes32 what, bytes32 hash);
    /// Nothing is opened, so nothing else may be stated.
    error NothingOpened(uint256 jobId);
    error GramProofRefused(uint256 jobId, uint16 round);
    error DecisionProofRefused(uint256 jobId, uint16 round);
    error WrongPayment(uint256 sent, uint256 required);
    error FeeOnTransfer(address token, uint256 received, uint256 required);
    error NothingToWithdraw(address payee, address token);
    error CoinTransferFailed(address payee, uint256 amount);

    // ------------------------------------------------------------------ enrolling

    /// @notice Escrows rounds × (reward + fee) and opens the job.
    /// @param t the terms; they never change. Nothing here looks into the two verifiers' code: who joins has to.
    /// @param encryptionKey the owner's X25519 public key; the job key is sealed to it.
    /// @param specCid CID of the job's full description: model, data schema, training, validation commitment.
    /// @return jobId from 1, in order of creation.
    function createJob(Terms calldata t, bytes32 encryptionKey, string calldata specCid)
        external
        payable
        returns (uint256 jobId);

    /// @notice Deposits the bond and becomes the job's aggregator. Open, up to `enrolBy`.
    function acceptAggregation(uint256 jobId, address payee, bytes32 encryptionKey) external payable;

    /// @notice Deposits the stake and takes the lowest free slot. Open, up to `enrolBy`.
    function join(uint256 jobId, address payee, bytes32 encryptionKey) external payable returns (uint8 slot);

    /// @notice Gives the slot up and the stake back. Open; Confirming; or Running up to `submitBy`, before having submitted in
    /// this round: once the submitting phase is over the missed submission counts, so that leaving cannot dodge the slash.
    /// The last trainer to leave aborts a running job, and completes one that is Confirming. Slots that are given up after the
    /// start are not taken again.
    function leave(uint256 jobId) external;

    /// @notice Ends an Open job and gives all money back. The owner at any time; anyone past `enrolBy` when it cannot start.
    function cancel(uint256 jobId) external;

    /// @notice Opens round 1. Anyone, when there is an aggregator and the job is full, or has `minTrainers` past `enrolBy`.
    function start(uint256 jobId) external;

    // ------------------------------------------------------------------ rounds

    /// @notice The aggregator states where the job key, sealed to each trainer and the owner, is to be found, and thereby that
    /// it has what its work takes. Once, in the first submitting phase of each aggregator. Submitting needs it; without it by
    /// the end of that phase anyone may abort.
    function publishKey(uint256 jobId, string calldata cid) external;

    /// @notice Commits to an update. Final; one per trainer and round. To copy another's commitment gains nothing: what opens
    /// it is sealed in its sender's name.
    function submitUpdate(uint256 jobId, uint16 round, bytes32 hash, string calldata cid) external;

    /// @notice Judges the round as the proof shows it, credits the pay and the fee of the settled round before, and opens the
    /// next round or, after the last, the confirmation. Words that encode no proof revert with the error of the verifier that they are for.
    function settleRound(uint256 jobId, uint16 round, Settlement calldata settlement, RoundProof calldata proof)
        external;

    /// @notice Past `submitBy` without any submission: the round's money goes back to the owner. Anyone.
    function skipRound(uint256 jobId) external;

    /// @notice The aggregator failed (no settlement by `settleBy`, or no job key by its first `submitBy`), and nobody took over
    /// in time: bond and carried pot go to this round's submitters (without a job key: to the active trainers), stakes and
    /// escrow back. An aggregator that had taken over and never published the key gets its bond back: whether it can work
    /// depends on what others hand over. Anyone.
    function abort(uint256 jobId) external;

    /// @notice Deposits the bond and becomes the aggregator of a job whose aggregator failed, within `takeoverWindow` of that.
    /// The failed one's bond goes to those it wronged, as in `abort`, and the round opens anew. Anyone.
    function takeOver(uint256 jobId, address payee, bytes32 encryptionKey) external payable;

    /// @notice The owner or a trainer states where what a new aggregator needs, sealed to it, is to be found: the job key and,
    /// from the owner, the validation data. Until that aggregator publishes the key.
    function handOver(uint256 jobId, string calldata cid) external;

    /// @notice A trainer that has not submitted in this round, or one while Confirming, says that the last round's sum (in
    /// round 1: the job key) is not to be had or does not open. Final. At the quorum the job is aborted, and bond and due fee
    /// are burnt: who lied cannot be known here, so nobody gains (docs/decisions/2026-11-21-disputes.md).
    function dispute(uint256 jobId) external;

    /// @notice Ends a job whose last sum was not disputed in time. Anyone.
    function complete(uint256 jobId) external;

    /// @notice A trainer, also of a job that is over, states where it shows that its submission of a round, which was called
    /// unopened, opens. Auditors check it; no money moves.
    function showOpening(uint256 jobId, uint16 round, string calldata cid) external;

    /// @notice Pays out all that the caller was credited in `token`.
    function withdraw(address token) external;

    /// @notice The owner states where the validation data and salt, committed in the spec, are to be found. Only once the job is over.
    function revealValidation(uint256 jobId, string calldata cid) external;

    // ------------------------------------------------------------------ views

    function jobCount() external view returns (uint256);
    function job(uint256 jobId) external view returns (Job memory);
    function terms(uint256 jobId) external view returns (Terms memory);
    /// @notice Zeros for a free slot.
    function trainer(uint256 jobId, uint8 slot) external view returns (Trainer memory);
    /// @notice What a slot submitted last; zero when it has not.
    function commitment(uint256 jobId, uint8 slot) external view returns (bytes32);
    function credit(address payee, address token) external view returns (uint256);
}
