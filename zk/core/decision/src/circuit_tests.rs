//! The whole circuit: a prover who is wrong in one hint and computes all else from it proves nothing false.

use ark_bn254::Fr;
use ark_ff::{Field, One};
use ark_r1cs_std::GR1CSVar;
use ark_relations::gr1cs::{ConstraintSystem, SynthesisMode};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::circuit::{Circuit, constrain};
use crate::decision::Decision;
use crate::gadgets::{Num, field, int, pow2};
use crate::{Key, MAX_KEY_BYTES, Shape, Witness, tampering};

/// Six opened slots of eight, one of them zero, two equal, one far and against the first reference row, one that points along
/// it and against the second; f = 1.
const ROWS: [[i64; 4]; 8] = [
    [3, 1, -2, 5],
    [3, 1, -2, 5],
    [0, 0, 0, 0],
    [4, 0, -1, 6],
    [0, 0, 0, 0],
    [-30, -20, 9, -1],
    [5, 0, 0, -3],
    [0, 0, 0, 0],
];
const REFERENCES: [[i64; 4]; 2] = [[2, 1, -1, 3], [1, 1, -1, 4]];
const OPENED: u64 = 0b0110_1111;

pub fn witness(shape: Shape) -> Witness {
    witness_of(&ROWS, shape)
}

fn witness_of(rows: &[[i64; 4]; 8], shape: Shape) -> Witness {
    let dot = |a: &[i64; 4], b: &[i64; 4]| a.iter().zip(b).map(|(x, y)| x * y).sum();
    let rows: Vec<_> = rows.iter().chain(&REFERENCES).collect();
    let mut entries = vec![0; shape.entries()];
    for i in 0..shape.exponents().len() {
        for j in 0..shape.exponents().len() {
            entries[shape.place(i, j)] = dot(rows[i], rows[j]);
        }
    }
    Witness { entries, mu: Fr::from(1234u64), salt: Fr::from(99u64) }
}

fn pack(values: &[Num], bits: usize, count: usize) -> impl Iterator<Item = Fr> {
    let value = |x: &Num| x.value().unwrap();
    values.chunks(count).map(move |chunk| chunk.iter().enumerate().map(|(k, x)| value(x) * pow2(bits * k)).sum())
}

/// The public inputs with what this prover decides.
fn claim(inputs: &[Fr], decision: &Decision) -> Vec<Fr> {
    let selected: Fr = decision.selected.iter().enumerate().map(|(i, x)| x.value().unwrap() * pow2(32 + i)).sum();
    let mut claim = inputs[..4].to_vec();
    let struck: Fr = decision.struck.iter().enumerate().map(|(i, x)| x.value().unwrap() * pow2(72 + i)).sum();
    claim.push(Fr::from(OPENED) + selected + pow2(64) + struck);
    claim.extend(pack(&decision.coefficients, 13, 16));
    claim.extend(pack(&decision.scores, 96, 2));
    claim
}

/// What follows for the claim, and z, of a prover who gives wrong hints and states these inputs.
fn attempt(shape: Shape, inputs: &[Fr], witness: &Witness, wrong: &[(usize, Fr)]) -> (Vec<Fr>, Vec<Fr>, usize) {
    let cs = ConstraintSystem::new_ref();
    cs.set_mode(SynthesisMode::Prove { construct_matrices: false, generate_lc_assignments: false });
    let (decision, hints, _) = tampering::with(wrong, None, || constrain(&cs, shape, Some((inputs, witness))));
    let z = [cs.instance_assignment().unwrap(), cs.witness_assignment().unwrap()].concat();
    (claim(inputs, &decision.unwrap()), z, hints)
}

/// The same of one who states what follows.
fn cheat(shape: Shape, inputs: &[Fr], witness: &Witness, wrong: &[(usize, Fr)]) -> (Vec<Fr>, Vec<Fr>, usize) {
    let (claim, _, hints) = attempt(shape, inputs, witness, wrong);
    let (_, z, _) = attempt(shape, &claim, witness, wrong);
    (claim, z, hints)
}

pub fn honest(shape: Shape, witness: &Witness) -> Vec<Fr> {
    let (r, s) = (Fr::from(7u64), -Fr::from(3u64));
    let mut blank = vec![witness.hash(shape).unwrap(), r, s, witness.fold(shape, r, s).unwrap()];
    blank.push(Fr::from(OPENED) + pow2(64));
    blank.resize(shape.inputs(), Fr::from(0u64));
    cheat(shape, &blank, witness, &[]).0
}

