//! Calls and checkpoints that cannot work.

use std::path::Path;

use oxidiff::{
    BertModel, Device, DiffusionPipeline, HunyuanDiTComponents, HunyuanDiTControlNetPipeline,
    HunyuanDiTControlNetTextToImage, HunyuanDiTPAGPipeline, HunyuanDiTPAGTextToImage, HunyuanDiTPipeline,
    HunyuanDiTTextToImage, Model, Pipeline, Request, scheduler_from_config,
};
use serde_json::{Value, json};

use super::{checkpoint, controlnet, error, expect, load, short_call, text_to_image, transformer};
use crate::fixture::json;
use crate::fixture::pictures::{picture, values};

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let mut pipeline = text_to_image();
    let mut refused = |call: HunyuanDiTTextToImage| error(pipeline.call(call));
    let call = short_call;
    type Call = HunyuanDiTTextToImage;
    expect(&refused(Call { guidance_scale: f64::NAN, ..call() }), &["`guidance_scale`", "NaN"]);
    expect(&refused(Call { guidance_rescale: f64::INFINITY, ..call() }), &["`guidance_rescale`"]);
    expect(&refused(Call { num_inference_steps: 0, ..call() }), &["`num_inference_steps`"]);
    expect(&refused(Call { height: Some(15), ..call() }), &["`height`", "15"]);
    expect(&refused(Call { width: Some(0), use_resolution_binning: true, ..call() }), &["`width`", "0"]);
    expect(&refused(Call { prompt: Vec::new(), ..call() }), &["`prompt`"]);
    let several = vec!["a".to_owned(), "b".into()];
    expect(
        &refused(Call { negative_prompt: several, ..call() }),
        &["`negative_prompt`", "got 2 for 1 prompt"],
    );
    let latents = Some(values([1, 4, 2, 5], 0.0));
    expect(&refused(Call { latents, ..call() }), &["`latents`", "[1, 4, 2, 5]", "[1, 4, 2, 6]"]);
    let embeds = |tokens: usize, features: usize| {
        Some(values([1, 2, tokens, features], -1.0).reshape([2, tokens, features]))
    };
    let mask = |tokens: usize| Some(values([1, 1, 2, tokens], 0.0).reshape([2, tokens]));
    let embedded = || Call {
        prompt: Vec::new(),
        prompt_embeds: embeds(77, 16),
        prompt_attention_mask: mask(77),
        prompt_embeds_2: embeds(256, 32),
        prompt_attention_mask_2: mask(256),
        ..call()
    };
    let without = Call { prompt_embeds_2: None, ..embedded() };
    expect(&refused(without), &["`prompt_embeds_2`", "`prompt_embeds`"]);
    let without = Call { prompt_attention_mask_2: None, ..embedded() };
    expect(&refused(without), &["`prompt_attention_mask_2`", "`prompt_embeds_2`"]);
    let shorter = Call { prompt_embeds: embeds(76, 16), ..embedded() };
    expect(&refused(shorter), &["`prompt_embeds`", "76 tokens", "77"]);
    let narrower = Call { prompt_embeds: embeds(77, 15), ..embedded() };
    expect(&refused(narrower), &["`prompt_embeds`", "16"]);
    let shorter = Call { prompt_attention_mask: mask(76), ..embedded() };
    expect(&refused(shorter), &["`prompt_attention_mask`", "[2, 76]", "[2, 77]"]);
    let both = Call { prompt: vec!["a red apple".into()], ..embedded() };
    expect(&refused(both), &["`prompt`", "`prompt_embeds`"]);
    let negative = Call { negative_prompt_embeds: embeds(77, 16), ..embedded() };
    expect(&refused(negative), &["`negative_prompt_attention_mask`"]);
    let third = Call { prompt: vec!["a".into(), "b".into(), "c".into()], prompt_embeds: None, ..embedded() };
    expect(&refused(third), &["`prompt_embeds_2`", "got 2 for 3 prompts"]);
}

#[test]
fn arguments_of_other_classes_are_refused() {
    let mut pipeline: DiffusionPipeline = text_to_image().into();
    for (name, value) in [("control_image", "face.png"), ("prompt_2", "a dog"), ("pag_scale", "3")] {
        let request = Request::default().with("prompt", "a red apple").with(name, value);
        expect(&error(pipeline.call(request)), &[name]);
    }
}

