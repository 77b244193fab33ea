//! `oxidiff generate` with ControlNets.

use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, RgbImage};

use crate::sandbox::{ROOT, Run, Sandbox, copy_folder};

fn fixtures() -> PathBuf {
    Path::new(ROOT).join("tests/fixtures")
}

/// A sandbox with a model `sd`, ControlNets `edges` and `depth` that fit it, and images.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let recorded = fixtures().join("controlnet");
    copy_folder(&fixtures().join("pipelines/sd1"), &sandbox.path("sd"));
    copy_folder(&recorded.join("unet"), &sandbox.path("sd/unet"));
    copy_folder(&recorded.join("controlnet"), &sandbox.path("edges"));
    copy_folder(&recorded.join("controlnet_1"), &sandbox.path("depth"));
    let picture = |file: &str, [width, height]: [u32; 2], factor: u32| {
        let image = RgbImage::from_fn(width, height, |x, y| [(x * factor) as u8, (y * 3) as u8, 128].into());
        image.save(sandbox.path(file)).unwrap();
    };
    picture("in.png", [40, 34], 3);
    picture("lines.png", [40, 34], 50);
    picture("other.png", [48, 32], 90);
    let mask = GrayImage::from_fn(40, 34, |x, _| [if x < 20 { 255 } else { 0 }].into());
    mask.save(sandbox.path("mask.png")).unwrap();
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let common = ["generate", "red apple", "--model", "sd", "--steps", "3", "--seed", "0"];
    sandbox.run([&common[..], arguments].concat())
}

fn made(sandbox: &Sandbox, arguments: &[&str]) -> DynamicImage {
    run(sandbox, arguments).succeeded();
    image::open(sandbox.path("output.png")).unwrap()
}

const LINES: [&str; 4] = ["--controlnet", "edges", "--control-image", "lines.png"];

#[test]
fn an_image_follows_another_one() {
    let sandbox = sandbox();
    let made = |more: &[&str]| made(&sandbox, &[&LINES[..], more].concat());
    let plain = made(&[]);
    assert_eq!((plain.width(), plain.height()), (40, 32), "the size of the image to follow");
    assert_ne!(made(&["--controlnet-conditioning-scale", "0.2"]), plain);
    assert_ne!(made(&["--control-guidance-end", "0.5"]), plain);
    assert_ne!(made(&["--control-guidance-start", "0.5"]), plain);
    assert_ne!(made(&["--guess-mode"]), plain);
    assert_eq!(made(&["--guess-mode", "false"]), plain);
    let other = made(&["--height", "24", "--width", "48"]);
    assert_eq!((other.width(), other.height()), (48, 24));
}

#[test]
fn the_task_follows_from_the_images() {
    let sandbox = sandbox();
    let made = |more: &[&str]| made(&sandbox, &[&LINES[..], more].concat());
    let from_text = made(&[]);
    let changed = made(&["--image", "in.png", "--strength", "0.7"]);
    assert_ne!(changed, from_text);
    let inpaint = ["--image", "in.png", "--mask-image", "mask.png", "--scheduler", "DDIMScheduler"];
    let painted = made(&inpaint);
    assert_ne!(painted, changed);
    let cropped = made(&[&inpaint[..], &["--padding-mask-crop", "2"]].concat());
    assert_eq!((cropped.width(), cropped.height()), (40, 34), "put back into the whole image");

    // An image alone is the one to follow: `image` is the name of that argument.
    run(&sandbox, &["--controlnet", "edges", "--image", "lines.png"]).succeeded();
    assert_eq!(image::open(sandbox.path("output.png")).unwrap(), from_text);
}

#[test]
fn several_controlnets_work_together() {
    let sandbox = sandbox();
    let both = [&LINES[..], &["--controlnet", "depth", "--control-image", "other.png"]].concat();
    let made =
        |more: &[&str]| made(&sandbox, &[&both[..], &["--height", "32", "--width", "40"], more].concat());
    let same = made(&[]);
    assert_ne!(made(&["--controlnet-conditioning-scale", "0.5,1.0"]), same);
    assert_ne!(made(&["--control-guidance-start", "0,0.5", "--control-guidance-end", "0.6,1.0"]), same);
    run(&sandbox, &both).failed_with(&["--control-image", "40x32", "48x32"]);
    let scales = [&both[..], &["--controlnet-conditioning-scale", "0.5,1.0,2.0"]].concat();
    run(&sandbox, &scales).failed_with(&["--controlnet-conditioning-scale", "3 numbers for 2 ControlNets"]);
    let one = ["--controlnet", "edges", "--controlnet", "depth", "--control-image", "in.png"];
    run(&sandbox, &one).failed_with(&["--control-image", "1 image for 2 ControlNets"]);
}

