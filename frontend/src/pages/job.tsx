/** A job's life: where it stands, its rounds as they happen, who was paid what, and what proves it. */
import { useState } from "preact/hooks";
import { get, type JobDetail, type JobScores, type RoundSummary } from "../live/api";
import { useNow } from "../live/clock";
import { useNode, useToken } from "../live/node";
import { ofJob, useResource } from "../live/resource";
import { useScores } from "../live/scores";
import { useUnit } from "../live/unit";
import { Link, useQuery } from "../router";
import { plural } from "../text/amounts";
import { titled } from "../text/model";
import { isOver, type Phase, phaseOf, timeLeft } from "../text/standing";
import { startText } from "../text/start";
import { duration, elapsed, momentText, plainDuration } from "../text/time";
import { Amount, Bar, Countdown, Loaded, Notice, Reading, State, Term, Title, When } from "../ui/parts";
import { ActivityList } from "./activity";
import { Claims } from "./claims";
import { DisputeByWallet, DisputeRowsByWallet } from "./dispute";
import { Exits } from "./exits";
import { Guide } from "./guide";
import { Invite } from "./invite";
import { Terms, Trainers } from "./job-facts";
import { JobLoaded, useJob } from "./job-loaded";
import { Progress } from "./job-progress";
import { ModelCard, scoreText } from "./model-card";
import { DownloadModel, Own, useOwnPart } from "./own";
import { Round } from "./round";
import { Samples } from "./samples";
import { Standing } from "./standing";
import { Trust } from "./trust";

export function Job({ jobId }: { jobId: number }) {
  const job = useJob(jobId);
  return (
    <JobLoaded from={job} jobId={jobId} lines={8}>
      {(detail) => <Detail detail={detail} reload={job.reload} />}
    </JobLoaded>
  );
}

