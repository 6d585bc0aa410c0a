// Says how large the built page is, gzipped, and fails above the budget for script.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const BUDGET = 150_000;
const assets = join(dirname(fileURLToPath(import.meta.url)), "../dist/assets");
let script = 0;
for (const name of readdirSync(assets)) {
  const bytes = gzipSync(readFileSync(join(assets, name)), { level: 9 }).length;
  if (name.endsWith(".js")) script += bytes;
  console.log(`${name}: ${(bytes / 1000).toFixed(1)} kB gzip`);
}
console.log(`script in all: ${(script / 1000).toFixed(1)} kB gzip, budget ${BUDGET / 1000} kB`);
if (script > BUDGET) process.exit(1);
