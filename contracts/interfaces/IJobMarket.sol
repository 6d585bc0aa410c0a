// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @dev What a job is, fixed at creation. Amounts are in the smallest unit of `token`; times in seconds.
struct Terms {
    /// The ERC-20 that everything in this job is paid in; the zero address means the chain's coin. A token that takes a fee
    /// on transfers is refused; one whose balances change by themselves must not be used.
    address token;
    /// Escrowed for the trainers of each round. What the settled rounds bring is one pot, divided when the job ends.
    uint128 reward;
    /// Escrowed for the aggregator of each round, held until the job ends.
    uint128 fee;
    /// What a trainer deposits to join.
    uint128 stake;
    /// What the aggregator deposits to accept.
    uint128 bond;
    /// The only account that may accept the aggregation; the zero address lets anyone.
    address aggregator;
    /// The account whose tickets let trainers in; the zero address lets anyone join.
    address gate;
    /// Unix time up to which, inclusive, trainers may join and an aggregator may accept.
    uint40 enrolBy;
    /// How long after the last join anybody but the owner has to wait before starting the job: time to see who has joined.
    uint32 startDelay;
    /// Length of the submitting phase of each round.
    uint32 submitWindow;
    /// Length of the settling phase, counted from the end of the submitting phase.
    uint32 settleWindow;
    /// How long, after an aggregator has failed, another may take the round over; 0: the job can only be aborted.
    uint32 takeoverWindow;
    /// How long members can dispute what a job that ends has left them with, before its pot is divided.
    uint32 confirmWindow;
    /// Rule `reference`: how much of that time there is to reveal the validation data to the members, who then recompute the
    /// reference rows; less than `confirmWindow`. 0: nobody reveals it, and points rest on the aggregator's word.
    uint32 revealWindow;
    /// 1 krum-cosine, 2 reference (docs/rules.md).
    uint8 rule;
    /// Number of rounds, 1 … MAX_ROUNDS.
    uint16 rounds;
    /// From this round on the owner may end the job early.
    uint16 minRounds;
    /// The server's rate in round 1, in units of 2^-40, and its factor from one round to the next, in units of 2^-32.
    uint64 rate;
    uint40 rateDecay;
    /// The value of one integer step of an update is 2^scaleExponent, -40 … 0.
    int16 scaleExponent;
    uint8 minTrainers;
    uint8 maxTrainers;
    /// f: how many trainers the rule assumes to be faulty, how many submissions of a round the aggregator may at most call
    /// unopened, and how many disputes are not believed. Unless it is 0, `minTrainers` is at least 2f + 3.
    uint8 maxFaulty;
    /// This many missed submissions in a row eject a trainer.
    uint8 maxMissed;
    /// This many strikes in the whole job cost a trainer what an ejection costs, when the job is over.
    uint8 maxStrikes;
    /// This many rounds in a row without any submission abort the job.
    uint8 maxEmptyRounds;
    /// How often, in the whole job, submissions that do not open can be asked for again. The next time ends the job.
    uint8 maxVoids;
    /// The part of the stake that an ejection costs, in 1/10,000.
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
    Pay, // a trainer's part of the pot
    Fee, // an aggregator's fees, of the rounds that it settled
    Stake, // a trainer's stake, or what is left of it
    Bond, // the aggregator's bond, back to the aggregator
    Compensation, // a wronged trainer's part of the bond
    Refund, // escrow that went back to the owner
    Burnt // credited to the zero address, out of everybody's reach: bond and fees for a disputed sum or disputed rows, slashes
    // for strikes, and what of a pot is not divided
}

