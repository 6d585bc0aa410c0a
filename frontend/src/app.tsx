/** The frame around every page: where one is, which node and chain, and whether what is shown is live. */
import { useEffect } from "preact/hooks";
import { link } from "./live/events";
import { useHealth, useNodeReader, useToken } from "./live/node";
import { useNodeSentReader } from "./live/node-sent";
import { useNotifications, useNotifying } from "./live/notify";
import { useStore } from "./live/store";
import { useWorkReader } from "./live/work";
import { Audit } from "./pages/audit";
import { Create } from "./pages/create";
import { Job } from "./pages/job";
import { Join } from "./pages/join";
import { Market } from "./pages/market";
import { NodePage } from "./pages/node";
import { Pay } from "./pages/pay";
import { TransactionPage } from "./pages/transaction";
import { WorkPage } from "./pages/work";
import { go, Link, type Route, routeOf, usePath } from "./router";
import { count, plural } from "./text/amounts";
import { LOCALE } from "./text/locale";
import { AccountMenu } from "./ui/account";
import { Empty, Failed, Hex, Notice, Title } from "./ui/parts";
import { SentMenu } from "./ui/sent";
import { chainName } from "./wallet/chains";

const TITLES: Record<Route["page"], string> = {
  market: "Market",
  job: "Job",
  join: "Join",
  create: "Create a job",
  work: "My work",
  node: "This node",
  pay: "Pay",
  audit: "Audit",
  transaction: "Transaction",
  missing: "Not found",
};

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case "market":
      return <Market />;
    case "job":
      return <Job key={route.jobId} jobId={route.jobId} />;
    case "join":
      return <Join key={route.jobId} jobId={route.jobId} />;
    case "create":
      return <Create />;
    case "work":
      return <WorkPage />;
    case "node":
      return <NodePage />;
    case "pay":
      return <Pay payee={route.payee} />;
    case "audit":
      return <Audit key={route.jobId} jobId={route.jobId} />;
    case "transaction":
      return <TransactionPage hash={route.hash} />;
    default:
      return (
        <>
          <Title>There is no such page</Title>
          <Empty title="The address leads nowhere.">
            <Link to="/">Go to the market</Link>
          </Empty>
        </>
      );
  }
}

function Notifier() {
  useNotifications(go);
  return null;
}

export function App() {
  const route = routeOf(usePath());
  const node = useNodeReader();
  const live = useStore(link);
  const health = useHealth();
  const behind = live.state === "live" && health?.status === "degraded";
  const lamp = behind ? "broken" : live.state;
  const token = useToken();
  useNodeSentReader();
  const notifying = useNotifying() === "on";
  useWorkReader(notifying || route.page === "work");
  const section = route.page === "job" || route.page === "join" ? "market" : route.page;
  useEffect(() => {
    const id = "jobId" in route && route.jobId ? ` ${route.jobId}` : "";
    document.title = `${TITLES[route.page]}${id} · Merit`;
  }, [route]);
  const nav = [
    ["market", "/", "Market"],
    ["create", "/create", "Create"],
    ["work", "/work", "My work"],
    ["pay", "/pay", "My pay"],
    ["audit", "/audit", "Audit"],
    ["node", "/node", "Node"],
  ] as const;
  return (
    <>
      {notifying && <Notifier />}
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <Link to="/" class="brand">
          <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
            <rect width="32" height="32" rx="6" />
            <path d="M7 23V11l6 7 3-4 3 4 6-7v12" />
          </svg>
          Merit
        </Link>
        <nav aria-label="Pages">
          {nav.map(([page, to, text]) => (
            <Link key={page} to={to} current={page === section}>
              {text}
            </Link>
          ))}
        </nav>
        <span class="account">
          <SentMenu />
          <AccountMenu />
        </span>
      </header>
      <main id="main">
        {live.state === "broken" && (
          <Notice kind="warn">
            <p>
              Not live since {new Date(live.since).toLocaleTimeString(LOCALE)}: {live.reason} What you see may be out of
              date; the page tries again by itself.
            </p>
          </Notice>
        )}
        {behind && (
          <Notice kind="warn">
            <p>
              The node does not follow the chain at the moment: {health.problem}
              {health.indexed !== null && ` What you see is as of block ${count(health.indexed)}.`} Deadlines go on.
            </p>
          </Notice>
        )}
        {node.error && !node.data && <Failed error={node.error} retry={node.reload} />}
        <Page route={route} />
      </main>
      <footer>
        <p>
          <span class={`lamp lamp-${lamp}`} aria-hidden="true" />
          {lamp === "live" ? "Live" : lamp === "starting" ? "Connecting" : "Not live"}
          {node.data && (
            <>
              {" · "}
              {chainName(node.data.chain_id, node.data.local)} · market{" "}
              <Hex value={node.data.market} what="market's address" />
              {" · "}version {node.data.version}
            </>
          )}
          {" · "}
          {token ? "this tab may act through the node" : "this tab only looks on"}
          {token && health && health.jobs_in_trouble > 0 && (
            <>
              {" · "}
              <Link to="/node">{plural(health.jobs_in_trouble, "job")} in trouble</Link>
            </>
          )}
        </p>
      </footer>
    </>
  );
}
