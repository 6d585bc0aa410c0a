//! The Gram prover: y = Σ r^{e_i} s^{e_j} ⟨w_i, w_j⟩ + μ for committed rows, as docs/proofs-format.md defines it.
//!
//! Chunk k of Σ r^{e_i} f_ik is a_k = I_k + α_k·Z with I_k of degree < N, α_k of degree 1, Z = X^N − 1; b_k = J_k + β_k·Z
//! likewise with s. On the domain, the products' sum and the running sum A are plain sums. Off it,
//!     Σ_k a_k b_k = R + Z·T + Z·Σ_k (α_k J_k + β_k I_k) + Z²·Σ_k α_k β_k,
//! R the interpolation of the products, T from one coset of size N. With A = I_A + B·Z the remainder
//! I_A(ωX) − I_A(X) − (M − y/N + R) has degree < N and vanishes on the domain, so the quotient is
//!     Q = B(ωX) − B(X) − T − Σ_k (α_k J_k + β_k I_k) − Z·Σ_k α_k β_k.

use std::hint::black_box;

use ark_bn254::Fr;
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, FftField, Field, Zero};
use ark_poly::EvaluationDomain;
use rayon::prelude::*;

use crate::encoding::{WORD, point, point_bytes, point_or_infinity, point_words, scalar, scalars, small_word, word};
use crate::error::{Progress, Result, invalid};
use crate::kzg::check_rows;
use crate::srs::Srs;
use crate::transcript::Transcript;
use merit_arithmetic::combination::add_combination;
use merit_arithmetic::fft::Fft;
use merit_arithmetic::msm::msm;
use merit_arithmetic::polynomial::{
    add_cross, add_products, combine, divided, evaluate, evaluate_all, powers, subtract_and_scale, sums_before, zeros,
};

/// Positions are 0 … 31 for slots, 32 and 33 for the reference rows, which come together or not at all.
const REFERENCE_ROWS: u64 = 0b11 << 32;

/// What verifiers see. Points and words as docs/proofs-format.md writes them; rows in the order of their positions.
pub struct Statement<'a> {
    pub context: &'a [u8],
    /// Σ 2^position.
    pub positions: u64,
    pub commitments: &'a [&'a [u8]],
    pub stated_sum: &'a [u8],
    pub gram_hash: &'a [u8; WORD],
}

/// What only the prover knows. No Debug: it must not reach a log.
pub struct Witness<'a> {
    pub rows: &'a [&'a [i16]],
    pub blinders: &'a [&'a [u8]],
    /// m₀, m₁, m₂: uniform, used for one proof.
    pub mask: [Fr; 3],
    /// Blinders of the running sum: uniform, used for one proof.
    pub running: [Fr; 4],
}

pub struct Proof {
    /// 14 + 2c words.
    pub bytes: Vec<u8>,
    pub r: Fr,
    pub s: Fr,
    pub y: Fr,
}