fn no_wrong_hint_passes(id: u32, step: usize) {
    let shape = Shape::from_id(id).unwrap();
    let (circuit, witness) = (Circuit::new(shape).unwrap(), witness(shape));
    let inputs = honest(shape, &witness);
    circuit.solve(&inputs, &witness).unwrap();
    let (_, _, hints) = cheat(shape, &inputs, &witness, &[]);
    let deltas = [Fr::one(), -Fr::one(), pow2(20), -pow2(61), pow2(5).inverse().unwrap()];
    let passes = |k: &usize| {
        let hint = k * step;
        let (claim, z, _) = cheat(shape, &inputs, &witness, &[(hint, deltas[k % deltas.len()])]);
        let passes = circuit.satisfied(z).is_some();
        assert!(!passes || claim == inputs, "hint {hint} decides something else");
        passes
    };
    let free = (0..hints.div_ceil(step)).into_par_iter().filter(passes).count();
    // Only a threshold between two values may move.
    assert!(free * 20 < hints / step, "{free} hints out of {} are free", hints / step);
}

#[test]
fn no_wrong_hint_passes_under_krum_cosine() {
    no_wrong_hint_passes(108, 5);
}

#[test]
fn no_wrong_hint_passes_under_reference() {
    no_wrong_hint_passes(208, 5);
}

#[test]
fn of_slots_equally_far_none_but_the_lowest_is_kept() {
    let shape = Shape::from_id(108).unwrap();
    let mut rows = [[0; 4]; 8];
    rows[..3].fill([10, 0, 0, 0]);
    (rows[3], rows[5]) = ([10, 9, 0, 0], [10, -9, 0, 0]); // mirror images, one of which is left out
    let (circuit, witness) = (Circuit::new(shape).unwrap(), witness_of(&rows, shape));
    let inputs = honest(shape, &witness);
    // Slot 6 opened, and is zero.
    let masks = |selected: u64| Fr::from(OPENED) + Fr::from(selected) * pow2(32) + pow2(64) + pow2(72 + 6);
    assert_eq!(inputs[4], masks(0b00_1111));
    cheat(shape, &inputs, &witness, &[]);
    let mut tried = 0;
    for place in tampering::places(&[1, 1, 1, 1, 0, 0, 0, 0].map(|bit: u64| Fr::from(bit))) {
        let wrong = [(place + 3, -Fr::one()), (place + 5, Fr::one())];
        let (claim, z, _) = cheat(shape, &inputs, &witness, &wrong);
        if claim[4] == masks(0b10_0111) {
            assert!(circuit.satisfied(z).is_none(), "slot 5 may take the place of slot 3");
            tried += 1;
        }
    }
    assert_eq!(tried, 1);
}

#[test]
fn the_median_lies_on_a_norm_and_not_anywhere_up_to_the_next() {
    let shape = Shape::from_id(208).unwrap();
    let mut rows = ROWS;
    rows[5] = [30, 20, -9, 1]; // selected, and clipped to the median 39; the next norm is 53
    let (circuit, witness) = (Circuit::new(shape).unwrap(), witness_of(&rows, shape));
    let inputs = honest(shape, &witness);
    cheat(shape, &inputs, &witness, &[]);
    let mut tried = 0;
    for place in tampering::places(&[Fr::from(39u64)]) {
        let (claim, z, _) = cheat(shape, &inputs, &witness, &[(place, Fr::from(10u64))]);
        if claim != inputs {
            assert!(circuit.satisfied(z).is_none(), "hint {place} clips less");
            tried += 1;
        }
    }
    assert!(tried > 0);
}

#[test]
fn masks_and_f_have_one_reading() {
    // A slot more is opened, and struck since it is zero; f = 1 − (2^4 + 2^76)/2^64 makes up for it: the packed sum is the
    // same. Nor does f take the place of a strike.
    let shape = Shape::from_id(208).unwrap();
    let (circuit, witness) = (Circuit::new(shape).unwrap(), witness(shape));
    let inputs = honest(shape, &witness);
    let (slot, faulty) = (4, shape.slots);
    let more = pow2(slot) + pow2(72 + slot);
    let (_, z, _) =
        attempt(shape, &inputs, &witness, &[(slot, Fr::one()), (faulty, -(more * pow2(64).inverse().unwrap()))]);
    assert!(circuit.satisfied(z).is_none());
    let mut other = inputs.clone();
    other[4] += pow2(72);
    let (_, z, _) = attempt(shape, &other, &witness, &[(faulty, pow2(8))]);
    assert!(circuit.satisfied(z).is_none());
}

