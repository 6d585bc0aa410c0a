/** What a browser can check of a job by itself: the chain, read through an address of the reader's choice, against what
 * the node says. No proof is checked here: the node does that, and so does `merit audit` on the reader's own machine. */
import { type Client, createClient, decodeEventLog, type Hex, http, isAddressEqual } from "viem";
import { getChainId, getCode, getTransactionReceipt, readContract } from "viem/actions";
import { marketAbi } from "./generated/market";
import {
  type AuditCheck,
  type CreditFacts,
  get,
  type JobDetail,
  type NodeFacts,
  type Redelivery,
  type RoundSummary,
  type Terms,
  type TrainerFacts,
} from "./live/api";
import { plural, ZERO_ADDRESS } from "./text/amounts";
import { divide, gainsOf, type Held } from "./text/points";
import { isOver, ownRowsDisputes, STATES } from "./text/standing";

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
  let read: Promise<Replayed> | null = null;
  const replay = () => (read ??= replayed(client, facts)); // a request for each round: once is enough
  let split: ReturnType<typeof divided> | null = null;
  const divide = () => (split ??= replay().then((found) => divided(client, facts, found)));
  const checks: [string, () => Promise<[string, string[]]>][] = [
    ["the chain is the one that the node names", () => chain(client, facts)],
    ["terms", () => terms(client, facts)],
    ["state", () => state(client, facts)],
    ["seats", () => seats(client, facts)],
    ["void rounds, and what was delivered again", () => voids(client, facts)],
    ["balances follow from the scores", async () => balances(facts, await replay())],
    ["pay follows from the balances", async () => division(await divide(), facts)],
    ["payouts are what was claimed", async () => claims(client, facts, await divide())],
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
    ["gate", found.gate, said.gate ?? ZERO_ADDRESS],
    ["enrol_by", found.enrolBy, said.enrol_by],
    ["start_delay", found.startDelay, said.start_delay],
    ["submit_window", found.submitWindow, said.submit_window],
    ["settle_window", found.settleWindow, said.settle_window],
    ["takeover_window", found.takeoverWindow, said.takeover_window],
    ["confirm_window", found.confirmWindow, said.confirm_window],
    ["reveal_window", found.revealWindow, said.reveal_window],
    ["rule", RULES[found.rule], said.rule],
    ["rounds", found.rounds, said.rounds],
    ["min_rounds", found.minRounds, said.min_rounds],
    ["rate", found.rate, said.rate],
    ["rate_decay", found.rateDecay, said.rate_decay],
    ["scale_exponent", found.scaleExponent, said.scale_exponent],
    ["min_trainers", found.minTrainers, said.min_trainers],
    ["max_trainers", found.maxTrainers, said.max_trainers],
    ["max_faulty", found.maxFaulty, said.max_faulty],
    ["max_missed", found.maxMissed, said.max_missed],
    ["max_strikes", found.maxStrikes, said.max_strikes],
    ["max_empty_rounds", found.maxEmptyRounds, said.max_empty_rounds],
    ["max_voids", found.maxVoids, said.max_voids],
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

async function state(client: Client, { node, job, trainers }: Facts): Promise<[string, string[]]> {
  const found = await onChain(client, node, job);
  const { summary, terms } = job;
  const over = isOver(summary.state);
  const settled = BigInt(found.settled);
  const burnt = found.disputedSum || found.disputedRows;
  const fees = burnt ? 0n : BigInt(terms.fee) * (over ? BigInt(found.owed) : settled);
  const claimed = maskOf(trainers.filter((trainer) => trainer.claimed));
  const since = job.takeovers.at(-1)?.round ?? 0;
  const delivering = summary.state === "running" && found.delivering;
  const disputing = over ? [] : job.disputes.filter((dispute) => dispute.stands);
  return [
    `${STATES[found.state]}, round ${found.round}, ${plural(found.settled, "round")} settled`,
    differing([
      ["owner", found.owner, summary.owner],
      ["state", STATES[found.state], summary.state],
      ["outcome", summary.state === "confirming" ? STATES[found.outcome] : null, job.outcome],
      ["round", found.round, summary.round],
      ["settled", found.settled, job.settled],
      ["escrow", found.escrow, job.escrow],
      ["pot", potOf(found, job), job.pot],
      ["fees", fees, job.fees],
      ["key_published", found.keyPublished, job.key_published],
      ["aggregator", found.aggregator, summary.aggregator ?? ZERO_ADDRESS],
      ["taken_over_in", found.takenOverIn, since],
      ["end_asked", found.endAsked, job.end_asked],
      ["voids", found.voids, job.voids],
      ["delivering", delivering, job.delivering],
      ["undelivered", delivering ? slotsOf(found.undelivered) : [], job.undelivered],
      ["disputed_sum", found.disputedSum, job.disputed_sum],
      ["disputed_rows", found.disputedRows, job.disputed_rows],
      ["rows_disputed", found.rowsDisputed, maskOf(job.rows_disputes)],
      ["own_rows_disputed", found.ownRowsDisputed, maskOf(ownRowsDisputes(job))],
      ["revealed", found.revealed, job.reveals.length > 0],
      ["startable_from", summary.state === "open" ? found.submitBy || null : null, summary.startable_from],
      ["reveal_by", summary.state === "confirming" ? found.settleBy || null : null, job.reveal_by],
      ["disputed", found.disputed, maskOf(disputing)],
      ["claimed", found.claimed, claimed],
    ]),
  ];
}

function onChain(client: Client, node: NodeFacts, job: JobDetail) {
  const { abi, address } = read(client, node);
  return readContract(client, { abi, address, functionName: "job", args: [BigInt(job.summary.job_id)] });
}

/** What the members divide by the chain's word: before the end, if that were now. */
function potOf(found: Awaited<ReturnType<typeof onChain>>, { summary, terms }: JobDetail): bigint {
  return found.pot + (isOver(summary.state) ? 0n : BigInt(terms.reward) * BigInt(found.settled));
}

const maskOf = (seats: { slot: number }[]) => seats.reduce((mask, { slot }) => (mask | (1 << slot)) >>> 0, 0);
const slotsOf = (mask: number) => Array.from({ length: 32 }, (_, slot) => slot).filter((slot) => (mask >>> slot) & 1);

/** Of a job that has not started, who holds a seat; else its members, whether they are still there or not. */
async function seats(client: Client, { node, job, trainers }: Facts): Promise<[string, string[]]> {
  const { abi, address } = read(client, node);
  const { members, settled } = await onChain(client, node, job);
  const known = trainers.filter((trainer) =>
    job.summary.state === "open" ? trainer.status === "active" : trainer.member,
  );
  const problems: string[] = [];
  if (job.summary.state !== "open")
    problems.push(...differing([["members", slotsOf(members), known.map((each) => each.slot).sort((a, b) => a - b)]]));
  for (const trainer of known) {
    const args = [BigInt(job.summary.job_id), trainer.slot] as const;
    const found = await readContract(client, { abi, address, functionName: "trainer", args });
    const there = trainer.status === "active" || trainer.status === "finished";
    const of = (name: string) => `${name} of seat ${trainer.slot}`;
    problems.push(
      ...differing([
        [of("operator"), found.operator, trainer.operator],
        [of("payee"), found.payee, trainer.payee],
        [of("balance"), found.balance, trainer.balance],
        [of("opened"), there ? settled - found.absences : found.opened, trainer.opened],
        [of("strikes"), found.strikes, trainer.strikes],
        [of("missed"), found.missed, trainer.missed],
        [of("staked"), found.staked, trainer.staked],
      ]),
    );
  }
  return [
    known.length
      ? `${plural(known.length, "seat is", "seats are")} as the node says`
      : "no seat is taken at the moment",
    problems,
  ];
}

// ---------------------------------------------------------------- what rounds brought, and how the pot is divided

/** The market's own events of this job in a transaction; none where it failed. */
async function eventsOf(client: Client, { node, job }: Facts, hash: Hex) {
  const receipt = await getTransactionReceipt(client, { hash });
  if (receipt.status !== "success") return [];
  return receipt.logs.flatMap((log) => {
    const event = isAddressEqual(log.address, node.market as Hex) ? decoded(log.data, log.topics) : null;
    return event && "jobId" in event.args && event.args.jobId === BigInt(job.summary.job_id) ? [event] : [];
  });
}

function decoded(data: Hex, topics: [Hex, ...Hex[]] | []) {
  try {
    return decodeEventLog({ abi: marketAbi, data, topics });
  } catch {
    return null; // no event of the market
  }
}

/** How many of so many updates may be left out as unopened: f, and less than a third. */
function mostUnopened(submitted: number, { max_faulty }: Terms): number {
  return Math.min(max_faulty, Math.floor(Math.max(0, submitted - 1) / 3));
}

/** The voids of each round with what was delivered after them: by the chain's events, and as the rules have it. */
async function voids(client: Client, facts: Facts): Promise<[string, string[]]> {
  const { job } = facts;
  const found = await onChain(client, facts.node, job);
  const problems: string[] = [];
  let [asked, delivered] = [0, 0];
  const checkDelivery = async (round: number, { slot, cid, transaction }: Redelivery, asked: boolean) => {
    const events = await eventsOf(client, facts, transaction as Hex);
    const told = events.some(
      ({ eventName: name, args }) =>
        name === "Redelivered" && args.round === round && args.slot === slot && args.cid === cid,
    );
    if (!told || !asked) problems.push(`seat ${slot} did not deliver again in round ${round}, though the node says so`);
    delivered += 1;
  };
  for (const { round, submitted, undelivered, voids, redelivered } of facts.rounds) {
    const since = job.takeovers.filter((takeover) => takeover.round === round).at(-1)?.timestamp ?? 0;
    const everybody = [...new Set([...submitted, ...undelivered])];
    // Who takes over before a key was published finds nothing submitted that could be delivered again.
    const again = since > 0 && (redelivered.length > 0 || submitted.length === 0);
    const late = new Set(again ? everybody : []);
    for (const each of redelivered) await checkDelivery(round, each, late.delete(each.slot));
    for (const each of voids) {
      const said = await eventsOf(client, facts, each.transaction as Hex);
      const mask = maskOf(each.unopened.map((slot) => ({ slot })));
      const [by, until] = [each.deliver_by ?? 0, each.settle_by ?? 0];
      const so = said.some(
        ({ eventName: name, args }) =>
          name === "RoundVoided" &&
          args.round === round &&
          args.unopened === mask &&
          args.deliverBy === by &&
          args.settleBy === until,
      );
      if (!so) problems.push(`the transaction of a void of round ${round} says something else`);
      asked += by ? 1 : 0;
      // What an aggregator that failed has asked for counts no more: all was delivered to another.
      const counts = each.timestamp >= since;
      const judged = everybody.filter((slot) => !late.has(slot));
      const most = mostUnopened(judged.length, job.terms);
      if (counts && each.unopened.length <= most)
        problems.push(
          `round ${round} was void with ${plural(each.unopened.length, "unopened update")}, and ${most} may be left out`,
        );
      if (counts && by) for (const slot of each.unopened) late.add(slot);
      for (const one of each.delivered) await checkDelivery(round, one, !counts || late.delete(one.slot));
    }
    const order = [...late].sort((a, b) => a - b);
    problems.push(...differing([[`seats that did not deliver again in round ${round}`, order, undelivered]]));
    for (const slot of order)
      if (submitted.includes(slot))
        problems.push(`seat ${slot} was judged in round ${round}, but has not delivered again`);
  }
  problems.push(...differing([["voids of all rounds", found.voids, asked]]));
  const detail = `${plural(asked, "void")}, ${plural(delivered, "update")} delivered again`;
  return [asked ? detail : "no round was void", problems];
}

const settledOf = ({ rounds }: Facts) => rounds.filter((entry) => entry.status === "settled");

type Seat = Held & { strikes: number };
type Replayed = { held: Map<number, Seat>; problems: string[] };

/** By slot, balance, rounds opened and strikes, from the settlements alone. */
async function replayed(client: Client, facts: Facts): Promise<Replayed> {
  const held = new Map<number, Seat>();
  const problems: string[] = [];
  for (const entry of settledOf(facts)) {
    const events = await eventsOf(client, facts, entry.transaction as Hex);
    const found = events.find((event) => event.eventName === "RoundSettled");
    if (found?.eventName !== "RoundSettled" || found.args.round !== entry.round) {
      problems.push(`the transaction of round ${entry.round} did not settle it`);
      continue;
    }
    const { submitted, settlement } = found.args;
    const selected = slotsOf(settlement.selected);
    const gains = gainsOf(facts.job.terms, entry.round, settlement.scores, settlement.rowExponent);
    problems.push(
      ...differing([
        [`submitted seats of round ${entry.round}`, slotsOf(submitted), entry.submitted],
        [`unopened seats of round ${entry.round}`, slotsOf(settlement.unopened), entry.unopened],
        [`selected seats of round ${entry.round}`, selected, entry.selected],
        [`struck seats of round ${entry.round}`, slotsOf(settlement.struck), entry.struck],
        [`gains of round ${entry.round}`, gains, entry.gains],
      ]),
    );
    const left = slotsOf(settlement.unopened).length;
    const most = mostUnopened(slotsOf(submitted).length, facts.job.terms);
    if (left > most)
      problems.push(`round ${entry.round} leaves out ${plural(left, "unopened update")}, and ${most} may be`);
    for (const slot of slotsOf((submitted & ~settlement.unopened) >>> 0)) {
      const { balance, opened, strikes } = held.get(slot) ?? NOTHING;
      held.set(slot, {
        balance: balance + (gains[selected.indexOf(slot)] ?? 0n),
        opened: opened + 1,
        strikes: strikes + ((settlement.struck >>> slot) & 1),
      });
    }
  }
  return { held, problems };
}

const membersOf = ({ trainers }: Facts) => trainers.filter((trainer) => trainer.member);
const NOTHING: Seat = { balance: 0n, opened: 0, strikes: 0 };

function balances(facts: Facts, { held, problems: before }: Replayed): [string, string[]] {
  const problems = [...before];
  const members = membersOf(facts);
  for (const { slot, balance, opened } of members) {
    const own = held.get(slot) ?? NOTHING;
    const pairs: [string, unknown, unknown][] = [
      [`balance of seat ${slot}`, own.balance, balance],
      [`rounds opened by seat ${slot}`, own.opened, opened],
    ];
    problems.push(...differing(pairs));
  }
  const stray = [...held.keys()].filter((slot) => !members.some((member) => member.slot === slot));
  for (const slot of stray) problems.push(`seat ${slot} has rounds, but the node knows no member there`);
  const rounds = plural(settledOf(facts).length, "settled round");
  return [`${plural(members.length, "balance")} added up from the scores of ${rounds}, to the unit`, problems];
}

type Divided = {
  pot: bigint;
  pays: Map<number, bigint>;
  disputed: boolean;
  claimed: number[];
  held: Map<number, Seat>;
};

/** What each member gets: by slot, from the settlements and the chain's pot alone. */
async function divided(client: Client, facts: Facts, { held }: Replayed): Promise<Divided> {
  const found = await onChain(client, facts.node, facts.job);
  const pot = potOf(found, facts.job);
  const slots = slotsOf(found.members);
  const pays = divide(
    pot,
    slots.map((slot) => held.get(slot) ?? NOTHING),
    found.disputedRows,
  );
  const bySlot = new Map(slots.map((slot, at) => [slot, pays[at] ?? 0n]));
  return { pot, pays: bySlot, disputed: found.disputedRows, claimed: slotsOf(found.claimed), held };
}

function division({ pot, pays, disputed }: Divided, facts: Facts): [string, string[]] {
  const problems = membersOf(facts).flatMap(({ slot, pay }) =>
    differing([[`pay of seat ${slot}`, pays.get(slot), pay]]),
  );
  const what = isOver(facts.job.summary.state) ? "the pot" : "the pot so far";
  const by = disputed ? "the lesser of points and rounds opened" : "points";
  return [`${what}, ${pot}, divided by ${by} among ${plural(pays.size, "member")}, to the unit`, problems];
}

/** What a claim takes of a stake that was still held, in all `stake`. */
function slashOf({ max_strikes, slash_bps }: Terms, stake: bigint, strikes: number): bigint {
  return strikes >= max_strikes ? (stake * BigInt(slash_bps)) / 10_000n : 0n;
}

async function claims(client: Client, facts: Facts, { pays, claimed, held }: Divided): Promise<[string, string[]]> {
  const told = facts.payouts.filter((each) => each.reason === "pay");
  const problems: string[] = [];
  const key = (payee: string, amount: bigint | string) => `${payee.toLowerCase()} ${amount}`;
  const credited: string[] = [];
  const seen = new Set<number>();
  for (const hash of new Set(told.map((each) => each.transaction))) {
    for (const event of await eventsOf(client, facts, hash as Hex)) {
      if (event.eventName === "Credited" && event.args.reason === PAY)
        credited.push(key(event.args.payee, event.args.amount));
      if (event.eventName !== "Claimed") continue;
      const { slot, pay, stake, slashed } = event.args;
      seen.add(slot);
      const { strikes } = held.get(slot) ?? NOTHING;
      problems.push(
        ...differing([
          [`pay claimed for seat ${slot}`, pay, pays.get(slot)],
          [`slash of seat ${slot}`, slashed, slashOf(facts.job.terms, stake + slashed, strikes)],
        ]),
      );
    }
  }
  const known = told.map((each) => key(each.payee, each.amount)).sort();
  if (credited.sort().join() !== known.join()) problems.push("the node tells of other payments than the chain");
  for (const slot of claimed)
    if ((pays.get(slot) ?? 0n) > 0n && !seen.has(slot)) problems.push(`the node does not show the pay of seat ${slot}`);
  return [`${plural(seen.size, "payment")} that ${seen.size === 1 ? "was" : "were"} claimed, to the unit`, problems];
}
