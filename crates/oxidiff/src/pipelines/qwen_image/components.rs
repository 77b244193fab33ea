//! The parts that all pipelines of the family share.

use crate::error::{Error, Result};
use crate::image_processor::VaeImageProcessor;
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::transformers::QwenImageTransformer2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::lora::LoraLoader;
use crate::pipelines::common::patches::PATCH_SIZE;
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::Scheduler;
use crate::text_encoders::{Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer};

/// The parts of a Qwen-Image pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// Without the text encoder, a call takes embedded prompts. A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct QwenImageComponents {
    /// Moves latents along the predicted velocity, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Encodes images as latents and decodes them.
    pub vae: Box<dyn Autoencoder>,
    /// Embeds the tokens of a prompt.
    pub text_encoder: Option<Qwen2_5_VLForConditionalGeneration>,
    /// Splits a prompt into tokens.
    pub tokenizer: Option<Qwen2Tokenizer>,
    /// Predicts the velocity of latents.
    pub transformer: QwenImageTransformer2DModel,
}

impl QwenImageComponents {
    /// The optional parts.
    const OPTIONAL: [&str; 2] = ["text_encoder", "tokenizer"];

    /// The names that the index of a pipeline can have.
    pub(super) const INDEX_NAMES: [&str; 5] =
        ["scheduler", "vae", "text_encoder", "tokenizer", "transformer"];

    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When a part is of another class, or a file is missing or damaged.
    pub(super) fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let has_tokenizer = loader.index().component_class("tokenizer")?.is_some();
        Ok(Self {
            scheduler: loader.scheduler("scheduler")?,
            tokenizer: has_tokenizer.then(|| loader.qwen2_tokenizer("tokenizer")).transpose()?,
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
        let (config, latent) = (self.transformer.config(), self.patch_features());
        for (field, value) in [("in_channels", config.in_channels), ("out_channels", config.out_features())] {
            if value != latent {
                let message = format!(
                    "makes {value} values of a token, but a patch of {PATCH_SIZE}x{PATCH_SIZE} latents of the vae has {latent}"
                );
                return Err(Error::config(TRANSFORMER, field, message));
            }
        }
        if config.guidance_embeds {
            let message = "is not supported, as in Python: the class has no layer that embeds the guidance";
            return Err(Error::config(TRANSFORMER, "guidance_embeds", message));
        }
        if let Some(encoder) = &self.text_encoder {
            let text_config = encoder.config().text_config.as_ref();
            let made = text_config.map_or(config.joint_attention_dim, |text| text.hidden_size);
            if made != config.joint_attention_dim {
                let message = format!(
                    "is {}, but the hidden states of the text encoder have {made} features",
                    config.joint_attention_dim
                );
                return Err(Error::config(TRANSFORMER, "joint_attention_dim", message));
            }
            if self.tokenizer.is_none() {
                let message = "is missing: a text encoder needs its tokenizer";
                return Err(Error::config(index.origin(), "tokenizer", message));
            }
        }
        Self::OPTIONAL.into_iter().for_each(|component| index.set_component(component, None));
        Ok(())
    }

    /// The number of values of a patch.
    pub(super) fn patch_features(&self) -> usize {
        PATCH_SIZE * PATCH_SIZE * self.vae.latent_channels()
    }

    /// How many pixels a patch has in each direction: sizes of images are multiples of this.
    pub(super) fn patch_pixels(&self) -> usize {
        PATCH_SIZE * self.vae.scale_factor()
    }

    /// Prepares images for the VAE; a tensor with as many channels as latents have is treated as latents.
    pub(super) fn image_processor(&self) -> VaeImageProcessor {
        VaeImageProcessor {
            vae_scale_factor: self.patch_pixels(),
            vae_latent_channels: self.vae.latent_channels(),
            ..VaeImageProcessor::default()
        }
    }
}

impl LoraLoader for QwenImageComponents {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &self.transformer)]
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &mut self.transformer)]
    }
}
