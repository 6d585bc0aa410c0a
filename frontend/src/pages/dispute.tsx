/** A trainer's word against the last sum: asked for twice, because it is final and can cost the aggregator its bond. */
import { useState } from "preact/hooks";
import { encodeFunctionData, type Hex } from "viem";
import { marketAbi } from "../generated/market";
import { ApiError, type JobDetail, post, type TrainerFacts } from "../live/api";
import { useNow } from "../live/clock";
import { useNode } from "../live/node";
import { mayDispute, subjectOf } from "../text/standing";
import { Notice, Term, Transaction } from "../ui/parts";
import { Progress, useTransaction } from "../ui/wallet";
import { useWallet } from "../wallet/wallet";

type Props = { detail: JobDetail; seat: TrainerFacts | undefined; after: () => void };

/** For a seat whose operator is the browser's wallet. */
export function DisputeByWallet({
  detail,
  trainers,
  after,
}: {
  detail: JobDetail;
  trainers: TrainerFacts[];
  after: () => void;
}) {
  const wallet = useWallet();
  const node = useNode();
  const { step, run, busy } = useTransaction();
  const seat = trainers.find(
    (each) => each.status === "active" && each.operator.toLowerCase() === wallet?.account.toLowerCase(),
  );
  const send = async () => {
    if (!node) return;
    const args = [BigInt(detail.summary.job_id)] as const;
    const data = encodeFunctionData({ abi: marketAbi, functionName: "dispute", args });
    const last = await run({ to: node.market as Hex, data, value: 0n });
    if (last.at === "done") after();
  };
  return (
    <>
      <Asked detail={detail} seat={seat} send={send} busy={busy} />
      <Progress step={step} what="Disputed." />
    </>
  );
}

/** For the seat of this node's own trainer. */
export function DisputeByNode({ detail, seat, after }: Props) {
  const [busy, setBusy] = useState(false);
  const [ended, setEnded] = useState<{ hash?: string; problem?: string } | null>(null);
  const send = async () => {
    setBusy(true);
    try {
      const done = await post("/api/trainers/{job_id}/dispute", undefined, { job_id: detail.summary.job_id });
      setEnded({ hash: done.transaction });
      after();
    } catch (error) {
      setEnded({ problem: error instanceof ApiError ? error.detail : String(error) });
    }
    setBusy(false);
  };
  return (
    <>
      <Asked detail={detail} seat={seat} send={send} busy={busy} />
      {ended?.problem && <Notice kind="bad">{ended.problem}</Notice>}
      {ended?.hash && (
        <Notice kind="good">
          Disputed. <Transaction hash={ended.hash} />
        </Notice>
      )}
    </>
  );
}

type AskedProps = {
  detail: JobDetail;
  seat: TrainerFacts | undefined;
  send: () => Promise<void>;
  busy: boolean;
};

function Asked({ detail, seat, send, busy }: AskedProps) {
  const now = useNow();
  const [asking, setAsking] = useState(false);
  if (!mayDispute(detail, seat, now)) return null;
  const { summary, quorum } = detail;
  const about = subjectOf({ round: summary.round, confirming: summary.state === "confirming" });
  if (!asking)
    return (
      <p class="muted">
        Is {about} not to be had, or does it not open?{" "}
        <button type="button" class="quiet small" onClick={() => setAsking(true)} disabled={busy}>
          Dispute it
        </button>{" "}
        <Term word="dispute">
          ?<span class="visually-hidden"> What does it mean</span>
        </Term>
      </p>
    );
  const dispute = async () => {
    await send();
    setAsking(false);
  };
  return (
    <Notice kind="warn">
      <p>
        A trainer's node disputes by itself where it has to. Do it here only if you know that {about} is not to be had,
        or does not open.
      </p>
      <p>
        It is final. At {quorum} {quorum === 1 ? "dispute" : "disputes"} the job ends: stakes and what is left of the
        owner's money go back, and the aggregator's bond{detail.fee_due && " and its due fee"} is burnt. Nobody gets it,
        and neither do you.
      </p>
      <div class="actions">
        <button type="button" onClick={dispute} disabled={busy}>
          {busy ? "Disputes…" : "Dispute for good"}
        </button>
        <button type="button" class="quiet" onClick={() => setAsking(false)} disabled={busy}>
          Do not dispute
        </button>
      </div>
    </Notice>
  );
}
