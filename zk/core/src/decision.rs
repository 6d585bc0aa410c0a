//! The decision proof in zk._core; `_core.pyi` documents the calls, zk/decision.py is their face.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ark_bn254::Fr;
use merit_decision::{Circuit, Key, MAX_KEY_BYTES, Powers, Shape, Witness};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::detached::detached;
use crate::encoding::{WORD, scalars, word};
use crate::error::{Error, Progress, Result};
use crate::ptau;

fn invalid(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn one(bytes: &[u8], what: &str) -> PyResult<Fr> {
    Ok(scalars(bytes, 1, what)?[0])
}

fn witness(entries: Vec<i64>, mu: &[u8], salt: &[u8]) -> PyResult<Witness> {
    Ok(Witness { entries, mu: one(mu, "μ")?, salt: one(salt, "the salt")? })
}

#[pyfunction]
pub fn gram_hash<'py>(
    py: Python<'py>,
    circuit: u32,
    entries: Vec<i64>,
    mu: &[u8],
    salt: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let shape = Shape::from_id(circuit).map_err(invalid)?;
    let hash = witness(entries, mu, salt)?.hash(shape).map_err(invalid)?;
    Ok(PyBytes::new(py, &word(hash)))
}

/// A `.ptau` file of known secrets, for tests.
#[pyfunction]
pub fn write_known_ptau(py: Python<'_>, path: PathBuf, power: u32, secrets: &[u8]) -> PyResult<()> {
    let secrets = scalars(secrets, 3, "τ, α and β")?;
    if !(3..=16).contains(&power) {
        return Err(invalid("a .ptau file for tests has 2^3 … 2^16 powers"));
    }
    let write = || std::fs::write(&path, ptau::known(power, [secrets[0], secrets[1], secrets[2]]));
    Ok(py.detach(write)?)
}

#[pyclass(frozen, module = "zk._core")]
pub struct DecisionCircuit {
    inner: Circuit,
}

#[pymethods]
impl DecisionCircuit {
    #[new]
    fn new(py: Python<'_>, circuit: u32) -> PyResult<Self> {
        let inner = py.detach(|| Shape::from_id(circuit).and_then(Circuit::new)).map_err(invalid)?;
        Ok(Self { inner })
    }

    #[getter]
    fn circuit(&self) -> u32 {
        self.inner.shape().id()
    }

    #[getter]
    fn constraints(&self) -> usize {
        self.inner.constraints()
    }

    fn check(&self, py: Python<'_>, inputs: &[u8], entries: Vec<i64>, mu: &[u8], salt: &[u8]) -> PyResult<()> {
        let inputs = scalars(inputs, inputs.len() / WORD, "the public inputs")?;
        let witness = witness(entries, mu, salt)?;
        py.detach(|| self.inner.solve(&inputs, &witness)).map(drop).map_err(invalid)
    }
}

impl From<merit_decision::Error> for Error {
    fn from(error: merit_decision::Error) -> Self {
        Error::Invalid(error.to_string())
    }
}

fn powers(path: &Path, shape: Shape, progress: Progress) -> Result<Powers> {
    let log_size = Key::domain_size(shape)?.trailing_zeros();
    let powers = ptau::read_powers(path, log_size, progress)?;
    progress("transforming", 0, 1)?;
    Ok(powers)
}

#[pyclass(frozen, weakref, module = "zk._core")]
pub struct DecisionKey {
    inner: Key,
}

#[pymethods]
impl DecisionKey {
    #[staticmethod]
    #[pyo3(signature = (circuit, seed=None))]
    fn development(py: Python<'_>, circuit: u32, seed: Option<[u8; 32]>) -> PyResult<Self> {
        let shape = Shape::from_id(circuit).map_err(invalid)?;
        Ok(Self { inner: py.detach(|| Key::set_up(shape, seed)).map_err(invalid)? })
    }

    #[staticmethod]
    #[pyo3(signature = (path, circuit, progress=None))]
    fn from_ptau(py: Python<'_>, path: PathBuf, circuit: u32, progress: Option<Py<PyAny>>) -> PyResult<Self> {
        let shape = Shape::from_id(circuit).map_err(invalid)?;
        let inner = detached(py, progress, |progress| Ok(Key::initial(shape, &powers(&path, shape, progress)?)?))?;
        Ok(Self { inner })
    }

    fn contribute(&self, py: Python<'_>, name: &str, seed: [u8; 32]) -> PyResult<Self> {
        Ok(Self { inner: py.detach(|| self.inner.contribute(name, seed)).map_err(invalid)? })
    }

    #[pyo3(signature = (path, progress=None))]
    fn verify(&self, py: Python<'_>, path: PathBuf, progress: Option<Py<PyAny>>) -> PyResult<()> {
        let shape = self.inner.circuit().shape();
        detached(py, progress, |progress| Ok(self.inner.verify(&powers(&path, shape, progress)?)?))
    }

    #[getter]
    fn contributions<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, Bound<'py, PyBytes>)>> {
        let states = py.detach(|| self.inner.states()).map_err(invalid)?;
        let names = self.inner.contributions().iter().map(|one| one.name().to_owned());
        Ok(names.zip(states.iter().map(|state| PyBytes::new(py, state))).collect())
    }

    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf, check: bool) -> PyResult<Self> {
        let read = || {
            let mut bytes = Vec::new();
            File::open(&path)?.take(MAX_KEY_BYTES + 1).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        let bytes = py.detach(read)?;
        Ok(Self { inner: py.detach(|| Key::from_bytes(&bytes, check)).map_err(invalid)? })
    }

    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let bytes = py.detach(|| self.inner.to_bytes()).map_err(invalid)?;
        Ok(py.detach(|| File::create(&path)?.write_all(&bytes))?)
    }

    #[staticmethod]
    fn max_file_bytes(py: Python<'_>, circuit: u32) -> PyResult<usize> {
        py.detach(|| Shape::from_id(circuit).and_then(Key::max_file_bytes)).map_err(invalid)
    }

    #[getter]
    fn circuit(&self) -> u32 {
        self.inner.circuit().shape().id()
    }

    #[getter]
    fn file_bytes(&self) -> PyResult<usize> {
        self.inner.file_bytes().map_err(invalid)
    }

    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.hash())
    }

    #[getter]
    fn kind(&self) -> &'static str {
        if self.inner.development() { "development" } else { "ceremony" }
    }

    #[getter]
    fn verifying_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.verifying_key())
    }

    fn prove<'py>(
        &self,
        py: Python<'py>,
        inputs: &[u8],
        entries: Vec<i64>,
        mu: &[u8],
        salt: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let inputs = scalars(inputs, inputs.len() / WORD, "the public inputs")?;
        let witness = witness(entries, mu, salt)?;
        let proof = py.detach(|| self.inner.prove(&inputs, &witness)).map_err(invalid)?;
        Ok(PyBytes::new(py, &proof))
    }

    fn __repr__(&self) -> String {
        format!("DecisionKey(circuit={}, kind={:?})", self.circuit(), self.kind())
    }
}
