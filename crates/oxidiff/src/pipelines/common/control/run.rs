//! What the ControlNets of a call add in each step.

use burn::tensor::{Device, Tensor};

use super::PerControlNet;
use super::asked::{Asked, Net, Nets, Question};
use super::images::prepare_each;
use crate::error::{Error, Result};
use crate::image_processor::{CropRegion, PreprocessOptions, ResizeMode, VaeImageProcessor};
use crate::models::controlnets::ControlNetOutput;
use crate::models::finite::Suspect;
use crate::models::unets::{AddedConditions, UNet2DConditionInputs};
use crate::pipelines::common::inpainting::Crop;
use crate::pipelines::common::steering::StepInput;

/// The arguments that calls with ControlNets have besides the others.
pub(crate) struct ControlArguments {
    /// The name of the argument that holds the images.
    pub argument: &'static str,
    pub controlnet_conditioning_scale: PerControlNet,
    pub guess_mode: bool,
    pub control_guidance_start: PerControlNet,
    pub control_guidance_end: PerControlNet,
}

/// The ControlNets of a call, and what it asks of them.
pub(crate) struct ControlCall<'a> {
    pub nets: Nets<'a>,
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
    net: Net<'a>,
    /// For each image, `[images, channels, height, width]`.
    images: Vec<Tensor<4>>,
    /// For each image, or one for the ControlNet.
    scales: Vec<f64>,
    /// The parts of the run in which they count.
    windows: Vec<[f64; 2]>,
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
        let Self { nets, arguments } = self;
        let argument = arguments.argument;
        let Asked { nets, images: given, is_scaled_by_image } = nets.asked(argument)?;
        let (count, kind) = match is_scaled_by_image {
            true => (given.len(), "control image"),
            false => (nets.len(), "ControlNet"),
        };
        let scales =
            arguments.controlnet_conditioning_scale.expand("controlnet_conditioning_scale", count, kind)?;
        let starts = arguments.control_guidance_start.expand("control_guidance_start", count, kind)?;
        let ends = arguments.control_guidance_end.expand("control_guidance_end", count, kind)?;
        let windows: Vec<_> = starts.into_iter().zip(ends).map(|(start, end)| [start, end]).collect();
        windows.iter().try_for_each(check_window)?;
        let processor = VaeImageProcessor {
            vae_scale_factor,
            do_convert_rgb: true,
            do_normalize: false,
            ..VaeImageProcessor::default()
        };
        let prepared = prepare_each(argument, &given, &processor, size.options(), [prompts, images], device)?;
        let [_, _, rows, columns] = prepared[0].dims();
        // As in Python, the first ControlNet decides for all.
        let guess_mode = arguments.guess_mode || nets[0].pools();
        let (mut prepared, mut scales, mut windows) =
            (prepared.into_iter(), scales.into_iter(), windows.into_iter());
        let mut each = Vec::new();
        for net in nets {
            let images: Vec<_> = prepared.by_ref().take(net.images()).collect();
            let taken = net.conditioning_channels();
            for [_, channels, height, width] in images.iter().map(Tensor::dims) {
                if channels != taken {
                    let message = format!("has {channels} channels, the ControlNet takes {taken}");
                    return Err(Error::argument(argument, message));
                }
                if [height, width] != [rows, columns] {
                    let message = format!(
                        "has images of {columns}x{rows} and of {width}x{height} pixels: give `height` and `width`"
                    );
                    return Err(Error::argument(argument, message));
                }
            }
            let own = if is_scaled_by_image { images.len() } else { 1 };
            each.push(Controlled {
                net,
                images,
                scales: scales.by_ref().take(own).collect(),
                windows: windows.by_ref().take(own).collect(),
            });
        }
        Ok(Control { each, images, guess_mode })
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
        // Python asks a model for several types that pools its results about the whole batch here, not about half of it.
        let asks_all = matches!(self.nets, Nets::Union(..)) && !self.arguments.guess_mode;
        let mut control = self.prepare(vae_scale_factor, own, counts, device)?;
        control.guess_mode &= !asks_all;
        control.check_size(size)?;
        Ok(control)
    }
}

impl Control<'_> {
    /// Height and width of the images in pixels.
    pub fn size(&self) -> [usize; 2] {
        let [_, _, height, width] = self.each[0].images[0].dims();
        [height, width]
    }

    /// The models, to be searched if a value is not finite.
    pub fn models(&self) -> Vec<(&'static str, &dyn Suspect)> {
        self.each.iter().map(|it| ("controlnet", it.net.model())).collect()
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
        for Controlled { net, images, scales, windows } in &self.each {
            let scales: Vec<f64> = scales
                .iter()
                .zip(windows)
                .map(|(scale, window)| if works_in(*window, step.window) { *scale } else { 0.0 })
                .collect();
            if !net.answers(&scales) {
                continue;
            }
            let [start, length] = part(step.sample.dims()[0]);
            let narrow = |values: &Tensor<2>| values.clone().narrow(0, start, length);
            let repeated = |image: &Tensor<4>| image.clone().repeat_dim(0, length / self.images);
            let output = net.ask(Question {
                sample: step.sample.clone().narrow(0, start, length),
                timestep: step.timestep,
                text: step.text.clone().narrow(0, start, length),
                added: AddedConditions {
                    text_embeds: inputs.added.text_embeds.as_ref().map(narrow),
                    time_ids: inputs.added.time_ids.as_ref().map(narrow),
                    ..Default::default()
                },
                guess_mode: self.guess_mode,
                images: images.iter().map(repeated).collect(),
                scales: &scales,
            })?;
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

/// Whether a part of the run has a step, of which it is known what part of the run is over before and after it.
pub(crate) fn works_in([start, end]: [f64; 2], [before, after]: [f64; 2]) -> bool {
    before >= start && after <= end
}

/// Checks a part of the run.
///
/// # Errors
/// When it does not begin before it ends, or is not one.
pub(crate) fn check_window(&[start, end]: &[f64; 2]) -> Result<()> {
    if start < 0.0 {
        return Err(Error::argument("control_guidance_start", format!("must be at least 0, is {start}")));
    }
    if end > 1.0 {
        return Err(Error::argument("control_guidance_end", format!("must be at most 1, is {end}")));
    }
    if start >= end {
        let message = format!("is {start}; it must be below `control_guidance_end`, which is {end}");
        return Err(Error::argument("control_guidance_start", message));
    }
    Ok(())
}
