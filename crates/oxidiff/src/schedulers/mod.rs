//! Schedulers: how noise is added for training, and how a sample gets less noisy step by step.
//!
//! A scheduler knows no model. It is given what the model predicted for the current sample and returns the sample at
//! the previous (less noisy) timestep. Each file holds one scheduler and reads as its paper does.

mod amused;
mod brownian_tree;
mod consistency_models;
mod cosine_dpmsolver_multistep;
mod ddim;
mod ddim_inverse;
mod ddpm;
mod ddpm_wuerstchen;
mod deis_multistep;
mod distilled_run;
mod dpmsolver;
mod dpmsolver_multistep;
mod dpmsolver_multistep_inverse;
mod dpmsolver_sde;
mod dpmsolver_singlestep;
mod edm;
mod edm_dpmsolver_multistep;
mod edm_euler;
mod edm_solver;
mod euler_ancestral_discrete;
mod euler_discrete;
mod flow_match_euler_discrete;
mod flow_match_heun_discrete;
mod flow_match_lcm;
mod flow_sigmas;
mod heun_discrete;
mod ipndm;
mod k_dpm_2_ancestral_discrete;
mod k_dpm_2_discrete;
mod lcm;
mod lms_discrete;
mod log_snr;
mod multistep;
mod noise_sampler;
mod noise_schedule;
mod pndm;
mod prediction_type;
mod repaint;
mod run;
mod sasolver;
mod sde_ve;
mod seed_sequence;
mod sigma_schedule;
mod step_index;
mod tcd;
mod thresholding;
mod timestep_spacing;
mod tokens;
mod two_stage;
mod unclip;
mod unipc_multistep;
mod variance_exploding;
mod vq_diffusion;
pub(crate) mod zero_terminal_snr;

use std::fmt::Debug;
use std::path::Path;

use burn::tensor::{DType, Tensor};

pub use amused::{
    AmusedScheduler, AmusedSchedulerConfig, AmusedSchedulerOutput, AmusedStepOptions, MaskingSchedule,
};
pub use consistency_models::{CMStochasticIterativeScheduler, CMStochasticIterativeSchedulerConfig};
pub use cosine_dpmsolver_multistep::{
    CosineDPMSolverMultistepScheduler, CosineDPMSolverMultistepSchedulerConfig,
};
pub use ddim::{DDIMScheduler, DDIMSchedulerConfig};
pub use ddim_inverse::{DDIMInverseScheduler, DDIMInverseSchedulerConfig};
pub use ddpm::{DDPMScheduler, DDPMSchedulerConfig, VarianceType};
pub use ddpm_wuerstchen::{DDPMWuerstchenScheduler, DDPMWuerstchenSchedulerConfig};
pub use deis_multistep::{
    DEISAlgorithmType, DEISMultistepScheduler, DEISMultistepSchedulerConfig, DEISSolverType,
};
pub use dpmsolver::{AlgorithmType, SolverType};
pub use dpmsolver_multistep::{
    DPMSolverMultistepScheduler, DPMSolverMultistepSchedulerConfig, TimeShiftType,
};
pub use dpmsolver_multistep_inverse::{
    DPMSolverMultistepInverseScheduler, DPMSolverMultistepInverseSchedulerConfig,
};
pub use dpmsolver_sde::{DPMSolverSDEScheduler, DPMSolverSDESchedulerConfig};
pub use dpmsolver_singlestep::{DPMSolverSinglestepScheduler, DPMSolverSinglestepSchedulerConfig};
pub use edm::SigmaSchedule;
pub use edm_dpmsolver_multistep::{EDMDPMSolverMultistepScheduler, EDMDPMSolverMultistepSchedulerConfig};
pub use edm_euler::{EDMEulerScheduler, EDMEulerSchedulerConfig};
pub use euler_ancestral_discrete::{EulerAncestralDiscreteScheduler, EulerAncestralDiscreteSchedulerConfig};
pub use euler_discrete::{
    EulerDiscreteScheduler, EulerDiscreteSchedulerConfig, InterpolationType, TimestepType,
};
pub use flow_match_euler_discrete::{FlowMatchEulerDiscreteScheduler, FlowMatchEulerDiscreteSchedulerConfig};
pub use flow_match_heun_discrete::{FlowMatchHeunDiscreteScheduler, FlowMatchHeunDiscreteSchedulerConfig};
pub use flow_match_lcm::{FlowMatchLCMScheduler, FlowMatchLCMSchedulerConfig, UpscaleMode};
pub use flow_sigmas::FlowTimeShiftType;
pub use heun_discrete::{HeunDiscreteScheduler, HeunDiscreteSchedulerConfig};
pub use ipndm::{IPNDMScheduler, IPNDMSchedulerConfig};
pub use k_dpm_2_ancestral_discrete::{
    KDPM2AncestralDiscreteScheduler, KDPM2AncestralDiscreteSchedulerConfig,
};
pub use k_dpm_2_discrete::{KDPM2DiscreteScheduler, KDPM2DiscreteSchedulerConfig};
pub use lcm::{LCMScheduler, LCMSchedulerConfig};
pub use lms_discrete::{LMSDiscreteScheduler, LMSDiscreteSchedulerConfig};
pub use noise_sampler::NoiseSamplerSeed;
pub use noise_schedule::BetaSchedule;
pub use pndm::{PNDMScheduler, PNDMSchedulerConfig};
pub use prediction_type::PredictionType;
pub use repaint::{RePaintScheduler, RePaintSchedulerConfig};
pub use sasolver::{SAAlgorithmType, SASolverScheduler, SASolverSchedulerConfig};
pub use sde_ve::{ScoreSdeVeScheduler, ScoreSdeVeSchedulerConfig, SdeVeOutput};
pub use sigma_schedule::FinalSigmasType;
pub use tcd::{TCDScheduler, TCDSchedulerConfig, TCDSchedulerOutput};
pub use timestep_spacing::TimestepSpacing;
pub use unclip::{UnCLIPScheduler, UnCLIPSchedulerConfig};
pub use unipc_multistep::{UniPCMultistepScheduler, UniPCMultistepSchedulerConfig, UniPCSolverType};
pub use vq_diffusion::{VQDiffusionScheduler, VQDiffusionSchedulerConfig};

