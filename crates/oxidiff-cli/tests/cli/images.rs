//! `oxidiff generate` with images.

use std::path::Path;

use image::{DynamicImage, GrayImage, RgbImage};

use crate::sandbox::{ROOT, Run, Sandbox, copy_folder};

/// A sandbox with an image `in.png`, a mask `mask.png` of its left half, and a text file with the name of an image.
fn with_images() -> Sandbox {
    let sandbox = Sandbox::new();
    let image = RgbImage::from_fn(72, 66, |x, y| [(x * 3) as u8, (y * 3) as u8, 128].into());
    image.save(sandbox.path("in.png")).unwrap();
    let mask = GrayImage::from_fn(72, 66, |x, _| [if x < 36 { 255 } else { 0 }].into());
    mask.save(sandbox.path("mask.png")).unwrap();
    std::fs::write(sandbox.path("text.png"), "not an image").unwrap();
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    sandbox.run([&["generate", "red apple", "--steps", "2", "--seed", "0"], arguments].concat())
}

fn output(sandbox: &Sandbox, arguments: &[&str]) -> DynamicImage {
    run(sandbox, arguments).succeeded();
    image::open(sandbox.path("output.png")).unwrap()
}

/// The mean difference of a column of two images, in steps of 8 bits.
fn difference(one: &DynamicImage, other: &DynamicImage, column: u32) -> f64 {
    let (one, other) = (one.to_rgb8(), other.to_rgb8());
    let pairs = (0..64).flat_map(|y| {
        let (one, other) = (one.get_pixel(column, y).0, other.get_pixel(column, y).0);
        one.into_iter().zip(other)
    });
    pairs.map(|(one, other)| f64::from(one.abs_diff(other))).sum::<f64>() / (64.0 * 3.0)
}

#[test]
fn an_image_is_changed() {
    let sandbox = with_images();
    let changed = |strength: &str| {
        let arguments = ["generate", "red apple", "--steps", "10", "--seed", "0", "--image", "in.png"];
        sandbox.run([&arguments[..], &["--strength", strength]].concat()).succeeded();
        image::open(sandbox.path("output.png")).unwrap()
    };
    let (weakly, strongly) = (changed("0.1"), changed("1"));
    assert_eq!((weakly.width(), weakly.height()), (72, 64), "rounded down to what the model takes");
    let original = image::open(sandbox.path("in.png")).unwrap();
    let (little, much) = (difference(&weakly, &original, 30), difference(&strongly, &original, 30));
    assert!(little < much, "a strength of 0.1 changes the image by {little}, 1 by {much}");

    let strongly = output(&sandbox, &["--image", "in.png", "--strength", "1"]);
    let plain = output(&sandbox, &["--image", "in.png"]);
    assert_ne!(plain, strongly, "the default strength is below 1");

    let from_text = output(&sandbox, &[]);
    assert_eq!((from_text.width(), from_text.height()), (128, 128));
}

#[test]
fn the_unmasked_part_is_kept() {
    let sandbox = with_images();
    let made = output(
        &sandbox,
        &[
            "--image",
            "in.png",
            "--mask-image",
            "mask.png",
            "--height",
            "64",
            "--width",
            "64",
            "--scheduler",
            "DDIMScheduler",
        ],
    );
    assert_eq!((made.width(), made.height()), (64, 64));
    let original = image::open(sandbox.path("in.png")).unwrap().resize_exact(
        64,
        64,
        image::imageops::FilterType::Lanczos3,
    );
    let (masked, kept) = (difference(&made, &original, 12), difference(&made, &original, 56));
    assert!(masked > 2.0 * kept, "masked: {masked}, kept: {kept}");
}

#[test]
fn several_images_and_arrays() {
    let sandbox = with_images();
    run(&sandbox, &["--image", "in.png", "--num-images", "2", "--output", "x.npy"]).succeeded();
    let bytes = std::fs::read(sandbox.path("x.npy")).unwrap();
    assert_eq!(npyz::NpyFile::new(&bytes[..]).unwrap().shape(), [2, 64, 72, 3]);
}

#[test]
fn unreadable_images() {
    let sandbox = with_images();
    run(&sandbox, &["--image", "missing.png"]).failed_with(&["--image", "missing.png"]);
    run(&sandbox, &["--image", "text.png"]).failed_with(&["--image", "text.png"]);
    run(&sandbox, &["--image", "in.png", "--mask-image", "text.png"])
        .failed_with(&["--mask-image", "text.png"]);
    let weights = format!("{ROOT}/models/emoji-diffusion/vae/diffusion_pytorch_model.safetensors");
    run(&sandbox, &["--image", &weights]).failed_with(&["--image", "not an image"]);
    let bytes = std::fs::read(sandbox.path("in.png")).unwrap();
    std::fs::write(sandbox.path("half.png"), &bytes[..bytes.len() / 2]).unwrap();
    run(&sandbox, &["--image", "half.png"]).failed_with(&["--image", "half.png"]);
    run(&sandbox, &["--image", "."]).failed_with(&["--image"]);
    RgbImage::new(3, 70).save(sandbox.path("narrow.png")).unwrap();
    run(&sandbox, &["--image", "narrow.png"]).failed_with(&["--image", "3x70"]);
    assert!(!sandbox.path("output.png").exists());
}

