//! `oxidiff generate` with IP-Adapters.

use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, RgbImage};

use crate::sandbox::{ROOT, Run, Sandbox, copy_folder};

fn fixtures() -> PathBuf {
    Path::new(ROOT).join("tests/fixtures")
}

/// A sandbox with a model `sd`, IP-Adapters that fit it in `adapters`, and pictures.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    copy_folder(&fixtures().join("pipelines/sd1"), &sandbox.path("sd"));
    copy_folder(&fixtures().join("controlnet/unet"), &sandbox.path("sd/unet"));
    copy_folder(&fixtures().join("ip_adapter/models"), &sandbox.path("adapters"));
    copy_folder(&fixtures().join("ip_adapter/models/image_encoder"), &sandbox.path("adapters/image_encoder"));
    for (file, factor) in [("red.png", 3), ("blue.png", 50)] {
        let image = RgbImage::from_fn(40, 34, |x, y| [(x * factor) as u8, (y * 3) as u8, 128].into());
        image.save(sandbox.path(file)).unwrap();
    }
    let half =
        |left: bool| GrayImage::from_fn(64, 48, move |x, _| [if (x < 32) == left { 255 } else { 0 }].into());
    half(true).save(sandbox.path("left.png")).unwrap();
    half(false).save(sandbox.path("right.png")).unwrap();
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let common = [
        "generate",
        "red apple",
        "--model",
        "sd",
        "--steps",
        "2",
        "--seed",
        "0",
        "--height",
        "48",
        "--width",
        "64",
    ];
    sandbox.run([&common[..], arguments].concat())
}

fn made(sandbox: &Sandbox, arguments: &[&str]) -> DynamicImage {
    run(sandbox, arguments).succeeded();
    image::open(sandbox.path("output.png")).unwrap()
}

const LIGHT: &str = "adapters/ip-adapter_sd15_light.bin";
const PLUS: &str = "adapters/ip-adapter-plus_sd15.safetensors";

#[test]
fn a_picture_is_a_prompt() {
    let sandbox = sandbox();
    let without = made(&sandbox, &[]);
    let light = ["--ip-adapter", LIGHT, "--ip-adapter-image", "red.png"];
    let made = |more: &[&str]| made(&sandbox, &[&light[..], more].concat());
    let with = made(&[]);
    assert_ne!(with, without);
    assert_eq!(made(&["--ip-adapter-scale", "0"]), without);
    assert_ne!(made(&["--ip-adapter-scale", "0.5"]), with);
    assert_ne!(made(&["--ip-adapter-scale", "{\"up\": {\"block_1\": [0.0, 1.0]}}"]), with);
    assert_ne!(made(&["--ip-adapter-masks", "left.png"]), with);
    let two = ["--ip-adapter-image", "blue.png"];
    assert_ne!(made(&two), with);
    let masks = ["--ip-adapter-masks", "left.png", "--ip-adapter-masks", "right.png"];
    let masked = made(&[&two[..], &masks].concat());
    assert_ne!(made(&[&two[..], &masks, &["--ip-adapter-scale", "0.8,0.1"]].concat()), masked);
    let start =
        ["generate", "red apple", "--model", "sd", "--steps", "3", "--image", "blue.png", "--seed", "0"];
    sandbox.run([&start[..], &light].concat()).succeeded();
    let changed = image::open(sandbox.path("output.png")).unwrap();
    sandbox.run(start).succeeded();
    assert_ne!(image::open(sandbox.path("output.png")).unwrap(), changed);
}

#[test]
fn several_adapters_work_together() {
    let sandbox = sandbox();
    let both = ["--ip-adapter", LIGHT, "--ip-adapter", PLUS, "--ip-adapter-image", "red.png"];
    let made =
        |more: &[&str]| made(&sandbox, &[&both[..], &["--ip-adapter-image", "blue.png"], more].concat());
    let same = made(&[]);
    assert_ne!(made(&["--ip-adapter-scale", "0.5", "--ip-adapter-scale", "0.9"]), same);
    assert_ne!(made(&["--ip-adapter-scale", "0.5"]), same);
    run(&sandbox, &both).failed_with(&["--ip-adapter-image", "1 item for 2 IP-Adapters"]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let sandbox = sandbox();
    let image = ["--ip-adapter-image", "red.png"];
    let run = |more: &[&str]| run(&sandbox, more);
    run(&image).failed_with(&["--ip-adapter"]);
    run(&["--ip-adapter", LIGHT]).failed_with(&["--ip-adapter-image"]);
    run(&["--ip-adapter", "missing.bin", "--ip-adapter-image", "red.png"])
        .failed_with(&["--ip-adapter", "missing.bin"]);
    let other = ["--ip-adapter", "adapters/ip-adapter_sd15.safetensors", "--ip-adapter-image", "red.png"];
    run(&other).failed_with(&["--ip-adapter", "made for another model"]);
    let scaled =
        |scale: &'static str| [&["--ip-adapter", LIGHT][..], &image, &["--ip-adapter-scale", scale]].concat();
    run(&scaled("strong")).failed_with(&["--ip-adapter-scale", "must be a number"]);
    run(&scaled("{\"up\": {\"block_9\": 1}}")).failed_with(&["--ip-adapter-scale", "up_blocks.9"]);
    run(&scaled("{\"up\"")).failed_with(&["--ip-adapter-scale", "not JSON"]);
    let missing = ["--ip-adapter", LIGHT, "--ip-adapter-image", "missing.png"];
    run(&missing).failed_with(&["--ip-adapter-image", "missing.png"]);
}