/// @dev A job's changing part. Masks have bit i set for slot i. Ordered so that a settlement writes three words of it.
// solhint-disable-next-line gas-struct-packing
struct Job {
    address owner;
    /// Whether the aggregator's bond is still held.
    bool bonded;
    /// Whether enough trainers disputed the last sum; enough members the reference rows, or nobody revealed in time what they
    /// follow from. Either burns the fees of the settled rounds; the second changes how the pot is divided.
    bool disputedSum;
    bool disputedRows;
    /// Whether anybody has stated where the validation data is.
    bool revealed;
    /// While `delivering`, those that have to deliver again and have not yet.
    uint32 undelivered;
    /// How a job that is Confirming will be over: Completed or Aborted.
    State outcome;
    /// The aggregator's account; zero until one accepted.
    address aggregator;
    /// How many rounds were settled before this aggregator took over, and of how many of these the fees are still to be claimed.
    uint16 settledBefore;
    uint16 owed;
    /// Slots that were held at the start; those of them whose pay and stake are claimed.
    uint32 members;
    uint32 claimed;
    /// Where the aggregator's fee and bond are credited.
    address aggregatorPayee;
    /// The round in which this aggregator took the job over from another; 0: it accepted it.
    uint16 takenOverIn;
    State state;
    /// The running round, from 1; 0 while Open.
    uint16 round;
    /// Rounds in a row that ended without a submission.
    uint8 emptyRounds;
    /// Whether the aggregator has published the sealed job key.
    bool keyPublished;
    /// How many rounds have been settled.
    uint16 settled;
    /// Whether the owner has asked that the job end with the next settlement.
    bool endAsked;
    /// Whether submissions of this round are delivered again, up to `submitBy`; how often that was so in this job.
    bool delivering;
    uint8 voids;
    /// Last second of the submitting phase, while Confirming of the disputing, while Open the first one in which anybody may start
    /// the job; of the settling phase, while Confirming of the revealing.
    uint40 submitBy;
    uint40 settleBy;
    /// Slots that are taken; slots that have submitted in this round.
    uint32 active;
    uint32 submitted;
    /// How many disputes end the job: more than `maxFaulty`, or all trainers there were when the phase began.
    uint8 quorum;
    /// Slots that dispute what the last settlement, or the aggregator's key, left them with.
    uint32 disputed;
    /// The server's rate in this round, in units of 2^-40.
    uint64 rate;
    /// Over the active trainers: Σ max(0, balance), and Σ max(0, balance) · absences.
    uint128 earned;
    uint128 missedOut;
    /// Over those who left or were ejected: Σ points.
    uint128 goneEarned;
    /// Σ absences of the active trainers; Σ rounds opened of those who left or were ejected.
    uint32 absences;
    uint32 goneOpened;
    /// Members that dispute reference rows; those of them that dispute rows of this aggregator's.
    uint32 rowsDisputed;
    uint32 ownRowsDisputed;
    /// What is left of the owner's money in this job.
    uint128 escrow;
    /// Slashed stakes; once the job is over, the whole pot that is divided.
    uint128 pot;
    /// keccak256 of abi.encode(terms): every proof of this job is bound to it.
    bytes32 termsHash;
}

/// @dev A member of a job. Points are max(0, balance) · rounds opened.
struct Trainer {
    address operator;
    /// Missed submissions in a row.
    uint8 missed;
    uint8 strikes;
    /// Settled rounds, while it was active, without an opened submission of its own.
    uint16 absences;
    /// Settled rounds with one, once it has left or was ejected.
    uint16 opened;
    /// Whether its stake is still held.
    bool staked;
    address payee;
    /// What it brought so far: under rule `reference` in units of 2^-60 of validation loss, else in 2^-64 of a round.
    int96 balance;
}

