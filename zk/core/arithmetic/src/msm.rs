//! Sums of points times integers or scalars (Pippenger), in G1 and in G2.
//!
//! A window's points are sorted by their digits, and those of one digit added in pairs, round after round: affine additions,
//! which need 6 multiplications each when they share an inversion. Pairs are disjoint, so no addition waits for another.
//! Scalars near 0, below it too, have few digits, and zeros among them cost nothing: a sum costs what its scalars' bits do.
//!
//! Time depends on the values: not for scalars that another process on the same machine must not learn.

use ark_bn254::{FqConfig, Fr, G1Affine, G1Projective};
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AdditiveGroup, AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{BigInt, BigInteger, Field, PrimeField, Zero, batch_inversion};
use rayon::prelude::*;

use crate::coordinates::{Coordinate, Coordinates};
use crate::dispatch::run;
use crate::lanes::{Kernel, Lanes, WIDTH};

const MAX_DIGIT_BITS: u32 = 16;
/// Pairs of points that share an inversion, and are one task.
const SHARE: usize = 1 << 10;
/// Groups of pairs ahead of which points are asked for from memory.
const AHEAD: usize = 2;
/// Digits that are one task, where windows have fewer.
const TASK: usize = 1 << 16;
/// With fewer points sharing does not pay.
const FEW: usize = 64;

/// G1 or G2.
pub trait Curve: SWCurveConfig<BaseField: Coordinate, ScalarField = Fr> {}

impl<P: SWCurveConfig<BaseField: Coordinate, ScalarField = Fr>> Curve for P {}

/// Σ w_t · bases_t. The two have equal lengths; |w_t| < 2^63.
pub fn msm_small<T: Copy + Sync + Into<i64>>(bases: &[G1Affine], w: &[T]) -> G1Projective {
    sum(bases, w, |value| Integer::from(Into::<i64>::into(*value)))
}

/// Σ s_t · bases_t with scalars of any size, over the shorter of the two.
pub fn msm<P: Curve>(bases: &[Affine<P>], scalars: &[Fr]) -> Projective<P> {
    let size = bases.len().min(scalars.len());
    let (bases, scalars) = (&bases[..size], &scalars[..size]);
    if size < FEW {
        return Projective::msm_unchecked(bases, scalars);
    }
    let integers: Vec<Integer> = scalars.par_iter().map(Integer::from).collect();
    sum(bases, &integers, |value| *value)
}

/// An integer of 256 bits in two's complement.
#[derive(Clone, Copy)]
struct Integer([u64; 4]);

impl From<&Fr> for Integer {
    /// The one nearest to 0.
    fn from(value: &Fr) -> Self {
        let mut integer = value.into_bigint();
        if integer > Fr::MODULUS_MINUS_ONE_DIV_TWO {
            integer.sub_with_borrow(&Fr::MODULUS); // wraps to two's complement
        }
        Self(integer.0)
    }
}

impl From<i64> for Integer {
    #[inline(always)]
    fn from(value: i64) -> Self {
        let sign = (value >> 63) as u64;
        Self([value as u64, sign, sign, sign])
    }
}

impl Integer {
    /// How many bits are enough, that of the sign among them.
    fn bits(&self) -> u32 {
        let sign = ((self.0[3] as i64) >> 63) as u64;
        BigInt::new(self.0.map(|word| word ^ sign)).num_bits() + 1
    }

    /// The digit, in −2^(width − 1) … 2^(width − 1), of 2^at (Booth's): of the bits from `at` − 1 on, the first rounds up.
    #[inline(always)]
    fn digit(&self, at: u32, width: u32) -> i32 {
        let window = if at == 0 {
            self.0[0] << 1
        } else {
            let (word, by) = ((at as usize - 1) / 64, (at - 1) % 64);
            let above = self.0.get(word + 1).copied().unwrap_or(((self.0[3] as i64) >> 63) as u64);
            ((u128::from(self.0[word]) | u128::from(above) << 64) >> by) as u64
        };
        let bits = (window & ((2 << width) - 1)) as i32;
        ((bits + 1) >> 1) - ((bits >> width) << width)
    }
}

/// The low end of a pair's entry: which point. The top bit: its negative.
const NEGATIVE: u32 = 1 << 31;

