/** Wallets that announce themselves (EIP-6963), and the one that does not (`window.ethereum`, EIP-1193). */
import { store } from "../live/store";

export type Provider = {
  request: (call: { method: string; params?: readonly unknown[] | object }) => Promise<unknown>;
  on?: (event: string, listener: (value: never) => void) => void;
  removeListener?: (event: string, listener: (value: never) => void) => void;
};

export type Announced = { id: string; name: string; icon: string | null; provider: Provider };

export const providers = store<Announced[]>([]);

type Detail = { info?: { uuid?: string; name?: string; icon?: string; rdns?: string }; provider?: Provider };

/** Only an image in the announcement itself is shown: nothing is fetched for a wallet. */
function icon(given: string | undefined): string | null {
  return given && /^data:image\/(png|webp|svg\+xml|jpeg)[;,]/.test(given) && given.length < 100_000 ? given : null;
}

export function discover(place: Window & { ethereum?: Provider }): void {
  place.addEventListener("eip6963:announceProvider", (event) => {
    const { info, provider } = (event as CustomEvent<Detail>).detail ?? {};
    if (!provider?.request || !info?.name) return;
    const id = info.rdns ?? info.uuid ?? info.name;
    const others = providers.get().filter((known) => known.id !== id && known.id !== "injected");
    providers.set([...others, { id, name: info.name.slice(0, 40), icon: icon(info.icon), provider }]);
  });
  place.dispatchEvent(new Event("eip6963:requestProvider"));
  if (providers.get().length === 0 && place.ethereum?.request)
    providers.set([{ id: "injected", name: "Browser wallet", icon: null, provider: place.ethereum }]);
}
