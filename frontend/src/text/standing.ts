/** Where a job stands, and what a trainer may do about it. "now" is chain time, and always an argument. */
import type { Dispute, JobDetail, JobSummary, TrainerFacts } from "../live/api";
import { plural } from "./amounts";
import { momentText } from "./time";

export type StateName = JobSummary["state"];

/** The contract's states by number; 0 is that of a job that is not there. */
export const STATES = ["none", "open", "running", "confirming", "completed", "cancelled", "aborted"] as const;

export const isOver = (state: StateName) => ["completed", "cancelled", "aborted"].includes(state);

export type Phase = {
  at: "enrolling" | "submitting" | "delivering" | "settling" | "takeover" | "confirming" | "over";
  /** Its last second, and how long it takes in all. */
  until: number;
  length: number;
};

export function phaseOf(detail: JobDetail, now: number): Phase {
  const { summary, terms, takeover } = detail;
  const { state, submit_by, settle_by, confirm_by } = summary;
  if (state === "open") return { at: "enrolling", until: terms.enrol_by, length: terms.enrol_by - summary.created_at };
  if (state === "confirming" && confirm_by !== null)
    return { at: "confirming", until: confirm_by, length: terms.confirm_window };
  if (state !== "running" || submit_by === null || settle_by === null) return { at: "over", until: 0, length: 0 };
  if (takeover && now >= takeover.since && now <= takeover.until)
    return { at: "takeover", until: takeover.until, length: terms.takeover_window };
  if (isDelivering(detail, now))
    return { at: "delivering", until: submit_by, length: tookOver(detail) ? terms.submit_window : terms.settle_window };
  if (detail.delivering || now > submit_by || summary.submitted === summary.seats_taken)
    return { at: "settling", until: settle_by, length: terms.settle_window };
  return { at: "submitting", until: submit_by, length: terms.submit_window };
}

/** Whether the running round was taken over, so that its updates are delivered again to another. */
function tookOver({ summary, takeovers }: JobDetail): boolean {
  return takeovers.at(-1)?.round === summary.round;
}

/** Whether updates that did not open, or were made to another, can still be delivered again. */
function isDelivering({ summary, delivering, undelivered }: JobDetail, now: number): boolean {
  return delivering && undelivered.length > 0 && summary.submit_by !== null && now <= summary.submit_by;
}

/** Whether the contract takes a dispute of this seat. */
export function mayDispute(detail: JobDetail, seat: TrainerFacts | undefined, now: number): boolean {
  const { summary, disputes } = detail;
  if (seat?.status !== "active" || detail.disputed_sum) return false;
  if (disputes.some((dispute) => dispute.stands && dispute.slot === seat.slot)) return false;
  if (summary.state === "confirming") return summary.confirm_by !== null && now <= summary.confirm_by;
  if (detail.delivering) return false;
  const open = summary.state === "running" && detail.key_published && !seat.submitted.includes(summary.round);
  return open && summary.submit_by !== null && now <= summary.submit_by;
}

/** What a dispute is about. */
export function subjectOf({ round, confirming }: Pick<Dispute, "round" | "confirming">): string {
  if (confirming) return "the sum of the last round";
  return round === 1 ? "the job key" : `the model that round ${round} starts from`;
}

export function listed(seats: number[]): string {
  const named = [...seats].sort((a, b) => a - b);
  const last = named.pop();
  return named.length === 0 ? `Seat ${last}` : `Seats ${named.join(", ")} and ${last}`;
}

/** Those disputes that stand, or those that have burnt bond and fees, as a sentence; null where there are none. */
export function disputed(detail: JobDetail): string | null {
  const last = detail.disputes.at(-1);
  if (detail.disputed_sum && last)
    return (
      `Enough trainers have said that ${subjectOf(last)} cannot be fetched, or is wrong. ` +
      "Bond and fees are burnt: nobody gains by lying. What trainers have earned stays."
    );
  const standing = detail.disputes.filter((dispute) => dispute.stands);
  const first = standing[0];
  if (!first) return null;
  const seats = standing.map((dispute) => dispute.slot);
  const said = `${listed(seats)} ${seats.length === 1 ? "says" : "say"} that ${subjectOf(first)} cannot be fetched, or is wrong.`;
  const quorum = `${detail.quorum} ${detail.quorum === 1 ? "dispute" : "disputes"}`;
  const ends = detail.summary.state === "running" ? ", and no round follows" : "";
  return `${said} At ${quorum} of one phase bond and fees are burnt${ends}.`;
}

