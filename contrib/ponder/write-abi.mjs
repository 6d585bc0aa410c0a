// Writes abi.ts: the market's events, from the artifact that Merit deploys. MERIT_ARTIFACTS: the folder that it is in.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const artifacts = process.env.MERIT_ARTIFACTS ?? join(here, "../../marketplace/chain/artifacts");
const events = JSON.parse(readFileSync(join(artifacts, "JobMarket.json"), "utf8")).abi.filter(({ type }) => type === "event");
writeFileSync(join(here, "abi.ts"), `export const marketAbi = ${JSON.stringify(events, null, 1)} as const;\n`);
