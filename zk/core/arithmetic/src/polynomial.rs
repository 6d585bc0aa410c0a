//! Polynomials as vectors of coefficients: eight coefficients at a time, in blocks on all threads.

use ark_bn254::{Fr, FrConfig};
use ark_ff::{AdditiveGroup, BigInt, Field};
use rayon::prelude::*;

use crate::dispatch::run;
use crate::lanes::{Kernel, Lanes, WIDTH};

/// What one task works on.
const BLOCK: usize = 1 << 12;

pub fn zeros(count: usize) -> Vec<Fr> {
    (0..count).into_par_iter().with_min_len(BLOCK).map(|_| Fr::ZERO).collect()
}

/// first·base^0 … first·base^(count − 1)
pub fn powers(base: Fr, first: Fr, count: usize) -> Vec<Fr> {
    let mut out = zeros(count);
    out.par_chunks_mut(BLOCK).enumerate().for_each(|(block, out)| {
        let mut power = first * base.pow([(block * BLOCK) as u64]);
        for value in out {
            *value = power;
            power *= base;
        }
    });
    out
}

/// Runs `step(index of the first coefficient, outputs)` for blocks of `out`.
fn blocks(out: &mut [Fr], step: impl Fn(usize, &mut [Fr]) + Sync) {
    out.par_chunks_mut(BLOCK).enumerate().for_each(|(block, out)| step(block * BLOCK, out));
}

/// The part of a block that starts at `from`, where the polynomial is long enough.
fn part(polynomial: &[Fr], from: usize, length: usize) -> &[Fr] {
    let rest = polynomial.get(from..).unwrap_or(&[]);
    &rest[..rest.len().min(length)]
}

/// Eight by eight, and what is left one by one: `out = f(out, a, b)` with up to two constants, for as far as all three go.
macro_rules! elementwise {
    ($(#[$doc:meta])* $name:ident, $out:ident, $a:ident, $b:ident, $constants:ident => $lanes:expr, $single:expr) => {
        $(#[$doc])*
        struct $name<'a>(&'a mut [Fr], &'a [Fr], &'a [Fr], [Fr; 2]);

        impl Kernel<FrConfig> for $name<'_> {
            type Out = ();

            #[inline(always)]
            fn run<L: Lanes<FrConfig>>(self) {
                let length = self.0.len().min(self.1.len()).min(self.2.len());
                let mut $constants = [L::splat(&Fr::ZERO); 2];
                for (lanes, constant) in $constants.iter_mut().zip(&self.3) {
                    *lanes = L::splat(constant);
                }
                let (out, out_rest) = self.0[..length].as_chunks_mut::<WIDTH>();
                let (a, a_rest) = self.1[..length].as_chunks::<WIDTH>();
                let (b, b_rest) = self.2[..length].as_chunks::<WIDTH>();
                for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
                    let ($out, $a, $b) = (L::of(out), L::of(a), L::of(b));
                    *out = $lanes.stored();
                }
                let $constants = self.3;
                for ((out, a), b) in out_rest.iter_mut().zip(a_rest).zip(b_rest) {
                    let ($out, $a, $b) = (*out, *a, *b);
                    *out = $single;
                }
            }
        }
    };
}

elementwise!(AddProducts, out, a, b, _c => out.add(a.mul(b)), out + a * b);
elementwise!(AddCross, out, a, b, c => out.add(a.mul(c[0]).add(b.mul(c[1]))), out + a * c[0] + b * c[1]);
elementwise!(SubtractAndScale, out, a, _b, c => out.sub(a).mul(c[0]), (out - a) * c[0]);
elementwise!(Multiply, out, a, _b, _c => out.mul(a), out * a);
elementwise!(Horner, out, a, _b, c => out.mul(c[0]).add(a), out * c[0] + a);

/// sums += a·b, value by value.
pub fn add_products(sums: &mut [Fr], a: &[Fr], b: &[Fr]) {
    blocks(sums, |from, out| {
        run(AddProducts(&mut out[..], part(a, from, BLOCK), part(b, from, BLOCK), [Fr::ZERO; 2]));
    });
}

/// sums += x·a + y·b
pub fn add_cross(sums: &mut [Fr], a: &[Fr], x: Fr, b: &[Fr], y: Fr) {
    blocks(sums, |from, out| run(AddCross(out, part(a, from, BLOCK), part(b, from, BLOCK), [x, y])));
}

/// sums += x·integers, for as far as both go; |integer| < 2^63.
pub fn add_multiple(sums: &mut [Fr], integers: &[i64], x: Fr) {
    // The product of two Montgomery forms is divided by R = 2^256, so that an integer as it stands needs x·R.
    let x = x * Fr::from(2u64).pow([256]);
    sums.par_chunks_mut(BLOCK).zip(integers.par_chunks(BLOCK)).for_each(|(sums, integers)| {
        run(AddMultiple(sums, integers, x));
    });
}

