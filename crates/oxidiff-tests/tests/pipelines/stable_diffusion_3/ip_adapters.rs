//! The IP-Adapter, against what generate_stable_diffusion_3_ip_adapter.py recorded.

use std::path::{Path, PathBuf};

use oxidiff::{
    AUTO_PIPELINES, Argument, AutoPipeline, DiffusionPipeline, IpAdapterLoader, IpAdapterOptions, Pipeline,
    Request, SD3Inputs, SiglipVisionModel, StableDiffusion3ControlNetInpaintingPipeline,
    StableDiffusion3ControlNetPipeline, StableDiffusion3Img2ImgPipeline, StableDiffusion3InpaintPipeline,
    StableDiffusion3Pipeline, Tensor,
};
use tempfile::TempDir;

use super::models::{controlnet, transformer};
use super::{error, expect, load, text_to_image};
use crate::checkpoints::{copy_folder, draw_part};
use crate::fixture::pictures::{picture, values};
use crate::fixture::recorded_calls::compare_calls;
use crate::fixture::{Recorded, assert_close, fixtures};

const TOLERANCE: f32 = 1e-4;
/// The seed of the script.
const ENCODER_SEED: u64 = 51;

fn recorded(name: &str) -> PathBuf {
    fixtures().join("stable_diffusion_3_ip_adapter").join(name)
}

/// The adapter, with its image encoder beside it.
fn adapter() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::copy(recorded("ip-adapter.bin"), path.join("ip-adapter.bin")).unwrap();
    copy_folder(&recorded("image_encoder"), &path.join("image_encoder"));
    draw_part::<SiglipVisionModel>("image_encoder", ENCODER_SEED, path);
    folder
}

fn load_adapter(loader: &mut dyn IpAdapterLoader, folder: &Path) -> oxidiff::Result<()> {
    loader.load_ip_adapter(folder.to_str().unwrap(), &IpAdapterOptions::default())
}

fn compare<P: Pipeline>(file: &str, least: usize) {
    let folder = adapter();
    let plain: DiffusionPipeline = text_to_image().into();
    compare_calls(&recorded(""), file, least, |call| {
        let mut pipeline = match &call.controlnet {
            Some(name) => {
                let task = match P::CLASS_NAME {
                    StableDiffusion3ControlNetPipeline::CLASS_NAME => AUTO_PIPELINES[0],
                    _ => AutoPipeline::find("AutoPipelineForInpainting").unwrap(),
                };
                task.from_pipe_with_controlnet(&plain, controlnet(name)).unwrap()
            }
            None => plain.to_class(P::CLASS_NAME).unwrap(),
        };
        assert_eq!(pipeline.class_name(), P::CLASS_NAME);
        let loader = pipeline.ip_adapter_loader().expect("the pipeline takes pictures");
        load_adapter(loader, folder.path()).unwrap();
        if let Some(scales) = call.ip_adapter_scales() {
            loader.set_ip_adapter_scale(&scales).unwrap();
        }
        pipeline
    });
}

#[test]
fn pictures_are_prompts_as_in_python() {
    compare::<StableDiffusion3Pipeline>("text2img", 9);
}

#[test]
fn other_pipelines_take_pictures_as_in_python() {
    compare::<StableDiffusion3Img2ImgPipeline>("img2img", 1);
    compare::<StableDiffusion3InpaintPipeline>("inpaint", 1);
    compare::<StableDiffusion3ControlNetPipeline>("control", 1);
    compare::<StableDiffusion3ControlNetInpaintingPipeline>("control_inpaint", 1);
}

#[test]
fn the_image_projection_and_the_blocks_compute_what_python_does() {
    let folder = adapter();
    let mut pipeline = text_to_image();
    load_adapter(pipeline.ip_adapter_loader().unwrap(), folder.path()).unwrap();
    let expected = Recorded::open(&recorded("models.safetensors"));
    let tokens = |shape: [usize; 3], low| -> Tensor<3> {
        values([1, shape[0], shape[1], shape[2]], low).reshape(shape)
    };
    let (embeds, timestep) = (tokens([2, 5, 12], -1.0), [731.25, 18.0]);
    let made = pipeline.transformer.image_tokens(embeds.clone(), &timestep).unwrap();
    assert_close("tokens", made, expected.floats("tokens"), TOLERANCE);
    let inputs = SD3Inputs {
        hidden_states: values([2, 16, 4, 10], -1.0),
        encoder_hidden_states: tokens([2, 7, 32], -1.2),
        pooled_projections: values([1, 1, 2, 24], -0.7).reshape([2, 24]),
        timestep: &timestep,
        block_controlnet_hidden_states: &[],
        skip_layers: &[],
    };
    let made = pipeline.transformer.forward_with_picture(&inputs, Some(&embeds)).unwrap();
    assert_close("sample", made, expected.floats("sample"), TOLERANCE);
    let one = pipeline.transformer.forward_with_picture(&inputs, Some(&embeds.clone().narrow(0, 0, 1)));
    expect(&error(one), &["ip_adapter_image_embeds", "[1, 5, 12]", "[2, tokens, 12]"]);
    pipeline.unload_ip_adapter();
    let without = pipeline.transformer.forward_with_picture(&inputs, Some(&embeds));
    expect(&error(without), &["ip_adapter_image_embeds", "no IP-Adapter"]);
}

