//! The decision proof: a round's pay rule, run on a hidden Gram matrix, gives these selected and struck slots, coefficients and scores.
//!
//! The statement is that of docs/proofs-format.md, the rules those of aggregator/rules.py, to the unit. The circuits are
//! described in docs/decision-circuit.md.

#![forbid(unsafe_code)]

#[cfg(test)]
mod attacks;
mod ceremony;
#[cfg(test)]
mod ceremony_tests;
mod circuit;
#[cfg(test)]
mod circuit_tests;
mod contributions;
mod decision;
mod error;
mod gadgets;
mod gram;
mod groth16;
mod krum_cosine;
mod poseidon;
mod powers;
mod primitives;
mod prover;
#[cfg(test)]
mod prover_tests;
mod reference;
mod semidefinite;
mod shape;
#[cfg(test)]
mod tampering;
mod words;

pub use circuit::Circuit;
pub use contributions::{Contribution, MAX_CONTRIBUTIONS, MAX_NAME_BYTES};
pub use error::{Error, Result};
pub use gram::Witness;
pub use groth16::{Key, MAX_KEY_BYTES, PROOF_BYTES};
pub use powers::Powers;
pub use shape::{Rule, Shape};
