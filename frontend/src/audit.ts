/** What a browser can check of a job by itself: the chain, read through an address of the reader's choice, against what
 * the node says. No proof is checked here: the node does that, and so does `merit audit` on the reader's own machine. */
import { type Client, createClient, decodeEventLog, getAddress, type Hex, http, isAddressEqual } from "viem";
import { getChainId, getCode, getTransactionReceipt, readContract } from "viem/actions";
import { marketAbi } from "./generated/market";
import {
  type AuditCheck,
  type CreditFacts,
  get,
  type JobDetail,
  type NodeFacts,
  type RoundSummary,
  type TrainerFacts,
} from "./live/api";
import { ZERO_ADDRESS } from "./text/amounts";
import { isOver, STATES } from "./text/standing";
import { payOf } from "./text/why";

const RULES = ["", "krum-cosine", "reference"];
const PAY = 0;

type Facts = {
  node: NodeFacts;
  job: JobDetail;
  rounds: RoundSummary[];
  trainers: TrainerFacts[];
  payouts: CreditFacts[];
};

export async function factsOf(node: NodeFacts, jobId: number): Promise<Facts> {
  const at = { job_id: jobId };
  const [job, rounds, trainers, payouts] = await Promise.all([
    get("/api/jobs/{job_id}", at),
    get("/api/jobs/{job_id}/rounds", at),
    get("/api/jobs/{job_id}/trainers", at),
    get("/api/jobs/{job_id}/payouts", { ...at, limit: 10_000 }),
  ]);
  return { node, job, rounds, trainers, payouts };
}

export function clientOf(rpc: string): Client {
  return createClient({ ccipRead: false, transport: http(rpc, { timeout: 10_000, retryCount: 1 }) });
}

/** One check after another; a failed read is a failed check, not an end. */
export async function* browserChecks(client: Client, facts: Facts): AsyncGenerator<AuditCheck> {
  const checks: [string, () => Promise<[string, string[]]>][] = [
    ["the chain is the one that the node names", () => chain(client, facts)],
    ["terms", () => terms(client, facts)],
    ["state", () => state(client, facts)],
    ["seats", () => seats(client, facts)],
    ["pay follows from the weights", () => pays(client, facts)],
    ["payouts are all that the chain credited in settled rounds", () => complete(client, facts)],
  ];
  for (const [name, look] of checks) {
    try {
      const [detail, problems] = await look();
      yield { name, ok: problems.length === 0, detail: problems.length ? problems.join("; ") : detail };
    } catch (error) {
      yield {
        name,
        ok: null,
        detail: `It could not be read: ${error instanceof Error ? error.message.split("\n")[0] : error}`,
      };
    }
  }
}

async function chain(client: Client, { node }: Facts): Promise<[string, string[]]> {
  const [id, code] = await Promise.all([getChainId(client), getCode(client, { address: node.market as Hex })]);
  const problems: string[] = [];
  if (id !== node.chain_id) problems.push(`the address answers for chain ${id}, the node works on ${node.chain_id}`);
  if (!code) problems.push(`there is no contract at ${node.market}`);
  return [`chain ${id}, market ${node.market}`, problems];
}

const read = (client: Client, node: NodeFacts) => ({ abi: marketAbi, address: node.market as Hex, client });

async function terms(client: Client, { node, job }: Facts): Promise<[string, string[]]> {
  const { abi, address } = read(client, node);
  const found = await readContract(client, { abi, address, functionName: "terms", args: [BigInt(job.summary.job_id)] });
  const said = job.terms;
  const pairs: [string, unknown, unknown][] = [
    ["token", found.token, said.token],
    ["reward", found.reward, said.reward],
    ["fee", found.fee, said.fee],
    ["stake", found.stake, said.stake],
    ["bond", found.bond, said.bond],
    ["enrol_by", found.enrolBy, said.enrol_by],
    ["submit_window", found.submitWindow, said.submit_window],
    ["settle_window", found.settleWindow, said.settle_window],
    ["takeover_window", found.takeoverWindow, said.takeover_window],
    ["rule", RULES[found.rule], said.rule],
    ["rounds", found.rounds, said.rounds],
    ["min_trainers", found.minTrainers, said.min_trainers],
    ["max_trainers", found.maxTrainers, said.max_trainers],
    ["max_faulty", found.maxFaulty, said.max_faulty],
    ["slash_bps", found.slashBps, said.slash_bps],
    ["gram_verifier", found.gramVerifier, said.gram_verifier],
    ["gram_key", found.gramKey, said.gram_key],
    ["decision_verifier", found.decisionVerifier, said.decision_verifier],
    ["decision_key", found.decisionKey, said.decision_key],
  ];
  return [`${pairs.length} terms are those of the contract`, differing(pairs)];
}

function differing(pairs: [string, unknown, unknown][]): string[] {
  return pairs
    .filter(([, chain, node]) => String(chain).toLowerCase() !== String(node).toLowerCase())
    .map(([name, chain, node]) => `${name} is ${chain} on the chain, ${node} for the node`);
}

