//! Ceremonies' files: what is read are powers of one τ, whatever the file's sections say.

#![no_main]

use std::sync::LazyLock;

use _core::error::Result;
use _core::ptau::{known, read, read_powers};
use ark_bn254::Fr;
use libfuzzer_sys::fuzz_target;
use merit_core_fuzz::{changed, with_file};

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| known(3, [1234u64, 5, 7].map(Fr::from)));

fn go_on(_: &'static str, _: usize, _: usize) -> Result<()> {
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, data)) = data.split_first() else { return };
    let file = if how & 1 == 0 { data.to_vec() } else { changed(&GOOD, data) };
    with_file(&file, |path| {
        if let Ok(srs) = read(path, 3, &go_on) {
            assert!(srs.check().is_ok() && srs.size() == 8);
        }
        if let Ok(powers) = read_powers(path, u32::from(how >> 6) + 1, &go_on) {
            assert!(powers.size().is_power_of_two());
        }
    });
});
