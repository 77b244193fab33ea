//! The pipelines, seed for seed.

use std::collections::BTreeMap;

use oxidiff::image::{DynamicImage, GenericImageView};
use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image, DiffusionPipeline,
    Generator, Pipeline, QwenImageComponents, QwenImageControlNet, QwenImageControlNetInpaintPipeline,
    QwenImageControlNetPipeline, QwenImageImg2ImgPipeline, QwenImageInpaint, QwenImageInpaintPipeline,
    QwenImageMultiControlNetModel, QwenImagePipeline,
};

use super::models::{controlnet, transformer};
use super::{checkpoint, load, recorded, text_to_image};
use crate::fixture::pictures::{blob, picture};
use crate::fixture::recorded_calls::{Calls, compare_calls};

/// Makes the calls of a file with pipelines that have the parts of the checkpoint, or another transformer, and ControlNets.
fn compare(
    file: &str,
    which: impl Into<Calls>,
    make: impl Fn(QwenImageComponents, Option<QwenImageControlNet>) -> oxidiff::Result<DiffusionPipeline>,
) {
    let plain = text_to_image();
    compare_calls(&recorded(""), file, which, |call| {
        let mut components: QwenImageComponents = (*plain).clone();
        if let Some(name) = &call.transformer {
            components.transformer = transformer(name);
        }
        let nets = call.controlnet.as_ref().map(|name| match name.strip_suffix('+') {
            Some(name) => QwenImageMultiControlNetModel::new(vec![controlnet(name)]).unwrap().into(),
            None => controlnet(name).into(),
        });
        make(components, nets).unwrap()
    });
}

macro_rules! recorded_calls {
    ($($test:ident: $file:literal, $least:literal, $pipeline:ident;)+) => {
        $(
            #[test]
            fn $test() {
                compare($file, $least, |components, _| Ok($pipeline::new(components)?.into()));
            }
        )+
    };
}

recorded_calls! {
    text_becomes_the_image_that_python_makes: "text2img", 19, QwenImagePipeline;
    images_are_changed_as_in_python: "img2img", 9, QwenImageImg2ImgPipeline;
    images_are_inpainted_as_in_python: "inpaint", 5, QwenImageInpaintPipeline;
}

#[cfg(feature = "cuda")]
#[test]
fn cards_make_the_image_that_python_makes() {
    let folder = checkpoint();
    let options = oxidiff::LoadOptions { device: oxidiff::interpreter(), ..Default::default() };
    let on_card = QwenImagePipeline::from_pretrained_with(folder.path().to_str().unwrap(), &options).unwrap();
    compare("text2img", Calls::EveryFifth, |mut components, _| {
        crate::checkpoints::place_on_card(&mut components.transformer);
        components.vae = on_card.vae.clone();
        Ok(QwenImagePipeline::new(components)?.into())
    });
    compare("controlnet", Calls::EveryFifth, |mut components, nets| {
        crate::checkpoints::place_on_card(&mut components.transformer);
        let nets = crate::checkpoints::on_card(nets.expect("each call has one").nets());
        Ok(QwenImageControlNetPipeline::new(components, QwenImageControlNet::of(nets)?)?.into())
    });
}

macro_rules! recorded_controlnet_calls {
    ($($test:ident: $file:literal, $least:literal, $pipeline:ident;)+) => {
        $(
            #[test]
            fn $test() {
                compare($file, $least, |components, nets| {
                    Ok($pipeline::new(components, nets.expect("each call has one"))?.into())
                });
            }
        )+
    };
}

recorded_controlnet_calls! {
    controlnets_are_asked_as_in_python: "controlnet", 8, QwenImageControlNetPipeline;
    controlnets_are_asked_in_inpainting_as_in_python: "controlnet_inpaint", 3, QwenImageControlNetInpaintPipeline;
}

#[test]
fn one_pipeline_becomes_another_with_the_same_weights() {
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "QwenImagePipeline");
    let other = AutoPipelineForImage2Image::from_pipe(&pipeline).unwrap();
    assert_eq!(other.class_name(), "QwenImageImg2ImgPipeline");
    let other = AutoPipelineForInpainting::from_pipe(&other).unwrap();
    assert_eq!(other.class_name(), "QwenImageInpaintPipeline");
    let parts: BTreeMap<&str, String> =
        other.components().iter().map(|(name, part)| (name, part.class().1)).collect();
    let classes = [
        ("scheduler", "FlowMatchEulerDiscreteScheduler"),
        ("text_encoder", "Qwen2_5_VLForConditionalGeneration"),
        ("tokenizer", "Qwen2Tokenizer"),
        ("transformer", "QwenImageTransformer2DModel"),
        ("vae", "AutoencoderKLQwenImage"),
    ];
    assert_eq!(parts, classes.map(|(name, class)| (name, class.to_owned())).into());
    let controlled = pipeline.with_controlnet(controlnet("edges")).unwrap();
    assert_eq!(controlled.class_name(), "QwenImageControlNetPipeline");
    let inpainting = AutoPipelineForInpainting::from_pipe(&controlled).unwrap();
    assert_eq!(inpainting.class_name(), "QwenImageControlNetInpaintPipeline");
}

/// Saved and loaded again, with a list of ControlNets and without a text encoder.
#[test]
fn a_saved_pipeline_is_loaded_again() {
    let plain = text_to_image();
    let components = QwenImageComponents { text_encoder: None, tokenizer: None, ..(*plain).clone() };
    let nets = vec![controlnet("edges"), controlnet("deep")];
    let nets = QwenImageMultiControlNetModel::new(nets).unwrap();
    let pipeline = QwenImageControlNetPipeline::new(components, nets).unwrap();
    let folder = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(folder.path()).unwrap();
    assert!(folder.path().join("controlnet_1/config.json").is_file());
    assert!(!folder.path().join("text_encoder").exists());
    let again = load::<QwenImageControlNetPipeline>(folder.path()).unwrap();
    assert_eq!(again.controlnet.nets().len(), 2);
    assert!(again.text_encoder.is_none() && again.tokenizer.is_none());
    let names = |pipeline: &QwenImageControlNetPipeline| -> Vec<(String, String)> {
        let components = pipeline.components();
        components.iter().map(|(name, part)| (name.to_owned(), part.class().1)).collect()
    };
    assert_eq!(names(&again), names(&pipeline));
    assert!(names(&again).contains(&("controlnet".to_owned(), "QwenImageMultiControlNetModel".to_owned())));
}

#[test]
fn a_part_of_an_image_is_put_back_into_its_place() {
    let image = picture("RGB", [96, 80]);
    let mut pipeline = QwenImageInpaintPipeline::from_pipe(&text_to_image()).unwrap();
    pipeline.set_progress_bar(false);
    let made = pipeline.call(QwenImageInpaint {
        padding_mask_crop: Some(4),
        num_inference_steps: 2,
        height: Some(80),
        width: Some(96),
        generator: Some(Generator::manual_seed(3).into()),
        ..QwenImageInpaint::new("a red apple", image.clone(), blob([96, 80, 20, 30, 60, 60]))
    });
    let made: DynamicImage = made.unwrap().images.into_images().remove(0);
    assert_eq!((made.width(), made.height()), (96, 80));
    let differs = |x: u32, y: u32| made.get_pixel(x, y).0[..3] != image.get_pixel(x, y).0[..3];
    assert!((0..80).all(|y| (0..20).all(|x| !differs(x, y))), "outside of the mask");
    assert!((30..60).any(|y| (20..60).any(|x| differs(x, y))), "inside of the mask");
}
