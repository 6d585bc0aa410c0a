// Writes src/generated: the API's types from the node's OpenAPI document, and the market's ABI from its artifact.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import openapi, { astToString } from "openapi-typescript";

const page = join(dirname(fileURLToPath(import.meta.url)), "..");
const root = join(page, "..");
const generated = join(page, "src/generated");
mkdirSync(generated, { recursive: true });

function document() {
  if (process.env.MERIT_OPENAPI) return readFileSync(process.env.MERIT_OPENAPI, "utf8");
  const inVenv = join(root, ".venv/bin/python");
  const python = process.env.PYTHON ?? (existsSync(inVenv) ? inVenv : "python3");
  return execFileSync(python, ["-m", "scripts.openapi"], { cwd: root, encoding: "utf8", maxBuffer: 64 << 20 });
}

function write(name, text) {
  const path = join(generated, name);
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text);
}

const types = await openapi(JSON.parse(document()), { alphabetize: true });
write("api.ts", astToString(types));

const { abi } = JSON.parse(readFileSync(join(root, "marketplace/chain/artifacts/JobMarket.json"), "utf8"));
const plain = ({ name, type, indexed, components }) => ({
  name,
  type,
  ...(indexed !== undefined && { indexed }),
  ...(components && { components: components.map(plain) }),
});
const used = abi
  .filter(({ type }) => ["error", "function", "event"].includes(type))
  .map(({ type, name, inputs, outputs, stateMutability }) => ({
    type,
    name,
    inputs: inputs.map(plain),
    ...(type === "function" && { outputs: outputs.map(plain), stateMutability }),
  }));
write("market.ts", `export const marketAbi = ${JSON.stringify(used, null, 1)} as const;\n`);
