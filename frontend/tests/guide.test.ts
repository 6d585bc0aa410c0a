/** The guided first run: its job, and which step it is at. */
import { describe, expect, test } from "vitest";
import type { JobDetail } from "../src/live/api";
import { guideSteps, sampleDocument } from "../src/text/guide";
import { timeLeft } from "../src/text/standing";

const job = (state: string, settled = 0, seats_taken = 0) =>
  ({ summary: { state, seats_taken, max_trainers: 3, rounds: 3 }, settled }) as unknown as JobDetail;
const at = (detail: JobDetail) => guideSteps(detail).map((step) => step.at);

describe("a sample job", () => {
  test("is one that the node can play alone, judged by what its owner has", () => {
    const key = `0x${"ab".repeat(32)}`;
    const { market, data } = sampleDocument({ address: `0x${"cd".repeat(20)}`, encryption_key: key });
    expect(market).toMatchObject({ rule: "reference", max_trainers: 3, start_delay: 0, rounds: 3, reveal_window: 45 });
    expect(data).toMatchObject({ target: { kind: "category", classes: 10 } });
  });

  test("is at the step that its state says", () => {
    expect(at(job("open"))).toEqual(["done", "now", "later", "later", "later", "later"]);
    expect(at(job("running", 1, 3))).toEqual(["done", "done", "now", "later", "later", "later"]);
    expect(at(job("confirming", 3, 3))).toEqual(["done", "done", "done", "now", "later", "later"]);
    expect(at(job("completed", 3, 3))).toEqual(Array(6).fill("done"));
  });

  test("that was cancelled promises nothing more", () => {
    expect(guideSteps(job("cancelled")).map(({ title }) => title)).toEqual(["The job is there", "Trainers join"]);
  });

  test("says how many have joined, and how many rounds are settled", () => {
    expect(guideSteps(job("open", 0, 1))[1]?.text).toContain("1 of 3 seats taken");
    expect(guideSteps(job("running", 2, 3))[2]?.text).toContain("2 of 3 rounds settled");
  });
});

test("how long a job takes at most follows from its deadlines, and is said only while it runs", () => {
  const terms = { rounds: 3, submit_window: 600, settle_window: 600, confirm_window: 60 };
  const running = { summary: { state: "running", round: 2, settle_by: 1000 }, terms } as unknown as JobDetail;
  expect(timeLeft(running, 700)).toBe(26 * 60);
  expect(timeLeft({ ...running, summary: { ...running.summary, state: "open" } }, 700)).toBeNull();
});
