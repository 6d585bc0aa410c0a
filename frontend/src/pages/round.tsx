/** One round: who submitted, how each was judged and paid, and the proof of it. */

import { useState } from "preact/hooks";
import { get, type LocalTrainer, type RoundDetail, type RoundSummary, type Terms } from "../live/api";
import { ofJob, useResource } from "../live/resource";
import { count, formatNumber, plural, share, shortAmount } from "../text/amounts";
import { partText, wholeOf } from "../text/points";
import { listed } from "../text/standing";
import { lossText, roundText, VERDICTS, type Why, whyThisGain } from "../text/why";
import { Address, Payee } from "../ui/address";
import { Countdown, download, Empty, Hex, Loaded, Notice, Table, Term, Transaction, When } from "../ui/parts";

type Props = { jobId: number; number: number; terms: Terms; mine: LocalTrainer | undefined };

export function Round({ jobId, number, terms, mine }: Props) {
  const round = useResource(
    `round ${jobId} ${number}`,
    () => get("/api/jobs/{job_id}/rounds/{number}", { job_id: jobId, number }),
    ofJob(jobId),
  );
  return (
    <article class="panel" aria-label={`Round ${number}`}>
      <h3>
        Round <span class="number">{number}</span>
      </h3>
      <Loaded from={round} lines={4}>
        {(detail) => <Detail jobId={jobId} detail={detail} terms={terms} mine={mine} />}
      </Loaded>
    </article>
  );
}

type Shown = { jobId: number; detail: RoundDetail; terms: Terms; mine: LocalTrainer | undefined };

