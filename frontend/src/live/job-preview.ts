/** What the node says of a job in a form while one writes it: its size, its file, or what is wrong with it. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, type JobPreview, post } from "./api";

const QUIET_MS = 700;

type Answer = { preview: JobPreview | null; problem: string | null };
export type Looked = Answer & { looking: boolean };

async function look(asked: string): Promise<Answer> {
  try {
    return { preview: await post("/api/jobs/preview", { document: JSON.parse(asked) }), problem: null };
  } catch (error) {
    return { preview: null, problem: error instanceof ApiError ? error.detail : String(error) };
  }
}

/** document: null while the page itself knows of a mistake. Asked once nobody has written for a while, one at a time. */
export function useJobPreview(document: Record<string, unknown> | null): Looked {
  const asked = document === null ? null : JSON.stringify(document);
  const [looked, setLooked] = useState<(Answer & { asked: string }) | null>(null);
  const latest = useRef(asked);
  latest.current = asked;
  const busy = useRef(false);
  useEffect(() => {
    if (asked === null) return;
    const timer = setTimeout(async () => {
      if (busy.current) return; // who is at it looks at the latest afterwards
      busy.current = true;
      for (let at: string | null = asked; at !== null; ) {
        const found: Answer & { asked: string } = { asked: at, ...(await look(at)) };
        setLooked(found);
        at = latest.current === found.asked ? null : latest.current;
      }
      busy.current = false;
    }, QUIET_MS);
    return () => clearTimeout(timer);
  }, [asked]);
  const current = looked !== null && looked.asked === asked;
  return {
    preview: current ? looked.preview : null,
    problem: current ? looked.problem : null,
    looking: asked !== null && !current,
  };
}
