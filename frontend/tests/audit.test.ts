import {
  createClient,
  custom,
  decodeFunctionData,
  encodeAbiParameters,
  encodeEventTopics,
  encodeFunctionResult,
  type Hex,
} from "viem";
import { describe, expect, test } from "vitest";
import { browserChecks } from "../src/audit";
import { marketAbi } from "../src/generated/market";
import type { AuditCheck } from "../src/live/api";

const MARKET = "0x5FbDB2315678afecb367f032d93F642f64180aa3" as Hex;
const ANN = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8" as Hex;
const BOB = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC" as Hex;
const ZERO = "0x0000000000000000000000000000000000000000" as Hex;
const HASH = `0x${"ab".repeat(32)}` as Hex;

const TERMS = {
  token: ZERO,
  reward: 100n,
  fee: 1n,
  stake: 50n,
  bond: 7n,
  aggregator: ZERO,
  gate: ANN,
  enrolBy: 9,
  startDelay: 5,
  submitWindow: 60,
  settleWindow: 60,
  takeoverWindow: 30,
  confirmWindow: 60,
  revealWindow: 20,
  rule: 2,
  rounds: 2,
  minRounds: 2,
  rate: 2n ** 40n,
  rateDecay: 2 ** 31,
  scaleExponent: -3,
  minTrainers: 2,
  maxTrainers: 3,
  maxFaulty: 1,
  maxMissed: 3,
  maxStrikes: 1,
  maxEmptyRounds: 3,
  maxVoids: 3,
  slashBps: 2000,
  gramVerifier: MARKET,
  gramKey: HASH,
  decisionVerifier: MARKET,
  decisionKey: HASH,
};
/** Over: two rounds settled, four members of whom three have claimed. */
const JOB = {
  owner: ANN,
  bonded: false,
  disputedSum: false,
  disputedRows: false,
  revealed: false,
  undelivered: 0,
  outcome: 4,
  aggregator: BOB,
  settledBefore: 0,
  owed: 0,
  members: 0b1111,
  claimed: 0b1101,
  aggregatorPayee: BOB,
  takenOverIn: 0,
  state: 4,
  round: 2,
  emptyRounds: 0,
  keyPublished: true,
  settled: 2,
  endAsked: false,
  delivering: false,
  voids: 1,
  submitBy: 1,
  settleBy: 2,
  active: 0,
  submitted: 0,
  quorum: 2,
  disputed: 0,
  rate: 2n ** 39n,
  earned: 0n,
  missedOut: 0n,
  goneEarned: 0n,
  absences: 0,
  goneOpened: 0,
  rowsDisputed: 0,
  ownRowsDisputed: 0,
  escrow: 10n,
  pot: 200n,
  termsHash: HASH,
};

type Topics = { indexed?: boolean; name: string; type: string };
type Name = "RoundSettled" | "RoundVoided" | "Redelivered" | "Claimed" | "Credited";

function log(eventName: Name, args: Record<string, unknown>, address = MARKET) {
  const entry = marketAbi.find((each) => each.type === "event" && each.name === eventName);
  if (entry?.type !== "event") throw new Error(eventName);
  const plain = (entry.inputs as readonly Topics[]).filter((input) => !input.indexed);
  const place = {
    blockNumber: "0x1",
    blockHash: HASH,
    transactionHash: HASH,
    transactionIndex: "0x0",
    logIndex: "0x0",
  };
  return {
    ...place,
    address,
    topics: encodeEventTopics({ abi: marketAbi, eventName, args: args as never }),
    data: encodeAbiParameters(plain, plain.map((input) => args[input.name]) as never),
    removed: false,
  };
}

