//! The parts that all pipelines of the family share.

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::image_processor::VaeImageProcessor;
use crate::loading::lora::LoraTarget;
use crate::models::adapters::AnyAdaptable;
use crate::models::autoencoders::Autoencoder;
use crate::models::layers::attention::AttentionSlice;
use crate::models::layers::embeddings::Timesteps;
use crate::models::layers::per_block::SampleSize;
use crate::models::model::Model;
use crate::models::unets::UNet2DConditionModel;
use crate::pipelines::common::component_loader::ComponentLoader;
use crate::pipelines::common::guidance::Guidance;
use crate::pipelines::common::ip_adapter::{IpAdapterParts, IpAdapterPartsMut, UNetIpAdapters};
use crate::pipelines::common::lora::LoraLoader;
use crate::pipelines::common::safety::{REQUIRES, Safety};
use crate::pipelines::common::textual_inversion::{TextualInversionLoader, WordEncoder};
use crate::pipelines::component::Components;
use crate::pipelines::model_index::ModelIndex;
use crate::schedulers::Scheduler;
use crate::text_encoders::{CLIPTextModel, CLIPTokenizer};
use crate::vision::{CLIPImageProcessor, CLIPVisionModelWithProjection, StableDiffusionSafetyChecker};

/// The parts of a Stable Diffusion pipeline. They can be replaced: `pipeline.vae = ...`.
///
/// A copy shares the weights: tensors are reference counted.
#[derive(Clone, Debug)]
pub struct StableDiffusionComponents {
    /// Encodes images as latents and decodes them.
    pub vae: Box<dyn Autoencoder>,
    /// Embeds the tokens of a prompt.
    pub text_encoder: CLIPTextModel,
    /// Splits a prompt into tokens.
    pub tokenizer: CLIPTokenizer,
    /// Predicts the noise in latents.
    pub unet: UNet2DConditionModel,
    /// Removes predicted noise, step by step.
    pub scheduler: Box<dyn Scheduler>,
    /// Flags images that should not be shown, which are then returned black; `None` turns the check off.
    pub safety_checker: Option<StableDiffusionSafetyChecker>,
    /// Prepares images for the safety checker, which requires it, and for the image encoder.
    pub feature_extractor: Option<CLIPImageProcessor>,
    /// Embeds the pictures that IP-Adapters look at.
    pub image_encoder: Option<CLIPVisionModelWithProjection>,
}

impl StableDiffusionComponents {
    /// The optional parts.
    const OPTIONAL: [&str; 3] = ["safety_checker", "feature_extractor", "image_encoder"];

    /// The names that the index of a pipeline can have.
    pub(super) const INDEX_NAMES: [&str; 9] = [
        "vae",
        "text_encoder",
        "tokenizer",
        "unet",
        "scheduler",
        "safety_checker",
        "feature_extractor",
        "image_encoder",
        REQUIRES,
    ];

    /// Loads the parts that the index of a checkpoint names.
    ///
    /// # Errors
    /// When a part is of another class, or a file is missing or damaged.
    pub(super) fn load(loader: &ComponentLoader<'_>) -> Result<Self> {
        Ok(Self {
            tokenizer: loader.clip_tokenizer("tokenizer")?,
            scheduler: loader.scheduler("scheduler")?,
            feature_extractor: loader.clip_image_processor("feature_extractor")?,
            image_encoder: loader.optional_model("image_encoder")?,
            text_encoder: loader.model("text_encoder")?,
            unet: loader.model("unet")?,
            vae: loader.autoencoder("vae")?,
            safety_checker: match loader.options().safety_checker {
                true => loader.optional_model("safety_checker")?,
                false => None,
            },
        })
    }

    /// Takes the parts of another pipeline, and shares their weights.
    ///
    /// # Errors
    /// When a part is missing, or of another class.
    pub(super) fn of(components: &Components<'_>) -> Result<Self> {
        Ok(Self {
            vae: components.take("vae")?,
            text_encoder: components.take("text_encoder")?,
            tokenizer: components.take("tokenizer")?,
            unet: components.take("unet")?,
            scheduler: components.take("scheduler")?,
            safety_checker: components.take_optional("safety_checker")?,
            feature_extractor: components.get("feature_extractor").cloned(),
            image_encoder: components.take_optional("image_encoder")?,
        })
    }