/// @dev The aggregator's judgement of one round; what it says of opened submissions is proved. A submission that is not
/// unopened is opened.
// solhint-disable-next-line gas-struct-packing
struct Settlement {
    /// Submitted, but could not be opened: no pay, no strike. At most `maxFaulty` of them, and less than a third.
    uint32 unopened;
    /// In the sum.
    uint32 selected;
    /// Opened, and a strike for its sender: what it sent is zero, or under rule `reference` clearly against the first row.
    uint32 struck;
    /// What each selected slot brought, in ascending order of slot. Under rule `reference` negative where it raised the loss.
    int96[] scores;
    /// Rule `reference`: one step of the second reference row, against which scores are stated, is 2^rowExponent; else 0.
    int16 rowExponent;
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
/// words are not kept: auditors read them from the transaction.
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
/// round, which adds to the balances of those whose updates it used. When the job ends its pot is divided by points. Nobody
/// administers this contract, and every state of a job has an exit that anybody may take after a deadline.
/// Money leaves only through `withdraw`; every other call moves it between the escrow, stakes, bonds and credits.
/// For each job and token: escrow + slashed + stakes + bond + credits == paid in − paid out, after every call.
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
    /// @notice After a takeover of a round in which trainers could submit, it opens for the delivery of what they had submitted alone.
    event RoundOpened(uint256 indexed jobId, uint16 indexed round, uint40 submitBy, uint40 settleBy);
    event UpdateSubmitted(
        uint256 indexed jobId, uint16 indexed round, uint8 indexed slot, bytes32 commitment, string cid
    );
    /// @notice What round `round` is going to be settled with, as its aggregator says before it has proved it: the slots
    /// `selected`, and the sum at `sumCid`. Nothing follows from it; the settlement alone counts.
    event SumAnnounced(
        uint256 indexed jobId, uint16 indexed round, uint32 selected, bytes32 sumCommitment, string sumCid
    );
    /// @notice Comes before the ejections that the settlement causes. `submitted`: the slots that had submitted.
    event RoundSettled(uint256 indexed jobId, uint16 indexed round, uint32 submitted, Settlement settlement);
    event RoundSkipped(uint256 indexed jobId, uint16 indexed round);
    /// @notice More submissions than may be called unopened do not open: the slots `unopened`, and those that had to before and
    /// have not, deliver theirs again up to `deliverBy`, and the settling phase ends with `settleBy`. Both 0: the job ends, since
    /// there were `maxVoids` before.
    event RoundVoided(uint256 indexed jobId, uint16 indexed round, uint32 unopened, uint40 deliverBy, uint40 settleBy);
    /// @notice Where the content of the submission that slot `slot` has committed to in this round is now.
    event Redelivered(uint256 indexed jobId, uint16 indexed round, uint8 indexed slot, string cid);
    /// @notice The owner asks that the job end with the next settlement, from round `minRounds` on.
    event EndAsked(uint256 indexed jobId);
    /// @notice No round follows: what the job has left can be disputed up to `confirmBy`; then it is over as `outcome`. Up to
    /// `revealBy` the validation data is to be revealed; 0 where nobody has to.
    event ConfirmationOpened(uint256 indexed jobId, uint40 confirmBy, uint40 revealBy, State outcome);
    /// @notice Where the validation data, sealed to the job key, is said to be. Any that is what the spec commits to counts.
    event Revealed(uint256 indexed jobId, address indexed sender, string cid);
    /// @notice The member in slot `slot` says that the reference rows of round `round` do not follow from the validation data;
    /// round 0: that nothing revealed is what the spec commits to.
    event RowsDisputed(uint256 indexed jobId, uint16 indexed round, uint8 indexed slot);
    /// @notice Nobody revealed in time: the rows are disputed. Comes before the credits of the completion that found it.
    event Unrevealed(uint256 indexed jobId);
    /// @notice Slot `slot` says that what round `round` starts from, while Confirming what it left, cannot be fetched or is wrong.
    event Disputed(uint256 indexed jobId, uint16 indexed round, uint8 indexed slot);
    /// @notice Comes before the credits of those whom the failed aggregator wronged, and before the round opens again.
    event TakenOver(
        uint256 indexed jobId, uint16 indexed round, address indexed aggregator, address payee, bytes32 encryptionKey
    );
    event HandedOver(uint256 indexed jobId, address indexed sender, string cid);
    event OpeningShown(uint256 indexed jobId, uint16 indexed round, uint8 indexed slot, string cid);
    /// @notice Too many missed submissions. `slashed` goes to the pot.
    event Ejected(uint256 indexed jobId, uint8 indexed slot, uint128 slashed);
    /// @notice The job is over; `state` is Completed, Cancelled or Aborted; `pot` is what its members claim their parts of. Comes
    /// after the credits of aggregator and owner.
    event Ended(uint256 indexed jobId, State state, uint128 pot);
    /// @notice Pay and stake of slot `slot`: comes before their credits. `slashed`, for strikes, is burnt.
    event Claimed(uint256 indexed jobId, uint8 indexed slot, uint128 pay, uint128 stake, uint128 slashed);
    /// @notice The fees of an aggregator that lost the job to another: comes before their credit.
    event FeesClaimed(uint256 indexed jobId, address indexed payee, uint128 fees);
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
    /// The job has a gate: only who brings its ticket may join.
    error TicketMissing(uint256 jobId, address gate);
    /// The job has no gate: a ticket would be looked at by nobody.
    error TicketUnneeded(uint256 jobId, uint256 length);
    /// A ticket is 8 bytes of expiry and at most 2048 of signature.
    error TicketLength(uint256 jobId, uint256 length);
    error TicketExpired(uint256 jobId, uint64 expiry);
    /// The gate did not sign this for this operator, job, market, chain and terms.
    error TicketRefused(uint256 jobId, address gate, address operator);
    error EnrolmentClosed(uint256 jobId, uint40 enrolBy);
    error NotStartable(uint256 jobId, bool hasAggregator, uint256 trainers);
    /// Somebody joined less than `startDelay` ago: only the owner may start the job.
    error StartDelayed(uint256 jobId, uint40 startableFrom);
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
    /// Nothing rests on rows that can be recomputed: another rule, or a job that reveals nothing.
    error NothingToReveal(uint256 jobId);
    error RevealingClosed(uint256 jobId, uint40 revealBy);
    error RevealingOpen(uint256 jobId, uint40 revealBy);
    error NotRevealer(uint256 jobId, address caller);
    /// The rows are disputed by members that opened a submission: who opened none has no part in what they divide.
    error OpenedNothing(uint256 jobId, uint8 slot);
    error EndAlreadyAsked(uint256 jobId);
    /// The sum is disputed already: bond and fees are burnt.
    error AlreadyBurnt(uint256 jobId);
    error NotMember(uint256 jobId, uint8 slot);
    error AlreadyClaimed(uint256 jobId, uint8 slot);
    error NothingToClaim(uint256 jobId, address payee);
    error NotSubmitted(uint256 jobId, uint32 mask, uint32 submitted);
    error SelectedUnopened(uint256 jobId, uint32 selected, uint32 unopened);
    /// Struck slots are opened, and not selected.
    error WrongStrikes(uint256 jobId, uint32 struck);
    error TooManyUnopened(uint256 jobId, uint256 unopened, uint256 most);
    /// So few unopened submissions are left out of the settlement.
    error NotVoidable(uint256 jobId, uint256 unopened, uint256 most);
    error NothingToDeliver(uint256 jobId, uint8 slot);
    error ScoreCount(uint256 jobId, uint256 given, uint256 required);
    error CoefficientCount(uint256 jobId, uint256 given, uint256 required);
    error InvalidCoefficient(uint256 jobId, uint256 coefficient);
    error ReferenceRows(uint256 jobId, uint8 rule);
    /// Every row and the sum have the same number of points, at least one. Counted in words.
    error PointCount(uint256 jobId, uint256 given, uint256 required);
    /// The points given for a slot do not, with its operator's address, have the hash that it submitted in this round.
    error NotItsCommitment(uint256 jobId, uint8 slot, bytes32 hash);
    /// The points of the sum or of the reference rows do not have the hash that the settlement names in the field `what`.
    error WrongPoints(uint256 jobId, bytes32 what, bytes32 hash);
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
    /// @param ticket where the terms name a gate: the last second in which it is good, 8 bytes, and the gate's signature (of a
    /// contract: what its ERC-1271 takes) of the EIP-712 data Ticket(uint256 jobId,bytes32 termsHash,address operator,uint64 expiry)
    /// under the domain "Merit", "2", this chain and this market. It lets in only the operator that it names, who may use it
    /// again. Else empty.
    function join(uint256 jobId, address payee, bytes32 encryptionKey, bytes calldata ticket)
        external
        payable
        returns (uint8 slot);