const SETTLEMENT = {
  unopened: 0,
  selected: 0b011,
  struck: 0b100,
  scores: [3n, -1n],
  rowExponent: -5,
  coefficients: [4096, 4096],
  sumCid: "bafy",
  sumCommitment: HASH,
  referenceCid: "bafy",
  referenceCommitment: HASH,
};
const FIRST = `0x${"01".repeat(32)}` as Hex;
const SECOND = `0x${"02".repeat(32)}` as Hex;
const CLAIM_0 = `0x${"03".repeat(32)}` as Hex;
const CLAIM_2 = `0x${"04".repeat(32)}` as Hex;
const VOID = `0x${"05".repeat(32)}` as Hex;
const AGAIN = `0x${"06".repeat(32)}` as Hex;

// A score of 1 brings 2^40 ÷ 2 in round 1; the rate is half of that in round 2.
const first = (part: object = {}) =>
  log("RoundSettled", {
    jobId: 1n,
    round: 1,
    submitted: 0b1111,
    settlement: { ...SETTLEMENT, unopened: 0b1000, ...part },
  });
const second = (part: object = {}, submitted = 0b0110) =>
  log("RoundSettled", {
    jobId: 1n,
    round: 2,
    submitted,
    settlement: { ...SETTLEMENT, selected: 0b010, struck: 0, scores: [8n], ...part },
  });
// Of what did not open in round 2, seat 1 delivered its update again, seats 0 and 3 did not.
const voided = (part: object = {}) =>
  log("RoundVoided", { jobId: 1n, round: 2, unopened: 0b1011, deliverBy: 80, settleBy: 140, ...part });
const again = (part: object = {}) => log("Redelivered", { jobId: 1n, round: 2, slot: 1, cid: "bafy1", ...part });
const DELIVERED = { slot: 1, cid: "bafy1", transaction: AGAIN };
const VOIDED = {
  unopened: [0, 1, 3],
  deliver_by: 80,
  settle_by: 140,
  timestamp: 20,
  transaction: VOID,
  delivered: [DELIVERED],
};
const BALANCES = [3n * 2n ** 39n, 2n ** 42n - 2n ** 39n, 0n, 0n] as const; // 3 and 7 times 2^39
const OPENED = [1, 2, 2, 0] as const;
const PAYS = [(200n * 3n) / 17n, (200n * 14n) / 17n, 0n, 0n] as const;

const claimed = (slot: number, pay: bigint, stake: bigint, slashed: bigint) =>
  log("Claimed", { jobId: 1n, slot, pay, stake, slashed });
const credit = (payee: Hex, amount: bigint, reason = 0, address?: Hex) =>
  log("Credited", { jobId: 1n, payee, token: ZERO, amount, reason }, address);

type Logs = Record<Hex, unknown[]>;
const LOGS: Logs = {
  [FIRST]: [first()],
  [SECOND]: [second()],
  [VOID]: [voided()],
  [AGAIN]: [again()],
  [CLAIM_0]: [claimed(0, 35n, 50n, 0n), credit(ANN, 35n), credit(ANN, 50n, 2)],
  [CLAIM_2]: [claimed(2, 0n, 40n, 10n), credit(ANN, 40n, 2), credit(ZERO, 10n, 6)],
};

type Trainer = Record<string, unknown> & { slot: number };
type Told = {
  payouts?: [Hex, string][];
  job?: object;
  state?: string;
  startable?: number;
  trainer?: (trainer: Trainer) => Trainer | null;
  rounds?: object;
  second?: object;
};
type World = {
  chainId: string;
  code: string;
  job: typeof JOB;
  terms: typeof TERMS;
  logs: Logs;
  trainer: object;
};
const HONEST: World = { chainId: "0x7a69", code: "0x60", job: JOB, terms: TERMS, logs: LOGS, trainer: {} };

/** Confirming: nothing is claimed, and slot 31 disputes. */
const CONFIRMING: Partial<World> = {
  job: { ...JOB, state: 3, escrow: 202n, pot: 0n, claimed: 0, disputed: 2 ** 31 },
};
const WORTH = { escrow: "202", fees: "2" };
const TOLD_CONFIRMING: Told = {
  state: "confirming",
  job: { ...WORTH, outcome: "completed", reveal_by: 2 },
  payouts: [],
  trainer: (trainer) => ({ ...trainer, claimed: false, status: "active" }),
};

