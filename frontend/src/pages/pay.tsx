/** What a payee was credited, by job and round; taking it; and why it was this much. */

import { useState } from "preact/hooks";
import { encodeFunctionData, type Hex, isAddress } from "viem";
import { marketAbi } from "../generated/market";
import { ApiError, type CreditFacts, get, type PayeeCredits, post, type Unclaimed } from "../live/api";
import { useNode, useToken } from "../live/node";
import { useResource } from "../live/resource";
import { useUnit } from "../live/unit";
import { go, Link } from "../router";
import { formatAmount, ZERO_ADDRESS } from "../text/amounts";
import { REASON_WORDS } from "../text/happened";
import { whyThisPay } from "../text/why";
import { Address, NameForm } from "../ui/address";
import { same, useHolder } from "../ui/holder";
import { Amount, Empty, Loaded, Notice, Table, Term, Title, Transaction, When } from "../ui/parts";
import { Progress, useTransaction, WalletChooser } from "../ui/wallet";
import { useWallet } from "../wallet/wallet";
import { ClaimFees, ClaimSeat, useMine } from "./claims";
import { Trainers } from "./job-facts";
import { WhySaid } from "./round";

export function Pay({ payee }: { payee: string | null }) {
  const wallet = useWallet();
  const node = useNode();
  const token = useToken();
  const [typed, setTyped] = useState("");
  const burnt = payee === ZERO_ADDRESS;
  const mine = !payee || same(wallet?.account, payee) || same(node?.acts_as?.address, payee);
  const shown = payee ?? wallet?.account ?? (token ? (node?.acts_as?.address ?? null) : null);
  const look = (event: Event) => {
    event.preventDefault();
    if (isAddress(typed.trim(), { strict: false })) go(`/pay/${typed.trim()}`);
  };
  return (
    <>
      <header class="page-head">
        <Title>{burnt ? "Burnt" : mine ? "My pay" : "Pay"}</Title>
        <p class="lead">
          {burnt ? (
            <>
              Nobody has this address. What is credited to it is <Term word="burnt" />: out of everybody's reach.
            </>
          ) : (
            <>
              What the contract owes an address. Pay and stakes of a job that is over wait for their{" "}
              <Term word="claim" />; then they are a <Term word="credit" />, until their <Term word="payee" /> withdraws
              it.
            </>
          )}
        </p>
      </header>
      <div class="columns">
        <WalletChooser purpose="or look at any address" />
        <form onSubmit={look} class="inline-form">
          <label>
            Any address
            <input
              value={typed}
              placeholder="0x…"
              onInput={(event) => setTyped(event.currentTarget.value)}
              aria-invalid={typed !== "" && !isAddress(typed.trim(), { strict: false }) ? true : undefined}
            />
          </label>
          <button type="submit" class="quiet">
            Show
          </button>
        </form>
      </div>
      {payee && !burnt && !mine && <NameForm key={payee} address={payee} />}
      {shown ? <Credits key={shown} payee={shown} /> : <Empty title="Connect a wallet, or give an address." />}
    </>
  );
}

function Credits({ payee }: { payee: string }) {
  const credits = useResource(
    `credits ${payee}`,
    () => get("/api/credits/{payee}", { payee }),
    (news) => news.type === "chain" && ["Credited", "Withdrawn", "Ended", "Claimed"].includes(news.news.kind),
  );
  return (
    <Loaded from={credits} lines={5}>
      {(found) => (
        <>
          <p class="muted">
            Payee <Address value={found.payee} what="payee" />
          </p>
          <div class="readings">
            {found.tokens.map((token) => (
              <Held key={token.token} payee={found.payee} token={token} after={credits.reload} />
            ))}
          </div>
          <Waiting list={found.unclaimed} after={credits.reload} />
          <h2>Credits</h2>
          <History list={found.credits} payee={found.payee} />
        </>
      )}
    </Loaded>
  );
}

function Waiting({ list, after }: { list: Unclaimed[]; after: () => void }) {
  if (list.length === 0) return null;
  return (
    <section>
      <h2>To be claimed</h2>
      {list.map((each) => (
        <Claim key={`${each.job_id} ${each.slot}`} waiting={each} after={after} />
      ))}
    </section>
  );
}

export function Claim({ waiting, after }: { waiting: Unclaimed; after: () => void }) {
  const { job_id: jobId, name, slot, payee, pay, stake, fees, token } = waiting;
  const unit = useUnit(token);
  const own = useMine()(payee);
  return (
    <>
      <h3>
        <Link to={`/job/${jobId}`}>{name ?? `Job ${jobId}`}</Link>
      </h3>
      {slot === null ? (
        <ClaimFees jobId={jobId} payee={payee} fees={fees} unit={unit} after={after} />
      ) : (
        <ClaimSeat
          jobId={jobId}
          slot={slot}
          payee={payee}
          amount={BigInt(pay) + BigInt(stake)}
          own={own}
          unit={unit}
          after={after}
        />
      )}
    </>
  );
}

