//! Sums of points times small signed integers, and of rows of small integers times field elements.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{VariableBaseMSM, short_weierstrass::Bucket};
use ark_ff::{AdditiveGroup, BigInt, BigInteger, PrimeField, Zero};
use rayon::prelude::*;

/// Points summed by one task: large against its 2 · 128 bucket additions a digit, small against a chunk.
const PIECE: usize = 1 << 13;
const DIGIT_BITS: usize = 8;
const BUCKETS: usize = 1 << (DIGIT_BITS - 1);

/// Rows that one call of `add_combination` may take, so that its 64-bit sums cannot overflow: 2^(32 + 15 + 14) < 2^63.
pub const MAX_ROWS: usize = 1 << 14;

/// How many digits in [−127, 128], to the base 256, are enough for every magnitude up to `top`.
fn digits_for(top: u64) -> usize {
    let (mut digits, mut reach) = (0, 0u128);
    while reach < u128::from(top) {
        reach = (reach << DIGIT_BITS) + BUCKETS as u128;
        digits += 1;
    }
    digits
}

/// Σ w_t · bases_t by signed buckets (Pippenger). The two have equal lengths; |w_t| < 2^63.
///
/// Time depends on the values: not for scalars that another process on the same machine must not learn.
pub fn msm_small<T: Copy + Sync + Into<i64>>(bases: &[G1Affine], w: &[T]) -> G1Projective {
    let top = w.par_iter().map(|&x| x.into().unsigned_abs()).max().unwrap_or(0);
    let digits = digits_for(top);
    bases
        .par_chunks(PIECE)
        .zip(w.par_chunks(PIECE))
        .map(|(bases, w)| piece(bases, w, digits))
        .reduce(G1Projective::zero, |a, b| a + b)
}

fn piece<T: Copy + Into<i64>>(bases: &[G1Affine], w: &[T], digits: usize) -> G1Projective {
    let mut buckets = vec![[Bucket::default(); BUCKETS]; digits];
    for (base, &value) in bases.iter().zip(w) {
        let value: i64 = value.into();
        let mut left = value.unsigned_abs();
        for row in &mut buckets {
            if left == 0 {
                break;
            }
            let low = (left & 255) as usize;
            left >>= DIGIT_BITS;
            let (size, up) = if low <= BUCKETS { (low, true) } else { (256 - low, false) };
            left += u64::from(!up);
            if size == 0 {
                continue;
            }
            if up == (value > 0) {
                row[size - 1] += base;
            } else {
                row[size - 1] -= base;
            }
        }
    }
    let mut total = G1Projective::zero();
    for row in buckets.iter().rev() {
        for _ in 0..DIGIT_BITS {
            total.double_in_place();
        }
        let (mut running, mut sum) = (Bucket::default(), Bucket::default());
        for bucket in row.iter().rev() {
            running += bucket;
            sum += &running;
        }
        total += G1Projective::from(sum);
    }
    total
}

/// Σ s_t · bases_t with full scalars, over the shorter of the two.
pub fn msm(bases: &[G1Affine], scalars: &[Fr]) -> G1Projective {
    let size = bases.len().min(scalars.len());
    G1Projective::msm_unchecked(&bases[..size], &scalars[..size])
}

/// out[t] += Σ_i coefficients[i] · rows[i][t], at most MAX_ROWS rows no longer than `out`.
///
/// A coefficient is taken apart into eight limbs of 32 bits; each limb's sum over the rows stays in an int64 and is
/// reduced once an entry, in place of one field multiplication a row.
pub fn add_combination(out: &mut [Fr], rows: &[&[i16]], coefficients: &[Fr]) {
    const BLOCK: usize = 1 << 10;
    debug_assert!(rows.len() <= MAX_ROWS && rows.len() == coefficients.len());
    let limbs: Vec<[i64; 8]> = coefficients
        .iter()
        .map(|c| std::array::from_fn(|l| i64::from((c.0.0[l / 2] >> (32 * (l % 2))) as u32)))
        .collect();
    out.par_chunks_mut(BLOCK).enumerate().for_each(|(block, out)| {
        let mut sums = [[0i64; 8]; BLOCK];
        for (row, limbs) in rows.iter().zip(&limbs) {
            let entries = row.get(block * BLOCK..).unwrap_or(&[]);
            for (sum, &entry) in sums.iter_mut().zip(entries).take(out.len()) {
                for (s, limb) in sum.iter_mut().zip(limbs) {
                    *s += limb * i64::from(entry);
                }
            }
        }
        for (value, sum) in out.iter_mut().zip(&sums) {
            *value += reduced(sum);
        }
    });
}

