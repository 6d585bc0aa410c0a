//! Powers of τ from a `.ptau` file, the format of snarkjs' ceremonies (iden3 binary files, version 1).
//!
//! Only the N + 5 powers in G1 and [τ]₂ are read; `Srs::from_powers` checks that they are powers of one τ. Field elements are in
//! Montgomery form, little endian. Source: https://github.com/iden3/snarkjs, src/powersoftau_utils.js.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use ark_bn254::{Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, BigInteger, PrimeField};

use crate::encoding::{POINT, POINT_G2, WORD};
use crate::error::{Result, invalid};
use crate::srs::{Kind, Srs};

const HEADER: u32 = 1;
const TAU_G1: u32 = 2;
const TAU_G2: u32 = 3;
const MAX_SECTIONS: u32 = 64;
const MAX_POWER: u32 = 28;

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

fn point_g2(bytes: &[u8]) -> Result<G2Affine> {
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

fn open(file: &mut File, sections: &[(u32, u64, u64)], id: u32, expected: u64) -> Result<()> {
    match sections.iter().find(|section| section.0 == id) {
        Some(&(_, at, size)) if size == expected => {
            file.seek(SeekFrom::Start(at))?;
            Ok(())
        }
        Some((_, _, size)) => invalid!("section {id} of the .ptau file has {size} bytes, {expected} are required"),
        None => invalid!("the .ptau file has no section {id}"),
    }
}

/// A set-up of size 2^log_n from a ceremony of at least 2^log_n powers. Takes minutes for 2^20.
pub fn read(path: &Path, log_n: u32) -> Result<Srs> {
    let mut file = File::open(path)?;
    let sections = sections(&mut file)?;
    open(&mut file, &sections, HEADER, 4 + 32 + 4 + 4)?;
    let width = u32::from_le_bytes(number(&mut file)?);
    let modulus: [u8; WORD] = number(&mut file)?;
    if width != 32 || modulus[..] != Fq::MODULUS.to_bytes_le()[..] {
        return invalid!("the .ptau file is for another curve than BN254");
    }
    let power = u32::from_le_bytes(number(&mut file)?);
    if !(log_n.max(3)..=MAX_POWER).contains(&power) {
        return invalid!("the .ptau file holds 2^{power} powers, a set-up of size 2^{log_n} needs at least as many");
    }
    let ceremony = u32::from_le_bytes(number(&mut file)?);
    if !(power..=MAX_POWER).contains(&ceremony) {
        return invalid!("the .ptau file holds 2^{power} powers of a ceremony of 2^{ceremony}");
    }
    open(&mut file, &sections, TAU_G2, (1 << power) * POINT_G2 as u64)?;
    let pair: [u8; 2 * POINT_G2] = number(&mut file)?;
    if point_g2(&pair[..POINT_G2])? != G2Affine::generator() {
        return invalid!("the .ptau file's first power in G2 is not the generator");
    }
    let tau_g2 = point_g2(&pair[POINT_G2..])?;
    open(&mut file, &sections, TAU_G1, ((2 << power) - 1) * POINT as u64)?;
    let mut bytes = vec![0; ((1 << log_n) + 5) * POINT];
    file.read_exact(&mut bytes)?;
    let powers = bytes.as_chunks::<POINT>().0.iter().map(point).collect::<Result<Vec<_>>>()?;
    Srs::from_powers(Kind::Ceremony, log_n, powers, tau_g2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::Fr;
    use ark_ec::CurveGroup;

    /// A file of 2^3 powers: sections 1, 3 and 2, the last with 15 powers.
    fn file(tau: u64) -> Vec<u8> {
        let coordinate = |x: &Fq| x.0.to_bytes_le();
        let mut sections: Vec<(u32, Vec<u8>)> = vec![];
        let header = [&32u32.to_le_bytes()[..], &Fq::MODULUS.to_bytes_le(), &[3, 0, 0, 0, 3, 0, 0, 0]].concat();
        sections.push((HEADER, header));
        let mut power = Fr::from(1u64);
        let (mut first, mut second) = (vec![], vec![]);
        for i in 0..15 {
            let p = (G1Affine::generator() * power).into_affine();
            first.extend([coordinate(&p.x), coordinate(&p.y)].concat());
            if i < 8 {
                let p = (G2Affine::generator() * power).into_affine();
                second.extend([&p.x.c0, &p.x.c1, &p.y.c0, &p.y.c1].map(coordinate).concat());
            }
            power *= Fr::from(tau);
        }
        sections.push((TAU_G2, second));
        sections.push((TAU_G1, first));
        let mut out = [&b"ptau"[..], &1u32.to_le_bytes(), &3u32.to_le_bytes()].concat();
        for (id, body) in sections {
            out.extend([&id.to_le_bytes()[..], &(body.len() as u64).to_le_bytes(), &body].concat());
        }
        out
    }

    fn load(name: &str, bytes: &[u8]) -> Result<Srs> {
        let path = std::env::temp_dir().join(format!("merit-{}-{name}.ptau", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let srs = read(&path, 3);
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
    fn a_file_that_is_no_ceremony_is_refused() {
        let good = file(1234);
        let tau_g1 = good.len() - 15 * POINT;
        let mut other = good.clone();
        other[tau_g1..].copy_from_slice(&file(1235)[tau_g1..]); // on the curve, but of another τ than [τ]₂
        let mut doubled = good.clone();
        doubled[tau_g1 + 3 * POINT..tau_g1 + 4 * POINT].copy_from_slice(&good[tau_g1 + 4 * POINT..tau_g1 + 5 * POINT]);
        for (name, bad) in [
            ("other", other),
            ("doubled", doubled),
            ("short", good[..good.len() - 1].to_vec()),
            ("long", [good.as_slice(), &[0]].concat()),
            ("empty", vec![]),
        ] {
            assert!(load(name, &bad).is_err(), "{name}");
        }
        for at in [0, 4, 8, 12, 16, 24, 28, 60, 64, tau_g1, tau_g1 + POINT + 5, tau_g1 - 7 * POINT_G2 + 9] {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            assert!(load("flipped", &bad).is_err(), "byte {at}");
        }
    }
}
