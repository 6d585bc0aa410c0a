/** Who an address is: one's own first, then what the reader called it. The names lie in this browser and go nowhere. */
import { type Names, usableNames } from "../text/names";
import { useWallet } from "../wallet/wallet";
import { useNode, useToken } from "./node";
import { store, useStore } from "./store";

const KEY = "merit.names";

function read(): Names {
  try {
    return usableNames(JSON.parse(localStorage.getItem(KEY) ?? "{}"));
  } catch {
    return {};
  }
}

export const names = store<Names>(read());

/** name: null forgets it. False where this browser keeps nothing. */
export function nameAddress(address: string, name: string | null): boolean {
  const { [address.toLowerCase()]: _, ...others } = read();
  const next = usableNames(name === null ? others : { [address]: name, ...others });
  names.set(next);
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
    return true;
  } catch {
    return false;
  }
}

/** Hears what other tabs name. */
export function shareNames(place: Window): void {
  place.addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) names.set(read());
  });
}

export type Known = { name: string; own: boolean };

/** Who an address is, null where nobody has said. */
export function useNameOf(): (address: string) => Known | null {
  const given = useStore(names);
  const wallet = useWallet();
  const node = useNode();
  const token = useToken();
  return (address) => {
    const asked = address.toLowerCase();
    const is = (other: string | null | undefined) => other?.toLowerCase() === asked;
    if (is(wallet?.account)) return { name: "you", own: true };
    if (is(node?.acts_as?.address)) return { name: token ? "you, by this node" : "this node", own: true };
    if (is(node?.aggregator?.address)) return { name: "this node's aggregator", own: true };
    if (is(node?.market)) return { name: "the market", own: true };
    const name = given[asked];
    return name ? { name, own: false } : null;
  };
}