    /// @notice Gives the slot up and the stake back. Open; or Running up to `submitBy`, before having submitted in this round:
    /// once the submitting phase is over the missed submission counts, so that leaving cannot dodge the slash. Points stay; the
    /// stake of who has `maxStrikes` strikes stays until the claim. The last trainer to leave ends a running job. Slots that are
    /// given up after the start are not taken again.
    function leave(uint256 jobId) external;

    /// @notice Ends an Open job; trainers claim their stakes, all else goes back. The owner at any time; anyone past `enrolBy` when it cannot start.
    function cancel(uint256 jobId) external;

    /// @notice Opens round 1, when there is an aggregator and the job is full, or has `minTrainers` past `enrolBy`. The owner, or,
    /// once `startDelay` is over since the last join, anyone.
    function start(uint256 jobId) external;

    // ------------------------------------------------------------------ rounds

    /// @notice The aggregator states where the job key, sealed to each trainer and the owner, is to be found, and thereby that
    /// it has what its work takes. Once, in the first submitting phase of each aggregator. Submitting needs it; without it by
    /// the end of that phase anyone may abort.
    function publishKey(uint256 jobId, string calldata cid) external;

    /// @notice Commits to an update. Final; one per trainer and round.
    /// @param hash keccak256 of the update's points and then the 20 bytes of the caller's address, so that another's hash,
    /// copied from the chain, can never be shown
    function submitUpdate(uint256 jobId, uint16 round, bytes32 hash, string calldata cid) external;

