/** The connected wallet: one account on one chain, as the wallet says. */
import { type Address, getAddress, numberToHex } from "viem";
import { store, useStore } from "../live/store";
import { type Announced, type Provider, providers } from "./providers";
import { codeOf, explain } from "./refusals";

export type Wallet = { id: string; name: string; provider: Provider; account: Address; chainId: number };

export const wallet = store<Wallet | null>(null);
const KEPT = "merit.wallet";
let forget: (() => void) | null = null;

export function useWallet(): Wallet | null {
  return useStore(wallet);
}

function addressOf(accounts: unknown): Address | null {
  const first = Array.isArray(accounts) ? accounts[0] : undefined;
  return typeof first === "string" ? getAddress(first) : null;
}

async function adopt(chosen: Announced, accounts: unknown): Promise<boolean> {
  const account = addressOf(accounts);
  if (!account) return false;
  const { id, name, provider } = chosen;
  const chainId = Number(await provider.request({ method: "eth_chainId" }));
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
    if (held) wallet.set({ ...held, chainId: Number(chain) });
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

const UNKNOWN_CHAIN = 4902;

/** Offers the wallet to change to a chain; adds it first where the wallet does not know it and we know its RPC address. */
export async function switchChain(held: Wallet, chainId: number, rpc: string | null): Promise<string | null> {
  const id = numberToHex(chainId);
  const change = () => held.provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId: id }] });
  try {
    try {
      await change();
    } catch (error) {
      if (codeOf(error) !== UNKNOWN_CHAIN || !rpc) throw error;
      const nativeCurrency = { name: "Ether", symbol: "ETH", decimals: 18 };
      const added = { chainId: id, chainName: `Merit, chain ${chainId}`, rpcUrls: [rpc], nativeCurrency };
      await held.provider.request({ method: "wallet_addEthereumChain", params: [added] });
      await change();
    }
    const now = Number(await held.provider.request({ method: "eth_chainId" }));
    const current = wallet.get();
    if (current) wallet.set({ ...current, chainId: now });
    return now === chainId ? null : `The wallet is still on chain ${now}; change it there to chain ${chainId}.`;
  } catch (error) {
    if (codeOf(error) === UNKNOWN_CHAIN)
      return `The wallet does not know chain ${chainId}; add it there, with an RPC address that you trust.`;
    return explain(error);
  }
}
