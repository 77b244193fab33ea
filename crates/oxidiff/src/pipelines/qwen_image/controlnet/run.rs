//! ControlNets in a run.

use burn::tensor::{DType, Tensor};

use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions, VaeImageProcessor, resize_nearest};
use crate::models::controlnets::QwenImageControlNet;
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::transformers::{QwenImageControlNetInputs, QwenImageControlNetModel};
use crate::pipelines::common::control::{
    ControlImages, PerControlNet, about, check_window, pixels_to_follow, works_in,
};
use crate::pipelines::common::image_latents::PreparedImage;
use crate::pipelines::common::latents::repeat_batch;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::qwen_image::arguments::Settings;
use crate::pipelines::qwen_image::components::QwenImageComponents;
use crate::pipelines::qwen_image::denoising::StepInputs;
use crate::pipelines::qwen_image::latents::tokens;

/// The ControlNets of a call, and what it asks of them.
pub(in crate::pipelines::qwen_image) struct ControlCall<'a> {
    pub controlnet: &'a QwenImageControlNet,
    pub images: ControlImages,
    /// Where to repaint the images.
    pub mask: Option<PipelineImageInput>,
    pub scale: PerControlNet,
    pub start: PerControlNet,
    pub end: PerControlNet,
}

/// The ControlNets of a run.
pub(in crate::pipelines::qwen_image) struct Control<'a>(Vec<Controlled<'a>>);

/// A ControlNet and what it follows.
struct Controlled<'a> {
    net: &'a QwenImageControlNetModel,
    /// `[images, tokens, features]`.
    followed: Tensor<3>,
    scale: f64,
    window: [f64; 2],
}

impl<'a> ControlCall<'a> {
    /// Height and width of the image to follow in pixels, if it is a tensor, which is not resized.
    pub fn tensor_size(&self) -> Option<[usize; 2]> {
        let size = |image: &PipelineImageInput| match image {
            PipelineImageInput::Tensor(values) => Some([values.dims()[2], values.dims()[3]]),
            _ => None,
        };
        match &self.images {
            ControlImages::Together(image) => size(image),
            ControlImages::Each(each) => each.last().and_then(size),
        }
    }

    /// Prepares the images for latents of this height and width. A list of one ControlNet follows several images.
    ///
    /// # Errors
    /// When a ControlNet does not fit the transformer, or an argument or an image does not fit.
    pub fn prepare(
        self,
        components: &QwenImageComponents,
        size: [usize; 2],
        settings: &mut Settings,
        index: &ModelIndex,
    ) -> Result<Control<'a>> {
        const KIND: &str = "control image";
        let nets = self.controlnet.nets();
        let repeats = nets.len() == 1 && matches!(self.controlnet, QwenImageControlNet::Several(_));
        let images = match self.images {
            ControlImages::Together(PipelineImageInput::Images(images)) if repeats => {
                ControlImages::Each(images.into_iter().map(PipelineImageInput::from).collect())
            }
            images => images,
        };
        let count = match &images {
            ControlImages::Each(each) if repeats => each.len(),
            _ => nets.len(),
        };
        let images = images.for_each("control_image", count, KIND)?;
        let scales = self.scale.expand("controlnet_conditioning_scale", count, KIND)?;
        let starts = self.start.expand("control_guidance_start", count, KIND)?;
        let ends = self.end.expand("control_guidance_end", count, KIND)?;
        let mask = self.mask.as_ref().map(|mask| components.mask_to_follow(mask, size)).transpose()?;
        let mut each = Vec::new();
        for (place, image) in images.iter().enumerate() {
            let net = &nets[if nets.len() == 1 { 0 } else { place }];
            net.check_fit(&components.transformer)?;
            let window = [starts[place], ends[place]];
            check_window(&window)?;
            let followed =
                tokens(components.latents_to_follow(image, mask.as_ref(), size, settings, index)?);
            let (found, config) = (followed.dims()[2], net.config());
            let taken = config.in_channels + config.extra_condition_channels;
            if found != taken {
                let message =
                    format!("takes {taken} values of a patch, but this pipeline gives it {found} to follow");
                return Err(Error::argument("controlnet", message));
            }
            each.push(Controlled { net, followed, scale: scales[place], window });
        }
        Ok(Control(each))
    }
}

