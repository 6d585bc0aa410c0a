/** What did not open and is delivered again, as readers see it: in a job, in its round, and on a trainer's own page. */
import { render, type VNode } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { JobDetail, LocalTrainer, RoundDetail, RoundSummary, Terms, TrainerFacts } from "../src/live/api";
import { node } from "../src/live/node";
import { token } from "../src/live/token";
import { Exits } from "../src/pages/exits";
import { Terms as TermsOf } from "../src/pages/job-facts";
import { Round } from "../src/pages/round";
import { Standing } from "../src/pages/standing";
import { Trainer } from "../src/pages/trainer";
import { COIN } from "../src/text/amounts";
import { HASH } from "./confirming-wallet";

const ANN = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8" as const;
const BOB = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC" as const;
const FAR = 9e9;
const TERMS = {
  token: "0x0000000000000000000000000000000000000000",
  rule: "krum-cosine",
  rounds: 4,
  min_rounds: 4,
  rate: 2 ** 40,
  rate_decay: 2 ** 32,
  scale_exponent: -3,
  settle_window: 600,
  max_missed: 3,
  max_strikes: 2,
  max_voids: 3,
} as unknown as Terms;
let jobId = 500; // one for each test: what is known of a job is kept

function job(part: Partial<JobDetail> = {}, summary: object = {}): JobDetail {
  const running = { state: "running", round: 2, submitted: 3, seats_taken: 3, submit_by: FAR, settle_by: FAR + 600 };
  const none = { takeovers: [], takeover: null, disputes: [], disputed_sum: false, end_asked: false, outcome: null };
  const rows = { disputed_rows: false, rows_disputes: [], rows_quorum: 0, reveal_by: null, reveals: [] };
  const said = { key_published: true, settled: 1, burnt: "0", exits: [], voided_out: false, voids: 1 };
  return {
    summary: { job_id: jobId, owner: BOB, rounds: 4, confirm_by: null, ...running, ...summary },
    terms: TERMS,
    ...none,
    ...rows,
    ...said,
    delivering: true,
    undelivered: [1],
    ...part,
  } as unknown as JobDetail;
}

async function show(what: VNode): Promise<HTMLElement> {
  const place = document.createElement("main");
  document.body.replaceChildren(place);
  act(() => render(what, place));
  await act(() => new Promise((done) => setTimeout(done, 20)));
  return place;
}

beforeEach(() => {
  jobId += 1;
  token.set("secret");
  node.set({ chain_id: 31337, market: BOB, rpc: null, acts_as: { address: ANN } } as NonNullable<
    ReturnType<typeof node.get>
  >);
});

afterEach(() => vi.unstubAllGlobals());

describe("a job", () => {
  test("says what did not open, that anybody may skip what nobody delivers, and how many voids it allows", async () => {
    const standing = await show(<Standing detail={job()} unit={COIN} />);
    expect(standing.textContent).toContain(": 1 update did not open, to be delivered again until");
    expect(
      (await show(<Standing detail={job({ delivering: false, undelivered: [] })} unit={COIN} />)).textContent,
    ).toBe("");
    const exits = [{ call: "skip", since: FAR + 1, text: "" }] as JobDetail["exits"];
    const said = async (detail: JobDetail) => (await show(<Exits detail={detail} after={() => {}} />)).textContent;
    expect(await said(job({ exits }))).toContain("If no update is delivered again, anyone may skip this round");
    expect(await said(job({ exits, delivering: false }))).toContain("If nobody submits, anyone may skip this round");
  });

  test("that a void has ended says so, with what is burnt", async () => {
    const detail = job({ voided_out: true, delivering: false, undelivered: [], burnt: "5" }, { state: "aborted" });
    const place = await show(<Standing detail={detail} unit={COIN} />);
    expect(place.querySelector(".notice-bad")?.textContent).toContain("the job allows no further void");
    expect(place.textContent).toContain("Burnt");
  });

  test("has the number of voids among its terms", async () => {
    const terms = { ...TERMS, reward: "1", fee: "0", stake: "0", bond: "0", takeover_window: 0, slash_bps: 0 };
    const verifiers = { gram_verifier: BOB, decision_verifier: BOB };
    const whole = job({
      terms: { ...terms, ...verifiers } as Terms,
      escrow: "0",
      fees: "0",
      spec: null,
      spec_cid: "bafy",
      transaction: HASH,
    });
    const place = await show(<TermsOf detail={whole} unit={COIN} />);
    const fact = [...place.querySelectorAll("dl.facts > div")].find((each) => each.textContent?.startsWith("Voids"));
    expect(fact?.querySelector("dd")?.textContent).toBe("3 in all");
  });
});

