/** A job as the form holds it, and as the job file has it (docs/job-file.md). */
import type { ColumnFacts, Reading } from "../live/api";
import { COIN, escrowOf, formatNumber, parseAmount, type Unit } from "./amounts";
import { PLAIN } from "./data";
import { type Mistakes, type Must, type Raw, wholeNumber as whole } from "./fields";
import { type Learning, learningDocument, learningMistakes, learningOf } from "./learning";
import { filled, type Template } from "./templates";
import { parseDuration, parseWait, plainDuration } from "./time";

/** table, columns: the owner's table that the features were taken from. reading: of the validation data. rest: what a
 * job file says and the form does not show, of the market in market. */
export type Draft = Learning & {
  template: Template;
  name: string;
  description: string;
  table: string;
  columns: ColumnFacts[];
  reading: Reading;
  rest: Raw;
  market: Raw;
  reward: string;
  fee: string;
  stake: string;
  bond: string;
  rounds: string;
  minRounds: string;
  minTrainers: string;
  maxTrainers: string;
  maxFaulty: string;
  enrolFor: string;
  startDelay: string;
  submitWindow: string;
  settleWindow: string;
  takeoverWindow: string;
  confirmWindow: string;
  revealWindow: string;
  token: string;
  aggregator: string;
  aggregatorKey: string;
  /** "" for anybody, "owner", or an address. */
  gate: string;
  validation: string;
  setup: "development" | "named";
  srs: string;
  key: string;
  chunk: string;
};

const MARKET = {
  market: {},
  reward: "0.6",
  fee: "",
  stake: "",
  bond: "",
  rounds: "5",
  minRounds: "",
  minTrainers: "3",
  maxTrainers: "3",
  maxFaulty: "0",
  enrolFor: "1 d",
  startDelay: "1 min",
  submitWindow: "10 min",
  settleWindow: "10 min",
  takeoverWindow: "0",
  confirmWindow: "10 min",
  revealWindow: "",
  token: "",
  aggregator: "",
  aggregatorKey: "",
  gate: "",
  validation: "",
  reading: PLAIN,
  setup: "development",
  srs: "",
  key: "",
  chunk: "",
} as const;

export const DEFAULTS = { ...MARKET, ...filled("digits", { name: "", description: "" }) } as Draft;

/** So many times the fees of all rounds the bond is by default, as in the job file. */
const FEES_IN_BOND = 10n;
/** How often updates that do not open are delivered again, unless a job file says so; the form does not ask for it. */
export const maxVoidsOf = ({ market }: Draft) => Number(market.max_voids ?? 3);

const KEPT = "merit.draft";

/** The draft of this tab, which a reload does not lose. */
export function kept(): Draft {
  try {
    return { ...DEFAULTS, ...(JSON.parse(sessionStorage.getItem(KEPT) ?? "{}") as Partial<Draft>) };
  } catch {
    return DEFAULTS;
  }
}

export function keep(draft: Draft): void {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(draft));
  } catch {
    // There is no room for it: the form works all the same.
  }
}

export function forget(): void {
  sessionStorage.removeItem(KEPT);
}

export const isAddress = (text: string) => /^0x[0-9a-fA-F]{40}$/.test(text);
const HASH = /^0x[0-9a-f]{64}$/;
/** A proving key is for 8, 16 or 32 seats. */
export const circuitSeats = (seats: number) => (seats <= 8 ? 8 : seats <= 16 ? 16 : 32);
/** Of 32 seats, so many can be faulty. */
const MAX_FAULTY = 14;
/** How many trainers a job with so many faulty ones needs to start; null where that is no number of trainers. */
export function leastTrainers({ maxFaulty }: Draft): number | null {
  if (!whole(maxFaulty, 0, MAX_FAULTY)) return null;
  return Number(maxFaulty) === 0 ? 1 : 2 * Number(maxFaulty) + 3;
}
/** From which round on the owner may end the job; all of them where nothing is said. */
export const minRoundsOf = ({ minRounds, rounds }: Draft) => Number(minRounds.trim() === "" ? rounds : minRounds);

