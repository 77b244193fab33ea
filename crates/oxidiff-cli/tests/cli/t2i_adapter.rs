//! `oxidiff generate` with T2I-Adapters.

use std::path::Path;

use image::{DynamicImage, RgbImage};

use crate::sandbox::{ROOT, Run, Sandbox, copy_folder};

/// A sandbox with a model `sd`, adapters `lines` (for images in colour) and `depth` (in grey) that fit it, and images.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let fixtures = Path::new(ROOT).join("tests/fixtures");
    copy_folder(&fixtures.join("pipelines/sd1"), &sandbox.path("sd"));
    copy_folder(&fixtures.join("t2i_adapter/adapter"), &sandbox.path("lines"));
    copy_folder(&fixtures.join("t2i_adapter/adapter_1"), &sandbox.path("depth"));
    for (file, [width, height], factor) in [("in.png", [44, 36], 50), ("other.png", [48, 32], 90)] {
        let image =
            RgbImage::from_fn(width, height, |x, y| [(x * factor) as u8, (y * factor) as u8, 99].into());
        image.save(sandbox.path(file)).unwrap();
    }
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let common = ["generate", "red apple", "--model", "sd", "--steps", "2", "--seed", "0"];
    sandbox.run([&common[..], arguments].concat())
}

fn made(sandbox: &Sandbox, arguments: &[&str]) -> DynamicImage {
    run(sandbox, arguments).succeeded();
    image::open(sandbox.path("output.png")).unwrap()
}

#[test]
fn an_image_follows_that_of_an_adapter() {
    let sandbox = sandbox();
    let one = ["--adapter", "lines", "--image", "in.png"];
    let plain = made(&sandbox, &one);
    assert_eq!((plain.width(), plain.height()), (40, 32), "the size of the image to follow");
    let scaled = [&one[..], &["--adapter-conditioning-scale", "0"]].concat();
    assert_ne!(made(&sandbox, &scaled), plain);
    let sized = [&one[..], &["--height", "24", "--width", "48"]].concat();
    let sized = made(&sandbox, &sized);
    assert_eq!((sized.width(), sized.height()), (48, 24));
    // One that takes images in grey.
    assert_ne!(made(&sandbox, &["--adapter", "depth", "--image", "in.png"]), plain);

    let both = ["--adapter", "lines", "--image", "in.png", "--adapter", "depth", "--image", "other.png"];
    let same = made(&sandbox, &both);
    assert_ne!(made(&sandbox, &[&both[..], &["--adapter-conditioning-scale", "1.0,0.3"]].concat()), same);
    let three = [&both[..], &["--adapter-conditioning-scale", "1,1,1"]].concat();
    run(&sandbox, &three).failed_with(&["--adapter-conditioning-scale", "3 numbers for 2 T2I-Adapters"]);
    run(&sandbox, &both[..6]).failed_with(&["--image", "1 image for 2 T2I-Adapters"]);
}

#[test]
fn a_model_may_have_its_own_adapters() {
    let sandbox = sandbox();
    let given = ["--adapter", "lines", "--adapter", "depth", "--image", "in.png", "--image", "other.png"];
    let expected = made(&sandbox, &given);
    copy_folder(&sandbox.path("lines"), &sandbox.path("sd/adapter"));
    copy_folder(&sandbox.path("depth"), &sandbox.path("sd/adapter_1"));
    let file = sandbox.path("sd/model_index.json");
    let mut index: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    index["_class_name"] = "StableDiffusionAdapterPipeline".into();
    index["adapter"] = serde_json::json!(["diffusers", "MultiAdapter"]);
    std::fs::write(&file, index.to_string()).unwrap();
    assert_eq!(made(&sandbox, &given[4..]), expected);
    run(&sandbox, &[]).failed_with(&["StableDiffusionAdapterPipeline", "--image"]);
}

#[test]
fn what_does_not_fit_names_the_option() {
    let sandbox = sandbox();
    run(&sandbox, &["--adapter", "lines"]).failed_with(&["--image"]);
    run(&sandbox, &["--adapter", "./none", "--image", "in.png"])
        .failed_with(&["--adapter ./none", "no such folder"]);
    run(&sandbox, &["--adapter", "sd/vae", "--image", "in.png"]).failed_with(&[
        "--adapter sd/vae",
        "AutoencoderKL",
        "T2IAdapter",
    ]);
    run(&sandbox, &["--image", "in.png", "--image", "other.png"])
        .failed_with(&["--image: a StableDiffusionImg2ImgPipeline takes one image, not 2"]);
    run(&sandbox, &["--adapter-conditioning-scale", "0.5"])
        .failed_with(&["--adapter-conditioning-scale: StableDiffusionPipeline does not take it"]);
    let factor = ["--adapter", "lines", "--image", "in.png", "--adapter-conditioning-factor", "0.5"];
    run(&sandbox, &factor)
        .failed_with(&["--adapter-conditioning-factor: StableDiffusionAdapterPipeline does not take it"]);
    // An adapter of Stable Diffusion 1.5 on XL.
    let xl = Path::new(ROOT).join("tests/fixtures/stable_diffusion_xl/base");
    let words =
        ["generate", "dog", "--model", xl.to_str().unwrap(), "--adapter", "lines", "--image", "in.png"];
    sandbox.run(words).failed_with(&["--adapter lines", "T2IAdapter", "UNet2DConditionModel"]);
}
