//! The whole statement as constraints: ranges, hash, y, the matrix, rule, and the public inputs they have to meet.

use ark_bn254::Fr;
use ark_ff::{BigInteger, One, PrimeField};
use ark_r1cs_std::GR1CSVar;
use ark_r1cs_std::alloc::AllocVar;
use ark_relations::gr1cs::{
    ConstraintSystem, Matrix, OptimizationGoal, R1CS_PREDICATE_LABEL, SynthesisError, SynthesisMode,
};
use rayon::prelude::*;

use crate::decision::Decision;
use crate::error::{Error, Result};
use crate::gadgets::{self, Cs, Num, bit, equal, hint, in_range, linear, pow2};
use crate::gram::{Gram, Witness};
use crate::shape::{COEFFICIENT_BITS, COEFFICIENTS_PACKED, Rule, SCORE_BITS, SCORES_PACKED, Shape};
use crate::{krum_cosine, reference, semidefinite};

/// Public inputs 0 … 3; input 4 has the masks and f, at the bits that follow.
const GRAM_HASH: usize = 0;
const R: usize = 1;
const S: usize = 2;
const Y: usize = 3;
const SELECTED_AT: usize = 32;
const FAULTY_AT: usize = 64;
/// The width of `maxFaulty` in a job's terms.
const FAULTY_BITS: usize = 8;
const STRUCK_AT: usize = FAULTY_AT + FAULTY_BITS;

/// The constraints of one shape, kept as matrices: (A·z) ∘ (B·z) = C·z for z = (1, public inputs, private values).
#[derive(Clone)]
pub struct Circuit {
    shape: Shape,
    values: usize,
    pub(crate) matrices: Vec<Matrix<Fr>>,
}

/// Values that satisfy a circuit: z, and A·z and B·z, a value for each constraint. No Debug: z must not reach a log.
pub struct Solution {
    pub(crate) z: Vec<Fr>,
    pub(crate) a: Vec<Fr>,
    pub(crate) b: Vec<Fr>,
}