struct AddMultiple<'a>(&'a mut [Fr], &'a [i64], Fr);

impl Kernel<FrConfig> for AddMultiple<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes<FrConfig>>(self) {
        let raw = |integer: &i64| Fr::new_unchecked(BigInt::from(integer.unsigned_abs()));
        let x = L::splat(&self.2);
        let length = self.0.len().min(self.1.len());
        let (sums, sums_rest) = self.0[..length].as_chunks_mut::<WIDTH>();
        let (integers, integers_rest) = self.1[..length].as_chunks::<WIDTH>();
        for (sum, integers) in sums.iter_mut().zip(integers) {
            let negative =
                integers.iter().enumerate().fold(0, |lanes, (i, integer)| lanes | u8::from(*integer < 0) << i);
            let magnitudes = integers.each_ref().map(raw);
            *sum = L::of(sum).add(L::of(&magnitudes).negated(negative).mul(x)).stored();
        }
        for (sum, integer) in sums_rest.iter_mut().zip(integers_rest) {
            let product = raw(integer) * self.2;
            *sum += if *integer < 0 { -product } else { product };
        }
    }
}

/// values = (values − other)·factor
pub fn subtract_and_scale(values: &mut [Fr], other: &[Fr], factor: Fr) {
    blocks(values, |from, out| {
        let other = part(other, from, BLOCK);
        run(SubtractAndScale(out, other, other, [factor, Fr::ZERO]));
    });
}

/// values *= factors, value by value.
pub fn multiply(values: &mut [Fr], factors: &[Fr]) {
    blocks(values, |from, out| {
        let factors = part(factors, from, BLOCK);
        run(Multiply(out, factors, factors, [Fr::ZERO; 2]));
    });
}

/// Σ_e v^e f_e
pub fn combine(polynomials: &[&[Fr]], v: Fr) -> Vec<Fr> {
    let length = polynomials.iter().map(|p| p.len()).max().unwrap_or(0);
    let mut out = zeros(length);
    blocks(&mut out, |from, out| {
        for polynomial in polynomials.iter().rev() {
            let coefficients = part(polynomial, from, out.len());
            let (with, without) = out.split_at_mut(coefficients.len());
            run(Horner(with, coefficients, coefficients, [v, Fr::ZERO]));
            without.iter_mut().for_each(|value| *value *= v);
        }
    });
    out
}

/// Σ_i a_i·b_i, for as far as both go.
struct Dot<'a>(&'a [Fr], &'a [Fr]);

impl Kernel<FrConfig> for Dot<'_> {
    type Out = Fr;

    #[inline(always)]
    fn run<L: Lanes<FrConfig>>(self) -> Fr {
        let length = self.0.len().min(self.1.len());
        let (a, a_rest) = self.0[..length].as_chunks::<WIDTH>();
        let (b, b_rest) = self.1[..length].as_chunks::<WIDTH>();
        let mut eight = L::splat(&Fr::ZERO);
        for (a, b) in a.iter().zip(b) {
            eight = eight.add(L::of(a).mul(L::of(b)));
        }
        eight.stored().into_iter().sum::<Fr>() + a_rest.iter().zip(b_rest).map(|(a, b)| *a * b).sum::<Fr>()
    }
}

/// Values of several polynomials at x.
pub fn evaluate_all(polynomials: &[&[Fr]], x: Fr) -> Vec<Fr> {
    let near = powers(x, Fr::ONE, BLOCK);
    let far = near[BLOCK - 1] * x;
    let value = |polynomial: &&[Fr]| {
        let blocks: Vec<Fr> = polynomial.par_chunks(BLOCK).map(|block| run(Dot(block, &near))).collect();
        horner(&blocks, far)
    };
    polynomials.par_iter().map(value).collect()
}

pub fn evaluate(polynomial: &[Fr], x: Fr) -> Fr {
    if polynomial.len() < BLOCK { horner(polynomial, x) } else { evaluate_all(&[polynomial], x)[0] }
}

fn horner(coefficients: &[Fr], x: Fr) -> Fr {
    coefficients.iter().rev().fold(Fr::ZERO, |value, coefficient| value * x + coefficient)
}

