//! The parts that all pipelines of the family share.

use burn::tensor::Device;

use crate::error::{Error, Result};
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::transformers::ChromaTransformer2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::lora::LoraLoader;
use crate::pipelines::common::packed_flow::PackedFlow;
use crate::pipelines::common::patches::PATCH_SIZE;
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::Scheduler;
use crate::text_encoders::{T5EncoderModel, T5Tokenizer};

/// The parts of a Chroma pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// Without a text encoder, a call takes embedded prompts. A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct ChromaComponents {
    /// Removes predicted noise, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Encodes images as latents and decodes them.
    pub vae: Box<dyn Autoencoder>,
    /// Embeds the tokens of a prompt.
    pub text_encoder: Option<T5EncoderModel>,
    /// Splits a prompt into tokens.
    pub tokenizer: Option<T5Tokenizer>,
    /// Predicts the velocity of latents.
    pub transformer: ChromaTransformer2DModel,
}

impl ChromaComponents {
    /// The optional parts; those of an image for adapters are none of ours.
    const OPTIONAL: [&str; 4] = ["text_encoder", "tokenizer", "image_encoder", "feature_extractor"];

    /// The names that the index of a pipeline can have.
    pub(super) const INDEX_NAMES: [&str; 7] = [
        "scheduler",
        "vae",
        "text_encoder",
        "tokenizer",
        "transformer",
        "image_encoder",
        "feature_extractor",
    ];

    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When a part is of another class, or a file is missing or damaged.
    pub(super) fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let has = |name: &str| -> Result<bool> { Ok(loader.index().component_class(name)?.is_some()) };
        if has("image_encoder")? {
            let message = "is not supported: pipelines of Chroma cannot look at pictures with IP-Adapters";
            return Err(Error::config(loader.index().origin(), "image_encoder", message));
        }
        Ok(Self {
            scheduler: loader.scheduler("scheduler")?,
            tokenizer: has("tokenizer")?.then(|| loader.t5_tokenizer("tokenizer")).transpose()?,
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
                    "is {value}, but a patch of {PATCH_SIZE}x{PATCH_SIZE} latents of the vae has {latent} values"
                );
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

impl PackedFlow for ChromaComponents {
    fn autoencoder(&self) -> &dyn Autoencoder {
        &*self.vae
    }

    fn scheduler_mut(&mut self) -> &mut dyn Scheduler {
        &mut *self.scheduler
    }

    fn device(&self) -> Device {
        self.transformer.device()
    }
}

impl LoraLoader for ChromaComponents {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &self.transformer)]
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &mut self.transformer)]
    }
}