#[test]
fn schedulers_of_flows_are_refused() {
    let mut pipeline = text_to_image();
    let config = pipeline.scheduler().config().clone();
    let scheduler = scheduler_from_config("FlowMatchEulerDiscreteScheduler", &config).unwrap();
    pipeline.set_scheduler(scheduler);
    expect(&error(pipeline.call(short_call())), &["FlowMatchEulerDiscreteScheduler"]);
}

#[test]
fn layers_that_do_not_exist_are_refused() {
    let mut pipeline = HunyuanDiTPAGPipeline::new((*text_to_image()).clone()).unwrap();
    for (layer, words) in [
        ("blocks.6", &["`pag_applied_layers`", "blocks.6", "blocks.5.attn1"][..]),
        ("(", &["`pag_applied_layers`"]),
    ] {
        let call = HunyuanDiTPAGTextToImage {
            pag_applied_layers: Some(vec![layer.into()]),
            ..HunyuanDiTPAGTextToImage::new("a red apple")
        };
        expect(&error(pipeline.call(call)), words);
    }
    pipeline.pag_applied_layers = vec!["mid".into()];
    expect(&error(pipeline.call("a red apple")), &["`pag_applied_layers`", "mid"]);
}

#[test]
fn controlnets_that_do_not_fit_are_refused() {
    let components: HunyuanDiTComponents = (*text_to_image()).clone();
    let made = HunyuanDiTControlNetPipeline::new(components.clone(), controlnet("style"));
    expect(&error(made), &["`controlnet`", "4 as `transformer_num_layers`", "6"]);
    let mut pipeline = HunyuanDiTControlNetPipeline::new(components, controlnet("plain")).unwrap();
    let call = || HunyuanDiTControlNetTextToImage {
        control_image: picture("RGB", [16, 16]).into(),
        use_resolution_binning: false,
        ..HunyuanDiTControlNetTextToImage::new("a red apple")
    };
    type Call = HunyuanDiTControlNetTextToImage;
    let without = Call { control_image: Default::default(), ..call() };
    expect(&error(pipeline.call(without)), &["`control_image`"]);
    let scales = Call { controlnet_conditioning_scale: vec![1.0, 2.0].into(), ..call() };
    expect(&error(pipeline.call(scales)), &["`controlnet_conditioning_scale`", "2 numbers for 1 ControlNet"]);
    let tensor = Call { control_image: values([1, 3, 16, 24], 0.0).into(), ..call() };
    expect(&error(pipeline.call(tensor)), &["`width`", "24"]);
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = checkpoint();
        change(folder.path());
        error(load::<HunyuanDiTPipeline>(folder.path()))
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
    let more = set("transformer/config.json", "use_style_cond_and_image_meta_size", true.into());
    expect(&refused(&more), &["time_extra_emb."]);
    let class = set("model_index.json", "text_encoder", json!(["transformers", "CLIPTextModel"]));
    expect(&refused(&class), &["text_encoder", "CLIPTextModel", "BertModel"]);
    let class = set("model_index.json", "tokenizer", json!(["transformers", "CLIPTokenizer"]));
    expect(&refused(&class), &["tokenizer", "CLIPTokenizer", "BertTokenizer"]);
    let tokenizer = set("model_index.json", "tokenizer_2", json!([null, null]));
    expect(&refused(&tokenizer), &["tokenizer_2", "needs its tokenizer"]);

    // Parts that do not fit each other.
    let pipeline = text_to_image();
    let other = HunyuanDiTComponents { transformer: transformer("patches"), ..(*pipeline).clone() };
    expect(&error(HunyuanDiTPipeline::new(other)), &["in_channels", "3", "4"]);
    let other = HunyuanDiTComponents { transformer: transformer("shallow"), ..(*pipeline).clone() };
    expect(&error(HunyuanDiTPipeline::new(other)), &["cross_attention_dim", "10", "16", "`text_encoder`"]);
    let mut config = pipeline.text_encoder.as_ref().unwrap().config().clone();
    config.max_position_embeddings = 50;
    let text_encoder = Some(BertModel::init(&config, &Device::flex()).unwrap());
    let other = HunyuanDiTComponents { text_encoder, ..(*pipeline).clone() };
    expect(&error(HunyuanDiTPipeline::new(other)), &["text_len", "77", "50 tokens"]);
}
