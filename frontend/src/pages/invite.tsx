/** For the gate of a job by invitation: makes tickets, with the node's own key or in the wallet, and links to join by. */
import { useState } from "preact/hooks";
import { getAddress, type Hex, isAddressEqual } from "viem";
import { type JobDetail, post } from "../live/api";
import { useNow } from "../live/clock";
import { useNode } from "../live/node";
import { isAddress } from "../text/draft";
import { linkOf, signatureOf, toSign, writeTicket } from "../text/ticket";
import { parseDuration } from "../text/time";
import { useAttempt } from "../ui/attempt";
import { useHolder } from "../ui/holder";
import { Copy, Notice, Term, When } from "../ui/parts";
import { WalletChooser } from "../ui/wallet";
import { explain } from "../wallet/refusals";
import { refresh, switchChain, useWallet, type Wallet } from "../wallet/wallet";

/** Seconds, as the node has it. */
const MOST_VALID = 366 * 86_400;

type Made = { text: string; operator: string; expiry: number };

export function Invite({ detail }: { detail: JobDetail }) {
  const { summary, terms } = detail;
  const jobId = summary.job_id;
  const node = useNode();
  const holder = useHolder();
  const wallet = useWallet();
  const { working, problem, setProblem, attempt } = useAttempt();
  const [operator, setOperator] = useState("");
  const [valid, setValid] = useState("7 d");
  const [made, setMade] = useState<Made | null>(null);
  const now = useNow();
  const gate = terms.gate as Hex | null;
  if (!gate || !node || summary.state !== "open") return null;
  const { byNode, byWallet } = holder(gate);
  if (!byNode && !byWallet)
    return wallet ? null : (
      <details>
        <summary>Do you invite to this job?</summary>
        <WalletChooser purpose="with the account that is the job's gate" />
      </details>
    );

  const seconds = parseDuration(valid);
  const whom = operator.trim();
  const ready = isAddress(whom) && seconds !== null && seconds <= MOST_VALID;

  const invite = async () => {
    if (!ready || seconds === null) return;
    setMade(null);
    if (byNode) {
      const found = await post(
        "/api/jobs/{job_id}/invitations",
        { operator: whom, valid_for: seconds },
        { job_id: jobId },
      );
      return setMade({ text: found.ticket, operator: found.operator, expiry: found.expiry });
    }
    if (!wallet) return;
    const door = { chainId: node.chain_id, market: node.market, jobId, termsHash: detail.terms_hash };
    const expiry = now + seconds;
    const signature = await signed(wallet, gate, toSign(door, getAddress(whom.toLowerCase()), expiry), node);
    if ("problem" in signature) return setProblem(signature.problem);
    setMade({ text: writeTicket({ jobId, operator: whom as Hex, expiry, ...signature }), operator: whom, expiry });
  };
  return (
    <section>
      <h2>Invite trainers</h2>
      <p>
        You are the <Term word="gate" /> of this job: only who has a <Term word="ticket" /> of yours can join. Ask each
        trainer for the address of its node. A ticket lets in nobody else, and costs no gas.
      </p>
      <form
        class="actions"
        onSubmit={(event) => {
          event.preventDefault();
          attempt(invite);
        }}
      >
        <label>
          The node's address
          <input
            value={operator}
            placeholder="0x…"
            size={44}
            onInput={(event) => {
              setOperator(event.currentTarget.value);
              setMade(null);
            }}
          />
        </label>
        <label>
          Good for
          <input value={valid} size={8} onInput={(event) => setValid(event.currentTarget.value)} />
        </label>
        <button type="submit" disabled={working || !ready}>
          {working ? "Signs…" : byNode ? "Make a ticket" : "Sign a ticket in your wallet"}
        </button>
      </form>
      {problem && <Notice kind="bad">{problem}</Notice>}
      {made && (
        <Notice kind="good">
          <p>
            Give this to who runs {made.operator}. It is good until <When unix={made.expiry} />.
          </p>
          <p class="actions">
            <Copy value={made.text} what="the ticket" />{" "}
            <Copy value={linkOf(made.text, jobId, location.origin)} what="the link" />
          </p>
          <p class="hint">
            The link is for a page at this address; on a node with another one, paste the ticket there.
          </p>
        </Notice>
      )}
    </section>
  );
}

type Place = { chain_id: number; rpc: string | null };

/** The gate's signature by its wallet, on the market's chain: some wallets refuse to sign for another. */
async function signed(
  held: Wallet,
  gate: Hex,
  data: string,
  { chain_id: chainId, rpc }: Place,
): Promise<{ signature: Hex } | { problem: string }> {
  try {
    const now = await refresh(held);
    if (!now || !isAddressEqual(now.account, gate))
      return { problem: "The wallet's account changed; look again, then retry." };
    const elsewhere = now.chainId === chainId ? null : await switchChain(now, chainId, rpc);
    if (elsewhere) return { problem: elsewhere };
    const given = await now.provider.request({ method: "eth_signTypedData_v4", params: [now.account, data] });
    const signature = signatureOf(given);
    return signature ? { signature } : { problem: "The wallet gave no signature; try again." };
  } catch (error) {
    return { problem: explain(error) };
  }
}
