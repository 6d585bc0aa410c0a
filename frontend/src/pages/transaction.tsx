/** A transaction as the node's chain tells it: the call in plain words, and what the contracts said in it. */
import type { ComponentChildren } from "preact";
import { formatGwei, type Hex } from "viem";
import { get, type NodeFacts, type TransactionFacts } from "../live/api";
import { useNow } from "../live/clock";
import { useNode } from "../live/node";
import { useResource } from "../live/resource";
import { useUnit } from "../live/unit";
import { Link } from "../router";
import { count, formatAmount, type Unit, ZERO_ADDRESS } from "../text/amounts";
import { type Argument, type Decoded, decodedCall, decodedEvent, labelOf } from "../text/decoded";
import { happened, seatsOf } from "../text/happened";
import { plainDuration } from "../text/time";
import { Address } from "../ui/address";
import { same } from "../ui/holder";
import { Amount, Copy, Hex as HexView, Loaded, Notice, Reading, Skeleton, Title, When } from "../ui/parts";
import { explorerLink } from "../wallet/chains";

export function TransactionPage({ hash }: { hash: string }) {
  const node = useNode();
  const explorer = node && explorerLink(node.chain_id, hash);
  return (
    <>
      <header class="page-head">
        <Title>Transaction</Title>
        <p class="lead wrap number">{hash}</p>
        {explorer && (
          <p>
            <a href={explorer.href} target="_blank" rel="noreferrer">
              Look at it on {explorer.name}
              <span class="visually-hidden"> (opens another page)</span>
            </a>
          </p>
        )}
      </header>
      {node ? <Found node={node} hash={hash} /> : <Skeleton lines={4} />}
    </>
  );
}

function Found({ node, hash }: { node: NodeFacts; hash: string }) {
  const found = useResource(
    `transaction ${hash}`,
    () => get("/api/transactions/{hash}", { hash }),
    (news) => news.type === "chain" && news.news.transaction === hash,
  );
  return (
    <Loaded from={found} lines={4}>
      {(facts) => <Shown node={node} facts={facts} />}
    </Loaded>
  );
}

const STATES: Record<TransactionFacts["state"], { kind: "good" | "bad" | "warn"; text: string }> = {
  done: { kind: "good", text: "It went through." },
  failed: { kind: "bad", text: "It failed: nothing was changed." },
  waiting: { kind: "warn", text: "It is not in a block yet." },
  replaced: { kind: "bad", text: "Another transaction of its sender took its place." },
  unknown: { kind: "warn", text: "The node's chain has no such transaction." },
};

function Shown({ node, facts }: { node: NodeFacts; facts: TransactionFacts }) {
  const state = STATES[facts.state];
  const ofMarket = same(facts.to, node.market);
  const call = facts.input === null ? null : decodedCall(facts.input as Hex, ofMarket);
  const jobId = call?.jobId ?? facts.job_id;
  const token = useTokenOf(call, jobId);
  // A token's own amounts are in that token, which is the one that is called.
  const unit = useUnit(ofMarket ? token : (facts.to ?? undefined));
  return (
    <>
      <Notice kind={state.kind}>
        {state.text} {facts.reason}
      </Notice>
      {facts.block !== null && (
        <dl class="readings">
          <Reading label="Block">
            <span class="number">{count(facts.block)}</span>
          </Reading>
          {facts.timestamp !== null && (
            <Reading label="Time">
              <When unix={facts.timestamp} />
            </Reading>
          )}
          {facts.gas !== null && (
            <Reading label="Gas" note={facts.gas_price !== null && `at ${formatGwei(BigInt(facts.gas_price))} gwei`}>
              <span class="number">{count(facts.gas)}</span>
            </Reading>
          )}
        </dl>
      )}
      <section>
        <h2>{titleOf(facts, call)}</h2>
        <dl class="facts">
          {facts.sender !== null && (
            <Fact name="From">
              <Address value={facts.sender} what="sender" />
            </Fact>
          )}
          {facts.to !== null && (
            <Fact name="To">
              <Address value={facts.to} what="receiver" />
            </Fact>
          )}
          {facts.value !== null && (
            <Fact name="Coin sent">
              <Amount value={facts.value} exact />
            </Fact>
          )}
          {facts.gas !== null && facts.gas_price !== null && (
            <Fact name="Paid for gas">
              <Amount value={BigInt(facts.gas) * BigInt(facts.gas_price)} />
            </Fact>
          )}
          {call?.args.map((argument) => (
            <Shaped key={argument.name} argument={argument} jobId={jobId} unit={unit} />
          ))}
        </dl>
        {facts.input && facts.input !== "0x" && !call && <Copy value={facts.input} what="the call as bytes" />}
      </section>
      {facts.logs.length > 0 && <Events node={node} facts={facts} unit={unit} />}
    </>
  );
}

