//! Low-rank adapters and learned words for Stable Diffusion XL against Python diffusers.

use std::path::PathBuf;

use crate::fixture::stable_diffusion_xl::{Call, checkpoint, every_fourth_pixel, folder};
use crate::fixture::{Recorded, assert_close, json};
use oxidiff::{
    AdapterWeight, AddedConditions, DType, Device, Error, Generator, Images, LoraLoader, LoraOptions,
    OutputType, Pipeline, Request, StableDiffusionXLPipeline, Tensor, TextualInversionLoader,
    TextualInversionOptions, UNet2DConditionInputs,
};
use serde::Deserialize;

const MODEL: f32 = 1e-4;
const IMAGE: f32 = 1e-3;

fn lora(name: &str) -> String {
    folder().join(format!("lora/{name}.safetensors")).to_str().unwrap().to_owned()
}

fn pipeline() -> StableDiffusionXLPipeline {
    let folder = checkpoint("base");
    let mut pipeline = StableDiffusionXLPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline
}

fn with(name: &str) -> StableDiffusionXLPipeline {
    let mut pipeline = pipeline();
    pipeline.load_lora_weights(&lora(name), &named(name)).unwrap();
    pipeline
}

fn named(name: &str) -> LoraOptions {
    LoraOptions { adapter_name: Some(name.into()), ..Default::default() }
}

/// Both encoders' embeddings of a prompt each, and the pooled one of the second.
fn embed(pipeline: &StableDiffusionXLPipeline, first: &str, second: &str) -> (Tensor<3>, Tensor<2>) {
    let tokens = pipeline.tokenizer.as_ref().unwrap().tokenize(&[first], 24).unwrap();
    let first = pipeline.text_encoder.as_ref().unwrap().forward(&tokens.input_ids, None).unwrap();
    let tokens = pipeline.tokenizer_2.as_ref().unwrap().tokenize(&[second], 24).unwrap();
    let second = pipeline.text_encoder_2.as_ref().unwrap().forward(&tokens.input_ids, None).unwrap();
    let before_last = |states: Vec<Tensor<3>>| states[states.len() - 2].clone();
    let text = Tensor::cat(vec![before_last(first.hidden_states), before_last(second.hidden_states)], 2);
    (text, second.text_embeds)
}

/// Compares the text's embeddings, a prediction of the UNet and an image with what was recorded under `name`.
#[track_caller]
fn check(pipeline: &mut StableDiffusionXLPipeline, name: &str) {
    let recorded = Recorded::open(&PathBuf::from(lora("outputs")));
    let (text, pooled) = embed(pipeline, "a red apple", "dog of cat");
    let key = format!("{name}.text");
    if recorded.has(&key) {
        assert_close(&key, text.clone(), recorded.floats(&key), MODEL);
    }
    assert_close(
        &format!("{name}, pooled"),
        pooled.clone(),
        recorded.floats(&format!("{name}.pooled")),
        MODEL,
    );

    let noise = Generator::manual_seed(3).randn::<4>([1, 4, 4, 6], DType::F32, &Device::flex());
    let sizes = Tensor::<1>::from_data([32.0_f32, 48.0, 0.0, 0.0, 32.0, 48.0], &Device::flex());
    let added = AddedConditions {
        text_embeds: Some(pooled),
        time_ids: Some(sizes.reshape([1, 6])),
        ..Default::default()
    };
    let inputs = UNet2DConditionInputs { added, ..Default::default() };
    let predicted = pipeline.unet.forward_with(noise, &[300.0], text, inputs).unwrap();
    assert_close(&format!("{name}, unet"), predicted, recorded.floats(&format!("{name}.unet")), MODEL);

    let request = Request::new("a red apple")
        .with("prompt_2", "dog of cat")
        .with("negative_prompt", "dog")
        .with("num_inference_steps", 2_usize)
        .with("height", 32_usize)
        .with("width", 48_usize)
        .with("generator", Generator::manual_seed(4))
        .with("output_type", OutputType::Array);
    let made = oxidiff::DiffusionPipeline::from(pipeline.clone()).call(request).unwrap().images;
    let Images::Array(image) = made else { panic!("no array") };
    let expected = recorded.floats(&format!("{name}.image"));
    assert_close(&format!("{name}, image"), every_fourth_pixel(image), expected, IMAGE);
}

