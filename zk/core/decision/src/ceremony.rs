//! Phase 2 of a ceremony: from powers of τ to a circuit's key that several people share the secret of.
//!
//! The initial key has γ = δ = 1 and follows from the powers alone, so that anyone makes the same one again. A contribution
//! multiplies δ by a secret x and divides what is over δ, the queries L and H, by it. After
//! https://eprint.iacr.org/2017/1050 (section 6), without the beacon, which https://eprint.iacr.org/2021/219 does without.

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{Field, One, PrimeField, UniformRand, Zero};
use ark_groth16::{ProvingKey, VerifyingKey};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use merit_arithmetic::msm::msm;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;

use crate::circuit::Circuit;
use crate::contributions::{Chain, MAX_CONTRIBUTIONS};
use crate::error::{Error, Result};
use crate::groth16::{Key, Sizes, domain};
use crate::powers::{Powers, same_ratio, weights};
use crate::primitives::system_rng;
use crate::shape::Shape;

/// Terms beyond which one multi-scalar multiplication is faster than a product for each.
const MANY: usize = 64;

impl Key {
    /// m, the number of powers that a key of this shape is made from.
    pub fn domain_size(shape: Shape) -> Result<usize> {
        Ok(Sizes::of(&Circuit::new(shape)?)?.quotient + 1)
    }

    /// The key that follows from the powers alone: everybody knows its δ = 1, so it is only there to be contributed to.
    pub fn initial(shape: Shape, powers: &Powers) -> Result<Self> {
        let circuit = Circuit::new(shape)?;
        let sizes = Sizes::of(&circuit)?;
        check_size(shape, &sizes, powers)?;
        let (Sizes { inputs, quotient, .. }, m) = (sizes, powers.size());
        let domain = domain(&circuit)?;
        let plain = lagrange::<G1Projective>(&domain, &powers.tau_g1[..m]);
        let plain_g2 = lagrange::<G2Projective>(&domain, &powers.tau_g2);
        let [mut a, b, c] = columns(&circuit)?;
        consistent(&mut a, &circuit, inputs);
        // β·a + α·b + c over one basis: [L(τ)], [α·L(τ)], [β·L(τ)].
        let times = |points: &[G1Affine]| lagrange::<G1Projective>(&domain, points);
        let all = [plain.as_slice(), &times(&powers.alpha_g1), &times(&powers.beta_g1)].concat();
        let moved =
            |column: &[(Fr, usize)], by: usize| column.iter().map(|&(k, row)| (k, row + by)).collect::<Column>();
        let mixed = (0..a.len()).map(|j| [moved(&a[j], 2 * m), moved(&b[j], m), moved(&c[j], 0)].concat());
        let mut gamma_abc_g1 = combined::<G1Projective>(&mixed.collect::<Vec<_>>(), &all);
        let l_query = gamma_abc_g1.split_off(inputs);
        let h_query = (0..quotient)
            .into_par_iter()
            .map(|i| powers.tau_g1[m + i] - powers.tau_g1[i].into_group())
            .collect::<Vec<G1Projective>>();
        let vk = VerifyingKey {
            alpha_g1: powers.alpha_g1[0],
            beta_g2: powers.beta_g2,
            gamma_g2: G2Affine::generator(),
            delta_g2: G2Affine::generator(),
            gamma_abc_g1,
        };
        let key = ProvingKey {
            vk,
            beta_g1: powers.beta_g1[0],
            delta_g1: G1Affine::generator(),
            a_query: combined::<G1Projective>(&a, &plain),
            b_g1_query: combined::<G1Projective>(&b, &plain),
            b_g2_query: combined::<G2Projective>(&b, &plain_g2),
            h_query: G1Projective::normalize_batch(&h_query),
            l_query,
        };
        Self::assemble(circuit, key, false, vec![])
    }