use crate::error::{Error, Result};
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::loading::{LoadOptions, Needed, write_whole};
use crate::random::{Generator, Generators};

/// The classes that [`from_config`] can build: those that step samples, and not tokens as [`AmusedScheduler`] and
/// [`VQDiffusionScheduler`] do. Each can take over the configuration of any other, though a model may not
/// work with it: see [`Scheduler::compatibles`].
pub const CLASS_NAMES: &[&str] = &[
    "CMStochasticIterativeScheduler",
    "CosineDPMSolverMultistepScheduler",
    "DDIMInverseScheduler",
    "DDIMScheduler",
    "DDPMScheduler",
    "DDPMWuerstchenScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EDMDPMSolverMultistepScheduler",
    "EDMEulerScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "FlowMatchLCMScheduler",
    "HeunDiscreteScheduler",
    "IPNDMScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "RePaintScheduler",
    "SASolverScheduler",
    "ScoreSdeVeScheduler",
    "TCDScheduler",
    "UnCLIPScheduler",
    "UniPCMultistepScheduler",
];

/// The classes that can take over from any of [`REPLACEABLE`].
const SUBSTITUTES: &[&str] = &[
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EDMEulerScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "UniPCMultistepScheduler",
];

/// The classes for models that were trained with discrete timesteps and a schedule of β.
const REPLACEABLE: &[&str] = &[
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
];

