/** What a job's data look like, in words. */
import type { DataSchema, Reading } from "../live/api";
import { count } from "./amounts";

/** Files that are read as they are, where nothing has to be said of them. */
export const PLAIN: Reading = { missing: "error", decimal: ".", skip_bad: false };

/** A feature as the API gives it: what each kind has is checked here. */
type Feature = { name?: unknown; kind?: unknown } & Record<string, unknown>;

const numbers = (value: unknown) => (Array.isArray(value) ? value.filter((entry) => typeof entry === "number") : []);

/** The shape of an image or a tensor; empty for other features. */
export function shapeOf(feature: Feature | undefined): number[] {
  if (feature?.kind === "image") return numbers([feature.channels, feature.height, feature.width]);
  return numbers(feature?.shape);
}

function features(schema: DataSchema): string {
  const columns = schema.features.filter(({ kind }) => kind === "number" || kind === "category").length;
  const others = schema.features.filter(({ kind }) => kind !== "number" && kind !== "category");
  const named = others.map((feature) => {
    if (feature.kind === "text") return `text of ${count(Number(feature.length))} tokens`;
    return `${feature.kind === "image" ? "image" : "numbers"} of shape ${shapeOf(feature).join(" × ")}`;
  });
  return [...(columns ? [`a table of ${count(columns)} ${columns === 1 ? "column" : "columns"}`] : []), ...named].join(
    ", ",
  );
}

function target(schema: DataSchema): string {
  const wanted = schema.target;
  if (!wanted) return "";
  if (wanted.kind === "number") return `, ${wanted.names?.length === 1 ? "a number" : "numbers"} to predict`;
  if (wanted.kind === "labels") return `, ${count(wanted.names.length)} yes-or-no answers`;
  return `, ${count(wanted.classes)} classes`;
}

/** “image of shape 1 × 8 × 8, 10 classes” */
export const dataText = (schema: DataSchema) => features(schema) + target(schema);

/** What comes with Merit: 8 by 8 pixels, ten classes. */
export function isDigits(schema: DataSchema | undefined): boolean {
  const wanted = schema?.target;
  return (
    schema?.features.length === 1 &&
    shapeOf(schema.features[0]).join() === "1,8,8" &&
    wanted?.kind === "category" &&
    wanted.classes === 10
  );
}
