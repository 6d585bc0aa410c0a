//! Constraints, set-up, key, proof: counted and timed for the circuits named as arguments, or for all.

use std::time::Instant;

use ark_bn254::Fr;
use merit_decision::{Circuit, Error, Key, Shape, Witness};

/// Nothing opened: as much work as any other statement.
fn empty(shape: Shape) -> Result<(Vec<Fr>, Witness), Error> {
    let witness = Witness { entries: vec![0; shape.entries()], mu: 5.into(), salt: 7.into() };
    let (r, s) = (11.into(), 13.into());
    let mut inputs = vec![witness.hash(shape)?, r, s, witness.fold(shape, r, s)?];
    inputs.resize(shape.inputs(), 0.into());
    Ok((inputs, witness))
}

fn main() -> Result<(), Error> {
    let named: Vec<u32> = std::env::args().skip(1).filter_map(|id| id.parse().ok()).collect();
    println!("circuit  constraints   values  build s  set-up s  key MB  check s  load s  assign s  prove s");
    for &id in if named.is_empty() { &Shape::ALL[..] } else { &named } {
        let shape = Shape::from_id(id)?;
        let time = |start: Instant| start.elapsed().as_secs_f64();
        let start = Instant::now();
        let circuit = Circuit::new(shape)?;
        let build = time(start);
        let start = Instant::now();
        let key = Key::set_up(shape, None)?;
        let set_up = time(start);
        let bytes = key.to_bytes()?;
        let start = Instant::now();
        Key::from_bytes(&bytes, true)?;
        let check = time(start);
        let start = Instant::now();
        let key = Key::from_bytes(&bytes, false)?;
        let load = time(start);
        let (inputs, witness) = empty(shape)?;
        let start = Instant::now();
        circuit.solve(&inputs, &witness)?;
        let assign = time(start);
        let start = Instant::now();
        key.prove(&inputs, &witness)?;
        let prove = time(start);
        println!(
            "{id:7} {:12} {:8} {build:8.2} {set_up:9.2} {:7.1} {check:8.2} {load:7.2} {assign:9.2} {prove:8.2}",
            circuit.constraints(),
            circuit.values(),
            bytes.len() as f64 / 1e6,
        );
    }
    Ok(())
}