describe("a round", () => {
  const submission = (slot: number, cid: string) => ({
    slot,
    operator: BOB,
    commitment: HASH,
    cid,
    timestamp: 10,
    transaction: `0x${`0${slot}`.repeat(32)}`,
  });
  const VOID: RoundSummary["voids"][number] = {
    unopened: [1, 2],
    deliver_by: FAR,
    settle_by: FAR + 600,
    timestamp: 20,
    transaction: HASH,
    delivered: [{ slot: 2, operator: BOB, cid: "bafyagain", timestamp: 30, transaction: `0x${"22".repeat(32)}` }],
  };

  async function round(part: Partial<RoundSummary>, more: Partial<RoundDetail> = {}): Promise<string> {
    const summary = {
      ...{ round: 2, status: "delivering", aggregator: BOB, submit_by: FAR, settle_by: FAR + 600 },
      ...{
        submitted: [0, 2],
        undelivered: [1],
        redelivered: [],
        voids: [VOID],
        selected: [],
        gains: [],
        struck: [],
        unopened: [],
      },
      ...{ transaction: null, ...part },
    };
    const submissions = [submission(0, "bafy0"), submission(1, "bafy1"), submission(2, "bafyagain")];
    const none = { shown: [], judged: [], proof: null, proof_problem: null, gas: null, sum_cid: null };
    vi.stubGlobal("fetch", async () => Response.json({ summary, submissions, ...none, ...more }));
    jobId += 1;
    return (await show(<Round jobId={jobId} number={2} terms={TERMS} mine={undefined} />)).textContent ?? "";
  }

  test("that is void says whose updates did not open, who has delivered again, and who is still to", async () => {
    const text = await round({});
    expect(text).toContain("1 update to be delivered again");
    expect(text).toContain("the updates of seats 1 and 2 did not open, by the aggregator's word");
    expect(text).toContain("They are to be delivered again until");
    const earlier = await round({ voids: [{ ...VOID, transaction: `0x${"33".repeat(32)}` }, VOID] });
    expect(earlier).toMatch(/They were to be delivered again until.+They are to be delivered again until/);
    expect(text).toContain("Still to come: seat 1.");
    expect(await round({ voids: [{ ...VOID, unopened: [1], delivered: [] }] })).toContain(
      "the update of seat 1 did not open",
    );
  });

  test("that was never void says nothing of it", async () => {
    const text = await round({ voids: [], undelivered: [], status: "open" });
    expect(text).toContain("Open: trainers can submit");
    expect(text).not.toMatch(/void|did not open|deliver/i);
  });

  test("that is settled says of who did not deliver again that this is no missed round", async () => {
    const seat = (slot: number, verdict: string) => ({
      slot,
      verdict,
      score: "1",
      gain: "0",
      operator: BOB,
      payee: BOB,
    });
    const judged = [seat(0, "selected"), seat(1, "undelivered")] as unknown as RoundDetail["judged"];
    const text = await round({ status: "settled", transaction: HASH }, { judged });
    expect(text).toContain("They were to be delivered again until");
    expect(text).toContain("Not delivered again: seat 1.");
    expect(text).toContain("not delivered");
    expect(text).not.toContain("Still to come");
  });

  test.each([
    ["settling", "No update was delivered again in time: the round can be skipped now."],
    ["skipped", "Skipped: no update was delivered again"],
  ] as const)("that nobody delivered again and is %s says so", async (status, words) => {
    expect(await round({ status, submitted: [], undelivered: [1, 2] })).toContain(words);
    expect(await round({ status, submitted: [], undelivered: [], voids: [] })).not.toContain("delivered again");
  });

  test("that was void once too often ended the job", async () => {
    const text = await round({
      status: "ended",
      voids: [{ ...VOID, deliver_by: null, settle_by: null, delivered: [] }],
    });
    expect(text).toContain("The job allows no further void: it ended, and the reward of the round is burnt.");
    expect(text).not.toContain("to be delivered again");
  });
});

describe("a trainer's own page", () => {
  const trainer = { job_id: 0, status: "running", data: "digits", payee: ANN, device: "", seed: 0, text: "", round: 2 };
  const local = { ...trainer, done: null, problem: null, losses: [], results: [] } as LocalTrainer;
  const own = { slot: 1, operator: ANN, payee: ANN, status: "active", member: true, missed: 0, strikes: 0, opened: 1 };
  const seat = {
    ...own,
    submitted: [1, 2],
    selected: [1],
    struck: [],
    balance: "0",
    pay: "0",
  } as unknown as TrainerFacts;

  async function page(detail: JobDetail): Promise<string> {
    vi.stubGlobal("fetch", async (path: string) => Response.json(path.endsWith("/trainers") ? [seat] : []));
    const mine = { ...local, job_id: detail.summary.job_id };
    const place = await show(<Trainer trainer={mine} detail={detail} reload={() => {}} left={() => {}} />);
    return place.textContent ?? "";
  }

  test("says that its update is asked for again, and until when; nobody leaves meanwhile", async () => {
    const text = await page(job());
    expect(text).toContain("The aggregator could not open your update of round 2. It is to be delivered again until");
    expect(text).toContain("to deliver this round's update again");
    expect(text).not.toContain("Leave the job");
  });

  test("says that others are waited for, and nothing once all have delivered", async () => {
    const others = await page(job({ undelivered: [0] }));
    expect(others).toContain("for updates of others that are delivered again");
    expect(others).not.toContain("could not open your update");
    jobId += 1;
    const usual = await page(job({ delivering: false, undelivered: [] }));
    expect(usual).toContain("then your node delivers what opens your update");
    expect(usual).toContain("Leave the job");
  });
});
