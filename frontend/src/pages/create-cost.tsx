/** What a job costs, and the way to it: the node publishes the description, the page compares, the wallet signs. */
import { useState } from "preact/hooks";
import { getAddress, type Hex } from "viem";
import { ApiError, get, post } from "../live/api";
import { useNode } from "../live/node";
import { go, Link } from "../router";
import { formatAmount, parseAmount, SMALLEST, type Unit, ZERO_ADDRESS } from "../text/amounts";
import { costOf, type Draft, documentOf, forget, type Mistakes } from "../text/draft";
import { parseDuration, parseWait } from "../text/time";
import { download, Notice, Term } from "../ui/parts";
import { Progress, useTransaction, WalletChooser } from "../ui/wallet";
import { differences } from "../wallet/creation";

const WEI: Unit = { symbol: "wei", decimals: 0 };

type Props = { draft: Draft; mistakes: Mistakes; unit: Unit; touch: () => void; wallet: Hex | null };

export function Cost({ draft, mistakes, unit, touch, wallet }: Props) {
  const node = useNode();
  const transaction = useTransaction();
  const [problem, setProblem] = useState<string | null>(null);
  const [stage, setStage] = useState<"" | "file" | "prepare" | "sign">("");
  const [what, setWhat] = useState("Done.");
  const cost = costOf(draft, unit);
  const wrong = Object.values(mistakes);
  const coin = !draft.token;

  const guarded = async (next: typeof stage, work: () => Promise<void>) => {
    touch();
    setProblem(null);
    transaction.reset();
    if (wrong.length) return;
    setStage(next);
    try {
      await work();
    } catch (error) {
      setProblem(error instanceof ApiError ? error.detail : String(error));
    }
    setStage("");
  };

  const file = () =>
    guarded("file", async () => {
      const preview = await post("/api/jobs/preview", { document: documentOf(draft, unit) });
      download("job.yaml", "application/yaml", preview.yaml);
    });

  const create = () =>
    guarded("prepare", async () => {
      if (!wallet || !node || cost === null) return;
      const validation = draft.validation || null;
      const prepared = await post("/api/jobs/prepare", {
        document: documentOf(draft, unit),
        owner: getAddress(wallet),
        validation,
      });
      const amount = (text: string) => parseAmount(text, unit) ?? 0n;
      const odd = differences(
        prepared.calls,
        {
          token: (draft.token || ZERO_ADDRESS) as Hex,
          reward: amount(draft.reward),
          fee: amount(draft.fee),
          stake: amount(draft.stake),
          bond: amount(draft.bond),
          rounds: Number(draft.rounds),
          minTrainers: Number(draft.minTrainers),
          maxTrainers: Number(draft.maxTrainers),
          maxFaulty: Number(draft.maxFaulty),
          submitWindow: parseDuration(draft.submitWindow) ?? 0,
          settleWindow: parseDuration(draft.settleWindow) ?? 0,
          takeoverWindow: parseWait(draft.takeoverWindow) ?? 0,
          aggregator: (draft.aggregator || null) as Hex | null,
        },
        node.market as Hex,
      );
      if (odd.length) {
        setProblem(`What the node prepared is not what this form says (${odd.join(", ")}). Nothing was sent.`);
        return;
      }
      setStage("sign");
      for (const call of prepared.calls) {
        setWhat(`${call.text}: done.`);
        const last = await transaction.run({ to: call.to as Hex, data: call.data as Hex, value: BigInt(call.value) });
        if (last.at !== "done") return;
        const log = last.logs.find((each) => each.address.toLowerCase() === node.market.toLowerCase());
        const jobId = log?.topics[1];
        if (jobId) await shown(Number(BigInt(jobId)));
      }
    });

  const byNode = () =>
    guarded("prepare", async () => {
      const made = await post("/api/jobs", { document: documentOf(draft, unit), validation: draft.validation || null });
      await shown(made.job_id);
    });

  const working = stage !== "" || transaction.busy;
  return (
    <section class="cost" aria-label="Cost">
      <h2>What it costs</h2>
      <p class="total number" role="status">
        {cost === null ? "—" : formatAmount(cost, unit)}
      </p>
      {cost !== null && (
        <p class="muted">
          {draft.rounds} rounds × ({draft.reward} reward + {draft.fee} fee)
          {unit.decimals > 0 && ` = ${formatAmount(cost, coin ? WEI : SMALLEST)}`}. It goes into <Term word="escrow" />,
          and what rounds do not use comes back to you. Your wallet adds the gas.
        </p>
      )}
      {wrong.length > 0 && (
        <p class="mistake">
          {wrong.length === 1 ? "One field needs" : `${wrong.length} fields need`} a look: {wrong[0]}
        </p>
      )}
      <WalletChooser purpose="or let this node's key pay, or download the file for the command line" />
      <div class="actions">
        <button type="button" onClick={create} disabled={working || !wallet || !node}>
          {stage === "prepare"
            ? "Publishes the description…"
            : `Create and escrow ${cost === null ? "" : formatAmount(cost, unit)}`}
        </button>
        {node?.acts_as && !wallet && (
          <button type="button" class="quiet" onClick={byNode} disabled={working}>
            Create with this node's key
          </button>
        )}
        <button type="button" class="quiet" onClick={file} disabled={working}>
          Download as YAML
        </button>
      </div>
      {stage === "prepare" && (
        <p class="hint" role="status">
          The node publishes the description, and the contracts that check its proofs where it knows none. The first
          time takes a minute.
        </p>
      )}
      {problem && <Notice kind="bad">{problem}</Notice>}
      <Progress step={transaction.step} what={what} />
      <p class="hint">
        Before your wallet opens, the page decodes the call and compares it with this form. See{" "}
        <Link to="/">other jobs</Link> for usual terms.
      </p>
    </section>
  );
}

async function shown(jobId: number): Promise<void> {
  forget();
  await listed(jobId);
  go(`/job/${jobId}`);
}

const TRIES = 20;

/** Waits until the node's index has the job, a few seconds at most. */
async function listed(jobId: number): Promise<void> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const { items } = await get("/api/jobs", { sort: "newest", limit: 1 });
    if ((items[0]?.job_id ?? 0) >= jobId) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
