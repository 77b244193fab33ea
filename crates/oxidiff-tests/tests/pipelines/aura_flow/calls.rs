//! The pipeline, seed for seed.

use oxidiff::{
    AuraFlowComponents, AuraFlowPipeline, AutoPipelineForText2Image, LoraLoader, LoraOptions, Pipeline,
};

use super::models::transformer;
use super::{checkpoint, latents, load, recorded, text_to_image};
use crate::fixture::recorded_calls::{Calls, compare_calls};
use crate::fixture::{Recorded, assert_close};

const TOLERANCE: f32 = 1e-3;

#[test]
fn text_becomes_the_image_that_python_makes() {
    let plain = text_to_image();
    compare_calls(&recorded(""), "calls", 15, |call| {
        let mut components: AuraFlowComponents = (*plain).clone();
        if let Some(name) = &call.transformer {
            components.transformer = transformer(name);
        }
        AuraFlowPipeline::new(components).unwrap().into()
    });
}

#[cfg(feature = "cuda")]
#[test]
fn cards_make_the_image_that_python_makes() {
    let plain = text_to_image();
    compare_calls(&recorded(""), "calls", Calls::EveryFifth, |call| {
        let mut components: AuraFlowComponents = (*plain).clone();
        if let Some(name) = &call.transformer {
            components.transformer = transformer(name);
        }
        crate::checkpoints::place_on_card(&mut components.transformer);
        AuraFlowPipeline::new(components).unwrap().into()
    });
}

#[test]
fn adapters_change_the_transformer_as_in_python() {
    let expected = Recorded::open(&recorded("lora_outputs.safetensors"));
    let mut pipeline = text_to_image();
    assert_close("none", latents(&mut pipeline), expected.floats("none"), TOLERANCE);
    let options = LoraOptions { adapter_name: Some("adapter".into()), ..Default::default() };
    pipeline.load_lora_weights(recorded("lora.safetensors").to_str().unwrap(), &options).unwrap();
    assert_close("adapter", latents(&mut pipeline), expected.floats("adapter"), TOLERANCE);
    pipeline.set_adapters(&[("adapter", 0.4)]).unwrap();
    assert_close("weaker", latents(&mut pipeline), expected.floats("adapter_04"), TOLERANCE);
    pipeline.unload_lora_weights();
    assert_close("unloaded", latents(&mut pipeline), expected.floats("none"), TOLERANCE);
}

#[test]
fn the_class_for_a_task_is_found() {
    let folder = checkpoint();
    let pipeline = AutoPipelineForText2Image::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(pipeline.class_name(), "AuraFlowPipeline");
    let parts: Vec<(&str, String)> =
        pipeline.components().iter().map(|(name, part)| (name, part.class().1)).collect();
    for part in [
        ("scheduler", "FlowMatchEulerDiscreteScheduler"),
        ("text_encoder", "UMT5EncoderModel"),
        ("tokenizer", "LlamaTokenizer"),
        ("transformer", "AuraFlowTransformer2DModel"),
        ("vae", "AutoencoderKL"),
    ] {
        assert!(parts.contains(&(part.0, part.1.to_owned())), "{parts:?}");
    }
}

#[test]
fn a_pipeline_is_saved_without_its_text_encoder() {
    let plain = text_to_image();
    let components = AuraFlowComponents { text_encoder: None, tokenizer: None, ..(*plain).clone() };
    let folder = tempfile::tempdir().unwrap();
    AuraFlowPipeline::new(components).unwrap().save_pretrained(folder.path()).unwrap();
    assert!(!folder.path().join("text_encoder").exists());
    let again = load::<AuraFlowPipeline>(folder.path()).unwrap();
    assert!(again.text_encoder.is_none() && again.tokenizer.is_none());
}
