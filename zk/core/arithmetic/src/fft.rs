//! Fourier transforms over the scalar field, eight butterflies at a time and on all threads.
//!
//! Decimation in time: a first pass reads the values in bit-reversed order and makes transforms of 8, which are then joined
//! four by four, so that what is worked on lies in the nearest cache for as long as possible.

use ark_bn254::{Fr, FrConfig};
use ark_ff::{FftField, Field};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use rayon::prelude::*;

use crate::dispatch::run;
use crate::lanes::{Kernel, Lanes, WIDTH};
use crate::polynomial::{multiply, powers, zeros};

/// What one task transforms.
const PIECE: usize = 1 << 12;
/// Below it a transform is arkworks'.
const SMALLEST: usize = WIDTH * WIDTH;

/// The transforms of one domain, and of its coset by the field's generator.
pub struct Fft {
    domain: Radix2EvaluationDomain<Fr>,
    /// ω^0 … ω^(N/2 − 1)
    roots: Vec<Fr>,
    /// g^i, and g^(−i)/N
    to_coset: Vec<Fr>,
    from_coset: Vec<Fr>,
}

impl Fft {
    pub fn new(domain: Radix2EvaluationDomain<Fr>) -> Self {
        let n = domain.size();
        let inverse = Fr::GENERATOR.inverse().unwrap_or_default(); // a generator is not zero
        Self {
            domain,
            roots: powers(domain.group_gen, Fr::ONE, n / 2),
            to_coset: powers(Fr::GENERATOR, Fr::ONE, n),
            from_coset: powers(inverse, domain.size_inv(), n),
        }
    }

    pub fn domain(&self) -> &Radix2EvaluationDomain<Fr> {
        &self.domain
    }

    pub fn size(&self) -> usize {
        self.domain.size()
    }

    /// Values on the domain of a polynomial of degree 2.
    pub fn of_quadratic(&self, coefficients: &[Fr; 3]) -> Vec<Fr> {
        let [a, b, c] = coefficients;
        let half: Vec<[Fr; 2]> = self.roots.par_iter().map(|x| [*a + *x * *x * c, *x * b]).collect();
        // ω^(i + N/2) = −ω^i
        half.par_iter().map(|[even, odd]| *even + odd).chain(half.par_iter().map(|[even, odd]| *even - odd)).collect()
    }

    /// Coefficients from the values on the domain.
    pub fn interpolate(&self, values: &[Fr]) -> Vec<Fr> {
        let mut out = self.transform(values, true, None);
        scale(&mut out, &self.domain.size_inv());
        out
    }

    /// Values on the coset, from N coefficients.
    pub fn on_coset(&self, coefficients: &[Fr]) -> Vec<Fr> {
        self.transform(coefficients, false, Some(&self.to_coset))
    }

    /// Coefficients from the values on the coset.
    pub fn interpolate_coset(&self, values: &[Fr]) -> Vec<Fr> {
        let mut out = self.transform(values, true, None);
        multiply(&mut out, &self.from_coset);
        out
    }

    /// Σ_j ω^(ij) source_j·factors_j, or with ω^(−ij).
    fn transform(&self, source: &[Fr], inverse: bool, factors: Option<&[Fr]>) -> Vec<Fr> {
        let n = self.domain.size();
        debug_assert_eq!(source.len(), n);
        let mut out = zeros(n);
        if n < SMALLEST {
            for (i, (out, value)) in out.iter_mut().zip(source).enumerate() {
                *out = factors.map_or(*value, |factors| *value * factors[i]);
            }
            self.domain.fft_in_place(&mut out);
            if inverse {
                out[1..].reverse();
            }
            return out;
        }
        out.par_chunks_mut(PIECE).enumerate().for_each(|(piece, out)| {
            run(First { source, factors, inverse, roots: &self.roots, start: piece * PIECE, out });
        });
        let rest = n.ilog2() - WIDTH.ilog2();
        if rest % 2 == 1 {
            let (even, odd) = out.split_at_mut(n / 2);
            rayon::join(|| self.quarters(even), || self.quarters(odd));
            let size = PIECE / 2;
            even.par_chunks_mut(size).zip(odd.par_chunks_mut(size)).enumerate().for_each(|(piece, (even, odd))| {
                run(Two { even, odd, roots: &self.roots, start: piece * size });
            });
        } else {
            self.quarters(&mut out);
        }
        out
    }

