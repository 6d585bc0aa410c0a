/** Every job of the market, with what a trainer looks at first: pay, seats, deadlines, and what must be trusted. */
import { useCallback, useEffect, useState } from "preact/hooks";
import { get, type JobSummary } from "../live/api";
import { type Resource, useResource } from "../live/resource";
import { useUnit } from "../live/unit";
import { Link } from "../router";
import { count } from "../text/amounts";
import { STATES } from "../text/standing";
import { Amount, Countdown, Empty, Loaded, State, Term, Title } from "../ui/parts";

const SORTS = [
  ["newest", "Newest first"],
  ["reward", "Highest reward first"],
  ["enrol_by", "Enrolment ends soonest"],
] as const;

type Filter = { search: string; state: string; rule: string; sort: (typeof SORTS)[number][0] };
type Jobs = { items: JobSummary[]; next: string | null; total: number };

async function read(filter: Filter, pages: number): Promise<Jobs> {
  let found: Jobs = { items: [], next: null, total: 0 };
  let cursor: string | null = null;
  for (let page = 0; page < pages; page += 1) {
    const more: Jobs = await get("/api/jobs", { ...filter, cursor, limit: 50 });
    found = { ...more, items: [...found.items, ...more.items] };
    cursor = more.next;
    if (!cursor) break;
  }
  return found;
}

export function Market() {
  const [filter, setFilter] = useState<Filter>({ search: "", state: "", rule: "", sort: "newest" });
  const [typed, setTyped] = useState("");
  const [pages, setPages] = useState(1);
  const change = useCallback((part: Partial<Filter>) => {
    setFilter((old) => ({ ...old, ...part }));
    setPages(1);
  }, []);
  useEffect(() => {
    const timer = setTimeout(() => change({ search: typed.trim() }), 250);
    return () => clearTimeout(timer);
  }, [typed, change]);
  const jobs = useResource(
    JSON.stringify([filter, pages]),
    () => read(filter, pages),
    (news) => news.type === "chain",
  );
  const shown = useKept(jobs);
  const filtered = filter.search || filter.state || filter.rule;
  return (
    <>
      <header class="page-head">
        <Title>Market</Title>
        <p class="lead">
          Jobs that pay for what an update contributes to a model. The reward is in <Term word="escrow" /> before anyone
          trains.
        </p>
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
            <option>reference</option>
            <option>krum-cosine</option>
          </select>
        </label>
        <label>
          Order
          <select
            value={filter.sort}
            onChange={(event) => change({ sort: event.currentTarget.value as Filter["sort"] })}
          >
            {SORTS.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
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
                <p>
                  <Link to="/create" class="button">
                    Create the first job
                  </Link>
                </p>
              )}
            </Empty>
          ) : (
            <>
              <p class="muted" role="status">
                {count(page.total)} {page.total === 1 ? "job" : "jobs"}
                {filtered ? " match" : ""}
                {filtered && page.total === 1 ? "es" : ""}
              </p>
              <ul class="jobs">
                {page.items.map((job) => (
                  <Job key={job.job_id} job={job} />
                ))}
              </ul>
              {page.next && (
                <button type="button" class="quiet" onClick={() => setPages(pages + 1)} disabled={jobs.loading}>
                  Show more
                </button>
              )}
            </>
          )
        }
      </Loaded>
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
          <dd class="number">
            {job.seats_taken} of {job.max_trainers}
          </dd>
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
        submit within <Countdown to={job.submit_by} past="(closed)" />
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
