/** For who sees Merit for the first time: a sample job on the local chain, explained while it runs. */
import { useEffect } from "preact/hooks";
import { type JobDetail, type LocalTrainer, post } from "../live/api";
import { useNode, useToken } from "../live/node";
import { useNodeSent } from "../live/node-sent";
import { go, Link, setQuery } from "../router";
import { plural } from "../text/amounts";
import { PLAIN } from "../text/data";
import { guideSteps, SAMPLE, sampleDocument } from "../text/guide";
import { useAttempt } from "../ui/attempt";
import { Notice } from "../ui/parts";

const guided = (job: number) => go(`/job/${job}?guide=1`);

/** Whether this node can play a whole job by itself. */
export function useCanSample(): boolean {
  const node = useNode();
  const token = useToken();
  return token !== null && node !== null && node.samples + 1 >= SAMPLE.trainers && node.aggregator !== null;
}

/** A button that makes a sample job. What is being made is known by the node: a reload does not make another. */
export function RunSample({ small }: { small?: boolean }) {
  const node = useNode();
  const making = useNodeSent().find(({ text, state }) => text.includes(SAMPLE.name) && state === "working");
  const { working, problem, attempt } = useAttempt();
  const can = useCanSample();
  if (!can || !node?.aggregator) return null;
  const { aggregator } = node;
  const run = () =>
    attempt(async () => {
      const document = sampleDocument(aggregator);
      guided((await post("/api/jobs", { document, validation: "digits", reading: PLAIN })).job_id);
    });
  const busy = working || making !== undefined;
  return (
    <>
      <button type="button" class={small ? "quiet small" : ""} onClick={run} disabled={busy}>
        {busy ? "Makes a sample job…" : "Run a sample job"}
      </button>
      {busy && (
        <p class="hint" role="status">
          The first time takes up to a minute: what checks the proofs is prepared and deployed. It is done also if you
          reload.
        </p>
      )}
      {!working && <Made />}
      {problem && <Notice kind="bad">{problem}</Notice>}
    </>
  );
}

/** The sample job that the node has made, for who has reloaded meanwhile. */
function Made() {
  const made = useNodeSent().find(({ text, state }) => text.includes(SAMPLE.name) && state === "done");
  if (!made?.job_id) return null;
  return (
    <p class="hint">
      Your sample job is <Link to={`/job/${made.job_id}?guide=1`}>job {made.job_id}</Link>.
    </p>
  );
}

type Props = { detail: JobDetail; mine: LocalTrainer | undefined; reload: () => void };

/** The steps of a job that this node plays alone, with the one that is due. */
export function Guide({ detail, mine, reload }: Props) {
  const { summary } = detail;
  const jobId = summary.job_id;
  const { working, problem, attempt } = useAttempt();
  const can = useCanSample();
  const open = summary.state === "open";
  const join = () =>
    attempt(async () => {
      if (!mine)
        await post("/api/trainers", { job_id: jobId, data: "digits", reading: PLAIN, ticket: "", device: "", seed: 0 });
      await post("/api/jobs/{job_id}/samples", { data: "digits" }, { job_id: jobId });
      reload();
    });
  useEffect(() => document.getElementById("guide")?.scrollIntoView({ block: "nearest" }), []);
  return (
    <section class="guide" id="guide" aria-label="Guide">
      <div class="guide-head">
        <h2>What happens</h2>
        <button type="button" class="quiet small" onClick={() => setQuery({})}>
          Close the guide
        </button>
      </div>
      <ol>
        {guideSteps(detail).map(({ title, text, at }) => (
          <li key={title} class={at} aria-current={at === "now" ? "step" : undefined}>
            <b>{title}</b>
            {at !== "later" && <p>{text}</p>}
            {at === "now" && open && can && summary.seats_taken < summary.max_trainers && (
              <button type="button" onClick={join} disabled={working}>
                {working ? "They join…" : `Let ${plural(SAMPLE.trainers, "trainer")} join`}
              </button>
            )}
          </li>
        ))}
      </ol>
      {summary.state === "completed" && (
        <p class="actions">
          <a href="#model-card" class="button quiet">
            See the model
          </a>
          <Link to={`/audit/${jobId}`} class="button quiet">
            Check everything
          </Link>
          <Link to="/create" class="button">
            Create a job of your own
          </Link>
        </p>
      )}
      {problem && <Notice kind="bad">{problem}</Notice>}
    </section>
  );
}
