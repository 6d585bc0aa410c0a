/** What a job learns: as the form holds it, in texts, and as the job file has it (docs/job-file.md). */
import { decimal, type Must, type Raw, wholeNumber } from "./fields";

export type FeatureKind = "number" | "category" | "image" | "tensor" | "text";
export type TargetKind = "category" | "number" | "labels" | "tags" | "mask" | "none";

type Range = { minimum: string; maximum: string; mean: string; std: string };
/** values: one a line. shape: “3 × 8” or “3, 8”. */
export type Feature = Range & {
  name: string;
  kind: FeatureKind;
  values: string;
  channels: string;
  height: string;
  width: string;
  shape: string;
  tokenizer: string;
  length: string;
  packed: boolean;
};
/** names: of classes, columns or answers, one a line. */
export type Target = Range & { kind: TargetKind; name: string; names: string; classes: string };
/** rest: what the file says and the form does not show. parameters: JSON, of architectures that the form does not know. */
export type Model = {
  architecture: string;
  hidden: string;
  filters: string;
  name: string;
  size: string;
  class: string;
  config: string;
  file: string;
  parameters: string;
  seed: string;
  rest: Raw;
};
export type Learning = {
  features: Feature[];
  target: Target;
  minSamples: string;
  /** "" follows from the target; "own": the program has the loss. */
  task: string;
  metric: string;
  taskRest: Raw;
  model: Model;
  optimizer: "adam" | "adamw" | "sgd";
  learningRate: string;
  epochs: string;
  batchSize: string;
  trainingRest: Raw;
};

const RANGE: Range = { minimum: "", maximum: "", mean: "", std: "" };
export const FEATURE: Feature = {
  ...RANGE,
  name: "",
  kind: "number",
  values: "",
  channels: "1",
  height: "32",
  width: "32",
  shape: "16",
  tokenizer: "bytes",
  length: "256",
  packed: false,
};
export const TARGET: Target = { ...RANGE, kind: "category", name: "label", names: "", classes: "2" };
export const MODEL: Model = {
  architecture: "mlp",
  hidden: "64",
  filters: "16, 32",
  name: "vit_tiny_patch16_224",
  size: "",
  class: "DistilBertForSequenceClassification",
  config: "",
  file: "",
  parameters: "{}",
  seed: "0",
  rest: {},
};

export const ARCHITECTURES: Record<string, string> = {
  linear: "Linear, for tables",
  mlp: "Perceptron, for tables",
  cnn: "Convolutional network, for images",
  timm: "timm, for images",
  transformers: "transformers, for texts",
  program: "Own program, exported",
};

/** transformers' classes that can be had (docs/models.md), and a small config for each family. */
const FAMILIES: [family: string, config: Raw, positions: string][] = [
  ["DistilBert", { vocab_size: 257, dim: 64, hidden_dim: 128, n_layers: 2, n_heads: 4 }, "max_position_embeddings"],
  [
    "Bert",
    { vocab_size: 257, hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4 },
    "max_position_embeddings",
  ],
  ["GPT2", { vocab_size: 257, n_embd: 64, n_layer: 2, n_head: 4 }, "n_positions"],
  [
    "",
    { vocab_size: 257, hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4 },
    "max_position_embeddings",
  ],
];
export const CLASSES = [
  "DistilBertForSequenceClassification",
  "BertForSequenceClassification",
  "GPT2ForSequenceClassification",
  "LlamaForSequenceClassification",
  "DistilBertForTokenClassification",
  "BertForTokenClassification",
  "GPT2ForTokenClassification",
  "LlamaForTokenClassification",
  "GPT2LMHeadModel",
  "GPTNeoXForCausalLM",
  "LlamaForCausalLM",
  "Qwen2ForCausalLM",
];
const family = (name: string) => FAMILIES.find(([start]) => name.startsWith(start)) ?? FAMILIES[3];
export const smallConfig = (name: string) => JSON.stringify(family(name)?.[1] ?? {});

export const lines = (text: string) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
const parts = (text: string) => text.split(/[,×x\s]+/).filter((part) => part !== "");
const list = (text: string) => parts(text).map(Number);

// ---------------------------------------------------------------- what follows from data

const valuesOf = (feature: Feature): number => {
  if (feature.kind === "number") return 1;
  if (feature.kind === "category") return lines(feature.values).length;
  if (feature.kind === "text") return Number(feature.length);
  if (feature.kind === "image") return Number(feature.channels) * Number(feature.height) * Number(feature.width);
  return list(feature.shape).reduce((a, b) => a * b, 1);
};

/** How many numbers a sample has, as a model sees it. */
export const inputsOf = (features: Feature[]) => features.reduce((sum, feature) => sum + valuesOf(feature), 0);