    /// @notice The aggregator says what it is going to settle the round with, so that trainers can train the next one while it
    /// proves. When the round can be settled; as often as it likes. Nothing of the state changes.
    function announceSum(uint256 jobId, uint16 round, uint32 selected, bytes32 sumCommitment, string calldata sumCid)
        external;

    /// @notice Judges the round as the proof shows it, adds to the balances, and opens the next round or, after the last, the
    /// confirmation. Words that encode no proof revert with the error of the verifier that they are for.
    function settleRound(uint256 jobId, uint16 round, Settlement calldata settlement, RoundProof calldata proof)
        external;

    /// @notice The aggregator says that these submissions, more than may be called unopened, do not open: their senders deliver
    /// the content again, for the same commitments, within a settling window; then the round is settled without what was not
    /// delivered, which counts as absence and not as a miss. After `maxVoids` of them the job ends instead, and the round's reward
    /// is burnt: nobody gains by it (docs/decisions/2026-11-27-voids.md).
    function voidRound(uint256 jobId, uint16 round, uint32 unopened) external;

    /// @notice A trainer whose submission was said not to open, or was made to an aggregator that has failed since, states where
    /// its content is, sealed to the aggregator that there is now. Up to `submitBy`. Once each time.
    function redeliver(uint256 jobId, uint16 round, string calldata cid) external;

    /// @notice Past `submitBy` without any submission: the round is not settled, and costs nothing. Anyone.
    function skipRound(uint256 jobId) external;

    /// @notice The owner asks that the job end with the next settlement, from round `minRounds` on. Final.
    function askEnd(uint256 jobId) external;

