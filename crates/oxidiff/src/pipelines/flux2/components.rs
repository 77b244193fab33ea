//! The parts that all pipelines of the family share.

use burn::tensor::Tensor;

use super::prompt_encoder::PromptEncoder;
use crate::error::{Error, Result};
use crate::image_processor::VaeImageProcessor;
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::transformers::Flux2Transformer2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::lora::LoraLoader;
use crate::pipelines::common::patches::PATCH_SIZE;
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::Scheduler;
use crate::text_encoders::{Mistral3ForConditionalGeneration, Qwen3Model};

/// The option of a pipeline that says whether its model was distilled, so that it needs no guidance.
pub(super) const IS_DISTILLED: &str = "is_distilled";

/// The parts of a FLUX.2 klein pipeline.
pub type Flux2KleinComponents = Flux2Components<Qwen3Model>;

/// The parts of a FLUX.2-dev pipeline.
pub type Flux2DevComponents = Flux2Components<Mistral3ForConditionalGeneration>;

/// The parts of a FLUX.2 pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct Flux2Components<E: PromptEncoder> {
    /// Removes predicted noise, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Encodes images as latents and decodes them; it knows the statistics of latents.
    pub vae: Box<dyn Autoencoder>,
    /// Embeds the tokens of a prompt.
    pub text_encoder: E,
    /// Splits a prompt into tokens.
    pub tokenizer: E::Tokenizer,
    /// Predicts the velocity of latents.
    pub transformer: Flux2Transformer2DModel,
}

impl Flux2KleinComponents {
    /// The names that the index of a pipeline can have.
    pub(super) const INDEX_NAMES: [&str; 6] =
        ["scheduler", "vae", "text_encoder", "tokenizer", "transformer", IS_DISTILLED];
}

impl<E: PromptEncoder> Flux2Components<E> {
    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When a part is of another class, or a file is missing or damaged.
    pub(super) fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        Ok(Self {
            scheduler: loader.scheduler("scheduler")?,
            tokenizer: E::load_tokenizer(loader, "tokenizer")?,
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
        let (config, features) = (self.transformer.config(), self.patch_features());
        let latent = self.vae.latent_channels();
        let made = config.patch_size * config.patch_size * config.out_channels.unwrap_or(config.in_channels);
        for (field, value) in [("in_channels", config.in_channels), ("out_channels", made)] {
            if value != features {
                let message = format!(
                    "is {value}, but a patch of {PATCH_SIZE}x{PATCH_SIZE} latents of the vae, which have {latent} channels, \
                     has {features} values"
                );
                return Err(Error::config(TRANSFORMER, field, message));
            }
        }
        let [_, hidden_size] = self.text_encoder.layers_and_features();
        if !config.joint_attention_dim.is_multiple_of(hidden_size) {
            let message = format!(
                "is {}, no multiple of the {hidden_size} features of the text encoder's hidden states",
                config.joint_attention_dim
            );
            return Err(Error::config(TRANSFORMER, "joint_attention_dim", message));
        }
        self.statistics().map(|_| ())
    }

    /// Mean and standard deviation of patches, each `[1, features, 1, 1]` in `f32`.
    ///
    /// # Errors
    /// When the autoencoder has none, or of patches of another size.
    pub(super) fn statistics(&self) -> Result<[Tensor<4>; 2]> {
        let Some(statistics) = self.vae.patch_statistics() else {
            let message = format!(
                "is a `{}`, which has no statistics of latents; only `AutoencoderKLFlux2` has them",
                self.vae.class_name()
            );
            return Err(Error::argument("vae", message));
        };
        let (given, needed) = (statistics[0].dims()[1], self.patch_features());
        if given != needed {
            let message =
                format!("gives {given} values to a patch, but this pipeline uses patches of {needed}");
            return Err(Error::config("vae/config.json", "patch_size", message));
        }
        Ok(statistics)
    }

    /// The number of values of a patch.
    pub(super) fn patch_features(&self) -> usize {
        PATCH_SIZE * PATCH_SIZE * self.vae.latent_channels()
    }

    /// How many pixels a patch has in each direction: sizes of images are multiples of this.
    pub(super) fn patch_pixels(&self) -> usize {
        PATCH_SIZE * self.vae.scale_factor()
    }

    /// Prepares images for the VAE; a tensor with as many channels as a patch has values is treated as latents.
    pub(super) fn image_processor(&self) -> VaeImageProcessor {
        VaeImageProcessor {
            vae_scale_factor: self.patch_pixels(),
            vae_latent_channels: self.patch_features(),
            do_convert_rgb: true,
            ..VaeImageProcessor::default()
        }
    }
}

/// Reads whether the model was distilled, and adds the option to an index that lacks it.
///
/// # Errors
/// When the option is neither true nor false.
pub(super) fn read_distilled(mut index: ModelIndex, default: bool) -> Result<ModelIndex> {
    match index.option(IS_DISTILLED) {
        None => index.set_option(IS_DISTILLED, default),
        Some(value) if value.is_boolean() => {}
        Some(value) => {
            let message = format!("must be true or false, not {value}");
            return Err(Error::config(index.origin(), IS_DISTILLED, message));
        }
    }
    Ok(index)
}

/// Whether the model was distilled.
pub(super) fn is_distilled(index: &ModelIndex) -> bool {
    index.option(IS_DISTILLED).is_some_and(|value| value == true)
}

impl<E: PromptEncoder> LoraLoader for Flux2Components<E> {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &self.transformer)]
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        vec![(LoraTarget::Transformer, &mut self.transformer)]
    }
}
