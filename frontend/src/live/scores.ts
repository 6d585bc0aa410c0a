/** How good a job's model was after each round, as far as this node can know it. */
import { get, type JobScores } from "./api";
import { useToken } from "./node";
import { useResource } from "./resource";

/** The events after which more can be measured. */
const SAYS_MORE = ["RoundSettled", "ValidationRevealed"];

export function useScores(jobId: number, settled: number): JobScores | undefined {
  const token = useToken();
  return useResource(
    token && settled > 0 ? `scores ${jobId}` : null,
    () => get("/api/jobs/{job_id}/scores", { job_id: jobId }, true),
    (news) => news.type === "chain" && news.news.job_id === jobId && SAYS_MORE.includes(news.news.kind),
  ).data;
}
