/** A call or an event of the market, decoded by the contract's ABI: its name in plain words, and its arguments. */
import { type Abi, type AbiParameter, decodeEventLog, decodeFunctionData, type Hex, parseAbi } from "viem";
import { marketAbi } from "../generated/market";
import type { Values } from "./happened";

const market: Abi = marketAbi;
const token = parseAbi([
  "function approve(address spender, uint256 amount)",
  "function transfer(address to, uint256 amount)",
  "function transferFrom(address from, address to, uint256 amount)",
  "event Transfer(address indexed from, address indexed to, uint256 amount)",
  "event Approval(address indexed owner, address indexed spender, uint256 amount)",
]);

const CALLS: Record<string, string> = {
  createJob: "Create a job and escrow its rewards",
  acceptAggregation: "Accept a job as its aggregator",
  join: "Take a seat in a job",
  leave: "Give the seat up",
  cancel: "Cancel the job",
  start: "Start the job",
  publishKey: "Hand out the job key",
  submitUpdate: "Submit an update",
  announceSum: "Announce a round's sum",
  settleRound: "Settle a round",
  voidRound: "Call a round void",
  redeliver: "Deliver an update again",
  skipRound: "Skip the round",
  askEnd: "Ask for the end of the job",
  abort: "Abort the job",
  takeOver: "Take the job over as its aggregator",
  handOver: "Hand the job over to its new aggregator",
  dispute: "Dispute the last sum",
  reveal: "Reveal the validation data to the members",
  disputeRows: "Dispute a round's reference rows",
  complete: "Complete the job",
  showOpening: "Show that an update opens",
  claim: "Claim a seat's pay and stake",
  claimFees: "Claim fees",
  withdraw: "Withdraw what was credited",
  revealValidation: "Reveal the validation data to everybody",
  approve: "Allow a contract to take tokens",
  transfer: "Send tokens",
  transferFrom: "Send tokens from an account",
};

const LABELS: Record<string, string> = {
  jobId: "Job",
  slot: "Seat",
  t: "Terms",
  s: "Judgement",
  cid: "Content id",
  specCid: "Content id of the description",
  sumCid: "Content id of the sum",
  referenceCid: "Content id of the reference",
  hash: "Commitment",
  amount: "Amount",
  fee: "Fee of each round",
  reward: "Reward of each round",
  gate: "Who invites",
  enrolBy: "Enrolment ends",
  rule: "Pay rule",
  minRounds: "Minimum rounds",
  minTrainers: "Trainers to start",
  maxTrainers: "Seats",
  maxFaulty: "Faulty trainers",
  maxMissed: "Missed rounds that cost the seat",
  maxStrikes: "Strikes that cost a part of the stake",
  maxEmptyRounds: "Rounds without updates that end it",
  maxVoids: "Voids that it allows",
  slashBps: "Part of the stake that is slashed, in 1/10,000",
};

/** "startDelay" → "Start delay" */
export function labelOf(name: string): string {
  const spaced = name.replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);
  return LABELS[name] ?? spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

export type Argument = { name: string; type: string; value: unknown; parts: Argument[] };
export type Decoded = { name: string; title: string; args: Argument[]; jobId: number | null };

function argumentsOf(inputs: readonly AbiParameter[], values: readonly unknown[]): Argument[] {
  return inputs.map((input, at) => {
    const value = values[at];
    const parts = "components" in input && !input.type.endsWith("[]") ? input.components : [];
    const inner = value as Record<string, unknown>;
    return {
      name: input.name ?? "",
      type: input.type,
      value,
      parts: argumentsOf(
        parts,
        parts.map((part) => inner[part.name ?? ""]),
      ),
    };
  });
}

function jobOf(values: unknown): number | null {
  return typeof values === "bigint" && values > 0n && values < 2n ** 53n ? Number(values) : null;
}

/** null where it is no call that the page knows. */
export function decodedCall(data: Hex, ofMarket: boolean): Decoded | null {
  const abi = ofMarket ? market : (token as Abi);
  try {
    const { functionName, args = [] } = decodeFunctionData({ abi, data });
    const entry = abi.find((each) => each.type === "function" && each.name === functionName);
    if (entry?.type !== "function") return null;
    const jobId = entry.inputs[0]?.name === "jobId" ? jobOf(args[0]) : null;
    const title = CALLS[functionName] ?? functionName;
    return { name: functionName, title, args: argumentsOf(entry.inputs, args), jobId };
  } catch {
    return null;
  }
}

export type DecodedEvent = { kind: string; values: Values; jobId: number | null; who: string[] };

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** As the API writes events: names with underscores, large numbers as texts. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [snake(name), plain(inner)]));
  return value;
}

/** null where it is no event that the page knows. */
export function decodedEvent(data: Hex, topics: Hex[], ofMarket: boolean): DecodedEvent | null {
  const abi = ofMarket ? market : (token as Abi);
  try {
    const found = decodeEventLog({ abi, data, topics: topics as [Hex, ...Hex[]] });
    const args = (found.args ?? {}) as Record<string, unknown>;
    const who = ["owner", "operator", "aggregator", "sender", "from", "payee", "to", "spender"].map(
      (name) => args[name],
    );
    return {
      kind: found.eventName ?? "",
      values: plain(args) as Values,
      jobId: jobOf(args.jobId),
      who: [...new Set(who.filter((each): each is string => typeof each === "string"))],
    };
  } catch {
    return null;
  }
}
