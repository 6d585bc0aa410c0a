/** In the header of every page: which network, which account, and what it has; a wallet is connected here. */
import { useState } from "preact/hooks";
import { post } from "../live/api";
import { useNode, useToken } from "../live/node";
import { shortAmount, shortHex } from "../text/amounts";
import { chainName } from "../wallet/chains";
import { useWallet } from "../wallet/wallet";
import { useAttempt } from "./attempt";
import { Dropdown } from "./dropdown";
import { useHoldings } from "./funds";
import { Amount, Hex, Notice } from "./parts";
import { WalletChooser } from "./wallet";

export function AccountMenu() {
  const node = useNode();
  const wallet = useWallet();
  const token = useToken();
  const own = token ? node?.acts_as?.address : undefined;
  const shown = wallet?.account ?? own;
  const holdings = useHoldings(shown);
  const [open, setOpen] = useState(false);
  if (!node) return null;
  const held = holdings.data ? shortAmount(holdings.data.coin, undefined, 2) : "";
  return (
    <Dropdown
      class="menu"
      toggled={setOpen}
      summary={
        <>
          <span class="network">{node.local ? "local chain" : chainName(node.chain_id)}</span>
          {shown ? (
            <>
              {held && <span class="held number">{held}</span>}
              <span class="of">
                <span class="visually-hidden">{wallet ? "of your wallet" : "of this node's key"}</span>{" "}
                {shortHex(shown)}
              </span>
            </>
          ) : (
            "Connect"
          )}
        </>
      }
    >
      {open && (
        <div class="dropdown-body menu-body">
          <p class="muted">Network: {chainName(node.chain_id, node.local)}</p>
          <h2>Wallet</h2>
          <WalletChooser purpose="or let this node's key act" />
          {wallet && <Held account={wallet.account} local={node.local && token !== null} />}
          {own && (
            <>
              <h2>This node's key</h2>
              <p>
                <Hex value={own} what="node's address" />
              </p>
              <Held account={own} local={node.local} />
            </>
          )}
        </div>
      )}
    </Dropdown>
  );
}

/** What an account has, and more for nothing where the chain is this node's own. */
function Held({ account, local }: { account: string; local: boolean }) {
  const { data, reload } = useHoldings(account);
  const { working, problem, attempt } = useAttempt();
  const fund = () =>
    attempt(async () => {
      await post("/api/fund", { address: account });
      reload();
    });
  return (
    <>
      <p>
        {data ? <Amount value={data.coin} /> : "…"}{" "}
        {local && (
          <button type="button" class="quiet small" onClick={fund} disabled={working}>
            Get 100 free ether
          </button>
        )}
      </p>
      {problem && <Notice kind="bad">{problem}</Notice>}
    </>
  );
}