fn sum<P: Curve, T: Sync>(bases: &[Affine<P>], values: &[T], integer: impl Fn(&T) -> Integer + Sync) -> Projective<P> {
    let sizes: Vec<u8> = values.par_iter().map(|value| integer(value).bits() as u8).collect();
    let mut counts = [0u64; 256];
    sizes.iter().for_each(|&bits| counts[usize::from(bits)] += 1);
    let by_bits = || (0u32..).zip(counts);
    let bits = by_bits().filter(|(_, count)| *count > 0).map(|(bits, _)| bits).max().unwrap_or(1);
    let windows = |width: u32| bits.div_ceil(width);
    let additions = |width: u32| {
        let digits: u64 = by_bits().map(|(bits, count)| u64::from(bits.div_ceil(width)) * count).sum();
        digits + (u64::from(windows(width)) << width)
    };
    let width = (1..=MAX_DIGIT_BITS).min_by_key(|&width| additions(width)).unwrap_or(1);
    let all: Vec<u32> = (0..values.len() as u32).collect();
    let large: Vec<u32> = all.iter().copied().filter(|&t| u32::from(sizes[t as usize]) > width).collect();
    // Windows of few digits go together, to share inversions.
    let together =
        (TASK / large.len().max(1)).clamp(1, windows(width).div_ceil(rayon::current_num_threads() as u32) as usize);
    let starts: Vec<u32> = (0..windows(width)).collect();
    let points: Vec<Vec<Affine<P>>> = starts
        .par_chunks(together)
        .map(|windows| {
            let mut digits = Vec::with_capacity(windows.len() * large.len());
            for (at, window) in windows.iter().enumerate() {
                let places = if *window == 0 { &all } else { &large };
                let digit = |&t: &u32| Digit::of(t, integer(&values[t as usize]).digit(window * width, width));
                digits.extend(places.iter().filter_map(digit).map(|digit| (at as u32, digit)));
            }
            window_sums(bases, &digits, width, windows.len())
        })
        .collect();
    points.iter().flatten().rev().fold(Projective::zero(), |total, point| total.double() + point)
}

/// A digit that is not 0, and the point whose number it multiplies.
struct Digit {
    entry: u32,
    magnitude: u32,
}

impl Digit {
    #[inline(always)]
    fn of(t: u32, digit: i32) -> Option<Self> {
        let entry = t | if digit < 0 { NEGATIVE } else { 0 };
        (digit != 0).then_some(Self { entry, magnitude: digit.unsigned_abs() })
    }
}

/// For each of some windows P_0 … P_(width − 1) with Σ_l 2^l P_l = Σ digit · point; digits come with the window's number.
fn window_sums<P: Curve>(bases: &[Affine<P>], digits: &[(u32, Digit)], width: u32, windows: usize) -> Vec<Affine<P>> {
    // Buckets by magnitude, those of one magnitude side by side.
    let bucket = |(window, digit): &(u32, Digit)| digit.magnitude as usize * windows + *window as usize;
    let mut sizes = vec![0; ((1 << (width - 1)) + 1) * windows];
    digits.iter().for_each(|digit| sizes[bucket(digit)] += 1);
    let mut end = 0;
    let mut next: Vec<u32> = vec![0; sizes.len()];
    for (start, size) in next.iter_mut().zip(&sizes) {
        (*start, end) = (end, end + size);
    }
    let mut entries = vec![0; digits.len()];
    for digit in digits {
        let place = &mut next[bucket(digit)];
        entries[*place as usize] = digit.1.entry;
        *place += 1;
    }
    let mut buckets = group_sums(bases, entries, sizes);
    // Σ_b b·B_b = 2·Σ_b b·(B_2b + B_(2b+1)) + Σ_b B_(2b+1), and so on.
    let (mut odd, mut groups) = (vec![], vec![vec![]; windows]);
    while buckets.len() > windows {
        buckets.resize(buckets.len().next_multiple_of(2 * windows), Affine::identity());
        let pairs = buckets.len() / (2 * windows);
        for (window, groups) in groups.iter_mut().enumerate() {
            let first = odd.len() + window;
            groups.push((first..first + pairs * windows).step_by(windows));
        }
        let (mut even, mut named) = (0u32, Vec::with_capacity(buckets.len() / 2));
        for both in buckets.chunks(2 * windows) {
            odd.extend(&both[windows..]);
            named.extend((even..).take(windows).map(|at| [at, at + windows as u32]));
            even += 2 * windows as u32;
        }
        let mut halves = vec![Affine::identity(); named.len()];
        add_pairs([&buckets, &[]], &named, &mut halves);
        buckets = halves;
    }
    let sizes = groups.iter().flatten().map(|group| group.len() as u32).collect();
    let entries = groups.into_iter().flatten().flatten().map(|place| place as u32);
    group_sums(&odd, entries.collect(), sizes)
}