#[test]
fn every_layout_gives_what_python_computes() {
    for name in ["kohya", "sgm", "diffusers", "peft"] {
        check(&mut with(name), name);
    }
}

#[test]
fn scales_weights_and_fusion_are_those_of_python() {
    let mut kohya = with("kohya");
    kohya.set_lora_scale(0.7).unwrap();
    check(&mut kohya, "kohya_scale_07");
    kohya.set_lora_scale(1.0).unwrap();
    kohya.set_adapters(&[("kohya", 0.7)]).unwrap();
    check(&mut kohya, "kohya_weight_07");
    let weights =
        [("unet", 0.5.into()), ("text_encoder", 1.5.into()), ("text_encoder_2", AdapterWeight::All(-0.5))];
    kohya.set_adapters_by_model(&[("kohya", &weights)]).unwrap();
    check(&mut kohya, "kohya_weights");
    kohya.set_adapters(&[("kohya", 1.0)]).unwrap();
    kohya.fuse_lora(0.7, None).unwrap();
    kohya.unload_lora_weights();
    check(&mut kohya, "kohya_fused_07");

    let mut both = with("sgm");
    both.load_lora_weights(&lora("kohya"), &named("kohya")).unwrap();
    both.set_adapters(&[("sgm", 0.7), ("kohya", -0.5)]).unwrap();
    check(&mut both, "both");
    let models = both.get_list_adapters().into_iter().map(|(model, _)| model).collect::<Vec<_>>();
    assert_eq!(models, ["unet", "text_encoder", "text_encoder_2"]);
}

#[test]
fn a_model_that_is_not_there_has_no_weight() {
    let mut pipeline = with("kohya");
    for (name, model, weight) in [("kohya", "vae", 1.0), ("other", "unet", 1.0), ("kohya", "unet", f64::NAN)]
    {
        let error = pipeline.set_adapters_by_model(&[(name, &[(model, weight.into())])]).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    }
}

#[derive(Deserialize)]
struct Converted {
    converted: [String; 2],
}

#[test]
fn words_are_learned_by_both_encoders() {
    let words = folder().join("textual_inversion");
    let mut pipeline = pipeline();
    let options = TextualInversionOptions { token: Some("<style>".into()), ..Default::default() };
    let file = words.join("style.safetensors");
    pipeline.load_textual_inversion(file.to_str().unwrap(), &options).unwrap();
    let calls: Vec<Call> = json(&words.join("calls.json"));
    let converted: Vec<Converted> = json(&words.join("calls.json"));
    let recorded = Recorded::open(&words.join("outputs.safetensors"));
    for (call, Converted { converted }) in calls.iter().zip(converted) {
        let prompt = call.arguments["prompt"].as_str().unwrap();
        let ours = [&pipeline.tokenizer, &pipeline.tokenizer_2];
        let ours = ours.map(|tokenizer| tokenizer.as_ref().unwrap().maybe_convert_prompt(prompt));
        assert_eq!(ours, converted);
        let made = oxidiff::DiffusionPipeline::from(pipeline.clone()).call(call.request()).unwrap().images;
        let Images::Array(image) = made else { panic!("no array") };
        let expected = recorded.floats(&format!("{}.output", call.name));
        assert_close(&call.name, every_fourth_pixel(image), expected, IMAGE);
    }
}

/// A file for both encoders does not name its word: the file's own name is the word.
#[test]
fn a_word_is_called_as_its_file() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("my-apples.safetensors");
    std::fs::copy(folder().join("textual_inversion/style.safetensors"), &file).unwrap();
    let mut pipeline = oxidiff::DiffusionPipeline::from(pipeline());
    let loader = pipeline.textual_inversion_loader().unwrap();
    loader.load_textual_inversion(file.to_str().unwrap(), &TextualInversionOptions::default()).unwrap();
    let pipeline = pipeline.downcast_ref::<StableDiffusionXLPipeline>().unwrap();
    for tokenizer in [&pipeline.tokenizer, &pipeline.tokenizer_2] {
        let converted = tokenizer.as_ref().unwrap().maybe_convert_prompt("a my-apples b");
        assert_eq!(converted, "a my-apples my-apples_1 b");
    }
}
