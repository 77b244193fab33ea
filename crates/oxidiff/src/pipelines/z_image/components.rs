//! The parts that all pipelines of the family share.

use crate::error::{Error, Result};
use crate::image_processor::VaeImageProcessor;
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::transformers::ZImageTransformer2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::lora::LoraLoader;
use crate::schedulers::Scheduler;
use crate::text_encoders::{Qwen2Tokenizer, Qwen3Model};

/// How many positions of the latents a patch of the transformer has in each direction.
pub(super) const PATCH_SIZE: usize = 2;

/// The parts of a Z-Image pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct ZImageComponents {
    /// Removes predicted noise, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Encodes images as latents and decodes them.
    pub vae: Box<dyn Autoencoder>,
    /// Embeds the tokens of a prompt.
    pub text_encoder: Qwen3Model,
    /// Splits a prompt into tokens.
    pub tokenizer: Qwen2Tokenizer,
    /// Predicts the velocity of latents.
    pub transformer: ZImageTransformer2DModel,
}

impl ZImageComponents {
    /// The names that the index of a pipeline can have.
    pub(super) const INDEX_NAMES: [&str; 5] =
        ["scheduler", "vae", "text_encoder", "tokenizer", "transformer"];

    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When a part is of another class, or a file is missing or damaged.
    pub(super) fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        Ok(Self {
            scheduler: loader.scheduler("scheduler")?,
            tokenizer: loader.qwen2_tokenizer("tokenizer")?,
            text_encoder: loader.model("text_encoder")?,
            transformer: loader.model("transformer")?,
            vae: loader.autoencoder("vae")?,
        })
    }

    crate::pipelines::pipeline_fields::parts! {
        required scheduler,
        required vae,
        required text_encoder,
        required tokenizer,
        required transformer,
    }

    /// Checks that the parts fit each other.
    ///
    /// # Errors
    /// When they do not.
    pub(super) fn check(&self) -> Result<()> {
        const TRANSFORMER: &str = "transformer/config.json";
        let (config, latent) = (self.transformer.config(), self.vae.latent_channels());
        if config.in_channels != latent {
            let message =
                format!("is {}, but the latents of the vae have {latent} channels", config.in_channels);
            return Err(Error::config(TRANSFORMER, "in_channels", message));
        }
        let text = self.text_encoder.config();
        if config.cap_feat_dim != text.hidden_size {
            let message = format!(
                "is {}, but the hidden states of the text encoder have {} features",
                config.cap_feat_dim, text.hidden_size
            );
            return Err(Error::config(TRANSFORMER, "cap_feat_dim", message));
        }
        if text.num_hidden_layers == 0 {
            let message = "must be at least 1: the pipeline uses the hidden states before the last layer";
            return Err(Error::config("text_encoder/config.json", "num_hidden_layers", message));
        }
        let has_patches = config
            .all_patch_size
            .iter()
            .zip(&config.all_f_patch_size)
            .any(|(size, frames)| (*size, *frames) == (PATCH_SIZE, 1));
        if !has_patches {
            let message = format!("must contain {PATCH_SIZE}, with 1 frame: this pipeline uses such patches");
            return Err(Error::config(TRANSFORMER, "all_patch_size", message));
        }
        Ok(())
    }

    /// How many pixels a patch has in each direction: sizes of images are multiples of this.
    pub(super) fn patch_pixels(&self) -> usize {
        PATCH_SIZE * self.vae.scale_factor()
    }

    /// Prepares images for the VAE.
    pub(super) fn image_processor(&self) -> VaeImageProcessor {
        VaeImageProcessor {
            vae_scale_factor: self.patch_pixels(),
            vae_latent_channels: self.vae.latent_channels(),
            ..VaeImageProcessor::default()
        }
    }
}

impl LoraLoader for ZImageComponents {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &self.transformer)]
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &mut self.transformer)]
    }
}
