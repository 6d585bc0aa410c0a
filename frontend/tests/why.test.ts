import { describe, expect, test } from "vitest";
import type { Judged, RoundDetail } from "../src/live/api";
import { COIN } from "../src/text/amounts";
import { payOf, whyThisPay } from "../src/text/why";

const seat = (
  slot: number,
  verdict: Judged["verdict"],
  weight: bigint,
  pay: bigint,
  coefficient: number | null = null,
): Judged => ({
  slot,
  verdict,
  weight: weight.toString(),
  pay: pay.toString(),
  coefficient,
  operator: `0x${"11".repeat(20)}`,
  payee: `0x${"22".repeat(20)}`,
});

function round(judged: Judged[], pot: bigint | null = 100n): RoundDetail {
  const summary = {
    round: 2,
    status: pot === null ? "open" : "settled",
    aggregator: `0x${"33".repeat(20)}`,
    submit_by: 0,
    settle_by: 0,
    submitted: [],
    selected: [],
    unopened: [],
    pot: pot?.toString() ?? null,
    transaction: null,
  };
  const none = {
    sum_cid: null,
    sum_commitment: null,
    reference_cid: null,
    gas: null,
    gas_price: null,
    proof: null,
    proof_problem: null,
  };
  return { summary, judged, submissions: [], failed: [], shown: [], ...none } as RoundDetail;
}

const all = (found: RoundDetail, slot: number, rule: "reference" | "krum-cosine" = "reference") => {
  const why = whyThisPay(found, slot, rule, COIN);
  return [why.headline, ...why.reasons].join(" ");
};

describe("why this pay", () => {
  test("pay is floored, and integers beyond 2^53 are exact", () => {
    expect(payOf(100n, 1n, 3n)).toBe(33n);
    expect(payOf(2n ** 100n, 2n ** 90n, 2n ** 91n)).toBe(2n ** 99n);
    expect(payOf(100n, 0n, 0n)).toBe(0n);
  });

  test("a selected seat is told its weight, its share and the sum that gives its pay", () => {
    const found = round([seat(0, "selected", 1n, 33n), seat(1, "selected", 2n, 66n)]);
    expect(whyThisPay(found, 0, "reference", COIN).expected).toBe(33n);
    expect(all(found, 0)).toContain("1 of 3 in all, which is 33.3 %");
    expect(all(found, 0)).not.toContain("something is wrong");
  });

  test("a pay that the weights do not give is called wrong", () => {
    const found = round([seat(0, "selected", 1n, 34n), seat(1, "selected", 2n, 66n)]);
    expect(all(found, 0)).toContain("something is wrong");
  });

  test("a shortened update is told how much of it entered the sum", () => {
    expect(all(round([seat(0, "selected", 1n, 100n, 2048)]), 0)).toContain("50.0 % of it entered the sum");
    expect(all(round([seat(0, "selected", 1n, 100n, 4096)]), 0)).not.toContain("entered the sum");
  });

  test.each([
    ["outlier", "It counts one strike"],
    ["unopened", "counts no strike"],
    ["missing", "No update was submitted"],
  ] as const)("%s is paid nothing, and told why", (verdict, words) => {
    const text = all(round([seat(0, verdict, 0n, 0n), seat(1, "selected", 2n, 100n)]), 0);
    expect(text).toContain("paid nothing");
    expect(text).toContain(words);
  });

  test("selected with weight 0 is not confused with an outlier", () => {
    const text = all(round([seat(0, "selected", 0n, 0n), seat(1, "selected", 2n, 100n)]), 0);
    expect(text).toContain("Its weight is 0");
    expect(text).not.toContain("strike");
  });

  test("an open round has no reasons yet", () => {
    expect(whyThisPay(round([], null), 0, "reference", COIN).reasons).toEqual([]);
  });
});
