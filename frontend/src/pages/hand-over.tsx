/** For an owner who signs in a wallet: gives an aggregator that has taken over what this node holds for it. */
import { type Hex, isAddressEqual } from "viem";
import { type JobDetail, type OwnPart, post } from "../live/api";
import { useNode } from "../live/node";
import { useAttempt } from "../ui/attempt";
import { Notice } from "../ui/parts";
import { Progress, useTransaction, WalletChooser } from "../ui/wallet";
import { announcement } from "../wallet/creation";
import { useWallet } from "../wallet/wallet";

type Props = { detail: JobDetail; part: OwnPart | undefined; after: () => void };

export function HandOver({ detail, part, after }: Props) {
  const { job_id: jobId, owner } = detail.summary;
  const node = useNode();
  const wallet = useWallet();
  const { step, run, busy } = useTransaction();
  const { working, problem, setProblem, attempt } = useAttempt();
  // Where the node's own key is the owner, it hands over by itself.
  const waits = part?.can_hand_over === true && !part.owner && step.at !== "done";
  if (!waits && step.at === "idle") return null;
  const byOwner = wallet !== null && isAddressEqual(wallet.account, owner as Hex);
  const send = async () => {
    if (!node) return;
    const prepared = await post("/api/jobs/{job_id}/hand-over/prepare", undefined, { job_id: jobId });
    const call = announcement(prepared, "handOver", jobId, node.market as Hex);
    if (!call) return setProblem("What the node prepared does not hand this job's data over. Nothing was sent.");
    const last = await run(call, `Hand over in job ${jobId}`);
    if (last.at === "done") after();
  };
  return (
    <section>
      <h2>Hand over</h2>
      {waits && (
        <>
          <p>
            Another aggregator has taken this job over and waits for{" "}
            {part.validation ? "your validation data" : "the job key"}.
          </p>
          {byOwner ? (
            <button type="button" onClick={() => attempt(send)} disabled={working || busy || !node}>
              {working ? "Hands over…" : "Hand over with your wallet"}
            </button>
          ) : wallet ? (
            <Notice kind="warn">Only the job's owner can hand over: switch your wallet to the owner's account.</Notice>
          ) : (
            <WalletChooser purpose="with the account that created the job" />
          )}
        </>
      )}
      {problem && <Notice kind="bad">{problem}</Notice>}
      <Progress step={step} what="Handed over." />
    </section>
  );
}
