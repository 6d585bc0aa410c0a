import { describe, expect, test } from "vitest";
import { marketAbi } from "../src/generated/market";
import { escrowOf, formatAmount, formatNumber, parseAmount, SMALLEST, share, shortAmount } from "../src/text/amounts";
import { circuitSeats, costOf, DEFAULTS, documentOf, mistakesOf, moneyOf } from "../src/text/draft";
import { knownErrors, SENTENCES, sentenceOf } from "../src/text/errors";
import { countdown, duration, elapsed, parseDuration, parseWait, plainDuration } from "../src/text/time";

const plain = (text: string) => text.replace(/\u00a0/g, " ");

describe("amounts", () => {
  test.each([
    [0n, "0 ether"],
    [1n, "0.000000000000000001 ether"],
    [600_000_000_000_000_000n, "0.6 ether"],
    [1_234_567n * 10n ** 18n + 5n, "1,234,567.000000000000000005 ether"],
    [2n ** 128n - 1n, "340,282,366,920,938,463,463.374607431768211455 ether"],
  ])("%s is written exactly", (wei, text) => {
    expect(plain(formatAmount(wei))).toBe(text);
  });

  test("a short amount never claims digits that it dropped", () => {
    expect(plain(shortAmount(123_456_789_000_000_001n))).toBe("≈ 0.123456 ether");
    expect(plain(shortAmount(600_000_000_000_000_000n))).toBe("0.6 ether");
    expect(plain(shortAmount(1n))).toBe("< 0.000001 ether");
    expect(plain(shortAmount(0n))).toBe("0 ether");
  });

  test("a token without known decimals is shown in its smallest unit", () => {
    expect(plain(formatAmount(1234567n, { symbol: "units", decimals: 0 }))).toBe("1,234,567 units");
  });

  test.each(["0.6", "1", "340282366920938463463.374607431768211455", "0.000000000000000001"])(
    "%s survives reading and writing",
    (text) => {
      expect(formatNumber(parseAmount(text) ?? -1n, 18).replaceAll(",", "")).toBe(text);
    },
  );

  test.each([
    "",
    "-1",
    "1e18",
    "1,5",
    ".5",
    "0.0000000000000000001",
    "340282366920938463463.374607431768211456",
    "0x10",
  ])("%j is no amount", (text) => {
    expect(parseAmount(text)).toBeNull();
  });

  test("the escrow has no rounding: 1000 rounds of 0.1 + 0.2", () => {
    expect(escrowOf(1000, parseAmount("0.1") ?? 0n, parseAmount("0.2") ?? 0n)).toBe(300n * 10n ** 18n);
  });

  test("a share of weights beyond 2^53 is right, and of none is zero", () => {
    expect(share(2n ** 90n, 2n ** 92n)).toBe("25.0 %");
    expect(share(0n, 0n)).toBe("0 %");
  });
});

describe("time", () => {
  test("a deadline's last second still counts, as in the contract", () => {
    expect(countdown(100, 100)).toMatchObject({ past: false, seconds: 0 });
    expect(countdown(100, 101)).toMatchObject({ past: true, seconds: 1 });
    expect(plain(countdown(100, 101).text)).toBe("1 s ago");
  });

  test.each([
    [59, "59 s"],
    [60, "1 min 00 s"],
    [3725, "1 h 02 min"],
    [90_000, "1 d 1 h"],
    [-5, "0 s"],
  ])("%i seconds read %s", (seconds, text) => {
    expect(plain(duration(seconds))).toBe(text);
  });

  test("windows read in whole units where they are", () => {
    expect(plain(plainDuration(600))).toBe("10 min");
    expect(plain(plainDuration(86_400))).toBe("1 d");
    expect(plain(plainDuration(90))).toBe("1 min 30 s");
  });

  test("the elapsed part stays between 0 and 1 when clocks differ", () => {
    expect(elapsed(100, 50, 75)).toBe(0.5);
    expect(elapsed(100, 50, 20)).toBe(0);
    expect(elapsed(100, 50, 200)).toBe(1);
    expect(elapsed(100, 0, 100)).toBe(1);
  });

  test("a wait may be none at all, a duration may not", () => {
    expect(["0", " 0 ", "1 d", "", "0 d", "-1"].map(parseWait)).toEqual([0, 0, 86_400, null, null, null]);
  });

  test("durations are read as in the job file", () => {
    expect(["90", "10 min", "1.5 h", "1 d"].map(parseDuration)).toEqual([90, 600, 5400, 86_400]);
    expect(["", "0", "-1 s", "5 weeks", "0.3 s"].map(parseDuration)).toEqual([null, null, null, null, null]);
  });
});

