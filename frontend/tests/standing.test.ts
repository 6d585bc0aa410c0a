import { describe, expect, test } from "vitest";
import type { Dispute, JobDetail, TrainerFacts } from "../src/live/api";
import { ofOwner } from "../src/pages/exits";
import {
  askedAgain,
  disputed,
  endText,
  isOver,
  leavingText,
  leftText,
  listed,
  mayDispute,
  mayDisputeRows,
  owes,
  phaseOf,
  rowsText,
  STATES,
  subjectOf,
  unclaimed,
  voidText,
} from "../src/text/standing";

const SUMMARY = { state: "running", created_at: 0, round: 2, submitted: 1, seats_taken: 3 };
const RUNNING = { ...SUMMARY, submit_by: 100, settle_by: 200, confirm_by: null };
const CONFIRMING = { ...SUMMARY, state: "confirming", submit_by: null, settle_by: null, confirm_by: 300 };
const TERMS = {
  enrol_by: 50,
  submit_window: 60,
  settle_window: 100,
  takeover_window: 40,
  confirm_window: 90,
  max_strikes: 3,
  min_rounds: 4,
  rounds: 9,
  max_voids: 3,
};

type Part = {
  summary?: object;
  takeover?: object | null;
  disputes?: Partial<Dispute>[];
  quorum?: number;
  keyed?: boolean;
  burnt?: boolean;
  more?: Partial<JobDetail>;
};

function job(part: Part = {}): JobDetail {
  const { summary = RUNNING, takeover = null, disputes = [], quorum = 2, keyed = true, burnt = false, more } = part;
  const rows = { disputed_rows: false, rows_disputes: [], rows_quorum: 2, reveals: [], reveal_by: 60, exits: [] };
  const opened = { delivering: false, undelivered: [], voids: 0, voided_out: false };
  const said = {
    ...opened,
    key_published: keyed,
    disputed_sum: burnt,
    end_asked: false,
    outcome: null,
    ...rows,
    ...more,
  };
  return { summary, terms: TERMS, takeovers: [], takeover, disputes, quorum, ...said } as unknown as JobDetail;
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
    expect(phaseOf(job({ summary: CONFIRMING }), 10)).toEqual({ at: "confirming", until: 300, length: 90 });
    expect(phaseOf(job({ summary: { ...SUMMARY, state: "completed" } }), 10).at).toBe("over");
    expect(STATES.filter((state) => state !== "none" && isOver(state))).toEqual(["completed", "cancelled", "aborted"]);
  });
});