/// Proves; the caller has checked that rows and blinders open the commitments (else the proof does not verify).
pub fn prove(srs: &Srs, statement: &Statement, witness: &Witness, progress: Progress) -> Result<Proof> {
    let c = check_rows(srs, witness.rows)?;
    let positions = check_statement(statement, witness, c)?;
    let (n, domain) = (srs.size(), srs.domain);
    let commit = |polynomial: &[Fr]| point_bytes(&msm(&srs.powers, polynomial).into_affine());

    let mask = commit(&witness.mask);
    let mut transcript = Transcript::new(statement.context);
    let mut absorbed: Vec<&[u8]> = vec![];
    let counts = [witness.rows.len() as u64, c as u64, n as u64, statement.positions].map(small_word);
    absorbed.extend(counts.iter().map(|word| word.as_slice()));
    absorbed.extend(statement.commitments);
    absorbed.extend([statement.stated_sum, statement.gram_hash.as_slice(), &mask]);
    transcript.absorb(&absorbed);
    let (r, s) = (transcript.challenge(), transcript.challenge());

    let fft = Fft::new(domain);
    let weights = |base: Fr| -> Vec<Fr> { positions.iter().map(|&p| base.pow([u64::from(p) + 1])).collect() };
    let sums = fold(&fft, witness, c, &[weights(r), weights(s)], progress)?;

    let y = sums.products.par_iter().sum::<Fr>() + witness.mask[0] * domain.size_as_field_element();
    progress("running sum", 0, 2)?;
    let (running, quotient) = rayon::join(
        || running_sum(&fft, &sums.products, &witness.mask, y * domain.size_inv(), &witness.running),
        || quotient(&fft, &sums, &witness.running),
    );
    let point_a = commit(&running);
    progress("running sum", 1, 2)?;
    let point_q = commit(&quotient);
    progress("running sum", 2, 2)?;
    transcript.absorb(&[&word(y), &point_a, &point_q]);

    let z = transcript.challenge();
    if domain.evaluate_vanishing_polynomial(z).is_zero() {
        return invalid!("the challenge z fell into the domain: prove again with another mask");
    }
    let next = z * domain.group_gen;
    let polynomials: Vec<&[Fr]> = sums.left.iter().chain(&sums.right).map(Vec::as_slice).collect();
    let ends = evaluate_all(&polynomials, z);
    let (value_a, value_m, value_next) = (evaluate(&running, z), evaluate(&witness.mask, z), evaluate(&running, next));
    let end_words: Vec<u8> = ends.iter().flat_map(|&value| word(value)).collect();
    let value_words = [value_a, value_m, value_next].map(word).concat();
    transcript.absorb(&[&end_words, &value_words]);

    let v = transcript.challenge();
    let mut all = polynomials;
    all.extend([running.as_slice(), &witness.mask, &quotient]);
    let folded = combine(&all, v);
    progress("opening", 0, 2)?;
    let point_z = commit(&divided(&folded, z));
    progress("opening", 1, 2)?;
    let point_next = commit(&divided(&running, next));
    progress("opening", 2, 2)?;

    let bytes = [&mask[..], &point_a, &point_q, &point_z, &point_next, &word(y), &value_words, &end_words].concat();
    for words in point_words(&bytes[..320], 5, "the proof")? {
        let _ = point(words)?; // no verifier takes infinity
    }
    Ok(Proof { bytes, r, s, y })
}

fn check_statement(statement: &Statement, witness: &Witness, c: usize) -> Result<Vec<u32>> {
    let positions: Vec<u32> = (0..64).filter(|p| statement.positions >> p & 1 == 1).collect();
    let n = witness.rows.len();
    if statement.positions >> 34 != 0 || ![0, REFERENCE_ROWS].contains(&(statement.positions & REFERENCE_ROWS)) {
        return invalid!(
            "the positions {:#x} are no set of slots with both or none of the reference rows",
            statement.positions
        );
    }
    if [positions.len(), witness.blinders.len(), statement.commitments.len()] != [n; 3] {
        return invalid!(
            "{n} rows came with {} positions, {} blinders and {} commitments",
            positions.len(),
            witness.blinders.len(),
            statement.commitments.len()
        );
    }
    for commitment in statement.commitments {
        for words in point_words(commitment, c, "a commitment")? {
            let _ = point(words)?;
        }
    }
    for words in point_words(statement.stated_sum, c, "the stated sum")? {
        let _ = point_or_infinity(words)?;
    }
    scalar(statement.gram_hash)?;
    Ok(positions)
}

/// The chunks' polynomials, and what their products add up to.
struct Sums {
    left: Vec<Vec<Fr>>,
    right: Vec<Vec<Fr>>,
    /// Σ_k a_k b_k on the domain, and Σ_k I_k J_k on the coset.
    products: Vec<Fr>,
    coset: Vec<Fr>,
    /// Σ_k (α_k J_k + β_k I_k), N + 1 coefficients, and Σ_k α_k β_k.
    cross: Vec<Fr>,
    top: [Fr; 3],
}

