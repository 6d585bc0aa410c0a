/** The numbers here are those of aggregator/points.py. */
import { describe, expect, test } from "vitest";
import type { RoundSummary } from "../src/live/api";
import {
  balancesBySeat,
  balanceText,
  balanceValue,
  divide,
  gainsOf,
  lossUnits,
  ownRounds,
  partsOf,
  partText,
  rateAt,
  shares,
  wholeOf,
} from "../src/text/points";

describe("what a round brings", () => {
  test.each([
    ["1", "1099511627776", -8, 1, "1099511627776"],
    ["-1", "1099511627776", -9, 1, "-549755813888"],
    ["-7", "3", -40, 2, "-1"],
    ["-7", "1099511627776", -8, 3, "-2565527131478"],
    ["7", "1099511627776", -8, 3, "2565527131477"],
    ["-1237940039285380274899124224", "1099511627776", -60, 3, "-100743818301219097892182"],
    ["19807040628566084398385987584", "109951162777600", 20, 32, "19342813113834066795298816"],
    ["-19807040628566084398385987584", "109951162777600", 20, 32, "-19342813113834066795298816"],
    ["-1", "1", 32767, 32, "-19342813113834066795298816"],
    ["1", "1", 32767, 32, "19342813113834066795298816"],
    ["0", "1", 32767, 1, "0"],
    ["-1", "1", -32768, 5, "-1"],
    ["123456789012345678901", "549755826233", -61, 7, "1076457796671144"],
    ["-123456789012345678901", "549755826233", -61, 7, "-1076457796671145"],
    ["1", "1", 76, 32, "604462909807314587353088"],
    ["-1", "1", 75, 32, "-302231454903657293676544"],
    ["1152921504606846976", "1099511627776", 15, 1, "19342813113834066795298816"],
  ] as const)("a score of %s at rate %s, 2^%i, %i selected, brings %s", (score, rate, exponent, selected, units) => {
    expect(lossUnits(BigInt(score), BigInt(rate), exponent, selected)).toBe(BigInt(units));
  });

  test("of krum-cosine is a part of 2^64, and nothing where nobody scores", () => {
    expect(shares([1n, 2n, 0n, -5n])).toEqual([6148914691236517205n, 12297829382473034410n, 0n, 0n]);
    expect(shares([0n, -1n])).toEqual([0n, 0n]);
    expect(shares([3n * 2n ** 80n, 1n])).toEqual([18446744073709551615n, 0n]);
  });

  test("follows the rate of its round, skipped rounds counted", () => {
    expect(rateAt(2n ** 40n, 2n ** 31n + 1n, 4)).toBe(137438953664n);
    expect(rateAt(100n * 2n ** 40n, 2n ** 32n - 1n, 1000)).toBe(109951137203200n);
    const terms = { rule: "reference" as const, rate: 2 ** 40, rate_decay: 2 ** 31, scale_exponent: -3 };
    expect(gainsOf(terms, 2, [7n, -7n, 1n], -5)).toEqual([1282763565738n, -1282763565739n, 183251937962n]);
    expect(gainsOf({ ...terms, rule: "krum-cosine" }, 2, [1n, 1n], 0)).toEqual([2n ** 63n, 2n ** 63n]);
  });
});

describe("the division of a pot", () => {
  const held = (balances: bigint[], opened: number[]) =>
    balances.map((balance, at) => ({ balance, opened: opened[at] ?? 0 }));

  test("is by points, rounded down", () => {
    expect(divide(10n ** 18n, held([5n, -3n, 2n ** 90n], [3, 3, 1]))).toEqual([0n, 0n, 999999999999999999n]);
    expect(partsOf(held([5n, -3n], [3, 3]))).toEqual({ parts: [15n, 0n], whole: 15n, byPoints: true });
  });

  test("is by rounds opened where nobody has points, and of nothing where nobody opened any", () => {
    expect(divide(1000n, held([0n, -1n, 0n], [2, 1, 0]))).toEqual([666n, 333n, 0n]);
    expect(divide(1000n, held([-1n], [0]))).toEqual([0n]);
    expect(divide(1000n, [])).toEqual([]);
  });
});

