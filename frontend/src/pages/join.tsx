/** Joining in three steps, four with a ticket, then watching one's own trainer. The data never leave the node's machine. */
import { useState } from "preact/hooks";
import { get, type JobDetail, type Reading } from "../live/api";
import { useKept } from "../live/kept";
import { useNode, useToken } from "../live/node";
import { useResource } from "../live/resource";
import { useUnit } from "../live/unit";
import { Link, useQuery } from "../router";
import { percent, plural } from "../text/amounts";
import { dataText, PLAIN } from "../text/data";
import { MAX_TICKET, whyNot } from "../text/ticket";
import { plainDuration } from "../text/time";
import { DataChecked, ReadingFields, Sources } from "../ui/data-source";
import { TextField } from "../ui/field";
import { NoToken } from "../ui/no-token";
import { Amount, Empty, Hex as HexView, Loaded, Notice, Skeleton, Term, Title, Transaction } from "../ui/parts";
import { WalletChooser } from "../ui/wallet";
import { useWallet } from "../wallet/wallet";
import { JobLoaded, useJob } from "./job-loaded";
import { Stake } from "./join-stake";
import { Trainer } from "./trainer";
import { Trust } from "./trust";

export function Join({ jobId }: { jobId: number }) {
  const token = useToken();
  const job = useJob(jobId);
  const own = useResource(
    token ? `own ${jobId}` : null,
    () => get("/api/trainers"),
    (news) => news.type === "training" || news.type === "chain",
  );
  const mine = own.data?.find((trainer) => trainer.job_id === jobId);
  const [left, setLeft] = useState<{ hash: string; text: string } | null>(null);
  return (
    <>
      <header class="page-head">
        <p class="crumb">
          <Link to="/">Market</Link> / <Link to={`/job/${jobId}`}>Job {jobId}</Link> / {mine ? "Your trainer" : "Join"}
        </p>
        <Title>{mine ? "Your trainer" : "Join as a trainer"}</Title>
      </header>
      {left && !mine && (
        <Notice kind="good">
          {left.text} <Transaction hash={left.hash} />
        </Notice>
      )}
      <JobLoaded from={job} jobId={jobId} lines={6}>
        {(detail) =>
          !token ? (
            <NoToken />
          ) : own.data === undefined && own.loading ? (
            <Skeleton lines={4} />
          ) : mine ? (
            <Trainer
              trainer={mine}
              detail={detail}
              reload={own.reload}
              left={(hash, text) => setLeft({ hash, text })}
            />
          ) : (
            <Loaded from={own}>{() => <Steps detail={detail} reload={own.reload} />}</Loaded>
          )
        }
      </JobLoaded>
    </>
  );
}

// ---------------------------------------------------------------- the three steps

/** What was chosen so far, which a reload does not lose. ticket: as changed from the link's. */
type Chosen = {
  byWallet: boolean | null;
  link: string;
  ticket: string;
  source: string;
  reading: Reading;
  checked: boolean;
};
const NOTHING: Chosen = { byWallet: null, link: "", ticket: "", source: "", reading: PLAIN, checked: false };

type Go = { detail: JobDetail; reload: () => void };

