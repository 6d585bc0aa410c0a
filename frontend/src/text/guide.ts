/** The guided first run, in words: what a sample job does, step by step, and which step it is at. */
import type { JobDetail } from "../live/api";
import { plural } from "./amounts";
import { DEFAULTS, documentOf } from "./draft";
import { isOver } from "./standing";

export const SAMPLE = { name: "A sample job", trainers: 3, rounds: 3 };

/** The document of the sample job: digits, judged by digits that the owner keeps, with windows for somebody who watches. */
export function sampleDocument(aggregator: { address: string; encryption_key: string }): Record<string, unknown> {
  return documentOf({
    ...DEFAULTS,
    name: SAMPLE.name,
    description: "Handwritten digits, learned by three trainers of this machine.",
    rounds: `${SAMPLE.rounds}`,
    startDelay: "0",
    confirmWindow: "1 min",
    revealWindow: "45 s",
    validation: "digits",
    aggregator: aggregator.address,
    aggregatorKey: aggregator.encryption_key,
  });
}

export type Step = { title: string; text: string; at: "done" | "now" | "later" };

export function guideSteps(detail: JobDetail): Step[] {
  const { summary, settled } = detail;
  const { state } = summary;
  const over = isOver(state);
  const place = state === "open" ? 1 : state === "running" ? 2 : state === "confirming" ? 3 : 5;
  const steps: Omit<Step, "at">[] = [
    {
      title: "The job is there",
      text: "Its owner, this node's key, has put the whole reward into escrow: the contract holds it, so trainers know that they will be paid. The description says what is to be learned; anybody can read it.",
    },
    {
      title: "Trainers join",
      text:
        state === "open"
          ? `${summary.seats_taken} of ${plural(summary.max_trainers, "seat")} taken. Each trainer deposits a stake, and keeps its data to itself. Here three of them run on this machine, each with a key of its own.`
          : "Each has deposited a stake, and keeps its data to itself.",
    },
    {
      title: "They train, and are judged",
      text: `${settled} of ${plural(summary.rounds, "round")} settled. In each, trainers improve the model on their own data and hand in sealed updates. The aggregator opens them, judges how far each lowers the loss, and proves it; the contract checks the proof.`,
    },
    {
      title: "The result is checked",
      text: "Trainers recompute what they are to be paid by, and could dispute it. This takes as long as the job's confirm window, here a minute.",
    },
    {
      title: "Everybody is paid",
      text: over
        ? "The pot was divided by what each trainer's updates brought. Trainers' nodes claim pay and stakes by themselves; below is who got what, and why."
        : "The pot is divided by what each trainer's updates brought.",
    },
    {
      title: "The model is yours",
      text: over
        ? "Below are what it is, how good it is, and how to use it. Here all have the same digits: of new ones its figure says little. Then audit the job: anybody can check every step."
        : "You can download it, use it, and audit every step.",
    },
  ];
  if (over && state !== "completed")
    return steps.slice(0, 2).map((step, at) => ({ ...step, at: at === 0 ? "done" : "now" }));
  return steps.map((step, at) => ({ ...step, at: at < place || over ? "done" : at === place ? "now" : "later" }));
}
