//! Groth16 (https://eprint.iacr.org/2016/260) for a circuit: set-up, key file, prove, and a check of what was proved.

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::UniformRand;
use ark_groth16::{Groth16, Proof, ProvingKey, VerifyingKey, prepare_verifying_key};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystemRef};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize, Compress, Validate};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;

use crate::circuit::{Circuit, constrain};
use crate::contributions::{Chain, Contribution, MAX_CONTRIBUTIONS, RECORD};
use crate::error::{Error, Result};
use crate::gram::Witness;
use crate::powers::same_ratio;
use crate::primitives::{keccak, system_rng};
use crate::prover::prove;
use crate::shape::Shape;
use crate::words;

pub const PROOF_BYTES: usize = 8 * 32;
const MAGIC: &[u8; 21] = b"merit/decision-key/v1";
const HEADER: usize = MAGIC.len() + 7;
const MADE_ALONE: u8 = 1;
const G1_BYTES: usize = 64;
const G2_BYTES: usize = 128;
/// No circuit's key file is longer; the largest has 83 MB.
pub const MAX_KEY_BYTES: u64 = 1 << 27;

/// The proving key of one circuit, the verifying key in it, and the circuit's constraints.
pub struct Key {
    circuit: Circuit,
    key: ProvingKey<Bn254>,
    /// By one party, from secrets of its own.
    made_alone: bool,
    contributions: Vec<Contribution>,
    hash: [u8; 32],
}

pub(crate) struct Blank(pub Shape);

impl ConstraintSynthesizer<Fr> for Blank {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> ark_relations::gr1cs::Result<()> {
        constrain(&cs, self.0, None).map(|_| ())
    }
}

impl Key {
    /// A fresh key, made by one party, who could forge with what it drew and forgets: for development only.
    ///
    /// A seed makes the same key each time; without one the system's randomness is used.
    pub fn set_up(shape: Shape, seed: Option<[u8; 32]>) -> Result<Self> {
        let mut rng = match seed {
            Some(seed) => ChaCha20Rng::from_seed(seed),
            None => system_rng()?,
        };
        let key = Groth16::<Bn254>::generate_random_parameters_with_reduction(Blank(shape), &mut rng)?;
        Self::assemble(Circuit::new(shape)?, key, true, vec![])
    }

    pub(crate) fn assemble(
        circuit: Circuit,
        key: ProvingKey<Bn254>,
        made_alone: bool,
        contributions: Vec<Contribution>,
    ) -> Result<Self> {
        let mut key = Self { circuit, key, made_alone, contributions, hash: [0; 32] };
        key.hash = keccak(&[&key.to_bytes()?]);
        Ok(key)
    }

    /// keccak256 of the key's file.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The length of the key's file.
    pub fn file_bytes(&self) -> Result<usize> {
        Ok(Sizes::of(&self.circuit)?.file() + self.contributions.len() * RECORD)
    }

    /// No file of a key of this shape is longer.
    pub fn max_file_bytes(shape: Shape) -> Result<usize> {
        Ok(Sizes::of(&Circuit::new(shape)?)?.file() + MAX_CONTRIBUTIONS * RECORD)
    }

    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    pub(crate) fn proving_key(&self) -> &ProvingKey<Bn254> {
        &self.key
    }

    pub(crate) fn made_alone(&self) -> bool {
        self.made_alone
    }

    pub fn contributions(&self) -> &[Contribution] {
        &self.contributions
    }

    /// Whether the key is for development only: whoever made it may be able to forge.
    pub fn development(&self) -> bool {
        self.made_alone || self.contributions.is_empty()
    }

    /// The verifying key's words; keccak256 of them names the key on the chain.
    pub fn verifying_key(&self) -> Vec<u8> {
        words::verifying_key(&self.key.vk)
    }

    /// A proof of 8 words, randomised: two proofs of one statement share no element.
    pub fn prove(&self, inputs: &[Fr], witness: &Witness) -> Result<Vec<u8>> {
        let proof = self.proof(inputs, witness)?;
        // What a damaged key makes is found here, not on the chain.
        if !self.verifies(inputs, &proof)? {
            return Err(Error::new("the proof does not verify: the proving key is damaged"));
        }
        Ok(words::proof(&proof))
    }

