/** The reader's own part of the market by role: what needs one now, one's jobs, trainers and pay. */
import type { JobSummary, LocalTrainer, Seat } from "../live/api";
import { useNow } from "../live/clock";
import { useToken } from "../live/node";
import { useUnit } from "../live/unit";
import { useAccounts, useWork } from "../live/work";
import { Link } from "../router";
import { expected, type Need, needsOf, nextOf, type Work } from "../text/needs";
import { isOver } from "../text/standing";
import { NameList } from "../ui/address";
import { NoToken } from "../ui/no-token";
import { NotifySwitch } from "../ui/notify";
import { Amount, Bar, Countdown, Empty, Loaded, Reading, State, Table, Term, Title } from "../ui/parts";
import { WalletChooser } from "../ui/wallet";
import { Claim, Held } from "./pay";
import { STATUS } from "./trainer";

export function WorkPage() {
  const accounts = useAccounts();
  const token = useToken();
  const work = useWork();
  return (
    <>
      <header class="page-head">
        <Title>My work</Title>
        <p class="lead">
          Your jobs, your trainers and your pay: of your wallet, and of this node where this tab may act.
        </p>
      </header>
      {accounts.length === 0 && !token ? (
        <>
          <NoToken />
          <WalletChooser purpose="to see its jobs, seats and pay" />
        </>
      ) : (
        <Loaded from={work} lines={6}>
          {(data) => (
            <>
              <Needs work={data} />
              <Jobs jobs={data.jobs} />
              <Seats work={data} />
              <Paid work={data} after={work.reload} />
            </>
          )}
        </Loaded>
      )}
      <section>
        <h2>Notifications</h2>
        <NotifySwitch />
      </section>
      <section>
        <h2>Names</h2>
        <NameList />
      </section>
    </>
  );
}

const KINDS: Record<Need["kind"], { words: string; mark: string }> = {
  trouble: { words: "trouble", mark: "bad" },
  due: { words: "to do", mark: "warn" },
  pay: { words: "pay", mark: "good" },
};

