//! The hash of the Gram matrix: a Poseidon sponge over BN254's scalar field.
//!
//! t = 3 (rate 2, capacity 1), α = 5, 8 full and 57 partial rounds: the 128-bit instance of Grassi et al. 2021
//! (https://eprint.iacr.org/2019/458, table 7). Round constants and MDS matrix are those of the paper's Grain LFSR for a
//! 254-bit prime field, without skipped matrices; they are the constants of circomlib's `Poseidon(2)`.
//! State (capacity, rate₀, rate₁) starts at zeros; elements are added to rate₀, rate₁ in turn, with a permutation when
//! both are used, and one after the last element; the hash is rate₀. No padding: the first element is the circuit id,
//! which fixes how many follow.

use std::sync::LazyLock;

use ark_bn254::Fr;
use ark_crypto_primitives::sponge::constraints::CryptographicSpongeVar;
use ark_crypto_primitives::sponge::poseidon::constraints::PoseidonSpongeVar;
use ark_crypto_primitives::sponge::poseidon::{PoseidonConfig, PoseidonSponge, find_poseidon_ark_and_mds};
use ark_crypto_primitives::sponge::{CryptographicSponge, FieldBasedCryptographicSponge};
use ark_ff::PrimeField;

use crate::gadgets::{Cs, Num, Result};

const RATE: usize = 2;
const FULL_ROUNDS: usize = 8;
const PARTIAL_ROUNDS: usize = 57;
const ALPHA: u64 = 5;

static PARAMETERS: LazyLock<PoseidonConfig<Fr>> = LazyLock::new(|| {
    let (ark, mds) = find_poseidon_ark_and_mds::<Fr>(
        u64::from(Fr::MODULUS_BIT_SIZE),
        RATE,
        FULL_ROUNDS as u64,
        PARTIAL_ROUNDS as u64,
        0,
    );
    PoseidonConfig::new(FULL_ROUNDS, PARTIAL_ROUNDS, ALPHA, mds, ark, RATE, 1)
});

/// The hash of field elements, at least one.
pub fn hash(elements: &[Fr]) -> Fr {
    let mut sponge = PoseidonSponge::new(&PARAMETERS);
    sponge.absorb(&elements);
    sponge.squeeze_native_field_elements(1)[0]
}

/// The same inside the circuit: about 243 constraints for two elements.
pub fn hash_in_circuit(cs: &Cs, elements: &[Num]) -> Result<Num> {
    let mut sponge = PoseidonSpongeVar::new(cs.clone(), &PARAMETERS);
    sponge.absorb(&elements)?;
    Ok(sponge.squeeze_field_elements(1)?.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn the_permutation_is_circomlibs() {
        let mut sponge = PoseidonSponge::new(&PARAMETERS);
        sponge.absorb(&vec![Fr::from(1u64), Fr::from(2u64)]);
        sponge.squeeze_native_field_elements(1);
        // poseidon([1, 2]) of circomlibjs: the same state, read at its first element.
        let known = "7853200120776062878684798364095072458815029376092732009249414926327459813530";
        assert_eq!(sponge.state[0], Fr::from_str(known).unwrap());
    }
}
