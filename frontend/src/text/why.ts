/** Why a seat was paid what it was paid in a round: sentences that can be checked against the numbers beside them. */
import type { RoundDetail, Terms } from "../live/api";
import { formatAmount, formatNumber, share, type Unit } from "./amounts";

export type Why = { headline: string; reasons: string[]; expected: bigint };

const RULES: Record<Terms["rule"], { chosen: string; left: string }> = {
  "krum-cosine": {
    chosen: "it lies close enough to the other updates of the round",
    left: "it lies farther from the other updates than the rule allows, or was all zero",
  },
  reference: {
    chosen: "it points towards a lower loss on the owner's validation data",
    left: "it does not point towards a lower loss on the owner's validation data, or was all zero",
  },
};

/** The pay that the weights give: floor(pot × weight ÷ Σ weights). */
export function payOf(pot: bigint, weight: bigint, total: bigint): bigint {
  return total === 0n ? 0n : (pot * weight) / total;
}

export function whyThisPay(round: RoundDetail, slot: number, rule: Terms["rule"], unit: Unit): Why {
  const { judged, summary } = round;
  const own = judged.find((entry) => entry.slot === slot);
  if (summary.status !== "settled" || !own || summary.pot === null) {
    return { headline: `Round ${summary.round} is not settled, so nothing was paid.`, reasons: [], expected: 0n };
  }
  const pot = BigInt(summary.pot);
  const total = judged.reduce((sum, entry) => sum + BigInt(entry.weight), 0n);
  const weight = BigInt(own.weight);
  const expected = payOf(pot, weight, total);
  const words = RULES[rule];
  const reasons: string[] = [];
  if (own.verdict === "missing")
    reasons.push("No update was submitted before the deadline, so there is nothing to pay for.");
  if (own.verdict === "unopened")
    reasons.push(
      "The aggregator said that it could not open the update. That costs the round's pay, but counts no strike.",
    );
  if (own.verdict === "outlier")
    reasons.push(`The rule ${rule} left the update out: ${words.left}. It counts one strike.`);
  if (own.verdict === "selected") {
    reasons.push(`The rule ${rule} selected the update: ${words.chosen}.`);
    if (own.coefficient !== null && own.coefficient < 4096)
      reasons.push(`It was longer than the median, so ${share(BigInt(own.coefficient), 4096n)} of it entered the sum.`);
    if (weight === 0n) reasons.push("Its weight is 0: by the rule it brought nothing, so its part of the pot is 0.");
    else
      reasons.push(
        `Its weight is ${formatNumber(weight, 0)} of ${formatNumber(total, 0)} in all, which is ${share(weight, total)}. ` +
          `The pot of ${formatAmount(pot, unit)} × weight ÷ sum, rounded down, is ${formatAmount(expected, unit)}.`,
      );
  }
  const headline =
    BigInt(own.pay) === 0n
      ? `Seat ${slot} was paid nothing in round ${summary.round}.`
      : `Seat ${slot} was paid ${formatAmount(own.pay, unit)} in round ${summary.round}.`;
  if (expected !== BigInt(own.pay))
    reasons.push(
      `This is not what the weights give, ${formatAmount(expected, unit)}. Audit this job: something is wrong with it or with this node.`,
    );
  return { headline, reasons, expected };
}
