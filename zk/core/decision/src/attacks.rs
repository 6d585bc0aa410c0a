//! Each gadget alone: right on every operand, and no wrong hint, and no missing constraint, goes unnoticed.
//!
//! Two attacks are mounted on every gadget, exhaustively. A prover makes one hint wrong and computes all later ones from
//! it: no result but the right one may satisfy the constraints. And a circuit lacks one constraint: then some wrong hint
//! has to pass, or else the constraint would hold nothing.

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero};
use ark_r1cs_std::GR1CSVar;
use ark_relations::gr1cs::ConstraintSystem;

use crate::gadgets::*;
use crate::gram::Entry;
use crate::reference::opposite;
use crate::shape::ENTRY_BITS;
use crate::{semidefinite, tampering};

type Gadget<'a> = &'a dyn Fn(&Cs, &[Num]) -> Result<Vec<Num>>;

/// The results of a gadget on operands, if its constraints are satisfied, and the number of hints and constraints.
fn run(
    gadget: Gadget<'_>,
    operands: &[i128],
    wrong: &[(usize, Fr)],
    skip: Option<usize>,
) -> (Option<Vec<Fr>>, usize, usize) {
    let cs = ConstraintSystem::new_ref();
    let operands = linear_operands(&cs, operands);
    let (results, hints, constraints) = tampering::with(wrong, skip, || gadget(&cs, &operands).unwrap());
    let satisfied = cs.is_satisfied().unwrap();
    let results = satisfied.then(|| results.iter().map(|x| x.value().unwrap()).collect());
    (results, hints, constraints)
}

fn linear_operands(cs: &Cs, operands: &[i128]) -> Vec<Num> {
    use ark_r1cs_std::alloc::AllocVar;
    operands.iter().map(|&x| Num::new_input(cs.clone(), || Ok(field(x))).unwrap()).collect()
}

fn honest(gadget: Gadget<'_>, operands: &[i128]) -> Option<Vec<i128>> {
    run(gadget, operands, &[], None).0.map(|results| results.into_iter().map(int).collect())
}

/// What a hint is changed by: neighbours, all powers of two, and inverses of them, which overflow a bit's weight.
fn deltas(width: usize) -> Vec<Fr> {
    let powers = (0..=width).map(pow2);
    let both = powers.flat_map(|p| [p, -p, p.inverse().unwrap(), -p.inverse().unwrap()]);
    both.collect()
}

/// No single wrong hint changes the result.
fn resists(gadget: Gadget<'_>, operands: &[i128], width: usize) {
    let (right, hints, _) = run(gadget, operands, &[], None);
    assert!(right.is_some(), "{operands:?} have no witness");
    for hint in 0..hints {
        for delta in deltas(width) {
            let (result, ..) = run(gadget, operands, &[(hint, delta)], None);
            assert!(result.is_none() || result == right, "hint {hint} of {operands:?} may be off by {delta}");
        }
    }
}

/// Without any one constraint, a wrong hint (or none) gives a wrong result on some of the operands, or a result where
/// there should be none.
fn needs_every_constraint(gadget: Gadget<'_>, cases: &[&[i128]], width: usize) {
    let (_, _, constraints) = run(gadget, cases[0], &[], None);
    for skip in 0..constraints {
        let noticed = cases.iter().any(|operands| {
            let (right, hints, _) = run(gadget, operands, &[], None);
            let accepted = |wrong: &[_]| run(gadget, operands, wrong, Some(skip)).0;
            let passes = |result: Option<Vec<Fr>>| result.is_some() && result != right;
            passes(accepted(&[]))
                || (0..hints).any(|hint| deltas(width).into_iter().any(|delta| passes(accepted(&[(hint, delta)]))))
        });
        assert!(noticed, "constraint {skip} of {constraints} holds nothing");
    }
}