    fn proof(&self, inputs: &[Fr], witness: &Witness) -> Result<Proof<Bn254>> {
        let solution = self.circuit.solve(inputs, witness)?;
        let mut rng = system_rng()?;
        let (r, s) = (Fr::rand(&mut rng), Fr::rand(&mut rng));
        Ok(prove(&self.key, domain(&self.circuit)?, inputs.len() + 1, solution, r, s))
    }

    fn verifies(&self, inputs: &[Fr], proof: &Proof<Bn254>) -> Result<bool> {
        Ok(Groth16::<Bn254>::verify_proof(&prepare_verifying_key(&self.key.vk), proof, inputs)?)
    }

    /// The key file: magic, circuit id (4 bytes, big endian), flags (1: made by one party, 0: from powers of τ), the number of
    /// contributions (2 bytes, big endian), then the points in arkworks' uncompressed form, as many as the circuit needs, in
    /// the order of [`Sizes`], then the contributions.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.file_bytes()?);
        out.extend(MAGIC);
        out.extend(self.circuit.shape().id().to_be_bytes());
        out.push(if self.made_alone { MADE_ALONE } else { 0 });
        let count =
            u16::try_from(self.contributions.len()).map_err(|_| Error::new("the key has too many contributions"))?;
        out.extend(count.to_be_bytes());
        let key = &self.key;
        write(&mut out, &[key.vk.alpha_g1, key.beta_g1, key.delta_g1])?;
        write(&mut out, &[key.vk.beta_g2, key.vk.gamma_g2, key.vk.delta_g2])?;
        for points in [&key.vk.gamma_abc_g1, &key.a_query, &key.b_g1_query, &key.h_query, &key.l_query] {
            write(&mut out, points)?;
        }
        write(&mut out, &key.b_g2_query)?;
        for contribution in &self.contributions {
            out.extend(contribution.to_bytes()?);
        }
        Ok(out)
    }

    /// What names the part of the key that contributions leave as it is.
    pub(crate) fn root(&self) -> Result<[u8; 32]> {
        let key = &self.key;
        let mut out = self.circuit.shape().id().to_be_bytes().to_vec();
        write(&mut out, &[key.vk.alpha_g1, key.beta_g1])?;
        write(&mut out, &[key.vk.beta_g2, key.vk.gamma_g2])?;
        for points in [&key.vk.gamma_abc_g1, &key.a_query, &key.b_g1_query] {
            write(&mut out, points)?;
        }
        write(&mut out, &key.b_g2_query)?;
        Ok(keccak(&[MAGIC, &out]))
    }

    /// A key from its file; a sentence for anything else.
    ///
    /// check: whether every point is tested to be on its curve and in its group. That takes longer than proving, and a
    /// file whose hash the caller knows needs it not. A key of a stranger can make proofs fail or reveal, not make false
    /// ones pass: what verifies is the verifying key, whose hash the caller compares with the one it trusts.
    pub fn from_bytes(bytes: &[u8], check: bool) -> Result<Self> {
        let (header, mut points) =
            bytes.split_at_checked(HEADER).ok_or_else(|| Error::new("the key file ends in its header"))?;
        let (magic, rest) = header.split_at(MAGIC.len());
        let [a, b, c, d, flags, high, low] = *rest else { return Err(Error::new("the key file ends in its header")) };
        if magic != MAGIC {
            return Err(Error::new("this is not a file of a decision key"));
        }
        let count = usize::from(u16::from_be_bytes([high, low]));
        if flags > MADE_ALONE || count > MAX_CONTRIBUTIONS || (flags == MADE_ALONE && count > 0) {
            return Err(Error::new(format!("the key file has the flags {flags} and {count} contributions")));
        }
        let circuit = Circuit::new(Shape::from_id(u32::from_be_bytes([a, b, c, d]))?)?;
        let sizes = Sizes::of(&circuit)?;
        let required = sizes.file() + count * RECORD;
        if bytes.len() != required {
            let (shape, given) = (circuit.shape(), bytes.len());
            return Err(Error::new(format!(
                "the key file of circuit {shape} has {required} bytes, {given} were given"
            )));
        }
        let points = &mut points;
        let [alpha_g1, beta_g1, delta_g1] = read::<G1Affine>(points, 3, G1_BYTES, check)?[..] else {
            return Err(Error::new("the key file ends early"));
        };
        let [beta_g2, gamma_g2, delta_g2] = read::<G2Affine>(points, 3, G2_BYTES, check)?[..] else {
            return Err(Error::new("the key file ends early"));
        };
        let gamma_abc_g1 = read(points, sizes.inputs, G1_BYTES, check)?;
        let a_query = read(points, sizes.values, G1_BYTES, check)?;
        let b_g1_query = read(points, sizes.values, G1_BYTES, check)?;
        let h_query = read(points, sizes.quotient, G1_BYTES, check)?;
        let l_query = read(points, sizes.values - sizes.inputs, G1_BYTES, check)?;
        let b_g2_query = read(points, sizes.values, G2_BYTES, check)?;
        let vk = VerifyingKey { alpha_g1, beta_g2, gamma_g2, delta_g2, gamma_abc_g1 };
        let key = ProvingKey { vk, beta_g1, delta_g1, a_query, b_g1_query, b_g2_query, h_query, l_query };
        let contributions = points.chunks_exact(RECORD).map(Contribution::from_bytes).collect::<Result<_>>()?;
        let key = Self { circuit, key, made_alone: flags == MADE_ALONE, contributions, hash: keccak(&[bytes]) };
        if check && key.to_bytes()? != bytes {
            return Err(Error::new("the key file is not in its one encoding"));
        }
        let vk = &key.key.vk;
        if vk.alpha_g1.is_zero() || vk.beta_g2.is_zero() || vk.gamma_g2.is_zero() || vk.delta_g2.is_zero() {
            return Err(Error::new("α, β, γ or δ of the key file is the point at infinity"));
        }
        if !key.made_alone {
            key.check_delta()?;
        }
        Ok(key)
    }

    /// Whether δ is what the contributions made it, in G1 and in G2.
    pub(crate) fn check_delta(&self) -> Result<()> {
        let (key, g, h) = (self.proving_key(), G1Affine::generator(), G2Affine::generator());
        let delta_g2 = key.vk.delta_g2;
        let in_group = delta_g2.is_on_curve() && delta_g2.is_in_correct_subgroup_assuming_on_curve();
        if key.delta_g1 != self.chain()?.delta || !in_group || !same_ratio((g, key.delta_g1), (h, delta_g2)) {
            return Err(Error::new("the key's δ is not what its contributions make it"));
        }
        Ok(())
    }

    pub(crate) fn chain(&self) -> Result<Chain> {
        self.contributions().iter().try_fold(Chain::new(self.root()?), Chain::follow)
    }
}

