//! What calls and checkpoints refuse.

use std::path::Path;

use oxidiff::{
    AutoencoderKL, AutoencoderKLConfig, Device, DiffusionPipeline, Model, Pipeline, QwenImageComponents,
    QwenImageControlNet, QwenImageControlNetInpaint, QwenImageControlNetInpaintPipeline,
    QwenImageControlNetPipeline, QwenImageControlNetTextToImage, QwenImageImageToImage,
    QwenImageImg2ImgPipeline, QwenImageInpaint, QwenImageInpaintPipeline, QwenImagePipeline,
    QwenImageTextToImage, Request,
};
use serde_json::{Value, json};

use super::models::{controlnet, transformer};
use super::{checkpoint, error, expect, load, text_to_image};
use crate::fixture::json;
use crate::fixture::pictures::{blob, picture, values};

#[test]
fn arguments_that_a_call_cannot_work_with_are_refused() {
    let mut pipeline = text_to_image();
    let mut refused = |arguments: QwenImageTextToImage| error(pipeline.call(arguments));
    let plain = || QwenImageTextToImage {
        height: Some(16),
        width: Some(16),
        num_inference_steps: 1,
        ..QwenImageTextToImage::new("a red apple")
    };
    expect(&refused(QwenImageTextToImage { height: Some(8), ..plain() }), &["`height`", "16", "8"]);
    for max_sequence_length in [0, 1025] {
        let call = QwenImageTextToImage { max_sequence_length, ..plain() };
        expect(&refused(call), &["`max_sequence_length`", "1024"]);
    }
    for num_inference_steps in [0, 10_000_000_000] {
        let call = QwenImageTextToImage { num_inference_steps, ..plain() };
        expect(&refused(call), &["`num_inference_steps`", "must be"]);
    }
    expect(
        &refused(QwenImageTextToImage { guidance_scale: Some(f64::NAN), ..plain() }),
        &["`guidance_scale`"],
    );
    expect(
        &refused(QwenImageTextToImage { true_cfg_scale: f64::INFINITY, ..plain() }),
        &["`true_cfg_scale`"],
    );
    expect(&refused(QwenImageTextToImage { prompt: Vec::new(), ..plain() }), &["`prompt`"]);
    let two = vec!["a".to_owned(), "b".to_owned()];
    expect(
        &refused(QwenImageTextToImage { negative_prompt: two, ..plain() }),
        &["`negative_prompt`", "got 2"],
    );
    let embeds = |tokens: usize, features: usize| {
        Some(values([1, 1, tokens, features], 0.0).reshape([1, tokens, features]))
    };
    let narrow = QwenImageTextToImage { prompt: Vec::new(), prompt_embeds: embeds(9, 10), ..plain() };
    expect(&refused(narrow), &["`prompt_embeds`", "16 features"]);
    let prompt_embeds_mask = Some(values([1, 1, 1, 8], 0.0).reshape([1, 8]));
    let short = QwenImageTextToImage {
        prompt: Vec::new(),
        prompt_embeds: embeds(9, 16),
        prompt_embeds_mask,
        ..plain()
    };
    expect(&refused(short), &["`prompt_embeds_mask`", "[1, 9]"]);
    let latents = Some(values([1, 4, 2, 4], 0.0).into());
    expect(
        &refused(QwenImageTextToImage { latents, ..plain() }),
        &["`latents`", "[1, 4, 2, 2]", "[1, 1, 16]"],
    );

    let mut pipeline = QwenImageImg2ImgPipeline::from_pipe(&pipeline).unwrap();
    let image = picture("RGB", [16, 16]);
    let none =
        QwenImageImageToImage { strength: 0.0, ..QwenImageImageToImage::new("a red apple", image.clone()) };
    expect(&error(pipeline.call(none)), &["`strength`"]);
    let mut pipeline = QwenImageInpaintPipeline::from_pipe(&pipeline).unwrap();
    let call = QwenImageInpaint {
        padding_mask_crop: Some(2),
        height: Some(16),
        width: Some(16),
        ..QwenImageInpaint::new("a red apple", image, blob([32, 16, 0, 0, 8, 8]))
    };
    expect(&error(pipeline.call(call)), &["`mask_image`", "32x16"]);
}

