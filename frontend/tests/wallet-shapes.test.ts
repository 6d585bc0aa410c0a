/** Wallets in every dress: what they throw in layers, answer in odd spellings, leave out, or are: contracts. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { JobSummary } from "../src/live/api";
import { node } from "../src/live/node";
import { addressOf, chainIdOf, nameOf, quantity, receiptOf } from "../src/wallet/answers";
import { outcomeOf } from "../src/wallet/outcome";
import type { Provider } from "../src/wallet/providers";
import { explain, kindOf } from "../src/wallet/refusals";
import { openCreation, type Sent, sent } from "../src/wallet/sent";
import { type Step, send } from "../src/wallet/transaction";
import { connect, switchChain, wallet } from "../src/wallet/wallet";

const ME = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8" as const;
const MARKET = "0x5FbDB2315678afecb367f032d93F642f64180aa3" as const;
const HASH = `0x${"ab".repeat(32)}` as const;
const RECEIPT = { status: "0x1", gasUsed: "0x5208", effectiveGasPrice: "0x1", blockNumber: "0x9", logs: [] };
const soon = () => Promise.resolve();

type Answers = Record<string, unknown>;

function fake(answers: Answers): { provider: Provider; asked: string[] } {
  const usual: Answers = {
    eth_requestAccounts: [ME],
    eth_accounts: [ME],
    eth_chainId: "0x7a69",
    eth_getBalance: "0xde0b6b3a7640000",
    eth_getCode: "0x",
    eth_call: "0x",
    eth_estimateGas: "0x5208",
    eth_gasPrice: "0x1",
    eth_sendTransaction: HASH,
    eth_getTransactionReceipt: RECEIPT,
    wallet_switchEthereumChain: null,
    wallet_addEthereumChain: null,
  };
  const asked: string[] = [];
  const request = async ({ method }: { method: string }) => {
    asked.push(method);
    const given = { ...usual, ...answers }[method];
    const answer = typeof given === "function" ? (given as () => unknown)() : given;
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { provider: { request }, asked };
}

const thrown = (code: unknown, message: string, more: object = {}) =>
  Object.assign(new Error(message), { code, ...more });

async function run(answers: Answers, chainId = 31337, creation: Sent["creation"] = null) {
  const { provider, asked } = fake(answers);
  wallet.set({ id: "test", name: "Test", provider, account: ME, chainId });
  const steps: Step[] = [];
  const kept = { text: "Create the job “A”", market: MARKET, creation };
  const place = { chainId: 31337, rpc: "http://127.0.0.1:8545" };
  const last = await send({ to: MARKET, data: "0x", value: 10n }, place, (step) => steps.push(step), soon, kept);
  return { last, steps, asked };
}

/** What the node's API answers, by path. */
function api(answers: Record<string, unknown>): void {
  node.set({ chain_id: 31337, market: MARKET, rpc: null } as NonNullable<ReturnType<typeof node.get>>);
  vi.stubGlobal("fetch", async (url: string) => {
    const path = Object.keys(answers).find((each) => url.startsWith(each));
    return path ? Response.json(answers[path]) : Response.json({ detail: "no" }, { status: 404 });
  });
}

const jobs = (...found: Partial<JobSummary>[]) => ({ items: found, next: null, total: found.length });

beforeEach(() => {
  vi.unstubAllGlobals();
  localStorage.clear();
  sent.set([]);
  wallet.set(null);
  node.set(null);
});