/** How many outputs a model has: one a class, or one a number; null where there is no target. */
export function outputsOf({ kind, names, classes }: Target): number | null {
  if (kind === "none") return null;
  const named = lines(names).length;
  if (kind === "category") return named || Number(classes);
  return kind === "number" || kind === "labels" ? named : Number(classes);
}

// ---------------------------------------------------------------- to the job file

const given = (name: string, text: string) => (text.trim() === "" ? {} : { [name]: Number(text) });
const range = ({ minimum, maximum, mean, std }: Range): Raw => ({
  ...given("minimum", minimum),
  ...given("maximum", maximum),
  ...given("mean", mean),
  ...given("std", std),
});
const ranges = ({ minimum, maximum, mean, std }: Range): Raw => ({
  ...given("minimum", minimum),
  ...given("maximum", maximum),
  ...(mean.trim() && { mean: list(mean) }),
  ...(std.trim() && { std: list(std) }),
});

function featureDocument(feature: Feature): Raw {
  const { kind } = feature;
  const named = { name: feature.name.trim(), kind };
  if (kind === "number") return { ...named, ...range(feature) };
  if (kind === "category") return { ...named, values: lines(feature.values) };
  if (kind === "tensor") return { ...named, shape: list(feature.shape), ...ranges(feature) };
  if (kind === "text")
    return {
      ...named,
      tokenizer: feature.tokenizer.trim() || "bytes",
      length: Number(feature.length),
      ...(feature.packed && { packed: true }),
    };
  const size = { channels: Number(feature.channels), height: Number(feature.height), width: Number(feature.width) };
  return { ...named, ...size, ...ranges(feature) };
}

function targetDocument(target: Target): Raw | null {
  const { kind } = target;
  const names = lines(target.names);
  if (kind === "none") return null;
  if (kind === "number") return { kind, names, ...range(target) };
  if (kind === "labels") return { kind, names };
  const classes = outputsOf(target);
  return { kind, name: target.name.trim(), classes, ...(kind === "category" && names.length > 0 && { names }) };
}

function parameters(learning: Learning): Raw {
  const { model, features, target } = learning;
  const outputs = outputsOf(target) ?? 1;
  const image = features.find(({ kind }) => kind === "image");
  const text = features.find(({ kind }) => kind === "text");
  switch (model.architecture) {
    case "linear":
      return { inputs: inputsOf(features), outputs };
    case "mlp":
      return { inputs: inputsOf(features), hidden: list(model.hidden), classes: outputs };
    case "cnn":
      return {
        channels: Number(image?.channels),
        height: Number(image?.height),
        width: Number(image?.width),
        filters: list(model.filters),
        hidden: Number(model.hidden),
        classes: outputs,
      };
    case "timm":
      return {
        name: model.name.trim(),
        classes: outputs,
        channels: Number(image?.channels),
        ...given("size", model.size),
      };
    case "transformers": {
      const own = (json(model.config) ?? {}) as Raw;
      const positions = family(model.class)?.[2] ?? "";
      const labels = model.class.endsWith("Classification") ? { num_labels: outputs } : {};
      return {
        ...(json(model.parameters) as Raw | null),
        class: model.class,
        config: { ...(text && { [positions]: Number(text.length) }), ...own, ...labels },
      };
    }
    case "program":
      return { file: model.file.trim() };
    default:
      return (json(model.parameters) ?? {}) as Raw;
  }
}

function json(text: string): unknown {
  try {
    const found = JSON.parse(text);
    return found !== null && typeof found === "object" && !Array.isArray(found) ? found : null;
  } catch {
    return null;
  }
}

export function learningDocument(learning: Learning): Raw {
  const { model, target, metric, task } = learning;
  const wanted = targetDocument(target);
  const kind = task || TASKS[target.kind];
  return {
    model: {
      ...model.rest,
      architecture: model.architecture,
      parameters: parameters(learning),
      seed: Number(model.seed),
    },
    data: {
      features: learning.features.map(featureDocument),
      ...(wanted && { target: wanted }),
      ...given("min_samples", learning.minSamples),
    },
    ...((task || metric.trim() || Object.keys(learning.taskRest).length > 0) && {
      task: { ...learning.taskRest, kind, ...(metric.trim() && { metric: metric.trim() }) },
    }),
    training: {
      ...learning.trainingRest,
      optimizer: learning.optimizer,
      learning_rate: Number(learning.learningRate),
      ...(learning.trainingRest.steps === undefined && { epochs: Number(learning.epochs) }),
      batch_size: Number(learning.batchSize),
    },
  };
}