/// Builds the scheduler of class `class_name`, one of [`CLASS_NAMES`].
///
/// ```
/// use oxidiff::{Config, schedulers};
///
/// let config = Config::from_json(r#"{"_class_name": "PNDMScheduler", "skip_prk_steps": true}"#)?;
/// let scheduler = schedulers::from_config(config.class_name().unwrap(), &config)?;
/// assert_eq!(scheduler.config().get("num_train_timesteps").unwrap(), 1000);
/// # Ok::<(), oxidiff::Error>(())
/// ```
///
/// # Errors
/// When there is no such class, or a field of the configuration has a value that the class does not know.
pub fn from_config(class_name: &str, config: &Config) -> Result<Box<dyn Scheduler>> {
    fn boxed<S: Scheduler + 'static>(config: &Config) -> Result<Box<dyn Scheduler>> {
        Ok(Box::new(S::from_config(config)?))
    }
    match class_name {
        "CMStochasticIterativeScheduler" => boxed::<CMStochasticIterativeScheduler>(config),
        "CosineDPMSolverMultistepScheduler" => boxed::<CosineDPMSolverMultistepScheduler>(config),
        "DDIMInverseScheduler" => boxed::<DDIMInverseScheduler>(config),
        "DDIMScheduler" => boxed::<DDIMScheduler>(config),
        "DDPMScheduler" => boxed::<DDPMScheduler>(config),
        "DDPMWuerstchenScheduler" => boxed::<DDPMWuerstchenScheduler>(config),
        "DEISMultistepScheduler" => boxed::<DEISMultistepScheduler>(config),
        "DPMSolverMultistepInverseScheduler" => boxed::<DPMSolverMultistepInverseScheduler>(config),
        "DPMSolverMultistepScheduler" => boxed::<DPMSolverMultistepScheduler>(config),
        "DPMSolverSDEScheduler" => boxed::<DPMSolverSDEScheduler>(config),
        "DPMSolverSinglestepScheduler" => boxed::<DPMSolverSinglestepScheduler>(config),
        "EDMDPMSolverMultistepScheduler" => boxed::<EDMDPMSolverMultistepScheduler>(config),
        "EDMEulerScheduler" => boxed::<EDMEulerScheduler>(config),
        "EulerAncestralDiscreteScheduler" => boxed::<EulerAncestralDiscreteScheduler>(config),
        "EulerDiscreteScheduler" => boxed::<EulerDiscreteScheduler>(config),
        "FlowMatchEulerDiscreteScheduler" => boxed::<FlowMatchEulerDiscreteScheduler>(config),
        "FlowMatchHeunDiscreteScheduler" => boxed::<FlowMatchHeunDiscreteScheduler>(config),
        "FlowMatchLCMScheduler" => boxed::<FlowMatchLCMScheduler>(config),
        "HeunDiscreteScheduler" => boxed::<HeunDiscreteScheduler>(config),
        "IPNDMScheduler" => boxed::<IPNDMScheduler>(config),
        "KDPM2AncestralDiscreteScheduler" => boxed::<KDPM2AncestralDiscreteScheduler>(config),
        "KDPM2DiscreteScheduler" => boxed::<KDPM2DiscreteScheduler>(config),
        "LCMScheduler" => boxed::<LCMScheduler>(config),
        "LMSDiscreteScheduler" => boxed::<LMSDiscreteScheduler>(config),
        "PNDMScheduler" => boxed::<PNDMScheduler>(config),
        "RePaintScheduler" => boxed::<RePaintScheduler>(config),
        "SASolverScheduler" => boxed::<SASolverScheduler>(config),
        "ScoreSdeVeScheduler" => boxed::<ScoreSdeVeScheduler>(config),
        "TCDScheduler" => boxed::<TCDScheduler>(config),
        "UnCLIPScheduler" => boxed::<UnCLIPScheduler>(config),
        "UniPCMultistepScheduler" => boxed::<UniPCMultistepScheduler>(config),
        "AmusedScheduler" | "VQDiffusionScheduler" => Err(Error::unsupported(
            format!("`{class_name}` where a scheduler of samples is needed"),
            format!(
                "it steps tokens, for models that predict these; build it with `{class_name}::from_config`"
            ),
        )),
        _ => Err(Error::unsupported(
            format!("scheduler class `{class_name}`"),
            format!("known schedulers are {}", CLASS_NAMES.join(", ")),
        )),
    }
}

/// The name of a scheduler's file.
const SCHEDULER_CONFIG: &str = "scheduler_config.json";

/// Loads the scheduler of a pipeline, which says of which class it is.
pub(crate) fn load(folder: &Folder, class_name: &str) -> Result<Box<dyn Scheduler>> {
    from_config(class_name, &read_config(folder, class_name)?)
}

fn read_config(folder: &Folder, class_name: &str) -> Result<Config> {
    let text = folder.read(SCHEDULER_CONFIG, class_name)?;
    Config::parse(&text, &folder.locate(SCHEDULER_CONFIG).display().to_string())
}

/// Reads the configuration of a scheduler from a folder or from the hub.
fn load_config(name_or_path: &str, options: &LoadOptions) -> Result<Config> {
    let folder = options.open(name_or_path, Needed::Config { config: SCHEDULER_CONFIG })?;
    read_config(&folder, "a scheduler")
}

