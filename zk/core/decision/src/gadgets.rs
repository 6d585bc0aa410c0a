//! Arithmetic of small integers inside the circuit.
//!
//! A [`Num`] is a field element that stands for an integer far smaller than the field; negative integers are P − |x|.
//! Each gadget says which range it asks of its operands and which range its result has, so that no equation between
//! integers can hold modulo P alone. Every value that is not a sum or product of others enters through [`hint`] and is
//! pinned by the constraints that follow it; a hint may be wrong, never trusted.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, One, PrimeField};
use ark_r1cs_std::GR1CSVar;
use ark_r1cs_std::alloc::AllocVar;
use ark_r1cs_std::fields::fp::{AllocatedFp, FpVar};
use ark_relations::gr1cs::{ConstraintSystemRef, LinearCombination, SynthesisError, Variable};

pub type Num = FpVar<Fr>;
pub type Cs = ConstraintSystemRef<Fr>;
pub type Result<T> = std::result::Result<T, SynthesisError>;

pub fn constant(value: impl Into<Fr>) -> Num {
    Num::Constant(value.into())
}

/// 2^n as a field element, n ≤ 253.
pub fn pow2(n: usize) -> Fr {
    Fr::from(2u64).pow([n as u64])
}

/// The integer of a small field element; 0 for one that is no small integer, which only a wrong witness has.
pub fn int(x: Fr) -> i128 {
    let small = |x: Fr| {
        let limbs = x.into_bigint().0;
        let low = u128::from(limbs[0]) | u128::from(limbs[1]) << 64;
        (limbs[2] == 0 && limbs[3] == 0).then(|| i128::try_from(low).ok()).flatten()
    };
    small(x).or_else(|| small(-x).map(|low| -low)).unwrap_or(0)
}

pub fn field(x: i128) -> Fr {
    let magnitude = Fr::from(x.unsigned_abs());
    if x < 0 { -magnitude } else { magnitude }
}

/// A value that the prover supplies. Nothing is known of it until it is constrained.
pub fn hint(cs: &Cs, value: impl FnOnce() -> Result<Fr>) -> Result<Num> {
    #[cfg(test)]
    let value = || value().map(crate::tampering::pass);
    Num::new_witness(cs.clone(), value)
}

/// a · b = c, one constraint.
pub fn enforce(cs: &Cs, a: &Num, b: &Num, c: &Num) -> Result<()> {
    #[cfg(test)]
    if crate::tampering::skipped() {
        return Ok(());
    }
    cs.enforce_r1cs_constraint(|| combination(a), || combination(b), || combination(c))
}

pub fn equal(cs: &Cs, a: &Num, b: &Num) -> Result<()> {
    enforce(cs, &(a - b), &constant(1u64), &constant(0u64))
}

/// a · b, one constraint.
pub fn product(cs: &Cs, a: &Num, b: &Num) -> Result<Num> {
    if let (Num::Constant(_), _) | (_, Num::Constant(_)) = (a, b) {
        return Ok(a * b);
    }
    let c = hint(cs, || Ok(a.value()? * b.value()?))?;
    enforce(cs, a, b, &c)?;
    Ok(c)
}

fn combination(x: &Num) -> LinearCombination<Fr> {
    match x {
        Num::Constant(value) => LinearCombination::from((*value, Variable::One)),
        Num::Var(allocated) => LinearCombination::from(allocated.variable),
    }
}

/// Σ c·x over the terms, without a constraint.
pub fn linear<'a>(cs: &Cs, terms: impl IntoIterator<Item = (Fr, &'a Num)>) -> Result<Num> {
    let terms: Vec<_> = terms.into_iter().collect();
    let value = terms.iter().try_fold(Fr::ZERO, |sum, (c, x)| x.value().ok().map(|x| sum + *c * x));
    let variable = cs.new_lc(|| {
        let mut all = LinearCombination(Vec::with_capacity(terms.len()));
        for (c, x) in &terms {
            match x {
                Num::Constant(x) => all.0.push((*c * x, Variable::One)),
                Num::Var(x) => all.0.push((*c, x.variable)),
            }
        }
        all.compactify();
        all
    })?;
    Ok(Num::Var(AllocatedFp::new(value, variable, cs.clone())))
}

pub fn sum<'a>(cs: &Cs, terms: impl IntoIterator<Item = &'a Num>) -> Result<Num> {
    linear(cs, terms.into_iter().map(|x| (Fr::one(), x)))
}

