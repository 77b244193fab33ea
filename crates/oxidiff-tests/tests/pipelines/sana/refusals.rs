//! Calls and checkpoints that cannot work.

use std::path::Path;

use oxidiff::{
    DiffusionPipeline, FlowMatchEulerDiscreteScheduler, Pipeline, Request, SCMScheduler, SanaComponents,
    SanaControlNetPipeline, SanaControlNetTextToImage, SanaPipeline, SanaSprintImageToImage,
    SanaSprintImg2ImgPipeline, SanaSprintPipeline, SanaSprintTextToImage, SanaTextToImage,
};
use serde_json::{Value, json};

use super::{checkpoint, controlnet, error, expect, load, model, short, text_to_image};
use crate::fixture::json;
use crate::fixture::pictures::{picture, values};

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let mut pipeline = text_to_image();
    let mut refused = |call: SanaTextToImage| error(pipeline.call(call));
    expect(&refused(SanaTextToImage { max_sequence_length: 0, ..short() }), &["`max_sequence_length`"]);
    expect(&refused(SanaTextToImage { guidance_scale: f64::NAN, ..short() }), &["`guidance_scale`", "NaN"]);
    expect(&refused(SanaTextToImage { num_inference_steps: 0, ..short() }), &["`num_inference_steps`"]);
    expect(&refused(SanaTextToImage { height: 100, ..short() }), &["`height`", "multiple of 32", "100"]);
    expect(&refused(SanaTextToImage { prompt: Vec::new(), ..short() }), &["`prompt`"]);
    let both = SanaTextToImage { sigmas: Some(vec![1.0]), timesteps: Some(vec![1.0]), ..short() };
    expect(&refused(both), &["`timesteps`", "`sigmas`"]);
    let embeds = |tokens: usize, features: usize| {
        Some(values([1, 2, tokens, features], -1.0).reshape([2, tokens, features]))
    };
    let mask = |tokens: usize| Some(values([1, 1, 2, tokens], 1.0).reshape([2, tokens]));
    let embedded = || SanaTextToImage {
        prompt: Vec::new(),
        prompt_embeds: embeds(9, 24),
        prompt_attention_mask: mask(9),
        ..short()
    };
    let without = SanaTextToImage { prompt_attention_mask: None, ..embedded() };
    expect(&refused(without), &["`prompt_attention_mask`", "`prompt_embeds`"]);
    let narrower = SanaTextToImage { prompt_embeds: embeds(9, 23), ..embedded() };
    expect(&refused(narrower), &["`prompt_embeds`", "24"]);
    // Negative prompts have 16 tokens.
    expect(&refused(embedded()), &["`prompt_embeds`", "9 tokens", "16"]);
}

#[test]
fn arguments_of_sprint_that_do_not_fit_are_refused() {
    let mut components: SanaComponents = (*text_to_image()).clone();
    components.transformer = model("transformer.sprint");
    let mut flow = SanaSprintPipeline::new(components.clone()).unwrap();
    flow.set_scheduler(FlowMatchEulerDiscreteScheduler::new(Default::default()).unwrap());
    let call = || SanaSprintTextToImage {
        height: 64,
        width: 64,
        max_sequence_length: 16,
        complex_human_instruction: Vec::new(),
        use_resolution_binning: false,
        ..SanaSprintTextToImage::new("a red apple")
    };
    expect(&error(flow.call(call())), &["FlowMatchEulerDiscreteScheduler", "SCMScheduler"]);
    components.scheduler = SCMScheduler::new(Default::default()).unwrap().into();
    let mut pipeline = SanaSprintPipeline::new(components.clone()).unwrap();
    pipeline.set_progress_bar(false);
    let given = Some(vec![1.5, 0.0]);
    let both = SanaSprintTextToImage { timesteps: given.clone(), max_timesteps: Some(1.5), ..call() };
    expect(&error(pipeline.call(both)), &["`max_timesteps`", "`timesteps`"]);
    let one = SanaSprintTextToImage { intermediate_timesteps: Some(1.1), num_inference_steps: 1, ..call() };
    expect(&error(pipeline.call(one)), &["`intermediate_timesteps`", "1"]);
    pipeline.call(SanaSprintTextToImage { timesteps: given, ..call() }).unwrap();
    let mut pipeline = SanaSprintImg2ImgPipeline::new(components.clone()).unwrap();
    let image = |strength: f64| SanaSprintImageToImage {
        strength,
        height: 64,
        width: 64,
        max_sequence_length: 16,
        complex_human_instruction: Vec::new(),
        use_resolution_binning: false,
        ..SanaSprintImageToImage::new("a red apple", picture("RGB", [16, 16]))
    };
    expect(&error(pipeline.call(image(1.5))), &["`strength`", "1.5"]);
    expect(&error(pipeline.call(image(0.0))), &["`strength`", "less than one step"]);
    // Each class is for one kind of model.
    let mut plain = SanaPipeline::new(components).unwrap();
    expect(&error(plain.call(short())), &["guidance_embeds", "SanaSprintPipeline"]);
    let mut sprint = SanaSprintPipeline::from_pipe(&text_to_image()).unwrap();
    expect(&error(sprint.call(call())), &["guidance_embeds", "false"]);
}

