"""Proofs of false statements that would pass if a challenge were drawn too early.

The prover here plays against a weaker verifier, whose transcript does not absorb what it should. Against the real one
the same proof must fail, and nothing but that absorption is in its way.
"""

from dataclasses import replace

from tests import proof_oracle as oracle
from tests.proof_oracle import P, Poly, g1_bytes, padd, pdiv, peval, pscale
from tests.soundness.verdicts import Gram, stated


class Multiples(oracle.Round):
    """Rows whose chunks are all multiples of one polynomial: only their factors matter in a sum."""

    FACTORS = ((1, 2), (3, 5))

    def polynomials(self) -> list[list[Poly]]:
        one = super().polynomials()[0][0]
        return [[pscale(one, k) for k in row] for row in self.FACTORS]

    def true_gram(self) -> tuple[tuple[int, ...], ...]:
        w = [[k * x for k in row for x in self.rows[0][: self.setup.chunk]] for row in self.FACTORS]
        return tuple(tuple(sum(x * y for x, y in zip(a, b, strict=True)) for b in w) for a in w)


def known_coefficient_challenges() -> Gram:
    """With ρ known, other coefficients can be found for which Σ_k ρ^k·(Σ_i c_i·C_ik − S_k) is still zero."""
    plain = oracle.make_round("multiples", slots=(0, 1), d=16)
    round_ = Multiples(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})
    proof = oracle.prove(round_)
    t, _, _ = oracle.begin(round_, round_.commitments(), round_.sums(), proof.M)
    t.absorb(proof.y, proof.A, proof.Q)
    t.challenge()
    t.absorb(*proof.ea, *proof.eb, proof.eA, proof.eM, proof.eAw)
    t.challenge()
    t.absorb(proof.Wz, proof.Ww)
    t.challenge()
    rho = t.challenge()  # before the coefficients are said
    first, second = ((a + rho * b) % P for a, b in Multiples.FACTORS)
    other = (1 + second) % P, (1 - first) % P
    assert (other[0] * first + other[1] * second - first - second) % P == 0
    return stated(round_, proof, coefficients=other)


def known_opening_challenge() -> Gram:
    """With u known, two wrong openings can be made to cancel: here for a Gram matrix with an entry off by one."""
    true = oracle.make_round("openings", slots=(0, 1), d=8)
    gram = [list(row) for row in true.true_gram()]
    gram[0][1] += 1
    round_ = replace(true, gram=tuple(map(tuple, gram)))
    S, N = round_.setup, round_.setup.chunk
    proof = oracle.prove(round_)
    r, s, z, v = (proof.challenges[name] for name in "rszv")
    zw = z * S.omega % P

    t, _, _ = oracle.begin(round_, round_.commitments(), round_.sums(), proof.M)
    t.absorb(proof.y, proof.A, proof.Q)
    t.challenge()
    t.absorb(*proof.ea, *proof.eb, proof.eA, proof.eM, proof.eAw)
    t.challenge()
    u = t.challenge()  # before Wz and Ww are said

    polys = [row[0] for row in round_.polynomials()]
    a: Poly = [0]
    b: Poly = [0]
    for p, f in zip(round_.positions, polys, strict=True):
        a, b = padd(a, f, pow(r, p + 1, P)), padd(b, f, pow(s, p + 1, P))
    A, Q, mask = *oracle.running_sum(round_, [a], [b], proof.y), list(round_.mask)
    relation = proof.eAw - proof.eA - proof.ea[0] * proof.eb[0] - proof.eM + proof.y * pow(N, -1, P)
    eQ = relation * pow(pow(z, N, P) - 1, -1, P) % P
    assert eQ != peval(Q, z)  # the lie

    F: Poly = [0]
    for e, f in enumerate((a, b, A, mask, Q)):
        F = padd(F, f, pow(v, e, P))
    E = sum(pow(v, e, P) * x for e, x in enumerate((*proof.ea, *proof.eb, proof.eA, proof.eM, eQ)))
    # F − E − (X − z)·Wz + u·(A − eAw) must vanish at ωz, then Ww is what it is divided by u·(X − ωz): Wz a constant.
    rest = padd(padd(F, [E % P], -1), padd(A, [proof.eAw], -1), u)
    Wz = peval(rest, zw) * pow(zw - z, -1, P) % P
    rest = padd(rest, pscale([-z % P, 1], Wz), -1)
    assert peval(rest, zw) == 0
    Ww = pscale(pdiv(rest, [-zw % P, 1]), pow(u, -1, P))
    forged = replace(proof, Wz=g1_bytes(S.commit([Wz])), Ww=g1_bytes(S.commit(Ww)))
    return stated(round_, forged)
