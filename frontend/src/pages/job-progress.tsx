/** How a job's model gets better: by the owner's data, else by one's own, else how many updates were good. */
import { type Accuracy, get, type LocalTrainer, type RoundSummary } from "../live/api";
import { useToken } from "../live/node";
import { useResource } from "../live/resource";
import { percent } from "../text/amounts";
import { Chart } from "../ui/chart";

type Props = { jobId: number; rounds: RoundSummary[]; mine: LocalTrainer | undefined; total: number };

/** The events after which more can be measured. */
const SAYS_MORE = ["RoundSettled", "ValidationRevealed"];

export function Progress({ jobId, rounds, mine, total }: Props) {
  const settled = rounds.filter((entry) => entry.status === "settled");
  const token = useToken();
  const measured = useResource(
    token && settled.length > 0 ? `accuracy ${jobId}` : null,
    () => get("/api/jobs/{job_id}/accuracy", { job_id: jobId }),
    (news) => news.type === "chain" && news.news.job_id === jobId && SAYS_MORE.includes(news.news.kind),
  ).data;
  if (settled.length === 0)
    return <p class="muted">Accuracy, and how many updates were selected, are drawn here once a round is settled.</p>;
  const known = measured !== undefined && measured.rounds.length > 1;
  return (
    <>
      {known && (
        <Curves
          title={`Accuracy by round, on the owner's ${measured.source === "kept" ? "" : "revealed "}validation data`}
          points={measured.rounds}
          range={[0, total]}
        />
      )}
      {mine && mine.results.length > 0 && (
        <Curves title="This node's trainer, on its own data" points={mine.results} range={[1, total]} />
      )}
      {!known && !mine?.results.length && <Selected settled={settled} total={total} />}
      {!known && (
        <p class="muted">
          {token
            ? (measured?.problem ?? "")
            : "Models are sealed to the job's parties: accuracy is shown by nodes that hold the job key."}
        </p>
      )}
    </>
  );
}

type CurvesProps = { title: string; points: Accuracy["rounds"]; range: [number, number] };

function Curves({ title, points, range }: CurvesProps) {
  return (
    <Chart
      title={title}
      xLabel="round"
      xRange={range}
      left={(value) => percent(value, 0)}
      right={(value) => value.toPrecision(2)}
      lines={[
        { name: "accuracy (left)", kind: 1, points: points.map((p) => ({ x: p.round, y: p.accuracy })) },
        { name: "loss (right)", kind: 2, axis: "right", points: points.map((p) => ({ x: p.round, y: p.loss })) },
      ]}
    />
  );
}

function Selected({ settled, total }: { settled: RoundSummary[]; total: number }) {
  return (
    <Chart
      title="Updates by round"
      xLabel="round"
      xRange={[1, total]}
      left={(value) => (Number.isInteger(value) ? value.toString() : "")}
      lines={[
        { name: "submitted", kind: 2, points: settled.map((r) => ({ x: r.round, y: r.submitted.length })) },
        { name: "selected", kind: 1, points: settled.map((r) => ({ x: r.round, y: r.selected.length })) },
      ]}
    />
  );
}
