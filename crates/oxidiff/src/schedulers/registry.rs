//! The scheduler classes that can be built from a configuration, and what each can be used for.

use super::common::config_file;
use super::{
    CMStochasticIterativeScheduler, CosineDPMSolverMultistepScheduler, DDIMInverseScheduler, DDIMScheduler,
    DDPMScheduler, DDPMWuerstchenScheduler, DEISMultistepScheduler, DPMSolverMultistepInverseScheduler,
    DPMSolverMultistepScheduler, DPMSolverSDEScheduler, DPMSolverSinglestepScheduler,
    EDMDPMSolverMultistepScheduler, EDMEulerScheduler, EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler,
    FlowMatchLCMScheduler, HeunDiscreteScheduler, IPNDMScheduler, KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler, LCMScheduler, LMSDiscreteScheduler, PNDMScheduler, RePaintScheduler,
    SASolverScheduler, SCMScheduler, Scheduler, ScoreSdeVeScheduler, TCDScheduler, UnCLIPScheduler,
    UniPCMultistepScheduler, tokens,
};
use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::loading::config::Config;
use crate::loading::folder::Folder;

/// The optional arguments of steps that add noise.
const DRAWS: &[&str] = &["generator"];

/// Those of steps that can also raise the noise level first.
const CHURNS: &[&str] = &["s_churn", "s_tmin", "s_tmax", "s_noise", "generator"];