describe("an unknown chain is added, wherever the wallet says so", () => {
  test.each([
    ["plainly", thrown(4902, "Unrecognized chain ID")],
    ["as a text", thrown("4902", "Unrecognized chain")],
    ["in data.originalError", thrown(-32603, "Unrecognized chain ID", { data: { originalError: { code: 4902 } } })],
    ["in error.data", thrown(-32603, "Internal", { error: { data: { code: 4902 } } })],
    ["in cause.cause", thrown(-32603, "x", { cause: { cause: { code: 4902 } } })],
    ["in info.error", thrown("UNKNOWN_ERROR", "could not coalesce error", { info: { error: { code: 4902 } } })],
    ["in JSON in the message", thrown(-32603, 'Internal JSON-RPC error.\n{"code": 4902, "message": "no"}')],
    ["in JSON in a body", thrown(-32000, "x", { body: '{"error":{"code":4902}}' })],
    ["in words only", thrown(-32603, "Try adding the chain using wallet_addEthereumChain first.")],
  ])("%s", async (_, error) => {
    let added = false;
    const { last, asked } = await run(
      {
        eth_chainId: () => (added ? "0x7a69" : "0x1"),
        wallet_switchEthereumChain: () => (added ? null : error),
        wallet_addEthereumChain: () => {
          added = true;
          return null;
        },
      },
      1,
    );
    expect(asked).toContain("wallet_addEthereumChain");
    expect(last.at).toBe("done");
  });

  test("and a wallet that changes slowly is waited for", async () => {
    let looks = 0;
    const { provider } = fake({ eth_chainId: () => (++looks < 3 ? "0x1" : "0x7A69") });
    wallet.set({ id: "t", name: "T", provider, account: ME, chainId: 1 });
    expect(await switchChain(wallet.get() as NonNullable<ReturnType<typeof wallet.get>>, 31337, null, soon)).toBeNull();
    expect(wallet.get()?.chainId).toBe(31337);
  });

  test("and where a page cannot switch it, the reader is told to", async () => {
    const { last } = await run(
      { eth_chainId: "0x1", wallet_switchEthereumChain: thrown(-32601, "Method not found") },
      1,
    );
    expect((last as { reason: string }).reason).toContain("change it there to chain 31337");
  });
});

describe("a request that was declined is told apart, wherever the wallet says so", () => {
  test.each([
    ["plainly", thrown(4001, "no")],
    ["in data", thrown(-32603, "Internal", { data: { code: 4001 } })],
    ["in cause", thrown(-32000, "x", { cause: { code: 4001 } })],
    ["by WalletConnect", thrown(5000, "User rejected.")],
    ["by ethers", thrown("ACTION_REJECTED", "user rejected action")],
    ["in words only", thrown(-32603, "MetaMask Tx Signature: User denied transaction signature.")],
    ["without a code", new Error("User rejected the request")],
  ])("%s", async (_, error) => {
    const { last } = await run({ eth_sendTransaction: error });
    expect(last.at).toBe("declined");
    expect(sent.get()).toEqual([]);
  });
});

describe("what a wallet throws", () => {
  test.each([
    [thrown(-32002, "Request of type 'wallet_requestPermissions' already pending"), "busy"],
    [thrown(-32603, "x", { data: { code: -32002, message: "Already processing" } }), "busy"],
    [thrown(-32002, "request timed out"), null],
    [thrown(-32603, "x", { originalError: { code: 4900 } }), "disconnected"],
    [thrown(4100, "x"), "not allowed"],
    [null, null],
    ["text", null],
  ] as const)("%o is %s", (error, kind) => expect(kindOf(error)).toBe(kind));

  test("is bounded: deep, wide, circular, and throwing fields", () => {
    const deep: Record<string, unknown> = {};
    let at = deep;
    for (let depth = 0; depth < 10_000; depth += 1) at = at.cause = {} as Record<string, unknown>;
    const wide = Object.fromEntries(["data", "cause", "error", "info"].map((name) => [name, deep]));
    const circular: Record<string, unknown> = { data: wide };
    circular.error = circular;
    Object.defineProperty(circular, "cause", {
      get: () => {
        throw new Error("no");
      },
    });
    expect(explain(circular)).toContain("did not say");
    expect(explain({ message: `{${"[".repeat(100_000)}` })).toContain("The wallet answered");
  });
});

