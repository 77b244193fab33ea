//! The autoencoder of a pipeline, of whichever class.

use std::any::Any;
use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};

use super::{AutoencoderKL, AutoencoderTiny, DiagonalGaussianDistribution};
use crate::error::Result;
use crate::models::finite::{Suspect, is_finite};
use crate::models::model::Model;
use crate::pipelines::component::Component;

/// An autoencoder that a pipeline can have as its `vae`.
///
/// ```no_run
/// use oxidiff::{AutoencoderTiny, Model, Pipeline, StableDiffusionPipeline};
///
/// let mut pipeline = StableDiffusionPipeline::from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")?;
/// pipeline.vae = AutoencoderTiny::from_pretrained("madebyollin/taesd")?.into();
/// # Ok::<(), oxidiff::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a pipeline")]
pub enum Autoencoder {
    /// The autoencoder of latent diffusion.
    Kl(AutoencoderKL),
    /// A small one that stands in for it.
    Tiny(AutoencoderTiny),
}

/// What an [`Autoencoder`] encodes images as.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there is one of these in a call")]
pub enum EncodedImage {
    /// A distribution to draw latents from.
    Distribution(DiagonalGaussianDistribution),
    /// The latents, `[batch, latent_channels, height, width]`.
    Latents(Tensor<4>),
}

impl EncodedImage {
    /// The most likely latents.
    pub fn mode(&self) -> Tensor<4> {
        match self {
            Self::Distribution(distribution) => distribution.mode(),
            Self::Latents(latents) => latents.clone(),
        }
    }

    fn cast(self, dtype: DType) -> Self {
        match self {
            Self::Distribution(DiagonalGaussianDistribution { mean, logvar }) => {
                let (mean, logvar) = (mean.cast(dtype), logvar.cast(dtype));
                Self::Distribution(DiagonalGaussianDistribution { mean, logvar })
            }
            Self::Latents(latents) => Self::Latents(latents.cast(dtype)),
        }
    }
}

/// Evaluates an expression on the autoencoder, whichever it is.
macro_rules! each {
    ($self:expr, $any:ident => $body:expr) => {
        match $self {
            Autoencoder::Kl($any) => $body,
            Autoencoder::Tiny($any) => $body,
        }
    };
}

