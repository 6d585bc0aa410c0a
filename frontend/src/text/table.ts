/** From what is in a table to what a job asks for. Ranges are wider than the owner's own values: others' differ. */
import type { ColumnFacts } from "../live/api";
import { FEATURE, type Feature, TARGET, type Target } from "./learning";

/** Whole numbers that are no more than so many are classes, more are to be predicted as numbers. */
const MOST_CLASSES = 20;

/** Three digits, without a float's tail. */
const plain = (value: number) => String(Number(value.toPrecision(3)));

/** Outwards to two digits. */
function outwards(value: number, up: boolean): number {
  if (value === 0) return 0;
  const step = 10 ** (Math.floor(Math.log10(Math.abs(value))) - 1);
  return Number(((up ? Math.ceil(value / step) : Math.floor(value / step)) * step).toPrecision(2));
}

type Numbers = NonNullable<ColumnFacts["numbers"]>;

function rangeOf({ lowest, highest, mean, std }: Numbers) {
  const room = (highest - lowest) / 2 || Math.abs(highest) || 1;
  const low = lowest >= 0 ? Math.max(0, lowest - room) : lowest - room;
  return {
    minimum: String(outwards(low, false)),
    maximum: String(outwards(highest + room, true)),
    mean: plain(mean),
    std: std > 0 ? plain(std) : "1",
  };
}

/** A column as a feature; null for free text, which a table's model cannot use. */
export function featureOf({ name, numbers, names }: ColumnFacts): Feature | null {
  if (numbers) return { ...FEATURE, name, kind: "number", ...rangeOf(numbers) };
  if (names && names.length > 0) return { ...FEATURE, name, kind: "category", values: names.join("\n") };
  return null;
}

const numeric = (a: string, b: string) => Number(a) - Number(b);

/** A column as what is to be predicted; null where it can be neither a class nor a number. */
export function targetOf({ name, numbers, names }: ColumnFacts): Target | null {
  const few = names !== null && names.length >= 2 && names.length <= (numbers ? MOST_CLASSES : 200);
  if (few && (!numbers || numbers.whole)) {
    const classes = numbers ? [...names].sort(numeric) : names;
    return { ...TARGET, kind: "category", name, names: classes.join("\n"), classes: String(names.length) };
  }
  if (numbers) return { ...TARGET, kind: "number", name, names: name, ...rangeOf(numbers) };
  return null;
}

/** Features and target of a table, and the columns that are left out: no text is a feature by itself. */
export function fromColumns(columns: ColumnFacts[], wanted: string) {
  const target = columns.find(({ name }) => name === wanted);
  const others = columns
    .filter((column) => column !== target)
    .map((column) => [column.name, featureOf(column)] as const);
  return {
    features: others.flatMap(([, feature]) => (feature ? [feature] : [])),
    left: others.flatMap(([name, feature]) => (feature ? [] : [name])),
    target: target ? targetOf(target) : null,
  };
}
