//! Several people make a key from powers of τ, and every way to cheat at it is refused.

use std::sync::LazyLock;

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::scalar_mul::BatchMulPreprocessing;
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_groth16::{Groth16, ProvingKey};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::contributions::{Contribution, RECORD};
use crate::groth16::{Blank, Key};
use crate::{Powers, Result, Shape, Witness};

const SHAPE: Shape = Shape { rule: crate::Rule::Reference, slots: 8 };
const M: usize = 1 << 14;

fn powers_of(tau: Fr, alpha: Fr, beta: Fr, beta_g2: Fr) -> Result<Powers> {
    let exponents: Vec<Fr> = crate::powers::weights(tau, 2 * M - 1);
    let times = |factor: Fr| exponents[..M].iter().map(|power| factor * power).collect::<Vec<_>>();
    let g1 = BatchMulPreprocessing::new(G1Projective::generator(), 4 * M);
    let g2 = BatchMulPreprocessing::new(G2Projective::generator(), M);
    Powers::new(
        g1.batch_mul(&exponents),
        g1.batch_mul(&times(alpha)),
        g1.batch_mul(&times(beta)),
        g2.batch_mul(&exponents[..M]),
        (G2Affine::generator() * beta_g2).into_affine(),
    )
}

/// t as ark-groth16 draws it, so that its key can be made again.
fn secrets() -> [Fr; 3] {
    let domain = Radix2EvaluationDomain::<Fr>::new(M).unwrap();
    let tau = domain.sample_element_outside_domain(&mut ChaCha20Rng::from_seed([1; 32]));
    [tau, Fr::from(17u64), Fr::from(19u64)]
}

static POWERS: LazyLock<Powers> = LazyLock::new(|| {
    let [tau, alpha, beta] = secrets();
    powers_of(tau, alpha, beta, beta).unwrap()
});
static INITIAL: LazyLock<Key> = LazyLock::new(|| Key::initial(SHAPE, &POWERS).unwrap());
/// With the contributions of three people.
static KEY: LazyLock<Key> = LazyLock::new(|| {
    let add = |key: Key, (seed, name)| key.contribute(name, [seed; 32]).unwrap();
    [(1, "Ada"), (2, "Βασίλης"), (3, "Chen")].into_iter().fold(copy(&INITIAL), add)
});

fn copy(key: &Key) -> Key {
    Key::from_bytes(&key.to_bytes().unwrap(), false).unwrap()
}

/// The key with other points or contributions.
fn altered(key: &Key, alter: impl FnOnce(&mut ProvingKey<Bn254>, &mut Vec<Contribution>)) -> Key {
    let (mut points, mut contributions) = (key.proving_key().clone(), key.contributions().to_vec());
    alter(&mut points, &mut contributions);
    Key::assemble(key.circuit().clone(), points, false, contributions).unwrap()
}

fn refused(key: &Key, because: &str) {
    let error = key.verify(&POWERS).unwrap_err().to_string();
    assert!(error.contains(because), "{error:?} does not say {because:?}");
}

fn moved(point: G1Affine) -> G1Affine {
    (point + G1Affine::generator()).into_affine()
}

#[test]
fn the_initial_key_is_that_of_the_secrets() {
    let [_, alpha, beta] = secrets();
    let (one, mut rng) = (Fr::from(1u64), ChaCha20Rng::from_seed([1; 32]));
    let (g, h) = (G1Projective::generator(), G2Projective::generator());
    let known = Groth16::<Bn254>::generate_parameters_with_qap(Blank(SHAPE), alpha, beta, one, one, g, h, &mut rng);
    assert!(known.unwrap() == *INITIAL.proving_key());
    assert!(INITIAL.development() && !KEY.development());
    assert_eq!(Key::initial(SHAPE, &POWERS).unwrap().hash(), INITIAL.hash());
}

