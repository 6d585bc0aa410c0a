/** What needs the reader, what is told of it, and what happened, as texts and lists. */
import {
  encodeAbiParameters,
  encodeEventTopics,
  encodeFunctionData,
  type Hex,
  maxUint256,
  parseAbi,
  toFunctionSelector,
} from "viem";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { marketAbi } from "../src/generated/market";
import { joined, type Page } from "../src/live/activity";
import type { Happened, JobSummary, Seat } from "../src/live/api";
import { nameAddress, names } from "../src/live/names";
import { fresh, turnOff, turnOn } from "../src/live/notify";
import { COIN } from "../src/text/amounts";
import { decodedCall, decodedEvent, labelOf } from "../src/text/decoded";
import { happened, seatsOf } from "../src/text/happened";
import { nameMistake, usableNames } from "../src/text/names";
import { expected, GRACE_S, needsOf, nextOf, SOON_S, type Work } from "../src/text/needs";

const ANN = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8" as const;
const ZERO = "0x0000000000000000000000000000000000000000" as const;
const NOW = 1_000_000;
const NONE: Work = {
  jobs: [],
  seats: [],
  waiting: [],
  credit: [],
  owed: [],
  trainers: [],
  troubles: [],
  requests: [],
};

const job = (part: object) =>
  ({
    job_id: 7,
    name: "Digits",
    state: "running",
    token: ZERO,
    aggregator: ANN,
    round: 2,
    submitted: 1,
    seats_taken: 3,
    min_trainers: 2,
    max_trainers: 3,
    enrol_by: NOW - 500,
    submit_by: NOW + 100,
    settle_by: NOW + 200,
    confirm_by: null,
    ...part,
  }) as unknown as JobSummary;

const seat = (part: object, of: object = {}) =>
  ({ job: job(of), seat: { slot: 1, status: "active", submitted: [1], pay: "5", ...part } }) as unknown as Seat;

const keys = (part: Partial<Work>, now = NOW) => needsOf({ ...NONE, ...part }, now).map(({ key }) => key);

describe("what needs an owner", () => {
  const confirming = { state: "confirming", submit_by: null, settle_by: null, confirm_by: NOW + 900 };
  const reveal = (since: number) => [{ job_id: 7, reveal: { since, until: NOW + 300 }, here: true, hand_over: false }];

  test("is nothing while the job goes on as it should", () => {
    expect(
      keys({ jobs: [job({}), job({ job_id: 8, ...confirming }), job({ job_id: 9, state: "completed" })] }),
    ).toEqual([]);
  });

  test("is a job that stalls, whose deadline has passed", () => {
    const [need] = needsOf({ ...NONE, jobs: [job({ settle_by: NOW - 1, submit_by: NOW - 50 })] }, NOW);
    expect(need).toMatchObject({ key: "late 2 7", kind: "trouble", to: "/job/7", job: "Digits" });
    expect(need?.text).toContain("round 2 was not settled in time");
    expect(keys({ jobs: [job({ settle_by: NOW, submit_by: NOW - 50 })] })).toEqual([]);
  });

  test("is a start, a cancellation or an end that nobody made in the time that nodes need", () => {
    const over = NOW - GRACE_S;
    expect(keys({ jobs: [job({ state: "open", enrol_by: over })] })).toEqual([]);
    expect(keys({ jobs: [job({ state: "open", enrol_by: over - 1 })] })).toEqual(["start 7"]);
    expect(keys({ jobs: [job({ state: "open", enrol_by: over - 1, seats_taken: 1 })] })).toEqual(["cancel 7"]);
    expect(keys({ jobs: [job({ state: "open", enrol_by: over - 1, aggregator: null })] })).toEqual(["cancel 7"]);
    expect(keys({ jobs: [job({ ...confirming, confirm_by: over - 1 })] })).toEqual(["complete 7"]);
    expect(keys({ jobs: [job({ submitted: 0, submit_by: over - 1 })] })).toEqual(["skip 2 7"]);
  });

  test("is to reveal, once the aggregator has had time to, until it is too late", () => {
    expect(keys({ jobs: [job(confirming)], owed: reveal(NOW) })).toEqual([]);
    const late = { jobs: [job(confirming)], owed: reveal(NOW - GRACE_S) };
    expect(keys(late)).toEqual(["reveal 7"]);
    expect(needsOf({ ...NONE, ...late }, NOW)[0]?.until).toBe(NOW + 300);
    expect(keys(late, NOW + 301)).toEqual([]);
  });

  test("is to hand over", () => {
    const owed = [{ job_id: 7, reveal: null, here: false, hand_over: true }];
    expect(keys({ jobs: [job({})], owed })).toEqual(["hand over 7"]);
  });
});

