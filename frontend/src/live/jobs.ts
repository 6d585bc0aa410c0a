/** The market's list, page by page. News change what they are about: what was loaded is not read again for them. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get, type JobSummary } from "./api";
import { useNews } from "./events";
import type { Resource } from "./resource";

export const SORTS = ["newest", "reward", "enrol_by"] as const;
export type Sort = (typeof SORTS)[number];
export type Filter = { search: string; state: string; rule: string; sort: Sort };
export type Jobs = { items: JobSummary[]; next: string | null; total: number };

const PAGE = 50;
/** Jobs that one request can ask for by their numbers. */
const AT_ONCE = 200;
const SETTLE_MS = 150;
/** Lists that are kept for who comes back. */
const LISTS = 6;
const kept = new Map<string, Jobs>();

export function orderOf(sort: Sort): (a: JobSummary, b: JobSummary) => number {
  if (sort === "enrol_by") return (a, b) => a.enrol_by - b.enrol_by || a.job_id - b.job_id;
  if (sort === "reward")
    return (a, b) => {
      const [x, y] = [BigInt(a.reward), BigInt(b.reward)];
      return x === y ? b.job_id - a.job_id : x < y ? 1 : -1;
    };
  return (a, b) => b.job_id - a.job_id;
}

/** The list with its first page, and jobs that something happened to, as they are now. asked: the numbers of those; of
 * them, fresh has those that still match. */
export function merged(old: Jobs, first: Jobs, asked: number[], fresh: JobSummary[], sort: Sort): Jobs {
  if (first.next === null || old.items.length === 0) return first;
  const order = orderOf(sort);
  const edge = first.items.at(-1);
  const end = old.next === null ? undefined : old.items.at(-1);
  const gone = new Set(asked);
  const later = (job: JobSummary) => edge !== undefined && order(job, edge) > 0;
  const found = new Map<number, JobSummary>();
  for (const job of old.items) if (later(job) && !gone.has(job.job_id)) found.set(job.job_id, job);
  for (const job of fresh) if (later(job) && (end === undefined || order(job, end) <= 0)) found.set(job.job_id, job);
  const items = [...first.items, ...[...found.values()].sort(order)];
  return { items, next: found.size > 0 || old.next === null ? old.next : first.next, total: first.total };
}

async function refreshed(old: Jobs, filter: Filter, touched: Set<number>): Promise<Jobs> {
  const first = await get("/api/jobs", { ...filter, limit: PAGE });
  const there = new Set(first.items.map((job) => job.job_id));
  const asked = [...touched].filter((id) => !there.has(id));
  const fresh: JobSummary[] = [];
  if (old.items.length > 0 && first.next !== null)
    for (let at = 0; at < asked.length; at += AT_ONCE) {
      const ids = asked.slice(at, at + AT_ONCE).join(",");
      fresh.push(...(await get("/api/jobs", { ...filter, ids, limit: AT_ONCE })).items);
    }
  return merged(old, first, asked, fresh, filter.sort);
}

export function useJobs(filter: Filter): Resource<Jobs> & { more: () => void } {
  const key = JSON.stringify(filter);
  const [held, setHeld] = useState<{ key: string; data?: Jobs; error?: ApiError; loading: boolean }>({
    key,
    loading: true,
    ...(kept.has(key) && { data: kept.get(key) as Jobs }),
  });
  const wanted = useRef(filter);
  wanted.current = filter;
  const touched = useRef(new Set<number>());
  const all = useRef(false);
  const busy = useRef(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const work = useCallback(
    async (read: (old: Jobs) => Promise<Jobs>) => {
      setHeld((old) => ({ ...(old.key === key ? old : { key, data: kept.get(key) }), loading: true }) as typeof old);
      busy.current = true;
      try {
        const data = await read(kept.get(key) ?? { items: [], next: null, total: 0 });
        kept.delete(key);
        kept.set(key, data);
        for (const name of [...kept.keys()].slice(0, -LISTS)) kept.delete(name);
        setHeld((old) => (old.key === key ? { key, data, loading: false } : old));
      } catch (thrown) {
        const error = thrown instanceof ApiError ? thrown : new ApiError(0, String(thrown));
        setHeld((old) => (old.key === key ? { ...old, error, loading: false } : old));
      }
      busy.current = false;
    },
    [key],
  );

  const refresh = useCallback(() => {
    clearTimeout(timer.current);
    if (busy.current) {
      timer.current = setTimeout(refresh, SETTLE_MS);
      return;
    }
    void work((old) => {
      const ids = all.current ? new Set(old.items.map((job) => job.job_id)) : touched.current;
      all.current = false;
      touched.current = new Set();
      return refreshed(old, wanted.current, ids);
    });
  }, [work]);

  const reload = useCallback(() => {
    all.current = true;
    refresh();
  }, [refresh]);

  useEffect(() => {
    busy.current = false;
    reload();
    return () => clearTimeout(timer.current);
  }, [reload]);

  useNews((news) => {
    if (news.type === "training") return;
    if (news.type === "chain") {
      if (!news.news.job_id) return; // a withdrawal
      touched.current.add(news.news.job_id);
    } else all.current = true;
    clearTimeout(timer.current);
    timer.current = setTimeout(refresh, SETTLE_MS);
  });

  const more = () => {
    if (busy.current) return;
    void work(async (old) => {
      const page = await get("/api/jobs", { ...wanted.current, cursor: old.next, limit: PAGE });
      const there = new Set(old.items.map((job) => job.job_id));
      return { ...page, items: [...old.items, ...page.items.filter((job) => !there.has(job.job_id))] };
    });
  };

  const current = held.key === key;
  const data = current ? held.data : kept.get(key);
  const error = current ? held.error : undefined;
  return { data, error, loading: current ? held.loading : true, stale: !!data && !!error, reload, more };
}