#[test]
fn bits_are_those_of_the_number_and_bound_it() {
    let gadget: Gadget<'_> = &|cs, x| bits(cs, &x[0], 4);
    for x in 0..16 {
        assert_eq!(honest(gadget, &[x]).unwrap(), (0..4).map(|k| x >> k & 1).collect::<Vec<_>>());
        resists(gadget, &[x], 5);
    }
    for x in [-1, 16, 17, 31, 1 << 64] {
        for hint in 0..3 {
            for delta in deltas(8) {
                assert_eq!(run(gadget, &[x], &[(hint, delta)], None).0, None);
            }
        }
        assert_eq!(honest(gadget, &[x]), None);
    }
}

#[test]
fn every_bit_is_held_to_be_one() {
    // Without its constraint bit k takes what the others leave, and any number passes.
    let x = Fr::from(16 + 5u64);
    for k in 0..4 {
        let gadget: Gadget<'_> = &|cs, x| bits(cs, &x[0], 4).map(|bits| vec![bits[0].clone()]);
        // The wrong value is such that the highest bit, computed from the rest, is 0: bit k = (x − other bits) / 2^k.
        let delta = Fr::from(16u64) * pow2(k).inverse().unwrap();
        let wrong: Vec<_> = (k < 3).then_some((k, delta)).into_iter().collect();
        assert!(run(gadget, &[int(x)], &wrong, Some(k)).0.is_some());
        assert!(run(gadget, &[int(x)], &wrong, None).0.is_none());
    }
}

#[test]
fn a_sign_is_right_up_to_its_range_and_refused_beyond() {
    let gadget: Gadget<'_> = &|cs, x| not_negative(cs, &x[0], 3).map(|bit| vec![bit]);
    for x in -8..8 {
        assert_eq!(honest(gadget, &[x]).unwrap(), [i128::from(x >= 0)]);
        resists(gadget, &[x], 4);
    }
    assert_eq!(honest(gadget, &[8]), None);
    assert_eq!(honest(gadget, &[-9]), None);
}

#[test]
fn minimum_and_positive_part_are_right() {
    let gadget: Gadget<'_> = &|cs, x| Ok(vec![minimum(cs, &x[0], &x[1], 3)?, positive_part(cs, &x[0], 3)?]);
    for a in -4..4 {
        for b in -4..4 {
            assert_eq!(honest(gadget, &[a, b]).unwrap(), [a.min(b), a.max(0)]);
        }
    }
    resists(gadget, &[-2, 3], 4);
    resists(gadget, &[3, -2], 4);
}

#[test]
fn zero_is_told_from_all_else() {
    let gadget: Gadget<'_> = &|cs, x| is_zero(cs, &x[0]).map(|z| vec![z]);
    for (x, z) in [(0, 1), (1, 0), (-1, 0), (1 << 100, 0)] {
        assert_eq!(honest(gadget, &[x]).unwrap(), [z]);
        resists(gadget, &[x], 4);
    }
    needs_every_constraint(gadget, &[&[0], &[3], &[1]], 4);
}

#[test]
fn a_quotient_is_the_floor() {
    let gadget: Gadget<'_> = &|cs, x| quotient(cs, &x[0], &x[1], 5, 3).map(|q| vec![q]);
    for x in 0..32 {
        for d in 1..=8 {
            assert_eq!(honest(gadget, &[x, d]).unwrap(), [x / d]);
        }
    }
    for (x, d) in [(0, 0), (7, 0), (-1, 3), (-8, 2), (9, -2)] {
        assert_eq!(honest(gadget, &[x, d]), None);
    }
    for (x, d) in [(0, 1), (17, 5), (31, 1), (15, 5), (14, 8), (31, 8)] {
        resists(gadget, &[x, d], 6);
    }
}

