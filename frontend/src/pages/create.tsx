/** A job from a form: its cost to the unit first, then the same as a file, then the wallet. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { useNode, useToken } from "../live/node";
import { useUnit } from "../live/unit";
import { COIN, SMALLEST } from "../text/amounts";
import { type Draft, isAddress, keep, kept, type Mistakes, mistakesOf } from "../text/draft";
import type { Word } from "../text/glossary";
import { NoToken } from "../ui/no-token";
import { Term, Title } from "../ui/parts";
import { useWallet } from "../wallet/wallet";
import { Cost } from "./create-cost";
import { Proofs } from "./create-proofs";

const VALIDATION =
  "A source on the node's machine, such as digits. With it the rule is reference, without it krum-cosine.";

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
  useEffect(() => keep(draft), [draft]);
  const told = useUnit(isAddress(draft.token) ? draft.token : undefined);
  const unit = draft.token === "" ? COIN : told === COIN ? SMALLEST : told;
  const shortUnit = unit === SMALLEST ? "units" : unit.symbol;
  const mistakes = mistakesOf(draft, unit);
  const shown: Mistakes = touched ? mistakes : {};
  const field = { draft, mistakes: shown, change: (part: Partial<Draft>) => setDraft((old) => ({ ...old, ...part })) };
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
            <Field {...field} name="reward" label="Reward a round" unit={shortUnit} short />
            <Field
              {...field}
              name="fee"
              label="Fee a settled round"
              word="fee"
              unit={shortUnit}
              hint="for the aggregator"
              short
            />
            <Field {...field} name="stake" label="Stake" word="stake" unit={shortUnit} short />
            <Field {...field} name="bond" label="Bond" word="bond" unit={shortUnit} short />
            <Field
              {...field}
              name="token"
              label="ERC-20 token"
              hint={
                draft.token === ""
                  ? "Empty: the chain's coin."
                  : unit === SMALLEST
                    ? "The token has not said its decimals: the amounts above are in its smallest units."
                    : `The amounts above are in ${unit.symbol}, which has ${unit.decimals} decimals.`
              }
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
            <Field
              {...field}
              name="takeoverWindow"
              label="Takeover window"
              word="takeover"
              hint={
                draft.takeoverWindow.trim() === "0"
                  ? "0: if the aggregator fails, the job is aborted."
                  : `If the aggregator fails, another may take over for so long. It then sees the updates.${draft.validation ? " Your node gives it the validation data; a job created in a wallet needs your signature for that, on the job's page." : ""}`
              }
              wide
            />
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
          <Proofs draft={draft} mistakes={shown} change={field.change} />
          <Cost
            draft={draft}
            mistakes={mistakes}
            unit={unit}
            touch={() => setTouched(true)}
            wallet={wallet?.account ?? null}
          />
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
