import { describe, expect, test } from "vitest";
import type { JobDetail, Judged, RoundDetail, Terms, TrainerFacts } from "../src/live/api";
import { COIN } from "../src/text/amounts";
import { broughtText, lossText, roundsText, roundText, strikeText, whyThisGain, whyThisPay } from "../src/text/why";

const TERMS = {
  rule: "reference",
  rate: 2 ** 40,
  rate_decay: 2 ** 32,
  scale_exponent: -3,
  max_missed: 3,
} as Terms;
const KRUM = { ...TERMS, rule: "krum-cosine" } as Terms;

/** With TERMS and row_exponent -5, a score of 1 of n selected brings 2^40 / n. */
const seat = (
  slot: number,
  verdict: Judged["verdict"],
  score: bigint,
  gain: bigint,
  coefficient: number | null = null,
): Judged => ({
  slot,
  verdict,
  score: score.toString(),
  gain: gain.toString(),
  loss: null,
  coefficient,
  operator: `0x${"11".repeat(20)}`,
  payee: `0x${"22".repeat(20)}`,
});

function round(judged: Judged[], part: { status?: string; row_exponent?: number | null } = {}): RoundDetail {
  const summary = { round: 1, status: part.status ?? "settled", transaction: null };
  return { summary, judged, row_exponent: part.row_exponent === undefined ? -5 : part.row_exponent } as RoundDetail;
}

const all = (found: RoundDetail, slot: number, terms = TERMS) => {
  const why = whyThisGain(found, slot, terms);
  return [why.headline, ...why.reasons].join(" ");
};
const HALF = 2n ** 39n;

describe("why this gain", () => {
  test("a selected seat is told its part of what all updates changed", () => {
    const found = round([seat(0, "selected", 1n, HALF), seat(1, "selected", 3n, 3n * HALF)]);
    expect(whyThisGain(found, 0, TERMS).expected).toBe(HALF);
    expect(all(found, 0)).toContain("Seat 0 gained 25.0 % of what all updates changed in round 1.");
    expect(all(found, 0)).toContain("lowered the loss by about 4.8e-7: 25.0 %");
    expect(all(found, 0)).not.toContain("something is wrong");
  });

  test("an update that raised the loss is said to count against its seat", () => {
    const found = round([seat(0, "selected", -1n, -HALF), seat(1, "selected", 1n, HALF)]);
    expect(all(found, 0)).toContain("Seat 0's update raised the loss in round 1, which counts against it.");
    expect(all(found, 0)).toContain("raised the loss by about 4.8e-7: 50.0 %");
    expect(all(found, 0)).toContain("taken off its balance");
    expect(all(found, 0)).not.toContain("strike");
  });

  test("under krum-cosine every round brings the same in all", () => {
    const found = round([seat(0, "selected", 1n, 2n ** 62n), seat(1, "selected", 3n, 3n * 2n ** 62n)]);
    expect(whyThisGain(found, 0, KRUM).expected).toBe(2n ** 62n);
    expect(all(found, 0, KRUM)).toContain("this update has 25.0 % of that");
    expect(all(found, 0, KRUM)).not.toContain("loss");
  });

  test.each([TERMS, KRUM])("a gain that the scores do not give is called wrong: %o", (terms) => {
    const found = round([seat(0, "selected", 1n, HALF + 1n), seat(1, "selected", 3n, 3n * HALF)]);
    expect(all(found, 0, terms)).toContain("This is not what the scores give. Audit this job");
  });

  test("what the page cannot compute it does not call wrong", () => {
    const found = round([seat(0, "selected", 1n, HALF + 1n)], { row_exponent: null });
    expect(whyThisGain(found, 0, TERMS).expected).toBeNull();
    expect(all(found, 0)).not.toContain("something is wrong");
  });

  test("a shortened update is told how much of it entered the sum", () => {
    expect(all(round([seat(0, "selected", 1n, 2n * HALF, 2048)]), 0)).toContain("50.0 % of it entered the sum");
    expect(all(round([seat(0, "selected", 1n, 2n * HALF, 4096)]), 0)).not.toContain("entered the sum");
  });

  test.each([
    ["struck", "It counts one strike"],
    ["left-out", "That is no strike"],
    ["unopened", "counts no strike"],
    ["undelivered", "was not delivered again in time. The round does not count as opened by this seat, nor as missed"],
    ["missing", "No update was submitted"],
  ] as const)("%s gains nothing, and is told why", (verdict, words) => {
    const text = all(round([seat(0, verdict, 0n, 0n), seat(1, "selected", 1n, 2n * HALF)]), 0);
    expect(text).toContain("Seat 0 gained nothing in round 1.");
    expect(text).toContain(words);
    expect(text).not.toContain("something is wrong");
  });

  test("selected with nothing gained is not confused with being left out", () => {
    for (const terms of [TERMS, KRUM]) {
      const text = all(round([seat(0, "selected", 0n, 0n), seat(1, "selected", 2n, 2n * HALF)]), 0, terms);
      expect(text).toContain("selected the update");
      expect(text).toContain("gained nothing");
      expect(text).not.toContain("strike");
    }
  });

  test("an open round has no reasons yet", () => {
    expect(whyThisGain(round([], { status: "open" }), 0, TERMS).reasons).toEqual([]);
  });
});