    /// Joins transforms of 8, in the order of their indices' reversed bits, to one of the whole length, 8·4^k.
    fn quarters(&self, values: &mut [Fr]) {
        let n = values.len();
        if n == WIDTH {
            return;
        }
        let quarter = n / 4;
        if n > PIECE {
            values.par_chunks_mut(quarter).for_each(|part| self.quarters(part));
        } else {
            values.chunks_mut(quarter).for_each(|part| self.quarters(part));
        }
        let (low, high) = values.split_at_mut(n / 2);
        let ((a, b), (c, d)) = (low.split_at_mut(quarter), high.split_at_mut(quarter));
        let size = PIECE / 4;
        let join = |(piece, (((a, b), c), d))| {
            run(Four { parts: [a, b, c, d], roots: &self.roots, quarter, start: piece * size });
        };
        if n > PIECE {
            let both = a.par_chunks_mut(size).zip(b.par_chunks_mut(size));
            both.zip(c.par_chunks_mut(size)).zip(d.par_chunks_mut(size)).enumerate().for_each(join);
        } else {
            join((0, (((a, b), c), d)));
        }
    }
}

fn scale(values: &mut [Fr], factor: &Fr) {
    struct Scale<'a>(&'a mut [Fr], &'a Fr);
    impl Kernel<FrConfig> for Scale<'_> {
        type Out = ();
        #[inline(always)]
        fn run<L: Lanes<FrConfig>>(self) {
            let factor = L::splat(self.1);
            let (eights, rest) = self.0.as_chunks_mut::<WIDTH>();
            for values in eights {
                *values = L::of(values).mul(factor).stored();
            }
            rest.iter_mut().for_each(|value| *value *= self.1);
        }
    }
    values.par_chunks_mut(PIECE).for_each(|values| run(Scale(values, factor)));
}

fn reversed(value: usize, bits: u32) -> usize {
    if bits == 0 { 0 } else { value.reverse_bits() >> (usize::BITS - bits) }
}

#[inline(always)]
fn butterfly<L: Lanes<FrConfig>>(values: &mut [L; WIDTH], i: usize, j: usize) {
    let (a, b) = (values[i], values[j]);
    (values[i], values[j]) = (a.add(b), a.sub(b));
}

/// The first three stages, for outputs start … start + out.len(): eight transforms of 8 at a time, one in each lane.
struct First<'a> {
    source: &'a [Fr],
    factors: Option<&'a [Fr]>,
    inverse: bool,
    roots: &'a [Fr],
    start: usize,
    out: &'a mut [Fr],
}

impl Kernel<FrConfig> for First<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes<FrConfig>>(self) {
        let n = self.source.len();
        let eighth = n / WIDTH;
        let root = |k: usize| &self.roots[k * eighth];
        let (w1, w2, w3) = (L::splat(root(1)), L::splat(root(2)), L::splat(root(3)));
        let group_bits = n.ilog2() - SMALLEST.ilog2();
        let groups = self.out.len() / SMALLEST;
        // In the order of reversed bits, so that what is read next lies near.
        for group in (0..groups).map(|group| reversed(group, groups.ilog2())) {
            let out = &mut self.out[group * SMALLEST..(group + 1) * SMALLEST];
            let base = reversed(self.start / SMALLEST + group, group_bits);
            let mut values = [w1; WIDTH];
            for (i, value) in values.iter_mut().enumerate() {
                let places: [usize; WIDTH] = std::array::from_fn(|lane| {
                    let place = reversed(i, 3) * eighth + reversed(lane, 3) * (eighth / WIDTH) + base;
                    if self.inverse { n.wrapping_sub(place) & (n - 1) } else { place }
                });
                *value = L::load(places.map(|place| &self.source[place]));
                if let Some(factors) = self.factors {
                    *value = value.mul(L::load(places.map(|place| &factors[place])));
                }
            }
            for i in [0, 2, 4, 6] {
                butterfly(&mut values, i, i + 1);
            }
            for i in [0, 4] {
                values[i + 3] = values[i + 3].mul(w2);
                butterfly(&mut values, i, i + 2);
                butterfly(&mut values, i + 1, i + 3);
            }
            for (i, root) in [(5, w1), (6, w2), (7, w3)] {
                values[i] = values[i].mul(root);
            }
            for i in 0..4 {
                butterfly(&mut values, i, i + 4);
            }
            for (i, value) in values.into_iter().enumerate() {
                for (lane, value) in value.stored().into_iter().enumerate() {
                    out[lane * WIDTH + i] = value;
                }
            }
        }
    }
}

