//! Sums of rows of small integers times field elements.

use ark_bn254::{Fr, FrConfig};
use ark_ff::{AdditiveGroup, Field};
use rayon::prelude::*;

use crate::dispatch::run;
use crate::lanes::{Kernel, Lanes, WIDTH};

/// Rows that one call of `add_combination` may take, so that its 64-bit sums cannot overflow: 2^(32 + 15 + 14) < 2^63.
pub const MAX_ROWS: usize = 1 << 14;

/// out[t] += Σ_i coefficients[i] · rows[i][t], at most MAX_ROWS rows no longer than `out`.
///
/// A coefficient is taken apart into eight limbs of 32 bits; each limb's sum over the rows stays in an int64 and is
/// reduced once an entry, in place of one field multiplication a row.
pub fn add_combination(out: &mut [Fr], rows: &[&[i16]], coefficients: &[Fr]) {
    debug_assert!(rows.len() <= MAX_ROWS && rows.len() == coefficients.len());
    let limbs: Vec<[i32; LIMBS]> = coefficients.iter().map(limbs_of).collect();
    out.par_chunks_mut(BLOCK).enumerate().for_each(|(block, out)| {
        run(AddCombination { out, rows, limbs: &limbs, start: block * BLOCK });
    });
}

const LIMBS: usize = 8;
const BLOCK: usize = 1 << 8;

/// Limbs in −2^31 … 2^31 − 1 of the Montgomery form.
fn limbs_of(coefficient: &Fr) -> [i32; LIMBS] {
    let mut carry = 0;
    std::array::from_fn(|l| {
        let value = (coefficient.0.0[l / 2] >> (32 * (l % 2)) & 0xffff_ffff) as i64 + carry;
        carry = i64::from(value >= 1 << 31);
        value as i32
    })
}

struct AddCombination<'a> {
    out: &'a mut [Fr],
    rows: &'a [&'a [i16]],
    limbs: &'a [[i32; LIMBS]],
    start: usize,
}

impl Kernel<FrConfig> for AddCombination<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes<FrConfig>>(self) {
        let mut sums = [[0i64; BLOCK]; LIMBS];
        for (row, limbs) in self.rows.iter().zip(self.limbs) {
            let entries = row.get(self.start..).unwrap_or(&[]);
            for (sums, limb) in sums.iter_mut().zip(limbs) {
                for (sum, entry) in sums.iter_mut().zip(entries) {
                    *sum += i64::from(*limb) * i64::from(*entry);
                }
            }
        }
        // Σ_l sum_l · 2^(32 l) = low + high · 2^256. Times 2^256, and divided by it as a product is.
        let one = L::splat(&Fr::ONE);
        let square = L::splat(&Fr::new_unchecked(Fr::R2));
        for (block, out) in self.out.chunks_mut(WIDTH).enumerate() {
            let (mut low, mut high, mut negative) = ([Fr::ZERO; WIDTH], [Fr::ZERO; WIDTH], 0);
            for lane in 0..out.len() {
                let mut carry = 0i64;
                for (l, sums) in sums.iter().enumerate() {
                    let value = sums[block * WIDTH + lane] + carry;
                    low[lane].0.0[l / 2] |= u64::from(value as u32) << (32 * (l % 2));
                    carry = value >> 32;
                }
                high[lane].0.0[0] = carry.unsigned_abs();
                negative |= u8::from(carry < 0) << lane;
            }
            let sum = one.mul(L::of(&low)).add(L::of(&high).negated(negative).mul(square)).stored();
            out.iter_mut().zip(&sum).for_each(|(out, sum)| *out += sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::by_both;

    #[test]
    fn combinations_equal_field_arithmetic() {
        by_both(|| {
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
        });
    }
}
