/** What is out of the ordinary with a job, in plain words: a takeover, its window, a void round, disputes, and the last check. */

import type { JobDetail } from "../live/api";
import { useNow } from "../live/clock";
import { Link } from "../router";
import { type Unit, ZERO_ADDRESS } from "../text/amounts";
import { disputed, endText, phaseOf, rowsText, voidText } from "../text/standing";
import { Address } from "../ui/address";
import { Amount, Notice, Term, Transaction, When } from "../ui/parts";

export function Standing({ detail, unit }: { detail: JobDetail; unit: Unit }) {
  const { takeovers, takeover } = detail;
  const now = useNow();
  const { at } = phaseOf(detail, now);
  const disputes = disputed(detail);
  const rows = rowsText(detail, now);
  const voided = voidText(detail, now);
  const end = endText(detail);
  const burnt = BigInt(detail.burnt);
  return (
    <>
      {takeovers.map((each) => (
        <Notice kind="info" key={each.transaction}>
          <Term word="takeover">Taken over</Term> in round {each.round}:{" "}
          <Address value={each.aggregator} what="aggregator" /> took the place of{" "}
          <Address value={each.failed} what="failed aggregator" />, which had missed its deadline, on{" "}
          <When unix={each.timestamp} /> (<Transaction hash={each.transaction} />
          ). What had been submitted is delivered again, to it.
        </Notice>
      ))}
      {at === "takeover" && takeover && (
        <Notice kind="warn">
          The aggregator has missed its deadline. Another aggregator may <Term word="takeover">take over</Term> until{" "}
          <When unix={takeover.until} />, with{" "}
          <code>merit aggregator run --job {detail.summary.job_id} --take-over</code>.
        </Notice>
      )}
      {voided && (
        <Notice kind={voided.kind}>
          <Term word="void">Void</Term>: {voided.text}
        </Notice>
      )}
      {end && (
        <Notice kind="info">
          {at === "confirming" && (
            <>
              <Term word="confirming">Confirming</Term>:{" "}
            </>
          )}
          {end}
        </Notice>
      )}
      {disputes && (
        <Notice kind={detail.disputed_sum ? "bad" : "warn"}>
          <Term word="dispute">Disputed</Term>: {disputes}
        </Notice>
      )}
      {rows && (
        <Notice kind={rows.kind}>
          <Term word="reference rows">Reference rows</Term>: {rows.text}
        </Notice>
      )}
      {burnt > 0n && (
        <p class="muted">
          <Term word="burnt">Burnt</Term>: <Amount value={burnt} unit={unit} />, which{" "}
          <Link to={`/pay/${ZERO_ADDRESS}`}>nobody</Link> can withdraw.
        </p>
      )}
    </>
  );
}
