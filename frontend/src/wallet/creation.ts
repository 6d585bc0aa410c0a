/** The owner signs what the page said, not what a node says: prepared calls are decoded and compared. */
import { decodeFunctionData, type Hex, isAddressEqual, parseAbi } from "viem";
import { marketAbi } from "../generated/market";
import type { UnsignedCall } from "../live/api";
import { ZERO_ADDRESS } from "../text/amounts";
import type { Call } from "./transaction";

export type Wanted = {
  token: Hex;
  reward: bigint;
  fee: bigint;
  stake: bigint;
  bond: bigint;
  rounds: number;
  minRounds: number;
  minTrainers: number;
  maxTrainers: number;
  maxFaulty: number;
  maxVoids: number;
  startDelay: number;
  submitWindow: number;
  settleWindow: number;
  takeoverWindow: number;
  confirmWindow: number;
  revealWindow: number;
  aggregator: Hex | null;
  gate: Hex | null;
};

const COMPARED = [
  ...(["reward", "fee", "stake", "bond", "rounds"] as const),
  ...(["minRounds", "minTrainers", "maxTrainers", "maxFaulty", "maxVoids"] as const),
  ...(["startDelay", "submitWindow", "settleWindow", "takeoverWindow"] as const),
  ...(["confirmWindow", "revealWindow"] as const),
];
const approval = parseAbi(["function approve(address spender, uint256 amount)"]);

/** What in the calls is not as wanted, in words; empty when they may be signed. */
export function differences(calls: UnsignedCall[], wanted: Wanted, market: Hex): string[] {
  const found: string[] = [];
  const must = (ok: boolean, what: string) => {
    if (!ok) found.push(what);
  };
  const escrow = BigInt(wanted.rounds) * (wanted.reward + wanted.fee);
  const coin = wanted.token === ZERO_ADDRESS;
  must(calls.length === (coin ? 1 : 2), "the number of calls");
  for (const [at, call] of calls.entries()) {
    const last = at === calls.length - 1;
    try {
      if (!last) {
        const { args } = decodeFunctionData({ abi: approval, data: call.data as Hex });
        must(isAddressEqual(call.to as Hex, wanted.token), "the token");
        must(isAddressEqual(args[0], market), "who may take the escrow");
        must(args[1] === escrow && BigInt(call.value) === 0n, "the allowance");
        continue;
      }
      must(isAddressEqual(call.to as Hex, market), "the market's address");
      must(BigInt(call.value) === (coin ? escrow : 0n), "the amount");
      const decoded = decodeFunctionData({ abi: marketAbi, data: call.data as Hex });
      if (decoded.functionName !== "createJob") {
        found.push("the call");
        continue;
      }
      const terms = decoded.args[0];
      for (const name of COMPARED) must(terms[name] === wanted[name], `the ${name}`);
      must(isAddressEqual(terms.token, wanted.token), "the token");
      must(isAddressEqual(terms.aggregator, wanted.aggregator ?? ZERO_ADDRESS), "the aggregator");
      must(isAddressEqual(terms.gate, wanted.gate ?? ZERO_ADDRESS), "the gate");
    } catch {
      found.push("the call's form");
    }
  }
  return found;
}

/** Whether a call announces this content id for this job through that function, and does nothing else. */
export function announces(
  call: UnsignedCall,
  through: "reveal" | "revealValidation" | "handOver",
  jobId: number,
  cid: string,
  market: Hex,
): boolean {
  try {
    const { functionName, args } = decodeFunctionData({ abi: marketAbi, data: call.data as Hex });
    const right = functionName === through && args[0] === BigInt(jobId) && args[1] === cid;
    return right && isAddressEqual(call.to as Hex, market) && call.value === "0";
  } catch {
    return false;
  }
}

/** The call to send for what a node prepared to announce; null where it would do anything else. */
export function announcement(
  { cid, calls }: { cid: string; calls: UnsignedCall[] },
  through: "reveal" | "revealValidation" | "handOver",
  jobId: number,
  market: Hex,
): Call | null {
  const call = calls[0];
  if (calls.length !== 1 || !call || !announces(call, through, jobId, cid, market)) return null;
  return { to: call.to as Hex, data: call.data as Hex, value: 0n };
}
