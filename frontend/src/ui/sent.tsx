/** Everything that was sent, in one place: with a wallet, from any tab, or with the node's own key. */

import type { ComponentChildren } from "preact";
import type { SentFacts } from "../live/api";
import { useNodeSent } from "../live/node-sent";
import { Link } from "../router";
import { isHash } from "../wallet/answers";
import { forgetSent, isOpen, type Sent, useSent } from "../wallet/sent";
import { Address } from "./address";
import { Dropdown } from "./dropdown";
import { Notice, Transaction, When } from "./parts";

type Line = {
  key: string;
  text: string;
  at: number;
  open: boolean;
  state: ComponentChildren;
  kind: "" | "good" | "bad" | "warn";
  hash: string | null;
  by: ComponentChildren;
  job: number | null;
  reason: string | null;
  forget: (() => void) | null;
};

const STATES: Record<Sent["state"], [words: string, kind: Line["kind"]]> = {
  asked: ["waits for your wallet", "warn"],
  waiting: ["not in a block yet", "warn"],
  done: ["done", "good"],
  failed: ["failed", "bad"],
  replaced: ["replaced", "bad"],
};

function ofWallet(entry: Sent): Line {
  const [words, kind] = STATES[entry.state];
  return {
    key: entry.id,
    text: entry.text,
    at: entry.at / 1000,
    open: isOpen(entry),
    state: entry.state === "waiting" && entry.contract ? "waits for the owners of your contract wallet" : words,
    kind,
    hash: isHash(entry.name) && !(entry.contract && entry.state === "waiting") ? entry.name : null,
    by: <Address value={entry.account} what="account" />,
    job: entry.job,
    reason: entry.reason,
    forget: () => forgetSent(entry.id),
  };
}

const NODE_STATES: Record<SentFacts["state"], [words: string, kind: Line["kind"]]> = {
  working: ["is being sent", "warn"],
  unsure: ["not in a block yet", "warn"],
  done: ["done", "good"],
  failed: ["failed", "bad"],
};

function ofNode(entry: SentFacts): Line {
  return {
    key: `node ${entry.number}`,
    text: entry.text,
    at: entry.since,
    open: isOpenAtNode(entry),
    state: NODE_STATES[entry.state][0],
    kind: NODE_STATES[entry.state][1],
    hash: entry.transaction,
    by: "the node's key",
    job: entry.job_id,
    reason: entry.problem,
    forget: null,
  };
}

export function SentMenu() {
  const lines = [...useSent().map(ofWallet), ...useNodeSent().map(ofNode)].sort((a, b) => b.at - a.at);
  if (lines.length === 0) return null;
  const open = lines.filter((line) => line.open).length;
  return (
    <Dropdown
      class="sent"
      summary={
        <>
          Sent
          {open > 0 && (
            <span class="badge">
              {open}
              <span class="visually-hidden"> waiting</span>
            </span>
          )}
        </>
      }
    >
      <ul class="dropdown-body" aria-label="What was sent">
        {lines.map((line) => (
          <Entry key={line.key} line={line} />
        ))}
      </ul>
    </Dropdown>
  );
}

function Entry({ line }: { line: Line }) {
  return (
    <li>
      <p>
        <strong>{line.text}</strong> <span class={`mark ${line.kind}`}>{line.state}</span>
        {line.job !== null && (
          <>
            {" · "}
            <Link to={`/job/${line.job}`}>job {line.job}</Link>
          </>
        )}
      </p>
      {line.reason && <p>{line.reason}</p>}
      <p class="muted">
        <When unix={line.at} /> by {line.by}
        {line.hash && (
          <>
            {" · "}
            <Transaction hash={line.hash} />
          </>
        )}
        {line.forget && (
          <>
            {" "}
            <button type="button" class="quiet small" onClick={line.forget}>
              Forget
            </button>
          </>
        )}
      </p>
    </li>
  );
}

const isOpenAtNode = ({ state }: SentFacts) => state === "working" || state === "unsure";

/** New jobs that are on their way: to repeat one would escrow twice. */
export function OpenCreations() {
  const mine = useSent().filter((entry) => entry.creation !== null && isOpen(entry));
  const nodes = useNodeSent().filter((entry) => isOpenAtNode(entry) && entry.text.startsWith("Create"));
  return (
    <>
      {mine.map((entry) => (
        <Notice kind="warn" key={entry.id}>
          <p>
            {entry.text}:{" "}
            {entry.state === "asked"
              ? "your wallet was asked and has not answered yet. Look there before you do it again."
              : "it was sent, and is not in a block yet. The job's number is shown here once it is."}{" "}
            {isHash(entry.name) && !entry.contract && <Transaction hash={entry.name} />}
          </p>
          <button type="button" class="quiet small" onClick={() => forgetSent(entry.id)}>
            It will never be sent: forget it
          </button>
        </Notice>
      ))}
      {nodes.map((entry) => (
        <Notice kind="info" key={entry.number}>
          {entry.text}: this node is at it. The job's number is shown here once there is one.
        </Notice>
      ))}
    </>
  );
}

/** A job that was created while this page was looked at, though not by it: before a reload, or in another tab. */
export function CreatedMeanwhile({ since }: { since: number }) {
  const mine = useSent().filter((entry) => entry.creation !== null && entry.state === "done");
  const nodes = useNodeSent().filter((entry) => entry.text.startsWith("Create") && entry.state === "done");
  const jobs = [
    ...mine.map(({ job, text, at }) => ({ job, text, at })),
    ...nodes.map(({ job_id, text, since: at }) => ({ job: job_id, text, at: at * 1000 })),
  ].filter(({ job, at }) => job !== null && at > since - 600_000);
  return (
    <>
      {jobs.map(({ job, text }) => (
        <Notice kind="good" key={job}>
          {text}: done. <Link to={`/job/${job}`}>It is job {job}</Link>.
        </Notice>
      ))}
    </>
  );
}
