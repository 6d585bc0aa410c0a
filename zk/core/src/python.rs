//! The module zk._core: numpy in, bytes out. Heavy work runs without the interpreter's lock; `_core.pyi` documents the calls.

use std::path::PathBuf;

use numpy::{Element, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::detached::detached;
use crate::encoding::{point_bytes, point_g2_bytes, scalar, scalars, word};
use crate::{gram, kzg, ptau, srs, transcript};

fn slice<'a, T: Element>(array: &'a PyReadonlyArray1<'_, T>) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| {
        PyValueError::new_err("the vector's entries do not lie side by side: pass np.ascontiguousarray of it")
    })
}

fn slices<'a>(rows: &'a [PyReadonlyArray1<'_, i16>]) -> PyResult<Vec<&'a [i16]>> {
    rows.iter().map(slice).collect()
}

fn views(all: &[PyBackedBytes]) -> Vec<&[u8]> {
    all.iter().map(|bytes| &bytes[..]).collect()
}

fn sized<const L: usize>(bytes: &[u8], what: &str) -> PyResult<[u8; L]> {
    bytes
        .try_into()
        .map_err(|_| PyValueError::new_err(format!("{what}: {} bytes were given where {L} are required", bytes.len())))
}

fn joined<'py>(py: Python<'py>, points: &[ark_bn254::G1Affine]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &points.iter().flat_map(point_bytes).collect::<Vec<u8>>())
}

#[pyclass(frozen, weakref, module = "zk._core")]
struct Srs {
    inner: srs::Srs,
}

#[pymethods]
impl Srs {
    #[staticmethod]
    fn development(py: Python<'_>, log_n: u32, tau: &[u8]) -> PyResult<Self> {
        let tau = scalar(&sized(tau, "tau")?)?;
        Ok(Srs { inner: py.detach(|| srs::Srs::development(log_n, tau))? })
    }

    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(Srs { inner: py.detach(|| srs::Srs::read(&path))? })
    }

    #[staticmethod]
    #[pyo3(signature = (path, log_n, progress=None))]
    fn read_ptau(py: Python<'_>, path: PathBuf, log_n: u32, progress: Option<Py<PyAny>>) -> PyResult<Self> {
        Ok(Srs { inner: detached(py, progress, |progress| ptau::read(&path, log_n, progress))? })
    }

    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        Ok(py.detach(|| self.inner.write(&path))?)
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.inner.check())?)
    }

    #[getter]
    fn size(&self) -> usize {
        self.inner.size()
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.inner.kind.name()
    }

    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.hash)
    }

    #[getter]
    fn tau_g2<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &point_g2_bytes(&self.inner.tau_g2))
    }

    fn commit<'py>(
        &self,
        py: Python<'py>,
        w: PyReadonlyArray1<'py, i16>,
        blinders: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let w = slice(&w)?;
        let points = detached(py, None, |progress| {
            kzg::check_rows(&self.inner, &[w])?;
            kzg::commit(&self.inner, w, blinders, progress)
        })?;
        Ok(joined(py, &points))
    }

    fn commit_sum<'py>(
        &self,
        py: Python<'py>,
        w: PyReadonlyArray1<'py, i64>,
        blinders: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let w = slice(&w)?;
        let points = detached(py, None, |progress| kzg::commit(&self.inner, w, blinders, progress))?;
        Ok(joined(py, &points))
    }

    fn check_openings(
        &self,
        py: Python<'_>,
        rows: Vec<PyReadonlyArray1<'_, i16>>,
        blinders: Vec<PyBackedBytes>,
        commitments: Vec<PyBackedBytes>,
        seed: &[u8],
    ) -> PyResult<bool> {
        let rows = slices(&rows)?;
        let seed = sized(seed, "the seed")?;
        let (blinders, commitments) = (views(&blinders), views(&commitments));
        detached(py, None, |progress| kzg::check_openings(&self.inner, &rows, &blinders, &commitments, &seed, progress))
    }

    fn check_sum(
        &self,
        py: Python<'_>,
        w: PyReadonlyArray1<'_, i64>,
        blinders: &[u8],
        commitment: &[u8],
        seed: &[u8],
    ) -> PyResult<bool> {
        let (w, seed) = (slice(&w)?, sized(seed, "the seed")?);
        detached(py, None, |progress| kzg::check_sum(&self.inner, w, blinders, commitment, &seed, progress))
    }

    #[pyo3(signature = (context, positions, rows, blinders, commitments, stated_sum, gram_hash, mask, running, progress=None))]
    #[allow(clippy::too_many_arguments)]
    fn prove_gram<'py>(
        &self,
        py: Python<'py>,
        context: &[u8],
        positions: u64,
        rows: Vec<PyReadonlyArray1<'py, i16>>,
        blinders: Vec<PyBackedBytes>,
        commitments: Vec<PyBackedBytes>,
        stated_sum: &[u8],
        gram_hash: &[u8],
        mask: &[u8],
        running: &[u8],
        progress: Option<Py<PyAny>>,
    ) -> PyResult<[Bound<'py, PyBytes>; 4]> {
        let rows = slices(&rows)?;
        let (blinders, commitments) = (views(&blinders), views(&commitments));
        let gram_hash = sized(gram_hash, "the Gram hash")?;
        let (m, b) = (scalars(mask, 3, "the mask")?, scalars(running, 4, "the running sum's blinders")?);
        let witness = gram::Witness {
            rows: &rows,
            blinders: &blinders,
            mask: [m[0], m[1], m[2]],
            running: [b[0], b[1], b[2], b[3]],
        };
        let statement =
            gram::Statement { context, positions, commitments: &commitments, stated_sum, gram_hash: &gram_hash };
        let proof = detached(py, progress, |progress| gram::prove(&self.inner, &statement, &witness, progress))?;
        Ok([&proof.bytes[..], &word(proof.r), &word(proof.s), &word(proof.y)].map(|bytes| PyBytes::new(py, bytes)))
    }

    fn floor(&self, py: Python<'_>, chunks: usize) {
        py.detach(|| gram::floor(&self.inner, chunks));
    }

    fn __repr__(&self) -> String {
        format!("Srs(kind={:?}, size={})", self.inner.kind.name(), self.inner.size())
    }
}

#[pyfunction]
fn combine<'py>(
    py: Python<'py>,
    commitments: Vec<PyBackedBytes>,
    coefficients: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let coefficients = scalars(coefficients, commitments.len(), "the coefficients")?;
    let commitments = views(&commitments);
    let points = py.detach(|| kzg::combine(&commitments, &coefficients))?;
    Ok(joined(py, &points))
}

/// The Gram proof's transcript, for tests that hold it to the other implementations.
#[pyclass(module = "zk._core")]
struct Transcript {
    inner: transcript::Transcript,
}

#[pymethods]
impl Transcript {
    #[new]
    fn new(context: &[u8]) -> Self {
        Transcript { inner: transcript::Transcript::new(context) }
    }

    fn absorb(&mut self, words: &[u8]) -> PyResult<()> {
        if !words.len().is_multiple_of(32) {
            return Err(PyValueError::new_err(format!("{} bytes are not whole words", words.len())));
        }
        self.inner.absorb(&[words]);
        Ok(())
    }

    fn challenge<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &word(self.inner.challenge()))
    }
}

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::decision::{DecisionCircuit, DecisionKey, gram_hash, write_known_ptau};

    #[pymodule_export]
    use super::{Srs, Transcript, combine};
}