#[test]
fn arguments_of_other_classes_are_refused() {
    let mut pipeline: DiffusionPipeline = text_to_image().into();
    for (name, value) in [("ip_adapter_image", "face.png"), ("prompt_2", "an apple")] {
        let request = Request::default().with("prompt", "a red apple").with(name, value);
        expect(&error(pipeline.call(request)), &[name]);
    }
}

#[test]
fn a_pipeline_without_text_encoder_takes_embedded_prompts() {
    let pipeline = text_to_image();
    let components = QwenImageComponents { text_encoder: None, tokenizer: None, ..(*pipeline).clone() };
    let mut pipeline = QwenImagePipeline::new(components).unwrap();
    expect(&error(pipeline.call("a red apple")), &["`prompt`", "`prompt_embeds`"]);
}

#[test]
fn controlnets_that_do_not_fit_are_refused() {
    let pipeline = text_to_image();
    let components = || QwenImageComponents { transformer: transformer("other"), ..(*pipeline).clone() };
    expect(&error(QwenImagePipeline::new(components())), &["in_channels", "20", "16"]);
    let image = || picture("RGB", [16, 16]);
    let mut controlled =
        QwenImageControlNetPipeline::new((*pipeline).clone(), controlnet("inpaint")).unwrap();
    let call = || QwenImageControlNetTextToImage {
        height: Some(16),
        width: Some(16),
        ..QwenImageControlNetTextToImage::new("a red apple", image())
    };
    expect(&error(controlled.call(call())), &["`controlnet`", "20", "16"]);
    let mut controlled = QwenImageControlNetPipeline::new((*pipeline).clone(), controlnet("edges")).unwrap();
    let backwards = QwenImageControlNetTextToImage {
        control_guidance_start: 0.8.into(),
        control_guidance_end: 0.5.into(),
        ..call()
    };
    expect(&error(controlled.call(backwards)), &["`control_guidance_start`", "0.8"]);
    let none = QwenImageControlNetTextToImage { control_image: Default::default(), ..call() };
    expect(&error(controlled.call(none)), &["`control_image`"]);
    let mut masked =
        QwenImageControlNetInpaintPipeline::new((*pipeline).clone(), controlnet("inpaint")).unwrap();
    let none = QwenImageControlNetInpaint::new("a red apple", image(), Vec::new());
    expect(&error(masked.call(none)), &["`control_mask`", "must be given"]);
    assert!(QwenImageControlNet::of(Vec::new()).is_err());
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = checkpoint();
        change(folder.path());
        error(load::<QwenImagePipeline>(folder.path()))
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
    let config = "transformer/config.json";
    expect(&refused(&set(config, "num_layers", 3.into())), &["transformer_blocks.2", "missing"]);
    expect(&refused(&set(config, "joint_attention_dim", 32.into())), &["txt_", "16]", "32]"]);
    expect(&refused(&set(config, "guidance_embeds", true.into())), &["guidance_embeds", "not supported"]);
    let class = set("model_index.json", "text_encoder", json!(["transformers", "Qwen3VLModel"]));
    expect(&refused(&class), &["text_encoder", "Qwen3VLModel"]);
    let tokenizer = set("model_index.json", "tokenizer", json!([null, null]));
    expect(&refused(&tokenizer), &["tokenizer", "needs its tokenizer"]);
    for (class, message) in
        [("QwenImageLayeredPipeline", "processor"), ("QwenImage21Pipeline", "QwenImagePipeline")]
    {
        let folder = checkpoint();
        set("model_index.json", "_class_name", class.into())(folder.path());
        let whole = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap());
        expect(&error(whole), &[class, message]);
    }

    // Parts that do not fit each other.
    let pipeline = text_to_image();
    let config = AutoencoderKLConfig { latent_channels: 8, ..Default::default() };
    let vae = AutoencoderKL::init(&config, &Device::flex());
    let other = QwenImageComponents { vae: vae.unwrap().into(), ..(*pipeline).clone() };
    expect(&error(QwenImagePipeline::new(other)), &["in_channels", "16", "32"]);
}