async function state(client: Client, { node, job }: Facts): Promise<[string, string[]]> {
  const { abi, address } = read(client, node);
  const found = await readContract(client, { abi, address, functionName: "job", args: [BigInt(job.summary.job_id)] });
  const { summary } = job;
  const detail = `${STATES[found.state]}, round ${found.round}`;
  return [
    detail,
    differing([
      ["owner", found.owner, summary.owner],
      ["state", STATES[found.state], summary.state],
      ["round", found.round, summary.round],
      ["escrow", found.escrow, job.escrow],
      ["carry", found.carry, job.carry],
      ["key_published", found.keyPublished, job.key_published],
      ["aggregator", found.aggregator, summary.aggregator ?? ZERO_ADDRESS],
      ["taken_over", found.takenOver, job.takeovers.length > 0],
      ["fee_due", found.feeDue, job.fee_due],
      ["disputed", found.disputed, maskOf(job)],
    ]),
  ];
}

/** Slots whose disputes stand; the contract forgets them with the job's end. */
function maskOf({ summary, disputes }: JobDetail): number {
  if (isOver(summary.state)) return 0;
  return disputes.reduce((mask, { slot, stands }) => (stands ? (mask | (1 << slot)) >>> 0 : mask), 0);
}

async function seats(client: Client, { node, job, trainers }: Facts): Promise<[string, string[]]> {
  const { abi, address } = read(client, node);
  const active = trainers.filter((trainer) => trainer.status === "active");
  const problems: string[] = [];
  for (const trainer of active) {
    const found = await readContract(client, {
      abi,
      address,
      functionName: "trainer",
      args: [BigInt(job.summary.job_id), trainer.slot],
    });
    problems.push(
      ...differing([
        [`operator of seat ${trainer.slot}`, found.operator, trainer.operator],
        [`payee of seat ${trainer.slot}`, found.payee, trainer.payee],
      ]),
    );
  }
  return [
    active.length ? `${active.length} seats are held as the node says` : "no seat is taken at the moment",
    problems,
  ];
}

type Settled = {
  round: number;
  selected: number[];
  weights: readonly bigint[];
  pot: bigint;
  paid: { payee: Hex; amount: bigint }[];
};

/** What the market's own events of a settling transaction say. */
async function settlement(client: Client, { node, job }: Facts, entry: RoundSummary): Promise<Settled | null> {
  const receipt = await getTransactionReceipt(client, { hash: entry.transaction as Hex });
  if (receipt.status !== "success") return null;
  let found: Settled | null = null;
  for (const log of receipt.logs) {
    if (!isAddressEqual(log.address, node.market as Hex)) continue;
    const event = decoded(log.data, log.topics);
    if (!event || event.args.jobId !== BigInt(job.summary.job_id)) continue;
    if (event.eventName === "RoundSettled") {
      const { settlement, pot, round } = event.args;
      const selected = Array.from({ length: 32 }, (_, slot) => slot).filter(
        (slot) => (settlement.selected >>> slot) & 1,
      );
      found = { round, selected, weights: settlement.weights, pot, paid: [] };
    } else if (found && event.args.reason === PAY)
      found.paid.push({ payee: getAddress(event.args.payee), amount: event.args.amount });
  }
  return found;
}

function decoded(data: Hex, topics: [Hex, ...Hex[]] | []) {
  try {
    return decodeEventLog({ abi: marketAbi, data, topics });
  } catch {
    return null; // another event of the market
  }
}

const settled = ({ rounds }: Facts) => rounds.filter((entry) => entry.status === "settled");

async function pays(client: Client, facts: Facts): Promise<[string, string[]]> {
  const problems: string[] = [];
  let checked = 0;
  for (const entry of settled(facts)) {
    const found = await settlement(client, facts, entry);
    if (!found || found.round !== entry.round) {
      problems.push(`the transaction of round ${entry.round} did not settle it`);
      continue;
    }
    const total = found.weights.reduce((sum, weight) => sum + weight, 0n);
    const due = found.weights.map((weight) => payOf(found.pot, weight, total)).filter((amount) => amount > 0n);
    const paid = found.paid.map((each) => each.amount);
    if (due.join() !== paid.join())
      problems.push(`round ${entry.round} paid ${paid.join(", ")}, its weights give ${due.join(", ")}`);
    checked += due.length;
  }
  return [`${checked} payments of ${settled(facts).length} rounds recomputed to the unit`, problems];
}

async function complete(client: Client, facts: Facts): Promise<[string, string[]]> {
  const problems: string[] = [];
  for (const entry of settled(facts)) {
    const found = await settlement(client, facts, entry);
    const key = (payee: string, amount: bigint | string) => `${payee.toLowerCase()} ${amount}`;
    const chain = (found?.paid ?? []).map((each) => key(each.payee, each.amount)).sort();
    const node = facts.payouts
      .filter((each) => each.reason === "pay" && each.transaction === entry.transaction)
      .map((each) => key(each.payee, each.amount))
      .sort();
    if (chain.join() !== node.join())
      problems.push(`round ${entry.round}: the node tells of other payments than the chain`);
  }
  return [`the payments of ${settled(facts).length} rounds are those of the chain's events`, problems];
}
