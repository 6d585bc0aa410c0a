/** Every job of the market, with what a trainer looks at first: pay, seats, deadlines, and what must be trusted. */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { JobSummary } from "../live/api";
import { useNow } from "../live/clock";
import { type Filter, type Jobs, SORTS, type Sort, useJobs } from "../live/jobs";
import type { Resource } from "../live/resource";
import { useUnit } from "../live/unit";
import { Link, setQuery, useQuery } from "../router";
import { count, plural } from "../text/amounts";
import { isOver, STATES } from "../text/standing";
import { seatsText, startText } from "../text/start";
import { Amount, Countdown, Empty, Loaded, State, Term, Title } from "../ui/parts";
import { ActivityList } from "./activity";
import { RunSample, useCanSample } from "./guide";

const ORDERS: Record<Sort, string> = {
  newest: "Newest first",
  reward: "Highest reward first",
  enrol_by: "Enrolment ends soonest",
};
const RULES = ["reference", "krum-cosine"];

const among = (value: string | null, known: readonly string[]) => (value && known.includes(value) ? value : "");

/** What the address asks for. */
export function filterOf(query: string): Filter {
  const given = new URLSearchParams(query);
  return {
    search: (given.get("search") ?? "").slice(0, 100).trim(),
    state: among(given.get("state"), STATES.slice(1)),
    rule: among(given.get("rule"), RULES),
    sort: (among(given.get("sort"), SORTS) || "newest") as Sort,
  };
}

