//! The pipelines, seed for seed.

use oxidiff::image::{DynamicImage, GenericImageView};
use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image, DiffusionPipeline,
    Flux2KleinInpaint, Flux2KleinInpaintPipeline, Flux2KleinKVPipeline, Flux2KleinPipeline, Generator,
    LoadOptions, Pipeline,
};

use super::{checkpoint, klein, recorded};
use crate::fixture::pictures::{blob, picture};
use crate::fixture::recorded_calls::{Calls, compare_calls};

fn compare<P: Pipeline>(file: &str, least: usize) {
    compare_with::<P>(file, least, &LoadOptions::default());
}

fn compare_with<P: Pipeline>(file: &str, which: impl Into<Calls>, options: &LoadOptions) {
    let folder = checkpoint();
    let load = || -> DiffusionPipeline {
        let name = folder.path().to_str().unwrap();
        let mut pipeline = Flux2KleinPipeline::from_pretrained_with(name, options).unwrap();
        pipeline.set_progress_bar(false);
        pipeline.into()
    };
    let base = load();
    let index = folder.path().join("model_index.json");
    let text = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, text.replace("\"is_distilled\": false", "\"is_distilled\": true")).unwrap();
    let distilled = load();
    assert_eq!(distilled.config()["is_distilled"], true);
    compare_calls(&recorded(""), file, which, |call| {
        let pipeline = if call.distilled { &distilled } else { &base };
        let pipeline = pipeline.to_class(P::CLASS_NAME).unwrap();
        assert_eq!(pipeline.class_name(), P::CLASS_NAME);
        assert_eq!(pipeline.config()["is_distilled"], call.distilled);
        pipeline
    });
}

#[test]
fn text_and_images_become_the_image_that_python_makes() {
    compare::<Flux2KleinPipeline>("text2img", 18);
}

#[cfg(feature = "cuda")]
#[test]
fn cards_make_the_image_that_python_makes() {
    let options = LoadOptions { device: oxidiff::interpreter(), ..Default::default() };
    compare_with::<Flux2KleinPipeline>("text2img", Calls::EveryFifth, &options);
}

#[test]
fn images_are_inpainted_as_in_python() {
    compare::<Flux2KleinInpaintPipeline>("inpaint", 13);
}

#[test]
fn reference_images_are_looked_at_once_as_in_python() {
    compare::<Flux2KleinKVPipeline>("kv", 3);
}

#[test]
fn one_pipeline_becomes_another_with_the_same_weights() {
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "Flux2KleinPipeline");
    // It takes images as well.
    let other = AutoPipelineForImage2Image::from_pipe(&pipeline).unwrap();
    assert_eq!(other.class_name(), "Flux2KleinPipeline");
    let other = AutoPipelineForInpainting::from_pipe(&other).unwrap();
    assert_eq!(other.class_name(), "Flux2KleinInpaintPipeline");
    let classes: Vec<String> = other.components().iter().map(|(_, part)| part.class().1).collect();
    let expected = [
        "FlowMatchEulerDiscreteScheduler",
        "AutoencoderKLFlux2",
        "Qwen3Model",
        "Qwen2Tokenizer",
        "Flux2Transformer2DModel",
    ];
    assert_eq!(classes, expected);
}

#[test]
fn a_part_of_an_image_is_put_back_into_its_place() {
    let image = picture("RGB", [96, 80]);
    let mut pipeline = Flux2KleinInpaintPipeline::from_pipe(&klein()).unwrap();
    pipeline.set_progress_bar(false);
    let made = pipeline.call(Flux2KleinInpaint {
        padding_mask_crop: Some(4),
        num_inference_steps: 2,
        guidance_scale: 1.0,
        generator: Some(Generator::manual_seed(3).into()),
        ..Flux2KleinInpaint::new("a red apple", image.clone(), blob([96, 80, 20, 30, 60, 60]))
    });
    let made: DynamicImage = made.unwrap().images.into_images().remove(0);
    assert_eq!((made.width(), made.height()), (96, 80));
    let differs = |x: u32, y: u32| made.get_pixel(x, y).0[..3] != image.get_pixel(x, y).0[..3];
    assert!((0..80).all(|y| (0..20).all(|x| !differs(x, y))), "outside of the mask");
    assert!((30..60).any(|y| (20..60).any(|x| differs(x, y))), "inside of the mask");
}
