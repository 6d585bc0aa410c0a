import { describe, expect, test } from "vitest";
import type { Dispute, JobDetail, TrainerFacts } from "../src/live/api";
import {
  disputed,
  endedByDispute,
  isOver,
  leavingText,
  listed,
  mayDispute,
  phaseOf,
  STATES,
  subjectOf,
} from "../src/text/standing";

const SUMMARY = { state: "running", created_at: 0, round: 2, submitted: 1, seats_taken: 3 };
const RUNNING = { ...SUMMARY, submit_by: 100, settle_by: 200, confirm_by: null };
const CONFIRMING = { ...SUMMARY, state: "confirming", submit_by: null, settle_by: null, confirm_by: 300 };
const TERMS = { enrol_by: 50, submit_window: 60, settle_window: 100, takeover_window: 40 };

type Part = {
  summary?: object;
  takeover?: object | null;
  disputes?: Partial<Dispute>[];
  quorum?: number;
  keyed?: boolean;
};

function job({ summary = RUNNING, takeover = null, disputes = [], quorum = 2, keyed = true }: Part = {}): JobDetail {
  return { summary, terms: TERMS, takeover, disputes, quorum, key_published: keyed } as unknown as JobDetail;
}

const seat = (part: Partial<TrainerFacts> = {}) =>
  ({ slot: 0, status: "active", submitted: [1], ...part }) as TrainerFacts;
const dispute = (slot: number, part: Partial<Dispute> = {}) => ({
  slot,
  round: 2,
  confirming: false,
  stands: true,
  ...part,
});

describe("where a job stands", () => {
  test.each([
    [100, "submitting", 100],
    [101, "settling", 200],
  ])("a deadline's last second still belongs to its phase: at %i it is %s", (now, at, until) => {
    expect(phaseOf(job(), now)).toMatchObject({ at, until });
  });

  test("a round that everybody has submitted to is being settled at once", () => {
    expect(phaseOf(job({ summary: { ...RUNNING, submitted: 3 } }), 10).at).toBe("settling");
  });

  test.each([
    [200, "settling"],
    [201, "takeover"],
    [240, "takeover"],
    [241, "settling"],
  ])("another aggregator may take over within the window only: at %i it is %s", (now, at) => {
    expect(phaseOf(job({ takeover: { since: 201, until: 240 } }), now).at).toBe(at);
    expect(phaseOf(job(), now).at).toBe("settling");
  });

  test("a confirming job counts down to the end of its disputes, and one that is over to nothing", () => {
    expect(phaseOf(job({ summary: CONFIRMING }), 10)).toEqual({ at: "confirming", until: 300, length: 60 });
    expect(phaseOf(job({ summary: { ...SUMMARY, state: "completed" } }), 10).at).toBe("over");
    expect(STATES.filter((state) => state !== "none" && isOver(state))).toEqual(["completed", "cancelled", "aborted"]);
  });
});

describe("disputes", () => {
  test.each([
    ["a seat that has not submitted, up to the last second", job(), seat(), 100, true],
    ["one second later", job(), seat(), 101, false],
    ["a seat that has submitted in this round", job(), seat({ submitted: [1, 2] }), 50, false],
    ["a seat that was given up", job(), seat({ status: "left" }), 50, false],
    ["nobody's seat", job(), undefined, 50, false],
    ["before the job key is there", job({ keyed: false }), seat(), 50, false],
    ["a second time in a phase", job({ disputes: [dispute(0)] }), seat(), 50, false],
    ["after one of an earlier phase", job({ disputes: [dispute(0, { stands: false })] }), seat(), 50, true],
    ["after another seat's", job({ disputes: [dispute(1)] }), seat(), 50, true],
    ["while confirming, having submitted", job({ summary: CONFIRMING }), seat({ submitted: [1, 2] }), 300, true],
    ["past the confirmation", job({ summary: CONFIRMING }), seat(), 301, false],
    ["when all is over", job({ summary: { ...SUMMARY, state: "completed" } }), seat(), 1, false],
  ])("are offered as the contract takes them: %s", (_, detail, who, now, offered) => {
    expect(mayDispute(detail, who, now)).toBe(offered);
  });

  test("say what they are about", () => {
    expect(subjectOf({ round: 1, confirming: false })).toBe("the job key");
    expect(subjectOf({ round: 3, confirming: false })).toBe("the model that round 3 starts from");
    expect(subjectOf({ round: 3, confirming: true })).toBe("the sum of the last round");
    expect([listed([4]), listed([2, 0]), listed([10, 9, 1])]).toEqual(["Seat 4", "Seats 0 and 2", "Seats 1, 9 and 10"]);
  });

  test("of this phase are told with how many end the job, those of earlier phases are not", () => {
    expect(disputed(job())).toBeNull();
    expect(disputed(job({ disputes: [dispute(1, { stands: false })] }))).toBeNull();
    expect(disputed(job({ disputes: [dispute(1, { stands: false }), dispute(2)] }))).toBe(
      "Seat 2 says that the model that round 2 starts from is not to be had or wrong. At 2 disputes of one phase a job ends.",
    );
  });

  test("that reached the quorum are said to have ended the job, fewer are not", () => {
    const aborted = { ...SUMMARY, state: "aborted" };
    const both = job({ summary: aborted, disputes: [dispute(0), dispute(2)] });
    expect(endedByDispute(both)).toBe(true);
    expect(disputed(both)).toMatch(/^Seats 0 and 2 say .* burnt/);
    const one = job({ summary: aborted, disputes: [dispute(0), dispute(2, { stands: false })] });
    expect(endedByDispute(one)).toBe(false);
    expect(disputed(one)).not.toContain("burnt");
    expect(endedByDispute(job({ summary: aborted, quorum: 0 }))).toBe(false);
  });

  test("leaving is told by what it does in this state", () => {
    expect(leavingText("confirming")).toContain("The last trainer to leave completes the job");
    expect(leavingText("running")).toContain("until this round's update is submitted");
    expect(leavingText("open")).not.toContain("for good");
  });
});
