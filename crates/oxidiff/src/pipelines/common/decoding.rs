//! From latents to the pixels of an autoencoder.

use burn::tensor::Tensor;

use super::finite;
use super::latents::unscaled_and_shifted;
use crate::error::Result;
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
use crate::models::autoencoders::{Autoencoder, EncodedImage};
use crate::models::call::SMALLER_CALL;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;

/// Decodes latents `[images, channels, height, width]`, scaled as the autoencoder made them. If half precision overflows,
/// they are decoded again in `f32`.
///
/// # Errors
/// When the latents do not fit the model, the images do not fit into memory, or a value is not finite even in `f32`.
pub(crate) fn decode(vae: &dyn Autoencoder, latents: Tensor<4>, index: &ModelIndex) -> Result<Tensor<4>> {
    check_size(vae, &latents)?;
    let decoded = vae.decode_upcasting(latents)?;
    finite::check_autoencoder(vae, &decoded, "the decoded image", index)?;
    Ok(decoded)
}

/// Converts the latents of a flow model, at the end of a run, to the requested output.
///
/// # Errors
/// When the autoencoder cannot decode them.
pub(crate) fn decode_flow(
    vae: &dyn Autoencoder,
    latents: Tensor<4>,
    output_type: OutputType,
    index: &ModelIndex,
) -> Result<ImagePipelineOutput> {
    let images = match output_type {
        OutputType::Latent => Images::Latent(latents),
        output_type => {
            tracing::debug!("decoding");
            let latents = unscaled_and_shifted(vae, latents.cast(vae.dtype()));
            postprocess(decode(vae, latents, index)?, output_type)?
        }
    };
    Ok(ImagePipelineOutput { images, nsfw_content_detected: None })
}

/// Checks that decoding latents `[images, channels, height, width]` fits into the available memory.
///
/// # Errors
/// When it does not.
pub(crate) fn check_size(vae: &dyn Autoencoder, latents: &Tensor<4>) -> Result<()> {
    let [images, _, height, width] = latents.dims();
    let work = format!("decoding {images} x {height}x{width} latents");
    memory::check(&work, vae.least_memory(images, height, width), &latents.device(), advice(vae))
}

/// Encodes images `[images, channels, height, width]`; if half precision overflows, again in `f32`.
///
/// # Errors
/// When the images do not fit the model or into memory, or their latents are not finite.
pub(crate) fn encode(vae: &dyn Autoencoder, pixels: Tensor<4>, index: &ModelIndex) -> Result<EncodedImage> {
    let [images, _, height, width] = pixels.dims();
    let work = format!("encoding {images} x {height}x{width} pixels");
    let factor = vae.scale_factor();
    let needed = vae.least_memory(images, height / factor, width / factor);
    memory::check(&work, needed, &pixels.device(), advice(vae))?;
    let encoded = vae.encode_upcasting(pixels)?;
    finite::check_autoencoder(vae, &encoded.mode(), "the encoded image", index)?;
    Ok(encoded)
}

fn advice(vae: &dyn Autoencoder) -> &'static str {
    if vae.is_tiling() { SMALLER_CALL } else { "turn on vae tiling, or make smaller images or fewer at once" }
}