function Steps({ detail, reload }: Go) {
  const { terms, summary } = detail;
  const unit = useUnit(terms.token);
  const wallet = useWallet();
  const node = useNode();
  const [kept, setKept] = useKept<Chosen>(`join ${summary.job_id}`, NOTHING);
  const choose = (part: Partial<Chosen>) => setKept((old) => ({ ...old, ...part }));
  const { byWallet } = kept;
  const data = kept.checked ? kept.source.trim() : null;
  const given = (new URLSearchParams(useQuery()).get("ticket") ?? "").slice(0, MAX_TICKET);
  const ticket = kept.link === given ? kept.ticket : given;
  const payee = byWallet ? (wallet?.account ?? null) : (node?.acts_as?.address ?? null);
  if (summary.state !== "open")
    return (
      <Empty title={`Job ${summary.job_id} is ${summary.state}: nobody can join any more.`}>
        <Link to="/">Find a job that is open</Link>
      </Empty>
    );
  if (!node) return <Skeleton lines={6} />;
  if (!node.acts_as)
    return (
      <Notice kind="warn">
        This node has no key to train with: make one with <code>merit key new</code>, then start it again.
      </Notice>
    );
  const { gate } = terms;
  const refused = gate ? whyNot(ticket, summary.job_id, node.acts_as.address, detail.now) : null;
  return (
    <ol class="steps">
      {gate && (
        <li class={refused ? "" : "done"}>
          <h2>Your ticket</h2>
          <p>
            This job takes trainers by invitation of <HexView value={gate} what="gate" />. Ask there for a{" "}
            <Term word="ticket" /> for your node, <HexView value={node.acts_as.address} what="node's address" />.
          </p>
          <label>
            Ticket
            <input
              value={ticket}
              maxLength={MAX_TICKET}
              placeholder="merit1_…"
              aria-invalid={ticket && refused ? true : undefined}
              onInput={(event) => choose({ link: given, ticket: event.currentTarget.value })}
            />
          </label>
          {ticket && refused && <Notice kind="bad">{refused}</Notice>}
        </li>
      )}
      <li class={payee && byWallet !== null ? "done" : ""}>
        <h2>Where your pay goes</h2>
        <p>
          Your node signs the work with its own key, the <Term word="operator" />. Pay and stake are credited to the{" "}
          <Term word="payee" />, which can be a wallet that the node does not hold.
        </p>
        <fieldset class="choice">
          <legend class="visually-hidden">Payee</legend>
          <label>
            <input type="radio" name="payee" checked={byWallet === true} onChange={() => choose({ byWallet: true })} />
            <span>My browser wallet</span>
          </label>
          <label>
            <input
              type="radio"
              name="payee"
              checked={byWallet === false}
              onChange={() => choose({ byWallet: false })}
            />
            <span>
              The node's own key, <HexView value={node.acts_as.address} what="node's address" />
            </span>
          </label>
        </fieldset>
        {byWallet && <WalletChooser purpose="or let the node's own key be paid" />}
      </li>
      <li class={data ? "done" : ""}>
        <h2>Your data</h2>
        <p>
          A file or folder on the node's machine. It is checked here against what the job asks for
          {detail.spec && <>: {dataText(detail.spec.data)}</>}. Nothing of it leaves the machine.
        </p>
        <DataStep
          jobId={summary.job_id}
          source={kept.source}
          reading={kept.reading}
          checked={kept.checked}
          change={(source, reading) => choose({ source, reading, checked: false })}
          decide={(source, fits) => setKept((old) => (old.source === source ? { ...old, checked: fits } : old))}
        />
      </li>
      <li>
        <h2>Stake and go</h2>
        <p>
          The node deposits a <Term word="stake" /> of <Amount value={terms.stake} unit={unit} exact />. You get it back
          when the job is over; {plural(terms.max_missed, "missed submission")} in a row, or{" "}
          {plural(terms.max_strikes, "strike")}, cost {percent(terms.slash_bps / 10_000, 0)} of it. Each round gives{" "}
          {plainDuration(terms.submit_window)} to train and submit, and adds to your <Term word="points" />. When the
          job is over, its <Term word="pot" /> of <Amount value={terms.reward} unit={unit} /> for each settled round is
          divided by them.
        </p>
        <Trust summary={summary} />
        <Stake
          detail={detail}
          ticket={gate ? (refused ? null : ticket.trim()) : ""}
          payee={byWallet === null ? null : payee}
          data={data}
          reading={kept.reading}
          reload={reload}
        />
      </li>
    </ol>
  );
}

type DataStepProps = {
  jobId: number;
  source: string;
  reading: Reading;
  checked: boolean;
  change: (source: string, reading: Reading) => void;
  /** Hears whether a source fits, which may not be the chosen one any more. */
  decide: (source: string, fits: boolean) => void;
};

function DataStep({ jobId, source, reading, checked, change, decide }: DataStepProps) {
  return (
    <>
      <TextField
        name="source"
        label="Data source"
        mistakes={{}}
        value={source}
        list="sources"
        placeholder="digits, or a path on the node's machine"
        hint={
          <>
            The node reads only folders that were allowed with <code>merit up --data FOLDER</code>; <code>digits</code>{" "}
            is built in.
          </>
        }
        set={(given) => change(given, reading)}
      />
      <Sources id="sources" />
      <ReadingFields of="reading" value={reading} change={(given) => change(source, given)} />
      <DataChecked
        of={{ job_id: jobId }}
        source={source}
        reading={reading}
        again={checked}
        checked={(fits) => decide(source, fits)}
      />
    </>
  );
}
