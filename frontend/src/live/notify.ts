/** Browser notifications: off until the reader asks for them, made by this page alone while a tab is open. */
import { useEffect, useRef } from "preact/hooks";
import { formatAmount } from "../text/amounts";
import { REASON_WORDS } from "../text/happened";
import { type Need, needsOf } from "../text/needs";
import { useNow } from "./clock";
import { useNews } from "./events";
import { store, useStore } from "./store";
import { unitOf } from "./unit";
import { useAccounts, useWork } from "./work";

const KEY = "merit.notify";

export type Notifying = "on" | "off" | "blocked" | "impossible";

function current(): Notifying {
  if (typeof Notification === "undefined") return "impossible";
  if (Notification.permission === "denied") return "blocked";
  try {
    return localStorage.getItem(KEY) === "on" && Notification.permission === "granted" ? "on" : "off";
  } catch {
    return "off";
  }
}

const notifying = store<Notifying>(current());
export const useNotifying = () => useStore(notifying);

function keep(wanted: boolean): void {
  try {
    if (wanted) localStorage.setItem(KEY, "on");
    else localStorage.removeItem(KEY);
  } catch {
    // nothing is kept here: it holds for this tab
  }
}

/** Called by a click only: browsers ask their reader then. */
export async function turnOn(): Promise<void> {
  if (typeof Notification === "undefined") return;
  const allowed = await Notification.requestPermission();
  keep(allowed === "granted");
  notifying.set(allowed === "granted" ? "on" : allowed === "denied" ? "blocked" : "off");
}

export function turnOff(): void {
  keep(false);
  notifying.set(current());
}

/** Hears that another tab has turned them on or off. */
export function shareNotifying(place: Window): void {
  place.addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) notifying.set(current());
  });
}

/** tag: the same in every tab, so that the browser shows it once. */
function notify(title: string, body: string, tag: string, open: () => void): void {
  try {
    const shown = new Notification(title, { body, tag: `merit ${tag}` });
    shown.onclick = () => {
      window.focus();
      open();
      shown.close();
    };
  } catch {
    notifying.set("impossible"); // browsers of phones have the class, but let no page use it
  }
}

const TITLES: Record<Need["kind"], string> = { due: "It waits for you", trouble: "Trouble", pay: "Pay" };

/** Those that were not there before; none the first time, since the page shows what there is. */
export function fresh(before: ReadonlySet<string> | null, needs: Need[]): Need[] {
  return before === null ? [] : needs.filter(({ key }) => !before.has(key));
}

/** Tells of what comes to need the reader, and of what is credited: in a part that is there as long as they are on. */
export function useNotifications(go: (to: string) => void): void {
  const work = useWork().data;
  const accounts = useAccounts();
  const now = useNow();
  const seen = useRef<Set<string> | null>(null);
  useEffect(() => {
    if (!work) return;
    const needs = needsOf(work, now);
    for (const each of fresh(seen.current, needs))
      notify(each.job ? `${TITLES[each.kind]}: ${each.job}` : TITLES[each.kind], each.text, each.key, () =>
        go(each.to),
      );
    seen.current = new Set(needs.map(({ key }) => key));
  }, [work, now, go]);
  useNews(async (news) => {
    if (news.type !== "chain" || news.news.kind !== "Credited") return;
    const { job_id, transaction, values } = news.news;
    const payee = String(values.payee).toLowerCase();
    if (!accounts.some((account) => account.toLowerCase() === payee)) return;
    const amount = formatAmount(String(values.amount), await unitOf(String(values.token)));
    const reason = REASON_WORDS[values.reason as keyof typeof REASON_WORDS];
    notify(`Credited: ${amount}`, `Job ${job_id}: ${reason}.`, `${transaction} ${values.reason}`, () =>
      go(`/pay/${payee}`),
    );
  });
}
