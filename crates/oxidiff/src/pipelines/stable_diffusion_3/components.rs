//! The parts that all pipelines of the family share.

use crate::error::{Error, Result};
use crate::image_processor::VaeImageProcessor;
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::model::Model;
use crate::models::transformers::SD3Transformer2DModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::lora::LoraLoader;
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::Scheduler;
use crate::text_encoders::{CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel, T5Tokenizer};
use crate::vision::{SiglipImageProcessor, SiglipVisionModel};

/// The parts of a Stable Diffusion 3 pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// Without the third text encoder, which is larger than all other parts of many checkpoints, prompts are understood less well. Without
/// the first two, a call takes embedded prompts. A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct StableDiffusion3Components {
    /// Predicts the velocity of latents.
    pub transformer: SD3Transformer2DModel,
    /// Moves latents along the predicted velocity, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Encodes images as latents and decodes them.
    pub vae: Box<dyn Autoencoder>,
    /// Embeds the tokens of a prompt, and the whole prompt.
    pub text_encoder: Option<CLIPTextModelWithProjection>,
    /// Splits a prompt into tokens for the first text encoder.
    pub tokenizer: Option<CLIPTokenizer>,
    /// Embeds both as well.
    pub text_encoder_2: Option<CLIPTextModelWithProjection>,
    /// Splits a prompt into tokens for the second text encoder.
    pub tokenizer_2: Option<CLIPTokenizer>,
    /// Embeds the tokens of a prompt, which may be longer.
    pub text_encoder_3: Option<T5EncoderModel>,
    /// Splits a prompt into tokens for the third text encoder.
    pub tokenizer_3: Option<T5Tokenizer>,
    /// Embeds pictures for an IP-Adapter.
    pub image_encoder: Option<SiglipVisionModel>,
    /// Prepares pictures for the image encoder.
    pub feature_extractor: Option<SiglipImageProcessor>,
}

impl StableDiffusion3Components {
    /// Text encoders and their tokenizers.
    const ENCODERS: [[&str; 2]; 3] =
        [["text_encoder", "tokenizer"], ["text_encoder_2", "tokenizer_2"], ["text_encoder_3", "tokenizer_3"]];

    /// The parts that look at pictures for IP-Adapters.
    const OF_PICTURES: [&str; 2] = ["image_encoder", "feature_extractor"];

