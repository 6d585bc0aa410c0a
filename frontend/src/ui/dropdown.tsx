/** What unfolds over the page: it closes with Escape, with a press elsewhere, and where the page becomes another. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { usePath } from "../router";

type Props = {
  /** Beside its own. */
  class: string;
  summary: ComponentChildren;
  toggled?: (open: boolean) => void;
  children: ComponentChildren;
};

export function Dropdown({ class: own, summary, toggled, children }: Props) {
  const box = useRef<HTMLDetailsElement>(null);
  const path = usePath();
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page is another place
  useEffect(() => box.current?.removeAttribute("open"), [path]);
  useEffect(() => {
    const leave = (event: Event) => {
      if (!box.current?.contains(event.target as Node)) box.current?.removeAttribute("open");
    };
    addEventListener("pointerdown", leave);
    return () => removeEventListener("pointerdown", leave);
  }, []);
  return (
    <details
      class={`dropdown ${own}`}
      ref={box}
      onToggle={(event) => toggled?.(event.currentTarget.open)}
      onKeyDown={(event) => event.key === "Escape" && event.currentTarget.removeAttribute("open")}
    >
      <summary>{summary}</summary>
      {children}
    </details>
  );
}
