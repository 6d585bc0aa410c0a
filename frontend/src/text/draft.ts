/** A job as the form holds it, and as the job file has it (docs/job-file.md). */
import { COIN, escrowOf, parseAmount, type Unit } from "./amounts";
import { parseDuration, parseWait } from "./time";

export type Draft = {
  name: string;
  description: string;
  architecture: "cnn" | "mlp";
  channels: string;
  height: string;
  width: string;
  features: string;
  hidden: string;
  classes: string;
  minimum: string;
  maximum: string;
  std: string;
  optimizer: "adam" | "adamw" | "sgd";
  learningRate: string;
  epochs: string;
  batchSize: string;
  reward: string;
  fee: string;
  stake: string;
  bond: string;
  rounds: string;
  minTrainers: string;
  maxTrainers: string;
  maxFaulty: string;
  enrolFor: string;
  submitWindow: string;
  settleWindow: string;
  takeoverWindow: string;
  token: string;
  aggregator: string;
  aggregatorKey: string;
  validation: string;
  setup: "development" | "named";
  srs: string;
  key: string;
  chunk: string;
};

export const DEFAULTS: Draft = {
  name: "Handwritten digits",
  description: "Recognise 8 by 8 pixel images of handwritten digits.",
  architecture: "cnn",
  channels: "1",
  height: "8",
  width: "8",
  features: "16",
  hidden: "64",
  classes: "10",
  minimum: "0",
  maximum: "16",
  std: "16",
  optimizer: "adam",
  learningRate: "0.003",
  epochs: "3",
  batchSize: "16",
  reward: "0.6",
  fee: "0.02",
  stake: "0.1",
  bond: "0.5",
  rounds: "5",
  minTrainers: "3",
  maxTrainers: "8",
  maxFaulty: "2",
  enrolFor: "1 d",
  submitWindow: "10 min",
  settleWindow: "10 min",
  takeoverWindow: "0",
  token: "",
  aggregator: "",
  aggregatorKey: "",
  validation: "",
  setup: "development",
  srs: "",
  key: "",
  chunk: "",
};

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
  sessionStorage.setItem(KEPT, JSON.stringify(draft));
}

export function forget(): void {
  sessionStorage.removeItem(KEPT);
}

export type Mistakes = Partial<Record<keyof Draft, string>>;

const whole = (text: string, low: number, high: number) =>
  /^\d{1,9}$/.test(text.trim()) && Number(text) >= low && Number(text) <= high;
export const isAddress = (text: string) => /^0x[0-9a-fA-F]{40}$/.test(text);
const HASH = /^0x[0-9a-f]{64}$/;
/** A proving key is for 8, 16 or 32 seats. */
export const circuitSeats = (seats: number) => (seats <= 8 ? 8 : seats <= 16 ? 16 : 32);
const decimal = (text: string) => /^-?\d{1,30}(\.\d{1,30})?(e-?\d{1,2})?$/i.test(text.trim());

