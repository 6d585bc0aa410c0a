// node prove.mjs INPUT CIRCUIT.wasm CIRCUIT.zkey: witness and Groth16 proof, with times, checked outside of them.
import { readFileSync } from "node:fs";
import { groth16, wtns, zKey } from "snarkjs";

const [inputFile, wasm, zkey] = process.argv.slice(2);
const input = JSON.parse(readFileSync(inputFile, "utf8"));
const witness = { type: "mem" };

const started = performance.now();
await wtns.calculate(input, wasm, witness);
const calculated = performance.now();
const { proof, publicSignals } = await groth16.prove(zkey, witness);
const proved = performance.now();

const valid = await groth16.verify(await zKey.exportVerificationKey(zkey), publicSignals, proof);
const result = {
  witness_seconds: (calculated - started) / 1000,
  groth16_seconds: (proved - calculated) / 1000,
  peak_gib: process.resourceUsage().maxRSS / 2 ** 20,
  public: publicSignals,
  valid,
};
process.stdout.write(JSON.stringify(result) + "\n", () => process.exit(0)); // snarkjs leaves workers behind