/// A hint that is 0 or 1.
pub fn bit(cs: &Cs, value: impl FnOnce() -> Result<bool>) -> Result<Num> {
    let b = hint(cs, || value().map(Fr::from))?;
    boolean(cs, &b)?;
    Ok(b)
}

fn boolean(cs: &Cs, b: &Num) -> Result<()> {
    enforce(cs, b, &(constant(1u64) - b), &constant(0u64))
}

/// The bits of x, lowest first, and with them 0 ≤ x < 2^n: n constraints, 1 ≤ n ≤ 252.
///
/// The highest bit is (x − Σ 2^k·b_k) / 2^(n−1), which needs no variable of its own.
pub fn bits(cs: &Cs, x: &Num, n: usize) -> Result<Vec<Num>> {
    let bit_of = |k: usize| x.value().map(|x| x.into_bigint().get_bit(k));
    let mut bits = (0..n - 1).map(|k| bit(cs, || bit_of(k))).collect::<Result<Vec<_>>>()?;
    let scale = pow2(n - 1).inverse().unwrap_or_default();
    let lower = bits.iter().enumerate().map(|(k, b)| (-pow2(k) * scale, b));
    let highest = linear(cs, lower.chain([(scale, x)]))?;
    boolean(cs, &highest)?;
    bits.push(highest);
    Ok(bits)
}

/// 0 ≤ x < 2^n.
pub fn in_range(cs: &Cs, x: &Num, n: usize) -> Result<()> {
    bits(cs, x, n).map(|_| ())
}

/// Whether x ≥ 0, as a bit, and with it −2^n ≤ x < 2^n.
pub fn not_negative(cs: &Cs, x: &Num, n: usize) -> Result<Num> {
    let bits = bits(cs, &(x + pow2(n)), n + 1)?;
    Ok(bits[n].clone())
}

/// max(0, x) where −2^n ≤ x < 2^n.
pub fn positive_part(cs: &Cs, x: &Num, n: usize) -> Result<Num> {
    let keep = not_negative(cs, x, n)?;
    product(cs, &keep, x)
}

/// min(a, b) where −2^n ≤ b − a < 2^n.
pub fn minimum(cs: &Cs, a: &Num, b: &Num, n: usize) -> Result<Num> {
    let first = not_negative(cs, &(b - a), n)?;
    select(cs, &first, a, b)
}

/// a if the bit is 1, else b.
pub fn select(cs: &Cs, bit: &Num, a: &Num, b: &Num) -> Result<Num> {
    Ok(b + product(cs, bit, &(a - b))?)
}

/// Whether x = 0, as a bit.
pub fn is_zero(cs: &Cs, x: &Num) -> Result<Num> {
    // z = 1 − x·inverse and x·z = 0: x ≠ 0 forces z = 0, x = 0 leaves z = 1.
    let inverse = hint(cs, || Ok(x.value()?.inverse().unwrap_or_default()))?;
    let z = constant(1u64) - product(cs, x, &inverse)?;
    enforce(cs, x, &z, &constant(0u64))?;
    Ok(z)
}

/// ⌊x / d⌋ where 0 ≤ x < 2^(q_bits), 1 ≤ d ≤ 2^(d_bits), q_bits + d_bits ≤ 250. No witness satisfies it for d = 0 or x < 0.
pub fn quotient(cs: &Cs, x: &Num, d: &Num, q_bits: usize, d_bits: usize) -> Result<Num> {
    // x = q·d + rest with 0 ≤ rest < d has one solution in the integers. q < 2^(q_bits), rest < 2^(d_bits) and
    // d = (d − 1 − rest) + 1 + rest ≤ 2^(d_bits + 1), so both sides are below 2^252 and equal as integers.
    debug_assert!(q_bits + d_bits <= 250);
    let q = hint(cs, || {
        let (x, d) = (int(x.value()?), int(d.value()?));
        Ok(field(x.checked_div_euclid(d).unwrap_or(0)))
    })?;
    in_range(cs, &q, q_bits)?;
    let rest = x - product(cs, &q, d)?;
    in_range(cs, &rest, d_bits)?;
    in_range(cs, &(d - &rest - Fr::one()), d_bits)?;
    Ok(q)
}

