/** How a job's model gets better: by the owner's data, else by one's own, else how many updates were good. */
import type { JobScores, LocalTrainer, RoundSummary, Terms } from "../live/api";
import { useToken } from "../live/node";
import { percent } from "../text/amounts";
import { titled } from "../text/model";
import { balancesBySeat, balanceValue } from "../text/points";
import { Chart, MOST_LINES } from "../ui/chart";
import { Term } from "../ui/parts";

type Props = {
  rounds: RoundSummary[];
  measured: JobScores | undefined;
  mine: LocalTrainer | undefined;
  terms: Terms;
  /** This node's seat. */
  slot: number | undefined;
};

export function Progress({ rounds, measured, mine, terms, slot }: Props) {
  const total = terms.rounds;
  const settled = rounds.filter((entry) => entry.status === "settled");
  const token = useToken();
  if (settled.length === 0)
    return (
      <p class="muted">
        How good the model is, and how many updates were selected, are drawn here once a round is settled.
      </p>
    );
  const known = measured !== undefined && measured.rounds.length > 1;
  return (
    <>
      {known && (
        <Curves
          title={`${titled(measured.metric)} by round, on the owner's ${measured.source === "kept" ? "" : "revealed "}validation data`}
          metric={measured.metric}
          share={measured.share}
          points={measured.rounds}
          range={[0, total]}
        />
      )}
      {mine && mine.results.length > 0 && (
        <Curves title="This node's trainer, on its own data" metric="loss" points={mine.results} range={[1, total]} />
      )}
      {!known && !mine?.results.length && <Selected settled={settled} total={total} />}
      <ByTrainer settled={settled} terms={terms} own={slot} />
      {!known && (
        <p class="muted">
          {token
            ? (measured?.problem ?? "")
            : "Models are sealed to the job's parties: how good they are is shown by nodes that hold the job key."}
        </p>
      )}
    </>
  );
}

type Point = { round: number; loss: number; value?: number | null };
type CurvesProps = { title: string; metric: string; share?: boolean; points: Point[]; range: [number, number] };

/** The metric and the loss, each on an axis of its own. */
function Curves({ title, metric, share, points, range }: CurvesProps) {
  const values = points.flatMap((p) => (typeof p.value === "number" ? [{ x: p.round, y: p.value }] : []));
  const measured = metric !== "loss" && values.length > 0;
  return (
    <>
      {measured && (
        <Chart
          title={title}
          xLabel="round"
          xRange={range}
          axis={(value) => (share ? percent(value, 0) : value.toPrecision(2))}
          exact={(value) => (share ? percent(value) : value.toPrecision(4))}
          lines={[{ name: metric, kind: 1, points: values }]}
        />
      )}
      <Chart
        title={measured ? "Loss on the same data" : title}
        xLabel="round"
        xRange={range}
        axis={(value) => value.toPrecision(2)}
        exact={(value) => value.toPrecision(4)}
        lines={[{ name: "loss", kind: 2, points: points.map((p) => ({ x: p.round, y: p.loss })) }]}
      />
    </>
  );
}

type ByTrainerProps = { settled: RoundSummary[]; terms: Terms; own: number | undefined };

/** Whose updates have brought how much: what pay follows from. */
function ByTrainer({ settled, terms, own }: ByTrainerProps) {
  const curves = balancesBySeat(settled, MOST_LINES, own);
  if (settled.length < 2 || curves.length === 0) return null;
  const seats = new Set(settled.flatMap(({ submitted }) => submitted)).size;
  return (
    <>
      <Chart
        title={`${terms.rule === "reference" ? "Loss taken away" : "Rounds' worth brought"}, by trainer`}
        xLabel="round"
        xRange={[settled[0]?.round ?? 1, terms.rounds]}
        axis={(value) => Number(value.toPrecision(2)).toString()}
        exact={(value) => Number(value.toPrecision(3)).toString()}
        lines={curves.map(({ slot, balances }, at) => ({
          name: slot === own ? `seat ${slot}, yours` : `seat ${slot}`,
          kind: at + 1,
          points: balances.map(({ round, balance }) => ({ x: round, y: balanceValue(balance, terms.rule) })),
        }))}
      />
      <p class="hint">
        Each seat's <Term word="balance" /> after each settled round.{" "}
        {seats > curves.length && `The ${curves.length} of ${seats} seats that have most are drawn.`}
      </p>
    </>
  );
}

function Selected({ settled, total }: { settled: RoundSummary[]; total: number }) {
  return (
    <Chart
      title="Updates by round"
      xLabel="round"
      xRange={[1, total]}
      axis={(value) => (Number.isInteger(value) ? value.toString() : "")}
      lines={[
        { name: "submitted", kind: 2, points: settled.map((r) => ({ x: r.round, y: r.submitted.length })) },
        { name: "selected", kind: 1, points: settled.map((r) => ({ x: r.round, y: r.selected.length })) },
      ]}
    />
  );
}