/// Writes the configuration of a scheduler into a folder, which is made where it does not exist.
fn save_config(config: &Config, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    write_whole(&folder.join(SCHEDULER_CONFIG), (config.to_json() + "\n").as_bytes())
}

/// What [`Scheduler::step`] computes.
#[derive(Clone, Debug)]
pub struct SchedulerOutput {
    /// The sample at the previous timestep, `[batch, channels, height, width]`: the next input of the model.
    pub prev_sample: Tensor<4>,
    /// What the scheduler now believes the noise-free sample to be, where it computes that.
    pub pred_original_sample: Option<Tensor<4>>,
}

/// The optional arguments of [`Scheduler::step`]. A scheduler ignores those that mean nothing to it.
#[derive(Debug)]
pub struct StepOptions<'a> {
    /// Weight of the noise added in a DDIM or TCD step, from 0 (deterministic) to 1; the scheduler's own default, as in
    /// Python, where absent: 0 for DDIM, 0.3 for TCD.
    pub eta: Option<f64>,
    /// Recompute the predicted noise from the clipped sample (DDIM).
    pub use_clipped_model_output: bool,
    /// Where noise comes from; a freshly seeded generator where absent.
    pub generator: Option<&'a mut Generators>,
    /// Noise to use instead of drawing it, `[batch, channels, height, width]`.
    pub variance_noise: Option<Tensor<4>>,
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
    /// The timestep that the step leads to, −1 for none; the training timestep before where absent (unCLIP).
    pub prev_timestep: Option<f32>,
    /// The noise-free sample, instead of what the model's output implies (EDM Euler).
    pub pred_original_sample: Option<Tensor<4>>,
    /// The image of which a part is known, like the sample in shape (RePaint).
    pub original_image: Option<Tensor<4>>,
    /// 1 where the image is known, 0 where it is not, `[batch, channels or 1, height, width]` (RePaint).
    pub mask: Option<Tensor<4>>,
}

impl Default for StepOptions<'_> {
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
    /// Raises a single-precision sample's noise level σ before a step, where `s_churn` asks for it (Karras et al.,
    /// algorithm 2, lines 4 to 6), in a run of `steps` steps. Returns the new level with it.
    fn churn(
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

    /// Noise shaped like `like`: what was given, or else drawn in `dtype`; in single precision either way.
    fn noise(&mut self, like: &Tensor<4>, dtype: DType) -> Result<Tensor<4>> {
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

/// The optional arguments of [`Scheduler::set_timesteps_with`]: those that a class of Python takes besides
/// `num_inference_steps`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TimestepOptions<'a> {
    /// Number of steps; needed where neither timesteps nor sigmas are given.
    pub num_inference_steps: Option<usize>,
    /// The timesteps of the run, in descending order.
    pub timesteps: Option<&'a [f32]>,
    /// The noise levels of the run, in descending order.
    pub sigmas: Option<&'a [f32]>,
    /// Shift of the noise levels of a flow, which a pipeline computes from the size of the image.
    pub mu: Option<f64>,
    /// Number of steps that the model was distilled with (LCM, TCD).
    pub original_inference_steps: Option<usize>,
    /// The part of the timesteps that is used, where an image is the start; 1 where absent (LCM, TCD).
    pub strength: Option<f64>,
}

impl TimestepOptions<'_> {
    /// A number of steps and nothing else.
    pub fn steps(num_inference_steps: usize) -> Self {
        Self { num_inference_steps: Some(num_inference_steps), ..Self::default() }
    }

    /// Rejects arguments other than the number of steps and those that a class `knows`.
    fn only(&self, known: &[&str], class_name: &str) -> Result<()> {
        let given = [
            ("timesteps", self.timesteps.is_some()),
            ("sigmas", self.sigmas.is_some()),
            ("mu", self.mu.is_some()),
            ("original_inference_steps", self.original_inference_steps.is_some()),
            ("strength", self.strength.is_some()),
        ];
        match given.into_iter().find(|(name, given)| *given && !known.contains(name)) {
            Some((name, _)) => Err(Error::unsupported(
                format!("`{name}` with {class_name}"),
                "this scheduler's `set_timesteps` has no such argument",
            )),
            None => Ok(()),
        }
    }
}

