/** Which jobs this node cannot work on, and which ask for its aggregator: to accept or decline. */

import { get, post, type RequestEntry } from "../live/api";
import { useResource } from "../live/resource";
import { useUnit } from "../live/unit";
import { Link } from "../router";
import { plural } from "../text/amounts";
import { Address } from "../ui/address";
import { useAttempt } from "../ui/attempt";
import { Amount, Empty, Loaded, Notice, Term, When } from "../ui/parts";

const ROLES = { aggregator: "its aggregator", trainer: "a trainer", node: "its owner's node" } as const;

export function Troubles() {
  const troubles = useResource(
    "troubles",
    () => get("/api/troubles"),
    () => true,
  );
  return (
    <section>
      <h2>Jobs in trouble</h2>
      <Loaded from={troubles} lines={1}>
        {(list) =>
          list.length === 0 ? (
            <p class="muted">None: this node can work on all jobs that it serves or takes part in.</p>
          ) : (
            <ul class="jobs">
              {list.map((each) => (
                <li class="work" key={`${each.role} ${each.job_id}`}>
                  <h3>
                    <Link to={`/job/${each.job_id}`}>Job {each.job_id}</Link>
                  </h3>
                  <Notice kind="warn">{each.text}</Notice>
                  <p class="muted">
                    This node is {ROLES[each.role]}. Since <When unix={each.since} />
                    {each.again_at === null ? (
                      "; it is not tried again by itself."
                    ) : (
                      <>
                        ; it is tried again, next at <When unix={each.again_at} />.
                      </>
                    )}
                  </p>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </section>
  );
}

export function Requests() {
  const requests = useResource(
    "requests",
    () => get("/api/requests"),
    () => true,
  );
  return (
    <section>
      <h2>Requests to aggregate</h2>
      <p class="muted">
        Jobs that name this node's <Term word="aggregator" />. What its policy allows is accepted by itself; the rest
        waits here for you. Accepting deposits the <Term word="bond" />.
      </p>
      <Loaded from={requests} lines={2}>
        {(list) =>
          list.length === 0 ? (
            <Empty title="No open job asks for this node's aggregator." />
          ) : (
            <ul class="jobs">
              {list.map((each) => (
                <Request key={each.job_id} request={each} after={requests.reload} />
              ))}
            </ul>
          )
        }
      </Loaded>
    </section>
  );
}

const DECISIONS: Record<RequestEntry["decision"], string> = {
  open: "waits for you",
  accepted: "accepted",
  declined: "declined",
  served: "served: the bond is posted",
};

function Request({ request, after }: { request: RequestEntry; after: () => void }) {
  const unit = useUnit(request.token);
  const { working, problem, attempt } = useAttempt();
  const { job_id, decision, objections } = request;
  const decide = (what: "accept" | "decline") =>
    attempt(async () => {
      await post(`/api/requests/{job_id}/${what}`, undefined, { job_id });
      after();
    });
  return (
    <li class="work">
      <h3>
        <Link to={`/job/${job_id}`}>
          <span class="muted number">{job_id}</span> {request.name ?? "Reading the description…"}
        </Link>{" "}
        <span class={`state state-${decision}`}>{DECISIONS[decision]}</span>
      </h3>
      <p class="muted">
        By <Address value={request.owner} what="owner" />, <When unix={request.created} />. Bond{" "}
        <Amount value={request.bond} unit={unit} />, fee <Amount value={request.fee} unit={unit} /> and reward{" "}
        <Amount value={request.reward} unit={unit} /> a round, {plural(request.rounds, "round")}.
      </p>
      {objections.length > 0 && (
        <>
          <p>The policy has {plural(objections.length, "objection")}:</p>
          <ul class="objections">
            {objections.map((objection) => (
              <li key={objection}>{objection}</li>
            ))}
          </ul>
        </>
      )}
      {decision !== "served" && (
        <p class="actions">
          {decision !== "accepted" && (
            <button type="button" onClick={() => decide("accept")} disabled={working}>
              {objections.length > 0 ? "Accept it all the same" : "Accept"}
            </button>
          )}
          {decision !== "declined" && (
            <button type="button" class="quiet" onClick={() => decide("decline")} disabled={working}>
              Decline
            </button>
          )}
        </p>
      )}
      {problem && <Notice kind="bad">{problem}</Notice>}
    </li>
  );
}
