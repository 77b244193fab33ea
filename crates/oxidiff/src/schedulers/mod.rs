//! Schedulers: how noise is added for training, and how a sample is denoised step by step.
//!
//! A scheduler knows nothing about models. It receives what the model predicted for the current sample and returns the
//! sample at the previous (less noisy) timestep.
//!
//! # Where things are
//!
//! - One file per scheduler, which reads like its paper.
//! - `scheduler.rs`: the trait [`Scheduler`]; `options.rs`: the arguments of its methods.
//! - `registry.rs`: one row per class, with its [`Role`].
//! - `common/`: what several schedulers share, such as noise schedules, runs along noise levels, and the forms of a step
//!   for samples of any rank.
//! - `tokens/`: schedulers that step tokens instead of samples.
//!
//! Adding a scheduler takes its file, a `mod` line and a re-export here, and a row in the registry.

mod common;
mod options;
mod registry;
mod scheduler;
mod tokens;

mod consistency_models;
mod cosine_dpmsolver_multistep;
mod ddim;
mod ddim_inverse;
mod ddpm;
mod ddpm_wuerstchen;
mod deis_multistep;
mod dpmsolver_multistep;
mod dpmsolver_multistep_inverse;
mod dpmsolver_sde;
mod dpmsolver_singlestep;
mod edm_dpmsolver_multistep;
mod edm_euler;
mod euler_ancestral_discrete;
mod euler_discrete;
mod flow_match_euler_discrete;
mod flow_match_heun_discrete;
mod flow_match_lcm;
mod heun_discrete;
mod ipndm;
mod k_dpm_2_ancestral_discrete;
mod k_dpm_2_discrete;
mod lcm;
mod lms_discrete;
mod pndm;
mod repaint;
mod sasolver;
mod scm;
mod sde_ve;
mod tcd;
mod unclip;
mod unipc_multistep;

pub use options::{StepOptions, TimestepOptions};
pub use registry::{CLASS_NAMES, ModelKind, Role, from_config, load_config, role};
pub use scheduler::{CloneScheduler, Scheduler, SchedulerOutput};

pub use consistency_models::{CMStochasticIterativeScheduler, CMStochasticIterativeSchedulerConfig};
pub use cosine_dpmsolver_multistep::{
    CosineDPMSolverMultistepScheduler, CosineDPMSolverMultistepSchedulerConfig,
};
pub use ddim::{DDIMScheduler, DDIMSchedulerConfig};
pub use ddim_inverse::{DDIMInverseScheduler, DDIMInverseSchedulerConfig};
pub use ddpm::{DDPMScheduler, DDPMSchedulerConfig};
pub use ddpm_wuerstchen::{DDPMWuerstchenScheduler, DDPMWuerstchenSchedulerConfig};
pub use deis_multistep::{
    DEISAlgorithmType, DEISMultistepScheduler, DEISMultistepSchedulerConfig, DEISSolverType,
};
pub use dpmsolver_multistep::{DPMSolverMultistepScheduler, DPMSolverMultistepSchedulerConfig};
pub use dpmsolver_multistep_inverse::{
    DPMSolverMultistepInverseScheduler, DPMSolverMultistepInverseSchedulerConfig,
};
pub use dpmsolver_sde::{DPMSolverSDEScheduler, DPMSolverSDESchedulerConfig};
pub use dpmsolver_singlestep::{DPMSolverSinglestepScheduler, DPMSolverSinglestepSchedulerConfig};
pub use edm_dpmsolver_multistep::{EDMDPMSolverMultistepScheduler, EDMDPMSolverMultistepSchedulerConfig};
pub use edm_euler::{EDMEulerScheduler, EDMEulerSchedulerConfig};
pub use euler_ancestral_discrete::{EulerAncestralDiscreteScheduler, EulerAncestralDiscreteSchedulerConfig};
pub use euler_discrete::{
    EulerDiscreteScheduler, EulerDiscreteSchedulerConfig, InterpolationType, TimestepType,
};
pub use flow_match_euler_discrete::{FlowMatchEulerDiscreteScheduler, FlowMatchEulerDiscreteSchedulerConfig};
pub use flow_match_heun_discrete::{FlowMatchHeunDiscreteScheduler, FlowMatchHeunDiscreteSchedulerConfig};
pub use flow_match_lcm::{FlowMatchLCMScheduler, FlowMatchLCMSchedulerConfig, UpscaleMode};
pub use heun_discrete::{HeunDiscreteScheduler, HeunDiscreteSchedulerConfig};
pub use ipndm::{IPNDMScheduler, IPNDMSchedulerConfig};
pub use k_dpm_2_ancestral_discrete::{
    KDPM2AncestralDiscreteScheduler, KDPM2AncestralDiscreteSchedulerConfig,
};
pub use k_dpm_2_discrete::{KDPM2DiscreteScheduler, KDPM2DiscreteSchedulerConfig};
pub use lcm::{LCMScheduler, LCMSchedulerConfig};
pub use lms_discrete::{LMSDiscreteScheduler, LMSDiscreteSchedulerConfig};
pub use pndm::{PNDMScheduler, PNDMSchedulerConfig};
pub use repaint::{RePaintScheduler, RePaintSchedulerConfig};
pub use sasolver::{SAAlgorithmType, SASolverScheduler, SASolverSchedulerConfig};
pub(crate) use scm::{INTERMEDIATE_TIMESTEPS, MAX_TIMESTEPS};
pub use scm::{SCMScheduler, SCMSchedulerConfig};
pub use sde_ve::{ScoreSdeVeScheduler, ScoreSdeVeSchedulerConfig, SdeVeOutput};
pub use tcd::{TCDScheduler, TCDSchedulerConfig, TCDSchedulerOutput};
pub use unclip::{UnCLIPScheduler, UnCLIPSchedulerConfig};
pub use unipc_multistep::{UniPCMultistepScheduler, UniPCMultistepSchedulerConfig};

pub use common::dpmsolver::{AlgorithmType, SolverType};
pub use common::edm::SigmaSchedule;
pub use common::noise_sampler::NoiseSamplerSeed;
pub use common::noise_schedule::{BetaSchedule, TrainingNoise};
pub use common::prediction_type::PredictionType;
pub use common::sigma_schedule::FinalSigmasType;
pub use common::time_shift::TimeShiftType;
pub use common::timestep_spacing::TimestepSpacing;
pub(crate) use common::timestep_spacing::possible_steps;
pub use common::unipc::UniPCSolverType;
pub use common::variance_type::VarianceType;

pub use tokens::amused::{
    AmusedScheduler, AmusedSchedulerConfig, AmusedSchedulerOutput, AmusedStepOptions, MaskingSchedule,
};
pub use tokens::vq_diffusion::{VQDiffusionScheduler, VQDiffusionSchedulerConfig};

pub(crate) use common::zero_terminal_snr;
pub(crate) use registry::load;
