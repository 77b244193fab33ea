//! From the images of a call to latents.

use burn::tensor::{DType, Device, Tensor};

use super::decoding;
use super::latents::{draw, scaled, shifted_and_scaled};
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions, VaeImageProcessor};
use crate::models::autoencoders::{Autoencoder, EncodedImage};
use crate::pipelines::model_index::ModelIndex;
use crate::random::Generators;

/// An image that is ready for the model: pixels in [-1, 1], or latents that were given instead.
#[derive(Clone, Debug)]
pub(crate) enum PreparedImage {
    Pixels(Tensor<4>),
    Latents(Tensor<4>),
}

impl PreparedImage {
    /// Prepares the argument `image`; a tensor with as many channels as latents have is treated as latents.
    ///
    /// # Errors
    /// When the image cannot be prepared, or has an alpha channel, which autoencoders do not take.
    pub fn new(
        processor: &VaeImageProcessor,
        image: &PipelineImageInput,
        options: PreprocessOptions,
    ) -> Result<Self> {
        let values = processor.preprocess(image, options)?;
        let channels = values.dims()[1];
        match image {
            PipelineImageInput::Tensor(_) if channels == processor.vae_latent_channels => {
                Ok(Self::Latents(values))
            }
            PipelineImageInput::Images(_) | PipelineImageInput::Unfiltered(_)
                if channels == 2 || channels == 4 =>
            {
                Err(Error::argument("image", "has an alpha channel; convert it to RGB"))
            }
            _ => Ok(Self::Pixels(values)),
        }
    }

    /// The values, of either kind.
    pub fn into_values(self) -> Tensor<4> {
        match self {
            Self::Pixels(values) | Self::Latents(values) => values,
        }
    }

    /// The device of the values.
    pub fn device(&self) -> Device {
        match self {
            Self::Pixels(values) | Self::Latents(values) => values.device(),
        }
    }

    /// Height and width in pixels, of which one position of latents stands for `factor` in each direction.
    pub fn size(&self, factor: usize) -> [usize; 2] {
        let (values, factor) = match self {
            Self::Pixels(values) => (values, 1),
            Self::Latents(values) => (values, factor),
        };
        let [_, _, height, width] = values.dims();
        [height * factor, width * factor]
    }

    /// The values in the type and on the device of the models.
    pub fn cast(self, dtype: DType, device: &Device) -> Self {
        let cast = |values: Tensor<4>| values.to_device(device).cast(dtype);
        match self {
            Self::Pixels(values) => Self::Pixels(cast(values)),
            Self::Latents(values) => Self::Latents(cast(values)),
        }
    }
}

/// How latents of images are scaled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scaling {
    /// By one factor, even if the autoencoder has statistics.
    Factor,
    /// By the statistics of the autoencoder, if it has them.
    Statistics,
    /// By one factor, after a shift, as for flow models.
    FactorAndShift,
}

/// Latents of images with values in [-1, 1], drawn and scaled; latents are left as they are.
///
/// # Errors
/// When the number of channels of the images or the latents does not fit the autoencoder.
pub(crate) fn sample_latents(
    vae: &dyn Autoencoder,
    image: PreparedImage,
    scaling: Scaling,
    generator: &mut Generators,
    index: &ModelIndex,
) -> Result<Tensor<4>> {
    let pixels = match image {
        PreparedImage::Latents(latents) => return check_channels(vae, latents),
        PreparedImage::Pixels(pixels) => pixels,
    };
    // A pipeline in half precision may have an autoencoder that computes in single precision.
    let dtype = pixels.dtype();
    let latents = match decoding::encode(vae, pixels.cast(vae.dtype()), index)? {
        EncodedImage::Distribution(distribution) => {
            let noise = draw(distribution.mean.dims(), &distribution.mean, generator)?;
            distribution.mode() + distribution.std() * noise
        }
        EncodedImage::Latents(latents) => latents,
    };
    match scaling {
        Scaling::Factor => Ok((latents * vae.scaling_factor()).cast(dtype)),
        Scaling::Statistics => Ok(scaled(vae, latents)?.cast(dtype)),
        Scaling::FactorAndShift => Ok(shifted_and_scaled(vae, latents).cast(dtype)),
    }
}

/// The most likely latents of images, not scaled; latents are left as they are.
///
/// # Errors
/// As [`sample_latents`].
pub(crate) fn likeliest_latents(
    vae: &dyn Autoencoder,
    image: PreparedImage,
    index: &ModelIndex,
) -> Result<Tensor<4>> {
    match image {
        PreparedImage::Latents(latents) => check_channels(vae, latents),
        PreparedImage::Pixels(pixels) => {
            let dtype = pixels.dtype();
            Ok(decoding::encode(vae, pixels.cast(vae.dtype()), index)?.mode().cast(dtype))
        }
    }
}

fn check_channels(vae: &dyn Autoencoder, latents: Tensor<4>) -> Result<Tensor<4>> {
    let (given, needed) = (latents.dims()[1], vae.latent_channels());
    if given == needed {
        return Ok(latents);
    }
    let message = format!("has {given} channels, but the latents of the vae have {needed}");
    Err(Error::argument("image", message))
}
