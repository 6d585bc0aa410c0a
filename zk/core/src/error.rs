//! What can go wrong: an input that is not what it should be, or a caller that wants to stop.

use std::fmt;

#[derive(Debug)]
pub enum Error {
    /// One sentence: what is wrong, and where.
    Invalid(String),
    /// The progress callback asked to stop.
    Stopped,
}

pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(sentence) => f.write_str(sentence),
            Error::Stopped => f.write_str("stopped by the caller"),
        }
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::Invalid(format!("the file cannot be read or written: {error}"))
    }
}

/// `Err(Error::Invalid(…))`, formatted.
macro_rules! invalid {
    ($($arg:tt)*) => { Err($crate::error::Error::Invalid(format!($($arg)*))) };
}
pub(crate) use invalid;

/// Called with (phase, done, total); an error stops the work.
pub type Progress<'a> = &'a (dyn Fn(&'static str, usize, usize) -> Result<()> + Sync);
