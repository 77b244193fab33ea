//! The parts that all pipelines of the family share.

use crate::error::{Error, Result};
use crate::image_processor::VaeImageProcessor;
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::transformers::SanaTransformer2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::lora::LoraLoader;
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::Scheduler;
use crate::text_encoders::{Gemma2Model, GemmaTokenizer};

/// The parts of a Sana pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// Without a text encoder, a call takes embedded prompts. A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct SanaComponents {
    /// Removes predicted noise, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Encodes images as latents and decodes them.
    pub vae: Box<dyn Autoencoder>,
    /// Embeds the tokens of a prompt.
    pub text_encoder: Option<Gemma2Model>,
    /// Splits a prompt into tokens.
    pub tokenizer: Option<GemmaTokenizer>,
    /// Predicts the velocity of latents.
    pub transformer: SanaTransformer2DModel,
}

impl SanaComponents {
    /// The names that the index of a pipeline can have.
    pub(super) const INDEX_NAMES: [&str; 5] =
        ["scheduler", "vae", "text_encoder", "tokenizer", "transformer"];

    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When a part is of another class, or a file is missing or damaged.
    pub(super) fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let has_tokenizer = loader.index().component_class("tokenizer")?.is_some();
        let tokenizer = has_tokenizer.then(|| loader.gemma_tokenizer("tokenizer")).transpose()?;
        Ok(Self {
            scheduler: loader.scheduler("scheduler")?,
            // Whatever the configuration says, as in Python.
            tokenizer: tokenizer.map(|tokenizer| tokenizer.with_padding_side("right")).transpose()?,
            text_encoder: loader.optional_model("text_encoder")?,
            transformer: loader.model("transformer")?,
            vae: loader.autoencoder("vae")?,
        })
    }

    crate::pipelines::pipeline_fields::parts! {
        required scheduler,
        required vae,
        optional text_encoder,
        optional tokenizer,
        required transformer,
    }

    /// Checks that the parts fit each other, and marks absent ones in the index of a pipeline; the present ones are added from
    /// [`Self::list`].
    ///
    /// # Errors
    /// When they do not fit.
    pub(super) fn prepare(&self, index: &mut ModelIndex) -> Result<()> {
        const TRANSFORMER: &str = "transformer/config.json";
        let (config, latents) = (self.transformer.config(), self.vae.latent_channels());
        if config.in_channels != latents {
            let message =
                format!("is {}, but the latents of the vae have {latents} channels", config.in_channels);
            return Err(Error::config(TRANSFORMER, "in_channels", message));
        }
        let predicted = config.predicted_channels();
        if predicted != latents && predicted / 2 != latents {
            let message =
                format!("is {predicted}, but must be {latents}, or twice that with a learned variance");
            return Err(Error::config(TRANSFORMER, "out_channels", message));
        }
        if let Some(encoder) = &self.text_encoder {
            let (wanted, made) = (config.caption_channels, encoder.config().hidden_size);
            if made != wanted {
                let message =
                    format!("is {wanted}, but the hidden states of `text_encoder` have {made} features");
                return Err(Error::config(TRANSFORMER, "caption_channels", message));
            }
            if self.tokenizer.is_none() {
                let message = "is missing: a text encoder needs its tokenizer";
                return Err(Error::config(index.origin(), "tokenizer", message));
            }
        }
        for component in ["text_encoder", "tokenizer"] {
            index.set_component(component, None);
        }
        Ok(())
    }

    /// Prepares images for the autoencoder.
    pub(super) fn image_processor(&self) -> VaeImageProcessor {
        VaeImageProcessor {
            vae_scale_factor: self.vae.scale_factor(),
            vae_latent_channels: self.vae.latent_channels(),
            ..Default::default()
        }
    }
}

impl LoraLoader for SanaComponents {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &self.transformer)]
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &mut self.transformer)]
    }
}
