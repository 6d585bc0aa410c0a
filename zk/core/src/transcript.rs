//! Fiat–Shamir as docs/proofs-format.md defines it: state ← keccak256(state ‖ words), a challenge is the next state mod P.

use ark_bn254::Fr;
use sha3::{Digest, Keccak256};

use crate::encoding::{WORD, scalar_mod};

const DOMAIN: &[u8] = b"merit/gram-proof/v1";

pub struct Transcript {
    state: [u8; WORD],
}

pub fn keccak(parts: &[&[u8]]) -> [u8; WORD] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

impl Transcript {
    pub fn new(context: &[u8]) -> Self {
        Transcript { state: keccak(&[DOMAIN, &keccak(&[context])]) }
    }

    /// Absorbs whole words: every part's length is a multiple of 32.
    pub fn absorb(&mut self, parts: &[&[u8]]) {
        let mut all: Vec<&[u8]> = vec![&self.state];
        all.extend_from_slice(parts);
        self.state = keccak(&all);
    }

    pub fn challenge(&mut self) -> Fr {
        self.state = keccak(&[&self.state]);
        scalar_mod(&self.state)
    }
}