    /// The parts, by their names in `model_index.json`.
    pub(super) fn list(&self) -> Components<'_> {
        let mut list = Components::default();
        list.push("vae", &self.vae);
        list.push("text_encoder", &self.text_encoder);
        list.push("tokenizer", &self.tokenizer);
        list.push("unet", &self.unet);
        list.push("scheduler", &self.scheduler);
        list.push_optional("safety_checker", &self.safety_checker);
        list.push_optional("feature_extractor", &self.feature_extractor);
        list.push_optional("image_encoder", &self.image_encoder);
        list
    }

    /// Marks absent optional components in the index of a pipeline, which can also name its `own` parts; the present ones
    /// are added from [`Self::list`]. Warns if the pipeline requires a safety checker and has none.
    ///
    /// # Errors
    /// When there is a safety checker without a feature extractor.
    pub(super) fn prepare_index(&self, index: &mut ModelIndex, own: &[&str]) -> Result<()> {
        for component in Self::OPTIONAL.into_iter().filter(|component| own.contains(component)) {
            index.set_component(component, None);
        }
        match own.contains(&REQUIRES) {
            true => self.safety().check_parts(index),
            false => self.safety().check_extractor(),
        }
    }

    /// The safety checker with what it needs.
    pub(super) fn safety(&self) -> Safety<'_> {
        Safety { checker: self.safety_checker.as_ref(), feature_extractor: self.feature_extractor.as_ref() }
    }

    /// Lets attention work on some heads at a time. This saves memory on devices where attention holds the scores of all
    /// pairs of tokens. On the CPU, attention only ever holds the scores of one block, so it saves next to nothing.
    pub fn enable_attention_slicing(&mut self, slice: AttentionSlice) {
        self.unet.set_attention_slice(Some(slice));
    }

    /// Lets attention work on all heads at once.
    pub fn disable_attention_slicing(&mut self) {
        self.unet.set_attention_slice(None);
    }

    /// Encodes and decodes the images of a batch one by one, which takes less memory.
    pub fn enable_vae_slicing(&mut self) {
        self.vae.enable_slicing();
    }

    /// Encodes and decodes whole batches.
    pub fn disable_vae_slicing(&mut self) {
        self.vae.disable_slicing();
    }

    /// Encodes and decodes large images in overlapping tiles, so that memory does not grow with their size.
    pub fn enable_vae_tiling(&mut self) {
        self.vae.enable_tiling();
    }

    /// Encodes and decodes whole images.
    pub fn disable_vae_tiling(&mut self) {
        self.vae.disable_tiling();
    }

    /// Prepares images for the VAE.
    pub(super) fn image_processor(&self) -> VaeImageProcessor {
        VaeImageProcessor { vae_scale_factor: self.vae.scale_factor(), ..VaeImageProcessor::default() }
    }

    /// Guidance by the text. A UNet that takes the guidance scale as an input was distilled from a guided model, and
    /// needs none.
    pub(super) fn classifier_free_guidance(&self, scale: f64, rescale: f64) -> Guidance {
        if scale > 1.0 && self.unet.config().time_cond_proj_dim.is_none() {
            Guidance::ClassifierFree { scale, rescale }
        } else {
            Guidance::Off
        }
    }

    /// The guidance scale as such a UNet takes it, `[images, time_cond_proj_dim]`.
    pub(super) fn embed_guidance_scale(
        &self,
        scale: f64,
        images: usize,
        device: &Device,
    ) -> Option<Tensor<2>> {
        let num_channels = self.unet.config().time_cond_proj_dim?;
        let embedding = Timesteps { num_channels, flip_sin_to_cos: false, downscale_freq_shift: 1.0 };
        Some(embedding.forward(&vec![(scale - 1.0) as f32 * 1000.0; images], device))
    }

    /// Checks that the UNet takes the VAE's latents and one of the given numbers of further channels.
    ///
    /// # Errors
    /// When it does not, or predicts something other than latents.
    pub(super) fn check_channels(&self, further: &[usize]) -> Result<()> {
        let latent = self.vae.latent_channels();
        let (inputs, outputs) = (self.unet.config().in_channels, self.unet.config().out_channels);
        if outputs != latent {
            let message = format!("is {outputs}, but the latents of the vae have {latent} channels");
            return Err(Error::config("unet/config.json", "out_channels", message));
        }
        if further.iter().any(|further| latent + further == inputs) {
            return Ok(());
        }
        let further = match further {
            [0] => String::new(),
            _ => format!(", to which this pipeline can add {further:?}"),
        };
        let message = format!("is {inputs}, but the latents of the vae have {latent} channels{further}");
        Err(Error::config("unet/config.json", "in_channels", message))
    }

    /// The size of the latents that the UNet was trained on, height and width. Configurations of diffusers before 0.9 say
    /// 32 but mean 64.
    pub(super) fn trained_size(&self) -> Option<[usize; 2]> {
        let config = self.unet.config();
        let version = config.other.get("_diffusers_version").and_then(|version| version.as_str());
        match config.sample_size? {
            SampleSize::Square(side) if side < 64 && version.is_some_and(is_before_0_9) => Some([64, 64]),
            size => Some(size.height_width()),
        }
    }
}

impl LoraLoader for StableDiffusionComponents {
    fn adaptable(&self) -> Vec<(LoraTarget, &dyn AnyAdaptable)> {
        vec![(LoraTarget::UNet, &self.unet), (LoraTarget::TextEncoder, &self.text_encoder)]
    }

    fn adaptable_mut(&mut self) -> Vec<(LoraTarget, &mut dyn AnyAdaptable)> {
        vec![(LoraTarget::UNet, &mut self.unet), (LoraTarget::TextEncoder, &mut self.text_encoder)]
    }
}

impl UNetIpAdapters for StableDiffusionComponents {
    fn ip_adapter_parts(&self) -> IpAdapterParts<'_> {
        IpAdapterParts {
            unet: &self.unet,
            image_encoder: self.image_encoder.as_ref(),
            feature_extractor: self.feature_extractor.as_ref(),
        }
    }

    fn ip_adapter_parts_mut(&mut self) -> IpAdapterPartsMut<'_> {
        IpAdapterPartsMut {
            unet: &mut self.unet,
            image_encoder: &mut self.image_encoder,
            feature_extractor: &mut self.feature_extractor,
            owns_feature_extractor: false,
        }
    }
}

impl TextualInversionLoader for StableDiffusionComponents {
    fn word_encoders(&mut self) -> Vec<WordEncoder<'_>> {
        vec![WordEncoder {
            key: "clip_l",
            tokenizer: &mut self.tokenizer,
            text_encoder: &mut self.text_encoder,
        }]
    }
}

fn is_before_0_9(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u64>().ok());
    matches!((parts.next(), parts.next()), (Some(0), Some(minor)) if minor < 9)
}
