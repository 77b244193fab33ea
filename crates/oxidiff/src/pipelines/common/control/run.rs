//! What the ControlNets of a call add in each step.

use burn::tensor::{Device, Tensor};

use super::{ControlImages, PerControlNet};
use crate::error::{Error, Result};
use crate::image_processor::{CropRegion, PreprocessOptions, ResizeMode, VaeImageProcessor};
use crate::models::controlnets::{ControlNet, ControlNetInputs, ControlNetModel, ControlNetOutput};
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::unets::{AddedConditions, UNet2DConditionInputs};
use crate::pipelines::common::inpainting::Crop;
use crate::pipelines::common::steering::StepInput;

/// What the models are called in messages.
const KIND: &str = "ControlNet";

/// The arguments that calls with ControlNets have besides the others.
pub(crate) struct ControlArguments {
    /// The name of the argument that holds the images.
    pub argument: &'static str,
    pub images: ControlImages,
    pub controlnet_conditioning_scale: PerControlNet,
    pub guess_mode: bool,
    pub control_guidance_start: PerControlNet,
    pub control_guidance_end: PerControlNet,
}

/// The ControlNets of a call, and what it asks of them.
pub(crate) struct ControlCall<'a> {
    pub controlnet: &'a ControlNet,
    pub arguments: ControlArguments,
}

/// The size to bring the images to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    /// In pixels; by default the images' own.
    pub height: Option<usize>,
    /// In pixels; by default the images' own.
    pub width: Option<usize>,
    /// The part of the images to take.
    pub crop: Option<CropRegion>,
}

impl Size {
    /// How to prepare images of this size.
    pub fn options(self) -> PreprocessOptions {
        PreprocessOptions {
            height: self.height,
            width: self.width,
            resize_mode: if self.crop.is_some() { ResizeMode::Fill } else { ResizeMode::Default },
            crops_coords: self.crop,
        }
    }
}

/// The ControlNets of a run.
pub(crate) struct Control<'a> {
    each: Vec<Controlled<'a>>,
    /// The number of images in a run.
    images: usize,
    guess_mode: bool,
}

/// A ControlNet and what it follows.
struct Controlled<'a> {
    net: &'a ControlNetModel,
    /// `[images, channels, height, width]`.
    image: Tensor<4>,
    scale: f64,
    /// The part of the run in which it works.
    start: f64,
    end: f64,
}

impl<'a> ControlCall<'a> {
    /// Prepares the images for `prompts` prompts with `images` images in all.
    ///
    /// # Errors
    /// When an argument has a value that the ControlNets cannot work with.
    pub fn prepare(
        self,
        vae_scale_factor: usize,
        size: Size,
        [prompts, images]: [usize; 2],
        device: &Device,
    ) -> Result<Control<'a>> {
        let Self { controlnet, arguments } = self;
        let nets = controlnet.nets();
        let count = nets.len();
        let scales =
            arguments.controlnet_conditioning_scale.expand("controlnet_conditioning_scale", count, KIND)?;
        let starts = arguments.control_guidance_start.expand("control_guidance_start", count, KIND)?;
        let ends = arguments.control_guidance_end.expand("control_guidance_end", count, KIND)?;
        for (&start, &end) in starts.iter().zip(&ends) {
            if start < 0.0 {
                return Err(Error::argument(
                    "control_guidance_start",
                    format!("must be at least 0, is {start}"),
                ));
            }
            if end > 1.0 {
                return Err(Error::argument("control_guidance_end", format!("must be at most 1, is {end}")));
            }
            if start >= end {
                let message = format!("is {start}; it must be below `control_guidance_end`, which is {end}");
                return Err(Error::argument("control_guidance_start", message));
            }
        }
        let processor = VaeImageProcessor {
            vae_scale_factor,
            do_convert_rgb: true,
            do_normalize: false,
            ..VaeImageProcessor::default()
        };
        let ControlArguments { argument, images: given, .. } = arguments;
        let prepared =
            given.prepare(argument, count, &processor, size.options(), [prompts, images], device)?;
        let first = [prepared[0].dims()[2], prepared[0].dims()[3]];
        for (net, image) in nets.iter().zip(&prepared) {
            let [_, channels, height, width] = image.dims();
            let taken = net.config().conditioning_channels;
            if channels != taken {
                let message = format!("has {channels} channels, the ControlNet takes {taken}");
                return Err(Error::argument(argument, message));
            }
            if [height, width] != first {
                let message = format!(
                    "has images of {}x{} and of {width}x{height} pixels: give `height` and `width`",
                    first[1], first[0]
                );
                return Err(Error::argument(argument, message));
            }
        }
        let values = nets.iter().zip(prepared).zip(scales).zip(starts.into_iter().zip(ends));
        let each =
            values.map(|(((net, image), scale), (start, end))| Controlled { net, image, scale, start, end });
        // As in Python, the first ControlNet decides for all.
        let guess_mode = arguments.guess_mode || nets[0].config().global_pool_conditions;
        Ok(Control { each: each.collect(), images, guess_mode })
    }

    /// As [`Self::prepare`], for a call that repaints a part of images of this `size`, or of the `crop` of them: `given` is the
    /// size that the call asks for.
    ///
    /// # Errors
    /// As [`Self::prepare`], and when the images have another size.
    pub fn prepare_for_inpainting(
        self,
        vae_scale_factor: usize,
        (given, size): ([Option<usize>; 2], [usize; 2]),
        crop: Option<&Crop>,
        counts: [usize; 2],
        device: &Device,
    ) -> Result<Control<'a>> {
        let [height, width] = if crop.is_some() { size.map(Some) } else { given };
        let own = Size { height, width, crop: crop.map(Crop::region) };
        let control = self.prepare(vae_scale_factor, own, counts, device)?;
        control.check_size(size)?;
        Ok(control)
    }
}

