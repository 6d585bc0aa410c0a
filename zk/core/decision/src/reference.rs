//! Rule 2: the first reference row selects, the second pays, the median norm clips. See `reference` in aggregator/rules.py.

use ark_bn254::Fr;
use ark_ff::One;

use crate::circuit::Decision;
use crate::gadgets::{
    Cs, Result, constant, is_zero, largest_chosen, not_negative, pow2, product, quotient, select, smallest,
    square_root, sum,
};
use crate::gram::{ENTRY_BITS, Gram, admissible, half_rounded_up, masked};
use crate::shape::Shape;

/// log₂ of the coefficient of a whole update.
const ONE_BITS: usize = 12;
/// A norm is at most 2^58; 2^59 − 1 stands for that of a slot that is not admissible.
const NORM_BITS: usize = ENTRY_BITS + 1;

pub fn decide(cs: &Cs, shape: Shape, gram: &Gram) -> Result<Decision> {
    let n = shape.slots;
    let (first, second) = (n, n + 1);
    let live = admissible(gram, n);
    let m = sum(cs, &live)?;

    // The lower median: the largest of the ⌊(m + 1)/2⌋ smallest, ⌊(m − 1)/2⌋ counting from zero.
    let norms = (0..n).map(|i| masked(cs, &live[i], &gram.at(i, i).value, pow2(NORM_BITS) - Fr::one()));
    let norms = norms.collect::<Result<Vec<_>>>()?;
    let lower_half = smallest(cs, &norms, &half_rounded_up(cs, shape, &m)?, NORM_BITS)?;
    let any = constant(1u64) - is_zero(cs, &m)?;
    let median = largest_chosen(cs, &norms, &lower_half, &any)?;

    let (mut selected, mut coefficients, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for (i, live) in live.iter().enumerate() {
        // ⌊√⌊4096²·min(norm, median) / norm⌋⌋ is 4096 up to the median, and what the rule says beyond it. A slot that
        // is not admissible has the norm 1 here; its coefficient is dropped below.
        // 1 ≤ norm ≤ 2^58 and 0 ≤ median ≤ 2^58: the difference is in −2^58 … 2^58 − 1.
        let norm = masked(cs, live, &gram.at(i, i).value, Fr::one())?;
        let longer = not_negative(cs, &(&norm - &median - Fr::one()), ENTRY_BITS)?;
        let clipped = select(cs, &longer, &median, &norm)?;
        let ratio = quotient(cs, &(clipped * pow2(2 * ONE_BITS)), &norm, 2 * ONE_BITS + 1, ENTRY_BITS)?;
        let coefficient = square_root(cs, &ratio, ONE_BITS + 1)?;

        let along = product(cs, live, &gram.at(i, first).positive)?;
        let coefficient = product(cs, &along, &coefficient)?;
        let gain = gram.at(i, second);
        let gain = product(cs, &gain.positive, &gain.value)?;
        // At most 4096·2^58 = 2^70.
        weights.push(product(cs, &coefficient, &gain)?);
        coefficients.push(coefficient);
        selected.push(along);
    }
    Ok(Decision { selected, coefficients, weights })
}
