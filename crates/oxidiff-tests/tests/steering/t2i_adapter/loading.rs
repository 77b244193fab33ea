//! From folders to pipelines with T2I-Adapters, and back.

use oxidiff::{
    AutoPipelineForText2Image, DiffusionPipeline, LoadOptions, Model, MultiAdapter, Pipeline,
    StableDiffusionAdapterPipeline, StableDiffusionPipeline, StableDiffusionXLAdapterPipeline, T2IAdapter,
    T2IAdapterType, T2IAdapters,
};
use serde_json::Value;

use super::{adapter, error, expect, recorded, sd1, xl};
use crate::fixture::{fixtures, json};

#[test]
fn a_pipeline_is_saved_with_all_of_its_adapters() {
    let both = MultiAdapter::from_pretrained(recorded("adapter")).unwrap();
    assert_eq!(both.adapters().len(), 2);
    assert_eq!(both.adapters()[1].config().in_channels, 1);
    let folder = tempfile::tempdir().unwrap();
    StableDiffusionAdapterPipeline::new(sd1(), both).unwrap().save_pretrained(folder.path()).unwrap();
    assert!(folder.path().join("adapter_1/diffusion_pytorch_model.safetensors").is_file());
    let python: Value = json(&recorded("model_index.json"));
    assert_eq!(json::<Value>(&folder.path().join("model_index.json")), python);

    let loaded = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(loaded.class_name(), "StableDiffusionAdapterPipeline");
    let parts = loaded.components();
    assert_eq!(parts.get::<MultiAdapter>("adapter").unwrap().adapters().len(), 2);
    assert_eq!(parts.get::<T2IAdapters>("adapter").unwrap().adapters().len(), 2);

    let folder = tempfile::tempdir().unwrap();
    StableDiffusionXLAdapterPipeline::new(xl(), adapter("xl"))
        .unwrap()
        .save_pretrained(folder.path())
        .unwrap();
    let python: Value = json(&recorded("xl_model_index.json"));
    assert_eq!(json::<Value>(&folder.path().join("model_index.json")), python);
    let loaded = DiffusionPipeline::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    let net = loaded.components().get::<T2IAdapter>("adapter").unwrap().clone();
    assert_eq!(net.config().adapter_type, T2IAdapterType::FullAdapterXl);
}

#[test]
fn adapters_are_given_to_a_checkpoint_without_them() {
    let folder = fixtures().join("pipelines/sd1");
    let name = folder.to_str().unwrap();
    let options = LoadOptions { adapter: Some(adapter("full").into()), ..LoadOptions::default() };
    let loaded = [
        DiffusionPipeline::from_pretrained_with(name, &options).unwrap(),
        AutoPipelineForText2Image::from_pretrained_with(name, &options).unwrap(),
        StableDiffusionAdapterPipeline::from_pretrained_with(name, &options).unwrap().into(),
        DiffusionPipeline::from_pretrained(name).unwrap().with_adapter(adapter("full")).unwrap(),
    ];
    for pipeline in loaded {
        assert_eq!(pipeline.class_name(), "StableDiffusionAdapterPipeline");
        assert!(pipeline.takes("adapter_conditioning_scale"));
        assert!(!pipeline.takes("adapter_conditioning_factor"));
        assert!(pipeline.components().get::<T2IAdapter>("adapter").is_some());
    }
    expect(&error(StableDiffusionAdapterPipeline::from_pretrained(name)), &["`adapter`: must be given"]);
    let plain = StableDiffusionPipeline::from_pretrained(name).unwrap();
    expect(&error(StableDiffusionAdapterPipeline::from_pipe(&plain)), &["has no `adapter`"]);

    let xl = fixtures().join("stable_diffusion_xl/base");
    let options = LoadOptions { adapter: Some(adapter("xl").into()), ..LoadOptions::default() };
    let pipeline = DiffusionPipeline::from_pretrained_with(xl.to_str().unwrap(), &options).unwrap();
    assert_eq!(pipeline.class_name(), "StableDiffusionXLAdapterPipeline");
    assert!(pipeline.takes("adapter_conditioning_factor"));
    // Another one instead, and none.
    let other = pipeline.with_component("adapter", &adapter("xl_grey")).unwrap();
    assert_eq!(
        other.components().get::<T2IAdapters>("adapter").unwrap().adapters()[0].config().in_channels,
        1
    );
    let again = pipeline.to_class("StableDiffusionXLPipeline").unwrap();
    assert!(again.components().iter().all(|(name, _)| name != "adapter"));
}

#[test]
fn folders_that_do_not_hold_adapters_are_refused() {
    let missing = error(MultiAdapter::from_pretrained(recorded("none")));
    expect(&missing, &["none: no such folder"]);
    // One alone is no list.
    expect(&error(MultiAdapter::from_pretrained(recorded("adapter_1"))), &["at least two"]);
    let unet = fixtures().join("pipelines/sd1/unet");
    let refused = error(T2IAdapter::from_pretrained(unet.to_str().unwrap()));
    expect(&refused, &["UNet2DConditionModel", "T2IAdapter"]);
}
