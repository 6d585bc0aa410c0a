//! What both proofs are made of: sums of points on BN254's curves, transforms and polynomials over its scalars.

pub mod combination;
mod coordinates;
mod dispatch;
pub mod fft;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod lanes;
pub mod msm;
pub mod polynomial;

#[cfg(any(test, feature = "testing"))]
pub use dispatch::by_both;