describe("what did not open", () => {
  const late = (...undelivered: number[]) => job({ more: { delivering: true, undelivered, voids: 2 } });

  test.each([
    ["delivered again, up to the last second", late(0, 2), 100, "delivering", 100],
    ["judged without what was not, one second later", late(0, 2), 101, "settling", 200],
    ["judged at once when all of it was", late(), 50, "settling", 200],
    ["taken over, where it is not judged", { ...late(2), takeover: { since: 201, until: 240 } }, 201, "takeover", 240],
  ])("is %s", (_, detail, now, at, until) => {
    expect(phaseOf(detail, now)).toMatchObject({ at, until });
  });

  test("is asked for within a settling window, not within the longer or shorter one to submit", () => {
    expect(phaseOf(late(1), 50).length).toBe(100);
  });

  test("is told with whose it is, until when, and how many voids the job still allows", () => {
    expect(voidText(late(0, 2), 50)?.kind).toBe("warn");
    expect(voidText(late(0, 2), 50)?.text).toMatch(
      /^2 updates did not open, to be delivered again until .+\. Seats 0 and 2 have not yet\. This is void 2 of 3 that the job allows; one more than these ends it\.$/,
    );
    expect(voidText(late(2), 50)?.text).toMatch(/^1 update did not open, to be .+ Seat 2 has not yet\./);
  });

  test("or was made to an aggregator that failed goes to the one that took over", () => {
    const takeover = { round: SUMMARY.round } as JobDetail["takeovers"][number];
    const taken = { ...late(0, 2), takeovers: [takeover] };
    expect(voidText(taken, 50)).toMatchObject({
      kind: "info",
      text: expect.stringMatching(
        /^2 updates are to be delivered again, to the aggregator that took over, until .+\. Seats 0 and 2 have not yet\.$/,
      ),
    });
    expect(askedAgain(taken, seat({ slot: 2 }), 50)).toMatch(
      /^Another aggregator has taken round 2 over\. Your update is to be delivered again, to it, until .+: your node does so by itself/,
    );
    expect(phaseOf(taken, 50)).toMatchObject({ at: "delivering", length: taken.terms.submit_window });
    const before = { ...late(2), takeovers: [{ ...takeover, round: SUMMARY.round - 1 }] };
    expect(voidText(before, 50)?.kind).toBe("warn");
  });

  test("and was not delivered in time costs nobody its seat", () => {
    expect(voidText(late(2), 101)).toEqual({
      kind: "info",
      text: "1 update was not delivered again in time. The round goes on without it. Seat 2 gains nothing by it, but has not missed it.",
    });
    expect(voidText(late(0, 2), 101)?.text).toContain("without them. Seats 0 and 2 gain nothing by it, but have not");
  });

  test("is no word where all opens, or all was delivered again", () => {
    expect(voidText(job(), 50)).toBeNull();
    expect(voidText(late(), 50)).toBeNull();
  });

  test("once more than the job allows has ended it, which stays told", () => {
    for (const summary of [CONFIRMING, { ...SUMMARY, state: "aborted" }])
      expect(voidText(job({ summary, more: { voided_out: true } }), 400)).toMatchObject({
        kind: "bad",
        text: expect.stringContaining("Too many updates of round 2 did not open, and the job allows no further void"),
      });
  });

  test("is asked of its sender, and of nobody else", () => {
    const own = seat({ slot: 2 });
    expect(askedAgain(late(2), own, 100)).toMatch(
      /^The aggregator could not open your update of round 2\. It is to be delivered again until .+: your node does so/,
    );
    expect(askedAgain(late(2), own, 101)).toBe(
      "Your update of round 2 was not delivered again in time: the round brings you nothing, but does not count as missed.",
    );
    const others = [askedAgain(late(1), own, 50), askedAgain(late(), own, 50), askedAgain(job(), own, 50)];
    expect([...others, askedAgain(late(2), undefined, 50)]).toEqual([null, null, null, null]);
    expect(askedAgain(late(2), seat({ slot: 2, status: "left" }), 50)).toBeNull();
  });

  test("keeps everybody in the round, as the contract has it", () => {
    expect(leavingText(late(1), seat())).toBeNull();
    expect(leavingText(job(), seat())).not.toBeNull();
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
    ["once bond and fees are burnt", job({ summary: CONFIRMING, burnt: true }), seat(), 50, false],
    ["when all is over", job({ summary: { ...SUMMARY, state: "completed" } }), seat(), 1, false],
    ["while others deliver again", job({ more: { delivering: true, undelivered: [1] } }), seat(), 50, false],
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
      "Seat 2 says that the model that round 2 starts from cannot be fetched, or is wrong. At 2 disputes of one phase bond and fees are burnt, and no round follows.",
    );
  });

  test("do not end a job a second time", () => {
    expect(disputed(job({ summary: CONFIRMING, disputes: [dispute(1, { confirming: true })] }))).toBe(
      "Seat 1 says that the sum of the last round cannot be fetched, or is wrong. At 2 disputes of one phase bond and fees are burnt.",
    );
  });

  test("that reached the quorum are told as long as the job is, though no dispute stands any more", () => {
    const both = [dispute(0, { stands: false }), dispute(2, { stands: false })];
    for (const summary of [CONFIRMING, { ...SUMMARY, state: "aborted" }])
      expect(disputed(job({ summary, disputes: both, burnt: true }))).toBe(
        "Enough trainers have said that the model that round 2 starts from cannot be fetched, or is wrong. " +
          "Bond and fees are burnt: nobody gains by lying. What trainers have earned stays.",
      );
    expect(disputed(job({ summary: { ...SUMMARY, state: "aborted" }, disputes: both }))).toBeNull();
  });
});