/** What is wrong with each field; empty when the node can be asked. unit: what the amounts are written in. */
export function mistakesOf(draft: Draft, unit: Unit = COIN): Mistakes {
  const found: Mistakes = {};
  const must: Must = (field, ok, what) => {
    if (!ok && !found[field]) found[field] = what;
  };
  must("name", draft.name.trim().length > 0 && draft.name.length <= 100, "Give a name of at most 100 characters.");
  const number =
    unit.decimals === 0
      ? "Give a whole number of the token's smallest units."
      : `Give a decimal number with at most ${unit.decimals} places, such as 0.25.`;
  for (const field of ["reward", "fee", "stake", "bond"] as const)
    must(field, draft[field] === "" ? field !== "reward" : parseAmount(draft[field], unit) !== null, number);
  const reward = parseAmount(draft.reward, unit);
  must("reward", reward !== 0n, "Trainers need a reward above 0.");
  must(
    "reward",
    reward === null || !whole(draft.maxTrainers, 1, 32) || reward >= BigInt(draft.maxTrainers),
    "Give one smallest unit for each seat at least.",
  );
  must("rounds", whole(draft.rounds, 1, 1000), "Give 1 to 1000 rounds.");
  must(
    "minRounds",
    draft.minRounds.trim() === "" || (whole(draft.minRounds, 1, 1000) && minRoundsOf(draft) <= Number(draft.rounds)),
    "Give 1 to the number of rounds, or nothing for all of them.",
  );
  must("minTrainers", whole(draft.minTrainers, 1, 32), "Give 1 to 32 trainers.");
  must("maxTrainers", whole(draft.maxTrainers, 1, 32), "Give 1 to 32 seats.");
  must("minTrainers", Number(draft.minTrainers) <= Number(draft.maxTrainers), "This is more than there are seats.");
  const least = leastTrainers(draft);
  must("maxFaulty", least !== null, `Give 0 to ${MAX_FAULTY} trainers.`);
  must(
    "maxFaulty",
    least === null || Number(draft.minTrainers) >= least,
    `With so many faulty trainers a job needs ${least} or more to start.`,
  );
  for (const field of ["enrolFor", "submitWindow", "settleWindow", "confirmWindow"] as const)
    must(field, parseDuration(draft[field]) !== null, "Give a duration such as 10 min, 2 h or 1 d.");
  must("startDelay", parseWait(draft.startDelay) !== null, "Give a duration such as 1 min, or 0 for none.");
  must(
    "revealWindow",
    !draft.validation || revealWindowOf(draft) !== null,
    "Give less than the confirm window, never, or nothing for half of it.",
  );
  must(
    "takeoverWindow",
    parseWait(draft.takeoverWindow) !== null,
    "Give a duration such as 1 h or 1 d, or 0 for none.",
  );
  learningMistakes(draft, must);
  must("token", draft.token === "" || isAddress(draft.token), "Give the token's address, or nothing for the coin.");
  must("aggregator", draft.aggregator === "" || isAddress(draft.aggregator), "Give the aggregator's address.");
  must(
    "aggregatorKey",
    draft.aggregator === "" || HASH.test(draft.aggregatorKey),
    "Give its public key, 0x and 64 hex digits.",
  );
  must("gate", ["", "owner"].includes(draft.gate) || isAddress(draft.gate), "Give the address of who invites.");
  must(
    "validation",
    draft.validation === "" || draft.aggregator !== "",
    "Validation data are sealed to an aggregator: name one.",
  );
  for (const field of ["srs", "key"] as const)
    must(field, draft.setup !== "named" || HASH.test(draft[field]), "Choose one that the node has.");
  return found;
}

