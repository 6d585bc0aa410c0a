//! Decision keys with their contributions.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use merit_core_fuzz::changed;
use merit_decision::{Key, Shape};

const HEADER: usize = 28;
const RECORD: usize = 224;
const RECORDS: usize = 2;

/// A key file with two contributions, right in all but that they do not follow from each other.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut file = Key::set_up(Shape::from_id(108).unwrap(), Some([7; 32])).unwrap().to_bytes().unwrap();
    file[HEADER - 3..HEADER].copy_from_slice(&[0, 0, RECORDS as u8]);
    let point = file[HEADER..HEADER + 64].to_vec();
    for _ in 0..RECORDS {
        let mut name = b"somebody".to_vec();
        name.resize(64, 0);
        file.extend([name.as_slice(), &point, &point, &[0; 32]].concat());
    }
    file
});

fuzz_target!(init: { LazyLock::force(&GOOD); }, |data: &[u8]| {
    let Some((&how, data)) = data.split_first() else { return };
    if how & 1 == 0 {
        let _ = Key::from_bytes(data, true);
        return;
    }
    // Half of the inputs change only the header and the contributions.
    let mut file = GOOD.clone();
    let (head, tail) = (HEADER, file.len() - RECORDS * RECORD);
    if how & 2 == 0 {
        let ends = changed(&[&file[..head], &file[tail..]].concat(), data);
        file.splice(tail.., ends.get(head..).unwrap_or_default().iter().copied());
        let whole = head.min(ends.len());
        file[..whole].copy_from_slice(&ends[..whole]);
    } else {
        file = changed(&file, data);
    }
    let check = how >= 0xfc; // slow
    if let Ok(key) = Key::from_bytes(&file, check) {
        assert!(!check || key.to_bytes().unwrap() == file);
        let _ = key.states();
        assert!(key.contributions().iter().all(|one| !one.name().is_empty()));
    }
});
