/** What rounds add to balances, and how a pot is divided by them: the arithmetic of the contract, to the unit. */
import type { Judged, RoundSummary, Terms, TrainerFacts } from "../live/api";

/** Under rule reference one unit of a balance is 2^-60 of validation loss. */
const LOSS_BITS = 60;
/** Under rule krum-cosine a round brings so many units in all. */
const ROUND_BITS = 64;
const DECAY_BITS = 32n;
/** A round adds no more than this to a balance, and takes no more from it. */
const MOST = 1n << 84n;
/** Of a unit of loss: less the bits of a rate, and of a coefficient. */
const SHIFT = LOSS_BITS - 40 - 12;
/** Beyond it every product that is not zero is cut off. */
const MOST_SHIFT = 85 + 32;

const positive = (value: bigint) => (value > 0n ? value : 0n);
const sum = (values: readonly bigint[]) => values.reduce((total, value) => total + value, 0n);

/** Rounded down, of negative numbers too: BigInt rounds towards zero. */
function floored(value: bigint, by: bigint): bigint {
  return value / by - (value % by < 0n ? 1n : 0n);
}

/** The server's rate of a round (from 1), in 2^-40; of a round before, it is multiplied by the decay and rounded down. */
export function rateAt(first: bigint, decay: bigint, round: number): bigint {
  let rate = first;
  for (let at = 1; at < round; at += 1) rate = (rate * decay) >> DECAY_BITS;
  return rate;
}

/** What a round of rule reference adds for a score. exponent: of the updates' scale and of the second row's, added up. */
export function lossUnits(score: bigint, rate: bigint, exponent: number, selected: number): bigint {
  const power = exponent + SHIFT;
  const product = score * rate;
  const scaled = power >= 0 ? product << BigInt(Math.min(power, MOST_SHIFT)) : product >> BigInt(-power);
  const exact = floored(scaled, BigInt(selected));
  return exact > MOST ? MOST : exact < -MOST ? -MOST : exact;
}

/** What a round of rule krum-cosine adds for each score. */
export function shares(scores: readonly bigint[]): bigint[] {
  const total = sum(scores.map(positive));
  return scores.map((score) => (total === 0n ? 0n : (positive(score) << BigInt(ROUND_BITS)) / total));
}

type Scored = Pick<Terms, "rule" | "rate" | "rate_decay" | "scale_exponent">;

/** What a settled round adds to the balances of its selected seats, in their order. */
export function gainsOf(terms: Scored, round: number, scores: readonly bigint[], rowExponent: number): bigint[] {
  if (terms.rule === "krum-cosine") return shares(scores);
  const rate = rateAt(BigInt(terms.rate), BigInt(terms.rate_decay), round);
  return scores.map((score) => lossUnits(score, rate, terms.scale_exponent + rowExponent, scores.length));
}

export type Held = { balance: bigint; opened: number };

/** By what a pot is divided: points, or where nobody has any, rounds opened. */
export function partsOf(held: readonly Held[]): { parts: bigint[]; whole: bigint; byPoints: boolean } {
  const points = held.map(({ balance, opened }) => positive(balance) * BigInt(opened));
  const byPoints = points.some((each) => each > 0n);
  const parts = byPoints ? points : held.map(({ opened }) => BigInt(opened));
  return { parts, whole: sum(parts), byPoints };
}

/** What each member gets of a pot; what is left is burnt. Where rows are disputed, no more than by rounds opened. */
export function divide(pot: bigint, held: readonly Held[], disputed = false): bigint[] {
  const { parts, whole } = partsOf(held);
  const byPoints = parts.map((part) => (whole === 0n ? 0n : (pot * part) / whole));
  if (!disputed) return byPoints;
  const byRounds = divide(
    pot,
    held.map(({ opened }) => ({ balance: 0n, opened })),
  );
  return byPoints.map((part, at) => (part < (byRounds[at] ?? 0n) ? part : (byRounds[at] ?? 0n)));
}

export const heldBy = ({ balance, opened }: TrainerFacts): Held => ({ balance: BigInt(balance), opened });

// ---------------------------------------------------------------- for people

export const lossOf = (units: bigint | string) => Number(BigInt(units)) / 2 ** LOSS_BITS;

/** A balance, or a gain: the loss that it took away, or how many rounds' worth it is. */
export function balanceText(units: bigint | string, rule: Terms["rule"]): string {
  const value = balanceValue(BigInt(units), rule);
  const digits = numberText(Math.abs(value));
  const sign = value < 0 ? "−" : "";
  return rule === "reference" ? `${sign}${digits} of loss` : `${sign}${digits} ${value === 1 ? "round" : "rounds"}`;
}

/** What a balance is on an axis: loss taken away, or rounds' worth. */
export function balanceValue(units: bigint, rule: Terms["rule"]): number {
  return rule === "reference" ? lossOf(units) : Number(units) / 2 ** ROUND_BITS;
}

/** A number that is not negative, in three digits. */
export function numberText(value: number): string {
  return value !== 0 && value < 1e-6 ? value.toExponential(1) : Number(value.toPrecision(3)).toString();
}

/** A part of a whole that may be negative, in percent. */
export function partText(part: bigint, whole: bigint): string {
  if (whole === 0n) return "0 %";
  const percent = Number((part * 100_000n) / whole) / 1000;
  return `${percent < 0 ? "−" : ""}${Math.abs(percent).toFixed(1)} %`;
}

/** What a round changed in all: gains and losses do not make up for each other. */
export const wholeOf = (gains: readonly bigint[]) => sum(gains.map((gain) => (gain < 0n ? -gain : gain)));

export type OwnRound = {
  round: number;
  verdict: Judged["verdict"];
  gain: bigint;
  /** What the round brought in all, whatever its sign. */
  whole: bigint;
  /** The balance after it. */
  balance: bigint;
};

/** The settled rounds of a seat, in order. */
export function ownRounds(rounds: readonly RoundSummary[], slot: number): OwnRound[] {
  const found: OwnRound[] = [];
  let balance = 0n;
  for (const { round, status, submitted, undelivered, selected, struck, unopened, gains } of rounds) {
    if (status !== "settled") continue;
    const at = selected.indexOf(slot);
    const gain = BigInt(gains[at] ?? 0);
    const verdict = !submitted.includes(slot)
      ? undelivered.includes(slot)
        ? "undelivered"
        : "missing"
      : unopened.includes(slot)
        ? "unopened"
        : at >= 0
          ? "selected"
          : struck.includes(slot)
            ? "struck"
            : "left-out";
    balance += gain;
    found.push({ round, verdict, gain, whole: wholeOf(gains.map(BigInt)), balance });
  }
  return found;
}

export type Curve = { slot: number; balances: { round: number; balance: bigint }[] };

/** Balances after each settled round: of the `most` seats that have most at the end, and of one's own, by seat. */
export function balancesBySeat(rounds: readonly RoundSummary[], most: number, own?: number): Curve[] {
  const slots = [...new Set(rounds.flatMap(({ submitted, undelivered }) => [...submitted, ...undelivered]))];
  const all = slots.map((slot) => ({ slot, balances: ownRounds(rounds, slot) }));
  const last = ({ slot, balances }: (typeof all)[number]) =>
    slot === own ? null : (balances[balances.length - 1]?.balance ?? 0n);
  const higher = (a: (typeof all)[number], b: (typeof all)[number]) => {
    const [x, y] = [last(a), last(b)];
    if (x === y) return a.slot - b.slot;
    return x === null || (y !== null && x > y) ? -1 : 1;
  };
  return all
    .sort(higher)
    .slice(0, most)
    .sort((a, b) => a.slot - b.slot);
}