/** What is delivered again, by whom and until when; or that the job ended by it. null where nothing is. */
export function voidText(detail: JobDetail, now: number): { kind: "info" | "warn" | "bad"; text: string } | null {
  const { summary, terms, undelivered: late, voids } = detail;
  if (detail.voided_out)
    return {
      kind: "bad",
      text: `Too many updates of round ${summary.round} did not open, and the job allows no further void: no round follows, and the reward of this one is burnt.`,
    };
  if (!detail.delivering || late.length === 0 || summary.submit_by === null) return null;
  const one = late.length === 1;
  const what = plural(late.length, "update");
  if (!isDelivering(detail, now))
    return {
      kind: "info",
      text:
        `${what} ${one ? "was" : "were"} not delivered again in time. The round goes on without ${one ? "it" : "them"}. ` +
        `${listed(late)} ${one ? "gains" : "gain"} nothing by it, but ${one ? "has" : "have"} not missed it.`,
    };
  const until = momentText(summary.submit_by, now);
  if (tookOver(detail))
    return {
      kind: "info",
      text:
        `${what} ${one ? "is" : "are"} to be delivered again, to the aggregator that took over, until ${until}. ` +
        `${listed(late)} ${one ? "has" : "have"} not yet.`,
    };
  return {
    kind: "warn",
    text:
      `${what} did not open, to be delivered again until ${until}. ` +
      `${listed(late)} ${one ? "has" : "have"} not yet. This is void ${voids} of ${terms.max_voids} that the job allows; one more than these ends it.`,
  };
}

/** That this seat's own update is asked for again; null where it is not. */
export function askedAgain(detail: JobDetail, seat: TrainerFacts | undefined, now: number): string | null {
  const { summary, delivering, undelivered } = detail;
  if (seat?.status !== "active" || !delivering || !undelivered.includes(seat.slot)) return null;
  const brings = "the round brings you nothing, but does not count as missed.";
  if (!isDelivering(detail, now) || summary.submit_by === null)
    return `Your update of round ${summary.round} was not delivered again in time: ${brings}`;
  const why = tookOver(detail)
    ? `Another aggregator has taken round ${summary.round} over. Your update is to be delivered again, to it, until `
    : `The aggregator could not open your update of round ${summary.round}. It is to be delivered again until `;
  return `${why}${momentText(summary.submit_by, now)}: your node does so by itself, as long as it runs. Else ${brings}`;
}

/** What disputed rows do. */
export const LESSER =
  "fees and bond are burnt, and each member is paid the lesser of its part by points and its part by rounds opened.";

/** Whether the contract takes a dispute of rows of this seat, and it still changes something. */
export function mayDisputeRows(detail: JobDetail, seat: TrainerFacts | undefined, now: number): boolean {
  const { summary, rows_quorum: quorum, rows_disputes: disputes } = detail;
  if (!seat?.member || seat.opened === 0 || quorum === 0 || detail.disputed_rows) return false;
  if (disputes.some((dispute) => dispute.slot === seat.slot)) return false;
  return summary.state === "confirming" && summary.confirm_by !== null && now <= summary.confirm_by;
}

/** What is known of the rows that points rest on, while confirming and after; null where nobody has to reveal them. */
export function rowsText(detail: JobDetail, now: number): { kind: "info" | "warn" | "bad"; text: string } | null {
  const { rows_disputes: disputes, rows_quorum: quorum, reveals, reveal_by: revealBy } = detail;
  const { confirm_by: confirmBy } = detail.summary;
  if (detail.disputed_rows) {
    const why =
      disputes.length >= quorum
        ? "Enough members have said that the points rest on wrong rows"
        : "Nobody revealed the validation data in time";
    return { kind: "bad", text: `${why}: ${bondBurnt(detail) ? LESSER : LESSER.replace("fees and bond", "fees")}` };
  }
  if (quorum === 0 || revealBy === null || confirmBy === null) return null;
  const said = disputes.map(({ slot, round }) =>
    round === 0
      ? `Seat ${slot} says that nothing revealed is what the description commits to.`
      : `Seat ${slot} says that the reference rows of round ${round} are wrong.`,
  );
  if (said.length) said.push(`That is ${disputes.length} of ${plural(quorum, "dispute")} at which ${LESSER}`);
  const kind = said.length ? "warn" : "info";
  if (reveals.length)
    said.push(`The validation data are revealed: members recompute the rows until ${momentText(confirmBy, now)}.`);
  else if (now <= revealBy)
    said.push(
      `The aggregator or the owner has until ${momentText(revealBy, now)} to reveal the validation data to all members; if neither does, ${LESSER}`,
    );
  else {
    said.push(`Nobody revealed the validation data in time: once the job is completed, ${LESSER}`);
    return { kind: "bad", text: said.join(" ") };
  }
  return { kind, text: said.join(" ") };
}