/// The sum of each group of points: entries name points, group after group. An empty group's is infinity.
fn group_sums<P: Curve>(bases: &[Affine<P>], mut entries: Vec<u32>, mut sizes: Vec<u32>) -> Vec<Affine<P>> {
    let mut sums: Vec<Affine<P>> = vec![]; // named by the numbers after those of the bases
    loop {
        let mut pairs: Vec<[u32; 2]> = Vec::with_capacity(entries.len() / 2);
        let (mut read, mut write) = (0, 0);
        for size in &mut sizes {
            let end = read + *size as usize;
            while read < end {
                entries[write] = if read + 1 < end {
                    pairs.push([entries[read], entries[read + 1]]);
                    (bases.len() + sums.len() + pairs.len() - 1) as u32
                } else {
                    entries[read]
                };
                (read, write) = (read + 2, write + 1);
            }
            read = end;
            *size = size.div_ceil(2);
        }
        entries.truncate(write);
        if pairs.is_empty() {
            break;
        }
        let before = sums.len();
        sums.resize(before + pairs.len(), Affine::identity());
        let (sums, new) = sums.split_at_mut(before);
        add_pairs([bases, sums], &pairs, new);
    }
    let mut left = entries.into_iter();
    let entries = sizes.into_iter().map(|size| if size == 0 { None } else { left.next() });
    entries.map(|entry| entry.map_or(Affine::identity(), |entry| signed([bases, &sums], entry))).collect()
}

fn named<P: Curve>(points: [&[Affine<P>]; 2], entry: u32) -> &Affine<P> {
    let at = (entry & !NEGATIVE) as usize;
    if at < points[0].len() { &points[0][at] } else { &points[1][at - points[0].len()] }
}

fn signed<P: Curve>(points: [&[Affine<P>]; 2], entry: u32) -> Affine<P> {
    let point = *named(points, entry);
    if entry & NEGATIVE == 0 { point } else { -point }
}

/// out_i = the sum of the two points that pair i names.
fn add_pairs<P: Curve>(points: [&[Affine<P>]; 2], pairs: &[[u32; 2]], out: &mut [Affine<P>]) {
    pairs
        .par_chunks(SHARE)
        .zip(out.par_chunks_mut(SHARE))
        .for_each(|(pairs, out)| run(AddPairs { points, pairs, out }));
}

struct AddPairs<'a, P: Curve> {
    points: [&'a [Affine<P>]; 2],
    pairs: &'a [[u32; 2]],
    out: &'a mut [Affine<P>],
}

impl<P: Curve> Kernel<FqConfig> for AddPairs<'_, P> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes<FqConfig>>(self) {
        self.add::<L, <P::BaseField as Coordinate>::In<L>>();
    }
}

