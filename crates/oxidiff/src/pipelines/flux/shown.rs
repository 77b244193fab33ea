//! What a call shows the transformer besides the noisy image.

use burn::tensor::Tensor;

use super::arguments::Settings;
use super::components::FluxComponents;
use super::controlnet::{Control, ControlCall};
use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::pipelines::common::control::{about, pixels_to_follow};
use crate::pipelines::common::image_latents::{PreparedImage, Scaling, sample_latents};
use crate::pipelines::common::inpainting::{MaskedImage, without_masked_part};
use crate::pipelines::common::latents::repeat_batch;
use crate::pipelines::common::packed_flow::PackedFlow;
pub(super) use crate::pipelines::common::packed_flow::{Place, places, tokens};
use crate::pipelines::model_index::ModelIndex;

/// What a call shows the transformer, before it is prepared.
pub(super) enum Shown<'a> {
    Nothing,
    /// An image to follow, whose latents lie beside those of each patch.
    Beside(PipelineImageInput),
    /// Another image, whose tokens come after those of the image.
    After(PreparedImage),
    /// The image that is changed, after its own tokens.
    Itself,
    /// An image without its masked part, and the mask, beside the latents of each patch.
    Masked(&'a MaskedImage),
    /// Images that ControlNets follow.
    ControlNets(ControlCall<'a>),
}

/// What the transformer sees in each step.
#[derive(Default)]
pub(super) struct Seen<'a> {
    /// Further features of each token, `[images, tokens, features]`.
    pub beside: Option<Tensor<3>>,
    /// Further tokens, `[images, tokens, features]`, and their places.
    pub after: Option<(Tensor<3>, Vec<Place>)>,
    pub control: Option<Control<'a>>,
}

impl Seen<'_> {
    /// The tokens of another image.
    pub fn after(latents: Tensor<4>) -> Self {
        let [_, _, height, width] = latents.dims();
        Self { after: Some((tokens(latents), places(1.0, [height, width]))), ..Self::default() }
    }
}

impl<'a> Shown<'a> {
    /// Height and width of the latents of a call: those of a tensor that ControlNets follow, or else those that are asked for.
    ///
    /// # Errors
    /// When the sides of the tensor are no multiples of what a patch has.
    pub fn latent_size(&self, components: &FluxComponents, asked: [Option<usize>; 2]) -> Result<[usize; 2]> {
        match self {
            Self::ControlNets(call) => match call.tensor_size() {
                Some(size) => components.latent_size(size.map(Some)),
                None => components.latent_size(asked),
            },
            _ => components.latent_size(asked),
        }
    }

    /// Prepares it for latents of this height and width.
    ///
    /// # Errors
    /// When an image or its number does not fit.
    pub fn prepare(
        self,
        components: &FluxComponents,
        size: [usize; 2],
        settings: &mut Settings,
        index: &ModelIndex,
    ) -> Result<Seen<'a>> {
        let beside = |tokens: Tensor<3>| Seen { beside: Some(tokens), ..Seen::default() };
        Ok(match self {
            Self::Nothing | Self::Itself => Seen::default(),
            Self::Beside(image) => {
                let pixels = components.pixels_to_follow("control_image", &image, size, settings)?;
                beside(tokens(components.drawn("control_image", pixels, size, settings, index)?))
            }
            Self::After(image) => Seen::after(components.image_latents(image, false, None, settings, index)?),
            Self::Masked(masked) => beside(components.masked_patches(masked, size, settings, index)?),
            Self::ControlNets(call) => {
                Seen { control: Some(call.prepare(components, size, settings, index)?), ..Seen::default() }
            }
        })
    }
}

impl FluxComponents {
    /// The pixels of an image to follow for each image of the call; a tensor is taken as it is.
    ///
    /// # Errors
    /// When the image cannot be prepared, or its size or number does not fit.
    pub(super) fn pixels_to_follow(
        &self,
        argument: &'static str,
        image: &PipelineImageInput,
        size: [usize; 2],
        settings: &Settings,
    ) -> Result<Tensor<4>> {
        let pixels = size.map(|side| side * self.vae.scale_factor());
        let images = [settings.images, settings.num_images_per_prompt];
        let (processor, device) = (self.image_processor(), self.transformer.device());
        pixels_to_follow(argument, image, &processor, pixels, images, &device)
    }

    /// Latents of pixels, drawn for each image.
    ///
    /// # Errors
    /// When the pixels do not fit the autoencoder, or the number of generators does not fit.
    pub(super) fn drawn(
        &self,
        argument: &'static str,
        pixels: Tensor<4>,
        size: [usize; 2],
        settings: &mut Settings,
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        let (image, generator) = (PreparedImage::Pixels(pixels), &mut settings.generator);
        generator.check(settings.images)?;
        let latents = sample_latents(&*self.vae, image, Scaling::FactorAndShift, generator, index)
            .map_err(|error| about(argument, error))?;
        if latents.dims()[2..] != size {
            let message = format!("has latents of shape {:?}, this call needs {size:?}", latents.dims());
            return Err(Error::argument(argument, message));
        }
        Ok(latents)
    }

    /// The latents of an image without its masked part, and the mask, in patches. The mask has a value for each pixel.
    fn masked_patches(
        &self,
        masked: &MaskedImage,
        size @ [height, width]: [usize; 2],
        settings: &mut Settings,
        index: &ModelIndex,
    ) -> Result<Tensor<3>> {
        let (image, generator) = (without_masked_part(&masked.image, &masked.mask)?, &mut settings.generator);
        let latents = sample_latents(&*self.vae, image, Scaling::FactorAndShift, generator, index)?;
        let factor = self.vae.scale_factor();
        let [masks, _, rows, columns] = masked.mask.dims();
        if latents.dims()[2..] != size || [rows, columns] != size.map(|side| side * factor) {
            let message = format!("has latents of shape {:?}, this call needs {size:?}", latents.dims());
            return Err(Error::argument("image", message));
        }
        let latents = repeat_batch("image", latents, settings.images)?;
        let mask: Tensor<5> = masked.mask.clone().reshape([masks, height, factor, width, factor]);
        let mask = mask.permute([0, 2, 4, 1, 3]).reshape([masks, factor * factor, height, width]);
        let mask = repeat_batch("mask_image", mask, settings.images)?;
        Ok(Tensor::cat(vec![tokens(latents), tokens(mask)], 2))
    }
}
