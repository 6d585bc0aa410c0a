import { useState } from "preact/hooks";
import type { JobDetail, TrainerFacts } from "../live/api";
import { Link } from "../router";
import { count, percent, plural, share, type Unit } from "../text/amounts";
import { dataText } from "../text/data";
import { balanceText, heldBy, partsOf } from "../text/points";
import { isOver } from "../text/standing";
import { plainDuration } from "../text/time";
import { roundsText, strikeText, whyThisPay } from "../text/why";
import { Address, Payee } from "../ui/address";
import { Amount, Empty, Hex, Notice, Table, Term, Transaction } from "../ui/parts";
import { WhySaid } from "./round";

export function Trainers({ list, unit, detail }: { list: TrainerFacts[]; unit: Unit; detail: JobDetail }) {
  const [asked, setAsked] = useState<number | null>(null);
  if (list.length === 0)
    return (
      <Empty title="Nobody has joined yet.">
        {detail.summary.state === "open" && (
          <p>
            <Link to={`/job/${detail.summary.job_id}/join`}>Join as a trainer</Link>
          </p>
        )}
      </Empty>
    );
  const { max_missed, max_strikes, rule } = detail.terms;
  const over = isOver(detail.summary.state);
  const { parts, whole } = partsOf(list.map(heldBy));
  // Pay stands beside the seat: on a narrow window, what is further right has to be scrolled to.
  return (
    <>
      <Table
        label="Trainers"
        right={[1]}
        head={[
          "Seat",
          over ? "Pay" : "Pay if it ended now",
          <Term key="t" word="points">
            Points
          </Term>,
          <Term key="b" word="balance">
            Balance
          </Term>,
          <Term key="r" word="rounds opened">
            Opened
          </Term>,
          "Status",
          "Submitted",
          "Selected",
          "Missed",
          <Term key="s" word="strike">
            Strikes
          </Term>,
          <Term key="o" word="operator">
            Operator
          </Term>,
          <Term key="p" word="payee">
            Payee
          </Term>,
          "",
        ]}
      >
        {list.map((trainer, at) => (
          <tr key={`${trainer.slot} ${trainer.operator}`}>
            <td class="number">{trainer.slot}</td>
            <td class="right">
              <Amount value={trainer.pay} unit={unit} />
            </td>
            <td class="number">{share(parts[at] ?? 0n, whole)}</td>
            <td class="number">{balanceText(trainer.balance, rule)}</td>
            <td class="number">
              {trainer.opened} of {detail.settled}
            </td>
            <td>
              {trainer.status}
              {trainer.claimed && ", claimed"}
            </td>
            <td class="number">{trainer.submitted.length}</td>
            <td class="number">{trainer.selected.length}</td>
            <td class="number">
              {trainer.missed} of {max_missed}
            </td>
            <td class="number">
              {trainer.strikes}
              {max_strikes < 255 ? ` of ${max_strikes}` : ""}
              {trainer.struck.length > 0 && <small>, in {roundsText(trainer.struck)}</small>}
            </td>
            <td>
              <Address value={trainer.operator} what="operator" />
            </td>
            <td>
              <Payee value={trainer.payee} />
            </td>
            <td>
              {trainer.member && (
                <button
                  type="button"
                  class="quiet small"
                  aria-expanded={asked === trainer.slot}
                  onClick={() => setAsked(asked === trainer.slot ? null : trainer.slot)}
                >
                  <span>
                    Why<span class="visually-hidden"> is this the pay of seat {trainer.slot}</span>?
                  </span>
                </button>
              )}
            </td>
          </tr>
        ))}
      </Table>
      {asked !== null && <WhySaid why={whyThisPay(detail, list, asked, unit)} />}
      {list.some((trainer) => trainer.strikes > 0) && (
        <p class="muted">
          {strikeText(rule)} At {max_strikes} a part of the stake is taken, with the claim; the points stay.
        </p>
      )}
    </>
  );
}

