/** Why a round brought a seat what it brought, and why its pay is what it is: sentences to be checked against the numbers. */
import type { JobDetail, Judged, RoundDetail, Terms, TrainerFacts } from "../live/api";
import { formatAmount, plural, share, type Unit } from "./amounts";
import { balanceText, divide, gainsOf, heldBy, lossOf, numberText, partsOf, partText, wholeOf } from "./points";
import { isOver } from "./standing";

/** expected: what the numbers beside it give; null where they are not known. */
export type Why = { headline: string; reasons: string[]; expected: bigint | null };

export const VERDICTS: Record<Judged["verdict"], string> = {
  selected: "selected",
  "left-out": "left out",
  struck: "struck",
  unopened: "unopened",
  undelivered: "not delivered",
  missing: "missing",
};

const RULES: Record<Terms["rule"], { chosen: string; left: string; struck: string }> = {
  "krum-cosine": {
    chosen: "it lies close enough to the other updates of the round",
    left: "it lies farther from the other updates than the rule allows",
    struck: "it was all zero",
  },
  reference: {
    chosen: "it points towards a lower loss on the owner's validation data",
    left: "it does not point towards a lower loss on the owner's validation data",
    struck: "it was all zero, or pointed clearly away from a lower loss on the owner's validation data",
  },
};

/** "round 3", "rounds 3 and 5" */
export function roundsText(rounds: number[]): string {
  const last = rounds.at(-1);
  return rounds.length === 1 ? `round ${last}` : `rounds ${rounds.slice(0, -1).join(", ")} and ${last}`;
}

/** What counts as a strike under a rule. */
export const strikeText = (rule: Terms["rule"]) => `An update counts a strike if ${RULES[rule].struck}.`;

const wrong = (what: string) =>
  `This is not what ${what}. Audit this job: something is wrong with it or with this node.`;

/** A loss that was taken away or added, in words; "" where there was none. */
export function lossText(gain: bigint): string {
  if (gain === 0n) return "";
  return `${gain > 0n ? "lowered" : "raised"} the loss by about ${numberText(Math.abs(lossOf(gain)))}`;
}

/** What a settled round brought in all. */
export function roundText(gains: string[], rule: Terms["rule"]): string {
  const total = gains.reduce((sum, gain) => sum + BigInt(gain), 0n);
  if (gains.every((gain) => BigInt(gain) === 0n)) return "It brought nothing to anybody's balance.";
  if (rule === "krum-cosine") return "It brought what each round brings, divided by their scores.";
  if (total === 0n) return "In all it neither lowered nor raised the loss on the owner's validation data.";
  return `In all it ${lossText(total)} on the owner's validation data.`;
}

/** What a round brought a seat, in a few words. */
export function broughtText(verdict: Judged["verdict"], gain: bigint, rule: Terms["rule"]): string {
  if (verdict !== "selected") return `${VERDICTS[verdict]}: it brought nothing`;
  if (gain === 0n) return "selected, but it brought nothing";
  return rule === "reference" ? lossText(gain) : "selected";
}

export function whyThisGain(round: RoundDetail, slot: number, terms: Terms): Why {
  const { judged, summary } = round;
  const own = judged.find((entry) => entry.slot === slot);
  if (summary.status !== "settled" || !own)
    return {
      headline: `Round ${summary.round} is not settled, so it brought nothing yet.`,
      reasons: [],
      expected: null,
    };
  const gain = BigInt(own.gain);
  const words = RULES[terms.rule];
  const reasons: string[] = [];
  let expected: bigint | null = 0n;
  if (own.verdict === "missing")
    reasons.push(
      `No update was submitted before the deadline. The round does not count as opened by this seat; ${terms.max_missed} missed in a row cost the seat.`,
    );
  if (own.verdict === "unopened")
    reasons.push(
      "The aggregator said that it could not open the update. The round does not count as opened by this seat, but counts no strike.",
    );
  if (own.verdict === "undelivered")
    reasons.push(
      "The aggregator said that it could not open the update, and it was not delivered again in time. The round does not count as opened by this seat, nor as missed.",
    );
  if (own.verdict === "left-out")
    reasons.push(`The rule ${terms.rule} left the update out: ${words.left}. That is no strike.`);
  if (own.verdict === "struck")
    reasons.push(`The rule ${terms.rule} left the update out: ${words.struck}. It counts one strike.`);
  if (own.verdict === "selected") {
    reasons.push(`The rule ${terms.rule} selected the update: ${words.chosen}.`);
    if (own.coefficient !== null && own.coefficient < 4096)
      reasons.push(`It was longer than the median, so ${share(BigInt(own.coefficient), 4096n)} of it entered the sum.`);
    expected = expectedGain(round, own, terms);
    reasons.push(...measured(gain, judged, terms.rule));
  }
  if (expected !== null && expected !== gain) reasons.push(wrong("the scores give"));
  return { headline: headline(own, gain, round, terms.rule), reasons, expected };
}