    /// The key with one contribution more, by a secret that follows from `seed`: 32 bytes that nobody may learn.
    pub fn contribute(&self, name: &str, seed: [u8; 32]) -> Result<Self> {
        if self.made_alone() {
            return Err(Error::new(
                "the key was made by one party: contributions start from a key made of powers of τ",
            ));
        }
        if self.contributions().len() == MAX_CONTRIBUTIONS {
            return Err(Error::new(format!("a key takes at most {MAX_CONTRIBUTIONS} contributions")));
        }
        let (contribution, x) = self.chain()?.contribute(name, &mut ChaCha20Rng::from_seed(seed))?;
        let inverse = x.inverse().ok_or_else(|| Error::new("the randomness gives a factor of zero"))?;
        let divided = |points: &[G1Affine]| {
            G1Projective::normalize_batch(&points.par_iter().map(|point| *point * inverse).collect::<Vec<_>>())
        };
        let old = self.proving_key();
        let mut key = ProvingKey { l_query: divided(&old.l_query), h_query: divided(&old.h_query), ..old.clone() };
        key.vk.delta_g2 = (old.vk.delta_g2 * x).into_affine();
        key.delta_g1 = (old.delta_g1 * x).into_affine();
        let contributions = [self.contributions(), &[contribution]].concat();
        Self::assemble(self.circuit().clone(), key, false, contributions)
    }

    /// Whether the key follows from these powers by its contributions, at least one: then one honest contributor, here and
    /// among those of the powers, is enough for it to be sound.
    ///
    /// The initial key is not made again, which takes a hundred times longer: all points of a kind are compared at once,
    /// each times a power of a random ρ, which is drawn after they are fixed.
    pub fn verify(&self, powers: &Powers) -> Result<()> {
        if self.development() {
            return Err(Error::new("the key has no contribution: whoever made it can forge proofs"));
        }
        let key = self.proving_key();
        let sizes = Sizes::of(self.circuit())?;
        check_size(self.circuit().shape(), &sizes, powers)?;
        let fixed = (key.vk.alpha_g1, key.beta_g1, key.vk.beta_g2, key.vk.gamma_g2);
        if fixed != (powers.alpha_g1[0], powers.beta_g1[0], powers.beta_g2, G2Affine::generator()) {
            return Err(Error::new("α, β or γ of the key is not that of the powers"));
        }
        self.check_delta()?;
        self.check_points()?;
        let all = weights(Fr::rand(&mut system_rng()?), sizes.values + sizes.quotient);
        let expected = Expected::of(self.circuit(), &sizes, powers, &all)?;
        let sum = |points: &[G1Affine]| msm(points, &all);
        if sum(&key.vk.gamma_abc_g1) != expected.inputs {
            return Err(Error::new("the key's points for the public inputs are not those of its circuit"));
        }
        let b_g2 = msm(&key.b_g2_query, &all);
        if (sum(&key.a_query), sum(&key.b_g1_query), b_g2) != (expected.a, expected.b_g1, expected.b_g2) {
            return Err(Error::new("the key's A or B is not that of its circuit"));
        }
        // δ·(L ‖ H of the key) = L ‖ H of the initial one.
        let found = sum(&[key.l_query.as_slice(), &key.h_query].concat()).into_affine();
        if !same_ratio((found, expected.over.into_affine()), (G2Affine::generator(), key.vk.delta_g2)) {
            return Err(Error::new("the key's L or H was not divided by its δ"));
        }
        Ok(())
    }

    /// Whether every point that contributions leave or divide is in its group.
    fn check_points(&self) -> Result<()> {
        let key = self.proving_key();
        for (points, name) in [
            (&key.vk.gamma_abc_g1, "public inputs"),
            (&key.a_query, "A"),
            (&key.b_g1_query, "B"),
            (&key.l_query, "L"),
            (&key.h_query, "H"),
        ] {
            if points.par_iter().any(|point: &G1Affine| !point.is_on_curve()) {
                return Err(Error::new(format!("a point of the key's {name} is not on the curve")));
            }
        }
        let inside = |point: &G2Affine| point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve();
        if !key.b_g2_query.par_iter().all(inside) {
            return Err(Error::new("a point of the key's B in G2 is not in its group"));
        }
        Ok(())
    }

    /// After each contribution, what everything up to it hashes to: what its contributor makes known.
    pub fn states(&self) -> Result<Vec<[u8; 32]>> {
        let mut chain = Chain::new(self.root()?);
        let mut states = vec![];
        for next in self.contributions() {
            chain = chain.follow(next)?;
            states.push(chain.state);
        }
        Ok(states)
    }
}

fn check_size(shape: Shape, sizes: &Sizes, powers: &Powers) -> Result<()> {
    let (required, given) = (sizes.quotient + 1, powers.size());
    if given != required {
        return Err(Error::new(format!("circuit {shape} needs {required} powers, {given} were given")));
    }
    Ok(())
}

/// What the initial key's points add up to, each times its weight. `over`: L ‖ H.
struct Expected {
    a: G1Projective,
    b_g1: G1Projective,
    b_g2: G2Projective,
    inputs: G1Projective,
    over: G1Projective,
}

