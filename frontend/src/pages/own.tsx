/** What this node holds of a job that others cannot read: its model, and the owner's validation data. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { type Hex, isAddressEqual } from "viem";
import { file, get, type JobDetail, type OwnPart, post } from "../live/api";
import { useNode, useToken } from "../live/node";
import { ofJob, useResource } from "../live/resource";
import { isOver, LESSER } from "../text/standing";
import { useAttempt } from "../ui/attempt";
import { downloadBlob, Hex as HexView, Notice, Term, Transaction } from "../ui/parts";
import { Progress, useTransaction } from "../ui/wallet";
import { announcement } from "../wallet/creation";
import { useWallet } from "../wallet/wallet";
import { HandOver } from "./hand-over";

/** undefined where this tab may not ask. */
export function useOwnPart(jobId: number): OwnPart | undefined {
  const token = useToken();
  return useResource(
    token ? `own part ${jobId}` : null,
    () => get("/api/jobs/{job_id}/own", { job_id: jobId }),
    ofJob(jobId),
  ).data;
}

type Props = { detail: JobDetail; part: OwnPart | undefined; after: () => void };

export function Own({ detail, part, after }: Props) {
  const jobId = detail.summary.job_id;
  const wallet = useWallet();
  // Of a job that is over the model's card has it.
  const model = part?.job_key === true && detail.settled > 0 && !isOver(detail.summary.state);
  const byWallet = wallet !== null && isAddressEqual(wallet.account, detail.summary.owner as Hex);
  const mine = part?.owner === true || byWallet;
  const reveal = mine && part?.can_reveal === true && !detail.revealed;
  const byOwner = detail.reveals.some(({ sender }) => isAddressEqual(sender as Hex, detail.summary.owner as Hex));
  const toMembers = mine && part?.can_reveal_to_members === true && !byOwner;
  return (
    <>
      <HandOver key={detail.takeovers.length} detail={detail} part={part} after={after} />
      {(model || toMembers || reveal || detail.revealed) && (
        <section>
          <h2>Model and validation data</h2>
          {model && <DownloadModel jobId={jobId} over={false} />}
          {toMembers && (
            <Reveal key="members" jobId={jobId} to={MEMBERS} byNode={part.owner} after={after}>
              {detail.reveals.length === 0
                ? `The job's members wait for the owner's validation data, which are kept on this machine. If nobody reveals them, ${LESSER}`
                : "The aggregator has said where the validation data are. They are kept on this machine, too: where what it revealed is wrong, reveal them yourself."}
            </Reveal>
          )}
          {reveal && (
            <Reveal key="all" jobId={jobId} to={ALL} byNode={part.owner} after={after}>
              The owner's validation data are kept on this machine. Once they are revealed, auditors can repeat how each
              round was judged.
            </Reveal>
          )}
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

export function DownloadModel({ jobId, over }: { jobId: number; over: boolean }) {
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

/** Who will see the data. The node is asked by it too: it refuses what the job's state does not allow. */
const MEMBERS = {
  path: "/api/jobs/{job_id}/reveal-to-members",
  call: "reveal",
  warning: "Every member will be able to read these data, and to keep them.",
  button: "Reveal the validation data to the members",
  sure: "Show them to the members",
} as const;
const ALL = {
  path: "/api/jobs/{job_id}/reveal",
  call: "revealValidation",
  warning: "Everybody will be able to read these data, for good.",
  button: "Reveal the validation data",
  sure: "Make them public",
} as const;

type RevealProps = {
  jobId: number;
  to: typeof MEMBERS | typeof ALL;
  byNode: boolean;
  after: () => void;
  children: ComponentChildren;
};

function Reveal({ jobId, to, byNode, after, children }: RevealProps) {
  const node = useNode();
  const { step, run, busy } = useTransaction();
  const [asking, setAsking] = useState(false);
  const { working, problem, setProblem, attempt } = useAttempt();
  const [hash, setHash] = useState<string | null>(null);
  const send = async () => {
    if (!node) return;
    if (byNode) {
      setHash((await post(to.path, undefined, { job_id: jobId })).transaction);
      return after();
    }
    const prepared = await post(`${to.path}/prepare`, undefined, { job_id: jobId });
    const call = announcement(prepared, to.call, jobId, node.market as Hex);
    if (!call) return setProblem("What the node prepared does not reveal this job's data. Nothing was sent.");
    const last = await run(call, `Reveal the validation data of job ${jobId}`);
    if (last.at === "done") after();
  };
  const reveal = async () => {
    await attempt(send);
    setAsking(false);
  };
  return (
    <>
      <p>{children}</p>
      {asking ? (
        <Notice kind="warn">
          <p>{to.warning}</p>
          <div class="actions">
            <button type="button" onClick={reveal} disabled={working || !node}>
              {working ? "Reveals…" : `${to.sure}${byNode ? "" : " with your wallet"}`}
            </button>
            <button type="button" class="quiet" onClick={() => setAsking(false)} disabled={working}>
              Keep them
            </button>
          </div>
        </Notice>
      ) : (
        <button type="button" class="quiet" onClick={() => setAsking(true)} disabled={busy}>
          {to.button}
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
