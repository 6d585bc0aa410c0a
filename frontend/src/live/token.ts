/** The node's token comes in the address that `merit up` printed, and leaves the address bar at once.
 *
 * It stays in the session storage of a tab, so that it ends with the browser's session and does not lie on disk for
 * whatever is served at this address later, as it would in local storage. Other tabs of the same origin ask for it over
 * a BroadcastChannel, which no other origin can hear: a new tab acts as long as one that may act is open.
 */
import { store } from "./store";

const KEY = "merit.token";
const SHAPE = /^[A-Za-z0-9_-]{16,200}$/;

export const token = store<string | null>(null);

/** Moves `#token=…` to this tab's session storage: it is not in the history, nor in what is copied from the bar.
 * Whether there was one. */
export function takeToken(place: Location, history: History, kept: Storage): boolean {
  const given = /^#token=([A-Za-z0-9_-]{16,200})$/.exec(place.hash)?.[1];
  if (given) {
    kept.setItem(KEY, given);
    history.replaceState(null, "", place.pathname + place.search);
  }
  token.set(kept.getItem(KEY));
  return given !== undefined;
}

type Said = { ask?: boolean; token?: string; fresh?: boolean };
type Channel = Pick<BroadcastChannel, "postMessage" | "addEventListener">;

/** Gives the token to tabs that have none, and asks for it where this one has none. fresh: it came in the address just
 * now, so that it is the one that holds. */
export function shareToken(channel: Channel, kept: Storage, fresh: boolean, page: Document): void {
  const tell = (more: Said = {}) => {
    const held = token.get();
    channel.postMessage(held ? { token: held, ...more } : { ask: true });
  };
  channel.addEventListener("message", (event) => {
    const said = (event as MessageEvent<Said | null>).data;
    if (said?.ask && token.get()) tell();
    if (typeof said?.token !== "string" || !SHAPE.test(said.token)) return;
    if (token.get() && !said.fresh) return;
    kept.setItem(KEY, said.token);
    token.set(said.token);
  });
  // The browser may have put the other tabs to sleep: whoever looks at this one again asks again.
  page.addEventListener("visibilitychange", () => {
    if (page.visibilityState === "visible" && !token.get()) tell();
  });
  tell({ fresh });
}
