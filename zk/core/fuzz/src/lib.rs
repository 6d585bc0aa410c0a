//! What the targets share: files that are almost right, and a place to put them.

use std::path::{Path, PathBuf};

/// A good file after the changes that an input describes, five bytes each: what to do, where, with which byte.
///
/// A fuzzer would need years to make a point of the curve; so it starts from good points and breaks them.
pub fn changed(good: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut file = good.to_vec();
    for change in changes.as_chunks::<5>().0 {
        let &[what, a, b, c, value] = change;
        let place = u32::from_be_bytes([0, a, b, c]) as usize % (file.len() + 1);
        match what % 6 {
            0 => file.truncate(place),
            1 => file.insert(place, value),
            2 => file.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= value),
            3 => file.iter_mut().skip(place).take(1).for_each(|byte| *byte = value),
            4 => file.iter_mut().skip(place).take(64).for_each(|byte| *byte = value),
            _ => {
                // A whole point, or a section's head, in another's place.
                let from = usize::from(value) * 64 % (file.len() + 1);
                let piece: Vec<u8> = file.iter().skip(from).take(64).copied().collect();
                file.iter_mut().skip(place).zip(piece).for_each(|(byte, other)| *byte = other);
            }
        }
    }
    file
}

/// Gives `use_file` a file with these bytes.
pub fn with_file<T>(bytes: &[u8], use_file: impl FnOnce(&Path) -> T) -> T {
    let path = PathBuf::from(format!("{}/merit-fuzz-{}", folder(), std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file is written");
    let result = use_file(&path);
    std::fs::remove_file(&path).expect("the temporary file is removed");
    result
}

/// In memory where the system has such a folder: a target runs a thousand times a second.
fn folder() -> String {
    let shared = "/dev/shm";
    if Path::new(shared).is_dir() { shared.into() } else { std::env::temp_dir().to_string_lossy().into_owned() }
}
