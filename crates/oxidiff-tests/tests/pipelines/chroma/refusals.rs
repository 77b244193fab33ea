//! Calls and checkpoints that cannot work.

use std::path::Path;

use oxidiff::{
    ChromaComponents, ChromaImageToImage, ChromaImg2ImgPipeline, ChromaPipeline, ChromaTextToImage, Device,
    DiffusionPipeline, Model, Pipeline, Request, T5EncoderModel,
};
use serde_json::{Value, json};

use super::models::transformer;
use super::{checkpoint, error, expect, load, text_to_image};
use crate::fixture::json;
use crate::fixture::pictures::{picture, values};

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let mut pipeline = text_to_image();
    let mut refused = |call: ChromaTextToImage| error(pipeline.call(call));
    let call = || ChromaTextToImage { max_sequence_length: 16, ..ChromaTextToImage::new("a red apple") };
    expect(
        &refused(ChromaTextToImage { max_sequence_length: 513, ..call() }),
        &["`max_sequence_length`", "513"],
    );
    expect(&refused(ChromaTextToImage { guidance_scale: f64::NAN, ..call() }), &["`guidance_scale`", "NaN"]);
    expect(&refused(ChromaTextToImage { num_inference_steps: 0, ..call() }), &["`num_inference_steps`"]);
    expect(&refused(ChromaTextToImage { height: Some(8), ..call() }), &["`height`", "8"]);
    expect(&refused(ChromaTextToImage { prompt: Vec::new(), ..call() }), &["`prompt`"]);
    let embeds = |tokens: usize, features: usize| {
        Some(values([1, 2, tokens, features], -1.0).reshape([2, tokens, features]))
    };
    let mask = |tokens: usize| Some(values([1, 1, 2, tokens], 0.0).reshape([2, tokens]));
    let embedded = || ChromaTextToImage {
        prompt: Vec::new(),
        prompt_embeds: embeds(9, 24),
        prompt_attention_mask: mask(9),
        ..call()
    };
    let without = ChromaTextToImage { prompt_attention_mask: None, ..embedded() };
    expect(&refused(without), &["`prompt_attention_mask`", "`prompt_embeds`"]);
    let shorter = ChromaTextToImage { prompt_attention_mask: mask(8), ..embedded() };
    expect(&refused(shorter), &["`prompt_attention_mask`", "[2, 8]", "[2, 9]"]);
    let narrower = ChromaTextToImage { prompt_embeds: embeds(9, 23), ..embedded() };
    expect(&refused(narrower), &["`prompt_embeds`", "24"]);
    let negative = ChromaTextToImage { negative_prompt_embeds: embeds(9, 24), ..embedded() };
    expect(&refused(negative), &["`negative_prompt_attention_mask`", "`negative_prompt_embeds`"]);
    let negatives = ChromaTextToImage {
        negative_prompt_embeds: embeds(9, 24),
        negative_prompt_attention_mask: mask(9),
        ..ChromaTextToImage { prompt: vec!["a".into(), "b".into(), "c".into()], ..call() }
    };
    expect(&refused(negatives), &["`negative_prompt_embeds`", "got 2 for 3 prompts"]);

    let mut pipeline = ChromaImg2ImgPipeline::from_pipe(&text_to_image()).unwrap();
    let call = ChromaImageToImage {
        strength: 1.5,
        ..ChromaImageToImage::new("a red apple", picture("RGB", [16, 16]))
    };
    expect(&error(pipeline.call(call)), &["`strength`", "1.5"]);
}

#[test]
fn arguments_of_other_classes_are_refused() {
    let mut pipeline: DiffusionPipeline = text_to_image().into();
    for (name, value) in [("ip_adapter_image", "face.png"), ("prompt_2", "a dog")] {
        let request = Request::default().with("prompt", "a red apple").with(name, value);
        expect(&error(pipeline.call(request)), &[name]);
    }
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = checkpoint();
        change(folder.path());
        error(load::<ChromaPipeline>(folder.path()))
    };
    let set = |file: &'static str, field: &'static str, value: Value| {
        move |folder: &Path| {
            let file = folder.join(file);
            let mut config: Value = json(&file);
            config[field] = value.clone();
            std::fs::write(&file, config.to_string()).unwrap();
        }
    };
    let weights = "transformer/diffusion_pytorch_model.safetensors";
    let truncate = |folder: &Path| {
        let bytes = std::fs::read(folder.join(weights)).unwrap();
        std::fs::write(folder.join(weights), &bytes[..bytes.len() / 2]).unwrap();
    };
    expect(&refused(&truncate), &["transformer", "diffusion_pytorch_model.safetensors"]);
    let more = set("transformer/config.json", "approximator_layers", 3.into());
    expect(&refused(&more), &["distilled_guidance_layer.layers.2", "missing"]);
    let class = set("model_index.json", "text_encoder", json!(["transformers", "UMT5EncoderModel"]));
    expect(&refused(&class), &["text_encoder", "UMT5EncoderModel"]);
    let tokenizer = set("model_index.json", "tokenizer", json!([null, null]));
    expect(&refused(&tokenizer), &["tokenizer", "needs its tokenizer"]);
    let adapter =
        set("model_index.json", "image_encoder", json!(["transformers", "CLIPVisionModelWithProjection"]));
    expect(&refused(&adapter), &["image_encoder", "IP-Adapters"]);

    // Parts that do not fit each other.
    let pipeline = text_to_image();
    let other = ChromaComponents { transformer: transformer("other"), ..(*pipeline).clone() };
    expect(&error(ChromaPipeline::new(other)), &["in_channels", "20", "16"]);
    let mut config = pipeline.text_encoder.as_ref().unwrap().config().clone();
    config.d_model = 20;
    let text_encoder = Some(T5EncoderModel::init(&config, &Device::flex()).unwrap());
    let other = ChromaComponents { text_encoder, ..(*pipeline).clone() };
    expect(&error(ChromaPipeline::new(other)), &["joint_attention_dim", "24", "20"]);
    let other = ChromaComponents { text_encoder: None, tokenizer: None, ..(*pipeline).clone() };
    let mut pipeline = ChromaPipeline::new(other).unwrap();
    expect(&error(pipeline.call("a red apple")), &["`prompt`", "`prompt_embeds`"]);
}