describe("contract errors", () => {
  const errors = marketAbi.filter((entry) => entry.type === "error");

  test("every error of the contract has a sentence, and no sentence is left over", () => {
    expect(Object.keys(SENTENCES).sort()).toEqual(errors.map((entry) => entry.name).sort());
  });

  test.each(errors.map((entry) => [entry.name, entry] as const))(
    "%s makes a whole sentence of its values",
    (name, entry) => {
      const samples: Record<string, unknown> = {
        address: `0x${"ab".repeat(20)}`,
        bytes32: `0x${"61".repeat(32)}`,
        bool: true,
      };
      const values = Object.fromEntries(entry.inputs.map((input) => [input.name, samples[input.type] ?? 2n]));
      const sentence = sentenceOf(name, values);
      expect(sentence).toMatch(/^[A-Z0].*[.]$/);
      expect(sentence).not.toMatch(/undefined|NaN|\[object|null/);
    },
  );

  test("states are those of the contract, by number", () => {
    expect(sentenceOf("WrongState", { jobId: 1n, actual: 6, required: 3 })).toBe(
      "Job 1 is aborted; this can be done only while it is confirming.",
    );
  });

  test("a job without a takeover window is said to have none", () => {
    expect(sentenceOf("NotTakeable", { jobId: 1n, takeableAfter: 5, takeableUntil: 5 })).toContain("only be aborted");
    expect(sentenceOf("NotTakeable", { jobId: 1n, takeableAfter: 5, takeableUntil: 9 })).toContain("until");
  });

  test("how many unopened submissions are left out, and from how many on a round is void, is said", () => {
    const values = { jobId: 1n, unopened: 2n, most: 1n };
    expect(sentenceOf("TooManyUnopened", values)).toBe(
      "The settlement calls 2 submissions unopened; at most 1 may be.",
    );
    expect(sentenceOf("NotVoidable", { ...values, unopened: 1n })).toBe(
      "A round of job 1 is not void with 1 unopened submissions: 1 may be left out.",
    );
  });

  test("an error that nobody knows is named, not hidden", () => {
    expect(sentenceOf("Surprise", {})).toContain("Surprise");
  });

  test("tokens' own errors can be decoded too", () => {
    const names = knownErrors.map((entry) => ("name" in entry ? entry.name : ""));
    expect(names).toContain("ERC20InsufficientAllowance");
  });
});

describe("a job's form", () => {
  test("its defaults are without mistakes, and cost 5 × 0.63", () => {
    expect(mistakesOf(DEFAULTS)).toEqual({});
    expect(costOf(DEFAULTS)).toBe(3_150_000_000_000_000_000n);
  });

  // As tests/unit/test_spec.py has it of the job file.
  test.each([
    [0, 3, 200n, 3000n, 30n],
    [1, 5, 120n, 4000n, 40n],
    [2, 8, 75n, 3600n, 36n],
    [0, 1, 600n, 6000n, 60n],
    [0, 2, 300n, 6000n, 60n],
    [0, 32, 19n, 600n, 6n],
  ])("stake, bond and fee follow from the reward: f = %s of %s", (faulty, trainers, stake, bond, fee) => {
    const draft = { ...DEFAULTS, reward: "600", rounds: "10", maxTrainers: "32" };
    const money = moneyOf({ ...draft, maxFaulty: `${faulty}`, minTrainers: `${trainers}` }, SMALLEST);
    expect(money).toEqual({ reward: 600n, stake, bond, fee });
  });

  test("an amount that is given is taken, zero too", () => {
    const given = { ...DEFAULTS, stake: "0", bond: "0", fee: "0.5" };
    expect(moneyOf(given)).toMatchObject({ stake: 0n, bond: 0n, fee: 500_000_000_000_000_000n });
    expect(Object.keys(mistakesOf({ ...DEFAULTS, bond: "much" }))).toEqual(["bond"]);
  });

  test("amounts reach the job file exactly, as whole smallest units", () => {
    const { market } = documentOf({ ...DEFAULTS, reward: "0.000000000000000003" }) as {
      market: Record<string, unknown>;
    };
    expect(market.reward).toBe("3 wei");
  });

  test.each([
    ["rounds", "0"],
    ["reward", "0"],
    ["reward", "1e3"],
    ["reward", "0.000000000000000002"],
    ["fee", "-1"],
    ["minTrainers", "9"],
    ["maxFaulty", "8"],
    ["maxFaulty", "1"],
    ["maxFaulty", "-1"],
    ["maxFaulty", "one"],
    ["submitWindow", "soon"],
    ["takeoverWindow", "later"],
    ["takeoverWindow", ""],
    ["confirmWindow", "0"],
    ["confirmWindow", ""],
    ["minRounds", "0"],
    ["minRounds", "6"],
    ["minRounds", "all"],
    ["learningRate", "fast"],
    ["token", "0x12"],
    ["name", " "],
    ["validation", "digits"],
  ] as const)("%s = %j is a mistake of that field", (field, value) => {
    expect(Object.keys(mistakesOf({ ...DEFAULTS, [field]: value }))).toContain(field);
  });

  test("faulty trainers take 2f + 3 others to start, of at most 32 seats", () => {
    const seats = (maxFaulty: number, minTrainers: number) =>
      mistakesOf({ ...DEFAULTS, maxTrainers: "32", minTrainers: `${minTrainers}`, maxFaulty: `${maxFaulty}` });
    expect([seats(0, 1), seats(1, 5), seats(2, 7), seats(14, 31)]).toEqual([{}, {}, {}, {}]);
    expect(seats(1, 4)).toEqual({ maxFaulty: "With so many faulty trainers a job needs 5 or more to start." });
    expect(Object.keys(seats(14, 30))).toEqual(["maxFaulty"]);
    expect(seats(15, 32)).toEqual({ maxFaulty: "Give 0 to 14 trainers." });
  });

  test("updates that do not open are delivered again three times at most, as the job file says", () => {
    expect(documentOf(DEFAULTS).market).toMatchObject({ max_faulty: 0, max_voids: 3 });
  });

  test("there is no takeover window unless the owner wants one, which reaches the job file in seconds", () => {
    expect(documentOf(DEFAULTS).market).toMatchObject({ takeover_window: 0 });
    expect(documentOf({ ...DEFAULTS, takeoverWindow: "2 h" }).market).toMatchObject({ takeover_window: 7200 });
  });

  test("validation data are revealed to members for half of the confirm window, unless the owner wants it otherwise", () => {
    const draft = { ...DEFAULTS, validation: "digits", aggregator: `0x${"ab".repeat(20)}` };
    const revealed = (part: Partial<typeof draft>) => documentOf({ ...draft, ...part }).market;
    expect(revealed({})).toMatchObject({ start_delay: 60, confirm_window: 600, reveal_window: 300 });
    expect(revealed({ revealWindow: "2 min", startDelay: "0" })).toMatchObject({ start_delay: 0, reveal_window: 120 });
    expect(revealed({ revealWindow: "never" })).toMatchObject({ reveal_window: 0 });
    expect(revealed({ validation: "" })).not.toHaveProperty("reveal_window");
    for (const revealWindow of ["10 min", "0", "soon"])
      expect(Object.keys(mistakesOf({ ...draft, revealWindow }))).toContain("revealWindow");
    expect(Object.keys(mistakesOf({ ...draft, startDelay: "soon" }))).toContain("startDelay");
  });

  test("anybody may join unless the owner names a gate", () => {
    expect(documentOf(DEFAULTS).market).not.toHaveProperty("gate");
    const gate = `0x${"ab".repeat(20)}`;
    for (const named of ["owner", gate]) {
      expect(mistakesOf({ ...DEFAULTS, gate: named })).toEqual({});
      expect(documentOf({ ...DEFAULTS, gate: named }).market).toMatchObject({ gate: named });
    }
    expect(Object.keys(mistakesOf({ ...DEFAULTS, gate: "0x" }))).toEqual(["gate"]);
  });

  test("a job can be ended early only where its owner says from which round on", () => {
    expect(documentOf(DEFAULTS).market).toMatchObject({ rounds: 5, min_rounds: 5, confirm_window: 600 });
    const market = documentOf({ ...DEFAULTS, minRounds: "2", confirmWindow: "1 d" }).market;
    expect(market).toMatchObject({ min_rounds: 2, confirm_window: 86_400 });
    expect(mistakesOf({ ...DEFAULTS, minRounds: "5" })).toEqual({});
  });

  test("a token's amounts are read with its own decimals, and without them only as whole units", () => {
    const token = { symbol: "USDC", decimals: 6 };
    const draft = { ...DEFAULTS, token: `0x${"ab".repeat(20)}` };
    expect(costOf(draft, token)).toBe(3_150_000n);
    expect(documentOf(draft, token).market).toMatchObject({ reward: "600000", fee: "30000" });
    expect(Object.keys(mistakesOf({ ...draft, reward: "0.0000001" }, token))).toContain("reward");
    expect(costOf(draft, SMALLEST)).toBeNull();
    expect(Object.keys(mistakesOf(draft, SMALLEST))).toContain("reward");
  });

  test("a set-up that was chosen is named in the job file, and one that was not is a mistake", () => {
    const hash = (byte: string) => `0x${byte.repeat(32)}`;
    const named = { ...DEFAULTS, setup: "named" as const, srs: hash("11"), key: hash("22"), chunk: "16384" };
    expect(documentOf(DEFAULTS)).not.toHaveProperty("proofs");
    expect(documentOf(named).proofs).toEqual({ srs: hash("11"), key: hash("22"), chunk: 16384 });
    expect(mistakesOf(named)).toEqual({});
    expect(Object.keys(mistakesOf({ ...named, key: "" }))).toEqual(["key"]);
    expect([1, 8, 9, 16, 17, 32].map(circuitSeats)).toEqual([8, 8, 16, 16, 32, 32]);
  });
});
