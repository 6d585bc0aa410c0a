/** A job as the node knows it; where the node has not read the job's block yet, the page waits with it. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { get, type JobDetail } from "../live/api";
import { setChainTime } from "../live/clock";
import { useHealth } from "../live/node";
import { useNodeSent } from "../live/node-sent";
import { ofJob, type Resource, useResource } from "../live/resource";
import { count } from "../text/amounts";
import { Loaded, Notice, Skeleton } from "../ui/parts";
import { useSent } from "../wallet/sent";

export function useJob(jobId: number): Resource<JobDetail> {
  return useResource(
    `job ${jobId}`,
    async () => {
      const found = await get("/api/jobs/{job_id}", { job_id: jobId });
      setChainTime(found.now);
      return found;
    },
    ofJob(jobId),
  );
}

type Props = {
  from: Resource<JobDetail>;
  jobId: number;
  lines: number;
  children: (job: JobDetail) => ComponentChildren;
};

export function JobLoaded({ from, jobId, lines, children }: Props) {
  const missing = from.data === undefined && from.error?.status === 404;
  if (missing) return <Missing from={from} jobId={jobId} lines={lines} />;
  return (
    <Loaded from={from} lines={lines}>
      {children}
    </Loaded>
  );
}

/** The block that a job is in, where this page has seen it created. */
function useBlockOf(jobId: number): number {
  const mine = useSent().find((entry) => entry.creation !== null && entry.job === jobId);
  const nodes = useNodeSent().find((entry) => entry.job_id === jobId);
  return mine?.block ?? nodes?.block ?? 0;
}

function Missing({ from, jobId, lines }: Omit<Props, "children">) {
  const health = useHealth();
  const block = Math.max(useBlockOf(jobId), health?.block ?? 0);
  const indexed = health?.indexed ?? -1;
  const behind = health !== undefined && indexed < block;
  const waited = useRef(false);
  const asked = useRef<number | null>(null);
  waited.current ||= behind;
  useEffect(() => {
    if (!waited.current || asked.current === indexed) return;
    asked.current = indexed;
    from.reload();
  }, [indexed, from]);
  if (behind || (waited.current && (from.loading || asked.current !== indexed)))
    return (
      <>
        <Notice kind="info">
          Waiting for the node to read block {count(block)}
          {indexed >= 0 && `; it is at block ${count(indexed)}`}. Job {jobId} is shown as soon as it has.
        </Notice>
        <Skeleton lines={lines} />
      </>
    );
  if (health === undefined) return <Skeleton lines={lines} />;
  return (
    <Loaded from={from} lines={lines}>
      {() => null}
    </Loaded>
  );
}
