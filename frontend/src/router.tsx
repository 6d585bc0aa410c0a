/** History routing: the node serves the page for every path that is not the API's. A way back leads to where one was:
 * each entry of the history remembers how far it was scrolled, and filters are in the address. */
import type { ComponentChildren } from "preact";
import { store, useStore } from "./live/store";

export type Route =
  | { page: "market" | "create" | "work" | "node" }
  | { page: "job" | "join"; jobId: number }
  | { page: "pay"; payee: string | null }
  | { page: "audit"; jobId: number | null }
  | { page: "transaction"; hash: string }
  | { page: "missing" };

export function routeOf(path: string): Route {
  const job = /^\/job\/([1-9]\d{0,15})(\/join)?\/?$/.exec(path);
  if (job) return { page: job[2] ? "join" : "job", jobId: Number(job[1]) };
  const audit = /^\/audit(?:\/([1-9]\d{0,15}))?\/?$/.exec(path);
  if (audit) return { page: "audit", jobId: audit[1] ? Number(audit[1]) : null };
  const pay = /^\/pay(?:\/(0x[0-9a-fA-F]{40}))?\/?$/.exec(path);
  if (pay) return { page: "pay", payee: pay[1] ?? null };
  const hash = /^\/tx\/(0x[0-9a-fA-F]{64})$/.exec(path)?.[1];
  if (hash) return { page: "transaction", hash };
  if (path === "/" || path === "") return { page: "market" };
  const plain = /^\/(create|work|node)\/?$/.exec(path)?.[1];
  if (plain) return { page: plain as "create" | "work" | "node" };
  if (/^\/trainers\/?$/.test(path)) return { page: "work" }; // as it was called before
  return { page: "missing" };
}

const path = store(location.pathname);
const query = store(location.search);

function follow(): void {
  query.set(location.search);
  path.set(location.pathname);
}

const SCROLL_MS = 200;
const RESTORE_MS = 3000;

/** Scrolls as soon as the page is long enough; whoever scrolls meanwhile is let be. */
function restore(top: number): void {
  if (top === 0) {
    scrollTo(0, 0);
    return;
  }
  const end = Date.now() + RESTORE_MS;
  const stop = new AbortController();
  for (const what of ["wheel", "touchstart", "keydown", "pointerdown"])
    addEventListener(what, () => stop.abort(), { signal: stop.signal });
  const look = () => {
    if (stop.signal.aborted) return;
    const there = document.documentElement.scrollHeight >= top + innerHeight;
    if (there || Date.now() > end) {
      stop.abort();
      scrollTo(0, top);
    } else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

const keepScroll = () => history.replaceState({ ...history.state, scroll: Math.round(scrollY) }, "");

/** Called once, at the start. */
export function startRouting(): void {
  history.scrollRestoration = "manual";
  let timer: ReturnType<typeof setTimeout> | undefined;
  addEventListener("scroll", () => {
    clearTimeout(timer);
    timer = setTimeout(keepScroll, SCROLL_MS);
  });
  addEventListener("popstate", (event) => {
    clearTimeout(timer);
    follow();
    restore(Number(event.state?.scroll) || 0);
  });
  restore(Number(history.state?.scroll) || 0);
}

export function usePath(): string {
  return useStore(path);
}

/** The part of the address behind "?". */
export function useQuery(): string {
  return useStore(query);
}

/** Changes that part only; it makes no new entry in the history. Empty values are left out. */
export function setQuery(values: Record<string, string>): void {
  const given = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "")).toString();
  history.replaceState(history.state, "", location.pathname + (given && `?${given}`));
  follow();
}

export function go(to: string): void {
  if (to !== location.pathname + location.search) {
    keepScroll();
    history.pushState(null, "", to);
  }
  follow();
  scrollTo(0, 0);
  // The next page's heading takes the focus, so that a screen reader says where one is.
  requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true }));
}

type LinkProps = { to: string; children: ComponentChildren; class?: string; current?: boolean };

export function Link({ to, children, class: name, current }: LinkProps) {
  const follow = (event: MouseEvent) => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    event.preventDefault();
    go(to);
  };
  return (
    <a href={to} onClick={follow} class={name} aria-current={current ? "page" : undefined}>
      {children}
    </a>
  );
}
