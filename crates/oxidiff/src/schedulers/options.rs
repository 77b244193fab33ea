//! The arguments of [`Scheduler::step`](super::Scheduler::step) and
//! [`Scheduler::set_timesteps_with`](super::Scheduler::set_timesteps_with).

use burn::tensor::{DType, Tensor};

use crate::error::{Error, Result};
use crate::random::{Generator, Generators};

/// The optional arguments of [`Scheduler::step`](super::Scheduler::step), for samples of rank `D`. A scheduler ignores
/// those that it does not use.
#[derive(Debug)]
pub struct StepOptions<'a, const D: usize = 4> {
    /// Weight of the noise added in a DDIM or TCD step, from 0 (deterministic) to 1. By default, as in Python, that of
    /// the scheduler: 0 for DDIM, 0.3 for TCD.
    pub eta: Option<f64>,
    /// Recompute the predicted noise from the clipped sample (DDIM).
    pub use_clipped_model_output: bool,
    /// Where noise comes from; by default a freshly seeded generator.
    pub generator: Option<&'a mut Generators>,
    /// Noise to use instead of drawing it, of the sample's shape.
    pub variance_noise: Option<Tensor<D>>,
    /// How much noise is added before each step ([Karras et al.](https://arxiv.org/abs/2206.00364), algorithm 2; Euler).
    pub s_churn: f64,
    /// The lowest noise level at which noise is added (Euler).
    pub s_tmin: f64,
    /// The highest noise level at which noise is added (Euler).
    pub s_tmax: f64,
    /// Standard deviation of the noise that is added (Euler).
    pub s_noise: f64,
    /// How many of the last tangents are used (LMS), 1 to 8.
    pub order: usize,
    /// The timestep that the step leads to, −1 for none; by default the training timestep before (unCLIP).
    pub prev_timestep: Option<f32>,
    /// The noise-free sample, instead of the one that the model's output implies (EDM Euler).
    pub pred_original_sample: Option<Tensor<D>>,
    /// The partly known image, of the sample's shape (RePaint).
    pub original_image: Option<Tensor<D>>,
    /// 1 where the image is known, 0 where it is not, `[batch, channels or 1, height, width]` (RePaint).
    pub mask: Option<Tensor<D>>,
}

impl<const D: usize> Default for StepOptions<'_, D> {
    fn default() -> Self {
        Self {
            eta: None,
            use_clipped_model_output: false,
            generator: None,
            variance_noise: None,
            s_churn: 0.0,
            s_tmin: 0.0,
            s_tmax: f64::INFINITY,
            s_noise: 1.0,
            order: 4,
            prev_timestep: None,
            pred_original_sample: None,
            original_image: None,
            mask: None,
        }
    }
}

impl StepOptions<'_> {
    /// Raises a single-precision sample's noise level σ before a step if `s_churn` asks for it (Karras et al.,
    /// algorithm 2, lines 4 to 6), in a run of `steps` steps. Also returns the new level.
    pub(super) fn churn(
        &mut self,
        sample: Tensor<4>,
        sigma: f64,
        steps: usize,
        dtype: DType,
    ) -> Result<(Tensor<4>, f64)> {
        if !(self.s_tmin..=self.s_tmax).contains(&sigma) {
            return Ok((sample, sigma));
        }
        let gamma = (self.s_churn / steps as f64).min(std::f64::consts::SQRT_2 - 1.0);
        let sigma_hat = sigma * (gamma + 1.0);
        if gamma <= 0.0 {
            return Ok((sample, sigma_hat));
        }
        let deviation = self.s_noise * (sigma_hat * sigma_hat - sigma * sigma).sqrt();
        let noise = self.noise(&sample, dtype)?;
        Ok((sample + noise * deviation, sigma_hat))
    }

    /// Noise of the same shape as `like`: the given one, or drawn in `dtype`; in single precision either way.
    pub(super) fn noise(&mut self, like: &Tensor<4>, dtype: DType) -> Result<Tensor<4>> {
        let noise = match (self.variance_noise.take(), self.generator.as_deref_mut()) {
            (Some(noise), _) => noise,
            (None, Some(generators)) => generators.randn(like.dims(), dtype, &like.device())?,
            (None, None) => Generator::from_entropy().randn(like.dims(), dtype, &like.device()),
        };
        if noise.dims() != like.dims() {
            let message = format!("has shape {:?}, the sample has {:?}", noise.dims(), like.dims());
            return Err(Error::argument("variance_noise", message));
        }
        Ok(noise.cast(DType::F32))
    }
}

