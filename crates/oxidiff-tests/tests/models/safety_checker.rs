//! Compares the safety checker, and the tiny autoencoder inside of Stable Diffusion, with Python: at most 1e-4 apart in one
//! model, 1e-3 in an image.

use std::path::Path;

use oxidiff::{
    AutoencoderTiny, CLIPImageProcessor, CLIPVisionConfig, Config, Device, Generator, Generators,
    ImagePipelineOutput, ImageProcessor, ImageToImage, LoadOptions, Model, OutputType, Pipeline,
    StableDiffusionImg2ImgPipeline, StableDiffusionPipeline, StableDiffusionSafetyChecker, Tensor,
    TextToImage,
    image::{DynamicImage, RgbImage},
};
use serde_json::{Value, json};

use crate::fixture::{Recorded, assert_close, fixtures};

fn folder(name: &str) -> std::path::PathBuf {
    fixtures().join("vision/safety_checker").join(name)
}

fn checker(name: &str) -> StableDiffusionSafetyChecker {
    let folder = folder(name).join("safety_checker");
    StableDiffusionSafetyChecker::from_pretrained(folder.to_str().unwrap()).unwrap()
}

/// Every fifth pixel, in both directions, of a pipeline's images.
fn picked(output: ImagePipelineOutput) -> Tensor<4> {
    let images = output.images.into_tensor().unwrap();
    let [_, height, width, _] = images.dims();
    let every_fifth = |size: usize| {
        let places: Vec<i32> = (0..size as i32).step_by(5).collect();
        Tensor::<1, oxidiff::Int>::from_ints(places.as_slice(), &Device::flex())
    };
    images.select(1, every_fifth(height)).select(2, every_fifth(width))
}

fn arguments() -> TextToImage {
    TextToImage {
        prompt: vec!["a red apple".into(), "dog".into()],
        num_inference_steps: 2,
        generator: Some(Generators::One(Generator::manual_seed(4))),
        output_type: OutputType::Array,
        ..TextToImage::default()
    }
}

#[test]
fn flags_the_same_images_as_python() {
    for (name, flagged) in [("alone", vec![true, false, true]), ("pipeline", vec![false, true])] {
        let (checker, recorded) = (checker(name), Recorded::open(&folder(name).join("call.safetensors")));
        let pixel_values = recorded.floats::<4>("pixel_values");
        let vision = checker.embed(pixel_values.clone()).unwrap();
        for (layer, state) in vision.hidden_states.into_iter().enumerate() {
            let key = format!("hidden_states.{layer}");
            assert_close(&format!("{name} {key}"), state, recorded.floats(&key), 1e-4);
        }
        assert_close(name, vision.pooler_output, recorded.floats("pooled"), 1e-4);

        let output = checker.forward(pixel_values).unwrap();
        assert_eq!(output.has_nsfw_concepts, flagged, "{name}");
        assert_close(name, output.image_embeds, recorded.floats("embeds"), 1e-4);
        let thresholds: Vec<f32> = recorded.floats::<1>("thresholds").into_data().iter().collect();
        let cosines: Vec<f32> = recorded.floats::<2>("concept_cosines").into_data().iter().collect();
        for (image, scores) in output.concept_scores.iter().enumerate() {
            let care = if output.special_scores[image].iter().any(|score| *score > 0.0) { 0.01 } else { 0.0 };
            assert_eq!(care > 0.0, name == "alone" && image == 0);
            for (concept, score) in scores.iter().enumerate() {
                let expected = cosines[image * 17 + concept] - thresholds[concept] + care;
                // Scores are rounded to three decimals.
                assert!((score - expected).abs() < 6e-4, "{name} {image} {concept}: {score}, {expected}");
            }
        }
    }
}

#[test]
fn a_saved_checker_loads_unchanged() {
    let saved = tempfile::tempdir().unwrap();
    checker("alone").save_pretrained(saved.path()).unwrap();
    let again = StableDiffusionSafetyChecker::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    let recorded = Recorded::open(&folder("alone").join("call.safetensors"));
    let output = again.forward(recorded.floats("pixel_values")).unwrap();
    assert_close("embeds", output.image_embeds, recorded.floats("embeds"), 1e-4);
}