#[test]
fn a_quotient_needs_each_of_its_ranges() {
    // Of q, rest and d − 1 − rest, leave out the range of one: the equation alone holds too little.
    let lax = |parts: [bool; 3]| {
        move |cs: &Cs, x: &[Num]| {
            let q = hint(cs, || Ok(field(int(x[0].value()?) / int(x[1].value()?))))?;
            let rest = &x[0] - product(cs, &q, &x[1])?;
            let ranges = [(q.clone(), 5), (rest.clone(), 3), (&x[1] - &rest - Fr::one(), 3)];
            for (range, on) in ranges.into_iter().zip(parts) {
                if on {
                    in_range(cs, &range.0, range.1)?;
                }
            }
            Ok(vec![q])
        }
    };
    let third = field(3).inverse().unwrap();
    // 17 / 3 in the field: an exact quotient that is no small number; one less; one more.
    for (parts, delta) in [
        ([false, true, true], field(17) * third - field(5)),
        ([true, false, true], field(1)),
        ([true, true, false], field(-1)),
    ] {
        assert!(run(&lax(parts), &[17, 3], &[(0, delta)], None).0.is_some());
        assert!(run(&lax([true; 3]), &[17, 3], &[(0, delta)], None).0.is_none());
    }
}

#[test]
fn a_square_root_is_the_floor() {
    let gadget: Gadget<'_> = &|cs, x| square_root(cs, &x[0], 4).map(|root| vec![root]);
    for x in 0..256 {
        assert_eq!(honest(gadget, &[x]).unwrap(), [x.isqrt()]);
    }
    for x in [-1, -4, 256, 257, 1000] {
        assert_eq!(honest(gadget, &[x]), None);
    }
    for x in [0, 1, 15, 16, 24, 255] {
        resists(gadget, &[x], 5);
    }
    // −4 is no square root of 16.
    assert_eq!(run(gadget, &[16], &[(0, field(-8))], None).0, None);
}

fn chosen_of(values: &[i128], count: usize) -> Vec<i128> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&i| values[i]);
    (0..values.len()).map(|i| i128::from(order[..count].contains(&i))).collect()
}

#[test]
fn the_smallest_of_distinct_values_are_one_set() {
    let gadget: Gadget<'_> = &|cs, x| Ok(smallest(cs, &x[1..], &x[0], 4)?.chosen);
    let values = [9, 3, 15, 0];
    for count in 0..=4 {
        let operands = [&[count as i128], &values[..]].concat();
        assert_eq!(honest(gadget, &operands).unwrap(), chosen_of(&values, count));
        resists(gadget, &operands, 5);
    }
    assert_eq!(honest(gadget, &[5, 9, 3, 15, 0]), None);
    assert_eq!(honest(gadget, &[-1, 9, 3, 15, 0]), None);
}

#[test]
fn no_other_set_of_the_same_size_passes_whatever_the_threshold() {
    let gadget: Gadget<'_> = &|cs, x| Ok(smallest(cs, &x[1..], &x[0], 4)?.chosen);
    let values = [9, 3, 15, 0];
    for set in 0..16i128 {
        let bits: Vec<i128> = (0..4).map(|i| set >> i & 1).collect();
        let count: i128 = bits.iter().sum();
        let right = chosen_of(&values, count as usize);
        let mut wrong: Vec<_> = (0..4).map(|i| (i, field(bits[i] - right[i]))).collect();
        let largest = (0..4).map(|i| bits[i] * values[i]).max().unwrap();
        for threshold in -20..40 {
            // Hint 4 is the threshold, which follows the bits.
            wrong.push((4, field(threshold - largest)));
            let (result, ..) = run(gadget, &[&[count], &values[..]].concat(), &wrong, None);
            assert!(result.is_none() || bits == right, "{bits:?} at {threshold}");
            wrong.pop();
        }
    }
}

#[test]
fn equal_values_leave_the_sum_and_the_largest_as_they_are() {
    let gadget: Gadget<'_> = &|cs, x| {
        let found = smallest(cs, &x[1..], &x[0], 4)?;
        let any = constant(1u64) - is_zero(cs, &x[0])?;
        Ok(vec![found.sum.clone(), largest_chosen(cs, &x[1..], &found, &any)?])
    };
    let values = [7, 2, 7, 7, 2];
    for (count, sum, largest) in [(0, 0, 0), (1, 2, 2), (2, 4, 2), (3, 11, 7), (4, 18, 7), (5, 25, 7)] {
        let operands = [&[count], &values[..]].concat();
        assert_eq!(honest(gadget, &operands).unwrap(), [sum, largest]);
        resists(gadget, &operands, 5);
    }
}