/** Seconds in which validation data are shown to members, 0 for never or for none; null for what cannot be. */
export function revealWindowOf({ validation, revealWindow, confirmWindow }: Draft): number | null {
  const confirm = parseDuration(confirmWindow) ?? 0;
  const text = revealWindow.trim();
  if (!validation || text === "never") return 0;
  const found = text === "" ? Math.floor(confirm / 2) : parseDuration(text);
  return found !== null && found > 0 && found < confirm ? found : null;
}

export type Money = Record<"reward" | "stake" | "bond" | "fee", bigint>;

/** The form's amounts, in smallest units, with what the job file has by default where a field is empty (docs/job-file.md); null while one is not a number. */
export function moneyOf(draft: Draft, unit: Unit = COIN): Money | null {
  const reward = parseAmount(draft.reward, unit);
  const numbers = whole(draft.rounds, 1, 1000) && whole(draft.minTrainers, 1, 32) && leastTrainers(draft) !== null;
  if (reward === null || !numbers) return null;
  const [rounds, trainers, liars] = [BigInt(draft.rounds), BigInt(draft.minTrainers), BigInt(draft.maxFaulty) + 1n];
  const up = (amount: bigint, of: bigint) => (amount + of - 1n) / of;
  const league = up(reward * rounds * liars, trainers > liars ? trainers - liars : 1n);
  // biome-ignore lint/complexity/useMathMinMax: it takes no bigints
  const bond = league > reward ? league : reward;
  const standard = { stake: up(reward, trainers), bond, fee: up(bond, FEES_IN_BOND * rounds) };
  const given = (field: keyof typeof standard) =>
    draft[field].trim() === "" ? standard[field] : parseAmount(draft[field], unit);
  const [stake, deposited, fee] = [given("stake"), given("bond"), given("fee")];
  return stake === null || deposited === null || fee === null ? null : { reward, stake, bond: deposited, fee };
}

/** Rounds × (reward + fee), or null while a field is not a number. */
export function costOf(draft: Draft, unit: Unit = COIN): bigint | null {
  const money = moneyOf(draft, unit);
  return money && escrowOf(Number(draft.rounds), money.reward, money.fee);
}

/** The document of the job file. Amounts are whole numbers of the smallest unit, as texts: they pass 2^53. */
export function documentOf(draft: Draft, unit: Unit = COIN): Record<string, unknown> {
  const number = (text: string) => Number(text);
  // Of a token, a whole number alone counts its smallest units (docs/job-file.md).
  const money = moneyOf(draft, unit);
  const amount = (field: keyof Money) => `${money?.[field] ?? 0n}${draft.token ? "" : " wei"}`;
  return {
    ...draft.rest,
    name: draft.name.trim(),
    description: draft.description,
    ...learningDocument(draft),
    market: {
      ...draft.market,
      ...(draft.token && { token: draft.token }),
      reward: amount("reward"),
      fee: amount("fee"),
      stake: amount("stake"),
      bond: amount("bond"),
      aggregator: draft.aggregator ? { address: draft.aggregator, encryption_key: draft.aggregatorKey } : "anyone",
      ...(draft.gate && { gate: draft.gate }),
      ...(draft.validation && { rule: "reference" }),
      rounds: number(draft.rounds),
      min_rounds: minRoundsOf(draft),
      min_trainers: number(draft.minTrainers),
      max_trainers: number(draft.maxTrainers),
      max_faulty: number(draft.maxFaulty),
      max_voids: maxVoidsOf(draft),
      enrol_for: parseDuration(draft.enrolFor),
      start_delay: parseWait(draft.startDelay),
      submit_window: parseDuration(draft.submitWindow),
      settle_window: parseDuration(draft.settleWindow),
      takeover_window: parseWait(draft.takeoverWindow),
      confirm_window: parseDuration(draft.confirmWindow),
      ...(draft.validation && { reveal_window: revealWindowOf(draft) }),
    },
    ...(draft.setup === "named" && {
      proofs: { srs: draft.srs, key: draft.key, chunk: number(draft.chunk) },
    }),
  };
}

