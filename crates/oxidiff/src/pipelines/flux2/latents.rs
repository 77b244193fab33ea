//! The latents that a run starts from, and its noise levels.

use burn::tensor::{DType, Tensor};

use super::components::Flux2Components;
use super::prompt_encoder::PromptEncoder;
use crate::error::{Error, Result};
use crate::pipelines::common::flow_timesteps::{SpreadBy, choose_flow_timesteps};
use crate::pipelines::common::image_latents::{PreparedImage, likeliest_latents};
use crate::pipelines::common::latents::given_or_noise;
use crate::pipelines::common::patches;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::MOST_PIXELS;
use crate::random::Generators;

/// The sides of an image in pixels, where neither they nor an image is given.
const DEFAULT_PIXELS: usize = 1024;

impl<E: PromptEncoder> Flux2Components<E> {
    /// Rows and columns of the patches of an image with the given size in pixels, which is rounded down.
    ///
    /// # Errors
    /// When a side is smaller than a patch, or too large.
    pub(super) fn patch_grid(&self, height: Option<usize>, width: Option<usize>) -> Result<[usize; 2]> {
        let multiple = self.patch_pixels();
        let size = |argument, given: Option<usize>| {
            let pixels = given.unwrap_or(DEFAULT_PIXELS);
            if !(multiple..=MOST_PIXELS).contains(&pixels) {
                let message = format!("must be between {multiple} and {MOST_PIXELS}, but is {pixels}");
                return Err(Error::argument(argument, message));
            }
            if !pixels.is_multiple_of(multiple) {
                let rounded = pixels - pixels % multiple;
                tracing::warn!("`{argument}` is {pixels}, no multiple of {multiple}: it becomes {rounded}");
            }
            Ok(pixels / multiple)
        };
        Ok([size("height", height)?, size("width", width)?])
    }

    /// Sets the timesteps of a run for patches of this many rows and columns, and returns their number.
    ///
    /// # Errors
    /// When the scheduler is for another kind of model or refuses the noise levels.
    pub(super) fn set_timesteps(
        &mut self,
        num_inference_steps: usize,
        sigmas: Option<&[f32]>,
        [rows, columns]: [usize; 2],
    ) -> Result<usize> {
        let mu = empirical_shift(rows * columns, num_inference_steps);
        choose_flow_timesteps(&mut *self.scheduler, num_inference_steps, sigmas, mu, SpreadBy::Scheduler)
    }

    /// The given latents in patches, or noise: `shape`.
    ///
    /// # Errors
    /// When the given latents have another shape, or the number of generators does not fit.
    pub(super) fn initial_latents(
        &self,
        given: Option<Tensor<4>>,
        shape: [usize; 4],
        generator: &mut Generators,
    ) -> Result<Tensor<4>> {
        generator.check(shape[0])?;
        let latents = given_or_noise(given, shape, generator, DType::F32, &self.transformer.device())?;
        Ok(latents.cast(DType::F32))
    }

    /// The most likely latents of images in patches, standardised: `[images, features, rows, columns]` in `f32`. Latents that were
    /// given in patches are only standardised.
    ///
    /// # Errors
    /// When the images do not fit the autoencoder.
    pub(super) fn encode(&self, image: PreparedImage, index: &ModelIndex) -> Result<Tensor<4>> {
        let device = self.transformer.device();
        let patches = match image.cast(DType::F32, &device) {
            PreparedImage::Latents(patches) => patches,
            pixels @ PreparedImage::Pixels(_) => patches::cut(likeliest_latents(&*self.vae, pixels, index)?),
        };
        let [mean, deviation] = self.statistics()?;
        Ok((patches - mean) / deviation)
    }

    /// Latents as the autoencoder decodes them, of patches as diffusion works on them.
    ///
    /// # Errors
    /// When the autoencoder has no statistics.
    pub(super) fn unpatched(&self, patches: Tensor<4>) -> Result<Tensor<4>> {
        let [mean, deviation] = self.statistics()?;
        Ok(patches::join(patches * deviation + mean))
    }
}

/// µ, by which noise levels are shifted, for an image of this many tokens: two lines were fitted, for 10 and for 200 steps, and for
/// large images only the second counts (`compute_empirical_mu` of <https://github.com/black-forest-labs/flux2>).
fn empirical_shift(tokens: usize, steps: usize) -> f64 {
    const LARGE: usize = 4300;
    let tokens_f64 = tokens as f64;
    let at_200 = 0.00016927 * tokens_f64 + 0.45666666;
    if tokens > LARGE {
        return at_200;
    }
    let at_10 = 8.73809524e-05 * tokens_f64 + 1.89833333;
    let slope = (at_200 - at_10) / 190.0;
    slope * steps as f64 + at_200 - 200.0 * slope
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the reference.
    #[test]
    fn the_shift_depends_on_the_image_and_the_steps() {
        let known = [(4096, 4, 2.2911799), (4096, 50, 2.0233512), (256, 4, 1.9655672), (9216, 4, 2.0166590)];
        for (tokens, steps, shift) in known {
            let made = empirical_shift(tokens, steps);
            assert!((made - shift).abs() < 1e-5, "{tokens} tokens, {steps} steps: {made}");
        }
    }
}
