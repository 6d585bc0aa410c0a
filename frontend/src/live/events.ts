/** The market's news as they happen: one stream for the page, taken up again where it broke off. */
import { useEffect, useRef } from "preact/hooks";
import { authorized, type ChainNews, problemOf, type TrainerNews } from "./api";
import { messages } from "./sse";
import { store } from "./store";
import { token } from "./token";

export type News =
  | { type: "chain"; news: ChainNews }
  | { type: "training"; news: TrainerNews }
  /** Lists have to be read again: the stream was away, or the chain was reorganised. */
  | { type: "again" };

/** live: news arrive. broken: they do not, since when (ms). */
export type Link = { state: "starting" | "live" } | { state: "broken"; since: number; reason: string };

export const link = store<Link>({ state: "starting" });

const listeners = new Set<(news: News) => void>();
const QUIET_MS = 60_000;
let running: AbortController | null = null;

function tell(news: News): void {
  for (const listener of [...listeners]) listener(news);
}

/** Milliseconds before the next try: doubling, from half a second to fifteen. */
export function pause(failures: number): number {
  return Math.min(15_000, 500 * 2 ** Math.min(failures, 5));
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
    addEventListener("online", () => resolve(), { once: true, signal });
  });
}

async function follow(signal: AbortSignal): Promise<void> {
  let last = "";
  let failures = 0;
  while (!signal.aborted) {
    // The node keeps its streams alive with comments; one that is silent for a minute is dead.
    const quiet = new AbortController();
    let timer = setTimeout(() => quiet.abort(), QUIET_MS);
    try {
      const headers = { ...authorized(), ...(last && { "last-event-id": last }) };
      const response = await fetch("/api/events", { headers, signal: AbortSignal.any([signal, quiet.signal]) });
      if (!response.ok) throw await problemOf(response);
      if (failures) tell({ type: "again" });
      failures = 0;
      link.set({ state: "live" });
      const heard = () => {
        clearTimeout(timer);
        timer = setTimeout(() => quiet.abort(), QUIET_MS);
      };
      for await (const message of messages(response, heard)) {
        if (message.id) last = message.id;
        if (message.event === "chain") tell({ type: "chain", news: JSON.parse(message.data) as ChainNews });
        else if (message.event === "training")
          tell({ type: "training", news: JSON.parse(message.data) as TrainerNews });
        else if (message.event === "reset") tell({ type: "again" });
      }
      throw new Error("The node ended the stream.");
    } catch (error) {
      clearTimeout(timer);
      if (signal.aborted) return;
      if (quiet.signal.aborted) continue;
      failures += 1;
      const held = link.get();
      const reason = error instanceof Error ? error.message : String(error);
      link.set({ state: "broken", since: held.state === "broken" ? held.since : Date.now(), reason });
      await sleep(pause(failures), signal);
    }
  }
}

/** Starts the page's stream; again whenever the token changes, since what it may tell depends on it. */
export function startEvents(): void {
  const begin = () => {
    running?.abort();
    running = new AbortController();
    void follow(running.signal);
  };
  token.subscribe(begin);
  begin();
}

export function useNews(listener: (news: News) => void): void {
  const current = useRef(listener);
  current.current = listener;
  useEffect(() => {
    const relay = (news: News) => current.current(news);
    listeners.add(relay);
    return () => {
      listeners.delete(relay);
    };
  }, []);
}
