/** A trainer's word against the last sum: asked for twice, because it is final and can cost the aggregator its bond. */
import { useState } from "preact/hooks";
import { encodeFunctionData, type Hex } from "viem";
import { marketAbi } from "../generated/market";
import { ApiError, type JobDetail, post, type TrainerFacts } from "../live/api";
import { useNow } from "../live/clock";
import { useNode } from "../live/node";
import { plural } from "../text/amounts";
import { LESSER, mayDispute, mayDisputeRows, subjectOf } from "../text/standing";
import { Notice, Term, Transaction } from "../ui/parts";
import { Send } from "../ui/send";
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
    const last = await run({ to: node.market as Hex, data, value: 0n }, `Dispute in job ${detail.summary.job_id}`);
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

/** For a member whose operator is the browser's wallet, also one that has left. */
export function DisputeRowsByWallet({ detail, trainers, after }: Omit<Props, "seat"> & { trainers: TrainerFacts[] }) {
  const account = useWallet()?.account.toLowerCase();
  const seat = trainers.find((each) => each.member && each.operator.toLowerCase() === account);
  return <DisputeRows detail={detail} seat={seat} after={after} by="wallet" />;
}

/** A member's word against what the points rest on. */
export function DisputeRows({ detail, seat, after, by }: Props & { by: "wallet" | "node" }) {
  const now = useNow();
  const [asking, setAsking] = useState(false);
  const [done, setDone] = useState(false);
  const [round, setRound] = useState(detail.summary.round);
  if (done) return <Notice kind="good">The reference rows are disputed.</Notice>;
  if (!mayDisputeRows(detail, seat, now)) return null;
  const { summary, rows_quorum: quorum, reveal_by } = detail;
  const jobId = summary.job_id;
  if (!asking)
    return (
      <p class="muted">
        Do the points rest on wrong reference rows?{" "}
        <button type="button" class="quiet small" onClick={() => setAsking(true)}>
          Dispute the rows
        </button>{" "}
        <Term word="reference rows">
          ?<span class="visually-hidden"> What are they</span>
        </Term>
      </p>
    );
  const rounds = Array.from({ length: summary.round }, (_, at) => at + 1);
  return (
    <Notice kind="warn">
      <p>
        A trainer's node recomputes the rows, and disputes by itself where it has to. Do it here only if you know that
        they are wrong.
      </p>
      <label class="inline">
        What is wrong
        <select value={round} onChange={(event) => setRound(Number(event.currentTarget.value))}>
          {reveal_by !== null && now > reveal_by && <option value={0}>what was revealed</option>}
          {rounds.map((each) => (
            <option key={each} value={each}>
              the rows of round {each}
            </option>
          ))}
        </select>
      </label>
      <p>
        It is final. At {plural(quorum, "dispute")} {LESSER} Nobody gets what is burnt, and neither do you.
      </p>
      <Send
        label="Dispute the rows for good"
        text={`Dispute of rows in job ${jobId}`}
        data={() => encodeFunctionData({ abi: marketAbi, functionName: "disputeRows", args: [BigInt(jobId), round] })}
        byNode={() => post("/api/trainers/{job_id}/dispute-rows/{round}", undefined, { job_id: jobId, round })}
        after={() => {
          setDone(true);
          after();
        }}
        wallets={by === "wallet"}
        nodes={by === "node"}
      />
      <button type="button" class="quiet" onClick={() => setAsking(false)}>
        Do not dispute
      </button>
    </Notice>
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
        Is {about} missing, or does it not open?{" "}
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
        A trainer's node disputes by itself where it has to. Do it here only if you know that {about} cannot be fetched,
        or does not open.
      </p>
      <p>
        It is final. At {quorum} {quorum === 1 ? "dispute" : "disputes"} the aggregator's bond
        {detail.fees === "0" ? " is" : " and all fees are"} burnt
        {summary.state === "running" && ", and no round follows"}. Nobody gets them, and neither do you. What trainers
        have earned stays.
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
