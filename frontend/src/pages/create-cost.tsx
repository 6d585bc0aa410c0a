/** What a job costs, and the way to it: the node publishes the description, the page compares, the wallet signs. */
import { useState } from "preact/hooks";
import { getAddress, type Hex } from "viem";
import { ApiError, get, post } from "../live/api";
import { type Looked, useJobPreview } from "../live/job-preview";
import { useNode } from "../live/node";
import { go, Link } from "../router";
import {
  bytesText,
  count,
  formatAmount,
  formatNumber,
  plural,
  SMALLEST,
  type Unit,
  ZERO_ADDRESS,
} from "../text/amounts";
import {
  costOf,
  type Draft,
  documentOf,
  forget,
  maxVoidsOf,
  minRoundsOf,
  moneyOf,
  revealWindowOf,
} from "../text/draft";
import type { Mistakes } from "../text/fields";
import { parseDuration, parseWait } from "../text/time";
import { Fold, leadTo } from "../ui/field";
import { Funds, useHoldings } from "../ui/funds";
import { Copy, download, Notice, Term } from "../ui/parts";
import { CreatedMeanwhile, OpenCreations } from "../ui/sent";
import { Progress, useTransaction, WalletChooser } from "../ui/wallet";
import { differences } from "../wallet/creation";
import { openCreation } from "../wallet/sent";

const WEI: Unit = { symbol: "wei", decimals: 0 };

type Props = { draft: Draft; mistakes: Mistakes; unit: Unit; touch: () => void; wallet: Hex | null };

