//! Which circuit: the rule and the number of slots.

use std::fmt;

use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    KrumCosine = 1,
    Reference = 2,
}

/// A rule for n_max = 8, 16 or 32 slots. Its id is rule·100 + n_max.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    pub rule: Rule,
    pub slots: usize,
}

/// Every |G_ij| < 2^ENTRY_BITS.
pub const ENTRY_BITS: usize = 58;
/// Bits of a signed score in the public inputs, two to an element.
pub const SCORE_BITS: usize = 96;
/// Bits of a coefficient in the public inputs, sixteen to an element.
pub const COEFFICIENT_BITS: usize = 13;
pub const SCORES_PACKED: usize = 2;
pub const COEFFICIENTS_PACKED: usize = 16;

impl Shape {
    pub const ALL: [u32; 6] = [108, 116, 132, 208, 216, 232];

    pub fn from_id(id: u32) -> Result<Self> {
        let rule = match id / 100 {
            1 => Some(Rule::KrumCosine),
            2 => Some(Rule::Reference),
            _ => None,
        };
        let slots = id as usize % 100;
        match rule {
            Some(rule) if matches!(slots, 8 | 16 | 32) => Ok(Self { rule, slots }),
            _ => Err(Error::new(format!("there is no circuit {id}; there are {:?}", Self::ALL))),
        }
    }

    pub fn id(self) -> u32 {
        self.rule as u32 * 100 + self.slots as u32
    }

    /// log₂ n_max.
    pub fn log(self) -> usize {
        self.slots.trailing_zeros() as usize
    }

    /// Entries of the upper triangle over the slots, diagonal included.
    fn pairs(self) -> usize {
        self.slots * (self.slots + 1) / 2
    }

    /// Entries of a witness.
    pub fn entries(self) -> usize {
        self.pairs()
            + match self.rule {
                Rule::KrumCosine => 0,
                Rule::Reference => 2 * self.slots + 3,
            }
    }

    /// Rows of the whole matrix: the slots and the reference rows.
    pub fn rows(self) -> usize {
        self.exponents().len()
    }

    /// The exponent of each row: slot i has i + 1, the reference rows 33 and 34.
    pub fn exponents(self) -> Vec<u64> {
        let references: &[u64] = match self.rule {
            Rule::KrumCosine => &[],
            Rule::Reference => &[33, 34],
        };
        (1..=self.slots as u64).chain(references.iter().copied()).collect()
    }

    /// Where the product of two rows stands in [`crate::Witness::entries`].
    pub(crate) fn place(self, row: usize, column: usize) -> usize {
        let (n, (i, j)) = (self.slots, (row.min(column), row.max(column)));
        if j < n {
            i * n - i * (i + 1) / 2 + j
        } else if i < n {
            self.pairs() + (j - n) * n + i
        } else {
            self.pairs() + 2 * n + (i - n) + (j - n)
        }
    }

    /// Number of public inputs.
    pub fn inputs(self) -> usize {
        let coefficients = match self.rule {
            Rule::KrumCosine => 0,
            Rule::Reference => self.slots.div_ceil(COEFFICIENTS_PACKED),
        };
        5 + coefficients + self.slots / SCORES_PACKED
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id())
    }
}
