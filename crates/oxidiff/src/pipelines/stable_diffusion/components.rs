//! The parts that all pipelines of the family share.

use burn::tensor::{Device, Tensor};
use serde_json::Value;

use super::guidance::Guidance;
use super::prompt::{PromptEmbeds, PromptEncoder, Prompts};
use crate::error::{Error, Result};
use crate::image_processor::VaeImageProcessor;
use crate::loading::LoadOptions;
use crate::loading::config::Config;
use crate::loading::folder::Folder;
use crate::models::autoencoders::{Autoencoder, AutoencoderKL, registry};
use crate::models::layers::attention::AttentionSlice;
use crate::models::layers::embeddings::Timesteps;
use crate::models::layers::per_block::SampleSize;
use crate::models::model::{self, Model};
use crate::models::unets::UNet2DConditionModel;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::pipeline::Component;
use crate::schedulers::{self, Scheduler};
use crate::text_encoders::{CLIPTextModel, CLIPTokenizer};
use crate::vision::{CLIPImageProcessor, ImageProcessor, StableDiffusionSafetyChecker};

/// The parts of a Stable Diffusion pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct StableDiffusionComponents {
    /// Encodes images as latents and decodes them.
    pub vae: Box<dyn Autoencoder>,
    /// Embeds the tokens of a prompt.
    pub text_encoder: CLIPTextModel,
    /// Splits a prompt into tokens.
    pub tokenizer: CLIPTokenizer,
    /// Predicts the noise in latents.
    pub unet: UNet2DConditionModel,
    /// Takes predicted noise away, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Finds images that should not be shown, which then are black; `None` lets all pass.
    pub safety_checker: Option<StableDiffusionSafetyChecker>,
    /// Prepares images for the safety checker, which cannot do without it.
    pub feature_extractor: Option<CLIPImageProcessor>,
}

pub(super) fn no_feature_extractor() -> Error {
    Error::argument("feature_extractor", "must be there for the safety checker")
}

impl StableDiffusionComponents {
    /// Parts that a pipeline can do without.
    const OPTIONAL: [&str; 3] = ["safety_checker", "feature_extractor", "image_encoder"];

    /// What the index of a pipeline can name.
    pub(super) const INDEX_NAMES: [&str; 9] = [
        "vae",
        "text_encoder",
        "tokenizer",
        "unet",
        "scheduler",
        "safety_checker",
        "feature_extractor",
        "image_encoder",
        "requires_safety_checker",
    ];

    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When one is of another class, or a file is missing or damaged.
    pub(super) fn load(folder: &Folder, index: &ModelIndex, options: &LoadOptions) -> Result<Self> {
        index.expect_class("text_encoder", CLIPTextModel::CLASS_NAME)?;
        index.expect_class("unet", UNet2DConditionModel::CLASS_NAME)?;
        let tokenizer_class = index.required("tokenizer")?;
        if !matches!(tokenizer_class, "CLIPTokenizer" | "CLIPTokenizerFast") {
            return Err(Error::unsupported(
                format!("the tokenizer class `{tokenizer_class}`"),
                "only CLIPTokenizer can be loaded",
            ));
        }
        let variant = options.variant.as_deref();
        let (dtype, device) = (options.dtype, &options.device);
        let vae = registry::load(index.required("vae")?, &folder.subfolder("vae"), options)
            .map_err(|error| error.in_file(index.origin()))?;
        let checks = options.safety_checker && index.component_class("safety_checker").is_some();
        let safety_checker = if checks {
            index.expect_class("safety_checker", StableDiffusionSafetyChecker::CLASS_NAME)?;
            Some(model::load(&folder.subfolder("safety_checker"), variant, dtype, device)?)
        } else {
            None
        };
        Ok(Self {
            safety_checker,
            feature_extractor: load_feature_extractor(folder, index)?,
            vae,
            scheduler: schedulers::load(&folder.subfolder("scheduler"), index.required("scheduler")?)?,
            tokenizer: CLIPTokenizer::load(&folder.subfolder("tokenizer"))?,
            text_encoder: model::load(&folder.subfolder("text_encoder"), variant, dtype, device)?,
            unet: model::load(&folder.subfolder("unet"), variant, dtype, device)?,
        })
    }

