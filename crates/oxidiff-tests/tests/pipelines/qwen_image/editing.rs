//! Pipelines that edit, seed for seed.

use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, DiffusionPipeline, Pipeline, PipelineImageInput,
    Qwen2VLProcessor, QwenImageComponents, QwenImageEdit, QwenImageEditInpaintPipeline,
    QwenImageEditPipeline, QwenImageEditPlus, QwenImageEditPlusPipeline, QwenImagePipeline,
};

use super::models::transformer;
use super::{editing_checkpoint, error, expect, load, recorded};
use crate::fixture::pictures::{picture, values};
use crate::fixture::recorded_calls::compare_calls;

/// Makes the calls of a file with pipelines that have the parts of the checkpoint, or another transformer.
fn compare(
    file: &str,
    least: usize,
    make: impl Fn(QwenImageComponents, Qwen2VLProcessor) -> oxidiff::Result<DiffusionPipeline>,
) {
    let plain = load::<QwenImageEditPipeline>(editing_checkpoint().path()).unwrap();
    compare_calls(&recorded(""), file, least, |call| {
        let mut components: QwenImageComponents = (*plain).clone();
        if let Some(name) = &call.transformer {
            components.transformer = transformer(name);
        }
        make(components, plain.processor.clone()).unwrap()
    });
}

macro_rules! recorded_calls {
    ($($test:ident: $file:literal, $least:literal, $pipeline:ident;)+) => {
        $(
            #[test]
            fn $test() {
                compare($file, $least, |components, processor| Ok($pipeline::new(components, processor)?.into()));
            }
        )+
    };
}

recorded_calls! {
    images_are_edited_as_in_python: "edit", 5, QwenImageEditPipeline;
    several_images_are_looked_at_as_in_python: "edit_plus", 3, QwenImageEditPlusPipeline;
    images_are_edited_in_part_as_in_python: "edit_inpaint", 2, QwenImageEditInpaintPipeline;
}

#[test]
fn one_pipeline_becomes_another_with_the_same_weights() {
    let folder = editing_checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForImage2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "QwenImageEditPipeline");
    let other = AutoPipelineForInpainting::from_pipe(&pipeline).unwrap();
    assert_eq!(other.class_name(), "QwenImageEditInpaintPipeline");
    let components = other.components();
    let processor = components.iter().find(|(name, _)| *name == "processor").unwrap().1.class();
    assert_eq!(processor, ("transformers", "Qwen2VLProcessor".to_owned()));
    let saved = tempfile::tempdir().unwrap();
    other.save_pretrained(saved.path()).unwrap();
    load::<QwenImageEditInpaintPipeline>(saved.path()).unwrap();
    // Without its processor, it makes images from prompts.
    let plain = QwenImagePipeline::from_pipe(&load::<QwenImageEditPipeline>(folder.path()).unwrap()).unwrap();
    assert!(plain.components().iter().all(|(name, _)| name != "processor"));
}

#[test]
fn what_cannot_be_edited_is_refused() {
    let mut pipeline = load::<QwenImageEditPipeline>(editing_checkpoint().path()).unwrap();
    let tensor = PipelineImageInput::Tensor(values([1, 3, 32, 32], 0.0));
    for image in [tensor, Vec::new().into()] {
        let refused = error(pipeline.call(QwenImageEdit::new("a red apple", image)));
        expect(&refused, &["`image`", "at least one picture"]);
    }
    let image = || picture("RGB", [32, 32]);
    let three = vec![image(), image(), image()];
    let call =
        QwenImageEdit { prompt: vec!["a".into(), "b".into()], ..QwenImageEdit::new("", three.clone()) };
    expect(&error(pipeline.call(call)), &["`image`", "got 3 for 2 prompts"]);
    let narrow = QwenImageEdit::new("a red apple", picture("RGB", [1, 8000]));
    expect(&error(pipeline.call(narrow)), &["`image`", "1x8000", "narrow"]);
    let processor = pipeline.processor.clone();
    let mut plus = QwenImageEditPlusPipeline::new((*pipeline).clone(), processor).unwrap();
    let call =
        QwenImageEditPlus { prompt: vec!["a".into(), "b".into()], ..QwenImageEditPlus::new("", three) };
    expect(&error(plus.call(call)), &["`prompt`", "must be one"]);
}
