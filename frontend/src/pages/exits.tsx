/** The calls that anyone may send once a deadline has passed: nobody can lock money by vanishing. And what the owner may. */

import { encodeFunctionData } from "viem";
import { marketAbi } from "../generated/market";
import { type Exit, type JobDetail, post } from "../live/api";
import { useNow } from "../live/clock";
import { useHolder } from "../ui/holder";
import { Countdown } from "../ui/parts";
import { Send } from "../ui/send";

const CALLS = {
  start: "start",
  cancel: "cancel",
  abort: "abort",
  skip: "skipRound",
  complete: "complete",
  end: "askEnd",
} as const;

const LABELS: Record<Exit["call"], string> = {
  start: "Start the job",
  cancel: "Cancel the job",
  abort: "Abort the job",
  skip: "Skip this round",
  complete: "Complete the job",
  end: "Ask for the end",
};

const WHAT: Record<Exit["call"], (jobId: number) => string> = {
  start: (jobId) => `Start job ${jobId}`,
  cancel: (jobId) => `Cancel job ${jobId}`,
  abort: (jobId) => `Abort job ${jobId}`,
  skip: (jobId) => `Skip the round of job ${jobId}`,
  complete: (jobId) => `Complete job ${jobId}`,
  end: (jobId) => `Ask for the end of job ${jobId}`,
};

const BEFORE: Record<Exit["call"], string> = {
  start: "Anyone may start the job",
  cancel: "If it cannot start by then, anyone may cancel the job",
  skip: "If nobody submits, anyone may skip this round",
  abort: "If the aggregator misses its deadline, anyone may abort the job",
  complete: "Anyone may complete the job, so that its pot is divided,",
  end: "The owner may ask for the end",
};

function before({ call }: Exit, { delivering, takeover }: JobDetail): string {
  if (call === "abort" && takeover)
    return "If the aggregator misses its deadline and nobody takes over, anyone may abort the job";
  if (call === "skip" && delivering) return "If no update is delivered again, anyone may skip this round";
  return BEFORE[call];
}

/** Calls that the owner alone may send; nobody else is offered them. */
export function ofOwner({ summary, terms, end_asked, exits }: JobDetail, now: number): Exit[] {
  if (summary.state === "open") {
    const start = exits.find((exit) => exit.call === "start" && exit.since > now);
    const full = summary.seats_taken === summary.max_trainers || now > terms.enrol_by;
    return [
      ...(start && full
        ? [{ ...start, since: 0, text: "As the owner you can start the job at once, before anybody else can." }]
        : []),
      { call: "cancel", since: 0, text: "As the owner you can cancel while the job is open: all money goes back." },
    ];
  }
  if (summary.state !== "running" || end_asked || terms.min_rounds >= terms.rounds) return [];
  const from = summary.round < terms.min_rounds ? `, from round ${terms.min_rounds} on` : "";
  const text =
    `As the owner you can ask that the job end with the next settlement${from}. That is final. Settled rounds are ` +
    "paid all the same; the reward of the rounds that are left comes back to you.";
  return [{ call: "end", since: 0, text }];
}

export function Exits({ detail, after }: { detail: JobDetail; after: () => void }) {
  const now = useNow();
  const { byWallet, byNode } = useHolder()(detail.summary.owner);
  const owns = byWallet || byNode;
  const anyones = detail.exits.filter((exit) => !owns || exit.call !== "cancel");
  return (
    <>
      {anyones.map((exit) =>
        exit.since <= now ? (
          <Due key={exit.call} exit={exit} detail={detail} after={after} wallets nodes />
        ) : (
          <p key={exit.call} class="muted">
            {before(exit, detail)} in <Countdown to={exit.since} />.
          </p>
        ),
      )}
      {owns &&
        ofOwner(detail, now).map((exit) => (
          <Due key={exit.call} exit={exit} detail={detail} after={after} wallets={byWallet} nodes={byNode} />
        ))}
    </>
  );
}

type Props = { exit: Exit; detail: JobDetail; after: () => void; wallets: boolean; nodes: boolean };

function Due({ exit, detail, after, wallets, nodes }: Props) {
  const jobId = detail.summary.job_id;
  return (
    <div class="exit">
      <p>{exit.text}</p>
      <Send
        label={LABELS[exit.call]}
        text={WHAT[exit.call](jobId)}
        data={() => encodeFunctionData({ abi: marketAbi, functionName: CALLS[exit.call], args: [BigInt(jobId)] })}
        byNode={() => post("/api/jobs/{job_id}/calls/{call}", undefined, { job_id: jobId, call: exit.call })}
        after={after}
        wallets={wallets}
        nodes={nodes}
      />
    </div>
  );
}
