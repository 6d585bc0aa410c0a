/** The calls that anyone may send once a deadline has passed: nobody can lock money by vanishing. */

import { useState } from "preact/hooks";
import { encodeFunctionData, type Hex } from "viem";
import { marketAbi } from "../generated/market";
import { ApiError, type Exit, type JobDetail, post } from "../live/api";
import { useNow } from "../live/clock";
import { useNode, useToken } from "../live/node";
import { Countdown, Notice, Transaction } from "../ui/parts";
import { Progress, useTransaction, WalletChooser } from "../ui/wallet";
import { useWallet } from "../wallet/wallet";

const CALLS = { start: "start", cancel: "cancel", abort: "abort", skip: "skipRound", complete: "complete" } as const;
const LABELS = {
  start: "Start the job",
  cancel: "Cancel the job",
  abort: "Abort the job",
  skip: "Skip this round",
  complete: "Complete the job",
};

const BEFORE = {
  start: "Anyone may start the job",
  cancel: "If it cannot start by then, anyone may cancel the job",
  skip: "If nobody submits, anyone may skip this round",
  abort: "If the aggregator misses its deadline, anyone may abort the job",
  complete: "If its trainers have not ended it by then, anyone may complete the job",
};

const BY_OWNER: Exit = {
  call: "cancel",
  since: 0,
  text: "As the owner you can cancel while the job is open: all money goes back.",
};

export function Exits({ detail, after }: { detail: JobDetail; after: () => void }) {
  const wallet = useWallet();
  const now = useNow();
  const owner = wallet?.account.toLowerCase() === detail.summary.owner.toLowerCase();
  const anyones = detail.exits.filter((exit) => !owner || exit.call !== "cancel");
  const offered = owner && detail.summary.state === "open" ? [...anyones, BY_OWNER] : anyones;
  return (
    <>
      {offered.map((exit) =>
        exit.since <= now ? (
          <Due key={exit.call} exit={exit} jobId={detail.summary.job_id} after={after} />
        ) : (
          <p key={exit.call} class="muted">
            {exit.call === "abort" && detail.takeover
              ? "If the aggregator misses its deadline and nobody takes over, anyone may abort the job"
              : BEFORE[exit.call]}{" "}
            in <Countdown to={exit.since} />.
          </p>
        ),
      )}
    </>
  );
}

function Due({ exit, jobId, after }: { exit: Exit; jobId: number; after: () => void }) {
  const node = useNode();
  const token = useToken();
  const wallet = useWallet();
  const { step, run, busy } = useTransaction();
  const [sending, setSending] = useState(false);
  const [ended, setEnded] = useState<{ hash?: string; problem?: string } | null>(null);
  const [choosing, setChoosing] = useState(false);
  const byWallet = async () => {
    if (!node) return;
    const data = encodeFunctionData({ abi: marketAbi, functionName: CALLS[exit.call], args: [BigInt(jobId)] });
    const last = await run({ to: node.market as Hex, data, value: 0n });
    if (last.at === "done") after();
  };
  const byNode = async () => {
    setSending(true);
    try {
      const done = await post("/api/jobs/{job_id}/calls/{call}", undefined, { job_id: jobId, call: exit.call });
      setEnded({ hash: done.transaction });
      after();
    } catch (error) {
      setEnded({ problem: error instanceof ApiError ? error.detail : String(error) });
    }
    setSending(false);
  };
  return (
    <div class="exit">
      <p>{exit.text}</p>
      <p class="actions">
        {wallet ? (
          <button type="button" onClick={byWallet} disabled={busy || sending}>
            {LABELS[exit.call]} with your wallet
          </button>
        ) : (
          <button type="button" class={token ? "quiet" : ""} onClick={() => setChoosing(true)}>
            {LABELS[exit.call]} with a wallet
          </button>
        )}
        {token && node?.acts_as && exit !== BY_OWNER && (
          <button type="button" class={wallet ? "quiet" : ""} onClick={byNode} disabled={busy || sending}>
            {sending ? "Sends…" : `${LABELS[exit.call]} with this node's key`}
          </button>
        )}
      </p>
      {choosing && !wallet && <WalletChooser purpose="or use this node's key" />}
      <Progress step={step} what="Done." />
      {ended?.problem && <Notice kind="bad">{ended.problem}</Notice>}
      {ended?.hash && (
        <Notice kind="good">
          Done. <Transaction hash={ended.hash} />
        </Notice>
      )}
    </div>
  );
}
