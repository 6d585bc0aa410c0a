/** Where notifications are turned on and off. */
import { type Notifying, turnOff, turnOn, useNotifying } from "../live/notify";
import { useAttempt } from "./attempt";
import { Notice } from "./parts";

const TEXTS: Record<Notifying, string> = {
  off: "This browser can tell you of deadlines, pay and trouble while the page is open in a tab, also behind others. Nothing leaves this machine.",
  on: "This browser tells you of deadlines, pay and trouble, as long as the page is open in a tab.",
  blocked: "Notifications of this page are blocked in your browser's settings: allow them there, then reload.",
  impossible: "This browser shows no notifications of pages.",
};

export function NotifySwitch() {
  const state = useNotifying();
  const { working, problem, attempt } = useAttempt();
  return (
    <>
      <p class="muted" role="status">
        {TEXTS[state]}
      </p>
      {state === "off" && (
        <button type="button" class="quiet" onClick={() => attempt(turnOn)} disabled={working}>
          Notify me
        </button>
      )}
      {state === "on" && (
        <button type="button" class="quiet" onClick={turnOff}>
          No more notifications
        </button>
      )}
      {problem && <Notice kind="bad">{problem}</Notice>}
    </>
  );
}
