/** A finished job's model in words, and how to use it. */
import type { DataSchema, JobDetail, Spec } from "../live/api";
import { count } from "./amounts";
import { dataText } from "./data";

const raw = (value: unknown) => value as Record<string, unknown>;

/** "cnn, 13,802 trained parameters" */
export function programText({ model, parameters }: Spec): string {
  const own = raw(model.parameters ?? {});
  const which = model.architecture === "program" ? "the owner's own program" : model.architecture;
  const named =
    model.architecture === "timm" ? ` ${own.name}` : model.architecture === "transformers" ? ` ${own.class}` : "";
  const adapters = model.lora ? `, adapters of rank ${model.lora.rank}` : "";
  return `${which}${named}, ${count(parameters)} trained parameters${adapters}`;
}

/** A feature for a list: its name, and what it is. */
function featureText(feature: Record<string, unknown>): string {
  const range = Math.abs(Number(feature.minimum)) < 1e30 ? `, ${feature.minimum} to ${feature.maximum}` : "";
  if (feature.kind === "category") return `one of ${(feature.values as string[]).slice(0, 8).join(", ")}`;
  if (feature.kind === "image") return `image ${feature.channels} × ${feature.height} × ${feature.width}${range}`;
  if (feature.kind === "text") return `text of ${feature.length} tokens`;
  if (feature.kind === "tensor") return `numbers of shape ${(feature.shape as number[]).join(" × ")}${range}`;
  return `number${range}`;
}

export const featuresOf = (schema: DataSchema): [name: string, text: string][] =>
  schema.features.map((feature) => [String(feature.name), featureText(feature)]);

/** What it answers: names where there are some. */
export function answersText(schema: DataSchema): string {
  const target = schema.target;
  if (!target) return dataText(schema);
  const names = "names" in target ? (target.names ?? []) : [];
  if (names.length > 0)
    return names.slice(0, 12).join(", ") + (names.length > 12 ? ` and ${names.length - 12} more` : "");
  return "classes" in target ? `${count(target.classes)} classes` : "numbers";
}

/** Metric's first letter up. */
export const titled = (text: string) => `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}`;

/** A file name from a job's. */
export function fileOf(name: string, jobId: number): string {
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "")
    .slice(0, 40);
  return `${plain || `job-${jobId}`}.safetensors`;
}

export type Snippet = { title: string; text: string };

/** How the model is taken and used: on the command line, in Python, and as a folder where a library opens one. */
export function snippetsOf({ summary, spec }: JobDetail): Snippet[] {
  if (!spec) return [];
  const file = fileOf(spec.name, summary.job_id);
  const shell = `merit job model ${summary.job_id} --output ${file}\nmerit predict ${file} --data FILE --output answers.csv`;
  const python = [
    "from pathlib import Path",
    "from trainer.data import load",
    "from trainer.results import load_model",
    "",
    `model = load_model(Path("${file}"))`,
    'found = model.predict(load("FILE", model.schema))',
    "print(found.values[:5])",
  ].join("\n");
  const snippets = [
    { title: "Command line", text: shell },
    { title: "Python", text: python },
  ];
  if (spec.model.architecture !== "transformers") return snippets;
  const kind = String(raw(spec.model.parameters ?? {}).class);
  const taken = `# merit job model ${summary.job_id} --output ${file} --folder model`;
  const opened = spec.model.lora
    ? [
        "from peft import PeftModel",
        `from transformers import ${kind}`,
        "",
        `base = ${kind}.from_pretrained("model/base")`,
        'model = PeftModel.from_pretrained(base, "model")',
      ]
    : [`from transformers import ${kind}`, "", `model = ${kind}.from_pretrained("model")`];
  return [...snippets, { title: "transformers", text: [taken, ...opened].join("\n") }];
}
