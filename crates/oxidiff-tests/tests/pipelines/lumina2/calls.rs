//! The pipeline, seed for seed.

use std::collections::BTreeMap;

use oxidiff::{
    AutoPipelineForText2Image, Generator, Lumina2Components, Lumina2Pipeline, Lumina2TextToImage, Tensor,
};

use super::models::transformer;
use super::{call, checkpoint, latents_of, recorded, text_to_image};
use crate::fixture::recorded_calls::{Calls, compare_calls};
use crate::fixture::{assert_close, difference};

#[test]
fn text_becomes_the_image_that_python_makes() {
    let plain = text_to_image();
    compare_calls(&recorded(""), "text2img", 22, |call| {
        let mut components: Lumina2Components = (*plain).clone();
        if let Some(name) = &call.transformer {
            components.transformer = transformer(name);
        }
        Lumina2Pipeline::new(components).unwrap().into()
    });
}

#[cfg(feature = "cuda")]
#[test]
fn cards_make_the_image_that_python_makes() {
    let plain = text_to_image();
    compare_calls(&recorded(""), "text2img", Calls::EveryFifth, |call| {
        let mut components: Lumina2Components = (*plain).clone();
        if let Some(name) = &call.transformer {
            components.transformer = transformer(name);
        }
        crate::checkpoints::place_on_card(&mut components.transformer);
        Lumina2Pipeline::new(components).unwrap().into()
    });
}

#[test]
fn the_pipeline_for_text_is_found_by_its_parts() {
    let folder = checkpoint();
    let pipeline = AutoPipelineForText2Image::from_pretrained(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(pipeline.class_name(), "Lumina2Pipeline");
    let parts: BTreeMap<&str, String> =
        pipeline.components().iter().map(|(name, part)| (name, part.class().1)).collect();
    let classes = [
        ("scheduler", "FlowMatchEulerDiscreteScheduler"),
        ("text_encoder", "Gemma2Model"),
        ("tokenizer", "GemmaTokenizer"),
        ("transformer", "Lumina2Transformer2DModel"),
        ("vae", "AutoencoderKL"),
    ];
    assert_eq!(parts, classes.map(|(name, class)| (name, class.to_owned())).into());
}

/// Python repeats the masks of several prompts in another order than their embeddings, so that a prompt has the length of another.
#[test]
fn several_images_of_prompts_of_unequal_lengths_are_those_of_repeated_prompts() {
    let mut pipeline = text_to_image();
    let of = |prompts: &[&str], num_images_per_prompt| Lumina2TextToImage {
        prompt: prompts.iter().map(|prompt| (*prompt).to_owned()).collect(),
        negative_prompt: vec!["a dog".into()],
        num_images_per_prompt,
        generator: Some((0..4).map(Generator::manual_seed).collect::<Vec<_>>().into()),
        ..call()
    };
    let (short, long) = ("a red apple", "the end of the red house on a hill, and two cats");
    let several = latents_of(&mut pipeline, of(&[short, long], 2));
    let repeated = latents_of(&mut pipeline, of(&[short, short, long, long], 1));
    assert_close("several", several, repeated, 1e-6);
}

#[test]
fn a_prompt_is_the_same_alone_and_in_a_batch() {
    let mut pipeline = text_to_image();
    let (short, long) = ("a red apple", "the end of the red house on a hill, and two cats");
    let of = |prompts: &[&str], seeds: std::ops::Range<u64>| Lumina2TextToImage {
        prompt: prompts.iter().map(|prompt| (*prompt).to_owned()).collect(),
        generator: Some(seeds.map(Generator::manual_seed).collect::<Vec<_>>().into()),
        ..call()
    };
    let both = latents_of(&mut pipeline, of(&[short, long], 0..2));
    let alone = [of(&[short], 0..1), of(&[long], 1..2)].map(|call| latents_of(&mut pipeline, call));
    let alone = Tensor::cat(alone.into(), 0);
    assert_close("alone", both, alone, 1e-5);
}

#[test]
fn what_the_model_is_told_changes_the_image() {
    let mut pipeline = text_to_image();
    let plain = latents_of(&mut pipeline, call());
    let told = Lumina2TextToImage { system_prompt: Some(String::new()), ..call() };
    assert!(difference(latents_of(&mut pipeline, told), plain) > 1e-3);
}