/// (f − f(x)) / (X − x)
pub fn divided(polynomial: &[Fr], x: Fr) -> Vec<Fr> {
    // Coefficient i is Σ_(j > i) f_j x^(j − i − 1): a running value from the top, whose start in each block comes from the
    // values of the blocks above.
    let rest = polynomial.get(1..).unwrap_or(&[]);
    let (near, far) = (powers(x, Fr::ONE, BLOCK), x.pow([BLOCK as u64]));
    let values: Vec<Fr> = rest.par_chunks(BLOCK).map(|block| run(Dot(block, &near))).collect();
    let mut above = vec![Fr::ZERO; values.len()];
    for block in (1..values.len()).rev() {
        above[block - 1] = above[block] * far + values[block];
    }
    let mut out = rest.to_vec();
    out.par_chunks_mut(BLOCK).zip(above).for_each(|(block, mut carry)| {
        for value in block.iter_mut().rev() {
            carry = carry * x + *value;
            *value = carry;
        }
    });
    out
}

/// What all values before each add up to.
pub fn sums_before(values: &mut [Fr]) {
    let totals: Vec<Fr> = values.par_chunks(BLOCK).map(|block| block.iter().sum()).collect();
    let starts: Vec<Fr> = totals.iter().scan(Fr::ZERO, |sum, total| Some(next(sum, total))).collect();
    values.par_chunks_mut(BLOCK).zip(starts).for_each(|(block, mut sum)| {
        for value in block {
            *value = next(&mut sum, value);
        }
    });
}

/// Adds to the sum, and returns what it was.
fn next(sum: &mut Fr, value: &Fr) -> Fr {
    let before = *sum;
    *sum += value;
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::by_both;

    /// Lengths around the sizes of lanes and blocks.
    const LENGTHS: [usize; 9] = [1, 3, 8, 13, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 9, 3 * BLOCK + 5];

    fn some(length: usize, seed: u64) -> Vec<Fr> {
        (0..length as u64).map(|i| Fr::from(i * i + seed).pow([3])).collect()
    }

    #[test]
    fn values_and_quotients_are_those_of_plain_arithmetic() {
        by_both(|| {
            let x = Fr::from(12345u64).inverse().unwrap();
            for length in LENGTHS {
                let f = some(length, 7);
                assert_eq!(evaluate(&f, x), horner(&f, x), "{length}");
                let quotient = divided(&f, x);
                assert_eq!(quotient.len(), length - 1);
                let at = Fr::from(99u64);
                assert_eq!(horner(&quotient, at) * (at - x), horner(&f, at) - horner(&f, x), "{length}");
            }
            assert_eq!(
                evaluate_all(&[&some(5, 1), &some(9000, 2)], x),
                [horner(&some(5, 1), x), horner(&some(9000, 2), x)]
            );
            assert_eq!(powers(x, x, 5000)[4999], x.pow([5000]));
        });
    }

    #[test]
    fn combinations_are_those_of_plain_arithmetic() {
        by_both(|| {
            let (v, y) = (Fr::from(77u64).inverse().unwrap(), Fr::from(5u64));
            let of: Vec<Vec<Fr>> = LENGTHS.iter().map(|&length| some(length, 3)).collect();
            let combined = combine(&of.iter().map(Vec::as_slice).collect::<Vec<_>>(), v);
            for at in (0..combined.len()).step_by(97).chain([7, 8, BLOCK - 1, BLOCK]) {
                let terms = of.iter().enumerate().filter_map(|(e, f)| Some(v.pow([e as u64]) * f.get(at)?));
                assert_eq!(combined[at], terms.sum::<Fr>());
            }
            let (a, b) = (some(BLOCK + 13, 1), some(BLOCK + 13, 2));
            let check = |out: &[Fr], expected: &dyn Fn(usize) -> Fr| {
                out.iter().enumerate().for_each(|(i, value)| assert_eq!(*value, expected(i), "{i}"));
            };
            let mut out = a.clone();
            add_products(&mut out, &a, &b);
            check(&out, &|i| a[i] + a[i] * b[i]);
            let mut out = a.clone();
            add_cross(&mut out, &a, v, &b, y);
            check(&out, &|i| a[i] + v * a[i] + y * b[i]);
            let mut out = a.clone();
            subtract_and_scale(&mut out, &b, v);
            check(&out, &|i| (a[i] - b[i]) * v);
            let mut out = a.clone();
            multiply(&mut out, &b);
            check(&out, &|i| a[i] * b[i]);
            let integers: Vec<i64> = (0..a.len() as i64).map(|i| (i * i * 7919 - 50_000_000) << (i % 30)).collect();
            let mut out = a.clone();
            add_multiple(&mut out, &integers, v);
            check(&out, &|i| a[i] + v * Fr::from(integers[i]));
            let mut out = a.clone();
            sums_before(&mut out);
            check(&out, &|i| a[..i].iter().sum());
        });
    }
}