impl Control<'_> {
    /// Height and width of the images in pixels.
    pub fn size(&self) -> [usize; 2] {
        let [_, _, height, width] = self.each[0].image.dims();
        [height, width]
    }

    /// The models, to be searched if a value is not finite.
    pub fn models(&self) -> Vec<(&'static str, &dyn Suspect)> {
        self.each.iter().map(|it| ("controlnet", it.net as &dyn Suspect)).collect()
    }

    /// Checks that the images have the size of the image that the call changes.
    ///
    /// # Errors
    /// When they have another one.
    pub fn check_size(&self, image: [usize; 2]) -> Result<()> {
        let own = self.size();
        if own == image {
            return Ok(());
        }
        let message = format!(
            "has {}x{} pixels, `image` {}x{}: give `height` and `width`",
            own[1], own[0], image[1], image[0]
        );
        Err(Error::argument("control_image", message))
    }

    /// Adds to the UNet's inputs what the ControlNets say in a step.
    ///
    /// # Errors
    /// When a ControlNet cannot work with its inputs.
    pub fn add_to(&self, inputs: &mut UNet2DConditionInputs, step: &StepInput<'_>) -> Result<()> {
        let guided = step.sample.dims()[0] > self.images;
        // Without a prompt, the ControlNet must say everything: it is asked about the guided half alone.
        let half = guided && self.guess_mode;
        let part = |batch: usize| if half { [batch - self.images, self.images] } else { [0, batch] };
        let mut sum: Option<ControlNetOutput> = None;
        for Controlled { net, image, scale, .. } in self.each.iter().filter(|it| it.works_in(step.window)) {
            let [start, length] = part(step.sample.dims()[0]);
            let narrow = |values: &Tensor<2>| values.clone().narrow(0, start, length);
            let control = ControlNetInputs {
                conditioning_scale: *scale,
                guess_mode: self.guess_mode,
                class_labels: None,
                added: AddedConditions {
                    text_embeds: inputs.added.text_embeds.as_ref().map(narrow),
                    time_ids: inputs.added.time_ids.as_ref().map(narrow),
                    ..Default::default()
                },
            };
            let image = image.clone().repeat_dim(0, length / self.images);
            let sample = step.sample.clone().narrow(0, start, length);
            let text = step.text.clone().narrow(0, start, length);
            let output = net.forward_with(sample, &[step.timestep], text, image, control)?;
            sum = Some(match sum {
                Some(sum) => sum + output,
                None => output,
            });
        }
        let Some(ControlNetOutput { down_block_res_samples, mid_block_res_sample }) = sum else {
            return Ok(());
        };
        // Nothing is added to the half without the prompt.
        let whole = |part: Tensor<4>| if half { Tensor::cat(vec![part.zeros_like(), part], 0) } else { part };
        inputs.down_block_additional_residuals = down_block_res_samples.into_iter().map(whole).collect();
        inputs.mid_block_additional_residual = Some(whole(mid_block_res_sample));
        Ok(())
    }
}

impl Controlled<'_> {
    /// Whether it works in a step, of which it is known what part of the run is over before and after it.
    fn works_in(&self, [before, after]: [f64; 2]) -> bool {
        before >= self.start && after <= self.end
    }
}
