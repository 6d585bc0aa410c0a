/** The symbol and decimals of a token, asked of the token itself; its smallest unit until it answered. */

import { useEffect } from "preact/hooks";
import { type Abi, decodeFunctionResult, encodeFunctionData, type Hex, parseAbi } from "viem";
import { COIN, SMALLEST, type Unit, ZERO_ADDRESS } from "../text/amounts";
import { wallet } from "../wallet/wallet";
import { node } from "./node";
import { store, useStore } from "./store";

const abi: Abi = parseAbi(["function symbol() view returns (string)", "function decimals() view returns (uint8)"]);
const known = store<ReadonlyMap<string, Unit>>(new Map());
const asked = new Set<string>();

/** eth_call through the wallet, or the node's own chain. Null where there is neither. */
async function ask(to: string, functionName: "symbol" | "decimals"): Promise<unknown> {
  const params = [{ to, data: encodeFunctionData({ abi, functionName }) }, "latest"];
  const held = wallet.get();
  const rpc = node.get()?.rpc;
  let data: unknown;
  if (held && held.chainId === node.get()?.chain_id) data = await held.provider.request({ method: "eth_call", params });
  else if (rpc) {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_call", params });
    const answer = await fetch(rpc, { method: "POST", body, headers: { "content-type": "application/json" } });
    data = ((await answer.json()) as { result?: unknown }).result;
  } else return null;
  return decodeFunctionResult({ abi, functionName, data: data as Hex });
}

/** False where nobody could be asked. */
async function learn(token: string): Promise<boolean> {
  const [symbol, decimals] = await Promise.all([ask(token, "symbol"), ask(token, "decimals")]);
  if (symbol === null || decimals === null) return false;
  // A token chooses its own symbol: it may not pass for the coin.
  if (typeof symbol !== "string" || typeof decimals !== "number" || decimals > 36) return true;
  const shown = symbol.replace(/[^\w$.-]/g, "").slice(0, 12) || "token";
  known.set(
    new Map(known.get()).set(token, { symbol: /^eth(er)?$/i.test(shown) ? `${shown} token` : shown, decimals }),
  );
  return true;
}

export function useUnit(token: string | undefined): Unit {
  const units = useStore(known);
  const held = useStore(wallet);
  const facts = useStore(node);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a wallet or a chain that has come can be asked
  useEffect(() => {
    if (!token || token === ZERO_ADDRESS || asked.has(token)) return;
    asked.add(token);
    learn(token).then(
      (told) => told || asked.delete(token),
      () => asked.delete(token),
    );
  }, [token, held, facts]);
  if (!token || token === ZERO_ADDRESS) return COIN;
  return units.get(token) ?? SMALLEST;
}
