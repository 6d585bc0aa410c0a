//! What a caller is told: one sentence.

use std::fmt;

use ark_relations::gr1cs::SynthesisError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<SynthesisError> for Error {
    fn from(error: SynthesisError) -> Self {
        Self(format!("the circuit could not be built: {error}"))
    }
}
