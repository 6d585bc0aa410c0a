/** One way to send a transaction: right chain, funds, simulation, wallet, wait. Each step is said, each failure explained. */
import { type Address, type Hex, numberToHex } from "viem";
import { COIN, formatAmount, shortAmount } from "../text/amounts";
import { isHash, nameOf, quantity } from "./answers";
import { attended, type Outcome, outcomeOf, settle } from "./outcome";
import { explain, kindOf } from "./refusals";
import { change, forgetSent, type Kept, remember, type Sent, sent } from "./sent";
import { refresh, switchChain, type Wallet, wallet } from "./wallet";

export type Call = { to: Address; data: Hex; value: bigint };

export type Step =
  | { at: "idle" }
  | { at: "switching"; chainId: number }
  | { at: "simulating" }
  | { at: "signing"; fee: bigint | null }
  | { at: "pending"; hash: Hex | null; contract: boolean; trouble: string | null }
  | ({ at: "done" } & Omit<Outcome, "state" | "reason">)
  | { at: "declined" }
  | { at: "failed"; reason: string; hash: Hex | null };

export type Place = { chainId: number; rpc: string | null };
type Clock = (ms: number) => Promise<void>;

const POLL_MS = 800;
const POLLS = 750;
const wait: Clock = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const busy = (step: Step) => ["switching", "simulating", "signing", "pending"].includes(step.at);

/** What stops a call before it is sent: null, or a sentence. Also what its gas will cost at most, where that is known. */
async function simulate(
  held: Wallet,
  call: Call,
): Promise<{ reason: string | null; fee: bigint | null; gas: bigint | null }> {
  const request = (method: string, params: unknown[]) => held.provider.request({ method, params });
  const asked = { from: held.account, to: call.to, data: call.data, value: numberToHex(call.value) };
  const holds = quantity(await request("eth_getBalance", [held.account, "latest"]));
  if (holds !== null && holds < call.value) {
    const reason = `This takes ${formatAmount(call.value)}, and ${held.account} holds ${shortAmount(holds)}. Fund it, then try again.`;
    return { reason, fee: null, gas: null };
  }
  await request("eth_call", [asked, "latest"]);
  const gas = quantity(await request("eth_estimateGas", [asked]));
  const price = quantity(await request("eth_gasPrice", []).catch(() => null));
  const fee = gas === null || price === null ? null : gas * price;
  if (holds !== null && fee !== null && holds < call.value + fee) {
    const reason =
      `This takes ${formatAmount(call.value)} and about ${shortAmount(fee, COIN)} of gas, and the account holds ` +
      `${shortAmount(holds)}. Fund it, then try again.`;
    return { reason, fee, gas };
  }
  return { reason: null, fee, gas };
}

/** A margin on the estimate: state may move between simulation and inclusion. */
const withMargin = (gas: bigint) => (gas * 12n) / 10n;

/** Whether the account is a contract (a Safe, say): others send its transactions, when its owners have agreed. */
async function isContract(held: Wallet): Promise<boolean> {
  const code = await held.provider
    .request({ method: "eth_getCode", params: [held.account, "latest"] })
    .catch(() => null);
  // 0xef0100… is a plain key's account that lends itself a contract (EIP-7702).
  return typeof code === "string" && /^0x(?!ef0100)[0-9a-f]{2,}/i.test(code);
}

