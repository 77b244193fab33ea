//! Images that the transformer looks at while it makes another.

use burn::tensor::Tensor;

use super::components::Flux2Components;
use super::places::{Place, image_places};
use super::prompt_encoder::PromptEncoder;
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::patches::to_tokens;
use crate::pipelines::common::reference_images::{MOST_AREA, cropped, limited, pictures};

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
        pictures(image)?.iter().map(|image| self.cropped(&image.clone().into())).collect()
    }

    /// Prepares images of one size: large ones are made smaller, then what is more than a multiple of a patch is cut off.
    ///
    /// # Errors
    /// When an image cannot be prepared.
    pub(super) fn cropped(&self, image: &PipelineImageInput) -> Result<PreparedImage> {
        let processor = self.image_processor();
        cropped(&processor, &limited(&processor, image, MOST_AREA)?)
    }
}
