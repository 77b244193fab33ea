//! The parts of the pipeline.

use crate::error::{Error, Result};
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::transformers::Lumina2Transformer2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::lora::LoraLoader;
use crate::pipelines::output::MOST_PIXELS;
use crate::schedulers::Scheduler;
use crate::text_encoders::{Gemma2Model, GemmaTokenizer};

/// How many pixels a latent has in each direction, whatever the autoencoder.
const LATENT_PIXELS: usize = 8;
/// Sizes of images are multiples of this, whatever the patches of the transformer.
const PIXEL_MULTIPLE: usize = 2 * LATENT_PIXELS;
const TRANSFORMER: &str = "transformer/config.json";

/// The parts of a pipeline for Lumina 2. They can be replaced: `pipeline.vae = ...`.
///
/// A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct Lumina2Components {
    /// Removes predicted noise, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Decodes latents.
    pub vae: Box<dyn Autoencoder>,
    /// Embeds the tokens of a prompt.
    pub text_encoder: Gemma2Model,
    /// Splits a prompt into tokens.
    pub tokenizer: GemmaTokenizer,
    /// Predicts the velocity of latents.
    pub transformer: Lumina2Transformer2DModel,
}

impl Lumina2Components {
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
            tokenizer: loader.gemma_tokenizer("tokenizer")?.with_padding_side("right")?,
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
        let (config, latent) = (self.transformer.config(), self.vae.latent_channels());
        for (field, channels) in
            [("in_channels", config.in_channels), ("out_channels", config.out_channels())]
        {
            if channels != latent {
                let message = format!("is {channels}, but the latents of the vae have {latent} channels");
                return Err(Error::config(TRANSFORMER, field, message));
            }
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
        Ok(())
    }

    /// Height and width of the latents of an image with the given size in pixels.
    ///
    /// # Errors
    /// When a side is no multiple of 16.
    pub(super) fn latent_size(&self, height: Option<usize>, width: Option<usize>) -> Result<[usize; 2]> {
        let default = self.transformer.config().sample_size.saturating_mul(LATENT_PIXELS);
        let size = |argument, given: Option<usize>| {
            let pixels = given.unwrap_or(default);
            if !pixels.is_multiple_of(PIXEL_MULTIPLE) || !(PIXEL_MULTIPLE..=MOST_PIXELS).contains(&pixels) {
                let wanted = format!(
                    "must be a multiple of {PIXEL_MULTIPLE} between {PIXEL_MULTIPLE} and {MOST_PIXELS}"
                );
                return Err(match given {
                    Some(_) => Error::argument(argument, format!("{wanted}, but is {pixels}")),
                    None => {
                        let message = format!("makes images of {pixels} pixels by default, which {wanted}");
                        Error::config(TRANSFORMER, "sample_size", message)
                    }
                });
            }
            Ok(pixels / LATENT_PIXELS)
        };
        Ok([size("height", height)?, size("width", width)?])
    }
}

impl LoraLoader for Lumina2Components {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &self.transformer)]
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &mut self.transformer)]
    }
}
