import { render } from "preact";
import { act } from "preact/test-utils";
import { getAddress, type Hex, hashTypedData } from "viem";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import vector from "../../tests/vectors/ticket.json";
import type { JobDetail } from "../src/live/api";
import { node } from "../src/live/node";
import { Invite } from "../src/pages/invite";
import { linkOf, MAX_TICKET, readTicket, signatureOf, toSign, whyNot, writeTicket } from "../src/text/ticket";
import { wallet } from "../src/wallet/wallet";

const TEXT = vector.text;
const ME = vector.operator as Hex;
const OTHER = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
const DOOR = { chainId: vector.chain_id, market: vector.market, jobId: vector.job_id, termsHash: vector.terms_hash };

describe("a ticket", () => {
  test("is the same to page and node", () => {
    const ticket = readTicket(TEXT);
    expect(ticket).toMatchObject({ jobId: vector.job_id, operator: ME, expiry: vector.expiry });
    expect(ticket && writeTicket(ticket)).toBe(TEXT);
    const { domain, types, message } = JSON.parse(toSign(DOOR, ME, vector.expiry));
    expect(hashTypedData({ domain, types, primaryType: "Ticket", message })).toBe(vector.digest);
    expect(linkOf(TEXT, 7, "http://127.0.0.1:8420")).toBe(`http://127.0.0.1:8420/job/7/join?ticket=${TEXT}`);
  });

  test.each([
    ["nothing", ""],
    ["another version", `merit2${TEXT.slice(6)}`],
    ["half a byte", TEXT.slice(0, -1)],
    ["large digits", TEXT.toUpperCase()],
    ["job 0", TEXT.replace("merit1_7", "merit1_0")],
    ["a number with a zero before it", TEXT.replace("merit1_7", "merit1_07")],
    ["a number that is too large to be exact", TEXT.replace("merit1_7", `merit1_${"9".repeat(16)}`)],
    ["two lines", `${TEXT}\n${TEXT}`],
    ["more than a signature may have", TEXT + "00".repeat(2048)],
    ["very much", "merit1_7_".padEnd(1_000_000, "0")],
  ])("is not read from %s", (_, text) => expect(readTicket(text)).toBeNull());

  test("of the longest signature is read", () => {
    const signature: Hex = `0x${"ab".repeat(2048)}`;
    const text = writeTicket({ jobId: 1e15 - 1, operator: ME, expiry: 1e15 - 1, signature });
    expect(text.length).toBeLessThanOrEqual(MAX_TICKET);
    expect(readTicket(text)?.signature).toBe(signature);
  });

  test("that lets somebody else in, elsewhere or no more, is said", () => {
    const now = vector.expiry;
    expect(whyNot(` ${TEXT}\n`, 7, ME.toLowerCase(), now)).toBeNull();
    expect(whyNot(TEXT, 8, ME, now)).toBe("This ticket is for job 7.");
    expect(whyNot(TEXT, 7, OTHER, now)).toContain("your node works as 0x3C44");
    expect(whyNot(TEXT, 7, ME, now + 1)).toContain("has expired");
    expect(whyNot("hello", 7, ME, now)).toContain("This is not a ticket");
  });

  test.each([undefined, null, {}, "", "0x1", "1234", `0x${"00".repeat(2049)}`])("is not signed by %s", (given) =>
    expect(signatureOf(given)).toBeNull(),
  );
});

describe("who is the gate", () => {
  const open = { job_id: 7, state: "open", owner: OTHER };
  const detail = {
    summary: open,
    terms: { gate: getAddress(vector.gate) },
    terms_hash: vector.terms_hash,
    now: 1000,
  } as JobDetail;
  const signature = `0x${TEXT.split("_").pop()}`;
  let asked: unknown[][] = [];

  function connected(account: string, answer: () => Promise<unknown> = async () => signature) {
    const request = async ({ method, params }: { method: string; params?: unknown }) => {
      if (method === "eth_chainId") return "0x7a69";
      if (method === "eth_accounts") return [account];
      asked.push([method, params]);
      return answer();
    };
    wallet.set({ id: "test", name: "Test", provider: { request }, account: account as Hex, chainId: 31337 });
  }

  function show(job = detail): HTMLElement {
    const place = document.createElement("main");
    document.body.replaceChildren(place);
    act(() => render(<Invite detail={job} />, place));
    return place;
  }

  function type(place: HTMLElement, address: string): void {
    const field = place.querySelector("input") as HTMLInputElement;
    field.value = address;
    act(() => {
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
    place.querySelector("form")?.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
  }

  beforeEach(() => {
    asked = [];
    node.set({ chain_id: 31337, market: vector.market, rpc: null, acts_as: null } as never);
  });
  afterEach(() => {
    wallet.set(null);
    vi.unstubAllGlobals();
  });

  test("signs a ticket in the wallet, which is asked for what the contract checks", async () => {
    connected(vector.gate);
    const place = show();
    type(place, ME.toLowerCase());
    await vi.waitFor(() => expect(place.textContent).toContain("Copy the link"));
    const [method, params] = asked[0] as [string, [string, string]];
    expect([method, params[0]]).toEqual(["eth_signTypedData_v4", vector.gate]);
    const said = JSON.parse(params[1]);
    expect(said.domain).toMatchObject({
      name: "Merit",
      version: "2",
      chainId: 31337,
      verifyingContract: vector.market,
    });
    expect(said.message).toMatchObject({ jobId: "7", termsHash: vector.terms_hash, operator: ME });
    const copied = [...place.querySelectorAll("button")].find((button) => button.textContent === "Copy the ticket");
    expect(readTicket(copied?.title ?? "")).toMatchObject({ jobId: 7, operator: ME, signature });
    expect(String(readTicket(copied?.title ?? "")?.expiry)).toBe(said.message.expiry);
  });

  test("is told when the wallet declines, or gives no signature", async () => {
    connected(vector.gate, () => Promise.reject(Object.assign(new Error("no"), { code: 4001 })));
    const place = show();
    type(place, ME);
    await vi.waitFor(() => expect(place.textContent).toContain("You declined"));
    connected(vector.gate, async () => "yes");
    type(place, ME);
    await vi.waitFor(() => expect(place.textContent).toContain("gave no signature"));
  });

  test("can connect its wallet on the job's page", () => {
    expect(show().textContent).toContain("Do you invite to this job?");
  });

  test("is nobody else, and nobody in a job that is open to all or has started", () => {
    connected(OTHER);
    expect(show().textContent).toBe("");
    connected(vector.gate);
    expect(show().textContent).toContain("Invite trainers");
    expect(show({ ...detail, terms: { gate: null } } as JobDetail).textContent).toBe("");
    expect(show({ ...detail, summary: { ...open, state: "running" } } as JobDetail).textContent).toBe("");
  });
});
