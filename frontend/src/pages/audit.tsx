/** An audit for anyone: the node's checks one by one, and the chain read again from this browser. No wallet, no token. */
import { useEffect, useRef, useState } from "preact/hooks";
import { browserChecks, clientOf, factsOf } from "../audit";
import { ApiError, type AuditCheck, type AuditResult, authorized, type Problem, problemOf } from "../live/api";
import { useNode } from "../live/node";
import { messages } from "../live/sse";
import { go, Link } from "../router";
import { download, Empty, Notice, Term, Title } from "../ui/parts";

const KEPT = "merit.rpc";

export function Audit({ jobId }: { jobId: number | null }) {
  const [typed, setTyped] = useState(jobId?.toString() ?? "");
  const [wrong, setWrong] = useState(false);
  const start = (event: Event) => {
    event.preventDefault();
    const id = /(?:^|\/(?:job|audit)\/)([1-9]\d{0,15})\/?$/.exec(typed.trim())?.[1];
    setWrong(!id);
    if (id) go(`/audit/${id}`);
  };
  return (
    <>
      <header class="page-head">
        <Title>Audit</Title>
        <p class="lead">
          Checks everything about a job that the chain and storage show. It needs no account and no trust in who wrote
          it.
        </p>
      </header>
      <form class="inline-form" onSubmit={start}>
        <label>
          Job number or link
          <input
            value={typed}
            inputMode="text"
            aria-invalid={wrong ? true : undefined}
            aria-describedby={wrong ? "wrong" : undefined}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <button type="submit">Choose</button>
      </form>
      {wrong && (
        <p id="wrong" class="mistake">
          Give a number such as 7, or the link of a job.
        </p>
      )}
      {jobId ? <Checks key={jobId} jobId={jobId} /> : <Empty title="Choose a job to audit." />}
    </>
  );
}

type Run = { state: "idle" | "running" | "done" | "failed"; checks: AuditCheck[]; problem: string | null };
const IDLE: Run = { state: "idle", checks: [], problem: null };