/// Satisfied, and wrong, without constraint `skip`; refused with it.
fn only_held_by(gadget: Gadget<'_>, operands: &[i128], skip: usize, wrong: &[(usize, i128)]) {
    let wrong: Vec<_> = wrong.iter().map(|&(hint, delta)| (hint, field(delta))).collect();
    let right = run(gadget, operands, &[], None).0;
    let result = run(gadget, operands, &wrong, Some(skip)).0;
    assert!(
        right.is_some() && result.is_some() && result != right,
        "{wrong:?} on {operands:?} without {skip}: {result:?}"
    );
    assert_eq!(run(gadget, operands, &wrong, None).0, None);
}

// Hints of `smallest` on n values of w bits: n bits, the threshold, then for each value a product and w − 1 bits, then
// the product for the sum. Constraints: n of bits; for each value that of the product and w of bits; the count; the sum's.

#[test]
fn the_smallest_need_each_constraint() {
    let gadget: Gadget<'_> = &|cs, x| {
        let found = smallest(cs, &x[1..], &x[0], 4)?;
        Ok([found.chosen, vec![found.sum]].concat())
    };
    let product_hint = |value: usize| 4 + 4 * value;
    let product_constraint = |value: usize| 3 + 5 * value;
    // One "bit" of 2 makes two of one: of 0, 5, 6, take 0 twice.
    only_held_by(gadget, &[2, 0, 5, 6], 0, &[(0, 1), (1, -1)]);
    only_held_by(gadget, &[2, 5, 0, 6], 1, &[(1, 1), (0, -1)]);
    only_held_by(gadget, &[2, 6, 5, 0], 2, &[(2, 1), (1, -1)]);
    // Of 0 and 5 take 5: the threshold is 5, 0 − 5 is below it and not chosen, and its product says −5 all the same.
    only_held_by(gadget, &[1, 0, 5, 9], product_constraint(0), &[(0, -1), (1, 1), (product_hint(0), -5)]);
    // The same with 9, for the second value.
    only_held_by(gadget, &[2, 0, 5, 9], product_constraint(1), &[(1, -1), (2, 1), (product_hint(1), -4)]);
    // More than were asked for; another sum.
    only_held_by(gadget, &[1, 0, 5, 9], product_constraint(3), &[(1, 1)]);
    only_held_by(gadget, &[1, 0, 5, 9], product_constraint(3) + 1, &[(product_hint(3), 1)]);
}

#[test]
fn the_largest_chosen_needs_each_constraint() {
    let gadget: Gadget<'_> = &|cs, x| {
        let found = smallest(cs, &x[1..], &x[0], 4)?;
        Ok(vec![largest_chosen(cs, &x[1..], &found, &constant(1u64))?])
    };
    // After `smallest` of three values: for each value a mark, and its product with the value; two constraints for the
    // mark, one for the product; then the marks' sum and the threshold's.
    let (hints, constraints) = (4 + 4 * 3 + 1, 3 + 5 * 3 + 2);
    let mark = |value: usize| hints + 2 * value;
    let held = |value: usize, which: usize| constraints + 3 * value + which;
    let threshold = 3;
    // 7 of 2, 7, 9 is the largest of two. With the threshold at 8 no mark fits, or a mark's product lies.
    only_held_by(gadget, &[2, 2, 7, 9], constraints + 10, &[(threshold, 1), (mark(1), 1)]);
    only_held_by(gadget, &[2, 2, 7, 9], held(1, 2), &[(threshold, 1), (mark(1), 1), (mark(1) + 1, 1)]);
    // The threshold at 9, marked at a value that is not chosen.
    only_held_by(gadget, &[2, 2, 7, 9], held(2, 1), &[(threshold, 2), (mark(2), 1)]);
    // No mark at all and a threshold of 0 is below the chosen; two marks: 2 + 7 = 9.
    only_held_by(gadget, &[2, 2, 7, 9], constraints + 9, &[(threshold, 2), (mark(0), 1), (mark(1), 1)]);
    // A mark of −1: 7 + 7 − 5 = 9 of 5, 7, 7.
    only_held_by(gadget, &[3, 5, 7, 7], held(0, 0), &[(threshold, 2), (mark(0), -1), (mark(1), 1), (mark(2), 1)]);
}

