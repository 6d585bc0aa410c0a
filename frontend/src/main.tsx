import { render } from "preact";
import { App } from "./app";
import { startEvents } from "./live/events";
import { takeToken } from "./live/token";
import "./style.css";
import { discover } from "./wallet/providers";
import { reconnect } from "./wallet/wallet";

takeToken(location, history, sessionStorage);
discover(window);
reconnect();
startEvents();
const root = document.getElementById("app");
if (root) render(<App />, root);
