//! The parts that all pipelines of the family share.

use burn::tensor::{DType, Device, Tensor};

use crate::error::{Error, Result};
use crate::image_processor::VaeImageProcessor;
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::layers::embeddings::Timesteps;
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::ignored::warn_of_ignored;
use crate::pipelines::common::ip_adapter::{IpAdapterParts, IpAdapterPartsMut, UNetIpAdapters};
use crate::pipelines::common::lora::LoraLoader;
use crate::pipelines::common::textual_inversion::{TextualInversionLoader, WordEncoder};
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::Scheduler;
use crate::text_encoders::{CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer};
use crate::vision::{CLIPImageProcessor, CLIPVisionModelWithProjection};

/// The parts of a Stable Diffusion XL pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// The refiner has only the second text encoder and tokenizer. A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct StableDiffusionXLComponents {
    /// Encodes images as latents and decodes them.
    pub vae: Box<dyn Autoencoder>,
    /// Embeds the tokens of a prompt.
    pub text_encoder: Option<CLIPTextModel>,
    /// Embeds the tokens of a prompt as well, and pools an embedding of the whole prompt.
    pub text_encoder_2: Option<CLIPTextModelWithProjection>,
    /// Splits a prompt into tokens for the first text encoder.
    pub tokenizer: Option<CLIPTokenizer>,
    /// Splits a prompt into tokens for the second text encoder.
    pub tokenizer_2: Option<CLIPTokenizer>,
    /// Predicts the noise in latents.
    pub unet: UNet2DConditionModel,
    /// Removes predicted noise, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Embeds the pictures that IP-Adapters look at.
    pub image_encoder: Option<CLIPVisionModelWithProjection>,
    /// Prepares images for the image encoder.
    pub feature_extractor: Option<CLIPImageProcessor>,
}

/// The options in a pipeline's index that affect its calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// Whether a missing negative prompt means zeros instead of the embedding of an empty text.
    pub force_zeros_for_empty_prompt: bool,
    /// Whether the UNet is conditioned on an aesthetic score instead of the target size, as the refiner's is.
    pub requires_aesthetics_score: bool,
}

impl Options {
    /// The aesthetic scores of a call, for a model that is conditioned on them.
    pub fn scores(self, scores: [f64; 2]) -> Option<[f64; 2]> {
        if !self.requires_aesthetics_score {
            let why = "the model is not conditioned on scores, or its `requires_aesthetics_score` is missing";
            let defaults = [("aesthetic_score", 6.0), ("negative_aesthetic_score", 2.5)];
            for ((argument, default), score) in defaults.into_iter().zip(scores) {
                warn_of_ignored(argument, score != default, why);
            }
        }
        self.requires_aesthetics_score.then_some(scores)
    }

    pub const FORCE_ZEROS: &'static str = "force_zeros_for_empty_prompt";
    pub const AESTHETICS: &'static str = "requires_aesthetics_score";

    /// Reads the options, and adds the ones of the class that the index lacks.
    ///
    /// # Errors
    /// When an option is neither true nor false.
    pub fn read(index: &mut ModelIndex, has_aesthetics: bool) -> Result<Self> {
        let mut option = |name: &str, default: bool| match index.option(name) {
            None => {
                index.set_option(name, default);
                Ok(default)
            }
            Some(value) => value.as_bool().ok_or_else(|| {
                Error::config(index.origin(), name, format!("must be true or false, not {value}"))
            }),
        };
        Ok(Self {
            force_zeros_for_empty_prompt: option(Self::FORCE_ZEROS, true)?,
            requires_aesthetics_score: has_aesthetics && option(Self::AESTHETICS, false)?,
        })
    }
}

impl StableDiffusionXLComponents {
    /// The optional parts.
    const OPTIONAL: [&str; 6] =
        ["text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "image_encoder", "feature_extractor"];

    /// The names that the index of a pipeline can have.
    pub(super) const INDEX_NAMES: [&str; 11] = [
        "vae",
        "text_encoder",
        "text_encoder_2",
        "tokenizer",
        "tokenizer_2",
        "unet",
        "scheduler",
        "image_encoder",
        "feature_extractor",
        Options::FORCE_ZEROS,
        Options::AESTHETICS,
    ];

    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When a part is of another class, or a file is missing or damaged.
    pub(super) fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let tokenizer = |name| match loader.index().component_class(name)? {
            Some(_) => loader.clip_tokenizer(name).map(Some),
            None => Ok(None),
        };
        Ok(Self {
            tokenizer: tokenizer("tokenizer")?,
            tokenizer_2: tokenizer("tokenizer_2")?,
            scheduler: loader.scheduler("scheduler")?,
            text_encoder: loader.optional_model("text_encoder")?,
            text_encoder_2: loader.optional_model("text_encoder_2")?,
            unet: loader.model("unet")?,
            vae: loader.autoencoder("vae")?,
            image_encoder: loader.optional_model("image_encoder")?,
            feature_extractor: loader.clip_image_processor("feature_extractor")?,
        })
    }

