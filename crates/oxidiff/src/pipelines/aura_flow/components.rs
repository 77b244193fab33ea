//! The parts of the pipeline.

use crate::error::{Error, Result};
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::transformers::AuraFlowTransformer2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::lora::LoraLoader;
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::Scheduler;
use crate::text_encoders::{LlamaTokenizer, UMT5EncoderModel};

/// The parts of an AuraFlow pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// Without a text encoder, a call takes embedded prompts. A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct AuraFlowComponents {
    /// Splits a prompt into tokens.
    pub tokenizer: Option<LlamaTokenizer>,
    /// Embeds the tokens of a prompt.
    pub text_encoder: Option<UMT5EncoderModel>,
    /// Decodes latents.
    pub vae: Box<dyn Autoencoder>,
    /// Predicts the velocity of latents.
    pub transformer: AuraFlowTransformer2DModel,
    /// Moves latents along the predicted velocity, step by step.
    pub scheduler: Box<dyn Scheduler>,
}

impl AuraFlowComponents {
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
            tokenizer: has_tokenizer.then(|| loader.llama_tokenizer("tokenizer")).transpose()?,
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
    /// [`Self::list`].
    ///
    /// # Errors
    /// When they do not fit.
    pub(super) fn prepare(&self, index: &mut ModelIndex) -> Result<()> {
        const TRANSFORMER: &str = "transformer/config.json";
        let (config, latent) = (self.transformer.config(), self.vae.latent_channels());
        for (field, value) in
            [("in_channels", config.in_channels), ("out_channels", config.predicted_channels())]
        {
            if value != latent {
                let message = format!("is {value}, but the latents of the vae have {latent} channels");
                return Err(Error::config(TRANSFORMER, field, message));
            }
        }
        if let Some(encoder) = &self.text_encoder {
            let (wanted, made) = (config.joint_attention_dim, encoder.config().d_model);
            if made != wanted {
                let message =
                    format!("is {wanted}, but the hidden states of `text_encoder` have {made} features");
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
}

impl LoraLoader for AuraFlowComponents {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &self.transformer)]
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &mut self.transformer)]
    }
}