describe("in few words", () => {
  test("a round that brought nothing, or raised the loss, is said to have", () => {
    expect(broughtText("selected", -HALF, "reference")).toBe("raised the loss by about 4.8e-7");
    expect(broughtText("selected", HALF, "reference")).toBe("lowered the loss by about 4.8e-7");
    expect(broughtText("selected", 0n, "reference")).toBe("selected, but it brought nothing");
    expect(broughtText("selected", HALF, "krum-cosine")).toBe("selected");
    expect(broughtText("left-out", 0n, "reference")).toBe("left out: it brought nothing");
    expect(lossText(0n)).toBe("");
    expect(roundText(["0", "0"], "reference")).toBe("It brought nothing to anybody's balance.");
    expect(roundText([], "krum-cosine")).toBe("It brought nothing to anybody's balance.");
    expect(roundText([(-HALF).toString(), "1"], "reference")).toContain("raised the loss");
    expect(roundText([HALF.toString(), (-HALF).toString()], "reference")).toContain("neither lowered nor raised");
    expect(roundText(["1"], "krum-cosine")).toContain("what each round brings");
  });

  test("strikes are told with their rounds and reason", () => {
    expect([roundsText([3]), roundsText([3, 5]), roundsText([1, 2, 9])]).toEqual([
      "round 3",
      "rounds 3 and 5",
      "rounds 1, 2 and 9",
    ]);
    expect(strikeText("krum-cosine")).toBe("An update counts a strike if it was all zero.");
    expect(strikeText("reference")).toContain("pointed clearly away");
  });
});

describe("why this pay", () => {
  const member = (slot: number, balance: bigint, opened: number, pay: bigint, part: Partial<TrainerFacts> = {}) =>
    ({ slot, balance: balance.toString(), opened, pay: pay.toString(), member: true, ...part }) as TrainerFacts;
  const job = (state: string, pot = 100n) =>
    ({ summary: { state }, terms: TERMS, pot: pot.toString(), settled: 3 }) as unknown as JobDetail;
  const said = (detail: JobDetail, list: TrainerFacts[], slot: number) => {
    const { headline, reasons } = whyThisPay(detail, list, slot, COIN);
    return [headline, ...reasons].join(" ");
  };

  test("is the seat's part of all points, rounded down", () => {
    const list = [member(0, HALF, 3, 33n), member(1, 2n * HALF, 3, 66n)];
    expect(whyThisPay(job("completed"), list, 0, COIN).expected).toBe(33n);
    const text = said(job("completed"), list, 0);
    expect(text).toContain("Seat 0's pay is 0.000000000000000033 ether.");
    expect(text).toContain("its updates were opened in 3 of 3 settled rounds");
    expect(text).toContain("33.3 % of all points");
    expect(text).not.toContain("something is wrong");
    expect(said(job("running"), list, 0)).toContain(
      "Seat 0 would get about 0.000000000000000033 ether if the job ended now.",
    );
  });

  test("is called wrong where the balances give another", () => {
    const list = [member(0, HALF, 3, 34n), member(1, 2n * HALF, 3, 66n)];
    expect(said(job("completed"), list, 0)).toContain("This is not what the balances give");
  });

  test("is nothing for a balance below 0, which counts against nobody else", () => {
    const list = [member(0, -HALF, 3, 0n), member(1, HALF, 3, 100n)];
    expect(said(job("completed"), list, 0)).toContain("raised the loss more than they lowered it");
    expect(said(job("running"), list, 0)).toContain("Seat 0 would get nothing if the job ended now.");
    expect(whyThisPay(job("completed"), list, 1, COIN).expected).toBe(100n);
  });

  test("is by rounds opened where nobody has points", () => {
    const list = [member(0, 0n, 1, 25n), member(1, -HALF, 3, 75n)];
    expect(said(job("completed"), list, 0)).toContain("divided by rounds opened: it has 25.0 % of them");
    const none = [member(0, 0n, 0, 0n)];
    expect(said(job("completed"), none, 0)).toContain("nobody has a part of the pot");
  });

  test("is no more than by rounds opened where the rows are disputed", () => {
    const disputed = { ...job("completed"), disputed_rows: true };
    const list = [member(0, 9n * HALF, 3, 50n), member(1, HALF, 3, 10n)];
    expect(list.map(({ slot }) => whyThisPay(disputed, list, slot, COIN).expected)).toEqual([50n, 10n]);
    const text = said(disputed, list, 0);
    expect(text).toContain("90.0 % of all points");
    expect(text).toContain("no more than by rounds opened, of which it has 50.0 %");
    expect(text).not.toContain("something is wrong");
    expect(said(job("completed"), list, 0)).toContain("This is not what the balances give");
  });

  test("leaves out who was there before the start only", () => {
    const list = [member(0, 0n, 0, 0n, { member: false }), member(0, HALF, 3, 100n)];
    expect(whyThisPay(job("completed"), list, 0, COIN).expected).toBe(100n);
    expect(said(job("completed"), list, 5)).toContain("had no part");
  });
});
