//! Set-ups, commitments and the Gram prover on BN254, for Python with the decision proof. docs/proofs-format.md is what they follow.

#[cfg(feature = "python")]
mod decision;
#[cfg(feature = "python")]
mod detached;
pub mod encoding;
pub mod error;
pub mod gram;
pub mod kzg;
pub mod ptau;
#[cfg(feature = "python")]
mod python;
pub mod srs;
pub mod transcript;
