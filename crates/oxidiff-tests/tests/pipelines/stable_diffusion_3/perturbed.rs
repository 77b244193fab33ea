//! Perturbed attention guidance, against what generate_perturbed.py recorded.

use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForText2Image, DiffusionPipeline, Request,
    StableDiffusion3Components, StableDiffusion3PAGImg2ImgPipeline, StableDiffusion3PAGPipeline,
};

use super::models::transformer;
use super::{error, expect, load, text_to_image};
use crate::fixture::fixtures;
use crate::fixture::recorded_calls::compare_calls;

fn compare(
    file: &str,
    least: usize,
    make: impl Fn(StableDiffusion3Components, Vec<String>) -> oxidiff::Result<DiffusionPipeline>,
) {
    let plain = text_to_image();
    compare_calls(&fixtures().join("perturbed"), file, least, |call| {
        let mut components: StableDiffusion3Components = (*plain).clone();
        if let Some(name) = &call.transformer {
            components.transformer = transformer(name);
        }
        make(components, call.layers.clone()).unwrap()
    });
}

#[test]
fn text_becomes_the_image_that_python_makes() {
    compare("sd3", 7, |components, layers| {
        let mut pipeline = StableDiffusion3PAGPipeline::new(components)?;
        pipeline.pag_applied_layers = layers;
        Ok(pipeline.into())
    });
}

#[test]
fn images_are_changed_as_in_python() {
    compare("sd3_img2img", 2, |components, layers| {
        let mut pipeline = StableDiffusion3PAGImg2ImgPipeline::new(components)?;
        pipeline.pag_applied_layers = layers;
        Ok(pipeline.into())
    });
}

#[test]
fn one_pipeline_becomes_another_and_layers_are_checked() {
    let plain: DiffusionPipeline = text_to_image().into();
    let mut perturbed = plain.to_class("StableDiffusion3PAGPipeline").unwrap();
    perturbed.set_progress_bar(false);
    let folder = tempfile::tempdir().unwrap();
    perturbed.save_pretrained(folder.path()).unwrap();
    let again = load::<StableDiffusion3PAGPipeline>(folder.path()).unwrap();
    assert_eq!(again.pag_applied_layers, ["blocks.1"]);
    let name = folder.path().to_str().unwrap();
    let auto = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(auto.class_name(), "StableDiffusion3PAGPipeline");
    let changed = AutoPipelineForImage2Image::from_pipe(&perturbed).unwrap();
    assert_eq!(changed.class_name(), "StableDiffusion3PAGImg2ImgPipeline");

    let small = || Request::new("a").with("height", 16).with("width", 16).with("num_inference_steps", 1);
    let mut refused = |request: Request| error(perturbed.call(request));
    let nowhere = refused(small().with("pag_applied_layers", vec!["blocks.7".to_owned()]));
    expect(&nowhere, &["pag_applied_layers", "blocks.7", "transformer_blocks.0.attn"]);
    let broken = refused(small().with("pag_applied_layers", vec!["blocks.(".to_owned()]));
    expect(&broken, &["pag_applied_layers", "regular expression"]);
    expect(&refused(small().with("pag_scale", f64::NAN)), &["pag_scale", "NaN"]);
    expect(&refused(small().with("ip_adapter_image", "x.png")), &["ip_adapter_image"]);
}
