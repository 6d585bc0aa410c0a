//! Proofs and verifying keys as words of 32 bytes, big endian: docs/proofs-format.md.

use ark_bn254::{Bn254, Fq, G1Affine, G2Affine};
use ark_ff::{BigInteger, PrimeField};
use ark_groth16::{Proof, VerifyingKey};

fn word(out: &mut Vec<u8>, x: Fq) {
    out.extend(x.into_bigint().to_bytes_be());
}

fn g1(out: &mut Vec<u8>, point: &G1Affine) {
    word(out, point.x);
    word(out, point.y);
}

/// EIP-197: imaginary part first.
fn g2(out: &mut Vec<u8>, point: &G2Affine) {
    for coordinate in [point.x, point.y] {
        word(out, coordinate.c1);
        word(out, coordinate.c0);
    }
}

/// A(2) B(4) C(2).
pub fn proof(proof: &Proof<Bn254>) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 * 32);
    g1(&mut out, &proof.a);
    g2(&mut out, &proof.b);
    g1(&mut out, &proof.c);
    out
}

/// alpha(2) beta(4) gamma(4) delta(4) IC_0(2) … IC_l(2).
pub fn verifying_key(key: &VerifyingKey<Bn254>) -> Vec<u8> {
    let mut out = Vec::new();
    g1(&mut out, &key.alpha_g1);
    for point in [&key.beta_g2, &key.gamma_g2, &key.delta_g2] {
        g2(&mut out, point);
    }
    key.gamma_abc_g1.iter().for_each(|point| g1(&mut out, point));
    out
}
