//! The pipelines, seed for seed.

use std::collections::BTreeMap;

use oxidiff::image::{DynamicImage, GenericImageView};
use oxidiff::{
    AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image, DiffusionPipeline,
    FluxComponents, FluxControlImg2ImgPipeline, FluxControlInpaintPipeline, FluxControlNet,
    FluxControlNetImg2ImgPipeline, FluxControlNetInpaintPipeline, FluxControlNetPipeline,
    FluxControlPipeline, FluxFillPipeline, FluxImg2ImgPipeline, FluxInpaint, FluxInpaintPipeline,
    FluxKontextInpaintPipeline, FluxKontextPipeline, FluxMultiControlNetModel, FluxPipeline,
    FluxTransformer2DModel, Generator, Pipeline,
};

use super::models::{controlnet, transformer};
use super::{checkpoint, load, recorded, text_to_image};
use crate::fixture::pictures::{blob, picture};
use crate::fixture::recorded_calls::{Calls, compare_calls};

/// Makes the calls of a file with pipelines that have the parts of the checkpoint, or another transformer, and ControlNets.
fn compare(
    file: &str,
    which: impl Into<Calls>,
    make: impl Fn(FluxComponents, Option<FluxControlNet>) -> oxidiff::Result<DiffusionPipeline>,
) {
    let plain = text_to_image();
    let usual = ["fill", "control"].into_iter().find(|name| file.split('_').next() == Some(name));
    compare_calls(&recorded(""), file, which, |call| {
        let mut components: FluxComponents = (*plain).clone();
        if let Some(name) = call.transformer.as_deref().or(usual) {
            let transformer: FluxTransformer2DModel = transformer(name);
            components.transformer = transformer;
        }
        let nets = call.controlnet.as_ref().map(|names| {
            let nets = names.split('+').map(controlnet).collect();
            FluxControlNet::of(nets).unwrap()
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
    text_becomes_the_image_that_python_makes: "text2img", 18, FluxPipeline;
    images_are_changed_as_in_python: "img2img", 9, FluxImg2ImgPipeline;
    images_are_inpainted_as_in_python: "inpaint", 6, FluxInpaintPipeline;
    images_are_filled_as_in_python: "fill", 6, FluxFillPipeline;
    images_are_edited_as_in_python: "kontext", 9, FluxKontextPipeline;
    images_are_edited_in_part_as_in_python: "kontext_inpaint", 6, FluxKontextInpaintPipeline;
    images_follow_others_as_in_python: "control", 5, FluxControlPipeline;
    images_are_changed_and_follow_others_as_in_python: "control_img2img", 3, FluxControlImg2ImgPipeline;
    images_are_inpainted_and_follow_others_as_in_python: "control_inpaint", 2, FluxControlInpaintPipeline;
}

#[cfg(feature = "cuda")]
#[test]
fn cards_make_the_image_that_python_makes() {
    compare("text2img", Calls::EveryFifth, |mut components, _| {
        crate::checkpoints::place_on_card(&mut components.transformer);
        Ok(FluxPipeline::new(components)?.into())
    });
    compare("controlnet", Calls::EveryFifth, |mut components, nets| {
        crate::checkpoints::place_on_card(&mut components.transformer);
        let nets = crate::checkpoints::on_card(nets.expect("each call has one").nets());
        Ok(FluxControlNetPipeline::new(components, FluxControlNet::of(nets)?)?.into())
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
    controlnets_are_asked_as_in_python: "controlnet", 9, FluxControlNetPipeline;
    controlnets_are_asked_about_changes_as_in_python: "controlnet_img2img", 3, FluxControlNetImg2ImgPipeline;
    controlnets_are_asked_in_inpainting_as_in_python: "controlnet_inpaint", 2, FluxControlNetInpaintPipeline;
}

#[test]
fn one_pipeline_becomes_another_with_the_same_weights() {
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "FluxPipeline");
    let other = AutoPipelineForImage2Image::from_pipe(&pipeline).unwrap();
    assert_eq!(other.class_name(), "FluxImg2ImgPipeline");
    let other = AutoPipelineForInpainting::from_pipe(&other).unwrap();
    assert_eq!(other.class_name(), "FluxInpaintPipeline");
    let parts: BTreeMap<&str, String> =
        other.components().iter().map(|(name, part)| (name, part.class().1)).collect();
    let classes = [
        ("scheduler", "FlowMatchEulerDiscreteScheduler"),
        ("text_encoder", "CLIPTextModel"),
        ("text_encoder_2", "T5EncoderModel"),
        ("tokenizer", "CLIPTokenizer"),
        ("tokenizer_2", "T5Tokenizer"),
        ("transformer", "FluxTransformer2DModel"),
        ("vae", "AutoencoderKL"),
    ];
    assert_eq!(parts, classes.map(|(name, class)| (name, class.to_owned())).into());
    let controlled = pipeline.with_controlnet(controlnet("edges")).unwrap();
    assert_eq!(controlled.class_name(), "FluxControlNetPipeline");
    let changed = AutoPipelineForImage2Image::from_pipe(&controlled).unwrap();
    assert_eq!(changed.class_name(), "FluxControlNetImg2ImgPipeline");
}

/// Saved and loaded again, with several ControlNets and without text encoders.
#[test]
fn a_saved_pipeline_is_loaded_again() {
    let plain = text_to_image();
    let components = FluxComponents {
        text_encoder: None,
        tokenizer: None,
        text_encoder_2: None,
        tokenizer_2: None,
        ..(*plain).clone()
    };
    let nets = FluxMultiControlNetModel::new(vec![controlnet("edges"), controlnet("union")]).unwrap();
    let pipeline = FluxControlNetPipeline::new(components, nets).unwrap();
    let folder = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(folder.path()).unwrap();
    assert!(folder.path().join("controlnet_1/config.json").is_file());
    assert!(!folder.path().join("text_encoder_2").exists());
    let again = load::<FluxControlNetPipeline>(folder.path()).unwrap();
    assert_eq!(again.controlnet.nets().len(), 2);
    assert!(again.text_encoder.is_none() && again.tokenizer_2.is_none());
    let names = |pipeline: &FluxControlNetPipeline| -> Vec<(String, String)> {
        let components = pipeline.components();
        components.iter().map(|(name, part)| (name.to_owned(), part.class().1)).collect()
    };
    assert_eq!(names(&again), names(&pipeline));
    assert!(names(&again).contains(&("controlnet".to_owned(), "FluxMultiControlNetModel".to_owned())));
}

#[test]
fn a_part_of_an_image_is_put_back_into_its_place() {
    let image = picture("RGB", [96, 80]);
    let mut pipeline = FluxInpaintPipeline::from_pipe(&text_to_image()).unwrap();
    pipeline.set_progress_bar(false);
    let made = pipeline.call(FluxInpaint {
        padding_mask_crop: Some(4),
        num_inference_steps: 2,
        max_sequence_length: 16,
        height: Some(80),
        width: Some(96),
        generator: Some(Generator::manual_seed(3).into()),
        ..FluxInpaint::new("a red apple", image.clone(), blob([96, 80, 20, 30, 60, 60]))
    });
    let made: DynamicImage = made.unwrap().images.into_images().remove(0);
    assert_eq!((made.width(), made.height()), (96, 80));
    let differs = |x: u32, y: u32| made.get_pixel(x, y).0[..3] != image.get_pixel(x, y).0[..3];
    assert!((0..80).all(|y| (0..20).all(|x| !differs(x, y))), "outside of the mask");
    assert!((30..60).any(|y| (20..60).any(|x| differs(x, y))), "inside of the mask");
}
