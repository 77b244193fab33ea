//! Calls and checkpoints that cannot work.

use std::path::Path;

use oxidiff::{
    AuraFlowComponents, AuraFlowPipeline, AuraFlowTextToImage, DPMSolverMultistepScheduler,
    DiffusionPipeline, Pipeline, Request,
};
use serde_json::{Value, json};

use super::models::transformer;
use super::{checkpoint, error, expect, load, short, text_to_image};
use crate::fixture::json;
use crate::fixture::pictures::values;

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let mut pipeline = text_to_image();
    let mut refused = |call: AuraFlowTextToImage| error(pipeline.call(call));
    let call = || short("a red apple");
    expect(
        &refused(AuraFlowTextToImage { guidance_scale: f64::NAN, ..call() }),
        &["`guidance_scale`", "NaN"],
    );
    expect(&refused(AuraFlowTextToImage { num_inference_steps: 0, ..call() }), &["`num_inference_steps`"]);
    expect(&refused(AuraFlowTextToImage { height: Some(40), ..call() }), &["`height`", "16", "40"]);
    expect(&refused(AuraFlowTextToImage { width: Some(128), ..call() }), &["`width`", "112", "128"]);
    expect(&refused(AuraFlowTextToImage::new("a red apple")), &["`height`", "112", "1024"]);
    expect(&refused(AuraFlowTextToImage { prompt: Vec::new(), ..call() }), &["`prompt`"]);
    let latents = AuraFlowTextToImage { latents: Some(values([1, 4, 3, 3], 0.0)), ..call() };
    expect(&refused(latents), &["`latents`", "[1, 4, 3, 3]", "[1, 4, 6, 4]"]);
    let embeds = |tokens: usize| Some(values([1, 2, tokens, 24], -1.0).reshape([2, tokens, 24]));
    let mask = |tokens: usize| Some(values([1, 1, 2, tokens], 0.0).reshape([2, tokens]));
    let embedded = || AuraFlowTextToImage {
        prompt: Vec::new(),
        prompt_embeds: embeds(9),
        prompt_attention_mask: mask(9),
        ..call()
    };
    let without = AuraFlowTextToImage { prompt_attention_mask: None, ..embedded() };
    expect(&refused(without), &["`prompt_attention_mask`", "`prompt_embeds`"]);
    let longer = AuraFlowTextToImage {
        negative_prompt_embeds: embeds(8),
        negative_prompt_attention_mask: mask(8),
        ..embedded()
    };
    expect(&refused(longer), &["`negative_prompt_embeds`", "8 tokens", "9"]);
}

#[test]
fn arguments_of_other_classes_are_refused() {
    let mut pipeline: DiffusionPipeline = text_to_image().into();
    for (name, value) in [("ip_adapter_image", "face.png"), ("clean_caption", "true")] {
        let request = Request::default().with("prompt", "a red apple").with(name, value);
        expect(&error(pipeline.call(request)), &[name]);
    }
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = checkpoint();
        change(folder.path());
        error(load::<AuraFlowPipeline>(folder.path()))
    };
    let set = |file: &'static str, field: &'static str, value: Value| {
        move |folder: &Path| {
            let file = folder.join(file);
            let mut config: Value = json(&file);
            config[field] = value.clone();
            std::fs::write(&file, config.to_string()).unwrap();
        }
    };
    let more = set("transformer/config.json", "num_mmdit_layers", 3.into());
    expect(&refused(&more), &["joint_transformer_blocks.2", "missing"]);
    let class = set("model_index.json", "text_encoder", json!(["transformers", "T5EncoderModel"]));
    expect(&refused(&class), &["text_encoder", "T5EncoderModel"]);
    let class = set("model_index.json", "tokenizer", json!(["transformers", "CLIPTokenizer"]));
    expect(&refused(&class), &["tokenizer", "CLIPTokenizer", "LlamaTokenizer"]);
    let tokenizer = set("model_index.json", "tokenizer", json!([null, null]));
    expect(&refused(&tokenizer), &["tokenizer", "needs its tokenizer"]);

    // Parts that do not fit each other.
    let pipeline = text_to_image();
    let other = AuraFlowComponents { transformer: transformer("other"), ..(*pipeline).clone() };
    expect(&error(AuraFlowPipeline::new(other)), &["in_channels", "3", "4"]);
    let other = AuraFlowComponents { text_encoder: None, tokenizer: None, ..(*pipeline).clone() };
    let mut alone = AuraFlowPipeline::new(other).unwrap();
    expect(&error(alone.call(short("a red apple"))), &["`prompt`", "`prompt_embeds`"]);
    let mut pipeline = pipeline.clone();
    pipeline.set_scheduler(DPMSolverMultistepScheduler::new(Default::default()).unwrap());
    expect(&error(pipeline.call(short("a red apple"))), &["DPMSolverMultistepScheduler", "flow"]);
}
