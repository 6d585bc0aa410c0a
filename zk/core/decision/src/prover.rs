//! A Groth16 proof from a key and a solution of its circuit: transforms and sums by the arithmetic that both proofs share.

use ark_bn254::{Bn254, Fr};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, FftField, Field};
use ark_groth16::{Proof, ProvingKey};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use merit_arithmetic::fft::Fft;
use merit_arithmetic::msm::msm;
use merit_arithmetic::polynomial::{multiply, subtract_and_scale};
use rayon::join;

use crate::circuit::Solution;

/// The proof for this r and s, which hide the witness where they are uniform. inputs: how many of z's first values are
/// public, 1 among them.
pub fn prove(
    key: &ProvingKey<Bn254>,
    domain: Radix2EvaluationDomain<Fr>,
    inputs: usize,
    solution: Solution,
    r: Fr,
    s: Fr,
) -> Proof<Bn254> {
    let Solution { z, a, b } = solution;
    let public = &z[..inputs];
    let in_h = || msm(&key.h_query, &quotient(domain, a, b, public));
    let in_g1 =
        || join(|| msm(&key.a_query, &z), || join(|| msm(&key.b_g1_query, &z), || msm(&key.l_query, &z[inputs..])));
    let ((h, b_g2), (a, (b_g1, l))) = join(|| join(in_h, || msm(&key.b_g2_query, &z)), in_g1);

    let a = a + key.vk.alpha_g1 + key.delta_g1 * r;
    let b_g1 = b_g1 + key.beta_g1 + key.delta_g1 * s;
    let b_g2 = b_g2 + key.vk.beta_g2 + key.vk.delta_g2 * s;
    let c = h + l + a * s + b_g1 * r - key.delta_g1 * (r * s);
    Proof { a: a.into_affine(), b: b_g2.into_affine(), c: c.into_affine() }
}

/// The coefficients of (A·B − C) / (X^N − 1). On the domain A and B have the values of the constraints' left and right sides,
/// then A has the public values, where B and C have 0.
fn quotient(domain: Radix2EvaluationDomain<Fr>, mut a: Vec<Fr>, mut b: Vec<Fr>, public: &[Fr]) -> Vec<Fr> {
    a.extend(public);
    a.resize(domain.size(), Fr::ZERO);
    b.resize(domain.size(), Fr::ZERO);
    let fft = Fft::new(domain);
    let shifted = |values: &[Fr]| fft.on_coset(&fft.interpolate(values));
    let ((mut product, other), c) = join(
        || join(|| shifted(&a), || shifted(&b)),
        || {
            let mut c = a.clone(); // on the domain C is A·B, since the constraints hold
            multiply(&mut c, &b);
            fft.interpolate(&c)
        },
    );
    multiply(&mut product, &other);
    // Of degree below N, C is its own interpolation on the coset, where X^N − 1 is one constant.
    let mut quotient = fft.interpolate_coset(&product);
    let vanishing = domain.evaluate_vanishing_polynomial(Fr::GENERATOR);
    subtract_and_scale(&mut quotient, &c, vanishing.inverse().unwrap_or_default()); // not 0: the coset is not the domain
    quotient
}
