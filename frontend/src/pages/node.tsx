/** This node: whether it is well, what it has and acts as, which jobs are in trouble, and what it is asked to aggregate. */
import { useHealth, useNode, useToken } from "../live/node";
import { count } from "../text/amounts";
import { NoToken } from "../ui/no-token";
import { Hex, Notice, Reading, Skeleton, Title } from "../ui/parts";
import { chainName } from "../wallet/chains";
import { Requests, Troubles } from "./node-work";

const STORAGES = {
  folder: "a folder on its machine",
  ipfs: "an IPFS node",
  node: "another Merit node",
  memory: "its memory",
  other: "a storage of its own kind",
} as const;

export function NodePage() {
  const node = useNode();
  const health = useHealth();
  const token = useToken();
  return (
    <>
      <header class="page-head">
        <Title>This node</Title>
      </header>
      {!node || !health ? (
        <Skeleton lines={4} />
      ) : (
        <>
          {health.problem && <Notice kind="warn">The node does not follow the chain: {health.problem}</Notice>}
          <dl class="readings">
            <Reading label="Chain" note={health.block !== null ? `block ${count(health.block)}` : "not reached yet"}>
              {chainName(node.chain_id, node.local)}
            </Reading>
            <Reading
              label="Read up to block"
              note={health.indexed !== null && health.indexed >= (health.block ?? 0) ? "all there is" : "reads on"}
            >
              <span class="number">{health.indexed === null ? "—" : count(health.indexed)}</span>
            </Reading>
            <Reading label="Keeps content in" note="descriptions of jobs that are not there cannot be read">
              {STORAGES[node.storage]}
            </Reading>
          </dl>
          <dl class="facts">
            <div>
              <dt>Acts as</dt>
              <dd>
                {node.acts_as ? <Hex value={node.acts_as.address} what="node's address" /> : "nobody: it looks on"}
              </dd>
            </div>
            <div>
              <dt>Aggregates as</dt>
              <dd>
                {node.aggregator ? <Hex value={node.aggregator.address} what="aggregator's address" /> : "it does not"}
              </dd>
            </div>
          </dl>
        </>
      )}
      {token ? (
        <>
          <Troubles />
          {node?.aggregator && <Requests />}
        </>
      ) : (
        <NoToken />
      )}
    </>
  );
}