/** The task that a target is for. */
export const TASKS: Record<TargetKind, string> = {
  category: "classification",
  number: "regression",
  labels: "multi-label",
  tags: "token-classification",
  mask: "segmentation",
  none: "language-modelling",
};

// ---------------------------------------------------------------- from the job file

const text = (value: unknown): string =>
  Array.isArray(value) ? value.join(", ") : value === undefined || value === null ? "" : String(value);
const names = (value: unknown) => (Array.isArray(value) ? value.join("\n") : "");
const records = (value: unknown): Raw => (value !== null && typeof value === "object" ? (value as Raw) : {});
/** The widest range stands for none. */
const bound = (value: unknown) => (Math.abs(Number(value)) === 1e30 ? "" : text(value));
const rangeOf = (raw: Raw): Range => ({
  minimum: bound(raw.minimum),
  maximum: bound(raw.maximum),
  mean: text(raw.mean),
  std: text(raw.std),
});

function featureOf(raw: Raw): Feature {
  const found = { ...FEATURE, ...rangeOf(raw), name: text(raw.name), kind: raw.kind as FeatureKind };
  if (raw.kind === "category") return { ...found, values: names(raw.values) };
  if (raw.kind === "tensor") return { ...found, shape: text(raw.shape) };
  if (raw.kind === "text")
    return { ...found, tokenizer: text(raw.tokenizer), length: text(raw.length), packed: raw.packed === true };
  if (raw.kind === "image")
    return { ...found, channels: text(raw.channels), height: text(raw.height), width: text(raw.width) };
  return found;
}

const without = (raw: Raw, ...shown: string[]): Raw =>
  Object.fromEntries(Object.entries(raw).filter(([name]) => !shown.includes(name)));

function modelOf(raw: Raw): Model {
  const own = records(raw.parameters);
  const architecture = text(raw.architecture);
  const base: Model = {
    ...MODEL,
    architecture,
    seed: text(raw.seed) || "0",
    rest: without(raw, "architecture", "parameters", "seed"),
  };
  const shown: Record<string, Partial<Model>> = {
    linear: {},
    mlp: { hidden: own.hidden === undefined ? "64" : text(own.hidden) },
    cnn: { hidden: text(own.hidden) || "64", filters: text(own.filters) || "16, 32" },
    timm: { name: text(own.name), size: text(own.size) },
    transformers: {
      class: text(own.class),
      config: JSON.stringify(without(records(own.config), "num_labels")),
      parameters: JSON.stringify(without(own, "class", "config")),
    },
    program: { file: text(own.file) },
  };
  return { ...base, ...(shown[architecture] ?? { parameters: JSON.stringify(own) }) };
}

/** A job's document as the form holds it. */
export function learningOf(document: Raw): Learning {
  const data = records(document.data);
  const target = records(data.target);
  const task = records(document.task);
  const training = records(document.training);
  const features = (Array.isArray(data.features) ? data.features : []).map((each) => featureOf(records(each)));
  const kind = (target.kind ?? "none") as TargetKind;
  return {
    features,
    target: {
      ...TARGET,
      ...rangeOf(target),
      kind,
      name: text(target.name) || (kind === "tags" ? "tags" : kind === "mask" ? "masks" : "label"),
      names: kind === "number" && target.names === undefined ? "target" : names(target.names),
      classes: text(target.classes) || "2",
    },
    minSamples: text(data.min_samples),
    task: task.kind === undefined || task.kind === TASKS[kind] ? "" : text(task.kind),
    metric: text(task.metric),
    taskRest: without(task, "kind", "metric"),
    model: modelOf(records(document.model)),
    optimizer: (training.optimizer ?? "sgd") as Learning["optimizer"],
    learningRate: text(training.learning_rate),
    epochs: text(training.epochs) || "1",
    batchSize: text(training.batch_size) || "32",
    trainingRest: without(training, "optimizer", "learning_rate", "epochs", "batch_size"),
  };
}

// ---------------------------------------------------------------- mistakes

const MOST = 100_000;

function rangeMistakes(at: string, of: Range, several: boolean, must: Must): void {
  const numbers = (value: string) => value.trim() === "" || (parts(value).length > 0 && parts(value).every(decimal));
  for (const name of ["minimum", "maximum"] as const)
    must(`${at}.${name}`, of[name].trim() === "" || decimal(of[name]), "Give a number, or nothing.");
  for (const name of ["mean", "std"] as const) {
    const right = several ? numbers(of[name]) : of[name].trim() === "" || decimal(of[name]);
    must(`${at}.${name}`, right, several ? "Give a number, or one a channel." : "Give a number, or nothing.");
  }
  const both = decimal(of.minimum) && decimal(of.maximum);
  must(`${at}.maximum`, !both || Number(of.minimum) < Number(of.maximum), "Give more than the smallest value.");
}

