//! For tests: a prover that gives wrong hints, with all later values computed from them, or a circuit that lacks one
//! constraint.

use std::cell::{Cell, RefCell};

use ark_bn254::Fr;

thread_local! {
    static WRONG: RefCell<Vec<(usize, Fr)>> = const { RefCell::new(Vec::new()) };
    static HINTS: Cell<usize> = const { Cell::new(0) };
    static VALUES: RefCell<Vec<Fr>> = const { RefCell::new(Vec::new()) };
    static SKIP: Cell<Option<usize>> = const { Cell::new(None) };
    static CONSTRAINTS: Cell<usize> = const { Cell::new(0) };
}

fn next(counter: &'static std::thread::LocalKey<Cell<usize>>) -> usize {
    counter.with(|c| c.replace(c.get() + 1))
}

/// The value of a hint, increased if it is one of those to be wrong.
pub fn pass(value: Fr) -> Fr {
    let index = next(&HINTS);
    VALUES.with_borrow_mut(|values| values.push(value));
    let deltas = WRONG.with_borrow(|wrong| wrong.iter().filter(|(i, _)| *i == index).map(|(_, d)| *d).sum::<Fr>());
    value + deltas
}

/// Whether the constraint that is about to be added is the one to lack.
pub fn skipped() -> bool {
    let index = next(&CONSTRAINTS);
    SKIP.get() == Some(index)
}

/// Runs with each hint `wrong` increased by what is said and without constraint `skip`; returns how many hints and
/// constraints were seen.
pub fn with<T>(wrong: &[(usize, Fr)], skip: Option<usize>, run: impl FnOnce() -> T) -> (T, usize, usize) {
    WRONG.set(wrong.to_vec());
    SKIP.set(skip);
    HINTS.set(0);
    VALUES.take();
    CONSTRAINTS.set(0);
    let result = run();
    WRONG.set(Vec::new());
    SKIP.set(None);
    (result, HINTS.get(), CONSTRAINTS.get())
}

/// Where, among the hints of the last run, these values stood one after the other.
pub fn places(of: &[Fr]) -> Vec<usize> {
    VALUES.with_borrow(|values| (0..values.len()).filter(|&k| values[k..].starts_with(of)).collect())
}