describe("what a wallet answers", () => {
  test.each([
    ["0x7A69", 31337],
    ["0x07a69", 31337],
    ["31337", 31337],
    [31337, 31337],
    [31337n, 31337],
    ["eip155:31337", 31337],
    [{ chainId: "0x7a69" }, 31337],
    [null, 0],
    [undefined, 0],
    ["", 0],
    [-1, 0],
    [`0x${"f".repeat(64)}`, 0],
  ])("%o is chain %i", (given, chain) => expect(chainIdOf(given)).toBe(chain));

  test("is an address in any spelling, and nothing else", () => {
    for (const given of [[ME], ME, [ME.toLowerCase()], [`eip155:1:${ME}`]]) expect(addressOf(given)).toBe(ME);
    for (const given of [null, [], [null], ["0x12"], {}]) expect(addressOf(given)).toBeNull();
  });

  test("is a receipt without what it leaves out", () => {
    expect(receiptOf({ status: 1, blockNumber: 7 })).toMatchObject({ ok: true, block: 7n, gas: null, fee: null });
    expect(receiptOf({ status: "0x1", blockNumber: "0x7", logs: null })).toMatchObject({ logs: [] });
    for (const odd of [null, {}, { status: "0x1" }, { blockNumber: "0x1" }, "x"]) expect(receiptOf(odd)).toBeNull();
    expect(quantity("1e9")).toBeNull();
    expect(nameOf({ safeTxHash: HASH })).toBe(HASH);
    expect(nameOf(null)).toBe("");
  });

  test("may be nothing for balance, gas and price: the wallet estimates by itself then", async () => {
    const answers = { eth_getBalance: null, eth_estimateGas: null, eth_gasPrice: thrown(-32601, "no such method") };
    const { last, steps } = await run(answers);
    expect(steps.find((step) => step.at === "signing")).toEqual({ at: "signing", fee: null });
    expect(last.at).toBe("done");
  });

  test("may come without events: a chain that changed silently is noticed before anything is signed", async () => {
    const { asked, last } = await run({ eth_chainId: "0x1" });
    expect(asked).toContain("wallet_switchEthereumChain");
    expect(asked).not.toContain("eth_sendTransaction");
    expect(last.at).toBe("failed");
  });

  test("is asked of a wallet that has no `on` and no eth_subscribe", async () => {
    const { provider } = fake({});
    expect(await connect({ id: "bare", name: "Bare", icon: null, provider })).toBeNull();
    expect(wallet.get()).toMatchObject({ account: ME, chainId: 31337 });
  });
});

describe("a contract wallet", () => {
  const SAFE = { eth_getCode: "0x6080", eth_getTransactionReceipt: null };
  const creation = { cid: "bafyjob", after: 6 };

  test("gives no transaction's hash, which is said, and its job is found in the market", async () => {
    let looks = 0;
    api({});
    vi.stubGlobal("fetch", async (url: string) => {
      if (!url.startsWith("/api/jobs")) return Response.json({ state: "unknown", nonce: null });
      looks += 1;
      const other = { job_id: 6, spec_cid: "bafyjob", owner: ME };
      return Response.json(looks < 3 ? jobs(other) : jobs({ ...other, job_id: 7 }, other));
    });
    const { last, steps } = await run(SAFE, 31337, creation);
    expect(steps.find((step) => step.at === "pending")).toMatchObject({ contract: true });
    expect(last).toMatchObject({ at: "done", job: 7, hash: null });
    expect(sent.get()[0]).toMatchObject({ state: "done", job: 7 });
  });

  test("tells by EIP-5792 what was sent in the end", async () => {
    api({ "/api/transactions": { state: "unknown", nonce: null } });
    const other = `0x${"cd".repeat(32)}`;
    const { last } = await run({
      ...SAFE,
      wallet_getCallsStatus: { status: 200, receipts: [{ ...RECEIPT, transactionHash: other }] },
    });
    expect(last).toMatchObject({ at: "done", hash: other });
  });

  test("is not what a plain key is that lends itself a contract (EIP-7702)", async () => {
    const { steps } = await run({ eth_getCode: `0xef0100${"11".repeat(20)}` });
    expect(steps.find((step) => step.at === "pending")).toMatchObject({ contract: false });
  });
});

