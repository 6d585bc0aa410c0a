//! What trainers hand in, as the aggregator takes it: rows, blinders and commitments of any length and content.

#![no_main]

use std::sync::LazyLock;

use _core::encoding::{POINT, point_bytes, small_word};
use _core::error::Result;
use _core::kzg::{check_openings, combine, commit};
use _core::srs::Srs;
use ark_bn254::{Fr, G1Affine};
use libfuzzer_sys::fuzz_target;

static SRS: LazyLock<Srs> = LazyLock::new(|| Srs::development(3, Fr::from(1234u64)).unwrap());

fn bytes(points: &[G1Affine]) -> Vec<u8> {
    points.iter().flat_map(point_bytes).collect()
}

fn go_on(_: &'static str, _: usize, _: usize) -> Result<()> {
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let Some((&[entries, split, which], data)) = data.split_first_chunk::<3>() else { return };
    let (row, changes) = data.split_at(data.len().min(2 * usize::from(entries)));
    let row: Vec<i16> = row.as_chunks::<2>().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect();
    let wide: Vec<i64> = data.as_chunks::<8>().0.iter().map(|&eight| i64::from_le_bytes(eight)).collect();

    let good: Vec<u8> = (1..=2 * row.len().div_ceil(8) as u64).flat_map(small_word).collect();
    let opened = commit(&SRS, &row, &good, &go_on);
    let _ = commit(&SRS, &wide, &good, &go_on);
    let Ok(points) = opened else { return };
    let commitment = bytes(&points);

    let (first, second) = changes.split_at(changes.len().min(usize::from(split)));
    let blinders = if which & 1 == 0 { good.clone() } else { merit_core_fuzz::changed(&good, first) };
    let stated = if which & 2 == 0 { commitment.clone() } else { merit_core_fuzz::changed(&commitment, second) };
    let verdict = check_openings(&SRS, &[&row], &[&blinders], &[&stated], &[7; 32], &go_on);
    if row.iter().all(|&entry| entry > i16::MIN) {
        if let Ok(true) = verdict {
            assert!(blinders == good && stated == commitment, "another opening of one commitment");
        } else {
            assert!(blinders != good || stated != commitment, "a right opening is refused");
        }
    } else {
        assert!(verdict.is_err());
    }
    if let Ok(sums) = combine(&[&stated, &commitment], &[Fr::from(1u64), Fr::from(0u64)]) {
        assert_eq!(bytes(&sums), stated);
        assert_eq!(stated.len() / POINT, points.len());
    }
});
