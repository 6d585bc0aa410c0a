/** What happened, in plain words, newest first: in one job, or in the whole market. */
import { useActivity } from "../live/activity";
import type { Happened } from "../live/api";
import { useNow } from "../live/clock";
import { useUnit } from "../live/unit";
import { Link } from "../router";
import { happened } from "../text/happened";
import { Address } from "../ui/address";
import { Loaded, Transaction, When } from "../ui/parts";

export function ActivityList({ jobId }: { jobId: number | null }) {
  const activity = useActivity(jobId);
  return (
    <section class="activity">
      <h2>{jobId === null ? "What happened lately" : "What happened"}</h2>
      <Loaded from={activity} lines={4}>
        {({ items, next }) => (
          <>
            <ul class="feed" aria-label="What happened, newest first">
              {items.map((item) => (
                <Item key={item.seq} item={item} withJob={jobId === null} />
              ))}
            </ul>
            {next !== null && (
              <button type="button" class="quiet" onClick={activity.more} disabled={activity.loading}>
                Show what was before
              </button>
            )}
          </>
        )}
      </Loaded>
    </section>
  );
}

function Item({ item, withJob }: { item: Happened; withJob: boolean }) {
  const unit = useUnit(item.token);
  return (
    <li>
      <p>{happened(item.kind, item.values, unit, useNow())}</p>
      <p class="muted">
        <When unix={item.timestamp} />
        {withJob && item.job_id > 0 && (
          <>
            {" · "}
            <Link to={`/job/${item.job_id}`}>{item.name ?? `job ${item.job_id}`}</Link>
          </>
        )}
        {item.who !== null && (
          <>
            {" · "}
            <Address value={item.who} what="address" />
          </>
        )}
        {" · "}
        <Transaction hash={item.transaction}>transaction</Transaction>
      </p>
    </li>
  );
}