impl Expected {
    /// Σ_j w_j Σ_t k_tj L_t(τ) is a polynomial of τ whose values on the domain are Σ_j w_j k_tj: a transform of those in the
    /// field and one sum of powers give it.
    fn of(circuit: &Circuit, sizes: &Sizes, powers: &Powers, weights: &[Fr]) -> Result<Self> {
        let m = powers.size();
        let domain = domain(circuit)?;
        let [mut a, b, c] = columns(circuit)?;
        consistent(&mut a, circuit, sizes.inputs);
        let coefficients = |columns: &[Column]| {
            let mut values = vec![Fr::zero(); m];
            for (column, weight) in columns.iter().zip(weights) {
                for &(k, row) in column {
                    values[row] += k * weight;
                }
            }
            domain.ifft_in_place(&mut values);
            values
        };
        // β·a + α·b + c of the columns in a range.
        let mixed = |range: std::ops::Range<usize>| {
            let of = |columns: &[Column]| coefficients(&columns[range.clone()]);
            msm(&powers.beta_g1, &of(&a)) + msm(&powers.alpha_g1, &of(&b)) + msm(&powers.tau_g1, &of(&c))
        };
        let (of_a, of_b) = (coefficients(&a), coefficients(&b));
        let outputs = sizes.values - sizes.inputs;
        let of_h = &weights[outputs..][..sizes.quotient];
        // H has τ^(m+i) − τ^i.
        let h = msm(&powers.tau_g1[m..], of_h) - msm(&powers.tau_g1, of_h);
        Ok(Self {
            a: msm(&powers.tau_g1, &of_a),
            b_g1: msm(&powers.tau_g1, &of_b),
            b_g2: msm(&powers.tau_g2, &of_b),
            inputs: mixed(0..sizes.inputs),
            over: mixed(sizes.inputs..sizes.values) + h,
        })
    }
}

/// The prover's reduction adds a constraint input · 0 = 0 for each input to A, which keeps them independent.
fn consistent(a: &mut [Column], circuit: &Circuit, inputs: usize) {
    for (input, column) in a.iter_mut().take(inputs).enumerate() {
        column.push((Fr::one(), circuit.constraints() + input));
    }
}

/// [L_0(τ) … L_(m−1)(τ)] from [τ^0 … τ^(m−1)], also times a constant: L_t(τ) = 1/m Σ_i ω^(−it) τ^i.
fn lagrange<G: CurveGroup<ScalarField = Fr>>(
    domain: &Radix2EvaluationDomain<Fr>,
    points: &[G::Affine],
) -> Vec<G::Affine> {
    let values: Vec<G> = points.iter().map(|point| point.into_group()).collect();
    G::normalize_batch(&domain.ifft(&values))
}

/// The constraints that a value of z stands in, with its coefficient in each.
type Column = Vec<(Fr, usize)>;

/// The matrices A, B and C by columns, one for each value of z.
fn columns(circuit: &Circuit) -> Result<[Vec<Column>; 3]> {
    let [a, b, c] = circuit.matrices.as_slice() else {
        return Err(Error::new("the circuit has no constraints"));
    };
    Ok([a, b, c].map(|rows| {
        let mut columns = vec![vec![]; circuit.values()];
        for (row, terms) in rows.iter().enumerate() {
            for &(coefficient, column) in terms {
                columns[column].push((coefficient, row));
            }
        }
        columns
    }))
}

fn combined<G: CurveGroup<ScalarField = Fr> + VariableBaseMSM<MulBase = G::Affine>>(
    columns: &[Column],
    basis: &[G::Affine],
) -> Vec<G::Affine> {
    let sums: Vec<G> = columns.par_iter().map(|terms| combination::<G>(terms, basis)).collect();
    G::normalize_batch(&sums)
}

fn combination<G: CurveGroup<ScalarField = Fr> + VariableBaseMSM<MulBase = G::Affine>>(
    terms: &[(Fr, usize)],
    basis: &[G::Affine],
) -> G {
    if terms.len() > MANY {
        let (scalars, points): (Vec<_>, Vec<_>) = terms.iter().map(|&(k, at)| (k, basis[at])).unzip();
        return G::msm_unchecked(&points, &scalars);
    }
    let times = |&(k, at): &(Fr, usize)| {
        let (up, down) = (k.into_bigint(), (-k).into_bigint());
        if down < up { -basis[at].mul_bigint(down) } else { basis[at].mul_bigint(up) }
    };
    terms.iter().map(times).sum()
}
