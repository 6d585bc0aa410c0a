//! Hiding KZG commitments by chunks: C_k = Σ_t w[kN + t]·[L_t(τ)]₁ + β_k0·[τ^N − 1]₁ + β_k1·[τ^(N+1) − τ]₁.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, Field, Zero};
use rayon::prelude::*;

use crate::encoding::{POINT, point, point_or_infinity, point_words, scalar_mod, scalars};
use crate::error::{Progress, Result, invalid};
use crate::srs::Srs;
use crate::transcript::keccak;
use merit_arithmetic::combination::{MAX_ROWS, add_combination};
use merit_arithmetic::msm::{msm, msm_small};
use merit_arithmetic::polynomial::{add_multiple, zeros};

pub const MAX_ENTRIES: usize = 1 << 28;
pub const LIMIT: i16 = i16::MAX;

/// Number of chunks of a vector of `d` entries.
pub fn chunks(srs: &Srs, d: usize) -> Result<usize> {
    if d == 0 || d > MAX_ENTRIES {
        return invalid!("a vector of {d} entries was given where 1 … {MAX_ENTRIES} are allowed");
    }
    Ok(d.div_ceil(srs.size()))
}

/// Rows of one length with entries in ±LIMIT; the number of chunks.
pub fn check_rows(srs: &Srs, rows: &[&[i16]]) -> Result<usize> {
    if rows.is_empty() || rows.len() > MAX_ROWS {
        return invalid!("{} rows were given where 1 … {MAX_ROWS} are allowed", rows.len());
    }
    let d = rows[0].len();
    let c = chunks(srs, d)?;
    for (i, row) in rows.iter().enumerate() {
        if row.len() != d {
            return invalid!("row {i} has {} entries, row 0 has {d}", row.len());
        }
        if row.par_iter().any(|&entry| entry < -LIMIT) {
            return invalid!("row {i} holds the entry -32768, below -{LIMIT}");
        }
    }
    Ok(c)
}

/// The c points of one vector with c pairs of blinders. Entries: |w_t| < 2^63.
pub fn commit<T: Copy + Sync + Into<i64>>(
    srs: &Srs,
    w: &[T],
    blinders: &[u8],
    progress: Progress,
) -> Result<Vec<G1Affine>> {
    let c = chunks(srs, w.len())?;
    let blinders = scalars(blinders, 2 * c, "the blinders")?;
    let chunk = |w: &[T], beta: &[Fr]| {
        msm_small(&srs.lagrange[..w.len()], w) + srs.blinding[0] * beta[0] + srs.blinding[1] * beta[1]
    };
    let mut points: Vec<G1Projective> = Vec::with_capacity(c);
    let side = rayon::current_num_threads(); // chunks that are summed at a time
    for (w, beta) in w.chunks(side * srs.size()).zip(blinders.chunks(2 * side)) {
        progress("commit", points.len(), c)?;
        points.par_extend(w.par_chunks(srs.size()).zip(beta.par_chunks(2)).map(|(w, beta)| chunk(w, beta)));
    }
    progress("commit", c, c)?;
    if points.iter().any(G1Projective::is_zero) {
        return invalid!("a commitment is the point at infinity: draw other blinders");
    }
    Ok(G1Projective::normalize_batch(&points))
}

/// 128 bits that follow from the seed, for chunk k of row i.
fn weight(seed: &[u8; 32], i: usize, k: usize) -> Fr {
    let mut word = keccak(&[seed, &(i as u64).to_be_bytes(), &(k as u64).to_be_bytes()]);
    word[..16].fill(0);
    scalar_mod(&word)
}