// ---------------------------------------------------------------- from a job file

const SHOWN = ["name", "description", "model", "data", "task", "training", "market", "proofs"];
const OF_MARKET = ["token", "aggregator", "gate", "reward", "stake", "bond", "fee", "rounds", "min_rounds"];
const WINDOWS = {
  enrolFor: ["enrol_for", 86_400],
  startDelay: ["start_delay", 60],
  submitWindow: ["submit_window", 3600],
  settleWindow: ["settle_window", 3600],
  takeoverWindow: ["takeover_window", 0],
  confirmWindow: ["confirm_window", 3600],
} as const;
const SEATS = ["min_trainers", "max_trainers", "max_faulty", "reveal_window"];

/** As parseDuration reads it back. */
function seconds(value: unknown): string {
  const text = plainDuration(Number(value)).replaceAll("\u00a0", " ");
  return Number(value) === 0 ? "0" : parseDuration(text) === Number(value) ? text : `${value} s`;
}

/** Whether a number of the document has lost digits on its way: it would not be the file's. */
function inexact(value: unknown): boolean {
  if (typeof value === "number")
    return Number.isInteger(value) && Math.abs(value) < 1e30 && !Number.isSafeInteger(value);
  return value !== null && typeof value === "object" && Object.values(value).some(inexact);
}

/** A job file's document, as the node gives it, in the form; null where the form cannot hold it exactly. */
export function draftOf(document: Raw, unit: Unit = COIN): Draft | null {
  if (inexact(document)) return null;
  const market = document.market as Raw;
  const proofs = (document.proofs ?? {}) as Raw;
  const aggregator = market.aggregator === "anyone" ? null : (market.aggregator as Raw);
  const amount = (name: string) =>
    market[name] === undefined
      ? ""
      : formatNumber(String(market[name]).replace(" wei", ""), unit.decimals).replaceAll(/[^\d.]/g, "");
  const named = proofs.srs !== undefined && proofs.key !== undefined;
  const windows = Object.entries(WINDOWS).map(([field, [name, standard]]) => [
    field,
    seconds(market[name] ?? standard),
  ]);
  const shown = [...OF_MARKET, ...SEATS, ...Object.values(WINDOWS).map(([name]) => name)];
  const other = (raw: Raw, ...names: string[]) =>
    Object.fromEntries(Object.entries(raw).filter(([name]) => !names.includes(name)));
  return {
    ...DEFAULTS,
    ...learningOf(document),
    template: templateOf(document),
    name: String(document.name),
    description: String(document.description ?? ""),
    rest: { ...other(document, ...SHOWN), ...(!named && document.proofs !== undefined && { proofs }) },
    market: other(market, ...shown),
    reward: amount("reward"),
    fee: amount("fee"),
    stake: amount("stake"),
    bond: amount("bond"),
    token: String(market.token ?? ""),
    aggregator: String(aggregator?.address ?? ""),
    aggregatorKey: String(aggregator?.encryption_key ?? ""),
    gate: String(market.gate ?? ""),
    rounds: String(market.rounds),
    minRounds: market.min_rounds === undefined ? "" : String(market.min_rounds),
    minTrainers: String(market.min_trainers ?? 3),
    maxTrainers: String(market.max_trainers ?? 3),
    maxFaulty: String(market.max_faulty ?? 0),
    ...Object.fromEntries(windows),
    revealWindow: market.reveal_window === 0 ? "never" : market.reveal_window ? seconds(market.reveal_window) : "",
    ...(named && {
      setup: "named",
      srs: String(proofs.srs),
      key: String(proofs.key),
      chunk: String(proofs.chunk ?? ""),
    }),
  };
}

function templateOf(document: Raw): Template {
  const kinds = learningOf(document).features.map(({ kind }) => kind);
  if ((document.model as Raw).architecture === "program") return "program";
  if (kinds.includes("image")) return "images";
  return kinds.includes("text") ? "text" : "table";
}
