//! ControlNets in a run.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::image_processor::PipelineImageInput;
use crate::models::controlnets::FluxControlNet;
use crate::models::finite::Suspect;
use crate::models::model::Model;
use crate::models::transformers::{
    FluxControlCondition, FluxControlNetConfig, FluxControlNetInputs, FluxControlNetModel,
    FluxControlSamples, FluxInputs,
};
use crate::pipelines::common::control::{ControlImages, ControlMode, PerControlNet, check_window, works_in};
use crate::pipelines::flux::arguments::Settings;
use crate::pipelines::flux::components::FluxComponents;
use crate::pipelines::flux::denoising::StepInputs;
use crate::pipelines::flux::shown::tokens;
use crate::pipelines::model_index::ModelIndex;
use crate::wording::counted;

/// The ControlNets of a call, and what it asks of them.
pub(in crate::pipelines::flux) struct ControlCall<'a> {
    pub controlnet: &'a FluxControlNet,
    pub images: ControlImages,
    pub mode: ControlMode,
    pub scale: PerControlNet,
    pub start: PerControlNet,
    pub end: PerControlNet,
}

/// The ControlNets of a run.
pub(in crate::pipelines::flux) struct Control<'a>(Vec<Controlled<'a>>);

/// A ControlNet and what it follows.
struct Controlled<'a> {
    net: &'a FluxControlNetModel,
    condition: FluxControlCondition,
    /// The kind of image of each item, for a model that follows several.
    mode: Option<Vec<usize>>,
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

    /// The kinds of the images, one for each, if there are any.
    fn modes(&self) -> Result<Option<Vec<usize>>> {
        match &self.mode {
            ControlMode::One(mode) => Ok(Some(vec![*mode])),
            ControlMode::Each(each) if each.is_empty() => Ok(None),
            ControlMode::Each(each) => Ok(Some(each.clone())),
            ControlMode::Nested(_) => {
                Err(Error::argument("control_mode", "must be a number, or a list of numbers, not of lists"))
            }
        }
    }

    /// Prepares the images for latents of this height and width. One ControlNet follows several images if they are of several kinds.
    ///
    /// # Errors
    /// When a ControlNet does not fit the transformer, or an argument or an image does not fit.
    pub fn prepare(
        self,
        components: &FluxComponents,
        size: [usize; 2],
        settings: &mut Settings,
        index: &ModelIndex,
    ) -> Result<Control<'a>> {
        const KIND: &str = "control image";
        let nets = self.controlnet.nets();
        let modes = self.modes()?;
        let given = modes.as_ref().map_or(1, Vec::len);
        let count = if nets.len() == 1 { given } else { nets.len() };
        if given != 1 && given != count {
            let message = format!("has {given} for {}", counted(count, "ControlNet"));
            return Err(Error::argument("control_mode", message));
        }
        let images = self.images.for_each("control_image", count, KIND)?;
        let scales = self.scale.expand("controlnet_conditioning_scale", count, KIND)?;
        let starts = self.start.expand("control_guidance_start", count, KIND)?;
        let ends = self.end.expand("control_guidance_end", count, KIND)?;
        let mut each = Vec::new();
        for (place, image) in images.iter().enumerate() {
            let net = &nets[if nets.len() == 1 { 0 } else { place }];
            net.check_fit(&components.transformer)?;
            let window = [starts[place], ends[place]];
            check_window(&window)?;
            let pixels = components.pixels_to_follow("control_image", image, size, settings)?;
            let condition = match net.takes_pixels() {
                true => FluxControlCondition::Pixels(pixels),
                false => FluxControlCondition::Tokens(tokens(components.drawn(
                    "control_image",
                    pixels,
                    size,
                    settings,
                    index,
                )?)),
            };
            let mode = match (&modes, net.config().num_mode) {
                (None, Some(_)) => {
                    let message = "must be given: it says of which kinds the images are";
                    return Err(Error::argument("control_mode", message));
                }
                (Some(modes), Some(_)) => {
                    Some(vec![modes[if modes.len() == 1 { 0 } else { place }]; settings.images])
                }
                (_, None) => None,
            };
            each.push(Controlled { net, condition, mode, scale: scales[place], window });
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
    pub fn samples(&self, step: &StepInputs<'_>) -> Result<FluxControlSamples> {
        let mut sum = FluxControlSamples::default();
        for Controlled { net, condition, mode, scale, window } in &self.0 {
            let scale = if works_in(*window, step.window) { *scale } else { 0.0 };
            if scale == 0.0 {
                continue;
            }
            let text = vec![[0.0; 3]; step.text.tokens.dims()[1]];
            let guidance = net.config().guidance_embeds.then_some(step.guidance);
            let inputs = step.inputs(step.tokens.clone(), step.places, guidance, net.dtype());
            let samples = net.forward(&FluxControlNetInputs {
                inputs: FluxInputs { txt_ids: &text, ..inputs },
                controlnet_cond: condition.clone(),
                controlnet_mode: mode.as_deref(),
                conditioning_scale: scale,
            })?;
            sum = FluxControlSamples {
                blocks: added(sum.blocks, samples.blocks),
                single_blocks: added(sum.single_blocks, samples.single_blocks),
                repeat: sum.repeat || samples.repeat,
            };
        }
        // A ControlNet that pauses counts as well: in Python, it adds nothing to each of its samples.
        let fewest = |layers: fn(&FluxControlNetConfig) -> usize| {
            self.0.iter().map(|it| layers(it.net.config())).filter(|layers| *layers > 0).min().unwrap_or(0)
        };
        sum.blocks.truncate(fewest(|config| config.num_layers));
        sum.single_blocks.truncate(fewest(|config| config.num_single_layers));
        Ok(sum)
    }
}

/// The sums of tensors pair by pair. Where one list is shorter, only its length counts, unless it is empty.
fn added(sum: Vec<Tensor<3>>, more: Vec<Tensor<3>>) -> Vec<Tensor<3>> {
    match (sum.is_empty(), more.is_empty()) {
        (true, _) => more,
        (_, true) => sum,
        _ => sum.into_iter().zip(more).map(|(one, other)| one + other).collect(),
    }
}