describe("what was sent", () => {
  const creation = { cid: "bafyjob", after: 6 };
  const lost = { eth_sendTransaction: new Error("Failed to fetch") };

  test("is remembered before the wallet has answered", async () => {
    let during: Sent[] = [];
    await run({
      eth_sendTransaction: () => {
        during = JSON.parse(localStorage.getItem("merit.sent") ?? "[]");
        return HASH;
      },
    });
    expect(during).toMatchObject([{ state: "asked", text: "Create the job “A”", account: ME, chainId: 31337 }]);
    expect(sent.get()).toMatchObject([{ state: "done", name: HASH, block: 9 }]);
  });

  test("of a new job whose answer was lost stays open, and stops a repeat", async () => {
    api({});
    const { last } = await run(lost, 31337, creation);
    expect(last.at).toBe("failed");
    expect(openCreation(ME)).toMatchObject({ state: "asked" });
    expect(openCreation(MARKET)).toBeNull();
    expect((await run(lost)).last.at).toBe("failed");
    expect(sent.get()).toHaveLength(1);
  });

  test("is found again without the wallet, by the node", async () => {
    const facts = { state: "done", nonce: 3, block: 12, gas: 5, gas_price: "2", job_id: 7, reason: null };
    api({ "/api/transactions": facts });
    const { last } = await run({ eth_getTransactionReceipt: new Error("Failed to fetch") }, 31337, creation);
    expect(last).toMatchObject({ at: "done", job: 7, block: 12, fee: 10n });
  });

  test("and failed says why in the node's words", async () => {
    const facts = {
      state: "failed",
      nonce: 3,
      block: 12,
      gas: 5,
      gas_price: null,
      job_id: null,
      reason: "It is full.",
    };
    api({ "/api/transactions": facts });
    const { last } = await run({ eth_getTransactionReceipt: null });
    expect(last).toMatchObject({ at: "failed", reason: "It is full." });
    expect(sent.get()[0]).toMatchObject({ state: "failed", reason: "It is full." });
  });

  test("is replaced only once the node has said so three times, and a job sent again is found", async () => {
    let looks = 0;
    let known = false;
    api({});
    vi.stubGlobal("fetch", async (url: string) => {
      if (url.startsWith("/api/jobs"))
        return Response.json(jobs(...(known ? [{ job_id: 8, spec_cid: "bafyjob" }] : [])));
      looks += 1;
      return Response.json({ state: "replaced", nonce: 3 });
    });
    expect((await run({ eth_getTransactionReceipt: null })).last).toMatchObject({ at: "failed" });
    expect(looks).toBe(3);
    expect(sent.get()[0]?.state).toBe("replaced");
    known = true;
    expect((await run({ eth_getTransactionReceipt: null }, 31337, creation)).last).toMatchObject({
      at: "done",
      job: 8,
    });
  });

  test("of somebody else's job with the same description is not taken for it", async () => {
    api({ "/api/jobs": jobs({ job_id: 9, spec_cid: "bafyother" }), "/api/transactions": { state: "unknown" } });
    const entry = { id: "x", name: HASH, account: ME, contract: false, nonce: null, creation, market: MARKET };
    expect(await outcomeOf(entry as unknown as Sent, null)).toBeNull();
  });

  test.each([
    "{",
    "[1]",
    '[{"id":1}]',
    "null",
    '"x"',
    '[{"id":"a","text":"t","state":"done","market":"m","account":"0x1"}]',
  ])("is not upset by %s in the storage", async (rubbish) => {
    localStorage.setItem("merit.sent", rubbish);
    expect((await run({})).last.at).toBe("done");
    expect(sent.get()).toHaveLength(1);
  });

  test("is remembered by this tab where there is no storage", async () => {
    vi.stubGlobal("localStorage", undefined);
    expect((await run({})).last.at).toBe("done");
    expect(sent.get()).toHaveLength(1);
  });
});
