/** The reader's own part of the market: jobs, seats, pay, and what this node does. Read while somebody wants to know. */
import { useEffect } from "preact/hooks";
import type { Owed, Work } from "../text/needs";
import { useWallet } from "../wallet/wallet";
import { get, type JobSummary } from "./api";
import { useNode, useToken } from "./node";
import { type Resource, useResource } from "./resource";
import { store, useStore } from "./store";

export type OwnWork = Resource<Work>;

const MOST = 100;
/** Jobs of which is asked what they wait for from their owner. */
const MOST_OWED = 20;
const LOOK_MS = 20_000;

/** Whose jobs, seats and pay are the reader's: the wallet's, and those of the node's key where the tab may use it. */
export function useAccounts(): string[] {
  const wallet = useWallet();
  const node = useNode();
  const token = useToken();
  const own = [wallet?.account, token ? node?.acts_as?.address : null].filter((each): each is string => !!each);
  return own.filter((each, at) => own.findIndex((other) => other.toLowerCase() === each.toLowerCase()) === at);
}

async function owed(job: JobSummary, token: boolean): Promise<Owed[]> {
  const at = { job_id: job.job_id };
  const [detail, part] = await Promise.all([
    get("/api/jobs/{job_id}", at),
    token ? get("/api/jobs/{job_id}/own", at) : null,
  ]);
  const until = detail.rows_quorum > 0 && detail.reveals.length === 0 ? detail.reveal_by : null;
  const reveal = until === null ? null : { since: until - detail.terms.reveal_window, until };
  // Where the node's own key is the owner, it hands over by itself.
  const handOver = part?.can_hand_over === true && !part.owner;
  return [{ ...at, reveal, hand_over: handOver, here: part?.can_reveal_to_members === true }];
}

async function read(accounts: string[], token: boolean, aggregates: boolean): Promise<Work> {
  const each = <T>(ask: (account: string) => Promise<T[]>) => Promise.all(accounts.map(ask)).then((all) => all.flat());
  const [jobs, seats, paid, trainers, troubles, requests] = await Promise.all([
    each(async (account) => (await get("/api/jobs", { search: account, limit: MOST })).items),
    each((account) => get("/api/seats/{account}", { account })),
    each(async (payee) => [await get("/api/credits/{payee}", { payee })]),
    token ? get("/api/trainers") : [],
    token ? get("/api/troubles") : [],
    token && aggregates ? get("/api/requests") : [],
  ]);
  const lower = new Set(accounts.map((account) => account.toLowerCase()));
  const once = <T>(list: T[], key: (item: T) => string) => [...new Map(list.map((item) => [key(item), item])).values()];
  const own = once(
    jobs.filter((job) => lower.has(job.owner.toLowerCase())),
    (job) => `${job.job_id}`,
  ).sort((a, b) => b.job_id - a.job_id);
  const going = own.filter((job) => ["running", "confirming"].includes(job.state)).slice(0, MOST_OWED);
  return {
    jobs: own,
    seats: once(seats, ({ job, seat }) => `${job.job_id} ${seat.slot} ${seat.operator}`),
    waiting: once(
      paid.flatMap((one) => one.unclaimed),
      ({ job_id, slot, payee }) => `${job_id} ${slot ?? payee}`,
    ),
    credit: paid.flatMap((one) => one.tokens.map((token) => ({ payee: one.payee, ...token }))),
    owed: (await Promise.all(going.map((job) => owed(job, token)))).flat(),
    trainers,
    troubles,
    requests,
  };
}

const none: OwnWork = { data: undefined, error: undefined, loading: false, stale: false, reload: () => {} };
const work = store<OwnWork>(none);

/** Used once, by the frame of the page. wanted: whether anybody looks. */
export function useWorkReader(wanted: boolean): void {
  const accounts = useAccounts();
  const token = useToken() !== null;
  const node = useNode();
  const aggregates = node?.aggregator !== null && node !== null;
  const key = wanted && node ? `work ${accounts.join(" ")} ${token} ${aggregates}` : null;
  const found = useResource(
    key,
    () => read(accounts, token, aggregates),
    (news) => news.type === "chain" || (news.type === "training" && news.news.kind !== "training"),
  );
  const { data, error, loading, reload } = found;
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is found is a new object each time
  useEffect(() => work.set(found), [data, error, loading, reload]);
  // A node's troubles and a pause make no news.
  useEffect(() => {
    if (key === null) return;
    const timer = setInterval(reload, LOOK_MS);
    return () => clearInterval(timer);
  }, [key, reload]);
}

export const useWork = () => useStore(work);