impl Circuit {
    pub fn new(shape: Shape) -> Result<Self> {
        let cs = ConstraintSystem::new_ref();
        cs.set_optimization_goal(OptimizationGoal::Constraints);
        cs.set_mode(SynthesisMode::Setup);
        constrain(&cs, shape, None)?;
        cs.finalize();
        let matrices = cs.to_matrices()?.remove(R1CS_PREDICATE_LABEL).unwrap_or_default();
        Ok(Self { shape, values: cs.num_instance_variables() + cs.num_witness_variables(), matrices })
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    pub fn constraints(&self) -> usize {
        self.matrices.first().map_or(0, Vec::len)
    }

    /// The length of z.
    pub fn values(&self) -> usize {
        self.values
    }

    /// z for these public inputs and witness, whether or not it satisfies the constraints.
    pub fn assign(&self, inputs: &[Fr], witness: &Witness) -> Result<Vec<Fr>> {
        witness.check(self.shape)?;
        let (shape, given, required) = (self.shape, inputs.len(), self.shape.inputs());
        if given != required {
            return Err(Error::new(format!("circuit {shape} has {required} public inputs, {given} were given")));
        }
        let cs = ConstraintSystem::new_ref();
        cs.set_mode(SynthesisMode::Prove { construct_matrices: false, generate_lc_assignments: false });
        constrain(&cs, self.shape, Some((inputs, witness)))?;
        let mut z = cs.instance_assignment()?;
        z.extend(cs.witness_assignment()?);
        Ok(z)
    }

    /// The solution that z is, if it satisfies every constraint.
    pub fn satisfied(&self, z: Vec<Fr>) -> Option<Solution> {
        let [a, b, c] = self.matrices.as_slice() else { return None };
        let row = |terms: &Vec<(Fr, usize)>| -> Fr {
            terms.iter().map(|&(k, at)| if k.is_one() { z[at] } else { k * z[at] }).sum()
        };
        let sides = a.par_iter().zip(b).zip(c).map(|((a, b), c)| {
            let (a, b) = (row(a), row(b));
            (a * b == row(c)).then_some((a, b))
        });
        let (a, b) = sides.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        Some(Solution { z, a, b })
    }

    /// Values for public inputs that follow from the witness; otherwise a sentence for what does not.
    pub fn solve(&self, inputs: &[Fr], witness: &Witness) -> Result<Solution> {
        let z = self.assign(inputs, witness)?;
        if let Some(solution) = self.satisfied(z) {
            return Ok(solution);
        }
        let shape = self.shape;
        Err(Error::new(if witness.hash(shape)? != inputs[GRAM_HASH] {
            "the Gram hash is not that of this Gram matrix, mask and salt".to_owned()
        } else if witness.fold(shape, inputs[R], inputs[S])? != inputs[Y] {
            "y is not what r and s make of this Gram matrix and mask".to_owned()
        } else if !witness.semidefinite(shape) {
            "this is no Gram matrix: no real vectors have these products".to_owned()
        } else {
            format!(
                "circuit {shape} does not give these selected slots, struck slots, coefficients and scores for this Gram \
                 matrix"
            )
        }))
    }
}

/// The circuit. Without public inputs and witness only its shape is built. Returns the decision, bound to the inputs.
pub(crate) fn constrain(cs: &Cs, shape: Shape, known: Option<(&[Fr], &Witness)>) -> gadgets::Result<Decision> {
    let missing = SynthesisError::AssignmentMissing;
    let inputs = (0..shape.inputs())
        .map(|k| Num::new_input(cs.clone(), || known.map(|(inputs, _)| inputs[k]).ok_or(missing)))
        .collect::<gadgets::Result<Vec<_>>>()?;
    let [gram_hash, r, s, y, masks, packed @ ..] = inputs.as_slice() else {
        return Err(SynthesisError::Unsatisfiable);
    };

    let opened = (0..shape.slots)
        .map(|i| bit(cs, || Ok(masks.value()?.into_bigint().get_bit(i))))
        .collect::<gadgets::Result<Vec<_>>>()?;
    let faulty = hint(cs, || Ok(Fr::from(masks.value()?.into_bigint().0[FAULTY_AT / 64] & ((1 << FAULTY_BITS) - 1))))?;
    in_range(cs, &faulty, FAULTY_BITS)?;

    let gram = Gram::new(cs, shape, known.map(|(_, witness)| witness), &opened)?;
    equal(cs, &gram.hash(cs)?, gram_hash)?;
    equal(cs, &gram.fold(cs, r, s)?, y)?;
    semidefinite::enforce(cs, shape.rows(), |i, j| &gram.at(i, j).value)?;
    let decision = decide(cs, shape, &gram, &opened, &faulty)?;

    // Masks and f have few enough bits that the sum has one reading; so have coefficients. Scores are digits that may be
    // negative: two pairs of them, each below 2^95, differ by less than 2^193 in their sums, so sums equal modulo P are
    // equal, and of the first digits, which then differ by a multiple of 2^96, and by less than that, as of the second.
    let opened = opened.iter().enumerate().map(|(i, bit)| (pow2(i), bit));
    let selected = decision.selected.iter().enumerate().map(|(i, bit)| (pow2(SELECTED_AT + i), bit));
    let struck = decision.struck.iter().enumerate().map(|(i, bit)| (pow2(STRUCK_AT + i), bit));
    let all = linear(cs, opened.chain(selected).chain([(pow2(FAULTY_AT), &faulty)]).chain(struck))?;
    equal(cs, &all, masks)?;
    let coefficients = decision.coefficients.chunks(COEFFICIENTS_PACKED).map(|chunk| (chunk, COEFFICIENT_BITS));
    let scores = decision.scores.chunks(SCORES_PACKED).map(|chunk| (chunk, SCORE_BITS));
    for ((chunk, width), input) in coefficients.chain(scores).zip(packed) {
        let all = linear(cs, chunk.iter().enumerate().map(|(k, x)| (pow2(width * k), x)))?;
        equal(cs, &all, input)?;
    }
    Ok(decision)
}

/// A rule's circuit: a third rule is one more file and one more line here.
fn decide(cs: &Cs, shape: Shape, gram: &Gram, opened: &[Num], faulty: &Num) -> gadgets::Result<Decision> {
    match shape.rule {
        Rule::KrumCosine => krum_cosine::decide(cs, shape, gram, opened, faulty),
        Rule::Reference => reference::decide(cs, shape, gram, opened),
    }
}
