//! Z-Image-Omni: prompts that images are part of.

use std::path::PathBuf;

use oxidiff::image::DynamicImage;
use oxidiff::{
    Argument, Autoencoder, AutoencoderKL, DType, DiffusionPipeline, Generator, Images, LoadOptions,
    LoraLoader, LoraOptions, Model, OutputType, Pipeline, Qwen3Model, Request, Siglip2ImageProcessor,
    Siglip2VisionModel, SingleFileOptions, Tensor, ZImageOmni, ZImageOmniPipeline, ZImageTransformer2DModel,
};
use oxidiff_kernels::QuantisedFormat;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::loading::original;
use super::{error, expect};
use crate::checkpoints::{copy_folder, draw_part, load};
use crate::fixture::gguf::{self, original_z_image};
use crate::fixture::pictures::{picture, values};
use crate::fixture::recorded_calls::compare_calls;
use crate::fixture::{Recorded, assert_close, difference, fixtures};

const TOLERANCE: f32 = 1e-3;

pub fn recorded(name: &str) -> PathBuf {
    fixtures().join("z_image_omni").join(name)
}

fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded("checkpoint"), folder.path());
    draw_part::<ZImageTransformer2DModel>("transformer", 1, folder.path());
    draw_part::<Qwen3Model>("text_encoder", 2, folder.path());
    draw_part::<AutoencoderKL>("vae", 3, folder.path());
    draw_part::<Siglip2VisionModel>("siglip", 4, folder.path());
    folder
}

fn omni() -> ZImageOmniPipeline {
    let mut pipeline = load::<ZImageOmniPipeline>(checkpoint().path()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

fn wide() -> DynamicImage {
    picture("RGB", [96, 64])
}

/// The call `one_image` of the script.
fn one_image() -> ZImageOmni {
    ZImageOmni {
        image: Some(vec![wide()].into()),
        num_inference_steps: 3,
        guidance_scale: 0.0,
        generator: Some(Generator::manual_seed(5).into()),
        output_type: OutputType::Latent,
        ..ZImageOmni::new("a red apple")
    }
}

fn latents(pipeline: &mut ZImageOmniPipeline, arguments: ZImageOmni) -> Tensor<4> {
    match pipeline.call(arguments).unwrap().images {
        Images::Latent(latents) => latents,
        _ => panic!("latents were asked for"),
    }
}

#[test]
fn prompts_and_images_become_the_images_that_python_makes() {
    let plain: DiffusionPipeline = omni().into();
    compare_calls(&recorded(""), "omni", 20, |_| plain.clone());
}

#[test]
fn an_autoencoder_in_bfloat16_encodes_as_in_python() {
    let mut pipeline = omni();
    let vae = checkpoint();
    let vae = AutoencoderKL::from_pretrained(vae.path().join("vae").to_str().unwrap()).unwrap();
    pipeline.vae = Box::new(vae.cast(DType::BF16)) as Box<dyn Autoencoder>;
    let made = latents(&mut pipeline, one_image());
    let expected = Recorded::open(&recorded("calls.safetensors")).floats("half");
    // Sums of bfloat16 are rounded in another order.
    assert_close("half", made, expected, 1e-2);
}

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let mut pipeline = omni();
    let expected = latents(&mut pipeline, one_image());
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    for file in ["model_index.json", "siglip/config.json", "siglip_processor/preprocessor_config.json"] {
        let ours: Value = crate::fixture::json(&saved.path().join(file));
        let theirs: Value = crate::fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            if !field.starts_with("_name") && !field.contains("version") {
                assert_eq!(ours.get(field), Some(value), "{file}: {field}");
            }
        }
    }
    let name = saved.path().to_str().unwrap();
    let again = DiffusionPipeline::from_pretrained(name).unwrap();
    assert_eq!(again.class_name(), "ZImageOmniPipeline");
    let mut again = ZImageOmniPipeline::from_pretrained(name).unwrap();
    again.set_progress_bar(false);
    assert_eq!(difference(latents(&mut again, one_image()), expected), 0.0);
    let auto = oxidiff::AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(auto.class_name(), "ZImageOmniPipeline");
    // It has all that text to image needs.
    let plain = auto.to_class("ZImagePipeline").unwrap();
    assert_eq!(plain.class_name(), "ZImagePipeline");
    expect(&error(plain.to_class("ZImageOmniPipeline")), &["siglip"]);
}

