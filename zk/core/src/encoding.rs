//! Words of 32 bytes, big endian: scalars, points of G1 (x ‖ y) and of G2 (EIP-197: x₁ ‖ x₀ ‖ y₁ ‖ y₀).
//!
//! Decoding is strict: a coordinate or scalar that is not smaller than its modulus, a point off the curve and, where a
//! prover chooses the point, the point at infinity (0, 0) are refused. G1 has prime order: on the curve is enough.

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, BigInteger, PrimeField, Zero};

use crate::error::{Result, invalid};

pub const WORD: usize = 32;
pub const POINT: usize = 64;
pub const POINT_G2: usize = 128;

fn integer(word: &[u8; WORD]) -> BigInt<4> {
    let limb = |i: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&word[24 - 8 * i..32 - 8 * i]);
        u64::from_be_bytes(bytes)
    };
    BigInt::new([limb(0), limb(1), limb(2), limb(3)])
}

fn field<F: PrimeField<BigInt = BigInt<4>>>(word: &[u8; WORD], what: &str) -> Result<F> {
    match F::from_bigint(integer(word)) {
        Some(value) => Ok(value),
        None => invalid!("{what} is not smaller than the modulus"),
    }
}

pub fn word<F: PrimeField>(value: F) -> [u8; WORD] {
    let mut out = [0; WORD];
    out.copy_from_slice(&value.into_bigint().to_bytes_be());
    out
}

/// A word of a small integer.
pub fn small_word(value: u64) -> [u8; WORD] {
    word(Fr::from(value))
}

pub fn scalar(bytes: &[u8; WORD]) -> Result<Fr> {
    field(bytes, "a scalar")
}

/// The value of 32 bytes modulo P: what a challenge is.
pub fn scalar_mod(bytes: &[u8; WORD]) -> Fr {
    Fr::from_be_bytes_mod_order(bytes)
}

/// Exactly `count` scalars. `what` names them in the error.
pub fn scalars(bytes: &[u8], count: usize, what: &str) -> Result<Vec<Fr>> {
    let (words, rest) = bytes.as_chunks::<WORD>();
    if words.len() != count || !rest.is_empty() {
        return invalid!("{what}: {} bytes were given where {} are required", bytes.len(), count * WORD);
    }
    words.iter().map(|word| field(word, what)).collect()
}

fn halves(bytes: &[u8; POINT]) -> (&[u8; WORD], &[u8; WORD]) {
    let (words, _) = bytes.as_chunks::<WORD>();
    (&words[0], &words[1])
}

pub fn point_or_infinity(bytes: &[u8; POINT]) -> Result<G1Affine> {
    let (x, y) = halves(bytes);
    let (x, y): (Fq, Fq) = (field(x, "a coordinate")?, field(y, "a coordinate")?);
    if x.is_zero() && y.is_zero() {
        return Ok(G1Affine::identity());
    }
    let point = G1Affine::new_unchecked(x, y);
    if !point.is_on_curve() {
        return invalid!("a point is not on the curve");
    }
    Ok(point)
}

pub fn point(bytes: &[u8; POINT]) -> Result<G1Affine> {
    let point = point_or_infinity(bytes)?;
    if point.is_zero() {
        return invalid!("the point at infinity is not allowed here");
    }
    Ok(point)
}

/// The 64-byte pieces of `bytes`, which must be exactly `count`. `what` names them in the error.
pub fn point_words<'a>(bytes: &'a [u8], count: usize, what: &str) -> Result<&'a [[u8; POINT]]> {
    let (points, rest) = bytes.as_chunks::<POINT>();
    if points.len() != count || !rest.is_empty() {
        return invalid!("{what}: {} bytes were given where {} are required", bytes.len(), count * POINT);
    }
    Ok(points)
}

pub fn point_bytes(point: &G1Affine) -> [u8; POINT] {
    let mut out = [0; POINT];
    if let Some((x, y)) = point.xy() {
        out[..WORD].copy_from_slice(&word(x));
        out[WORD..].copy_from_slice(&word(y));
    }
    out
}

/// A point of G2's subgroup of order P, not infinity.
pub fn point_g2(bytes: &[u8; POINT_G2]) -> Result<G2Affine> {
    let (words, _) = bytes.as_chunks::<WORD>();
    let coordinate = |i: usize| field::<Fq>(&words[i], "a coordinate");
    let x = Fq2::new(coordinate(1)?, coordinate(0)?);
    let y = Fq2::new(coordinate(3)?, coordinate(2)?);
    let point = G2Affine::new_unchecked(x, y);
    if point.is_zero() || !point.is_on_curve() || !point.is_in_correct_subgroup_assuming_on_curve() {
        return invalid!("a point of G2 is not in the group");
    }
    Ok(point)
}

pub fn point_g2_bytes(point: &G2Affine) -> [u8; POINT_G2] {
    let mut out = [0; POINT_G2];
    if let Some((x, y)) = point.xy() {
        for (i, value) in [x.c1, x.c0, y.c1, y.c0].into_iter().enumerate() {
            out[i * WORD..(i + 1) * WORD].copy_from_slice(&word(value));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_survive_a_round_trip() {
        let g = G1Affine::generator();
        assert_eq!(point(&point_bytes(&g)).unwrap(), g);
        let h = G2Affine::generator();
        assert_eq!(point_g2(&point_g2_bytes(&h)).unwrap(), h);
        assert!(point_or_infinity(&[0; POINT]).unwrap().is_zero());
    }

    #[test]
    fn points_that_are_none_are_refused() {
        let mut off = point_bytes(&G1Affine::generator());
        off[63] ^= 1;
        assert!(point(&off).is_err());
        assert!(point(&[0; POINT]).is_err());
        assert!(point_g2(&[0; POINT_G2]).is_err());
        let mut large = point_bytes(&G1Affine::generator());
        large[..WORD].copy_from_slice(&{
            let mut word = [0; WORD];
            word.copy_from_slice(&(Fq::MODULUS.to_bytes_be()));
            word[31] += 1; // x = p + 1 stands for x = 1, a second encoding of the generator
            word
        });
        assert!(point(&large).is_err());
    }

    #[test]
    fn scalars_have_one_encoding() {
        let mut order = [0; WORD];
        order.copy_from_slice(&Fr::MODULUS.to_bytes_be());
        assert!(scalar(&order).is_err());
        assert!(scalars(&[0; 33], 1, "two words").is_err());
        assert_eq!(scalar(&small_word(7)).unwrap(), Fr::from(7u64));
    }
}