describe("what needs a trainer", () => {
  const trainer = (status: string) => [{ job_id: 7, status, problem: null, text: "" }] as unknown as Work["trainers"];

  test("is an update that is missing shortly before its deadline, unless the node here is at work", () => {
    expect(keys({ seats: [seat({})] })).toEqual(["submit 2 1 7"]);
    expect(keys({ seats: [seat({})], trainers: trainer("running") })).toEqual([]);
    expect(keys({ seats: [seat({ submitted: [2] })] })).toEqual([]);
    expect(keys({ seats: [seat({ status: "left" })] })).toEqual([]);
    expect(keys({ seats: [seat({}, { submit_by: NOW + SOON_S + 1, settle_by: NOW + 9999 })] })).toEqual([]);
  });

  test("is a trainer that pauses or has stopped, until its job is over", () => {
    const paused = { seats: [seat({ submitted: [2] })], trainers: trainer("paused") };
    expect(keys(paused)).toEqual(["trainer paused 7"]);
    expect(keys({ seats: [seat({}, { state: "completed" })], trainers: trainer("failed") })).toEqual([]);
  });

  test("is pay to claim and to withdraw; what this node claims by itself is left to it", () => {
    const waiting = [{ job_id: 7, name: null, slot: 1, payee: ANN, token: ZERO, pay: "5", stake: "1", fees: "0" }];
    const credit = [{ payee: ANN, token: ZERO, withdrawable: "5", credited: "5", withdrawn: "0" }];
    expect(keys({ waiting, credit })).toEqual(["claim 7 1", `withdraw ${ANN} ${ZERO}`]);
    expect(keys({ waiting, trainers: trainer("running") })).toEqual([]);
    expect(keys({ credit: [{ payee: ANN, token: ZERO, withdrawable: "0", credited: "5", withdrawn: "5" }] })).toEqual(
      [],
    );
  });

  test("comes with trouble first, and once where one is owner and trainer", () => {
    const late = { settle_by: NOW - 1, submit_by: NOW - 50 };
    const credit = [{ payee: ANN, token: ZERO, withdrawable: "5", credited: "5", withdrawn: "0" }];
    const found = keys({ jobs: [job(late)], seats: [seat({}, late)], credit });
    expect(found).toEqual(["late 2 7", `withdraw ${ANN} ${ZERO}`]);
  });

  test("expects what seats of jobs that go on would be paid, by token", () => {
    const seats = [seat({}), seat({ pay: "7" }), seat({ pay: "9" }, { state: "completed" }), seat({}, { token: ANN })];
    expect([...expected(seats)]).toEqual([
      [ZERO, 12n],
      [ANN, 5n],
    ]);
  });

  test("has a next moment by the job's state", () => {
    expect(nextOf(job({}), NOW)?.at).toBe(NOW + 100);
    expect(nextOf(job({ submitted: 3 }), NOW)?.at).toBe(NOW + 200);
    expect(nextOf(job({}), NOW + 101)?.at).toBe(NOW + 200);
    expect(nextOf(job({ state: "open" }), NOW)?.at).toBe(NOW - 500);
    expect(nextOf(job({ state: "aborted" }), NOW)).toBeNull();
  });
});

describe("notifications", () => {
  beforeEach(() => localStorage.clear());

  test("tell only of what was not there before, and of nothing the first time", () => {
    const needs = needsOf({ ...NONE, seats: [seat({})] }, NOW);
    expect(fresh(null, needs)).toEqual([]);
    expect(fresh(new Set(), needs)).toEqual(needs);
    expect(fresh(new Set(["submit 2 1 7"]), needs)).toEqual([]);
  });

  test("are kept only where the browser's reader allows them", async () => {
    const requestPermission = vi.fn(async () => "default");
    vi.stubGlobal("Notification", { permission: "default", requestPermission });
    await turnOn();
    expect(localStorage.getItem("merit.notify")).toBeNull();
    vi.stubGlobal("Notification", { permission: "granted", requestPermission: async () => "granted" });
    await turnOn();
    expect(localStorage.getItem("merit.notify")).toBe("on");
    turnOff();
    expect(localStorage.getItem("merit.notify")).toBeNull();
    expect(requestPermission).toHaveBeenCalledOnce();
    vi.unstubAllGlobals();
  });
});

describe("names", () => {
  test.each([
    ["Ann's lab (Basel)", null],
    ["  Bob  ", null],
    ["Zoë-2", null],
    ["", "Write a name."],
    ["x".repeat(33), "at most 32"],
    ["0x7099", "look like an address"],
    ["You", "your own addresses"],
    ["this node's aggregator", "your own addresses"],
    ["a\u202eb", "letters, digits"],
    ["<b>", "letters, digits"],
    ["\u0000", "letters, digits"],
  ])("%j: %s", (name, mistake) => {
    if (mistake === null) expect(nameMistake(name)).toBeNull();
    else expect(nameMistake(name)).toContain(mistake);
  });

  test("are kept by address whatever its case, and forgotten", () => {
    localStorage.clear();
    nameAddress(ANN, " Ann  B ");
    expect(names.get()).toEqual({ [ANN.toLowerCase()]: "Ann B" });
    expect(usableNames(JSON.parse(localStorage.getItem("merit.names") ?? ""))).toEqual(names.get());
    nameAddress(ANN.toLowerCase(), null);
    expect(names.get()).toEqual({});
  });

  test("that somebody else wrote into the storage are dropped where they are none", () => {
    expect(usableNames({ [ANN]: "Ann", nobody: "Bob", [ZERO]: "<script>", [MARKET]: 5 })).toEqual({
      [ANN.toLowerCase()]: "Ann",
    });
    for (const wrong of [null, 5, "x", []]) expect(usableNames(wrong)).toEqual({});
  });
});

