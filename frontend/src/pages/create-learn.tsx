/** The part of the form about learning: data, what is to be predicted, the model, and how trainers train. */
import { useState } from "preact/hooks";
import { post } from "../live/api";
import { count, plural } from "../text/amounts";
import type { Mistakes } from "../text/fields";
import {
  ARCHITECTURES,
  CLASSES,
  FEATURE,
  type Feature,
  type FeatureKind,
  inputsOf,
  lines,
  type Model,
  outputsOf,
  smallConfig,
  TASKS,
  type Target,
  type TargetKind,
} from "../text/learning";
import { fromColumns } from "../text/table";
import { EFFORTS } from "../text/templates";
import { useAttempt } from "../ui/attempt";
import { ReadingFields, Sources } from "../ui/data-source";
import { ChoiceField, Fold, TextField } from "../ui/field";
import { Notice } from "../ui/parts";
import { Field, type Form } from "./create-form";

const KINDS: Record<FeatureKind, string> = {
  number: "Number",
  category: "Category",
  image: "Image",
  text: "Text",
  tensor: "Numbers of a shape",
};
const TARGETS: Record<TargetKind, string> = {
  category: "One of several classes",
  number: "Numbers",
  labels: "Several yes-or-no answers",
  tags: "A class for each word of a text",
  mask: "A class for each pixel of an image",
  none: "Nothing: a text's next token, or the program knows",
};
const TASK_WORDS: Record<string, string> = {
  classification: "classification",
  regression: "regression",
  "multi-label": "several labels (multi-label)",
  "token-classification": "a class for each token",
  segmentation: "segmentation",
  "language-modelling": "language modelling",
};
/** Features that are listed; a job file can have more. */
const SHOWN = 60;

export function Learn(form: Form) {
  const { draft, mistakes, change } = form;
  const outputs = outputsOf(draft.target);
  return (
    <>
      <fieldset>
        <legend>Data of a trainer</legend>
        {draft.template === "table" && <OwnTable {...form} />}
        <Features {...form} />
        <TargetFields {...form} />
      </fieldset>
      <fieldset>
        <legend>Model</legend>
        <ModelFields {...form} />
        <p class="hint wide" role="status">
          {Number.isFinite(inputsOf(draft.features)) &&
            `${count(inputsOf(draft.features))} values of a sample go in, ${outputs === null ? "tokens" : plural(outputs, "number")} come out: ${TASK_WORDS[TASKS[draft.target.kind]]}.`}
        </p>
      </fieldset>
      <fieldset>
        <legend>Training in a round</legend>
        {draft.trainingRest.steps === undefined && (
          <ChoiceField
            name="effort"
            label="Effort"
            mistakes={{}}
            wide
            value={draft.epochs.trim()}
            options={draft.epochs.trim() in EFFORTS ? EFFORTS : { ...EFFORTS, [draft.epochs]: "As given below" }}
            set={(epochs) => change({ epochs })}
          />
        )}
        <Fold title="For experts: optimizer, task, seed">
          <ChoiceField
            name="optimizer"
            label="Optimizer"
            mistakes={{}}
            value={draft.optimizer}
            options={{ adam: "adam", adamw: "adamw", sgd: "sgd" }}
            set={(optimizer) => change({ optimizer: optimizer as typeof draft.optimizer })}
          />
          <Field {...form} name="learningRate" label="Learning rate" short />
          <Field {...form} name="epochs" label="Epochs" short />
          <Field {...form} name="batchSize" label="Batch size" unit="samples" short />
          <ChoiceField
            name="task"
            label="Task"
            wide
            mistakes={mistakes}
            value={draft.task}
            options={{
              "": `As the target has it: ${TASK_WORDS[TASKS[draft.target.kind]]}`,
              own: "The program's own loss",
            }}
            set={(task) => change({ task })}
          />
          <Field
            {...form}
            name="metric"
            label="Main metric"
            hint="Empty: the task's first, such as accuracy or rmse."
            short
          />
          <TextField
            name="model.seed"
            label="Seed"
            mistakes={mistakes}
            hint="Of the first weights."
            value={draft.model.seed}
            short
            set={(seed) => change({ model: { ...draft.model, seed } })}
          />
        </Fold>
        <Kept
          rest={{ ...draft.model.rest, ...draft.trainingRest, ...draft.taskRest, ...draft.rest, ...draft.market }}
        />
      </fieldset>
    </>
  );
}

