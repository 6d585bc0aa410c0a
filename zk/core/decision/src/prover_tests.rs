//! The prover against arkworks': of one r and s, the same proof.

use ark_bn254::{Bn254, Fr};
use ark_ff::{AdditiveGroup, Field, One};
use ark_groth16::Groth16;
use merit_arithmetic::by_both;

use crate::circuit_tests::{honest, witness};
use crate::groth16::domain;
use crate::prover::prove;
use crate::{Key, Shape, Witness};

fn proves_as_arkworks_does(id: u32) {
    let shape = Shape::from_id(id).unwrap();
    let key = Key::set_up(shape, Some([2; 32])).unwrap();
    let circuit = key.circuit();
    let large = -Fr::from(7u64).inverse().unwrap();
    let witness = Witness { salt: large.square(), ..witness(shape) };
    let inputs = honest(shape, &witness);
    let z = circuit.assign(&inputs, &witness).unwrap();
    let count = inputs.len() + 1;
    for (r, s) in [(large, large.double()), (Fr::from(5u64), Fr::ZERO), (Fr::ZERO, -Fr::one())] {
        let expected = Groth16::<Bn254>::create_proof_with_reduction_and_matrices(
            key.proving_key(),
            r,
            s,
            &circuit.matrices,
            count,
            circuit.constraints(),
            &z,
        );
        let expected = expected.unwrap();
        by_both(|| {
            let solution = circuit.satisfied(z.clone()).unwrap();
            let proof = prove(key.proving_key(), domain(circuit).unwrap(), count, solution, r, s);
            assert_eq!(proof, expected, "circuit {id}, r {r}, s {s}");
        });
    }
}

#[test]
fn proves_krum_cosine_as_arkworks_does() {
    proves_as_arkworks_does(108);
}

#[test]
fn proves_reference_as_arkworks_does() {
    proves_as_arkworks_does(208);
}
