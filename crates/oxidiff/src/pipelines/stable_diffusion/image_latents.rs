//! From the images that a pipeline is given to latents.

use burn::tensor::{DType, Device, Tensor};

use super::components::StableDiffusionComponents;
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions, VaeImageProcessor};
use crate::models::autoencoders::EncodedImage;
use crate::pipelines::decoding;
use crate::pipelines::model_index::ModelIndex;
use crate::random::Generators;

/// An image that is ready for the model: pixels in [-1, 1], or latents that were given in their place.
#[derive(Clone, Debug)]
pub(super) enum PreparedImage {
    Pixels(Tensor<4>),
    Latents(Tensor<4>),
}

impl PreparedImage {
    /// Prepares what was given as `image`; a tensor of as many channels as latents have is taken for latents.
    ///
    /// # Errors
    /// When the image cannot be prepared, or has alpha: an autoencoder knows none.
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
            PipelineImageInput::Images(_) if channels == 2 || channels == 4 => {
                Err(Error::argument("image", "has an alpha channel; convert it to RGB"))
            }
            _ => Ok(Self::Pixels(values)),
        }
    }

    /// The values, whichever they are.
    pub fn into_values(self) -> Tensor<4> {
        match self {
            Self::Pixels(values) | Self::Latents(values) => values,
        }
    }

    /// Where the values are.
    pub fn device(&self) -> Device {
        match self {
            Self::Pixels(values) | Self::Latents(values) => values.device(),
        }
    }

    /// The values in the type and on the device that the models compute in.
    pub fn cast(self, dtype: DType, device: &Device) -> Self {
        let cast = |values: Tensor<4>| values.to_device(device).cast(dtype);
        match self {
            Self::Pixels(values) => Self::Pixels(cast(values)),
            Self::Latents(values) => Self::Latents(cast(values)),
        }
    }
}

impl StableDiffusionComponents {
    /// Latents of images with values in [-1, 1], drawn and scaled; latents are left as they are.
    ///
    /// # Errors
    /// When the images have another number of channels than the VAE takes, or the latents than the VAE makes.
    pub(super) fn sample_latents(
        &self,
        image: PreparedImage,
        generator: &mut Generators,
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        match image {
            PreparedImage::Latents(latents) => {
                let (given, needed) = (latents.dims()[1], self.vae.latent_channels());
                if given != needed {
                    let message = format!("has {given} channels, the latents of the vae {needed}");
                    return Err(Error::argument("image", message));
                }
                Ok(latents)
            }
            PreparedImage::Pixels(pixels) => {
                let latents = match decoding::encode(&*self.vae, pixels, index)? {
                    EncodedImage::Distribution(distribution) => {
                        let noise = draw(distribution.mean.dims(), &distribution.mean, generator)?;
                        distribution.mode() + distribution.std() * noise
                    }
                    EncodedImage::Latents(latents) => latents,
                };
                Ok(latents * self.vae.scaling_factor())
            }
        }
    }

    /// The latents that image to image starts from, `[images, channels, height, width]`: those of the image with noise
    /// up to the level of `timestep`.
    ///
    /// # Errors
    /// When the number of images given, or of generators, does not fit.
    pub(super) fn noisy_latents(
        &self,
        image: PreparedImage,
        images: usize,
        timestep: f32,
        generator: &mut Generators,
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        check_generators(generator, images)?;
        // A generator for each image draws again where one image stands for several.
        let image = match (image, &*generator) {
            (PreparedImage::Pixels(pixels), Generators::PerItem(_)) => {
                PreparedImage::Pixels(repeat_batch("image", pixels, images)?)
            }
            (image, _) => image,
        };
        let latents = repeat_batch("image", self.sample_latents(image, generator, index)?, images)?;
        let noise = generator.randn(latents.dims(), latents.dtype(), &latents.device())?;
        self.scheduler.add_noise(latents, noise, &vec![timestep; images])
    }
}

/// Normal samples in the type and place of `like`; of more generators than items, the first ones draw.
///
/// # Errors
/// When there are fewer generators than items, but more than one.
pub(super) fn draw(shape: [usize; 4], like: &Tensor<4>, generator: &mut Generators) -> Result<Tensor<4>> {
    let (dtype, device) = (like.dtype(), like.device());
    match generator {
        Generators::PerItem(generators) if shape[0] < generators.len() => {
            let rest = generators.split_off(shape[0]);
            let drawn = generator.randn(shape, dtype, &device);
            if let Generators::PerItem(generators) = generator {
                generators.extend(rest);
            }
            drawn
        }
        generator => generator.randn(shape, dtype, &device),
    }
}

/// Checks that there is one generator, or one for each image.
pub(super) fn check_generators(generator: &Generators, images: usize) -> Result<()> {
    match generator {
        Generators::PerItem(generators) if generators.len() != images => {
            let message =
                format!("{} generators for a batch of {images}: give one, or one per item", generators.len());
            Err(Error::argument("generator", message))
        }
        _ => Ok(()),
    }
}

/// The whole batch again and again, up to `images` items.
///
/// # Errors
/// When that is no multiple.
pub(super) fn repeat_batch(argument: &'static str, batch: Tensor<4>, images: usize) -> Result<Tensor<4>> {
    let given = batch.dims()[0];
    if given == 0 || !images.is_multiple_of(given) {
        let message = format!("{given} of them cannot be shared out among {images} images");
        return Err(Error::argument(argument, message));
    }
    Ok(batch.repeat_dim(0, images / given))
}
