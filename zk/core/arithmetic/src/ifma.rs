//! Lanes by AVX-512 IFMA: five limbs of 52 bits, each in a vector of eight, values below 2P between operations.
//!
//! madd52lo and madd52hi add the low and high 52 bits of a product of 52-bit numbers to 64-bit sums. Products are
//! Montgomery's with five reductions by 52 bits, so R would be 2^260: the left factor is taken times 16, and R is 2^256.
//! After https://eprint.iacr.org/2018/335 (Gueron, Drucker) and the analysis of Walter for leaving out the last subtraction:
//! for a, b < 2P the result is below 4P²/2^256 + P < 2P, as P < 2^254; for a < P and any b < 2^256 as well.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use ark_ff::{BigInt, MontConfig};

use crate::lanes::{Element, Kernel, Lanes, WIDTH};

const LIMBS: usize = 5;
/// Bytes that come from memory together.
const LINE: usize = 64;
const MASK: u64 = (1 << 52) - 1;

/// Whether the processor has what [`run`] is compiled for.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma")
}

/// # Safety
/// [`available`] must hold.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub unsafe fn run<C: MontConfig<4>, K: Kernel<C>>(kernel: K) -> K::Out {
    kernel.run::<Ifma<C>>()
}

pub struct Ifma<C>([__m512i; LIMBS], PhantomData<C>);

impl<C> Clone for Ifma<C> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Ifma<C> {}

const fn limbs(words: [u64; 4], times: u32) -> [u64; LIMBS] {
    let [a, b, c, d] = words;
    let mut out =
        [a & MASK, (a >> 52 | b << 12) & MASK, (b >> 40 | c << 24) & MASK, (c >> 28 | d << 36) & MASK, d >> 16];
    let (mut i, mut carry) = (0, 0);
    while i < LIMBS {
        let value = out[i] * times as u64 + carry;
        out[i] = value & MASK;
        carry = value >> 52;
        i += 1;
    }
    out
}

// SAFETY of all below: lanes of this kind are made in `run` only, whose caller checked that the instructions are there.
impl<C: MontConfig<4>> Ifma<C> {
    const P: [u64; LIMBS] = limbs(C::MODULUS.0, 1);
    const DOUBLE: [u64; LIMBS] = limbs(C::MODULUS.0, 2);
    /// −1/P mod 2^52
    const INVERSE: u64 = C::INV & MASK;

    #[inline(always)]
    fn constant(value: u64) -> __m512i {
        unsafe { _mm512_set1_epi64(value as i64) }
    }

    /// Limbs to 52 bits, with signed carries; the last limb keeps the sign.
    #[inline(always)]
    fn carried(mut t: [__m512i; LIMBS]) -> [__m512i; LIMBS] {
        unsafe {
            for i in 0..LIMBS - 1 {
                t[i + 1] = _mm512_add_epi64(t[i + 1], _mm512_srai_epi64::<52>(t[i]));
                t[i] = _mm512_and_si512(t[i], Self::constant(MASK));
            }
        }
        t
    }

    /// value if it is not negative, else other.
    #[inline(always)]
    fn not_negative(value: [__m512i; LIMBS], other: [__m512i; LIMBS]) -> [__m512i; LIMBS] {
        unsafe {
            let negative = _mm512_movepi64_mask(value[LIMBS - 1]);
            let mut out = value;
            for (limb, other) in out.iter_mut().zip(other) {
                *limb = _mm512_mask_mov_epi64(*limb, negative, other);
            }
            out
        }
    }

    #[inline(always)]
    fn minus(mut t: [__m512i; LIMBS], constant: [u64; LIMBS]) -> [__m512i; LIMBS] {
        for (limb, constant) in t.iter_mut().zip(constant) {
            *limb = unsafe { _mm512_sub_epi64(*limb, Self::constant(constant)) };
        }
        t
    }

    #[inline(always)]
    fn plus(mut t: [__m512i; LIMBS], constant: [u64; LIMBS]) -> [__m512i; LIMBS] {
        for (limb, constant) in t.iter_mut().zip(constant) {
            *limb = unsafe { _mm512_add_epi64(*limb, Self::constant(constant)) };
        }
        t
    }
}

/// Words of two elements, the first in the low half.
#[inline(always)]
unsafe fn two<C: MontConfig<4>>(low: &Element<C>, high: &Element<C>) -> __m512i {
    unsafe {
        let low = _mm512_castsi256_si512(_mm256_loadu_si256((&raw const low.0.0).cast()));
        _mm512_inserti64x4::<1>(low, _mm256_loadu_si256((&raw const high.0.0).cast()))
    }
}

/// Two elements, whose halves alternate.
#[inline(always)]
unsafe fn apart<C: MontConfig<4>>(even: &mut Element<C>, odd: &mut Element<C>, both: __m512i) {
    unsafe {
        let both = _mm512_shuffle_i64x2::<0xd8>(both, both);
        _mm256_storeu_si256((&raw mut even.0.0).cast(), _mm512_castsi512_si256(both));
        _mm256_storeu_si256((&raw mut odd.0.0).cast(), _mm512_extracti64x4_epi64::<1>(both));
    }
}

impl<C: MontConfig<4>> Lanes<C> for Ifma<C> {
    #[inline(always)]
    fn prefetch<T>(of: &T) {
        let start = (&raw const *of).cast::<i8>();
        unsafe {
            for at in (0..size_of::<T>()).step_by(LINE) {
                _mm_prefetch::<_MM_HINT_T0>(start.add(at));
            }
            _mm_prefetch::<_MM_HINT_T0>(start.add(size_of::<T>() - 1)); // points start anywhere in a line
        }
    }