describe("reference rows", () => {
  const rows = (more: Partial<JobDetail> = {}, summary: object = CONFIRMING) => job({ summary, more });
  const told = (more: Partial<JobDetail>, now = 50, summary: object = CONFIRMING) =>
    rowsText(rows(more, summary), now) ?? { kind: "", text: "" };
  const member = (part: Partial<TrainerFacts> = {}) => seat({ member: true, opened: 1, ...part });
  const said = (slot: number, round: number) => ({ slot, round });
  const REVEALS = [{ sender: "0x1", cid: "bafy" }];
  const OVER = { ...SUMMARY, state: "completed", confirm_by: null };

  test.each([
    ["a member, up to the last second", rows(), member(), 300, true],
    ["one second later", rows(), member(), 301, false],
    ["a member that has left", rows(), member({ status: "left" }), 50, true],
    ["who held no seat at the start", rows(), member({ member: false }), 50, false],
    ["a member whose submissions never opened", rows(), member({ opened: 0 }), 50, false],
    ["nobody's seat", rows(), undefined, 50, false],
    ["a second time", rows({ rows_disputes: [said(0, 1)] }), member(), 50, false],
    ["after another's", rows({ rows_disputes: [said(1, 1)] }), member(), 50, true],
    ["where there are none to recompute", rows({ rows_quorum: 0 }), member(), 50, false],
    ["once they are disputed", rows({ disputed_rows: true }), member(), 50, false],
    ["while the job runs", job(), member(), 50, false],
  ])("can be disputed as the contract takes it: %s", (_, detail, who, now, offered) => {
    expect(mayDisputeRows(detail, who, now)).toBe(offered);
  });

  test("say who has to reveal, and until when; then until when members recompute", () => {
    expect(told({}, 60)).toMatchObject({ kind: "info" });
    expect(told({}, 60).text).toMatch(/^The aggregator or the owner has until .+ to reveal the validation data/);
    expect(told({ reveals: REVEALS }, 61)).toMatchObject({ kind: "info" });
    expect(told({ reveals: REVEALS }, 61).text).toContain("members recompute the rows until");
    expect(told({}, 61)).toMatchObject({ kind: "bad" });
    expect(told({}, 61).text).toContain("Nobody revealed the validation data in time: once the job is completed, fees");
  });

  test("say nothing where none have to be revealed, nor before", () => {
    expect(rowsText(rows({ rows_quorum: 0, reveal_by: null }), 50)).toBeNull();
    expect(rowsText(job({ more: { reveal_by: null } }), 50)).toBeNull();
    expect(rowsText(rows({ reveal_by: null, reveals: REVEALS }, OVER), 400)).toBeNull();
  });

  test("that are disputed are counted up to the quorum", () => {
    const { kind, text } = told({ reveals: REVEALS, rows_disputes: [said(2, 3)] });
    expect(kind).toBe("warn");
    expect(text).toContain(
      "Seat 2 says that the reference rows of round 3 are wrong. That is 1 of 2 disputes at which",
    );
    expect(told({ rows_disputes: [said(1, 0)] }, 61).text).toContain(
      "nothing revealed is what the description commits",
    );
  });

  test.each([
    [
      "members did",
      { rows_disputes: [said(0, 1), said(2, 0)] },
      CONFIRMING,
      "Enough members",
      "fees and bond are burnt",
    ],
    ["nobody revealed", {}, OVER, "Nobody revealed", "fees and bond are burnt"],
    [
      "rows from before a takeover are",
      { rows_disputes: [said(0, 1), said(2, 1)], reveals: REVEALS, takeovers: [{ round: 2 }] },
      CONFIRMING,
      "Enough members",
      ": fees are burnt",
    ],
    ["who took over never had the key", { key_published: false }, OVER, "Nobody revealed", ": fees are burnt"],
  ])("say what they cost, and why, where %s", (_, more, summary, why, cost) => {
    const { kind, text } = told({ disputed_rows: true, ...(more as Partial<JobDetail>) }, 50, summary);
    expect(kind).toBe("bad");
    expect(text).toContain(why);
    expect(text).toContain(cost);
    expect(text).toContain("the lesser of its part by points and its part by rounds opened");
  });
});

