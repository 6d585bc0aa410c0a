//! Powers of τ from a `.ptau` file, the format of snarkjs' ceremonies (iden3 binary files, version 1).
//!
//! Only as many powers as are needed are read; `Srs::from_powers` and `Powers::new` check that they are powers of one τ. Field
//! elements are in Montgomery form, little endian. Source: https://github.com/iden3/snarkjs, src/powersoftau_utils.js.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, PrimeGroup, scalar_mul::BatchMulPreprocessing};
use ark_ff::{BigInt, BigInteger, Field, PrimeField};
use merit_decision::Powers;
use rayon::prelude::*;

use crate::encoding::{POINT, POINT_G2, WORD};
use crate::error::{Progress, Result, invalid};
use crate::srs::{Kind, Srs};

const HEADER: u32 = 1;
const TAU_G1: u32 = 2;
const TAU_G2: u32 = 3;
const ALPHA_TAU_G1: u32 = 4;
const BETA_TAU_G1: u32 = 5;
const BETA_G2: u32 = 6;
const MAX_SECTIONS: u32 = 64;
const MAX_POWER: u32 = 28;
/// Points read at a time.
const PIECE: usize = 1 << 13;

fn coordinate(bytes: &[u8]) -> Result<Fq> {
    let (limbs, _) = bytes.as_chunks::<8>();
    let value = BigInt::new(std::array::from_fn(|i| u64::from_le_bytes(limbs[i])));
    if value >= Fq::MODULUS {
        return invalid!("a coordinate of the .ptau file is not smaller than the modulus");
    }
    Ok(Fq::new_unchecked(value))
}

fn point(bytes: &[u8; POINT]) -> Result<G1Affine> {
    let point = G1Affine::new_unchecked(coordinate(&bytes[..WORD])?, coordinate(&bytes[WORD..])?);
    if point.is_zero() || !point.is_on_curve() {
        return invalid!("a power of the .ptau file is not a point of the curve");
    }
    Ok(point)
}

fn point_g2(bytes: &[u8; POINT_G2]) -> Result<G2Affine> {
    let part = |i: usize| coordinate(&bytes[i * WORD..(i + 1) * WORD]);
    let point = G2Affine::new_unchecked(Fq2::new(part(0)?, part(1)?), Fq2::new(part(2)?, part(3)?));
    if point.is_zero() || !point.is_on_curve() || !point.is_in_correct_subgroup_assuming_on_curve() {
        return invalid!("a power of the .ptau file in G2 is not in the group");
    }
    Ok(point)
}

