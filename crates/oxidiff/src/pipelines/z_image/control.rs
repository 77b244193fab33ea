//! ControlNets in a run.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::components::ZImageComponents;
use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions, VaeImageProcessor, resize_nearest};
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::transformers::{
    ZImageControlInputs, ZImageControlNetModel, ZImageInputs, ZImageTransformer2DModel,
};
use crate::pipelines::common::arguments::check_finite;
use crate::pipelines::common::decoding;
use crate::pipelines::common::latents::{repeat_batch, shifted_and_scaled};
use crate::pipelines::model_index::ModelIndex;
use crate::wording::counted;

/// A ControlNet and the images of a call, before they are prepared.
pub(super) struct ControlCall<'a> {
    pub controlnet: &'a ZImageControlNetModel,
    pub scale: f64,
    /// The image to follow.
    pub image: PipelineImageInput,
    /// An image of which a part is repainted, and its mask.
    pub masked: Option<[PipelineImageInput; 2]>,
}

/// A ControlNet and what it follows in a run.
pub(super) struct Control<'a> {
    controlnet: &'a ZImageControlNetModel,
    scale: f64,
    /// What to follow for each image, `[control_in_dim, 1, height, width]`.
    images: Vec<Tensor<4>>,
}

impl<'a> ControlCall<'a> {
    /// Height and width of the latents: those of a tensor to follow, or else those that are asked for.
    ///
    /// # Errors
    /// When the sides of the tensor are no multiples of what a patch has.
    pub fn latent_size(&self, components: &ZImageComponents, asked: [usize; 2]) -> Result<[usize; 2]> {
        match &self.image {
            PipelineImageInput::Tensor(values) => {
                let [_, _, height, width] = values.dims();
                components.latent_size(Some(height), Some(width))
            }
            _ => Ok(asked),
        }
    }

    /// Prepares the images for latents of this height and width, for a number of images, and of images per prompt.
    ///
    /// # Errors
    /// When the ControlNet does not fit the transformer, or an image cannot be prepared.
    pub fn prepare(
        self,
        components: &ZImageComponents,
        size: [usize; 2],
        counts: [usize; 2],
        index: &ModelIndex,
    ) -> Result<Control<'a>> {
        check_finite("controlnet_conditioning_scale", self.scale)?;
        self.controlnet.check_fit(&components.transformer)?;
        let followed =
            components.latents_to_follow("control_image", &self.image, None, size, counts, index)?;
        let mut parts = vec![followed];
        if let Some([image, mask]) = &self.masked {
            let pixels = size.map(|side| side * components.vae.scale_factor());
            let mask = mask_values(components, mask, pixels)?;
            let kept = mask.clone().neg() + 1.0;
            let masked = components.latents_to_follow("image", image, Some(&kept), size, counts, index)?;
            let kept = resize_nearest(kept, size).cast(masked.dtype());
            parts.push(repeat_batch("mask_image", kept, counts[0])?);
            parts.push(masked);
        }
        let joined = Tensor::cat(parts, 1);
        let [images, channels, height, width] = joined.dims();
        let wanted = self.controlnet.config().control_in_dim.unwrap_or_default();
        if channels > wanted {
            let message =
                format!("takes {wanted} channels, but this pipeline makes {channels} of what to follow");
            return Err(Error::argument("controlnet", message));
        }
        // A ControlNet that can also inpaint has further channels.
        let further =
            Tensor::zeros([images, wanted - channels, height, width], (&joined.device(), joined.dtype()));
        let all = if wanted > channels { Tensor::cat(vec![joined, further], 1) } else { joined };
        let each = (0..images).map(|image| all.clone().narrow(0, image, 1).swap_dims(0, 1));
        Ok(Control { controlnet: self.controlnet, scale: self.scale, images: each.collect() })
    }
}

impl Control<'_> {
    /// The model, to be searched if a value is not finite.
    pub fn model(&self) -> (&'static str, &dyn Suspect) {
        ("controlnet", self.controlnet)
    }

    /// What the ControlNet adds in a step to the results of the transformer's layers; `x` has the images once or twice.
    ///
    /// # Errors
    /// When the ControlNet cannot work with its inputs.
    pub fn samples(
        &self,
        transformer: &ZImageTransformer2DModel,
        x: &[Tensor<4>],
        time: f32,
        captions: &[Tensor<2>],
    ) -> Result<BTreeMap<usize, Tensor<3>>> {
        let ZImageInputs { patch_size, f_patch_size, .. } = ZImageInputs::default();
        let followed: Vec<Tensor<4>> = self.images.iter().cycle().take(x.len()).cloned().collect();
        let inputs = ZImageControlInputs {
            x,
            t: &[time],
            cap_feats: captions,
            control_context: &followed,
            conditioning_scale: self.scale,
            patch_size,
            f_patch_size,
        };
        self.controlnet.forward(transformer, &inputs)
    }
}

/// 1 where to repaint, 0 elsewhere, `[masks, 1, height, width]`.
fn mask_values(
    components: &ZImageComponents,
    mask: &PipelineImageInput,
    [height, width]: [usize; 2],
) -> Result<Tensor<4>> {
    let processor = VaeImageProcessor::of_masks(components.vae.scale_factor());
    let options = PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
    let mask = processor.preprocess(mask, options)?;
    if mask.dims()[1] != 1 {
        let message = format!("has {} channels; a mask has one", mask.dims()[1]);
        return Err(Error::argument("mask_image", message));
    }
    Ok(mask)
}

impl ZImageComponents {
    /// The most likely latents of images, multiplied by `kept` before they are encoded, for each image of the call. Tensors are
    /// taken as they are.
    ///
    /// # Errors
    /// When there are no images, or their number or size does not fit.
    fn latents_to_follow(
        &self,
        argument: &'static str,
        image: &PipelineImageInput,
        kept: Option<&Tensor<4>>,
        size: [usize; 2],
        [images, per_prompt]: [usize; 2],
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        let [height, width] = size.map(|side| side * self.vae.scale_factor());
        let pixels = match image {
            PipelineImageInput::Tensor(values) => values.clone(),
            image => {
                let options =
                    PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
                self.image_processor().preprocess(image, options)?
            }
        };
        let [given, channels, rows, columns] = pixels.dims();
        if [rows, columns] != [height, width] || channels != 3 {
            let message = format!("has shape {:?}, this call needs [_, 3, {height}, {width}]", pixels.dims());
            return Err(Error::argument(argument, message));
        }
        if given != 1 && given * per_prompt != images {
            let message = format!("got {given} for {}", counted(images / per_prompt, "prompt"));
            return Err(Error::argument(argument, message));
        }
        let mut pixels = pixels.to_device(&self.transformer.device());
        if let Some(kept) = kept {
            let masks = kept.dims()[0];
            if masks != 1 && given != 1 && masks != given {
                let message = format!("got {masks} for {}", counted(given, "image"));
                return Err(Error::argument("mask_image", message));
            }
            pixels = pixels * kept.clone();
        }
        let encoded = decoding::encode(&*self.vae, pixels.cast(self.vae.dtype()), index)?.mode();
        let latents = shifted_and_scaled(&*self.vae, encoded).cast(self.transformer.dtype());
        let [given, channels, rows, columns] = latents.dims();
        if given == 1 {
            return Ok(latents.repeat_dim(0, images));
        }
        // Each image as often as its prompt has images.
        let copies = images / given;
        let each: Tensor<5> = latents.reshape([given, 1, channels, rows, columns]).repeat_dim(1, copies);
        Ok(each.reshape([given * copies, channels, rows, columns]))
    }
}
