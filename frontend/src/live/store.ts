/** A value that components follow: the few things that belong to the page as a whole. */
import { useEffect, useState } from "preact/hooks";

export type Store<T> = { get: () => T; set: (value: T) => void; subscribe: (look: () => void) => () => void };

export function store<T>(initial: T): Store<T> {
  let value = initial;
  const lookers = new Set<() => void>();
  return {
    get: () => value,
    set: (next) => {
      if (Object.is(next, value)) return;
      value = next;
      for (const look of [...lookers]) look();
    },
    subscribe: (look) => {
      lookers.add(look);
      return () => lookers.delete(look);
    },
  };
}

export function useStore<T>(from: Store<T>): T {
  const [value, setValue] = useState(from.get);
  useEffect(() => {
    setValue(() => from.get());
    return from.subscribe(() => setValue(() => from.get()));
  }, [from]);
  return value;
}
