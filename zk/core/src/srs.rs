//! The set-up: [τ^0 … τ^(N+4)]₁, [τ]₂, and the Lagrange basis [L_0(τ) … L_{N−1}(τ)]₁ of the domain of size N.
//!
//! File: a header of 64 bytes (magic, kind, log2 N), [τ]₂, the powers, the basis: points as docs/proofs-format.md writes
//! them, nothing after. The set-up's name is keccak256 of the file; two files of the same powers and kind are equal.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup, pairing::Pairing, scalar_mul::BatchMulPreprocessing};
use ark_ff::{Field, Zero, batch_inversion};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use rayon::prelude::*;

use crate::encoding::{POINT, POINT_G2, point, point_bytes, point_g2, point_g2_bytes, scalar_mod};
use crate::error::{Result, invalid};
use crate::transcript::keccak;
use merit_arithmetic::msm::msm;

const MAGIC: &[u8; 16] = b"merit/kzg-srs/v1";
const HEADER: usize = 64;
const EXTRA: usize = 5;

pub const MIN_LOG_N: u32 = 3;
pub const MAX_LOG_N: u32 = 20;

/// Where the powers come from. A development set-up's τ was known to whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Development,
    Ceremony,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Development => "development",
            Kind::Ceremony => "ceremony",
        }
    }
}

pub struct Srs {
    pub kind: Kind,
    pub domain: Radix2EvaluationDomain<Fr>,
    pub powers: Vec<G1Affine>,
    pub lagrange: Vec<G1Affine>,
    pub tau_g2: G2Affine,
    /// [τ^N − 1]₁ and [τ^(N+1) − τ]₁: what the two blinders are multiplied with.
    pub blinding: [G1Affine; 2],
    /// keccak256 of the file.
    pub hash: [u8; 32],
}

fn domain(log_n: u32) -> Result<Radix2EvaluationDomain<Fr>> {
    let possible = (MIN_LOG_N..=MAX_LOG_N).contains(&log_n);
    match possible.then(|| Radix2EvaluationDomain::new(1 << log_n)).flatten() {
        Some(domain) => Ok(domain),
        None => invalid!("a set-up's size is 2^{MIN_LOG_N} … 2^{MAX_LOG_N}, not 2^{log_n}"),
    }
}

impl Srs {
    /// From a known τ, both bases directly: for development and tests only.
    pub fn development(log_n: u32, tau: Fr) -> Result<Self> {
        let domain = domain(log_n)?;
        let n = domain.size();
        let vanishing = domain.evaluate_vanishing_polynomial(tau);
        if tau.is_zero() || vanishing.is_zero() {
            return invalid!("τ is zero or lies in the domain");
        }
        let mut exponents: Vec<Fr> =
            std::iter::successors(Some(Fr::ONE), |power| Some(tau * power)).take(n + EXTRA).collect();
        // L_t(τ) = ω^t (τ^N − 1) / (N (τ − ω^t))
        let elements: Vec<Fr> = domain.elements().collect();
        let mut basis: Vec<Fr> = elements.par_iter().map(|element| tau - element).collect();
        batch_inversion(&mut basis);
        let factor = vanishing * domain.size_inv();
        basis.par_iter_mut().zip(&elements).for_each(|(value, element)| *value *= factor * element);
        exponents.extend(basis);
        let mut powers = BatchMulPreprocessing::new(G1Projective::generator(), exponents.len()).batch_mul(&exponents);
        let lagrange = powers.split_off(n + EXTRA);
        let tau_g2 = (G2Affine::generator() * tau).into_affine();
        Ok(Self::assemble(Kind::Development, domain, powers, lagrange, tau_g2))
    }

