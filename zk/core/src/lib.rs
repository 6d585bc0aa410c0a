//! The proofs' arithmetic on BN254: set-ups, commitments and the Gram prover. docs/proofs-format.md is what they follow.

#[cfg(feature = "python")]
mod decision;
#[cfg(feature = "python")]
mod detached;
mod dispatch;
pub mod encoding;
pub mod error;
pub mod fft;
pub mod gram;
#[cfg(target_arch = "x86_64")]
mod ifma;
pub mod kzg;
pub mod lanes;
pub mod msm;
pub mod polynomial;
pub mod ptau;
#[cfg(feature = "python")]
mod python;
pub mod srs;
pub mod transcript;
