// node powers.mjs POWER OUT.ptau: powers of a τ that this program draws and forgets, as far as `snarkjs groth16 setup` reads
// them for a circuit of 2^(POWER − 1) up to 2^POWER constraints. Whoever knows τ has a Lagrange basis with one multiple a
// point; from a ceremony's file, preparing it takes twenty times as long. For benches only: τ was known.
import { randomBytes } from "node:crypto";
import { createBinFile, endWriteSection, startWriteSection, writeBigInt } from "@iden3/binfileutils";
import { buildBn128 } from "ffjavascript";

const [power, out] = [Number(process.argv[2]), process.argv[3]];
const BATCH = 4096;
const curve = await buildBn128();
const { Fr } = curve;
const tau = Fr.e(BigInt("0x" + randomBytes(32).toString("hex")));

// L_i(τ) = (τ^n − 1)/n · ω^i / (τ − ω^i), n = 2^p, as little-endian integers.
async function basis(p) {
  const n = 2 ** p;
  const differences = new Uint8Array(n * Fr.n8);
  const roots = [];
  for (let i = 0, root = Fr.one; i < n; i++, root = Fr.mul(root, Fr.w[p])) {
    roots.push(root);
    differences.set(Fr.sub(tau, root), i * Fr.n8);
  }
  const inverses = await Fr.batchInverse(differences);
  const factor = Fr.div(Fr.sub(Fr.exp(tau, n), Fr.one), Fr.e(n));
  for (let i = 0; i < n; i++) {
    const at = i * Fr.n8;
    inverses.set(Fr.mul(Fr.mul(factor, roots[i]), inverses.slice(at, at + Fr.n8)), at);
  }
  return Fr.batchFromMontgomery(inverses);
}

async function multiples(group, name, scalars) {
  const [inner, affine] = [group.F.n8 * 3, group.F.n8 * 2];
  const batches = [];
  for (let from = 0; from < scalars.length; from += BATCH * Fr.n8) {
    const part = scalars.slice(from, from + BATCH * Fr.n8);
    const count = part.length / Fr.n8;
    const task = [
      { cmd: "ALLOCSET", var: 0, buff: group.oneAffine },
      { cmd: "ALLOCSET", var: 1, buff: part },
      { cmd: "ALLOC", var: 2, len: count * inner },
    ];
    for (let i = 0; i < count; i++) {
      const params = [{ var: 0 }, { var: 1, offset: i * Fr.n8 }, { val: Fr.n8 }, { var: 2, offset: i * inner }];
      task.push({ cmd: "CALL", fnName: `${name}m_timesScalarAffine`, params });
    }
    task.push({ cmd: "CALL", fnName: `${name}m_batchToAffine`, params: [{ var: 2 }, { val: count }, { var: 2 }] });
    task.push({ cmd: "GET", out: 0, var: 2, len: count * affine });
    batches.push(curve.tm.queueAction(task));
  }
  return Buffer.concat((await Promise.all(batches)).map(([points]) => points));
}

const file = await createBinFile(out, "ptau", 1, 10);

async function section(id, ...parts) {
  await startWriteSection(file, id);
  for (const part of parts) await file.write(part);
  await endWriteSection(file);
}

const n = 2 ** power;
const [g1, g2] = [curve.G1.F.n8 * 2, curve.G2.F.n8 * 2];
const scalars = await basis(power);
const [first, second] = [await multiples(curve.G1, "g1", scalars), await multiples(curve.G2, "g2", scalars)];
const doubled = await multiples(curve.G1, "g1", await basis(power + 1));

await startWriteSection(file, 1);
await file.writeULE32(curve.F1.n8);
await writeBigInt(file, curve.q, curve.F1.n8);
await file.writeULE32(power);
await file.writeULE32(power);
await endWriteSection(file);
await section(2, new Uint8Array((2 * n - 1) * g1)); // the powers themselves go into no more than a hash
await section(3, new Uint8Array(n * g2));
await section(4, curve.G1.oneAffine); // α = β = 1: the prover has the same work with any other
await section(5, curve.G1.oneAffine);
await section(6, curve.G2.oneAffine);
// A basis of 2^p is at (2^p − 1) points; smaller ones than that of the circuit are not read.
const below = (points) => new Uint8Array((n - 1) * points);
await section(12, below(g1), first, doubled);
await section(13, below(g2), second);
await section(14, below(g1), first);
await section(15, below(g1), first);
await file.close();
process.exit(0);
