/** What this node holds of a job that others cannot read: its model, and the owner's validation data. */
import { useState } from "preact/hooks";
import { type Hex, isAddressEqual } from "viem";
import { file, get, type JobDetail, post } from "../live/api";
import { useNode, useToken } from "../live/node";
import { ofJob, useResource } from "../live/resource";
import { isOver } from "../text/standing";
import { useAttempt } from "../ui/attempt";
import { downloadBlob, Hex as HexView, Notice, Term, Transaction } from "../ui/parts";
import { Progress, useTransaction } from "../ui/wallet";
import { announcement } from "../wallet/creation";
import { useWallet } from "../wallet/wallet";
import { HandOver } from "./hand-over";

export function Own({ detail, settled, after }: { detail: JobDetail; settled: number; after: () => void }) {
  const jobId = detail.summary.job_id;
  const token = useToken();
  const wallet = useWallet();
  const part = useResource(
    token ? `own part ${jobId}` : null,
    () => get("/api/jobs/{job_id}/own", { job_id: jobId }),
    ofJob(jobId),
  ).data;
  const model = part?.job_key === true && settled > 0;
  const byWallet = wallet !== null && isAddressEqual(wallet.account, detail.summary.owner as Hex);
  const reveal = part?.can_reveal === true && !detail.revealed && (part.owner || byWallet);
  return (
    <>
      <HandOver key={detail.takeovers.length} detail={detail} part={part} after={after} />
      {(model || reveal || detail.revealed) && (
        <section>
          <h2>Model and validation data</h2>
          {model && <Model jobId={jobId} over={isOver(detail.summary.state)} />}
          {reveal && <Reveal jobId={jobId} byNode={part.owner} after={after} />}
          {detail.revealed && (
            <p>
              The owner has revealed the validation data: whoever holds the job key can repeat how each round was
              judged. <Term word="CID" /> <HexView value={detail.revealed} what="content id of what was revealed" />
            </p>
          )}
        </section>
      )}
    </>
  );
}

function Model({ jobId, over }: { jobId: number; over: boolean }) {
  const { working, problem, attempt } = useAttempt();
  const save = async () => {
    const { name, content } = await file("/api/jobs/{job_id}/model", { job_id: jobId });
    downloadBlob(name, content);
  };
  return (
    <>
      <p>This node holds the job key: it can rebuild the model from the rounds' sums, as a safetensors file.</p>
      <p class="actions">
        <button type="button" class={over ? "" : "quiet"} onClick={() => attempt(save)} disabled={working}>
          {working ? "Rebuilds the model…" : over ? "Download the final model" : "Download the model so far"}
        </button>
      </p>
      {problem && <Notice kind="bad">{problem}</Notice>}
    </>
  );
}

function Reveal({ jobId, byNode, after }: { jobId: number; byNode: boolean; after: () => void }) {
  const node = useNode();
  const { step, run, busy } = useTransaction();
  const [asking, setAsking] = useState(false);
  const { working, problem, setProblem, attempt } = useAttempt();
  const [hash, setHash] = useState<string | null>(null);
  const send = async () => {
    if (!node) return;
    if (byNode) {
      setHash((await post("/api/jobs/{job_id}/reveal", undefined, { job_id: jobId })).transaction);
      return after();
    }
    const prepared = await post("/api/jobs/{job_id}/reveal/prepare", undefined, { job_id: jobId });
    const call = announcement(prepared, "revealValidation", jobId, node.market as Hex);
    if (!call) return setProblem("What the node prepared does not reveal this job's data. Nothing was sent.");
    const last = await run(call);
    if (last.at === "done") after();
  };
  const reveal = async () => {
    await attempt(send);
    setAsking(false);
  };
  return (
    <>
      <p>
        The owner's validation data are kept on this machine. Once they are revealed, auditors can repeat how each round
        was judged.
      </p>
      {asking ? (
        <Notice kind="warn">
          <p>Everybody will be able to read these data, for good.</p>
          <div class="actions">
            <button type="button" onClick={reveal} disabled={working || !node}>
              {working ? "Reveals…" : `Make them public${byNode ? "" : " with your wallet"}`}
            </button>
            <button type="button" class="quiet" onClick={() => setAsking(false)} disabled={working}>
              Keep them
            </button>
          </div>
        </Notice>
      ) : (
        <button type="button" class="quiet" onClick={() => setAsking(true)} disabled={busy}>
          Reveal the validation data
        </button>
      )}
      {problem && <Notice kind="bad">{problem}</Notice>}
      <Progress step={step} what="Revealed." />
      {hash && (
        <Notice kind="good">
          Revealed. <Transaction hash={hash} />
        </Notice>
      )}
    </>
  );
}
