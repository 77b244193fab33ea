//! `oxidiff generate` with ControlNets for several types of images.

use std::path::Path;

use image::RgbImage;
use oxidiff::{ControlNetUnionModel, FromUNetOptions, Model, UNet2DConditionModel};

use crate::sandbox::{ROOT, Run, Sandbox, copy_folder};

/// A sandbox with a model `xl`, a ControlNet `union` that fits it, and images.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    copy_folder(&fixtures.join("stable_diffusion_xl/base"), &sandbox.path("xl"));
    copy_folder(&fixtures.join("controlnet_union/stored"), &sandbox.path("other"));
    let unet = UNet2DConditionModel::from_pretrained(sandbox.path("xl/unet").to_str().unwrap()).unwrap();
    let made = ControlNetUnionModel::from_unet(&unet, &FromUNetOptions::default()).unwrap();
    made.save_pretrained(sandbox.path("union")).unwrap();
    for (file, factor) in [("pose.png", 50), ("edges.png", 90)] {
        let image = RgbImage::from_fn(44, 36, |x, y| [(x * factor) as u8, (y * factor) as u8, 99].into());
        image.save(sandbox.path(file)).unwrap();
    }
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let common = ["generate", "red apple", "--model", "xl", "--steps", "2", "--seed", "0"];
    sandbox.run([&common[..], arguments].concat())
}

const ONE: [&str; 4] = ["--controlnet", "union", "--control-image", "pose.png"];

#[test]
fn images_follow_those_of_several_types() {
    let sandbox = sandbox();
    run(&sandbox, &[&ONE[..], &["--control-mode", "0"]].concat()).succeeded();
    let made = image::open(sandbox.path("output.png")).unwrap();
    assert_eq!((made.width(), made.height()), (40, 32), "the size of the images to follow");
    let both = [&ONE[..], &["--control-image", "edges.png", "--control-mode", "0,3"]].concat();
    run(&sandbox, &both).succeeded();
    run(&sandbox, &[&both[..], &["--controlnet-conditioning-scale", "1.0,0.5"]].concat()).succeeded();
    run(&sandbox, &[&both[..], &["--image", "edges.png", "--height", "32", "--width", "40"]].concat())
        .succeeded();
    // Two of them, with one type each.
    run(&sandbox, &[&both[..], &["--controlnet", "union"]].concat()).succeeded();
}

#[test]
fn what_does_not_fit_names_the_option() {
    let sandbox = sandbox();
    run(&sandbox, &ONE).failed_with(&["--control-mode: must be given"]);
    run(&sandbox, &[&ONE[..], &["--control-mode", "6"]].concat())
        .failed_with(&["--control-mode: has 6", "types 0 to 5"]);
    run(&sandbox, &[&ONE[..], &["--control-mode", "0,3"]].concat())
        .failed_with(&["--control-image", "1 image for 2 types"]);
    run(&sandbox, &["--controlnet", "union", "--control-mode", "0"])
        .failed_with(&["needs a --control-image"]);
    let other = ["--controlnet", "other", "--control-image", "pose.png", "--control-mode", "0"];
    run(&sandbox, &other).failed_with(&[
        "--controlnet other",
        "ControlNetUnionModel",
        "`cross_attention_dim`",
    ]);
    copy_folder(&Path::new(ROOT).join("tests/fixtures/controlnet/controlnet"), &sandbox.path("plain"));
    let mixed = [&ONE[..], &["--controlnet", "plain", "--control-mode", "0"]].concat();
    run(&sandbox, &mixed).failed_with(&[
        "--controlnet union, plain",
        "ControlNetModel",
        "ControlNetUnionModel",
    ]);
    let sd1 = Path::new(ROOT).join("tests/fixtures/pipelines/sd1");
    let words = [
        "generate",
        "dog",
        "--model",
        sd1.to_str().unwrap(),
        "--controlnet",
        "union",
        "--control-image",
        "pose.png",
    ];
    sandbox
        .run(words)
        .failed_with(&["--controlnet", "a StableDiffusionPipeline does not take a ControlNetUnionModel"]);
}
