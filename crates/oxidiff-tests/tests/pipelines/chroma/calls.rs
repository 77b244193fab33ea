//! The pipelines, seed for seed.

use std::collections::BTreeMap;

use oxidiff::image::{DynamicImage, GenericImageView};
use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image, ChromaComponents,
    ChromaImg2ImgPipeline, ChromaInpaint, ChromaInpaintPipeline, ChromaPipeline, DiffusionPipeline,
    Generator, Pipeline,
};

use super::models::transformer;
use super::{checkpoint, load, recorded, text_to_image};
use crate::fixture::pictures::{blob, picture};
use crate::fixture::recorded_calls::{Calls, compare_calls};

/// Makes the calls of a file with pipelines that have the parts of the checkpoint, or another transformer.
fn compare(
    file: &str,
    which: impl Into<Calls>,
    make: impl Fn(ChromaComponents) -> oxidiff::Result<DiffusionPipeline>,
) {
    let plain = text_to_image();
    compare_calls(&recorded(""), file, which, |call| {
        let mut components: ChromaComponents = (*plain).clone();
        if let Some(name) = &call.transformer {
            components.transformer = transformer(name);
        }
        make(components).unwrap()
    });
}

#[test]
fn text_becomes_the_image_that_python_makes() {
    compare("text2img", 17, |components| Ok(ChromaPipeline::new(components)?.into()));
}

#[cfg(feature = "cuda")]
#[test]
fn cards_make_the_image_that_python_makes() {
    compare("text2img", Calls::EveryFifth, |mut components| {
        crate::checkpoints::place_on_card(&mut components.transformer);
        Ok(ChromaPipeline::new(components)?.into())
    });
}

#[test]
fn images_are_changed_as_in_python() {
    compare("img2img", 8, |components| Ok(ChromaImg2ImgPipeline::new(components)?.into()));
}

#[test]
fn images_are_inpainted_as_in_python() {
    compare("inpaint", 7, |components| Ok(ChromaInpaintPipeline::new(components)?.into()));
}

#[test]
fn one_pipeline_becomes_another_with_the_same_weights() {
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "ChromaPipeline");
    let other = AutoPipelineForImage2Image::from_pipe(&pipeline).unwrap();
    assert_eq!(other.class_name(), "ChromaImg2ImgPipeline");
    let other = AutoPipelineForInpainting::from_pipe(&other).unwrap();
    assert_eq!(other.class_name(), "ChromaInpaintPipeline");
    let parts: BTreeMap<&str, String> =
        other.components().iter().map(|(name, part)| (name, part.class().1)).collect();
    let classes = [
        ("scheduler", "FlowMatchEulerDiscreteScheduler"),
        ("text_encoder", "T5EncoderModel"),
        ("tokenizer", "T5Tokenizer"),
        ("transformer", "ChromaTransformer2DModel"),
        ("vae", "AutoencoderKL"),
    ];
    assert_eq!(parts, classes.map(|(name, class)| (name, class.to_owned())).into());
}

#[test]
fn a_pipeline_is_saved_without_its_text_encoder() {
    let plain = text_to_image();
    let components = ChromaComponents { text_encoder: None, tokenizer: None, ..(*plain).clone() };
    let folder = tempfile::tempdir().unwrap();
    ChromaPipeline::new(components).unwrap().save_pretrained(folder.path()).unwrap();
    assert!(!folder.path().join("text_encoder").exists());
    let again = load::<ChromaPipeline>(folder.path()).unwrap();
    assert!(again.text_encoder.is_none() && again.tokenizer.is_none());
}

#[test]
fn a_part_of_an_image_is_put_back_into_its_place() {
    let image = picture("RGB", [96, 80]);
    let mut pipeline = ChromaInpaintPipeline::from_pipe(&text_to_image()).unwrap();
    pipeline.set_progress_bar(false);
    let made = pipeline.call(ChromaInpaint {
        padding_mask_crop: Some(4),
        num_inference_steps: 2,
        max_sequence_length: 16,
        height: Some(80),
        width: Some(96),
        generator: Some(Generator::manual_seed(3).into()),
        ..ChromaInpaint::new("a red apple", image.clone(), blob([96, 80, 20, 30, 60, 60]))
    });
    let made: DynamicImage = made.unwrap().images.into_images().remove(0);
    assert_eq!((made.width(), made.height()), (96, 80));
    let differs = |x: u32, y: u32| made.get_pixel(x, y).0[..3] != image.get_pixel(x, y).0[..3];
    assert!((0..80).all(|y| (0..20).all(|x| !differs(x, y))), "outside of the mask");
    assert!((30..60).any(|y| (20..60).any(|x| differs(x, y))), "inside of the mask");
}
