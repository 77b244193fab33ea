//! How much of an image to change.

use std::fmt;

use crate::error::{Error, Result};
use crate::wording::counted;

/// The strength of a call, and that of a call that does not give one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strength {
    pub value: f64,
    pub default: f64,
}

impl Strength {
    /// # Errors
    /// When it is not between 0 and 1.
    pub fn new(value: f64, default: f64) -> Result<Self> {
        if (0.0..=1.0).contains(&value) {
            return Ok(Self { value, default });
        }
        Err(Error::argument("strength", format!("must be between 0 and 1, but is {value}")))
    }

    /// The error when it leaves none of the `steps`.
    pub fn no_step_left(self, steps: usize) -> Error {
        let steps = counted(steps, "step");
        Error::argument("strength", format!("{self} of {steps} is less than one step"))
    }
}

/// A user who did not give it learns where the number comes from.
impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, default } = self;
        if value == default { write!(f, "the default of {value}") } else { write!(f, "{value}") }
    }
}