function featureMistakes(at: string, feature: Feature, must: Must): void {
  must(`${at}.name`, feature.name.trim() !== "", "Give each feature a name.");
  if (feature.kind === "category") {
    const values = lines(feature.values);
    must(`${at}.values`, values.length > 0, "Give the values, one a line.");
    must(`${at}.values`, new Set(values).size === values.length, "A value comes twice.");
    return;
  }
  if (feature.kind === "text") {
    must(`${at}.length`, wholeNumber(feature.length, 2, 65_536), "Give 2 to 65,536 tokens.");
    return;
  }
  if (feature.kind === "image") {
    must(`${at}.channels`, ["1", "3"].includes(feature.channels.trim()), "Give 1 for grey or 3 for colour.");
    for (const side of ["height", "width"] as const)
      must(`${at}.${side}`, wholeNumber(feature[side], 1, 65_536), "Give a whole number of pixels.");
  }
  if (feature.kind === "tensor") {
    const sides = parts(feature.shape);
    const right = sides.length > 0 && sides.length <= 4 && sides.every((side) => wholeNumber(side, 1, 4_194_304));
    must(`${at}.shape`, right, "Give one to four whole numbers, such as 3 × 128.");
  }
  rangeMistakes(at, feature, feature.kind !== "number", must);
}

function targetMistakes(target: Target, must: Must): void {
  const named = lines(target.names);
  const twice = new Set(named).size !== named.length;
  must("target.names", !twice, "A name comes twice.");
  if (target.kind === "number" || target.kind === "labels")
    must("target.names", named.length > 0, "Give the columns, one a line.");
  if (target.kind === "number") rangeMistakes("target", target, false, must);
  const counted = target.kind === "tags" || target.kind === "mask" || (target.kind === "category" && !named.length);
  if (counted) must("target.classes", wholeNumber(target.classes, 2, 65_536), "Give 2 classes or more.");
  if (target.kind === "category" && named.length > 0)
    must("target.names", named.length >= 2, "Give two classes or more, one a line.");
  if (target.kind === "category") must("target.name", target.name.trim() !== "", "Give the column's name.");
}

function modelMistakes({ model, features }: Learning, must: Must): void {
  const kinds = new Set(features.map(({ kind }) => kind));
  const sizes = (value: string) => parts(value).every((part) => wholeNumber(part, 1, MOST));
  if (model.architecture === "mlp") must("model.hidden", sizes(model.hidden), "Give whole numbers, such as 64, 32.");
  if (model.architecture === "cnn") {
    must("model.hidden", wholeNumber(model.hidden, 1, 65_536), "Give a whole number from 1.");
    must("model.filters", parts(model.filters).length > 0 && sizes(model.filters), "Give whole numbers: 16, 32.");
  }
  const image = model.architecture === "cnn" || model.architecture === "timm";
  must("model.architecture", !image || kinds.has("image"), "This model is for images: no feature is one.");
  if (model.architecture === "timm") {
    must("model.name", model.name.trim() !== "", "Give a name of timm's models.");
    must("model.size", model.size.trim() === "" || wholeNumber(model.size, 8, 1024), "Give 8 to 1024 pixels.");
  }
  if (model.architecture === "transformers") {
    must("model.architecture", kinds.has("text"), "This model is for texts: no feature is one.");
    must("model.config", json(model.config) !== null, 'Give JSON, such as {"dim": 64}.');
  }
  if (model.architecture === "program")
    must("model.file", model.file.trim() !== "", "Give the program's file, in a folder that the node may read.");
  if (!(model.architecture in ARCHITECTURES))
    must("model.parameters", json(model.parameters) !== null, "Give the parameters as JSON.");
  must("model.seed", /^\d{1,15}$/.test(model.seed.trim()), "Give a whole number.");
}

export function learningMistakes(learning: Learning, must: Must): void {
  const { features } = learning;
  must("features", features.length > 0, "Give one feature at least.");
  for (const [at, feature] of features.entries()) featureMistakes(`features.${at}`, feature, must);
  const called = features.map(({ name }) => name.trim());
  const twice = called.findIndex((name, at) => called.indexOf(name) !== at);
  must(`features.${twice}.name`, twice < 0, "Another feature is called so.");
  targetMistakes(learning.target, must);
  modelMistakes(learning, must);
  must("learningRate", decimal(learning.learningRate), "Give a number.");
  for (const field of ["epochs", "batchSize"] as const)
    must(field, wholeNumber(learning[field], 1, MOST), "Give a whole number from 1.");
}
