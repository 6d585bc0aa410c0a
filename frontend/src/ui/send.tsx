/** A call that is sent with the browser's wallet or with this node's key, as its reader likes. */
import { useState } from "preact/hooks";
import type { Hex } from "viem";
import { ApiError, type Done } from "../live/api";
import { useNode, useToken } from "../live/node";
import { useWallet } from "../wallet/wallet";
import { Notice, Transaction } from "./parts";
import { Progress, useTransaction, WalletChooser } from "./wallet";

type Props = {
  label: string;
  /** What it does, for the list of what was sent. */
  text: string;
  /** The call, encoded for the market. */
  data: () => Hex;
  byNode: () => Promise<Done>;
  after: () => void;
  /** Who may send it; anybody, unless said otherwise. */
  wallets?: boolean;
  nodes?: boolean;
  done?: string;
};

export function Send({ label, text, data, byNode, after, wallets = true, nodes = true, done = "Done." }: Props) {
  const node = useNode();
  const token = useToken();
  const wallet = useWallet();
  const { step, run, busy } = useTransaction();
  const [sending, setSending] = useState(false);
  const [ended, setEnded] = useState<{ hash?: string; problem?: string } | null>(null);
  const [choosing, setChoosing] = useState(false);
  const withWallet = async () => {
    if (!node) return;
    const last = await run({ to: node.market as Hex, data: data(), value: 0n }, text);
    if (last.at === "done") after();
  };
  const withNode = async () => {
    setSending(true);
    try {
      setEnded({ hash: (await byNode()).transaction });
      after();
    } catch (error) {
      setEnded({ problem: error instanceof ApiError ? error.detail : String(error) });
    }
    setSending(false);
  };
  return (
    <>
      <p class="actions">
        {!wallets ? null : wallet ? (
          <button type="button" onClick={withWallet} disabled={busy || sending}>
            {label} with your wallet
          </button>
        ) : (
          <button type="button" class={token ? "quiet" : ""} onClick={() => setChoosing(true)}>
            {label} with a wallet
          </button>
        )}
        {token && node?.acts_as && nodes && (
          <button type="button" class={wallet && wallets ? "quiet" : ""} onClick={withNode} disabled={busy || sending}>
            {sending ? "Sends…" : `${label} with this node's key`}
          </button>
        )}
      </p>
      {choosing && !wallet && <WalletChooser purpose="or use this node's key" />}
      <Progress step={step} what={done} />
      {ended?.problem && <Notice kind="bad">{ended.problem}</Notice>}
      {ended?.hash && (
        <Notice kind="good">
          {done} <Transaction hash={ended.hash} />
        </Notice>
      )}
    </>
  );
}
