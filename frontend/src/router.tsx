/** History routing: the node serves the page for every path that is not the API's. */
import type { ComponentChildren } from "preact";
import { store, useStore } from "./live/store";

export type Route =
  | { page: "market" | "create" | "trainers" }
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
  if (/^\/create\/?$/.test(path)) return { page: "create" };
  if (/^\/trainers\/?$/.test(path)) return { page: "trainers" };
  return { page: "missing" };
}

const path = store(location.pathname);
addEventListener("popstate", () => path.set(location.pathname));

export function usePath(): string {
  return useStore(path);
}

export function go(to: string): void {
  if (to !== location.pathname) history.pushState(null, "", to);
  path.set(to.split("?")[0] ?? to);
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