    #[inline(always)]
    fn load(from: [&Element<C>; WIDTH]) -> Self {
        unsafe {
            let (e02, e13) = (two(from[0], from[2]), two(from[1], from[3]));
            let (e46, e57) = (two(from[4], from[6]), two(from[5], from[7]));
            let (a, b) = (_mm512_unpacklo_epi64(e02, e13), _mm512_unpackhi_epi64(e02, e13));
            let (c, d) = (_mm512_unpacklo_epi64(e46, e57), _mm512_unpackhi_epi64(e46, e57));
            let words = [
                _mm512_shuffle_i64x2::<0x88>(a, c),
                _mm512_shuffle_i64x2::<0x88>(b, d),
                _mm512_shuffle_i64x2::<0xdd>(a, c),
                _mm512_shuffle_i64x2::<0xdd>(b, d),
            ];
            let mask = Self::constant(MASK);
            let mut limbs = [
                words[0],
                _mm512_or_si512(_mm512_srli_epi64::<52>(words[0]), _mm512_slli_epi64::<12>(words[1])),
                _mm512_or_si512(_mm512_srli_epi64::<40>(words[1]), _mm512_slli_epi64::<24>(words[2])),
                _mm512_or_si512(_mm512_srli_epi64::<28>(words[2]), _mm512_slli_epi64::<36>(words[3])),
                _mm512_srli_epi64::<16>(words[3]),
            ];
            for limb in &mut limbs {
                *limb = _mm512_and_si512(*limb, mask);
            }
            Self(limbs, PhantomData)
        }
    }

    #[inline(always)]
    fn stored(self) -> [Element<C>; WIDTH] {
        let t = Self::not_negative(Self::carried(Self::minus(self.0, Self::P)), self.0);
        unsafe {
            let w0 = _mm512_or_si512(t[0], _mm512_slli_epi64::<52>(t[1]));
            let w1 = _mm512_or_si512(_mm512_srli_epi64::<12>(t[1]), _mm512_slli_epi64::<40>(t[2]));
            let w2 = _mm512_or_si512(_mm512_srli_epi64::<24>(t[2]), _mm512_slli_epi64::<28>(t[3]));
            let w3 = _mm512_or_si512(_mm512_srli_epi64::<36>(t[3]), _mm512_slli_epi64::<16>(t[4]));
            let (a, b) = (_mm512_shuffle_i64x2::<0x44>(w0, w2), _mm512_shuffle_i64x2::<0x44>(w1, w3));
            let (c, d) = (_mm512_shuffle_i64x2::<0xee>(w0, w2), _mm512_shuffle_i64x2::<0xee>(w1, w3));
            let mut out = [Element::<C>::new_unchecked(BigInt([0; 4])); WIDTH];
            let [e0, e1, e2, e3, e4, e5, e6, e7] = &mut out;
            apart(e0, e2, _mm512_unpacklo_epi64(a, b));
            apart(e1, e3, _mm512_unpackhi_epi64(a, b));
            apart(e4, e6, _mm512_unpacklo_epi64(c, d));
            apart(e5, e7, _mm512_unpackhi_epi64(c, d));
            out
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let mut sum = self.0;
        for (limb, other) in sum.iter_mut().zip(other.0) {
            *limb = unsafe { _mm512_add_epi64(*limb, other) };
        }
        let reduced = Self::carried(Self::minus(sum, Self::DOUBLE));
        Self(Self::not_negative(reduced, Self::carried(sum)), PhantomData)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let mut difference = self.0;
        for (limb, other) in difference.iter_mut().zip(other.0) {
            *limb = unsafe { _mm512_sub_epi64(*limb, other) };
        }
        let raised = Self::carried(Self::plus(difference, Self::DOUBLE));
        Self(Self::not_negative(Self::carried(difference), raised), PhantomData)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        unsafe {
            let mask = Self::constant(MASK);
            let zero = _mm512_setzero_si512();
            let mut t = [zero; LIMBS + 1];
            for i in 0..LIMBS {
                let below = if i == 0 { zero } else { _mm512_srli_epi64::<48>(a[i - 1]) };
                let times_16 = _mm512_and_si512(_mm512_or_si512(_mm512_slli_epi64::<4>(a[i]), below), mask);
                for j in 0..LIMBS {
                    t[j] = _mm512_madd52lo_epu64(t[j], times_16, b[j]);
                    t[j + 1] = _mm512_madd52hi_epu64(t[j + 1], times_16, b[j]);
                }
                let m = _mm512_madd52lo_epu64(zero, t[0], Self::constant(Self::INVERSE));
                for j in 0..LIMBS {
                    t[j] = _mm512_madd52lo_epu64(t[j], m, Self::constant(Self::P[j]));
                    t[j + 1] = _mm512_madd52hi_epu64(t[j + 1], m, Self::constant(Self::P[j]));
                }
                let carry = _mm512_srli_epi64::<52>(t[0]);
                t = [_mm512_add_epi64(t[1], carry), t[2], t[3], t[4], t[5], zero];
            }
            let [r0, r1, r2, r3, r4, _] = t;
            Self(Self::carried([r0, r1, r2, r3, r4]), PhantomData)
        }
    }

    #[inline(always)]
    fn negated(self, lanes: u8) -> Self {
        unsafe {
            let mut negative = self.0;
            for (limb, modulus) in negative.iter_mut().zip(Self::P) {
                *limb = _mm512_mask_sub_epi64(*limb, lanes, Self::constant(modulus), *limb);
            }
            Self(Self::carried(negative), PhantomData)
        }
    }
}
