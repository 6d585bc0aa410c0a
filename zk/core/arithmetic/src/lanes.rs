//! Eight elements of a prime field of 254 bits side by side, and loops that are written once over them. Here: one by one, by
//! arkworks' fields.

use ark_ff::{Fp256, MontBackend, MontConfig};

pub const WIDTH: usize = 8;

/// A field element: four words in Montgomery form, R = 2^256.
pub type Element<C> = Fp256<MontBackend<C, 4>>;

pub trait Lanes<C: MontConfig<4>>: Copy {
    fn load(from: [&Element<C>; WIDTH]) -> Self;
    fn stored(self) -> [Element<C>; WIDTH];
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    /// `other` may be any four words, also such as are not below the modulus.
    fn mul(self, other: Self) -> Self;
    /// The negatives in the lanes whose bits are set. For elements as they were loaded.
    fn negated(self, lanes: u8) -> Self;

    /// Asks for what will be loaded soon.
    #[inline(always)]
    fn prefetch<T>(_of: &T) {}

    #[inline(always)]
    fn splat(value: &Element<C>) -> Self {
        Self::load([value; WIDTH])
    }

    #[inline(always)]
    fn of(from: &[Element<C>; WIDTH]) -> Self {
        Self::load(from.each_ref())
    }
}

/// A loop over lanes. `run` must be `#[inline(always)]`, and so must all that it calls, to be compiled for the processor: no
/// closure may work on lanes, since one that is not inlined calls an instruction as a function.
pub trait Kernel<C: MontConfig<4>> {
    type Out;
    fn run<L: Lanes<C>>(self) -> Self::Out;
}

impl<C: MontConfig<4>> Lanes<C> for [Element<C>; WIDTH] {
    #[inline(always)]
    fn load(from: [&Element<C>; WIDTH]) -> Self {
        from.map(|value| *value)
    }

    #[inline(always)]
    fn stored(self) -> [Element<C>; WIDTH] {
        self
    }

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        self.iter_mut().zip(&other).for_each(|(a, b)| *a += b);
        self
    }

    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        self.iter_mut().zip(&other).for_each(|(a, b)| *a -= b);
        self
    }

    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        self.iter_mut().zip(&other).for_each(|(a, b)| *a *= b);
        self
    }

    #[inline(always)]
    fn negated(mut self, lanes: u8) -> Self {
        for (lane, value) in self.iter_mut().enumerate() {
            if lanes >> lane & 1 == 1 {
                *value = -*value;
            }
        }
        self
    }
}