    /// From at least N + 5 powers of an unknown τ; the basis by a Fourier transform over the group.
    pub fn from_powers(kind: Kind, log_n: u32, mut powers: Vec<G1Affine>, tau_g2: G2Affine) -> Result<Self> {
        let domain = domain(log_n)?;
        let n = domain.size();
        if powers.len() < n + EXTRA {
            return invalid!("a set-up of size {n} needs {} powers, {} were given", n + EXTRA, powers.len());
        }
        powers.truncate(n + EXTRA);
        // L_t(τ) = 1/N Σ_i ω^(−it) τ^i
        let values: Vec<G1Projective> = powers[..n].iter().map(|p| p.into_group()).collect();
        let lagrange = G1Projective::normalize_batch(&domain.ifft(&values));
        let srs = Self::assemble(kind, domain, powers, lagrange, tau_g2);
        srs.check()?;
        Ok(srs)
    }

    fn assemble(
        kind: Kind,
        domain: Radix2EvaluationDomain<Fr>,
        powers: Vec<G1Affine>,
        lagrange: Vec<G1Affine>,
        tau_g2: G2Affine,
    ) -> Self {
        let n = domain.size();
        let blinding = [0, 1].map(|i| (powers[n + i].into_group() - powers[i]).into_affine());
        let mut srs = Srs { kind, domain, powers, lagrange, tau_g2, blinding, hash: [0; 32] };
        let parts = srs.parts();
        srs.hash = keccak(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        srs
    }

    pub fn size(&self) -> usize {
        self.domain.size()
    }

    /// What the file is made of: header and [τ]₂, powers, basis.
    fn parts(&self) -> [Vec<u8>; 3] {
        let mut head = vec![0; HEADER];
        head[..16].copy_from_slice(MAGIC);
        let kind = self.kind.name().as_bytes();
        head[16..16 + kind.len()].copy_from_slice(kind);
        head[HEADER - 1] = self.domain.log_size_of_group as u8;
        head.extend(point_g2_bytes(&self.tau_g2));
        let bytes = |points: &[G1Affine]| points.par_iter().flat_map_iter(point_bytes).collect();
        [head, bytes(&self.powers), bytes(&self.lagrange)]
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        for part in self.parts() {
            out.write_all(&part)?;
        }
        out.into_inner().map_err(|e| e.into_error())?.sync_all()?;
        Ok(())
    }

    /// Reads a file: sizes, kind and every point's encoding are checked; `check` tells whether the points are powers.
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut head = [0; HEADER + POINT_G2];
        if length < head.len() as u64 {
            return invalid!("the set-up has {length} bytes, not even a header");
        }
        file.read_exact(&mut head)?;
        let log_n = u32::from(head[HEADER - 1]);
        let kind = match [Kind::Development, Kind::Ceremony].into_iter().find(|kind| {
            let name = kind.name().as_bytes();
            head[16..16 + name.len()] == *name && head[16 + name.len()..HEADER - 1].iter().all(|&b| b == 0)
        }) {
            Some(kind) if head[..16] == *MAGIC => kind,
            _ => {
                return invalid!("the file is no set-up: its header is not one of {}", String::from_utf8_lossy(MAGIC));
            }
        };
        let domain = domain(log_n)?;
        let n = domain.size();
        let expected = head.len() + (2 * n + EXTRA) * POINT;
        if length != expected as u64 {
            return invalid!("a set-up of size {n} has {expected} bytes, the file has {length}");
        }
        let mut tau = [0; POINT_G2];
        tau.copy_from_slice(&head[HEADER..]);
        let tau_g2 = point_g2(&tau)?;
        let mut body = vec![0; expected - head.len()];
        file.read_exact(&mut body)?;
        let (words, _) = body.as_chunks::<POINT>();
        let mut powers: Vec<G1Affine> = words.par_iter().map(point).collect::<Result<_>>()?;
        let lagrange = powers.split_off(n + EXTRA);
        if powers[0] != G1Affine::generator() {
            return invalid!("the set-up's first power is not the generator");
        }
        Ok(Self::assemble(kind, domain, powers, lagrange, tau_g2))
    }