/** What a job file said and the form has no field for. */
function Kept({ rest }: { rest: Record<string, unknown> }) {
  const names = Object.keys(rest);
  if (names.length === 0) return null;
  return <p class="hint wide">From the job file, as it stands there: {names.join(", ")}.</p>;
}

// ---------------------------------------------------------------- an own table

/** Reads the columns of a table of the owner's: features and target follow from them. */
function OwnTable({ draft, change }: Form) {
  const { working, problem, setProblem, attempt } = useAttempt();
  const [left, setLeft] = useState<string[]>([]);
  const { columns } = draft;
  const apply = (found: typeof columns, wanted: string) => {
    const made = fromColumns(found, wanted);
    setLeft(made.left);
    if (made.target === null)
      setProblem(`${wanted} has too many different texts to be predicted: choose another column.`);
    change({ columns: found, features: made.features, ...(made.target && { target: made.target }) });
  };
  const read = () =>
    attempt(async () => {
      const found = await post("/api/data/columns", { data: draft.table.trim(), reading: draft.reading });
      apply(found.columns, found.columns.at(-1)?.name ?? "");
    });
  return (
    <div class="own-table wide">
      <TextField
        name="table"
        label="Your table"
        mistakes={{}}
        hint="A file on the node's machine, such as a CSV. Its columns become the features; the rows stay where they are."
        value={draft.table}
        list="tables"
        placeholder="/home/ann/data/patients.csv"
        wide
        set={(table) => change({ table, columns: [] })}
      />
      <Sources id="tables" />
      <ReadingFields of="table" value={draft.reading} change={(reading) => change({ reading })} />
      <div class="actions">
        <button type="button" class="quiet" onClick={read} disabled={working || draft.table.trim() === ""}>
          {working ? "Reads it…" : "Read its columns"}
        </button>
      </div>
      {problem && <Notice kind="bad">{problem}</Notice>}
      {columns.length > 0 && (
        <>
          <ChoiceField
            name="wanted"
            label="To be predicted"
            mistakes={{}}
            value={wantedOf(draft.target)}
            options={columns.map(({ name }) => [name, name] as const)}
            set={(wanted) => {
              setProblem(null);
              apply(columns, wanted);
            }}
          />
          <Notice kind="info">
            <p>
              {plural(draft.features.length, "feature")} of {plural(columns.length, "column")}. Ranges are wider than
              your values, since others' differ; they are published with the job, as are the names of categories and
              classes.
              {left.length > 0 && ` Left out, since they are free text: ${left.join(", ")}.`}
            </p>
            {draft.validation !== draft.table && (
              <button type="button" class="quiet small" onClick={() => change({ validation: draft.table.trim() })}>
                Judge updates by this table too
              </button>
            )}
          </Notice>
        </>
      )}
    </div>
  );
}

const wantedOf = (target: Target) => (target.kind === "number" ? (lines(target.names)[0] ?? "") : target.name);

// ---------------------------------------------------------------- features and target

