//! The pipeline of FLUX.2-dev.

use std::collections::BTreeMap;

use oxidiff::{
    Argument, AutoPipelineForImage2Image, AutoPipelineForText2Image, AutoencoderKLFlux2, DiffusionPipeline,
    Flux2KleinPipeline, Flux2Pipeline, Flux2Transformer2DModel, Generator, Images,
    Mistral3ForConditionalGeneration, Pipeline, Request,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{TEXT_ENCODER_SEED, TRANSFORMER_SEED, VAE_SEED, error, expect, klein, load, recorded_of_dev};
use crate::checkpoints::{copy_folder, draw_part};
use crate::fixture::pictures::{picture, values};
use crate::fixture::recorded_calls::compare_calls;
use crate::fixture::{difference, json};

fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&recorded_of_dev("checkpoint"), folder.path());
    draw_part::<Flux2Transformer2DModel>("transformer", TRANSFORMER_SEED, folder.path());
    draw_part::<Mistral3ForConditionalGeneration>("text_encoder", TEXT_ENCODER_SEED, folder.path());
    draw_part::<AutoencoderKLFlux2>("vae", VAE_SEED, folder.path());
    folder
}

fn dev() -> DiffusionPipeline {
    load::<Flux2Pipeline>(checkpoint().path()).unwrap().into()
}

#[test]
fn text_and_images_become_the_image_that_python_makes() {
    let pipeline = dev();
    compare_calls(&recorded_of_dev(""), "dev", 21, |_| pipeline.clone());
}

#[test]
fn prompts_are_rewritten_as_in_python() {
    let pipeline = dev();
    let rewritten: BTreeMap<String, Vec<String>> = json(&recorded_of_dev("rewritten.json"));
    assert_eq!(rewritten.len(), 2);
    let calls: Vec<Value> = json(&recorded_of_dev("dev.json"));
    let latents = |request: Request| {
        let request = request.with("output_type", "latent").with("height", 16).with("width", 32);
        match pipeline.clone().call(request.with("num_inference_steps", 1)).unwrap().images {
            Images::Latent(latents) => latents,
            other => panic!("{other:?}"),
        }
    };
    for (name, expected) in rewritten {
        let call = calls.iter().find(|call| call["name"] == *name).unwrap();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let seeds = list(&call["seed"]);
        let seeds = seeds.iter().map(|seed| Generator::manual_seed(seed.as_u64().unwrap()));
        let generators = Vec::from_iter(seeds);
        let generator = || Argument::Generator(generators.clone().into());
        let given: Vec<String> =
            list(&call["prompt"]).iter().map(|prompt| prompt.as_str().unwrap().to_owned()).collect();
        let temperature = call["caption_upsample_temperature"].as_f64().unwrap();
        let ours = Request::default().with("prompt", given).with("caption_upsample_temperature", temperature);
        let theirs = Request::default().with("prompt", expected);
        let [ours, theirs] = [ours, theirs].map(|request| latents(request.with("generator", generator())));
        assert_eq!(difference(ours, theirs), 0.0, "{name}");
    }
}

#[test]
fn it_is_found_by_its_class_and_saved_as_it_is() {
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "Flux2Pipeline");
    assert_eq!(AutoPipelineForImage2Image::from_pipe(&pipeline).unwrap().class_name(), "Flux2Pipeline");
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let [ours, theirs] =
        [saved.path(), folder.path()].map(|folder| json::<Value>(&folder.join("model_index.json")));
    for (field, value) in theirs.as_object().unwrap() {
        assert!(ours[field] == *value || field.starts_with("_name"), "{field}: {}", ours[field]);
    }
    assert!(ours.get("is_distilled").is_none());
    let again: DiffusionPipeline = load::<Flux2Pipeline>(saved.path()).unwrap().into();
    compare_calls(&recorded_of_dev(""), "dev", 21, |_| again.clone());
    // Its text encoder is not that of klein.
    let refused = error(Flux2Pipeline::from_pipe(&klein()));
    expect(&refused, &["text_encoder", "Qwen3Model"]);
    let refused = error(pipeline.to_class(Flux2KleinPipeline::CLASS_NAME));
    expect(&refused, &["text_encoder", "Mistral3ForConditionalGeneration"]);
}

#[test]
fn arguments_that_cannot_be_used_are_named() {
    let pipeline = dev();
    let request =
        || Request::new("a red apple").with("height", 32).with("width", 32).with("num_inference_steps", 1);
    let refused = |call: Request| error(pipeline.clone().call(call));
    for (temperature, shown) in [(-0.5, "-0.5"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let call = request().with("caption_upsample_temperature", temperature);
        expect(&refused(call), &["`caption_upsample_temperature`", shown]);
    }
    let rewritten = |call: Request| refused(call.with("caption_upsample_temperature", 0.15));
    let looking = request().with("image", vec![picture("RGB", [64, 64])]);
    expect(&rewritten(looking), &["`caption_upsample_temperature`", "images", "not supported"]);
    let embeds = values([1, 1, 5, 48], 0.0).reshape::<3, _>([1, 5, 48]);
    let embedded = Request::default().with("prompt_embeds", embeds).with("height", 32).with("width", 32);
    expect(&rewritten(embedded), &["`caption_upsample_temperature`", "embedded"]);
    expect(&refused(request().with("guidance_scale", f64::NAN)), &["`guidance_scale`", "NaN"]);
    expect(&refused(request().with("max_sequence_length", 513)), &["512"]);
    expect(&refused(request().with("max_sequence_length", 0)), &["`max_sequence_length`"]);
    expect(&refused(request().with("negative_prompt", "a cat")), &["`negative_prompt`"]);
    let layers = request().with("text_encoder_out_layers", vec![10, 20, 32]);
    expect(&refused(layers), &["`text_encoder_out_layers`", "32", "31"]);
    let embeds = values([1, 1, 5, 40], 0.0).reshape::<3, _>([1, 5, 40]);
    let call = Request::default().with("prompt_embeds", embeds).with("height", 32).with("width", 32);
    expect(&refused(call), &["`prompt_embeds`", "[1, 5, 40]", "48"]);
    expect(&refused(Request::default()), &["`prompt`"]);
}