#[test]
fn a_key_of_several_people_proves_and_is_verified() {
    let witness = Witness { entries: vec![0; SHAPE.entries()], mu: 5.into(), salt: 7.into() };
    let (r, s) = (11.into(), 13.into());
    let mut inputs = vec![witness.hash(SHAPE).unwrap(), r, s, witness.fold(SHAPE, r, s).unwrap()];
    inputs.resize(SHAPE.inputs(), 0.into());
    KEY.prove(&inputs, &witness).unwrap();
    KEY.verify(&POWERS).unwrap();
    let [tau, alpha, beta] = secrets();
    let others = powers_of(tau, alpha, beta + alpha, beta + alpha).unwrap();
    assert!(KEY.verify(&others).unwrap_err().to_string().contains("α, β or γ"));
    let names: Vec<&str> = KEY.contributions().iter().map(Contribution::name).collect();
    assert_eq!(names, ["Ada", "Βασίλης", "Chen"]);
    let read = Key::from_bytes(&KEY.to_bytes().unwrap(), true).unwrap();
    read.verify(&POWERS).unwrap();
    assert_eq!((read.hash(), read.states().unwrap()), (KEY.hash(), KEY.states().unwrap()));
}

#[test]
fn contributions_that_are_missing_moved_renamed_or_forged_are_refused() {
    let follow = "does not follow";
    refused(&altered(&KEY, |_, list| drop(list.remove(1))), follow);
    refused(&altered(&KEY, |_, list| list.swap(0, 1)), follow);
    refused(&altered(&KEY, |_, list| drop(list.pop())), "δ is not what");
    refused(&altered(&KEY, |_, list| list.clear()), "no contribution");
    refused(&altered(&KEY, |_, list| list.push(list[0].clone())), follow);
    for at in [0, 70, RECORD - 32] {
        // The name; the new δ; the proof's response: another name or scalar, or bytes that are no point.
        let mut bytes = KEY.contributions()[1].to_bytes().unwrap();
        bytes[at] ^= 2;
        let Ok(other) = Contribution::from_bytes(&bytes) else { continue };
        refused(&altered(&KEY, |_, list| list[1] = other), follow);
    }
    // A proof of another chain: for the same name and secret, to a δ that was not there.
    let elsewhere = INITIAL.contribute("Chen", [3; 32]).unwrap();
    refused(&altered(&KEY, |_, list| list[2] = elsewhere.contributions()[0].clone()), follow);
}

#[test]
fn a_contribution_without_its_secret_is_refused() {
    // δ replaced by one that the cheat knows, in place of x·δ: no proof of x follows.
    let known = Fr::from(5u64);
    let forged = altered(&KEY, |points, list| {
        let mut bytes = list[2].to_bytes().unwrap();
        let delta = (G1Affine::generator() * known).into_affine();
        points.delta_g1 = delta;
        points.vk.delta_g2 = (G2Affine::generator() * known).into_affine();
        use ark_serialize::CanonicalSerialize;
        delta.serialize_uncompressed(&mut bytes[64..128]).unwrap();
        list[2] = Contribution::from_bytes(&bytes).unwrap();
    });
    refused(&forged, "does not follow");
}

#[test]
fn a_key_that_differs_from_its_contributions_is_refused() {
    refused(&altered(&KEY, |points, _| points.vk.delta_g2 = G2Affine::generator()), "δ is not what");
    refused(&altered(&KEY, |points, _| points.delta_g1 = moved(points.delta_g1)), "δ is not what");
    let initial = INITIAL.proving_key();
    refused(&altered(&KEY, |points, _| points.l_query = initial.l_query.clone()), "was not divided");
    refused(&altered(&KEY, |points, _| points.h_query = initial.h_query.clone()), "was not divided");
    refused(&altered(&KEY, |points, _| points.l_query[9] = moved(points.l_query[9])), "was not divided");
    refused(&altered(&KEY, |points, _| points.l_query.swap(9, 10)), "was not divided");
    refused(&altered(&KEY, |points, _| points.h_query[M - 2] = moved(points.h_query[M - 2])), "was not divided");
    refused(&altered(&KEY, |points, _| points.h_query[0].x = points.h_query[0].y), "curve");
}