impl<P: Curve> AddPairs<'_, P> {
    #[inline(always)]
    fn add<L: Lanes<FqConfig>, C: Coordinates<P::BaseField>>(self) {
        let Self { points, pairs, out } = self;
        let (zero, one) = (P::BaseField::ZERO, P::BaseField::ONE);
        let groups = pairs.len().div_ceil(WIDTH);
        let mut before: Vec<(C, C)> = Vec::with_capacity(groups); // product of all differences before, and the difference
        let mut regular: Vec<u8> = Vec::with_capacity(groups);
        let mut product = C::load([&one; WIDTH]);
        for (group, next) in
            pairs.chunks(WIDTH).zip(pairs.chunks(WIDTH).skip(AHEAD).chain(std::iter::repeat(&pairs[..0])))
        {
            for entry in next.iter().flatten() {
                L::prefetch(named(points, *entry));
            }
            let (mut x1, mut x2, mut lanes) = ([&zero; WIDTH], [&one; WIDTH], 0);
            for (lane, [a, b]) in group.iter().enumerate() {
                let (a, b) = (named(points, *a), named(points, *b));
                if a.x != b.x && !a.is_zero() && !b.is_zero() {
                    (x1[lane], x2[lane]) = (&a.x, &b.x);
                    lanes |= 1 << lane;
                }
            }
            let difference = C::load(x2).sub(C::load(x1));
            before.push((product, difference));
            regular.push(lanes);
            product = product.mul(difference);
        }
        let mut inverses = product.stored();
        batch_inversion(&mut inverses);
        let mut inverse = C::load(inverses.each_ref());
        let zeros = ([&zero; WIDTH], [&zero; WIDTH], [&zero; WIDTH], [&zero; WIDTH]);
        for (group, pairs) in pairs.chunks(WIDTH).enumerate().rev() {
            let (product, difference) = before[group];
            let (mut x1, mut y1, mut x2, mut y2) = zeros;
            let mut negative = [0u8; 2];
            for (lane, [a, b]) in pairs.iter().enumerate() {
                let (p, q) = (named(points, *a), named(points, *b));
                (x1[lane], y1[lane], x2[lane], y2[lane]) = (&p.x, &p.y, &q.x, &q.y);
                negative[0] |= u8::from(a & NEGATIVE != 0) << lane;
                negative[1] |= u8::from(b & NEGATIVE != 0) << lane;
            }
            let (x1, x2) = (C::load(x1), C::load(x2));
            let (y1, y2) = (C::load(y1).negated(negative[0]), C::load(y2).negated(negative[1]));
            let slope = y2.sub(y1).mul(inverse.mul(product));
            inverse = inverse.mul(difference);
            let x3 = slope.mul(slope).sub(x1).sub(x2);
            let y3 = slope.mul(x1.sub(x3)).sub(y1);
            let (x3, y3) = (x3.stored(), y3.stored());
            for (lane, [a, b]) in pairs.iter().enumerate() {
                out[group * WIDTH + lane] = if regular[group] >> lane & 1 == 1 {
                    Affine::new_unchecked(x3[lane], y3[lane])
                } else {
                    // One is infinity, or they are equal or opposite.
                    (signed(points, *a).into_group() + signed(points, *b)).into_affine()
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::by_both;
    use ark_bn254::G2Affine;

    fn bases(n: u64) -> Vec<G1Affine> {
        (0..n).map(|i| (G1Affine::generator() * Fr::from(i * i + 3)).into_affine()).collect()
    }

    #[test]
    fn small_sums_equal_full_ones() {
        by_both(|| {
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
        });
    }

    /// More than one task's worth, and no multiple of the lanes.
    const MANY: usize = 2 * SHARE + 77;

    fn naive<P: Curve>(b: &[Affine<P>], scalars: &[Fr]) -> Projective<P> {
        Projective::msm_unchecked(b, scalars)
    }

    /// Mostly 0 and 1, as a circuit's values are, among them small, negative and full ones.
    fn mixed(count: usize) -> Vec<Fr> {
        let kinds = [Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(1u64 << 59), -Fr::from(u64::MAX), Fr::from(u128::MAX)];
        (0..count)
            .map(|i| match i % 11 {
                0..5 => Fr::ZERO,
                5..8 => Fr::ONE,
                8 => kinds[i / 11 % kinds.len()],
                9 => -Fr::from(i as u64),
                _ => Fr::from(i as u64 + 2).inverse().unwrap(),
            })
            .collect()
    }

    #[test]
    fn sums_in_both_groups_of_scalars_of_all_sizes_equal_those_of_arkworks() {
        let extremes = [Fr::MODULUS_MINUS_ONE_DIV_TWO.into(), Fr::from(Fr::MODULUS_MINUS_ONE_DIV_TWO) + Fr::ONE];
        let scalars: Vec<Fr> = extremes.into_iter().chain(mixed(MANY)).collect();
        let g1: Vec<_> = bases(300).into_iter().cycle().take(scalars.len()).collect();
        let h = G2Affine::generator();
        let g2: Vec<_> = (0..300u64).map(|i| (h * Fr::from(i * i + 3)).into_affine()).collect();
        let g2: Vec<_> = g2.into_iter().chain([h, -h, h, G2Affine::identity()]).cycle().take(scalars.len()).collect();
        by_both(|| {
            for size in [FEW, 300, scalars.len()] {
                let some = &scalars[..size];
                assert_eq!(msm(&g1[..size], some), naive(&g1[..size], some), "{size}");
                assert_eq!(msm(&g2[..size], some), naive(&g2[..size], some), "{size}");
            }
            let equal = vec![h; MANY];
            assert_eq!(msm(&equal, &scalars), naive(&equal, &scalars[..MANY]));
        });
    }

    #[test]
    fn sums_equal_those_of_arkworks() {
        by_both(|| {
            let b: Vec<_> = bases(300).into_iter().cycle().take(MANY).collect();
            let w: Vec<i16> = (0..MANY as i64).map(|i| ((i * 7919) % 65535 - 32767) as i16).collect();
            assert_eq!(msm_small(&b, &w), naive(&b, &w.iter().map(|&x| Fr::from(x)).collect::<Vec<_>>()));
            let scalars: Vec<Fr> = (1..=MANY as u64).map(|i| -Fr::from(i % 500 + 1).inverse().unwrap()).collect();
            for size in [FEW - 1, FEW, FEW + 1, 200, MANY] {
                assert_eq!(msm(&b[..size], &scalars), naive(&b[..size], &scalars[..size]), "{size}");
            }
        });
    }

    /// All points of a bucket may be equal, opposite or infinity: what an addition of points with one x divides by is 0.
    #[test]
    fn points_that_meet_are_added_too() {
        by_both(|| {
            let g = G1Affine::generator();
            let some = bases(3);
            let of = |choose: &dyn Fn(usize) -> G1Affine| (0..MANY).map(choose).collect::<Vec<_>>();
            let cases = [
                of(&|_| g),
                of(&|i| if i % 2 == 0 { g } else { -g }),
                of(&|i| if i % 3 == 0 { G1Affine::identity() } else { some[i % 3] }),
                of(&|_| G1Affine::identity()),
                of(&|i| [g, -g, g, some[1], G1Affine::identity()][i / 4 % 5]),
            ];
            for b in cases {
                for scalar in [Fr::ONE, -Fr::ONE, Fr::from(3u64).inverse().unwrap(), Fr::ZERO] {
                    let scalars = vec![scalar; MANY];
                    assert_eq!(msm(&b, &scalars), naive(&b, &scalars));
                }
                let alternating: Vec<i64> = (0..MANY as i64).map(|i| [1, -1, 7, -7][i as usize % 4]).collect();
                let full: Vec<Fr> = alternating.iter().map(|&x| Fr::from(x)).collect();
                assert_eq!(msm_small(&b, &alternating), naive(&b, &full));
            }
        });
    }

    #[test]
    fn digits_add_up_to_their_integer() {
        let values = [0, 1, -1, 127, -128, 1 << 62, -(1 << 62), i64::MAX, i64::MIN + 1, 0x1234_5678_9abc_def0];
        for (value, width) in values.into_iter().flat_map(|value| (1..=MAX_DIGIT_BITS).map(move |width| (value, width)))
        {
            let integer = Integer::from(value);
            let (mut sum, half) = (0i128, 1 << (width - 1));
            for window in 0..integer.bits().div_ceil(width) {
                let digit = integer.digit(window * width, width);
                assert!((-half..=half).contains(&digit), "{value} {width}");
                sum += i128::from(digit) << (window * width);
            }
            assert_eq!(sum, i128::from(value), "{width}");
        }
        assert_eq!([0, 1, -1, 127, 128, -128, i64::MAX].map(|x| Integer::from(x).bits()), [1, 2, 1, 8, 9, 8, 64]);
        let half = Fr::from(Fr::MODULUS_MINUS_ONE_DIV_TWO);
        assert_eq!([-Fr::ONE, half, half + Fr::ONE].map(|x| Integer::from(&x).bits()), [1, 254, 254]);
        assert_eq!(Integer::from(&-Fr::from(5u64)).0, Integer::from(-5).0);
    }
}