export function Held({
  payee,
  token,
  after,
}: {
  payee: string;
  token: PayeeCredits["tokens"][number];
  after: () => void;
}) {
  const unit = useUnit(token.token);
  const node = useNode();
  const { byWallet: mine, byNode: nodes } = useHolder()(payee);
  const { step, run, busy } = useTransaction();
  const [problem, setProblem] = useState<string | null>(null);
  const [hash, setHash] = useState<string | null>(null);
  const [sending, setSending] = useState(false);
  const none = BigInt(token.withdrawable) === 0n;
  const byWallet = async () => {
    if (!node) return;
    const data = encodeFunctionData({ abi: marketAbi, functionName: "withdraw", args: [token.token as Hex] });
    const last = await run(
      { to: node.market as Hex, data, value: 0n },
      `Withdraw ${formatAmount(token.withdrawable, unit)}`,
    );
    if (last.at === "done") after();
  };
  const byNode = async () => {
    setSending(true);
    setProblem(null);
    try {
      setHash((await post("/api/withdraw", { token: token.token })).transaction);
      after();
    } catch (error) {
      setProblem(error instanceof ApiError ? error.detail : String(error));
    }
    setSending(false);
  };
  return (
    <section class="reading" aria-label={`Credit in ${unit.symbol}`}>
      <p class="label">
        {payee === ZERO_ADDRESS ? "Burnt" : "To withdraw"}
        {token.token === ZERO_ADDRESS ? "" : `, ${unit.symbol}`}
      </p>
      <p class="value">
        <Amount value={token.withdrawable} unit={unit} />
      </p>
      {payee !== ZERO_ADDRESS && (
        <p class="note">
          <Amount value={token.credited} unit={unit} /> credited, <Amount value={token.withdrawn} unit={unit} />{" "}
          withdrawn
        </p>
      )}
      {mine && (
        <button type="button" onClick={byWallet} disabled={busy || none}>
          Withdraw
        </button>
      )}
      {nodes && !mine && (
        <button type="button" onClick={byNode} disabled={sending || none}>
          {sending ? "Withdraws…" : "Withdraw with the node's key"}
        </button>
      )}
      {!mine && !nodes && !none && payee !== ZERO_ADDRESS && (
        <p class="hint">Only this address itself can withdraw: connect it as a wallet.</p>
      )}
      <Progress step={step} what="Withdrawn." />
      {problem && <Notice kind="bad">{problem}</Notice>}
      {hash && (
        <Notice kind="good">
          Withdrawn. <Transaction hash={hash} />
        </Notice>
      )}
    </section>
  );
}

function History({ list, payee }: { list: CreditFacts[]; payee: string }) {
  const [asked, setAsked] = useState<string | null>(null);
  if (list.length === 0)
    return (
      <Empty title="Nothing was credited to this address yet.">
        <Link to="/">Look for a job to join</Link>
      </Empty>
    );
  // By place within their transaction: credits that come later stand before these, and must not rename them.
  const seen = new Map<string, number>();
  const keyed = [...list].reverse().map((credit) => {
    const place = seen.get(credit.transaction) ?? 0;
    seen.set(credit.transaction, place + 1);
    return { credit, key: `${credit.transaction} ${place}` };
  });
  keyed.reverse();
  const chosen = keyed.find((each) => each.key === asked)?.credit;
  return (
    <>
      <Table label="Credits" head={["Job", "Round", "Amount", "For", "When", "Transaction", ""]} right={[2]}>
        {keyed.map(({ credit, key }) => (
          <tr key={key}>
            <td class="number">
              <Link to={`/job/${credit.job_id}`}>{credit.job_id}</Link>
            </td>
            <td class="number">{credit.round || "—"}</td>
            <td class="right">
              <Money credit={credit} />
            </td>
            <td>
              {credit.reason === "fee" || credit.reason === "burnt" ? (
                <Term word={credit.reason}>{REASON_WORDS[credit.reason]}</Term>
              ) : (
                REASON_WORDS[credit.reason]
              )}
            </td>
            <td>
              <When unix={credit.timestamp} />
            </td>
            <td>
              <Transaction hash={credit.transaction} />
            </td>
            <td>
              {credit.reason === "pay" && (
                <button
                  type="button"
                  class="quiet small"
                  aria-expanded={asked === key}
                  onClick={() => setAsked(asked === key ? null : key)}
                >
                  Why this pay?
                </button>
              )}
            </td>
          </tr>
        ))}
      </Table>
      {chosen && <WhyPay key={asked} credit={chosen} payee={payee} />}
    </>
  );
}

function Money({ credit }: { credit: CreditFacts }) {
  return <Amount value={credit.amount} unit={useUnit(credit.token)} />;
}

/** How the job's pot was divided: one's own points among the others'. */
function WhyPay({ credit, payee }: { credit: CreditFacts; payee: string }) {
  const at = { job_id: credit.job_id };
  const job = useResource(`job ${credit.job_id}`, () => get("/api/jobs/{job_id}", at));
  const trainers = useResource(`trainers ${credit.job_id}`, () => get("/api/jobs/{job_id}/trainers", at));
  const unit = useUnit(credit.token);
  return (
    <article class="panel" aria-label="Why this pay">
      <h3>Job {credit.job_id}</h3>
      <Loaded from={job} lines={1}>
        {(detail) => (
          <Loaded from={trainers} lines={4}>
            {(list) => (
              <>
                {list
                  .filter((each) => each.member && same(each.payee, payee))
                  .map((each) => (
                    <WhySaid key={each.slot} why={whyThisPay(detail, list, each.slot, unit)} />
                  ))}
                <Trainers list={list} unit={unit} detail={detail} />
                <p>
                  <Link to={`/job/${credit.job_id}`}>What each round brought</Link>
                </p>
              </>
            )}
          </Loaded>
        )}
      </Loaded>
    </article>
  );
}