/// Where the polynomials of a circuit's constraints have their values: one for each constraint and public value.
pub(crate) fn domain(circuit: &Circuit) -> Result<Radix2EvaluationDomain<Fr>> {
    Radix2EvaluationDomain::new(circuit.constraints() + circuit.shape().inputs() + 1)
        .ok_or_else(|| Error::new("the circuit is too large for the field"))
}

/// How many points a key has, which its circuit fixes.
pub(crate) struct Sizes {
    /// IC.
    pub inputs: usize,
    /// A and B in G1, B in G2; L has those without the inputs.
    pub values: usize,
    /// H.
    pub quotient: usize,
}

impl Sizes {
    pub fn of(circuit: &Circuit) -> Result<Self> {
        let inputs = circuit.shape().inputs() + 1;
        Ok(Self { inputs, values: circuit.values(), quotient: domain(circuit)?.size() - 1 })
    }

    fn file(&self) -> usize {
        let g1 = 3 + 3 * self.values + self.quotient; // IC and L together are `values`
        HEADER + G1_BYTES * g1 + G2_BYTES * (3 + self.values)
    }
}

fn write<P: CanonicalSerialize>(out: &mut Vec<u8>, points: &[P]) -> Result<()> {
    for point in points {
        let written = point.serialize_with_mode(&mut *out, Compress::No);
        written.map_err(|error| Error::new(format!("the key could not be written: {error}")))?;
    }
    Ok(())
}

/// Takes `count` points of `size` bytes off the front.
fn read<P: CanonicalDeserialize + Send>(bytes: &mut &[u8], count: usize, size: usize, check: bool) -> Result<Vec<P>> {
    let validate = if check { Validate::Yes } else { Validate::No };
    let (these, rest) =
        bytes.split_at_checked(count * size).ok_or_else(|| Error::new("the key file ends before its last point"))?;
    *bytes = rest;
    these
        .par_chunks_exact(size)
        .map(|point| P::deserialize_with_mode(point, Compress::No, validate))
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| Error::new(format!("a point of the key file is none: {error}")))
}