    /// The names that the index of a pipeline can have.
    pub(super) const INDEX_NAMES: [&str; 11] = [
        "transformer",
        "scheduler",
        "vae",
        "text_encoder",
        "tokenizer",
        "text_encoder_2",
        "tokenizer_2",
        "text_encoder_3",
        "tokenizer_3",
        Self::OF_PICTURES[0],
        Self::OF_PICTURES[1],
    ];

    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When a part is of another class, or a file is missing or damaged.
    pub(super) fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        let has = |name| Ok::<_, Error>(loader.index().component_class(name)?.is_some());
        let clip = |name| has(name)?.then(|| loader.clip_tokenizer(name)).transpose();
        Ok(Self {
            tokenizer: clip("tokenizer")?,
            tokenizer_2: clip("tokenizer_2")?,
            tokenizer_3: has("tokenizer_3")?.then(|| loader.t5_tokenizer("tokenizer_3")).transpose()?,
            scheduler: loader.scheduler("scheduler")?,
            text_encoder: loader.optional_model("text_encoder")?,
            text_encoder_2: loader.optional_model("text_encoder_2")?,
            text_encoder_3: loader.optional_model("text_encoder_3")?,
            transformer: loader.model("transformer")?,
            vae: loader.autoencoder("vae")?,
            image_encoder: loader.optional_model("image_encoder")?,
            feature_extractor: has("feature_extractor")?
                .then(|| loader.image_processor("feature_extractor", &SiglipImageProcessor::CLASSES))
                .transpose()?,
        })
    }

    crate::pipelines::pipeline_fields::parts! {
        required transformer,
        required scheduler,
        required vae,
        optional text_encoder,
        optional tokenizer,
        optional text_encoder_2,
        optional tokenizer_2,
        optional text_encoder_3,
        optional tokenizer_3,
        optional image_encoder,
        optional feature_extractor,
    }

    /// Marks absent parts in the index of a pipeline; the present ones are added from [`Self::list`].
    ///
    /// # Errors
    /// When a text encoder has no tokenizer.
    pub(super) fn prepare_index(&self, index: &mut ModelIndex) -> Result<()> {
        let list = self.list();
        let has = |name: &str| list.iter().any(|(other, _)| other == name);
        for [encoder, tokenizer] in Self::ENCODERS {
            if has(encoder) && !has(tokenizer) {
                let message = format!("is missing: `{encoder}` needs its tokenizer");
                return Err(Error::config(index.origin(), tokenizer, message));
            }
        }
        for name in Self::ENCODERS.into_iter().flatten().chain(Self::OF_PICTURES) {
            index.set_component(name, None);
        }
        Ok(())
    }

    /// Checks that the parts fit each other. With `takes_mask`, the transformer may take a mask and a masked image beside the latents.
    ///
    /// # Errors
    /// When they do not.
    pub(super) fn check(&self, takes_mask: bool) -> Result<()> {
        const TRANSFORMER: &str = "transformer/config.json";
        let (config, latent) = (self.transformer.config(), self.vae.latent_channels());
        let (inputs, outputs) = (config.in_channels, config.out_channels.unwrap_or(config.in_channels));
        if inputs != latent && !(takes_mask && inputs == 2 * latent + 1) {
            let or = if takes_mask { ", or twice as many and one with a mask" } else { "" };
            let message = format!("is {inputs}, but the latents of the vae have {latent} channels{or}");
            return Err(Error::config(TRANSFORMER, "in_channels", message));
        }
        if outputs != latent {
            let message = format!("is {outputs}, but the latents of the vae have {latent} channels");
            return Err(Error::config(TRANSFORMER, "out_channels", message));
        }
        let features = |encoder: &Option<CLIPTextModelWithProjection>| {
            encoder.as_ref().map(|encoder| {
                let [pooled, hidden] = encoder.text_projection.weight.lazy_shape().dims();
                [pooled, hidden]
            })
        };
        if let (Some(first), Some(second)) = (features(&self.text_encoder), features(&self.text_encoder_2)) {
            let (pooled, hidden) = (first[0] + second[0], first[1] + second[1]);
            if pooled != config.pooled_projection_dim {
                let message = format!(
                    "is {}, but the first two text encoders pool a prompt as {pooled} features",
                    config.pooled_projection_dim
                );
                return Err(Error::config(TRANSFORMER, "pooled_projection_dim", message));
            }
            if hidden > config.joint_attention_dim {
                let message = format!(
                    "is {}, but the hidden states of the first two text encoders have {hidden} features",
                    config.joint_attention_dim
                );
                return Err(Error::config(TRANSFORMER, "joint_attention_dim", message));
            }
        }
        let third = self.text_encoder_3.as_ref().map(|encoder| encoder.config().d_model);
        if let Some(features) = third.filter(|features| *features != config.joint_attention_dim) {
            let message = format!(
                "is {}, but the hidden states of the third text encoder have {features} features",
                config.joint_attention_dim
            );
            return Err(Error::config(TRANSFORMER, "joint_attention_dim", message));
        }
        Ok(())
    }

    /// How many pixels a patch has in each direction: sizes of images are multiples of this.
    pub(super) fn patch_pixels(&self) -> usize {
        self.transformer.config().patch_size * self.vae.scale_factor()
    }

    /// Prepares images for the VAE.
    pub(super) fn image_processor(&self) -> VaeImageProcessor {
        VaeImageProcessor {
            vae_scale_factor: self.vae.scale_factor(),
            vae_latent_channels: self.vae.latent_channels(),
            ..VaeImageProcessor::default()
        }
    }
}

impl LoraLoader for StableDiffusion3Components {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        let mut models: Vec<(LoraTarget, &dyn AnyAdaptable)> =
            vec![(LoraTarget::Transformer, &self.transformer)];
        models.extend(self.text_encoder.iter().map(|model| (LoraTarget::TextEncoder, model as _)));
        models.extend(self.text_encoder_2.iter().map(|model| (LoraTarget::TextEncoder2, model as _)));
        models
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        let mut models: Vec<(LoraTarget, &mut dyn AnyAdaptable)> =
            vec![(LoraTarget::Transformer, &mut self.transformer)];
        models.extend(self.text_encoder.iter_mut().map(|model| (LoraTarget::TextEncoder, model as _)));
        models.extend(self.text_encoder_2.iter_mut().map(|model| (LoraTarget::TextEncoder2, model as _)));
        models
    }
}
