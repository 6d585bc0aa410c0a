/** A transaction as its chain tells it, where no block explorer knows the chain. */
import { decodeFunctionData, formatGwei, type Hex, isAddressEqual } from "viem";
import { getBlock, getTransaction, getTransactionReceipt } from "viem/actions";
import { clientOf } from "../audit";
import { marketAbi } from "../generated/market";
import { ApiError, type NodeFacts } from "../live/api";
import { useNode } from "../live/node";
import { useResource } from "../live/resource";
import { count } from "../text/amounts";
import { Amount, Hex as HexView, Loaded, Notice, Reading, Skeleton, Title, When } from "../ui/parts";

async function read(node: NodeFacts, hash: Hex) {
  if (!node.rpc)
    throw new ApiError(0, "This chain has no explorer that this page knows; look the hash up at one of your choice.");
  const client = clientOf(node.rpc);
  try {
    const [transaction, receipt] = await Promise.all([
      getTransaction(client, { hash }),
      getTransactionReceipt(client, { hash }),
    ]);
    const block = await getBlock(client, { blockHash: receipt.blockHash });
    return { transaction, receipt, time: Number(block.timestamp) };
  } catch {
    throw new ApiError(404, "The chain has no such transaction in a block, or cannot be reached.");
  }
}

function nameOf(node: NodeFacts, to: Hex | null, data: Hex): string {
  if (!to || !isAddressEqual(to, node.market as Hex))
    return to ? "a call to another contract, or a transfer" : "a contract was deployed";
  try {
    return decodeFunctionData({ abi: marketAbi, data }).functionName;
  } catch {
    return "a call of an aggregator or trainer to the market";
  }
}

export function TransactionPage({ hash }: { hash: string }) {
  const node = useNode();
  return (
    <>
      <header class="page-head">
        <Title>Transaction</Title>
        <p class="lead wrap number">{hash}</p>
      </header>
      {node ? <Shown node={node} hash={hash as Hex} /> : <Skeleton lines={4} />}
    </>
  );
}

function Shown({ node, hash }: { node: NodeFacts; hash: Hex }) {
  const found = useResource(hash, () => read(node, hash));
  return (
    <Loaded from={found} lines={4}>
      {({ transaction, receipt, time }) => (
        <>
          <Notice kind={receipt.status === "success" ? "good" : "bad"}>
            {receipt.status === "success" ? "It went through." : "It failed: nothing was changed."}
          </Notice>
          <dl class="readings">
            <Reading label="Call">{nameOf(node, transaction.to, transaction.input)}</Reading>
            <Reading label="Block">
              <span class="number">{count(receipt.blockNumber)}</span>
            </Reading>
            <Reading label="Time">
              <When unix={time} />
            </Reading>
            <Reading label="Gas" note={`at ${formatGwei(receipt.effectiveGasPrice)} gwei`}>
              <span class="number">{count(receipt.gasUsed)}</span>
            </Reading>
          </dl>
          <dl class="facts">
            <div>
              <dt>From</dt>
              <dd>
                <HexView value={receipt.from} what="sender" />
              </dd>
            </div>
            <div>
              <dt>To</dt>
              <dd>{receipt.to ? <HexView value={receipt.to} what="receiver" /> : "—"}</dd>
            </div>
            <div>
              <dt>Coin sent</dt>
              <dd>
                <Amount value={transaction.value} exact />
              </dd>
            </div>
            <div>
              <dt>Paid for gas</dt>
              <dd>
                <Amount value={receipt.gasUsed * receipt.effectiveGasPrice} />
              </dd>
            </div>
          </dl>
        </>
      )}
    </Loaded>
  );
}
