//! The pipelines, seed for seed.

use std::collections::BTreeMap;

use oxidiff::{
    AutoPipelineForText2Image, Device, DiffusionPipeline, HunyuanDiT2DModel, HunyuanDiTComponents,
    HunyuanDiTControlNet, HunyuanDiTControlNetPipeline, HunyuanDiTPAGPipeline, HunyuanDiTPipeline,
    HunyuanDiTTextToImage, Images, Model, OutputType, Pipeline,
};

use super::{checkpoint, controlnet, recorded, short_call, text_to_image, transformer};
use crate::fixture::recorded_calls::{Calls, RecordedCall, compare_calls};

/// Makes the calls of a file with pipelines that have the parts of the checkpoint, or another transformer.
fn compare(
    file: &str,
    which: impl Into<Calls>,
    make: impl Fn(HunyuanDiTComponents, &RecordedCall) -> oxidiff::Result<DiffusionPipeline>,
) {
    let plain = text_to_image();
    compare_calls(&recorded(""), file, which, |call| {
        let mut components: HunyuanDiTComponents = (*plain).clone();
        if let Some(name) = &call.transformer {
            components.transformer = transformer(name);
        }
        make(components, call).unwrap()
    });
}

#[test]
fn text_becomes_the_image_that_python_makes() {
    compare("text2img", 23, |components, _| Ok(HunyuanDiTPipeline::new(components)?.into()));
}

#[cfg(feature = "cuda")]
#[test]
fn cards_make_the_image_that_python_makes() {
    compare("text2img", Calls::EveryFifth, |mut components, _| {
        crate::checkpoints::place_on_card(&mut components.transformer);
        Ok(HunyuanDiTPipeline::new(components)?.into())
    });
    compare("pag", Calls::EveryFifth, |mut components, _| {
        crate::checkpoints::place_on_card(&mut components.transformer);
        Ok(HunyuanDiTPAGPipeline::new(components)?.into())
    });
}

#[test]
fn images_follow_others_as_in_python() {
    compare("control", 7, |components, call| {
        let names = call.controlnet.as_deref().unwrap().split('+');
        let nets = HunyuanDiTControlNet::of(names.map(controlnet).collect())?;
        Ok(HunyuanDiTControlNetPipeline::new(components, nets)?.into())
    });
}

#[test]
fn perturbed_attention_guides_as_in_python() {
    compare("pag", 7, |components, _| Ok(HunyuanDiTPAGPipeline::new(components)?.into()));
}

#[test]
fn one_pipeline_becomes_another_with_the_same_weights() {
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "HunyuanDiTPipeline");
    let controlled = pipeline.with_controlnet(controlnet("plain")).unwrap();
    assert_eq!(controlled.class_name(), "HunyuanDiTControlNetPipeline");
    let perturbed = controlled.to_class("HunyuanDiTPAGPipeline").unwrap();
    let parts: BTreeMap<&str, String> =
        perturbed.components().iter().map(|(name, part)| (name, part.class().1)).collect();
    let classes = [
        ("scheduler", "DDPMScheduler"),
        ("text_encoder", "BertModel"),
        ("text_encoder_2", "T5EncoderModel"),
        ("tokenizer", "BertTokenizer"),
        ("tokenizer_2", "T5Tokenizer"),
        ("transformer", "HunyuanDiT2DModel"),
        ("vae", "AutoencoderKL"),
    ];
    assert_eq!(parts, classes.map(|(name, class)| (name, class.to_owned())).into());
}

/// The predicted variance is not used, so a model without it is called in the same way.
#[test]
fn a_model_without_a_variance_makes_images() {
    let mut pipeline = text_to_image();
    let mut config = pipeline.transformer.config().clone();
    config.learn_sigma = false;
    pipeline.transformer = HunyuanDiT2DModel::init(&config, &Device::flex()).unwrap();
    let call = HunyuanDiTTextToImage { output_type: OutputType::Array, ..short_call() };
    let output = pipeline.call(call).unwrap();
    assert!(output.nsfw_content_detected.is_none());
    match output.images {
        Images::Array(images) => assert_eq!(images.dims(), [1, 16, 48, 3]),
        _ => panic!("an array was asked for"),
    }
}