const REVEAL_BY_3 = { ...TOLD_CONFIRMING.job, reveal_by: 3 };
/** Open: anybody may start it from 99 on. */
const OPEN: Partial<World> = { job: { ...JOB, state: 1, escrow: 202n, pot: 0n, claimed: 0, submitBy: 99 } };
const toldOpen = (startable: number): Told => ({ ...TOLD_CONFIRMING, state: "open", job: WORTH, startable });
/** Slot 0 disputes rows of the aggregator that took over in round 2. */
const OWN_ROWS: Partial<World> = { job: { ...JOB, takenOverIn: 2, rowsDisputed: 1, ownRowsDisputed: 1 } };
const told = (round: number): Told => ({ job: { takeovers: [{ round: 2 }], rows_disputes: [{ slot: 0, round }] } });

/** Round 2 was taken over after its void: seats 1 and 2 delivered to the newcomer, seats 0 and 3 did not. */
const LATER = `0x${"08".repeat(32)}` as Hex;
const redelivered = (...seats: number[]): Told => ({
  job: { takeovers: [{ round: 2, timestamp: 21 }] },
  second: { redelivered: seats.map((slot) => ({ slot, cid: "bafy1", transaction: LATER })) },
});
const TAKEN_OVER: Partial<World> = {
  job: { ...JOB, takenOverIn: 2 },
  logs: { ...LOGS, [LATER]: [again(), again({ slot: 2 })] },
};
/** Round 2 is being delivered again, and seat 0 has not yet. */
const DELIVERING: Partial<World> = {
  job: { ...JOB, state: 2, escrow: 202n, pot: 0n, claimed: 0, delivering: true, undelivered: 1 },
};
const toldDelivering = (undelivered: number[]): Told => ({
  ...TOLD_CONFIRMING,
  state: "running",
  job: { ...WORTH, delivering: true, undelivered },
});
/** Was void once more than allowed: nothing is delivered again. */
const ENDING = `0x${"07".repeat(32)}` as Hex;
const LAST = { unopened: [1], deliver_by: null, settle_by: null, timestamp: 90, transaction: ENDING, delivered: [] };
const ENDED = { logs: { ...LOGS, [ENDING]: [voided({ unopened: 0b0010, deliverBy: 0, settleBy: 0 })] } };
const TWICE = {
  job: { ...JOB, voids: 2 },
  logs: { ...LOGS, [ENDING]: [voided({ unopened: 0b0100 }), again({ slot: 2 })] },
};
const NEXT = {
  ...VOIDED,
  unopened: [2],
  transaction: ENDING,
  delivered: [{ ...DELIVERED, slot: 2, transaction: ENDING }],
};
const TOLD_TWICE: Told = { job: { voids: 2 }, second: { voids: [VOIDED, NEXT] } };
const delivered = (...each: object[]): Told => ({ second: { voids: [{ ...VOIDED, delivered: each }] } });
const both = () => ({ logs: { ...LOGS, [AGAIN]: [again(), again({ slot: 2 })] } });

