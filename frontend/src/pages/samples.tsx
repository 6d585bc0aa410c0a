/** For who tries Merit alone: sample trainers of this machine take the seats that are free. */
import { get, type JobDetail, post } from "../live/api";
import { useNode, useToken } from "../live/node";
import { useResource } from "../live/resource";
import { plural, ZERO_ADDRESS } from "../text/amounts";
import { isDigits } from "../text/data";
import { useAttempt } from "../ui/attempt";
import { Notice, State } from "../ui/parts";

export function Samples({ detail, after }: { detail: JobDetail; after: () => void }) {
  const { summary, spec } = detail;
  const jobId = summary.job_id;
  const node = useNode();
  const token = useToken();
  const here = token && node !== null && node.samples > 0 ? jobId : null;
  const own = useResource(
    here ? `samples ${jobId}` : null,
    () => get("/api/jobs/{job_id}/samples", { job_id: jobId }),
    (news) => news.type === "training",
  );
  const { working, problem, attempt } = useAttempt();
  if (!here || !node || !own.data) return null;
  const free = Math.min(summary.max_trainers - summary.seats_taken, node.samples - own.data.length);
  // What comes with Merit is digits: 8 by 8 pixels, ten classes.
  const fits = isDigits(spec?.data) && summary.token === ZERO_ADDRESS;
  const invited = !detail.terms.gate || detail.terms.gate === node?.acts_as?.address;
  const offered = summary.state === "open" && fits && invited && free > 0;
  if (own.data.length === 0 && !offered) return null;
  const add = async () => {
    await post("/api/jobs/{job_id}/samples", { data: "digits" }, { job_id: jobId });
    own.reload();
    after();
  };
  return (
    <>
      {offered && (
        <p class="hint">
          Are you trying this alone? {plural(free, "sample trainer")} on this machine can join, with keys of their own
          and the built-in digits.{" "}
          <button type="button" class="quiet small" onClick={() => attempt(add)} disabled={working}>
            {working ? "They join…" : `Add ${plural(free, "sample trainer")}`}
          </button>
        </p>
      )}
      {own.data.length > 0 && (
        <ul class="samples-own" aria-label="Sample trainers">
          {own.data.map((trainer) => (
            <li key={trainer.payee} class="muted">
              Sample trainer <State state={trainer.status} /> {trainer.problem ?? trainer.text}
            </li>
          ))}
        </ul>
      )}
      {problem && <Notice kind="bad">{problem}</Notice>}
    </>
  );
}
