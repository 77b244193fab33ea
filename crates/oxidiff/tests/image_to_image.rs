//! Pipelines that are given images, against Python diffusers, seed for seed: images at most 1e-3 apart.

mod fixture;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use burn::tensor::Int;
use fixture::pictures::{blob, picture, values};
use fixture::{Recorded, assert_close, fixtures, json, repository};
use oxidiff::image::DynamicImage;
use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image, Component,
    DDPMScheduler, Device, DiffusionPipeline, Generator, Generators, ImageToImage, Images, Inpaint,
    InstructPix2Pix, Model, OutputType, Pipeline, PipelineArguments, PipelineImageInput, Scheduler,
    StableDiffusionComponents, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline, StableDiffusionPipeline, StableDiffusionUpscalePipeline,
    StepCallback, Tensor, TextToImage, UNet2DConditionModel, Upscale, scheduler_from_config,
};
use serde::Deserialize;

const TOLERANCE: f32 = 1e-3;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Call {
    scheduler: Option<String>,
    prompt: Vec<String>,
    negative_prompt: Vec<String>,
    num_inference_steps: usize,
    seed: Seed,
    images: Option<Vec<[u32; 2]>>,
    tensor: Option<[usize; 4]>,
    low: f32,
    array: Option<[usize; 4]>,
    masks: Vec<[u32; 6]>,
    mask_tensor: Option<[usize; 4]>,
    masked_latents: Option<[usize; 4]>,
    latents: Option<[usize; 4]>,
    padding_mask_crop: Option<usize>,
    strength: Option<f64>,
    guidance_scale: Option<f64>,
    image_guidance_scale: Option<f64>,
    noise_level: Option<usize>,
    height: Option<usize>,
    width: Option<usize>,
    num_images_per_prompt: Option<usize>,
    clip_skip: Option<usize>,
    eta: Option<f64>,
    sigmas: Option<Vec<f32>>,
    timesteps: Option<Vec<f32>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Seed {
    One(u64),
    PerItem(Vec<u64>),
}

impl Default for Seed {
    fn default() -> Self {
        Self::One(0)
    }
}

impl Call {
    fn generator(&self) -> Generators {
        match &self.seed {
            Seed::One(seed) => Generator::manual_seed(*seed).into(),
            Seed::PerItem(seeds) => {
                seeds.iter().map(|seed| Generator::manual_seed(*seed)).collect::<Vec<_>>().into()
            }
        }
    }

    fn image(&self) -> PipelineImageInput {
        if let Some(sizes) = &self.images {
            return pictures(sizes).into();
        }
        match (self.tensor, self.array) {
            (Some(shape), _) => values(shape, self.low).into(),
            (None, shape) => PipelineImageInput::Array(values(shape.unwrap(), self.low)),
        }
    }

    fn mask(&self) -> PipelineImageInput {
        match self.mask_tensor {
            Some(shape) => values(shape, 0.0).into(),
            None => self.masks.iter().map(|mask| blob(*mask)).collect::<Vec<_>>().into(),
        }
    }
}

/// Pictures of the given sizes; every second one is mirrored, so that they differ.
fn pictures(sizes: &[[u32; 2]]) -> Vec<DynamicImage> {
    let made = sizes.iter().map(|size| picture("RGB", *size)).enumerate();
    made.map(|(index, image)| if index % 2 == 1 { image.fliph() } else { image }).collect()
}

/// The arguments that all calls have, of a call of type `$arguments`.
macro_rules! arguments {
    ($arguments:ident, $call:expr, $callback:expr, { $($own:tt)* }) => {{
        let (call, default): (&Call, $arguments) = ($call, $arguments::default());
        $arguments {
            prompt: call.prompt.clone(),
            negative_prompt: call.negative_prompt.clone(),
            num_inference_steps: call.num_inference_steps,
            guidance_scale: call.guidance_scale.unwrap_or(default.guidance_scale),
            num_images_per_prompt: call.num_images_per_prompt.unwrap_or(1),
            eta: call.eta.unwrap_or(0.0),
            clip_skip: call.clip_skip,
            generator: Some(call.generator()),
            output_type: OutputType::Array,
            callback_on_step_end: Some($callback),
            $($own)*
            ..default
        }
    }};
}

fn image_to_image(call: &Call, callback: StepCallback) -> PipelineArguments {
    arguments!(ImageToImage, call, callback, {
        image: call.image(),
        strength: call.strength.unwrap_or(0.8),
        timesteps: call.timesteps.clone(),
        sigmas: call.sigmas.clone(),
    })
    .into()
}

fn inpaint(call: &Call, callback: StepCallback) -> PipelineArguments {
    let mut arguments = arguments!(Inpaint, call, callback, {
        image: call.image(),
        mask_image: call.mask(),
        masked_image_latents: call.masked_latents.map(|shape| values(shape, -1.5)),
        latents: call.latents.map(|shape| values(shape, -1.7)),
        height: call.height,
        width: call.width,
        padding_mask_crop: call.padding_mask_crop,
        strength: call.strength.unwrap_or(1.0),
    });
    if arguments.padding_mask_crop.is_some() {
        arguments.output_type = OutputType::Image;
    }
    arguments.into()
}

fn upscale(call: &Call, callback: StepCallback) -> PipelineArguments {
    arguments!(Upscale, call, callback, {
        image: call.image(),
        noise_level: call.noise_level.unwrap_or(20),
        latents: call.latents.map(|shape| values(shape, -1.7)),
    })
    .into()
}

fn edit(call: &Call, callback: StepCallback) -> PipelineArguments {
    arguments!(InstructPix2Pix, call, callback, {
        image: call.image(),
        image_guidance_scale: call.image_guidance_scale.unwrap_or(1.5),
        latents: call.latents.map(|shape| values(shape, -1.7)),
    })
    .into()
}

/// `[batch, height, width, channels]`, as it is recorded.
fn every_fourth_pixel(image: Tensor<4>) -> Tensor<4> {
    let [_, height, width, _] = image.dims();
    let every_fourth = |size: usize| {
        let indices: Vec<i64> = (0..size as i64).step_by(4).collect();
        Tensor::<1, Int>::from_data(indices.as_slice(), &Device::flex())
    };
    image.select(1, every_fourth(height)).select(2, every_fourth(width))
}

/// The images as they are recorded: of files the bytes divided by 255.
fn to_array(images: Images) -> Tensor<4> {
    let Images::Image(images) = images else { return images.into_tensor().unwrap() };
    let arrays = images.iter().map(|image| {
        let values: Vec<f32> =
            image.as_rgb8().unwrap().as_raw().iter().map(|byte| f32::from(*byte) / 255.0).collect();
        let shape = [1, image.height() as usize, image.width() as usize, 3];
        Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape(shape)
    });
    Tensor::cat(arrays.collect(), 0)
}

fn check(
    name: &str,
    pipeline: impl Into<DiffusionPipeline>,
    arguments: fn(&Call, StepCallback) -> PipelineArguments,
) {
    let mut pipeline = pipeline.into();
    pipeline.set_progress_bar(false);
    let own = pipeline.scheduler().clone_box();
    let folder = fixtures().join("image_to_image");
    let calls: Vec<Call> = json(&folder.join(format!("{name}.json")));
    let outputs = Recorded::open(&folder.join(format!("{name}.safetensors")));
    assert!(calls.len() >= 3);

    for (index, call) in calls.into_iter().enumerate() {
        pipeline.set_scheduler(match &call.scheduler {
            Some(class_name) => scheduler_from_config(class_name, own.config()).unwrap(),
            None => own.clone(),
        });
        let what = format!("{name} call {index} {:?}", call.scheduler);
        let steps: Arc<Mutex<Vec<Tensor<4>>>> = Arc::default();
        let seen = steps.clone();
        let callback: StepCallback = Box::new(move |step| {
            seen.lock().unwrap().push(step.latents.clone());
            ControlFlow::Continue(step.latents)
        });
        let made =
            pipeline.call(arguments(&call, callback)).unwrap_or_else(|error| panic!("{what}: {error}"));

        let steps = steps.lock().unwrap();
        let latents = outputs.floats::<5>(&format!("{index}.latents"));
        let scale = latents.clone().abs().max().into_scalar::<f32>().max(1.0);
        let ends = Tensor::stack(vec![steps[0].clone(), steps[steps.len() - 1].clone()], 0);
        assert_close(&format!("{what}, latents"), ends, latents, TOLERANCE * scale);
        // Where bytes are recorded, one may be rounded the other way.
        let tolerance = if call.padding_mask_crop.is_some() { 1.0 / 255.0 + 1e-6 } else { TOLERANCE };
        let image = every_fourth_pixel(to_array(made.images));
        assert_close(&what, image, outputs.floats(&format!("{index}.image")), tolerance);
    }
}

fn sd1() -> StableDiffusionPipeline {
    load(&fixtures().join("pipelines/sd1"))
}

fn load<P: Pipeline>(folder: &Path) -> P {
    let mut pipeline = P::from_pretrained(folder.to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

/// The parts of sd1 with a UNet that takes more channels.
fn with_unet(name: &str) -> StableDiffusionComponents {
    let folder = fixtures().join("image_to_image").join(name);
    let unet = UNet2DConditionModel::from_pretrained(folder.to_str().unwrap()).unwrap();
    StableDiffusionComponents { unet, ..(*sd1()).clone() }
}

fn low_res_scheduler() -> DDPMScheduler {
    let folder = fixtures().join("image_to_image/low_res_scheduler");
    DDPMScheduler::from_pretrained(folder.to_str().unwrap()).unwrap()
}

#[test]
fn images_become_other_images_as_in_python() {
    check("img2img", StableDiffusionImg2ImgPipeline::from_pipe(&sd1()).unwrap(), image_to_image);
}

#[test]
fn the_embedded_model_changes_images_as_in_python() {
    let folder = repository().join("models/emoji-diffusion");
    check("embedded", load::<StableDiffusionImg2ImgPipeline>(&folder), image_to_image);
}

#[test]
fn masked_parts_are_made_anew_as_in_python() {
    check("inpaint", StableDiffusionInpaintPipeline::from_pipe(&sd1()).unwrap(), inpaint);
}

#[test]
fn a_model_that_is_given_the_mask_inpaints_as_in_python() {
    check("inpaint9", StableDiffusionInpaintPipeline::new(with_unet("unet9")).unwrap(), inpaint);
}

#[test]
fn images_are_edited_as_in_python() {
    let pipeline = StableDiffusionInstructPix2PixPipeline::new(with_unet("unet8")).unwrap();
    check("instruct_pix2pix", pipeline, edit);
}

#[test]
fn images_are_enlarged_as_in_python() {
    let pipeline = StableDiffusionUpscalePipeline::new(with_unet("unet7"), low_res_scheduler()).unwrap();
    check("upscale", pipeline, upscale);
}
