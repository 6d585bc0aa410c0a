/** The owner's validation data: to whom they are revealed, by whom, and that nobody else sees them. */
import { render } from "preact";
import { act } from "preact/test-utils";
import { encodeFunctionData, type Hex } from "viem";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { marketAbi } from "../src/generated/market";
import type { JobDetail, OwnPart } from "../src/live/api";
import { node } from "../src/live/node";
import { token } from "../src/live/token";
import { Own } from "../src/pages/own";
import { connect, HASH } from "./confirming-wallet";

const OWNER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8" as const;
const BOB = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC" as const;
const MARKET = "0x5FbDB2315678afecb367f032d93F642f64180aa3" as const;
const NONE: OwnPart = {
  owner: false,
  job_key: false,
  validation: true,
  can_reveal: false,
  can_reveal_to_members: false,
  can_hand_over: false,
};
let jobId = 100; // one for each test: what is known of a job is kept
let sent: { data: Hex; to: Hex }[] = [];
let asked: string[] = [];
let after = vi.fn();

/** A node that holds `part` of the job, and prepares a call of `prepared`. */
async function shown(part: Partial<OwnPart>, more: Partial<JobDetail> = {}, prepared = "reveal"): Promise<HTMLElement> {
  const args = [BigInt(jobId), "bafy"] as const;
  const data = encodeFunctionData({ abi: marketAbi, functionName: prepared as "reveal", args });
  const answer = (path: string) => {
    if (path.endsWith("/prepare")) return { cid: "bafy", calls: [{ text: "", to: MARKET, data, value: "0" }] };
    return { transaction: HASH, block: 1, gas: 1 };
  };
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push(path.replace(`/api/jobs/${jobId}/`, ""));
    return Response.json(answer(path));
  });
  const summary = { job_id: jobId, owner: OWNER, state: "confirming" };
  const detail = { summary, takeovers: [], reveals: [], revealed: null, settled: 3, ...more } as unknown as JobDetail;
  const place = document.createElement("main");
  document.body.replaceChildren(place);
  act(() => render(<Own detail={detail} part={{ ...NONE, ...part }} after={after} />, place));
  await new Promise((done) => setTimeout(done, 20));
  return place;
}

const press = (place: HTMLElement, text: string) =>
  act(() => [...place.querySelectorAll("button")].find((each) => each.textContent?.includes(text))?.click());

beforeEach(() => {
  jobId += 1;
  sent = [];
  asked = [];
  after = vi.fn();
  connect(OWNER, sent);
  token.set("secret");
  node.set({ chain_id: 31337, market: MARKET, rpc: null } as NonNullable<ReturnType<typeof node.get>>);
});

afterEach(() => vi.unstubAllGlobals());

describe("the validation data of a job that confirms", () => {
  test("are revealed to the members, by the owner's wallet, after a warning", async () => {
    const place = await shown({ can_reveal_to_members: true });
    expect(place.textContent).toContain("members wait for the owner's validation data");
    press(place, "Reveal the validation data to the members");
    expect(place.textContent).toContain("Every member will be able to read these data");
    press(place, "Show them to the members with your wallet");
    await vi.waitFor(() => expect(place.textContent).toContain("Revealed."));
    expect(asked).toEqual(["reveal-to-members/prepare"]);
    const data = encodeFunctionData({ abi: marketAbi, functionName: "reveal", args: [BigInt(jobId), "bafy"] });
    expect(sent).toMatchObject([{ to: MARKET, data }]);
    expect(after).toHaveBeenCalledOnce();
  });

  test("are revealed to the members by the node, where its key is the owner", async () => {
    const place = await shown({ can_reveal_to_members: true, owner: true });
    press(place, "to the members");
    press(place, "Show them");
    await vi.waitFor(() => expect(after).toHaveBeenCalledOnce());
    expect(asked).toEqual(["reveal-to-members"]);
    expect(sent).toEqual([]);
  });

  test("are not made public by a node that prepares that", async () => {
    const place = await shown({ can_reveal_to_members: true }, {}, "revealValidation");
    press(place, "to the members");
    press(place, "Show them");
    await vi.waitFor(() => expect(place.textContent).toContain("Nothing was sent."));
    expect(sent).toEqual([]);
  });

  test("can be revealed beside what the aggregator revealed, and once by the owner", async () => {
    const by = (sender: string) => ({ reveals: [{ sender, cid: "bafy" }] });
    const one = await shown({ can_reveal_to_members: true }, by(BOB));
    expect(one.textContent).toContain("The aggregator has said where the validation data are");
    jobId += 1;
    expect((await shown({ can_reveal_to_members: true }, by(OWNER))).textContent).toBe("");
  });

  test("are not offered to another wallet, nor where the node does not have them", async () => {
    connect(BOB, sent);
    expect((await shown({ can_reveal_to_members: true })).textContent).toBe("");
    jobId += 1;
    connect(OWNER, sent);
    expect((await shown({})).textContent).toBe("");
  });
});

test("once a job is over, revealing its data makes them public, and says so", async () => {
  const place = await shown({ can_reveal: true }, {}, "revealValidation");
  press(place, "Reveal the validation data");
  expect(place.textContent).toContain("Everybody will be able to read these data");
  press(place, "Make them public with your wallet");
  await vi.waitFor(() => expect(place.textContent).toContain("Revealed."));
  expect(asked).toEqual(["reveal/prepare"]);
  expect(sent).toHaveLength(1);
});
