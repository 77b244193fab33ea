//! The parts that all pipelines of the family share.

use crate::error::{Error, Result};
use crate::loading::LoadOptions;
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::models::autoencoders::AutoencoderKL;
use crate::models::model::{self, Model};
use crate::models::per_block::SampleSize;
use crate::models::unets::UNet2DConditionModel;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::pipeline::Component;
use crate::schedulers::{self, Scheduler};
use crate::text_encoders::{CLIPTextModel, CLIPTokenizer};

/// The parts of a Stable Diffusion pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct StableDiffusionComponents {
    /// Encodes images as latents and decodes them.
    pub vae: AutoencoderKL,
    /// Embeds the tokens of a prompt.
    pub text_encoder: CLIPTextModel,
    /// Splits a prompt into tokens.
    pub tokenizer: CLIPTokenizer,
    /// Predicts the noise in latents.
    pub unet: UNet2DConditionModel,
    /// Takes predicted noise away, step by step.
    pub scheduler: Box<dyn Scheduler>,
}

impl StableDiffusionComponents {
    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When one is of another class, or a file is missing or damaged.
    pub(super) fn load(folder: &Folder, index: &ModelIndex, options: &LoadOptions) -> Result<Self> {
        index.expect_class("vae", AutoencoderKL::CLASS_NAME)?;
        index.expect_class("text_encoder", CLIPTextModel::CLASS_NAME)?;
        index.expect_class("unet", UNet2DConditionModel::CLASS_NAME)?;
        let tokenizer_class = index.required("tokenizer")?;
        if !matches!(tokenizer_class, "CLIPTokenizer" | "CLIPTokenizerFast") {
            return Err(Error::unsupported(
                format!("the tokenizer class `{tokenizer_class}`"),
                "only CLIPTokenizer can be loaded",
            ));
        }
        if let Some(class_name) = index.component_class("safety_checker") {
            tracing::warn!(
                "the checkpoint has a {class_name}, which is not run: check what you show to others"
            );
        }
        let variant = options.variant.as_deref();
        let (dtype, device) = (options.dtype, &options.device);
        Ok(Self {
            scheduler: schedulers::load(&folder.subfolder("scheduler"), index.required("scheduler")?)?,
            tokenizer: CLIPTokenizer::load(&folder.subfolder("tokenizer"))?,
            text_encoder: model::load(&folder.subfolder("text_encoder"), variant, dtype, device)?,
            vae: model::load(&folder.subfolder("vae"), variant, dtype, device)?,
            unet: model::load(&folder.subfolder("unet"), variant, dtype, device)?,
        })
    }

    /// The parts by the names that `model_index.json` gives them.
    pub(super) fn list(&self) -> Vec<(&'static str, Component<'_>)> {
        vec![
            ("vae", Component::AutoencoderKL(&self.vae)),
            ("text_encoder", Component::CLIPTextModel(&self.text_encoder)),
            ("tokenizer", Component::CLIPTokenizer(&self.tokenizer)),
            ("unet", Component::UNet2DConditionModel(&self.unet)),
            ("scheduler", Component::Scheduler(&*self.scheduler)),
        ]
    }

    /// Checks that the UNet takes the VAE's latents and one of the given numbers of further channels.
    ///
    /// # Errors
    /// When it does not, or predicts something else than latents.
    pub(super) fn check_channels(&self, further: &[usize]) -> Result<()> {
        let latent = self.vae.config().latent_channels;
        let (inputs, outputs) = (self.unet.config().in_channels, self.unet.config().out_channels);
        if outputs != latent {
            let message = format!("is {outputs}, but the latents of the vae have {latent} channels");
            return Err(Error::config("unet/config.json", "out_channels", message));
        }
        if further.iter().any(|further| latent + further == inputs) {
            return Ok(());
        }
        let further = match further {
            [0] => String::new(),
            _ => format!(", to which this pipeline can add {further:?}"),
        };
        let message = format!("is {inputs}, but the latents of the vae have {latent} channels{further}");
        Err(Error::config("unet/config.json", "in_channels", message))
    }

    /// The size of the latents that the UNet was trained on, height and width. Configurations of diffusers before 0.9 say 32
    /// where 64 is meant.
    pub(super) fn trained_size(&self) -> Option<[usize; 2]> {
        let config = self.unet.config();
        let version = config.other.get("_diffusers_version").and_then(|version| version.as_str());
        match config.sample_size? {
            SampleSize::Square(side) if side < 64 && version.is_some_and(is_before_0_9) => Some([64, 64]),
            size => Some(size.height_width()),
        }
    }
}

fn is_before_0_9(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u64>().ok());
    matches!((parts.next(), parts.next()), (Some(0), Some(minor)) if minor < 9)
}

/// Corrects what the scheduler configurations of early checkpoints say: Stable Diffusion always starts one step later and
/// never clips samples, which are latents.
pub(super) fn modernize(scheduler: Box<dyn Scheduler>) -> Result<Box<dyn Scheduler>> {
    let mut config: Config = scheduler.config().clone();
    let mut outdated = false;
    if config.get("steps_offset").is_some_and(|offset| *offset != 1) {
        tracing::warn!(
            "the scheduler's configuration is outdated: `steps_offset` should be 1, and is taken as 1"
        );
        config = config.patched("steps_offset", 1);
        outdated = true;
    }
    if config.get("clip_sample").is_some_and(|clip| *clip == true) {
        tracing::warn!(
            "the scheduler's configuration is outdated: `clip_sample` should be false, and is taken so"
        );
        config = config.patched("clip_sample", false);
        outdated = true;
    }
    if !outdated {
        return Ok(scheduler);
    }
    let class_name = config.class_name().unwrap_or_default().to_owned();
    schedulers::from_config(&class_name, &config)
}
