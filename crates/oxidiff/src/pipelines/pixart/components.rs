//! The parts that all pipelines of the family share.

use crate::error::{Error, Result};
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::transformers::PixArtTransformer2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::lora::LoraLoader;
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::{Scheduler, zero_terminal_snr};
use crate::text_encoders::{T5EncoderModel, T5Tokenizer};

/// The parts of a PixArt pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// Without a text encoder, a call takes embedded prompts. A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct PixArtComponents {
    /// Splits a prompt into tokens.
    pub tokenizer: Option<T5Tokenizer>,
    /// Embeds the tokens of a prompt.
    pub text_encoder: Option<T5EncoderModel>,
    /// Decodes latents.
    pub vae: Box<dyn Autoencoder>,
    /// Predicts the noise in latents.
    pub transformer: PixArtTransformer2DModel,
    /// Removes predicted noise, step by step.
    pub scheduler: Box<dyn Scheduler>,
}

/// The sample size of the models that PixArt-alpha's pipeline tells the size of the images.
pub(super) const TOLD_SAMPLE_SIZE: usize = 128;

const TRANSFORMER: &str = "transformer/config.json";

impl PixArtComponents {
    /// The optional parts.
    const OPTIONAL: [&str; 2] = ["tokenizer", "text_encoder"];

    /// The names that the index of a pipeline can have.
    pub(super) const INDEX_NAMES: [&str; 5] =
        ["tokenizer", "text_encoder", "vae", "transformer", "scheduler"];

    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When a part is of another class, or a file is missing or damaged.
    pub(super) fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let has_tokenizer = loader.index().component_class("tokenizer")?.is_some();
        Ok(Self {
            scheduler: loader.scheduler("scheduler")?,
            tokenizer: has_tokenizer.then(|| loader.t5_tokenizer("tokenizer")).transpose()?,
            text_encoder: loader.optional_model("text_encoder")?,
            transformer: loader.model("transformer")?,
            vae: loader.autoencoder("vae")?,
        })
    }

    crate::pipelines::pipeline_fields::parts! {
        optional tokenizer,
        optional text_encoder,
        required vae,
        required transformer,
        required scheduler,
    }

    /// Checks that the parts fit each other, and marks absent ones in the index of a pipeline; the present ones are added from
    /// [`Self::list`]. `tells_sizes` tells whether the pipeline can tell the model the size of the images.
    ///
    /// # Errors
    /// When they do not fit.
    pub(super) fn prepare(&self, index: &mut ModelIndex, tells_sizes: bool) -> Result<()> {
        zero_terminal_snr::check_configuration(&*self.scheduler)?;
        let config = self.transformer.config();
        let invalid = |field: &str, message: String| Err(Error::config(TRANSFORMER, field, message));
        let (latent, predicted) = (self.vae.latent_channels(), config.predicted_channels());
        if config.in_channels != latent {
            let message =
                format!("is {}, but the latents of the vae have {latent} channels", config.in_channels);
            return invalid("in_channels", message);
        }
        if predicted != latent && predicted != 2 * latent {
            let message = format!(
                "is {predicted}; a prediction has {latent} channels, or twice as many with the variance"
            );
            return invalid("out_channels", message);
        }
        let told = tells_sizes && config.sample_size == TOLD_SAMPLE_SIZE;
        if config.takes_sizes() && !told {
            let class = index.class_name().unwrap_or("this pipeline").to_owned();
            let message = format!(
                "is on for a sample size of {}, but a {class} {}",
                config.sample_size,
                match tells_sizes {
                    true => "tells only a model with a sample size of 128 the size of the images",
                    false => "tells no model the size of the images",
                }
            );
            return invalid("use_additional_conditions", message);
        }
        if let Some(encoder) = &self.text_encoder {
            let made = encoder.config().d_model;
            if let Some(wanted) = config.text_features().filter(|wanted| *wanted != made) {
                let field = match config.caption_channels {
                    Some(_) => "caption_channels",
                    None => "cross_attention_dim",
                };
                let message =
                    format!("is {wanted}, but the hidden states of `text_encoder` have {made} features");
                return invalid(field, message);
            }
            if self.tokenizer.is_none() {
                let message = "is missing: a text encoder needs its tokenizer";
                return Err(Error::config(index.origin(), "tokenizer", message));
            }
        }
        Self::OPTIONAL.into_iter().for_each(|component| index.set_component(component, None));
        Ok(())
    }
}

impl LoraLoader for PixArtComponents {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &self.transformer)]
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &mut self.transformer)]
    }
}
