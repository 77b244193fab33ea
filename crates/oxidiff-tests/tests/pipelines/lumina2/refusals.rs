//! Calls and checkpoints that cannot work.

use std::path::Path;

use oxidiff::{
    Device, Lumina2Components, Lumina2Pipeline, Lumina2TextToImage, Lumina2Transformer2DConfig,
    Lumina2Transformer2DModel, Model, Pipeline,
};
use serde_json::{Value, json};

use super::{checkpoint, error, expect, load, text_to_image};
use crate::fixture;
use crate::fixture::pictures::values;

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let mut pipeline = text_to_image();
    let mut refused = |call: Lumina2TextToImage| error(pipeline.call(call));
    let call = || Lumina2TextToImage::new("a red apple");
    let tokens = Lumina2TextToImage { max_sequence_length: 513, ..call() };
    expect(&refused(tokens), &["`max_sequence_length`", "513"]);
    expect(&refused(Lumina2TextToImage { guidance_scale: f64::NAN, ..call() }), &["`guidance_scale`", "NaN"]);
    let ratio = Lumina2TextToImage { cfg_trunc_ratio: f64::INFINITY, ..call() };
    expect(&refused(ratio), &["`cfg_trunc_ratio`", "inf"]);
    expect(&refused(Lumina2TextToImage { num_inference_steps: 0, ..call() }), &["`num_inference_steps`"]);
    expect(&refused(Lumina2TextToImage { height: Some(40), ..call() }), &["`height`", "16", "40"]);
    expect(&refused(Lumina2TextToImage { prompt: Vec::new(), ..call() }), &["`prompt`"]);
    let wide = Lumina2TextToImage { width: Some(528), ..call() };
    expect(&refused(wide), &["`hidden_states`", "column", "axes_lens"]);
    let latents = Lumina2TextToImage { latents: Some(values([1, 4, 8, 6], 0.0)), ..call() };
    expect(&refused(latents), &["`latents`", "[1, 4, 8, 6]", "[1, 4, 8, 8]"]);
    let long = Lumina2TextToImage {
        prompt: vec!["the end of the red house on a hill, and two cats ".repeat(20)],
        max_sequence_length: 512,
        ..call()
    };
    expect(&refused(long), &["`encoder_hidden_states`", "axes_lens", "200"]);

    let embeds = |features: usize| Some(values([1, 2, 9, features], -1.0).reshape([2, 9, features]));
    let mask = |tokens: usize| Some(values([1, 1, 2, tokens], 1.0).reshape([2, tokens]));
    let embedded = || Lumina2TextToImage {
        prompt: Vec::new(),
        prompt_embeds: embeds(16),
        prompt_attention_mask: mask(9),
        ..call()
    };
    let without = Lumina2TextToImage { prompt_attention_mask: None, ..embedded() };
    expect(&refused(without), &["`prompt_attention_mask`", "`prompt_embeds`"]);
    let shorter = Lumina2TextToImage { prompt_attention_mask: mask(8), ..embedded() };
    expect(&refused(shorter), &["`prompt_attention_mask`", "[2, 8]", "[2, 9]"]);
    expect(
        &refused(Lumina2TextToImage { prompt_embeds: embeds(15), ..embedded() }),
        &["`prompt_embeds`", "16"],
    );
    let negative = Lumina2TextToImage { negative_prompt_embeds: embeds(16), ..embedded() };
    expect(&refused(negative), &["`negative_prompt_attention_mask`", "`negative_prompt_embeds`"]);
    let both = Lumina2TextToImage { prompt: vec!["a".into(), "b".into()], ..embedded() };
    expect(&refused(both), &["`prompt`", "`prompt_embeds`"]);
}

/// Changes a field of a configuration of the checkpoint.
fn changed(file: &str, field: &str, value: Value, part: Option<usize>) -> String {
    let folder = checkpoint();
    let path = folder.path().join(file);
    let mut config: Value = fixture::json(&path);
    match part {
        Some(part) => config[field][part] = value,
        None => config[field] = value,
    }
    write(&path, &config);
    error(load::<Lumina2Pipeline>(folder.path()))
}

fn write(path: &Path, value: &Value) {
    std::fs::write(path, value.to_string()).unwrap();
}

#[test]
fn parts_that_do_not_fit_each_other_are_refused() {
    let class = |name: &str, class: &str| changed("model_index.json", name, class.into(), Some(1));
    expect(&class("text_encoder", "T5EncoderModel"), &["text_encoder", "T5EncoderModel"]);
    expect(&class("tokenizer", "T5Tokenizer"), &["tokenizer", "T5Tokenizer", "GemmaTokenizer"]);
    expect(&class("transformer", "ZImageTransformer2DModel"), &["transformer", "ZImageTransformer2DModel"]);
    let null = changed("model_index.json", "text_encoder", json!([null, null]), None);
    expect(&null, &["model_index.json", "text_encoder"]);
    expect(&changed("transformer/config.json", "sample_size", json!("large"), None), &["sample_size"]);
    expect(&changed("transformer/config.json", "axes_dim_rope", json!([4, 4]), None), &["axes_dim_rope"]);
    let whole = text_to_image();
    let with = |change: fn(&mut Lumina2Transformer2DConfig)| {
        let mut config = whole.transformer.config().clone();
        change(&mut config);
        let transformer = Lumina2Transformer2DModel::init(&config, &Device::flex()).unwrap();
        error(Lumina2Pipeline::new(Lumina2Components { transformer, ..(*whole).clone() }))
    };
    expect(&with(|config| config.cap_feat_dim = 17), &["cap_feat_dim", "17", "16 features"]);
    expect(&with(|config| config.in_channels = 5), &["in_channels", "5", "4 channels"]);
    expect(&with(|config| config.out_channels = Some(8)), &["out_channels", "8", "4 channels"]);
}
