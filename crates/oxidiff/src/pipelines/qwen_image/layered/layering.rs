//! The frames of a run that takes images apart: for each image the whole of it, then its layers. They are denoised together.

use burn::tensor::{DType, Int, Tensor};

use crate::error::{Error, Result};
use crate::image_processor::Images;
use crate::pipelines::common::patches::{self, PATCH_SIZE};
use crate::pipelines::qwen_image::arguments::Settings;
use crate::pipelines::qwen_image::components::QwenImageComponents;

/// More layers than this do not fit into any memory.
const MOST_LAYERS: usize = 1024;

/// How images are taken apart.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipelines::qwen_image) struct Layering {
    /// The layers of an image.
    pub layers: usize,
    /// Whether guidance leaves each token as long as it was.
    pub cfg_normalize: bool,
}

impl Layering {
    /// # Errors
    /// When there are no layers, or too many.
    pub fn new(layers: usize, cfg_normalize: bool) -> Result<Self> {
        if !(1..=MOST_LAYERS).contains(&layers) {
            let message = format!("must be between 1 and {MOST_LAYERS}, but is {layers}");
            return Err(Error::argument("layers", message));
        }
        Ok(Self { layers, cfg_normalize })
    }

    /// The frames of an image: the whole and the layers.
    pub fn frames(self) -> usize {
        self.layers + 1
    }

    /// The layers alone, `[images * layers, ...]`, of frames `[images * frames, ...]`.
    pub fn without_wholes(self, frames: Tensor<4>) -> Tensor<4> {
        let device = frames.device();
        let kept = (0..frames.dims()[0]).filter(|frame| !frame.is_multiple_of(self.frames()));
        let kept: Vec<i64> = kept.map(|frame| frame as i64).collect();
        frames.select(0, Tensor::<1, Int>::from_data(kept.as_slice(), &device))
    }

    /// The layers of each image.
    pub fn group(self, images: Images) -> Images {
        images.in_layers(self.layers)
    }
}

impl QwenImageComponents {
    /// The frames to start from, `[images * frames, channels, height, width]`: the given ones, or noise.
    ///
    /// # Errors
    /// When the given latents have another shape, or the number of generators does not fit.
    pub(super) fn initial_frames(
        &self,
        settings: &mut Settings,
        layering: Layering,
        size: [usize; 2],
    ) -> Result<Tensor<4>> {
        const NAME: &str = "latents";
        settings.generator.check(settings.images)?;
        let device = self.transformer.device();
        let (images, frames) = (settings.images, layering.frames());
        let joined @ [_, channels, height, width] = self.latent_shape(images * frames, size);
        let each = [images, frames, channels, height, width];
        let Some(given) = settings.latents.take() else {
            return Ok(settings.generator.randn(each, DType::F32, &device)?.reshape(joined));
        };
        let grid @ [rows, columns] = size.map(|side| side / PATCH_SIZE);
        let (patches, features) = (rows * columns, self.patch_features());
        let (dims, in_patches) = (given.shape(), [images, frames * patches, features]);
        let latents = if dims == in_patches {
            let tokens = given.to_rank::<3>(NAME)?.reshape([images * frames, patches, features]);
            patches::join(patches::from_tokens(tokens, grid))
        } else if dims == each {
            given.to_rank::<5>(NAME)?.reshape(joined)
        } else if dims == joined {
            given.to_rank(NAME)?
        } else {
            let message =
                format!("have shape {dims:?}, this call needs {joined:?}, {each:?} or {in_patches:?}");
            return Err(Error::argument(NAME, message));
        };
        Ok(latents.to_device(&device).cast(DType::F32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn the_first_frame_of_each_image_is_the_whole() {
        let layering = Layering::new(2, false).unwrap();
        let frames = Tensor::<1>::from_data([0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0], &Device::flex());
        let layers = layering.without_wholes(frames.reshape([6, 1, 1, 1]));
        assert_eq!(layers.dims(), [4, 1, 1, 1]);
        let values: Vec<f32> = layers.clone().into_data().iter().collect();
        assert_eq!(values, [1.0, 2.0, 4.0, 5.0]);
        let Images::Layers(groups) = layering.group(Images::Array(layers)) else { panic!("no layers") };
        assert_eq!(groups.len(), 2);
        assert!(Layering::new(0, false).is_err() && Layering::new(1025, false).is_err());
    }
}