impl Control<'_> {
    /// The models, to be searched if a value is not finite.
    pub fn models(&self) -> Vec<(&'static str, &dyn Suspect)> {
        self.0.iter().map(|it| ("controlnet", it.net as &dyn Suspect)).collect()
    }

    /// What the ControlNets add in a step after the blocks of the transformer.
    ///
    /// # Errors
    /// When a ControlNet cannot work with its inputs.
    pub fn samples(&self, step: &StepInputs<'_>) -> Result<Vec<Tensor<3>>> {
        let mut sum: Vec<Tensor<3>> = Vec::new();
        for Controlled { net, followed, scale, window } in &self.0 {
            if *scale == 0.0 || !works_in(*window, step.window) {
                continue;
            }
            let samples = net.forward(&QwenImageControlNetInputs {
                inputs: step.inputs(step.tokens.clone(), 1, net.dtype()),
                controlnet_cond: followed.clone(),
                conditioning_scale: *scale,
            })?;
            sum = match sum.is_empty() {
                true => samples,
                // Where one has fewer, only these count.
                false => sum.into_iter().zip(samples).map(|(one, other)| one + other).collect(),
            };
        }
        Ok(sum)
    }
}

impl QwenImageComponents {
    /// 1 where to repaint, 0 elsewhere, `[masks, 1, height, width]` in pixels.
    fn mask_to_follow(&self, mask: &PipelineImageInput, size: [usize; 2]) -> Result<Tensor<4>> {
        let [height, width] = size.map(|side| side * self.vae.scale_factor());
        let options = PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
        let mask = match mask {
            PipelineImageInput::Tensor(values) => values.clone(),
            mask => {
                let prepared = VaeImageProcessor::of_masks(self.patch_pixels()).preprocess(mask, options);
                prepared.map_err(|error| about("control_mask", error))?
            }
        };
        let [_, channels, rows, columns] = mask.dims();
        if channels != 1 || [rows, columns] != [height, width] {
            let message = format!("has shape {:?}, this call needs [_, 1, {height}, {width}]", mask.dims());
            return Err(Error::argument("control_mask", message));
        }
        Ok(mask.to_device(&self.transformer.device()).cast(DType::F32))
    }

    /// The latents of an image to follow for each image of the call. With a mask, they are the most likely ones, where Python draws
    /// some that nobody can seed; the masked part is black, and the last channel is 1 where the image is kept.
    fn latents_to_follow(
        &self,
        image: &PipelineImageInput,
        mask: Option<&Tensor<4>>,
        size: [usize; 2],
        settings: &mut Settings,
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        const ARGUMENT: &str = "control_image";
        let pixels = size.map(|side| side * self.vae.scale_factor());
        let images = [settings.images, settings.num_images_per_prompt];
        let (processor, device) = (self.image_processor(), self.transformer.device());
        let mut pixels = pixels_to_follow(ARGUMENT, image, &processor, pixels, images, &device)?;
        let mut kept = None;
        if let Some(mask) = mask {
            let mask = repeat_batch("control_mask", mask.clone(), settings.images)?;
            let is_masked = mask.clone().greater_scalar(0.5).expand(pixels.dims());
            pixels = pixels.mask_fill(is_masked, -1.0);
            kept = Some(resize_nearest(mask, size).neg() + 1.0);
        }
        let latents =
            self.image_latents(PreparedImage::Pixels(pixels), mask.is_none(), size, settings, index);
        let latents = latents.map_err(|error| about(ARGUMENT, error))?;
        Ok(match kept {
            Some(kept) => Tensor::cat(vec![latents, kept], 1),
            None => latents,
        })
    }
}
