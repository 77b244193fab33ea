//! The sizes that FLUX.1 Kontext works in.

use super::components::FluxComponents;
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions};
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::packed_flow::PackedFlow;

/// Width and height of the images that Kontext was trained on.
const TRAINED: [[usize; 2]; 17] = [
    [672, 1568],
    [688, 1504],
    [720, 1456],
    [752, 1392],
    [800, 1328],
    [832, 1248],
    [880, 1184],
    [944, 1104],
    [1024, 1024],
    [1104, 944],
    [1184, 880],
    [1248, 832],
    [1328, 800],
    [1392, 752],
    [1456, 720],
    [1504, 688],
    [1568, 672],
];
/// The sides of an image in pixels, where they are not given.
const DEFAULT_PIXELS: usize = 1024;

impl FluxComponents {
    /// Height and width of the result in pixels: in the proportion that is asked for, an area of about `max_area` pixels.
    ///
    /// # Errors
    /// When a number is not possible.
    pub(super) fn kontext_size(
        &self,
        [height, width]: [Option<usize>; 2],
        max_area: usize,
    ) -> Result<[Option<usize>; 2]> {
        let [height, width] = [height, width].map(|side| side.unwrap_or(DEFAULT_PIXELS));
        for (argument, value) in [("height", height), ("width", width), ("max_area", max_area)] {
            if value == 0 {
                return Err(Error::argument(argument, "must be at least 1"));
            }
        }
        let (area, ratio) = (max_area as f64, width as f64 / height as f64);
        let made = [(area / ratio).sqrt(), (area * ratio).sqrt()];
        let multiple = self.patch_pixels();
        let made = made.map(|side| side.round_ties_even() as usize / multiple * multiple);
        if made != [height, width] {
            tracing::warn!("the image becomes {}x{} pixels, not {width}x{height}", made[1], made[0]);
        }
        Ok(made.map(Some))
    }

    /// Height and width in pixels that an image to look at is resized to: those of the trained size whose proportion is closest, or
    /// its own, rounded down.
    ///
    /// # Errors
    /// When there are no images.
    pub(super) fn kontext_image_size(&self, image: &PipelineImageInput, resizes: bool) -> Result<[usize; 2]> {
        let own @ [height, width] = self.image_processor().get_default_height_width(image, None, None)?;
        if height == 0 || width == 0 {
            return Err(Error::argument("image", format!("is only {width}x{height} pixels")));
        }
        let ratio = width as f64 / height as f64;
        let distance = |[width, height]: [usize; 2]| (ratio - width as f64 / height as f64).abs();
        let closest = TRAINED.into_iter().min_by(|one, other| distance(*one).total_cmp(&distance(*other)));
        let [height, width] = match closest {
            Some([width, height]) if resizes => [height, width],
            _ => own,
        };
        let multiple = self.patch_pixels();
        Ok([height, width].map(|side| side / multiple * multiple))
    }

    /// Prepares an image to look at. Tensors with as many channels as latents have are treated as latents.
    ///
    /// # Errors
    /// When the image cannot be prepared.
    pub(super) fn kontext_image(&self, image: &PipelineImageInput, resizes: bool) -> Result<PreparedImage> {
        let processor = self.image_processor();
        if self.is_latent(image) {
            return PreparedImage::new(&processor, image, PreprocessOptions::default());
        }
        let [height, width] = self.kontext_image_size(image, resizes)?;
        let options = PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
        PreparedImage::new(&processor, image, options)
    }

    /// Whether an image is given as latents.
    pub(super) fn is_latent(&self, image: &PipelineImageInput) -> bool {
        let channels = self.vae.latent_channels();
        matches!(image, PipelineImageInput::Tensor(values) if values.dims()[1] == channels)
    }
}
