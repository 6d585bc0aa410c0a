"""Both verifiers of a round, for auditors: the same verdicts as contracts/verifiers, on py_ecc.

Nothing here is shared with the prover: no compiled core, no numpy. One rule for everything from outside: bytes that
encode no statement, key or proof raise `Malformed` (a ValueError); one that does not show its
statement is False. Formats are in docs/proofs-format.md, the scheme in docs/proofs.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from eth_hash.auto import keccak

from zk.points import G1, G2, Malformed, PointG1, PointG2, combine, g1, g2, neg, pairing_is_one, scalar
from zk.transcript import P, Transcript, word

SLOTS = 32
REFERENCE_BITS = 3 << SLOTS
"""The positions of the two reference rows, which come together or not at all."""

MAX_CHUNK = 2**28
"""P − 1 is divisible by 2^28 and no higher power of two."""

_SCHEME_POINTS = 5  # M A Q Wz Ww
_SCHEME_SCALARS = 4  # y eA eM eAw


@dataclass(frozen=True, slots=True)
class GramSetup:
    """What a verifier needs of the powers of τ. chunk: N, a power of two, 2 … 2^28. tau: [τ]₂, 128 bytes."""

    chunk: int
    tau: bytes


@dataclass(frozen=True, slots=True)
class GramStatement:
    """The Gram matrix bound by `gram_hash` is that of the committed rows, and `sums` commit to Σ coefficient · row.

    context: 160 bytes (zk.transcript.Context). positions: bit i for slot i, bits 32 and 33 for the reference rows.
    commitments: for each row, by ascending position, its c points, 64·c bytes.
    sums: S_0 … S_{c−1}, 64·c bytes; a point may be at infinity.
    coefficients: one for each row of a slot, by ascending slot, each an integer < P.
    """

    context: bytes
    positions: int
    gram_hash: int
    commitments: Sequence[bytes]
    sums: bytes
    coefficients: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Proof:
    """The words of a proof, in their order, and what they encode."""

    words: Sequence[bytes]
    points: Sequence[PointG1]
    scalars: Sequence[int]


def _words(data: bytes, size: int = 32) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _chunks(statement: GramStatement, setup: GramSetup) -> int:
    """c; raises Malformed unless all sizes and ranges of statement and set-up fit together."""
    if not 2 <= setup.chunk <= MAX_CHUNK or setup.chunk & (setup.chunk - 1):
        raise Malformed(f"chunks of {setup.chunk} entries: a power of two up to {MAX_CHUNK} is required")
    if len(statement.context) != 160:
        raise Malformed(f"the context has {len(statement.context)} bytes, 160 are required")
    references = statement.positions & REFERENCE_BITS
    if not 0 < statement.positions < 2 ** (SLOTS + 2) or references not in (0, REFERENCE_BITS):
        raise Malformed(
            f"positions {statement.positions:#x} are no set of slots with both or none of the reference rows"
        )
    rows = statement.positions.bit_count()
    if len(statement.commitments) != rows:
        raise Malformed(f"{len(statement.commitments)} commitments for {rows} rows")
    c, rest = divmod(len(statement.sums), 64)
    if rest or c == 0 or any(len(row) != 64 * c for row in statement.commitments):
        raise Malformed("the sum and every commitment must have the same number of points, at least one")
    slots = (statement.positions ^ references).bit_count()
    if len(statement.coefficients) != slots:
        raise Malformed(f"{len(statement.coefficients)} coefficients for {slots} slots")
    if not all(0 <= value < P for value in (statement.gram_hash, *statement.coefficients)):
        raise Malformed("the Gram hash or a coefficient is not a word below the group's order")
    return c


def _decode(proof: bytes, c: int) -> _Proof:
    count = 2 * _SCHEME_POINTS + _SCHEME_SCALARS + 2 * c
    if len(proof) != 32 * count:
        raise Malformed(f"the Gram proof has {len(proof)} bytes, {32 * count} are required")
    names = ("M", "A", "Q", "Wz", "Ww")
    points = [g1(data, name) for data, name in zip(_words(proof[: 64 * _SCHEME_POINTS], 64), names, strict=True)]
    scalars = [scalar(data, "a scalar of the Gram proof") for data in _words(proof[64 * _SCHEME_POINTS :])]
    return _Proof(_words(proof), points, scalars)


def _begin(statement: GramStatement, proof: _Proof, c: int, chunk: int) -> tuple[Transcript, int, int]:
    """The transcript up to r and s, which depend on everything that the statement fixes, but the coefficients."""
    transcript = Transcript(statement.context)
    sizes = (statement.positions.bit_count(), c, chunk, statement.positions)
    bound = (*statement.commitments, statement.sums, word(statement.gram_hash), *proof.words[0:2])
    transcript.absorb((*map(word, sizes), *bound))
    return transcript, transcript.challenge(), transcript.challenge()


def gram_claim(statement: GramStatement, proof: bytes, setup: GramSetup) -> tuple[int, int, int]:
    """(r, s, y) of a Gram proof: public inputs 1, 2 and 3 of its decision proof. Raises Malformed; checks nothing."""
    c = _chunks(statement, setup)
    decoded = _decode(proof, c)
    _, r, s = _begin(statement, decoded, c, setup.chunk)
    return r, s, decoded.scalars[0]


def verify_gram(statement: GramStatement, proof: bytes, setup: GramSetup) -> bool:
    """Whether the proof shows the statement. Raises Malformed for a statement, proof or set-up that is none."""
    N, c = setup.chunk, _chunks(statement, setup)
    tau = g2(setup.tau, "[τ]₂")
    pf = _decode(proof, c)
    M, A, Q, Wz, Ww = pf.points
    y, eA, eM, eAw = pf.scalars[:_SCHEME_SCALARS]
    ea, eb = pf.scalars[_SCHEME_SCALARS : _SCHEME_SCALARS + c], pf.scalars[_SCHEME_SCALARS + c :]
    rows = [[g1(p, "a commitment") for p in _words(row, 64)] for row in statement.commitments]
    sums = [g1(p, "a sum", infinity=True) for p in _words(statement.sums, 64)]

    transcript, r, s = _begin(statement, pf, c, N)
    transcript.absorb((pf.words[10], *pf.words[2:6]))  # y, A, Q
    z = transcript.challenge()
    transcript.absorb((*pf.words[14:], *pf.words[11:14]))  # ea, eb, eA, eM, eAw
    v = transcript.challenge()
    transcript.absorb(pf.words[6:10])  # Wz, Ww
    u = transcript.challenge()
    transcript.absorb(map(word, statement.coefficients))
    rho, lam = transcript.challenge(), transcript.challenge()

    # Q's value at z from A(ωz) − A(z) − Σ_k a_k(z)·b_k(z) − mask(z) + y/N = Q(z)·(z^N − 1)
    vanishing = (pow(z, N, P) - 1) % P
    if vanishing == 0:
        return False
    products = sum(x * x_ for x, x_ in zip(ea, eb, strict=True))
    eQ = (eAw - eA - products - eM + y * pow(N, -1, P)) * pow(vanishing, -1, P) % P

    # F = Σ_e v^e · (a_0 … b_0 … A M Q), a_k = Σ_i r^{e_i}·C_ik, b_k = Σ_i s^{e_i}·C_ik; + u·A for the opening at ωz;
    # + λ·Σ_k ρ^k·(Σ_i c_i·C_ik − S_k), which is zero for the true sums
    positions = [p for p in range(SLOTS + 2) if statement.positions >> p & 1]
    coefficients = [*statement.coefficients, 0, 0]  # of the reference rows, if there are any
    terms: list[tuple[PointG1, int]] = []
    for row, position, coefficient in zip(rows, positions, coefficients, strict=False):
        both = pow(r, position + 1, P) + pow(v, c, P) * pow(s, position + 1, P)
        for k, point in enumerate(row):
            terms.append((point, pow(v, k, P) * both + lam * pow(rho, k, P) * coefficient))
    terms += [(point, -lam * pow(rho, k, P)) for k, point in enumerate(sums)]
    terms += [(A, pow(v, 2 * c, P) + u), (M, pow(v, 2 * c + 1, P)), (Q, pow(v, 2 * c + 2, P))]
    E = sum(pow(v, e, P) * value for e, value in enumerate((*ea, *eb, eA, eM, eQ))) + u * eAw

    # e(Wz + u·Ww, [τ]₂) = e(z·Wz + u·ωz·Ww + F − E·[1]₁, [1]₂)
    zw = z * pow(5, (P - 1) // N, P) % P
    left = combine([(Wz, 1), (Ww, u)])
    right = combine([(Wz, z), (Ww, u * zw), *terms, (G1, -E)])
    return pairing_is_one(((left, tau), (neg(right), G2)))


def key_hash(verifying_key: bytes) -> bytes:
    """keccak256 of the verifying key's words: what a job's terms name."""
    return keccak(verifying_key)


def _decode_key(verifying_key: bytes) -> tuple[PointG1, tuple[PointG2, PointG2, PointG2], list[PointG1]]:
    length, rest = divmod(len(verifying_key), 64)
    if rest or length < 8:
        raise Malformed(f"a verifying key has no {len(verifying_key)} bytes")
    words = _words(verifying_key, 64)
    alpha = g1(words[0], "α")
    beta, gamma, delta = (g2(b"".join(words[at : at + 2]), name) for at, name in ((1, "β"), (3, "γ"), (5, "δ")))
    if gamma == delta:
        raise Malformed("γ and δ are equal: with such a key anything can be proved")
    return alpha, (beta, gamma, delta), [g1(data, "a point of an input") for data in words[7:]]


@lru_cache(maxsize=64)
def check_setup(setup: GramSetup, verifying_key: bytes) -> None:
    """Raises Malformed for a set-up or verifying key with which no proof would be checked, or any would pass.

    It takes most of a second, and many jobs share a set-up: what has passed is remembered.
    """
    g2(setup.tau, "[τ]₂")
    _decode_key(verifying_key)


def verify_decision(verifying_key: bytes, public_inputs: Sequence[int], proof: bytes) -> bool:
    """Groth16 (eprint 2016/260): e(A, B) = e(α, β) · e(Σ x_i·IC_i, γ) · e(C, δ), x_0 = 1.

    verifying_key: α β γ δ IC_0 … IC_l, 64·(8 + l) bytes. proof: A B C, 256 bytes. Raises Malformed for a key or proof
    that is none, another number of inputs than l, or an input that is not an integer < P.
    """
    alpha, (beta, gamma, delta), ic = _decode_key(verifying_key)
    if len(public_inputs) != len(ic) - 1:
        raise Malformed(f"{len(public_inputs)} public inputs for a key of {len(ic) - 1}")
    if not all(0 <= x < P for x in public_inputs):
        raise Malformed("a public input is not an integer below the group's order")
    A, B, C = g1(proof[:64], "A"), g2(proof[64:192], "B"), g1(proof[192:], "C")
    bound = combine(list(zip(ic, (1, *public_inputs), strict=True)))
    return pairing_is_one(((neg(A), B), (alpha, beta), (bound, gamma), (C, delta)))
