/** What whoever decides to join has to know of a job: what its points rest on, and who made its proofs' set-up. */
import type { JobSummary } from "../live/api";
import { Term } from "../ui/parts";

export function Trust({ summary }: { summary: Pick<JobSummary, "trust" | "setup"> }) {
  return (
    <p class="muted">
      {summary.trust} Proof set-up: {summary.setup ? <Term word={summary.setup} /> : "unknown"}.
    </p>
  );
}
