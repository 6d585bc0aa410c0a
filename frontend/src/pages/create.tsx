/** A job from a form: its cost to the unit first, then the same as a file, then the wallet. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { useNode, useToken } from "../live/node";
import { useUnit } from "../live/unit";
import { COIN, SMALLEST, shortAmount } from "../text/amounts";
import {
  type Draft,
  isAddress,
  keep,
  kept,
  leastTrainers,
  type Mistakes,
  type Money,
  mistakesOf,
  moneyOf,
} from "../text/draft";
import type { Word } from "../text/glossary";
import { NoToken } from "../ui/no-token";
import { Notice, Term, Title } from "../ui/parts";
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
  const mistakes = mistakesOf(draft, unit);
  const shown: Mistakes = touched ? mistakes : {};
  const field = { draft, mistakes: shown, change: (part: Partial<Draft>) => setDraft((old) => ({ ...old, ...part })) };
  const amount = { ...field, unit: unit.unknown ? "units" : unit.symbol, short: true };
  const money = moneyOf(draft, unit);
  const empty = (name: keyof Money, what: string) =>
    draft[name].trim() === "" && money ? `Empty: ${shortAmount(money[name], unit)}, ${what}.` : undefined;
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
            <Field {...amount} name="reward" label="Reward a round" />
            <Field
              {...amount}
              name="fee"
              label="Fee a settled round"
              word="fee"
              hint={empty("fee", "for the aggregator: a tenth of the bond over all rounds")}
            />
            <Field
              {...amount}
              name="stake"
              label="Stake"
              word="stake"
              hint={empty("stake", "an equal part of a round's reward")}
            />
            <Field
              {...amount}
              name="bond"
              label="Bond"
              word="bond"
              hint={empty("bond", "what a league of aggregator and trainers could gain")}
            />
            <Field
              {...field}
              name="token"
              label="ERC-20 token"
              hint={
                draft.token === ""
                  ? "Empty: the chain's coin."
                  : unit.unknown
                    ? "The token has not said its decimals: the amounts above are in its smallest units."
                    : `The amounts above are in ${unit.symbol}, which has ${unit.decimals} decimals.`
              }
              wide
            />
          </fieldset>
          <fieldset>
            <legend>Rounds and seats</legend>
            <Field {...field} name="rounds" label="Rounds" short />
            <Field
              {...field}
              name="minRounds"
              label="Minimum rounds"
              word="minimum rounds"
              hint="Empty: all of them."
              short
            />
            <Field {...field} name="minTrainers" label="Trainers to start" short />
            <Field {...field} name="maxTrainers" label="Seats" short />
            <Field
              {...field}
              name="maxFaulty"
              label="Faulty trainers"
              word="faulty, f"
              hint={
                draft.maxFaulty.trim() === "0"
                  ? "0: every update has to open."
                  : `It takes ${leastTrainers(draft) ?? "2f + 3"} or more to start.`
              }
              short
            />
            <Gate {...field} />
            <Field {...field} name="enrolFor" label="Enrolment lasts" short />
            <Field {...field} name="startDelay" label="Start delay" word="start delay" short />
            <Field {...field} name="submitWindow" label="Time to submit" short />
            <Field {...field} name="settleWindow" label="Time to settle" short />
            <Field {...field} name="confirmWindow" label="Confirm window" word="confirm window" short />
            {draft.validation !== "" && <Revealing {...field} />}
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

/** Who may take a seat. */
function Gate(field: Pick<FieldProps, "draft" | "mistakes" | "change">) {
  const { gate } = field.draft;
  const kind = gate === "" || gate === "owner" ? gate : "other";
  return (
    <>
      <label class="wide">
        Who may join
        <select
          value={kind}
          onChange={(event) => field.change({ gate: event.currentTarget.value.replace("other", "0x") })}
        >
          <option value="">Anybody, in as many seats as there are</option>
          <option value="owner">Whom you invite</option>
          <option value="other">Whom another account invites</option>
        </select>
      </label>
      {kind === "other" && <Field {...field} name="gate" label="Gate" word="gate" hint="Its address." wide />}
      {kind === "owner" && (
        <Notice kind="info">
          You can invite yourself, and whoever wants to join is told so. A gate that is not the owner shows that the
          seats are others'.
        </Notice>
      )}
    </>
  );
}

/** Whether and for how long members are to be shown the validation data, and what follows from it. */
function Revealing(field: Pick<FieldProps, "draft" | "mistakes" | "change">) {
  const never = field.draft.revealWindow.trim() === "never";
  return (
    <>
      <label class="wide">
        Validation data at the end
        <select
          value={never ? "never" : "members"}
          onChange={(event) => field.change({ revealWindow: event.currentTarget.value === "never" ? "never" : "" })}
        >
          <option value="members">Revealed to all members, who recompute the points</option>
          <option value="never">Never revealed</option>
        </select>
      </label>
      {!never && (
        <Field
          {...field}
          name="revealWindow"
          label="Reveal window"
          word="reveal window"
          hint="Empty: half of the confirm window."
          short
        />
      )}
      <Notice kind={never ? "warn" : "info"}>
        {never
          ? "Points then rest on the aggregator's word alone: nobody can check them, and whoever wants to join is told so."
          : "Every member can keep a copy of the data: it takes no more than a seat, whose stake comes back. If they are too private for that, choose never."}
      </Notice>
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
  hint?: string | undefined;
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