#[test]
fn a_model_may_have_its_own_controlnet() {
    let sandbox = sandbox();
    let from_outside = made(&sandbox, &LINES);
    copy_folder(&sandbox.path("edges"), &sandbox.path("sd/controlnet"));
    let index = std::fs::read_to_string(sandbox.path("sd/model_index.json")).unwrap();
    let mut index: serde_json::Value = serde_json::from_str(&index).unwrap();
    index["_class_name"] = "StableDiffusionControlNetPipeline".into();
    index["controlnet"] = serde_json::json!(["diffusers", "ControlNetModel"]);
    std::fs::write(sandbox.path("sd/model_index.json"), index.to_string()).unwrap();

    assert_eq!(made(&sandbox, &["--control-image", "lines.png"]), from_outside);
    assert_ne!(made(&sandbox, &["--control-image", "lines.png", "--image", "in.png"]), from_outside);
    // Another one can take its place.
    let other = ["--control-image", "lines.png", "--controlnet", "depth"];
    assert_ne!(made(&sandbox, &other), from_outside);
    run(&sandbox, &[]).failed_with(&["StableDiffusionControlNetPipeline", "--control-image"]);
}

#[test]
fn what_does_not_fit_is_named() {
    let sandbox = sandbox();
    run(&sandbox, &["--control-image", "lines.png"]).failed_with(&["--control-image", "--controlnet"]);
    run(&sandbox, &["--controlnet", "edges"]).failed_with(&["needs a --control-image"]);
    run(&sandbox, &["--controlnet", "./none", "--control-image", "lines.png"])
        .failed_with(&["--controlnet ./none", "no such folder"]);
    run(&sandbox, &["--controlnet", "sd/vae", "--control-image", "lines.png"])
        .failed_with(&["--controlnet sd/vae", "AutoencoderKL"]);
    run(&sandbox, &["--controlnet", "edges", "--control-image", "none.png"])
        .failed_with(&["--control-image", "none.png"]);
    run(&sandbox, &["--controlnet", "edges", "--control-image", "sd/model_index.json"])
        .failed_with(&["--control-image", "sd/model_index.json: this is a JSON file"]);
    // The published configuration, which the library has, does not fit this small file.
    let file = "edges/diffusion_pytorch_model.safetensors";
    run(&sandbox, &["--controlnet", file, "--control-image", "lines.png"])
        .failed_with(&["--controlnet edges/diffusion_pytorch_model.safetensors", "320"]);
    copy_folder(&fixtures().join("controlnet/models/xl"), &sandbox.path("xl"));
    run(&sandbox, &["--controlnet", "xl", "--control-image", "lines.png"]).failed_with(&[
        "--controlnet xl",
        "ControlNetModel",
        "UNet2DConditionModel",
        "`cross_attention_dim`",
    ]);
    run(&sandbox, &[&LINES[..], &["--control-guidance-end", "1.5"]].concat())
        .failed_with(&["--control-guidance-end", "at most 1"]);
    run(&sandbox, &["--controlnet-conditioning-scale", "0.5"])
        .failed_with(&["--controlnet-conditioning-scale: StableDiffusionPipeline does not take it"]);
    let upscaler = fixtures().join("stable_diffusion_xl/base");
    let words = ["generate", "dog", "--model", upscaler.to_str().unwrap(), "--controlnet", "edges"];
    sandbox.run(words).failed_with(&["--controlnet"]);
    assert!(!sandbox.path("output.png").exists());
}

#[test]
fn images_to_follow_are_made_of_pictures() {
    let sandbox = sandbox();
    let made = |more: &[&str]| made(&sandbox, &[&LINES[..], more].concat());
    let plain = made(&[]);
    let edges = made(&["--control-preprocessor", "canny"]);
    assert_ne!(edges, plain);
    assert_ne!(made(&["--control-preprocessor", "invert"]), plain);
    assert_ne!(made(&["--control-preprocessor", "invert"]), edges);
    let tile = made(&["--control-preprocessor", "tile:64"]);
    assert_eq!((tile.width(), tile.height()), (64, 64));
    for (name, expected) in [("edges", "there is no `edges`"), ("canny:1", "two thresholds")] {
        let arguments = [&LINES[..], &["--control-preprocessor", name]].concat();
        run(&sandbox, &arguments).failed_with(&["--control-preprocessor", expected]);
    }
    let depth = [&LINES[..], &["--control-preprocessor", "depth:missing/"]].concat();
    run(&sandbox, &depth).failed_with(&["--control-preprocessor", "missing"]);
    let two = ["--control-preprocessor", "canny", "--control-preprocessor", "invert"];
    run(&sandbox, &[&LINES[..], &two].concat()).failed_with(&["got 2, but the number of images is 1"]);
    run(&sandbox, &["--control-preprocessor", "canny"]).failed_with(&["no --control-image"]);
}

#[test]
fn freeu_changes_the_image() {
    let sandbox = sandbox();
    let plain = made(&sandbox, &[]);
    assert_ne!(made(&sandbox, &["--freeu", "0.9,0.2,1.5,1.6"]), plain);
    run(&sandbox, &["--freeu", "0.9,0.2"]).failed_with(&["--freeu", "four finite numbers"]);
}
