//! Runs loops over lanes: by AVX-512 IFMA where the processor has it, one element after the other elsewhere.

use ark_ff::MontConfig;

use crate::lanes::{Element, Kernel, WIDTH};

/// Runs a kernel by the fastest lanes that this processor has.
pub fn run<C: MontConfig<4>, K: Kernel<C>>(kernel: K) -> K::Out {
    #[cfg(any(test, feature = "testing"))]
    if ONE_BY_ONE.get() {
        return kernel.run::<[Element<C>; WIDTH]>();
    }
    #[cfg(target_arch = "x86_64")]
    if crate::ifma::available() {
        // SAFETY: the processor has the instructions.
        return unsafe { crate::ifma::run(kernel) };
    }
    kernel.run::<[Element<C>; WIDTH]>()
}

#[cfg(any(test, feature = "testing"))]
thread_local! {
    static ONE_BY_ONE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// For tests: what follows by this processor's lanes, then again one element after the other.
#[cfg(any(test, feature = "testing"))]
pub fn by_both(test: impl Fn() + Sync) {
    test();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        ONE_BY_ONE.set(true);
        test();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::Lanes;
    use ark_bn254::{FqConfig, FrConfig};
    use ark_ff::{AdditiveGroup, Field};

    /// (a + b)(a − b) + ab, and a chain that feeds results back in.
    struct Mixed<'a, C: MontConfig<4>>(&'a [Element<C>; WIDTH], &'a [Element<C>; WIDTH]);

    impl<C: MontConfig<4>> Kernel<C> for Mixed<'_, C> {
        type Out = [Element<C>; WIDTH];

        #[inline(always)]
        fn run<L: Lanes<C>>(self) -> Self::Out {
            let (a, b) = (L::of(self.0), L::of(self.1));
            let mut x = a.add(b).mul(a.sub(b)).add(a.negated(0b0101_1010).mul(b));
            for _ in 0..20 {
                x = x.mul(x).sub(b.add(a)).add(x.add(x).add(x));
            }
            x.stored()
        }
    }

    fn agree<C: MontConfig<4>>() {
        let mut values =
            vec![Element::<C>::ZERO, Element::ONE, -Element::<C>::ONE, Element::from(2u64).inverse().unwrap()];
        values.extend((3..29u64).map(|i| Element::<C>::from(i).pow([0xdead_beef_1234_5677 + i])));
        // The largest representatives of each limb.
        values.extend([
            -Element::<C>::from(2u64),
            Element::new_unchecked(ark_ff::BigInt::new([u64::MAX, u64::MAX, u64::MAX, 0])),
        ]);
        for shift in 0..values.len() {
            for a in values.as_chunks::<WIDTH>().0 {
                let b: [Element<C>; WIDTH] = std::array::from_fn(|i| values[(i * 5 + shift) % values.len()]);
                let expected = Mixed(a, &b).run::<[Element<C>; WIDTH]>();
                assert_eq!(run(Mixed(a, &b)), expected);
            }
        }
    }

    #[test]
    fn both_kinds_of_lanes_agree() {
        agree::<FqConfig>();
        agree::<FrConfig>();
    }
}