export function Cost({ draft, mistakes, unit, touch, wallet }: Props) {
  const node = useNode();
  const transaction = useTransaction();
  const [problem, setProblem] = useState<string | null>(null);
  const [stage, setStage] = useState<"" | "file" | "prepare" | "sign">("");
  const [what, setWhat] = useState("Done.");
  const [began] = useState(Date.now);
  const cost = costOf(draft, unit);
  const money = moneyOf(draft, unit);
  const wrong = Object.entries(mistakes);
  const looked = useJobPreview(wrong.length === 0 ? documentOf(draft, unit) : null);
  const coin = !draft.token;
  const payer = wallet ?? node?.acts_as?.address;
  const holdings = useHoldings(cost !== null ? payer : null, draft.token || ZERO_ADDRESS);

  const guarded = async (next: typeof stage, work: () => Promise<void>) => {
    touch();
    setProblem(null);
    transaction.reset();
    if (wrong.length) return;
    setStage(next);
    try {
      await work();
    } catch (error) {
      setProblem(error instanceof ApiError ? error.detail : String(error));
    }
    setStage("");
  };

  const file = () =>
    guarded("file", async () => {
      const preview = await post("/api/jobs/preview", { document: documentOf(draft, unit) });
      download("job.yaml", "application/yaml", preview.yaml);
    });

  const create = () =>
    guarded("prepare", async () => {
      if (!wallet || !node || money === null) return;
      if (openCreation(wallet)) {
        setProblem("A job of this account is still on its way, as said above. Doing it again would escrow twice.");
        return;
      }
      const { items } = await get("/api/jobs", { sort: "newest", limit: 1 });
      const validation = draft.validation || null;
      const prepared = await post("/api/jobs/prepare", {
        document: documentOf(draft, unit),
        owner: getAddress(wallet),
        validation,
        reading: draft.reading,
      });
      const odd = differences(
        prepared.calls,
        {
          token: (draft.token || ZERO_ADDRESS) as Hex,
          ...money,
          rounds: Number(draft.rounds),
          minRounds: minRoundsOf(draft),
          minTrainers: Number(draft.minTrainers),
          maxTrainers: Number(draft.maxTrainers),
          maxFaulty: Number(draft.maxFaulty),
          maxVoids: maxVoidsOf(draft),
          startDelay: parseWait(draft.startDelay) ?? 0,
          submitWindow: parseDuration(draft.submitWindow) ?? 0,
          settleWindow: parseDuration(draft.settleWindow) ?? 0,
          takeoverWindow: parseWait(draft.takeoverWindow) ?? 0,
          confirmWindow: parseDuration(draft.confirmWindow) ?? 0,
          revealWindow: revealWindowOf(draft) ?? 0,
          aggregator: (draft.aggregator || null) as Hex | null,
          gate: draft.gate === "owner" ? wallet : ((draft.gate || null) as Hex | null),
        },
        node.market as Hex,
      );
      if (odd.length) {
        setProblem(`What the node prepared is not what this form says (${odd.join(", ")}). Nothing was sent.`);
        return;
      }
      setStage("sign");
      const creation = { cid: prepared.spec_cid, after: items[0]?.job_id ?? 0 };
      for (const [at, call] of prepared.calls.entries()) {
        setWhat(`${call.text}: done.`);
        const creates = at === prepared.calls.length - 1;
        const text = creates ? `Create the job “${draft.name.trim()}”` : call.text;
        const sent = { to: call.to as Hex, data: call.data as Hex, value: BigInt(call.value) };
        const last = await transaction.run(sent, text, creates ? creation : null);
        if (last.at !== "done") return;
        if (last.job !== null) shown(last.job);
      }
    });

  const byNode = () =>
    guarded("prepare", async () => {
      const made = await post("/api/jobs", {
        document: documentOf(draft, unit),
        validation: draft.validation || null,
        reading: draft.reading,
      });
      shown(made.job_id);
    });

  const working = stage !== "" || transaction.busy;
  return (
    <section class="cost" aria-label="Cost">
      <h2>What it costs</h2>
      <p class="total number" role="status">
        {cost === null ? "—" : formatAmount(cost, unit)}
      </p>
      {cost !== null && money && (
        <p class="muted">
          {plural(BigInt(draft.rounds), "round")} × ({formatNumber(money.reward, unit.decimals)} reward +{" "}
          {formatNumber(money.fee, unit.decimals)} fee)
          {unit.decimals > 0 && ` = ${formatAmount(cost, coin ? WEI : SMALLEST)}`}. It goes into <Term word="escrow" />,
          and what rounds do not use comes back to you. Your wallet adds the gas.
        </p>
      )}
      <Said wrong={wrong} looked={looked} touch={touch} />
      {!working && <OpenCreations />}
      <CreatedMeanwhile since={began} />
      <WalletChooser purpose="or let this node's key pay, or download the file for the command line" />
      {cost !== null && payer && (
        <Funds
          holdings={holdings}
          whose={wallet ? "Your wallet" : "This node's key"}
          cost={cost}
          token={draft.token || ZERO_ADDRESS}
          unit={unit}
        />
      )}
      <div class="actions">
        <button type="button" onClick={create} disabled={working || !wallet || !node}>
          {stage === "prepare"
            ? "Publishes the description…"
            : `Create and escrow ${cost === null ? "" : formatAmount(cost, unit)}`}
        </button>
        {node?.acts_as && !wallet && (
          <button type="button" class="quiet" onClick={byNode} disabled={working}>
            Create with this node's key
          </button>
        )}
        <button type="button" class="quiet" onClick={file} disabled={working}>
          Download as YAML
        </button>
      </div>
      {stage === "prepare" && (
        <p class="hint" role="status">
          The node publishes the description, and the contracts that check its proofs where it knows none. The first
          time takes a minute.
        </p>
      )}
      {problem && <Notice kind="bad">{problem}</Notice>}
      <Progress step={transaction.step} what={what} />
      {wallet && (
        <p class="hint">Before your wallet opens, the page decodes the call and compares it with this form.</p>
      )}
      <p class="hint">
        See <Link to="/">other jobs</Link> for usual terms.
      </p>
    </section>
  );
}

type SaidProps = { wrong: [field: string, text: string][]; looked: Looked; touch: () => void };

/** What is wrong, each with a way to it; else what the node says of the job as it stands. */
function Said({ wrong, looked, touch }: SaidProps) {
  if (wrong.length > 0)
    return (
      <div class="mistakes">
        <p class="mistake">{wrong.length === 1 ? "One field needs a look:" : `${wrong.length} fields need a look:`}</p>
        <ul>
          {wrong.slice(0, 6).map(([field, text]) => (
            <li key={field}>
              <button
                type="button"
                class="link"
                onClick={() => {
                  touch();
                  leadTo(field);
                }}
              >
                {text}
              </button>
            </li>
          ))}
        </ul>
      </div>
    );
  if (looked.problem) return <Notice kind="bad">{looked.problem}</Notice>;
  if (!looked.preview) return looked.looking ? <p class="hint">The node looks at it…</p> : null;
  const { parameters, yaml } = looked.preview;
  return (
    <>
      <p class="muted" role="status">
        The model has {count(parameters)} trained parameters. An update takes about {bytesText(2 * parameters)}.
      </p>
      <Fold title="As a job file">
        <pre class="code">{yaml}</pre>
        <Copy value={yaml} what="the file" />
      </Fold>
    </>
  );
}

function shown(jobId: number): void {
  forget();
  go(`/job/${jobId}`);
}