/** The disputes of rows that this aggregator answers for; who has taken over and published no key has stated none. */
export function ownRowsDisputes({ takeovers, key_published, rows_disputes }: JobDetail) {
  const since = takeovers.at(-1)?.round ?? 0;
  return key_published ? rows_disputes.filter(({ round }) => round === 0 || round >= since) : [];
}

/** Whether disputed rows cost this aggregator its bond: they are its own, or nobody revealed what it could have. */
function bondBurnt(detail: JobDetail): boolean {
  const { summary, key_published, rows_quorum, reveals } = detail;
  const own = ownRowsDisputes(detail).length >= rows_quorum;
  return key_published && (own || (isOver(summary.state) && reveals.length === 0));
}

/** Whether a seat has so many strikes that its stake waits for the claim, which takes a part of it. */
export const owes = ({ terms }: JobDetail, seat: TrainerFacts | undefined) =>
  seat !== undefined && seat.strikes >= terms.max_strikes;

/** What leaving does, by the state of the job; null where nobody can leave. */
export function leavingText(detail: JobDetail, seat: TrainerFacts | undefined): string | null {
  const { state } = detail.summary;
  if (state === "open") return "Leaving gives your seat up, and the stake back.";
  if (state !== "running" || detail.delivering) return null;
  const stake = owes(detail, seat)
    ? "The stake waits for the claim, which takes a part of it for your strikes."
    : "It gives the stake back.";
  return (
    `Leaving gives your seat up for good. ${stake} Your points stay, but grow no more. ` +
    "It is possible until this round's update is submitted."
  );
}

/** What leaving has done; detail: of the job before. */
export function leftText(detail: JobDetail, seat: TrainerFacts | undefined): string {
  const stake = owes(detail, seat) ? "the stake waits for the claim" : "the stake was credited to the payee";
  const points = detail.summary.state === "open" ? "" : " Your points stay, and count when the job is over.";
  return `You have left; ${stake}.${points}`;
}

/** Who of a job has something to be claimed once it is over. */
export function unclaimed(trainers: TrainerFacts[]): TrainerFacts[] {
  return trainers.filter(
    (trainer) => trainer.member && !trainer.claimed && BigInt(trainer.pay) + BigInt(trainer.stake) > 0n,
  );
}

/** What comes after the confirm window, or once the end that the owner asked for has come; null where nothing is to be said. */
export function endText(detail: JobDetail): string | null {
  const { summary, terms, end_asked: asked, outcome } = detail;
  if (summary.state === "confirming") {
    const after = outcome === "aborted" ? "Then the job is aborted" : "Then the job is completed";
    return `No round follows, and trainers check the last sum. ${after}: its pot is divided, and pay and stakes can be claimed.`;
  }
  if (summary.state !== "running" || !asked) return null;
  if (summary.round >= terms.min_rounds)
    return "The owner has asked for the end: the job ends once this round is settled, or the next that can be.";
  return `The owner has asked for the end: the job ends once round ${terms.min_rounds}, or one after it, is settled.`;
}

/** Seconds that a job which runs takes at most, as its deadlines say; null where it does not run. */
export function timeLeft({ summary, terms }: JobDetail, now: number): number | null {
  if (summary.state !== "running" || summary.settle_by === null) return null;
  const later = terms.rounds - summary.round;
  const left = summary.settle_by - now + later * (terms.submit_window + terms.settle_window) + terms.confirm_window;
  return left > 0 ? left : null;
}
