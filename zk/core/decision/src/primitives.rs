//! The hash that names keys, and the system's randomness.

use rand_chacha::ChaCha20Rng;
use rand_core::{OsRng, RngCore, SeedableRng};
use sha3::{Digest, Keccak256};

use crate::error::{Error, Result};

pub fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

pub fn system_rng() -> Result<ChaCha20Rng> {
    let mut seed = [0; 32];
    OsRng.try_fill_bytes(&mut seed).map_err(|error| Error::new(format!("the system gives no randomness: {error}")))?;
    Ok(ChaCha20Rng::from_seed(seed))
}