#[test]
fn a_key_of_another_circuit_or_other_secrets_is_refused() {
    // Each change is followed by an honest contribution: only the comparison with the powers can find it.
    let followed = |alter: fn(&mut ProvingKey<Bn254>)| {
        altered(&INITIAL, |points, _| alter(points)).contribute("Eve", [9; 32]).unwrap()
    };
    refused(&followed(|points| points.vk.alpha_g1 = moved(points.vk.alpha_g1)), "α, β or γ");
    refused(&followed(|points| points.beta_g1 = moved(points.beta_g1)), "α, β or γ");
    refused(&followed(|points| points.vk.beta_g2 = (points.vk.beta_g2 + points.vk.beta_g2).into_affine()), "α, β or γ");
    refused(
        &followed(|points| points.vk.gamma_g2 = (points.vk.gamma_g2 + points.vk.gamma_g2).into_affine()),
        "α, β or γ",
    );
    refused(&followed(|points| points.vk.gamma_abc_g1[1] = moved(points.vk.gamma_abc_g1[1])), "public inputs");
    refused(&followed(|points| points.a_query[3] = moved(points.a_query[3])), "A or B");
    refused(&followed(|points| points.b_g1_query[3] = moved(points.b_g1_query[3])), "A or B");
    refused(&followed(|points| points.b_g2_query.swap(3, 4)), "A or B");
    refused(&followed(|points| points.l_query[3] = moved(points.l_query[3])), "was not divided");
}

#[test]
fn what_was_made_by_one_party_takes_no_contribution_and_is_not_verified() {
    let alone = Key::set_up(SHAPE, Some([0; 32])).unwrap();
    assert!(alone.contribute("Ada", [1; 32]).is_err());
    for key in [&alone, &*INITIAL] {
        assert!(key.verify(&POWERS).unwrap_err().to_string().contains("no contribution"));
    }
    let mut bytes = alone.to_bytes().unwrap();
    bytes[25] = 0; // passed off as one from powers of τ
    assert!(Key::from_bytes(&bytes, false).is_err());
}

#[test]
fn a_key_file_with_contributions_is_read_strictly() {
    let good = KEY.to_bytes().unwrap();
    let (records, len) = (good.len() - 3 * RECORD, good.len());
    let cuts = [len - 1, len - RECORD, records, 27, 0].map(|length| good[..length].to_vec());
    for bad in cuts.into_iter().chain([[good.as_slice(), &[0]].concat()]) {
        assert!(Key::from_bytes(&bad, false).is_err(), "{} bytes", bad.len());
    }
    // Version, circuit, flags, count; a name, a δ, its sign flag, a commitment, a response; the order of records.
    for at in [20, 24, 25, 26, 27, records, records + 64, records + 127, records + 130, records + 200, len - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x80;
        assert!(Key::from_bytes(&bad, false).is_err(), "byte {at}");
    }
    let mut padded = good.clone();
    padded[records + 63] = b'x'; // after the name's end
    assert!(Key::from_bytes(&padded, false).is_err());
    // A point's sign flag that nobody needs: one key would have two files.
    let mut twice = good;
    twice[28 + 63] ^= 0x80;
    assert!(Key::from_bytes(&twice, true).is_err());
}

#[test]
fn names_are_short_plain_text() {
    for name in ["", "a\nb", "\u{1b}[2J", &"x".repeat(65)] {
        assert!(INITIAL.contribute(name, [1; 32]).is_err(), "{name:?}");
    }
}

#[test]
fn powers_that_are_none_are_refused() {
    let [tau, alpha, beta] = secrets();
    let one = Fr::from(1u64);
    assert!(powers_of(tau, alpha, beta, beta + one).is_err(), "β of G2");
    for (tau, alpha, beta) in [(one, alpha, beta), (tau, one, beta), (tau, alpha, one)] {
        assert!(powers_of(tau, alpha, beta, beta).is_err(), "a secret that everybody knows");
    }
    let parts = || {
        let p = &*POWERS;
        (p.tau_g1.clone(), p.alpha_g1.clone(), p.beta_g1.clone(), p.tau_g2.clone(), p.beta_g2)
    };
    for which in 0..4 {
        for at in [1, 2, M - 1] {
            let (mut t, mut a, mut b, mut s, beta) = parts();
            match which {
                0 => t[2 * M - 1 - at] = moved(t[2 * M - 1 - at]),
                1 => a[at] = moved(a[at]),
                2 => b[at] = moved(b[at]),
                _ => s[at] = (s[at] + G2Affine::generator()).into_affine(),
            }
            assert!(Powers::new(t, a, b, s, beta).is_err(), "{which}, {at}");
        }
    }
    let (mut t, a, b, s, beta) = parts();
    t.pop();
    assert!(Powers::new(t, a, b, s, beta).is_err());
    let (t, a, b, mut s, beta) = parts();
    s[0] = s[1];
    assert!(Powers::new(t, a, b, s, beta).is_err());
}
