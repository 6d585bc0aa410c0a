//! The private side: the Gram matrix, its mask and salt, and how both circuits bind them.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, One};

use crate::error::{Error, Result};
use crate::gadgets::{self, Cs, Num, bits, constant, enforce, hint, linear, pow2, product, sum};
use crate::shape::{ENTRY_BITS, Shape};
use crate::{poseidon, semidefinite};

/// G_ij + OFFSET is in 0 … 2^59 − 1, and its highest bit says G_ij > 0.
const OFFSET: i64 = (1 << ENTRY_BITS) - 1;
/// 59-bit numbers to a field element of the hash.
const PACKED: usize = 4;

/// What only the prover knows.
#[derive(Debug, Clone)]
pub struct Witness {
    /// The upper triangle of G over all n_max slots, row by row, diagonal included, zero where a slot is not opened. Then,
    /// for rule `reference`, ⟨w_i, v0⟩ by slot, ⟨w_i, u⟩ by slot, ⟨v0, v0⟩, ⟨v0, u⟩, ⟨u, u⟩. All |·| < 2^58.
    pub entries: Vec<i64>,
    /// The mask of y: N·m₀ of the Gram proof.
    pub mu: Fr,
    /// A random element that hides G in the hash.
    pub salt: Fr,
}

impl Witness {
    /// A sentence for what is missing or out of range.
    pub fn check(&self, shape: Shape) -> Result<()> {
        let (given, required) = (self.entries.len(), shape.entries());
        if given != required {
            return Err(Error::new(format!("circuit {shape} needs {required} entries of G, {given} were given")));
        }
        match self.entries.iter().find(|g| g.unsigned_abs() >> ENTRY_BITS != 0) {
            Some(g) => Err(Error::new(format!("an entry of G is {g}: it has to be below 2^{ENTRY_BITS}"))),
            None => Ok(()),
        }
    }

    /// Whether real vectors have these products, up to the slack of [`semidefinite`].
    pub fn semidefinite(&self, shape: Shape) -> bool {
        semidefinite::factor(shape.rows(), |i, j| self.entries[shape.place(i, j)].into()).is_some()
    }

    /// gramHash: the sponge over the circuit id, the entries four to an element, μ, salt.
    pub fn hash(&self, shape: Shape) -> Result<Fr> {
        self.check(shape)?;
        let packed = self.entries.chunks(PACKED).map(|chunk| {
            let shifted = chunk.iter().map(|&g| Fr::from(g) + Fr::from(OFFSET));
            shifted.rev().fold(Fr::ZERO, |sum, g| sum * pow2(ENTRY_BITS + 1) + g)
        });
        let id = Fr::from(shape.id());
        let elements: Vec<Fr> = std::iter::once(id).chain(packed).chain([self.mu, self.salt]).collect();
        Ok(poseidon::hash(&elements))
    }

    /// y = Σ r^{e_i}·s^{e_j}·G_ij + μ over all ordered pairs of positions.
    pub fn fold(&self, shape: Shape, r: Fr, s: Fr) -> Result<Fr> {
        self.check(shape)?;
        let exponents = shape.exponents();
        let mut y = self.mu;
        for (i, &e) in exponents.iter().enumerate() {
            let at = |j| Fr::from(self.entries[shape.place(i, j)]);
            let row: Fr = exponents.iter().enumerate().map(|(j, &e)| s.pow([e]) * at(j)).sum();
            y += r.pow([e]) * row;
        }
        Ok(y)
    }
}

/// An entry in the circuit, −2^58 < value ≤ 2^58, and whether it is positive.
#[derive(Clone)]
pub struct Entry {
    pub value: Num,
    pub positive: Num,
}

/// The Gram matrix in the circuit, range-checked, and zero in the rows of slots that were not opened.
pub struct Gram {
    shape: Shape,
    entries: Vec<Entry>,
    mu: Num,
    salt: Num,
}