#[test]
fn old_keys_load_the_same_weights() {
    let (from, old) = (folder("pipeline").join("safety_checker"), tempfile::tempdir().unwrap());
    std::fs::copy(from.join("config.json"), old.path().join("config.json")).unwrap();
    let contents = std::fs::read(from.join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&contents).unwrap();
    let renamed = tensors.iter().map(|(key, view)| {
        let inner = key.strip_prefix("vision_model.").map(|key| key.trim_start_matches("vision_model."));
        (inner.map_or(key.to_owned(), |inner| format!("vision_model.vision_model.{inner}")), view)
    });
    std::fs::write(old.path().join("model.safetensors"), safetensors::serialize(renamed, None).unwrap())
        .unwrap();
    let checker = StableDiffusionSafetyChecker::from_pretrained(old.path().to_str().unwrap()).unwrap();
    let recorded = Recorded::open(&folder("pipeline").join("call.safetensors"));
    let output = checker.forward(recorded.floats("pixel_values")).unwrap();
    assert_close("embeds", output.image_embeds, recorded.floats("embeds"), 1e-4);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

/// A checkpoint with a safety checker.
fn checkpoint() -> tempfile::TempDir {
    let checkpoint = tempfile::tempdir().unwrap();
    copy_folder(&fixtures().join("pipelines/sd1"), checkpoint.path());
    for part in ["safety_checker", "feature_extractor"] {
        copy_folder(&folder("pipeline").join(part), &checkpoint.path().join(part));
    }
    set_index(
        checkpoint.path(),
        "safety_checker",
        json!(["stable_diffusion", "StableDiffusionSafetyChecker"]),
    );
    set_index(checkpoint.path(), "feature_extractor", json!(["transformers", "CLIPFeatureExtractor"]));
    set_index(checkpoint.path(), "requires_safety_checker", json!(true));
    checkpoint
}

fn read_index(folder: &Path) -> Value {
    crate::fixture::json(&folder.join("model_index.json"))
}

fn set_index(folder: &Path, field: &str, value: Value) {
    let mut index = read_index(folder);
    index[field] = value;
    std::fs::write(folder.join("model_index.json"), index.to_string()).unwrap();
}

#[test]
fn flagged_images_come_back_black() {
    let checkpoint = checkpoint();
    let recorded = Recorded::open(&folder("pipeline").join("call.safetensors"));
    let mut pipeline = StableDiffusionPipeline::from_pretrained(checkpoint.path().to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    let output = pipeline.call(arguments()).unwrap();
    assert_eq!(output.nsfw_content_detected, Some(vec![false, true]));
    assert_close("images", picked(output), recorded.floats("images"), 1e-3);
    let latents = pipeline.call(TextToImage { output_type: OutputType::Latent, ..arguments() }).unwrap();
    assert_eq!(latents.nsfw_content_detected, None);

    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    let index = read_index(saved.path());
    assert_eq!(index["safety_checker"], json!(["stable_diffusion", "StableDiffusionSafetyChecker"]));
    assert_eq!(index["feature_extractor"], json!(["transformers", "CLIPImageProcessor"]));
    assert_eq!(index["requires_safety_checker"], json!(true));
    let mut again = StableDiffusionPipeline::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    again.set_progress_bar(false);
    assert_eq!(again.call(arguments()).unwrap().nsfw_content_detected, Some(vec![false, true]));

    pipeline.feature_extractor = None;
    assert!(pipeline.call(arguments()).unwrap_err().to_string().contains("feature_extractor"));
    pipeline.safety_checker = None;
    assert_eq!(pipeline.call(arguments()).unwrap().nsfw_content_detected, None);
    pipeline.save_pretrained(saved.path()).unwrap();
    assert_eq!(read_index(saved.path())["safety_checker"], json!([null, null]));
}

#[test]
fn a_checker_can_be_left_out() {
    let checkpoint = checkpoint();
    let name = checkpoint.path().to_str().unwrap();
    let without = LoadOptions { safety_checker: false, ..LoadOptions::default() };
    let mut pipeline = StableDiffusionPipeline::from_pretrained_with(name, &without).unwrap();
    assert!(pipeline.safety_checker.is_none() && pipeline.feature_extractor.is_some());
    pipeline.set_progress_bar(false);
    let output = pipeline.call(arguments()).unwrap();
    assert_eq!(output.nsfw_content_detected, None);

    set_index(checkpoint.path(), "feature_extractor", json!([null, null]));
    let error = StableDiffusionPipeline::from_pretrained(name).unwrap_err().to_string();
    assert!(error.contains("feature_extractor"), "{error}");
    set_index(checkpoint.path(), "safety_checker", json!([null, null]));
    assert!(StableDiffusionPipeline::from_pretrained(name).unwrap().safety_checker.is_none());
    set_index(checkpoint.path(), "safety_checker", json!(["my_library", "MyChecker"]));
    let error = StableDiffusionPipeline::from_pretrained(name).unwrap_err().to_string();
    assert!(error.contains("MyChecker"), "{error}");
}

#[test]
fn the_tiny_autoencoder_can_be_the_vae() {
    let recorded = Recorded::open(&folder("pipeline").join("call.safetensors"));
    let sd1 = fixtures().join("pipelines/sd1");
    let tiny = fixtures().join("vision/autoencoder_tiny/default");
    let tiny = AutoencoderTiny::from_pretrained(tiny.to_str().unwrap()).unwrap();
    let mut pipeline = StableDiffusionPipeline::from_pretrained(sd1.to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    pipeline.vae = tiny.into();
    let whole = picked(pipeline.call(arguments()).unwrap());
    assert_close("images", whole.clone(), recorded.floats("tiny.images"), 1e-3);
    pipeline.enable_vae_slicing();
    pipeline.enable_vae_tiling();
    assert_close("sliced", picked(pipeline.call(arguments()).unwrap()), whole, 1e-5);
    pipeline.disable_vae_slicing();
    pipeline.disable_vae_tiling();

    let mut bytes = Vec::new();
    for y in 0..64 {
        for x in 0..80 {
            bytes.extend(
                (0..3).map(|c| ((x * 7 + y * 13 + c * 29 + x * y / 3 + (x / 5) * (y / 7) * 31) % 256) as u8),
            );
        }
    }
    let image: DynamicImage = RgbImage::from_raw(80, 64, bytes).unwrap().into();
    let saved = tempfile::tempdir().unwrap();
    pipeline.save_pretrained(saved.path()).unwrap();
    assert_eq!(read_index(saved.path())["vae"], json!(["diffusers", "AutoencoderTiny"]));
    let mut pipeline =
        StableDiffusionImg2ImgPipeline::from_pretrained(saved.path().to_str().unwrap()).unwrap();
    pipeline.set_progress_bar(false);
    let arguments = ImageToImage {
        strength: 0.7,
        num_inference_steps: 4,
        generator: Some(Generators::One(Generator::manual_seed(4))),
        output_type: OutputType::Array,
        ..ImageToImage::new("a red apple", image)
    };
    let output = pipeline.call(arguments).unwrap();
    assert_close("image to image", picked(output), recorded.floats("tiny.image_to_image"), 1e-3);
}

#[test]
fn invalid_configurations_are_refused_by_field() {
    let device = Device::flex();
    for (json, field) in [
        (r#"{"projection_dim": 0}"#, "projection_dim"),
        (r#"{"vision_config": {"patch_size": 500}}"#, "vision_config.patch_size"),
        (r#"{"vision_config_dict": {"num_attention_heads": 7}}"#, "vision_config_dict.num_attention_heads"),
        (r#"{"vision_config": {"hidden_act": "sine"}}"#, "vision_config.hidden_act"),
    ] {
        let config = Config::from_json(json).unwrap();
        let error = StableDiffusionSafetyChecker::from_config(&config, &device).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")), "{json}: {error}");
    }
    assert_eq!(CLIPVisionConfig::default().image_size, 224);
    let error = checker("alone").forward(Tensor::zeros([1, 3, 24, 32], &device)).unwrap_err().to_string();
    assert!(error.contains("[3, 24, 24]"), "{error}");
    let missing = CLIPImageProcessor::from_pretrained(folder("alone").to_str().unwrap());
    assert!(missing.unwrap_err().to_string().contains("preprocessor_config.json"));
}