/** What is wrong with each field; empty when the node can be asked. unit: what the amounts are written in. */
export function mistakesOf(draft: Draft, unit: Unit = COIN): Mistakes {
  const found: Mistakes = {};
  const must = (field: keyof Draft, ok: boolean, what: string) => {
    if (!ok && !found[field]) found[field] = what;
  };
  must("name", draft.name.trim().length > 0 && draft.name.length <= 100, "Give a name of at most 100 characters.");
  const number =
    unit.decimals === 0
      ? "Give a whole number of the token's smallest units."
      : `Give a decimal number with at most ${unit.decimals} places, such as 0.25.`;
  for (const field of ["reward", "fee", "stake", "bond"] as const)
    must(field, parseAmount(draft[field], unit) !== null, number);
  must("reward", parseAmount(draft.reward, unit) !== 0n, "Trainers need a reward above 0.");
  must("rounds", whole(draft.rounds, 1, 1000), "Give 1 to 1000 rounds.");
  must("minTrainers", whole(draft.minTrainers, 1, 32), "Give 1 to 32 trainers.");
  must("maxTrainers", whole(draft.maxTrainers, 1, 32), "Give 1 to 32 seats.");
  must("minTrainers", Number(draft.minTrainers) <= Number(draft.maxTrainers), "This is more than there are seats.");
  must(
    "maxFaulty",
    whole(draft.maxFaulty, 0, 31) && Number(draft.maxFaulty) < Number(draft.maxTrainers),
    "It must be less than the seats.",
  );
  for (const field of ["enrolFor", "submitWindow", "settleWindow"] as const)
    must(field, parseDuration(draft[field]) !== null, "Give a duration such as 10 min, 2 h or 1 d.");
  must(
    "takeoverWindow",
    parseWait(draft.takeoverWindow) !== null,
    "Give a duration such as 1 h or 1 d, or 0 for none.",
  );
  for (const field of ["learningRate", "minimum", "maximum", "std"] as const)
    must(field, decimal(draft[field]), "Give a number.");
  const sizes = draft.architecture === "cnn" ? (["channels", "height", "width"] as const) : (["features"] as const);
  for (const field of [...sizes, "hidden", "classes", "epochs", "batchSize"] as const)
    must(field, whole(draft[field], 1, 100_000), "Give a whole number from 1.");
  must("token", draft.token === "" || isAddress(draft.token), "Give the token's address, or nothing for the coin.");
  must("aggregator", draft.aggregator === "" || isAddress(draft.aggregator), "Give the aggregator's address.");
  must(
    "aggregatorKey",
    draft.aggregator === "" || HASH.test(draft.aggregatorKey),
    "Give its public key, 0x and 64 hex digits.",
  );
  must(
    "validation",
    draft.validation === "" || draft.aggregator !== "",
    "Validation data are sealed to an aggregator: name one.",
  );
  for (const field of ["srs", "key"] as const)
    must(field, draft.setup !== "named" || HASH.test(draft[field]), "Choose one that the node has.");
  return found;
}

/** Rounds × (reward + fee), or null while a field is not a number. */
export function costOf(draft: Draft, unit: Unit = COIN): bigint | null {
  const reward = parseAmount(draft.reward, unit);
  const fee = parseAmount(draft.fee, unit);
  return reward === null || fee === null || !whole(draft.rounds, 1, 1000)
    ? null
    : escrowOf(Number(draft.rounds), reward, fee);
}

/** The document of the job file. Amounts are whole numbers of the smallest unit, as texts: they pass 2^53. */
export function documentOf(draft: Draft, unit: Unit = COIN): Record<string, unknown> {
  const number = (text: string) => Number(text);
  const amount = (text: string) => `${parseAmount(text, unit) ?? 0n} wei`;
  const image = draft.architecture === "cnn";
  const size = { channels: number(draft.channels), height: number(draft.height), width: number(draft.width) };
  const classes = number(draft.classes);
  const parameters = image
    ? { ...size, hidden: number(draft.hidden), classes }
    : { inputs: number(draft.features), hidden: [number(draft.hidden)], classes };
  return {
    name: draft.name.trim(),
    description: draft.description,
    model: { architecture: draft.architecture, parameters },
    data: {
      kind: image ? "image" : "tabular",
      shape: image ? [size.channels, size.height, size.width] : [number(draft.features)],
      classes,
      minimum: number(draft.minimum),
      maximum: number(draft.maximum),
      std: [number(draft.std)],
    },
    training: {
      optimizer: draft.optimizer,
      learning_rate: number(draft.learningRate),
      epochs: number(draft.epochs),
      batch_size: number(draft.batchSize),
    },
    market: {
      ...(draft.token && { token: draft.token }),
      reward: amount(draft.reward),
      fee: amount(draft.fee),
      stake: amount(draft.stake),
      bond: amount(draft.bond),
      ...(draft.aggregator && { aggregator: { address: draft.aggregator, encryption_key: draft.aggregatorKey } }),
      ...(draft.validation && { rule: "reference" }),
      rounds: number(draft.rounds),
      min_trainers: number(draft.minTrainers),
      max_trainers: number(draft.maxTrainers),
      max_faulty: number(draft.maxFaulty),
      enrol_for: parseDuration(draft.enrolFor),
      submit_window: parseDuration(draft.submitWindow),
      settle_window: parseDuration(draft.settleWindow),
      takeover_window: parseWait(draft.takeoverWindow),
    },
    ...(draft.setup === "named" && {
      proofs: { srs: draft.srs, key: draft.key, chunk: number(draft.chunk) },
    }),
  };
}
