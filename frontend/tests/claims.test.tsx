/** What waits in a job that is over, and what rounds brought, as readers see and press it. */
import { render, type VNode } from "preact";
import { act } from "preact/test-utils";
import { encodeFunctionData, type Hex } from "viem";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { marketAbi } from "../src/generated/market";
import type { JobDetail, RoundDetail, Terms, TrainerFacts } from "../src/live/api";
import { node } from "../src/live/node";
import { token } from "../src/live/token";
import { Claims } from "../src/pages/claims";
import { DisputeRows, DisputeRowsByWallet } from "../src/pages/dispute";
import { Terms as TermsOf, Trainers } from "../src/pages/job-facts";
import { JudgedTable } from "../src/pages/round";
import { Standing } from "../src/pages/standing";
import { Trust } from "../src/pages/trust";
import { COIN } from "../src/text/amounts";
import { connect, HASH } from "./confirming-wallet";

const ANN = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8" as const;
const BOB = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC" as const;
const MARKET = "0x5FbDB2315678afecb367f032d93F642f64180aa3" as const;
let sent: { data: Hex; to: Hex }[] = [];
let after = vi.fn();

const TERMS = {
  token: "0x0000000000000000000000000000000000000000",
  rule: "reference",
  reward: "1000",
  fee: "7",
  stake: "50",
  bond: "0",
  rounds: 4,
  min_rounds: 2,
  rate: 2 ** 40,
  rate_decay: 2 ** 32,
  scale_exponent: -3,
  confirm_window: 3600,
  start_delay: 0,
  reveal_window: 0,
  takeover_window: 0,
  max_missed: 3,
  max_strikes: 2,
  max_faulty: 0,
  max_empty_rounds: 3,
  slash_bps: 2000,
  gram_verifier: MARKET,
  decision_verifier: MARKET,
} as unknown as Terms;

function job(state: string, part: Partial<JobDetail> = {}): JobDetail {
  const summary = { job_id: 7, owner: BOB, state, aggregator: BOB, setup: null, confirm_by: 1e10, round: 3 };
  const none = { takeovers: [], takeover: null, disputes: [], owed: [], disputed_sum: false, end_asked: false };
  const rows = { disputed_rows: false, rows_disputes: [], rows_quorum: 0, reveal_by: null, reveals: [] };
  const said = { settled: 3, pot: "3000", fees: "21", burnt: "0", escrow: "0", outcome: null, spec: null };
  return {
    summary,
    terms: TERMS,
    transaction: HASH,
    spec_cid: "bafy",
    ...none,
    ...rows,
    ...said,
    ...part,
  } as JobDetail;
}

const seat = (slot: number, part: Partial<TrainerFacts> = {}) =>
  ({
    slot,
    operator: BOB,
    payee: BOB,
    status: "finished",
    member: true,
    missed: 0,
    strikes: 0,
    submitted: [1, 2, 3],
    selected: [1, 2, 3],
    struck: [],
    opened: 3,
    balance: `${2n ** 59n}`,
    pay: "1500",
    stake: "50",
    staked: true,
    claimed: false,
    ...part,
  }) as TrainerFacts;

function show(what: VNode): HTMLElement {
  const place = document.createElement("main");
  document.body.replaceChildren(place);
  act(() => render(what, place));
  return place;
}

const buttons = (place: HTMLElement) => [...place.querySelectorAll("button")].map((each) => each.textContent);
const press = (place: HTMLElement, text: string) =>
  [...place.querySelectorAll("button")].find((each) => each.textContent?.includes(text))?.click();

beforeEach(() => {
  sent = [];
  after = vi.fn();
  connect(ANN, sent);
  token.set(null);
  node.set({ chain_id: 31337, market: MARKET, rpc: null, acts_as: { address: BOB } } as NonNullable<
    ReturnType<typeof node.get>
  >);
});

afterEach(() => vi.unstubAllGlobals());

