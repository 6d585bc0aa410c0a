/** A source of data on the node's machine: which, how its files are read, and what is in it. */
import { useEffect, useState } from "preact/hooks";
import { type DataCheck, get, post, type Reading } from "../live/api";
import { useResource } from "../live/resource";
import { bytesText, count } from "../text/amounts";
import { lines } from "../text/learning";
import { useAttempt } from "./attempt";
import { ChoiceField, Fold, TextField } from "./field";
import { Notice } from "./parts";
import { Preview } from "./preview";

/** The sources that the node offers, for an input's list. */
export function Sources({ id, only }: { id: string; only?: (name: string) => boolean }) {
  const { data: list = [] } = useResource("data", () => get("/api/data"));
  return (
    <datalist id={id}>
      {list
        .filter(({ name }) => !only || only(name))
        .map((entry) => (
          <option key={entry.source} value={only ? entry.name : entry.source}>
            {entry.kind}
            {entry.bytes ? `, ${bytesText(entry.bytes)}` : ""}
          </option>
        ))}
    </datalist>
  );
}

const GAPS = {
  error: "Refused",
  drop: "Their samples are left out",
  mean: "Numbers: the job's mean",
};
const SEPARATORS = { "": "Found", ",": "Comma", ";": "Semicolon", "\t": "Tab", "|": "Bar" };
const ENCODINGS = ["utf-8", "utf-16", "latin-1", "cp1252", "cp1250", "cp1251", "iso-8859-2", "iso-8859-15", "koi8-r"];
const GROUNDS = { "": "Refused", white: "Laid on white", black: "Laid on black" };

const mapText = (map: Reading["map"]) =>
  Object.entries(map ?? {})
    .map(([name, own]) => `${name} = ${own}`)
    .join("\n");
/** "age = Alter", one a line; lines without both names wait for them. */
export const mapOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    lines(text)
      .map((line) => line.split("=").map((part) => part.trim()))
      .filter(([name, own]) => name && own),
  );

type ReadingProps = { of: string; value: Reading; change: (value: Reading) => void };

/** What differs between people's files. of: the field that it belongs to. */
export function ReadingFields({ of, value, change }: ReadingProps) {
  const [map, setMap] = useState(() => mapText(value.map));
  const shared = (name: string) => ({ name: `${of}.${name}`, mistakes: {} });
  const set = (part: Partial<Reading>) => change({ ...value, ...part });
  return (
    <Fold title="How these files are read">
      <ChoiceField
        {...shared("missing")}
        label="Gaps"
        value={value.missing ?? "error"}
        options={GAPS}
        set={(missing) => set({ missing: missing as "error" | "drop" | "mean" })}
      />
      <ChoiceField
        {...shared("decimal")}
        label="Decimal sign"
        value={value.decimal ?? "."}
        options={{ ".": "Point", ",": "Comma" }}
        set={(decimal) => set({ decimal: decimal as "." | "," })}
      />
      <ChoiceField
        {...shared("separator")}
        label="Between cells"
        value={value.separator ?? ""}
        options={SEPARATORS}
        set={(separator) => set({ separator: (separator || null) as NonNullable<Reading["separator"]> | null })}
      />
      <ChoiceField
        {...shared("encoding")}
        label="Encoding"
        value={value.encoding ?? ""}
        options={[["", "Found"], ...ENCODINGS.map((name) => [name, name] as const)]}
        set={(encoding) => set({ encoding: (encoding || null) as NonNullable<Reading["encoding"]> | null })}
      />
      <ChoiceField
        {...shared("background")}
        label="Transparent images"
        value={value.background ?? ""}
        options={GROUNDS}
        set={(background) => set({ background: (background || null) as "white" | "black" | null })}
      />
      <ChoiceField
        {...shared("skip_bad")}
        label="Bad files of a folder"
        value={value.skip_bad ? "skip" : ""}
        options={{ "": "Refused", skip: "Listed, the rest is used" }}
        set={(skip) => set({ skip_bad: skip === "skip" })}
      />
      <TextField
        {...shared("map")}
        label="Columns of other names"
        hint="The job's name and yours, one a line: age = Alter"
        value={map}
        rows={2}
        wide
        set={(text) => {
          setMap(text);
          set({ map: mapOf(text) });
        }}
      />
    </Fold>
  );
}

/** of: what they are to fit, as the API takes it; null while that cannot be said. */
type CheckProps = {
  of: { job_id: number } | { document: Record<string, unknown> } | null;
  source: string;
  reading: Reading;
  /** Looks at once: they were checked before a reload. */
  again?: boolean;
  checked?: (fits: boolean) => void;
};

/** A button that has the node look at the data, and what it found. Changed sources are to be looked at again. */
export function DataChecked({ of, source, reading, again, checked }: CheckProps) {
  const asked = JSON.stringify([of, source, reading]);
  const [found, setFound] = useState<{ asked: string; answer: DataCheck } | null>(null);
  const { working, problem, attempt } = useAttempt();
  const answer = found?.asked === asked ? found.answer : null;
  const check = () =>
    attempt(async () => {
      setFound(null);
      const result = await post("/api/data/check", { ...of, data: source.trim(), reading });
      setFound({ asked, answer: result });
      checked?.(result.fits);
    });
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, at the start
  useEffect(() => {
    if (again && of && source.trim()) void check();
  }, []);
  const classes = Object.keys(answer?.report?.classes ?? {}).length;
  return (
    <div class="checked">
      <button type="button" onClick={check} disabled={working || !source.trim() || of === null}>
        {working ? "Checking…" : "Check the data"}
      </button>
      {problem && <Notice kind="bad">{problem}</Notice>}
      {answer && !answer.fits && <Notice kind="bad">{answer.problem}</Notice>}
      {answer?.report && (
        <>
          <Notice kind="good">
            The data fit: {count(answer.report.samples)} samples
            {classes > 0 && ` in ${count(classes)} classes`}, and the model trains on them.
          </Notice>
          <Preview report={answer.report} samples={answer.samples} />
        </>
      )}
    </div>
  );
}