#[test]
fn options_that_do_not_go_together() {
    let sandbox = with_images();
    run(&sandbox, &["--mask-image", "mask.png"]).failed_with(&["--image"]);
    run(&sandbox, &["--strength", "0.5"]).failed_with(&["--image"]);
    for strength in ["1.5", "-0.1", "nan", "much"] {
        run(&sandbox, &["--image", "in.png", &format!("--strength={strength}")]).failed_with(&["strength"]);
    }
    run(&sandbox, &["--image", "in.png", "--strength", "0.1", "--scheduler", "DDIMScheduler"])
        .failed_with(&["--strength", "0.1 of 2 steps is less than one step"]);
    let xl = format!("{ROOT}/tests/fixtures/stable_diffusion_xl/base");
    run(&sandbox, &["--image", "in.png", "--model", &xl])
        .failed_with(&["--strength: the default of 0.3 of 2 steps is less than one step"]);
    let crop = ["--image", "in.png", "--mask-image", "mask.png", "--padding-mask-crop", "4"];
    run(&sandbox, &[&crop[..], &["--output", "x.npy"]].concat()).failed_with(&["--output: must be images"]);
    run(&sandbox, &["--image", "in.png", "--height", "64"]).failed_with(&["--height"]);
    run(&sandbox, &["--image", "in.png", "--guidance-rescale", "0.5"]).failed_with(&["--guidance-rescale"]);
}

#[test]
fn the_model_chooses_the_task() {
    let sandbox = with_images();
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    let model = sandbox.path("model");
    copy_folder(&fixtures.join("pipelines/sd1"), &model);
    copy_folder(&fixtures.join("image_to_image/unet9"), &model.join("unet"));
    let index = std::fs::read_to_string(model.join("model_index.json")).unwrap();
    let inpaint = index.replace("\"StableDiffusionPipeline\"", "\"StableDiffusionInpaintPipeline\"");
    std::fs::write(model.join("model_index.json"), inpaint).unwrap();
    run(&sandbox, &["--model", "model"]).failed_with(&["StableDiffusionInpaintPipeline", "--image"]);
    run(&sandbox, &["--model", "model", "--image", "in.png"]).failed_with(&["--mask-image"]);
    let inpaint = ["--model", "model", "--image", "in.png", "--mask-image", "mask.png"];
    let made = output(&sandbox, &inpaint);
    assert_eq!((made.width(), made.height()), (64, 64), "what the UNet was trained on");

    copy_folder(&fixtures.join("image_to_image/unet8"), &model.join("unet"));
    let edit = index.replace("\"StableDiffusionPipeline\"", "\"StableDiffusionInstructPix2PixPipeline\"");
    std::fs::write(model.join("model_index.json"), edit).unwrap();
    let made = output(&sandbox, &["--model", "model", "--image", "in.png"]);
    assert_eq!((made.width(), made.height()), (72, 64));
    let with_strength = ["--model", "model", "--image", "in.png", "--strength", "0.5"];
    run(&sandbox, &with_strength).failed_with(&["--strength", "StableDiffusionInstructPix2PixPipeline"]);
    run(&sandbox, &inpaint).failed_with(&["--mask-image", "StableDiffusionInstructPix2PixPipeline"]);

    copy_folder(&fixtures.join("image_to_image/unet7"), &model.join("unet"));
    copy_folder(&fixtures.join("image_to_image/low_res_scheduler"), &model.join("low_res_scheduler"));
    std::fs::copy(fixtures.join("image_to_image/upscale_model_index.json"), model.join("model_index.json"))
        .unwrap();
    RgbImage::new(16, 24).save(sandbox.path("small.png")).unwrap();
    let made = output(&sandbox, &["--model", "model", "--image", "small.png"]);
    assert_eq!((made.width(), made.height()), (128, 192));
}

/// The model sd1 with a safety checker that flags some of its images.
#[test]
fn flagged_images_are_black_unless_the_check_is_off() {
    let sandbox = Sandbox::new();
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    let model = sandbox.path("model");
    copy_folder(&fixtures.join("pipelines/sd1"), &model);
    for part in ["safety_checker", "feature_extractor"] {
        copy_folder(&fixtures.join("vision/safety_checker/pipeline").join(part), &model.join(part));
    }
    let index = std::fs::read_to_string(model.join("model_index.json")).unwrap();
    let mut index: serde_json::Value = serde_json::from_str(&index).unwrap();
    index["safety_checker"] = serde_json::json!(["stable_diffusion", "StableDiffusionSafetyChecker"]);
    index["feature_extractor"] = serde_json::json!(["transformers", "CLIPImageProcessor"]);
    index["requires_safety_checker"] = true.into();
    std::fs::write(model.join("model_index.json"), index.to_string()).unwrap();

    // The recorded call: of these two images, the second is flagged.
    let black = |options: &[&str]| -> (Vec<bool>, String) {
        let arguments = ["generate", "a red apple", "--model", "model", "--steps", "2", "--num-images", "4"];
        let all = arguments.iter().chain(&["--seed", "4", "--output", "out.png"]).chain(options);
        let run = sandbox.run(all);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let is_black = |number| {
            let image = image::open(sandbox.path(&format!("out-{number}.png"))).unwrap().into_rgb8();
            image.iter().all(|value| *value == 0)
        };
        ((1..=4).map(is_black).collect(), run.stderr)
    };
    let (checked, _) = black(&[]);
    assert!(checked.contains(&true) && checked.contains(&false), "{checked:?}");
    let (unchecked, said) = black(&["--no-safety-checker"]);
    assert_eq!(unchecked, [false; 4]);
    assert!(said.contains("without the safety checker"), "{said}");
}
