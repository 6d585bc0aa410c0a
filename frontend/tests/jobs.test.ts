/** The market's list: news change what they are about, and nothing is read again for them. */
import { describe, expect, test } from "vitest";
import type { JobSummary } from "../src/live/api";
import { type Jobs, merged, orderOf, type Sort } from "../src/live/jobs";
import { filterOf } from "../src/pages/market";
import { seatsText, startText } from "../src/text/start";
import { momentText } from "../src/text/time";

const job = (job_id: number, more: Partial<JobSummary> = {}) =>
  ({ job_id, reward: "1", enrol_by: 1000 - job_id, state: "open", ...more }) as JobSummary;
const ids = (jobs: { items: JobSummary[] }) => jobs.items.map((each) => each.job_id);
const down = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, at) => job(from - at));
/** 100 … 51 and 50 … 1 of 200, as two pages loaded them. */
const loaded: Jobs = { items: down(100, 1), next: "newest.1.1", total: 200 };

describe("a list that was loaded in part", () => {
  test("gets a new job at its top, and keeps the rest and its place", () => {
    const first = { items: down(101, 52), next: "newest.52.52", total: 201 };
    const found = merged(loaded, first, [101], [], "newest");
    expect(ids(found)).toEqual(ids({ items: down(101, 1) }));
    expect(found).toMatchObject({ next: "newest.1.1", total: 201 });
  });

  test("changes a job further down, and drops one that does not match any more", () => {
    const first = { items: down(100, 51), next: "newest.51.51", total: 199 };
    const found = merged(loaded, first, [30, 20], [job(30, { state: "running" })], "newest");
    expect(found.items.find((each) => each.job_id === 30)?.state).toBe("running");
    expect(ids(found)).not.toContain(20);
    expect(found.items).toHaveLength(99);
  });

  test("takes in a job that matches now, but none beyond its end", () => {
    const sparse: Jobs = { items: [job(100), job(90), job(80), job(70)], next: "newest.70.70", total: 9 };
    const first = { items: [job(100), job(90)], next: "newest.90.90", total: 10 };
    expect(ids(merged(sparse, first, [75, 60], [job(75), job(60)], "newest"))).toEqual([100, 90, 80, 75, 70]);
    const whole = { ...sparse, next: null };
    expect(ids(merged(whole, first, [60], [job(60)], "newest"))).toEqual([100, 90, 80, 70, 60]);
  });

  test("drops what the first page does not have any more", () => {
    const first = { items: [job(100), job(98)], next: "newest.98.98", total: 100 };
    expect(ids(merged(loaded, first, [], [], "newest")).slice(0, 4)).toEqual([100, 98, 97, 96]);
  });

  test("is the first page where that is all, or where nothing was loaded", () => {
    const all = { items: down(3, 1), next: null, total: 3 };
    expect(merged(loaded, all, [], [], "newest")).toBe(all);
    const part = { items: down(9, 1), next: "x", total: 30 };
    expect(merged({ items: [], next: null, total: 0 }, part, [], [], "newest")).toBe(part);
  });

  test.each<[Sort, number[]]>([
    ["newest", [3, 2, 1]],
    ["reward", [2, 3, 1]],
    ["enrol_by", [3, 1, 2]],
  ])("is in the order %s", (sort, order) => {
    const list = [
      job(1, { reward: "100", enrol_by: 20 }),
      job(2, { reward: "99999999999999999999999", enrol_by: 30 }),
      job(3, { reward: "100", enrol_by: 10 }),
    ];
    expect(list.sort(orderOf(sort)).map((each) => each.job_id)).toEqual(order);
  });
});

describe("filters in the address", () => {
  test("are read, and what is none is left out", () => {
    expect(filterOf("?search=a%26b&state=open&rule=reference&sort=reward")).toEqual({
      search: "a&b",
      state: "open",
      rule: "reference",
      sort: "reward",
    });
    expect(filterOf("?state=<b>&rule=x&sort=y&more=1")).toEqual({ search: "", state: "", rule: "", sort: "newest" });
    expect(filterOf(`?search=${"x".repeat(200)}`).search).toHaveLength(100);
  });
});

describe("what an open job waits for", () => {
  const NOON = Math.floor(new Date(2026, 4, 1, 12, 0).getTime() / 1000);
  const open = {
    state: "open" as const,
    seats_taken: 3,
    min_trainers: 3,
    max_trainers: 8,
    enrol_by: NOON + 8400,
    startable_from: null as number | null,
    aggregator: "0x1",
  };
  const at = momentText(open.enrol_by, NOON);

  test("is said with seats and the reader's own time", () => {
    expect(seatsText(open)).toBe("3 of 8 seats taken");
    expect(seatsText({ ...open, seats_taken: 1, max_trainers: 1 })).toBe("1 of 1 seat taken");
    expect(startText(open, NOON)).toBe(`starts when 8 are, or with 3 at ${at}`);
    expect(at).toMatch(/^(14:20|2:20\sPM)$/);
    expect(momentText(open.enrol_by + 86_400, NOON)).toMatch(/2026/);
  });

  test.each([
    [{ min_trainers: 8 }, `starts when 8 are; without them it can be cancelled after ${at}`],
    [{ seats_taken: 8 }, "it can start now"],
    [{ seats_taken: 8, startable_from: NOON }, "it can start now"],
    [{ seats_taken: 8, startable_from: NOON + 8400 }, `its owner can start it now, anybody at ${at}`],
    [
      { enrol_by: NOON - 1, startable_from: NOON + 8400 },
      `enrolment has ended: its owner can start it now, anybody at ${at}`,
    ],
    [{ seats_taken: 8, aggregator: null }, "starts when an aggregator has accepted it"],
    [{ aggregator: null }, `starts when 8 are, or with 3 at ${at}. No aggregator has accepted it yet`],
    [
      { seats_taken: 0, min_trainers: 1, max_trainers: 1 },
      `starts when it is; without them it can be cancelled after ${at}`,
    ],
    [{ enrol_by: NOON - 1 }, "enrolment has ended: it can start now"],
    [{ enrol_by: NOON - 1, seats_taken: 2 }, "3 were needed, and enrolment has ended: it can be cancelled now"],
    [{ state: "running" as const }, ""],
    [{ state: "completed" as const }, ""],
    [{ state: "cancelled" as const, enrol_by: NOON + 1 }, ""],
  ])("%o", (part, text) => expect(startText({ ...open, ...part }, NOON)).toBe(text));
});