    /// Whether the powers are those of the τ in [τ]₂, and the basis is theirs: two pairings and three sums of size N.
    ///
    /// The weights ρ^i come from the hash of all points, so no wrong point can be fitted to them.
    pub fn check(&self) -> Result<()> {
        let n = self.size();
        if self.powers[0] != G1Affine::generator() || self.tau_g2.is_zero() || self.powers[1].is_zero() {
            return invalid!("the set-up's first powers are not 1 and τ ≠ 0");
        }
        let rho = scalar_mod(&keccak(&[b"merit/kzg-srs/check", &self.hash]));
        let weights: Vec<Fr> =
            std::iter::successors(Some(rho), |power| Some(rho * power)).take(n + EXTRA - 1).collect();
        let (low, high) = (msm(&self.powers, &weights), msm(&self.powers[1..], &weights));
        if !Bn254::multi_pairing([low.into_affine(), (-high).into_affine()], [self.tau_g2, G2Affine::generator()])
            .is_zero()
        {
            return invalid!("the set-up's points are not the powers of one τ");
        }
        let coefficients = self.domain.ifft(&weights[..n]);
        if msm(&self.powers, &coefficients) != msm(&self.lagrange, &weights) {
            return invalid!("the set-up's Lagrange basis is not that of its powers");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("merit-{}-{name}", std::process::id()))
    }

    #[test]
    fn both_ways_to_the_basis_agree() {
        let known = Srs::development(4, Fr::from(0xabcdefu64)).unwrap();
        let unknown = Srs::from_powers(Kind::Development, 4, known.powers.clone(), known.tau_g2).unwrap();
        assert!(known.lagrange == unknown.lagrange && known.hash == unknown.hash);
        known.check().unwrap();
    }

    #[test]
    fn a_set_up_with_one_wrong_point_is_refused() {
        for i in 0..21 {
            let mut srs = Srs::development(3, Fr::from(77u64)).unwrap();
            let place = if i < 13 { &mut srs.powers[i] } else { &mut srs.lagrange[i - 13] };
            *place = (*place + G1Affine::generator()).into_affine();
            assert!(srs.check().is_err(), "{i}");
        }
        let mut srs = Srs::development(3, Fr::from(77u64)).unwrap();
        srs.tau_g2 = (srs.tau_g2 + G2Affine::generator()).into_affine();
        assert!(srs.check().is_err());
    }

    #[test]
    fn files_keep_every_bit() {
        let path = file("round-trip");
        let srs = Srs::development(3, Fr::from(99u64)).unwrap();
        srs.write(&path).unwrap();
        let read = Srs::read(&path).unwrap();
        assert!(read.hash == srs.hash && read.kind == Kind::Development && read.lagrange == srs.lagrange);
        let good = std::fs::read(&path).unwrap();
        assert_eq!(keccak(&[&good]), srs.hash);
        for (at, byte) in [
            (0, 0),
            (16, b'c'),
            (40, 1),
            (63, 4),
            (63, 2),
            (63, 200),
            (70, 255),
            (good.len() - 1, good[good.len() - 1] ^ 1),
        ] {
            let mut bad = good.clone();
            bad[at] = byte;
            std::fs::write(&path, &bad).unwrap();
            assert!(Srs::read(&path).is_err(), "byte {at}");
        }
        for bad in [&good[..good.len() - 1], &[good.as_slice(), &[0]].concat(), &good[..10], &[]] {
            std::fs::write(&path, bad).unwrap();
            assert!(Srs::read(&path).is_err());
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_domain_is_that_of_the_format() {
        let srs = Srs::development(10, Fr::from(3u64)).unwrap();
        use ark_ff::FftField;
        let mut root = Fr::TWO_ADIC_ROOT_OF_UNITY;
        for _ in 10..28 {
            root.square_in_place();
        }
        assert_eq!(srs.domain.group_gen, root);
    }
}
