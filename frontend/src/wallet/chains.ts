/** Where people look at transactions of public chains; a local chain has the page's own view. */
const EXPLORERS: Record<number, { name: string; url: string }> = {
  1: { name: "Ethereum", url: "https://etherscan.io" },
  10: { name: "OP Mainnet", url: "https://optimistic.etherscan.io" },
  100: { name: "Gnosis", url: "https://gnosisscan.io" },
  137: { name: "Polygon", url: "https://polygonscan.com" },
  8453: { name: "Base", url: "https://basescan.org" },
  17000: { name: "Holesky", url: "https://holesky.etherscan.io" },
  42161: { name: "Arbitrum One", url: "https://arbiscan.io" },
  84532: { name: "Base Sepolia", url: "https://sepolia.basescan.org" },
  560048: { name: "Hoodi", url: "https://hoodi.etherscan.io" },
  11155111: { name: "Sepolia", url: "https://sepolia.etherscan.io" },
  11155420: { name: "OP Sepolia", url: "https://sepolia-optimism.etherscan.io" },
};

export function chainName(chainId: number, local = false): string {
  if (local) return `local chain ${chainId}`;
  return EXPLORERS[chainId]?.name ?? `chain ${chainId}`;
}

export function transactionLink(chainId: number | undefined, hash: string): { href: string; outside: boolean } {
  const explorer = chainId === undefined ? undefined : EXPLORERS[chainId];
  return explorer ? { href: `${explorer.url}/tx/${hash}`, outside: true } : { href: `/tx/${hash}`, outside: false };
}
