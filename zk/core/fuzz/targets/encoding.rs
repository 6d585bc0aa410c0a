//! Words, points and scalars: what decodes has that one encoding.

#![no_main]

use _core::encoding::{
    POINT, POINT_G2, WORD, point, point_bytes, point_g2, point_g2_bytes, point_or_infinity, scalar, scalars, word,
};
use ark_bn254::{G1Affine, G2Affine};
use ark_ec::AffineRepr;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for bytes in data.as_chunks::<WORD>().0 {
        if let Ok(value) = scalar(bytes) {
            assert_eq!(word(value), *bytes);
        }
    }
    if let Ok(values) = scalars(data, data.len() / WORD, "words") {
        assert_eq!(values.iter().flat_map(|&value| word(value)).collect::<Vec<u8>>(), data);
    }
    let near = merit_core_fuzz::changed(&point_bytes(&G1Affine::generator()), data);
    for bytes in data.as_chunks::<POINT>().0.iter().chain(near.as_chunks::<POINT>().0) {
        if let Ok(found) = point_or_infinity(bytes) {
            assert!(found.is_on_curve());
            assert_eq!(point_bytes(&found), *bytes);
            assert_eq!(point(bytes).is_err(), found.is_zero());
        }
    }
    let near = merit_core_fuzz::changed(&point_g2_bytes(&G2Affine::generator()), data);
    for bytes in data.as_chunks::<POINT_G2>().0.iter().chain(near.as_chunks::<POINT_G2>().0) {
        if let Ok(found) = point_g2(bytes) {
            assert!(found.is_on_curve() && found.is_in_correct_subgroup_assuming_on_curve() && !found.is_zero());
            assert_eq!(point_g2_bytes(&found), *bytes);
        }
    }
});
