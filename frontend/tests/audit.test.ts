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
  stake: 5n,
  bond: 7n,
  aggregator: ZERO,
  enrolBy: 9,
  submitWindow: 60,
  settleWindow: 60,
  takeoverWindow: 30,
  rule: 2,
  rounds: 1,
  minTrainers: 2,
  maxTrainers: 2,
  maxFaulty: 1,
  maxMissed: 3,
  maxStrikes: 3,
  maxEmptyRounds: 3,
  slashBps: 2000,
  gramVerifier: MARKET,
  gramKey: HASH,
  decisionVerifier: MARKET,
  decisionKey: HASH,
};
const JOB = {
  owner: ANN,
  aggregator: BOB,
  aggregatorPayee: BOB,
  takenOver: false,
  state: 4,
  round: 1,
  emptyRounds: 0,
  keyPublished: true,
  submitBy: 1,
  settleBy: 2,
  active: 0,
  submitted: 0,
  escrow: 0n,
  feeDue: false,
  quorum: 2,
  disputed: 0,
  carry: 0n,
  termsHash: HASH,
};

type Topics = { indexed?: boolean; name: string; type: string };

function log(eventName: "RoundSettled" | "Credited", args: Record<string, unknown>, address = MARKET) {
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
  selected: 0b11,
  weights: [1n, 2n],
  coefficients: [4096, 4096],
  sumCid: "bafy",
  sumCommitment: HASH,
  referenceCid: "bafy",
  referenceCommitment: HASH,
};
const settled = () => log("RoundSettled", { jobId: 1n, round: 1, submitted: 3, pot: 100n, settlement: SETTLEMENT });
const credit = (payee: Hex, amount: bigint, address?: Hex) =>
  log("Credited", { jobId: 1n, payee, token: ZERO, amount, reason: 0 }, address);

type Told = { payouts?: [Hex, string][]; escrow?: string; state?: string; disputes?: object[]; takeovers?: object[] };
type World = { chainId: string; code: string; job: typeof JOB; terms: typeof TERMS; logs: unknown[] };
const HONEST: World = {
  chainId: "0x7a69",
  code: "0x60",
  job: JOB,
  terms: TERMS,
  logs: [settled(), credit(ANN, 33n), credit(BOB, 66n)],
};

const CONFIRMING: Partial<World> = { job: { ...JOB, state: 3, feeDue: true, disputed: 2 ** 31 } };

/** A chain that says what `world` holds; the node says what an honest chain would. */
async function audit(world: Partial<World>, node: Told = {}) {
  const held = { ...HONEST, ...world };
  const request = async ({ method, params }: { method: string; params?: unknown }) => {
    if (method === "eth_chainId") return held.chainId;
    if (method === "eth_getCode") return held.code;
    if (method === "eth_getTransactionReceipt")
      return { status: "0x1", logs: held.logs, transactionHash: HASH, blockNumber: "0x1", gasUsed: "0x1", type: "0x2" };
    const { data } = (params as [{ data: Hex }])[0];
    const { functionName } = decodeFunctionData({ abi: marketAbi, data });
    const result = functionName === "terms" ? held.terms : held.job;
    return encodeFunctionResult({ abi: marketAbi, functionName: functionName as "terms", result: result as never });
  };
  const payouts = (node.payouts ?? [[ANN, "33"] as [Hex, string], [BOB, "66"] as [Hex, string]]).map(
    ([payee, amount]) => ({ payee, amount, reason: "pay", transaction: HASH }),
  );
  const summary = { job_id: 1, owner: ANN, aggregator: BOB, state: node.state ?? "completed", round: 1 };
  const names = (key: string) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const terms = Object.fromEntries(Object.entries(TERMS).map(([key, value]) => [names(key), String(value)]));
  const facts = {
    node: { market: MARKET, chain_id: 31337 },
    job: {
      summary,
      terms: { ...terms, rule: "reference" },
      escrow: node.escrow ?? "0",
      carry: "0",
      key_published: true,
      fee_due: (node.state ?? "") === "confirming",
      disputes: node.disputes ?? [],
      takeovers: node.takeovers ?? [],
    },
    rounds: [{ round: 1, status: "settled", transaction: HASH }],
    trainers: [],
    payouts,
  };
  const checks: AuditCheck[] = [];
  const client = createClient({ transport: custom({ request }, { retryCount: 0 }) });
  for await (const check of browserChecks(client, facts as unknown as Parameters<typeof browserChecks>[1]))
    checks.push(check);
  return checks;
}

const bad = (checks: AuditCheck[]) => checks.filter((check) => check.ok !== true).map((check) => check.name);
const PAY = "pay follows from the weights";
const ALL = "payouts are all that the chain credited in settled rounds";

describe("the browser's own audit", () => {
  test("finds an honest node and chain in order", async () => {
    expect(bad(await audit({}))).toEqual([]);
  });

  test.each([
    ["another chain", { chainId: "0x1" }, {}, ["the chain is the one that the node names"]],
    ["no contract", { code: "0x" }, {}, ["the chain is the one that the node names"]],
    ["a changed term", { terms: { ...TERMS, slashBps: 9999 } }, {}, ["terms"]],
    ["a state that the node hides", { job: { ...JOB, state: 6 } }, {}, ["state"]],
    ["a takeover that the node makes up", {}, { takeovers: [{}] }, ["state"]],
    ["an aggregator that the node hides", { job: { ...JOB, aggregator: ANN, takenOver: true } }, {}, ["state"]],
    ["a takeover window that is another", { terms: { ...TERMS, takeoverWindow: 0 } }, {}, ["terms"]],
    ["a dispute that the node hides", CONFIRMING, { state: "confirming" }, ["state"]],
    ["escrow that the node makes up", {}, { escrow: "1" }, ["state"]],
    ["a pay above its weight", { logs: [settled(), credit(ANN, 34n), credit(BOB, 66n)] }, {}, [PAY, ALL]],
    ["a pay left out by the node", {}, { payouts: [[ANN, "33"]] }, [ALL]],
    [
      "a pay that the node gives to another",
      {},
      {
        payouts: [
          [BOB, "33"],
          [BOB, "66"],
        ],
      },
      [ALL],
    ],
    ["a settlement of another contract", { logs: [{ ...settled(), address: ANN }] }, {}, [PAY, ALL]],
  ] as [string, Partial<World>, Told, string[]][])("finds %s", async (_, world, node, expected) => {
    expect(bad(await audit(world, node))).toEqual(expected);
  });

  test("finds a confirming job in order, with the disputes that stand", async () => {
    const disputes = [
      { slot: 0, stands: false },
      { slot: 31, stands: true },
    ];
    expect(bad(await audit(CONFIRMING, { state: "confirming", disputes }))).toEqual([]);
    expect(bad(await audit({}, { disputes })), "the contract forgets them with the job's end").toEqual([]);
  });

  test("does not take credits of another contract in the same transaction for pay", async () => {
    const logs = [settled(), credit(ANN, 33n), credit(BOB, 66n), credit(BOB, 1_000n, ANN)];
    expect(bad(await audit({ logs }))).toEqual([]);
  });
});
