/** One round: who submitted, how each was judged and paid, and the proof of it. */
import { useState } from "preact/hooks";
import { get, type Judged, type LocalTrainer, type RoundDetail, type Terms } from "../live/api";
import { ofJob, useResource } from "../live/resource";
import { count, formatNumber, share, shortAmount, type Unit } from "../text/amounts";
import type { Word } from "../text/glossary";
import { whyThisPay } from "../text/why";
import {
  Amount,
  Countdown,
  download,
  Empty,
  Hex,
  Loaded,
  Notice,
  Payee,
  Table,
  Term,
  Transaction,
  When,
} from "../ui/parts";

type Props = { jobId: number; number: number; terms: Terms; unit: Unit; mine: LocalTrainer | undefined };

export function useRound(jobId: number, number: number) {
  return useResource(
    `round ${jobId} ${number}`,
    () => get("/api/jobs/{job_id}/rounds/{number}", { job_id: jobId, number }),
    ofJob(jobId),
  );
}

export function Round({ jobId, number, terms, unit, mine }: Props) {
  const round = useRound(jobId, number);
  return (
    <article class="panel" aria-label={`Round ${number}`}>
      <h3>
        Round <span class="number">{number}</span>
      </h3>
      <Loaded from={round} lines={4}>
        {(detail) => <Detail jobId={jobId} detail={detail} terms={terms} unit={unit} mine={mine} />}
      </Loaded>
    </article>
  );
}

function Detail({
  jobId,
  detail,
  terms,
  unit,
  mine,
}: {
  jobId: number;
  detail: RoundDetail;
  terms: Terms;
  unit: Unit;
  mine: LocalTrainer | undefined;
}) {
  const { summary } = detail;
  const result = mine?.results.find((each) => each.round === summary.round);
  return (
    <>
      <Status detail={detail} unit={unit} />
      {result && (
        <p class="muted">
          Your trainer: loss {result.loss.toFixed(4)} in {result.seconds.toFixed(1)} s.
        </p>
      )}
      {detail.judged.length > 0 ? (
        <JudgedTable detail={detail} terms={terms} unit={unit} />
      ) : detail.submissions.length > 0 ? (
        <Submissions label="Submissions" list={detail.submissions} />
      ) : (
        <Empty title={summary.status === "open" ? "Nobody has submitted yet." : "Nobody submitted."} />
      )}
      {detail.failed.length > 0 && (
        <details>
          <summary>Submitted before another aggregator took over</summary>
          <p class="muted">
            These count for nothing: the round is submitted again, to{" "}
            <Hex value={summary.aggregator} what="aggregator" />.
          </p>
          <Submissions label="Submissions that count for nothing" list={detail.failed} />
        </details>
      )}
      {detail.shown.map((shown) => (
        <p key={shown.transaction} class="muted">
          Seat {shown.slot} says that its submission opens, though it was called <Term word="unopened" />:{" "}
          <Hex value={shown.cid} what="content id" /> in <Transaction hash={shown.transaction} />. An audit checks it.
        </p>
      ))}
      <Proof jobId={jobId} detail={detail} />
    </>
  );
}