/// All classes that step samples, in alphabetical order.
const SCHEDULERS: &[Entry] = &[
    Entry::new::<CMStochasticIterativeScheduler>("CMStochasticIterativeScheduler")
        .timesteps(&["device", "timesteps"])
        .step(DRAWS),
    Entry::new::<CosineDPMSolverMultistepScheduler>("CosineDPMSolverMultistepScheduler").step(DRAWS),
    Entry::new::<DDIMInverseScheduler>("DDIMInverseScheduler").whole_timesteps(),
    Entry::new::<DDIMScheduler>("DDIMScheduler")
        .step(&["eta", "use_clipped_model_output", "generator", "variance_noise"])
        .whole_timesteps()
        .replaceable()
        .substitute()
        .divides_by_signal()
        .uses_eta(),
    Entry::new::<DDPMScheduler>("DDPMScheduler")
        .timesteps(&["device", "timesteps"])
        .step(DRAWS)
        .whole_timesteps()
        .replaceable()
        .substitute()
        .divides_by_signal(),
    Entry::new::<DDPMWuerstchenScheduler>("DDPMWuerstchenScheduler")
        .timesteps(&["timesteps", "device"])
        .step(DRAWS),
    Entry::new::<DEISMultistepScheduler>("DEISMultistepScheduler")
        .timesteps(&["device", "mu"])
        .whole_timesteps()
        .replaceable()
        .substitute(),
    Entry::new::<DPMSolverMultistepInverseScheduler>("DPMSolverMultistepInverseScheduler")
        .step(&["generator", "variance_noise"])
        .whole_timesteps()
        .replaceable(),
    Entry::new::<DPMSolverMultistepScheduler>("DPMSolverMultistepScheduler")
        .keeps_signal()
        .timesteps(&["device", "mu", "timesteps"])
        .step(&["generator", "variance_noise"])
        .whole_timesteps()
        .replaceable()
        .substitute(),
    Entry::new::<DPMSolverSDEScheduler>("DPMSolverSDEScheduler")
        .timesteps(&["device", "num_train_timesteps"])
        .step(&["return_dict", "s_noise"])
        .replaceable()
        .substitute(),
    Entry::new::<DPMSolverSinglestepScheduler>("DPMSolverSinglestepScheduler")
        .timesteps(&["device", "mu", "timesteps"])
        .step(DRAWS)
        .whole_timesteps()
        .replaceable()
        .substitute(),
    Entry::new::<EDMDPMSolverMultistepScheduler>("EDMDPMSolverMultistepScheduler").step(DRAWS),
    // In Python, too, others list it as compatible, but it does not list them.
    Entry::new::<EDMEulerScheduler>("EDMEulerScheduler")
        .timesteps(&["device", "sigmas"])
        .step(&["s_churn", "s_tmin", "s_tmax", "s_noise", "generator", "return_dict", "pred_original_sample"])
        .substitute(),
    Entry::new::<EulerAncestralDiscreteScheduler>("EulerAncestralDiscreteScheduler")
        .keeps_signal()
        .step(DRAWS)
        .replaceable()
        .substitute(),
    Entry::new::<EulerDiscreteScheduler>("EulerDiscreteScheduler")
        .keeps_signal()
        .timesteps(&["device", "timesteps", "sigmas"])
        .step(CHURNS)
        .replaceable()
        .substitute(),
    Entry::new::<FlowMatchEulerDiscreteScheduler>("FlowMatchEulerDiscreteScheduler")
        .timesteps(&["device", "sigmas", "mu", "timesteps"])
        .step(CHURNS)
        .model(ModelKind::Flow),
    Entry::new::<FlowMatchHeunDiscreteScheduler>("FlowMatchHeunDiscreteScheduler")
        .step(CHURNS)
        .model(ModelKind::Flow),
    Entry::new::<FlowMatchLCMScheduler>("FlowMatchLCMScheduler")
        .timesteps(&["device", "sigmas", "mu", "timesteps"])
        .step(DRAWS)
        .model(ModelKind::Flow),
    Entry::new::<HeunDiscreteScheduler>("HeunDiscreteScheduler")
        .timesteps(&["device", "num_train_timesteps", "timesteps"])
        .replaceable()
        .substitute(),
    Entry::new::<IPNDMScheduler>("IPNDMScheduler"),
    Entry::new::<KDPM2AncestralDiscreteScheduler>("KDPM2AncestralDiscreteScheduler")
        .timesteps(&["device", "num_train_timesteps"])
        .step(DRAWS)
        .replaceable()
        .substitute(),
    Entry::new::<KDPM2DiscreteScheduler>("KDPM2DiscreteScheduler")
        .timesteps(&["device", "num_train_timesteps"])
        .replaceable()
        .substitute(),
    Entry::new::<LCMScheduler>("LCMScheduler")
        .timesteps(&["device", "original_inference_steps", "timesteps", "strength"])
        .step(DRAWS)
        .whole_timesteps()
        .divides_by_signal()
        .distilled(),
    Entry::new::<LMSDiscreteScheduler>("LMSDiscreteScheduler").step(&["order"]).replaceable().substitute(),
    Entry::new::<PNDMScheduler>("PNDMScheduler").whole_timesteps().replaceable().substitute(),
    Entry::new::<RePaintScheduler>("RePaintScheduler")
        .timesteps(&["jump_length", "jump_n_sample", "device"])
        .step(&["original_image", "mask", "generator"])
        .whole_timesteps()
        .uses_eta(),
    Entry::new::<SASolverScheduler>("SASolverScheduler").step(DRAWS).whole_timesteps().replaceable(),
    Entry::new::<SCMScheduler>("SCMScheduler")
        .timesteps(&["timesteps", "device", "max_timesteps", "intermediate_timesteps"])
        .step(DRAWS)
        .model(ModelKind::TrigFlow),
    Entry::new::<ScoreSdeVeScheduler>("ScoreSdeVeScheduler").model(ModelKind::Score),
    Entry::new::<TCDScheduler>("TCDScheduler")
        .timesteps(&["device", "original_inference_steps", "timesteps", "strength"])
        .step(&["eta", "generator"])
        .whole_timesteps()
        .uses_eta()
        .distilled(),
    Entry::new::<UnCLIPScheduler>("UnCLIPScheduler").step(&["prev_timestep", "generator"]).whole_timesteps(),
    Entry::new::<UniPCMultistepScheduler>("UniPCMultistepScheduler")
        .keeps_signal()
        .timesteps(&["device", "sigmas", "mu"])
        .whole_timesteps()
        .replaceable()
        .substitute(),
];

/// The models that a scheduler is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModelKind {
    /// Diffusion models, which are told the noise level as a timestep.
    #[default]
    Diffusion,
    /// Flows, which predict the velocity from the sample to the noise.
    Flow,
    /// Score models, which predict the gradient of the samples' log density.
    Score,
    /// Consistency models along a circle between data and noise.
    TrigFlow,
}

/// What a scheduler class can be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Role {
    /// Whether its models were trained with discrete timesteps and a schedule of β, so that every
    /// [substitute](Role::substitute) can take over from it.
    pub replaceable: bool,
    /// Whether it can take over from every [replaceable](Role::replaceable) class.
    pub substitute: bool,
    /// The models that it steps.
    pub model: ModelKind,
    /// Whether it divides by √ᾱ as it is; others keep a little signal at the last timestep.
    pub divides_by_signal: bool,
    /// Whether its step uses `eta`.
    pub uses_eta: bool,
    /// Whether its run goes through the timesteps of a distillation (`original_inference_steps`).
    pub distilled: bool,
    /// Whether the timesteps of a run are whole numbers, which Python keeps in an integer tensor.
    pub whole_timesteps: bool,
    /// Whether a last ᾱ that rescaling made zero becomes a small number, since it divides by it.
    pub keeps_signal: bool,
    /// The optional arguments of Python's `step` of the class, in its order. `return_dict`, which Rust does not need, comes
    /// last where it is not listed.
    pub step_arguments: &'static [&'static str],
    /// The arguments of Python's `set_timesteps` of the class after the number of steps, in its order.
    pub timestep_arguments: &'static [&'static str],
}

