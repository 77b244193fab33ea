//! The learning rate over a training: `get_scheduler` of diffusers' `optimization.py`.

use std::f64::consts::PI;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The shape of a learning rate's course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulerType {
    /// Falls linearly to 0.
    Linear,
    /// Falls along half a cosine, or `num_cycles` whole ones.
    Cosine,
    /// Falls along half a cosine, `num_cycles` times.
    CosineWithRestarts,
    /// Falls along a polynomial to 1e-7.
    Polynomial,
    /// Stays, from the first step.
    Constant,
    /// Stays after the warm-up.
    ConstantWithWarmup,
}

impl FromStr for SchedulerType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "linear" => Self::Linear,
            "cosine" => Self::Cosine,
            "cosine_with_restarts" => Self::CosineWithRestarts,
            "polynomial" => Self::Polynomial,
            "constant" => Self::Constant,
            "constant_with_warmup" => Self::ConstantWithWarmup,
            "piecewise_constant" => {
                return Err(Error::argument(
                    "lr_scheduler",
                    "`piecewise_constant` needs rules, which no flag gives",
                ));
            }
            other => {
                let known =
                    "linear, cosine, cosine_with_restarts, polynomial, constant or constant_with_warmup";
                return Err(Error::argument("lr_scheduler", format!("is `{other}`, but must be {known}")));
            }
        })
    }
}

/// The learning rate of each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRate {
    scheduler_type: SchedulerType,
    /// The highest rate.
    base: f64,
    /// The rate from which [`SchedulerType::Polynomial`] falls to its last one.
    polynomial_start: f64,
    warmup_steps: u64,
    training_steps: u64,
    num_cycles: f64,
    power: f64,
}

/// The last rate of [`SchedulerType::Polynomial`].
const POLYNOMIAL_END: f64 = 1e-7;

/// The course of a learning rate of `base`, with the arguments of Python's `get_scheduler`. `num_cycles` counts for
/// [`SchedulerType::Cosine`] (0.5 by default in Python) and [`SchedulerType::CosineWithRestarts`] (1), `power` for
/// [`SchedulerType::Polynomial`] (1).
///
/// ```
/// use oxidiff::training::{SchedulerType, get_scheduler};
///
/// let rate = get_scheduler(SchedulerType::Linear, 0.1, 10, 110, None, 1.0)?;
/// assert_eq!([0, 5, 10, 60, 110].map(|step| rate.at(step)), [0.0, 0.05, 0.1, 0.05, 0.0]);
/// # Ok::<(), oxidiff::Error>(())
/// ```
///
/// # Errors
/// When a polynomial should fall to 1e-7 from below.
pub fn get_scheduler(
    scheduler_type: SchedulerType,
    base: f64,
    warmup_steps: u64,
    training_steps: u64,
    num_cycles: Option<f64>,
    power: f64,
) -> Result<LearningRate> {
    if scheduler_type == SchedulerType::Polynomial && base <= POLYNOMIAL_END {
        let message = format!("is {base}, but a polynomial falls to {POLYNOMIAL_END}");
        return Err(Error::argument("learning_rate", message));
    }
    let num_cycles = num_cycles.unwrap_or(if scheduler_type == SchedulerType::Cosine { 0.5 } else { 1.0 });
    Ok(LearningRate {
        scheduler_type,
        base,
        polynomial_start: base,
        warmup_steps,
        training_steps,
        num_cycles,
        power,
    })
}

impl LearningRate {
    /// The rate for the step after `step` steps.
    pub fn at(&self, step: u64) -> f64 {
        self.base * self.factor(step)
    }

    /// The highest rate.
    pub fn base(&self) -> f64 {
        self.base
    }

    /// The same course for another highest rate, with the same factor in each step: what PyTorch does for groups of parameters
    /// that have rates of their own.
    ///
    /// ```
    /// use oxidiff::training::{SchedulerType, get_scheduler};
    ///
    /// let rate = get_scheduler(SchedulerType::Polynomial, 1e-3, 0, 10, None, 1.0)?.with_base(2e-3);
    /// assert_eq!([0, 10].map(|step| rate.at(step)), [2e-3, 2e-7]);
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    #[must_use]
    pub fn with_base(self, base: f64) -> Self {
        Self { base, ..self }
    }

    fn factor(&self, step: u64) -> f64 {
        let Self { warmup_steps, training_steps, .. } = *self;
        if self.scheduler_type == SchedulerType::Constant {
            return 1.0;
        }
        if step < warmup_steps {
            return step as f64 / warmup_steps as f64;
        }
        let falling = training_steps.saturating_sub(warmup_steps).max(1) as f64;
        let progress = (step - warmup_steps) as f64 / falling;
        match self.scheduler_type {
            SchedulerType::Constant | SchedulerType::ConstantWithWarmup => 1.0,
            SchedulerType::Linear => ((training_steps as f64 - step as f64) / falling).max(0.0),
            SchedulerType::Cosine => (0.5 * (1.0 + (PI * self.num_cycles * 2.0 * progress).cos())).max(0.0),
            SchedulerType::CosineWithRestarts if progress >= 1.0 => 0.0,
            SchedulerType::CosineWithRestarts => {
                (0.5 * (1.0 + (PI * ((self.num_cycles * progress) % 1.0)).cos())).max(0.0)
            }
            SchedulerType::Polynomial if step > training_steps => POLYNOMIAL_END / self.polynomial_start,
            SchedulerType::Polynomial => {
                let range = self.polynomial_start - POLYNOMIAL_END;
                let remaining =
                    1.0 - (step - warmup_steps) as f64 / (training_steps as f64 - warmup_steps as f64);
                (range * remaining.powf(self.power) + POLYNOMIAL_END) / self.polynomial_start
            }
        }
    }
}