function headline(own: Judged, gain: bigint, { summary, judged }: RoundDetail, rule: Terms["rule"]): string {
  const at = `in round ${summary.round}`;
  if (gain === 0n) return `Seat ${own.slot} gained nothing ${at}.`;
  if (gain < 0n) return `Seat ${own.slot}'s update raised the loss ${at}, which counts against it.`;
  const part = partText(gain, wholeOf(judged.map((entry) => BigInt(entry.gain))));
  return `Seat ${own.slot} gained ${part} of what ${rule === "reference" ? "all updates changed" : "there was"} ${at}.`;
}

function measured(gain: bigint, judged: Judged[], rule: Terms["rule"]): string[] {
  if (rule === "krum-cosine") {
    if (gain === 0n) return ["Its score is 0: by the rule it brought nothing."];
    return [
      `Each round brings its seats the same in all. By its score this update has ${share(gain, 1n << 64n)} of that, rounded down.`,
    ];
  }
  if (gain === 0n) return ["By the owner's validation data it neither lowered nor raised the loss."];
  const whole = wholeOf(judged.map((entry) => BigInt(entry.gain)));
  const added = gain < 0n ? " This is taken off its balance." : "";
  return [
    `By the owner's validation data its part of the step ${lossText(gain)}: ${share(gain < 0n ? -gain : gain, whole)} of what all updates of the round changed.${added}`,
  ];
}

/** By the scores of the round; null where the page does not know what they stand for. */
function expectedGain({ judged, summary, row_exponent }: RoundDetail, own: Judged, terms: Terms): bigint | null {
  const selected = judged.filter((entry) => entry.verdict === "selected");
  if (terms.rule === "reference" && row_exponent === null) return null;
  const scores = selected.map((entry) => BigInt(entry.score));
  return gainsOf(terms, summary.round, scores, row_exponent ?? 0)[selected.indexOf(own)] ?? null;
}

/** The division of the pot, for one seat: what it would get if the job ended now; once over, what it gets. */
export function whyThisPay(detail: JobDetail, trainers: TrainerFacts[], slot: number, unit: Unit): Why {
  const members = trainers.filter((trainer) => trainer.member);
  const at = members.findIndex((trainer) => trainer.slot === slot);
  const own = members[at];
  const over = isOver(detail.summary.state);
  if (!own) return { headline: `Seat ${slot} had no part in this job.`, reasons: [], expected: 0n };
  const { rule } = detail.terms;
  const pot = BigInt(detail.pot);
  const { parts, whole, byPoints } = partsOf(members.map(heldBy));
  const part = parts[at] ?? 0n;
  const expected = divide(pot, members.map(heldBy), detail.disputed_rows)[at] ?? 0n;
  const opened = `${own.opened} of ${plural(detail.settled, "settled round")}`;
  const reasons = [`Its balance is ${balanceText(own.balance, rule)}, and its updates were opened in ${opened}.`];
  if (byPoints) {
    reasons.push("Points are the balance, or 0 where it is below 0, times the rounds opened.");
    if (part === 0n)
      reasons.push(
        BigInt(own.balance) < 0n
          ? "Its updates raised the loss more than they lowered it, so it has no points."
          : "It has no points, so it has no part of the pot.",
      );
    else reasons.push(`It has ${share(part, whole)} of all points.`);
  } else if (whole > 0n)
    reasons.push(
      `Nobody has any points, so the pot is divided by rounds opened: it has ${share(part, whole)} of them.`,
    );
  else reasons.push("No submission of this job was opened in a settled round, so nobody has a part of the pot.");
  if (detail.disputed_rows && whole > 0n) {
    const all = members.reduce((sum, member) => sum + member.opened, 0);
    reasons.push(
      `The rows that points rest on are disputed, so it gets no more than by rounds opened, of which it has ${share(BigInt(own.opened), BigInt(all))}.`,
    );
  }
  if (part > 0n)
    reasons.push(`Of the pot of ${formatAmount(pot, unit)} that is ${formatAmount(expected, unit)}, rounded down.`);
  const pay = formatAmount(own.pay, unit);
  const nothing = BigInt(own.pay) === 0n;
  if (expected !== BigInt(own.pay)) reasons.push(wrong(`the balances give, ${formatAmount(expected, unit)}`));
  const headline = over
    ? `Seat ${slot}'s pay is ${nothing ? "nothing" : pay}.`
    : `Seat ${slot} would get ${nothing ? "nothing" : `about ${pay}`} if the job ended now.`;
  return { headline, reasons, expected };
}
