/** A job from a form: its cost to the unit first, then the same as a file, then the wallet. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { getAddress, type Hex } from "viem";
import { ApiError, get, post } from "../live/api";
import { useNode, useToken } from "../live/node";
import { go, Link } from "../router";
import { COIN, formatAmount, parseAmount, SMALLEST, ZERO_ADDRESS } from "../text/amounts";
import { costOf, DEFAULTS, type Draft, documentOf, type Mistakes, mistakesOf } from "../text/draft";
import type { Word } from "../text/glossary";
import { NoToken } from "../ui/no-token";
import { download, Notice, Term, Title } from "../ui/parts";
import { Progress, useTransaction, WalletChooser } from "../ui/wallet";
import { differences } from "../wallet/creation";
import { useWallet } from "../wallet/wallet";

const KEPT = "merit.draft";
const VALIDATION =
  "A source on the node's machine, such as digits. With it the rule is reference, without it krum-cosine.";

function kept(): Draft {
  try {
    return { ...DEFAULTS, ...(JSON.parse(sessionStorage.getItem(KEPT) ?? "{}") as Partial<Draft>) };
  } catch {
    return DEFAULTS;
  }
}

export function Create() {
  const node = useNode();
  const token = useToken();
  const wallet = useWallet();
  const [draft, setDraft] = useState<Draft>(kept);
  const [touched, setTouched] = useState(false);
  const aggregator = node?.aggregator;
  useEffect(() => {
    if (aggregator)
      setDraft((old) =>
        old.aggregator ? old : { ...old, aggregator: aggregator.address, aggregatorKey: aggregator.encryption_key },
      );
  }, [aggregator]);
  useEffect(() => sessionStorage.setItem(KEPT, JSON.stringify(draft)), [draft]);
  const mistakes = mistakesOf(draft);
  const shown: Mistakes = touched ? mistakes : {};
  const field = { draft, mistakes: shown, change: (part: Partial<Draft>) => setDraft((old) => ({ ...old, ...part })) };
  const unit = draft.token ? "units of 10⁻¹⁸ token" : "ether";
  const image = draft.architecture === "cnn";
  return (
    <>
      <header class="page-head">
        <Title>Create a job</Title>
        <p class="lead">
          Say what is to be learned and what you pay. Nothing is sent before you have seen the cost and signed.
        </p>
      </header>
      {!token ? (
        <NoToken />
      ) : (
        <form class="create" noValidate onSubmit={(event) => event.preventDefault()}>
          <fieldset>
            <legend>What is to be learned</legend>
            <Field {...field} name="name" label="Name" wide />
            <Field
              {...field}
              name="description"
              label="Description"
              hint="What the model is for, and what data fit."
              wide
            />
            <label>
              Model
              <select
                value={draft.architecture}
                onChange={(event) => field.change({ architecture: event.currentTarget.value as Draft["architecture"] })}
              >
                <option value="cnn">Convolutional network, for images</option>
                <option value="mlp">Perceptron, for tables</option>
              </select>
            </label>
            {image ? (
              <>
                <Field {...field} name="channels" label="Channels" short />
                <Field {...field} name="height" label="Height" unit="pixels" short />
                <Field {...field} name="width" label="Width" unit="pixels" short />
              </>
            ) : (
              <Field {...field} name="features" label="Features" short />
            )}
            <Field {...field} name="classes" label="Classes" short />
            <Field {...field} name="hidden" label="Hidden units" short />
            <Field {...field} name="minimum" label="Smallest value" short />
            <Field {...field} name="maximum" label="Largest value" short />
            <Field {...field} name="std" label="Divided by" hint="before training" short />
          </fieldset>
          <fieldset>
            <legend>How trainers train in a round</legend>
            <label>
              Optimizer
              <select
                value={draft.optimizer}
                onChange={(event) => field.change({ optimizer: event.currentTarget.value as Draft["optimizer"] })}
              >
                <option>adam</option>
                <option>adamw</option>
                <option>sgd</option>
              </select>
            </label>
            <Field {...field} name="learningRate" label="Learning rate" short />
            <Field {...field} name="epochs" label="Epochs" short />
            <Field {...field} name="batchSize" label="Batch size" unit="samples" short />
          </fieldset>
          <fieldset>
            <legend>Money</legend>
            <Field {...field} name="reward" label="Reward a round" unit={unit} short />
            <Field {...field} name="fee" label="Fee a settled round" unit={unit} hint="for the aggregator" short />
            <Field {...field} name="stake" label="Stake" word="stake" unit={unit} short />
            <Field {...field} name="bond" label="Bond" word="bond" unit={unit} short />
            <Field
              {...field}
              name="token"
              label="ERC-20 token"
              hint="Empty: the chain's coin. Amounts above are then read with 18 decimals."
              wide
            />
          </fieldset>
          <fieldset>
            <legend>Rounds and seats</legend>
            <Field {...field} name="rounds" label="Rounds" short />
            <Field {...field} name="minTrainers" label="Trainers to start" short />
            <Field {...field} name="maxTrainers" label="Seats" short />
            <Field {...field} name="maxFaulty" label="Faulty trainers" word="faulty, f" short />
            <Field {...field} name="enrolFor" label="Enrolment lasts" short />
            <Field {...field} name="submitWindow" label="Time to submit" short />
            <Field {...field} name="settleWindow" label="Time to settle" short />
          </fieldset>
          <fieldset>
            <legend>Aggregator and pay rule</legend>
            <Field
              {...field}
              name="aggregator"
              label="Aggregator"
              word="aggregator"
              hint={aggregator ? "This node's own is filled in." : "Empty: anyone may aggregate."}
              wide
            />
            <Field {...field} name="aggregatorKey" label="Its public key" wide />
            <Field
              {...field}
              name="validation"
              label="Validation data"
              hint={
                draft.validation || Number(draft.minTrainers) > 4
                  ? VALIDATION
                  : `${VALIDATION} With four updates or fewer, krum-cosine leaves nobody out, not even a poisoner.`
              }
              wide
            />
          </fieldset>
          <Cost draft={draft} mistakes={mistakes} touch={() => setTouched(true)} wallet={wallet?.account ?? null} />
        </form>
      )}
    </>
  );
}

type FieldProps = {
  draft: Draft;
  mistakes: Mistakes;
  change: (part: Partial<Draft>) => void;
  name: keyof Draft;
  label: ComponentChildren;
  word?: Word;
  unit?: string;
  hint?: string;
  short?: boolean;
  wide?: boolean;
};

function Field({ draft, mistakes, change, name, label, word, unit, hint, short, wide }: FieldProps) {
  const id = useId();
  const mistake = mistakes[name];
  return (
    <div class={`field ${short ? "short" : ""} ${wide ? "wide" : ""}`}>
      <label for={id}>{label}</label>
      {word && (
        <Term word={word}>
          ?<span class="visually-hidden"> What does it mean</span>
        </Term>
      )}
      <span class="with-unit">
        <input
          id={id}
          value={draft[name]}
          aria-invalid={mistake ? true : undefined}
          aria-describedby={mistake || hint ? `${id}-note` : undefined}
          onInput={(event) => change({ [name]: event.currentTarget.value })}
        />
        {unit && <span class="unit">{unit}</span>}
      </span>
      {(mistake || hint) && (
        <span id={`${id}-note`} class={mistake ? "mistake" : "hint"}>
          {mistake ?? hint}
        </span>
      )}
    </div>
  );
}

type CostProps = { draft: Draft; mistakes: Mistakes; touch: () => void; wallet: Hex | null };

function Cost({ draft, mistakes, touch, wallet }: CostProps) {
  const node = useNode();
  const transaction = useTransaction();
  const [problem, setProblem] = useState<string | null>(null);
  const [stage, setStage] = useState<"" | "file" | "prepare" | "sign">("");
  const [what, setWhat] = useState("Done.");
  const cost = costOf(draft);
  const wrong = Object.values(mistakes);
  const coin = !draft.token;

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
      const preview = await post("/api/jobs/preview", { document: documentOf(draft) });
      download("job.yaml", "application/yaml", preview.yaml);
    });

  const create = () =>
    guarded("prepare", async () => {
      if (!wallet || !node || cost === null) return;
      const validation = draft.validation || null;
      const prepared = await post("/api/jobs/prepare", {
        document: documentOf(draft),
        owner: getAddress(wallet),
        validation,
      });
      const amount = (text: string) => parseAmount(text) ?? 0n;
      const odd = differences(
        prepared.calls,
        {
          token: (draft.token || ZERO_ADDRESS) as Hex,
          reward: amount(draft.reward),
          fee: amount(draft.fee),
          stake: amount(draft.stake),
          bond: amount(draft.bond),
          rounds: Number(draft.rounds),
          aggregator: (draft.aggregator || null) as Hex | null,
        },
        node.market as Hex,
      );
      if (odd.length) {
        setProblem(`What the node prepared is not what this form says (${odd.join(", ")}). Nothing was sent.`);
        return;
      }
      setStage("sign");
      for (const call of prepared.calls) {
        setWhat(`${call.text}: done.`);
        const last = await transaction.run({ to: call.to as Hex, data: call.data as Hex, value: BigInt(call.value) });
        if (last.at !== "done") return;
        const log = last.logs.find((each) => each.address.toLowerCase() === node.market.toLowerCase());
        const jobId = log?.topics[1];
        if (jobId) {
          sessionStorage.removeItem(KEPT);
          await listed(Number(BigInt(jobId)));
          go(`/job/${Number(BigInt(jobId))}`);
        }
      }
    });

  const working = stage !== "" || transaction.busy;
  return (
    <section class="cost" aria-label="Cost">
      <h2>What it costs</h2>
      <p class="total number" role="status">
        {cost === null ? "—" : coin ? formatAmount(cost, COIN) : formatAmount(cost, SMALLEST)}
      </p>
      {cost !== null && (
        <p class="muted">
          {draft.rounds} rounds × ({draft.reward} reward + {draft.fee} fee)
          {coin ? ` = ${formatAmount(cost, { symbol: "wei", decimals: 0 })}` : ""}. It goes into <Term word="escrow" />,
          and what rounds do not use comes back to you. Your wallet adds the gas.
        </p>
      )}
      {wrong.length > 0 && (
        <p class="mistake">
          {wrong.length === 1 ? "One field needs" : `${wrong.length} fields need`} a look: {wrong[0]}
        </p>
      )}
      <WalletChooser purpose="or download the file for the command line" />
      <div class="actions">
        <button type="button" onClick={create} disabled={working || !wallet}>
          {stage === "prepare"
            ? "Publishes the description…"
            : `Create and escrow ${cost === null ? "" : formatAmount(cost, coin ? COIN : SMALLEST)}`}
        </button>
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
      <p class="hint">
        Before your wallet opens, the page decodes the call and compares it with this form. See{" "}
        <Link to="/">other jobs</Link> for usual terms.
      </p>
    </section>
  );
}

const TRIES = 20;

/** Waits until the node's index has the job, a few seconds at most. */
async function listed(jobId: number): Promise<void> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const { items } = await get("/api/jobs", { sort: "newest", limit: 1 });
    if ((items[0]?.job_id ?? 0) >= jobId) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
