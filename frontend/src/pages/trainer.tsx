/** A trainer of this node: its training as it happens, its next deadline, its pay; pause and leave. */

import { useState } from "preact/hooks";
import { ApiError, get, type JobDetail, type LocalTrainer, post, type RoundSummary, type Terms } from "../live/api";
import { useNow } from "../live/clock";
import { useNode } from "../live/node";
import { ofJob, useResource } from "../live/resource";
import { useUnit } from "../live/unit";
import { Link } from "../router";
import { plural, share } from "../text/amounts";
import { balanceText, heldBy, ownRounds, partsOf } from "../text/points";
import { askedAgain, isOver, leavingText, leftText, owes, phaseOf } from "../text/standing";
import { broughtText, roundsText, strikeText } from "../text/why";
import { Payee } from "../ui/address";
import { Chart } from "../ui/chart";
import { Amount, Bar, Countdown, Notice, Reading, State, Table, Term } from "../ui/parts";
import { Claims } from "./claims";
import { DisputeByNode, DisputeRows } from "./dispute";
import { Gain } from "./round";

export const STATUS: Record<LocalTrainer["status"], string> = {
  starting: "is starting",
  running: "is running",
  paused: "is paused",
  finished: "is finished",
  failed: "has stopped",
};

type Props = {
  trainer: LocalTrainer;
  detail: JobDetail;
  reload: () => void;
  /** Hears the transaction that gave the seat up. */
  left: (hash: string, text: string) => void;
};

export function Trainer({ trainer, detail, reload, left }: Props) {
  const { summary, terms } = detail;
  const unit = useUnit(terms.token);
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [working, setWorking] = useState(false);
  const act = async (what: "pause" | "resume" | "leave") => {
    setWorking(true);
    setProblem(null);
    try {
      if (what === "leave")
        left(
          (await post("/api/trainers/{job_id}/leave", undefined, { job_id: trainer.job_id })).transaction,
          leftText(detail, seat),
        );
      else await post(`/api/trainers/{job_id}/${what}`, undefined, { job_id: trainer.job_id });
      reload();
    } catch (error) {
      setProblem(error instanceof ApiError ? error.detail : String(error));
    }
    setAsking(false);
    setWorking(false);
  };
  const seats = useResource(
    `trainers ${trainer.job_id}`,
    () => get("/api/jobs/{job_id}/trainers", { job_id: trainer.job_id }),
    ofJob(trainer.job_id),
  );
  const rounds = useResource(
    `rounds ${trainer.job_id}`,
    () => get("/api/jobs/{job_id}/rounds", { job_id: trainer.job_id }),
    ofJob(trainer.job_id),
  );
  const again = () => {
    reload();
    seats.reload();
  };
  const node = useNode();
  const list = seats.data ?? [];
  const { parts, whole } = partsOf(list.map(heldBy));
  const over = isOver(summary.state);
  const seat = seats.data?.filter((each) => each.operator === node?.acts_as?.address).at(-1);
  const leaving = leavingText(detail, seat);
  const now = useNow();
  const asked = askedAgain(detail, seat, now);
  const going = trainer.status === "running" || trainer.status === "starting";
  return (
    <>
      <p class="lead">
        <State state={trainer.status} /> Your trainer of{" "}
        <Link to={`/job/${trainer.job_id}`}>{summary.name ?? `job ${trainer.job_id}`}</Link> {STATUS[trainer.status]}.{" "}
        <span role="status">{trainer.text}</span>
      </p>
      {trainer.problem && <Notice kind="bad">{trainer.problem}</Notice>}
      <dl class="readings">
        <Reading
          label="Round"
          note={
            trainer.done !== null ? (
              <Bar part={trainer.done} label="Training of this round" />
            ) : going ? (
              "waits"
            ) : (
              trainer.status
            )
          }
        >
          <span class="number">
            {summary.round} <small>of {summary.rounds}</small>
          </span>
        </Reading>
        <Reading
          label="Next deadline"
          note={
            summary.state === "running"
              ? dueText(
                  phaseOf(detail, now).at === "delivering",
                  asked !== null,
                  seat?.submitted.includes(summary.round) ?? false,
                )
              : summary.state === "confirming"
                ? `to check the last sum${detail.rows_quorum > 0 ? " and the reference rows" : ""}; then pay and stake can be claimed`
                : "no round is running"
          }
        >
          {summary.state === "running" && summary.submit_by != null ? (
            <Countdown to={summary.submit_by} past="closed" />
          ) : summary.state === "confirming" && summary.confirm_by != null ? (
            <Countdown to={summary.confirm_by} past="closed" />
          ) : (
            "none"
          )}
        </Reading>
        <Reading
          label={
            <>
              <Term word="points">Points</Term> so far
            </>
          }
          note={seat && `${seat.opened} of ${plural(detail.settled, "settled round")} opened`}
        >
          <span class="number">{seat ? share(parts[list.indexOf(seat)] ?? 0n, whole) : "—"}</span>
        </Reading>
        <Reading
          label={over ? "Pay" : "If the job ended now"}
          note={
            <>
              {over ? (seat?.claimed ? "claimed for " : "waits to be claimed for ") : "would go to "}
              <Payee value={trainer.payee} />
            </>
          }
        >
          {seat ? (
            <>
              {!over && "about "}
              <Amount value={seat.pay} unit={unit} />
            </>
          ) : (
            "—"
          )}
        </Reading>
        <Reading
          label={
            <>
              Missed, <Term word="strike">strikes</Term>
            </>
          }
          note={`${terms.max_missed} missed in a row ${terms.max_missed === 1 ? "costs" : "cost"} the seat, ${plural(terms.max_strikes, "strike")} a part of the stake`}
        >
          <span class="number">{seat ? `${seat.missed}, ${seat.strikes}` : "—"}</span>
        </Reading>
      </dl>
      {asked && <Notice kind="warn">{asked}</Notice>}
      {seat && seat.struck.length > 0 && (
        <Notice kind="warn">
          Struck in {roundsText(seat.struck)}. {strikeText(terms.rule)}
          {owes(detail, seat) && " The stake waits for the claim, which takes a part of it; the points stay."}
        </Notice>
      )}
      {seat && rounds.data && <OwnRounds rounds={rounds.data} slot={seat.slot} rule={terms.rule} />}
      {seat && over && <Claims detail={detail} trainers={[seat]} unit={unit} after={again} />}
      <Curves trainer={trainer} rounds={summary.rounds} />
      <p class="muted">
        Data: <code>{trainer.data}</code>. Trains on {trainer.device || "the best device there is"}.
      </p>
      <div class="actions">
        {going && (
          <button type="button" class="quiet" onClick={() => act("pause")} disabled={working}>
            Pause
          </button>
        )}
        {(trainer.status === "paused" || trainer.status === "failed") && (
          <button type="button" onClick={() => act("resume")} disabled={working}>
            Go on
          </button>
        )}
        {trainer.status !== "finished" && leaving && (
          <button type="button" class="quiet" onClick={() => setAsking(true)} disabled={working}>
            Leave the job
          </button>
        )}
        {trainer.status === "finished" && (
          <Link to={`/pay/${trainer.payee}`} class="button">
            See your pay
          </Link>
        )}
      </div>
      {trainer.status === "paused" && summary.state === "running" && (
        <Notice kind="warn">
          A paused trainer misses its deadlines: {terms.max_missed} in a row cost the seat and a part of the stake.
        </Notice>
      )}
      <DisputeByNode detail={detail} seat={seat} after={reload} />
      <DisputeRows detail={detail} seat={seat} after={reload} by="node" />
      {asking && leaving && (
        <Confirm text={leaving} working={working} yes={() => act("leave")} no={() => setAsking(false)} />
      )}
      {problem && <Notice kind="bad">{problem}</Notice>}
    </>
  );
}