/** A chain that says what `world` holds; the node says what an honest chain would. */
async function audit(world: Partial<World>, node: Told = {}) {
  const held = { ...HONEST, ...world };
  const request = async ({ method, params }: { method: string; params?: unknown }) => {
    if (method === "eth_chainId") return held.chainId;
    if (method === "eth_getCode") return held.code;
    if (method === "eth_getTransactionReceipt") {
      const [hash] = params as [Hex];
      const logs = held.logs[hash] ?? [];
      return { status: "0x1", logs, transactionHash: hash, blockNumber: "0x1", gasUsed: "0x1", type: "0x2" };
    }
    const { data } = (params as [{ data: Hex }])[0];
    const { functionName, args } = decodeFunctionData({ abi: marketAbi, data });
    if (functionName === "trainer") {
      const result = { ...onChain(Number(args[1])), ...held.trainer };
      return encodeFunctionResult({ abi: marketAbi, functionName, result });
    }
    const result = functionName === "terms" ? held.terms : held.job;
    return encodeFunctionResult({ abi: marketAbi, functionName: functionName as "terms", result: result as never });
  };
  const payouts = (node.payouts ?? [[ANN, "35"] as [Hex, string]]).map(([payee, amount]) => ({
    payee,
    amount,
    reason: "pay",
    transaction: CLAIM_0,
  }));
  const { state = "completed", startable: startable_from = null } = node;
  const summary = { job_id: 1, owner: ANN, aggregator: BOB, state, round: 2, startable_from };
  const names = (key: string) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const terms = Object.fromEntries(
    Object.entries(TERMS).map(([key, value]) => [names(key), typeof value === "number" ? value : String(value)]),
  );
  const trainers = [0, 1, 2, 3].map((slot) => {
    const { operator, payee, balance, strikes } = onChain(slot);
    const pay = PAYS[slot]?.toString();
    const part = {
      member: true,
      missed: 0,
      status: "finished",
      opened: OPENED[slot],
      staked: true,
      claimed: slot !== 1,
    };
    return { slot, operator, payee, balance: balance.toString(), strikes, pay, ...part };
  });
  const round = { status: "settled", redelivered: [], voids: [], undelivered: [], unopened: [], ...node.rounds };
  const facts = {
    node: { market: MARKET, chain_id: 31337 },
    job: {
      summary,
      terms: { ...terms, rule: "reference" },
      escrow: "10",
      pot: "200",
      fees: "0",
      settled: 2,
      outcome: null,
      key_published: true,
      end_asked: false,
      voids: 1,
      delivering: false,
      undelivered: [],
      disputed_sum: false,
      disputed_rows: false,
      rows_disputes: [],
      reveals: [],
      reveal_by: null,
      disputes: [],
      takeovers: [],
      ...node.job,
    },
    rounds: [
      {
        round: 1,
        transaction: FIRST,
        submitted: [0, 1, 2, 3],
        selected: [0, 1],
        struck: [2],
        gains: [`${3n * 2n ** 39n}`, `${-(2n ** 39n)}`],
        ...round,
        unopened: [3],
      },
      {
        round: 2,
        transaction: SECOND,
        submitted: [1, 2],
        selected: [1],
        struck: [],
        gains: [`${2n ** 42n}`],
        ...round,
        voids: [VOIDED],
        undelivered: [0, 3],
        ...node.second,
      },
    ],
    trainers: trainers.map((each) => (node.trainer ? node.trainer(each) : each)).filter((each) => each !== null),
    payouts,
  };
  const checks: AuditCheck[] = [];
  const client = createClient({ transport: custom({ request }, { retryCount: 0 }) });
  for await (const check of browserChecks(client, facts as unknown as Parameters<typeof browserChecks>[1]))
    checks.push(check);
  return checks;
}

function onChain(slot: number) {
  const absences = 2 - (OPENED[slot] ?? 0);
  const gone = { missed: 0, opened: 0 };
  const strikes = slot === 2 ? 1 : 0;
  return { operator: ANN, payee: ANN, balance: BALANCES[slot] ?? 0n, strikes, absences, staked: true, ...gone };
}

const bad = (checks: AuditCheck[]) => checks.filter((check) => check.ok !== true).map((check) => check.name);
const CHAIN = "the chain is the one that the node names";
const VOIDS = "void rounds, and what was delivered again";
const BALANCE = "balances follow from the scores";
const PAY = "pay follows from the balances";
const CLAIMS = "payouts are what was claimed";
const changed = (hash: Hex, ...logs: unknown[]) => ({ logs: { ...LOGS, [hash]: logs } });
const other = (slot: number, part: object) => (trainer: Trainer) =>
  trainer.slot === slot ? { ...trainer, ...part } : trainer;

