//! Set-up files: what is read has this one file, and what is checked are powers of one τ.

#![no_main]

use std::sync::LazyLock;

use _core::srs::Srs;
use ark_bn254::Fr;
use libfuzzer_sys::fuzz_target;
use merit_core_fuzz::{changed, with_file};

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let srs = Srs::development(3, Fr::from(1234u64)).unwrap();
    with_file(&[], |path| {
        srs.write(path).unwrap();
        std::fs::read(path).unwrap()
    })
});

fuzz_target!(|data: &[u8]| {
    let Some((&how, data)) = data.split_first() else { return };
    let file = if how & 1 == 0 { data.to_vec() } else { changed(&GOOD, data) };
    let Ok(srs) = with_file(&file, Srs::read) else { return };
    let again = with_file(&[], |path| {
        srs.write(path).unwrap();
        std::fs::read(path).unwrap()
    });
    assert_eq!(again, file);
    if srs.check().is_ok() {
        assert_eq!(file[64..], GOOD[64..], "other powers of τ than those that were made");
    }
});
