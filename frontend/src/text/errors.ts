/** What went wrong, in one sentence for a person: what, why, and what to do where something can be done. */
import type { Abi } from "viem";
import { marketAbi } from "../generated/market";
import { formatAmount, plural, shortHex, ZERO_ADDRESS } from "./amounts";
import { STATES } from "./standing";
import { exactDate } from "./time";

type MarketError = Extract<(typeof marketAbi)[number], { type: "error" }>;
export type ErrorName = MarketError["name"];
type Values = Record<string, unknown>;
type Sentence = (values: Values) => string;

const state = (value: unknown) => STATES[Number(value)] ?? `in state ${value}`;
const when = (value: unknown) => exactDate(Number(value));
const who = (value: unknown) => shortHex(String(value));
const token = (value: unknown) => (value === ZERO_ADDRESS ? "the chain's coin" : `token ${who(value)}`);

function word(value: unknown): string {
  const bytes = String(value).slice(2).match(/../g) ?? [];
  return bytes
    .map((hex) => String.fromCharCode(Number.parseInt(hex, 16)))
    .join("")
    .replace(/\0+$/, "");
}

/** One sentence for each error that the market can revert with. */
export const SENTENCES: Record<ErrorName, Sentence> = {
  AggregatorTaken: (v) => `Job ${v.jobId} already has an aggregator, ${who(v.aggregator)}.`,
  AlreadyBurnt: (v) => `Bond and fees of job ${v.jobId} are burnt already, so there is nothing left to dispute.`,
  AlreadyClaimed: (v) => `Pay and stake of seat ${v.slot} of job ${v.jobId} were claimed before.`,
  AlreadyDisputed: (v) => `Seat ${v.slot} has already disputed in round ${v.round}, and a dispute is final.`,
  AlreadyJoined: (v) => `${who(v.operator)} already has a seat in job ${v.jobId}.`,
  AlreadySubmitted: (v) => `Seat ${v.slot} has already submitted in round ${v.round}, and a submission is final.`,
  CoefficientCount: (v) => `The settlement has ${v.given} coefficients where ${v.required} are required.`,
  CoinTransferFailed: (v) => `${who(v.payee)} did not accept the payment of ${formatAmount(String(v.amount))}.`,
  DecisionProofRefused: (v) => `The proof of who was selected in round ${v.round} of job ${v.jobId} does not hold.`,
  EndAlreadyAsked: (v) => `The owner has already asked for the end of job ${v.jobId}.`,
  EnrolmentClosed: (v) => `Enrolment in job ${v.jobId} closed on ${when(v.enrolBy)}; look for a job that is open.`,
  FeeOnTransfer: (v) =>
    `The token kept a part of the transfer (${v.received} of ${v.required} arrived); such tokens are refused.`,
  GramProofRefused: (v) => `The proof of how the updates of round ${v.round} of job ${v.jobId} compare does not hold.`,
  InvalidCid: (v) => `A content id of ${v.length} bytes was given; it must have 1 to 100.`,
  InvalidCoefficient: (v) => `The settlement has the coefficient ${v.coefficient}; 4096 is the largest.`,
  InvalidTerm: (v) => `The job's term “${word(v.term)}” is out of its bounds: ${v.value}. Change it and try again.`,
  JobFull: (v) => `All ${v.maxTrainers} seats of job ${v.jobId} are taken.`,
  KeyAlreadyPublished: (v) => `The key of job ${v.jobId} has already been handed out.`,
  KeyNotPublished: (v) => `The aggregator has not handed out the key of job ${v.jobId} yet; wait for it.`,
  NoSuchJob: (v) => `There is no job ${v.jobId} in this market.`,
  NotAbortable: (v) =>
    `Job ${v.jobId} can be aborted after ${when(v.abortableAfter)}: until then somebody may still work.`,
  NotAggregator: (v) => `${who(v.caller)} is not the aggregator of job ${v.jobId}.`,
  NotCancellable: (v) => `Only its owner may cancel job ${v.jobId} as long as it may still start.`,
  NotCompletable: (v) =>
    `Trainers of job ${v.jobId} can check its last sum until ${when(v.completableAfter)}; try again after that.`,
  NotItsCommitment: (v) => `The points given for seat ${v.slot} are not those that it committed to.`,
  NotMember: (v) => `Nobody held seat ${v.slot} of job ${v.jobId} when it started, so nothing can be claimed for it.`,
  NotOver: (v) => `Job ${v.jobId} is ${state(v.actual)}; this can be done only once it is over.`,
  NotOwner: (v) => `${who(v.caller)} is not the owner of job ${v.jobId}; switch to the owner's account.`,
  NotStartable: (v) =>
    `Job ${v.jobId} cannot start yet: it has ${plural(Number(v.trainers), "trainer")} and ${v.hasAggregator ? "an" : "no"} aggregator. ` +
    "It needs an aggregator, and all seats taken or enough of them once enrolment is over.",
  NotSubmitted: (v) => `The settlement of job ${v.jobId} judges somebody who did not submit.`,
  NotVoidable: (v) =>
    `A round of job ${v.jobId} is not void with ${v.unopened} unopened submissions: ${v.most} may be left out.`,
  NotTakeable: (v) =>
    v.takeableAfter === v.takeableUntil
      ? `Job ${v.jobId} cannot be taken over: where its aggregator fails, it can only be aborted.`
      : `Job ${v.jobId} can be taken over from ${when(v.takeableAfter)} until ${when(v.takeableUntil)} only.`,
  NotTrainer: (v) => `${who(v.caller)} has no seat in job ${v.jobId}: it did not join, has left, or was removed.`,
  NothingSubmitted: (v) => `Nobody has submitted in round ${v.round} of job ${v.jobId}: it can only be skipped.`,
  NothingToClaim: (v) => `No fees of job ${v.jobId} wait for ${who(v.payee)}.`,
  NothingToDeliver: (v) => `Nobody asks seat ${v.slot} of job ${v.jobId} to deliver its submission again.`,
  NothingToHandOver: (v) => `Job ${v.jobId} has no aggregator that waits for what the one before had.`,
  NothingToWithdraw: (v) => `${who(v.payee)} has nothing to withdraw in ${token(v.token)}.`,
  NothingToReveal: (v) =>
    `Job ${v.jobId} waits for nothing to be revealed: its points do not rest on rows that are shown.`,
  NotRevealer: (v) => `${who(v.caller)} is neither owner nor aggregator of job ${v.jobId}: only these reveal its data.`,
  OpenedNothing: (v) =>
    `No submission of seat ${v.slot} of job ${v.jobId} was opened: it has no part in what rows decide.`,
  PointCount: (v) => `The proof has ${v.given} words of points where ${v.required} are required.`,
  ReentrancyGuardReentrantCall: () => "The market was called from within one of its own calls, which it refuses.",
  ReferenceRows: (v) => `Job ${v.jobId} and this settlement disagree on whether there are reference rows.`,
  RevealingClosed: (v) => `The time to reveal the validation data of job ${v.jobId} ended on ${when(v.revealBy)}.`,
  RevealingOpen: (v) =>
    `The data of job ${v.jobId} can be revealed until ${when(v.revealBy)}; say that none were after it.`,
  SafeERC20FailedOperation: (v) => `The ${token(v.token)} refused the transfer; check your balance and allowance.`,
  ScoreCount: (v) => `The settlement has ${v.given} scores for ${v.required} selected seats.`,
  SelectedUnopened: (v) => `The settlement of job ${v.jobId} selects an update that it says could not be opened.`,
  SettlingClosed: (v) => `The time to settle this round of job ${v.jobId} ended on ${when(v.settleBy)}.`,
  SomethingSubmitted: (v) => `Round ${v.round} of job ${v.jobId} has submissions: it must be settled, not skipped.`,
  StartDelayed: (v) =>
    `Somebody joined job ${v.jobId} a moment ago: only its owner can start it before ${when(v.startableFrom)}.`,
  SubmittingClosed: (v) => `The time to submit in job ${v.jobId} ended on ${when(v.submitBy)}.`,
  SubmittingOpen: (v) => `Trainers of job ${v.jobId} can still submit until ${when(v.submitBy)}; try again after that.`,
  TicketExpired: (v) => `The ticket for job ${v.jobId} expired on ${when(v.expiry)}; ask for another.`,
  TicketLength: (v) => `A ticket for job ${v.jobId} has 8 to 2056 bytes; ${v.length} were given.`,
  TicketMissing: (v) => `Job ${v.jobId} takes trainers by invitation; ask ${who(v.gate)} for a ticket.`,
  TicketRefused: (v) =>
    `${who(v.gate)} has given ${who(v.operator)} no such ticket for job ${v.jobId}; ask there for one.`,
  TicketUnneeded: (v) => `Anybody may join job ${v.jobId}; leave the ticket out.`,
  TooManyUnopened: (v) => `The settlement calls ${v.unopened} submissions unopened; at most ${v.most} may be.`,
  WrongPayment: (v) =>
    `The call carried ${formatAmount(String(v.sent))}, and exactly ${formatAmount(String(v.required))} are due.`,
  WrongPoints: (v) => `The points given for the ${word(v.what)} are not those that are stated.`,
  WrongRound: (v) => `Job ${v.jobId} is in round ${v.actual}, not ${v.given}; reload to see where it stands.`,
  WrongState: (v) => `Job ${v.jobId} is ${state(v.actual)}; this can be done only while it is ${state(v.required)}.`,
  WrongStrikes: (v) => `The settlement of job ${v.jobId} strikes a seat that is selected or did not open.`,
  ZeroAddress: () => "The zero address cannot be paid; give an address that can withdraw.",
  ZeroCommitment: () => "The commitment is zero.",
  ZeroKey: () => "The encryption key is zero; give the public key that “merit key show” prints.",
};