/// The field element whose Montgomery form is Σ sum_l · 2^(32 l) mod P.
fn reduced(sum: &[i64; 8]) -> Fr {
    let mut low = BigInt::<4>::zero();
    let mut carry = 0i64;
    for (l, s) in sum.iter().enumerate() {
        let value = s + carry;
        low.0[l / 2] |= u64::from(value as u32) << (32 * (l % 2));
        carry = value >> 32;
    }
    while low >= Fr::MODULUS {
        low.sub_with_borrow(&Fr::MODULUS);
    }
    // carry · 2^256 is the Montgomery form of the integer `carry`.
    Fr::new_unchecked(low) + Fr::from(carry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::{AffineRepr, CurveGroup};
    use ark_ff::Field;

    fn bases(n: u64) -> Vec<G1Affine> {
        (0..n).map(|i| (G1Affine::generator() * Fr::from(i * i + 3)).into_affine()).collect()
    }

    #[test]
    fn small_sums_equal_full_ones() {
        let mut w: Vec<i64> =
            vec![0, 1, -1, 127, -127, 128, -128, 129, 255, 256, -256, 32639, 32640, 32641, 32767, -32767];
        let b = bases(w.len() as u64);
        let full = |w: &[i64]| msm(&b, &w.iter().map(|&x| Fr::from(x)).collect::<Vec<_>>());
        assert_eq!(msm_small(&b, &w), full(&w));
        for x in &w {
            assert_eq!(msm_small(&b[..1], &[*x]), full(&[*x]), "{x}");
        }
        w[3] = (1 << 40) + 12345;
        w[4] = -(1 << 58);
        assert_eq!(msm_small(&b, &w), full(&w));
        assert_eq!(msm_small::<i64>(&[], &[]), G1Projective::zero());
    }

    #[test]
    fn pieces_add_up() {
        let w: Vec<i16> = (0..PIECE as i64 + 77).map(|i| ((i * 7919) % 65535 - 32767) as i16).collect();
        let b: Vec<_> = bases(64).into_iter().cycle().take(w.len()).collect();
        let full: Vec<Fr> = w.iter().map(|&x| Fr::from(x)).collect();
        assert_eq!(msm_small(&b, &w), msm(&b, &full));
    }

    #[test]
    fn combinations_equal_field_arithmetic() {
        let coefficients: Vec<Fr> = (1..40u64).map(|i| -Fr::from(i).inverse().unwrap()).collect();
        let rows: Vec<Vec<i16>> = (0..39i64)
            .map(|i| {
                (0..1500i64)
                    .map(|t| {
                        if t % 3 == 0 {
                            [32767, -32767][(i % 2) as usize]
                        } else {
                            ((t * i * 31) % 65535 - 32767) as i16
                        }
                    })
                    .collect()
            })
            .collect();
        let views: Vec<&[i16]> = rows.iter().map(Vec::as_slice).collect();
        let mut out = vec![Fr::from(5u64); 1600];
        add_combination(&mut out, &views, &coefficients);
        for (t, value) in out.iter().enumerate() {
            let expected: Fr =
                rows.iter().zip(&coefficients).map(|(r, c)| r.get(t).map_or(Fr::ZERO, |&x| Fr::from(x) * c)).sum();
            assert_eq!(*value, expected + Fr::from(5u64));
        }
    }
}