function Detail({ jobId, detail, terms, mine }: Shown) {
  const { summary } = detail;
  const result = mine?.results.find((each) => each.round === summary.round);
  return (
    <>
      <Status detail={detail} terms={terms} />
      <Voids summary={summary} />
      {result && (
        <p class="muted">
          Your trainer: loss {result.loss.toFixed(4)} in {result.seconds.toFixed(1)} s.
        </p>
      )}
      {detail.judged.length > 0 ? (
        <JudgedTable detail={detail} terms={terms} />
      ) : detail.submissions.length > 0 ? (
        <Submissions label="Submissions" list={detail.submissions} />
      ) : (
        <Empty title={summary.status === "open" ? "Nobody has submitted yet." : "Nobody submitted."} />
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

function toBe(one: boolean, now: boolean): string {
  if (now) return one ? "It is" : "They are";
  return one ? "It was" : "They were";
}

/** What did not open, or was another aggregator's, who has delivered it again, and who is still to. */
export function Voids({ summary }: { summary: RoundSummary }) {
  const { voids, redelivered, undelivered, status } = summary;
  return (
    <>
      {redelivered.length > 0 && (
        <Submissions label="Delivered to the aggregator that took over" when="Delivered again" list={redelivered} />
      )}
      {voids.map((each, at) => {
        const one = each.unopened.length === 1;
        return (
          <div key={each.transaction}>
            <p>
              <Term word="void">Void</Term>: the {one ? "update" : "updates"} of {listed(each.unopened).toLowerCase()}{" "}
              did not open, by the aggregator's word in <Transaction hash={each.transaction} />.{" "}
              {each.deliver_by === null ? (
                "The job allows no further void: it ended, and the reward of the round is burnt."
              ) : (
                <>
                  {toBe(one, status === "delivering" && at === voids.length - 1)} to be{" "}
                  <Term word="deliver again">delivered again</Term> until <When unix={each.deliver_by} />.
                </>
              )}
            </p>
            {each.delivered.length > 0 && (
              <Submissions label="Delivered again" when="Delivered again" list={each.delivered} />
            )}
          </div>
        );
      })}
      {undelivered.length > 0 && (
        <p class="muted">
          {status === "delivering" ? "Still to come" : "Not delivered again"}: {listed(undelivered).toLowerCase()}.
        </p>
      )}
    </>
  );
}

type ListProps = { label: string; when?: string; list: RoundSummary["voids"][number]["delivered"] };

function Submissions({ label, list, when = "Submitted" }: ListProps) {
  return (
    <Table label={label} head={["Seat", "Operator", when, "Transaction", <Term key="c" word="CID" />]}>
      {list.map((submission) => (
        <tr key={submission.transaction}>
          <td class="number">{submission.slot}</td>
          <td>
            <Address value={submission.operator} what="operator" />
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

function Status({ detail, terms }: { detail: RoundDetail; terms: Terms }) {
  const { summary } = detail;
  switch (summary.status) {
    case "open":
      return (
        <p>
          Open: trainers can submit for <Countdown to={summary.submit_by} past="(closed)" />. {summary.submitted.length}{" "}
          have.
        </p>
      );
    case "delivering":
      return (
        <p>
          {plural(summary.undelivered.length, "update")} to be <Term word="deliver again">delivered again</Term>:{" "}
          <Countdown to={summary.submit_by} past="(closed)" />.
        </p>
      );
    case "settling":
      if (summary.submitted.length === 0)
        return (
          <p>
            {summary.undelivered.length > 0 ? "No update was delivered again" : "Nobody submitted"} in time: the round
            can be skipped now.
          </p>
        );
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
          were selected. {roundText(summary.gains, terms.rule)}
        </p>
      );
    case "skipped":
      return (
        <p>
          Skipped: {summary.undelivered.length > 0 ? "no update was delivered again" : "nobody submitted"}, so the round
          costs the owner nothing.
        </p>
      );
    default:
      return <p>The job ended in this round.</p>;
  }
}

export function JudgedTable({ detail, terms }: { detail: RoundDetail; terms: Terms }) {
  const [asked, setAsked] = useState<number | null>(null);
  const whole = wholeOf(detail.judged.map((entry) => BigInt(entry.gain)));
  const reference = terms.rule === "reference";
  // The gain stands beside the seat: on a phone, what is further right has to be scrolled to.
  const head = [
    "Seat",
    <Term key="g" word="gain">
      Gain
    </Term>,
    "Verdict",
  ];
  if (reference)
    head.push(
      "Loss",
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
      <Table label="Judgement and gain" head={head}>
        {detail.judged.map((entry) => (
          <tr key={entry.slot}>
            <td class="number">{entry.slot}</td>
            <td>
              <Gain gain={BigInt(entry.gain)} whole={whole} />
            </td>
            <td>
              <span class={`verdict verdict-${entry.verdict}`}>
                <Term word={entry.verdict}>{VERDICTS[entry.verdict]}</Term>
              </span>
            </td>
            {reference && <td>{lossText(BigInt(entry.gain)) || "—"}</td>}
            {reference && <td class="number">{entry.coefficient ? share(BigInt(entry.coefficient), 4096n) : "—"}</td>}
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
                  Why<span class="visually-hidden"> did seat {entry.slot} gain this</span>?
                </span>
              </button>
            </td>
          </tr>
        ))}
      </Table>
      {asked !== null && <WhySaid why={whyThisGain(detail, asked, terms)} transaction={detail.summary.transaction} />}
    </>
  );
}

export function Gain({ gain, whole }: { gain: bigint; whole: bigint }) {
  const part = whole === 0n ? 0 : Number(((gain < 0n ? -gain : gain) * 1000n) / whole) / 10;
  return (
    <span class={gain < 0n ? "part part-lost" : "part"} title={`${formatNumber(gain, 0)} units`}>
      <span class="part-bar" aria-hidden="true">
        <span style={{ width: `${part}%` }} />
      </span>
      <span class="number">{partText(gain, whole)}</span>
    </span>
  );
}

export function WhySaid({ why, transaction = null }: { why: Why; transaction?: string | null }) {
  return (
    <div class="why" role="status">
      <p>
        <strong>{why.headline}</strong>
      </p>
      {why.reasons.map((reason) => (
        <p key={reason}>{reason}</p>
      ))}
      {transaction && (
        <p class="muted">
          The contract checked the proof in <Transaction hash={transaction} />.
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
          The contract checked the <Term word="Gram proof" /> and the <Term word="decision proof" /> before it added to
          the balances.{" "}
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
