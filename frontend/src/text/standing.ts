/** Where a job stands, and what a trainer may do about it. "now" is chain time, and always an argument. */
import type { Dispute, JobDetail, JobSummary, TrainerFacts } from "../live/api";

export type StateName = JobSummary["state"];

/** The contract's states by number; 0 is that of a job that is not there. */
export const STATES = ["none", "open", "running", "confirming", "completed", "cancelled", "aborted"] as const;

export const isOver = (state: StateName) => ["completed", "cancelled", "aborted"].includes(state);

export type Phase = {
  at: "enrolling" | "submitting" | "settling" | "takeover" | "confirming" | "over";
  /** Its last second, and how long it takes in all. */
  until: number;
  length: number;
};

export function phaseOf(detail: JobDetail, now: number): Phase {
  const { summary, terms, takeover } = detail;
  const { state, submit_by, settle_by, confirm_by } = summary;
  if (state === "open") return { at: "enrolling", until: terms.enrol_by, length: terms.enrol_by - summary.created_at };
  if (state === "confirming" && confirm_by !== null)
    return { at: "confirming", until: confirm_by, length: terms.submit_window };
  if (state !== "running" || submit_by === null || settle_by === null) return { at: "over", until: 0, length: 0 };
  if (takeover && now >= takeover.since && now <= takeover.until)
    return { at: "takeover", until: takeover.until, length: terms.takeover_window };
  if (now > submit_by || summary.submitted === summary.seats_taken)
    return { at: "settling", until: settle_by, length: terms.settle_window };
  return { at: "submitting", until: submit_by, length: terms.submit_window };
}

/** Whether the contract takes a dispute of this seat. */
export function mayDispute(detail: JobDetail, seat: TrainerFacts | undefined, now: number): boolean {
  const { summary, disputes } = detail;
  if (seat?.status !== "active") return false;
  if (disputes.some((dispute) => dispute.stands && dispute.slot === seat.slot)) return false;
  if (summary.state === "confirming") return summary.confirm_by !== null && now <= summary.confirm_by;
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

/** Whether the job was ended by its trainers' disputes. */
export function endedByDispute({ summary, disputes, quorum }: JobDetail): boolean {
  return summary.state === "aborted" && quorum > 0 && disputes.filter(({ stands }) => stands).length >= quorum;
}

/** Those disputes that stand, as a sentence; null where none does. */
export function disputed(detail: JobDetail): string | null {
  const standing = detail.disputes.filter((dispute) => dispute.stands);
  const first = standing[0];
  if (!first) return null;
  const seats = standing.map((dispute) => dispute.slot);
  const said = `${listed(seats)} ${seats.length === 1 ? "says" : "say"} that ${subjectOf(first)} is not to be had or wrong.`;
  if (endedByDispute(detail))
    return `${said} That ended the job. The bond is burnt, with the fee where one was due: nobody gains by lying.`;
  return `${said} At ${detail.quorum} ${detail.quorum === 1 ? "dispute" : "disputes"} of one phase a job ends.`;
}

/** What leaving does, by the state of the job. */
export function leavingText(state: StateName): string {
  if (state === "confirming")
    return (
      "All rounds are settled. Leaving gives the stake back at once, and with it your say on the last sum: " +
      "your node leaves by itself once it has checked it. The last trainer to leave completes the job."
    );
  if (state === "open") return "Leaving gives your seat up, and the stake back.";
  return "Leaving gives your seat up for good, and the stake back. It is possible until this round's update is submitted.";
}
