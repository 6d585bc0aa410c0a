//! The proofs' arithmetic on BN254: set-ups, commitments and the Gram prover. docs/proofs-format.md is what they follow.

#[cfg(feature = "python")]
mod decision;
pub mod encoding;
pub mod error;
pub mod gram;
pub mod kzg;
pub mod msm;
pub mod ptau;
#[cfg(feature = "python")]
mod python;
pub mod srs;
pub mod transcript;