fn number<const L: usize>(file: &mut File) -> Result<[u8; L]> {
    let mut bytes = [0; L];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Where each section starts, and its length: each once, together exactly the file.
fn sections(file: &mut File) -> Result<Vec<(u32, u64, u64)>> {
    let length = file.metadata()?.len();
    if length < 12 || number::<4>(file)? != *b"ptau" || u32::from_le_bytes(number(file)?) != 1 {
        return invalid!("the file is no .ptau file of version 1");
    }
    let count = u32::from_le_bytes(number(file)?);
    if count > MAX_SECTIONS {
        return invalid!("the .ptau file names {count} sections, at most {MAX_SECTIONS} are known");
    }
    let mut found: Vec<(u32, u64, u64)> = vec![];
    let mut at = 12;
    for _ in 0..count {
        if length - at < 12 {
            return invalid!("the .ptau file ends within a section's head");
        }
        let id = u32::from_le_bytes(number(file)?);
        let size = u64::from_le_bytes(number(file)?);
        at += 12;
        if size > length - at || found.iter().any(|section| section.0 == id) {
            return invalid!("section {id} of the .ptau file ends beyond it, or comes twice");
        }
        found.push((id, at, size));
        at += size;
        file.seek(SeekFrom::Start(at))?;
    }
    if at != length {
        return invalid!("the .ptau file has {} bytes after its last section", length - at);
    }
    Ok(found)
}

/// A `.ptau` file of 2^power powers.
struct Ptau {
    file: File,
    sections: Vec<(u32, u64, u64)>,
    power: u32,
}

impl Ptau {
    /// Of at least 2^log_n powers.
    fn open(path: &Path, log_n: u32) -> Result<Self> {
        let mut file = File::open(path)?;
        let sections = sections(&mut file)?;
        let mut ptau = Ptau { file, sections, power: 0 };
        ptau.section(HEADER, 4 + 32 + 4 + 4)?;
        let width = u32::from_le_bytes(number(&mut ptau.file)?);
        let modulus: [u8; WORD] = number(&mut ptau.file)?;
        if width != 32 || modulus[..] != Fq::MODULUS.to_bytes_le()[..] {
            return invalid!("the .ptau file is for another curve than BN254");
        }
        let power = u32::from_le_bytes(number(&mut ptau.file)?);
        if !(log_n.max(3)..=MAX_POWER).contains(&power) {
            return invalid!("the .ptau file holds 2^{power} powers, at least 2^{log_n} are needed");
        }
        let ceremony = u32::from_le_bytes(number(&mut ptau.file)?);
        if !(power..=MAX_POWER).contains(&ceremony) {
            return invalid!("the .ptau file holds 2^{power} powers of a ceremony of 2^{ceremony}");
        }
        ptau.power = power;
        Ok(ptau)
    }

    /// Goes to the start of a section of `expected` bytes.
    fn section(&mut self, id: u32, expected: u64) -> Result<()> {
        match self.sections.iter().find(|section| section.0 == id) {
            Some(&(_, at, size)) if size == expected => {
                self.file.seek(SeekFrom::Start(at))?;
                Ok(())
            }
            Some((_, _, size)) => invalid!("section {id} of the .ptau file has {size} bytes, {expected} are required"),
            None => invalid!("the .ptau file has no section {id}"),
        }
    }

    /// The first `count` of the `all` points of a section, L bytes each.
    fn points<P: Send, const L: usize>(
        &mut self,
        (id, all): (u32, u64),
        count: usize,
        decode: impl Fn(&[u8; L]) -> Result<P> + Sync,
        progress: Progress,
    ) -> Result<Vec<P>> {
        self.section(id, all * L as u64)?;
        let mut points = Vec::with_capacity(count);
        while points.len() < count {
            progress("reading", points.len(), count)?;
            let mut bytes = vec![0; PIECE.min(count - points.len()) * L];
            self.file.read_exact(&mut bytes)?;
            points.extend(bytes.as_chunks::<L>().0.par_iter().map(&decode).collect::<Result<Vec<_>>>()?);
        }
        Ok(points)
    }

    fn tau_g1(&mut self, count: usize, progress: Progress) -> Result<Vec<G1Affine>> {
        self.points((TAU_G1, (2 << self.power) - 1), count, point, progress)
    }

    fn tau_g2(&mut self, count: usize, progress: Progress) -> Result<Vec<G2Affine>> {
        let points = self.points((TAU_G2, 1 << self.power), count, point_g2, progress)?;
        let h = G2Affine::generator();
        if points[0] != h || points[1] == h {
            return invalid!("the .ptau file's powers in G2 are not 1, τ ≠ 1, …: has anybody contributed to it?");
        }
        Ok(points)
    }
}

/// A set-up of size 2^log_n from a ceremony of at least 2^log_n powers. Takes minutes for 2^20.
pub fn read(path: &Path, log_n: u32, progress: Progress) -> Result<Srs> {
    let mut ptau = Ptau::open(path, log_n)?;
    let tau_g2 = ptau.tau_g2(2, progress)?[1];
    let powers = ptau.tau_g1((1 << log_n) + 5, progress)?;
    progress("transforming", 0, 1)?;
    let srs = Srs::from_powers(Kind::Ceremony, log_n, powers, tau_g2)?;
    progress("transforming", 1, 1)?;
    Ok(srs)
}

/// What a Groth16 key for a domain of size 2^log_m is made from.
pub fn read_powers(path: &Path, log_m: u32, progress: Progress) -> Result<Powers> {
    let mut ptau = Ptau::open(path, log_m)?;
    let (m, all) = (1 << log_m, 1 << ptau.power);
    let tau_g1 = ptau.tau_g1(2 * m - 1, progress)?;
    let alpha_g1 = ptau.points((ALPHA_TAU_G1, all), m, point, progress)?;
    let beta_g1 = ptau.points((BETA_TAU_G1, all), m, point, progress)?;
    let tau_g2 = ptau.tau_g2(m, progress)?;
    let beta_g2 = ptau.points((BETA_G2, 1), 1, point_g2, progress)?[0];
    progress("checking", 0, 1)?;
    match Powers::new(tau_g1, alpha_g1, beta_g1, tau_g2, beta_g2) {
        Ok(powers) => Ok(powers),
        Err(error) => invalid!("the .ptau file is refused: {error}"),
    }
}

/// A file of 2^power powers of secrets that the caller knows, τ, α and β: for tests.
pub fn known(power: u32, [tau, alpha, beta]: [Fr; 3]) -> Vec<u8> {
    let m = 1 << power;
    let powers: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |last| Some(tau * last)).take(2 * m - 1).collect();
    let times = |factor: Fr| powers[..m].iter().map(|power| factor * power).collect::<Vec<_>>();
    let g1 = BatchMulPreprocessing::new(G1Projective::generator(), 4 * m);
    let g2 = BatchMulPreprocessing::new(G2Projective::generator(), m);
    let bytes = |x: &Fq| x.0.to_bytes_le();
    let in_g1 = |scalars: &[Fr]| -> Vec<u8> {
        g1.batch_mul(scalars).iter().flat_map(|p| [bytes(&p.x), bytes(&p.y)].concat()).collect()
    };
    let in_g2 = |scalars: &[Fr]| -> Vec<u8> {
        g2.batch_mul(scalars).iter().flat_map(|p| [&p.x.c0, &p.x.c1, &p.y.c0, &p.y.c1].map(bytes).concat()).collect()
    };
    let sections = [
        (HEADER, [&32u32.to_le_bytes(), &Fq::MODULUS.to_bytes_le()[..], &[power.to_le_bytes(); 2].concat()].concat()),
        (TAU_G1, in_g1(&powers)),
        (TAU_G2, in_g2(&powers[..m])),
        (ALPHA_TAU_G1, in_g1(&times(alpha))),
        (BETA_TAU_G1, in_g1(&times(beta))),
        (BETA_G2, in_g2(&[beta])),
    ];
    let mut out = [&b"ptau"[..], &1u32.to_le_bytes(), &(sections.len() as u32).to_le_bytes()].concat();
    for (id, body) in sections {
        out.extend([&id.to_le_bytes()[..], &(body.len() as u64).to_le_bytes(), &body].concat());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAU_G1_AT: usize = 12 + (12 + 44);

    fn file(tau: u64) -> Vec<u8> {
        known(3, [tau, 5, 7].map(Fr::from))
    }

    fn load(name: &str, bytes: &[u8]) -> Result<Srs> {
        let path = std::env::temp_dir().join(format!("merit-{}-{name}.ptau", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let srs = read(&path, 3, &|_, _, _| Ok(()));
        std::fs::remove_file(&path).unwrap();
        srs
    }

    #[test]
    fn a_ceremony_gives_the_set_up_of_its_tau() {
        let srs = load("good", &file(1234)).unwrap();
        let known = Srs::development(3, Fr::from(1234u64)).unwrap();
        assert!(srs.kind == Kind::Ceremony && srs.powers == known.powers && srs.lagrange == known.lagrange);
        assert!(srs.tau_g2 == known.tau_g2 && srs.hash != known.hash);
    }

    #[test]
    fn powers_for_a_key_are_those_of_the_secrets() {
        let path = std::env::temp_dir().join(format!("merit-{}-powers.ptau", std::process::id()));
        let good = known(4, [1234, 5, 7].map(Fr::from));
        let load = |bytes: &[u8], log_m| {
            std::fs::write(&path, bytes).unwrap();
            let powers = read_powers(&path, log_m, &|_, _, _| Ok(()));
            std::fs::remove_file(&path).unwrap();
            powers
        };
        assert_eq!(load(&good, 3).unwrap().size(), 8);
        assert_eq!(load(&good, 4).unwrap().size(), 16);
        assert!(load(&good, 5).is_err());
        for secrets in [[1, 5, 7], [1234, 1, 7], [1234, 5, 1]] {
            assert!(load(&known(4, secrets.map(Fr::from)), 4).is_err());
        }
        // One section, or β of G2, of other secrets.
        let other = known(4, [1235, 6, 8].map(Fr::from));
        let lengths = [44, 31 * POINT, 16 * POINT_G2, 16 * POINT, 16 * POINT, POINT_G2];
        let mut at = 12;
        for (section, length) in lengths.into_iter().enumerate() {
            let mut bad = good.clone();
            bad[at..at + 12 + length].copy_from_slice(&other[at..at + 12 + length]);
            assert!(section == 0 || load(&bad, 4).is_err(), "section {section}");
            at += 12 + length;
        }
    }

    #[test]
    fn a_file_that_is_no_ceremony_is_refused() {
        let good = file(1234);
        let (tau_g1, end) = (TAU_G1_AT + 12, TAU_G1_AT + 12 + 15 * POINT);
        let mut other = good.clone();
        other[tau_g1..end].copy_from_slice(&file(1235)[tau_g1..end]); // on the curve, but of another τ than [τ]₂
        let mut doubled = good.clone();
        doubled[tau_g1 + 3 * POINT..tau_g1 + 4 * POINT].copy_from_slice(&good[tau_g1 + 4 * POINT..tau_g1 + 5 * POINT]);
        for (name, bad) in [
            ("other", other),
            ("nobody", file(1)),
            ("doubled", doubled),
            ("short", good[..good.len() - 1].to_vec()),
            ("long", [good.as_slice(), &[0]].concat()),
            ("empty", vec![]),
        ] {
            assert!(load(name, &bad).is_err(), "{name}");
        }
        for at in [0, 4, 8, 12, 16, 24, 28, 60, 64, tau_g1, tau_g1 + POINT + 5, end + 12 + POINT_G2 + 9] {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            assert!(load("flipped", &bad).is_err(), "byte {at}");
        }
    }
}
