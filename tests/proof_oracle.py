"""Slow, plain prover of Gram proofs, for tests: the scheme of docs/proofs-format.md, equation by equation.

    python -m tests.proof_oracle            writes tests/vectors/gram.json and groth16.json
    python -m tests.proof_oracle --check    exits 1 where the files are not what this program writes

Schoolbook polynomials over py_ecc, for N of 8 and 16. It knows τ, commits by evaluating there, and can
simulate proofs. Shares no code with the package: its transcript and its encoding are its own.
"""

import argparse
import itertools
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak
from py_ecc.fields import optimized_bn128_FQ2 as FQ2
from py_ecc.optimized_bn128 import G1, G2, Z1, add, b2, field_modulus, is_inf, multiply, neg, normalize
from py_ecc.optimized_bn128 import curve_order as P

VECTORS = Path(__file__).with_name("vectors")
REFERENCE_POSITIONS = (32, 33)
GROTH16_INPUTS = 13
Poly = list[int]
Point = Any


# ------------------------------------------------------------------ polynomials over F_P, lowest coefficient first


def padd(a: Poly, b: Poly, k: int = 1) -> Poly:
    """a + k·b"""
    size = max(len(a), len(b))
    return [((a[i] if i < len(a) else 0) + k * (b[i] if i < len(b) else 0)) % P for i in range(size)]


def pmul(a: Poly, b: Poly) -> Poly:
    out = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] = (out[i + j] + x * y) % P
    return out


def pscale(a: Poly, k: int) -> Poly:
    return [x * k % P for x in a]


def peval(a: Poly, x: int) -> int:
    value = 0
    for c in reversed(a):
        value = (value * x + c) % P
    return value


def pdiv(a: Poly, b: Poly) -> Poly:
    """⌊a / b⌋; the remainder is dropped, so that a false statement gives a proof that only the verifier can tell."""
    rest, inverse = a[:], pow(b[-1], -1, P)
    quotient = [0] * max(1, len(a) - len(b) + 1)
    for i in range(len(a) - len(b), -1, -1):
        quotient[i] = rest[i + len(b) - 1] * inverse % P
        for j, y in enumerate(b):
            rest[i + j] = (rest[i + j] - quotient[i] * y) % P
    return quotient


# ------------------------------------------------------------------ bytes


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def hexword(value: int) -> str:
    return "0x" + word(value).hex()


def g1_bytes(point: Point) -> bytes:
    if is_inf(point):
        return bytes(64)
    x, y = normalize(point)
    return word(int(x)) + word(int(y))


def g2_bytes(point: Point) -> bytes:
    """EIP-197: the imaginary part first."""
    if is_inf(point):
        return bytes(128)
    return b"".join(word(int(c)) for coordinate in normalize(point) for c in reversed(coordinate.coeffs))


def outside_subgroup() -> bytes:
    """A point of the twist y² = x³ + 3/(9 + i) whose order is not P: nearly all of them are such."""
    for x1 in itertools.count(1):
        x = FQ2((1, x1))
        y = square_root(x * x * x + b2)
        if y is not None:
            point = (x, y, FQ2.one())
            if not is_inf(multiply(point, P)):
                return g2_bytes(point)
    raise AssertionError


