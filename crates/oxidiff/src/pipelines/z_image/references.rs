//! Images that are part of a prompt: the transformer sees their latents, and what a vision model saw in them.

use burn::tensor::{DType, Tensor};
use image::DynamicImage;

use super::components::{PATCH_SIZE, ZImageComponents};
use super::conditioning::{Caption, Captions};
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, VaeImageProcessor};
use crate::models::model::Model;
use crate::models::transformers::{ZImageInputs, ZImageOmniInputs, ZImageTransformer2DModel};
use crate::pipelines::common::image_latents::{PreparedImage, likeliest_latents};
use crate::pipelines::common::latents::shifted_and_scaled;
use crate::pipelines::common::reference_images::{MOST_AREA, cropped, limited, pictures};
use crate::pipelines::model_index::ModelIndex;
use crate::vision::{Siglip2ImageProcessor, Siglip2VisionModel};

const IMAGE: &str = "image";

/// An image of a call, as the vision model gets it, and as the autoencoder gets it.
struct Reference {
    picture: DynamicImage,
    pixels: PreparedImage,
}

/// The images of a call, resized.
pub(super) struct ReferenceImages(Vec<Reference>);

impl ReferenceImages {
    /// The images of the argument `image`; those of more than a megapixel are resized to about as many pixels as the result has, if its
    /// height and width are both given, or else to about a megapixel.
    ///
    /// # Errors
    /// When an image is too small or too long, or they are tensors.
    pub fn new(
        components: &ZImageComponents,
        image: Option<&PipelineImageInput>,
        asked: [Option<usize>; 2],
    ) -> Result<Self> {
        let processor = VaeImageProcessor { do_convert_rgb: true, ..components.image_processor() };
        let area = match asked {
            [Some(height), Some(width)] => height.saturating_mul(width),
            _ => MOST_AREA,
        };
        let images = image.map(pictures).transpose()?.unwrap_or_default();
        let references = images.iter().map(|picture| {
            let limited = limited(&processor, &picture.clone().into(), area)?;
            let picture = limited.images().and_then(<[_]>::first).expect("it was one picture").clone();
            let least = components.patch_pixels();
            if (picture.width().min(picture.height()) as usize) < least {
                let (width, height) = (picture.width(), picture.height());
                let message = format!(
                    "would become {width}x{height} pixels for a result of this size; both sides must have at least {least}"
                );
                return Err(Error::argument(IMAGE, message));
            }
            Ok(Reference { pixels: cropped(&processor, &limited)?, picture })
        });
        Ok(Self(references.collect::<Result<_>>()?))
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Height and width of the last image, if there is one.
    pub fn size(&self) -> Option<[usize; 2]> {
        self.0.last().map(|reference| reference.pixels.size(1))
    }

    /// Encodes the images and looks at them.
    ///
    /// # Errors
    /// When the transformer cannot look at images, or one does not have the channels that the models take.
    pub fn encode(
        self,
        components: &ZImageComponents,
        siglip: &Siglip2VisionModel,
        siglip_processor: &Siglip2ImageProcessor,
        index: &ModelIndex,
    ) -> Result<References> {
        let mut references = References { latents: Vec::new(), sights: Vec::new() };
        if self.0.is_empty() {
            return Ok(references);
        }
        if components.transformer.config().siglip_feat_dim.is_none() {
            let message =
                "cannot be given: the transformer does not look at images, its `siglip_feat_dim` is null";
            return Err(Error::argument(IMAGE, message));
        }
        let vae = &*components.vae;
        for Reference { picture, pixels } in self.0 {
            references.sights.push(look(siglip, siglip_processor, picture)?);
            // In the autoencoder's own element type: Python rounds to bfloat16, which no other autoencoder takes there.
            let pixels = pixels.cast(vae.dtype(), &components.transformer.device());
            let latents = shifted_and_scaled(vae, likeliest_latents(vae, pixels, index)?);
            references.latents.push(latents.cast(DType::F32).swap_dims(0, 1));
        }
        siglip.release_memory();
        Ok(references)
    }
}

/// What the vision model sees in an image, `[rows, columns, features]`.
fn look(
    siglip: &Siglip2VisionModel,
    processor: &Siglip2ImageProcessor,
    picture: DynamicImage,
) -> Result<Tensor<3>> {
    let seen = processor.patches(&[picture]).map_err(|error| match error {
        Error::InvalidArgument { message, .. } => Error::argument(IMAGE, message),
        other => other,
    })?;
    let [rows, columns] = seen.spatial_shapes[0];
    let count = rows * columns;
    // Empty patches change nothing, as no patch looks at them.
    let pixels = seen.pixel_values.narrow(1, 0, count);
    let states = siglip.forward(pixels, &[vec![1; count]], &seen.spatial_shapes)?.last_hidden_state;
    let features = states.dims()[2];
    Ok(states.reshape([rows, columns, features]))
}

/// The images of a run.
pub(super) struct References {
    /// Each `[channels, 1, height, width]`.
    latents: Vec<Tensor<4>>,
    /// Each `[rows, columns, features]`.
    sights: Vec<Tensor<3>>,
}

impl References {
    /// The tokens of all images.
    pub fn tokens(&self) -> usize {
        let latents = self.latents.iter().map(|latents| {
            let [_, _, height, width] = latents.dims();
            (height / PATCH_SIZE) * (width / PATCH_SIZE)
        });
        let sights = self.sights.iter().map(|sight| {
            let [rows, columns, _] = sight.dims();
            rows * columns
        });
        latents.chain(sights).sum()
    }

    /// Checks that each text has a part before each image, and one before the result.
    ///
    /// # Errors
    /// When one has fewer parts.
    pub fn check(&self, captions: &Captions) -> Result<()> {
        let needed = self.latents.len() + 1;
        for (argument, texts) in
            [("prompt_embeds", &captions.positive), ("negative_prompt_embeds", &captions.negative)]
        {
            if let Some(few) = texts.iter().map(Vec::len).find(|parts| *parts < needed) {
                let message = format!(
                    "has a text of {few} parts, but {needed} are needed: one before each image, and one before the result"
                );
                return Err(Error::argument(argument, message));
            }
        }
        Ok(())
    }

    /// The velocity of noisy images, each `[channels, 1, height, width]`, at a time from 0 (noise) to 1.
    ///
    /// # Errors
    /// As for the transformer.
    pub fn predict(
        &self,
        transformer: &ZImageTransformer2DModel,
        noisy: &[Tensor<4>],
        time: f32,
        captions: &[Caption],
    ) -> Result<Vec<Tensor<4>>> {
        let with = |noisy: &Tensor<4>| self.latents.iter().chain([noisy]).cloned().collect();
        let x: Vec<Vec<Tensor<4>>> = noisy.iter().map(with).collect();
        let mut noise = vec![false; self.latents.len()];
        noise.push(true);
        let sights: Vec<Option<Tensor<3>>> = self.sights.iter().cloned().map(Some).chain([None]).collect();
        let sights = (!self.sights.is_empty()).then(|| vec![sights; noisy.len()]);
        let inputs = ZImageOmniInputs {
            x: &x,
            t: &[time],
            cap_feats: captions,
            siglip_feats: sights.as_deref(),
            image_noise_mask: &vec![noise; noisy.len()],
        };
        transformer.forward_omni(&inputs, &ZImageInputs::default())
    }
}