/// The arguments of [`Scheduler::set_timesteps_with`](super::Scheduler::set_timesteps_with): those that the
/// `set_timesteps` of any class takes in Python.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TimestepOptions<'a> {
    /// Number of steps; needed unless timesteps or sigmas are given.
    pub num_inference_steps: Option<usize>,
    /// The timesteps of the run, in descending order.
    pub timesteps: Option<&'a [f32]>,
    /// The noise levels of the run, in descending order.
    pub sigmas: Option<&'a [f32]>,
    /// Shift of the noise levels of a flow, which a pipeline computes from the size of the image.
    pub mu: Option<f64>,
    /// Number of steps that the model was distilled with (LCM, TCD).
    pub original_inference_steps: Option<usize>,
    /// The part of the timesteps that is used when the run starts from an image; by default 1 (LCM, TCD).
    pub strength: Option<f64>,
    /// The number of training timesteps that the run is spread over, instead of the configuration's (Heun, KDPM2, SDE).
    pub num_train_timesteps: Option<usize>,
    /// How many steps are repeated at a time; by default 10 (RePaint).
    pub jump_length: Option<usize>,
    /// How often they are made; by default 10 (RePaint).
    pub jump_n_sample: Option<usize>,
    /// The first timestep; by default 1.5708 (SCM).
    pub max_timesteps: Option<f64>,
    /// The second timestep of a run of two steps; by default 1.3, if the first is not given either (SCM).
    pub intermediate_timesteps: Option<f64>,
}

impl TimestepOptions<'_> {
    /// A number of steps and nothing else.
    pub fn steps(num_inference_steps: usize) -> Self {
        Self { num_inference_steps: Some(num_inference_steps), ..Self::default() }
    }

    /// Rejects arguments other than the number of steps and those that a class `knows`.
    pub(super) fn only(&self, known: &[&str], class_name: &str) -> Result<()> {
        let no_argument = "does not take it";
        let arguments = [
            ("timesteps", self.timesteps.is_some(), "chooses its own timesteps"),
            ("sigmas", self.sigmas.is_some(), "chooses its own noise levels"),
            ("mu", self.mu.is_some(), "does not shift noise levels"),
            ("original_inference_steps", self.original_inference_steps.is_some(), no_argument),
            ("strength", self.strength.is_some(), no_argument),
            ("num_train_timesteps", self.num_train_timesteps.is_some(), no_argument),
            ("jump_length", self.jump_length.is_some(), no_argument),
            ("jump_n_sample", self.jump_n_sample.is_some(), no_argument),
            ("max_timesteps", self.max_timesteps.is_some(), no_argument),
            ("intermediate_timesteps", self.intermediate_timesteps.is_some(), no_argument),
        ];
        match arguments.into_iter().find(|(name, given, _)| *given && !known.contains(name)) {
            Some((name, _, reason)) => Err(Error::argument(name, format!("the {class_name} {reason}"))),
            None => Ok(()),
        }
    }

    /// As [`TimestepOptions::only`], for a class whose run follows from exactly one of the number of steps, `timesteps`
    /// and `sigmas`. Returns the number of steps if it is that.
    pub(super) fn one_of(&self, known: &[&str], class_name: &str) -> Result<Option<usize>> {
        self.only(known, class_name)?;
        match (self.num_inference_steps, self.timesteps, self.sigmas, self.mu) {
            (Some(_), None, None, _) | (None, Some(_), None, None) | (None, None, Some(_), None) => {
                Ok(self.num_inference_steps)
            }
            _ => Err(Error::argument(
                "num_inference_steps",
                "exactly one of it, `timesteps` and `sigmas` must be given, and `mu` only with the first",
            )),
        }
    }

    /// The number of training timesteps that a run is spread over: the given one, or that of the `config`uration.
    pub(super) fn training_steps(&self, config: usize) -> Result<usize> {
        match self.num_train_timesteps {
            Some(0) => Err(Error::argument("num_train_timesteps", "must be at least 1")),
            given => Ok(given.unwrap_or(config)),
        }
    }

    /// The number of steps, for a class that takes nothing else.
    pub(super) fn steps_alone(&self, class_name: &str) -> Result<usize> {
        self.only(&[], class_name)?;
        self.count()
    }

    /// The number of steps, which must be given.
    pub(super) fn count(&self) -> Result<usize> {
        self.num_inference_steps.ok_or_else(|| Error::argument("num_inference_steps", "must be given"))
    }
}
