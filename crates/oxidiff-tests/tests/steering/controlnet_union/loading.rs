//! From folders to pipelines, and back.

use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image, ControlNetUnion,
    ControlNetUnionModel, DiffusionPipeline, LoadOptions, MultiControlNetUnionModel, Pipeline,
    StableDiffusionXLControlNetUnionImg2ImgPipeline, StableDiffusionXLControlNetUnionPipeline,
};
use serde_json::Value;

use super::{error, expect, net, nets, recorded, xl};
use crate::fixture::{fixtures, json};

#[test]
fn a_pipeline_is_saved_with_all_of_its_controlnets() {
    let folder = tempfile::tempdir().unwrap();
    let both = StableDiffusionXLControlNetUnionPipeline::new(xl(), nets(&["union_1", "union_2"])).unwrap();
    both.save_pretrained(folder.path()).unwrap();
    assert!(folder.path().join("controlnet_1/diffusion_pytorch_model.safetensors").is_file());
    let python: Value = json(&recorded("model_index.json"));
    assert_eq!(json::<Value>(&folder.path().join("model_index.json")), python);
    let loaded = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(loaded.class_name(), "StableDiffusionXLControlNetUnionPipeline");
    let parts = loaded.components();
    assert_eq!(parts.get::<MultiControlNetUnionModel>("controlnet").unwrap().nets().len(), 2);
    let change = AutoPipelineForImage2Image::from_pipe(&loaded).unwrap();
    assert_eq!(change.class_name(), "StableDiffusionXLControlNetUnionImg2ImgPipeline");
    let inpaint = AutoPipelineForInpainting::from_pipe(&change).unwrap();
    assert_eq!(inpaint.class_name(), "StableDiffusionXLControlNetUnionInpaintPipeline");
    assert_eq!(inpaint.components().get::<ControlNetUnion>("controlnet").unwrap().nets().len(), 2);
}

#[test]
fn controlnets_are_given_to_a_checkpoint_without_them() {
    let folder = fixtures().join("stable_diffusion_xl/base");
    let name = folder.to_str().unwrap();
    let options = LoadOptions { controlnet: Some(net("union_1").into()), ..LoadOptions::default() };
    let loaded = [
        DiffusionPipeline::from_pretrained_with(name, &options).unwrap(),
        AutoPipelineForText2Image::from_pretrained_with(name, &options).unwrap(),
        DiffusionPipeline::from_pretrained(name).unwrap().with_controlnet(net("union_1")).unwrap(),
    ];
    for pipeline in loaded {
        assert_eq!(pipeline.class_name(), "StableDiffusionXLControlNetUnionPipeline");
        assert!(pipeline.takes("control_mode") && pipeline.takes("denoising_end"));
        assert!(!pipeline.takes("guidance_rescale") && !pipeline.takes("image"));
        assert!(pipeline.components().get::<ControlNetUnionModel>("controlnet").is_some());
    }
    let plain = DiffusionPipeline::from_pretrained(name).unwrap();
    let change = AutoPipelineForImage2Image::from_pipe_with_controlnet(&plain, net("union_2")).unwrap();
    assert_eq!(change.class_name(), "StableDiffusionXLControlNetUnionImg2ImgPipeline");
    let again = change.with_component("controlnet", &net("union_1")).unwrap();
    let again: StableDiffusionXLControlNetUnionImg2ImgPipeline = again.downcast().unwrap();
    assert_eq!(again.controlnet.nets().len(), 1);
    let missing = StableDiffusionXLControlNetUnionPipeline::from_pretrained(name);
    expect(&error(missing), &["`controlnet`: must be given"]);
}