export function Terms({ detail, unit }: { detail: JobDetail; unit: Unit }) {
  const { terms, summary, spec } = detail;
  return (
    <section>
      <h2>Terms and trust</h2>
      {summary.setup === "development" && (
        <Notice kind="warn">
          This job's proofs use a <Term word="development">development set-up</Term>: whoever made it could forge
          proofs.
        </Notice>
      )}
      <dl class="facts">
        <Fact name="Owner">
          <Address value={summary.owner} what="owner" />
        </Fact>
        <Fact name={<Term word="aggregator">Aggregator</Term>}>
          {summary.aggregator ? (
            <Address value={summary.aggregator} what="aggregator" />
          ) : terms.aggregator ? (
            <>
              only <Address value={terms.aggregator} what="aggregator" />, not there yet
            </>
          ) : (
            "anyone, nobody yet"
          )}
        </Fact>
        <Fact name="Who may join">
          {terms.gate ? (
            <>
              By invitation of <Address value={terms.gate} what="gate" />
              {terms.gate === summary.owner && ", the owner, who can invite itself"}
            </>
          ) : (
            "anyone"
          )}
        </Fact>
        <Fact name="Pay rule">
          <Term word={terms.rule} />
        </Fact>
        <Fact name={<Term word="escrow">Left in escrow</Term>}>
          <Amount value={detail.escrow} unit={unit} />
        </Fact>
        <Fact name={<Term word="fee">Fee a settled round</Term>}>
          <Amount value={terms.fee} unit={unit} />
          {BigInt(detail.fees) > 0n && (
            <span class="muted">
              , <Amount value={detail.fees} unit={unit} />{" "}
              {isOver(summary.state) ? "to be claimed" : "held until the end"}
            </span>
          )}
          {(detail.disputed_sum || detail.disputed_rows) && <span class="muted">, burnt</span>}
        </Fact>
        <Fact name="Reward a settled round">
          <Amount value={terms.reward} unit={unit} />
        </Fact>
        <Fact name={<Term word="minimum rounds">Minimum rounds</Term>}>
          {terms.min_rounds === terms.rounds ? "all" : terms.min_rounds} of {terms.rounds}
        </Fact>
        <Fact name={<Term word="confirm window">Confirm window</Term>}>{plainDuration(terms.confirm_window)}</Fact>
        <Fact name="What pay rests on">{summary.trust}</Fact>
        <Fact name={<Term word="start delay">Start delay</Term>}>
          {terms.start_delay === 0 ? "none" : plainDuration(terms.start_delay)}
        </Fact>
        {terms.rule === "reference" && (
          <Fact name={<Term word="reveal window">Reveal window</Term>}>
            {terms.reveal_window === 0 ? "never" : plainDuration(terms.reveal_window)}
          </Fact>
        )}
        <Fact name={<Term word="stake">Stake</Term>}>
          <Amount value={terms.stake} unit={unit} />
        </Fact>
        <Fact name={<Term word="slash">Slash</Term>}>
          {percent(terms.slash_bps / 10_000)} of the stake, for {plural(terms.max_missed, "missed round")} in a row or{" "}
          {plural(terms.max_strikes, "strike")}
        </Fact>
        <Fact name={<Term word="bond">Bond</Term>}>
          <Amount value={terms.bond} unit={unit} />
        </Fact>
        <Fact name={<Term word="faulty, f">Faulty, f</Term>}>{terms.max_faulty}</Fact>
        <Fact name={<Term word="takeover">Takeover window</Term>}>
          {terms.takeover_window === 0 ? "none" : plainDuration(terms.takeover_window)}
        </Fact>
        <Fact name={<Term word="dispute">Disputes that burn the bond</Term>}>
          {terms.max_faulty + 1}, or all trainers where there are fewer
        </Fact>
        <Fact name={<Term word="void">Voids that it allows</Term>}>{terms.max_voids} in all</Fact>
        <Fact name="Empty rounds that end it">{terms.max_empty_rounds} in a row</Fact>
        {spec && (
          <>
            <Fact name="Model">
              {spec.model.architecture}
              {summary.model ? `, ${count(summary.model.parameters)} parameters` : ""}
            </Fact>
            <Fact name="Data">{dataText(spec.data)}</Fact>
            <Fact name="Training a round">
              {spec.training.epochs ?? 1} {(spec.training.epochs ?? 1) === 1 ? "epoch" : "epochs"},{" "}
              {spec.training.optimizer ?? "sgd"}, learning rate {spec.training.learning_rate}
            </Fact>
          </>
        )}
        <Fact name="Proof set-up">{summary.setup ? <Term word={summary.setup} /> : "unknown"}</Fact>
        <Fact name={<Term word="Gram proof">Gram verifier</Term>}>
          <Address value={terms.gram_verifier} what="Gram verifier" />
        </Fact>
        <Fact name={<Term word="decision proof">Decision verifier</Term>}>
          <Address value={terms.decision_verifier} what="decision verifier" />
        </Fact>
        <Fact
          name={
            <>
              Description, <Term word="CID" />
            </>
          }
        >
          <Hex value={detail.spec_cid} what="content id" />
        </Fact>
        <Fact name="Created by">
          <Transaction hash={detail.transaction} />
        </Fact>
      </dl>
    </section>
  );
}

function Fact({ name, children }: { name: preact.ComponentChildren; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
