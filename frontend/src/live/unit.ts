/** How amounts of a token are written: by what the token says of itself, which the node asks and bounds. Its smallest
 * unit until it has answered, and where it does not say. */

import { useEffect } from "preact/hooks";
import { COIN, SMALLEST, type Unit, ZERO_ADDRESS } from "../text/amounts";
import { get } from "./api";
import { store, useStore } from "./store";

const known = store<ReadonlyMap<string, Unit>>(new Map());
const asked = new Set<string>();

async function learn(token: string): Promise<Unit> {
  const { symbol, decimals } = await get("/api/tokens/{token}", { token });
  // A token without decimals keeps its name: amounts are then in units of it.
  const unit = decimals === null ? { symbol: `units of ${symbol}`, decimals: 0, unknown: true } : { symbol, decimals };
  known.set(new Map(known.get()).set(token, unit));
  return unit;
}

/** A token's unit, once it is known; the smallest where the node does not say. */
export async function unitOf(token: string): Promise<Unit> {
  if (token === ZERO_ADDRESS) return COIN;
  return known.get().get(token) ?? (await learn(token).catch(() => SMALLEST));
}

export function useUnit(token: string | undefined): Unit {
  const units = useStore(known);
  useEffect(() => {
    if (!token || token === ZERO_ADDRESS || asked.has(token)) return;
    asked.add(token);
    learn(token).catch(() => asked.delete(token));
  }, [token]);
  if (!token || token === ZERO_ADDRESS) return COIN;
  return units.get(token) ?? SMALLEST;
}