export function Market() {
  const query = useQuery();
  const filter = useMemo(() => filterOf(query), [query]);
  const [typed, setTyped] = useState(filter.search);
  const change = (part: Partial<Filter>) => {
    const next = { ...filter, ...part };
    setQuery({ ...next, sort: next.sort === "newest" ? "" : next.sort });
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: only typing starts the wait
  useEffect(() => {
    if (typed.trim() === filter.search) return;
    const timer = setTimeout(() => change({ search: typed.trim() }), 250);
    return () => clearTimeout(timer);
  }, [typed]);
  useEffect(() => setTyped((old) => (old.trim() === filter.search ? old : filter.search)), [filter.search]);
  const jobs = useJobs(filter);
  const shown = useKept(jobs);
  const can = useCanSample();
  const filtered = filter.search || filter.state || filter.rule;
  return (
    <>
      <header class="page-head">
        <Title>Market</Title>
        <p class="lead">
          Jobs that pay for what an update contributes to a model. The reward is in <Term word="escrow" /> before anyone
          trains.
        </p>
        {can && shown.data !== undefined && shown.data.total > 0 && <RunSample small />}
      </header>
      <search class="filters">
        <label>
          Search
          <input
            type="search"
            value={typed}
            placeholder="Name, number or address"
            maxLength={100}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <label>
          State
          <select value={filter.state} onChange={(event) => change({ state: event.currentTarget.value })}>
            <option value="">Any</option>
            {STATES.slice(1).map((state) => (
              <option key={state}>{state}</option>
            ))}
          </select>
        </label>
        <label>
          Pay rule
          <select value={filter.rule} onChange={(event) => change({ rule: event.currentTarget.value })}>
            <option value="">Any</option>
            {RULES.map((rule) => (
              <option key={rule}>{rule}</option>
            ))}
          </select>
        </label>
        <label>
          Order
          <select value={filter.sort} onChange={(event) => change({ sort: event.currentTarget.value as Sort })}>
            {SORTS.map((value) => (
              <option key={value} value={value}>
                {ORDERS[value]}
              </option>
            ))}
          </select>
        </label>
      </search>
      <Loaded from={shown} lines={5}>
        {(page) =>
          page.items.length === 0 ? (
            <Empty title={filtered ? "No job matches." : "There is no job in this market yet."}>
              {filtered ? (
                <button
                  type="button"
                  class="quiet"
                  onClick={() => {
                    setTyped("");
                    change({ search: "", state: "", rule: "" });
                  }}
                >
                  Show all jobs
                </button>
              ) : (
                <>
                  {can && (
                    <p>
                      See how it works: three trainers of this machine learn to read digits, are judged and paid. It
                      takes about two minutes, and is explained step by step.
                    </p>
                  )}
                  <div class="actions centred">
                    <RunSample />
                    <Link to="/create" class={can ? "button quiet" : "button"}>
                      Create the first job
                    </Link>
                  </div>
                </>
              )}
            </Empty>
          ) : (
            <>
              <p class="muted" role="status">
                {plural(page.total, "job")}
                {filtered ? (page.total === 1 ? " matches" : " match") : ""}
                {page.items.length < page.total && `, ${count(page.items.length)} shown`}
              </p>
              <ul class="jobs">
                {page.items.map((job) => (
                  <Job key={job.job_id} job={job} />
                ))}
              </ul>
              {page.next && (
                <button type="button" class="quiet" onClick={jobs.more} disabled={jobs.loading}>
                  Show more
                </button>
              )}
            </>
          )
        }
      </Loaded>
      {shown.data !== undefined && shown.data.total > 0 && <ActivityList jobId={null} />}
    </>
  );
}

/** The list before, while the next one is on its way: typing does not make the page flicker. */
function useKept(jobs: Resource<Jobs>): Resource<Jobs> {
  const [last, setLast] = useState<Jobs | undefined>(undefined);
  useEffect(() => {
    if (jobs.data) setLast(jobs.data);
  }, [jobs.data]);
  return jobs.data === undefined && jobs.loading && last ? { ...jobs, data: last } : jobs;
}

function Job({ job }: { job: JobSummary }) {
  const unit = useUnit(job.token);
  const name = job.name ?? (job.problem ? "Description unreadable" : "Reading the description…");
  return (
    <li class="job">
      <div class="job-name">
        <h2>
          <Link to={`/job/${job.job_id}`}>
            <span class="muted number">{job.job_id}</span> {name}
          </Link>
        </h2>
        <p class="muted">
          {job.model ? `${job.model.architecture}, ${count(job.model.parameters)} parameters` : "model unknown"}
          {" · "}
          <Term word={job.rule} />
        </p>
        {job.state === "open" && <Start job={job} />}
        {job.state === "open" && <p class="muted">{job.trust}</p>}
        {job.problem && <p class="muted wrap">{job.problem}</p>}
      </div>
      <div class="job-state">
        <State state={job.state} />
        <span class="muted">
          <Deadline job={job} />
        </span>
      </div>
      <dl class="job-facts">
        <div>
          <dt>Reward a round</dt>
          <dd>
            <Amount value={job.reward} unit={unit} />
          </dd>
        </div>
        <div>
          <dt>Rounds</dt>
          <dd class="number">{job.round ? `${job.round} of ${job.rounds}` : job.rounds}</dd>
        </div>
        <div>
          <dt>Seats</dt>
          <dd class="number">{isOver(job.state) ? job.max_trainers : `${job.seats_taken} of ${job.max_trainers}`}</dd>
        </div>
        <div>
          <dt>
            <Term word="stake">Stake</Term>
          </dt>
          <dd>
            <Amount value={job.stake} unit={unit} />
          </dd>
        </div>
        <div>
          <dt>
            <Term word="faulty, f">Faulty, f</Term>
          </dt>
          <dd class="number">{job.max_faulty}</dd>
        </div>
        <div>
          <dt>Set-up</dt>
          <dd>{job.setup ? <Term word={job.setup} /> : "unknown"}</dd>
        </div>
      </dl>
    </li>
  );
}

function Start({ job }: { job: JobSummary }) {
  return (
    <p class="muted">
      {seatsText(job)}; {startText(job, useNow())}
    </p>
  );
}

function Deadline({ job }: { job: JobSummary }) {
  if (job.state === "open")
    return (
      <>
        enrolment <Countdown to={job.enrol_by} past="is over" />
      </>
    );
  if (job.state === "running" && job.submit_by !== null && job.submit_by !== undefined)
    return (
      <>
        updates due in <Countdown to={job.submit_by} past="(closed)" />
      </>
    );
  if (job.state === "confirming" && job.confirm_by !== null)
    return (
      <>
        confirmed in <Countdown to={job.confirm_by} past="(to be completed)" />
      </>
    );
  return null;
}
