/** Deadlines are Unix seconds by the chain's clock; "now" is always an argument. */
import { LOCALE } from "./locale";

const NBSP = "\u00a0";

/** 3725 → "1 h 02 min"; two units at most, the second zero-padded so that a countdown does not jitter. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const pad = (value: number) => value.toString().padStart(2, "0");
  if (s < 60) return `${s}${NBSP}s`;
  if (s < 3600) return `${Math.floor(s / 60)}${NBSP}min${NBSP}${pad(s % 60)}${NBSP}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}${NBSP}h${NBSP}${pad(Math.floor((s % 3600) / 60))}${NBSP}min`;
  return `${Math.floor(s / 86_400)}${NBSP}d${NBSP}${Math.floor((s % 86_400) / 3600)}${NBSP}h`;
}

/** 600 → "10 min": for windows, where whole units read best. */
export function plainDuration(seconds: number): string {
  for (const [size, name] of [
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
  ] as const) {
    if (seconds >= size && seconds % size === 0) return `${seconds / size}${NBSP}${name}`;
  }
  return duration(seconds);
}

const UNITS: Record<string, number> = { s: 1, min: 60, h: 3600, d: 86_400 };

/** "90", "10 min", "1.5 h" → seconds, whole and above zero; else null. As the job file has it. */
export function parseDuration(text: string): number | null {
  const match = /^\s*(\d{1,12}(?:\.\d{1,6})?)\s*([a-z]*)\s*$/.exec(text);
  const size = match && UNITS[match[2] || "s"];
  if (!match || !size) return null;
  const seconds = Number(match[1]) * size;
  return Number.isInteger(seconds) && seconds > 0 && seconds < 2 ** 32 ? seconds : null;
}

/** As parseDuration, and "0" for none at all. */
export function parseWait(text: string): number | null {
  return text.trim() === "0" ? 0 : parseDuration(text);
}

export type Countdown = { past: boolean; seconds: number; text: string };

/** A deadline is inclusive, as in the contract: its last second still counts. */
export function countdown(deadline: number, now: number): Countdown {
  const left = deadline - now;
  if (left >= 0) return { past: false, seconds: left, text: duration(left) };
  return { past: true, seconds: -left, text: `${duration(-left)} ago` };
}

/** The part of a window that is over, 0 … 1. */
export function elapsed(deadline: number, window: number, now: number): number {
  return window <= 0 ? 1 : Math.min(1, Math.max(0, 1 - (deadline - now) / window));
}

const DATE = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });
const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "long" });
const CLOCK = new Intl.DateTimeFormat(LOCALE, { timeStyle: "short" });
const DAY = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium" });

export function dateText(unix: number): string {
  return DATE.format(unix * 1000);
}

export function exactDate(unix: number): string {
  return EXACT.format(unix * 1000);
}

/** "14:20" where that is today, else with the date: in the reader's time zone. */
export function momentText(unix: number, now: number): string {
  const today = DAY.format(unix * 1000) === DAY.format(now * 1000);
  return (today ? CLOCK : DATE).format(unix * 1000);
}
