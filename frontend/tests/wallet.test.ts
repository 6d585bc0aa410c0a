import { encodeErrorResult, encodeFunctionData, type Hex, parseAbi } from "viem";
import { beforeEach, describe, expect, test } from "vitest";
import { marketAbi } from "../src/generated/market";
import { ZERO_ADDRESS } from "../src/text/amounts";
import { announces, differences, type Wanted } from "../src/wallet/creation";
import type { Provider } from "../src/wallet/providers";
import { explain, revertData } from "../src/wallet/refusals";
import { type Call, type Step, send } from "../src/wallet/transaction";
import { wallet } from "../src/wallet/wallet";
import { ANSWERS, HASH } from "./confirming-wallet";

const ME = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8" as const;
const MARKET = "0x5FbDB2315678afecb367f032d93F642f64180aa3" as const;
const FULL = encodeErrorResult({ abi: marketAbi, errorName: "JobFull", args: [7n, 8] });
const CALL: Call = { to: MARKET, data: "0x", value: 10n };
const PLACE = { chainId: 31337, rpc: null };
const soon = () => Promise.resolve();

type Answers = Record<string, unknown | (() => unknown)>;

/** A wallet that answers by method; an Error is thrown, a function called. */
function fake(answers: Answers): { provider: Provider; asked: string[] } {
  const asked: string[] = [];
  const provider: Provider = {
    request: async ({ method }) => {
      asked.push(method);
      const given = { ...ANSWERS, ...answers }[method];
      const answer = typeof given === "function" ? (given as () => unknown)() : given;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  return { provider, asked };
}

const refusal = (code: number, message: string, data?: unknown) => Object.assign(new Error(message), { code, data });

async function sent(answers: Answers, chainId = 31337): Promise<{ last: Step; steps: Step[]; asked: string[] }> {
  const { provider, asked } = fake(answers);
  wallet.set({ id: "test", name: "Test", provider, account: ME, chainId });
  const steps: Step[] = [];
  const last = await send(CALL, PLACE, (step) => steps.push(step), soon);
  return { last, steps, asked };
}

beforeEach(() => wallet.set(null));

describe("a transaction", () => {
  test("is simulated before the wallet is asked, and done with gas and fee", async () => {
    const { last, steps, asked } = await sent({});
    expect(steps.map((step) => step.at)).toEqual(["simulating", "signing", "pending", "done"]);
    expect(asked.indexOf("eth_call")).toBeLessThan(asked.indexOf("eth_sendTransaction"));
    expect(last).toMatchObject({ at: "done", hash: HASH, gas: 21000n, fee: 21000n });
  });

  test("that would revert is never sent, and the contract's error becomes a sentence", async () => {
    const { last, asked } = await sent({ eth_call: refusal(3, "execution reverted", FULL) });
    expect(asked).not.toContain("eth_sendTransaction");
    expect(last).toMatchObject({ at: "failed", reason: "All 8 seats of job 7 are taken." });
  });

  test("declined in the wallet is told apart from a failure", async () => {
    const { last } = await sent({ eth_sendTransaction: refusal(4001, "User rejected the request.") });
    expect(last.at).toBe("declined");
  });

  test("without enough coin for the amount names both amounts, and asks nothing of the wallet", async () => {
    const { last, asked } = await sent({ eth_getBalance: "0x9" });
    expect(last).toMatchObject({ at: "failed" });
    expect((last as { reason: string }).reason).toContain("0.00000000000000001 ether");
    expect(asked).not.toContain("eth_sendTransaction");
  });

  test("with coin for the amount but not for the gas says so", async () => {
    const { last } = await sent({ eth_getBalance: "0xa" });
    expect((last as { reason: string }).reason).toContain("of gas");
  });

  test("on the wrong chain first asks to switch, then goes on", async () => {
    const { steps, asked } = await sent({ wallet_switchEthereumChain: null }, 1);
    expect(steps[0]).toEqual({ at: "switching", chainId: 31337 });
    expect(asked).toContain("wallet_switchEthereumChain");
    expect(steps.at(-1)?.at).toBe("done");
  });

  test("stops where the wallet stays on the wrong chain", async () => {
    const { last, asked } = await sent({ wallet_switchEthereumChain: refusal(4001, "no"), eth_chainId: "0x1" }, 1);
    expect(last).toMatchObject({ at: "failed" });
    expect(asked).not.toContain("eth_sendTransaction");
  });

  test("is looked for again while the chain is away, and says so meanwhile", async () => {
    let tries = 0;
    const receipt = { status: "0x1", gasUsed: "0x1", blockNumber: "0x1" };
    const { steps, last } = await sent({
      eth_getTransactionReceipt: () => {
        tries += 1;
        return tries < 4 ? new Error("Failed to fetch") : receipt;
      },
    });
    expect(steps.some((step) => step.at === "pending" && step.trouble?.includes("cannot be reached"))).toBe(true);
    expect(last.at).toBe("done");
  });

  test("that failed in its block says why", async () => {
    let calls = 0;
    const { last } = await sent({
      eth_call: () => {
        calls += 1;
        return calls === 1 ? "0x" : refusal(3, "reverted", FULL);
      },
      eth_getTransactionReceipt: { status: "0x0", gasUsed: "0x1", blockNumber: "0x1" },
    });
    expect(last).toMatchObject({ at: "failed", hash: HASH, reason: "All 8 seats of job 7 are taken." });
  });
});

describe("what wallets throw", () => {
  test.each([
    ["at the top", { code: 3, message: "reverted", data: FULL }],
    ["nested in data", { code: -32603, message: "Internal", data: { code: 3, data: FULL } }],
    ["nested deeper", { code: -32603, message: "Internal", data: { originalError: {}, cause: { data: FULL } } }],
  ])("revert data %s is found", (_, error) => {
    expect(revertData(error)).toBe(FULL);
    expect(explain(error)).toBe("All 8 seats of job 7 are taken.");
  });

  test("an error that holds itself does not hang", () => {
    const error: { message: string; cause?: unknown } = { message: "loop" };
    error.cause = error;
    expect(explain(error)).toContain("loop");
  });

  test.each([
    [{ code: -32002, message: "pending" }, "already shows a request"],
    [{ code: -32000, message: "insufficient funds for gas * price + value" }, "does not hold enough coin"],
    [{ code: 4900, message: "disconnected" }, "lost its connection"],
    [{}, "did not say"],
  ])("%j is explained", (error, words) => {
    expect(explain(error)).toContain(words);
  });
});

describe("what an owner signs", () => {
  const wanted: Wanted = {
    token: ZERO_ADDRESS,
    reward: 600n,
    fee: 20n,
    stake: 100n,
    bond: 500n,
    rounds: 5,
    minTrainers: 1,
    maxTrainers: 8,
    maxFaulty: 2,
    maxVoids: 3,
    startDelay: 5,
    submitWindow: 1,
    settleWindow: 1,
    takeoverWindow: 0,
    confirmWindow: 60,
    revealWindow: 0,
    minRounds: 3,
    aggregator: ME,
    gate: null,
  };
  const terms = {
    token: ZERO_ADDRESS as Hex,
    reward: 600n,
    fee: 20n,
    stake: 100n,
    bond: 500n,
    aggregator: ME as Hex,
    gate: ZERO_ADDRESS as Hex,
    enrolBy: 1,
    startDelay: 5,
    submitWindow: 1,
    settleWindow: 1,
    takeoverWindow: 0,
    confirmWindow: 60,
    revealWindow: 0,
    rule: 1,
    rounds: 5,
    minRounds: 3,
    rate: 2n ** 40n,
    rateDecay: 2 ** 32,
    scaleExponent: -15,
    minTrainers: 1,
    maxTrainers: 8,
    maxFaulty: 2,
    maxMissed: 3,
    maxStrikes: 3,
    maxEmptyRounds: 3,
    maxVoids: 3,
    slashBps: 2000,
    gramVerifier: MARKET as Hex,
    gramKey: HASH as Hex,
    decisionVerifier: MARKET as Hex,
    decisionKey: HASH as Hex,
  };
  const creation = (changed: Partial<typeof terms> = {}) =>
    encodeFunctionData({ abi: marketAbi, functionName: "createJob", args: [{ ...terms, ...changed }, HASH, "bafy"] });
  const call = (changed: Partial<typeof terms> = {}, value = "3100", to: string = MARKET) => ({
    text: "",
    to,
    data: creation(changed),
    value,
  });

  test("may be signed when it says what the form says", () => {
    expect(differences([call()], wanted, MARKET)).toEqual([]);
  });

  test.each([
    ["a higher reward", [call({ reward: 601n })], "the reward"],
    ["more coin", [call({}, "3101")], "the amount"],
    ["another contract", [call({}, "3100", ME)], "the market's address"],
    ["another aggregator", [call({ aggregator: MARKET })], "the aggregator"],
    ["a gate that the owner did not name", [call({ gate: ME })], "the gate"],
    ["fewer rounds", [call({ rounds: 4 })], "the rounds"],
    ["fewer seats", [call({ maxTrainers: 7 })], "the maxTrainers"],
    ["a job that one void ends", [call({ maxVoids: 0 })], "the maxVoids"],
    ["another number of faulty trainers", [call({ maxFaulty: 1 })], "the maxFaulty"],
    ["a longer time to settle", [call({ settleWindow: 2 })], "the settleWindow"],
    ["a takeover that the owner did not want", [call({ takeoverWindow: 3600 })], "the takeoverWindow"],
    ["no delay before the start", [call({ startDelay: 0 })], "the startDelay"],
    ["another time to reveal", [call({ revealWindow: 9 })], "the revealWindow"],
    ["a shorter time to confirm", [call({ confirmWindow: 1 })], "the confirmWindow"],
    ["an earlier end", [call({ minRounds: 1 })], "the minRounds"],
    ["a second call", [call(), call()], "the number of calls"],
    [
      "another function",
      [{ ...call(), data: encodeFunctionData({ abi: marketAbi, functionName: "cancel", args: [1n] }) }],
      "the call",
    ],
    ["rubbish", [{ ...call(), data: "0x1234" }], "the call's form"],
  ])("a node that prepared %s is found out", (_, calls, what) => {
    expect(differences(calls, wanted, MARKET)).toContain(what);
  });

  test("an allowance for more than the escrow, or for another, is found out", () => {
    const token = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512" as Hex;
    const abi = parseAbi(["function approve(address spender, uint256 amount)"]);
    const approve = (spender: Hex, amount: bigint) => ({
      text: "",
      to: token,
      value: "0",
      data: encodeFunctionData({ abi, functionName: "approve", args: [spender, amount] }),
    });
    const create = call({ token }, "0");
    const own = { ...wanted, token };
    expect(differences([approve(MARKET, 3100n), create], own, MARKET)).toEqual([]);
    expect(differences([approve(MARKET, 3101n), create], own, MARKET)).toEqual(["the allowance"]);
    expect(differences([approve(ME, 3100n), create], own, MARKET)).toEqual(["who may take the escrow"]);
  });

  describe.each([
    ["revealValidation", "handOver"],
    ["handOver", "revealValidation"],
  ] as const)("a call that announces through %s", (through, other) => {
    test.each([
      ["this job's data", 7n, "bafy", MARKET, "0", true],
      ["another job's", 8n, "bafy", MARKET, "0", false],
      ["other data", 7n, "bafz", MARKET, "0", false],
      ["through another contract", 7n, "bafy", ME, "0", false],
      ["and takes coin", 7n, "bafy", MARKET, "1", false],
    ])("%s", (_, job, cid, to, value, right) => {
      const data = encodeFunctionData({ abi: marketAbi, functionName: through, args: [job, cid] });
      expect(announces({ text: "", to, data, value }, through, 7, "bafy", MARKET)).toBe(right);
      expect(announces({ text: "", to, data, value }, other, 7, "bafy", MARKET)).toBe(false);
      expect(announces({ ...call(), value: "0" }, through, 7, "bafy", MARKET)).toBe(false);
    });
  });
});