#[test]
fn images_to_follow_that_do_not_fit_are_refused() {
    let mut pipeline = SanaControlNetPipeline::new((*text_to_image()).clone(), controlnet()).unwrap();
    let call = || SanaControlNetTextToImage {
        height: 64,
        width: 64,
        max_sequence_length: 16,
        complex_human_instruction: Vec::new(),
        use_resolution_binning: false,
        ..SanaControlNetTextToImage::new("a red apple", vec![picture("RGB", [16, 16]); 2])
    };
    expect(&error(pipeline.call(call())), &["`control_image`", "got 2 for 1 prompt"]);
    let tensor = SanaControlNetTextToImage { control_image: values([1, 3, 40, 64], 0.0).into(), ..call() };
    expect(&error(pipeline.call(tensor)), &["`control_image`", "[1, 3, 40, 64]", "multiples of 32"]);
    let none = SanaControlNetTextToImage { controlnet_conditioning_scale: f64::INFINITY, ..call() };
    expect(&error(pipeline.call(none)), &["`controlnet_conditioning_scale`", "inf"]);
    let mut components: SanaComponents = (*text_to_image()).clone();
    components.transformer = model("transformer.sprint");
    let larger =
        oxidiff::SanaControlNetConfig { num_layers: 3, ..oxidiff::Model::config(&controlnet()).clone() };
    let larger = oxidiff::Model::init(&larger, &oxidiff::Device::flex()).unwrap();
    expect(&error(SanaControlNetPipeline::new(components, larger)), &["`controlnet`", "3 blocks", "2"]);
}

#[test]
fn sizes_without_bins_are_refused() {
    let mut components: SanaComponents = (*text_to_image()).clone();
    components.transformer = {
        let config = oxidiff::SanaTransformer2DConfig {
            sample_size: 20,
            ..oxidiff::Model::config(&components.transformer).clone()
        };
        oxidiff::Model::init(&config, &oxidiff::Device::flex()).unwrap()
    };
    let mut pipeline = SanaPipeline::new(components).unwrap();
    let call = SanaTextToImage { use_resolution_binning: true, ..short() };
    expect(&error(pipeline.call(call)), &["`use_resolution_binning`", "20"]);
}

#[test]
fn arguments_of_other_classes_are_refused() {
    let mut pipeline: DiffusionPipeline = text_to_image().into();
    for (name, value) in [("image", "face.png"), ("prompt_2", "a dog")] {
        let request = Request::default().with("prompt", "a red apple").with(name, value);
        expect(&error(pipeline.call(request)), &[name]);
    }
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = checkpoint();
        change(folder.path());
        error(load::<SanaPipeline>(folder.path()))
    };
    let set = |file: &'static str, field: &'static str, value: Value| {
        move |folder: &Path| {
            let file = folder.join(file);
            let mut config: Value = json(&file);
            config[field] = value.clone();
            std::fs::write(&file, config.to_string()).unwrap();
        }
    };
    let weights = "vae/diffusion_pytorch_model.safetensors";
    let truncate = |folder: &Path| {
        let bytes = std::fs::read(folder.join(weights)).unwrap();
        std::fs::write(folder.join(weights), &bytes[..bytes.len() / 2]).unwrap();
    };
    expect(&refused(&truncate), &["vae", "diffusion_pytorch_model.safetensors"]);
    let more = set("transformer/config.json", "num_layers", 4.into());
    expect(&refused(&more), &["transformer_blocks.3", "missing"]);
    let class = set("model_index.json", "text_encoder", json!(["transformers", "Gemma3ForCausalLM"]));
    expect(&refused(&class), &["text_encoder", "Gemma3ForCausalLM"]);
    let tokenizer = set("model_index.json", "tokenizer", json!([null, null]));
    expect(&refused(&tokenizer), &["tokenizer", "needs its tokenizer"]);
    let none = SanaComponents { text_encoder: None, tokenizer: None, ..(*text_to_image()).clone() };
    let mut pipeline = SanaPipeline::new(none).unwrap();
    expect(&error(pipeline.call("a red apple")), &["`prompt`", "`prompt_embeds`"]);
    let wide = SanaComponents { transformer: model("transformer.plain"), ..(*text_to_image()).clone() };
    SanaPipeline::new(wide).unwrap();
}