/// Operands, the constraint that is left out, and what the hints are changed by.
type Attack<'a> = (&'a [i128], usize, &'a [(usize, Fr)]);

/// The operands as the lower triangle of a matrix of two rows: G_00, G_10, G_11.
const OF_TWO_ROWS: Gadget<'_> = &|cs, x| semidefinite::enforce(cs, 2, |i, j| &x[i + j]).map(|()| Vec::new());

#[test]
fn a_matrix_of_two_rows_is_semidefinite_or_has_no_witness() {
    let top = (1 << 58) - 1;
    for (a, b, c) in [(0, 0, 0), (1, 0, 1), (4, 6, 9), (1, -1, 1), (top, top, top), (top, -top, top), (1, top / 2, top)]
    {
        let semidefinite = a * c >= b * b;
        assert_eq!(honest(OF_TWO_ROWS, &[a, b, c]).is_some(), semidefinite, "{a} {b} {c}");
    }
    for (a, b, c) in [(-1, 0, 4), (4, 0, -1), (4, 5, 4), (4, -5, 4), (0, 1 << 30, top), (1, 1 << 30, top), (1, 2, 3)] {
        assert_eq!(honest(OF_TWO_ROWS, &[a, b, c]), None, "{a} {b} {c}");
    }
}

// Hints on two rows, W being FACTOR: the values of L_00, L_10, L_11, 0 where there is no factor, and after each the bits of its
// range, W − 1 of them on the diagonal and W off it; then for each entry of G its products, 1, 1 and 2 of them, and the
// bits of what they leave, W on the diagonal and W − 1 off it. Constraints: one more than bits for each range, and one for
// each product. Each range ends with its highest bit: without that constraint it holds nothing.

#[test]
fn semidefinite_needs_each_range_and_each_product() {
    const W: usize = 67;
    let factor = [0, W, 2 * W + 1];
    let factor_held = [W - 1, 2 * W, 3 * W];
    let hints = 3 * W + 1;
    let product = [hints, hints + W + 1, hints + 2 * W + 1, hints + 2 * W + 2];
    let constraints = 3 * W + 1;
    let product_held = [constraints, constraints + W + 2, constraints + 2 * W + 3, constraints + 2 * W + 4];
    let rest_held = [constraints + W + 1, constraints + 2 * W + 2, constraints + 3 * W + 5];
    let one = pow2(2 * semidefinite::FRACTION);
    let shift = Fr::from(6u64) * pow2(W - 1);
    // A root of −1 at this scale, up to what a root may leave: no integer.
    let root = (0..).find_map(|left: u64| (shift - one - Fr::from(left)).sqrt()).unwrap();
    // A root of 4 at this scale and of the shift, likewise.
    let four = field((1 << (semidefinite::FRACTION + 1)) + (1 << 28));
    let negative_first = [-1, 0, 4];
    let negative_last = [4, 0, -1];
    let alike = [4, 5, 4];
    // No norm, a large product and a negative norm. L_00 = 2^34, L_10 = p/2^34 and L_11 fit: p is 2^76 times the product, and less
    // than 2^66, and p² = 17·P − 2^68·k, so L_10² = −k, of which the negative norm times 2^76 is the most.
    let absurd = [0, 8073284176005365, -9995281135331639];
    let p = field(absurd[1]) * one - field(55705051734341376279);
    let absurd_factor =
        [(factor[0], pow2(34)), (factor[1], p * pow2(34).inverse().unwrap()), (factor[2], field(187124698760))];
    let cases: [Attack<'_>; 10] = [
        // The ranges of L_00, L_10, L_11.
        (&negative_first, factor_held[0], &[(factor[0], root), (factor[2], four)]),
        (&absurd, factor_held[1], &absurd_factor),
        (&negative_last, factor_held[2], &[(factor[0], four), (factor[2], root)]),
        // What is left on the diagonal, off it, and on it again.
        (&negative_first, rest_held[0], &[(factor[2], four)]),
        (&alike, rest_held[1], &[(factor[0], four), (factor[2], four)]),
        (&negative_last, rest_held[2], &[(factor[0], four)]),
        // The products: any number in place of each.
        (&negative_first, product_held[0], &[(factor[2], four), (product[0], shift - one)]),
        (&alike, product_held[1], &[(factor[0], four), (factor[2], four), (product[1], field(5) * one)]),
        (&negative_last, product_held[2], &[(factor[0], four), (product[2], shift - one)]),
        (&negative_last, product_held[3], &[(factor[0], four), (product[3], shift - one)]),
    ];
    for (operands, skip, wrong) in cases {
        assert!(run(OF_TWO_ROWS, operands, wrong, Some(skip)).0.is_some(), "{operands:?} without {skip}");
        assert!(run(OF_TWO_ROWS, operands, wrong, None).0.is_none(), "{operands:?}");
    }
}