    /// The parts of another pipeline. They share its weights.
    ///
    /// # Errors
    /// When one is missing, or of another class.
    pub(super) fn of(components: &[(&'static str, Component<'_>)]) -> Result<Self> {
        let find = |name: &str| components.iter().find(|(other, _)| *other == name).map(|(_, part)| part);
        let missing = |name: &str| {
            let found = find(name).map_or("none".to_owned(), |part| format!("a {}", part.class().1));
            Error::argument("pipeline", format!("has {found} as `{name}`, which does not fit"))
        };
        macro_rules! part {
            ($name:literal, $class:ident) => {
                match find($name) {
                    Some(Component::$class(part)) => (*part).clone(),
                    _ => return Err(missing($name)),
                }
            };
        }
        Ok(Self {
            vae: match find("vae") {
                Some(Component::AutoencoderKL(vae)) => (*vae).clone().into(),
                Some(Component::AutoencoderTiny(vae)) => (*vae).clone().into(),
                _ => return Err(missing("vae")),
            },
            safety_checker: match find("safety_checker") {
                Some(Component::StableDiffusionSafetyChecker(checker)) => Some((*checker).clone()),
                _ => None,
            },
            feature_extractor: match find("feature_extractor") {
                Some(Component::CLIPImageProcessor(processor)) => Some((*processor).clone()),
                _ => None,
            },
            text_encoder: part!("text_encoder", CLIPTextModel),
            tokenizer: part!("tokenizer", CLIPTokenizer),
            unet: part!("unet", UNet2DConditionModel),
            scheduler: match find("scheduler") {
                Some(Component::Scheduler(scheduler)) => scheduler.clone_box(),
                _ => return Err(missing("scheduler")),
            },
        })
    }

    /// The parts by the names that `model_index.json` gives them.
    pub(super) fn list(&self) -> Vec<(&'static str, Component<'_>)> {
        let vae = match self.vae.as_any().downcast_ref::<AutoencoderKL>() {
            Some(vae) => Component::AutoencoderKL(vae),
            None => Component::AutoencoderTiny(self.vae.as_any().downcast_ref().expect("one of two classes")),
        };
        let mut list = vec![
            ("vae", vae),
            ("text_encoder", Component::CLIPTextModel(&self.text_encoder)),
            ("tokenizer", Component::CLIPTokenizer(&self.tokenizer)),
            ("unet", Component::UNet2DConditionModel(&self.unet)),
            ("scheduler", Component::Scheduler(&*self.scheduler)),
        ];
        if let Some(checker) = &self.safety_checker {
            list.push(("safety_checker", Component::StableDiffusionSafetyChecker(checker)));
        }
        if let Some(processor) = &self.feature_extractor {
            list.push(("feature_extractor", Component::CLIPImageProcessor(processor)));
        }
        list
    }

    /// Marks absent optional components in the index of a pipeline, which can name its `own` parts; the others are added from
    /// [`Self::list`]. Warns if the pipeline asks for a safety checker and has none.
    ///
    /// # Errors
    /// When there is a safety checker, and no feature extractor for it.
    pub(super) fn prepare_index(&self, index: &mut ModelIndex, own: &[&str]) -> Result<()> {
        for component in Self::OPTIONAL.into_iter().filter(|component| own.contains(component)) {
            index.set_component(component, None);
        }
        const REQUIRES: &str = "requires_safety_checker";
        let requires =
            own.contains(&REQUIRES) && index.option(REQUIRES).is_none_or(|requires| *requires == true);
        if self.safety_checker.is_none() && requires {
            tracing::warn!(
                "the pipeline runs without the safety checker that it asks for: check what you show to others"
            );
        }
        if self.safety_checker.is_some() && self.feature_extractor.is_none() {
            return Err(no_feature_extractor());
        }
        Ok(())
    }

    /// Lets attention work on some heads at a time. That takes less memory where attention holds the scores of all pairs of
    /// tokens; on the CPU it holds those of a block in any case, and this saves next to nothing.
    pub fn enable_attention_slicing(&mut self, slice: AttentionSlice) {
        self.unet.set_attention_slice(Some(slice));
    }

    /// Lets attention work on all heads at once.
    pub fn disable_attention_slicing(&mut self) {
        self.unet.set_attention_slice(None);
    }

    /// Encode and decode the images of a batch one by one, which takes less memory.
    pub fn enable_vae_slicing(&mut self) {
        self.vae.enable_slicing();
    }

    /// Encode and decode whole batches.
    pub fn disable_vae_slicing(&mut self) {
        self.vae.disable_slicing();
    }

    /// Encode and decode large images in overlapping tiles, so that memory does not grow with their size.
    pub fn enable_vae_tiling(&mut self) {
        self.vae.enable_tiling();
    }