const MARKET = "0x5FbDB2315678afecb367f032d93F642f64180aa3" as const;

describe("a transaction", () => {
  test("is told by the function's name in plain words, with its arguments and its job", () => {
    const call = decodedCall(encodeFunctionData({ abi: marketAbi, functionName: "claim", args: [7n, 2] }), true);
    expect(call).toMatchObject({ title: "Claim a seat's pay and stake", jobId: 7 });
    expect(call?.args.map(({ name, value }) => [labelOf(name), value])).toEqual([
      ["Job", 7n],
      ["Seat", 2],
    ]);
  });

  test("of every function of the contract has words of its own", () => {
    const writes = marketAbi.filter((each) => each.type === "function" && each.stateMutability !== "view");
    expect(writes.length).toBeGreaterThan(20);
    for (const each of writes) {
      const inputs: readonly object[] = each.inputs;
      if (inputs.some((input) => "components" in input)) continue;
      const selector = toFunctionSelector(each);
      expect(decodedCall(`${selector}${"00".repeat(32 * 12)}`, true)?.title).not.toBe(each.name);
    }
  });

  test("of a token is told, and what nobody knows is not guessed", () => {
    const abi = parseAbi(["function approve(address spender, uint256 amount)"]);
    const data = encodeFunctionData({ abi, args: [MARKET, maxUint256] });
    expect(decodedCall(data, false)?.title).toBe("Allow a contract to take tokens");
    expect(decodedCall(data, true)).toBeNull();
    expect(decodedCall("0x12345678", true)).toBeNull();
    expect(decodedCall("0x", true)).toBeNull();
    expect(decodedEvent("0x", ["0x12"], true)).toBeNull();
  });

  test("'s events are decoded by the contract's ABI, in the API's names", () => {
    const topics = encodeEventTopics({
      abi: marketAbi,
      eventName: "Credited",
      args: { jobId: 7n, payee: ANN, token: ZERO },
    });
    const data = encodeAbiParameters([{ type: "uint256" }, { type: "uint8" }], [10n ** 18n, 2]);
    const event = decodedEvent(data, topics as Hex[], true);
    expect(event).toMatchObject({ kind: "Credited", jobId: 7, who: [ANN], values: { token: ZERO, reason: 2 } });
    expect(happened("Credited", event?.values ?? {}, COIN, NOW)).toBe("1 ether were credited: stake back.");
  });
});

describe("what happened", () => {
  test("is told in plain words, from the API's values", () => {
    const settlement = { selected: 5, struck: 2, unopened: 0 };
    expect(happened("RoundSettled", { round: 3, submitted: 7, settlement }, COIN, NOW)).toBe(
      "Round 3 was settled: 2 of 3 updates selected, Seat 1 struck.",
    );
    expect(happened("Ended", { state: "completed", pot: "600000000000000000" }, COIN, NOW)).toBe(
      "The job is completed: its members divide 0.6 ether.",
    );
    expect(happened("Ended", { state: 6, pot: "0" }, COIN, NOW)).toBe("The job is aborted.");
    const paid = { slot: 0, pay: "1000000000000000000", stake: "0", slashed: "0" };
    expect(happened("Claimed", paid, COIN, NOW)).toBe("Seat 0's 1 ether of pay and 0 ether of stake were claimed.");
    expect(happened("Credited", { amount: "5", reason: "burnt" }, { symbol: "X", decimals: 0 }, NOW)).toBe(
      "5 X were burnt.",
    );
  });

  test("has words for every event of the contract", () => {
    const events = marketAbi.filter((each) => each.type === "event");
    expect(events.length).toBeGreaterThan(25);
    const settlement = { selected: 1, struck: 0, unopened: 0 };
    const times = { submit_by: NOW, deliver_by: NOW, confirm_by: NOW };
    for (const { name } of events)
      expect(happened(name, { settlement, ...times }, COIN, NOW)).not.toContain("The contract said");
    expect(happened("Unheard", {}, COIN, NOW)).toBe("The contract said: Unheard.");
  });

  test("reads seats from bits", () => {
    expect(seatsOf(0b101)).toEqual([0, 2]);
    expect(seatsOf(2 ** 31 + 1)).toEqual([0, 31]);
  });

  const page = (seqs: number[], next: number | null): Page => ({
    items: seqs.map((seq) => ({ seq }) as Happened),
    next,
  });

  test("goes on where it was when something new comes, and begins anew where too much came", () => {
    const old = page([5, 4, 3, 2], 2);
    expect(joined(old, page([6, 5, 4], 4))).toEqual(page([6, 5, 4, 3, 2], 2));
    expect(joined(old, page([9, 8, 7], 7))).toEqual(page([9, 8, 7], 7));
    expect(joined(undefined, page([3], null))).toEqual(page([3], null));
    expect(joined(old, page([], null))).toEqual(page([], null));
  });
});
