//! ControlNets in a run.

use burn::tensor::{DType, Tensor};

use crate::error::{Error, Result};
use crate::image_processor::{PipelineImageInput, PreprocessOptions, VaeImageProcessor, resize_nearest};
use crate::models::controlnets::SD3ControlNet;
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::transformers::{SD3ControlNetInputs, SD3ControlNetModel, SD3Transformer2DModel};
use crate::pipelines::common::control::{ControlImages, PerControlNet, about, check_window, works_in};
use crate::pipelines::common::decoding;
use crate::pipelines::common::latents::{repeat_batch, shifted_and_scaled};
use crate::pipelines::common::text::TextEncoding;
use crate::pipelines::model_index::ModelIndex;
use crate::pipelines::stable_diffusion_3::arguments::Settings;
use crate::pipelines::stable_diffusion_3::components::StableDiffusion3Components;
use crate::wording::counted;

/// The ControlNets of a call, and what it asks of them.
pub(super) struct ControlCall<'a> {
    pub controlnet: &'a SD3ControlNet,
    pub images: ControlImages,
    /// Where to repaint the images.
    pub mask: Option<PipelineImageInput>,
    pub scale: PerControlNet,
    pub start: PerControlNet,
    pub end: PerControlNet,
}

/// The ControlNets of a run.
pub(in crate::pipelines::stable_diffusion_3) struct Control<'a> {
    each: Vec<Controlled<'a>>,
    /// Whether zeros take the place of the pooled prompts.
    is_without_pooled: bool,
}

/// A ControlNet and what it follows.
struct Controlled<'a> {
    net: &'a SD3ControlNetModel,
    /// `[images, channels, height, width]`.
    followed: Tensor<4>,
    scale: f64,
    window: [f64; 2],
}

/// A step of a run.
pub(in crate::pipelines::stable_diffusion_3) struct ControlStep<'a> {
    /// The latents of all images, once or twice.
    pub latents: Tensor<4>,
    pub text: &'a TextEncoding,
    pub timestep: f32,
    /// What part of the run is over before and after the step.
    pub window: [f64; 2],
    pub transformer: &'a SD3Transformer2DModel,
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
            ControlImages::Each(each) => each.first().and_then(size),
        }
    }

    /// Prepares the images for latents of this height and width.
    ///
    /// # Errors
    /// When a ControlNet does not fit the transformer, or an argument or an image does not fit.
    pub fn prepare(
        self,
        components: &StableDiffusion3Components,
        size: [usize; 2],
        settings: &Settings,
        index: &ModelIndex,
    ) -> Result<Control<'a>> {
        const KIND: &str = "ControlNet";
        let nets = self.controlnet.nets();
        let images = self.images.for_each("control_image", nets.len(), KIND)?;
        let scales = self.scale.expand("controlnet_conditioning_scale", nets.len(), KIND)?;
        let starts = self.start.expand("control_guidance_start", nets.len(), KIND)?;
        let ends = self.end.expand("control_guidance_end", nets.len(), KIND)?;
        // Those that were trained without pooled prompts were trained on latents that are not shifted, too. As in Python, the first decides.
        let is_first_without = nets[0].config().force_zeros_for_pooled_projection;
        let mask = self.mask.as_ref().map(|mask| components.mask_to_follow(mask, size)).transpose()?;
        let mut each = Vec::new();
        for (place, net) in nets.iter().enumerate() {
            net.check_fit(&components.transformer)?;
            let window = [starts[place], ends[place]];
            check_window(&window)?;
            let shifts = mask.is_some() || !is_first_without;
            let followed =
                components.latents_to_follow(&images[place], mask.as_ref(), size, settings, shifts, index)?;
            let (found, taken) = (followed.dims()[1], net.config().condition_channels());
            if found != taken {
                let message = format!("takes {taken} channels, but this pipeline gives it {found} to follow");
                return Err(Error::argument("controlnet", message));
            }
            each.push(Controlled { net, followed, scale: scales[place], window });
        }
        Ok(Control { each, is_without_pooled: mask.is_some() || is_first_without })
    }
}