/// Nothing but these public inputs follows from the witness.
fn refused(circuit: &Circuit, inputs: &[Fr], at: usize, value: Fr, witness: &Witness) {
    let mut other = inputs.to_vec();
    other[at] = value;
    let error = circuit.solve(&other, witness).map(drop).unwrap_err().to_string();
    assert!(error.contains("does not give these selected slots, struck slots, coefficients and scores"), "{error}");
}

#[test]
fn nobody_is_struck_or_spared_but_by_the_rule() {
    // Slot 2 is zero; slot 5 is against the first reference row, which rule 1 does not have; 4 and 7 were not opened.
    for (id, struck) in [(108, 0b100), (208, 0b10_0100)] {
        let shape = Shape::from_id(id).unwrap();
        let (circuit, witness) = (Circuit::new(shape).unwrap(), witness(shape));
        let inputs = honest(shape, &witness);
        circuit.solve(&inputs, &witness).unwrap();
        let masks = int(inputs[4]);
        assert_eq!(masks >> 72, struck, "{id}");
        for slot in 0..32 {
            refused(&circuit, &inputs, 4, field(masks ^ 1 << (72 + slot)), &witness);
        }
        // Nor is it another slot; nor one slot twice; nor does another f make up for it.
        refused(&circuit, &inputs, 4, field(masks + (1 << 72)), &witness);
        refused(&circuit, &inputs, 4, field(masks + (struck << 72)), &witness);
        refused(&circuit, &inputs, 4, field(masks - (1 << 72) + (1 << 71)), &witness);
    }
}

#[test]
fn to_open_with_a_zero_update_is_not_to_stay_away() {
    for id in [108, 208] {
        let shape = Shape::from_id(id).unwrap();
        let (circuit, witness) = (Circuit::new(shape).unwrap(), witness(shape));
        let inputs = honest(shape, &witness);
        for bits in [1 << 2, 1 << 4, 1 << (72 + 2), 1 << (72 + 4)] {
            refused(&circuit, &inputs, 4, field(int(inputs[4]) ^ bits), &witness);
        }
        // Who opened is the contract's to say, and the circuit's to judge: either is right, with its strike.
        for slot in [2, 4] {
            let mut other = inputs.clone();
            other[4] = field(int(inputs[4]) ^ (1 << slot | 1 << (72 + slot)));
            circuit.solve(&other, &witness).unwrap();
        }
    }
}

#[test]
fn a_score_below_zero_is_stated_as_it_is() {
    let shape = Shape::from_id(208).unwrap();
    let (circuit, witness) = (Circuit::new(shape).unwrap(), witness(shape));
    let inputs = honest(shape, &witness);
    // Slot 6 is selected, whole, and has the product −7 with the second reference row.
    let (masks, score, at) = (int(inputs[4]), 7 * 4096, inputs.len() - 1);
    assert_eq!(masks >> 38 & 1, 1);
    assert_eq!(inputs[at], field(-score));
    for other in [score, 0, -score - 1, 1 - score, (1 << 96) - score, -score - (1 << 96)] {
        refused(&circuit, &inputs, at, field(other), &witness);
    }
}

#[test]
fn a_key_proves_and_survives_its_file() {
    let shape = Shape::from_id(208).unwrap();
    let witness = witness(shape);
    let inputs = honest(shape, &witness);
    let key = Key::set_up(shape, Some([1; 32])).unwrap();
    let bytes = key.to_bytes().unwrap();
    let read = Key::from_bytes(&bytes, false).unwrap();
    assert!(read.development());
    assert_eq!(read.verifying_key(), key.verifying_key());
    let (first, second) = (read.prove(&inputs, &witness).unwrap(), read.prove(&inputs, &witness).unwrap());
    assert!(first.chunks(32).zip(second.chunks(32)).all(|(a, b)| a != b));
}

#[test]
fn every_circuit_s_key_file_may_be_read() {
    for id in Shape::ALL {
        assert!(Key::max_file_bytes(Shape::from_id(id).unwrap()).unwrap() as u64 <= MAX_KEY_BYTES, "{id}");
    }
}

#[test]
fn a_damaged_key_file_is_refused() {
    let shape = Shape::from_id(208).unwrap();
    let bytes = Key::set_up(shape, Some([1; 32])).unwrap().to_bytes().unwrap();
    for length in [0, 10, 26, 27, bytes.len() - 1] {
        assert!(Key::from_bytes(&bytes[..length], false).is_err());
    }
    assert!(Key::from_bytes(&[&bytes[..], &[0]].concat(), false).is_err());
    for (at, name) in [(0, "magic"), (24, "circuit"), (25, "flags"), (26 + 64, "a point")] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(Key::from_bytes(&damaged, true).is_err(), "{name}");
    }
}
