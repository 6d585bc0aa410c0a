//! Proofs at small sizes, against a verifier written from the equations.

use _core::encoding::{point, point_bytes, scalar, small_word, word};
use _core::error::{Error, Result};
use _core::gram::{Proof, Statement, Witness, prove};
use _core::kzg::{check_openings, combine, commit};
use _core::srs::Srs;
use _core::transcript::Transcript;
use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, pairing::Pairing};
use ark_ff::{AdditiveGroup, Field, Zero};
use ark_poly::EvaluationDomain;

struct Case {
    srs: Srs,
    rows: Vec<Vec<i16>>,
    blinders: Vec<Vec<u8>>,
    commitments: Vec<Vec<u8>>,
    positions: u64,
    coefficients: Vec<Fr>,
    sum: Vec<u8>,
}

/// Numbers that differ; how random they are does not matter here.
fn element(seed: u64) -> Fr {
    Fr::from(seed + 2).pow([0x1234_5678_9abc_def1])
}

fn bytes(points: &[G1Affine]) -> Vec<u8> {
    points.iter().flat_map(point_bytes).collect()
}

fn views<T>(rows: &[Vec<T>]) -> Vec<&[T]> {
    rows.iter().map(Vec::as_slice).collect()
}

fn case(log_n: u32, d: usize, positions: u64) -> Case {
    let srs = Srs::development(log_n, element(5)).unwrap();
    let n = positions.count_ones() as usize;
    let rows: Vec<Vec<i16>> = (0..n)
        .map(|i| {
            (0..d).map(|t| ((i * 7919 + t * t * 104_729 + 13 * t) % 65535) as i32 - 32767).map(|x| x as i16).collect()
        })
        .collect();
    let c = d.div_ceil(srs.size());
    let blinders: Vec<Vec<u8>> =
        (0..n).map(|i| (0..2 * c).flat_map(|k| word(element((i * 100 + k) as u64))).collect()).collect();
    let commitments: Vec<Vec<u8>> =
        rows.iter().zip(&blinders).map(|(w, b)| bytes(&commit(&srs, w, b, &silent).unwrap())).collect();
    let slots = (positions & 0xffff_ffff).count_ones() as usize;
    let coefficients: Vec<Fr> = (0..slots).map(|i| Fr::from(4096 - i as u64)).collect();
    let sum = bytes(&combine(&views(&commitments[..slots]), &coefficients).unwrap());
    Case { srs, rows, blinders, commitments, positions, coefficients, sum }
}

fn silent(_: &'static str, _: usize, _: usize) -> Result<()> {
    Ok(())
}

impl Case {
    fn prove(&self, seed: u64) -> Proof {
        let (rows, blinders, commitments) = (views(&self.rows), views(&self.blinders), views(&self.commitments));
        let statement = Statement {
            context: b"context",
            positions: self.positions,
            commitments: &commitments,
            stated_sum: &self.sum,
            gram_hash: &small_word(123),
        };
        let mask = [0, 1, 2].map(|i| element(seed + i));
        let running = [3, 4, 5, 6].map(|i| element(seed + i));
        prove(&self.srs, &statement, &Witness { rows: &rows, blinders: &blinders, mask, running }, &silent).unwrap()
    }

    fn verifies(&self, context: &[u8], proof: &[u8]) -> bool {
        let (n, c) = (self.commitments.len(), self.sum.len() / 64);
        let points: Vec<G1Affine> = proof[..320].as_chunks::<64>().0.iter().map(|p| point(p).unwrap()).collect();
        let words: Vec<Fr> = proof[320..].as_chunks::<32>().0.iter().map(|w| scalar(w).unwrap()).collect();
        assert_eq!(words.len(), 4 + 2 * c);
        let (y, value_a, value_m, value_next) = (words[0], words[1], words[2], words[3]);
        let (ea, eb) = words[4..].split_at(c);
        let size = Fr::from(self.srs.size() as u64);

        let mut t = Transcript::new(context);
        let head = [n as u64, c as u64, self.srs.size() as u64, self.positions].map(small_word).concat();
        t.absorb(&[&head, &self.commitments.concat(), &self.sum, &small_word(123), &proof[..64]]);
        let (r, s) = (t.challenge(), t.challenge());
        t.absorb(&[&word(y), &proof[64..192]]);
        let z = t.challenge();
        t.absorb(&[&proof[448..], &proof[352..448]]);
        let v = t.challenge();
        t.absorb(&[&proof[192..320]]);
        let u = t.challenge();
        t.absorb(&[&self.coefficients.iter().flat_map(|&x| word(x)).collect::<Vec<u8>>()]);
        let (rho, lambda) = (t.challenge(), t.challenge());

        let next = z * self.srs.domain.group_gen;
        let zh = self.srs.domain.evaluate_vanishing_polynomial(z);
        let products: Fr = ea.iter().zip(eb).map(|(a, b)| *a * b).sum();
        let value_q = (value_next - value_a - products - value_m + y / size) / zh;
        let positions: Vec<u64> = (0..34).filter(|p| self.positions >> p & 1 == 1).collect();
        let mut f = G1Projective::zero();
        for (i, (&p, commitment)) in positions.iter().zip(&self.commitments).enumerate() {
            for (k, words) in commitment.as_chunks::<64>().0.iter().enumerate() {
                let mut weight = v.pow([k as u64]) * r.pow([p + 1]) + v.pow([(c + k) as u64]) * s.pow([p + 1]);
                if let Some(coefficient) = self.coefficients.get(i) {
                    weight += lambda * rho.pow([k as u64]) * coefficient;
                }
                f += point(words).unwrap() * weight;
            }
        }
        for (k, words) in self.sum.as_chunks::<64>().0.iter().enumerate() {
            f -= point(words).unwrap() * (lambda * rho.pow([k as u64]));
        }
        f += points[1] * (v.pow([2 * c as u64]) + u);
        f += points[0] * v.pow([2 * c as u64 + 1]);
        f += points[2] * v.pow([2 * c as u64 + 2]);
        let values = ea.iter().chain(eb).chain([&value_a, &value_m, &value_q]);
        let e = values.enumerate().fold(Fr::ZERO, |sum, (i, value)| sum + v.pow([i as u64]) * value) + u * value_next;
        let left = points[3] + points[4] * u;
        let right = points[3] * z + points[4] * (u * next) + f - G1Affine::generator() * e;
        Bn254::multi_pairing([left.into_affine(), (-right).into_affine()], [self.srs.tau_g2, G2Affine::generator()])
            .is_zero()
    }
}