#[test]
fn pictures_are_embedded_before_a_call_and_the_image_encoder_is_saved() {
    let folder = adapter();
    let mut pipeline = text_to_image();
    load_adapter(pipeline.ip_adapter_loader().unwrap(), folder.path()).unwrap();
    let shown = || picture("RGB", [40, 30]);
    let embeds = pipeline.prepare_ip_adapter_image_embeds(shown().into(), 2, true).unwrap();
    assert_eq!(embeds.tensors()[0].dims(), [4, 1, 16, 12]);
    let [positive, negative] = pipeline.encode_image(&shown().into()).unwrap();
    assert_eq!((positive.dims(), negative.abs().max().into_scalar::<f32>()), ([1, 16, 12], 0.0));
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let again = load::<StableDiffusion3Pipeline>(saved.path()).unwrap();
    assert!(again.image_encoder.is_some() && again.feature_extractor.is_some());
    let other = StableDiffusion3Img2ImgPipeline::from_pipe(&again).unwrap();
    assert!(other.image_encoder.is_some());
    pipeline.unload_ip_adapter();
    assert!(pipeline.image_encoder.is_none() && pipeline.feature_extractor.is_none());
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = adapter();
    let mut pipeline = text_to_image();
    pipeline.set_progress_bar(false);
    let mut pipeline: DiffusionPipeline = pipeline.into();
    let shown = || picture("RGB", [8, 8]);
    let refused = |pipeline: &mut DiffusionPipeline, changes: &dyn Fn(Request) -> Request| {
        let request = Request::new("a").with("height", 16).with("width", 16).with("num_inference_steps", 1);
        error(pipeline.call(changes(request)))
    };
    let picture_alone = |request: Request| request.with("ip_adapter_image", shown());
    expect(&refused(&mut pipeline, &picture_alone), &["ip_adapter_image", "load_ip_adapter"]);
    let loader = pipeline.ip_adapter_loader().unwrap();
    expect(&error(loader.set_ip_adapter_scale(&[0.5.into()])), &["load_ip_adapter"]);

    load_adapter(loader, folder.path()).unwrap();
    expect(&error(loader.set_ip_adapter_scale(&[vec![0.5, 0.5].into()])), &["one number"]);
    expect(&error(loader.set_ip_adapter_scale(&[f64::INFINITY.into()])), &["ip_adapter_scale", "inf"]);
    let embeds = |shape: [usize; 3]| -> Argument {
        values([1, shape[0], shape[1], shape[2]], 0.0).reshape::<3, _>(shape).into()
    };
    let both = |request: Request| {
        request.with("ip_adapter_image", shown()).with("ip_adapter_image_embeds", embeds([2, 16, 12]))
    };
    expect(&refused(&mut pipeline, &both), &["ip_adapter_image", "cannot be combined"]);
    let odd = |request: Request| request.with("ip_adapter_image_embeds", embeds([3, 16, 12]));
    expect(&refused(&mut pipeline, &odd), &["ip_adapter_image_embeds", "2 or 2 for guidance"]);
    let long = |request: Request| request.with("ip_adapter_image_embeds", embeds([2, 16, 13]));
    expect(&refused(&mut pipeline, &long), &["[2, 16, 13]", "[2, tokens, 12]"]);
    let two = |request: Request| request.with("ip_adapter_image", vec![shown(), shown()]);
    expect(&refused(&mut pipeline, &two), &["ip_adapter_image", "one picture", "2"]);

    // Adapters for other models.
    let loader = pipeline.ip_adapter_loader().unwrap();
    let no_encoder = IpAdapterOptions { image_encoder_folder: None, ..Default::default() };
    let mut of_another =
        |file: &str| error(loader.load_ip_adapter(fixtures().join(file).to_str().unwrap(), &no_encoder));
    expect(&of_another("ip_adapter/models/ip-adapter_sd15.safetensors"), &["does not see the time"]);
    expect(&of_another("flux_ip_adapter/xlabs.safetensors"), &["xlabs.safetensors", "not an IP-Adapter"]);
    let path = folder.path().to_str().unwrap();
    let several = loader.load_ip_adapters(&[(path, no_encoder.clone()), (path, no_encoder.clone())]);
    expect(&error(several), &["are 2", "one IP-Adapter"]);
    let mut other = text_to_image();
    other.transformer = transformer("plain");
    expect(&error(other.load_ip_adapter(path, &no_encoder)), &["5 attentions", "has 2"]);
}
