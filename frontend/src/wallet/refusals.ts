/** What wallets and nodes throw (EIP-1193, EIP-1474, EIP-838), as a sentence. */
import { decodeErrorResult, type Hex } from "viem";
import { knownErrors, sentenceOf } from "../text/errors";

type Thrown = {
  code?: unknown;
  message?: unknown;
  data?: unknown;
  cause?: unknown;
  error?: unknown;
  shortMessage?: unknown;
};
const DEEPEST = 6;

function* layers(error: unknown): Generator<Thrown> {
  let current = error;
  for (let depth = 0; depth < DEEPEST && current && typeof current === "object"; depth += 1) {
    const layer = current as Thrown;
    yield layer;
    current = layer.cause ?? layer.error ?? (typeof layer.data === "object" ? layer.data : null);
  }
}

export function codeOf(error: unknown): number | null {
  for (const layer of layers(error)) if (typeof layer.code === "number") return layer.code;
  return null;
}

export const REJECTED = 4001;

/** The bytes that a contract reverted with, wherever a wallet put them; null where there are none. */
export function revertData(error: unknown): Hex | null {
  for (const layer of layers(error)) {
    if (typeof layer.data === "string" && /^0x([0-9a-f]{2})+$/i.test(layer.data)) return layer.data as Hex;
  }
  return null;
}

function decoded(data: Hex): string | null {
  try {
    const { abiItem, errorName, args } = decodeErrorResult({ abi: knownErrors, data });
    const inputs = "inputs" in abiItem ? abiItem.inputs : [];
    const given = (args ?? []) as readonly unknown[];
    return sentenceOf(errorName, Object.fromEntries(inputs.map((input, at) => [input.name ?? at, given[at]])));
  } catch {
    return null;
  }
}

export function explain(error: unknown): string {
  const data = revertData(error);
  const sentence = data && decoded(data);
  if (sentence) return sentence;
  const code = codeOf(error);
  if (code === REJECTED) return "You declined the request in your wallet. Nothing was sent.";
  if (code === -32002) return "Your wallet already shows a request; answer it there first.";
  if (code === 4100) return "Your wallet has not allowed this page to use the account; connect it again.";
  if (code === 4900 || code === 4901) return "Your wallet has lost its connection to the chain; try again soon.";
  const messages = [...layers(error)]
    .map((layer) => layer.shortMessage ?? layer.message)
    .filter((m) => typeof m === "string");
  const all = messages.join(" ");
  if (/insufficient funds|exceeds (the )?balance/i.test(all))
    return "The account does not hold enough coin for the amount and the gas. Fund it, then try again.";
  if (/failed to fetch|networkerror|econnrefused|timed? ?out/i.test(all))
    return "The chain cannot be reached at the moment. Nothing was lost; try again soon.";
  if (/nonce too low|already known|replacement/i.test(all))
    return "Another transaction of this account got there first; try again.";
  return messages[0]
    ? `The wallet answered: ${String(messages[0]).slice(0, 200)}`
    : "The wallet did not say what went wrong.";
}
