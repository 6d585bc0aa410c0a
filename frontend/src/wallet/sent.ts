/** What was sent with a wallet, remembered from before the wallet was asked: a page that is closed or reloaded meanwhile,
 * and every other tab, finds it again. It holds nothing secret, so it lies in the local storage of the page's origin. */
import type { Address, Hex } from "viem";
import { node } from "../live/node";
import { store, useStore } from "../live/store";
import { addressOf } from "./answers";

/** asked: the wallet has not said yet whether it sent it. */
export type SentState = "asked" | "waiting" | "done" | "failed" | "replaced";

export type Sent = {
  id: string;
  /** What the wallet gave for it: a hash, or what a contract wallet calls its proposal; null before. */
  name: string | null;
  text: string;
  account: Address;
  chainId: number;
  market: string;
  /** When, in milliseconds by this machine's clock. */
  at: number;
  state: SentState;
  /** The account is a contract, whose transactions are sent by others. */
  contract: boolean;
  nonce: number | null;
  /** Of a new job: its description, and the newest job before it, by which it can be told among the owner's. */
  creation: { cid: string; after: number } | null;
  job: number | null;
  block: number | null;
  reason: string | null;
};

const KEY = "merit.sent";
const KEPT = 60;
/** After which a wallet that never answered is taken to have sent nothing. */
const ASKED_MS = 3_600_000;

function usable(entry: Partial<Sent>): boolean {
  const texts = [entry.id, entry.text, entry.state, entry.market];
  return texts.every((text) => typeof text === "string") && addressOf(entry.account) !== null;
}

function read(): Sent[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? (kept as Sent[]).filter((entry) => entry && usable(entry)).slice(0, KEPT) : [];
  } catch {
    return [];
  }
}

export const sent = store<Sent[]>(read());

/** From the storage and back, so that what another tab wrote meanwhile stays. */
function write(change: (list: Sent[]) => Sent[]): void {
  let base = sent.get();
  try {
    if (localStorage.getItem(KEY) !== null) base = read();
  } catch {
    // no storage here: this tab alone remembers
  }
  const next = change(base);
  const kept = next.filter((entry, at) => at < KEPT || isOpen(entry));
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // full, or none: as above
  }
  sent.set(kept);
}

let made = 0;

export function remember(
  asked: Omit<Sent, "id" | "at" | "name" | "state" | "nonce" | "job" | "block" | "reason">,
): Sent {
  made += 1;
  const id = `${Date.now()}-${made}-${Math.random().toString(36).slice(2, 8)}`;
  const fresh = { name: null, state: "asked" as const, nonce: null, job: null, block: null, reason: null };
  const entry: Sent = { ...asked, ...fresh, id, at: Date.now() };
  write((list) => [entry, ...list]);
  return entry;
}

export function change(id: string, part: Partial<Sent>): void {
  write((list) => list.map((entry) => (entry.id === id ? { ...entry, ...part } : entry)));
}

export function forgetSent(id: string): void {
  write((list) => list.filter((entry) => entry.id !== id));
}

export const isOpen = (entry: Sent) => entry.state === "asked" || entry.state === "waiting";

/** Those of this node's chain and market; what the wallet was asked long ago and nobody found is dropped. */
export function here(list: Sent[], place: { chain_id: number; market: string } | null): Sent[] {
  return list.filter(
    (entry) =>
      entry.chainId === place?.chain_id &&
      entry.market.toLowerCase() === place.market.toLowerCase() &&
      !(entry.state === "asked" && Date.now() - entry.at > ASKED_MS),
  );
}

export function useSent(): Sent[] {
  return here(useStore(sent), useStore(node));
}

/** A creation of this account that is still open: another one would escrow again. */
export function openCreation(account: string): Sent | null {
  const mine = here(sent.get(), node.get()).filter((each) => each.account.toLowerCase() === account.toLowerCase());
  return mine.find((entry) => entry.creation !== null && isOpen(entry)) ?? null;
}

/** Hears what other tabs remember. */
export function shareSent(place: Window): void {
  place.addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) sent.set(read());
  });
}

export type Kept = { text: string; market: Hex; creation?: Sent["creation"] };