impl Control<'_> {
    /// The models, to be searched if a value is not finite.
    pub fn models(&self) -> Vec<(&'static str, &dyn Suspect)> {
        self.each.iter().map(|it| ("controlnet", it.net as &dyn Suspect)).collect()
    }

    /// What the ControlNets add in a step after the blocks of the transformer.
    ///
    /// # Errors
    /// When a ControlNet cannot work with its inputs.
    pub fn samples(&self, step: &ControlStep<'_>) -> Result<Vec<Tensor<3>>> {
        let pooled = step.text.pooled.clone().expect("the family pools its prompts");
        let pooled = if self.is_without_pooled { pooled.zeros_like() } else { pooled };
        let mut sum: Vec<Tensor<3>> = Vec::new();
        for Controlled { net, followed, scale, window } in &self.each {
            if *scale == 0.0 || !works_in(*window, step.window) {
                continue;
            }
            let copies = step.latents.dims()[0] / followed.dims()[0];
            let reads_text = net.config().joint_attention_dim.is_some();
            let samples = net.forward(&SD3ControlNetInputs {
                hidden_states: step.latents.clone(),
                controlnet_cond: followed.clone().repeat_dim(0, copies),
                conditioning_scale: *scale,
                encoder_hidden_states: reads_text.then(|| step.text.tokens.clone()),
                pooled_projections: pooled.clone(),
                timestep: &[step.timestep],
                transformer: Some(step.transformer),
            })?;
            sum = match sum.is_empty() {
                true => samples,
                // Where one has fewer, as in Python, only these count.
                false => sum.into_iter().zip(samples).map(|(one, other)| one + other).collect(),
            };
        }
        // A ControlNet that pauses counts as well: in Python, it adds nothing to each of its samples.
        sum.truncate(self.each.iter().map(|it| it.net.config().num_layers).min().unwrap_or(0));
        Ok(sum)
    }
}

impl StableDiffusion3Components {
    /// 1 where to repaint, 0 elsewhere, `[masks, 1, height, width]` in pixels.
    fn mask_to_follow(&self, mask: &PipelineImageInput, size: [usize; 2]) -> Result<Tensor<4>> {
        let [height, width] = size.map(|side| side * self.vae.scale_factor());
        let options = PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
        let mask = match mask {
            PipelineImageInput::Tensor(values) => values.clone(),
            mask => {
                let prepared = VaeImageProcessor::of_masks(self.vae.scale_factor()).preprocess(mask, options);
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

    /// The latents of an image to follow for each image of the call: the most likely ones, where Python draws some that nobody can
    /// seed. With a mask, the masked part is black, and the last channel is 1 where the image is kept.
    fn latents_to_follow(
        &self,
        image: &PipelineImageInput,
        mask: Option<&Tensor<4>>,
        size: [usize; 2],
        settings: &Settings,
        shifts: bool,
        index: &ModelIndex,
    ) -> Result<Tensor<4>> {
        const ARGUMENT: &str = "control_image";
        let [height, width] = size.map(|side| side * self.vae.scale_factor());
        let pixels = match image {
            PipelineImageInput::Tensor(values) => values.clone(),
            image => {
                let options =
                    PreprocessOptions { height: Some(height), width: Some(width), ..Default::default() };
                // As in Python, only the pipeline that inpaints takes the colours of any picture.
                let do_convert_rgb = mask.is_some();
                let processor = VaeImageProcessor { do_convert_rgb, ..self.image_processor() };
                processor.preprocess(image, options).map_err(|error| about(ARGUMENT, error))?
            }
        };
        let [given, channels, rows, columns] = pixels.dims();
        if [rows, columns] != [height, width] || channels != 3 {
            let message = format!("has shape {:?}, this call needs [_, 3, {height}, {width}]", pixels.dims());
            return Err(Error::argument(ARGUMENT, message));
        }
        let Settings { images, num_images_per_prompt: copies, .. } = *settings;
        let copies = match given {
            1 => images,
            given if given * copies == images => copies,
            given => {
                let message = format!("got {given} for {}", counted(images / copies.max(1), "prompt"));
                return Err(Error::argument(ARGUMENT, message));
            }
        };
        let mut pixels = pixels.to_device(&self.transformer.device()).cast(DType::F32);
        let mut kept = None;
        if let Some(mask) = mask {
            let mask = repeat_batch("control_mask", mask.clone(), given)?;
            let is_masked = mask.clone().greater_scalar(0.5).expand([given, channels, height, width]);
            pixels = pixels.mask_fill(is_masked, -1.0);
            kept = Some(resize_nearest(mask, size).neg() + 1.0);
        }
        let encoded = decoding::encode(&*self.vae, pixels.cast(self.vae.dtype()), index)?.mode();
        let latents = match shifts {
            true => shifted_and_scaled(&*self.vae, encoded),
            false => encoded * self.vae.scaling_factor(),
        };
        let latents = latents.cast(DType::F32);
        let followed = match kept {
            Some(kept) => Tensor::cat(vec![latents, kept], 1),
            None => latents,
        };
        // The images of one prompt are next to each other.
        let [_, channels, rows, columns] = followed.dims();
        let each: Tensor<5> = followed.reshape([given, 1, channels, rows, columns]).repeat_dim(1, copies);
        Ok(each.reshape([given * copies, channels, rows, columns]))
    }
}
