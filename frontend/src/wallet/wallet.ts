/** The connected wallet: one account on one chain, as the wallet says. */
import { type Address, numberToHex } from "viem";
import { store, useStore } from "../live/store";
import { addressOf, chainIdOf } from "./answers";
import { type Announced, type Provider, providers } from "./providers";
import { explain, kindOf } from "./refusals";

export type Wallet = { id: string; name: string; provider: Provider; account: Address; chainId: number };

export const wallet = store<Wallet | null>(null);
const KEPT = "merit.wallet";
let forget: (() => void) | null = null;

export function useWallet(): Wallet | null {
  return useStore(wallet);
}

async function adopt(chosen: Announced, accounts: unknown): Promise<boolean> {
  const account = addressOf(accounts);
  if (!account) return false;
  const { id, name, provider } = chosen;
  const chainId = chainIdOf(await provider.request({ method: "eth_chainId" }));
  wallet.set({ id, name, provider, account, chainId });
  forget?.();
  const moved = (accounts: never) => {
    const next = addressOf(accounts);
    const held = wallet.get();
    if (!next) disconnect();
    else if (held) wallet.set({ ...held, account: next });
  };
  const switched = (chain: never) => {
    const held = wallet.get();
    if (held) wallet.set({ ...held, chainId: chainIdOf(chain) });
  };
  provider.on?.("accountsChanged", moved);
  provider.on?.("chainChanged", switched);
  forget = () => {
    provider.removeListener?.("accountsChanged", moved);
    provider.removeListener?.("chainChanged", switched);
  };
  sessionStorage.setItem(KEPT, id);
  return true;
}

/** Asks the wallet for its account. Returns a sentence when it was not given. */
export async function connect(chosen: Announced): Promise<string | null> {
  try {
    const accounts = await chosen.provider.request({ method: "eth_requestAccounts" });
    return (await adopt(chosen, accounts)) ? null : `${chosen.name} gave no account; unlock it and try again.`;
  } catch (error) {
    return explain(error);
  }
}

/** After a reload: takes up the wallet of this tab, without asking, where it still agrees. */
export function reconnect(): void {
  const look = () => {
    const chosen = providers.get().find((known) => known.id === sessionStorage.getItem(KEPT));
    if (!chosen || wallet.get()) return;
    chosen.provider
      .request({ method: "eth_accounts" })
      .then((accounts) => adopt(chosen, accounts))
      .catch(() => undefined);
  };
  providers.subscribe(look);
  look();
}

export function disconnect(): void {
  forget?.();
  forget = null;
  sessionStorage.removeItem(KEPT);
  wallet.set(null);
}

/** Where the wallet is now. Not every wallet tells of changes, so it is asked again before something is signed. */
export async function refresh(held: Wallet): Promise<Wallet | null> {
  const [chain, accounts] = await Promise.all([
    held.provider.request({ method: "eth_chainId" }),
    // Wallets that do not answer this one have not changed their account either.
    held.provider.request({ method: "eth_accounts" }).catch(() => null),
  ]);
  const current = wallet.get();
  if (!current) return null;
  const account = addressOf(accounts) ?? current.account;
  const next = { ...current, account, chainId: chainIdOf(chain) || current.chainId };
  if (next.account !== current.account || next.chainId !== current.chainId) wallet.set(next);
  return wallet.get();
}

const LOOKS = 5;
const LOOK_MS = 300;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Offers the wallet to change to a chain; adds it first where the wallet does not know it and we know its RPC address. */
export async function switchChain(
  held: Wallet,
  chainId: number,
  rpc: string | null,
  clock: (ms: number) => Promise<void> = pause,
): Promise<string | null> {
  const id = numberToHex(chainId);
  const ask = (method: string, params: unknown[]) => held.provider.request({ method, params });
  const byHand = `The wallet cannot be switched from here; change it there to chain ${chainId}.`;
  try {
    try {
      await ask("wallet_switchEthereumChain", [{ chainId: id }]);
    } catch (error) {
      if (kindOf(error) === "unsupported") return byHand;
      if (kindOf(error) !== "unknown chain" || !rpc) throw error;
      const nativeCurrency = { name: "Ether", symbol: "ETH", decimals: 18 };
      await ask("wallet_addEthereumChain", [
        { chainId: id, chainName: `Merit, chain ${chainId}`, rpcUrls: [rpc], nativeCurrency },
      ]);
      // Some wallets change to what they added at once, and refuse to be asked again.
      if (chainIdOf(await ask("eth_chainId", [])) !== chainId)
        await ask("wallet_switchEthereumChain", [{ chainId: id }]);
    }
    let now = 0;
    for (let look = 0; look < LOOKS && now !== chainId; look += 1) {
      if (look) await clock(LOOK_MS); // some answer before they have changed
      now = chainIdOf(await ask("eth_chainId", []));
    }
    const current = wallet.get();
    if (current) wallet.set({ ...current, chainId: now });
    return now === chainId ? null : `The wallet is still on chain ${now || "?"}; change it there to chain ${chainId}.`;
  } catch (error) {
    if (kindOf(error) === "unknown chain")
      return `The wallet does not know chain ${chainId}; add it there, with an RPC address that you trust.`;
    return explain(error);
  }
}
