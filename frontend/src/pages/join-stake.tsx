/** The last step of joining: what the node's key needs, where it comes from, and the deposit. */
import { useState } from "preact/hooks";
import type { Hex } from "viem";
import { ApiError, get, type JobDetail, post, type Reading } from "../live/api";
import { useNode } from "../live/node";
import { useResource } from "../live/resource";
import { useUnit } from "../live/unit";
import { formatAmount, parseAmount, ZERO_ADDRESS } from "../text/amounts";
import { Funds, useHoldings } from "../ui/funds";
import { Loaded, Notice } from "../ui/parts";
import { Progress, useTransaction } from "../ui/wallet";
import { useWallet } from "../wallet/wallet";

/** ticket: "" where the job asks for none, null where it does and none is there. */
type Props = {
  detail: JobDetail;
  ticket: string | null;
  payee: string | null;
  data: string | null;
  reading: Reading;
  reload: () => void;
};

export function Stake({ detail, ticket, payee, data, reading, reload }: Props) {
  const { terms, summary } = detail;
  const unit = useUnit(terms.token);
  const local = useResource("local", () => get("/api/local"));
  const [device, setDevice] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [joining, setJoining] = useState(false);
  const coin = terms.token === ZERO_ADDRESS;
  const me = useNode()?.acts_as?.address;
  const holdings = useHoldings(me, terms.token);
  const short = coin && holdings.data !== undefined && BigInt(holdings.data.coin) <= BigInt(terms.stake);
  const join = async () => {
    setJoining(true);
    setProblem(null);
    try {
      await post("/api/trainers", {
        job_id: summary.job_id,
        data: data ?? "",
        reading,
        payee,
        ticket: ticket ?? "",
        device: device as "" | "cuda" | "mps" | "cpu",
        seed: 0,
      });
      reload();
    } catch (error) {
      setProblem(error instanceof ApiError ? error.detail : String(error));
    }
    setJoining(false);
  };
  return (
    <>
      <Loaded from={local} lines={2}>
        {(facts) => (
          <>
            <label class="inline">
              Train on
              <select value={device} onChange={(event) => setDevice(event.currentTarget.value)}>
                <option value="">the best there is ({facts.devices[0]})</option>
                {facts.devices.map((name) => (
                  <option key={name} value={name}>
                    {name === "cpu" ? "CPU" : name === "cuda" ? "GPU (CUDA)" : "GPU (MPS)"}
                  </option>
                ))}
              </select>
            </label>
          </>
        )}
      </Loaded>
      {me && (
        <Funds holdings={holdings} whose="The node's key" cost={BigInt(terms.stake)} token={terms.token} unit={unit} />
      )}
      {short && <TopUp stake={BigInt(terms.stake)} after={holdings.reload} />}
      <button type="button" onClick={join} disabled={ticket === null || !payee || !data || joining}>
        {joining ? "Joins…" : `Deposit ${formatAmount(terms.stake, unit)} and train`}
      </button>
      {(ticket === null || !payee || !data) && (
        <p class="hint">
          {ticket === null
            ? "First give your ticket."
            : !payee
              ? "First choose where your pay goes."
              : "First check your data."}
        </p>
      )}
      {problem && <Notice kind="bad">{problem}</Notice>}
    </>
  );
}

/** The node's key needs the stake and gas: from the wallet, or from the local chain for nothing. */
function TopUp({ stake, after }: { stake: bigint; after: () => void }) {
  const node = useNode();
  const wallet = useWallet();
  const { step, run, busy } = useTransaction();
  const [amount, setAmount] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const me = node?.acts_as?.address;
  if (!node || !me) return null;
  const wei = parseAmount(amount);
  const send = async () => {
    if (wei === null) return;
    const last = await run({ to: me as Hex, data: "0x", value: wei }, `Send ${formatAmount(wei)} to the node's key`);
    if (last.at === "done") after();
  };
  const fund = async () => {
    try {
      await post("/api/fund", { address: me });
      after();
    } catch (error) {
      setProblem(error instanceof ApiError ? error.detail : String(error));
    }
  };
  return (
    <Notice kind="warn">
      <p>The node's key needs {formatAmount(stake)} for the stake, and some coin for the gas of each round.</p>
      {node.local && (
        <button type="button" onClick={fund}>
          Get free coin of this local chain
        </button>
      )}
      {wallet && (
        <div class="actions">
          <label class="inline">
            Send from your wallet
            <input
              inputMode="decimal"
              value={amount}
              placeholder="0.2"
              onInput={(event) => setAmount(event.currentTarget.value)}
            />{" "}
            ether
          </label>
          <button type="button" class="quiet" onClick={send} disabled={busy || !wei}>
            Send
          </button>
        </div>
      )}
      {problem && <p>{problem}</p>}
      <Progress step={step} what="The node's key has it." />
    </Notice>
  );
}
