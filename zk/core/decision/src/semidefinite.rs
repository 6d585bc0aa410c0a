//! The matrix is that of real vectors: positive semidefinite, up to a slack far below 1.
//!
//! A Gram proof says which products committed rows have, whatever field elements stand in them. Rows that are no small
//! integers can have products that no vectors have, such as a norm of 1 beside large products with others, and a rule
//! would pay for them. So the prover shows a lower triangular L of integers with
//!
//!   2^(2·FRACTION)·G + (2n + 3)·2^REST·I = L·Lᵀ + R,   |R_ij| ≤ 2^REST for i ≠ j,   R_ii ≥ (n − 1)·2^REST.
//!
//! R is diagonally dominant, L·Lᵀ is positive semidefinite, hence so is G + (2n + 3)·2^(REST − 2·FRACTION)·I, for 34 rows
//! G + 0.07·I. Each matrix of integer products below 2^58 has such an L: see [`factor`].

use ark_bn254::Fr;
use ark_r1cs_std::GR1CSVar;
use ark_relations::gr1cs::SynthesisError;
use num_bigint::BigInt;

use crate::gadgets::{Cs, Num, Result, field, hint, in_range, int, linear, pow2, product};
use crate::shape::ENTRY_BITS;

/// Fractional bits of L.
pub(crate) const FRACTION: usize = 38;
/// |L_ij| < 2^FACTOR_BITS: no row of L is longer than the root of 2^(2·FRACTION)·(2^58 − 1) and its shift, which is below
/// 2^(2·FRACTION).
const FACTOR_BITS: usize = ENTRY_BITS / 2 + FRACTION;
/// A quotient that is rounded to the nearest leaves half of its divisor L_jj at most.
const REST_BITS: usize = FACTOR_BITS - 1;

/// What the diagonal is shifted by before it is factored, in units of 2^REST.
///
/// A quotient leaves less than 2^REST, a root 2·L_ii < 2^(REST + 2) at most, so rounding takes less than
/// (n − 1)·2^REST + 2^(REST + 2) from the quadratic form: the pivots stay positive.
fn shift(n: usize) -> u64 {
    n as u64 + 4
}

/// L for a symmetric matrix with |entries| < 2^58, given by `entry(row, column)` for row ≥ column; None where a pivot is
/// not positive, which it is for every positive semidefinite matrix.
pub fn factor(n: usize, entry: impl Fn(usize, usize) -> i128) -> Option<Vec<Vec<i128>>> {
    // Cholesky's factorization of 2^(2·FRACTION)·G + shift·2^REST·I.
    let mut rows: Vec<Vec<i128>> = Vec::with_capacity(n);
    for i in 0..n {
        let mut row: Vec<i128> = Vec::with_capacity(i + 1);
        for j in 0..=i {
            let above = rows.get(j).unwrap_or(&row);
            let known: BigInt = row[..j].iter().zip(above).map(|(&a, &b)| BigInt::from(a) * b).sum();
            let rest = (BigInt::from(entry(i, j)) << (2 * FRACTION)) - known;
            let value = if i == j {
                let pivot = rest + (BigInt::from(shift(n)) << REST_BITS);
                if pivot <= BigInt::ZERO {
                    return None;
                }
                pivot.sqrt()
            } else {
                let divisor = BigInt::from(above[j]);
                let half: BigInt = &divisor >> 1;
                if rest < BigInt::ZERO { (rest - half) / divisor } else { (rest + half) / divisor }
            };
            row.push(i128::try_from(value).ok()?);
        }
        rows.push(row);
    }
    Some(rows)
}

/// No witness satisfies it for a symmetric matrix, |entries| ≤ 2^58, that is not positive semidefinite.
pub fn enforce<'a>(cs: &Cs, n: usize, entry: impl Fn(usize, usize) -> &'a Num) -> Result<()> {
    let known = (0..n * n).map(|at| entry(at / n, at % n).value().map(int)).collect::<Result<Vec<_>>>();
    let factor = known.map(|known| factor(n, |i, j| known[i * n + j]));
    let value = |i: usize, j: usize| match &factor {
        Ok(rows) => Ok(field(rows.as_ref().map_or(0, |rows| rows[i][j]))),
        Err(_) => Err(SynthesisError::AssignmentMissing),
    };
    let mut rows: Vec<Vec<Num>> = Vec::with_capacity(n);
    for i in 0..n {
        let mut row = Vec::with_capacity(i + 1);
        for j in 0..=i {
            let x = hint(cs, || value(i, j))?;
            if i == j {
                in_range(cs, &x, FACTOR_BITS)?;
            } else {
                in_range(cs, &(&x + pow2(FACTOR_BITS)), FACTOR_BITS + 1)?;
            }
            row.push(x);
        }
        rows.push(row);
    }
    for i in 0..n {
        for j in 0..=i {
            // Σ L_ik·L_jk and 2^(2·FRACTION)·G_ij are below 2^140: equal in the field, they are equal as integers.
            let products = (0..=j).map(|k| product(cs, &rows[i][k], &rows[j][k])).collect::<Result<Vec<_>>>()?;
            let terms = products.iter().map(|x| (-Fr::from(1u64), x));
            let rest = linear(cs, terms.chain([(pow2(2 * FRACTION), entry(i, j))]))?;
            if i == j {
                // R_ii − (n − 1)·2^REST, where R_ii is the rest and (2n + 3)·2^REST: the rest and the shift, of which the
                // root L_ii leaves at most 2·L_ii.
                in_range(cs, &(rest + Fr::from(shift(n)) * pow2(REST_BITS)), FACTOR_BITS + 1)?;
            } else {
                in_range(cs, &(rest + pow2(REST_BITS)), REST_BITS + 1)?;
            }
        }
    }
    Ok(())
}
