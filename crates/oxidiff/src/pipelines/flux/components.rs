//! The parts that all pipelines of the family share.

use burn::tensor::Device;

use crate::error::{Error, Result};
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::transformers::FluxTransformer2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::ip_adapter::{
    TransformerParts, TransformerPartsMut, ip_adapters_of_transformer,
};
use crate::pipelines::common::lora::LoraLoader;
use crate::pipelines::common::packed_flow::PackedFlow;
use crate::pipelines::common::patches::PATCH_SIZE;
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::Scheduler;
use crate::text_encoders::{CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5Tokenizer};
use crate::vision::{CLIPImageProcessor, CLIPVisionModelWithProjection};

/// The parts of a FLUX.1 pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// Without text encoders, a call takes embedded prompts. A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct FluxComponents {
    /// Removes predicted noise, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Encodes images as latents and decodes them.
    pub vae: Box<dyn Autoencoder>,
    /// Pools an embedding of the whole prompt.
    pub text_encoder: Option<CLIPTextModel>,
    /// Splits a prompt into tokens for the first text encoder.
    pub tokenizer: Option<CLIPTokenizer>,
    /// Embeds the tokens of a prompt.
    pub text_encoder_2: Option<T5EncoderModel>,
    /// Splits a prompt into tokens for the second text encoder.
    pub tokenizer_2: Option<T5Tokenizer>,
    /// Predicts the velocity of latents.
    pub transformer: FluxTransformer2DModel,
    /// Embeds pictures for IP-Adapters.
    pub image_encoder: Option<CLIPVisionModelWithProjection>,
    /// Prepares pictures for the image encoder.
    pub feature_extractor: Option<CLIPImageProcessor>,
}

/// What the transformer of a pipeline sees of each patch besides its latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sees {
    /// Nothing.
    Nothing,
    /// The latents of another image.
    Latents,
    /// The latents of another image, and a mask.
    LatentsAndMask,
}

impl FluxComponents {
    /// The optional parts.
    const OPTIONAL: [&str; 6] =
        ["text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "image_encoder", "feature_extractor"];

    /// The names that the index of a pipeline can have.
    pub(super) const INDEX_NAMES: [&str; 9] = [
        "scheduler",
        "vae",
        "text_encoder",
        "tokenizer",
        "text_encoder_2",
        "tokenizer_2",
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
        Ok(Self {
            scheduler: loader.scheduler("scheduler")?,
            tokenizer: has("tokenizer")?.then(|| loader.clip_tokenizer("tokenizer")).transpose()?,
            tokenizer_2: has("tokenizer_2")?.then(|| loader.t5_tokenizer("tokenizer_2")).transpose()?,
            text_encoder: loader.optional_model("text_encoder")?,
            text_encoder_2: loader.optional_model("text_encoder_2")?,
            transformer: loader.model("transformer")?,
            vae: loader.autoencoder("vae")?,
            image_encoder: loader.optional_model("image_encoder")?,
            feature_extractor: loader.clip_image_processor("feature_extractor")?,
        })
    }

    crate::pipelines::pipeline_fields::parts! {
        required scheduler,
        required vae,
        optional text_encoder,
        optional tokenizer,
        optional text_encoder_2,
        optional tokenizer_2,
        required transformer,
        optional image_encoder,
        optional feature_extractor,
    }

    /// Checks that the parts fit each other, and marks absent ones in the index of a pipeline; the present ones are added from
    /// [`Self::list`].
    ///
    /// # Errors
    /// When they do not fit.
    pub(super) fn prepare(&self, sees: Sees, index: &mut ModelIndex) -> Result<()> {
        self.check_channels(sees)?;
        let config = self.transformer.config();
        let features = |field: &str, made: usize, what: &str| {
            let wanted = if field == "joint_attention_dim" {
                config.joint_attention_dim
            } else {
                config.pooled_projection_dim
            };
            if made == wanted {
                return Ok(());
            }
            let message = format!("is {wanted}, but the {what} have {made} features");
            Err(Error::config("transformer/config.json", field, message))
        };
        if let Some(encoder) = &self.text_encoder_2 {
            features("joint_attention_dim", encoder.config().d_model, "hidden states of `text_encoder_2`")?;
        }
        if let Some(encoder) = &self.text_encoder {
            features(
                "pooled_projection_dim",
                encoder.config().hidden_size,
                "pooled texts of `text_encoder`",
            )?;
        }
        for (name, has_tokenizer, has_encoder) in [
            ("tokenizer", self.tokenizer.is_some(), self.text_encoder.is_some()),
            ("tokenizer_2", self.tokenizer_2.is_some(), self.text_encoder_2.is_some()),
        ] {
            if has_encoder && !has_tokenizer {
                let message = "is missing: a text encoder needs its tokenizer";
                return Err(Error::config(index.origin(), name, message));
            }
        }
        Self::OPTIONAL.into_iter().for_each(|component| index.set_component(component, None));
        Ok(())
    }

    /// Checks that the transformer takes a patch of latents, and what it sees besides.
    fn check_channels(&self, sees: Sees) -> Result<()> {
        let (config, latent) = (self.transformer.config(), self.patch_features());
        let mask = (PATCH_SIZE * self.vae.scale_factor()).pow(2);
        let (needed, what) = match sees {
            Sees::Nothing => (latent, "latents of the vae"),
            Sees::Latents => (2 * latent, "latents of the vae and of another image"),
            Sees::LatentsAndMask => {
                (2 * latent + mask, "latents of the vae and of another image, and a mask,")
            }
        };
        for (field, value, needed, what) in [
            ("in_channels", config.in_channels, needed, what),
            ("out_channels", config.out_features(), latent, "latents of the vae"),
        ] {
            if value != needed {
                let message = format!(
                    "is {value}, but in this pipeline a patch of {PATCH_SIZE}x{PATCH_SIZE} {what} has {needed} values"
                );
                return Err(Error::config("transformer/config.json", field, message));
            }
        }
        Ok(())
    }
}

impl PackedFlow for FluxComponents {
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

impl FluxComponents {
    /// The parts that work with IP-Adapters.
    pub(super) fn pictures(&self) -> TransformerParts<'_, FluxTransformer2DModel> {
        TransformerParts {
            transformer: &self.transformer,
            image_encoder: self.image_encoder.as_ref(),
            feature_extractor: self.feature_extractor.as_ref(),
        }
    }

    fn pictures_mut(&mut self) -> TransformerPartsMut<'_, FluxTransformer2DModel> {
        TransformerPartsMut {
            transformer: &mut self.transformer,
            image_encoder: &mut self.image_encoder,
            feature_extractor: &mut self.feature_extractor,
        }
    }
}

ip_adapters_of_transformer!(FluxComponents);

impl LoraLoader for FluxComponents {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        let transformer: (_, &dyn AnyAdaptable) = (LoraTarget::Transformer, &self.transformer);
        let text_encoder = self.text_encoder.as_ref();
        let text_encoder =
            text_encoder.map(|encoder| (LoraTarget::TextEncoder, encoder as &dyn AnyAdaptable));
        [transformer].into_iter().chain(text_encoder).collect()
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        let transformer: (_, &mut dyn AnyAdaptable) = (LoraTarget::Transformer, &mut self.transformer);
        let text_encoder = self.text_encoder.as_mut();
        let text_encoder =
            text_encoder.map(|encoder| (LoraTarget::TextEncoder, encoder as &mut dyn AnyAdaptable));
        [transformer].into_iter().chain(text_encoder).collect()
    }
}