    /// @notice The aggregator failed (no settlement by `settleBy`, or no job key by its first `submitBy`), and nobody took over
    /// in time: the bond goes to this round's submitters (without a job key: to the active trainers), and the job ends. An aggregator that had taken over and never published the key gets its bond back: whether it can work
    /// depends on what others hand over. Anyone.
    function abort(uint256 jobId) external;

    /// @notice Deposits the bond and becomes the aggregator of a job whose aggregator failed, within `takeoverWindow` of that.
    /// The failed one's bond goes to those it wronged, as in `abort`. What was submitted is delivered again, to the new one, once
    /// it has published the job key; who has not submitted by now has missed the round. A round without a key opens anew. Anyone.
    function takeOver(uint256 jobId, address payee, bytes32 encryptionKey) external payable;

    /// @notice The owner or a trainer states where what a new aggregator needs, sealed to it, is to be found: the job key and,
    /// from the owner, the validation data. Until that aggregator publishes the key.
    function handOver(uint256 jobId, string calldata cid) external;

    /// @notice A trainer that has not submitted in this round, or one while Confirming, says that the last round's sum (in
    /// round 1: the job key) cannot be fetched or does not open. Final. At the quorum the job ends, and bond and all fees are
    /// burnt: who lied cannot be known here, so nobody gains (docs/decisions/2026-11-21-disputes.md).
    function dispute(uint256 jobId) external;

    /// @notice While Confirming, up to `revealBy`: the owner or the aggregator states where the validation data and its salt,
    /// sealed to the job key, are. As often as they like; garbage hides nothing.
    function reveal(uint256 jobId, string calldata cid) external;

    /// @notice While Confirming: a member that opened a submission, also one that left or was ejected, says that the reference
    /// rows of a round do not follow from the validation data; past `revealBy`, as round 0, that nothing revealed is what the
    /// spec commits to. Once for each member. More than `maxFaulty` of them, or all there are, burn the fees and, unless it is rows
    /// from before a takeover that they dispute, or who took over has published no key, the bond; and nobody is paid more than by
    /// points or than by rounds opened
    /// (docs/decisions/2026-11-27-rows.md).
    function disputeRows(uint256 jobId, uint16 round) external;

    /// @notice Ends a job past the time to dispute: fees, bond and what no settled round needs are credited; members may claim.
    /// Where nobody revealed what had to be, the rows are disputed. Anyone.
    function complete(uint256 jobId) external;

    /// @notice A trainer, also of a job that is over, states where it shows that its submission of a round, which was called
    /// unopened, opens. Auditors check it; no money moves.
    function showOpening(uint256 jobId, uint16 round, string calldata cid) external;

    /// @notice Credits the payee of a member of a job that is over with its part of the pot, by points or, where nobody has
    /// any, by rounds opened, and with its stake, less a slash for strikes. Once for each slot. Anyone.
    function claim(uint256 jobId, uint8 slot) external;

    /// @notice Credits an aggregator that lost the job to another with the fees of the rounds that it settled, once the job is
    /// over. Anyone.
    function claimFees(uint256 jobId, address payee) external;

    /// @notice Pays out all that the caller was credited in `token`.
    function withdraw(address token) external;

    /// @notice The owner states where the validation data and salt, committed in the spec, are to be found. Only once the job is over.
    function revealValidation(uint256 jobId, string calldata cid) external;

    // ------------------------------------------------------------------ views

    function jobCount() external view returns (uint256);
    function job(uint256 jobId) external view returns (Job memory);
    function terms(uint256 jobId) external view returns (Terms memory);
    /// @notice Zeros for a slot that nobody holds or held since the start.
    function trainer(uint256 jobId, uint8 slot) external view returns (Trainer memory);
    /// @notice What a slot submitted last; zero when it has not.
    function commitment(uint256 jobId, uint8 slot) external view returns (bytes32);
    function credit(address payee, address token) external view returns (uint256);
}
