/** What happened in a job, or in the market, newest first: page by page, and followed. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get, type Happened } from "./api";
import { useNews } from "./events";
import type { Resource } from "./resource";

export type Page = { items: Happened[]; next: number | null };

const PAGE = 10;
const SETTLE_MS = 300;

/** What is shown with the newest page in front of it; that page alone where there is more between them than it has. */
export function joined(old: Page | undefined, first: Page): Page {
  const oldest = first.items.at(-1)?.seq;
  const newest = old?.items[0]?.seq;
  if (!old || oldest === undefined || newest === undefined) return first;
  if (first.next !== null && oldest > newest) return first;
  return { items: [...first.items, ...old.items.filter((each) => each.seq < oldest)], next: old.next };
}

/** jobId: null for the whole market. */
export function useActivity(jobId: number | null): Resource<Page> & { more: () => void } {
  const [page, setPage] = useState<Page | undefined>(undefined);
  const [error, setError] = useState<ApiError | undefined>(undefined);
  const [loading, setLoading] = useState(true);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const read = useCallback(
    async (before: number | null, afresh: boolean) => {
      setLoading(true);
      try {
        const found = await get("/api/activity", { job_id: jobId, before, limit: PAGE });
        setPage((old) => {
          if (before === null) return joined(afresh ? undefined : old, found);
          // A page that was asked for before the list began anew does not follow it.
          return old?.next === before ? { items: [...old.items, ...found.items], next: found.next } : old;
        });
        setError(undefined);
      } catch (problem) {
        setError(problem instanceof ApiError ? problem : new ApiError(0, String(problem)));
      }
      setLoading(false);
    },
    [jobId],
  );
  useEffect(() => {
    void read(null, true);
    return () => clearTimeout(timer.current);
  }, [read]);
  useNews((news) => {
    const concerns = news.type === "chain" && (jobId === null || news.news.job_id === jobId);
    if (news.type !== "again" && !concerns) return;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => void read(null, news.type === "again"), SETTLE_MS);
  });
  const more = () => void (page?.next && read(page.next, false));
  const reload = () => void read(null, true);
  return { data: page, error, loading, stale: page !== undefined && error !== undefined, reload, more };
}
