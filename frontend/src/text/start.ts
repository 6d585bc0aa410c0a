/** What an open job waits for, in the words of `merit job show`, at the reader's own clock. "now" is chain time. */
import type { JobSummary } from "../live/api";
import { plural } from "./amounts";
import { momentText } from "./time";

type Open = Pick<
  JobSummary,
  "state" | "seats_taken" | "min_trainers" | "max_trainers" | "enrol_by" | "startable_from" | "aggregator"
>;

/** "3 of 8 seats taken" */
export function seatsText({ seats_taken: taken, max_trainers: seats }: Open): string {
  return `${taken} of ${plural(seats, "seat")} taken`;
}

/** "starts when 8 are, or with 3 at 14:20"; "" where the job is not open any more. */
export function startText(job: Open, now: number): string {
  const { seats_taken: taken, min_trainers: least, max_trainers: seats, enrol_by: by, aggregator } = job;
  if (job.state !== "open") return "";
  const from = job.startable_from ?? 0;
  const can = now < from ? `its owner can start it now, anybody at ${momentText(from, now)}` : "it can start now";
  if (now > by) {
    if (aggregator !== null && taken >= least) return `enrolment has ended: ${can}`;
    const lacks = taken < least ? `${least} were needed` : "no aggregator has accepted it";
    return `${lacks}, and enrolment has ended: it can be cancelled now`;
  }
  if (taken === seats) return aggregator === null ? "starts when an aggregator has accepted it" : can;
  const full = `starts when ${seats === 1 ? "it is" : `${seats} are`}`;
  const at = momentText(by, now);
  const start =
    least < seats ? `${full}, or with ${least} at ${at}` : `${full}; without them it can be cancelled after ${at}`;
  return aggregator === null ? `${start}. No aggregator has accepted it yet` : start;
}
