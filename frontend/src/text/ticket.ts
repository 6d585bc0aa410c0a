/** Tickets: what the gate of a job gives those whom it invites, and the text in which they are handed on
 * (marketplace/tickets.py). The contract says whether a ticket is good; here is told what can be seen in it. */
import { getAddress, type Hex } from "viem";
import { shortHex } from "./amounts";

export type Ticket = { jobId: number; operator: Hex; expiry: number; signature: Hex };

const MAX_SIGNATURE = 2048;
export const MAX_TICKET = 2 * MAX_SIGNATURE + 100;
const TEXT = /^merit1_([1-9]\d{0,14})_([0-9a-f]{40})_([1-9]\d{0,14})_((?:[0-9a-f]{2}){0,2048})$/;
const TYPES = {
  EIP712Domain: [
    { name: "name", type: "string" },
    { name: "version", type: "string" },
    { name: "chainId", type: "uint256" },
    { name: "verifyingContract", type: "address" },
  ],
  Ticket: [
    { name: "jobId", type: "uint256" },
    { name: "termsHash", type: "bytes32" },
    { name: "operator", type: "address" },
    { name: "expiry", type: "uint64" },
  ],
};

/** null for what is no ticket's text. */
export function readTicket(text: string): Ticket | null {
  const found = text.length <= MAX_TICKET ? TEXT.exec(text) : null;
  if (!found) return null;
  const [, job, operator, expiry, signature] = found;
  return {
    jobId: Number(job),
    operator: getAddress(`0x${operator}`),
    expiry: Number(expiry),
    signature: `0x${signature}`,
  };
}

export function writeTicket({ jobId, operator, expiry, signature }: Ticket): string {
  return `merit1_${jobId}_${operator.slice(2).toLowerCase()}_${expiry}_${signature.slice(2).toLowerCase()}`;
}

/** What a wallet gave as a signature; null for what is none. */
export function signatureOf(value: unknown): Hex | null {
  const fits = typeof value === "string" && value.length <= 2 + 2 * MAX_SIGNATURE;
  return fits && /^0x([0-9a-f]{2})*$/i.test(value) ? (value as Hex) : null;
}

export type Door = { chainId: number; market: string; jobId: number; termsHash: string };

/** What a wallet is asked to sign (EIP-712), as the text that eth_signTypedData_v4 takes. */
export function toSign({ chainId, market, jobId, termsHash }: Door, operator: string, expiry: number): string {
  return JSON.stringify({
    types: TYPES,
    primaryType: "Ticket",
    domain: { name: "Merit", version: "2", chainId, verifyingContract: market },
    message: { jobId: String(jobId), termsHash, operator, expiry: String(expiry) },
  });
}

/** Why this text does not let `operator` into a job, as a sentence; null where nothing can be seen against it. */
export function whyNot(text: string, jobId: number, operator: string, now: number): string | null {
  const ticket = readTicket(text.trim());
  if (!ticket) return "This is not a ticket, which begins with merit1_ and is one word: copy all of it.";
  if (ticket.jobId !== jobId) return `This ticket is for job ${ticket.jobId}.`;
  if (ticket.operator.toLowerCase() !== operator.toLowerCase())
    return `This ticket is for ${shortHex(ticket.operator)}, and your node works as ${shortHex(operator)}.`;
  if (now > ticket.expiry) return "This ticket has expired: ask for another.";
  return null;
}

export const linkOf = (ticket: string, jobId: number, origin: string) => `${origin}/job/${jobId}/join?ticket=${ticket}`;