/// A class.
struct Entry {
    class_name: &'static str,
    build: fn(&Config) -> Result<Box<dyn Scheduler>>,
    role: Role,
}

impl Entry {
    const fn new<S: Scheduler + 'static>(class_name: &'static str) -> Self {
        let role = Role {
            replaceable: false,
            substitute: false,
            model: ModelKind::Diffusion,
            divides_by_signal: false,
            uses_eta: false,
            distilled: false,
            whole_timesteps: false,
            keeps_signal: false,
            step_arguments: &[],
            timestep_arguments: &["device"],
        };
        Self { class_name, build: build::<S>, role }
    }

    const fn replaceable(mut self) -> Self {
        self.role.replaceable = true;
        self
    }

    const fn substitute(mut self) -> Self {
        self.role.substitute = true;
        self
    }

    const fn model(mut self, model: ModelKind) -> Self {
        self.role.model = model;
        self
    }

    const fn divides_by_signal(mut self) -> Self {
        self.role.divides_by_signal = true;
        self
    }

    const fn uses_eta(mut self) -> Self {
        self.role.uses_eta = true;
        self
    }

    const fn distilled(mut self) -> Self {
        self.role.distilled = true;
        self
    }

    const fn keeps_signal(mut self) -> Self {
        self.role.keeps_signal = true;
        self
    }

    const fn timesteps(mut self, arguments: &'static [&'static str]) -> Self {
        self.role.timestep_arguments = arguments;
        self
    }

    const fn step(mut self, arguments: &'static [&'static str]) -> Self {
        self.role.step_arguments = arguments;
        self
    }

    const fn whole_timesteps(mut self) -> Self {
        self.role.whole_timesteps = true;
        self
    }
}

fn build<S: Scheduler + 'static>(config: &Config) -> Result<Box<dyn Scheduler>> {
    Ok(Box::new(S::from_config(config)?))
}

fn entry(class_name: &str) -> Option<&'static Entry> {
    SCHEDULERS.iter().find(|entry| entry.class_name == class_name)
}

/// The classes that [`from_config`] can build: those that step samples, not tokens as
/// [`AmusedScheduler`](super::AmusedScheduler) and [`VQDiffusionScheduler`](super::VQDiffusionScheduler) do. Each can
/// take over the configuration of any other, though a model may not work with it: see [`Scheduler::compatibles`].
pub const CLASS_NAMES: &[&str] = &{
    let mut names = [""; SCHEDULERS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = SCHEDULERS[index].class_name;
        index += 1;
    }
    names
};

/// What the class `class_name` can be used for; the default for a class that is not one of [`CLASS_NAMES`].
///
/// ```
/// use oxidiff::schedulers;
///
/// assert!(schedulers::role("DDIMScheduler").uses_eta);
/// assert!(!schedulers::role("PNDMScheduler").uses_eta);
/// ```
pub fn role(class_name: &str) -> Role {
    entry(class_name).map_or_else(Role::default, |entry| entry.role)
}

/// The classes that can take over the configuration of `class_name` and work with the same model.
pub(super) fn compatibles(class_name: &str) -> Vec<&'static str> {
    let replaceable = role(class_name).replaceable;
    let compatible = |entry: &&Entry| entry.class_name == class_name || replaceable && entry.role.substitute;
    SCHEDULERS.iter().filter(compatible).map(|entry| entry.class_name).collect()
}

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
    match entry(class_name) {
        Some(entry) => (entry.build)(config),
        None if tokens::CLASS_NAMES.contains(&class_name) => Err(Error::unsupported(
            format!("`{class_name}` as a scheduler of samples"),
            format!(
                "it steps tokens, for models that predict these; build it with `{class_name}::from_config`"
            ),
        )),
        None => Err(Error::unsupported(
            format!("scheduler class `{class_name}`"),
            format!("known schedulers: {}", CLASS_NAMES.join(", ")),
        )),
    }
}

/// Reads the configuration of a scheduler of any class from a folder or from the hub.
///
/// # Errors
/// When the file is missing or damaged.
pub fn load_config(name_or_path: &str, options: &LoadOptions) -> Result<Config> {
    config_file::load(name_or_path, options)
}

/// Loads the scheduler of a pipeline, whose index names the class.
pub(crate) fn load(folder: &Folder, class_name: &str) -> Result<Box<dyn Scheduler>> {
    from_config(class_name, &config_file::read(folder, class_name)?)
}