/// Rejects a model's output that does not fit the sample, such as one with an unexpected variance half.
fn check_same_shape(model_output: &Tensor<4>, sample: &Tensor<4>) -> Result<()> {
    if model_output.dims() == sample.dims() {
        return Ok(());
    }
    let message = format!("has shape {:?}, the sample has {:?}", model_output.dims(), sample.dims());
    Err(Error::argument("model_output", message))
}

/// The number of inference steps, of a scheduler that has been told it.
fn started(num_inference_steps: Option<usize>) -> Result<usize> {
    num_inference_steps
        .ok_or_else(|| Error::argument("num_inference_steps", "is not known: call `set_timesteps` first"))
}

/// A noise schedule and the rule for one step along it.
///
/// Timesteps are `f32`, which holds every training step exactly and also the fractional ones of the Karras family.
///
/// A step computes in single precision whatever the sample's type and returns the sample's type.
pub trait Scheduler: Debug + Send + Sync {
    /// Builds the scheduler from the configuration of any scheduler; fields that it does not know are kept.
    ///
    /// # Errors
    /// When a field has a value that this scheduler does not know.
    fn from_config(config: &Config) -> Result<Self>
    where
        Self: Sized;

    /// Loads the scheduler from a folder, or from the hub, that holds its `scheduler_config.json`, whatever class wrote
    /// it.
    ///
    /// # Errors
    /// When the file is missing, or a field has a value that this scheduler does not know.
    fn from_pretrained(name_or_path: &str) -> Result<Self>
    where
        Self: Sized,
    {
        Self::from_pretrained_with(name_or_path, &LoadOptions::default())
    }

    /// Loads the scheduler with a subfolder or a revision: that of a pipeline lies in the subfolder `scheduler`.
    ///
    /// # Errors
    /// As [`Scheduler::from_pretrained`].
    fn from_pretrained_with(name_or_path: &str, options: &LoadOptions) -> Result<Self>
    where
        Self: Sized,
    {
        Self::from_config(&load_config(name_or_path, options)?)
    }

