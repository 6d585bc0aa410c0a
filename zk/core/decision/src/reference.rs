//! Rule 2: the first reference row selects, the second scores, the median norm clips; what is zero or clearly against the
//! first row is struck. See `reference` in aggregator/rules.py.

use ark_bn254::Fr;
use ark_ff::One;

use crate::decision::Decision;
use crate::gadgets::{
    Cs, Num, Result, constant, is_zero, largest_chosen, not_negative, pow2, product, quotient, smallest, square_root,
    sum,
};
use crate::gram::{Entry, Gram, admissible, half_rounded_up, masked};
use crate::shape::{ENTRY_BITS, Shape};

/// log₂ of the coefficient of a whole update.
const ONE_BITS: usize = 12;
/// A norm is at most 2^58; 2^59 − 1 stands for that of a slot that is not admissible.
const NORM_BITS: usize = ENTRY_BITS + 1;

/// opened: n_max bits.
pub fn decide(cs: &Cs, shape: Shape, gram: &Gram, opened: &[Num]) -> Result<Decision> {
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

    // 0 ≤ vv ≤ 2^58: no semidefinite matrix has a negative one.
    let vv = &gram.at(first, first).value;
    let no_direction = is_zero(cs, vv)?;

    let mut decision = Decision { selected: vec![], struck: vec![], coefficients: vec![], scores: vec![] };
    for (i, live) in live.iter().enumerate() {
        // Who is admissible and not of the lower half has a norm ≥ the median, who is of it one ≤ the median, and is
        // admissible: so min(norm, median), and whose norm is the median may be either. A slot that is not admissible
        // has the norm 1 here; what follows from it is dropped below. 1 ≤ clipped ≤ norm ≤ 2^58.
        let norm = masked(cs, live, &gram.at(i, i).value, Fr::one())?;
        let upper_half = live - &lower_half.chosen[i];
        let clipped = &norm + product(cs, &upper_half, &(&median - &norm))?;
        // ⌊√⌊4096²·clipped / norm⌋⌋ is 4096 up to the median, and what the rule says beyond it.
        let ratio = quotient(cs, &(clipped * pow2(2 * ONE_BITS)), &norm, 2 * ONE_BITS + 1, ENTRY_BITS)?;
        let coefficient = square_root(cs, &ratio, ONE_BITS + 1)?;

        let along = gram.at(i, first);
        let selected = product(cs, live, &along.positive)?;
        let coefficient = product(cs, &selected, &coefficient)?;
        // |score| ≤ 4096·2^58 = 2^70.
        decision.scores.push(product(cs, &coefficient, &gram.at(i, second).value)?);
        decision.coefficients.push(coefficient);
        decision.selected.push(selected);

        // Who is admissible was opened, so this is opened and (not admissible or against v0).
        let opposite = opposite(cs, along, &norm, vv, &no_direction, ENTRY_BITS)?;
        decision.struck.push(&opened[i] - product(cs, live, &(constant(1u64) - opposite))?);
    }
    Ok(decision)
}

/// Whether a < 0 and 4·a² ≥ x·y, as a bit, where −2^n < a ≤ 2^n, 1 ≤ x ≤ 2^n and 0 ≤ y ≤ 2^n, n ≤ 120: of two vectors
/// with the product a and the squared lengths x and y, whether their cosine is at most −1/2.
///
/// none: the bit that says whether y = 0.
pub fn opposite(cs: &Cs, a: &Entry, x: &Num, y: &Num, none: &Num, n: usize) -> Result<Num> {
    // min(0, a), with a square below 2^2n.
    let negative = product(cs, &(constant(1u64) - &a.positive), &a.value)?;
    let square = product(cs, &negative, &negative)?;
    let lengths = product(cs, x, y)?;
    // 4·square − lengths is in −2^2n … 2^(2n + 2) − 1. Where a ≥ 0 it has to count as negative: it is −x·y, below 0 but for
    // y = 0, where one more is taken off; a square that is not 0 is ≥ 1, so this changes nothing where a < 0.
    not_negative(cs, &(square * Fr::from(4u64) - lengths - none), 2 * n + 2)
}
