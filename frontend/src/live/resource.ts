/** Something read from the node: loading, there, failed, or there but stale. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "./api";
import { type News, useNews } from "./events";

export type Resource<T> = {
  data: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
  /** The data are older than the last attempt to read them. */
  stale: boolean;
  reload: () => void;
};

const SETTLE_MS = 150;

/** key: what is read; another key drops the data. when: which news make it read again (a burst once). */
export function useResource<T>(
  key: string | null,
  read: () => Promise<T>,
  when?: (news: News) => boolean,
): Resource<T> {
  const [held, setHeld] = useState<{ key: string | null; data?: T; error?: ApiError; loading: boolean }>({
    key,
    loading: key !== null,
  });
  const reader = useRef(read);
  reader.current = read;
  const turn = useRef(0);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const reload = useCallback(() => {
    if (key === null) return;
    turn.current += 1;
    const mine = turn.current;
    setHeld((old) => (old.key === key ? { ...old, loading: true } : { key, loading: true }));
    reader.current().then(
      (data) => mine === turn.current && setHeld({ key, data, loading: false }),
      (error: unknown) => {
        if (mine !== turn.current) return;
        const shown = error instanceof ApiError ? error : new ApiError(0, String(error));
        setHeld((old) =>
          old.key === key && old.data !== undefined
            ? { key, data: old.data, error: shown, loading: false }
            : { key, error: shown, loading: false },
        );
      },
    );
  }, [key]);

  useEffect(() => {
    if (key === null) setHeld({ key, loading: false });
    reload();
    return () => {
      turn.current += 1;
      clearTimeout(timer.current);
    };
  }, [key, reload]);

  useNews((news) => {
    if (news.type !== "again" && !when?.(news)) return;
    clearTimeout(timer.current);
    timer.current = setTimeout(reload, SETTLE_MS);
  });

  const current = held.key === key;
  const data = current ? held.data : undefined;
  const error = current ? held.error : undefined;
  return {
    data,
    error,
    loading: current ? held.loading : key !== null,
    stale: data !== undefined && error !== undefined,
    reload,
  };
}

/** News of one job. */
export function ofJob(jobId: number): (news: News) => boolean {
  return (news) => news.type === "chain" && news.news.job_id === jobId;
}