/// ⌊√x⌋ < 2^n where 0 ≤ x < 2^(2n), n ≤ 60. No witness satisfies it for x < 0.
pub fn square_root(cs: &Cs, x: &Num, n: usize) -> Result<Num> {
    // root² ≤ x ≤ root² + 2·root has one solution; all terms are below 2^(2n + 2).
    let root = hint(cs, || {
        let x = u128::try_from(int(x.value()?)).unwrap_or(0);
        Ok(Fr::from(x.isqrt()))
    })?;
    in_range(cs, &root, n)?;
    let rest = x - product(cs, &root, &root)?;
    in_range(cs, &rest, n + 1)?;
    in_range(cs, &(root.clone() + &root - &rest), n + 1)?;
    Ok(root)
}

/// What [`smallest`] found.
pub struct Smallest {
    /// A bit for each value: is it among the chosen?
    pub chosen: Vec<Num>,
    /// Not below any chosen value, not above any other.
    pub threshold: Num,
    /// The sum of the chosen values.
    pub sum: Num,
}

/// The `count` smallest of the values, each 0 ≤ value < 2^width, width ≤ 120: n·(width + 2) + 2 constraints.
///
/// Chosen values are ≤ the threshold, the others ≥ it, and `count` are chosen. So two solutions can differ only by equal
/// values: the sum is always one, and the set is too where the values differ. Values that must never be chosen are given
/// as larger than all others, with `count` no more than these others: choosing one would push the threshold up to it,
/// which forces every other value to be chosen as well, and these are already `count`.
pub fn smallest(cs: &Cs, values: &[Num], count: &Num, width: usize) -> Result<Smallest> {
    let picks = || -> Result<Vec<bool>> {
        let known = values.iter().map(|v| v.value().map(int)).collect::<Result<Vec<_>>>()?;
        let mut order: Vec<usize> = (0..known.len()).collect();
        order.sort_by_key(|&i| (known[i], i));
        let take = usize::try_from(int(count.value()?)).unwrap_or(0);
        let mut picks = vec![false; known.len()];
        order.iter().take(take).for_each(|&i| picks[i] = true);
        Ok(picks)
    };
    let picks = picks();
    let pick = |i: usize| picks.as_ref().map(|p| p[i]).map_err(|_| SynthesisError::AssignmentMissing);
    let chosen = (0..values.len()).map(|i| bit(cs, || pick(i))).collect::<Result<Vec<_>>>()?;
    // The largest chosen value; 0, which is below all, if none is.
    let threshold = hint(cs, || {
        let mut largest = 0;
        for (value, bit) in values.iter().zip(&chosen) {
            if bit.value()?.is_one() {
                largest = largest.max(int(value.value()?));
            }
        }
        Ok(field(largest))
    })?;
    let mut sum_terms = Vec::with_capacity(values.len() + 1);
    for (value, bit) in values.iter().zip(&chosen) {
        let over = value - &threshold;
        let chosen_over = product(cs, bit, &over)?;
        // over if not chosen, −over if chosen: both at least 0. Of a chosen a and another b, b − a is the sum of two
        // such numbers, below 2^(width + 1), hence b ≥ a in the integers, wherever the threshold lies.
        in_range(cs, &(over - &chosen_over - &chosen_over), width)?;
        sum_terms.push(chosen_over);
    }
    equal(cs, &sum(cs, &chosen)?, count)?;
    sum_terms.push(product(cs, count, &threshold)?);
    let sum = sum(cs, &sum_terms)?;
    Ok(Smallest { chosen, threshold, sum })
}

/// The value at the threshold of the `count` smallest is one of them, so it is the largest of them; 0 if there is none.
///
/// `any`: the bit that says whether `count` is not 0.
pub fn largest_chosen(cs: &Cs, values: &[Num], found: &Smallest, any: &Num) -> Result<Num> {
    let mut seen = false;
    let mut marks = Vec::with_capacity(values.len());
    let mut at = Vec::with_capacity(values.len());
    for (value, chosen) in values.iter().zip(&found.chosen) {
        let mark = bit(cs, || {
            let here = !seen && chosen.value()?.is_one() && value.value()? == found.threshold.value()?;
            seen |= here;
            Ok(here)
        })?;
        enforce(cs, &mark, &(constant(1u64) - chosen), &constant(0u64))?;
        at.push(product(cs, &mark, value)?);
        marks.push(mark);
    }
    equal(cs, &sum(cs, &marks)?, any)?;
    equal(cs, &sum(cs, &at)?, &found.threshold)?;
    Ok(found.threshold.clone())
}