function titleOf({ to, input }: TransactionFacts, call: Decoded | null): string {
  if (call) return call.title;
  if (to === null) return input === null ? "Nothing is known of the call" : "Deploy a contract";
  return input === "0x" ? "Send coin" : "A call that this page does not know";
}

/** The token of the job that a call is about; that of the terms where it creates one. */
function useTokenOf(call: Decoded | null, jobId: number | null): string | undefined {
  const given = (name: string) => call?.args.find((argument) => argument.name === name);
  const terms = given("t")?.parts.find((part) => part.name === "token")?.value;
  const own = terms ?? given("token")?.value;
  const job = useResource(jobId !== null && !own ? `token of ${jobId}` : null, () =>
    get("/api/jobs/{job_id}", { job_id: Number(jobId) }),
  ).data;
  return typeof own === "string" ? own : job?.terms.token;
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

type ShapedProps = { argument: Argument; jobId: number | null; unit: Unit };

/** An argument, or what it consists of. */
function Shaped({ argument, jobId, unit }: ShapedProps) {
  if (argument.parts.length > 0)
    return (
      <>
        {argument.parts.map((part) => (
          <Shaped key={part.name} argument={part} jobId={jobId} unit={unit} />
        ))}
      </>
    );
  return (
    <Fact name={labelOf(argument.name)}>
      <Value argument={argument} jobId={jobId} unit={unit} />
    </Fact>
  );
}

const SEATS = ["selected", "unopened", "struck"];
/** Numbers that an array shows before it is cut. */
const LISTED = 8;

function Value({ argument: { name, type, value }, jobId, unit }: ShapedProps) {
  if (name === "jobId") return <Link to={`/job/${value}`}>job {String(value)}</Link>;
  if (name === "round" && jobId !== null && value !== 0)
    return <Link to={`/job/${jobId}?round=${value}`}>{String(value)}</Link>;
  if (type === "address")
    return value === ZERO_ADDRESS ? (
      name === "token" ? (
        "the chain's coin"
      ) : (
        "none"
      )
    ) : (
      <Address value={String(value)} what={labelOf(name)} />
    );
  if (SEATS.includes(name)) return <>{seatsOf(Number(value)).join(", ") || "none"}</>;
  if (type === "uint128" || name === "amount") return <Amount value={String(value)} unit={unit} exact />;
  if (name === "rule") return <>{value === 1 ? "krum-cosine" : "reference"}</>;
  if (/By$/.test(name)) return <When unix={Number(value)} />;
  if (/(Window|Delay)$/.test(name)) return <>{Number(value) === 0 ? "none" : plainDuration(Number(value))}</>;
  if (Array.isArray(value))
    return (
      <span class="number wrap">
        {value.length > LISTED || value.some((each) => String(each).length > 20)
          ? `${count(value.length)} numbers`
          : value.join(", ") || "none"}
      </span>
    );
  const text = String(value);
  if (text === "" || text === "0x") return <>none</>;
  return text.length > 20 ? <HexView value={text} what={labelOf(name)} /> : <span class="number">{text}</span>;
}

function Events({ node, facts, unit }: { node: NodeFacts; facts: TransactionFacts; unit: Unit }) {
  return (
    <section>
      <h2>What came of it</h2>
      <ul class="feed">
        {facts.logs.map((log, at) => (
          <Event key={at} node={node} log={log} unit={unit} />
        ))}
      </ul>
    </section>
  );
}

type EventProps = { node: NodeFacts; log: TransactionFacts["logs"][number]; unit: Unit };

function Event({ node, log, unit }: EventProps) {
  const now = useNow();
  const ofMarket = same(log.address, node.market);
  const event = decodedEvent(log.data as Hex, log.topics as Hex[], ofMarket);
  const own = useUnit(ofMarket ? tokenOf(event?.values.token) : log.address);
  if (!event)
    return (
      <li>
        <p>
          <Address value={log.address} what="contract" /> said something that this page does not know.
        </p>
      </li>
    );
  const shown = !ofMarket || event.values.token !== undefined ? own : unit;
  return (
    <li>
      <p>{ofMarket ? happened(event.kind, event.values, shown, now) : movedText(event.kind, event.values, shown)}</p>
      <p class="muted">
        {event.jobId !== null && (
          <>
            <Link to={`/job/${event.jobId}`}>job {event.jobId}</Link>{" "}
          </>
        )}
        {event.who.map((address) => (
          <span key={address}>
            <Address value={address} what="address" />{" "}
          </span>
        ))}
      </p>
    </li>
  );
}

const tokenOf = (value: unknown) => (typeof value === "string" ? value : undefined);
/** An allowance without an end is the largest number there is. */
const ENDLESS = 2n ** 255n;

/** What a token said. */
function movedText(kind: string, values: Readonly<Record<string, unknown>>, unit: Unit): string {
  const value = BigInt(String(values.amount));
  const amount = value >= ENDLESS ? "any amount" : formatAmount(value, unit);
  return kind === "Transfer" ? `${amount} went from one account to another.` : `A contract may take ${amount}.`;
}