    /// Encode and decode images whole.
    pub fn disable_vae_tiling(&mut self) {
        self.vae.disable_tiling();
    }

    /// Prepares images for the VAE.
    pub(super) fn image_processor(&self) -> VaeImageProcessor {
        VaeImageProcessor { vae_scale_factor: self.vae.scale_factor(), ..VaeImageProcessor::default() }
    }

    /// Embeds the texts of the images.
    ///
    /// # Errors
    /// When the text encoder refuses them.
    pub(super) fn embed(&self, prompts: &Prompts<'_>, guidance: Guidance) -> Result<PromptEmbeds> {
        let encoder = PromptEncoder { tokenizer: &self.tokenizer, text_encoder: &self.text_encoder };
        prompts.encode(&encoder, guidance.copies() > 1)
    }

    /// Guidance by the text. Models whose UNet takes the guidance scale as an input were distilled from guided ones and
    /// need none.
    pub(super) fn classifier_free_guidance(&self, scale: f64, rescale: f64) -> Guidance {
        if scale > 1.0 && self.unet.config().time_cond_proj_dim.is_none() {
            Guidance::ClassifierFree { scale, rescale }
        } else {
            Guidance::Off
        }
    }

    /// The guidance scale as such a UNet takes it, `[images, time_cond_proj_dim]`.
    pub(super) fn embed_guidance_scale(
        &self,
        scale: f64,
        images: usize,
        device: &Device,
    ) -> Option<Tensor<2>> {
        let num_channels = self.unet.config().time_cond_proj_dim?;
        let embedding = Timesteps { num_channels, flip_sin_to_cos: false, downscale_freq_shift: 1.0 };
        Some(embedding.forward(&vec![(scale - 1.0) as f32 * 1000.0; images], device))
    }

    /// Checks that the UNet takes the VAE's latents and one of the given numbers of further channels.
    ///
    /// # Errors
    /// When it does not, or predicts something else than latents.
    pub(super) fn check_channels(&self, further: &[usize]) -> Result<()> {
        let latent = self.vae.latent_channels();
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

/// The image processor of a safety checker, under any of the names that it had.
fn load_feature_extractor(folder: &Folder, index: &ModelIndex) -> Result<Option<CLIPImageProcessor>> {
    match index.component_class("feature_extractor") {
        None => Ok(None),
        Some(
            "CLIPImageProcessor"
            | "CLIPFeatureExtractor"
            | "CLIPImageProcessorFast"
            | "CLIPImageProcessorPil",
        ) => Ok(Some(CLIPImageProcessor::load(&folder.subfolder("feature_extractor"))?)),
        // That of a depth estimator, which its pipeline loads.
        Some("DPTImageProcessor" | "DPTImageProcessorFast" | "DPTFeatureExtractor") => Ok(None),
        Some(other) => Err(Error::unsupported(
            format!("the feature extractor class `{other}`"),
            "only CLIPImageProcessor can be loaded",
        )),
    }
}

fn is_before_0_9(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u64>().ok());
    matches!((parts.next(), parts.next()), (Some(0), Some(minor)) if minor < 9)
}

/// What the scheduler configurations of early checkpoints say, and what is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Correction {
    /// Stable Diffusion always starts one step later.
    StepsOffset,
    /// Samples are latents, which are never clipped.
    ClipSample,
    /// The first steps need no Runge-Kutta method.
    SkipPrkSteps,
}

/// Applies those corrections that the scheduler's configuration needs.
///
/// # Errors
/// When the corrected configuration is refused.
pub(super) fn correct(
    scheduler: Box<dyn Scheduler>,
    corrections: &[Correction],
) -> Result<Box<dyn Scheduler>> {
    let mut config: Config = scheduler.config().clone();
    let mut outdated = false;
    for correction in corrections {
        let (field, meant) = match correction {
            Correction::StepsOffset => ("steps_offset", Value::from(1)),
            Correction::ClipSample => ("clip_sample", Value::from(false)),
            Correction::SkipPrkSteps => ("skip_prk_steps", Value::from(true)),
        };
        if config.get(field).is_some_and(|value| *value != meant) {
            tracing::warn!(
                "the scheduler's configuration is outdated: `{field}` should be {meant}, and is taken as {meant}"
            );
            config = config.patched(field, meant);
            outdated = true;
        }
    }
    if !outdated {
        return Ok(scheduler);
    }
    let class_name = config.class_name().unwrap_or_default().to_owned();
    schedulers::from_config(&class_name, &config)
}