#[test]
fn proofs_verify_with_and_without_reference_rows_and_padding() {
    for (log_n, d, positions) in
        [(3, 8, 0b1), (3, 13, 0b1011), (4, 33, 0b11 << 32 | 0b101), (5, 32 * 3, 0b11 << 32 | 1 << 31)]
    {
        let case = case(log_n, d, positions);
        assert!(case.verifies(b"context", &case.prove(1).bytes), "N = 2^{log_n}, d = {d}");
    }
}

#[test]
fn y_is_the_gram_matrix_folded_and_masked() {
    let case = case(3, 13, 0b1011);
    let proof = case.prove(1);
    let mut y = element(1) * Fr::from(8u64);
    for (p, a) in [0u64, 1, 3].into_iter().zip(&case.rows) {
        for (q, b) in [0u64, 1, 3].into_iter().zip(&case.rows) {
            let product: i64 = a.iter().zip(b).map(|(&x, &y)| i64::from(x) * i64::from(y)).sum();
            y += proof.r.pow([p + 1]) * proof.s.pow([q + 1]) * Fr::from(product);
        }
    }
    assert_eq!(y, proof.y);
}

#[test]
fn a_proof_holds_for_nothing_else() {
    let mut case = case(3, 13, 0b1011);
    let proof = case.prove(1).bytes;
    assert!(case.verifies(b"context", &proof));
    assert!(!case.verifies(b"another", &proof));
    for at in (351..proof.len()).step_by(32) {
        let mut bad = proof.clone();
        bad[at] ^= 1;
        assert!(!case.verifies(b"context", &bad), "word {}", at / 32);
    }
    case.commitments.swap(0, 1);
    assert!(!case.verifies(b"context", &proof));
    case.commitments.swap(0, 1);
    case.positions = 0b1101;
    assert!(!case.verifies(b"context", &proof));
}

#[test]
fn a_proof_about_rows_that_do_not_open_is_refused() {
    let mut case = case(3, 13, 0b11);
    case.rows[1][4] ^= 1;
    let proof = case.prove(1).bytes;
    assert!(!case.verifies(b"context", &proof));
}

#[test]
fn two_proofs_of_one_statement_share_nothing() {
    let case = case(3, 13, 0b1011);
    let (one, two) = (case.prove(1).bytes, case.prove(50).bytes);
    for (a, b) in one.as_chunks::<32>().0.iter().zip(two.as_chunks::<32>().0) {
        assert_ne!(a, b);
    }
}

#[test]
fn openings_hold_only_together() {
    let mut case = case(3, 13, 0b1011);
    let check = |case: &Case| {
        check_openings(
            &case.srs,
            &views(&case.rows),
            &views(&case.blinders),
            &views(&case.commitments),
            &[7; 32],
            &silent,
        )
        .unwrap()
    };
    assert!(check(&case));
    case.rows[2][12] ^= 1;
    assert!(!check(&case));
    case.rows[2][12] ^= 1;
    case.blinders[1][31] ^= 1;
    assert!(!check(&case));
    case.blinders[1][31] ^= 1;
    case.commitments.swap(0, 2);
    assert!(!check(&case));
}

#[test]
fn the_sum_opens_the_combined_commitment() {
    let case = case(3, 13, 0b111);
    let coefficients = [4096u64, 4095, 4094];
    let sum: Vec<i64> = (0..13)
        .map(|t| case.rows.iter().zip(coefficients).map(|(row, c)| i64::from(row[t]) * c as i64).sum())
        .collect();
    let mut blinders = vec![Fr::ZERO; 4];
    for (row, c) in case.blinders.iter().zip(coefficients) {
        for (sum, word) in blinders.iter_mut().zip(row.as_chunks::<32>().0) {
            *sum += scalar(word).unwrap() * Fr::from(c);
        }
    }
    let blinders: Vec<u8> = blinders.into_iter().flat_map(word).collect();
    assert_eq!(bytes(&commit(&case.srs, &sum, &blinders, &silent).unwrap()), case.sum);
}

#[test]
fn the_caller_can_stop() {
    let case = case(3, 13, 0b1);
    let (rows, blinders, commitments) = (views(&case.rows), views(&case.blinders), views(&case.commitments));
    let statement = Statement {
        context: b"",
        positions: 1,
        commitments: &commitments,
        stated_sum: &case.sum,
        gram_hash: &small_word(1),
    };
    let witness = Witness { rows: &rows, blinders: &blinders, mask: [Fr::ZERO; 3], running: [Fr::ZERO; 4] };
    let stop = |_: &'static str, _: usize, _: usize| Err(Error::Stopped);
    assert!(matches!(prove(&case.srs, &statement, &witness, &stop), Err(Error::Stopped)));
}