describe("the browser's own audit", () => {
  test("finds an honest node and chain in order", async () => {
    const checks = await audit({});
    expect(checks.filter((check) => check.ok !== true)).toEqual([]);
    expect(checks.map((check) => check.detail).slice(-3)).toEqual([
      "4 balances added up from the scores of 2 settled rounds, to the unit",
      "the pot, 200, divided by points among 4 members, to the unit",
      "1 payment that was claimed, to the unit",
    ]);
  });

  test.each([
    ["an open job", OPEN, toldOpen(99)],
    ["disputed rows of an aggregator that took over", OWN_ROWS, told(2)],
    ["rows of the one before it", { job: { ...JOB, takenOverIn: 2, rowsDisputed: 1 } }, told(1)],
    ["what was revealed", OWN_ROWS, told(0)],
    [
      "what was revealed, by members of a job whose newcomer published no key",
      { job: { ...JOB, takenOverIn: 2, keyPublished: false, rowsDisputed: 1 } },
      { job: { ...told(0).job, key_published: false } },
    ],
    ["a void from before a takeover of its round", TAKEN_OVER, redelivered(1, 2)],
    ["a round that is delivered again", DELIVERING, toldDelivering([0])],
    ["a second void, after which who was late before still is", TWICE, TOLD_TWICE],
    ["a void that ended the job", ENDED, { second: { voids: [VOIDED, LAST] } }],
  ])("finds %s in order", async (_, world, node) => {
    expect(bad(await audit(world, node))).toEqual([]);
  });

  test("divides a pot whose rows are disputed by the lesser of points and rounds opened", async () => {
    const byRounds = OPENED.map((opened) => (200n * BigInt(opened)) / 5n);
    const pays = PAYS.map((pay, slot) => (pay < (byRounds[slot] ?? 0n) ? pay : (byRounds[slot] ?? 0n)));
    const world = { job: { ...JOB, disputedRows: true, claimed: 0 } };
    const trainer = (each: Trainer) => ({ ...each, claimed: false, pay: String(pays[each.slot]) });
    const checks = await audit(world, { job: { disputed_rows: true }, payouts: [], trainer });
    expect(bad(checks)).toEqual([]);
    expect(checks.find((check) => check.name === PAY)?.detail).toContain("the lesser of points and rounds opened");
    expect(pays).toEqual([35n, 80n, 0n, 0n]);
  });

  test.each([
    ["another chain", { chainId: "0x1" }, {}, [CHAIN]],
    ["no contract", { code: "0x" }, {}, [CHAIN]],
    ["a changed term", { terms: { ...TERMS, slashBps: 9999 } }, {}, ["terms"]],
    ["a takeover window that is another", { terms: { ...TERMS, takeoverWindow: 0 } }, {}, ["terms"]],
    ["a confirm window that is another", { terms: { ...TERMS, confirmWindow: 1 } }, {}, ["terms"]],
    ["an early end that the node hides", { terms: { ...TERMS, minRounds: 1 } }, {}, ["terms"]],
    ["another rate", { terms: { ...TERMS, rate: 1n } }, {}, ["terms"]],
    ["a state that the node hides", { job: { ...JOB, state: 6 } }, {}, ["state"]],
    ["a takeover that the node makes up", {}, { job: { takeovers: [{ round: 1 }] } }, ["state"]],
    ["an aggregator that the node hides", { job: { ...JOB, aggregator: ANN, takenOverIn: 1 } }, {}, ["state"]],
    ["a dispute that the node hides", CONFIRMING, TOLD_CONFIRMING, ["state"]],
    ["a gate that the node hides", { terms: { ...TERMS, gate: BOB } }, {}, ["terms"]],
    ["a start delay that is another", { terms: { ...TERMS, startDelay: 0 } }, {}, ["terms"]],
    ["a reveal window that is another", { terms: { ...TERMS, revealWindow: 0 } }, {}, ["terms"]],
    ["a dispute of rows that the node hides", { job: { ...JOB, rowsDisputed: 1 } }, {}, ["state"]],
    ["a reveal that the node makes up", {}, { job: { reveals: [{}] } }, ["state"]],
    ["a reveal that the node hides", { job: { ...JOB, revealed: true } }, {}, ["state"]],
    ["a dispute whose round the node changes", OWN_ROWS, told(1), ["state"]],
    ["a start that the node moves", OPEN, toldOpen(98), ["state"]],
    ["a time to reveal that the node moves", CONFIRMING, { ...TOLD_CONFIRMING, job: REVEAL_BY_3 }, ["state"]],
    ["disputed rows that the node hides", { job: { ...JOB, disputedRows: true } }, {}, ["state", PAY]],
    ["a burning that the node hides", { job: { ...JOB, disputedSum: true } }, {}, ["state"]],
    ["a job that one void less ends", { terms: { ...TERMS, maxVoids: 2 } }, {}, ["terms"]],
    ["seats whose delivery the node hides", DELIVERING, toldDelivering([]), ["state"]],
    ["a void that the node does not count", {}, { job: { voids: 0 } }, ["state"]],
    ["a void that the node does not show", {}, { second: { voids: [] } }, [VOIDS]],
    ["a void of other seats", changed(VOID, voided({ unopened: 0b0011 })), {}, [VOIDS]],
    ["a void of another round", changed(VOID, voided({ round: 1 })), {}, [VOIDS]],
    ["another time to deliver again", changed(VOID, voided({ deliverBy: 81 })), {}, [VOIDS]],
    ["another time to settle then", changed(VOID, voided({ settleBy: 141 })), {}, [VOIDS]],
    ["a void of another contract", changed(VOID, { ...voided(), address: ANN }), {}, [VOIDS]],
    ["a delivery of another update", changed(AGAIN, again({ cid: "bafy2" })), {}, [VOIDS]],
    ["a delivery in another round", changed(AGAIN, again({ round: 1 })), {}, [VOIDS]],
    ["a delivery of another seat", changed(AGAIN, again({ slot: 0 })), {}, [VOIDS]],
    ["a delivery that the node does not show", {}, delivered(), [VOIDS]],
    ["a delivery to who took over that the node does not show", TAKEN_OVER, redelivered(1), [VOIDS]],
    ["a delivery to who took over that the node makes up", TAKEN_OVER, redelivered(1, 2, 3), [VOIDS]],
    ["a delivery that nobody asked for", both(), delivered(DELIVERED, { ...DELIVERED, slot: 2 }), [VOIDS]],
    ["a seat that is said to have delivered late", {}, { second: { undelivered: [3] } }, [VOIDS]],
    [
      "a void for what may be left out",
      { logs: { ...LOGS, [VOID]: [voided({ unopened: 0b0001 })], [SECOND]: [second({}, 0b1110)] } },
      { second: { voids: [{ ...VOIDED, unopened: [0], delivered: [] }], undelivered: [0], submitted: [1, 2, 3] } },
      [VOIDS, BALANCE],
    ],
    ["submissions that the node hides", {}, { second: { submitted: [1] } }, [BALANCE]],
    ["a missed round that the node makes up", {}, { trainer: other(0, { missed: 1 }) }, ["seats"]],
    ["an end that the node hides", { job: { ...JOB, endAsked: true } }, {}, ["state"]],
    ["escrow that the node makes up", {}, { job: { escrow: "11" } }, ["state"]],
    ["fees that the node hides", { job: { ...JOB, owed: 1 } }, {}, ["state"]],
    ["a pot that the node makes up", {}, { job: { pot: "300" } }, ["state"]],
    ["a claim that the node makes up", {}, { trainer: other(1, { claimed: true }) }, ["state"]],
    ["a payee that is another", { trainer: { payee: BOB } }, {}, ["seats"]],
    ["a strike that the node makes up", {}, { trainer: other(0, { strikes: 1 }) }, ["seats"]],
    ["a balance that the node makes up", {}, { trainer: other(0, { balance: "9" }) }, ["seats", BALANCE]],
    ["rounds opened that it makes up", {}, { trainer: other(0, { opened: 2 }) }, ["seats", BALANCE]],
    [
      "a member that the node hides",
      {},
      { trainer: (each: Trainer) => (each.slot === 1 ? null : each) },
      ["seats", BALANCE],
    ],
    ["a pay that the node makes up", {}, { trainer: other(0, { pay: "36" }) }, [PAY]],
    ["gains that the node makes up", {}, { rounds: { gains: ["1", "1"] } }, [BALANCE]],
    ["a strike that the node hides", {}, { rounds: { struck: [] } }, [BALANCE]],
    ["other scores", changed(FIRST, first({ scores: [3n, 1n] })), {}, [BALANCE, PAY, CLAIMS]],
    ["another scale of the scores", changed(SECOND, second({ rowExponent: -4 })), {}, [BALANCE, PAY, CLAIMS]],
    ["a settlement of another contract", changed(FIRST, { ...first(), address: ANN }), {}, [BALANCE, PAY, CLAIMS]],
    [
      "a claim above its points",
      changed(CLAIM_0, claimed(0, 36n, 50n, 0n), credit(ANN, 36n)),
      { payouts: [[ANN, "36"]] },
      [CLAIMS],
    ],
    ["a slash without strikes", changed(CLAIM_0, claimed(0, 35n, 40n, 10n), credit(ANN, 35n)), {}, [CLAIMS]],
    [
      "a credit that is not what was claimed",
      changed(CLAIM_0, claimed(0, 35n, 50n, 0n), credit(BOB, 35n)),
      {},
      [CLAIMS],
    ],
    ["a pay left out by the node", {}, { payouts: [] }, [CLAIMS]],
    ["a pay that the node gives to another", {}, { payouts: [[BOB, "35"]] }, [CLAIMS]],
  ] as [string, Partial<World>, Told, string[]][])("finds %s", async (_, world, node, expected) => {
    expect(bad(await audit(world, node))).toEqual(expected);
  });

  test("finds more updates left out than a job may, which is less than a third of them", async () => {
    const detail = async (unopened: number, submitted: number) => {
      const settled = log("RoundSettled", { jobId: 1n, round: 1, submitted, settlement: { ...SETTLEMENT, unopened } });
      return (await audit(changed(FIRST, settled))).find((check) => check.name === BALANCE)?.detail;
    };
    expect(await detail(0b1100, 0b1111)).toContain("round 1 leaves out 2 unopened updates, and 1 may be");
    expect(await detail(0b1000, 0b1011)).toContain("round 1 leaves out 1 unopened update, and 0 may be");
    expect(await detail(0b1000, 0b1111)).not.toContain("leaves out");
    expect(await detail(0b11000, 0b1111111)).toContain("leaves out 2 unopened updates, and 1 may be"); // f is 1
  });

  test("finds a confirming job in order, with the disputes that stand", async () => {
    const disputes = [
      { slot: 0, stands: false },
      { slot: 31, stands: true },
    ];
    const told = { ...TOLD_CONFIRMING, job: { ...TOLD_CONFIRMING.job, disputes } };
    expect((await audit(CONFIRMING, told)).filter((check) => check.ok !== true)).toEqual([]);
    expect(bad(await audit({}, { job: { disputes } })), "the contract forgets them with the job's end").toEqual([]);
  });

  test("counts for who left or was ejected the rounds that it had opened", async () => {
    const trainer = other(0, { status: "left" });
    expect(bad(await audit({ trainer: { opened: 1 } }, { trainer }))).toEqual([]);
    expect(bad(await audit({}, { trainer }))).toEqual(["seats"]);
  });

  test("does not take credits of another contract in the same transaction for pay", async () => {
    const logs = [...(LOGS[CLAIM_0] ?? []), credit(BOB, 1_000n, 0, ANN)];
    expect(bad(await audit(changed(CLAIM_0, ...logs)))).toEqual([]);
  });
});
