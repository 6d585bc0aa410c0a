//! Rule 1: Multi-Krum selects, the cosine to the selected sum is the score, a zero update is struck. See `krum_cosine` in aggregator/rules.py.

use ark_bn254::Fr;
use ark_ff::One;

use crate::decision::Decision;
use crate::gadgets::{
    Cs, Num, Result, constant, is_zero, minimum, positive_part, pow2, product, quotient, smallest, square_root, sum,
};
use crate::gram::{Gram, admissible, half_rounded_up, masked};
use crate::shape::{ENTRY_BITS, Shape};

/// log₂ of the score of an update that points exactly along the selected sum.
const COSINE_BITS: usize = 30;
/// Distances are shifted by 2^60 and have 61 bits: |D_ij| ≤ 4·2^58.
const DISTANCE_BITS: usize = 61;

/// opened: n_max bits. faulty: the public f, 8 bits.
pub fn decide(cs: &Cs, shape: Shape, gram: &Gram, opened: &[Num], faulty: &Num) -> Result<Decision> {
    let (n, log) = (shape.slots, shape.log());
    let live = admissible(gram, n);
    let m = sum(cs, &live)?;

    // f' = min(f, max(0, ⌊(m − 3)/2⌋)), and ⌊(m − 3)/2⌋ = ⌊(m + 1)/2⌋ − 2 in −2 … 14.
    let most = positive_part(cs, &(half_rounded_up(cs, shape, &m)? - Fr::from(2u64)), log + 1)?;
    let left_out = minimum(cs, faulty, &most, 8)?;
    let kept = &m - &left_out;
    // −2 ≤ m − f' − 2 ≤ 30.
    let near = positive_part(cs, &(&kept - Fr::from(2u64)), log + 1)?;

    // How far a slot is from its nearest others, and its index, in one number: distinct, ordered as (far, index).
    let far_bits = DISTANCE_BITS + log;
    let key_bits = far_bits + log;
    let mut keys = Vec::with_capacity(n);
    for i in 0..n {
        let others = (0..n).filter(|&j| j != i).map(|j| {
            let twice = &gram.at(i, j).value + &gram.at(i, j).value;
            let distance = &gram.at(i, i).value + &gram.at(j, j).value - twice;
            // Shifted: 0 < distance ≤ 2^61 − 4. A slot that is not admissible is farther than all that are.
            masked(cs, &live[j], &(distance + pow2(DISTANCE_BITS - 1)), pow2(DISTANCE_BITS) - Fr::one())
        });
        let others = others.collect::<Result<Vec<_>>>()?;
        // The same shift, `near` times 2^60, is in all of them and changes no order. An admissible slot has m − 1 ≥ near
        // admissible others; how far a slot is that is not admissible does not matter.
        let far = smallest(cs, &others, &near, DISTANCE_BITS)?.sum;
        let key = far * Fr::from(n as u64) + Fr::from(i as u64);
        // far < (n − 1)·2^61, so a key is below n²·2^61 − 1, which stands for "not admissible".
        keys.push(masked(cs, &live[i], &key, pow2(key_bits) - Fr::one())?);
    }
    let selected = smallest(cs, &keys, &kept, key_bits)?.chosen;

    // along_i = Σ_j selected G_ij if i is selected, else 0: |along| < n·2^58. Σ along is ‖Σ w‖².
    let mut along = Vec::with_capacity(n);
    for i in 0..n {
        let terms = (0..n).map(|j| product(cs, &selected[j], &gram.at(i, j).value));
        let terms = terms.collect::<Result<Vec<_>>>()?;
        along.push(product(cs, &selected[i], &sum(cs, &terms)?)?);
    }
    let norm = square_root(cs, &sum(cs, &along)?, ENTRY_BITS / 2 + log)?;

    let mut scores = Vec::with_capacity(n);
    for i in 0..n {
        let length = square_root(cs, &product(cs, &live[i], &gram.at(i, i).value)?, ENTRY_BITS / 2)?;
        // length < 2^29, norm < 2^(29 + log). With no length or no norm: 0 / 1.
        let divisor = product(cs, &length, &norm)?;
        let none = is_zero(cs, &divisor)?;
        let forward = positive_part(cs, &along[i], ENTRY_BITS + log)?;
        let dividend = product(cs, &(constant(1u64) - &none), &forward)? * pow2(COSINE_BITS);
        // 0 ≤ quotient < 2^93, which a score of 96 bits has room for.
        scores.push(quotient(cs, &dividend, &(divisor + none), ENTRY_BITS + log + COSINE_BITS, ENTRY_BITS + log)?);
    }
    // A slot that is admissible was opened.
    let struck = opened.iter().zip(&live).map(|(opened, live)| opened - live).collect();
    Ok(Decision { selected, struck, coefficients: Vec::new(), scores })
}
