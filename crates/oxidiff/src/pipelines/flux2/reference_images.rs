//! Images that the transformer looks at while it makes another.

use burn::tensor::Tensor;
use image::DynamicImage;

use super::components::Flux2Components;
use super::places::{Place, image_places};
use super::prompt_encoder::PromptEncoder;
use crate::error::{Error, Result};
use crate::image_processor::{
    CropRegion, PipelineImageInput, PreprocessOptions, ResizeMode, VaeImageProcessor, resize_nearest,
};
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::patches::to_tokens;

/// Larger images are made smaller.
const MOST_AREA: usize = 1024 * 1024;
/// Smaller images are refused.
const LEAST_SIDE: u32 = 64;
/// Longer images are refused.
const MOST_RATIO: f64 = 8.0;
/// The time between the image and a reference image, and between two of these.
const TIME_BETWEEN: f32 = 10.0;

/// The tokens of reference images, and their places.
#[derive(Clone, Debug)]
pub(super) struct ReferenceTokens {
    /// `[images, tokens, features]`: the reference images of each image.
    pub tokens: Tensor<3>,
    pub places: Vec<Place>,
}

impl ReferenceTokens {
    /// The tokens of standardised latents in patches. Each of `latents` `[1 or images, features, rows, columns]` is one reference
    /// image, the same for all images or one for each; any other number of items are further reference images for all.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(latents: Vec<Tensor<4>>, images: usize) -> Result<Self> {
        let mut places = Vec::new();
        let mut time = 0.0;
        let mut tokens = Vec::new();
        for latents in latents {
            let [items, _, rows, columns] = latents.dims();
            let each = if items == 1 || items == images { vec![latents] } else { latents.split(1, 0) };
            for latents in each {
                time += TIME_BETWEEN;
                places.extend(image_places(time, [rows, columns]));
                let own = to_tokens(latents);
                let items = own.dims()[0];
                tokens.push(own.repeat_dim(0, images / items));
            }
        }
        if tokens.is_empty() {
            return Err(Error::argument("image", "there are no images"));
        }
        Ok(Self { tokens: Tensor::cat(tokens, 1), places })
    }
}

impl<E: PromptEncoder> Flux2Components<E> {
    /// Prepares each reference image of a call by itself, so that they may have different sizes.
    ///
    /// # Errors
    /// When an image is too small or too long, or they are tensors.
    pub(super) fn prepare_references(&self, image: &PipelineImageInput) -> Result<Vec<PreparedImage>> {
        let Some(images) = image.images() else {
            let message = "must be images; tensors and arrays cannot be references";
            return Err(Error::argument("image", message));
        };
        images.iter().try_for_each(check)?;
        let of_one = |image: &DynamicImage| self.cropped(&image.clone().into());
        images.iter().map(of_one).collect()
    }

    /// Prepares images of one size: large ones are made smaller, then what is more than a multiple of a patch is cut off.
    ///
    /// # Errors
    /// When an image cannot be prepared.
    pub(super) fn cropped(&self, image: &PipelineImageInput) -> Result<PreparedImage> {
        let processor = self.image_processor();
        let image = limited(&processor, image)?;
        let [height, width] = processor.get_default_height_width(&image, None, None)?;
        let options = PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
        let Some(images) = image.images() else { return PreparedImage::new(&processor, &image, options) };
        let prepared = images.iter().map(|image| {
            let middle = |side: u32, kept: usize| (side as usize).saturating_sub(kept) as u32 / 2;
            let (x1, y1) = (middle(image.width(), width), middle(image.height(), height));
            let region = CropRegion { x1, y1, x2: x1 + width as u32, y2: y1 + height as u32 };
            let options = PreprocessOptions { crops_coords: Some(region), ..options };
            Ok(PreparedImage::new(&processor, &image.clone().into(), options)?.into_values())
        });
        Ok(PreparedImage::Pixels(Tensor::cat(prepared.collect::<Result<_>>()?, 0)))
    }
}

/// Images of at most about a megapixel: those whose first is larger are made smaller in proportion.
///
/// # Errors
/// When there are none, or a side would have no pixels.
pub(super) fn limited(
    processor: &VaeImageProcessor,
    image: &PipelineImageInput,
) -> Result<PipelineImageInput> {
    let [height, width] = match image {
        PipelineImageInput::Images(images) | PipelineImageInput::Unfiltered(images) => {
            let first = images.first().ok_or_else(|| Error::argument("image", "there are no images"))?;
            [first.height() as usize, first.width() as usize]
        }
        PipelineImageInput::Tensor(values) => [values.dims()[2], values.dims()[3]],
        PipelineImageInput::Array(values) => [values.dims()[1], values.dims()[2]],
    };
    let area = height.saturating_mul(width);
    if area <= MOST_AREA {
        return Ok(image.clone());
    }
    let scale = (MOST_AREA as f64 / area as f64).sqrt();
    let [height, width] = [height, width].map(|side| (side as f64 * scale) as usize);
    let smaller = |images: &[DynamicImage]| {
        let images = images.iter().map(|image| processor.resize(image, height, width, ResizeMode::Default));
        images.collect::<Result<Vec<_>>>()
    };
    if height.min(width) == 0 {
        return Err(Error::argument(
            "image",
            format!("is too long: it would become {width}x{height} pixels"),
        ));
    }
    Ok(match image {
        PipelineImageInput::Images(images) => PipelineImageInput::Images(smaller(images)?),
        PipelineImageInput::Unfiltered(images) => PipelineImageInput::Unfiltered(smaller(images)?),
        PipelineImageInput::Tensor(values) => {
            PipelineImageInput::Tensor(resize_nearest(values.clone(), [height, width]))
        }
        PipelineImageInput::Array(values) => {
            let values = resize_nearest(values.clone().permute([0, 3, 1, 2]), [height, width]);
            PipelineImageInput::Array(values.permute([0, 2, 3, 1]))
        }
    })
}

/// # Errors
/// When the image is too small or too long.
fn check(image: &DynamicImage) -> Result<()> {
    let (width, height) = (image.width(), image.height());
    if width.min(height) < LEAST_SIDE {
        let message = format!("is {width}x{height}; both sides must have at least {LEAST_SIDE} pixels");
        return Err(Error::argument("image", message));
    }
    let ratio = f64::from(width.max(height)) / f64::from(width.min(height));
    if ratio > MOST_RATIO {
        let message =
            format!("is {width}x{height}; one side may be at most {MOST_RATIO} times as long as the other");
        return Err(Error::argument("image", message));
    }
    Ok(())
}
