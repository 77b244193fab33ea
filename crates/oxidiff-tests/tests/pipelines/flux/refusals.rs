//! What calls and checkpoints refuse.

use std::path::Path;

use oxidiff::{
    AutoencoderKL, AutoencoderKLConfig, Device, DiffusionPipeline, FluxComponents, FluxControlNet,
    FluxControlNetPipeline, FluxControlNetTextToImage, FluxControlPipeline, FluxFillPipeline,
    FluxImageToImage, FluxImg2ImgPipeline, FluxInpaint, FluxInpaintPipeline, FluxKontext,
    FluxKontextPipeline, FluxPipeline, FluxTextToImage, Model, Pipeline, Request, T5EncoderModel,
};
use serde_json::{Value, json};

use super::models::{controlnet, transformer};
use super::{checkpoint, error, expect, load, text_to_image};
use crate::fixture::json;
use crate::fixture::pictures::{blob, picture, values};

#[test]
fn arguments_that_a_call_cannot_work_with_are_refused() {
    let mut pipeline = text_to_image();
    let mut refused = |arguments: FluxTextToImage| error(pipeline.call(arguments));
    let plain = || FluxTextToImage {
        height: Some(16),
        width: Some(16),
        num_inference_steps: 1,
        ..FluxTextToImage::new("a red apple")
    };
    expect(&refused(FluxTextToImage { height: Some(8), ..plain() }), &["`height`", "16", "8"]);
    expect(
        &refused(FluxTextToImage { max_sequence_length: 513, ..plain() }),
        &["`max_sequence_length`", "512"],
    );
    for num_inference_steps in [0, 10_000_000_000] {
        let call = FluxTextToImage { num_inference_steps, ..plain() };
        expect(&refused(call), &["`num_inference_steps`", "must be"]);
    }
    expect(&refused(FluxTextToImage { guidance_scale: f64::NAN, ..plain() }), &["`guidance_scale`"]);
    expect(&refused(FluxTextToImage { true_cfg_scale: f64::INFINITY, ..plain() }), &["`true_cfg_scale`"]);
    expect(&refused(FluxTextToImage { prompt: Vec::new(), ..plain() }), &["`prompt`"]);
    let two = vec!["a".to_owned(), "b".to_owned()];
    expect(&refused(FluxTextToImage { prompt_2: two.clone(), ..plain() }), &["`prompt_2`", "got 2"]);
    expect(
        &refused(FluxTextToImage { negative_prompt: two, true_cfg_scale: 2.0, ..plain() }),
        &["`negative_prompt`", "got 2"],
    );
    let embeds = Some(values([1, 1, 9, 24], 0.0).reshape([1, 9, 24]));
    let alone = FluxTextToImage { prompt: Vec::new(), prompt_embeds: embeds.clone(), ..plain() };
    expect(&refused(alone), &["`pooled_prompt_embeds`", "must be given"]);
    let pooled_prompt_embeds = Some(values([1, 1, 1, 10], 0.0).reshape([1, 10]));
    let short =
        FluxTextToImage { prompt: Vec::new(), prompt_embeds: embeds, pooled_prompt_embeds, ..plain() };
    expect(&refused(short), &["`pooled_prompt_embeds`", "12 features"]);
    let latents = Some(values([1, 4, 2, 4], 0.0).into());
    expect(&refused(FluxTextToImage { latents, ..plain() }), &["`latents`", "[1, 4, 2, 2]", "[1, 1, 16]"]);

    let mut pipeline = FluxImg2ImgPipeline::from_pipe(&pipeline).unwrap();
    let image = picture("RGB", [16, 16]);
    let call = FluxImageToImage {
        strength: 0.1,
        height: Some(16),
        width: Some(16),
        num_inference_steps: 2,
        ..FluxImageToImage::new("a red apple", image.clone())
    };
    assert!(pipeline.call(call).is_ok(), "a part of a step is run");
    let none = FluxImageToImage { strength: 0.0, ..FluxImageToImage::new("a red apple", image.clone()) };
    expect(&error(pipeline.call(none)), &["`strength`"]);
    let mut pipeline = FluxInpaintPipeline::from_pipe(&pipeline).unwrap();
    let call = FluxInpaint {
        padding_mask_crop: Some(2),
        height: Some(16),
        width: Some(16),
        ..FluxInpaint::new("a red apple", image, blob([32, 16, 0, 0, 8, 8]))
    };
    expect(&error(pipeline.call(call)), &["`mask_image`", "32x16"]);
    let mut pipeline = FluxKontextPipeline::new((*pipeline).clone()).unwrap();
    let call = FluxKontext { max_area: 0, prompt: vec!["a".into()], ..Default::default() };
    expect(&error(pipeline.call(call)), &["`max_area`"]);
    let call = FluxKontext { max_area: 100, prompt: vec!["a".into()], ..Default::default() };
    expect(&error(pipeline.call(call)), &["`height`", "0"]);
}

