/** State that a reload of the tab does not lose. It ends with the browser's session, as the token does. */
import { useEffect, useState } from "preact/hooks";

export function useKept<T>(key: string, initial: T): [T, (change: (old: T) => T) => void] {
  const place = `merit.kept.${key}`;
  const [value, setValue] = useState<T>(() => {
    try {
      const kept = sessionStorage.getItem(place);
      return kept === null ? initial : (JSON.parse(kept) as T);
    } catch {
      return initial;
    }
  });
  useEffect(() => {
    try {
      sessionStorage.setItem(place, JSON.stringify(value));
    } catch {
      // There is no room for it: it is lost with a reload, and nothing else is.
    }
  }, [place, value]);
  return [value, setValue];
}
