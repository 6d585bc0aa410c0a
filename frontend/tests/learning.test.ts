/** What a job learns, from the form to the job file and back. */
import { describe, expect, test } from "vitest";
import type { ColumnFacts } from "../src/live/api";
import { DEFAULTS, documentOf, draftOf, mistakesOf } from "../src/text/draft";
import { FEATURE, inputsOf, outputsOf, TARGET } from "../src/text/learning";
import { snippetsOf } from "../src/text/model";
import { fromColumns } from "../src/text/table";
import { filled, PACES, paceOf, TEMPLATES, type Template } from "../src/text/templates";

type Document = {
  model: { architecture: string; parameters: Record<string, unknown> };
  data: { features: Record<string, unknown>[]; target?: Record<string, unknown> };
  task?: Record<string, unknown>;
  training: Record<string, unknown>;
  market: Record<string, unknown>;
};
const NAMED = { name: "Mine", description: "" };
const from = (template: Template) => ({ ...DEFAULTS, ...filled(template, NAMED), ...NAMED });
const documented = (draft: typeof DEFAULTS) => documentOf(draft) as Document;

describe("templates", () => {
  test.each(["digits", "table", "images", "text"] as const)("%s is complete as it is", (template) => {
    expect(mistakesOf(from(template))).toEqual({});
  });

  test("an own program wants its file, and nothing else", () => {
    expect(Object.keys(mistakesOf(from("program")))).toEqual(["model.file"]);
    const draft = from("program");
    const model = { ...draft.model, file: "mine.program" };
    expect(documented({ ...draft, model }).model).toMatchObject({
      architecture: "program",
      parameters: { file: "mine.program" },
    });
  });

  test("words that the user wrote stay, those of the template go", () => {
    expect(filled("text", NAMED)).toMatchObject(NAMED);
    expect(filled("table", DEFAULTS)).toMatchObject({ name: "" });
  });

  test.each(Object.keys(TEMPLATES) as Template[])("%s comes back from its own job file", (template) => {
    const draft = from(template);
    const back = draftOf(documentOf(draft));
    expect(back && documentOf(back)).toEqual(documentOf(draft));
  });
});

describe("a model fits its data", () => {
  test("sizes of inputs and outputs follow from features and target", () => {
    const table = documented(from("table"));
    expect(table.model.parameters).toEqual({ inputs: 3, hidden: [64, 32], classes: 2 });
    const images = documented(from("images"));
    expect(images.model.parameters).toMatchObject({ channels: 3, height: 64, width: 64, classes: 2 });
    const text = documented(from("text"));
    expect(text.model.parameters.config).toMatchObject({ max_position_embeddings: 256, num_labels: 2 });
  });

  test("several numbers and answers are so many outputs, a text alone has none", () => {
    expect(outputsOf({ ...TARGET, kind: "number", names: "low\nhigh" })).toBe(2);
    expect(outputsOf({ ...TARGET, kind: "labels", names: "a\nb\nc" })).toBe(3);
    expect(outputsOf({ ...TARGET, kind: "none" })).toBeNull();
    expect(inputsOf([{ ...FEATURE, kind: "tensor", shape: "3 × 8" }, { ...FEATURE }])).toBe(25);
  });

  test("a model for images is refused where no feature is one, and one for texts too", () => {
    const draft = from("table");
    for (const architecture of ["cnn", "timm", "transformers"])
      expect(mistakesOf({ ...draft, model: { ...draft.model, architecture, config: "{}" } })).toHaveProperty([
        "model.architecture",
      ]);
  });

  test("features keep their order, numbers for names too", () => {
    const features = ["10", "2", "b"].map((name) => ({ ...FEATURE, name }));
    const { data } = documented({ ...from("table"), features });
    expect(data.features.map(({ name }) => name)).toEqual(["10", "2", "b"]);
  });

  test.each([
    [{ name: "" }, "features.0.name"],
    [{ minimum: "5", maximum: "5" }, "features.0.maximum"],
    [{ std: "wide" }, "features.0.std"],
    [{ kind: "category" as const, values: "a\na" }, "features.0.values"],
    [{ kind: "image" as const, channels: "2" }, "features.0.channels"],
    [{ kind: "tensor" as const, shape: "0" }, "features.0.shape"],
    [{ kind: "text" as const, length: "1" }, "features.0.length"],
  ])("%j is a mistake of %s", (part, field) => {
    const features = [{ ...FEATURE, name: "a", ...part }];
    expect(Object.keys(mistakesOf({ ...from("table"), features }))).toContain(field);
  });
});

