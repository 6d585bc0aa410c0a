/** What the node says of a job in a form while one writes it: its size, its file, or what is wrong with it. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, type JobPreview, post } from "./api";

const QUIET_MS = 700;

export type Looked = { preview: JobPreview | null; problem: string | null; looking: boolean };

/** document: null while the page itself knows of a mistake. Asked once nobody has written for a while. */
export function useJobPreview(document: Record<string, unknown> | null): Looked {
  const asked = document === null ? null : JSON.stringify(document);
  const [looked, setLooked] = useState<{ asked: string; preview: JobPreview | null; problem: string | null } | null>(
    null,
  );
  const latest = useRef(asked);
  latest.current = asked;
  useEffect(() => {
    if (asked === null) return;
    const look = async () => {
      let found: Omit<Looked, "looking">;
      try {
        found = { preview: await post("/api/jobs/preview", { document: JSON.parse(asked) }), problem: null };
      } catch (error) {
        found = { preview: null, problem: error instanceof ApiError ? error.detail : String(error) };
      }
      if (latest.current === asked) setLooked({ asked, ...found });
    };
    const timer = setTimeout(look, QUIET_MS);
    return () => clearTimeout(timer);
  }, [asked]);
  const current = looked !== null && looked.asked === asked;
  return {
    preview: current ? looked.preview : null,
    problem: current ? looked.problem : null,
    looking: asked !== null && !current,
  };
}
