/** Chain time, ticking by this machine's clock between two answers of the node. */
import { useEffect, useState } from "preact/hooks";
import { store, useStore } from "./store";

/** Seconds that the chain is ahead of this machine. */
const ahead = store(0);

export function setChainTime(now: number): void {
  ahead.set(Math.round(now - Date.now() / 1000));
}

const tick = store(Math.floor(Date.now() / 1000));
let timer: ReturnType<typeof setInterval> | undefined;
let users = 0;

export function useNow(): number {
  const [, refresh] = useState(0);
  const offset = useStore(ahead);
  useEffect(() => {
    users += 1;
    timer ??= setInterval(() => tick.set(Math.floor(Date.now() / 1000)), 1000);
    const stop = tick.subscribe(() => refresh(tick.get()));
    return () => {
      stop();
      users -= 1;
      if (users === 0) {
        clearInterval(timer);
        timer = undefined;
      }
    };
  }, []);
  return Math.floor(Date.now() / 1000) + offset;
}
