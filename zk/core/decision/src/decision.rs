//! What the circuits of the rules have in common: what they decide.

use crate::gadgets::Num;

/// What a rule makes of a Gram matrix, inside the circuit. Selected and struck are bits. Coefficients: empty where every
/// selected update is whole. Scores: |score| < 2^95.
pub struct Decision {
    pub selected: Vec<Num>,
    pub struck: Vec<Num>,
    pub coefficients: Vec<Num>,
    pub scores: Vec<Num>,
}
