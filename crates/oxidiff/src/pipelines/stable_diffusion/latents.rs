//! The latents that a run starts from and ends with.

use burn::tensor::{DType, Device, Tensor};

use super::components::{StableDiffusionComponents, no_feature_extractor};
use crate::error::{Error, Result};
use crate::image_processor::{Images, OutputType, postprocess};
use crate::models::model::Model;
use crate::pipelines::decoding;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::output::{ImagePipelineOutput, MOST_PIXELS};
use crate::random::Generators;
use crate::vision::ImageProcessor;

impl StableDiffusionComponents {
    /// Height and width of the latents of an image of the given size in pixels, by default that of the images that the
    /// model was trained on.
    ///
    /// # Errors
    /// When the size is no multiple of `multiple`, or neither given nor known.
    pub(super) fn latent_size(
        &self,
        multiple: usize,
        height: Option<usize>,
        width: Option<usize>,
    ) -> Result<[usize; 2]> {
        let factor = self.vae.scale_factor();
        let trained = self.trained_size().map(|size| size.map(|side| side.saturating_mul(factor)));
        let size = |argument, given: Option<usize>, dim: usize| {
            let pixels = given.or(trained.map(|size| size[dim])).ok_or_else(|| {
                Error::argument(argument, "must be given: the model's configuration has no `sample_size`")
            })?;
            let least = factor.max(multiple);
            if pixels % multiple != 0 || !(least..=MOST_PIXELS).contains(&pixels) {
                let message = format!(
                    "must be a multiple of {multiple} between {least} and {MOST_PIXELS}, but is {pixels}"
                );
                return Err(Error::argument(argument, message));
            }
            Ok(pixels / factor)
        };
        Ok([size("height", height, 0)?, size("width", width, 1)?])
    }

    /// The latents that were given, or noise, scaled to what the scheduler starts from: `shape`.
    ///
    /// # Errors
    /// When the given latents have another shape, or there are not as many generators as images.
    pub(super) fn initial_latents(
        &self,
        given: Option<Tensor<4>>,
        shape: [usize; 4],
        generator: &mut Generators,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor<4>> {
        let [images, _, height, width] = shape;
        self.check_memory(images, height, width, device)?;
        let latents = match given {
            Some(latents) if latents.dims() != shape => {
                let message = format!("have shape {:?}, this call needs {shape:?}", latents.dims());
                return Err(Error::argument("latents", message));
            }
            Some(latents) => latents.to_device(device),
            None => generator.randn(shape, dtype, device)?,
        };
        Ok(latents * self.scheduler.init_noise_sigma())
    }

    /// What was asked for, of the latents that a run ends with. Images that the safety checker objects to are black.
    ///
    /// # Errors
    /// When images are asked for and the VAE makes something else, or they are not finite.
    pub(super) fn decode(
        &self,
        latents: Tensor<4>,
        output_type: OutputType,
        index: &ModelIndex,
    ) -> Result<ImagePipelineOutput> {
        if output_type == OutputType::Latent {
            return Ok(ImagePipelineOutput { images: Images::Latent(latents), nsfw_content_detected: None });
        }
        tracing::debug!("decoding");
        self.unet.release_memory();
        let mut decoded = decoding::decode(&*self.vae, latents / self.vae.scaling_factor(), index)?;
        let nsfw_content_detected = self.run_safety_checker(&decoded)?;
        for (index, _) in nsfw_content_detected.iter().flatten().enumerate().filter(|(_, flagged)| **flagged)
        {
            let [_, channels, height, width] = decoded.dims();
            let black = decoded.clone().narrow(0, index, 1).full_like(-1.0);
            decoded = decoded.slice_assign([index..index + 1, 0..channels, 0..height, 0..width], black);
        }
        Ok(ImagePipelineOutput { images: postprocess(decoded, output_type)?, nsfw_content_detected })
    }

    /// Which of the decoded images show what they must not; `None` without a safety checker.
    fn run_safety_checker(&self, decoded: &Tensor<4>) -> Result<Option<Vec<bool>>> {
        let Some(checker) = &self.safety_checker else { return Ok(None) };
        let feature_extractor = self.feature_extractor.as_ref().ok_or_else(no_feature_extractor)?;
        let images = postprocess(decoded.clone(), OutputType::Image)?.into_images();
        let clip_input = feature_extractor.preprocess(&images)?;
        let clip_input = clip_input.to_device(&decoded.device()).cast(self.text_encoder.dtype());
        let flagged = checker.forward(clip_input)?.has_nsfw_concepts;
        if flagged.contains(&true) {
            tracing::warn!(
                "the safety checker objects to one or more images, which are black instead; try another prompt or seed"
            );
        }
        Ok(Some(flagged))
    }
}
