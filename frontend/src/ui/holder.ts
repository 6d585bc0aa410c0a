/** Whose an account is, of those for whom this browser may act. */
import { useNode, useToken } from "../live/node";
import { useWallet } from "../wallet/wallet";

export const same = (a: string | null | undefined, b: string) => a?.toLowerCase() === b.toLowerCase();

/** Whether an account is the wallet's of this browser, or that of the node's key, which the tab may use. */
export function useHolder(): (account: string) => { byWallet: boolean; byNode: boolean } {
  const wallet = useWallet();
  const node = useNode();
  const token = useToken();
  return (account) => ({
    byWallet: same(wallet?.account, account),
    byNode: token !== null && same(node?.acts_as?.address, account),
  });
}
