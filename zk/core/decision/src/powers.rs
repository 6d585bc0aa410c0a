//! Phase 1 of a ceremony, as much of it as a Groth16 key needs: powers of τ, also times α and β, in G1, and of τ in G2.
//!
//! Source: Bowe, Gabizon, Miers, "Scalable Multi-party Computation for zk-SNARK Parameters", https://eprint.iacr.org/2017/1050.

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::UniformRand;

use crate::error::{Error, Result};
use crate::primitives::system_rng;

/// Checked to be what their names say, for secrets that somebody contributed to.
pub struct Powers {
    /// [τ^0 … τ^(2m−2)]₁.
    pub(crate) tau_g1: Vec<G1Affine>,
    /// [α·τ^0 … α·τ^(m−1)]₁, and the same of β.
    pub(crate) alpha_g1: Vec<G1Affine>,
    pub(crate) beta_g1: Vec<G1Affine>,
    /// [τ^0 … τ^(m−1)]₂.
    pub(crate) tau_g2: Vec<G2Affine>,
    pub(crate) beta_g2: G2Affine,
}

impl Powers {
    /// From points of G1 and G2, none of them at infinity. m, a power of two from 2 on, is the length of all but the first.
    pub fn new(
        tau_g1: Vec<G1Affine>,
        alpha_g1: Vec<G1Affine>,
        beta_g1: Vec<G1Affine>,
        tau_g2: Vec<G2Affine>,
        beta_g2: G2Affine,
    ) -> Result<Self> {
        let m = tau_g2.len();
        if !m.is_power_of_two() || m < 2 || [tau_g1.len() + 1, 2 * alpha_g1.len(), 2 * beta_g1.len()] != [2 * m; 3] {
            return Err(Error::new("the powers' numbers do not fit each other"));
        }
        let powers = Self { tau_g1, alpha_g1, beta_g1, tau_g2, beta_g2 };
        powers.check()?;
        Ok(powers)
    }

    /// m.
    pub fn size(&self) -> usize {
        self.tau_g2.len()
    }

    fn check(&self) -> Result<()> {
        let (g, h) = (G1Affine::generator(), G2Affine::generator());
        let (tau_g1, tau_g2) = (self.tau_g1[1], self.tau_g2[1]);
        if self.tau_g1[0] != g || self.tau_g2[0] != h {
            return Err(Error::new("the first powers of τ are not the generators"));
        }
        if tau_g1 == g || self.alpha_g1[0] == g || self.beta_g1[0] == g {
            return Err(Error::new("nobody has contributed to the powers: everybody knows their secrets"));
        }
        // Σ ρ^i p_i · τ = Σ ρ^i p_(i+1) for all pairs of neighbours at once; ρ is drawn here, after the points are fixed.
        let rho = Fr::rand(&mut system_rng()?);
        for (points, name) in [(&self.tau_g1, "τ"), (&self.alpha_g1, "τ times α"), (&self.beta_g1, "τ times β")] {
            let (low, high) = neighbours::<G1Projective>(points, rho);
            if !same_ratio((low, high), (h, tau_g2)) {
                return Err(Error::new(format!("the powers of {name} in G1 are not those of one τ")));
            }
        }
        let (low, high) = neighbours::<G2Projective>(&self.tau_g2, rho);
        if !same_ratio((g, tau_g1), (low, high)) {
            return Err(Error::new("the powers of τ in G2 are not those of one τ"));
        }
        if !same_ratio((g, self.beta_g1[0]), (h, self.beta_g2)) {
            return Err(Error::new("β is not the same in G1 and G2"));
        }
        Ok(())
    }
}

/// Whether b = x·a and d = x·c for one x.
pub(crate) fn same_ratio((a, b): (G1Affine, G1Affine), (c, d): (G2Affine, G2Affine)) -> bool {
    Bn254::multi_pairing([b, -a], [c, d]) == Bn254::multi_pairing([] as [G1Affine; 0], [] as [G2Affine; 0])
}

/// 1, ρ, ρ², …
pub(crate) fn weights(rho: Fr, count: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::from(1u64)), |weight| Some(rho * weight)).take(count).collect()
}

fn neighbours<G: CurveGroup<ScalarField = Fr> + VariableBaseMSM<MulBase = G::Affine>>(
    points: &[G::Affine],
    rho: Fr,
) -> (G::Affine, G::Affine) {
    let weights = weights(rho, points.len() - 1);
    let sum = |points: &[G::Affine]| G::msm_unchecked(points, &weights).into_affine();
    (sum(&points[..weights.len()]), sum(&points[1..]))
}