function Features({ draft, mistakes, change }: Form) {
  const { features } = draft;
  const set = (at: number, part: Partial<Feature> | null) =>
    change({
      features: part
        ? features.map((each, place) => (place === at ? { ...each, ...part } : each))
        : features.filter((_, place) => place !== at),
    });
  return (
    <section class="features wide" aria-label="Features">
      {features.slice(0, SHOWN).map((feature, at) => {
        const wrong = Object.keys(mistakes).some((name) => name.startsWith(`features.${at}.`));
        return (
          <details class={`fold feature ${wrong ? "wrong" : ""}`} key={at}>
            <summary>
              <b>{feature.name || "A feature without a name"}</b> <span class="muted">{summary(feature)}</span>
            </summary>
            <div class="folded">
              <FeatureFields feature={feature} at={at} mistakes={mistakes} set={(part) => set(at, part)} />
              <button type="button" class="quiet small" onClick={() => set(at, null)}>
                Remove
              </button>
            </div>
          </details>
        );
      })}
      {features.length > SHOWN && (
        <p class="hint">and {count(features.length - SHOWN)} more, which only a job file shows</p>
      )}
      {mistakes.features && <p class="mistake">{mistakes.features}</p>}
      <button
        type="button"
        class="quiet small"
        onClick={() => change({ features: [...features, { ...FEATURE, name: `feature ${features.length + 1}` }] })}
      >
        Add a feature
      </button>
    </section>
  );
}

const span = ({ minimum, maximum }: Pick<Feature, "minimum" | "maximum">) =>
  minimum || maximum ? `, ${minimum || "any"} to ${maximum || "any"}` : "";

function summary(feature: Feature): string {
  switch (feature.kind) {
    case "number":
      return `number${span(feature)}`;
    case "category": {
      const values = lines(feature.values);
      return `one of ${values.slice(0, 4).join(", ")}${values.length > 4 ? ` and ${values.length - 4} more` : ""}`;
    }
    case "image":
      return `image, ${feature.channels} × ${feature.height} × ${feature.width}, ${feature.minimum || 0} to ${feature.maximum || 255}`;
    case "text":
      return `text, ${feature.length} tokens`;
    default:
      return `numbers of shape ${feature.shape}${span(feature)}`;
  }
}

type FeatureProps = { feature: Feature; at: number; mistakes: Mistakes; set: (part: Partial<Feature>) => void };

function FeatureFields({ feature, at, mistakes, set }: FeatureProps) {
  const { kind } = feature;
  const field = (name: keyof Feature, label: string) => ({
    name: `features.${at}.${name}`,
    label,
    mistakes,
    value: String(feature[name]),
    set: (value: string) => set({ [name]: value }),
  });
  return (
    <>
      <TextField {...field("name", "Feature")} hint="In tables: the column." />
      <ChoiceField {...field("kind", "Kind")} options={KINDS} />
      {kind === "category" && <TextField {...field("values", "Values")} hint="One a line." rows={3} wide />}
      {kind === "image" && (
        <>
          <TextField {...field("channels", "Channels")} hint="1 grey, 3 colour." short />
          <TextField {...field("height", "Height")} unit="pixels" short />
          <TextField {...field("width", "Width")} unit="pixels" short />
        </>
      )}
      {kind === "tensor" && <TextField {...field("shape", "Shape")} hint="Such as 3 × 128." short />}
      {kind === "text" && (
        <>
          <TextField {...field("length", "Length")} unit="tokens" short />
          <TextField {...field("tokenizer", "Tokenizer")} hint="bytes, or a tokenizer.json in an allowed folder." />
          <ChoiceField
            {...field("packed", "Documents")}
            value={feature.packed ? "packed" : ""}
            options={{ "": "Each is a sample", packed: "Joined, and cut into samples" }}
            set={(packed) => set({ packed: packed === "packed" })}
          />
        </>
      )}
      {(kind === "number" || kind === "image" || kind === "tensor") && (
        <>
          <TextField {...field("minimum", "Smallest value")} hint={kind === "image" ? "Empty: 0." : ""} short />
          <TextField {...field("maximum", "Largest value")} hint={kind === "image" ? "Empty: 255." : ""} short />
          <TextField {...field("mean", "Mean")} hint="Subtracted before training." short />
          <TextField {...field("std", "Divided by")} hint="The standard deviation." short />
        </>
      )}
    </>
  );
}