/** What is due at the next deadline of a round. asked: of this trainer, where updates are delivered again; submitted: by
 * it. */
function dueText(delivering: boolean, asked: boolean, submitted: boolean): string {
  if (!delivering && submitted) return "for the others; then your node delivers what opens your update, if it runs";
  if (!delivering) return "to submit this round's update";
  return asked ? "to deliver this round's update again" : "for updates of others that are delivered again";
}

/** Rounds that are listed before the rest is asked for. */
const LISTED = 10;

/** What each settled round brought this seat, the latest first. */
function OwnRounds({ rounds, slot, rule }: { rounds: RoundSummary[]; slot: number; rule: Terms["rule"] }) {
  const [all, setAll] = useState(false);
  const own = ownRounds(rounds, slot).reverse();
  if (own.length === 0) return null;
  return (
    <>
      <Table
        label="What each round brought"
        head={[
          "Round",
          "Part of the round",
          "What it brought",
          <Term key="b" word="balance">
            Balance after it
          </Term>,
        ]}
      >
        {own.slice(0, all ? own.length : LISTED).map(({ round, verdict, gain, whole, balance }) => (
          <tr key={round}>
            <td class="number">{round}</td>
            <td>
              <Gain gain={gain} whole={whole} />
            </td>
            <td>{broughtText(verdict, gain, rule)}</td>
            <td class="number">{balanceText(balance, rule)}</td>
          </tr>
        ))}
      </Table>
      {own.length > LISTED && !all && (
        <button type="button" class="quiet small" onClick={() => setAll(true)}>
          All {own.length} rounds
        </button>
      )}
    </>
  );
}

type Question = { text: string; yes: () => void; no: () => void; working: boolean };

function Confirm({ text, yes, no, working }: Question) {
  return (
    <Notice kind="warn">
      <p>{text}</p>
      <div class="actions">
        <button type="button" onClick={yes} disabled={working}>
          {working ? "Leaves…" : "Leave"}
        </button>
        <button type="button" class="quiet" onClick={no}>
          Stay
        </button>
      </div>
    </Notice>
  );
}

function Curves({ trainer, rounds }: { trainer: LocalTrainer; rounds: number }) {
  if (trainer.losses.length < 2) return null;
  const points = trainer.losses.map((point) => ({ x: point.round - 1 + point.done, y: point.loss }));
  return (
    <Chart
      title="On your own data"
      xLabel="round"
      xRange={[Math.floor(points[0]?.x ?? 0), rounds]}
      axis={(value) => value.toPrecision(2)}
      exact={(value) => value.toPrecision(4)}
      lines={[{ name: "training loss", kind: 1, points }]}
    />
  );
}
