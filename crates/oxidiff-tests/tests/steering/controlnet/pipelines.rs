//! The pipelines, seed for seed.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use oxidiff::{
    DType, DiffusionPipeline, Model, Pipeline, StableDiffusionComponents,
    StableDiffusionControlNetImg2ImgPipeline, StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline, StepCallback, Tensor, UNet2DConditionModel, scheduler_from_config,
};
use safetensors::tensor::TensorView;

use super::calls::Call;
use super::{change, components, load, recorded};
use crate::fixture::compared_pipelines::as_recorded;
use crate::fixture::pictures::values;
use crate::fixture::stable_diffusion_xl::every_fourth_pixel;
use crate::fixture::{Recorded, assert_close, json};

const TOLERANCE: f32 = 1e-3;

/// Makes the recorded calls with the pipeline that `new` makes of the parts and the ControlNets of a call.
fn compare(name: &str, new: impl Fn(StableDiffusionComponents, &Call) -> oxidiff::Result<DiffusionPipeline>) {
    let parts = components();
    let masked = with_mask_channels(&parts.unet);
    compare_calls(name, "calls.safetensors", |call| {
        let mut parts = parts.clone();
        if call.unet9 {
            parts.unet = masked.clone();
        }
        new(parts, call)
    });
}

/// Makes the recorded calls with the pipeline that `new` makes for each.
pub fn compare_calls(name: &str, outputs: &str, new: impl Fn(&Call) -> oxidiff::Result<DiffusionPipeline>) {
    let calls: Vec<Call> = json(&recorded(&format!("{name}.json")));
    let outputs = Recorded::open(&recorded(outputs));
    assert!(calls.len() >= 4);
    for (index, call) in calls.into_iter().enumerate() {
        let what = format!("{name} call {index}");
        let mut pipeline = new(&call).unwrap_or_else(|error| panic!("{what}: {error}"));
        pipeline.set_progress_bar(false);
        let own = pipeline.scheduler().config();
        pipeline.set_scheduler(scheduler_from_config(&call.scheduler, own).unwrap());
        let last: Arc<Mutex<Option<Tensor<4>>>> = Arc::default();
        let seen = last.clone();
        let callback: StepCallback = Box::new(move |step| {
            *seen.lock().unwrap() = Some(step.latents.clone());
            ControlFlow::Continue(step.latents)
        });
        let request = call.request().with("callback_on_step_end", callback);
        let made = pipeline.call(request).unwrap_or_else(|error| panic!("{what}: {error}"));

        let key = format!("{name}.{index}.latents");
        if outputs.has(&key) {
            let latents = outputs.floats::<4>(&key);
            let scale = latents.clone().abs().max().into_scalar::<f32>().max(1.0);
            let ours = last.lock().unwrap().take().unwrap();
            assert_close(&format!("{what}, latents"), ours, latents, TOLERANCE * scale);
        }
        // If bytes are recorded, one may be rounded the other way.
        let tolerance = if call.padding_mask_crop.is_some() { 1.0 / 255.0 + 1e-6 } else { TOLERANCE };
        let expected = outputs.floats(&format!("{name}.{index}.image"));
        assert_close(&what, as_recorded(made.images), expected, tolerance);
    }
}

/// A UNet with the same further channels that the script adds.
pub fn with_mask_channels(unet: &UNet2DConditionModel) -> UNet2DConditionModel {
    let folder = tempfile::tempdir().unwrap();
    unet.save_pretrained(folder.path()).unwrap();
    change(folder.path(), "in_channels", 9.into());
    let file = folder.path().join("diffusion_pytorch_model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let stored = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    const KEY: &str = "conv_in.weight";
    let weight = Recorded::open(&file).floats::<4>(KEY);
    let weight = Tensor::cat(vec![weight.clone(), values([weight.dims()[0], 5, 3, 3], -1.0)], 1);
    let shape = weight.dims().to_vec();
    let data: Vec<u8> = weight.into_data().iter::<f32>().flat_map(f32::to_le_bytes).collect();
    let others = stored.tensors().into_iter().filter(|(key, _)| key != KEY);
    let widened = TensorView::new(safetensors::Dtype::F32, shape, &data).unwrap();
    let all = others.chain([(KEY.to_owned(), widened)]);
    let written = safetensors::serialize(all, None).unwrap();
    std::fs::write(&file, written).unwrap();
    let made: UNet2DConditionModel = load(folder.path());
    assert_eq!(made.dtype(), DType::F32);
    made
}

#[test]
fn images_follow_others_as_in_python() {
    compare("text2img", |parts, call| {
        Ok(StableDiffusionControlNetPipeline::new(parts, call.controlnet())?.into())
    });
}

#[test]
fn images_become_others_that_follow_a_third_as_in_python() {
    compare("img2img", |parts, call| {
        Ok(StableDiffusionControlNetImg2ImgPipeline::new(parts, call.controlnet())?.into())
    });
}

#[test]
fn masked_parts_follow_others_as_in_python() {
    compare("inpaint", |parts, call| {
        Ok(StableDiffusionControlNetInpaintPipeline::new(parts, call.controlnet())?.into())
    });
}

/// With typed arguments.
#[test]
fn a_part_of_the_steps_is_controlled() {
    use oxidiff::{ControlNetTextToImage, DDIMScheduler, Generator, OutputType, Scheduler};
    let call: Call = json::<Vec<Call>>(&recorded("text2img.json")).remove(0);
    let mut pipeline = StableDiffusionControlNetPipeline::new(components(), call.controlnet()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline.set_scheduler(DDIMScheduler::from_config(pipeline.scheduler().config()).unwrap());
    let mut make = |scale: f64, [start, end]: [f64; 2]| {
        let arguments = ControlNetTextToImage {
            controlnet_conditioning_scale: scale.into(),
            control_guidance_start: start.into(),
            control_guidance_end: end.into(),
            num_inference_steps: 2,
            generator: Some(Generator::manual_seed(1).into()),
            output_type: OutputType::Array,
            ..ControlNetTextToImage::new("dog", call.control())
        };
        every_fourth_pixel(pipeline.call(arguments).unwrap().images.into_tensor().unwrap())
    };
    let (none, all) = (make(0.0, [0.0, 1.0]), make(1.0, [0.0, 1.0]));
    // The first of two steps ends after half of the run.
    let (without, first) = (make(1.0, [0.1, 0.9]), make(1.0, [0.0, 0.5]));
    assert_close("no step", without, none.clone(), 0.0);
    let difference =
        |one: Tensor<4>, other: &Tensor<4>| -> f32 { (one - other.clone()).abs().max().into_scalar() };
    assert!(difference(first.clone(), &none) > 1e-3);
    assert!(difference(first, &all) > 1e-3);
}
