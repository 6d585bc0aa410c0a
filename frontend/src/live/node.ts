/** What this page's node is, and whether this tab may act through it. */
import { useEffect } from "preact/hooks";
import { get } from "./api";
import { setChainTime } from "./clock";
import { type Resource, useResource } from "./resource";
import { store, useStore } from "./store";
import { token } from "./token";

export const node = store<Awaited<ReturnType<typeof readNode>> | null>(null);

async function readNode() {
  const facts = await get("/api/node");
  setChainTime(facts.now);
  return facts;
}

/** Read once at the start, and again whenever the stream was away. */
export function useNodeReader(): Resource<Awaited<ReturnType<typeof readNode>>> {
  return useResource("node", async () => {
    const facts = await readNode();
    node.set(facts);
    return facts;
  });
}

const LOOK_MS = 5000;

/** Whether the node still follows the chain: its stream is silent both when nothing happens and when it cannot. */
export function useHealth() {
  const { data, reload } = useResource("health", () => get("/api/health"));
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && reload(), LOOK_MS);
    return () => clearInterval(timer);
  }, [reload]);
  return data;
}

export function useNode() {
  return useStore(node);
}

export function useToken(): string | null {
  return useStore(token);
}
