/** What an event of the market says, in plain words. Values have the names and forms that the API gives them. */
import type { CreditFacts } from "../live/api";
import { formatAmount, plural, type Unit } from "./amounts";
import { listed, STATES } from "./standing";
import { momentText } from "./time";

export type Values = Readonly<Record<string, unknown>>;

/** Why an amount was credited, by the contract's numbers. */
export const REASONS = ["pay", "fee", "stake", "bond", "compensation", "refund", "burnt"] as const;

export const REASON_WORDS: Record<CreditFacts["reason"], string> = {
  pay: "pay",
  fee: "aggregator's fees",
  stake: "stake back",
  bond: "bond back",
  compensation: "compensation from the aggregator's bond",
  refund: "escrow back to the owner",
  burnt: "burnt",
};

/** The seats whose bits are set. */
export function seatsOf(bits: number): number[] {
  return Array.from({ length: 32 }, (_, slot) => slot).filter((slot) => (bits >>> slot) & 1);
}

/** now: chain time, for deadlines. unit: of the job's token. */
export function happened(kind: string, values: Values, unit: Unit, now: number): string {
  const round = Number(values.round);
  const seat = `Seat ${Number(values.slot)}`;
  const amount = (name: string) => formatAmount(String(values[name] ?? "0"), unit);
  const some = (name: string) => BigInt(String(values[name] ?? "0")) > 0n;
  const at = (name: string) => momentText(Number(values[name]), now);
  const seats = (bits: unknown) => seatsOf(Number(bits)).length;
  switch (kind) {
    case "JobCreated":
      return "The job was created, and its rewards escrowed.";
    case "AggregationAccepted":
      return "An aggregator accepted the job and deposited its bond.";
    case "Joined":
      return `${seat} was taken, and its stake deposited.`;
    case "Left":
      return `${seat} was given up.`;
    case "Started":
      return "The job started.";
    case "KeyPublished":
      return "The aggregator handed out the job key.";
    case "RoundOpened":
      return `Round ${round} opened: updates until ${at("submit_by")}.`;
    case "UpdateSubmitted":
      return `${seat} submitted its update of round ${round}.`;
    case "SumAnnounced":
      return `The aggregator announced the sum of round ${round}, of ${plural(seats(values.selected), "update")}.`;
    case "RoundSettled": {
      const { selected, struck, unopened } = values.settlement as Values;
      const more = [
        Number(struck) ? `${listed(seatsOf(Number(struck)))} struck` : "",
        Number(unopened) ? `${listed(seatsOf(Number(unopened)))} not opened` : "",
      ].filter(Boolean);
      const all = `${seats(selected)} of ${plural(seats(values.submitted), "update")} selected`;
      return `Round ${round} was settled: ${[all, ...more].join(", ")}.`;
    }
    case "RoundSkipped":
      return `Round ${round} was skipped: nobody submitted in time.`;
    case "RoundVoided":
      if (!Number(values.deliver_by)) return `Round ${round} was void once too often: the job ends.`;
      return `Round ${round} is void: ${listed(seatsOf(Number(values.unopened)))} did not open. They deliver again until ${at("deliver_by")}.`;
    case "Redelivered":
      return `${seat} delivered its update of round ${round} again.`;
    case "EndAsked":
      return "The owner asked for the end of the job.";
    case "ConfirmationOpened":
      return `No round follows. The last sum can be disputed until ${at("confirm_by")}; then the job is ${stateOf(values.outcome)}.`;
    case "Revealed":
      return "The validation data were revealed to the members.";
    case "RowsDisputed":
      return round === 0
        ? `${seat} said that nothing revealed is what the description commits to.`
        : `${seat} said that the reference rows of round ${round} are wrong.`;
    case "Unrevealed":
      return "Nobody revealed the validation data in time.";
    case "Disputed":
      return `${seat} said that what round ${round} starts from or left cannot be fetched, or is wrong.`;
    case "TakenOver":
      return `Another aggregator took the job over in round ${round}.`;
    case "HandedOver":
      return "The job was handed over to the new aggregator.";
    case "OpeningShown":
      return `${seat} showed that its update of round ${round} opens.`;
    case "Ejected":
      return `${seat} lost its place for missed updates${some("slashed") ? `; ${amount("slashed")} of its stake went to the pot` : ""}.`;
    case "Ended":
      return `The job is ${stateOf(values.state)}${some("pot") ? `: its members divide ${amount("pot")}` : ""}.`;
    case "Claimed":
      return `${seat}'s ${amount("pay")} of pay and ${amount("stake")} of stake were claimed${some("slashed") ? `; ${amount("slashed")} were burnt for strikes` : ""}.`;
    case "FeesClaimed":
      return `Fees of ${amount("fees")} were claimed.`;
    case "Credited": {
      const reason = reasonOf(values.reason);
      if (reason === "burnt") return `${amount("amount")} were burnt.`;
      return `${amount("amount")} were credited: ${REASON_WORDS[reason]}.`;
    }
    case "Withdrawn":
      return `${amount("amount")} were withdrawn.`;
    case "ValidationRevealed":
      return "The owner revealed the validation data to everybody.";
    default:
      return `The contract said: ${kind.slice(0, 40)}.`;
  }
}

const stateOf = (value: unknown) => (typeof value === "string" ? value : (STATES[Number(value)] ?? "over"));

function reasonOf(value: unknown): CreditFacts["reason"] {
  const named = typeof value === "string" && value in REASON_WORDS ? (value as CreditFacts["reason"]) : null;
  return named ?? REASONS[Number(value)] ?? "pay";
}