function Needs({ work }: { work: Work }) {
  const needs = needsOf(work, useNow());
  return (
    <section>
      <h2>What needs you now</h2>
      {needs.length === 0 ? (
        <p class="muted">Nothing at the moment.</p>
      ) : (
        <ul class="feed" aria-label="What needs you now">
          {needs.map((need) => (
            <li key={need.key}>
              <p>
                <span class={`mark ${KINDS[need.kind].mark}`}>{KINDS[need.kind].words}</span>{" "}
                <Link to={need.to}>{need.job ?? "My pay"}</Link>
                {need.until !== null && (
                  <span class="muted">
                    {" · "}
                    <Countdown to={need.until} past="over" /> left
                  </span>
                )}
              </p>
              <p>{need.text}</p>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Next({ job }: { job: JobSummary }) {
  const next = nextOf(job, useNow());
  if (!next) return <>—</>;
  return (
    <>
      <Countdown to={next.at} /> <span class="muted">{next.what}</span>
    </>
  );
}

/** Those that go on first. */
const byLife = (a: JobSummary, b: JobSummary) =>
  Number(isOver(a.state)) - Number(isOver(b.state)) || b.job_id - a.job_id;

function Jobs({ jobs }: { jobs: JobSummary[] }) {
  return (
    <section>
      <h2>My jobs</h2>
      {jobs.length === 0 ? (
        <Empty title="You have created no job in this market.">
          <Link to="/create" class="button quiet">
            Create a job
          </Link>
        </Empty>
      ) : (
        <Table label="My jobs" head={["Job", "State", "Round", "Seats", "Next", "Reward a round"]} right={[5]}>
          {[...jobs].sort(byLife).map((job) => (
            <tr key={job.job_id}>
              <td>
                <Link to={`/job/${job.job_id}`}>
                  <span class="muted number">{job.job_id}</span> {job.name ?? "without a name"}
                </Link>
              </td>
              <td>
                <State state={job.state} />
              </td>
              <td class="number">
                {job.round} of {job.rounds}
              </td>
              <td class="number">
                {isOver(job.state) ? job.max_trainers : `${job.seats_taken} of ${job.max_trainers}`}
              </td>
              <td>
                <Next job={job} />
              </td>
              <td class="right">
                <Money amount={job.reward} token={job.token} />
              </td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}

function Money({ amount, token }: { amount: string | bigint; token: string }) {
  return <Amount value={amount} unit={useUnit(token)} />;
}

function Seats({ work: { seats, trainers } }: { work: Work }) {
  const rest = trainers.filter((trainer) => !seats.some(({ job }) => job.job_id === trainer.job_id));
  const sorted = [...seats].sort((a, b) => byLife(a.job, b.job));
  return (
    <section>
      <h2>My trainers</h2>
      {seats.length + trainers.length === 0 ? (
        <Empty title="You do not take part in any job.">
          <Link to="/" class="button quiet">
            Find a job
          </Link>
        </Empty>
      ) : (
        <Table label="My trainers" head={["Job", "Seat", "Trainer", "Round", "Next", "Pay"]} right={[5]}>
          {rest.map((trainer) => (
            <tr key={`starting ${trainer.job_id}`}>
              <td>
                <Link to={`/job/${trainer.job_id}/join`}>Job {trainer.job_id}</Link>
              </td>
              <td>—</td>
              <td class="wraps">
                <Doing trainer={trainer} />
              </td>
              <td>—</td>
              <td>—</td>
              <td />
            </tr>
          ))}
          {sorted.map((each) => (
            <SeatRow
              key={`${each.job.job_id} ${each.seat.slot} ${each.seat.operator}`}
              seat={each}
              trainer={trainers.find((trainer) => trainer.job_id === each.job.job_id)}
            />
          ))}
        </Table>
      )}
    </section>
  );
}

function SeatRow({ seat: { job, seat }, trainer }: { seat: Seat; trainer: LocalTrainer | undefined }) {
  const over = isOver(job.state);
  return (
    <tr>
      <td>
        <Link to={trainer ? `/job/${job.job_id}/join` : `/job/${job.job_id}`}>
          <span class="muted number">{job.job_id}</span> {job.name ?? "without a name"}
        </Link>
      </td>
      <td class="number">{seat.slot}</td>
      <td class="wraps">
        {trainer && !over ? <Doing trainer={trainer} /> : <Standing job={job} seat={seat} here={!!trainer} />}
      </td>
      <td class="number">
        {job.round} of {job.rounds}
      </td>
      <td>
        <Next job={job} />
      </td>
      <td class="right">
        {!over && "about "}
        <Money amount={seat.pay} token={job.token} />
        {seat.claimed && <span class="muted">, claimed</span>}
      </td>
    </tr>
  );
}

function Doing({ trainer }: { trainer: LocalTrainer }) {
  return (
    <>
      {STATUS[trainer.status]} <span class="muted">{trainer.problem ?? trainer.text}</span>
      {trainer.done !== null && <Bar part={trainer.done} label={`Training of round ${trainer.round}`} />}
    </>
  );
}

function Standing({ job, seat, here }: { job: JobSummary; seat: Seat["seat"]; here: boolean }) {
  if (isOver(job.state)) return <State state={job.state} />;
  if (seat.status !== "active") return <>{seat.status}</>;
  const done = job.state === "running" && seat.submitted.includes(job.round) ? "has submitted" : "";
  return (
    <>
      {done || "holds its seat"} {!here && <span class="muted">on another node</span>}
    </>
  );
}

function Paid({ work, after }: { work: Work; after: () => void }) {
  const hoped = [...expected(work.seats)];
  // What was never credited is not worth a box beside one that was.
  const held = work.credit.filter(({ credited }, at) => at === 0 || BigInt(credited) > 0n);
  return (
    <section>
      <h2>My pay</h2>
      <div class="readings">
        {hoped.map(([token, amount]) => (
          <Reading
            key={token}
            label="Expected"
            note={
              <>
                if the jobs that go on ended now, by <Term word="points" />
              </>
            }
          >
            <Money amount={amount} token={token} />
          </Reading>
        ))}
        {held.map((token) => (
          <Held key={`${token.payee} ${token.token}`} payee={token.payee} token={token} after={after} />
        ))}
      </div>
      {work.waiting.map((each) => (
        <Claim key={`${each.job_id} ${each.slot} ${each.payee}`} waiting={each} after={after} />
      ))}
      <p>
        <Link to="/pay">All that was credited, and why it was this much</Link>
      </p>
    </section>
  );
}