    /// Writes `scheduler_config.json` into `folder`, which is made where it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save_pretrained(&self, folder: &Path) -> Result<()> {
        save_config(self.config(), folder)
    }

    /// The configuration, defaults filled in.
    fn config(&self) -> &Config;

    /// The timesteps of this inference run, from noisy to clean. Before [`Scheduler::set_timesteps`], all training
    /// timesteps ([`PNDMScheduler`]: none).
    fn timesteps(&self) -> &[f32];

    /// The noise levels of this run, where the scheduler walks along such a list: mostly at least one more than
    /// timesteps.
    fn sigmas(&self) -> Option<&[f32]> {
        None
    }

    /// Standard deviation of the initial noise.
    fn init_noise_sigma(&self) -> f64;

    /// How often the model is called for one step.
    fn order(&self) -> usize {
        1
    }

    /// The classes that can take over this scheduler's configuration and work with the same model.
    ///
    /// ```
    /// use oxidiff::{PNDMScheduler, Scheduler};
    ///
    /// let scheduler = PNDMScheduler::new(Default::default())?;
    /// assert!(scheduler.compatibles().contains(&"EulerDiscreteScheduler"));
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    fn compatibles(&self) -> Vec<&'static str> {
        let class_name = self.config().class_name().unwrap_or_default();
        let replaceable = REPLACEABLE.contains(&class_name);
        let compatible = |other: &str| other == class_name || replaceable && SUBSTITUTES.contains(&other);
        CLASS_NAMES.iter().copied().filter(|other| compatible(other)).collect()
    }

    /// Chooses the timesteps of an inference run of `num_inference_steps` steps.
    ///
    /// # Errors
    /// When the schedule cannot be divided into that many steps.
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()>;

    /// As [`Scheduler::set_timesteps`], with the noise levels of a flow shifted by `mu`, which a pipeline computes from
    /// the size of the image.
    ///
    /// # Errors
    /// When this scheduler, or its configuration, knows no such shift.
    fn set_timesteps_with_mu(&mut self, num_inference_steps: usize, mu: f64) -> Result<()> {
        let _ = (num_inference_steps, mu);
        Err(Error::unsupported(
            format!("`mu` with {}", self.config().class_name().unwrap_or_default()),
            "this scheduler shifts no noise levels",
        ))
    }

    /// Chooses the timesteps of an inference run with every argument that Python's `set_timesteps` of the class takes.
    ///
    /// ```
    /// use oxidiff::{LCMScheduler, Scheduler, TimestepOptions};
    ///
    /// let mut scheduler = LCMScheduler::new(Default::default())?;
    /// let options = TimestepOptions { original_inference_steps: Some(100), ..TimestepOptions::steps(4) };
    /// scheduler.set_timesteps_with(options)?;
    /// assert_eq!(scheduler.timesteps(), [999.0, 749.0, 499.0, 249.0]);
    /// # Ok::<(), oxidiff::Error>(())
    /// ```
    ///
    /// # Errors
    /// When this scheduler has no such argument, or cannot use what it says together with the others.
    fn set_timesteps_with(&mut self, options: TimestepOptions<'_>) -> Result<()> {
        let class_name = self.config().class_name().unwrap_or_default().to_owned();
        options.only(&["timesteps", "sigmas", "mu"], &class_name)?;
        match (options.num_inference_steps, options.timesteps, options.sigmas, options.mu) {
            (Some(steps), None, None, None) => self.set_timesteps(steps),
            (Some(steps), None, None, Some(mu)) => self.set_timesteps_with_mu(steps, mu),
            (None, Some(timesteps), None, None) => self.set_custom_timesteps(timesteps),
            (None, None, Some(sigmas), None) => self.set_custom_sigmas(sigmas),
            _ => Err(Error::argument(
                "num_inference_steps",
                "exactly one of it, `timesteps` and `sigmas` must be given, and `mu` only with the first",
            )),
        }
    }

    /// Uses exactly these timesteps, in descending order.
    ///
    /// # Errors
    /// When this scheduler takes no custom timesteps, or cannot use these.
    fn set_custom_timesteps(&mut self, timesteps: &[f32]) -> Result<()> {
        let _ = timesteps;
        Err(Error::unsupported(
            format!("`timesteps` with {}", self.config().class_name().unwrap_or_default()),
            "this scheduler chooses its own timesteps",
        ))
    }

    /// Uses exactly these noise levels, in descending order.
    ///
    /// # Errors
    /// When this scheduler takes no custom sigmas, or cannot use these.
    fn set_custom_sigmas(&mut self, sigmas: &[f32]) -> Result<()> {
        let _ = sigmas;
        Err(Error::unsupported(
            format!("`sigmas` with {}", self.config().class_name().unwrap_or_default()),
            "this scheduler chooses its own noise levels",
        ))
    }

    /// Scales a sample to what the model expects at `timestep`.
    ///
    /// # Errors
    /// When `timestep` is not one of this run.
    fn scale_model_input(&mut self, sample: Tensor<4>, timestep: f32) -> Result<Tensor<4>> {
        let _ = timestep;
        Ok(sample)
    }

    /// Goes from `sample` at `timestep` to the previous, less noisy timestep.
    ///
    /// # Errors
    /// Before [`Scheduler::set_timesteps`], or when `timestep` is not one of this run.
    fn step(
        &mut self,
        model_output: Tensor<4>,
        timestep: f32,
        sample: Tensor<4>,
        options: StepOptions<'_>,
    ) -> Result<SchedulerOutput>;

    /// Adds noise to clean samples, item `i` up to the level of `timesteps[i]`.
    ///
    /// # Errors
    /// When the number of timesteps is neither 1 nor the batch size, or one of them is out of range.
    fn add_noise(
        &self,
        original_samples: Tensor<4>,
        noise: Tensor<4>,
        timesteps: &[f32],
    ) -> Result<Tensor<4>>;

    /// Says at which index of the timesteps the run starts, where it does not start at the first (image to image).
    fn set_begin_index(&mut self, begin_index: usize) {
        let _ = begin_index;
    }

    /// A copy of this scheduler and its state.
    fn clone_box(&self) -> Box<dyn Scheduler>;
}

impl Clone for Box<dyn Scheduler> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

impl<S: Scheduler + 'static> From<S> for Box<dyn Scheduler> {
    fn from(scheduler: S) -> Self {
        Box::new(scheduler)
    }
}
