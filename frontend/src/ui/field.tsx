/** Fields of forms: a label, what may be wrong with it, and a way to it from a list of mistakes. */
import type { ComponentChildren } from "preact";
import type { Mistakes } from "../text/fields";
import type { Word } from "../text/glossary";
import { Term } from "./parts";

const idOf = (name: string) => `field-${name.replaceAll(".", "-")}`;

/** Unfolds what a field is in, and leads there. */
export function leadTo(name: string): void {
  const field = document.getElementById(idOf(name));
  for (let at = field?.parentElement; at; at = at.parentElement) if (at instanceof HTMLDetailsElement) at.open = true;
  field?.focus();
}

type Shared = {
  /** Of the mistakes. */
  name: string;
  label: ComponentChildren;
  mistakes: Mistakes;
  word?: Word | undefined;
  hint?: ComponentChildren;
  short?: boolean;
  wide?: boolean;
};

function Frame({ name, label, mistakes, word, hint, short, wide, children }: Shared & { children: ComponentChildren }) {
  const mistake = mistakes[name];
  return (
    <div class={`field ${short ? "short" : ""} ${wide ? "wide" : ""}`}>
      <label for={idOf(name)}>{label}</label>
      {word && (
        <Term word={word}>
          ?<span class="visually-hidden"> What does it mean</span>
        </Term>
      )}
      {children}
      {(mistake || hint) && (
        <span id={`${idOf(name)}-note`} class={mistake ? "mistake" : "hint"}>
          {mistake ?? hint}
        </span>
      )}
    </div>
  );
}

const described = ({ name, mistakes, hint }: Shared) => ({
  id: idOf(name),
  "aria-invalid": mistakes[name] ? (true as const) : undefined,
  "aria-describedby": mistakes[name] || hint ? `${idOf(name)}-note` : undefined,
});

type TextProps = Shared & {
  value: string;
  set: (value: string) => void;
  unit?: string | undefined;
  list?: string;
  placeholder?: string;
  /** Lines of a text that may have several. */
  rows?: number;
};

export function TextField({ value, set, unit, list, placeholder, rows, ...shared }: TextProps) {
  const own = { ...described(shared), value, placeholder };
  return (
    <Frame {...shared}>
      <span class="with-unit">
        {rows ? (
          <textarea {...own} rows={rows} onInput={(event) => set(event.currentTarget.value)} />
        ) : (
          <input {...own} list={list} onInput={(event) => set(event.currentTarget.value)} />
        )}
        {unit && <span class="unit">{unit}</span>}
      </span>
    </Frame>
  );
}

type ChoiceProps = Shared & {
  value: string;
  set: (value: string) => void;
  options: readonly (readonly [value: string, text: string])[] | Record<string, string>;
};

/** A value that is none of the options is one more. */
export function ChoiceField({ value, set, options, ...shared }: ChoiceProps) {
  const all = Array.isArray(options) ? options : Object.entries(options);
  const there = all.some(([each]) => each === value);
  return (
    <Frame {...shared}>
      <select {...described(shared)} value={value} onChange={(event) => set(event.currentTarget.value)}>
        {!there && <option value={value}>{value || "Choose one"}</option>}
        {all.map(([each, text]) => (
          <option key={each} value={each}>
            {text}
          </option>
        ))}
      </select>
    </Frame>
  );
}

export function Fold({
  title,
  open,
  children,
}: {
  title: ComponentChildren;
  open?: boolean;
  children: ComponentChildren;
}) {
  return (
    <details class="fold" open={open}>
      <summary>{title}</summary>
      <div class="folded">{children}</div>
    </details>
  );
}
