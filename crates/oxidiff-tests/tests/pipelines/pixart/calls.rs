//! The pipelines, seed for seed.

use oxidiff::{
    AutoPipelineForText2Image, DiffusionPipeline, Pipeline, PixArtAlphaPipeline, PixArtComponents,
    PixArtSigmaPAGPipeline, PixArtSigmaPAGTextToImage, PixArtSigmaPipeline,
};

use super::models::transformer;
use super::{checkpoint, latents, load, recorded, short, text_to_image};
use crate::fixture::difference;
use crate::fixture::recorded_calls::{Calls, RecordedCall, compare_calls};

/// The parts of the checkpoint, with the transformer that a call names.
fn parts(plain: &PixArtAlphaPipeline, call: &RecordedCall) -> PixArtComponents {
    let mut components: PixArtComponents = (**plain).clone();
    if let Some(name) = &call.transformer {
        components.transformer = transformer(name);
    }
    components
}

#[test]
fn alpha_makes_the_image_that_python_makes() {
    let plain = text_to_image();
    compare_calls(&recorded(""), "alpha", 17, |call| {
        PixArtAlphaPipeline::new(parts(&plain, call)).unwrap().into()
    });
}

#[cfg(feature = "cuda")]
#[test]
fn cards_make_the_image_that_python_makes() {
    let plain = text_to_image();
    compare_calls(&recorded(""), "alpha", Calls::EveryFifth, |call| {
        let mut parts = parts(&plain, call);
        crate::checkpoints::place_on_card(&mut parts.transformer);
        PixArtAlphaPipeline::new(parts).unwrap().into()
    });
}

#[test]
fn sigma_makes_the_image_that_python_makes() {
    let plain = text_to_image();
    compare_calls(&recorded(""), "sigma", 15, |call| {
        PixArtSigmaPipeline::new(parts(&plain, call)).unwrap().into()
    });
}

#[test]
fn perturbed_attention_guides_as_in_python() {
    let plain = text_to_image();
    compare_calls(&recorded(""), "pag", 7, |call| {
        let mut pipeline = PixArtSigmaPAGPipeline::new(parts(&plain, call)).unwrap();
        let layers: Vec<&str> = call.layers.iter().map(String::as_str).collect();
        pipeline.set_pag_applied_layers(&layers).unwrap();
        pipeline.into()
    });
}

/// Python's own way to weaken the guidance with the noise fails.
#[test]
fn perturbed_attention_guides_less_and_less_if_asked_to() {
    let plain = text_to_image();
    let components = PixArtComponents { transformer: transformer("sigma"), ..(*plain).clone() };
    let mut pipeline = PixArtSigmaPAGPipeline::new(components).unwrap();
    pipeline.set_progress_bar(false);
    let mut made = |pag_scale: f64, pag_adaptive_scale: f64| {
        let short = short("a red apple");
        let call = PixArtSigmaPAGTextToImage {
            prompt: short.prompt,
            height: short.height,
            width: short.width,
            num_inference_steps: 2,
            max_sequence_length: 16,
            use_resolution_binning: false,
            generator: short.generator,
            output_type: short.output_type,
            pag_scale,
            pag_adaptive_scale,
            ..Default::default()
        };
        match pipeline.call(call).unwrap().images {
            oxidiff::Images::Latent(latents) => latents,
            _ => panic!("latents were asked for"),
        }
    };
    let (none, full) = (made(0.0, 0.0), made(3.0, 0.0));
    assert!(difference(none.clone(), full.clone()) > 1e-2);
    // At the first timestep, 999, hardly anything is lost; at the others all.
    let weakened = made(3.0, 0.1);
    assert!(difference(weakened.clone(), full) > 1e-3);
    assert!(difference(weakened, none) > 1e-3);
}

#[test]
fn the_class_for_a_task_is_found() {
    let folder = checkpoint();
    let name = folder.path().to_str().unwrap();
    let pipeline = AutoPipelineForText2Image::from_pretrained(name).unwrap();
    assert_eq!(pipeline.class_name(), "PixArtAlphaPipeline");
    let parts: Vec<(&str, String)> =
        pipeline.components().iter().map(|(name, part)| (name, part.class().1)).collect();
    for part in [
        ("scheduler", "DPMSolverMultistepScheduler"),
        ("text_encoder", "T5EncoderModel"),
        ("tokenizer", "T5Tokenizer"),
        ("transformer", "PixArtTransformer2DModel"),
        ("vae", "AutoencoderKL"),
    ] {
        assert!(parts.contains(&(part.0, part.1.to_owned())), "{parts:?}");
    }
}

#[test]
fn a_pipeline_is_saved_without_its_text_encoder() {
    let plain = text_to_image();
    let components = PixArtComponents { text_encoder: None, tokenizer: None, ..(*plain).clone() };
    let folder = tempfile::tempdir().unwrap();
    PixArtAlphaPipeline::new(components).unwrap().save_pretrained(folder.path()).unwrap();
    assert!(!folder.path().join("text_encoder").exists());
    let again = load::<PixArtAlphaPipeline>(folder.path()).unwrap();
    assert!(again.text_encoder.is_none() && again.tokenizer.is_none());
}

#[test]
fn a_scheduler_without_an_estimate_takes_one_step() {
    let mut pipeline: DiffusionPipeline = text_to_image().into();
    let request = oxidiff::Request::new("a red apple")
        .with("num_inference_steps", 1)
        .with("height", 16)
        .with("width", 16)
        .with("use_resolution_binning", false)
        .with("max_sequence_length", 8)
        .with("output_type", "latent");
    pipeline.call(request).unwrap();
    let (mut one, mut other) = (text_to_image(), text_to_image());
    assert_eq!(difference(latents(&mut one), latents(&mut other)), 0.0);
}