impl Gram {
    /// opened: n_max bits.
    pub fn new(cs: &Cs, shape: Shape, witness: Option<&Witness>, opened: &[Num]) -> gadgets::Result<Self> {
        let missing = ark_relations::gr1cs::SynthesisError::AssignmentMissing;
        let known = |value: Option<Fr>| value.ok_or(missing);
        let values: Vec<Option<i64>> = match witness {
            Some(witness) => witness.entries.iter().copied().map(Some).collect(),
            None => vec![None; shape.entries()],
        };
        let mut entries = Vec::with_capacity(values.len());
        for value in values {
            let value = hint(cs, || known(value.map(Fr::from)))?;
            let bits = bits(cs, &(&value + Fr::from(OFFSET)), ENTRY_BITS + 1)?;
            entries.push(Entry { value, positive: bits[ENTRY_BITS].clone() });
        }
        let mu = hint(cs, || known(witness.map(|w| w.mu)))?;
        let salt = hint(cs, || known(witness.map(|w| w.salt)))?;
        let gram = Self { shape, entries, mu, salt };
        for i in 0..shape.slots {
            for j in i..shape.exponents().len() {
                // 0, 1 or 2 rows of this entry are of closed slots; a reference row is never closed.
                let closed = [i, j].into_iter().filter_map(|k| opened.get(k)).map(|bit| constant(1u64) - bit);
                let closed: Num = closed.sum();
                enforce(cs, &closed, &gram.at(i, j).value, &constant(0u64))?;
            }
        }
        Ok(gram)
    }

    /// The product of two rows: the slots from 0, then the reference rows.
    pub fn at(&self, row: usize, column: usize) -> &Entry {
        &self.entries[self.shape.place(row, column)]
    }

    pub fn hash(&self, cs: &Cs) -> gadgets::Result<Num> {
        let mut elements = vec![constant(self.shape.id())];
        for chunk in self.entries.chunks(PACKED) {
            let terms = chunk.iter().enumerate().map(|(k, entry)| (pow2((ENTRY_BITS + 1) * k), &entry.value));
            let offset: Fr = (0..chunk.len()).map(|k| pow2((ENTRY_BITS + 1) * k) * Fr::from(OFFSET)).sum();
            elements.push(linear(cs, terms)? + offset);
        }
        elements.extend([self.mu.clone(), self.salt.clone()]);
        poseidon::hash_in_circuit(cs, &elements)
    }

    pub fn fold(&self, cs: &Cs, r: &Num, s: &Num) -> gadgets::Result<Num> {
        let exponents = self.shape.exponents();
        let mut powers: Vec<Num> = Vec::with_capacity(exponents.len());
        let mut last = 0;
        for &e in &exponents {
            let step = power(cs, s, e - last)?;
            powers.push(powers.last().map_or(Ok(step.clone()), |before| product(cs, before, &step))?);
            last = e;
        }
        // Horner's rule from the highest exponent of r.
        let mut total = constant(0u64);
        for (i, &e) in exponents.iter().enumerate().rev() {
            let row = powers.iter().enumerate().map(|(j, s)| product(cs, s, &self.at(i, j).value));
            let row = sum(cs, &row.collect::<gadgets::Result<Vec<_>>>()?)?;
            let below = if i == 0 { 0 } else { exponents[i - 1] };
            total = product(cs, &(total + row), &power(cs, r, e - below)?)?;
        }
        Ok(total + &self.mu)
    }
}

/// x^e, e ≥ 1.
fn power(cs: &Cs, x: &Num, e: u64) -> gadgets::Result<Num> {
    let mut result = x.clone();
    for k in (0..e.ilog2()).rev() {
        result = product(cs, &result, &result)?;
        if e >> k & 1 == 1 {
            result = product(cs, &result, x)?;
        }
    }
    Ok(result)
}

/// A slot with a positive norm: 1, else 0. A positive norm is that of an opened slot, the others' rows being zero.
pub fn admissible(gram: &Gram, slots: usize) -> Vec<Num> {
    (0..slots).map(|i| gram.at(i, i).positive.clone()).collect()
}

/// value if the bit is 1, else `otherwise`.
pub fn masked(cs: &Cs, bit: &Num, value: &Num, otherwise: Fr) -> gadgets::Result<Num> {
    gadgets::select(cs, bit, value, &constant(otherwise))
}

/// (m + 1) / 2, rounded down, 0 ≤ m ≤ slots.
pub fn half_rounded_up(cs: &Cs, shape: Shape, m: &Num) -> gadgets::Result<Num> {
    // m + 1 ≤ slots + 1 < 2^(log + 1).
    let next = m + Fr::one();
    let parity = bits(cs, &next, shape.log() + 1)?[0].clone();
    Ok((next - parity) * Fr::from(2u64).inverse().unwrap_or_default())
}
