/** Where people look at transactions of public chains beside the page. */
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

/** Where a block explorer shows a transaction; null where no explorer is known for the chain. */
export function explorerLink(chainId: number, hash: string): { name: string; href: string } | null {
  const explorer = EXPLORERS[chainId];
  return explorer ? { name: new URL(explorer.url).host, href: `${explorer.url}/tx/${hash}` } : null;
}