    /// Takes the parts of another pipeline, and shares their weights.
    ///
    /// # Errors
    /// When a part is missing, or of another class.
    pub(super) fn of(components: &Components<'_>) -> Result<Self> {
        Ok(Self {
            vae: components.take("vae")?,
            text_encoder: components.take_optional("text_encoder")?,
            text_encoder_2: components.take_optional("text_encoder_2")?,
            tokenizer: components.take_optional("tokenizer")?,
            tokenizer_2: components.take_optional("tokenizer_2")?,
            unet: components.take("unet")?,
            scheduler: components.take("scheduler")?,
            image_encoder: components.take_optional("image_encoder")?,
            feature_extractor: components.get("feature_extractor").cloned(),
        })
    }

    /// The parts, by their names in `model_index.json`.
    pub(super) fn list(&self) -> Components<'_> {
        let mut list = Components::default();
        list.push("vae", &self.vae);
        list.push_optional("text_encoder", &self.text_encoder);
        list.push_optional("text_encoder_2", &self.text_encoder_2);
        list.push_optional("tokenizer", &self.tokenizer);
        list.push_optional("tokenizer_2", &self.tokenizer_2);
        list.push("unet", &self.unet);
        list.push("scheduler", &self.scheduler);
        list.push_optional("image_encoder", &self.image_encoder);
        list.push_optional("feature_extractor", &self.feature_extractor);
        list
    }

    /// Marks absent components in the index of a pipeline; the present ones are added from [`Self::list`].
    ///
    /// # Errors
    /// When a text encoder has no tokenizer, or the other way round.
    pub(super) fn prepare_index(&self, index: &mut ModelIndex) -> Result<()> {
        let pairs = [
            ("tokenizer", self.tokenizer.is_some(), self.text_encoder.is_some()),
            ("tokenizer_2", self.tokenizer_2.is_some(), self.text_encoder_2.is_some()),
        ];
        for (name, has_tokenizer, has_encoder) in pairs {
            if has_encoder && !has_tokenizer {
                let message = "is missing: a text encoder needs its tokenizer";
                return Err(Error::config(index.origin(), name, message));
            }
        }
        for component in Self::OPTIONAL {
            index.set_component(component, None);
        }
        Ok(())
    }

    /// Checks that the UNet takes the VAE's latents and one of the given numbers of further channels.
    ///
    /// # Errors
    /// When it does not, or predicts something other than latents.
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
        let message = format!(
            "is {inputs}, but the latents of the vae have {latent} channels, to which this pipeline adds {further:?}"
        );
        Err(Error::config("unet/config.json", "in_channels", message))
    }

    /// The type that the UNet and the text encoders compute in.
    pub(super) fn dtype(&self) -> DType {
        self.text_encoder_2.as_ref().map_or(self.unet.dtype(), CLIPTextModelWithProjection::dtype)
    }

    /// Prepares images for the VAE.
    pub(super) fn image_processor(&self) -> VaeImageProcessor {
        VaeImageProcessor { vae_scale_factor: self.vae.scale_factor(), ..VaeImageProcessor::default() }
    }

    /// Guidance by the text. A UNet that takes the guidance scale as an input was distilled from a guided model, and
    /// needs none.
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
}

impl LoraLoader for StableDiffusionXLComponents {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        let mut models: Vec<(LoraTarget, &dyn AnyAdaptable)> = vec![(LoraTarget::UNet, &self.unet)];
        models.extend(self.text_encoder.iter().map(|model| (LoraTarget::TextEncoder, model as _)));
        models.extend(self.text_encoder_2.iter().map(|model| (LoraTarget::TextEncoder2, model as _)));
        models
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        let mut models: Vec<(LoraTarget, &mut dyn AnyAdaptable)> = vec![(LoraTarget::UNet, &mut self.unet)];
        models.extend(self.text_encoder.iter_mut().map(|model| (LoraTarget::TextEncoder, model as _)));
        models.extend(self.text_encoder_2.iter_mut().map(|model| (LoraTarget::TextEncoder2, model as _)));
        models
    }
}

impl UNetIpAdapters for StableDiffusionXLComponents {
    fn ip_adapter_parts(&self) -> IpAdapterParts<'_> {
        IpAdapterParts {
            unet: &self.unet,
            image_encoder: self.image_encoder.as_ref(),
            feature_extractor: self.feature_extractor.as_ref(),
        }
    }

    fn ip_adapter_parts_mut(&mut self) -> IpAdapterPartsMut<'_> {
        IpAdapterPartsMut {
            unet: &mut self.unet,
            image_encoder: &mut self.image_encoder,
            feature_extractor: &mut self.feature_extractor,
            owns_feature_extractor: true,
        }
    }
}

impl TextualInversionLoader for StableDiffusionXLComponents {
    fn word_encoders(&mut self) -> Vec<WordEncoder<'_>> {
        let first = self.tokenizer.as_mut().zip(self.text_encoder.as_mut());
        let second = self.tokenizer_2.as_mut().zip(self.text_encoder_2.as_mut());
        let first =
            first.map(|(tokenizer, text_encoder)| WordEncoder { key: "clip_l", tokenizer, text_encoder });
        let second = second.map(|(tokenizer, encoder)| WordEncoder {
            key: "clip_g",
            tokenizer,
            text_encoder: &mut encoder.text_model,
        });
        first.into_iter().chain(second).collect()
    }
}
