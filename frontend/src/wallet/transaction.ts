/** One way to send a transaction: right chain, funds, simulation, wallet, wait. Each step is said, each failure explained. */
import { type Address, type Hex, hexToBigInt, numberToHex } from "viem";
import { COIN, formatAmount, shortAmount } from "../text/amounts";
import { codeOf, explain, REJECTED } from "./refusals";
import { switchChain, type Wallet, wallet } from "./wallet";

export type Call = { to: Address; data: Hex; value: bigint };
export type Log = { address: string; topics: string[] };

export type Step =
  | { at: "idle" }
  | { at: "switching"; chainId: number }
  | { at: "simulating" }
  | { at: "signing"; fee: bigint }
  | { at: "pending"; hash: Hex; trouble: string | null }
  | { at: "done"; hash: Hex; gas: bigint; fee: bigint; logs: Log[] }
  | { at: "declined" }
  | { at: "failed"; reason: string; hash: Hex | null };

export type Place = { chainId: number; rpc: string | null };
type Receipt = { status: Hex; gasUsed: Hex; effectiveGasPrice?: Hex; logs?: Log[]; blockNumber: Hex };
type Clock = (ms: number) => Promise<void>;

const POLL_MS = 800;
const POLLS = 750;
const wait: Clock = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const busy = (step: Step) => ["switching", "simulating", "signing", "pending"].includes(step.at);

/** What stops a call before it is sent: null, or a sentence. Also what its gas will cost at most. */
async function simulate(held: Wallet, call: Call): Promise<{ reason: string | null; fee: bigint; gas: bigint }> {
  const request = (method: string, params: unknown[]) => held.provider.request({ method, params }) as Promise<Hex>;
  const asked = { from: held.account, to: call.to, data: call.data, value: numberToHex(call.value) };
  const holds = hexToBigInt(await request("eth_getBalance", [held.account, "latest"]));
  if (holds < call.value) {
    const reason = `This takes ${formatAmount(call.value)}, and ${held.account} holds ${shortAmount(holds)}. Fund it, then try again.`;
    return { reason, fee: 0n, gas: 0n };
  }
  await request("eth_call", [asked, "latest"]);
  const gas = hexToBigInt(await request("eth_estimateGas", [asked]));
  const fee = gas * hexToBigInt(await request("eth_gasPrice", []));
  if (holds < call.value + fee) {
    const reason =
      `This takes ${formatAmount(call.value)} and about ${shortAmount(fee, COIN)} of gas, and the account holds ` +
      `${shortAmount(holds)}. Fund it, then try again.`;
    return { reason, fee, gas };
  }
  return { reason: null, fee, gas };
}

/** A margin on the estimate: state may move between simulation and inclusion. */
const withMargin = (gas: bigint) => (gas * 12n) / 10n;

async function receiptOf(held: Wallet, hash: Hex, say: (step: Step) => void, clock: Clock): Promise<Receipt | null> {
  for (let tries = 0; tries < POLLS; tries += 1) {
    try {
      const found = await held.provider.request({ method: "eth_getTransactionReceipt", params: [hash] });
      if (found) return found as Receipt;
      say({ at: "pending", hash, trouble: null });
    } catch (error) {
      say({ at: "pending", hash, trouble: explain(error) });
    }
    await clock(POLL_MS);
  }
  return null;
}

/** Sends a call; `say` hears every step. Never throws: the last step says how it ended, and is returned. */
export async function send(call: Call, place: Place, say: (step: Step) => void, clock: Clock = wait): Promise<Step> {
  const end = (step: Step): Step => {
    say(step);
    return step;
  };
  const fail = (reason: string, hash: Hex | null = null) => end({ at: "failed", reason, hash });
  const first = wallet.get();
  if (!first) return fail("Connect a wallet first.");
  try {
    if (first.chainId !== place.chainId) {
      say({ at: "switching", chainId: place.chainId });
      const reason = await switchChain(first, place.chainId, place.rpc);
      if (reason) return fail(reason);
    }
    const held = wallet.get();
    if (!held || held.account !== first.account) return fail("The wallet's account changed; look again, then retry.");
    say({ at: "simulating" });
    const { reason, fee, gas } = await simulate(held, call);
    if (reason) return fail(reason);
    say({ at: "signing", fee });
    const transaction = {
      from: held.account,
      to: call.to,
      data: call.data,
      value: numberToHex(call.value),
      gas: numberToHex(withMargin(gas)),
    };
    const hash = (await held.provider.request({ method: "eth_sendTransaction", params: [transaction] })) as Hex;
    say({ at: "pending", hash, trouble: null });
    const receipt = await receiptOf(held, hash, say, clock);
    if (!receipt)
      return fail("It is not in a block after ten minutes; it may still be. Look at it in your wallet.", hash);
    const used = hexToBigInt(receipt.gasUsed);
    if (hexToBigInt(receipt.status) !== 1n) return fail(await why(held, call, receipt), hash);
    const price = receipt.effectiveGasPrice ? hexToBigInt(receipt.effectiveGasPrice) : 0n;
    return end({ at: "done", hash, gas: used, fee: used * price, logs: receipt.logs ?? [] });
  } catch (error) {
    return codeOf(error) === REJECTED ? end({ at: "declined" }) : fail(explain(error));
  }
}

/** A transaction that was mined but failed: the same call, on the block before, says why. */
async function why(held: Wallet, call: Call, receipt: Receipt): Promise<string> {
  const asked = { from: held.account, to: call.to, data: call.data, value: numberToHex(call.value) };
  try {
    await held.provider.request({ method: "eth_call", params: [asked, receipt.blockNumber] });
  } catch (error) {
    return explain(error);
  }
  return "The transaction was mined but failed; things changed between its simulation and its block. Try again.";
}
