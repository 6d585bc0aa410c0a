/** What the page's words mean, for whoever points at one. */
export const GLOSSARY = {
  stake:
    "What a trainer deposits to join. It comes back at the end; too many missed or outlying rounds cost a part of it.",
  bond: "What the aggregator deposits. If it misses a deadline, the bond goes to the trainers who had submitted. If enough trainers dispute a sum, it is burnt.",
  fee: "What the aggregator gets for a settled round. It is paid one round later, or at the end of the job: trainers can dispute the round's sum first.",
  confirming:
    "All rounds are settled, and trainers check the sum of the last one. Each takes its stake back by leaving; the last to leave completes the job. Past the deadline anyone can.",
  dispute:
    "A trainer says that the last sum is not to be had or does not open. Final. At the job's quorum of disputes the job ends, and bond and due fee are burnt, so that nobody gains by lying.",
  burnt:
    "Credited to an address that nobody has. The contract cannot know whether the aggregator or the trainers lied about a sum, so that neither gets bond and fee.",
  takeover:
    "Where the aggregator of a job fails, another one can deposit the bond and take its place, for a time that the terms say. The round begins anew, and the bond of the failed one goes to those it kept waiting.",
  escrow:
    "The owner's money, held by the contract from the start: rounds × (reward + fee). Nobody can take it back from a running job.",
  "faulty, f":
    "How many trainers the pay rule assumes to be faulty. The aggregator may call at most this many submissions of a round unopened.",
  "Gram proof":
    "Shows that the inner products of all submitted updates, which selection and weights follow from, were computed from the committed updates.",
  "decision proof":
    "Shows that who is selected, and each weight, follow from the inner products by the job's pay rule.",
  weight:
    "What the pay rule says an update contributed, as a whole number. Pay is the pot × weight ÷ the sum of all weights, rounded down.",
  coefficient: "How much of an update enters the sum: unusually long updates are shortened to the median length.",
  pot: "What a round pays to its trainers: its reward, and slashed stakes of earlier rounds.",
  selected: "The update is in the round's sum, and is paid by its weight.",
  outlier: "The pay rule left the update out: no pay in this round, and a strike.",
  unopened: "The aggregator could not open the submission. No pay, but no strike.",
  missing: "Nothing was submitted in time. Several in a row cost the seat and a part of the stake.",
  strike: "A round as an outlier. Too many in one job cost the seat and a part of the stake.",
  "krum-cosine":
    "Pay rule without validation data: updates that lie far from the others are left out; pay follows the direction each shares with the rest.",
  reference:
    "Pay rule with the owner's committed validation data: pay follows how far each update lowered the loss on them.",
  ceremony: "The proofs' set-up was made by several parties; one honest party among them suffices.",
  development:
    "The proofs' set-up was made by a single party, who could forge proofs. Good for trying things, not for real money.",
  slash: "The part of the stake that is lost when a trainer is removed. It goes to the next pot, never to who judged.",
  payee: "The address that pay and stake are credited to. It can be a cold wallet.",
  operator: "The key that the trainer's node signs submissions with.",
  aggregator:
    "Opens the submissions of a round, judges them by the pay rule and proves it. It sees single updates, but cannot invent pay.",
  "settled round": "The contract has checked both proofs and credited the pay.",
  CID: "Content id: the hash of a file in storage. Whoever has it can check every byte.",
  gas: "What the chain charges for computing a transaction, in units; each costs the gas price.",
  credit: "What the contract owes you. You take it with a withdrawal, at any time.",
  "chain time": "Deadlines follow the clock of the chain, which can differ from yours by some seconds.",
  "RPC address": "Where a chain's node answers questions. Choose one that you trust more than this page.",
} as const;

export type Word = keyof typeof GLOSSARY;