function Checks({ jobId }: { jobId: number }) {
  const node = useNode();
  const [byNode, setByNode] = useState<Run>(IDLE);
  const [result, setResult] = useState<AuditResult | null>(null);
  const [own, setOwn] = useState<Run>(IDLE);
  const [rpc, setRpc] = useState("");
  const abort = useRef<AbortController | null>(null);
  useEffect(() => setRpc((old) => old || sessionStorage.getItem(KEPT) || node?.rpc || ""), [node]);
  useEffect(() => () => abort.current?.abort(), []);

  const audit = async () => {
    abort.current?.abort();
    const stop = new AbortController();
    abort.current = stop;
    setResult(null);
    setByNode({ ...IDLE, state: "running" });
    try {
      const response = await fetch(`/api/jobs/${jobId}/audit`, { headers: authorized(), signal: stop.signal });
      if (!response.ok) throw await problemOf(response);
      let ended = false;
      for await (const message of messages(response)) {
        if (message.event === "check") {
          const check = JSON.parse(message.data) as AuditCheck;
          setByNode((old) => ({ ...old, checks: [...old.checks, check] }));
        } else if (message.event === "result") {
          ended = true;
          setResult(JSON.parse(message.data) as AuditResult);
          setByNode((old) => ({ ...old, state: "done" }));
        } else if (message.event === "problem") throw new ApiError(0, (JSON.parse(message.data) as Problem).detail);
      }
      if (!ended) throw new ApiError(0, "The node ended the audit before it was complete. Start it again.");
    } catch (error) {
      if (stop.signal.aborted) return;
      const problem =
        error instanceof ApiError ? error.detail : "The node cannot be reached; its audit is not complete.";
      setByNode((old) => ({ ...old, state: "failed", problem }));
    }
  };

  const look = async (event: Event) => {
    event.preventDefault();
    if (!node) return;
    setOwn({ ...IDLE, state: "running" });
    try {
      const client = clientOf(new URL(rpc.trim()).toString());
      sessionStorage.setItem(KEPT, rpc.trim());
      for await (const check of browserChecks(client, await factsOf(node, jobId)))
        setOwn((old) => ({ ...old, checks: [...old.checks, check] }));
      setOwn((old) => ({ ...old, state: "done" }));
    } catch (error) {
      const problem =
        error instanceof ApiError
          ? error.detail
          : "This is not an address that can be read: give one that begins with http:// or https://.";
      setOwn((old) => ({ ...old, state: "failed", problem }));
    }
  };

  const save = () => {
    const document = {
      job_id: jobId,
      market: node?.market,
      chain_id: node?.chain_id,
      node: result,
      browser: { rpc: rpc.trim(), checks: own.checks },
    };
    download(`audit-job-${jobId}.json`, "application/json", `${JSON.stringify(document, null, 2)}\n`);
  };

  return (
    <>
      <section>
        <h2>
          By this node, job <Link to={`/job/${jobId}`}>{jobId}</Link>
        </h2>
        <p class="muted">
          Rebuilds the job from its events, checks every proof again in another language than made it, recomputes every
          payout and follows every <Term word="CID" />. It can take a minute.
        </p>
        <button type="button" onClick={audit} disabled={byNode.state === "running"}>
          {byNode.state === "running" ? "Checking…" : byNode.state === "idle" ? "Start the audit" : "Audit again"}
        </button>
        <List run={byNode} />
        {result &&
          (result.ok ? (
            <Notice kind="good">Everything that could be checked is right, as of block {result.block}.</Notice>
          ) : (
            <Notice kind="bad">
              <p>
                The audit found {result.findings.length === 1 ? "a mismatch" : `${result.findings.length} mismatches`}.
              </p>
              <ul>
                {result.findings.map((finding) => (
                  <li key={finding}>{finding}</li>
                ))}
              </ul>
            </Notice>
          ))}
      </section>
      <section>
        <h2>By this browser</h2>
        <p class="muted">
          Reads the contract again through an address of your choice, so that you need not believe this node. Proofs are
          not checked here; for that run <code>merit audit {jobId}</code> on a machine of yours.
        </p>
        <form class="inline-form" onSubmit={look}>
          <div class="field">
            <label for="rpc">RPC address</label>
            <Term word="RPC address">
              ?<span class="visually-hidden"> What does it mean</span>
            </Term>
            <input
              id="rpc"
              type="url"
              required
              value={rpc}
              placeholder="https://…"
              onInput={(event) => setRpc(event.currentTarget.value)}
            />
          </div>
          <button type="submit" disabled={own.state === "running" || !node}>
            {own.state === "running" ? "Reads…" : "Read the chain"}
          </button>
        </form>
        <List run={own} />
      </section>
      {(result || own.checks.length > 0) && (
        <button type="button" class="quiet" onClick={save}>
          Save as JSON
        </button>
      )}
    </>
  );
}

const MARKS = {
  true: ["✓", "holds", "good"],
  false: ["✗", "does not hold", "bad"],
  null: ["–", "not checked", ""],
} as const;

function List({ run }: { run: Run }) {
  return (
    <>
      <ol class="checks" aria-live="polite">
        {run.checks.map((check) => {
          const [mark, word, kind] = MARKS[String(check.ok) as keyof typeof MARKS];
          return (
            <li key={check.name}>
              <span class={`mark ${kind}`} aria-hidden="true">
                {mark}
              </span>
              <span class="check-name">
                {check.name} <span class="visually-hidden">{word}</span>
              </span>
              <span class="muted">{check.detail}</span>
            </li>
          );
        })}
      </ol>
      {run.state === "running" && (
        <p class="muted" role="status">
          Checks go on…
        </p>
      )}
      {run.problem && <Notice kind="bad">{run.problem}</Notice>}
    </>
  );
}
