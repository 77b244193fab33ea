//! Perturbed attention guidance, against what generate_perturbed.py recorded.

use oxidiff::{
    AutoPipelineForText2Image, Config, DiffusionPipeline, Model, Request, SanaPAGPipeline,
    SanaTransformer2DModel,
};

use super::{error, expect, load, model, text_to_image};
use crate::fixture::drawn::drawn;
use crate::fixture::fixtures;
use crate::fixture::recorded_calls::compare_calls;

#[test]
fn text_becomes_the_image_that_python_makes() {
    let plain = text_to_image();
    compare_calls(&fixtures().join("perturbed"), "sana", 8, |call| {
        let mut pipeline = SanaPAGPipeline::new((*plain).clone()).unwrap();
        match call.transformer.as_deref() {
            Some("halved_times") => {
                let mut config = plain.transformer.config().clone();
                config.timestep_scale = 0.5;
                let fields = serde_json::to_string(&config).unwrap();
                let transformer: SanaTransformer2DModel = drawn(&Config::from_json(&fields).unwrap(), 1);
                pipeline.transformer = transformer;
            }
            Some(name) => pipeline.transformer = model(&format!("transformer.{name}")),
            None => {}
        }
        pipeline.pag_applied_layers.clone_from(&call.layers);
        pipeline.into()
    });
}

#[test]
fn one_pipeline_becomes_another_and_layers_are_checked() {
    let plain: DiffusionPipeline = text_to_image().into();
    let mut perturbed = plain.to_class("SanaPAGPipeline").unwrap();
    perturbed.set_progress_bar(false);
    let folder = tempfile::tempdir().unwrap();
    perturbed.save_pretrained(folder.path()).unwrap();
    let again = load::<SanaPAGPipeline>(folder.path()).unwrap();
    assert_eq!(again.pag_applied_layers, ["transformer_blocks.0"]);
    let auto = AutoPipelineForText2Image::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(auto.class_name(), "SanaPAGPipeline");
    let small = || Request::new("a").with("height", 64).with("width", 64).with("num_inference_steps", 1);
    let mut refused = |request: Request| error(perturbed.call(request));
    let nowhere = refused(small().with("pag_applied_layers", vec!["blocks.7".to_owned()]));
    expect(&nowhere, &["pag_applied_layers", "blocks.7", "transformer_blocks.0.attn1"]);
    expect(&refused(small().with("pag_adaptive_scale", f64::INFINITY)), &["pag_adaptive_scale", "inf"]);
}
