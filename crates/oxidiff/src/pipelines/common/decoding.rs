//! From latents to the pixels of an autoencoder.

use burn::tensor::{Device, Tensor};

use super::finite;
use super::latents::unscaled_and_shifted;
use crate::error::Result;
use crate::image_processor::{Images, OutputType, postprocess};
use crate::memory;
use crate::models::autoencoders::{Autoencoder, EncodedImage};
use crate::models::call::SMALLER_CALL;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::ImagePipelineOutput;

/// What autoencoders were seen to need, as a multiple of [`Autoencoder::least_memory`]: blocks wait to be used again.
const OVER_LEAST: u64 = 2;

/// Decodes latents `[images, channels, height, width]`, scaled as the autoencoder made them. If half precision overflows,
/// they are decoded again in `f32`. Images that do not fit into memory are decoded one after another and in tiles.
///
/// # Errors
/// When the latents do not fit the model, the images do not fit into memory, or a value is not finite even in `f32`.
pub(crate) fn decode(vae: &dyn Autoencoder, latents: Tensor<4>, index: &ModelIndex) -> Result<Tensor<4>> {
    let [images, _, height, width] = latents.dims();
    let work = decoding(&latents);
    let in_parts = in_parts_if_needed(vae, &work, [images, height, width], &latents.device())?;
    let vae = in_parts.as_deref().unwrap_or(vae);
    let decoded = vae.decode_upcasting(latents)?;
    leave_card(vae);
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

/// Checks that decoding latents `[images, channels, height, width]` fits into the available memory, if need be in tiles. What does not fit
/// onto a card is an error of the decoding itself.
///
/// # Errors
/// When it does not.
pub(crate) fn check_size(vae: &dyn Autoencoder, latents: &Tensor<4>) -> Result<()> {
    if vae.card().is_some() {
        return Ok(());
    }
    let [images, _, height, width] = latents.dims();
    let needed = in_parts(vae).least_memory(images, height, width);
    memory::check(&decoding(latents), needed, &latents.device(), SMALLER_CALL)
}

/// The work that decoding is, for messages.
fn decoding(latents: &Tensor<4>) -> String {
    let [images, _, height, width] = latents.dims();
    format!("decoding {images} x {height}x{width} latents")
}

/// Encodes images `[images, channels, height, width]`; if half precision overflows, again in `f32`. Images that do not fit into memory
/// are encoded one after another and in tiles.
///
/// # Errors
/// When the images do not fit the model or into memory, or their latents are not finite.
pub(crate) fn encode(vae: &dyn Autoencoder, pixels: Tensor<4>, index: &ModelIndex) -> Result<EncodedImage> {
    let [images, _, height, width] = pixels.dims();
    let work = format!("encoding {images} x {height}x{width} pixels");
    let factor = vae.scale_factor();
    let latents = [images, height / factor, width / factor];
    let in_parts = in_parts_if_needed(vae, &work, latents, &pixels.device())?;
    let vae = in_parts.as_deref().unwrap_or(vae);
    let encoded = vae.encode_upcasting(pixels)?;
    leave_card(vae);
    finite::check_autoencoder(vae, &encoded.mode(), "the encoded image", index)?;
    Ok(encoded)
}

/// Makes room on a card. Elsewhere the weights of an autoencoder, small beside the other models, stay for the next image.
fn leave_card(vae: &dyn Autoencoder) {
    if memory::offloads_models() {
        vae.release_memory();
    }
}

/// The autoencoder to use instead of `vae` if its work on latents `[images, height, width]` does not fit into memory: the same, but
/// coding images one after another and in tiles, which changes them a little. `None` if all fits.
///
/// # Errors
/// When tiles do not fit, either.
fn in_parts_if_needed(
    vae: &dyn Autoencoder,
    work: &str,
    [images, height, width]: [usize; 3],
    device: &Device,
) -> Result<Option<Box<dyn Autoencoder>>> {
    if vae.card().is_some() {
        return Ok(None);
    }
    let needed = vae.least_memory(images, height, width).saturating_mul(OVER_LEAST);
    let Some(available) = memory::shortage(needed, device) else { return Ok(None) };
    let in_parts = in_parts(vae);
    memory::check(work, in_parts.least_memory(images, height, width), device, SMALLER_CALL)?;
    let [needed, available] = [needed, available].map(memory::mebibytes);
    tracing::warn!(
        "{work} needs about {needed} of memory, only {available} are available: it is done in tiles"
    );
    Ok(Some(in_parts))
}

/// The same autoencoder, but coding images one after another and in tiles. It shares the weights.
fn in_parts(vae: &dyn Autoencoder) -> Box<dyn Autoencoder> {
    let mut in_parts = vae.clone_box();
    in_parts.enable_slicing();
    in_parts.enable_tiling();
    in_parts
}
