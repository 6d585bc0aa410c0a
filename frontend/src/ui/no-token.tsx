import { Empty } from "./parts";

/** What is shown where only a tab with the node's token can act. */
export function NoToken() {
  return (
    <Empty title="This page may only look on.">
      <p>
        Training happens on a node beside your data. Start one with <code>merit up</code> and open the address that it
        prints: it holds the token that lets this page act.
      </p>
    </Empty>
  );
}
