//! The pipelines, seed for seed.

use std::collections::BTreeMap;

use oxidiff::{
    AUTO_PIPELINES, AutoPipeline, DiffusionPipeline, Pipeline, ZImageControlNetInpaintPipeline,
    ZImageControlNetPipeline, ZImageImg2ImgPipeline, ZImageInpaintPipeline, ZImagePipeline,
};

use super::models::controlnet;
use super::{checkpoint, load, recorded};
use crate::fixture::recorded_calls::{Calls, compare_calls};

fn compare<P: Pipeline>(file: &str, which: impl Into<Calls>) {
    let folder = checkpoint();
    let plain: DiffusionPipeline = load::<ZImagePipeline>(folder.path()).unwrap().into();
    compare_calls(&recorded(""), file, which, |call| {
        let pipeline = match &call.controlnet {
            Some(name) => {
                let task = match P::CLASS_NAME {
                    ZImageControlNetPipeline::CLASS_NAME => AUTO_PIPELINES[0],
                    _ => AutoPipeline::find("AutoPipelineForInpainting").unwrap(),
                };
                task.from_pipe_with_controlnet(&plain, controlnet(name)).unwrap()
            }
            None => plain.to_class(P::CLASS_NAME).unwrap(),
        };
        assert_eq!(pipeline.class_name(), P::CLASS_NAME);
        pipeline
    });
}

#[test]
fn text_becomes_the_image_that_python_makes() {
    compare::<ZImagePipeline>("text2img", 16);
}

#[cfg(feature = "cuda")]
#[test]
fn cards_make_the_image_that_python_makes() {
    let folder = checkpoint();
    let options = oxidiff::LoadOptions { device: oxidiff::interpreter(), ..Default::default() };
    let mut pipeline =
        ZImagePipeline::from_pretrained_with(folder.path().to_str().unwrap(), &options).unwrap();
    pipeline.set_progress_bar(false);
    let pipeline: DiffusionPipeline = pipeline.into();
    compare_calls(&recorded(""), "text2img", Calls::EveryFifth, |_| {
        pipeline.to_class(ZImagePipeline::CLASS_NAME).unwrap()
    });
}

#[test]
fn images_are_changed_as_in_python() {
    compare::<ZImageImg2ImgPipeline>("img2img", 9);
}

#[test]
fn images_are_inpainted_as_in_python() {
    compare::<ZImageInpaintPipeline>("inpaint", 7);
}

#[test]
fn images_follow_others_as_in_python() {
    compare::<ZImageControlNetPipeline>("control", 4);
}

#[test]
fn images_are_inpainted_and_follow_others_as_in_python() {
    compare::<ZImageControlNetInpaintPipeline>("control_inpaint", 3);
}

#[test]
fn one_pipeline_becomes_another_with_the_same_weights() {
    use oxidiff::{AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image};
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "ZImagePipeline");
    let other = AutoPipelineForImage2Image::from_pipe(&pipeline).unwrap();
    assert_eq!(other.class_name(), "ZImageImg2ImgPipeline");
    let other = AutoPipelineForInpainting::from_pipe(&other).unwrap();
    assert_eq!(other.class_name(), "ZImageInpaintPipeline");
    let parts: BTreeMap<&str, String> =
        other.components().iter().map(|(name, part)| (name, part.class().1)).collect();
    let classes = [
        ("scheduler", "FlowMatchEulerDiscreteScheduler"),
        ("text_encoder", "Qwen3Model"),
        ("tokenizer", "Qwen2Tokenizer"),
        ("transformer", "ZImageTransformer2DModel"),
        ("vae", "AutoencoderKL"),
    ];
    assert_eq!(parts, classes.map(|(name, class)| (name, class.to_owned())).into());
}
