//! Coordinates of points, eight side by side: elements of the base field, or of its quadratic extension in G2.

use ark_bn254::{Fq, Fq2, FqConfig};
use ark_ff::Field;

use crate::lanes::{Lanes, WIDTH};

/// A field in which points have their coordinates.
pub trait Coordinate: Field {
    type In<L: Lanes<FqConfig>>: Coordinates<Self>;
}

/// As [`Lanes`], of which these are made.
pub trait Coordinates<F>: Copy {
    fn load(from: [&F; WIDTH]) -> Self;
    fn stored(self) -> [F; WIDTH];
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn negated(self, lanes: u8) -> Self;
}

impl Coordinate for Fq {
    type In<L: Lanes<FqConfig>> = L;
}

impl<L: Lanes<FqConfig>> Coordinates<Fq> for L {
    #[inline(always)]
    fn load(from: [&Fq; WIDTH]) -> Self {
        Lanes::load(from)
    }

    #[inline(always)]
    fn stored(self) -> [Fq; WIDTH] {
        Lanes::stored(self)
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Lanes::add(self, other)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Lanes::sub(self, other)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Lanes::mul(self, other)
    }

    #[inline(always)]
    fn negated(self, lanes: u8) -> Self {
        Lanes::negated(self, lanes)
    }
}

/// a + b·i, where i² = −1.
#[derive(Clone, Copy)]
pub struct Complex<L>(L, L);

impl Coordinate for Fq2 {
    type In<L: Lanes<FqConfig>> = Complex<L>;
}

impl<L: Lanes<FqConfig>> Coordinates<Fq2> for Complex<L> {
    #[inline(always)]
    fn load(from: [&Fq2; WIDTH]) -> Self {
        Self(Lanes::load(from.map(|value| &value.c0)), Lanes::load(from.map(|value| &value.c1)))
    }

    #[inline(always)]
    fn stored(self) -> [Fq2; WIDTH] {
        let (a, b) = (Lanes::stored(self.0), Lanes::stored(self.1));
        std::array::from_fn(|lane| Fq2::new(a[lane], b[lane]))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(Lanes::add(self.0, other.0), Lanes::add(self.1, other.1))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(Lanes::sub(self.0, other.0), Lanes::sub(self.1, other.1))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let (real, imaginary) = (Lanes::mul(self.0, other.0), Lanes::mul(self.1, other.1));
        let both = Lanes::mul(Lanes::add(self.0, self.1), Lanes::add(other.0, other.1));
        Self(Lanes::sub(real, imaginary), Lanes::sub(Lanes::sub(both, real), imaginary))
    }

    #[inline(always)]
    fn negated(self, lanes: u8) -> Self {
        Self(Lanes::negated(self.0, lanes), Lanes::negated(self.1, lanes))
    }
}
