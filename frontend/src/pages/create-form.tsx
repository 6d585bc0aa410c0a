/** What every part of the form is given, and a field of the draft. */
import type { Draft } from "../text/draft";
import type { Mistakes } from "../text/fields";
import type { Word } from "../text/glossary";
import { TextField } from "../ui/field";

export type Form = { draft: Draft; mistakes: Mistakes; change: (part: Partial<Draft>) => void };

type Plain = {
  [K in keyof Draft]: Draft[K] extends string ? K : never;
}[keyof Draft];
type FieldProps = Form & {
  name: Plain;
  label: string;
  word?: Word;
  unit?: string;
  hint?: string | undefined;
  short?: boolean;
  wide?: boolean;
  list?: string;
};

/** A field of the draft that is a text. */
export function Field({ draft, change, name, ...shared }: FieldProps) {
  return <TextField {...shared} name={name} value={draft[name]} set={(value) => change({ [name]: value })} />;
}
