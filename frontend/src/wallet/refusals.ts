/** What wallets and nodes throw (EIP-1193, EIP-1474, EIP-838), as a sentence. What matters may lie in any layer: wallets
 * wrap what the chain's node said, bridges to phones wrap the wallet, and some put JSON into a text. */
import { decodeErrorResult, type Hex } from "viem";
import { knownErrors, sentenceOf } from "../text/errors";

type Layer = Record<string, unknown>;
const INNER = ["data", "originalError", "cause", "error", "innerError", "info", "body", "message", "details"];
const DEEPEST = 8;
const MOST = 60;
const LONGEST = 20_000;

/** A field that may throw when it is looked at. */
function field(layer: Layer, name: string): unknown {
  try {
    return layer[name];
  } catch {
    return undefined;
  }
}

/** The object in a text such as "Internal JSON-RPC error. {…}". */
function unpacked(text: string): unknown {
  const from = text.indexOf("{");
  const to = text.lastIndexOf("}");
  if (from < 0 || to < from || text.length > LONGEST) return null;
  try {
    return JSON.parse(text.slice(from, to + 1));
  } catch {
    return null;
  }
}

/** Every object in an error, the outermost first; each once, and not without end. */
function layers(error: unknown): Layer[] {
  const found: Layer[] = [];
  const seen = new Set<unknown>();
  let level: unknown[] = [error];
  for (let depth = 0; depth < DEEPEST && level.length > 0; depth += 1) {
    const inner: unknown[] = [];
    for (const each of level) {
      const value = typeof each === "string" ? unpacked(each) : each;
      if (!value || typeof value !== "object" || seen.has(value) || found.length >= MOST) continue;
      seen.add(value);
      found.push(value as Layer);
      for (const name of INNER) inner.push(field(value as Layer, name));
    }
    level = inner;
  }
  return found;
}

function codes(all: Layer[]): (number | string)[] {
  const found = all.map((layer) => field(layer, "code"));
  return found.flatMap((code) => (typeof code === "number" || typeof code === "string" ? [code] : []));
}

function texts(all: Layer[]): string[] {
  const found = all.flatMap((layer) => [field(layer, "shortMessage"), field(layer, "message")]);
  return found.filter((text): text is string => typeof text === "string" && text !== "");
}

export type Kind = "rejected" | "unknown chain" | "busy" | "not allowed" | "disconnected" | "unsupported";

const KINDS: [kind: Kind, codes: (number | string)[], words: RegExp | null][] = [
  [
    "rejected",
    [4001, "4001", 5000, "ACTION_REJECTED"],
    /\b(user|signer) (has )?(rejected|denied|cancell?ed|declined|disapproved)|(rejected|denied|cancell?ed) by (the )?user/i,
  ],
  [
    "unknown chain",
    [4902, "4902"],
    /unrecogni[sz]ed chain|wallet_addEthereumChain|(chain|network)\b.{0,40}\b(not|n't) (been )?(added|configured|found)/i,
  ],
  ["busy", [], /already pending|pending request|request of type .* already/i],
  ["not allowed", [4100, "4100"], null],
  ["disconnected", [4900, 4901, "4900", "4901"], null],
  ["unsupported", [4200, "4200", -32601, "-32601"], /method .{0,60}(not|n't|un)\s?(supported|found|available|exist)/i],
];

/** What a wallet means, whichever layer says it; null for what is none of these. */
export function kindOf(error: unknown): Kind | null {
  const all = layers(error);
  const said = texts(all).join(" ");
  const given = codes(all);
  for (const [kind, known, words] of KINDS)
    if (given.some((code) => known.includes(code)) || words?.test(said)) return kind;
  // Nodes use this code too, for what took them too long.
  return given.some((code) => Number(code) === -32002) && !/time/i.test(said) ? "busy" : null;
}

/** The bytes that a contract reverted with, wherever a wallet put them; null where there are none. */
export function revertData(error: unknown): Hex | null {
  for (const layer of layers(error))
    for (const name of ["data", "result", "return"]) {
      const data = field(layer, name);
      const bytes = typeof data === "string" ? data.replace(/^Reverted /, "") : "";
      if (/^0x([0-9a-f]{2})+$/i.test(bytes)) return bytes as Hex;
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

const SENTENCES: Record<Kind, string> = {
  rejected: "You declined the request in your wallet. Nothing was sent.",
  "unknown chain": "Your wallet does not know this chain; add it there, with an RPC address that you trust.",
  busy: "Your wallet already shows a request; answer it there first.",
  "not allowed": "Your wallet has not allowed this page to use the account; connect it again.",
  disconnected: "Your wallet has lost its connection to the chain; try again soon.",
  unsupported: "Your wallet cannot do this from a page; do it in the wallet itself.",
};

export function explain(error: unknown): string {
  const data = revertData(error);
  const sentence = data && decoded(data);
  if (sentence) return sentence;
  const kind = kindOf(error);
  if (kind) return SENTENCES[kind];
  const messages = texts(layers(error));
  const all = messages.join(" ");
  if (/insufficient funds|exceeds (the )?balance/i.test(all))
    return "The account does not hold enough coin for the amount and the gas. Fund it, then try again.";
  if (/failed to fetch|networkerror|econnrefused|timed? ?out|too many requests|rate limit/i.test(all))
    return "The chain cannot be reached at the moment. Nothing was lost; try again soon.";
  if (/nonce too low|already known|replacement/i.test(all))
    return "Another transaction of this account got there first; try again.";
  return messages[0] ? `The wallet answered: ${messages[0].slice(0, 200)}` : "The wallet did not say what went wrong.";
}