/** ERC-20 tokens' own errors (ERC-6093) that an owner can meet. */
export const tokenErrors = [
  {
    type: "error",
    name: "ERC20InsufficientBalance",
    inputs: [
      { name: "sender", type: "address" },
      { name: "balance", type: "uint256" },
      { name: "needed", type: "uint256" },
    ],
  },
  {
    type: "error",
    name: "ERC20InsufficientAllowance",
    inputs: [
      { name: "spender", type: "address" },
      { name: "allowance", type: "uint256" },
      { name: "needed", type: "uint256" },
    ],
  },
] as const;

const TOKEN_SENTENCES: Record<string, Sentence> = {
  ERC20InsufficientBalance: (v) =>
    `${who(v.sender)} holds ${v.balance} units of the token, and ${v.needed} are needed.`,
  ERC20InsufficientAllowance: (v) =>
    `The market may take ${v.allowance} units of the token, and ${v.needed} are needed.`,
  Error: (v) => `The contract refused: ${v.message}.`,
  Panic: (v) => `The contract stopped on an internal error (Solidity panic ${v.code}).`,
};

export const knownErrors: Abi = [...marketAbi.filter((entry) => entry.type === "error"), ...tokenErrors];

/** The sentence for a decoded contract error. */
export function sentenceOf(name: string, values: Values): string {
  const sentence = SENTENCES[name as ErrorName] ?? TOKEN_SENTENCES[name];
  return sentence ? sentence(values) : `The contract refused the call with ${name}, which this page does not know.`;
}