#[test]
fn adapters_change_what_looks_at_images_as_in_python() {
    let expected = Recorded::open(&recorded("lora/outputs.safetensors"));
    let call = || ZImageOmni { height: Some(16), width: Some(48), num_inference_steps: 1, ..one_image() };
    let mut pipeline = omni();
    assert_close("none", latents(&mut pipeline, call()), expected.floats("none"), TOLERANCE);
    let file = recorded("lora/diffusers.safetensors");
    pipeline.load_lora_weights(file.to_str().unwrap(), &LoraOptions::default()).unwrap();
    assert_close("lora", latents(&mut pipeline, call()), expected.floats("diffusers"), TOLERANCE);
    pipeline.fuse_lora(1.0, None).unwrap();
    assert_close("fused", latents(&mut pipeline, call()), expected.floats("diffusers"), TOLERANCE);
}

#[test]
fn a_transformer_that_looks_at_images_may_be_a_single_file_or_quantised() {
    let folder = checkpoint();
    let mut pipeline = omni();
    let expected = latents(&mut pipeline, one_image());
    let options = SingleFileOptions {
        config: Some(folder.path().to_str().unwrap().to_owned()),
        subfolder: Some("transformer".into()),
        ..Default::default()
    };
    let file = original(folder.path(), "model.diffusion_model.");
    let name = file.to_str().unwrap();
    pipeline.transformer = ZImageTransformer2DModel::from_single_file(name, &options).unwrap();
    assert_eq!(difference(latents(&mut pipeline, one_image()), expected.clone()), 0.0);
    // Without a configuration, it is the published one.
    let published = ZImageTransformer2DModel::from_single_file(name, &SingleFileOptions::default());
    expect(&error(published), &["z_image.safetensors", "3840"]);
    let tensors = gguf::tensors(&folder.path().join("transformer/diffusion_pytorch_model.safetensors"));
    // As some converters write it, without dimensions of 1.
    let mut tensors = original_z_image(&tensors);
    for name in ["siglip_pad_token", "cap_pad_token"] {
        tensors.get_mut(name).unwrap().shape = vec![24];
    }
    let file = folder.path().join("transformer.gguf");
    gguf::write(&tensors, QuantisedFormat::Q8_0, &file);
    let weights = [("transformer".to_owned(), file.to_str().unwrap().to_owned())].into();
    let options = LoadOptions { weights, ..Default::default() };
    let name = folder.path().to_str().unwrap();
    let mut quantised = ZImageOmniPipeline::from_pretrained_with(name, &options).unwrap();
    quantised.set_progress_bar(false);
    assert_close("quantised", latents(&mut quantised, one_image()), expected, 0.1);
}

fn request() -> Request {
    Request::new("a red apple").with("height", 32).with("width", 32).with("num_inference_steps", 2)
}

