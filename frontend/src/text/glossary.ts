/** What the page's words mean, for whoever points at one. */
export const GLOSSARY = {
  stake:
    "What a trainer deposits to join. A claim gives it back when the job is over; too many missed rounds, or too many strikes, cost a part of it.",
  bond: "What the aggregator deposits. If it misses a deadline, the bond goes to the trainers who had submitted. If enough of them dispute a sum or its reference rows, it is burnt.",
  fee: "What the aggregator gets for a settled round. All fees are held until the job is over; if enough trainers dispute a sum or reference rows, they are burnt.",
  confirming:
    "No round follows. Trainers check the last sum, and under rule reference what the points rest on, for as long as the confirm window lasts, which always runs its time. Then the job is over, and pay and stakes can be claimed.",
  dispute:
    "A trainer says that the last sum cannot be fetched or does not open. Final. At the job's quorum of disputes bond and fees are burnt, so that nobody gains by lying, and no further round follows. What trainers have earned stays.",
  burnt:
    "Credited to an address that nobody has: bond and fees of a disputed sum or disputed reference rows, since the contract cannot know who lied, the reward of a round that was void once more than the job allows, slashes for strikes, and what of a pot does not divide.",
  takeover:
    "Where the aggregator of a job fails, another one can deposit the bond and take its place, for a time that the terms say. What was submitted is delivered again, to it, and the bond of the failed one goes to those it kept waiting.",
  escrow:
    "The owner's money, held by the contract from the start: rounds × (reward + fee). What no settled round needs goes back when the job is over.",
  "faulty, f":
    "How many trainers the pay rule assumes to be faulty. The aggregator may leave out at most this many submissions of a round as unopened, and less than a third. Unless it is 0, a job needs 2f + 3 trainers to start.",
  "Gram proof":
    "Shows that the inner products of all submitted updates, which selection and scores follow from, were computed from the committed updates.",
  "decision proof":
    "Shows that who is selected, who is struck, and each score, follow from the inner products by the job's pay rule.",
  coefficient: "How much of an update enters the sum: unusually long updates are shortened to the median length.",
  pot: "What the trainers of a job divide at its end: the reward of every settled round, and slashed stakes. None of it goes back to the owner.",
  selected: "The update is in the round's sum, and what it brought is added to the seat's balance.",
  unopened:
    "The aggregator could not open the submission. The round does not count as opened by this seat, and counts no strike.",
  void: "More submissions of a round did not open than the aggregator may leave out. It cannot settle the round then: they are delivered again. Each time counts in the whole job; once more than its terms allow ends it, and the reward of that round is burnt, so that nobody gains by it.",
  "deliver again":
    "A trainer whose submission did not open, or was made to an aggregator that failed since, puts what it has submitted into storage again, and says where. Its node does so by itself. Nothing else can be delivered: the submission commits to it.",
  undelivered:
    "The submission was asked for again, and not delivered in time. The round does not count as opened by this seat, nor as missed.",
  missing: "Nothing was submitted in time. Several in a row cost the seat and a part of the stake; the points stay.",
  strike:
    "A round in which the update was all zero or, under rule reference, pointed clearly away from a lower loss. Too many in one job cost a part of the stake, taken at the claim. Points stay.",
  "krum-cosine":
    "Pay rule without validation data: updates that lie far from the others are left out. A round brings the same in all, and seats gain by the direction their updates share with the rest.",
  reference:
    "Pay rule with the owner's committed validation data: a seat gains by how far its update lowered the loss on them, and loses where it raised it.",
  ceremony: "The proofs' set-up was made by several parties; one honest party among them suffices.",
  development:
    "The proofs' set-up was made by a single party, who could forge proofs. Good for trying things, not for real money.",
  slash:
    "The part of a stake that is lost: when a trainer is removed for missed rounds it goes to the pot, for strikes it is burnt. Never to the owner or to who judged.",
  gate: "The account that says who may join a job by invitation. It signs tickets; it has no other power over the job. Where it is the owner, the owner can give seats to itself.",
  ticket:
    "What the gate of a job gives a trainer's node to join with. It is for this node and this job alone, and good up to a day that it names. It is no secret: nobody else can use it.",
  payee: "The address that pay and stake are credited to. It can be a cold wallet.",
  operator: "The key that the trainer's node signs submissions with.",
  aggregator:
    "Opens the submissions of a round, judges them by the pay rule and proves it. It sees single updates, but cannot invent pay.",
  "settled round":
    "The contract has checked both proofs and added to the balances. No money moves before the job is over.",
  CID: "Content id: the hash of a file in storage. Whoever has it can check every byte.",
  gas: "What the chain charges for computing a transaction, in units; each costs the gas price.",
  credit: "What the contract owes you. You take it with a withdrawal, at any time.",
  "chain time": "Deadlines follow the clock of the chain, which can differ from yours by some seconds.",
  "RPC address": "Where a chain's node answers questions. Choose one that you trust more than this page.",
  points:
    "What the pot is divided by when the job is over: a seat's balance, or 0 where it is below 0, times the rounds that it opened.",
  balance:
    "All that a seat's updates brought so far. Under rule reference that is the validation loss that they took away, and can fall.",
  "rounds opened":
    "Settled rounds in which the aggregator opened the seat's update. Who stays to the end has more points.",
  gain: "What a round added to a seat's balance. Below 0 where the update raised the loss.",
  "left-out": "The pay rule left the update out of the sum. It brought nothing, and is no strike.",
  struck:
    "The pay rule left the update out, and counts a strike: it was all zero or, under rule reference, pointed clearly away from a lower loss.",
  claim:
    "When a job is over, pay and stake of each seat are claimed, by anybody, for its payee. What was claimed can be withdrawn.",
  "start delay": "How long after the last join only the owner may start the job: time to see who has taken the seats.",
  "reference rows":
    "Two directions for each round, which the aggregator derives from the validation data: points are counted by them. Once the data are revealed, members recompute them. If enough members dispute them, or nobody reveals the data in time, fees and bond are burnt, and each member is paid the lesser of its part by points and its part by rounds opened.",
  "reveal window":
    "How much of the confirm window there is to show the validation data to all members, who recompute what points rest on. Each of them can keep a copy.",
  "confirm window":
    "How long trainers can dispute the last sum, and members the reference rows, before the pot is divided.",
  "minimum rounds": "From this round on the owner may end the job early. Settled rounds are paid all the same.",
} as const;

export type Word = keyof typeof GLOSSARY;