#[inline(always)]
fn spaced<L: Lanes<FrConfig>>(roots: &[Fr], from: usize, step: usize) -> L {
    L::load(std::array::from_fn(|lane| &roots[(from + lane) * step]))
}

/// Joins two transforms of half the domain; `start`: where these pieces of theirs start.
struct Two<'a> {
    even: &'a mut [Fr],
    odd: &'a mut [Fr],
    roots: &'a [Fr],
    start: usize,
}

impl Kernel<FrConfig> for Two<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes<FrConfig>>(self) {
        let pairs = self.even.as_chunks_mut::<WIDTH>().0.iter_mut().zip(self.odd.as_chunks_mut::<WIDTH>().0);
        for (block, (even, odd)) in pairs.enumerate() {
            let t = L::of(odd).mul(spaced(self.roots, self.start + block * WIDTH, 1));
            let e = L::of(even);
            (*even, *odd) = (e.add(t).stored(), e.sub(t).stored());
        }
    }
}

/// Joins four transforms of length `quarter`: two stages at once. Their indices modulo 4 are 0, 2, 1 and 3.
struct Four<'a> {
    parts: [&'a mut [Fr]; 4],
    roots: &'a [Fr],
    quarter: usize,
    start: usize,
}

impl Kernel<FrConfig> for Four<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes<FrConfig>>(self) {
        let step = self.roots.len() / (2 * self.quarter); // ω^step has order 4·quarter
        let [a, b, c, d] = self.parts.map(|part| part.as_chunks_mut::<WIDTH>().0);
        for (block, (((a, b), c), d)) in a.iter_mut().zip(b).zip(c).zip(d).enumerate() {
            let at = self.start + block * WIDTH;
            let first: L = spaced(self.roots, at, 2 * step);
            let (tb, td) = (L::of(b).mul(first), L::of(d).mul(first));
            let (a0, c0) = (L::of(a), L::of(c));
            let (a1, b1, c1, d1) = (a0.add(tb), a0.sub(tb), c0.add(td), c0.sub(td));
            let tc = c1.mul(spaced(self.roots, at, step));
            let td = d1.mul(spaced(self.roots, at + self.quarter, step));
            (*a, *c) = (a1.add(tc).stored(), a1.sub(tc).stored());
            (*b, *d) = (b1.add(td).stored(), b1.sub(td).stored());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::by_both;
    use crate::polynomial::powers;

    #[test]
    fn transforms_are_those_of_the_domain() {
        by_both(|| {
            for log_n in [3, 5, 6, 7, 8, 9, 12, 13, 14, 15] {
                let domain = Radix2EvaluationDomain::<Fr>::new(1 << log_n).unwrap();
                let coset = domain.get_coset(Fr::GENERATOR).unwrap();
                let fft = Fft::new(domain);
                let values = powers(Fr::from(0x1234_5678_9abcu64), -Fr::ONE, domain.size());
                assert_eq!(fft.interpolate(&values), domain.ifft(&values), "{log_n}");
                assert_eq!(fft.on_coset(&values), coset.fft(&values), "{log_n}");
                assert_eq!(fft.interpolate_coset(&values), coset.ifft(&values), "{log_n}");
            }
        });
    }
}
