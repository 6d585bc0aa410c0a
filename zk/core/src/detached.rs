//! Calls from Python that run without the interpreter's lock.

use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::{Error, Progress, Result};

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        PyValueError::new_err(error.to_string())
    }
}

/// Runs `work` without the lock; between its steps signals are handled and `callback` is called.
pub fn detached<T: Send>(
    py: Python<'_>,
    callback: Option<Py<PyAny>>,
    work: impl FnOnce(Progress) -> Result<T> + Send,
) -> PyResult<T> {
    let raised: Mutex<Option<PyErr>> = Mutex::new(None);
    let report = |phase: &'static str, done: usize, total: usize| {
        Python::attach(|py| {
            let called = py.check_signals().and_then(|()| match &callback {
                Some(callback) => callback.call1(py, (phase, done, total)).map(drop),
                None => Ok(()),
            });
            called.map_err(|error| {
                if let Ok(mut slot) = raised.lock() {
                    *slot = Some(error);
                }
                Error::Stopped
            })
        })
    };
    let result = py.detach(|| work(&report));
    match raised.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(result?),
    }
}