function Detail({ detail, reload }: { detail: JobDetail; reload: () => void }) {
  const { summary, terms, spec } = detail;
  const jobId = summary.job_id;
  const unit = useUnit(terms.token);
  const token = useToken();
  const rounds = useResource(
    `rounds ${jobId}`,
    () => get("/api/jobs/{job_id}/rounds", { job_id: jobId }),
    ofJob(jobId),
  );
  const trainers = useResource(
    `trainers ${jobId}`,
    () => get("/api/jobs/{job_id}/trainers", { job_id: jobId }),
    ofJob(jobId),
  );
  const own = useResource(
    token ? `own ${jobId}` : null,
    () => get("/api/trainers"),
    (news) => news.type === "training",
  );
  const scores = useScores(jobId, detail.settled);
  const part = useOwnPart(jobId);
  const query = new URLSearchParams(useQuery());
  const guide = query.get("guide") === "1";
  const operator = useNode()?.acts_as?.address;
  const mine = own.data?.find((trainer) => trainer.job_id === jobId);
  const slot = trainers.data?.filter((each) => each.operator === operator).at(-1)?.slot;
  const [chosen, setChosen] = useState<number | null>(Number(query.get("round")) || null);
  const latest = summary.round || null;
  const shown = chosen ?? latest;
  const over = isOver(summary.state);
  const now = useNow();
  const left = timeLeft(detail, now);
  return (
    <>
      <header class="page-head">
        <p class="crumb">
          <Link to="/">Market</Link> / Job <span class="number">{jobId}</span>
        </p>
        <Title>{summary.name ?? `Job ${jobId}`}</Title>
        <p class="lead">
          <State state={summary.state} />
          {spec?.description && <span>{spec.description}</span>}
        </p>
        <p class="actions">
          {summary.state === "open" && !mine && (
            <Link to={`/job/${jobId}/join`} class="button">
              Join as a trainer
            </Link>
          )}
          {mine && (
            <Link to={`/job/${jobId}/join`} class="button">
              Your trainer
            </Link>
          )}
          <Link to={`/audit/${jobId}`} class="button quiet">
            Audit this job
          </Link>
        </p>
      </header>
      {guide && <Guide detail={detail} mine={mine} reload={reload} />}
      {summary.state === "open" && <Trust summary={summary} />}
      {detail.findings.length > 0 && (
        <Notice kind="bad">
          <p>This job's events break the market's rules. Do not rely on it before you have audited it.</p>
          <ul>
            {detail.findings.map((finding) => (
              <li key={finding}>{finding}</li>
            ))}
          </ul>
        </Notice>
      )}
      {summary.problem && <Notice kind="warn">The description cannot be read. {summary.problem}</Notice>}
      <dl class="readings">
        <Reading
          label="Round"
          note={
            <>
              <Bar part={detail.settled / terms.rounds} label="Rounds settled" />
              {detail.settled} of {terms.rounds} settled
            </>
          }
        >
          <span class="number">
            {summary.round} <small>of {terms.rounds}</small>
          </span>
        </Reading>
        {scores && <ScoreReading scores={scores} />}
        <Reading
          label={over ? <Term word="pot">Pot</Term> : "Total reward"}
          note={
            <>
              {!over && (
                <>
                  <Amount value={detail.pot} unit={unit} /> in the <Term word="pot" /> so far;{" "}
                </>
              )}
              <Amount value={terms.reward} unit={unit} /> a settled round, divided by <Term word="points" />
              {over ? "" : " at the end"}
            </>
          }
        >
          <Amount value={over ? detail.pot : BigInt(terms.reward) * BigInt(terms.rounds)} unit={unit} />
        </Reading>
        {left !== null && (
          <Reading label="Time left" note="at most, as the deadlines say">
            <span class="number">{duration(left)}</span>
          </Reading>
        )}
        <PhaseReading detail={detail} />
        <Reading
          label={over ? "Seats" : "Seats taken"}
          note={
            startText(summary, now) ||
            `${plainDuration(terms.submit_window)} to submit, ${plainDuration(terms.settle_window)} to settle a round`
          }
        >
          <span class="number">
            {over ? (
              terms.max_trainers
            ) : (
              <>
                {summary.seats_taken} <small>of {terms.max_trainers}</small>
              </>
            )}
          </span>
        </Reading>
      </dl>
      <ModelCard detail={detail} scores={scores}>
        {part?.job_key && <DownloadModel jobId={jobId} over />}
      </ModelCard>
      <Invite detail={detail} />
      <Samples detail={detail} after={reload} />
      <Standing detail={detail} unit={unit} />
      <Claims
        detail={detail}
        trainers={trainers.data ?? []}
        unit={unit}
        after={() => {
          reload();
          trainers.reload();
        }}
      />
      <Exits detail={detail} after={reload} />
      <DisputeByWallet detail={detail} trainers={trainers.data ?? []} after={reload} />
      <DisputeRowsByWallet detail={detail} trainers={trainers.data ?? []} after={reload} />
      <section>
        <h2>Rounds</h2>
        <Loaded from={rounds} lines={2}>
          {(list) => (
            <>
              <Timeline detail={detail} rounds={list} shown={shown} choose={setChosen} />
              {shown !== null && list.some((entry) => entry.round === shown) && (
                <Round key={shown} jobId={jobId} number={shown} terms={terms} mine={mine} />
              )}
              {list.length > 0 && <Progress rounds={list} measured={scores} mine={mine} terms={terms} slot={slot} />}
            </>
          )}
        </Loaded>
      </section>
      <Own detail={detail} part={part} after={reload} />
      <section>
        <h2>Trainers</h2>
        <Loaded from={trainers} lines={3}>
          {(list) => <Trainers list={list} unit={unit} detail={detail} />}
        </Loaded>
      </section>
      <Terms detail={detail} unit={unit} />
      <ActivityList jobId={jobId} />
    </>
  );
}

