/** Small parts that every page is made of. */
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ApiError, JobSummary } from "../live/api";
import { useNow } from "../live/clock";
import type { Resource } from "../live/resource";
import { Link } from "../router";
import { COIN, formatAmount, shortAmount, shortHex, type Unit } from "../text/amounts";
import { GLOSSARY, type Word } from "../text/glossary";
import { countdown, dateText, exactDate } from "../text/time";

/** A word with its meaning: shown on hover, focus or tap; Escape hides it. */
export function Term({ word, children }: { word: Word; children?: ComponentChildren }) {
  const id = useId();
  const [shown, setShown] = useState(false);
  const box = useRef<HTMLSpanElement>(null);
  const place = () => {
    // Kept inside the window on narrow screens.
    const anchor = box.current?.getBoundingClientRect();
    if (anchor && box.current) {
      const width = Math.min(300, innerWidth - 24);
      const left = Math.min(Math.max(12, anchor.left), innerWidth - width - 12);
      box.current.style.setProperty("--tip-left", `${left}px`);
      box.current.style.setProperty("--tip-top", `${anchor.bottom + 6}px`);
    }
    setShown(true);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: only watches the pointer and Escape for the button inside it
    <span
      class="term"
      ref={box}
      onMouseEnter={place}
      onMouseLeave={() => setShown(false)}
      onKeyDown={(event) => event.key === "Escape" && setShown(false)}
    >
      <button
        type="button"
        aria-describedby={shown ? id : undefined}
        onFocus={place}
        onBlur={() => setShown(false)}
        onClick={place}
      >
        {children ?? word}
      </button>
      {shown && (
        <span role="tooltip" id={id} class="tip">
          {GLOSSARY[word]}
        </span>
      )}
    </span>
  );
}

export function Amount({ value, unit = COIN, exact }: { value: bigint | string; unit?: Unit; exact?: boolean }) {
  const full = formatAmount(value, unit);
  return (
    <span class="number" title={full}>
      {exact ? full : shortAmount(value, unit)}
    </span>
  );
}

/** A hash, content id or key, shortened; the whole is in the title, and a click copies it. Addresses: ui/address.tsx. */
export function Hex({ value, what, name }: { value: string; what: string; name?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    } catch {
      setCopied(false);
    }
  };
  return (
    <button type="button" class="hex" title={`${value}: click to copy`} onClick={copy}>
      <span class="visually-hidden">Copy {what} </span>
      {copied ? "copied" : (name ?? shortHex(value))}
    </button>
  );
}

/** Copies a text that is too long to be shown. */
export function Copy({ value, what }: { value: string; what: string }) {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      setSaid("Copied");
    } catch {
      setSaid(value);
    }
  };
  return (
    <>
      <button type="button" class="quiet small" title={value} onClick={copy}>
        Copy {what}
      </button>{" "}
      <span role="status" class="hint wrap">
        {said}
      </span>
    </>
  );
}

export function Transaction({ hash, children }: { hash: string; children?: ComponentChildren }) {
  return <Link to={`/tx/${hash}`}>{children ?? shortHex(hash)}</Link>;
}

export function When({ unix }: { unix: number }) {
  return (
    <time dateTime={new Date(unix * 1000).toISOString()} title={exactDate(unix)}>
      {dateText(unix)}
    </time>
  );
}

export function Countdown({ to, past }: { to: number; past?: string }) {
  const { past: over, text } = countdown(to, useNow());
  return (
    <span class={over ? "number muted" : "number"} title={exactDate(to)}>
      {over ? (past ?? text) : text}
    </span>
  );
}

export function State({ state }: { state: JobSummary["state"] | string }) {
  return <span class={`state state-${state}`}>{state}</span>;
}

export function Reading({
  label,
  children,
  note,
}: {
  label: ComponentChildren;
  children: ComponentChildren;
  note?: ComponentChildren;
}) {
  return (
    <div class="reading">
      <dt>{label}</dt>
      <dd>
        <span class="value">{children}</span>
        {note && <span class="note">{note}</span>}
      </dd>
    </div>
  );
}

export function Title({ children }: { children: ComponentChildren }) {
  return <h1 tabIndex={-1}>{children}</h1>;
}

export function Notice({ kind, children }: { kind: "info" | "good" | "warn" | "bad"; children: ComponentChildren }) {
  return (
    <div class={`notice notice-${kind}`} role={kind === "bad" ? "alert" : "status"}>
      {children}
    </div>
  );
}

export function Failed({ error, retry }: { error: ApiError; retry?: () => void }) {
  return (
    <Notice kind="bad">
      <p>{error.detail}</p>
      {retry && (
        <button type="button" class="quiet" onClick={retry}>
          Try again
        </button>
      )}
    </Notice>
  );
}

/** The four states of something that is read: loading, failed, stale over old data, there. */
export function Loaded<T>({
  from,
  lines = 3,
  children,
}: {
  from: Resource<T>;
  lines?: number;
  children: (data: T) => ComponentChildren;
}) {
  if (from.data !== undefined)
    return (
      <>
        {from.stale && from.error && (
          <Notice kind="warn">
            <p>What you see may be out of date. {from.error.detail}</p>
            <button type="button" class="quiet" onClick={from.reload}>
              Try again
            </button>
          </Notice>
        )}
        {children(from.data)}
      </>
    );
  if (from.error) return <Failed error={from.error} retry={from.reload} />;
  return <Skeleton lines={lines} />;
}

export function Skeleton({ lines }: { lines: number }) {
  return (
    <div class="skeleton" role="status">
      <span class="visually-hidden">Loading…</span>
      {Array.from({ length: lines }, (_, line) => (
        <div key={line} />
      ))}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** A table. On narrow screens each row is a block in which every cell says what it is; wide: it scrolls instead. */
export function Table({
  label,
  head,
  right = [],
  wide = false,
  children,
}: {
  label: string;
  head: ComponentChildren[];
  /** Columns of amounts, from 0. */
  right?: number[];
  /** Its columns are somebody's own, and too many for blocks. */
  wide?: boolean;
  children: ComponentChildren;
}) {
  const table = useRef<HTMLTableElement>(null);
  // After every render: rows come and go.
  useLayoutEffect(() => {
    if (!table.current) return;
    // Of a term its button: its meaning may be shown beside it.
    const names = [...table.current.querySelectorAll("thead th")].map(
      (cell) => (cell.querySelector("button") ?? cell).textContent ?? "",
    );
    for (const row of table.current.querySelectorAll("tbody tr"))
      for (const [at, cell] of [...row.children].entries()) cell.setAttribute("data-label", names[at] ?? "");
  });
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class={wide ? "scroll" : "scroll stacks"} aria-label={label} tabIndex={0}>
      <table ref={table}>
        <thead>
          <tr>
            {head.map((cell, at) => (
              <th key={at} scope="col" class={right.includes(at) ? "right" : undefined}>
                {cell}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  );
}

export function Bar({ part, label }: { part: number; label: string }) {
  const value = Math.round(Math.min(1, Math.max(0, part)) * 100);
  return (
    <span class="bar" role="progressbar" aria-label={label} aria-valuenow={value} aria-valuemin={0} aria-valuemax={100}>
      <span style={{ width: `${value}%` }} />
    </span>
  );
}

/** Hands a text to the reader as a file. */
export function download(name: string, type: string, text: string): void {
  downloadBlob(name, new Blob([text], { type }));
}

export function downloadBlob(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  URL.revokeObjectURL(url);
}
