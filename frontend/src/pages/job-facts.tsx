import type { JobDetail, TrainerFacts } from "../live/api";
import { Link } from "../router";
import { count, percent, type Unit } from "../text/amounts";
import { plainDuration } from "../text/time";
import { Amount, Empty, Hex, Notice, Payee, Table, Term, Transaction } from "../ui/parts";

export function Trainers({ list, unit, detail }: { list: TrainerFacts[]; unit: Unit; detail: JobDetail }) {
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
  const { max_missed, max_strikes } = detail.terms;
  return (
    <Table
      label="Trainers"
      right={[8]}
      head={[
        "Seat",
        <Term key="o" word="operator">
          Operator
        </Term>,
        <Term key="p" word="payee">
          Payee
        </Term>,
        "Status",
        "Submitted",
        "Selected",
        "Missed",
        <Term key="s" word="strike">
          Strikes
        </Term>,
        "Pay",
      ]}
    >
      {list.map((trainer) => (
        <tr key={`${trainer.slot} ${trainer.operator}`}>
          <td class="number">{trainer.slot}</td>
          <td>
            <Hex value={trainer.operator} what="operator" />
          </td>
          <td>
            <Payee value={trainer.payee} />
          </td>
          <td>{trainer.status}</td>
          <td class="number">{trainer.submitted.length}</td>
          <td class="number">{trainer.selected.length}</td>
          <td class="number">
            {trainer.missed} of {max_missed}
          </td>
          <td class="number">
            {trainer.strikes}
            {max_strikes < 255 ? ` of ${max_strikes}` : ""}
          </td>
          <td class="right">
            <Amount value={trainer.pay} unit={unit} />
          </td>
        </tr>
      ))}
    </Table>
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
          <Hex value={summary.owner} what="owner" />
        </Fact>
        <Fact name={<Term word="aggregator">Aggregator</Term>}>
          {summary.aggregator ? (
            <Hex value={summary.aggregator} what="aggregator" />
          ) : terms.aggregator ? (
            <>
              only <Hex value={terms.aggregator} what="aggregator" />, not there yet
            </>
          ) : (
            "anyone, nobody yet"
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
          {detail.fee_due && <span class="muted">, one is due</span>}
        </Fact>
        <Fact name={<Term word="stake">Stake</Term>}>
          <Amount value={terms.stake} unit={unit} />
        </Fact>
        <Fact name={<Term word="slash">Lost when removed</Term>}>{percent(terms.slash_bps / 10_000)} of the stake</Fact>
        <Fact name={<Term word="bond">Bond</Term>}>
          <Amount value={terms.bond} unit={unit} />
        </Fact>
        <Fact name={<Term word="faulty, f">Faulty, f</Term>}>{terms.max_faulty}</Fact>
        <Fact name={<Term word="takeover">Takeover window</Term>}>
          {terms.takeover_window === 0 ? "none" : plainDuration(terms.takeover_window)}
        </Fact>
        <Fact name={<Term word="dispute">Disputes that end it</Term>}>
          {terms.max_faulty + 1}, or all trainers where there are fewer
        </Fact>
        <Fact name="Empty rounds that end it">{terms.max_empty_rounds} in a row</Fact>
        {spec && (
          <>
            <Fact name="Model">
              {spec.model.architecture}
              {summary.model ? `, ${count(summary.model.parameters)} parameters` : ""}
            </Fact>
            <Fact name="Data">
              {spec.data.kind} of shape {spec.data.shape.join(" × ")}, {spec.data.classes} classes
            </Fact>
            <Fact name="Training a round">
              {spec.training.epochs ?? 1} {(spec.training.epochs ?? 1) === 1 ? "epoch" : "epochs"},{" "}
              {spec.training.optimizer ?? "sgd"}, learning rate {spec.training.learning_rate}
            </Fact>
          </>
        )}
        <Fact name="Proof set-up">{summary.setup ? <Term word={summary.setup} /> : "unknown"}</Fact>
        <Fact name={<Term word="Gram proof">Gram verifier</Term>}>
          <Hex value={terms.gram_verifier} what="Gram verifier" />
        </Fact>
        <Fact name={<Term word="decision proof">Decision verifier</Term>}>
          <Hex value={terms.decision_verifier} what="decision verifier" />
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