describe("the division of a pot whose rows are disputed", () => {
  test("gives nobody more than by points, nor than by rounds opened", () => {
    const held = [
      { balance: 9n, opened: 2 },
      { balance: 1n, opened: 2 },
    ];
    expect(divide(100n, held, true)).toEqual([50n, 10n]);
  });
});

describe("for people", () => {
  test("a balance is loss that was taken away, or rounds' worth", () => {
    expect(balanceText(2n ** 59n, "reference")).toBe("0.5 of loss");
    expect(balanceText(-(2n ** 58n), "reference")).toBe("−0.25 of loss");
    expect(balanceText(1n, "reference")).toBe("8.7e-19 of loss");
    expect(balanceText(0n, "reference")).toBe("0 of loss");
    expect(balanceText(2n ** 64n, "krum-cosine")).toBe("1 round");
    expect(balanceText(3n * 2n ** 63n, "krum-cosine")).toBe("1.5 rounds");
  });

  test("parts of a round are of all that changed, up or down", () => {
    expect(wholeOf([3n, -1n])).toBe(4n);
    expect([partText(3n, 4n), partText(-1n, 4n), partText(0n, 0n)]).toEqual(["75.0 %", "−25.0 %", "0 %"]);
  });

  test("a seat's settled rounds are told with what they brought and the balance after each", () => {
    const round = (number: number, part: Partial<RoundSummary>) =>
      ({
        round: number,
        status: "settled",
        submitted: [0, 1, 2],
        undelivered: [],
        selected: [],
        struck: [],
        unopened: [],
        gains: [],
        ...part,
      }) as RoundSummary;
    const rounds = [
      round(1, { selected: [0, 1], gains: ["4", "-1"], struck: [2] }),
      round(2, { status: "skipped", submitted: [] }),
      round(3, { submitted: [0, 2], selected: [0], gains: ["2"] }),
      round(4, { selected: [0, 1], gains: ["1", "6"], unopened: [2] }),
      round(5, { status: "open" }),
    ];
    expect(ownRounds(rounds, 1)).toEqual([
      { round: 1, verdict: "selected", gain: -1n, whole: 5n, balance: -1n },
      { round: 3, verdict: "missing", gain: 0n, whole: 2n, balance: -1n },
      { round: 4, verdict: "selected", gain: 6n, whole: 7n, balance: 5n },
    ]);
    const void_ = round(6, { submitted: [0], undelivered: [2], selected: [0], gains: ["1"] });
    expect([1, 2].map((slot) => ownRounds([void_], slot)[0]?.verdict)).toEqual(["missing", "undelivered"]);
    expect(ownRounds(rounds, 2).map(({ verdict }) => verdict)).toEqual(["struck", "left-out", "unopened"]);
  });
});

describe("balances by seat", () => {
  const round = (number: number, gains: Record<number, string>, status = "settled") =>
    ({
      round: number,
      status,
      submitted: Object.keys(gains).map(Number),
      selected: Object.keys(gains).map(Number),
      gains: Object.values(gains),
      undelivered: [],
      struck: [],
      unopened: [],
    }) as unknown as RoundSummary;
  const rounds = [round(1, { 0: "5", 1: "-3", 2: "9" }), round(2, {}, "skipped"), round(3, { 0: "-7", 2: "1" })];

  test("add up over settled rounds, a missed one changing nothing", () => {
    const balances = balancesBySeat(rounds, 8).map(({ slot, balances }) => [slot, balances.map((b) => b.balance)]);
    expect(balances).toEqual([
      [0, [5n, -2n]],
      [1, [-3n, -3n]],
      [2, [9n, 10n]],
    ]);
  });

  test("are of the seats that have most, and always of one's own", () => {
    expect(balancesBySeat(rounds, 2).map(({ slot }) => slot)).toEqual([0, 2]);
    expect(balancesBySeat(rounds, 2, 1).map(({ slot }) => slot)).toEqual([1, 2]);
    expect(balancesBySeat([], 2)).toEqual([]);
  });

  test("are loss under reference, and rounds' worth under krum-cosine", () => {
    expect(balanceValue(2n ** 59n, "reference")).toBe(0.5);
    expect(balanceValue(-(2n ** 64n), "krum-cosine")).toBe(-1);
  });
});
