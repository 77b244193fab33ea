//! Compares whole generations with Python diffusers, seed for seed: images are at most 1e-3 apart.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use oxidiff::{
    Generator, Generators, OutputType, Pipeline, StableDiffusionPipeline, Tensor, TextToImage,
    scheduler_from_config,
};
use serde::Deserialize;

use crate::fixture::{Recorded, assert_close, every_third_pixel, fixtures, json, repository};

const TOLERANCE: f32 = 1e-3;

#[derive(Clone, Deserialize)]
struct Call {
    scheduler: Option<String>,
    prompt: Vec<String>,
    #[serde(default)]
    negative_prompt: Vec<String>,
    num_inference_steps: usize,
    seed: Seed,
    guidance_scale: Option<f64>,
    guidance_rescale: Option<f64>,
    height: Option<usize>,
    width: Option<usize>,
    num_images_per_prompt: Option<usize>,
    clip_skip: Option<usize>,
    eta: Option<f64>,
    sigmas: Option<Vec<f32>>,
    timesteps: Option<Vec<f32>>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Seed {
    One(u64),
    PerItem(Vec<u64>),
}

impl From<Call> for TextToImage {
    fn from(call: Call) -> Self {
        let default = TextToImage::default();
        TextToImage {
            prompt: call.prompt,
            negative_prompt: call.negative_prompt,
            num_inference_steps: call.num_inference_steps,
            guidance_scale: call.guidance_scale.unwrap_or(default.guidance_scale),
            guidance_rescale: call.guidance_rescale.unwrap_or(default.guidance_rescale),
            height: call.height,
            width: call.width,
            num_images_per_prompt: call.num_images_per_prompt.unwrap_or(1),
            clip_skip: call.clip_skip,
            eta: call.eta.unwrap_or(0.0),
            sigmas: call.sigmas,
            timesteps: call.timesteps,
            generator: Some(match call.seed {
                Seed::One(seed) => Generators::One(Generator::manual_seed(seed)),
                Seed::PerItem(seeds) => {
                    Generators::PerItem(seeds.into_iter().map(Generator::manual_seed).collect())
                }
            }),
            output_type: OutputType::Array,
            ..default
        }
    }
}

fn check(checkpoint: &Path, recorded: &Path) {
    let mut pipeline = StableDiffusionPipeline::from_pretrained(checkpoint.to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    let own = pipeline.scheduler.clone();
    let calls: Vec<Call> = json(&recorded.join("calls.json"));
    let outputs = Recorded::open(&recorded.join("calls.safetensors"));
    assert!(calls.len() > 5, "{} calls", calls.len());

    for (index, call) in calls.into_iter().enumerate() {
        pipeline.scheduler = match &call.scheduler {
            Some(class_name) => scheduler_from_config(class_name, own.config()).unwrap(),
            None => own.clone(),
        };
        let what = format!("{} call {index} {:?}", checkpoint.file_name().unwrap().display(), call.scheduler);
        let steps: Arc<Mutex<Vec<Tensor<4>>>> = Arc::default();
        let seen = steps.clone();
        let mut arguments = TextToImage::from(call);
        arguments.callback_on_step_end = Some(Box::new(move |step| {
            seen.lock().unwrap().push(step.latents.clone());
            ControlFlow::Continue(step.latents)
        }));
        let made = pipeline.call(arguments).unwrap_or_else(|error| panic!("{what}: {error}"));

        let steps = steps.lock().unwrap();
        let latents = outputs.floats::<5>(&format!("{index}.latents"));
        let scale = latents.clone().abs().max().into_scalar::<f32>().max(1.0);
        let ends = Tensor::stack(vec![steps[0].clone(), steps[steps.len() - 1].clone()], 0);
        assert_close(&format!("{what}, latents"), ends, latents, TOLERANCE * scale);
        let image = every_third_pixel(made.images.into_tensor().unwrap());
        assert_close(&what, image, outputs.floats(&format!("{index}.image")), TOLERANCE);
    }
}

#[test]
fn sd1_images_are_those_of_python() {
    let folder = fixtures().join("pipelines/sd1");
    check(&folder, &folder);
}

#[test]
fn sd2_images_are_those_of_python() {
    let folder = fixtures().join("pipelines/sd2");
    check(&folder, &folder);
}

#[test]
fn embedded_model_images_are_those_of_python() {
    check(&repository().join("models/emoji-diffusion"), &fixtures().join("pipelines/emoji"));
}