fn fold(fft: &Fft, witness: &Witness, c: usize, weights: &[Vec<Fr>; 2], progress: Progress) -> Result<Sums> {
    let n = fft.size();
    let mut blinders = [vec![[Fr::ZERO; 2]; c], vec![[Fr::ZERO; 2]; c]];
    for (i, bytes) in witness.blinders.iter().enumerate() {
        let words = scalars(bytes, 2 * c, "the blinders")?;
        for (side, weights) in blinders.iter_mut().zip(weights) {
            for (sum, beta) in side.iter_mut().zip(words.chunks(2)) {
                sum[0] += weights[i] * beta[0];
                sum[1] += weights[i] * beta[1];
            }
        }
    }
    let [alphas, betas] = blinders;
    let mut sums = Sums {
        left: Vec::with_capacity(c),
        right: Vec::with_capacity(c),
        products: zeros(n),
        coset: zeros(n),
        cross: zeros(n + 1),
        top: [Fr::ZERO; 3],
    };
    for k in 0..c {
        progress("chunks", k, c)?;
        let pieces: Vec<&[i16]> = witness.rows.iter().map(|row| &row[k * n..row.len().min((k + 1) * n)]).collect();
        let side = |weights: &[Fr]| {
            let mut values = zeros(n);
            add_combination(&mut values, &pieces, weights);
            let coefficients = fft.interpolate(&values);
            let on_coset = fft.on_coset(&coefficients);
            (values, coefficients, on_coset)
        };
        let (left, right) = rayon::join(|| side(&weights[0]), || side(&weights[1]));
        let ((a, mut left, shifted_a), (b, mut right, shifted_b)) = (left, right);
        add_products(&mut sums.products, &a, &b);
        add_products(&mut sums.coset, &shifted_a, &shifted_b);

        let (alpha, beta) = (alphas[k], betas[k]);
        for shift in 0..2 {
            add_cross(&mut sums.cross[shift..], &right, alpha[shift], &left, beta[shift]);
        }
        sums.top[0] += alpha[0] * beta[0];
        sums.top[1] += alpha[0] * beta[1] + alpha[1] * beta[0];
        sums.top[2] += alpha[1] * beta[1];
        for (polynomial, blinder) in [(&mut left, alpha), (&mut right, beta)] {
            add_multiple_of_vanishing(polynomial, &blinder, n);
        }
        sums.left.push(left);
        sums.right.push(right);
    }
    progress("chunks", c, c)?;
    Ok(sums)
}

/// polynomial + factor·(X^N − 1)
fn add_multiple_of_vanishing(polynomial: &mut Vec<Fr>, factor: &[Fr], n: usize) {
    polynomial.resize(polynomial.len().max(n + factor.len()), Fr::ZERO);
    for (i, value) in factor.iter().enumerate() {
        polynomial[i] -= value;
        polynomial[n + i] += value;
    }
}

/// A: 0 at ω^0, each step adds Σ_k a_k b_k + M − y/N; blinded by four coefficients.
fn running_sum(fft: &Fft, products: &[Fr], mask: &[Fr; 3], shift: Fr, blinders: &[Fr; 4]) -> Vec<Fr> {
    let mut values = fft.of_quadratic(&[mask[0] - shift, mask[1], mask[2]]);
    values.par_iter_mut().zip(products).for_each(|(value, product)| *value += product);
    sums_before(&mut values);
    let mut running = fft.interpolate(&values);
    add_multiple_of_vanishing(&mut running, blinders, fft.size());
    running
}

fn quotient(fft: &Fft, sums: &Sums, blinders: &[Fr; 4]) -> Vec<Fr> {
    let (n, domain) = (fft.size(), fft.domain());
    let vanishing = domain.evaluate_vanishing_polynomial(Fr::GENERATOR);
    let inverse = vanishing.inverse().unwrap_or_default(); // not zero: the coset is not the domain
    // −T on the coset
    let mut on_coset = fft.on_coset(&fft.interpolate(&sums.products));
    subtract_and_scale(&mut on_coset, &sums.coset, inverse);
    let mut quotient = fft.interpolate_coset(&on_coset);
    quotient.resize(n + 3, Fr::ZERO);
    quotient.par_iter_mut().zip(&sums.cross).for_each(|(value, cross)| *value -= cross);
    add_multiple_of_vanishing(&mut quotient, &sums.top.map(|value| -value), n);
    let mut power = Fr::ONE;
    for (value, blinder) in quotient.iter_mut().zip(blinders) {
        *value += *blinder * (power - Fr::ONE);
        power *= domain.group_gen;
    }
    quotient
}

/// What a proof about c chunks cannot do without: four sums of N points, 4c + 4 transforms. For benches, which hold the prover
/// against it.
pub fn floor(srs: &Srs, c: usize) {
    let fft = Fft::new(srs.domain);
    let some = powers(Fr::GENERATOR.inverse().unwrap_or_default(), Fr::GENERATOR, srs.size());
    for _ in 0..c + 1 {
        black_box(rayon::join(|| fft.on_coset(&fft.interpolate(&some)), || fft.on_coset(&fft.interpolate(&some))));
    }
    for _ in 0..4 {
        let _ = black_box(msm(&srs.powers, &some));
    }
}

/// μ = N·m₀, which the Gram hash binds before anything is proved.
pub fn mask_value(srs: &Srs, mask: &[Fr; 3]) -> Fr {
    mask[0] * srs.domain.size_as_field_element()
}
