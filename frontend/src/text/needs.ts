/** What needs the reader now, from what the node says of its jobs, seats, trainers and pay. "now" is chain time. */
import type { JobSummary, LocalTrainer, RequestEntry, Seat, TroubleEntry, Unclaimed } from "../live/api";
import { plural } from "./amounts";
import { isOver } from "./standing";

/** What only the owner can give to a job that goes on. reveal: null where nothing is to be revealed; here: by this node. */
export type Owed = {
  job_id: number;
  reveal: { since: number; until: number } | null;
  here: boolean;
  hand_over: boolean;
};

export type Work = {
  /** Of which the reader is the owner. */
  jobs: JobSummary[];
  seats: Seat[];
  waiting: Unclaimed[];
  /** Amounts that can be withdrawn, by payee. */
  credit: { payee: string; token: string; withdrawable: string; credited: string; withdrawn: string }[];
  owed: Owed[];
  trainers: LocalTrainer[];
  troubles: TroubleEntry[];
  requests: RequestEntry[];
};

export type Need = {
  /** The same as long as it is the same thing. */
  key: string;
  kind: "due" | "trouble" | "pay";
  text: string;
  /** Where it is done. */
  to: string;
  job: string | null;
  /** Until when it can be done, where that is known. */
  until: number | null;
};

/** An update that is not there so long before its deadline is worth a word. */
export const SOON_S = 600;

/** Nodes that run start, skip, complete and reveal by themselves: so long they are left to it. */
export const GRACE_S = 60;

const named = ({ job_id, name }: { job_id: number; name?: string | null }) => name ?? `Job ${job_id}`;

export function needsOf(work: Work, now: number): Need[] {
  const found = [
    ...work.jobs.map((job) => ofOwner(job, work, now)),
    ...work.seats.map((seat) => ofSeat(seat, work, now)),
    ...work.trainers.map((trainer) => ofTrainer(trainer, work)),
    ...work.troubles.map((each): Need[] => [
      {
        key: `trouble ${each.role} ${each.job_id} ${each.since}`,
        kind: "trouble",
        text: each.text,
        to: "/node",
        job: `Job ${each.job_id}`,
        until: null,
      },
    ]),
    ...work.requests.filter(({ decision }) => decision === "open").map(ofRequest),
    ...work.waiting.map((each) => ofClaim(each, work)),
    work.credit.flatMap(ofCredit),
  ].flat();
  const seen = new Set<string>();
  const order = { trouble: 0, due: 1, pay: 2 };
  return found
    .filter(({ key }) => !seen.has(key) && seen.add(key))
    .sort((a, b) => order[a.kind] - order[b.kind] || (a.until ?? Infinity) - (b.until ?? Infinity));
}

function need(job: JobSummary, what: string, kind: Need["kind"], text: string, until: number | null = null): Need {
  return { key: `${what} ${job.job_id}`, kind, text, to: `/job/${job.job_id}`, job: named(job), until };
}

function ofOwner(job: JobSummary, { owed }: Work, now: number): Need[] {
  const found = stalled(job, now);
  const { seats_taken: taken, min_trainers: least, aggregator } = job;
  const ready = aggregator !== null && taken >= least;
  if (job.state === "open" && now > job.enrol_by + GRACE_S)
    found.push(
      ready
        ? need(job, "start", "due", "Enrolment is over and there are enough trainers: start the job.")
        : need(job, "cancel", "due", "It cannot start any more: cancel it, and the escrow comes back to you."),
    );
  const mine = owed.find((each) => each.job_id === job.job_id);
  if (mine?.hand_over) found.push(need(job, "hand over", "due", "A new aggregator waits for you: hand the job over."));
  if (job.state === "confirming" && mine?.reveal && now <= mine.reveal.until && waitedFor(mine.reveal, now)) {
    const where = mine.here ? "" : " They are on the node that the job was created with.";
    const text = `The members wait for your validation data: reveal them.${where}`;
    found.push(need(job, "reveal", "due", text, mine.reveal.until));
  }
  return found;
}

/** Whether the aggregator has had time enough to reveal. */
function waitedFor({ since, until }: { since: number; until: number }, now: number): boolean {
  return now >= since + Math.min(GRACE_S, (until - since) / 2);
}