describe("leaving", () => {
  test("is told by what it does in this state", () => {
    expect(leavingText(job({ summary: { ...SUMMARY, state: "open" } }), seat())).not.toContain("for good");
    const running = leavingText(job(), seat({ strikes: 2 }));
    expect(running).toContain("until this round's update is submitted");
    expect(running).toContain("gives the stake back");
    expect(running).toContain("points stay");
    expect(leavingText(job({ summary: CONFIRMING }), seat())).toBeNull();
    expect(leavingText(job({ summary: { ...SUMMARY, state: "completed" } }), seat())).toBeNull();
  });

  test("leaves the stake of who has too many strikes to the claim", () => {
    const text = leavingText(job(), seat({ strikes: 3 }));
    expect(text).toContain("waits for the claim");
    expect(text).not.toContain("gives the stake back");
    expect(leftText(job(), seat({ strikes: 3 }))).toContain("the stake waits for the claim. Your points stay");
    expect(leftText(job(), seat({ strikes: 2 }))).toContain("the stake was credited");
    expect(leftText(job({ summary: { ...SUMMARY, state: "open" } }), seat())).not.toContain("points");
    expect([2, 3, 4].map((strikes) => owes(job(), seat({ strikes })))).toEqual([false, true, true]);
  });
});

describe("the end", () => {
  const ended = (part: Partial<JobDetail>, summary: object = RUNNING) => endText(job({ summary, more: part }));

  test("that the owner has asked for is told with when it comes", () => {
    expect(ended({})).toBeNull();
    expect(ended({ end_asked: true })).toContain("once round 4, or one after it, is settled");
    expect(ended({ end_asked: true }, { ...RUNNING, round: 4 })).toContain("once this round is settled");
    expect(ended({ end_asked: true }, { ...SUMMARY, state: "completed" })).toBeNull();
  });

  test("comes after the confirm window, with its outcome", () => {
    expect(ended({ outcome: "completed" }, CONFIRMING)).toContain("Then the job is completed");
    expect(ended({ outcome: "aborted", end_asked: true }, CONFIRMING)).toContain("Then the job is aborted");
  });

  test("is the owner's to ask for only where it would come earlier", () => {
    const offered = (part: Part) => ofOwner(job(part), 10).map(({ call }) => call);
    expect(offered({})).toEqual(["end"]);
    expect(ofOwner(job(), 10)[0]?.text).toContain("from round 4 on");
    expect(ofOwner(job({ summary: { ...RUNNING, round: 4 } }), 10)[0]?.text).not.toContain("from round");
    expect(offered({ more: { end_asked: true } })).toEqual([]);
    expect(offered({ more: { terms: { ...TERMS, min_rounds: 9 } as JobDetail["terms"] } })).toEqual([]);
    expect(offered({ summary: { ...SUMMARY, state: "open" } })).toEqual(["cancel"]);
    expect(offered({ summary: CONFIRMING })).toEqual([]);
  });

  test("of the start delay need not be waited for by the owner, once a job can start", () => {
    const start = { call: "start", since: 90, text: "" } as const;
    const open = { ...SUMMARY, state: "open", seats_taken: 3, max_trainers: 3 };
    const offered = (summary: object, now: number) =>
      ofOwner(job({ summary, more: { exits: [start] } }), now).map(({ call, since }) => `${call} ${since}`);
    expect(offered(open, 40)).toEqual(["start 0", "cancel 0"]);
    expect(offered(open, 90)).toEqual(["cancel 0"]); // anybody can
    expect(offered({ ...open, max_trainers: 4 }, 50)).toEqual(["cancel 0"]); // others may still join
    expect(offered({ ...open, max_trainers: 4 }, 51)).toEqual(["start 0", "cancel 0"]);
  });

  test("leaves claims to those who get something by them", () => {
    const one = { member: true, claimed: false, pay: "5", stake: "0" };
    const list = [
      seat({ ...one, slot: 0 }),
      seat({ ...one, slot: 1, claimed: true }),
      seat({ ...one, slot: 2, pay: "0" }),
      seat({ ...one, slot: 3, pay: "0", stake: "7" }),
      seat({ ...one, slot: 4, member: false }),
    ];
    expect(unclaimed(list).map(({ slot }) => slot)).toEqual([0, 3]);
  });
});
