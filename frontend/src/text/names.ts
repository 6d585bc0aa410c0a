/** Names that the reader gives to addresses: short, plain, and never taken from what strangers wrote. */
import { isAddress } from "viem";

export type Names = Readonly<Record<string, string>>;

export const LONGEST = 32;
export const MOST = 500;
const SHAPE = /^[\p{L}\p{N}][\p{L}\p{N}\p{M} .,_'’()&+-]*$/u;
/** What the page itself calls addresses: a name must not look like it. */
const OWN = /^(you|your wallet|this node|this node's.*)$/i;

/** What is wrong with a name, as a sentence; null where nothing is. */
export function nameMistake(name: string): string | null {
  const text = tidy(name);
  if (text === "") return "Write a name.";
  if (text.length > LONGEST) return `A name has at most ${LONGEST} characters.`;
  if (/^0x/i.test(text)) return "A name must not look like an address.";
  if (OWN.test(text)) return "This is what the page calls your own addresses: choose another name.";
  if (!SHAPE.test(text))
    return "A name has letters, digits, spaces and plain marks, and begins with a letter or digit.";
  return null;
}

export const tidy = (name: string) => name.normalize("NFKC").replace(/\s+/g, " ").trim();

/** What was kept, as far as it is usable: keys are addresses in lower case. */
export function usableNames(kept: unknown): Names {
  if (!kept || typeof kept !== "object") return {};
  const good = Object.entries(kept).filter(
    ([address, name]) =>
      isAddress(address, { strict: false }) && typeof name === "string" && nameMistake(name) === null,
  );
  return Object.fromEntries(good.slice(0, MOST).map(([address, name]) => [address.toLowerCase(), tidy(name)]));
}
