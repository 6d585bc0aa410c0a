import { render } from "preact";
import { act } from "preact/test-utils";
import { encodeFunctionData, type Hex } from "viem";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { marketAbi } from "../src/generated/market";
import type { JobDetail, OwnPart } from "../src/live/api";
import { node } from "../src/live/node";
import { HandOver } from "../src/pages/hand-over";
import { wallet } from "../src/wallet/wallet";
import { connect } from "./confirming-wallet";

const OWNER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8" as const;
const MARKET = "0x5FbDB2315678afecb367f032d93F642f64180aa3" as const;
const detail = { summary: { job_id: 7, owner: OWNER } } as JobDetail;
const asked: OwnPart = {
  owner: false,
  job_key: true,
  validation: true,
  can_reveal: false,
  can_reveal_to_members: false,
  can_hand_over: true,
};
let sent: { data: Hex; to: Hex }[] = [];
let after = vi.fn();

function prepared(jobId: bigint) {
  const data = encodeFunctionData({ abi: marketAbi, functionName: "handOver", args: [jobId, "bafy"] });
  const answer = vi.fn(async () => Response.json({ cid: "bafy", calls: [{ text: "", to: MARKET, data, value: "0" }] }));
  vi.stubGlobal("fetch", answer);
  return { data, answer };
}

function show(part: OwnPart): HTMLElement {
  const place = document.createElement("main");
  document.body.replaceChildren(place);
  act(() => render(<HandOver detail={detail} part={part} after={after} />, place));
  return place;
}

beforeEach(() => {
  sent = [];
  after = vi.fn();
  connect(OWNER, sent);
  node.set({ chain_id: 31337, market: MARKET, rpc: null } as NonNullable<ReturnType<typeof node.get>>);
});

afterEach(() => vi.unstubAllGlobals());

describe("an aggregator that has taken over", () => {
  test("is given what the node prepared, by the owner's wallet", async () => {
    const { data, answer } = prepared(7n);
    const place = show(asked);
    expect(place.textContent).toContain("waits for your validation data");
    place.querySelector("button")?.click();
    await vi.waitFor(() => expect(place.textContent).toContain("Handed over."));
    expect(answer.mock.calls).toMatchObject([["/api/jobs/7/hand-over/prepare", { method: "POST" }]]);
    expect(sent).toMatchObject([{ to: MARKET, data }]);
    expect(after).toHaveBeenCalledOnce();
    expect(place.querySelector("section > button")).toBeNull();
  });

  test("is given nothing by a call for another job", async () => {
    prepared(8n);
    const place = show(asked);
    place.querySelector("button")?.click();
    await vi.waitFor(() => expect(place.textContent).toContain("Nothing was sent."));
    expect(sent).toEqual([]);
  });

  test("is told why when the node refuses", async () => {
    const refusal = { title: "", status: 400, detail: "There is nothing to hand over in job 7." };
    vi.stubGlobal("fetch", async () => Response.json(refusal, { status: 400 }));
    const place = show(asked);
    place.querySelector("button")?.click();
    await vi.waitFor(() => expect(place.textContent).toContain("nothing to hand over in job 7"));
  });

  test.each([
    ["where nobody waits", { ...asked, can_hand_over: false }],
    ["where the node hands over by itself", { ...asked, owner: true }],
  ])("is not shown %s", (_, part) => expect(show(part).textContent).toBe(""));

  test("is given nothing by another account than the owner's", () => {
    connect(MARKET, sent);
    const place = show(asked);
    expect(place.textContent).toContain("switch your wallet to the owner's account");
    expect(place.querySelector("button")).toBeNull();
  });

  test("waits for a wallet to be connected", () => {
    wallet.set(null);
    expect(show(asked).textContent).toContain("with the account that created the job");
  });
});
