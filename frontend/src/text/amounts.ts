/** Amounts are bigints in a token's smallest unit; nothing that is money passes through a float. */

import { LOCALE } from "./locale";

export const ZERO_ADDRESS = "0x0000000000000000000000000000000000000000";

/** unknown: the token has not said its decimals. */
export type Unit = { symbol: string; decimals: number; unknown?: boolean };

export const COIN: Unit = { symbol: "ether", decimals: 18 };
/** A token whose decimals are not known is shown in its smallest unit, never guessed. */
export const SMALLEST: Unit = { symbol: "units", decimals: 0, unknown: true };

const WHOLE = new Intl.NumberFormat(LOCALE);

/** Exact: every digit that is not a trailing zero. */
export function formatAmount(amount: bigint | string, unit: Unit = COIN): string {
  return `${formatNumber(amount, unit.decimals)} ${unit.symbol}`;
}

export function formatNumber(amount: bigint | string, decimals: number): string {
  const value = BigInt(amount);
  const digits = (value < 0n ? -value : value).toString().padStart(decimals + 1, "0");
  const whole = WHOLE.format(BigInt(digits.slice(0, digits.length - decimals)));
  const part = digits.slice(digits.length - decimals).replace(/0+$/, "");
  return `${value < 0n ? "−" : ""}${whole}${decimals && part ? `.${part}` : ""}`;
}

/** At most `places` decimals, rounded down and marked with ≈ where digits were dropped; the exact amount goes into the title. */
export function shortAmount(amount: bigint | string, unit: Unit = COIN, places = 6): string {
  const value = BigInt(amount);
  if (unit.decimals <= places) return formatAmount(value, unit);
  const step = 10n ** BigInt(unit.decimals - places);
  const kept = (value / step) * step;
  if (kept === value) return formatAmount(value, unit);
  return kept === 0n
    ? `< ${formatNumber(step, unit.decimals)} ${unit.symbol}`
    : `≈ ${formatNumber(kept, unit.decimals)} ${unit.symbol}`;
}

const DECIMAL = /^(\d{1,39})(?:\.(\d{1,39}))?$/;

/** A plain decimal such as "0.25" in the unit → smallest units; null where it is none, inexact, or not below 2^128. */
export function parseAmount(text: string, unit: Unit = COIN): bigint | null {
  const match = DECIMAL.exec(text.trim());
  if (!match) return null;
  const part = (match[2] ?? "").replace(/0+$/, "");
  if (part.length > unit.decimals) return null;
  const value = BigInt((match[1] ?? "0") + part.padEnd(unit.decimals, "0"));
  return value < 1n << 128n ? value : null;
}

/** What creating a job takes from its owner. */
export function escrowOf(rounds: number, reward: bigint, fee: bigint): bigint {
  return BigInt(rounds) * (reward + fee);
}

export function percent(part: number, places = 1): string {
  return `${(part * 100).toFixed(places)} %`;
}

/** part ÷ whole in percent, from integers of any size. */
export function share(part: bigint, whole: bigint): string {
  if (whole === 0n) return "0 %";
  return `${(Number((part * 100_000n) / whole) / 1000).toFixed(1)} %`;
}

export function count(value: number | bigint): string {
  return WHOLE.format(value);
}

/** "1 trainer", "2 trainers"; many: where an s is not enough. */
export function plural(value: number | bigint, one: string, many = `${one}s`): string {
  return `${count(value)} ${BigInt(value) === 1n ? one : many}`;
}

export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const power = bytes < 1e6 ? 1 : bytes < 1e9 ? 2 : 3;
  return `${(bytes / 1000 ** power).toFixed(1)} ${["", "kB", "MB", "GB"][power]}`;
}

export function shortHex(hex: string, head = 6, tail = 4): string {
  return hex.length <= head + tail + 3 ? hex : `${hex.slice(0, head)}…${hex.slice(-tail)}`;
}
