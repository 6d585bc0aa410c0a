/** What became of something that was sent: asked of the wallet, of the node's chain, and, for a new job, of the market
 * itself, since contract wallets and wallets that replace what they sent give no hash that ends up in a block. */
import type { Hex } from "viem";
import { ApiError, get } from "../live/api";
import { node } from "../live/node";
import { isHash, type Log, quantity, receiptOf } from "./answers";
import type { Provider } from "./providers";
import { change, here, isOpen, type Sent, sent } from "./sent";

export type Outcome = {
  state: "done" | "failed" | "replaced";
  hash: Hex | null;
  block: number | null;
  gas: bigint | null;
  fee: bigint | null;
  logs: Log[];
  job: number | null;
  reason: string | null;
};

const OVER: Outcome = {
  state: "done",
  hash: null,
  block: null,
  gas: null,
  fee: null,
  logs: [],
  job: null,
  reason: null,
};
const REPLACED =
  "Another transaction of this account took its place: it was cancelled in the wallet, or sent again at another price.";
/** How often in a row the chain's node has to say that another transaction took its place. */
const SURE = 3;
const doubts = new Map<string, number>();

/** The market's first indexed topic is the job. */
function jobOf(logs: Log[], market: string): number | null {
  const log = logs.find((each) => each.address.toLowerCase() === market.toLowerCase());
  const id = quantity(log?.topics[1]);
  return id === null ? null : Number(id);
}

async function byWallet(entry: Sent, provider: Provider): Promise<Outcome | null> {
  const ask = (method: string, params: unknown[]) => provider.request({ method, params });
  let found = isHash(entry.name) ? receiptOf(await ask("eth_getTransactionReceipt", [entry.name])) : null;
  if (!found && entry.contract && entry.name) {
    // EIP-5792: contract wallets tell by the name that they gave what was sent in the end.
    const told = (await ask("wallet_getCallsStatus", [entry.name]).catch(() => null)) as { receipts?: unknown } | null;
    found = receiptOf(Array.isArray(told?.receipts) ? told.receipts.at(-1) : null);
  }
  if (!found) return null;
  const { hash, ok, block, gas, fee, logs } = found;
  const job = entry.creation && ok ? jobOf(logs, entry.market) : null;
  return { ...OVER, state: ok ? "done" : "failed", hash, block: Number(block), gas, fee, logs, job };
}

async function byNode(entry: Sent): Promise<Outcome | null> {
  if (!isHash(entry.name) || !node.get()) return null;
  const { nonce } = entry;
  const found = await get("/api/transactions/{hash}", { hash: entry.name, sender: entry.account, nonce });
  if (nonce === null && typeof found.nonce === "number" && !entry.contract) change(entry.id, { nonce: found.nonce });
  const times = found.state === "replaced" ? (doubts.get(entry.id) ?? 0) + 1 : 0;
  doubts.set(entry.id, times);
  if (times >= SURE) return { ...OVER, state: "replaced", reason: REPLACED };
  if (found.state !== "done" && found.state !== "failed") return null;
  const gas = found.gas === null ? null : BigInt(found.gas);
  const fee = gas === null || found.gas_price === null ? null : gas * BigInt(found.gas_price);
  const { state, block, job_id: job, reason } = found;
  return { ...OVER, state, hash: entry.name, block, gas, fee, job, reason };
}

/** The job that this creation led to, whatever transaction brought it. */
async function byMarket({ creation, account }: Sent): Promise<Outcome | null> {
  if (!creation || !node.get()) return null;
  const { items } = await get("/api/jobs", { search: account, sort: "newest", limit: 50 });
  const job = items.find((each) => each.spec_cid === creation.cid && each.job_id > creation.after);
  return job ? { ...OVER, job: job.job_id } : null;
}

/** Null while it is not decided. Throws what the wallet threw where nobody else knew more. */
export async function outcomeOf(entry: Sent, provider: Provider | null): Promise<Outcome | null> {
  let trouble: unknown = null;
  if (provider) {
    try {
      const found = await byWallet(entry, provider);
      if (found) return found;
    } catch (error) {
      trouble = error;
    }
  }
  try {
    const found = await byNode(entry);
    // A creation that was replaced may have been sent again at another price.
    const job = found === null || found.state === "replaced" ? await byMarket(entry) : null;
    if (job ?? found) return job ?? found;
  } catch (error) {
    trouble ??= error;
  }
  if (trouble) throw trouble;
  return null;
}

export function settle(id: string, outcome: Outcome): void {
  const { state, block, job, reason, hash } = outcome;
  doubts.delete(id);
  change(id, { state, block, job, reason, ...(hash && { name: hash }) });
}

/** Those that `send` looks at itself. */
export const attended = new Set<string>();
const LOOK_MS = 2000;

/** Follows what is still open, in every tab: also after a reload, and without the wallet. */
export function followSent(): void {
  let looking = false;
  const look = async () => {
    if (looking || !node.get()) return;
    looking = true;
    for (const entry of here(sent.get(), node.get()).filter(isOpen)) {
      if (attended.has(entry.id)) continue;
      try {
        const outcome = await outcomeOf(entry, null);
        if (outcome) settle(entry.id, outcome);
      } catch (error) {
        // One that cannot be looked at keeps no other from being followed; it is looked at again.
        if (!(error instanceof ApiError)) console.error(error);
      }
    }
    looking = false;
  };
  setInterval(() => void look(), LOOK_MS);
}
