//! Saving and loading, and the safety checker.

use oxidiff::{
    CLIPImageProcessor, HunyuanDiTComponents, HunyuanDiTControlNet, HunyuanDiTControlNetPipeline,
    HunyuanDiTPipeline, HunyuanDiTTextToImage, Images, LoadOptions, OutputType, Pipeline,
    StableDiffusionSafetyChecker,
};
use oxidiff::{ImageProcessor, Model};
use serde_json::{Value, json};

use super::{checkpoint, controlnet, error, expect, latents, load, recorded, short_call, text_to_image};
use crate::fixture;

#[test]
fn a_saved_pipeline_makes_the_same_image() {
    let folder = checkpoint();
    let mut pipeline = load::<HunyuanDiTPipeline>(folder.path()).unwrap();
    let expected = latents(&mut pipeline);
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<HunyuanDiTPipeline>(saved.path()).unwrap();
    assert_eq!(fixture::difference(latents(&mut again), expected), 0.0);
    for file in ["model_index.json", "transformer/config.json", "text_encoder/config.json"] {
        let ours: Value = fixture::json(&saved.path().join(file));
        let theirs: Value = fixture::json(&recorded("checkpoint").join(file));
        for (field, value) in theirs.as_object().unwrap() {
            let is_of_version = field.starts_with('_') || field.ends_with("_version");
            assert!(ours.get(field) == Some(value) || is_of_version, "{file}: {field}");
        }
    }
}

#[test]
fn controlnets_are_saved_with_a_pipeline() {
    let folder = checkpoint();
    for names in [&["plain"][..], &["plain", "second"]] {
        let nets = HunyuanDiTControlNet::of(names.iter().map(|name| controlnet(name)).collect()).unwrap();
        let options = LoadOptions { controlnet: Some(nets.into()), ..Default::default() };
        let name = folder.path().to_str().unwrap();
        let pipeline = HunyuanDiTControlNetPipeline::from_pretrained_with(name, &options).unwrap();
        let saved = tempfile::tempdir().unwrap();
        pipeline.save_pretrained(saved.path()).unwrap();
        let again = load::<HunyuanDiTControlNetPipeline>(saved.path()).unwrap();
        assert_eq!(again.controlnet.nets().len(), names.len());
        let index: Value = fixture::json(&saved.path().join("model_index.json"));
        let class_name = match names.len() {
            1 => "HunyuanDiT2DControlNetModel",
            _ => "HunyuanDiT2DMultiControlNetModel",
        };
        assert_eq!(index["controlnet"][1], class_name);
    }
    expect(&error(load::<HunyuanDiTControlNetPipeline>(folder.path())), &["`controlnet`", "must be given"]);
}

#[test]
fn a_pipeline_is_saved_without_its_text_encoders() {
    let plain = text_to_image();
    let components = HunyuanDiTComponents {
        text_encoder: None,
        tokenizer: None,
        text_encoder_2: None,
        tokenizer_2: None,
        ..(*plain).clone()
    };
    let folder = tempfile::tempdir().unwrap();
    HunyuanDiTPipeline::new(components).unwrap().save_pretrained(folder.path()).unwrap();
    assert!(!folder.path().join("text_encoder").exists());
    let mut again = load::<HunyuanDiTPipeline>(folder.path()).unwrap();
    assert!(again.text_encoder.is_none() && again.tokenizer_2.is_none());
    expect(&error(again.call("a red apple")), &["`prompt`", "`text_encoder`", "`prompt_embeds`"]);
}

/// The same encoder under the name that it has alone.
#[test]
fn the_second_text_encoder_may_be_named_after_mt5() {
    let folder = checkpoint();
    let file = folder.path().join("model_index.json");
    let mut index: Value = fixture::json(&file);
    index["text_encoder_2"] = json!(["transformers", "MT5EncoderModel"]);
    index["tokenizer_2"] = json!(["transformers", "MT5Tokenizer"]);
    std::fs::write(&file, index.to_string()).unwrap();
    let mut renamed = load::<HunyuanDiTPipeline>(folder.path()).unwrap();
    assert_eq!(fixture::difference(latents(&mut renamed), latents(&mut text_to_image())), 0.0);
}

#[test]
fn images_that_the_safety_checker_flags_are_black() {
    let mut pipeline = text_to_image();
    let folder = recorded("../vision/safety_checker/pipeline");
    let part = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let checker = StableDiffusionSafetyChecker::from_pretrained(&part("safety_checker")).unwrap();
    pipeline.safety_checker = Some(checker);
    let call = || HunyuanDiTTextToImage {
        output_type: OutputType::Array,
        num_images_per_prompt: 4,
        height: Some(32),
        ..short_call()
    };
    expect(&error(pipeline.call(call())), &["`feature_extractor`", "safety checker"]);
    pipeline.feature_extractor =
        Some(CLIPImageProcessor::from_pretrained(&part("feature_extractor")).unwrap());
    let output = pipeline.call(call()).unwrap();
    let flagged = output.nsfw_content_detected.unwrap();
    assert_eq!(flagged.len(), 4);
    let Images::Array(images) = output.images else { panic!("an array was asked for") };
    for (index, flagged) in flagged.into_iter().enumerate() {
        let brightest = images.clone().narrow(0, index, 1).max().into_scalar::<f32>();
        assert_eq!(brightest == 0.0, flagged, "image {index}");
    }
}