describe("claims", () => {
  const claims = (detail: JobDetail, trainers: TrainerFacts[]) =>
    show(<Claims detail={detail} trainers={trainers} unit={COIN} after={after} />);

  test.each(["open", "running", "confirming"])("are not offered while a job is %s", (state) => {
    expect(claims(job(state), [seat(0)]).textContent).toBe("");
  });

  test("have one's own seat first, and are sent with the wallet", async () => {
    const place = claims(job("completed"), [seat(0), seat(1, { payee: ANN }), seat(2, { claimed: true })]);
    expect(buttons(place).filter((text) => text?.includes("with your wallet"))).toEqual([
      "Claim your pay and stake with your wallet",
      "Claim for seat 0 with your wallet",
    ]);
    press(place, "Claim your pay and stake");
    await vi.waitFor(() => expect(place.textContent).toContain("Claimed: it can be withdrawn now."));
    const data = encodeFunctionData({ abi: marketAbi, functionName: "claim", args: [7n, 1] });
    expect(sent).toMatchObject([{ to: MARKET, data }]);
    expect(after).toHaveBeenCalledOnce();
  });

  test("are sent with the node's key, where the page has its token", async () => {
    token.set("secret");
    const answer = vi.fn(async () => Response.json({ transaction: HASH, block: 1, gas: 1 }));
    vi.stubGlobal("fetch", answer);
    const place = claims(job("aborted"), [seat(3, { operator: ANN, payee: ANN })]);
    press(place, "with this node's key");
    await vi.waitFor(() => expect(place.textContent).toContain("Claimed: it can be withdrawn now."));
    expect(answer.mock.calls).toMatchObject([["/api/jobs/7/claims/3", { method: "POST" }]]);
  });

  test("of fees before a takeover name whose they are", async () => {
    const place = claims(job("completed", { owed: [{ payee: BOB, fees: "21" }] }), []);
    expect(place.textContent).toContain("before another aggregator took over");
    press(place, "Claim these fees with your wallet");
    await vi.waitFor(() => expect(after).toHaveBeenCalledOnce());
    const data = encodeFunctionData({ abi: marketAbi, functionName: "claimFees", args: [7n, BOB] });
    expect(sent).toMatchObject([{ to: MARKET, data }]);
  });

  test("that were made lead on to the withdrawal", () => {
    const place = claims(job("completed"), [seat(1, { payee: ANN, claimed: true })]);
    expect(place.textContent).toContain("Your pay and stake of seat 1 were claimed.");
    expect(place.querySelector(`a[href="/pay/${ANN}"]`)).not.toBeNull();
    expect(claims(job("completed"), [seat(1, { claimed: true })]).textContent).toBe("");
  });
});

describe("trainers", () => {
  const list = [
    seat(0),
    seat(1, { balance: `${-(2n ** 58n)}`, pay: "0", strikes: 2, struck: [1, 3], opened: 2 }),
    seat(2, { pay: "1500", status: "left", claimed: true }),
  ];

  test("are told what they would get if the job ended now, their points and their strikes with the reason", () => {
    const place = show(<Trainers list={list} unit={COIN} detail={job("running")} />);
    const rows = [...place.querySelectorAll("tbody tr")].map((row) => row.textContent);
    expect(place.textContent).toContain("Pay if it ended now");
    expect(rows[0]).toContain("50.0 %0.5 of loss3 of 3");
    expect(rows[1]).toContain("0.0 %−0.25 of loss2 of 3");
    expect(rows[1]).toContain("2 of 2, in rounds 1 and 3");
    expect(rows[2]).toContain("left, claimed");
    expect(place.textContent).toContain("pointed clearly away from a lower loss");
    act(() => [...place.querySelectorAll<HTMLButtonElement>("tbody button.small")][1]?.click());
    expect(place.querySelector(".why")?.textContent).toContain("raised the loss more than they lowered it");
  });

  test("have their pay once the job is over, and no word on strikes where there are none", () => {
    const place = show(<Trainers list={[seat(0)]} unit={COIN} detail={job("completed")} />);
    expect(place.textContent).not.toContain("if it ended now");
    expect(place.textContent).not.toContain("An update counts a strike");
  });
});

describe("a job", () => {
  test("shows its confirm window, minimum rounds, and fees that are held", () => {
    const place = show(<TermsOf detail={job("running")} unit={COIN} />);
    const facts = Object.fromEntries(
      [...place.querySelectorAll("dl.facts > div")].map((each) => [
        each.querySelector("dt")?.textContent,
        each.querySelector("dd")?.textContent,
      ]),
    );
    expect(facts["Confirm window"]).toBe("1\u00a0h");
    expect(facts["Minimum rounds"]).toBe("2 of 4");
    expect(facts["Fee a settled round"]).toContain("held until the end");
    expect(facts.Slash).toBe("20.0 % of the stake, for 3 missed rounds in a row or 2 strikes");
  });

  test("says how it will end while it confirms, that bond and fees are burnt, and that its end was asked for", () => {
    const said = (detail: JobDetail) => show(<Standing detail={detail} unit={COIN} />).textContent;
    expect(said(job("confirming", { outcome: "aborted" }))).toContain("Then the job is aborted");
    expect(said(job("running", { end_asked: true }))).toContain("The owner has asked for the end");
    expect(said(job("running"))).toBe("");
    const disputes = [{ slot: 0, round: 3, confirming: true, stands: true }] as JobDetail["disputes"];
    expect(said(job("confirming", { disputed_sum: true, disputes, burnt: "9" }))).toContain("Bond and fees are burnt");
  });
});

