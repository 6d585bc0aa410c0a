//! Who multiplied a key's δ, in what order, each with a proof that it knew by what.
//!
//! Contribution i takes δ to x·δ. Its proof is Schnorr's (RFC 8235), to the base δ and bound by its challenge to the key's
//! fixed part, to every contribution before, and to the contributor's name. It follows that one contributor who forgot its
//! x is enough: without all of them nobody knows δ (https://eprint.iacr.org/2017/1050, https://eprint.iacr.org/2021/219).

use ark_bn254::{Fr, G1Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{PrimeField, UniformRand, Zero};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize, Compress, Validate};
use rand_chacha::ChaCha20Rng;

use crate::error::{Error, Result};
use crate::primitives::keccak;

pub const MAX_CONTRIBUTIONS: usize = 1024;
pub const MAX_NAME_BYTES: usize = 64;
pub(crate) const RECORD: usize = MAX_NAME_BYTES + 64 + 64 + 32;
const DOMAIN: &[u8] = b"merit/decision-key/v1 contribution";

#[derive(Clone, PartialEq, Eq)]
pub struct Contribution {
    name: String,
    /// δ after it.
    delta: G1Affine,
    /// The proof: R = k·δ_before, z = k + c·x.
    commitment: G1Affine,
    response: Fr,
}

/// The state that a chain of contributions ends in: what the next one is bound to, and δ.
pub(crate) struct Chain {
    pub state: [u8; 32],
    pub delta: G1Affine,
}

impl Chain {
    /// root: what names the key's fixed part.
    pub fn new(root: [u8; 32]) -> Self {
        Self { state: root, delta: G1Affine::generator() }
    }

    /// The chain with one more contribution. Fails unless its proof holds here.
    pub fn follow(self, next: &Contribution) -> Result<Self> {
        let challenge = self.challenge(next)?;
        let known = self.delta * next.response == next.commitment + next.delta * challenge;
        if next.delta.is_zero() || !known {
            return Err(Error::new(format!("the contribution of {:?} does not follow from those before", next.name)));
        }
        Ok(Self { state: keccak(&[&self.state, &next.to_bytes()?]), delta: next.delta })
    }

    /// A contribution to this chain, by a factor x that is drawn here; and x.
    pub fn contribute(&self, name: &str, rng: &mut ChaCha20Rng) -> Result<(Contribution, Fr)> {
        check_name(name)?;
        let (x, k) = (Fr::rand(rng), Fr::rand(rng));
        if x.is_zero() {
            return Err(Error::new("the randomness gives a factor of zero"));
        }
        let (delta, commitment) = ((self.delta * x).into_affine(), (self.delta * k).into_affine());
        let mut made = Contribution { name: name.to_owned(), delta, commitment, response: Fr::zero() };
        made.response = k + self.challenge(&made)? * x;
        Ok((made, x))
    }

    fn challenge(&self, next: &Contribution) -> Result<Fr> {
        let mut before = Vec::new();
        put(&mut before, &self.delta)?;
        let stated = &next.to_bytes()?[..RECORD - 32]; // all but the response
        Ok(Fr::from_be_bytes_mod_order(&keccak(&[DOMAIN, &self.state, &before, stated])))
    }
}

impl Contribution {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = self.name.as_bytes().to_vec();
        out.resize(MAX_NAME_BYTES, 0);
        put(&mut out, &self.delta)?;
        put(&mut out, &self.commitment)?;
        put(&mut out, &self.response)?;
        Ok(out)
    }

    /// From exactly the bytes that `to_bytes` gives.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bad = |_| Error::new("a contribution of the key file is none");
        let (name, mut rest) = bytes.split_at(MAX_NAME_BYTES);
        let end = name.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let name =
            String::from_utf8(name[..end].to_vec()).map_err(|_| Error::new("a contributor's name is no text"))?;
        check_name(&name)?;
        let mut point = || G1Affine::deserialize_with_mode(&mut rest, Compress::No, Validate::Yes).map_err(bad);
        let (delta, commitment) = (point()?, point()?);
        let response = Fr::deserialize_with_mode(&mut rest, Compress::No, Validate::Yes).map_err(bad)?;
        let read = Self { name, delta, commitment, response };
        if read.to_bytes()? != bytes {
            return Err(Error::new("a contribution of the key file is not in its one encoding"));
        }
        Ok(read)
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(Error::new(format!(
            "a contributor's name has 1 … {MAX_NAME_BYTES} bytes and no control characters"
        )));
    }
    Ok(())
}

fn put(out: &mut Vec<u8>, value: &impl CanonicalSerialize) -> Result<()> {
    value
        .serialize_with_mode(&mut *out, Compress::No)
        .map_err(|error| Error::new(format!("the contribution could not be written: {error}")))
}
