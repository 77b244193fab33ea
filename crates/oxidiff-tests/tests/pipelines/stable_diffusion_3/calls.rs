//! The pipelines, seed for seed.

use std::collections::BTreeMap;

use oxidiff::{
    AUTO_PIPELINES, AutoPipeline, DiffusionPipeline, Pipeline, SD3ControlNet, SD3ControlNetModel,
    StableDiffusion3ControlNetInpaintingPipeline, StableDiffusion3ControlNetPipeline,
    StableDiffusion3Img2ImgPipeline, StableDiffusion3InpaintPipeline, StableDiffusion3Pipeline,
};

use super::models::{controlnet, transformer};
use super::{checkpoint, load, recorded};
use crate::fixture::recorded_calls::{Calls, compare_calls};

fn compare<P: Pipeline>(file: &str, which: impl Into<Calls>) {
    let folder = checkpoint();
    let plain: DiffusionPipeline = load::<StableDiffusion3Pipeline>(folder.path()).unwrap().into();
    compare_calls(&recorded(""), file, which, |call| {
        if let Some(name) = &call.transformer {
            let mut pipeline = load::<StableDiffusion3InpaintPipeline>(folder.path()).unwrap();
            pipeline.transformer = transformer(name);
            return pipeline.into();
        }
        let pipeline = match &call.controlnet {
            Some(names) => {
                let nets = SD3ControlNet::of(names.split('+').map(controlnet).collect()).unwrap();
                let task = match P::CLASS_NAME {
                    StableDiffusion3ControlNetPipeline::CLASS_NAME => AUTO_PIPELINES[0],
                    _ => AutoPipeline::find("AutoPipelineForInpainting").unwrap(),
                };
                task.from_pipe_with_controlnet(&plain, nets).unwrap()
            }
            None => plain.to_class(P::CLASS_NAME).unwrap(),
        };
        assert_eq!(pipeline.class_name(), P::CLASS_NAME);
        pipeline
    });
}

#[test]
fn text_becomes_the_image_that_python_makes() {
    compare::<StableDiffusion3Pipeline>("text2img", 17);
}

#[cfg(feature = "cuda")]
#[test]
fn cards_make_the_image_that_python_makes() {
    let folder = checkpoint();
    let options = oxidiff::LoadOptions { device: oxidiff::interpreter(), ..Default::default() };
    let mut pipeline =
        StableDiffusion3Pipeline::from_pretrained_with(folder.path().to_str().unwrap(), &options).unwrap();
    pipeline.set_progress_bar(false);
    let pipeline: DiffusionPipeline = pipeline.into();
    compare_calls(&recorded(""), "text2img", Calls::EveryFifth, |_| {
        pipeline.to_class(StableDiffusion3Pipeline::CLASS_NAME).unwrap()
    });
    compare_calls(&recorded(""), "control", Calls::EveryFifth, |call| {
        let nets: Vec<SD3ControlNetModel> =
            call.controlnet.as_ref().unwrap().split('+').map(controlnet).collect();
        let nets = SD3ControlNet::of(crate::checkpoints::on_card(&nets)).unwrap();
        AUTO_PIPELINES[0].from_pipe_with_controlnet(&pipeline, nets).unwrap()
    });
}

#[test]
fn images_are_changed_as_in_python() {
    compare::<StableDiffusion3Img2ImgPipeline>("img2img", 10);
}

#[test]
fn images_are_inpainted_as_in_python() {
    compare::<StableDiffusion3InpaintPipeline>("inpaint", 9);
}

#[test]
fn images_follow_others_as_in_python() {
    compare::<StableDiffusion3ControlNetPipeline>("control", 7);
}

#[test]
fn images_are_inpainted_by_controlnets_as_in_python() {
    compare::<StableDiffusion3ControlNetInpaintingPipeline>("control_inpaint", 2);
}

/// Python needs `text_encoder_3=None` to load it.
#[test]
fn the_third_text_encoder_can_be_missing() {
    let folder = checkpoint();
    let file = folder.path().join("model_index.json");
    let mut index: serde_json::Value = crate::fixture::json(&file);
    for part in ["text_encoder_3", "tokenizer_3"] {
        std::fs::remove_dir_all(folder.path().join(part)).unwrap();
        index[part] = serde_json::json!([null, null]);
    }
    std::fs::write(&file, index.to_string()).unwrap();
    let plain: DiffusionPipeline = load::<StableDiffusion3Pipeline>(folder.path()).unwrap().into();
    compare_calls(&recorded(""), "without_third", 2, |_| {
        plain.to_class(StableDiffusion3Pipeline::CLASS_NAME).unwrap()
    });
    // The same once more, after saving.
    let saved = tempfile::tempdir().unwrap();
    plain.save_pretrained(saved.path()).unwrap();
    let again: DiffusionPipeline = load::<StableDiffusion3Pipeline>(saved.path()).unwrap().into();
    compare_calls(&recorded(""), "without_third", 2, |_| {
        again.to_class(StableDiffusion3Pipeline::CLASS_NAME).unwrap()
    });
}

#[test]
fn one_pipeline_becomes_another_with_the_same_weights() {
    use oxidiff::{AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image};
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "StableDiffusion3Pipeline");
    let other = AutoPipelineForImage2Image::from_pipe(&pipeline).unwrap();
    assert_eq!(other.class_name(), "StableDiffusion3Img2ImgPipeline");
    let other = AutoPipelineForInpainting::from_pipe(&other).unwrap();
    assert_eq!(other.class_name(), "StableDiffusion3InpaintPipeline");
    let parts: BTreeMap<&str, String> =
        other.components().iter().map(|(name, part)| (name, part.class().1)).collect();
    let classes = [
        ("scheduler", "FlowMatchEulerDiscreteScheduler"),
        ("text_encoder", "CLIPTextModelWithProjection"),
        ("text_encoder_2", "CLIPTextModelWithProjection"),
        ("text_encoder_3", "T5EncoderModel"),
        ("tokenizer", "CLIPTokenizer"),
        ("tokenizer_2", "CLIPTokenizer"),
        ("tokenizer_3", "T5Tokenizer"),
        ("transformer", "SD3Transformer2DModel"),
        ("vae", "AutoencoderKL"),
    ];
    assert_eq!(parts, classes.map(|(name, class)| (name, class.to_owned())).into());
}