/// Of a product of two vectors and their squared lengths, each below 2^2.
const OPPOSITE: Gadget<'_> = &|cs, x| is_opposite(cs, x, 2);

fn is_opposite(cs: &Cs, x: &[Num], n: usize) -> Result<Vec<Num>> {
    let positive = bits(cs, &(&x[0] + pow2(n) - Fr::one()), n + 1)?[n].clone();
    let none = is_zero(cs, &x[2])?;
    opposite(cs, &Entry { value: x[0].clone(), positive }, &x[1], &x[2], &none, n).map(|bit| vec![bit])
}

#[test]
fn opposite_is_a_cosine_of_at_most_minus_one_half() {
    // A product of vectors or not: without a direction, y = 0, it is negative or it is none.
    for a in -3..=4 {
        for x in 1..=4 {
            for y in 0..=4 {
                let right = i128::from(a < 0 && 4 * a * a >= x * y);
                assert_eq!(honest(OPPOSITE, &[a, x, y]).unwrap(), [right], "{a} {x} {y}");
                resists(OPPOSITE, &[a, x, y], 7);
            }
        }
    }
    // One below, at, and one above the bound; and no direction.
    needs_every_constraint(OPPOSITE, &[&[-1, 1, 3], &[-1, 2, 2], &[-1, 4, 1], &[-1, 3, 2], &[0, 1, 0], &[2, 4, 4]], 7);
}

#[test]
fn opposite_is_right_for_the_largest_operands() {
    let gadget: Gadget<'_> = &|cs, x| is_opposite(cs, x, ENTRY_BITS);
    let (top, half) = (1i128 << ENTRY_BITS, 1i128 << (ENTRY_BITS - 1));
    for (a, x, y, right) in [
        (1 - top, 1, 1, 1),
        (1 - top, top, top, 1),
        (-half, top, top, 1),
        (1 - half, top, top, 0),
        (1 - half, top - 1, top - 1, 0),
        (1 - half, top - 2, top - 2, 1),
        (-1, top, top, 0),
        (0, top, top, 0),
        (0, top, 0, 0),
        (-1, top, 0, 1),
        (1 - top, top, 0, 1),
        (top, top, top, 0),
        (top, 1, 0, 0),
    ] {
        assert_eq!(honest(gadget, &[a, x, y]).unwrap(), [right], "{a} {x} {y}");
    }
}

#[test]
fn operands_beyond_their_range_have_no_witness() {
    let gadget: Gadget<'_> = &|cs, x| Ok(smallest(cs, x, &constant(1u64), 4)?.chosen);
    assert_eq!(honest(gadget, &[0, 40]), None);
    assert!(Fr::zero() != pow2(253));
}
