import { createConfig } from "ponder";
import { marketAbi } from "./abi";

/** What `merit deploy` and `/api/node` say: the chain's RPC and id, the market, and the block that it is in. */
function given(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: README.md says what it is.`);
  return value;
}

export default createConfig({
  chains: { chain: { id: Number(given("MERIT_CHAIN_ID")), rpc: given("MERIT_RPC"), pollingInterval: 1000 } },
  contracts: {
    JobMarket: {
      abi: marketAbi,
      chain: "chain",
      address: given("MERIT_MARKET") as `0x${string}`,
      startBlock: Number(given("MERIT_FIRST_BLOCK")),
    },
  },
});
