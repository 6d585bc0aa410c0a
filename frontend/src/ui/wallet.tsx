/** Choosing a wallet, and what a transaction is doing. */
import { useState } from "preact/hooks";
import type { Hex as HexValue } from "viem";
import { useNode } from "../live/node";
import { useStore } from "../live/store";
import { count, shortHex } from "../text/amounts";
import { chainName } from "../wallet/chains";
import { type Announced, providers } from "../wallet/providers";
import type { Sent } from "../wallet/sent";
import { busy, type Call, type Step, send } from "../wallet/transaction";
import { connect, disconnect, switchChain, useWallet } from "../wallet/wallet";
import { Amount, Hex, Notice, Transaction } from "./parts";

export function WalletChooser({ purpose }: { purpose: string }) {
  const found = useStore(providers);
  const held = useWallet();
  const node = useNode();
  const [problem, setProblem] = useState<string | null>(null);
  const [asked, setAsked] = useState<string | null>(null);
  const choose = async (chosen: Announced) => {
    setAsked(chosen.id);
    setProblem(await connect(chosen));
    setAsked(null);
  };
  if (held) {
    const elsewhere = node !== null && held.chainId !== node.chain_id;
    return (
      <div class="wallet-held">
        <p>
          {held.name}: <Hex value={held.account} what="account" />
          <button type="button" class="quiet" onClick={disconnect}>
            Disconnect
          </button>
        </p>
        {elsewhere && (
          <Notice kind="warn">
            <p>
              Your wallet is on {chainName(held.chainId)}; this market is on {chainName(node.chain_id, node.local)}.
            </p>
            <button
              type="button"
              onClick={async () => setProblem(await switchChain(held, node.chain_id, node.rpc ?? null))}
            >
              Switch the wallet to chain {node.chain_id}
            </button>
          </Notice>
        )}
        {problem && <Notice kind="bad">{problem}</Notice>}
      </div>
    );
  }
  return (
    <div class="wallets">
      {found.length === 0 && (
        <Notice kind="info">
          No wallet was found in this browser. Install one that signs for Ethereum chains, then reload this page,{" "}
          {purpose}.
        </Notice>
      )}
      {found.map((each) => (
        <button type="button" key={each.id} onClick={() => choose(each)} disabled={asked !== null}>
          {each.icon && <img src={each.icon} alt="" width={20} height={20} />}
          {asked === each.id ? "Answer in your wallet…" : `Connect ${each.name}`}
        </button>
      ))}
      {problem && <Notice kind="bad">{problem}</Notice>}
    </div>
  );
}

export function useTransaction() {
  const [step, setStep] = useState<Step>({ at: "idle" });
  const node = useNode();
  /** text: what it does, for the list of what was sent. */
  const run = async (call: Call, text: string, creation: Sent["creation"] = null): Promise<Step> => {
    if (!node) return { at: "idle" };
    const kept = { text, market: node.market as HexValue, creation };
    return send(call, { chainId: node.chain_id, rpc: node.rpc ?? null }, setStep, undefined, kept);
  };
  return { step, run, busy: busy(step), reset: () => setStep({ at: "idle" }) };
}

/** Says in plain words where a transaction is. */
export function Progress({ step, what }: { step: Step; what: string }) {
  switch (step.at) {
    case "idle":
      return null;
    case "switching":
      return <Notice kind="info">Asks your wallet to switch to chain {step.chainId}…</Notice>;
    case "simulating":
      return <Notice kind="info">Tries it without sending…</Notice>;
    case "signing":
      return (
        <Notice kind="info">
          It would go through. Confirm it in your wallet
          {step.fee !== null && (
            <>
              ; its gas costs about <Amount value={step.fee} />
            </>
          )}
          .
        </Notice>
      );
    case "pending":
      return (
        <Notice kind={step.trouble ? "warn" : "info"}>
          {step.contract ? (
            <p>
              Your wallet is a contract: its owners have to sign and send this there. The page goes on looking for what
              comes of it, and so does the list of what was sent.
            </p>
          ) : (
            <p>
              Sent
              {step.hash && (
                <>
                  : <Transaction hash={step.hash} />
                </>
              )}
              . Waits for a block…
            </p>
          )}
          {step.trouble && <p>{step.trouble} It is looked for again every second.</p>}
        </Notice>
      );
    case "done":
      return (
        <Notice kind="good">
          {what} {step.hash && <Transaction hash={step.hash}>Transaction {shortHex(step.hash)}</Transaction>}
          {step.gas !== null && `, ${count(step.gas)} gas`}
          {step.fee !== null && (
            <>
              , <Amount value={step.fee} /> paid for it
            </>
          )}
          {step.hash && "."}
        </Notice>
      );
    case "declined":
      return <Notice kind="warn">You declined the request in your wallet. Nothing was sent; you can try again.</Notice>;
    case "failed":
      return (
        <Notice kind="bad">
          {step.reason} {step.hash && <Transaction hash={step.hash} />}
        </Notice>
      );
  }
}
