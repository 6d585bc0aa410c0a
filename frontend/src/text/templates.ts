/** What a form begins with, and plain presets for what only experts would set one by one. */
import type { Draft } from "./draft";
import { FEATURE, type Learning, MODEL, smallConfig, TARGET } from "./learning";

export type Template = "digits" | "table" | "images" | "text" | "program";

export const TEMPLATES: Record<Template, { title: string; text: string }> = {
  digits: { title: "Digits", text: "To try Merit: images that come with it." },
  table: { title: "A table", text: "Columns of numbers and categories." },
  images: { title: "Images", text: "Pictures of one size, in classes." },
  text: { title: "Texts", text: "Documents or sentences, in classes." },
  program: { title: "Own program", text: "Your own model and loss, exported." },
};

const TRAINING = { minSamples: "", task: "", metric: "", taskRest: {}, trainingRest: {} };

const LEARNING: Record<Template, Learning> = {
  digits: {
    ...TRAINING,
    features: [{ ...FEATURE, name: "image", kind: "image", height: "8", width: "8", maximum: "16", std: "16" }],
    target: { ...TARGET, classes: "10" },
    model: { ...MODEL, architecture: "cnn" },
    optimizer: "adam",
    learningRate: "0.003",
    epochs: "3",
    batchSize: "16",
  },
  table: {
    ...TRAINING,
    features: [
      { ...FEATURE, name: "age", minimum: "0", maximum: "120", mean: "45", std: "20" },
      { ...FEATURE, name: "smoker", kind: "category", values: "no\nyes" },
    ],
    target: { ...TARGET, names: "healthy\nill" },
    model: { ...MODEL, hidden: "64, 32" },
    optimizer: "adam",
    learningRate: "0.003",
    epochs: "3",
    batchSize: "32",
  },
  images: {
    ...TRAINING,
    features: [
      { ...FEATURE, name: "image", kind: "image", channels: "3", height: "64", width: "64", mean: "128", std: "64" },
    ],
    target: { ...TARGET, names: "good\nfaulty" },
    model: { ...MODEL, architecture: "cnn", filters: "16, 32, 64" },
    optimizer: "adam",
    learningRate: "0.001",
    epochs: "3",
    batchSize: "32",
  },
  text: {
    ...TRAINING,
    features: [{ ...FEATURE, name: "text", kind: "text" }],
    target: { ...TARGET, names: "positive\nnegative" },
    model: { ...MODEL, architecture: "transformers", config: smallConfig(MODEL.class) },
    optimizer: "adamw",
    learningRate: "0.002",
    epochs: "3",
    batchSize: "32",
  },
  program: {
    ...TRAINING,
    features: [{ ...FEATURE, name: "x", kind: "tensor" }],
    target: { ...TARGET },
    model: { ...MODEL, architecture: "program" },
    optimizer: "adam",
    learningRate: "0.001",
    epochs: "3",
    batchSize: "32",
  },
};

const WORDS: Record<Template, Pick<Draft, "name" | "description">> = {
  digits: { name: "Handwritten digits", description: "Recognise 8 by 8 pixel images of handwritten digits." },
  table: { name: "", description: "" },
  images: { name: "", description: "" },
  text: { name: "", description: "" },
  program: { name: "", description: "" },
};

/** A template's fields, for a form that had `before`: words that the user wrote stay. */
export function filled(template: Template, before: Pick<Draft, "name" | "description">): Partial<Draft> {
  const own = !Object.values(WORDS).some(({ name }) => name === before.name);
  return {
    ...LEARNING[template],
    ...WORDS[template],
    ...(own && { name: before.name, description: before.description }),
    template,
    table: "",
    columns: [],
    validation: "",
    rest: {},
  };
}

// ---------------------------------------------------------------- presets

type Pace = Pick<Draft, "enrolFor" | "startDelay" | "submitWindow" | "settleWindow" | "confirmWindow">;

export const PACES: Record<string, { title: string; fields: Pace }> = {
  minutes: {
    title: "Minutes, to try it on machines that run",
    fields: {
      enrolFor: "1 d",
      startDelay: "1 min",
      submitWindow: "10 min",
      settleWindow: "10 min",
      confirmWindow: "10 min",
    },
  },
  hours: {
    title: "Hours, for larger models",
    fields: {
      enrolFor: "3 d",
      startDelay: "10 min",
      submitWindow: "2 h",
      settleWindow: "1 h",
      confirmWindow: "2 h",
    },
  },
  days: {
    title: "Days, for people who look once a day",
    fields: { enrolFor: "7 d", startDelay: "1 h", submitWindow: "1 d", settleWindow: "6 h", confirmWindow: "1 d" },
  },
};

/** Which of the paces the fields are; "" for none of them. */
export const paceOf = (draft: Pace) =>
  Object.keys(PACES).find((name) =>
    Object.entries(PACES[name]?.fields ?? {}).every(([field, value]) => draft[field as keyof Pace].trim() === value),
  ) ?? "";

/** Passes over a trainer's data in a round. */
export const EFFORTS: Record<string, string> = {
  "1": "Light: each sample once",
  "3": "Usual: each sample three times",
  "10": "Thorough: each sample ten times",
};
