/** The node's token comes in the address that `merit up` printed, and leaves the address bar at once. */
import { store } from "./store";

const KEY = "merit.token";

export const token = store<string | null>(null);

/** Moves `#token=…` to this tab's session storage: it is not in the history, nor in what is copied from the bar. */
export function takeToken(place: Location, history: History, kept: Storage): void {
  const given = /^#token=([A-Za-z0-9_-]{16,200})$/.exec(place.hash)?.[1];
  if (given) {
    kept.setItem(KEY, given);
    history.replaceState(null, "", place.pathname + place.search);
  }
  token.set(kept.getItem(KEY));
}

export function dropToken(kept: Storage): void {
  kept.removeItem(KEY);
  token.set(null);
}
