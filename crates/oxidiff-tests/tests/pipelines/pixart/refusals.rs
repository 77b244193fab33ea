//! Calls and checkpoints that cannot work.

use std::path::Path;

use oxidiff::{
    Device, DiffusionPipeline, Model, Pipeline, PixArtAlphaPipeline, PixArtAlphaTextToImage,
    PixArtComponents, PixArtSigmaPAGPipeline, PixArtSigmaPipeline, Request, T5EncoderModel,
};
use serde_json::{Value, json};

use super::models::transformer;
use super::{checkpoint, error, expect, load, short, text_to_image};
use crate::fixture::json;
use crate::fixture::pictures::values;

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let mut pipeline = text_to_image();
    let mut refused = |call: PixArtAlphaTextToImage| error(pipeline.call(call));
    let call = || short("a red apple");
    expect(&refused(PixArtAlphaTextToImage { max_sequence_length: 0, ..call() }), &["`max_length`", "0"]);
    expect(
        &refused(PixArtAlphaTextToImage { guidance_scale: f64::NAN, ..call() }),
        &["`guidance_scale`", "NaN"],
    );
    expect(&refused(PixArtAlphaTextToImage { eta: f64::INFINITY, ..call() }), &["`eta`", "inf"]);
    expect(&refused(PixArtAlphaTextToImage { num_inference_steps: 0, ..call() }), &["`num_inference_steps`"]);
    // An odd number of rows of latents does not divide into patches.
    expect(&refused(PixArtAlphaTextToImage { height: Some(40), ..call() }), &["`height`", "16", "40"]);
    let zero = PixArtAlphaTextToImage { width: Some(0), use_resolution_binning: true, ..call() };
    expect(&refused(zero), &["`width`", "1"]);
    expect(&refused(PixArtAlphaTextToImage { prompt: Vec::new(), ..call() }), &["`prompt`"]);
    let both = PixArtAlphaTextToImage { timesteps: Some(vec![9.0]), sigmas: Some(vec![1.0]), ..call() };
    expect(&refused(both), &["`timesteps`", "`sigmas`"]);
    let latents = PixArtAlphaTextToImage { latents: Some(values([1, 4, 3, 3], 0.0)), ..call() };
    expect(&refused(latents), &["`latents`", "[1, 4, 3, 3]", "[1, 4, 2, 6]"]);
    let embeds = |tokens: usize, features: usize| {
        Some(values([1, 2, tokens, features], -1.0).reshape([2, tokens, features]))
    };
    let mask = |tokens: usize| Some(values([1, 1, 2, tokens], 0.0).reshape([2, tokens]));
    let embedded = || PixArtAlphaTextToImage {
        prompt: Vec::new(),
        prompt_embeds: embeds(9, 24),
        prompt_attention_mask: mask(9),
        ..call()
    };
    let without = PixArtAlphaTextToImage { prompt_attention_mask: None, ..embedded() };
    expect(&refused(without), &["`prompt_attention_mask`", "`prompt_embeds`"]);
    let narrower = PixArtAlphaTextToImage { prompt_embeds: embeds(9, 23), ..embedded() };
    expect(&refused(narrower), &["`prompt_embeds`", "24"]);
    let longer = PixArtAlphaTextToImage {
        negative_prompt_embeds: embeds(8, 24),
        negative_prompt_attention_mask: mask(8),
        ..embedded()
    };
    expect(&refused(longer), &["`negative_prompt_embeds`", "8 tokens", "9"]);
}

#[test]
fn models_without_sizes_to_choose_from_are_refused() {
    let plain = text_to_image();
    let components = PixArtComponents { transformer: transformer("approximate"), ..(*plain).clone() };
    let mut pipeline = PixArtAlphaPipeline::new(components).unwrap();
    let call = PixArtAlphaTextToImage { use_resolution_binning: true, ..short("a red apple") };
    expect(&error(pipeline.call(call)), &["`use_resolution_binning`", "16"]);
}

#[test]
fn layers_that_are_none_are_refused() {
    let plain = text_to_image();
    let components = PixArtComponents { transformer: transformer("sigma"), ..(*plain).clone() };
    let mut pipeline = PixArtSigmaPAGPipeline::new(components).unwrap();
    expect(&error(pipeline.set_pag_applied_layers(&["blocks.("])), &["`pag_applied_layers`", "blocks.("]);
    pipeline.set_pag_applied_layers(&["blocks.7"]).unwrap();
    let refused = error(pipeline.call("a red apple"));
    expect(&refused, &["`pag_applied_layers`", "blocks.7", "transformer_blocks.0.attn1"]);
}

#[test]
fn arguments_of_other_classes_are_refused() {
    let mut pipeline: DiffusionPipeline = text_to_image().into();
    for (name, value) in [("ip_adapter_image", "face.png"), ("prompt_2", "a dog"), ("pag_scale", "3")] {
        let request = Request::default().with("prompt", "a red apple").with(name, value);
        expect(&error(pipeline.call(request)), &[name]);
    }
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = checkpoint();
        change(folder.path());
        error(load::<PixArtAlphaPipeline>(folder.path()))
    };
    let set = |file: &'static str, field: &'static str, value: Value| {
        move |folder: &Path| {
            let file = folder.join(file);
            let mut config: Value = json(&file);
            config[field] = value.clone();
            std::fs::write(&file, config.to_string()).unwrap();
        }
    };
    let more = set("transformer/config.json", "num_layers", 3.into());
    expect(&refused(&more), &["transformer_blocks.2", "missing"]);
    let class = set("model_index.json", "text_encoder", json!(["transformers", "UMT5EncoderModel"]));
    expect(&refused(&class), &["text_encoder", "UMT5EncoderModel"]);
    let tokenizer = set("model_index.json", "tokenizer", json!([null, null]));
    expect(&refused(&tokenizer), &["tokenizer", "needs its tokenizer"]);

    // Parts that do not fit each other.
    let pipeline = text_to_image();
    let with = |name: &str| PixArtComponents { transformer: transformer(name), ..(*pipeline).clone() };
    let told = ["use_additional_conditions", "64", "PixArtAlphaPipeline"];
    expect(&error(PixArtAlphaPipeline::new(with("told"))), &told);
    let told = ["use_additional_conditions", "128", "PixArtSigmaPipeline"];
    expect(&error(PixArtSigmaPipeline::new(with("alpha"))), &told);
    expect(&error(PixArtAlphaPipeline::new(with("silent"))), &["out_channels", "6", "4"]);
    let mut config = pipeline.text_encoder.as_ref().unwrap().config().clone();
    config.d_model = 20;
    let text_encoder = Some(T5EncoderModel::init(&config, &Device::flex()).unwrap());
    let other = PixArtComponents { text_encoder, ..(*pipeline).clone() };
    expect(&error(PixArtAlphaPipeline::new(other)), &["caption_channels", "24", "20"]);
    let other = PixArtComponents { text_encoder: None, tokenizer: None, ..(*pipeline).clone() };
    let mut pipeline = PixArtAlphaPipeline::new(other).unwrap();
    expect(&error(pipeline.call(short("a red apple"))), &["`prompt`", "`prompt_embeds`"]);
}