function TargetFields({ draft, mistakes, change }: Form) {
  const { target } = draft;
  const { kind } = target;
  const field = (name: keyof Target, label: string) => ({
    name: `target.${name}`,
    label,
    mistakes,
    value: target[name],
    set: (value: string) => change({ target: { ...target, [name]: value } }),
  });
  const counted = kind === "tags" || kind === "mask" || (kind === "category" && lines(target.names).length === 0);
  return (
    <>
      <ChoiceField {...field("kind", "What is to be predicted")} options={TARGETS} wide />
      {(kind === "category" || kind === "tags" || kind === "mask") && (
        <TextField
          {...field("name", kind === "mask" ? "Folder" : "Column")}
          hint={kind === "mask" ? "With one mask an image." : "In tables."}
          short
        />
      )}
      {counted && <TextField {...field("classes", "Classes")} short />}
      {kind === "category" && (
        <TextField
          {...field("names", "Names of the classes")}
          hint="One a line: labels as they stand, or subfolders. Empty: labels are numbers from 0."
          rows={3}
          wide
        />
      )}
      {(kind === "number" || kind === "labels") && (
        <TextField {...field("names", "Columns")} hint="One a line." rows={2} wide />
      )}
      {kind === "number" && (
        <Fold title="Range of these numbers">
          <TextField {...field("minimum", "Smallest")} short />
          <TextField {...field("maximum", "Largest")} short />
          <TextField {...field("mean", "Their mean")} short />
          <TextField {...field("std", "Their standard deviation")} short />
        </Fold>
      )}
    </>
  );
}

// ---------------------------------------------------------------- model

function ModelFields({ draft, mistakes, change }: Form) {
  const { model } = draft;
  const field = (name: Exclude<keyof Model, "rest">, label: string) => ({
    name: `model.${name}`,
    label,
    mistakes,
    value: model[name],
    set: (value: string) => change({ model: { ...model, [name]: value } }),
  });
  const { architecture } = model;
  return (
    <>
      <ChoiceField
        {...field("architecture", "Model")}
        options={ARCHITECTURES}
        set={(chosen) =>
          change({
            model: {
              ...model,
              architecture: chosen,
              ...(chosen === "transformers" && !model.config && { config: smallConfig(model.class) }),
            },
          })
        }
      />
      {(architecture === "mlp" || architecture === "cnn") && (
        <TextField
          {...field("hidden", "Hidden units")}
          hint={architecture === "mlp" ? "Of each layer, such as 64, 32." : ""}
          short
        />
      )}
      {architecture === "cnn" && <TextField {...field("filters", "Filters")} hint="Of each block." short />}
      {architecture === "timm" && (
        <>
          <TextField
            {...field("name", "Name in timm")}
            hint="Trainers need merit[vision]. Its first weights are random."
          />
          <TextField {...field("size", "Image size")} hint="For models of a fixed size." short />
        </>
      )}
      {architecture === "transformers" && (
        <>
          <ChoiceField
            {...field("class", "Class")}
            hint="Trainers need merit[text]. Its first weights are random."
            options={CLASSES.map((name) => [name, name] as const)}
            set={(chosen) => change({ model: { ...model, class: chosen, config: smallConfig(chosen) } })}
          />
          <TextField
            {...field("config", "Config")}
            hint="JSON. The length of texts and the number of classes are put in."
            rows={3}
            wide
          />
        </>
      )}
      {architecture === "program" && (
        <>
          <TextField
            {...field("file", "Program file")}
            list="programs"
            placeholder="mine.program"
            hint={
              <>
                In a folder that the node may read; <code>merit program export FILE.py:build -o mine.program</code>{" "}
                writes it. The file is published under this name, your code is not.
              </>
            }
            wide
          />
          <Sources id="programs" only={(name) => /\.(program|safetensors|pt2)$/.test(name)} />
        </>
      )}
      {!(architecture in ARCHITECTURES) && (
        <TextField {...field("parameters", "Parameters")} hint="JSON." rows={3} wide />
      )}
    </>
  );
}
