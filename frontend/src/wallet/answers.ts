/** Wallets' answers as values: each may be missing, null, or spelled in a way of its own. */
import { type Address, getAddress, type Hex } from "viem";

/** "0x7A69", "0x07a69", "31337", 31337 or 31337n as a number; null for what is none. */
export function quantity(value: unknown): bigint | null {
  if (typeof value === "bigint") return value >= 0n ? value : null;
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : null;
  if (typeof value !== "string" || !/^(0[xX][0-9a-fA-F]{1,64}|\d{1,77})$/.test(value.trim())) return null;
  return BigInt(value.trim().toLowerCase());
}

/** A chain's number, also as "eip155:1" (CAIP-2) or `{ chainId }`; 0, which no chain has, for what is none. */
export function chainIdOf(value: unknown): number {
  const inner = value && typeof value === "object" ? (value as { chainId?: unknown }).chainId : value;
  const text = typeof inner === "string" ? inner.trim().replace(/^eip155:/i, "") : inner;
  const found = quantity(text);
  return found === null || found > BigInt(Number.MAX_SAFE_INTEGER) ? 0 : Number(found);
}

export function addressOf(accounts: unknown): Address | null {
  const list = Array.isArray(accounts) ? accounts : [accounts];
  const first: unknown = list[0];
  if (typeof first !== "string") return null;
  const bare = first
    .trim()
    .replace(/^eip155:\d+:/i, "")
    .toLowerCase();
  return /^0x[0-9a-f]{40}$/.test(bare) ? getAddress(bare) : null;
}

export const isHash = (value: unknown): value is Hex => typeof value === "string" && /^0x[0-9a-fA-F]{64}$/.test(value);

/** What a wallet gave for a transaction: its hash, some other name for it, or "" for nothing. */
export function nameOf(value: unknown): string {
  if (typeof value === "string") return value.slice(0, 200);
  if (!value || typeof value !== "object") return "";
  const { hash, transactionHash, safeTxHash, id } = value as Record<string, unknown>;
  const named = [hash, transactionHash, safeTxHash, id].find((each) => typeof each === "string");
  return typeof named === "string" ? named.slice(0, 200) : "";
}

export type Log = { address: string; topics: string[] };
export type Receipt = {
  hash: Hex | null;
  ok: boolean;
  block: bigint;
  gas: bigint | null;
  fee: bigint | null;
  logs: Log[];
};

/** A receipt, of which only whether it went through and its block have to be there. */
export function receiptOf(value: unknown): Receipt | null {
  if (!value || typeof value !== "object") return null;
  const { status, blockNumber, gasUsed, effectiveGasPrice, logs, transactionHash } = value as Record<string, unknown>;
  const block = quantity(blockNumber);
  const went = quantity(status);
  if (block === null || went === null) return null;
  const gas = quantity(gasUsed);
  const price = quantity(effectiveGasPrice);
  const whole = (Array.isArray(logs) ? logs : []).filter(
    (log): log is Log => typeof log?.address === "string" && Array.isArray(log?.topics),
  );
  return {
    hash: isHash(transactionHash) ? transactionHash : null,
    ok: went === 1n,
    block,
    gas,
    fee: gas === null || price === null ? null : gas * price,
    logs: whole,
  };
}