/** What has gone wrong with a job, or waits for anybody. */
function stalled(job: JobSummary, now: number): Need[] {
  const { state, submit_by: submitBy, settle_by: settleBy, confirm_by: confirmBy } = job;
  if (state === "confirming" && confirmBy !== null && now > confirmBy + GRACE_S)
    return [need(job, "complete", "due", "The time to dispute is over: complete the job, so that its pot is divided.")];
  if (state !== "running") return [];
  if (submitBy !== null && now > submitBy + GRACE_S && job.submitted === 0)
    return [
      need(job, `skip ${job.round}`, "trouble", `Nobody has submitted in round ${job.round}: it can be skipped.`),
    ];
  if (settleBy !== null && now > settleBy)
    return [
      need(
        job,
        `late ${job.round}`,
        "trouble",
        `It stalls: round ${job.round} was not settled in time. Look at what can be done.`,
      ),
    ];
  return [];
}

function ofSeat({ job, seat }: Seat, { trainers }: Work, now: number): Need[] {
  if (seat.status !== "active") return [];
  const found = stalled(job, now);
  const trainer = trainers.find((each) => each.job_id === job.job_id);
  const works = trainer !== undefined && ["starting", "running"].includes(trainer.status);
  const left = (job.submit_by ?? 0) - now;
  if (job.state === "running" && !works && !seat.submitted.includes(job.round) && left >= 0 && left <= SOON_S) {
    const text = `Seat ${seat.slot} has not submitted in round ${job.round} yet. Is its node at work?`;
    found.push({ ...need(job, `submit ${job.round} ${seat.slot}`, "due", text, job.submit_by) });
  }
  return found;
}

function ofTrainer({ job_id, status, problem }: LocalTrainer, { seats }: Work): Need[] {
  const job = seats.find((each) => each.job.job_id === job_id)?.job;
  if (!["paused", "failed"].includes(status) || (job && isOver(job.state))) return [];
  const text =
    status === "paused"
      ? "Your trainer is paused: it misses rounds until it goes on."
      : `Your trainer has stopped. ${problem ?? ""}`.trim();
  const entry = { key: `trainer ${status} ${job_id}`, job: job ? named(job) : `Job ${job_id}`, until: null };
  return [{ ...entry, kind: "trouble", text, to: `/job/${job_id}/join` }];
}

function ofRequest({ job_id, name, objections }: RequestEntry): Need[] {
  const text = `It asks for this node's aggregator, and the policy has ${plural(objections.length, "objection")}: accept or decline.`;
  return [{ key: `request ${job_id}`, kind: "due", text, to: "/node", job: named({ job_id, name }), until: null }];
}

function ofClaim({ job_id, name, slot, payee }: Unclaimed, { trainers }: Work): Need[] {
  // This node claims for a trainer of its own.
  if (trainers.some((each) => each.job_id === job_id && each.status === "running")) return [];
  const text = slot === null ? "Fees wait to be claimed." : `Pay and stake of seat ${slot} wait to be claimed.`;
  const key = `claim ${job_id} ${slot ?? "fees"}`;
  return [{ key, kind: "pay", text, to: `/pay/${payee}`, job: named({ job_id, name }), until: null }];
}

function ofCredit({ payee, token, withdrawable }: Work["credit"][number]): Need[] {
  if (BigInt(withdrawable) === 0n) return [];
  const text = "What you were credited can be withdrawn.";
  return [{ key: `withdraw ${payee} ${token}`, kind: "pay", text, to: `/pay/${payee}`, job: null, until: null }];
}

/** What seats of jobs that go on would be paid if these ended now, by token. */
export function expected(seats: Seat[]): Map<string, bigint> {
  const sums = new Map<string, bigint>();
  for (const { job, seat } of seats)
    if (!isOver(job.state)) sums.set(job.token, (sums.get(job.token) ?? 0n) + BigInt(seat.pay));
  return sums;
}

/** The next moment that matters in a job, and what it is. */
export function nextOf(job: JobSummary, now: number): { at: number; what: string } | null {
  if (job.state === "open") return { at: job.enrol_by, what: "enrolment ends" };
  if (job.state === "confirming" && job.confirm_by !== null)
    return { at: job.confirm_by, what: "the time to dispute ends" };
  if (job.state !== "running" || job.submit_by === null || job.settle_by === null) return null;
  const all = job.submitted > 0 && job.submitted === job.seats_taken;
  return now <= job.submit_by && !all
    ? { at: job.submit_by, what: "updates are due" }
    : { at: job.settle_by, what: "the round is to be settled" };
}