#[test]
fn images_and_embeddings_that_cannot_be_used_are_named() {
    let mut pipeline: DiffusionPipeline = omni().into();
    let mut refused = |call: Request| error(pipeline.call(call));
    expect(&refused(request().with("image", picture("RGB", [63, 80]))), &["`image`", "64 pixels"]);
    expect(&refused(request().with("image", picture("RGB", [64, 520]))), &["`image`", "8 times"]);
    expect(&refused(request().with("image", picture("L", [64, 64]))), &["`image`", "1 channels"]);
    expect(&refused(request().with("image", picture("RGBA", [64, 64]))), &["`image`", "4 channels"]);
    let tensor = oxidiff::PipelineImageInput::Tensor(values([1, 3, 64, 64], 0.0));
    expect(&refused(request().with("image", tensor)), &["`image`", "must be images"]);
    // Resized to as many pixels as the result has.
    let long = request().with("height", 16).with("width", 16).with("image", picture("RGB", [2900, 400]));
    expect(&refused(long), &["`image`", "at least 16"]);
    expect(&refused(request().with("height", 40)), &["`height`", "multiple of 16"]);
    expect(&refused(request().with("strength", 0.5)), &["`strength`"]);
    let flat = Argument::from(vec![values([1, 1, 5, 16], 0.0).reshape::<2, _>([5, 16])]);
    let embeds = Request::default().with("height", 32).with("width", 32).with("guidance_scale", 0.0);
    expect(&refused(embeds.with("prompt_embeds", flat)), &["`prompt_embeds`", "list"]);
    let one_part = || Argument::from(vec![vec![values([1, 1, 5, 16], 0.0).reshape::<2, _>([5, 16])]]);
    let embeds = Request::default().with("height", 32).with("width", 32).with("guidance_scale", 0.0);
    let embeds = embeds.with("image", wide()).with("prompt_embeds", one_part());
    expect(&refused(embeds), &["`prompt_embeds`", "1 parts", "2 are needed"]);
    let embeds = Request::default().with("height", 32).with("width", 32).with("prompt_embeds", one_part());
    expect(&refused(embeds), &["`negative_prompt_embeds`"]);
    let long = request().with("prompt", "a".repeat(300)).with("max_sequence_length", 256);
    expect(&refused(long), &["cap_feats", "positions"]);
}

#[test]
fn a_transformer_that_does_not_look_at_images_takes_prompts_alone() {
    let mut pipeline = omni();
    let config =
        oxidiff::ZImageTransformer2DConfig { siglip_feat_dim: None, ..pipeline.transformer.config().clone() };
    pipeline.transformer = ZImageTransformer2DModel::init(&config, &oxidiff::Device::flex()).unwrap();
    expect(&error(pipeline.call(one_image())), &["`image`", "`siglip_feat_dim`"]);
    let text = ZImageOmni { image: None, height: Some(32), width: Some(32), ..one_image() };
    assert_eq!(latents(&mut pipeline, text).dims(), [1, 4, 4, 4]);
}

#[test]
fn parts_that_do_not_fit_each_other_are_refused() {
    let folder = checkpoint();
    let change = |file: &str, field: &str, value: Value| {
        let path = folder.path().join(file);
        let kept = std::fs::read(&path).unwrap();
        let mut config: Value = serde_json::from_slice(&kept).unwrap();
        config[field] = value;
        std::fs::write(&path, config.to_string()).unwrap();
        let error = error(load::<ZImageOmniPipeline>(folder.path()));
        std::fs::write(&path, kept).unwrap();
        error
    };
    let processor = "siglip_processor/preprocessor_config.json";
    expect(&change(processor, "patch_size", 4.into()), &["patch_size", "is 4", "patches of 8"]);
    let other = json!(["transformers", "SiglipVisionModel"]);
    expect(&change("model_index.json", "siglip", other), &["siglip", "SiglipVisionModel"]);
    let other = json!(["transformers", "SiglipImageProcessor"]);
    expect(
        &change("model_index.json", "siglip_processor", other),
        &["siglip_processor", "Siglip2ImageProcessor"],
    );
    let pipeline = omni();
    let config = oxidiff::ZImageTransformer2DConfig {
        siglip_feat_dim: Some(12),
        ..pipeline.transformer.config().clone()
    };
    let mut components = (*pipeline).clone();
    components.transformer = ZImageTransformer2DModel::init(&config, &oxidiff::Device::flex()).unwrap();
    let (siglip, processor) = (pipeline.siglip.clone(), pipeline.siglip_processor.clone());
    let misfit = ZImageOmniPipeline::new(components, siglip, processor);
    expect(&error(misfit), &["siglip_feat_dim", "is 12", "8 features"]);
    assert!(pipeline.components().get::<Siglip2ImageProcessor>("siglip_processor").is_some());
}