describe("reference rows", () => {
  const CONFIRMING = { rows_quorum: 2, reveal_by: 1, reveals: [{ sender: BOB, cid: "bafy" }] };
  const rows = (by: "wallet" | "node", part: Partial<JobDetail> = {}) =>
    show(<DisputeRows detail={job("confirming", { ...CONFIRMING, ...part })} seat={seat(1)} after={after} by={by} />);
  const choose = (place: HTMLElement, value: string) => {
    const select = place.querySelector("select");
    if (!select) throw new Error("there is no choice");
    select.value = value;
    act(() => void select.dispatchEvent(new Event("change")));
  };

  test("are disputed by this node's trainer, a round of its reader's choice, after a warning", async () => {
    token.set("secret");
    const answer = vi.fn(async () => Response.json({ transaction: HASH, block: 1, gas: 1 }));
    vi.stubGlobal("fetch", answer);
    const place = rows("node");
    act(() => press(place, "Dispute the rows"));
    expect(place.textContent).toContain("It is final. At 2 disputes fees and bond are burnt");
    expect([...place.querySelectorAll("option")].map((each) => each.textContent)).toEqual([
      "what was revealed",
      "the rows of round 1",
      "the rows of round 2",
      "the rows of round 3",
    ]);
    choose(place, "2");
    press(place, "for good with this node's key");
    await vi.waitFor(() => expect(place.textContent).toContain("The reference rows are disputed."));
    expect(answer.mock.calls).toMatchObject([["/api/trainers/7/dispute-rows/2", { method: "POST" }]]);
    expect(after).toHaveBeenCalledOnce();
    expect(sent).toEqual([]);
  });

  test("are disputed by the wallet of who has left, and what was revealed only once the time to reveal is over", async () => {
    const trainers = [seat(0), seat(1, { operator: ANN, status: "left" })];
    const detail = job("confirming", { ...CONFIRMING, reveal_by: 9e9 });
    const place = show(<DisputeRowsByWallet detail={detail} trainers={trainers} after={after} />);
    act(() => press(place, "Dispute the rows"));
    expect(place.textContent).not.toContain("what was revealed");
    press(place, "for good with your wallet");
    await vi.waitFor(() => expect(after).toHaveBeenCalledOnce());
    const data = encodeFunctionData({ abi: marketAbi, functionName: "disputeRows", args: [7n, 3] });
    expect(sent).toMatchObject([{ to: MARKET, data }]);
  });

  test("are not to be disputed where nobody has to reveal them", () => {
    expect(rows("node", { rows_quorum: 0, reveal_by: null }).textContent).toBe("");
  });
});

describe("who decides to join", () => {
  test("is told what the points rest on, and who made the proofs' set-up", () => {
    const said = show(<Trust summary={{ trust: "Points rest on a word.", setup: "development" }} />).textContent;
    expect(said).toBe("Points rest on a word. Proof set-up: development.");
  });
});

describe("a settled round", () => {
  test("says of each seat what it brought, also where that is nothing or less", () => {
    const judged = [
      { slot: 0, verdict: "selected", score: "3", gain: `${3n * 2n ** 39n}`, coefficient: 4096 },
      { slot: 1, verdict: "selected", score: "-1", gain: `${-(2n ** 39n)}`, coefficient: 2048 },
      { slot: 2, verdict: "left-out", score: "0", gain: "0", coefficient: 0 },
    ].map((each) => ({ ...each, operator: BOB, payee: BOB, loss: null }));
    const summary = { round: 1, status: "settled", transaction: HASH };
    const detail = { summary, judged, row_exponent: -5 } as unknown as RoundDetail;
    const place = show(<JudgedTable detail={detail} terms={TERMS} />);
    const rows = [...place.querySelectorAll("tbody tr")].map((row) => row.textContent);
    expect(rows[0]).toContain("75.0 %selectedlowered the loss by about 0.00000143100.0 %");
    expect(rows[1]).toContain("−25.0 %selectedraised the loss by about 4.8e-750.0 %");
    expect(rows[2]).toContain("0.0 %left out——");
    act(() => [...place.querySelectorAll<HTMLButtonElement>("tbody button.small")][1]?.click());
    expect(place.querySelector(".why strong")?.textContent).toContain("which counts against it");
    expect(place.querySelector(".why")?.textContent).not.toContain("something is wrong");
  });
});
