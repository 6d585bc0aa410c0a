/** What the node sends with its own key because its user asked for it: read again while the page is looked at. */
import { useEffect } from "preact/hooks";
import { get, type SentFacts } from "./api";
import { useToken } from "./node";
import { useResource } from "./resource";
import { store, useStore } from "./store";

const LOOK_MS = 3000;
const list = store<SentFacts[]>([]);

export function useNodeSent(): SentFacts[] {
  return useStore(list);
}

/** Used once, by the frame of the page. */
export function useNodeSentReader(): void {
  const token = useToken();
  const { data, reload } = useResource(
    token ? "sent" : null,
    () => get("/api/sent"),
    (news) => news.type === "chain",
  );
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && reload(), LOOK_MS);
    return () => clearInterval(timer);
  }, [reload]);
  useEffect(() => list.set(token ? (data ?? []) : []), [token, data]);
}