/// Whether every row i with its blinders opens commitments[i]: one random combination, one sum of size N.
///
/// `seed`: 32 bytes that nobody who chose the inputs could know. A wrong opening passes with probability 2^−128 (small
/// exponents: Bellare, Garay, Rabin 1998, https://eprint.iacr.org/1998/007), and the sum has scalars of 150 bits, not 254.
pub fn check_openings(
    srs: &Srs,
    rows: &[&[i16]],
    blinders: &[&[u8]],
    commitments: &[&[u8]],
    seed: &[u8; 32],
    progress: Progress,
) -> Result<bool> {
    let c = check_rows(srs, rows)?;
    if blinders.len() != rows.len() || commitments.len() != rows.len() {
        return invalid!(
            "{} rows came with {} blinders and {} commitments",
            rows.len(),
            blinders.len(),
            commitments.len()
        );
    }
    let n = srs.size();
    let mut values = zeros(n);
    let mut beta = [Fr::ZERO; 2];
    let mut points = Vec::with_capacity(rows.len() * c);
    let mut weights = vec![vec![Fr::ZERO; rows.len()]; c];
    for (i, (blinders, commitment)) in blinders.iter().zip(commitments).enumerate() {
        let pairs = scalars(blinders, 2 * c, "the blinders")?;
        for (k, words) in point_words(commitment, c, "a commitment")?.iter().enumerate() {
            let weight = weight(seed, i, k);
            points.push(point(words)?);
            beta[0] += weight * pairs[2 * k];
            beta[1] += weight * pairs[2 * k + 1];
            weights[k][i] = weight;
        }
    }
    for (k, weights) in weights.iter().enumerate() {
        progress("openings", k, c)?;
        let pieces: Vec<&[i16]> = rows.iter().map(|row| &row[k * n..row.len().min((k + 1) * n)]).collect();
        add_combination(&mut values, &pieces, weights);
    }
    progress("openings", c, c)?;
    let order: Vec<Fr> = (0..rows.len()).flat_map(|i| weights.iter().map(move |w| w[i])).collect();
    let stated = msm(&points, &order);
    let opened = msm(&srs.lagrange, &values) + srs.blinding[0] * beta[0] + srs.blinding[1] * beta[1];
    Ok(stated == opened)
}

/// Whether a sum of updates with its blinders opens `commitment`, of whose points any may be infinity: as `check_openings`.
/// Entries: |w_t| < 2^63.
pub fn check_sum(
    srs: &Srs,
    w: &[i64],
    blinders: &[u8],
    commitment: &[u8],
    seed: &[u8; 32],
    progress: Progress,
) -> Result<bool> {
    let c = chunks(srs, w.len())?;
    let pairs = scalars(blinders, 2 * c, "the blinders")?;
    let points: Vec<G1Affine> =
        point_words(commitment, c, "a commitment")?.iter().map(point_or_infinity).collect::<Result<_>>()?;
    // With one of them 1 the others are as good, and a sum of one chunk has no scalars longer than its entries.
    let weights: Vec<Fr> = (0..c).map(|k| if k == 0 { Fr::ONE } else { weight(seed, 0, k) }).collect();
    let beta = [0, 1].map(|i| weights.iter().zip(pairs.chunks(2)).map(|(weight, pair)| *weight * pair[i]).sum::<Fr>());
    let mut values = zeros(srs.size());
    for (k, (w, weight)) in w.chunks(srs.size()).zip(&weights).enumerate() {
        progress("openings", k, c)?;
        add_multiple(&mut values, w, *weight);
    }
    progress("openings", c, c)?;
    let opened = msm(&srs.lagrange, &values) + srs.blinding[0] * beta[0] + srs.blinding[1] * beta[1];
    Ok(msm(&points, &weights) == opened)
}

/// Σ_i coefficients[i] · commitments[i], chunk by chunk: c points, of which any may be infinity.
pub fn combine(commitments: &[&[u8]], coefficients: &[Fr]) -> Result<Vec<G1Affine>> {
    if commitments.is_empty() || commitments.len() != coefficients.len() {
        return invalid!("{} commitments came with {} coefficients", commitments.len(), coefficients.len());
    }
    let c = commitments[0].len() / POINT;
    let mut sums = vec![G1Projective::zero(); c];
    for (commitment, coefficient) in commitments.iter().zip(coefficients) {
        for (sum, words) in sums.iter_mut().zip(point_words(commitment, c, "a commitment")?) {
            let point = point_or_infinity(words)?;
            if !coefficient.is_zero() && !point.is_zero() {
                *sum += point * coefficient;
            }
        }
    }
    Ok(G1Projective::normalize_batch(&sums))
}