/** How good the model is now, and was before. */
function ScoreReading({ scores }: { scores: JobScores }) {
  const [first, last] = [scores.rounds[0], scores.rounds.at(-1)];
  if (!first || !last) return null;
  const text = (entry: typeof last) => scoreText(entry.value ?? entry.loss, scores.share);
  const when = (round: number) => (round === 0 ? "before the first round" : `after round ${round}`);
  return (
    <Reading
      label={titled(scores.metric)}
      note={
        <>
          {when(last.round)}
          {last !== first && `, ${text(first)} ${when(first.round)}`}; on the owner's{" "}
          {scores.source === "kept" ? "" : "revealed "}data
        </>
      }
    >
      <span class="number">{text(last)}</span>
    </Reading>
  );
}

const PHASES: Record<Exclude<Phase["at"], "enrolling" | "over">, { label: string; bar: string }> = {
  submitting: { label: "To submit", bar: "Submitting phase" },
  delivering: { label: "To deliver again", bar: "Delivering phase" },
  settling: { label: "To settle", bar: "Settling phase" },
  takeover: { label: "To take over", bar: "Takeover window" },
  confirming: { label: "To confirm", bar: "Confirmation" },
};

function PhaseReading({ detail }: { detail: JobDetail }) {
  const { summary } = detail;
  const now = useNow();
  const { at, until, length } = phaseOf(detail, now);
  if (at === "enrolling")
    return (
      <Reading
        label="Enrolment ends in"
        note={`at ${momentText(until, now)}${summary.aggregator ? "; an aggregator is there" : ""}`}
      >
        <Countdown to={until} past="over" />
      </Reading>
    );
  if (at === "over") return <Reading label="Ended">{summary.state}</Reading>;
  return (
    <Reading
      label={PHASES[at].label}
      note={
        <>
          <Bar part={elapsed(until, length, now)} label={PHASES[at].bar} />
          <span>
            {at === "confirming"
              ? `trainers check the last sum${detail.rows_quorum > 0 ? " and the reference rows" : ""}`
              : at === "delivering"
                ? `${plural(detail.undelivered.length, "update")} still to come`
                : `${summary.submitted} of ${summary.seats_taken} submitted`}
          </span>
          , until {momentText(until, now)}
        </>
      }
    >
      <Countdown to={until} past="deadline passed" />
    </Reading>
  );
}

type TimelineProps = {
  detail: JobDetail;
  rounds: RoundSummary[];
  shown: number | null;
  choose: (round: number) => void;
};

function Timeline({ detail, rounds, shown, choose }: TimelineProps) {
  const { summary, terms } = detail;
  const coming = Math.max(0, Math.min(terms.rounds - rounds.length, 60));
  const ended = isOver(summary.state);
  const last = ended || summary.state === "confirming";
  const taken = new Set(detail.takeovers.map((takeover) => takeover.round));
  return (
    <ol class="timeline" aria-label="The job's life">
      <li class="milestone">
        <span>Opened</span>
        <When unix={summary.created_at} />
      </li>
      {rounds.map((entry) => (
        <li key={entry.round}>
          <button
            type="button"
            class={`round round-${entry.status}${taken.has(entry.round) ? " round-taken" : ""}${entry.voids.length ? " round-void" : ""}`}
            aria-pressed={entry.round === shown}
            onClick={() => choose(entry.round)}
          >
            <span class="number">{entry.round}</span>
            <small>
              {entry.status === "settled" ? `${entry.selected.length}/${entry.submitted.length}` : entry.status}
            </small>
            <span class="visually-hidden">
              {entry.status === "settled"
                ? `settled, ${entry.selected.length} of ${entry.submitted.length} selected`
                : ""}
              {taken.has(entry.round) ? ", taken over by another aggregator" : ""}
              {entry.voids.length ? ", void since updates did not open" : ""}
            </span>
          </button>
        </li>
      ))}
      {!last &&
        Array.from({ length: coming }, (_, at) => (
          <li key={`coming ${rounds.length + at + 1}`} class="round coming number">
            {rounds.length + at + 1}
          </li>
        ))}
      {summary.state === "confirming" && (
        <li class="milestone">
          <span>Confirming</span>
          <Countdown to={summary.confirm_by ?? 0} past="to be completed" />
        </li>
      )}
      {ended && (
        <li class="milestone">
          <span>{summary.state}</span>
        </li>
      )}
    </ol>
  );
}