function Submissions({ label, list }: { label: string; list: RoundDetail["submissions"] }) {
  return (
    <Table label={label} head={["Seat", "Operator", "Submitted", "Transaction", <Term key="c" word="CID" />]}>
      {list.map((submission) => (
        <tr key={submission.transaction}>
          <td class="number">{submission.slot}</td>
          <td>
            <Hex value={submission.operator} what="operator" />
          </td>
          <td>
            <When unix={submission.timestamp} />
          </td>
          <td>
            <Transaction hash={submission.transaction} />
          </td>
          <td>
            <Hex value={submission.cid} what="content id" />
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Status({ detail, unit }: { detail: RoundDetail; unit: Unit }) {
  const { summary } = detail;
  switch (summary.status) {
    case "open":
      return (
        <p>
          Open: trainers can submit for <Countdown to={summary.submit_by} past="(closed)" />. {summary.submitted.length}{" "}
          have.
        </p>
      );
    case "settling":
      return (
        <p>
          The aggregator judges {summary.submitted.length}{" "}
          {summary.submitted.length === 1 ? "submission" : "submissions"}; it has{" "}
          <Countdown to={summary.settle_by} past="missed its deadline" />.
        </p>
      );
    case "settled":
      return (
        <p>
          <Term word="settled round">Settled</Term>: {summary.selected.length} of {summary.submitted.length} updates
          were selected, and a <Term word="pot" /> of <Amount value={summary.pot ?? "0"} unit={unit} /> was divided.
        </p>
      );
    case "skipped":
      return <p>Skipped: nobody submitted, and the round's money went back to the owner.</p>;
    default:
      return <p>The job ended in this round.</p>;
  }
}

export function JudgedTable({ detail, terms, unit }: { detail: RoundDetail; terms: Terms; unit: Unit }) {
  const [asked, setAsked] = useState<number | null>(null);
  const total = detail.judged.reduce((sum, entry) => sum + BigInt(entry.weight), 0n);
  // Pay stands beside the seat: on a phone, what is further right has to be scrolled to.
  const head = [
    "Seat",
    "Pay",
    "Verdict",
    <Term key="w" word="weight">
      Weight
    </Term>,
  ];
  if (terms.rule === "reference")
    head.push(
      <Term key="c" word="coefficient">
        In the sum
      </Term>,
    );
  head.push(
    <Term key="p" word="payee">
      Payee
    </Term>,
    "",
  );
  return (
    <>
      <Table label="Judgement and pay" head={head} right={[1]}>
        {detail.judged.map((entry) => (
          <tr key={entry.slot}>
            <td class="number">{entry.slot}</td>
            <td class="right">
              <Amount value={entry.pay} unit={unit} />
            </td>
            <td>
              <span class={`verdict verdict-${entry.verdict}`}>
                <Term word={entry.verdict as Word} />
              </span>
            </td>
            <td>
              <Weight entry={entry} total={total} />
            </td>
            {terms.rule === "reference" && (
              <td class="number">{entry.coefficient ? share(BigInt(entry.coefficient), 4096n) : "—"}</td>
            )}
            <td>
              <Payee value={entry.payee} />
            </td>
            <td>
              <button
                type="button"
                class="quiet small"
                aria-expanded={asked === entry.slot}
                onClick={() => setAsked(asked === entry.slot ? null : entry.slot)}
              >
                <span>
                  Why<span class="visually-hidden"> was seat {entry.slot} paid this</span>?
                </span>
              </button>
            </td>
          </tr>
        ))}
      </Table>
      {asked !== null && <Why detail={detail} slot={asked} rule={terms.rule} unit={unit} />}
    </>
  );
}

function Weight({ entry, total }: { entry: Judged; total: bigint }) {
  const weight = BigInt(entry.weight);
  const part = total === 0n ? 0 : Number((weight * 1000n) / total) / 10;
  return (
    <span class="weight" title={`${formatNumber(weight, 0)} of ${formatNumber(total, 0)}`}>
      <span class="weight-bar" aria-hidden="true">
        <span style={{ width: `${part}%` }} />
      </span>
      <span class="number">{share(weight, total)}</span>
    </span>
  );
}

export function Why({
  detail,
  slot,
  rule,
  unit,
}: {
  detail: RoundDetail;
  slot: number;
  rule: Terms["rule"];
  unit: Unit;
}) {
  const why = whyThisPay(detail, slot, rule, unit);
  return (
    <div class="why" role="status">
      <p>
        <strong>{why.headline}</strong>
      </p>
      {why.reasons.map((reason) => (
        <p key={reason}>{reason}</p>
      ))}
      {detail.summary.transaction && (
        <p class="muted">
          The contract checked the proof in <Transaction hash={detail.summary.transaction} />.
        </p>
      )}
    </div>
  );
}

function Proof({ jobId, detail }: { jobId: number; detail: RoundDetail }) {
  const { summary, proof } = detail;
  if (summary.status !== "settled") return null;
  const save = () =>
    download(
      `job-${jobId}-round-${summary.round}-proof.json`,
      "application/json",
      `${JSON.stringify(detail, null, 2)}\n`,
    );
  return (
    <div class="proof">
      {proof ? (
        <p>
          <span class="mark good" aria-hidden="true">
            ✓
          </span>{" "}
          The contract checked the <Term word="Gram proof" /> and the <Term word="decision proof" /> before it paid.{" "}
          <button type="button" class="quiet small" onClick={save}>
            Save the proof's data
          </button>
        </p>
      ) : detail.proof_problem ? (
        <Notice kind="warn">The proof's data cannot be shown: {detail.proof_problem}</Notice>
      ) : (
        <p>Nothing could be opened in this round, so there was nothing to prove.</p>
      )}
      <p class="muted">
        {summary.transaction && (
          <>
            Settled in <Transaction hash={summary.transaction} />
          </>
        )}
        {detail.gas !== null && (
          <>
            , {count(detail.gas)} <Term word="gas" />
            {detail.gas_price !== null && <> ({shortAmount(BigInt(detail.gas) * BigInt(detail.gas_price))})</>}
          </>
        )}
        {detail.sum_cid && (
          <>
            , sum <Hex value={detail.sum_cid} what="content id of the sum" />
          </>
        )}
      </p>
    </div>
  );
}
