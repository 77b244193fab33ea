//! Checkpoints of Stable Diffusion XL in one file: the pipelines that Python makes of them.

use std::path::Path;

use crate::fixture::stable_diffusion_xl::{calls, checkpoint, every_fourth_pixel};
use crate::fixture::{assert_close, fixtures, json, original_layout, true_size};
use oxidiff::{
    DType, DiffusionPipeline, Error, HubOptions, Images, Model, Pipeline, SingleFileOptions,
    StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline, UNet2DConditionModel,
};
use serde::Deserialize;

fn options(config: &Path) -> SingleFileOptions {
    SingleFileOptions { config: Some(config.to_str().unwrap().to_owned()), ..Default::default() }
}

/// No hub: a fetch would be an error.
fn offline() -> SingleFileOptions {
    let hub = HubOptions {
        endpoint: Some("http://127.0.0.1:9".into()),
        cache_dir: Some(std::env::temp_dir().join("oxidiff-no-cache")),
        max_retries: 0,
        ..Default::default()
    };
    SingleFileOptions { dtype: DType::F16, hub, ..Default::default() }
}

/// The pipeline of a checkpoint in one file makes the image that was recorded under the name of a call.
fn compare(name: &str, class_name: &str, recording: &str, call: &str) {
    let folder = checkpoint(name);
    let file = folder.path().join("whole.safetensors");
    original_layout::write(&original_layout::of_xl(name, folder.path()), &file);
    let mut pipeline =
        DiffusionPipeline::from_single_file(file.to_str().unwrap(), &options(folder.path())).unwrap();
    assert_eq!(pipeline.class_name(), class_name);
    pipeline.set_progress_bar(false);
    let (calls, recorded) = calls(recording);
    let call = calls.iter().find(|recorded| recorded.name == call).unwrap();
    let Images::Array(image) = pipeline.call(call.request()).unwrap().images else { panic!("no array") };
    let expected = recorded.floats(&format!("{}.output", call.name));
    assert_close(name, every_fourth_pixel(image), expected, 1e-3);
}

#[test]
fn the_base_model_loads_from_a_single_file() {
    compare("base", "StableDiffusionXLPipeline", "text2img", "default");
}

#[test]
fn the_refiner_loads_from_a_single_file() {
    compare("refiner", "StableDiffusionXLImg2ImgPipeline", "img2img", "refiner");
}

#[test]
fn a_missing_part_is_named() {
    let folder = checkpoint("base");
    let file = folder.path().join("part.safetensors");
    for (prefix, class) in [
        ("model.diffusion_model.", "UNet2DConditionModel"),
        ("first_stage_model.", "AutoencoderKL"),
        ("conditioner.embedders.0.", "CLIPTextModel"),
        ("conditioner.embedders.1.model.text_projection", "text_projection"),
    ] {
        let mut tensors = original_layout::of_xl("base", folder.path());
        tensors.retain(|key, _| !key.starts_with(prefix));
        original_layout::write(&tensors, &file);
        let error =
            StableDiffusionXLPipeline::from_single_file(file.to_str().unwrap(), &options(folder.path()))
                .unwrap_err();
        let message = error.to_string();
        assert!(message.contains(class) && message.contains("part.safetensors"), "{message}");
    }
}

/// What transformers' tokenizers make of a text.
#[derive(Deserialize)]
struct Tokens {
    text: String,
    tokenizer: Vec<u32>,
    tokenizer_2: Vec<u32>,
}

#[test]
fn the_base_model_of_true_size_loads_without_a_hub() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("xl.safetensors");
    true_size::write("xl", &file, |_| false);
    let path = file.to_str().unwrap();
    let pipeline = StableDiffusionXLPipeline::from_single_file(path, &offline()).unwrap();
    assert_eq!(pipeline.scheduler().config().class_name(), Some("EulerDiscreteScheduler"));
    assert_eq!(pipeline.scheduler().config().get("timestep_spacing").unwrap(), "leading");
    let second = pipeline.text_encoder_2.as_ref().unwrap();
    assert_eq!(second.config().hidden_size, 1280);

    // The tokenizers are those of the hub.
    let recorded: Vec<Tokens> = json(&fixtures().join("true_size/tokens.json"));
    assert!(recorded.len() > 5);
    for Tokens { text, tokenizer, tokenizer_2 } in recorded {
        for (ours, expected) in [(&pipeline.tokenizer, tokenizer), (&pipeline.tokenizer_2, tokenizer_2)] {
            let ours = ours.as_ref().unwrap().tokenize(&[&text], 77).unwrap().input_ids;
            assert_eq!(ours, [expected], "{text:?}");
        }
    }

    // A file of the UNet alone, too.
    true_size::write("xl", &file, |key| !key.starts_with("model.diffusion_model."));
    let unet = UNet2DConditionModel::from_single_file(path, &offline()).unwrap();
    assert_eq!(unet.config().cross_attention_dim, pipeline.unet.config().cross_attention_dim);
}

/// Distilled models come as a UNet in the layout of diffusers, which goes into a pipeline.
#[test]
fn a_unet_alone_replaces_that_of_a_pipeline() {
    let folder = checkpoint("base");
    let file = folder.path().join("unet/diffusion_pytorch_model.safetensors");
    let options = SingleFileOptions { subfolder: Some("unet".into()), ..options(folder.path()) };
    let unet = UNet2DConditionModel::from_single_file(file.to_str().unwrap(), &options).unwrap();
    let usual = UNet2DConditionModel::from_pretrained(folder.path().join("unet").to_str().unwrap()).unwrap();
    let mut pipeline = StableDiffusionXLPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    pipeline.unet = unet;
    assert_eq!(pipeline.unet.config().in_channels, usual.config().in_channels);
}

#[test]
fn the_refiner_of_true_size_loads_without_a_hub() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("refiner.safetensors");
    true_size::write("xl_refiner", &file, |_| false);
    let path = file.to_str().unwrap();
    let refiner = StableDiffusionXLImg2ImgPipeline::from_single_file(path, &offline()).unwrap();
    assert!(refiner.text_encoder.is_none() && refiner.tokenizer.is_none());
    assert!(refiner.text_encoder_2.is_some() && refiner.tokenizer_2.is_some());
    let loaded = DiffusionPipeline::from_single_file(path, &offline()).unwrap();
    assert_eq!(loaded.class_name(), "StableDiffusionXLImg2ImgPipeline");

    // Without its text encoder, the UNet still tells what it is.
    true_size::write("xl_refiner", &file, |key| key.starts_with("conditioner."));
    let error = DiffusionPipeline::from_single_file(path, &offline()).unwrap_err();
    assert!(matches!(error, Error::Weights { .. }), "{error}");
    assert!(error.to_string().contains("CLIPTextModelWithProjection"), "{error}");
}
