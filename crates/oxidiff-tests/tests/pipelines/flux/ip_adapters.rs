//! IP-Adapters, against what generate_flux_ip_adapter.py recorded.

use std::path::PathBuf;

use oxidiff::{
    Device, DiffusionPipeline, FluxComponents, FluxControlNetPipeline, FluxControlSamples,
    FluxImg2ImgPipeline, FluxInpaintPipeline, FluxInputs, FluxKontextInpaintPipeline, FluxKontextPipeline,
    FluxPipeline, FluxTextToImage, IpAdapterImages, IpAdapterLoader, IpAdapterOptions, Pipeline, Request,
    Tensor,
};

use super::models::controlnet;
use super::{checkpoint, error, expect, load, text_to_image};
use crate::fixture::pictures::{picture, values};
use crate::fixture::recorded_calls::compare_calls;
use crate::fixture::{Recorded, assert_close, fixtures};

const TOLERANCE: f32 = 1e-4;

fn recorded(name: &str) -> PathBuf {
    fixtures().join("flux_ip_adapter").join(name)
}

/// Loads adapters by their names in the script, with an image encoder of its own.
fn load_adapters(loader: &mut dyn IpAdapterLoader, names: &[&str]) -> oxidiff::Result<()> {
    let encoder = fixtures().join("ip_adapter/models/image_encoder");
    let options = |name: &&str| IpAdapterOptions {
        weight_name: Some(if *name == "xlabs" { "xlabs.safetensors" } else { "renamed.bin" }.to_owned()),
        image_encoder_folder: Some(encoder.to_str().unwrap().to_owned()),
        ..Default::default()
    };
    let folder = recorded("");
    let adapters: Vec<_> = names.iter().map(|name| (folder.to_str().unwrap(), options(name))).collect();
    loader.load_ip_adapters(&adapters)
}

/// Makes the calls of a file with adapters.
fn compare(file: &str, least: usize, make: impl Fn(FluxComponents) -> oxidiff::Result<DiffusionPipeline>) {
    let plain = text_to_image();
    compare_calls(&recorded(""), file, least, |call| {
        let mut pipeline = make((*plain).clone()).unwrap();
        let loader = pipeline.ip_adapter_loader().expect("the pipeline takes pictures");
        let names: Vec<&str> = call.ip_adapter.iter().map(String::as_str).collect();
        load_adapters(loader, &names).unwrap();
        if let Some(scales) = call.ip_adapter_scales() {
            loader.set_ip_adapter_scale(&scales).unwrap();
        }
        pipeline
    });
}

#[test]
fn pictures_are_prompts_as_in_python() {
    compare("text2img", 12, |components| Ok(FluxPipeline::new(components)?.into()));
}

#[test]
fn other_pipelines_take_pictures_as_in_python() {
    compare("img2img", 1, |components| Ok(FluxImg2ImgPipeline::new(components)?.into()));
    compare("inpaint", 1, |components| Ok(FluxInpaintPipeline::new(components)?.into()));
    compare("kontext", 1, |components| Ok(FluxKontextPipeline::new(components)?.into()));
    compare("kontext_inpaint", 1, |components| Ok(FluxKontextInpaintPipeline::new(components)?.into()));
    compare("controlnet", 1, |components| {
        Ok(FluxControlNetPipeline::new(components, controlnet("edges"))?.into())
    });
}

#[test]
fn image_projections_and_blocks_compute_what_python_does() {
    let mut pipeline = text_to_image();
    load_adapters(pipeline.ip_adapter_loader().unwrap(), &["xlabs", "renamed"]).unwrap();
    let expected = Recorded::open(&recorded("models.safetensors"));
    let embeds =
        [values([1, 2, 1, 8], -1.0).reshape([2, 1, 1, 8]), values([1, 2, 3, 8], -0.7).reshape([2, 3, 1, 8])];
    let tokens = pipeline.transformer.image_tokens(embeds.to_vec()).unwrap();
    for (index, tokens) in tokens.iter().enumerate() {
        assert_close("tokens", tokens.clone(), expected.floats(&format!("tokens.{index}")), TOLERANCE);
    }
    let device = Device::flex();
    let strengths = Tensor::<1>::from_floats([1.0, 0.6], &device).reshape([2, 1, 1]);
    let places: Vec<[f32; 3]> =
        (0..6).map(|index| [1.0, f32::from(index / 2_u8), f32::from(index % 2)]).collect();
    let inputs = FluxInputs {
        hidden_states: values([1, 2, 6, 16], -1.2).reshape([2, 6, 16]),
        encoder_hidden_states: values([1, 2, 7, 24], -1.0).reshape([2, 7, 24]) * strengths,
        pooled_projections: values([1, 1, 2, 12], -1.1).reshape([2, 12]),
        timestep: &[0.7],
        img_ids: &places,
        txt_ids: &[[0.0; 3]; 7],
        guidance: Some(&[3.5]),
    };
    let control = FluxControlSamples::default();
    let made = pipeline.transformer.forward_with_pictures(&inputs, &control, &tokens).unwrap();
    assert_close("sample", made, expected.floats("sample"), TOLERANCE);
    let without = pipeline.transformer.forward(&inputs);
    expect(&error(without), &["ip_hidden_states", "0 IP-Adapters", "has 2"]);
    let others = [tokens[0].clone(), tokens[1].clone().narrow(0, 0, 1)];
    let few = pipeline.transformer.forward_with_pictures(&inputs, &control, &others);
    expect(&error(few), &["ip_hidden_states", "[1, 3, 4, 24]", "2 items"]);
}

