/** Work that a button starts, which may fail: whether it goes on, and the sentence that says why it failed. */
import { useState } from "preact/hooks";
import { ApiError } from "../live/api";

export function useAttempt() {
  const [working, setWorking] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const attempt = async (work: () => Promise<void>) => {
    setWorking(true);
    setProblem(null);
    try {
      await work();
    } catch (error) {
      setProblem(error instanceof ApiError ? error.detail : String(error));
    }
    setWorking(false);
  };
  return { working, problem, setProblem, attempt };
}
