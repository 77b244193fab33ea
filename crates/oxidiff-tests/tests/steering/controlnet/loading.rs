//! From folders to pipelines with ControlNets, and back.

use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image, ControlNet,
    ControlNetChannelOrder, ControlNetModel, DiffusionPipeline, LoadOptions, Model, MultiControlNetModel,
    Pipeline, StableDiffusionControlNetImg2ImgPipeline, StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
};
use serde_json::Value;

use super::{components, error, load, recorded, variant};
use crate::fixture::json;

/// A checkpoint of Stable Diffusion without ControlNets.
fn plain_checkpoint() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    StableDiffusionPipeline::new(components()).unwrap().save_pretrained(folder.path()).unwrap();
    folder
}

fn both() -> MultiControlNetModel {
    MultiControlNetModel::new(vec![variant("controlnet", "plain"), variant("controlnet_1", "plain")]).unwrap()
}

#[test]
fn a_pipeline_is_saved_with_all_of_its_controlnets() {
    let folder = tempfile::tempdir().unwrap();
    StableDiffusionControlNetPipeline::new(components(), both())
        .unwrap()
        .save_pretrained(folder.path())
        .unwrap();
    assert!(folder.path().join("controlnet_1/diffusion_pytorch_model.safetensors").is_file());
    let python: Value = json(&recorded("several_model_index.json"));
    assert_eq!(json::<Value>(&folder.path().join("model_index.json")), python);

    let loaded = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(loaded.class_name(), "StableDiffusionControlNetPipeline");
    let parts = loaded.components();
    assert_eq!(parts.get::<MultiControlNetModel>("controlnet").unwrap().nets().len(), 2);
    assert_eq!(parts.get::<ControlNet>("controlnet").unwrap().nets().len(), 2);

    let one = StableDiffusionControlNetPipeline::new(components(), variant("controlnet", "bgr")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    one.save_pretrained(folder.path()).unwrap();
    let index: Value = json(&folder.path().join("model_index.json"));
    assert_eq!(index["controlnet"], serde_json::json!(["diffusers", "ControlNetModel"]));
    let loaded = StableDiffusionControlNetPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    let order = loaded.controlnet.nets()[0].config().controlnet_conditioning_channel_order;
    assert_eq!(order, ControlNetChannelOrder::Bgr);
}

#[test]
fn a_controlnet_is_given_besides_a_checkpoint() {
    let folder = plain_checkpoint();
    let sd = folder.path().to_str().unwrap();
    let controlnet: ControlNetModel = load(&recorded("controlnet"));
    let options = LoadOptions { controlnet: Some(controlnet.into()), ..LoadOptions::default() };
    let pipeline = StableDiffusionControlNetPipeline::from_pretrained_with(sd, &options).unwrap();
    assert_eq!(pipeline.controlnet.nets().len(), 1);
    let pipeline = DiffusionPipeline::from_pretrained_with(sd, &options).unwrap();
    assert_eq!(pipeline.class_name(), "StableDiffusionControlNetPipeline");
    let pipeline = AutoPipelineForInpainting::from_pretrained_with(sd, &options).unwrap();
    assert_eq!(pipeline.class_name(), "StableDiffusionControlNetInpaintPipeline");
    let name = "StableDiffusionControlNetImg2ImgPipeline";
    assert_eq!(DiffusionPipeline::from_pretrained_as(name, sd, &options).unwrap().class_name(), name);

    let options = LoadOptions { controlnet: Some(both().into()), ..LoadOptions::default() };
    let pipeline = AutoPipelineForImage2Image::from_pretrained_with(sd, &options).unwrap();
    let pipeline = pipeline.downcast::<StableDiffusionControlNetImg2ImgPipeline>().unwrap();
    assert_eq!(pipeline.controlnet.nets().len(), 2);

    let none = error(StableDiffusionControlNetPipeline::from_pretrained(sd));
    assert!(none.contains("`controlnet`: must be given") && none.contains("model_index.json"), "{none}");
}

#[test]
fn pipelines_are_made_from_each_other() {
    let plain = StableDiffusionPipeline::new(components()).unwrap();
    let none = error(StableDiffusionControlNetPipeline::from_pipe(&plain));
    assert!(none.contains("has no `controlnet`"), "{none}");

    let plain = DiffusionPipeline::from(plain);
    let controlled = plain.with_controlnet(variant("controlnet", "plain")).unwrap();
    assert_eq!(controlled.class_name(), "StableDiffusionControlNetPipeline");
    let inpaint = AutoPipelineForInpainting::from_pipe(&controlled).unwrap();
    assert_eq!(inpaint.class_name(), "StableDiffusionControlNetInpaintPipeline");
    let change = AutoPipelineForImage2Image::from_pipe_with_controlnet(&inpaint, both()).unwrap();
    assert_eq!(change.class_name(), "StableDiffusionControlNetImg2ImgPipeline");
    assert_eq!(change.components().get::<ControlNet>("controlnet").unwrap().nets().len(), 2);
    let text = AutoPipelineForText2Image::from_pipe(&change).unwrap();
    assert_eq!(text.class_name(), "StableDiffusionControlNetPipeline");
    let text = text.with_component("controlnet", &variant("controlnet", "bgr")).unwrap();
    assert_eq!(text.components().get::<ControlNet>("controlnet").unwrap().nets().len(), 1);
    // The index remembers the ControlNet, marked with an underscore, as in Python.
    let again = text.to_class("StableDiffusionPipeline").unwrap();
    let names: Vec<_> = again.components().into_iter().map(|(name, _)| name).collect();
    assert!(!names.contains(&"controlnet"), "{names:?}");
}
