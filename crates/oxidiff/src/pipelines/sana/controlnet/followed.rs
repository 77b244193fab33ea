//! The images that a ControlNet follows.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::pipelines::common::decoding;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::sana::components::SanaComponents;
use crate::wording::counted;

impl SanaComponents {
    /// The latents of the images to follow, for each image of the call; counts are those of all images, and of those of a prompt. A tensor is
    /// taken as it is, and gives the result its size.
    ///
    /// # Errors
    /// When there are no images, or their number or size does not fit.
    pub(super) fn followed(
        &self,
        image: &PipelineImageInput,
        [height, width]: [usize; 2],
        [images, per_prompt]: [usize; 2],
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        const NAME: &str = "control_image";
        let pixels = match image {
            PipelineImageInput::Tensor(values) => values.clone(),
            image => {
                let options =
                    PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
                self.image_processor().preprocess(image, options)?
            }
        };
        let dims @ [given, channels, height, width] = pixels.dims();
        let factor = self.vae.scale_factor();
        let fits = |side: usize| side > 0 && side.is_multiple_of(factor);
        if channels != self.vae.in_channels() || !fits(height) || !fits(width) {
            let message = format!(
                "has the shape {dims:?}; the vae takes {} channels, and sides that are multiples of {factor}",
                self.vae.in_channels()
            );
            return Err(Error::argument(NAME, message));
        }
        if given != 1 && given * per_prompt != images {
            let message = format!("got {given} for {}", counted(images / per_prompt, "prompt"));
            return Err(Error::argument(NAME, message));
        }
        let pixels = pixels.to_device(&self.transformer.device()).cast(self.vae.dtype());
        let latents = decoding::encode(&*self.vae, pixels, index)?.mode() * self.vae.scaling_factor();
        let [_, channels, height, width] = latents.dims();
        // Each image as often as its prompt has images.
        let copies = images / given;
        let each: Tensor<5> = latents.reshape([given, 1, channels, height, width]).repeat_dim(1, copies);
        Ok(each.reshape([images, channels, height, width]))
    }
}
