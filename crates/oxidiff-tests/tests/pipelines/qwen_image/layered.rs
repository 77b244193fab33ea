//! The pipeline that takes images apart, seed for seed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oxidiff::image::{DynamicImage, GenericImageView};
use oxidiff::{
    AutoPipelineForImage2Image, AutoencoderKLQwenImage, Config, DiffusionPipeline, Error, Generator, Images,
    LoraLoader, LoraOptions, Model, OutputType, Pipeline, PipelineImageInput,
    Qwen2_5_VLForConditionalGeneration, QwenImageComponents, QwenImageLayered, QwenImageLayeredPipeline,
    QwenImageTransformer2DModel, Request, Tensor, interruptible,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{error, expect, load, recorded};
use crate::checkpoints::{copy_folder, draw_part};
use crate::fixture::drawn::{draw_head, drawn};
use crate::fixture::pictures::{picture, values};
use crate::fixture::recorded_calls::compare_calls;
use crate::fixture::{difference, fixtures, json};

/// The seeds of the script.
const TRANSFORMER_SEED: u64 = 31;
const CLEAN_REFERENCE_SEED: u64 = 32;
const PLAIN_SEED: u64 = 33;
const VAE_SEED: u64 = 34;
const HEAD_SEED: u64 = 35;

fn folder() -> PathBuf {
    fixtures().join("qwen_image_layered")
}

/// The recorded checkpoint, with its weights.
fn layered_checkpoint() -> TempDir {
    let made = tempfile::tempdir().unwrap();
    copy_folder(&folder().join("checkpoint"), made.path());
    for part in ["text_encoder", "tokenizer"] {
        copy_folder(&recorded("checkpoint").join(part), &made.path().join(part));
    }
    copy_folder(&recorded("editing/processor"), &made.path().join("processor"));
    copy_folder(&recorded("checkpoint/tokenizer"), &made.path().join("processor"));
    draw_part::<QwenImageTransformer2DModel>("transformer", TRANSFORMER_SEED, made.path());
    draw_part::<Qwen2_5_VLForConditionalGeneration>("text_encoder", super::TEXT_ENCODER_SEED, made.path());
    draw_head(&made.path().join("text_encoder"), HEAD_SEED);
    draw_part::<AutoencoderKLQwenImage>("vae", VAE_SEED, made.path());
    made
}

fn pipeline() -> QwenImageLayeredPipeline {
    load::<QwenImageLayeredPipeline>(layered_checkpoint().path()).unwrap()
}

/// The transformer of the checkpoint with other values of fields.
fn transformer(changes: &[(&str, bool)], seed: u64) -> QwenImageTransformer2DModel {
    let mut config: Value = json(&folder().join("checkpoint/transformer/config.json"));
    for (field, value) in changes {
        config[*field] = Value::Bool(*value);
    }
    drawn(&Config::from_json(&config.to_string()).unwrap(), seed)
}

#[test]
fn images_are_taken_apart_as_in_python() {
    let checkpoint = layered_checkpoint();
    let plain: QwenImageLayeredPipeline = load(checkpoint.path()).unwrap();
    compare_calls(&folder(), "layered", 30, |call| {
        let mut components: QwenImageComponents = (*plain).clone();
        if let Some(said) = &call.said {
            components.text_encoder = Some(saying(&checkpoint, said));
        }
        match call.transformer.as_deref() {
            Some("clean_reference") => {
                components.transformer = transformer(&[("zero_cond_t", true)], CLEAN_REFERENCE_SEED);
            }
            Some(_) => {
                let changes = [("use_additional_t_cond", false), ("use_layer3d_rope", false)];
                components.transformer = transformer(&changes, PLAIN_SEED);
            }
            None => {}
        }
        QwenImageLayeredPipeline::new(components, plain.processor.clone()).unwrap().into()
    });
}

/// The text encoder of the checkpoint, which chooses the words of captions as `generation_config.json` says.
fn saying(checkpoint: &TempDir, said: &Value) -> Qwen2_5_VLForConditionalGeneration {
    let folder = checkpoint.path().join("text_encoder");
    std::fs::write(folder.join("generation_config.json"), said.to_string()).unwrap();
    Qwen2_5_VLForConditionalGeneration::from_pretrained(folder.to_str().unwrap()).unwrap()
}

/// Without a prompt, a call makes the same as with the caption that Python writes.
#[test]
fn captions_are_those_of_python() {
    let checkpoint = layered_checkpoint();
    let plain: QwenImageLayeredPipeline = load(checkpoint.path()).unwrap();
    let captions: BTreeMap<String, String> = json(&folder().join("captions.json"));
    let calls: Vec<Value> = json(&folder().join("layered.json"));
    assert_eq!(captions.len(), 4);
    for (name, caption) in captions {
        let call = calls.iter().find(|call| call["name"] == *name).unwrap();
        let (mode, width, height): (String, u32, u32) =
            serde_json::from_value(call["image"][0].clone()).unwrap();
        let mut components: QwenImageComponents = (*plain).clone();
        components.text_encoder = Some(saying(&checkpoint, &call["said"]));
        let mut pipeline = QwenImageLayeredPipeline::new(components, plain.processor.clone()).unwrap();
        pipeline.set_progress_bar(false);
        let given = QwenImageLayered { image: picture(&mode, [width, height]).into(), ..short() };
        let with_caption = QwenImageLayered { prompt: vec![caption], ..given };
        let given = QwenImageLayered { image: picture(&mode, [width, height]).into(), ..short() };
        let is_english = call["use_en_prompt"] == true;
        let without = QwenImageLayered { prompt: vec![], use_en_prompt: is_english, ..given };
        let off = difference(latents(&mut pipeline, without), latents(&mut pipeline, with_caption));
        assert_eq!(off, 0.0, "{name}");
    }
}

/// A call with a small result.
fn short() -> QwenImageLayered {
    QwenImageLayered {
        layers: 2,
        num_inference_steps: 2,
        generator: Some(Generator::manual_seed(5).into()),
        ..QwenImageLayered::new("a red apple", picture("RGBA", [90, 60]))
    }
}

fn latents(pipeline: &mut QwenImageLayeredPipeline, call: QwenImageLayered) -> Tensor<4> {
    let call = QwenImageLayered { output_type: OutputType::Latent, ..call };
    match pipeline.call(call).unwrap().images {
        Images::Latent(latents) => latents,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_image_has_its_own_list_of_transparent_layers() {
    let mut pipeline = pipeline();
    let generators: Vec<Generator> = [3, 4].map(Generator::manual_seed).into();
    let call = QwenImageLayered {
        num_images_per_prompt: 2,
        num_inference_steps: 2,
        generator: Some(generators.into()),
        ..short()
    };
    let Images::Layers(images) = pipeline.call(call).unwrap().images else { panic!("no layers") };
    assert_eq!(images.len(), 2);
    for (image, seed) in images.into_iter().zip([3, 4]) {
        let Images::Image(layers) = image else { panic!("no images") };
        assert_eq!(layers.len(), 2);
        let alone = QwenImageLayered { generator: Some(Generator::manual_seed(seed).into()), ..short() };
        let alone: Vec<DynamicImage> = pipeline.call(alone).unwrap().images.into_images();
        for (layer, alone) in layers.iter().zip(&alone) {
            assert_eq!(layer.dimensions(), (768, 512));
            assert_eq!(layer.color(), oxidiff::image::ColorType::Rgba8);
            let off = layer.as_bytes().iter().zip(alone.as_bytes()).map(|(one, other)| one.abs_diff(*other));
            assert!(off.max().unwrap() <= 1, "seed {seed}");
        }
    }
}

/// Several images for each of several prompts, with which Python fails, are made of the image of their prompt.
#[test]
fn images_of_a_prompt_are_made_of_its_image() {
    let mut pipeline = pipeline();
    let prompts = ["a red apple", "two cats and a dog"];
    let images = [picture("RGBA", [90, 60]), picture("RGBA", [90, 60]).fliph()];
    let seeds: Vec<Generator> = [1, 2, 3, 4].map(Generator::manual_seed).into();
    let all = QwenImageLayered {
        prompt: prompts.map(str::to_owned).into(),
        image: images.to_vec().into(),
        num_images_per_prompt: 2,
        generator: Some(seeds.into()),
        ..short()
    };
    let all = latents(&mut pipeline, all);
    assert_eq!(all.dims(), [4 * 3, 3, 16, 24]);
    for (item, seed) in [(1, 2), (2, 3)] {
        let one = QwenImageLayered {
            generator: Some(Generator::manual_seed(seed).into()),
            ..QwenImageLayered::new(prompts[item / 2], images[item / 2].clone())
        };
        let one = QwenImageLayered { layers: 2, num_inference_steps: 2, ..one };
        let off = difference(latents(&mut pipeline, one), all.clone().narrow(0, 3 * item, 3));
        assert!(off < 1e-3, "{item}: {off}");
    }
}

#[test]
fn latents_are_taken_in_every_form() {
    let mut pipeline = pipeline();
    let given = values([3, 3, 16, 24], -1.7);
    let call = |latents| QwenImageLayered { latents: Some(latents), ..short() };
    let expected = latents(&mut pipeline, call(given.clone().into()));
    let frames: Tensor<5> = given.reshape([1, 3, 3, 16, 24]);
    assert_eq!(difference(latents(&mut pipeline, call(frames.into())), expected), 0.0);
    let wrong = error(pipeline.call(call(values([1, 3, 16, 24], 0.0).into())));
    expect(&wrong, &["`latents`", "[1, 3, 16, 24]", "[3, 3, 16, 24]", "[1, 288, 12]"]);
}

#[test]
fn a_saved_pipeline_takes_images_apart_in_the_same_way() {
    let checkpoint = layered_checkpoint();
    let name = checkpoint.path().to_str().unwrap();
    let chosen = AutoPipelineForImage2Image::from_pretrained(name).unwrap();
    assert_eq!(chosen.class_name(), "QwenImageLayeredPipeline");
    let mut pipeline = load::<QwenImageLayeredPipeline>(checkpoint.path()).unwrap();
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let mut again = load::<QwenImageLayeredPipeline>(saved.path()).unwrap();
    assert_eq!(difference(latents(&mut again, short()), latents(&mut pipeline, short())), 0.0);
    // Keyword arguments.
    let mut any = DiffusionPipeline::from_pretrained(name).unwrap();
    any.set_progress_bar(false);
    let request = Request::default()
        .with("prompt", "a red apple")
        .with("image", PipelineImageInput::from(picture("RGB", [90, 60])))
        .with("layers", 1)
        .with("num_inference_steps", 2);
    assert_eq!(any.call(request).unwrap().images.into_images().len(), 1);
    let tall = Request::default().with("prompt", "a red apple").with("height", 64);
    expect(&error(any.call(tall)), &["height"]);
}

#[test]
fn adapters_of_another_transformer_are_refused() {
    let mut pipeline = pipeline();
    let plain = latents(&mut pipeline, short());
    let file = recorded("lora/kohya.safetensors");
    // Its matrix of the tokens is for others.
    let refused = error(pipeline.load_lora_weights(file.to_str().unwrap(), &LoraOptions::default()));
    expect(&refused, &["img_in"]);
    assert_eq!(difference(latents(&mut pipeline, short()), plain), 0.0);
}

#[test]
fn captions_that_cannot_be_written_are_refused() {
    let checkpoint = layered_checkpoint();
    let plain: QwenImageLayeredPipeline = load(checkpoint.path()).unwrap();
    let refused = |encoder: Option<Qwen2_5_VLForConditionalGeneration>| {
        let tokenizer = plain.tokenizer.clone();
        let components = QwenImageComponents { text_encoder: encoder, tokenizer, ..(*plain).clone() };
        let mut pipeline = QwenImageLayeredPipeline::new(components, plain.processor.clone()).unwrap();
        pipeline.set_progress_bar(false);
        error(pipeline.call(QwenImageLayered { prompt: vec![" ".to_owned()], ..short() }))
    };
    expect(&refused(None), &["`prompt`", "text encoder", "caption"]);
    let said = serde_json::json!({"do_sample": true, "top_p": 3});
    expect(
        &refused(Some(saying(&checkpoint, &said))),
        &["text_encoder/generation_config.json", "top_p", "3"],
    );
    // In a folder of its own: the files of a model that is loaded must not change.
    let mute = layered_checkpoint();
    draw_part::<Qwen2_5_VLForConditionalGeneration>("text_encoder", super::TEXT_ENCODER_SEED, mute.path());
    let mute = load::<QwenImageLayeredPipeline>(mute.path()).unwrap().text_encoder.clone();
    expect(&refused(mute), &["lm_head.weight"]);
    // Something outside ends the call.
    let stop = || Err(Error::Stopped { message: "enough".to_owned() });
    let mut pipeline = plain;
    pipeline.set_progress_bar(false);
    let stopped =
        interruptible(stop, || error(pipeline.call(QwenImageLayered { prompt: vec![], ..short() })));
    expect(&stopped, &["stopped", "enough"]);
}

#[test]
fn what_cannot_be_taken_apart_is_refused() {
    let mut pipeline = pipeline();
    let mut refused = |call: QwenImageLayered| error(pipeline.call(call));
    let two: PipelineImageInput = vec![picture("RGBA", [32, 32]); 2].into();
    expect(&refused(QwenImageLayered::captioned(two)), &["`prompt`", "missing", "several"]);
    let lone = QwenImageLayered { prompt: vec![], true_cfg_scale: f64::NAN, ..short() };
    expect(&refused(lone), &["`true_cfg_scale`", "NaN"]);
    for layers in [0, 5000] {
        expect(&refused(QwenImageLayered { layers, ..short() }), &["`layers`", "1024"]);
    }
    expect(
        &refused(QwenImageLayered { resolution: 512, ..short() }),
        &["`resolution`", "640", "1024", "512"],
    );
    let tensor = PipelineImageInput::Tensor(values([1, 4, 32, 32], 0.0));
    for image in [tensor, Vec::new().into()] {
        expect(&refused(QwenImageLayered { image, ..short() }), &["`image`", "at least one picture"]);
    }
    let narrow = picture("RGBA", [1, 8000]);
    expect(&refused(QwenImageLayered { image: narrow.into(), ..short() }), &["`image`", "narrow"]);
    let three = vec![picture("RGBA", [32, 32]); 3];
    expect(&refused(QwenImageLayered { image: three.into(), ..short() }), &["`image`", "got 3"]);
    // Autoencoders of other images.
    let other = |channels: usize| {
        let mut config: Value = json(&folder().join("checkpoint/vae/config.json"));
        config["input_channels"] = channels.into();
        drawn::<AutoencoderKLQwenImage>(&Config::from_json(&config.to_string()).unwrap(), VAE_SEED)
    };
    let plain = self::pipeline();
    let with = |channels: usize| {
        let components = QwenImageComponents { vae: other(channels).into(), ..(*plain).clone() };
        let mut made = QwenImageLayeredPipeline::new(components, plain.processor.clone()).unwrap();
        made.set_progress_bar(false);
        made
    };
    expect(&error(with(3).call(short())), &["`image`", "alpha"]);
    expect(&error(with(2).call(short())), &["vae/config.json", "input_channels", "is 2"]);
    let opaque = QwenImageLayered { image: picture("RGB", [90, 60]).into(), ..short() };
    let layers = with(3).call(opaque).unwrap().images.into_images();
    assert_eq!(layers[0].color(), oxidiff::image::ColorType::Rgb8);
}