#[test]
fn arguments_of_other_classes_are_refused() {
    let mut pipeline: DiffusionPipeline = text_to_image().into();
    let request = Request::default().with("prompt", "a red apple").with("ip_adapter_image", "face.png");
    expect(&error(pipeline.call(request)), &["ip_adapter_image"]);
    let request = Request::default().with("prompt", "a red apple").with("strength", 0.5);
    expect(&error(pipeline.call(request)), &["strength"]);
}

#[test]
fn a_pipeline_without_text_encoders_takes_embedded_prompts() {
    let pipeline = text_to_image();
    let components = FluxComponents { text_encoder_2: None, tokenizer_2: None, ..(*pipeline).clone() };
    let mut pipeline = FluxPipeline::new(components).unwrap();
    expect(&error(pipeline.call("a red apple")), &["`prompt`", "`prompt_embeds`"]);
}

#[test]
fn controlnets_that_do_not_fit_are_refused() {
    let pipeline = text_to_image();
    let components = || FluxComponents { transformer: transformer("other"), ..(*pipeline).clone() };
    expect(&error(FluxPipeline::new(components())), &["in_channels", "20", "16"]);
    let mut controlled = FluxControlNetPipeline::new((*pipeline).clone(), controlnet("union")).unwrap();
    let call = FluxControlNetTextToImage {
        height: Some(16),
        width: Some(16),
        ..FluxControlNetTextToImage::new("a red apple", picture("RGB", [16, 16]))
    };
    expect(&error(controlled.call(call)), &["`control_mode`", "must be given"]);
    let call = FluxControlNetTextToImage {
        height: Some(16),
        width: Some(16),
        control_mode: vec![0, 1].into(),
        ..FluxControlNetTextToImage::new("a red apple", picture("RGB", [16, 16]))
    };
    expect(&error(controlled.call(call)), &["`control_image`", "got 1 image for 2 control images"]);
    let call = FluxControlNetTextToImage {
        height: Some(16),
        width: Some(16),
        control_mode: 1.into(),
        control_guidance_start: 0.8.into(),
        control_guidance_end: 0.5.into(),
        ..FluxControlNetTextToImage::new("a red apple", picture("RGB", [16, 16]))
    };
    expect(&error(controlled.call(call)), &["`control_guidance_start`", "0.8"]);
    assert!(FluxControlNet::of(Vec::new()).is_err());
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = checkpoint();
        change(folder.path());
        error(load::<FluxPipeline>(folder.path()))
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
    let remove = |folder: &Path| std::fs::remove_file(folder.join(weights)).unwrap();
    expect(&refused(&remove), &["transformer", "diffusion_pytorch_model.safetensors"]);
    let truncate = |folder: &Path| {
        let bytes = std::fs::read(folder.join(weights)).unwrap();
        std::fs::write(folder.join(weights), &bytes[..bytes.len() / 2]).unwrap();
    };
    expect(&refused(&truncate), &["transformer", "diffusion_pytorch_model.safetensors"]);
    let transformer_config = "transformer/config.json";
    expect(
        &refused(&set(transformer_config, "num_single_layers", 3.into())),
        &["single_transformer_blocks.2", "missing"],
    );
    expect(&refused(&set(transformer_config, "joint_attention_dim", 32.into())), &["[32, 24]", "[32, 32]"]);
    let class = set("model_index.json", "text_encoder_2", json!(["transformers", "UMT5EncoderModel"]));
    expect(&refused(&class), &["text_encoder_2", "UMT5EncoderModel"]);
    let tokenizer = set("model_index.json", "tokenizer_2", json!([null, null]));
    expect(&refused(&tokenizer), &["tokenizer_2", "needs its tokenizer"]);
    for class in ["FluxPriorReduxPipeline", "FluxModularPipeline"] {
        let folder = checkpoint();
        set("model_index.json", "_class_name", class.into())(folder.path());
        let whole = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap());
        expect(&error(whole), &[class, "FluxPipeline"]);
    }

    // Parts that do not fit each other.
    let pipeline = text_to_image();
    let device = Device::flex();
    let mut config = pipeline.text_encoder_2.as_ref().unwrap().config().clone();
    config.d_model = 20;
    let text_encoder_2 = Some(T5EncoderModel::init(&config, &device).unwrap());
    let other = FluxComponents { text_encoder_2, ..(*pipeline).clone() };
    expect(&error(FluxPipeline::new(other)), &["joint_attention_dim", "24", "20"]);
    let vae = AutoencoderKL::init(&AutoencoderKLConfig { latent_channels: 8, ..Default::default() }, &device);
    let other = FluxComponents { vae: vae.unwrap().into(), ..(*pipeline).clone() };
    expect(&error(FluxPipeline::new(other)), &["in_channels", "16", "32"]);
    expect(&error(FluxFillPipeline::new((*pipeline).clone())), &["in_channels", "16", "288"]);
    expect(&error(FluxControlPipeline::new((*pipeline).clone())), &["in_channels", "16", "32"]);
}