def square_root(value: FQ2) -> FQ2 | None:
    """In F_q[i], q ≡ 3 mod 4: by the norm, |value|² = n², y₀² = (value₀ ± n)/2, y₁ = value₁/(2·y₀)."""

    def root(k: int) -> int | None:
        candidate = pow(k, (field_modulus + 1) // 4, field_modulus)
        return candidate if candidate * candidate % field_modulus == k % field_modulus else None

    re, im = map(int, value.coeffs)
    n = root(re * re + im * im)
    for sign in (1, -1) if n is not None else ():
        y0 = root((re + sign * n) * pow(2, -1, field_modulus))
        if y0:
            y = FQ2((y0, im * pow(2 * y0, -1, field_modulus)))
            if y * y == value:
                return y
    return None


def g1(k: int) -> Point:
    return multiply(G1, k % P)


def g2(k: int) -> Point:
    return multiply(G2, k % P)


# ------------------------------------------------------------------ set-up, commitment


@dataclass(frozen=True)
class Setup:
    """[τ^0 … τ^(N+4)]₁ and τ itself, which a real prover does not have."""

    chunk: int
    tau: int

    @property
    def omega(self) -> int:
        return pow(5, (P - 1) // self.chunk, P)

    @property
    def vanishing(self) -> Poly:
        return [P - 1] + [0] * (self.chunk - 1) + [1]

    def interpolate(self, values: Sequence[int]) -> Poly:
        size, back = pow(self.chunk, -1, P), pow(self.omega, -1, P)
        return [size * sum(v * pow(back, i * j, P) for j, v in enumerate(values)) % P for i in range(self.chunk)]

    def commit(self, f: Poly) -> Point:
        if len(f) > self.chunk + 5:
            raise ValueError(f"a polynomial of {len(f)} coefficients is longer than the set-up")
        return g1(peval(f, self.tau))

    def powers(self) -> list[Point]:
        return [g1(pow(self.tau, i, P)) for i in range(self.chunk + 5)]

    def polynomials(self, entries: Sequence[int], blinders: Sequence[int]) -> list[Poly]:
        """One for each chunk of a row; blinders: β_00, β_01, β_10, …"""
        chunks = [entries[at : at + self.chunk] for at in range(0, len(entries), self.chunk)]
        return [
            padd(
                self.interpolate([*(x % P for x in values), *[0] * (self.chunk - len(values))]),
                pmul(list(blinders[2 * k : 2 * k + 2]), self.vanishing),
            )
            for k, values in enumerate(chunks)
        ]


# ------------------------------------------------------------------ transcript


class Transcript:
    def __init__(self, context: bytes) -> None:
        self.state = keccak(b"merit/gram-proof/v1" + keccak(context))

    def absorb(self, *items: int | bytes) -> None:
        self.state = keccak(self.state + b"".join(i if isinstance(i, bytes) else word(i) for i in items))

    def challenge(self) -> int:
        self.state = keccak(self.state)
        return int.from_bytes(self.state, "big") % P


# ------------------------------------------------------------------ statement, proof


@dataclass(frozen=True)
class Round:
    """What a prover knows of a round. rows[i] are integers of length d; one set of 2c blinders a row."""

    setup: Setup
    context: tuple[int, str, int, int, bytes]
    positions: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]
    blinders: tuple[tuple[int, ...], ...]
    coefficients: tuple[int, ...]
    gram_hash: int
    mask: tuple[int, int, int]
    accumulator: tuple[int, int, int, int]
    gram: tuple[tuple[int, ...], ...] = field(default=())  # what is claimed; empty for what is true

    @property
    def chunks(self) -> int:
        return -(-len(self.rows[0]) // self.setup.chunk)

    @property
    def context_bytes(self) -> bytes:
        return encode(["uint256", "address", "uint256", "uint256", "bytes32"], self.context)

    @property
    def slots(self) -> int:
        """How many rows are slots' rows."""
        return sum(p not in REFERENCE_POSITIONS for p in self.positions)

    def polynomials(self) -> list[list[Poly]]:
        return [self.setup.polynomials(w, b) for w, b in zip(self.rows, self.blinders, strict=True)]

    def commitments(self) -> list[bytes]:
        return [b"".join(g1_bytes(self.setup.commit(f)) for f in row) for row in self.polynomials()]

    def sums(self) -> bytes:
        out = []
        for k in range(self.chunks):
            total: Poly = [0]
            for c, row in zip(self.coefficients, self.polynomials()[: self.slots], strict=True):
                total = padd(total, row[k], c)
            out.append(g1_bytes(self.setup.commit(total)))
        return b"".join(out)

    def true_gram(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(sum(x * y for x, y in zip(a, b, strict=True)) for b in self.rows) for a in self.rows)


@dataclass(frozen=True)
class Proof:
    """Points as 64 bytes, scalars as ints; `challenges` is what the transcript gave on the way."""

    M: bytes
    A: bytes
    Q: bytes
    Wz: bytes
    Ww: bytes
    y: int
    eA: int
    eM: int
    eAw: int
    ea: tuple[int, ...]
    eb: tuple[int, ...]
    challenges: Mapping[str, int] = field(default_factory=dict, compare=False)

    def encoded(self) -> bytes:
        scalars = (self.y, self.eA, self.eM, self.eAw, *self.ea, *self.eb)
        return self.M + self.A + self.Q + self.Wz + self.Ww + b"".join(map(word, scalars))


def begin(round_: Round, commitments: Sequence[bytes], sums: bytes, M: bytes) -> tuple[Transcript, int, int]:
    """Step 1: the transcript with all that r and s depend on, and r and s."""
    t = Transcript(round_.context_bytes)
    mask = sum(1 << p for p in round_.positions)
    t.absorb(len(round_.rows), round_.chunks, round_.setup.chunk, mask, *commitments, sums, round_.gram_hash, M)
    return t, t.challenge(), t.challenge()


def prove(round_: Round) -> Proof:
    """A proof of `round_.gram`; one that verifiers refuse where that is not the Gram matrix of the rows."""
    S, c, N = round_.setup, round_.chunks, round_.setup.chunk
    polys, mask = round_.polynomials(), list(round_.mask)
    M = g1_bytes(S.commit(mask))
    t, r, s = begin(round_, round_.commitments(), round_.sums(), M)

    # a_k = Σ_i r^{e_i} f_ik, b_k = Σ_i s^{e_i} f_ik, e = position + 1
    a: list[Poly] = [[0] for _ in range(c)]
    b: list[Poly] = [[0] for _ in range(c)]
    for p, row in zip(round_.positions, polys, strict=True):
        for k in range(c):
            a[k] = padd(a[k], row[k], pow(r, p + 1, P))
            b[k] = padd(b[k], row[k], pow(s, p + 1, P))
    # y = Σ_ij r^{e_i} s^{e_j} G_ij + μ
    gram = round_.gram or round_.true_gram()
    y = N * mask[0]
    for i, p in enumerate(round_.positions):
        y += sum(pow(r, p + 1, P) * pow(s, q + 1, P) * gram[i][j] for j, q in enumerate(round_.positions))
    y %= P
    A, Q = running_sum(round_, a, b, y)
    A_point, Q_point = g1_bytes(S.commit(A)), g1_bytes(S.commit(Q))
    t.absorb(y, A_point, Q_point)
    z = t.challenge()
    zw = z * S.omega % P

    ea, eb = [peval(f, z) for f in a], [peval(f, z) for f in b]
    eA, eM, eAw = peval(A, z), peval(mask, z), peval(A, zw)
    t.absorb(*ea, *eb, eA, eM, eAw)
    v = t.challenge()

    # F = Σ_e v^e · (a, b, A, mask, Q); W_z = (F − F(z))/(X − z), W_w = (A − A(ωz))/(X − ωz)
    F: Poly = [0]
    for e, f in enumerate([*a, *b, A, mask, Q]):
        F = padd(F, f, pow(v, e, P))
    Wz = pdiv(padd(F, [peval(F, z)], -1), [-z % P, 1])
    Ww = pdiv(padd(A, [eAw], -1), [-zw % P, 1])
    Wz_point, Ww_point = g1_bytes(S.commit(Wz)), g1_bytes(S.commit(Ww))
    return finish(
        t, round_, Proof(M, A_point, Q_point, Wz_point, Ww_point, y, eA, eM, eAw, tuple(ea), tuple(eb)), r, s, z, v
    )


def running_sum(round_: Round, a: Sequence[Poly], b: Sequence[Poly], y: int) -> tuple[Poly, Poly]:
    """A, Q with A(ωX) − A(X) = Σ_k a_k·b_k + mask − y/N + Q·(X^N − 1): on the domain a sum that ends where it began."""
    S = round_.setup
    step = padd(list(round_.mask), [y * pow(S.chunk, -1, P) % P], -1)
    for f, g in zip(a, b, strict=True):
        step = padd(step, pmul(f, g))
    sums = [0]
    for i in range(S.chunk - 1):
        sums.append((sums[-1] + peval(step, pow(S.omega, i, P))) % P)
    A = padd(S.interpolate(sums), pmul(list(round_.accumulator), S.vanishing))
    shifted = [x * pow(S.omega, i, P) % P for i, x in enumerate(A)]
    return A, pdiv(padd(padd(shifted, A, -1), step, -1), S.vanishing)


def finish(t: Transcript, round_: Round, proof: Proof, r: int, s: int, z: int, v: int) -> Proof:
    """Steps 4 and 5: nothing is left to prove, but the challenges are part of the vectors."""
    t.absorb(proof.Wz, proof.Ww)
    u = t.challenge()
    t.absorb(*round_.coefficients)
    rho, lam = t.challenge(), t.challenge()
    return replace(proof, challenges={"r": r, "s": s, "z": z, "v": v, "u": u, "rho": rho, "lambda": lam})


def simulate(
    round_: Round, commitments: Sequence[bytes], points: Sequence[Sequence[Point]], rng: random.Random
) -> Proof:
    """A proof made from τ and the commitments alone: it looks at no row, no blinder and no Gram matrix.

    Every value that a verifier sees is drawn at random, but for W_z and W_w, which its equation then fixes.
    """
    S, c, N = round_.setup, round_.chunks, round_.setup.chunk
    M, A, Q = (g1(rng.randrange(1, P)) for _ in range(3))
    t, r, s = begin(round_, commitments, round_.sums(), g1_bytes(M))
    y, eA, eM, eAw = (rng.randrange(P) for _ in range(4))
    ea, eb = ([rng.randrange(P) for _ in range(c)] for _ in range(2))
    t.absorb(y, g1_bytes(A), g1_bytes(Q))
    z = t.challenge()
    zw = z * S.omega % P
    t.absorb(*ea, *eb, eA, eM, eAw)
    v = t.challenge()
    relation = eAw - eA - sum(x * x_ for x, x_ in zip(ea, eb, strict=True)) - eM + y * pow(N, -1, P)
    eQ = relation * pow(pow(z, N, P) - 1, -1, P) % P
    F, E = Z1, 0
    for p, row in zip(round_.positions, points, strict=True):
        for k in range(c):
            scalar = pow(v, k, P) * pow(r, p + 1, P) + pow(v, c + k, P) * pow(s, p + 1, P)
            F = add(F, multiply(row[k], scalar % P))
    for e, value in enumerate([*ea, *eb, eA, eM, eQ]):
        E += pow(v, e, P) * value
    for e, point in enumerate((A, M, Q)):
        F = add(F, multiply(point, pow(v, 2 * c + e, P)))
    Wz = multiply(add(F, neg(g1(E))), pow(S.tau - z, -1, P))
    Ww = multiply(add(A, neg(g1(eAw))), pow(S.tau - zw, -1, P))
    m, a, q, wz, ww = (g1_bytes(point) for point in (M, A, Q, Wz, Ww))
    return finish(t, round_, Proof(m, a, q, wz, ww, y, eA, eM, eAw, tuple(ea), tuple(eb)), r, s, z, v)


# ------------------------------------------------------------------ cases


@cache
def setup(chunk: int) -> Setup:
    return Setup(chunk, random.Random(f"tau {chunk}").randrange(1, P))


def make_round(
    name: str,
    *,
    chunk: int = 8,
    slots: Sequence[int] = (0, 1, 2),
    references: bool = False,
    d: int = 13,
    coefficients: Sequence[int] | None = None,
    entries: Sequence[int] = (),
    context: tuple[int, str, int, int, bytes] = (31337, "0x" + "5a" * 20, 7, 3, b"\x11" * 32),
) -> Round:
    """A round of rows drawn from `name`; entries: what rows are made of, instead of the whole range."""
    rng = random.Random(name)
    positions = (*slots, *(REFERENCE_POSITIONS if references else ()))

    def scalars(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(P) for _ in range(count))

    c = -(-d // chunk)
    rows = tuple(
        tuple(rng.choice(entries) if entries else rng.randrange(-(2**15) + 1, 2**15) for _ in range(d))
        for _ in positions
    )
    mask, accumulator = scalars(3), scalars(4)
    return Round(
        setup=setup(chunk),
        context=context,
        positions=positions,
        rows=rows,
        blinders=tuple(scalars(2 * c) for _ in positions),
        coefficients=tuple(coefficients if coefficients is not None else (1,) * len(slots)),
        gram_hash=rng.randrange(P),
        mask=(mask[0], mask[1], mask[2]),
        accumulator=(accumulator[0], accumulator[1], accumulator[2], accumulator[3]),
    )


def cases() -> dict[str, Round]:
    return {
        "one trainer, one chunk": make_round("a", slots=(0,), d=5),
        "one trainer, a full chunk": make_round("b", slots=(3,), d=8),
        "two trainers, two chunks, one left out": make_round("c", slots=(1, 2), coefficients=(0, 1)),
        "three trainers with gaps": make_round("d", slots=(0, 5, 31)),
        "four trainers, three chunks": make_round("e", slots=(0, 1, 2, 3), d=17, coefficients=(1, 0, 1, 1)),
        "reference rows": make_round("f", slots=(0, 2), references=True, d=8, coefficients=(4096, 1733)),
        "reference rows, two chunks of 16": make_round(
            "g", chunk=16, slots=(4, 7, 8, 9), references=True, d=20, coefficients=(4096, 0, 12, 4095)
        ),
        "nothing selected": make_round("h", slots=(0, 1), references=True, coefficients=(0, 0)),
        "reference rows alone": make_round("k", slots=(), references=True, d=8),
        "largest entries": make_round("i", slots=(0, 1, 30), d=16, entries=(-32767, 32767)),
        "a zero update": make_round("j", slots=(6,), d=9, entries=(0,), coefficients=(0,)),
    }


def gram_vectors() -> dict[str, Any]:
    rounds = cases()
    setups = sorted({r.setup.chunk for r in rounds.values()})
    return {
        "about": "docs/proofs-format.md; integers of 32 bytes are 0x-hex, rows and their products decimal",
        "setups": [_setup_vector(setup(chunk)) for chunk in setups],
        "cases": [_case_vector(name, r) for name, r in rounds.items()],
    }


def _setup_vector(s: Setup) -> dict[str, Any]:
    return {
        "chunk": s.chunk,
        "tau": hexword(s.tau),
        "omega": hexword(s.omega),
        "g1": ["0x" + g1_bytes(p).hex() for p in s.powers()],
        "g2": ["0x" + g2_bytes(p).hex() for p in (G2, g2(s.tau))],
    }


def _case_vector(name: str, r: Round) -> dict[str, Any]:
    commitments, proof = r.commitments(), prove(r)
    chain_id, market, job_id, number, terms_hash = r.context
    return {
        "name": name,
        "chunk": r.setup.chunk,
        "context": {
            "chain_id": chain_id,
            "market": market,
            "job_id": job_id,
            "round": number,
            "terms_hash": "0x" + terms_hash.hex(),
            "encoded": "0x" + r.context_bytes.hex(),
        },
        "positions": list(r.positions),
        "rows": [list(row) for row in r.rows],
        "blinders": ["0x" + b"".join(map(word, b)).hex() for b in r.blinders],
        "commitments": ["0x" + c.hex() for c in commitments],
        "commitment_hashes": ["0x" + keccak(c).hex() for c in commitments],
        "coefficients": list(r.coefficients),
        "sums": "0x" + r.sums().hex(),
        "gram": [[str(g) for g in row] for row in r.true_gram()],
        "gram_hash": hexword(r.gram_hash),
        "randomness": {"mask": [*map(hexword, r.mask)], "accumulator": [*map(hexword, r.accumulator)]},
        "mu": hexword(r.setup.chunk * r.mask[0] % P),
        "challenges": {key: hexword(value) for key, value in proof.challenges.items()},
        "proof": "0x" + proof.encoded().hex(),
    }


# ------------------------------------------------------------------ Groth16 without a circuit


@dataclass(frozen=True)
class Groth16:
    """A verifying key whose trapdoor is known: any inputs can be proved, without a witness, as a simulator does."""

    alpha: int
    beta: int
    gamma: int
    delta: int
    ic: tuple[int, ...]

    def key(self) -> bytes:
        twos = b"".join(g2_bytes(g2(k)) for k in (self.beta, self.gamma, self.delta))
        return g1_bytes(g1(self.alpha)) + twos + b"".join(g1_bytes(g1(k)) for k in self.ic)

    def prove(self, inputs: Sequence[int], rng: random.Random) -> bytes:
        """A, B at random; C = (A·B − α·β − γ·Σ x_i·IC_i)/δ."""
        a, b = rng.randrange(1, P), rng.randrange(1, P)
        bound = sum(x * k for x, k in zip((1, *inputs), self.ic, strict=True))
        c = (a * b - self.alpha * self.beta - self.gamma * bound) * pow(self.delta, -1, P)
        return g1_bytes(g1(a)) + g2_bytes(g2(b)) + g1_bytes(g1(c))


def groth16(inputs: int, name: str = "groth16") -> Groth16:
    rng = random.Random(f"{name} {inputs}")
    alpha, beta, gamma, delta, *ic = (rng.randrange(1, P) for _ in range(5 + inputs))
    return Groth16(alpha, beta, gamma, delta, tuple(ic))


def groth16_vectors() -> dict[str, Any]:
    out = []
    for count in (1, GROTH16_INPUTS):
        instance, rng = groth16(count), random.Random(f"inputs {count}")
        inputs = [rng.randrange(P) for _ in range(count - 1)] + [P - 1]
        out.append(
            {
                "name": f"{count} inputs",
                "key": "0x" + instance.key().hex(),
                "key_hash": "0x" + keccak(instance.key()).hex(),
                "inputs": [*map(hexword, inputs)],
                "proof": "0x" + instance.prove(inputs, rng).hex(),
            }
        )
    return {"about": "docs/proofs-format.md; simulated with a known trapdoor", "cases": out}


def main() -> str | None:
    parser = argparse.ArgumentParser(description="Write the vectors of the proofs.")
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 on a difference")
    check: bool = parser.parse_args().check
    stale = []
    for name, content in (("gram.json", gram_vectors()), ("groth16.json", groth16_vectors())):
        text, path = json.dumps(content, indent=1, ensure_ascii=False) + "\n", VECTORS / name
        if check and (not path.exists() or path.read_text() != text):
            stale.append(name)
        if not check:
            path.write_text(text)
    return f"{', '.join(stale)}: not what the oracle writes" if stale else None


if __name__ == "__main__":
    sys.exit(main())