describe("a job file", () => {
  const FILE = {
    name: "From a file",
    description: "",
    continue: 7,
    model: {
      architecture: "transformers",
      parameters: { class: "GPT2LMHeadModel", config: { n_embd: 96, n_positions: 64, vocab_size: 257 }, pad: 256 },
      lora: { rank: 8, alpha: 16, targets: ["c_attn"] },
      seed: 1,
    },
    data: { features: [{ name: "text", kind: "text", tokenizer: "bytes", length: 64, packed: true }], min_samples: 9 },
    task: { kind: "language-modelling", metric: "perplexity" },
    training: { optimizer: "adamw", learning_rate: 0.003, steps: 50, clip_gradient: 1.5, batch_size: 16 },
    update: { scale: 2 ** -14 },
    market: { aggregator: "anyone", reward: "600000000000000001 wei", rounds: 4, max_missed: 9, submit_window: 90 },
  };

  test("keeps what the form has no field for, and every digit of its amounts", () => {
    const draft = draftOf(FILE);
    expect(draft).toMatchObject({ reward: "0.600000000000000001", submitWindow: "90 s" });
    const back = documentOf(draft ?? DEFAULTS) as typeof FILE;
    expect(back).toMatchObject({
      continue: 7,
      model: FILE.model,
      data: FILE.data,
      task: FILE.task,
      training: FILE.training,
      update: FILE.update,
    });
    expect(back.training).not.toHaveProperty("epochs");
    expect(back.market).toMatchObject({
      reward: "600000000000000001 wei",
      max_missed: 9,
      submit_window: 90,
      enrol_for: 86_400,
    });
  });

  test("whose numbers JavaScript would round is refused", () => {
    expect(draftOf({ ...FILE, model: { ...FILE.model, seed: 2 ** 60 } })).toBeNull();
    const wide = { name: "x", kind: "number", minimum: -1e30, maximum: 1e30 };
    const draft = draftOf({ ...FILE, data: { features: [wide] } });
    expect(draft?.features[0]).toMatchObject({ minimum: "", maximum: "" });
  });

  test("of another party's architecture keeps its parameters", () => {
    const model = { architecture: "theirs", package: "their-models==1.2.3", parameters: { depth: 3 }, seed: 0 };
    const draft = draftOf({ ...FILE, model });
    expect(draft && documentOf(draft).model).toEqual(model);
  });
});

describe("a table of one's own", () => {
  const number = (name: string, lowest: number, highest: number, whole = false): ColumnFacts => ({
    name,
    gaps: 0,
    numbers: { lowest, highest, mean: (lowest + highest) / 2, std: 1.23456, whole },
    names: null,
  });
  const names = (name: string, ...all: string[]): ColumnFacts => ({ name, gaps: 0, numbers: null, names: all });
  const COLUMNS = [
    number("age", 21, 79),
    names("city", "Oslo", "Rome"),
    { ...names("note"), names: null },
    { ...number("stage", 0, 2, true), names: ["0", "1", "10"] },
    number("price", -3.5, 12),
  ];

  test("numbers and names become features, free text is left out", () => {
    const made = fromColumns(COLUMNS, "price");
    expect(made.left).toEqual(["note"]);
    expect(made.features.map(({ name, kind }) => [name, kind])).toEqual([
      ["age", "number"],
      ["city", "category"],
      ["stage", "number"],
    ]);
    expect(made.target).toMatchObject({ kind: "number", names: "price", minimum: "-12", maximum: "20" });
  });

  test("ranges hold the owner's values with room, and never fall below 0 for what has none below", () => {
    const [age] = fromColumns(COLUMNS, "price").features;
    expect(Number(age?.minimum)).toBeLessThanOrEqual(0);
    expect(Number(age?.minimum)).toBeGreaterThanOrEqual(0);
    expect(Number(age?.maximum)).toBeGreaterThan(79);
    expect(age?.std).toBe("1.23");
  });

  test("few whole numbers are classes in their order, names too, and free text cannot be predicted", () => {
    expect(fromColumns(COLUMNS, "stage").target).toMatchObject({ kind: "category", names: "0\n1\n10", classes: "3" });
    expect(fromColumns(COLUMNS, "city").target).toMatchObject({ kind: "category", name: "city", classes: "2" });
    expect(fromColumns(COLUMNS, "note").target).toBeNull();
  });
});

test("a pace is one of the presets until one of its fields is changed", () => {
  for (const [name, { fields }] of Object.entries(PACES)) expect(paceOf({ ...DEFAULTS, ...fields })).toBe(name);
  expect(paceOf({ ...DEFAULTS, confirmWindow: "10 s" })).toBe("");
});

test("a model's snippets name the job, its file, and the library that opens it", () => {
  const detail = (model: object) =>
    ({ summary: { job_id: 7 }, spec: { name: "Handwritten digits", model } }) as unknown as Parameters<
      typeof snippetsOf
    >[0];
  const plain = snippetsOf(detail({ architecture: "cnn" }));
  expect(plain.map(({ title }) => title)).toEqual(["Command line", "Python"]);
  expect(plain[0]?.text).toContain("merit job model 7 --output handwritten-digits.safetensors");
  const parameters = { class: "GPT2LMHeadModel" };
  const [, , whole] = snippetsOf(detail({ architecture: "transformers", parameters }));
  expect(whole?.text).toContain('GPT2LMHeadModel.from_pretrained("model")');
  const [, , adapters] = snippetsOf(detail({ architecture: "transformers", parameters, lora: { rank: 8 } }));
  expect(adapters?.text).toContain('PeftModel.from_pretrained(base, "model")');
});
