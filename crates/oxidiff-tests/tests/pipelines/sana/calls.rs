//! The pipelines, seed for seed.

use std::collections::BTreeMap;

use oxidiff::{
    AutoPipelineForText2Image, DiffusionPipeline, Model, Pipeline, SCMScheduler, SanaComponents,
    SanaControlNetPipeline, SanaPipeline, SanaSprintImg2ImgPipeline, SanaSprintPipeline,
};

use super::{checkpoint, controlnet, load, model, recorded, text_to_image};
use crate::fixture::recorded_calls::{Calls, compare_calls};

/// Makes the calls of a file with pipelines that have the parts of the checkpoint, or another transformer.
fn compare(
    file: &str,
    which: impl Into<Calls>,
    make: impl Fn(SanaComponents) -> oxidiff::Result<DiffusionPipeline>,
) {
    let plain = text_to_image();
    compare_calls(&recorded(""), file, which, |call| {
        let mut components: SanaComponents = (*plain).clone();
        if let Some(name) = &call.transformer {
            components.transformer = model(&format!("transformer.{name}"));
        }
        make(components).unwrap()
    });
}

/// The parts of SANA-Sprint.
fn sprint(mut components: SanaComponents) -> SanaComponents {
    components.transformer = model("transformer.sprint");
    components.scheduler = SCMScheduler::new(Default::default()).unwrap().into();
    components
}

#[test]
fn text_becomes_the_image_that_python_makes() {
    compare("text2img", 23, |components| Ok(SanaPipeline::new(components)?.into()));
}

#[test]
fn a_few_steps_make_the_image_that_python_makes() {
    compare("sprint", 10, |components| Ok(SanaSprintPipeline::new(sprint(components))?.into()));
}

#[test]
fn images_are_changed_as_in_python() {
    compare("sprint_img2img", 8, |components| Ok(SanaSprintImg2ImgPipeline::new(sprint(components))?.into()));
}

#[test]
fn images_are_followed_as_in_python() {
    compare("controlnet", 7, |components| Ok(SanaControlNetPipeline::new(components, controlnet())?.into()));
}

/// The transformer computes as on a card.
#[cfg(feature = "cuda")]
fn on_card(mut components: SanaComponents) -> SanaComponents {
    crate::checkpoints::place_on_card(&mut components.transformer);
    components
}

#[cfg(feature = "cuda")]
#[test]
fn cards_make_the_image_that_python_makes() {
    compare("text2img", Calls::EveryFifth, |components| Ok(SanaPipeline::new(on_card(components))?.into()));
    compare("sprint", Calls::EveryFifth, |components| {
        Ok(SanaSprintPipeline::new(on_card(sprint(components)))?.into())
    });
    compare("controlnet", Calls::EveryFifth, |components| {
        let mut controlnet = controlnet();
        crate::checkpoints::place_on_card(&mut controlnet);
        Ok(SanaControlNetPipeline::new(on_card(components), controlnet)?.into())
    });
}

#[test]
fn one_pipeline_becomes_another_with_the_same_weights() {
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "SanaPipeline");
    let controlled = pipeline.with_controlnet(controlnet()).unwrap();
    assert_eq!(controlled.class_name(), "SanaControlNetPipeline");
    let parts: BTreeMap<&str, String> =
        controlled.components().iter().map(|(name, part)| (name, part.class().1)).collect();
    let classes = [
        ("controlnet", "SanaControlNetModel"),
        ("scheduler", "DPMSolverMultistepScheduler"),
        ("text_encoder", "Gemma2Model"),
        ("tokenizer", "GemmaTokenizer"),
        ("transformer", "SanaTransformer2DModel"),
        ("vae", "AutoencoderDC"),
    ];
    assert_eq!(parts, classes.map(|(name, class)| (name, class.to_owned())).into());
    let sprint = SanaSprintPipeline::new(sprint((*text_to_image()).clone())).unwrap();
    let other = SanaSprintImg2ImgPipeline::from_pipe(&sprint).unwrap();
    assert!(other.transformer.config().guidance_embeds);
}

#[test]
fn a_pipeline_is_saved_without_its_text_encoder() {
    let plain = text_to_image();
    let components = SanaComponents { text_encoder: None, tokenizer: None, ..(*plain).clone() };
    let folder = tempfile::tempdir().unwrap();
    SanaPipeline::new(components).unwrap().save_pretrained(folder.path()).unwrap();
    assert!(!folder.path().join("text_encoder").exists());
    let again = load::<SanaPipeline>(folder.path()).unwrap();
    assert!(again.text_encoder.is_none() && again.tokenizer.is_none());
}