/** Sends a call; `say` hears every step. Never throws: the last step says how it ended, and is returned. */
export async function send(
  call: Call,
  place: Place,
  say: (step: Step) => void,
  clock: Clock = wait,
  kept: Kept = { text: "A transaction", market: call.to },
): Promise<Step> {
  const end = (step: Step): Step => {
    say(step);
    return step;
  };
  const fail = (reason: string, hash: Hex | null = null) => end({ at: "failed", reason, hash });
  const first = wallet.get();
  if (!first) return fail("Connect a wallet first.");
  let entry: Sent | null = null;
  let ready: Wallet;
  try {
    const moved = async (from: Wallet) => {
      if (from.chainId === place.chainId) return null;
      say({ at: "switching", chainId: place.chainId });
      return switchChain(from, place.chainId, place.rpc, clock);
    };
    const elsewhere = await moved(first);
    if (elsewhere) return fail(elsewhere);
    const now = await refresh(first);
    const again = now && (await moved(now)); // a wallet that did not tell that it had changed
    if (again) return fail(again);
    const held = wallet.get();
    if (!held || held.account !== first.account) return fail("The wallet's account changed; look again, then retry.");
    ready = held;
    say({ at: "simulating" });
    const { reason, fee, gas } = await simulate(held, call);
    if (reason) return fail(reason);
    const contract = await isContract(held);
    const { account } = held;
    entry = remember({ account, chainId: place.chainId, contract, ...kept, creation: kept.creation ?? null });
    attended.add(entry.id);
    say({ at: "signing", fee });
    const transaction = {
      from: held.account,
      to: call.to,
      data: call.data,
      value: numberToHex(call.value),
      ...(gas !== null && { gas: numberToHex(withMargin(gas)) }),
    };
    const given = nameOf(await held.provider.request({ method: "eth_sendTransaction", params: [transaction] }));
    entry = { ...entry, state: "waiting", name: given || null };
    change(entry.id, entry);
  } catch (error) {
    if (entry) attended.delete(entry.id);
    const declined = kindOf(error) === "rejected";
    // After a lost answer a new job may have been sent: it stays remembered, and is looked for in the market.
    if (entry && (declined || !kept.creation || refusedFor(error))) forgetSent(entry.id);
    return declined ? end({ at: "declined" }) : fail(explain(error));
  }
  const last = await awaited(entry, ready, call, say, clock);
  attended.delete(entry.id);
  return end(last);
}

/** Whether an error says that nothing was sent. */
function refusedFor(error: unknown): boolean {
  return kindOf(error) !== null || /insufficient funds|exceeds (the )?balance|revert|invalid/i.test(String(error));
}

async function awaited(kept: Sent, held: Wallet, call: Call, say: (step: Step) => void, clock: Clock): Promise<Step> {
  const hash = () => (isHash(kept.name) ? kept.name : null);
  let trouble: string | null = null;
  for (let tries = 0; tries < POLLS; tries += 1) {
    kept = sent.get().find((each) => each.id === kept.id) ?? kept;
    if (tries === 0 || trouble !== null) say({ at: "pending", hash: hash(), contract: kept.contract, trouble });
    try {
      const outcome = await outcomeOf(kept, held.provider);
      if (outcome) return await concluded(kept, held, call, outcome);
      if (trouble !== null) say({ at: "pending", hash: hash(), contract: kept.contract, trouble: null });
      trouble = null;
    } catch (error) {
      trouble = explain(error);
      say({ at: "pending", hash: hash(), contract: kept.contract, trouble });
    }
    await clock(POLL_MS);
  }
  const reason = kept.contract
    ? "The owners of your contract wallet have not brought it into a block yet. It stays in the list of what was sent."
    : "It is not in a block after ten minutes; it may still be. Look at it in your wallet, and in the list of what was sent.";
  return { at: "failed", reason, hash: hash() };
}

async function concluded(kept: Sent, held: Wallet, call: Call, outcome: Outcome): Promise<Step> {
  const { state, block, gas, fee, logs, job } = outcome;
  const hash = outcome.hash ?? (isHash(kept.name) && !kept.contract ? kept.name : null);
  const reason = state === "done" ? null : (outcome.reason ?? (await why(held, call, block)));
  settle(kept.id, { ...outcome, reason });
  return reason === null ? { at: "done", hash, block, gas, fee, logs, job } : { at: "failed", reason, hash };
}

/** A transaction that was mined but failed: the same call, on the block before, says why. */
async function why(held: Wallet, call: Call, block: number | null): Promise<string> {
  const asked = { from: held.account, to: call.to, data: call.data, value: numberToHex(call.value) };
  try {
    const at = block === null ? "latest" : numberToHex(block);
    await held.provider.request({ method: "eth_call", params: [asked, at] });
  } catch (error) {
    return explain(error);
  }
  return "The transaction was mined but failed; things changed between its simulation and its block. Try again.";
}
