import type { Hex } from "viem";
import { wallet } from "../src/wallet/wallet";

export const HASH = `0x${"ab".repeat(32)}` as const;
export const RECEIPT = { status: "0x1", gasUsed: "0x5208", effectiveGasPrice: "0x1", blockNumber: "0x1", logs: [] };

/** What a wallet answers, by method, when all goes well. */
export const ANSWERS: Record<string, unknown> = {
  eth_chainId: "0x7a69",
  eth_getBalance: "0xde0b6b3a7640000",
  eth_call: "0x",
  eth_estimateGas: "0x5208",
  eth_gasPrice: "0x1",
  eth_sendTransaction: HASH,
  eth_getTransactionReceipt: RECEIPT,
};

/** Connects a wallet that confirms whatever it is asked; what it was asked to send is added to `sent`. */
export function connect(account: Hex, sent: { data: Hex; to: Hex }[]) {
  const request = async ({ method, params }: { method: string; params?: unknown }) => {
    if (method === "eth_sendTransaction") sent.push((params as { data: Hex; to: Hex }[])[0] as { data: Hex; to: Hex });
    return ANSWERS[method];
  };
  wallet.set({ id: "test", name: "Test", provider: { request }, account, chainId: 31337 });
}