impl Autoencoder {
    /// The name of the class.
    pub fn class_name(&self) -> &'static str {
        match self {
            Self::Kl(_) => AutoencoderKL::CLASS_NAME,
            Self::Tiny(_) => AutoencoderTiny::CLASS_NAME,
        }
    }

    /// Number of channels of an image.
    pub fn in_channels(&self) -> usize {
        each!(self, vae => vae.config().in_channels)
    }

    /// Number of channels of the latents.
    pub fn latent_channels(&self) -> usize {
        each!(self, vae => vae.config().latent_channels)
    }

    /// What latents are multiplied by before diffusion.
    pub fn scaling_factor(&self) -> f64 {
        each!(self, vae => vae.config().scaling_factor)
    }

    /// Replaces the configuration's `scaling_factor`.
    pub(crate) fn set_scaling_factor(&mut self, scaling_factor: f64) {
        each!(self, vae => vae.set_scaling_factor(scaling_factor));
    }

    /// How many pixels of the image one position of the latent stands for, in each direction.
    pub fn scale_factor(&self) -> usize {
        each!(self, vae => vae.scale_factor())
    }

    /// The element type of the weights, in which the model computes.
    pub fn dtype(&self) -> DType {
        each!(self, vae => vae.dtype())
    }

    /// Bytes that decoding or encoding `images` of `height` by `width` latents needs at least, without the weights.
    pub fn least_memory(&self, images: usize, height: usize, width: usize) -> u64 {
        each!(self, vae => vae.least_memory(images, height, width))
    }

    /// Whether large images are encoded and decoded in tiles.
    pub fn is_tiling(&self) -> bool {
        each!(self, vae => vae.is_tiling())
    }

    /// What images `[batch, in_channels, height, width]` with values in [-1, 1] are encoded as.
    ///
    /// # Errors
    /// When the images do not fit the model.
    pub fn encode(&self, image: Tensor<4>) -> Result<EncodedImage> {
        match self {
            Self::Kl(vae) => Ok(EncodedImage::Distribution(vae.encode(image)?)),
            Self::Tiny(vae) => Ok(EncodedImage::Latents(vae.encode(image)?)),
        }
    }

    /// The images `[batch, out_channels, height, width]` of latents `[batch, latent_channels, ...]`, with values in about
    /// [-1, 1].
    ///
    /// # Errors
    /// When the latents do not fit the model.
    pub fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        each!(self, vae => vae.decode(latents))
    }

    /// As [`Self::encode`]. Where half precision overflows, the images are encoded again in `f32`.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub(crate) fn encode_upcasting(&self, image: Tensor<4>) -> Result<EncodedImage> {
        let encoded = self.encode(image.clone())?;
        if !self.is_half() || is_finite(&encoded.mode()) || self.has_broken_weight() {
            return Ok(encoded);
        }
        self.warn_of_overflow("encoded");
        Ok(self.upcast().encode(image)?.cast(self.dtype()))
    }

    /// As [`Self::decode`]. Where half precision overflows, the latents are decoded again in `f32`, and so are the images.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub(crate) fn decode_upcasting(&self, latents: Tensor<4>) -> Result<Tensor<4>> {
        let decoded = self.decode(latents.clone())?;
        if !self.is_half() || is_finite(&decoded) || self.has_broken_weight() {
            return Ok(decoded);
        }
        self.warn_of_overflow("decoded");
        self.upcast().decode(latents)
    }

    fn is_half(&self) -> bool {
        matches!(self.dtype(), DType::F16 | DType::BF16)
    }

    /// Whether a weight is not finite itself, which computing in `f32` does not help.
    fn has_broken_weight(&self) -> bool {
        self.suspect().broken_weight().is_some()
    }

    /// The same autoencoder with weights in `f32`.
    fn upcast(&self) -> Self {
        match self {
            Self::Kl(vae) => Self::Kl(vae.clone().map(&mut Upcast)),
            Self::Tiny(vae) => Self::Tiny(vae.clone().map(&mut Upcast)),
        }
    }

    fn warn_of_overflow(&self, done: &str) {
        let dtype = format!("{:?}", self.dtype()).to_lowercase();
        tracing::warn!("the vae overflows in {dtype}: the image is {done} again in f32, which takes longer");
    }

    /// The model, to look for a weight that is not finite.
    pub(crate) fn suspect(&self) -> &dyn Suspect {
        match self {
            Self::Kl(vae) => vae,
            Self::Tiny(vae) => vae,
        }
    }

    /// Encode and decode the items of a batch one by one, which takes less memory.
    pub fn enable_slicing(&mut self) {
        each!(self, vae => vae.enable_slicing());
    }

    /// Encode and decode whole batches.
    pub fn disable_slicing(&mut self) {
        each!(self, vae => vae.disable_slicing());
    }

    /// Encode and decode large images in overlapping tiles, so that memory does not grow with their size.
    pub fn enable_tiling(&mut self) {
        each!(self, vae => vae.enable_tiling());
    }

    /// Encode and decode images whole.
    pub fn disable_tiling(&mut self) {
        each!(self, vae => vae.disable_tiling());
    }
}

impl Component for Autoencoder {
    fn class(&self) -> (&'static str, String) {
        ("diffusers", self.class_name().to_owned())
    }

    fn save(&self, folder: &Path) -> Result<()> {
        each!(self, vae => Model::save_pretrained(vae, folder))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_concrete(&self) -> &dyn Any {
        each!(self, vae => vae)
    }
}

struct Upcast;

impl ModuleMapper for Upcast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weight| weight.cast(DType::F32))
    }
}

impl From<AutoencoderKL> for Autoencoder {
    fn from(vae: AutoencoderKL) -> Self {
        Self::Kl(vae)
    }
}

impl From<AutoencoderTiny> for Autoencoder {
    fn from(vae: AutoencoderTiny) -> Self {
        Self::Tiny(vae)
    }
}
