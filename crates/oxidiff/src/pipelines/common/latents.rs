//! The latents that a run starts from.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::models::autoencoders::Autoencoder;
use crate::pipelines::output::MOST_PIXELS;
use crate::random::Generators;
use crate::wording::counted;

/// The latents that were given, or noise: `shape`.
///
/// # Errors
/// When the given latents have another shape, or the number of generators does not fit.
pub(crate) fn given_or_noise<const D: usize>(
    given: Option<Tensor<D>>,
    shape: [usize; D],
    generator: &mut Generators,
    dtype: DType,
    device: &Device,
) -> Result<Tensor<D>> {
    match given {
        Some(latents) if latents.dims() != shape => {
            let message = format!("have shape {:?}, this call needs {shape:?}", latents.dims());
            Err(Error::argument("latents", message))
        }
        Some(latents) => Ok(latents.to_device(device)),
        None => generator.randn(shape, dtype, device),
    }
}

/// The error for a side of the images, in pixels, that is no `multiple` or below the `least`: a given one, or that of the
/// model's training images.
pub(crate) fn wrong_size(
    argument: &'static str,
    given: Option<usize>,
    [multiple, least]: [usize; 2],
    pixels: usize,
) -> Error {
    let allowed = format!("a multiple of {multiple} between {least} and {MOST_PIXELS}");
    match given {
        Some(_) => Error::argument(argument, format!("must be {allowed}, but is {pixels}")),
        None => {
            let message =
                format!("gives images of {pixels} pixels by default; `{argument}` must be {allowed}");
            Error::config("unet/config.json", "sample_size", message)
        }
    }
}

/// Latents as an autoencoder decodes them, from latents as diffusion works on them.
///
/// # Errors
/// When the autoencoder's configuration has statistics for another number of channels.
pub(crate) fn unscaled(vae: &dyn Autoencoder, latents: Tensor<4>) -> Result<Tensor<4>> {
    match statistics(vae, &latents)? {
        Some([mean, std]) => Ok(latents * std / vae.scaling_factor() + mean),
        None => Ok(latents / vae.scaling_factor()),
    }
}

/// Latents as diffusion works on them, from latents as an autoencoder encodes them.
///
/// # Errors
/// As [`unscaled`].
pub(crate) fn scaled(vae: &dyn Autoencoder, latents: Tensor<4>) -> Result<Tensor<4>> {
    match statistics(vae, &latents)? {
        Some([mean, std]) => Ok((latents - mean) * vae.scaling_factor() / std),
        None => Ok(latents * vae.scaling_factor()),
    }
}

/// Latents as an autoencoder decodes them, from those of a flow model: divided by the scale, then shifted.
pub(crate) fn unscaled_and_shifted(vae: &dyn Autoencoder, latents: Tensor<4>) -> Tensor<4> {
    latents / vae.scaling_factor() + vae.shift_factor().unwrap_or_default()
}

/// The latents of a flow model, from those that an autoencoder encodes.
pub(crate) fn shifted_and_scaled(vae: &dyn Autoencoder, latents: Tensor<4>) -> Tensor<4> {
    (latents - vae.shift_factor().unwrap_or_default()) * vae.scaling_factor()
}

/// Mean and standard deviation of each channel, `[1, channels, 1, 1]`.
fn statistics(vae: &dyn Autoencoder, latents: &Tensor<4>) -> Result<Option<[Tensor<4>; 2]>> {
    let Some(statistics) = vae.latent_statistics() else { return Ok(None) };
    let channels = latents.dims()[1];
    if statistics.iter().any(|values| values.len() != channels) {
        let message = format!("must have one value for each of {channels} channels, as `latents_std` must");
        return Err(Error::config("vae/config.json", "latents_mean", message));
    }
    let tensor = |values: &[f64]| {
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        let data = TensorData::new(values, [1, channels, 1, 1]);
        Tensor::<4>::from_data(data, (&latents.device(), DType::F32)).cast(latents.dtype())
    };
    Ok(Some(statistics.map(tensor)))
}

/// Normal samples with the type and device of `like`. If there are more generators than items, the first ones are used.
///
/// # Errors
/// When there is more than one generator, but fewer than items.
pub(crate) fn draw(shape: [usize; 4], like: &Tensor<4>, generator: &mut Generators) -> Result<Tensor<4>> {
    let (dtype, device) = (like.dtype(), like.device());
    match generator.items() {
        Some(items) if shape[0] < items => generator.randn_of_items(shape, dtype, &device),
        _ => generator.randn(shape, dtype, &device),
    }
}

/// Repeats the whole batch, up to `images` items.
///
/// # Errors
/// When `images` is not a multiple of its size.
pub(crate) fn repeat_batch(argument: &'static str, batch: Tensor<4>, images: usize) -> Result<Tensor<4>> {
    let given = batch.dims()[0];
    if given == 0 || !images.is_multiple_of(given) {
        let message =
            format!("got {given}, which cannot be divided evenly among {}", counted(images, "image"));
        return Err(Error::argument(argument, message));
    }
    Ok(batch.repeat_dim(0, images / given))
}