#[test]
fn adapters_leave_no_trace_and_their_image_encoder_is_saved() {
    let mut pipeline = text_to_image();
    load_adapters(pipeline.ip_adapter_loader().unwrap(), &["xlabs"]).unwrap();
    let embeds = pipeline.prepare_ip_adapter_image_embeds(picture("RGB", [40, 30]).into(), 2, false).unwrap();
    assert_eq!(embeds.tensors()[0].dims(), [2, 1, 1, 8]);
    let folder = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(folder.path()).unwrap();
    let again = load::<FluxPipeline>(folder.path()).unwrap();
    assert!(again.image_encoder.is_some() && again.feature_extractor.is_some());
    let img2img = FluxImg2ImgPipeline::from_pipe(&pipeline).unwrap();
    assert!(img2img.image_encoder.is_some());
    pipeline.unload_ip_adapter();
    assert!(pipeline.image_encoder.is_none() && pipeline.feature_extractor.is_none());
    pipeline.set_progress_bar(false);
    let small = |image: IpAdapterImages| FluxTextToImage {
        height: Some(16),
        width: Some(16),
        num_inference_steps: 1,
        max_sequence_length: 4,
        ip_adapter_image: image,
        ..FluxTextToImage::new("a")
    };
    pipeline.call(small(IpAdapterImages::default())).unwrap();
    let shown = pipeline.call(small(picture("RGB", [8, 8]).into()));
    expect(&error(shown), &["ip_adapter_image", "load_ip_adapter"]);
}

#[test]
fn pictures_that_do_not_fit_are_refused() {
    let mut pipeline = text_to_image();
    pipeline.set_progress_bar(false);
    load_adapters(pipeline.ip_adapter_loader().unwrap(), &["xlabs"]).unwrap();
    let mut pipeline: DiffusionPipeline = pipeline.into();
    let mut refused = |changes: &dyn Fn(Request) -> Request| {
        let request = Request::new("a").with("height", 16).with("width", 16).with("num_inference_steps", 1);
        error(pipeline.call(changes(request)))
    };
    let shown = || picture("RGB", [8, 8]);
    expect(&refused(&|request| request), &["ip_adapter_image", "must be given", "1 IP-Adapter"]);
    let embeds = |shape: [usize; 3]| {
        oxidiff::Argument::List(vec![values([1, shape[0], shape[1], shape[2]], 0.0).reshape(shape).into()])
    };
    let both = |request: Request| {
        request.with("ip_adapter_image", shown()).with("ip_adapter_image_embeds", embeds([1, 1, 8]))
    };
    expect(&refused(&both), &["ip_adapter_image", "cannot be combined"]);
    let copies = |request: Request| request.with("ip_adapter_image_embeds", embeds([3, 1, 8]));
    expect(&refused(&copies), &["ip_adapter_image_embeds", "[3, 1, 1, 8]", "1 or 1"]);
    let long = |request: Request| request.with("ip_adapter_image_embeds", embeds([1, 1, 9]));
    expect(&refused(&long), &["[1, 1, 1, 9]", "[1, 1, 1, 8]"]);
    let masks =
        |request: Request| request.with("ip_adapter_image", shown()).with("ip_adapter_masks", vec![shown()]);
    expect(&refused(&masks), &["ip_adapter_masks", "FluxPipeline"]);

    let loader = pipeline.ip_adapter_loader().unwrap();
    let scale = loader.set_ip_adapter_scale(&[vec![0.5; 3].into()]);
    expect(&error(scale), &["ip_adapter_scale", "3 numbers", "2 blocks"]);
    let blocks = oxidiff::IpAdapterScale::from_json(&serde_json::json!({"up": 0.5})).unwrap();
    expect(&error(loader.set_ip_adapter_scale(&[blocks])), &["ip_adapter_scale", "list of numbers"]);
    expect(&error(loader.set_ip_adapter_scale(&[f64::NAN.into()])), &["ip_adapter_scale", "NaN"]);
    expect(
        &error(loader.set_ip_adapter_scale(&[0.5.into(), 0.5.into(), 0.5.into()])),
        &["3 scales", "1 IP-Adapter"],
    );
    let guided = loader.prepare_ip_adapter_image_embeds(shown().into(), 1, true);
    expect(&error(guided), &["do_classifier_free_guidance", "negative_ip_adapter_image"]);
    expect(&error(loader.encode_image(&shown().into())), &["hidden states"]);
}

#[test]
fn adapters_for_other_models_are_refused() {
    let mut pipeline = text_to_image();
    let mut refused = |file: PathBuf| {
        let options = IpAdapterOptions { image_encoder_folder: None, ..Default::default() };
        error(pipeline.load_ip_adapter(file.to_str().unwrap(), &options))
    };
    let of_unet = refused(fixtures().join("ip_adapter/models/ip-adapter_sd15.safetensors"));
    expect(&of_unet, &["ip-adapter_sd15.safetensors", "made for another model"]);
    let plus = refused(fixtures().join("ip_adapter/models/ip-adapter-plus_sd15.safetensors"));
    expect(&plus, &["ip-adapter-plus_sd15.safetensors", "linear layer"]);
    let weights = refused(fixtures().join("flux_ip_adapter/models.safetensors"));
    expect(&weights, &["models.safetensors", "ip_adapter_proj_model"]);
    // A transformer of other widths.
    let folder = checkpoint();
    let mut other = load::<FluxPipeline>(folder.path()).unwrap();
    other.transformer = super::models::transformer("other");
    let wide = load_adapters(&mut *other, &["xlabs"]);
    expect(&error(wide), &["xlabs.safetensors", "2 blocks", "has 3"]);
    other.transformer = super::models::transformer("schnell");
    expect(&error(load_adapters(&mut *other, &["renamed"])), &["renamed.bin", "has 1"]);
}
