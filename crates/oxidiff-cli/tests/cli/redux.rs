//! `oxidiff generate` with FLUX.1 Redux, and with several images for one result.

use image::{DynamicImage, RgbImage};

use crate::sandbox::{Run, Sandbox};
use crate::small_models::{write_flux1, write_redux, write_z_image, write_z_image_omni};

/// A sandbox with images.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (file, [width, height], factor) in [("one.png", [96, 64], 3), ("other.png", [64, 80], 2)] {
        let image =
            RgbImage::from_fn(width, height, |x, y| [(x * factor) as u8, (y * factor) as u8, 99].into());
        image.save(sandbox.path(file)).unwrap();
    }
    sandbox
}

fn run(sandbox: &Sandbox, model: &str, arguments: &[&str]) -> Run {
    sandbox.run([&["generate", "--model", model, "--steps", "2", "--seed", "0"], arguments].concat())
}

fn made(sandbox: &Sandbox, model: &str, arguments: &[&str]) -> DynamicImage {
    run(sandbox, model, arguments).succeeded();
    image::open(sandbox.path("output.png")).unwrap()
}

#[test]
fn images_are_the_end_of_a_prompt() {
    let sandbox = sandbox();
    write_flux1(&sandbox.path("flux"), "dev");
    write_redux(&sandbox.path("redux"));
    let base = ["a red apple", "--height", "32", "--width", "48", "--redux", "redux", "--image", "one.png"];
    let of = |more: &[&str]| made(&sandbox, "flux", &[&base[..], more].concat());
    let one = of(&[]);
    assert_eq!((one.width(), one.height()), (48, 32));
    let two = ["--image", "other.png"];
    let both = of(&two);
    assert_ne!(both, one);
    assert_ne!(of(&[&two[..], &["--prompt-embeds-scale", "1,0.2"]].concat()), both);
    assert_ne!(of(&[&two[..], &["--pooled-prompt-embeds-scale", "0.1"]].concat()), both);
    assert_ne!(of(&["--prompt-2", "a dog"]), one);

    let refused = |more: &[&str]| run(&sandbox, "flux", &[&base[..], more].concat());
    refused(&["--prompt-embeds-scale", "1,2,3"]).failed_with(&["--prompt-embeds-scale", "3", "1 image"]);
    let other = ["a red apple", "--redux", "missing", "--image", "one.png"];
    run(&sandbox, "flux", &other).failed_with(&["--redux", "missing"]);
    run(&sandbox, "flux", &["a red apple", "--redux", "redux"]).failed_with(&["--image"]);
    write_z_image(&sandbox.path("z"));
    run(&sandbox, "z", &base).failed_with(&["--redux", "ZImagePipeline"]);
}

#[test]
fn several_images_are_part_of_a_prompt() {
    let sandbox = sandbox();
    write_z_image_omni(&sandbox.path("omni"));
    let base = ["a red apple", "--image", "one.png"];
    let one = made(&sandbox, "omni", &base);
    assert_eq!((one.width(), one.height()), (96, 64), "the size of the image");
    let both = made(&sandbox, "omni", &[&base[..], &["--image", "other.png"]].concat());
    assert_eq!((both.width(), both.height()), (64, 80), "the size of the last image");
    let none = made(&sandbox, "omni", &["a red apple", "--height", "32", "--width", "48"]);
    assert_eq!((none.width(), none.height()), (48, 32));
    write_flux1(&sandbox.path("flux"), "dev");
    let both = ["a red apple", "--image", "one.png", "--image", "other.png"];
    run(&sandbox, "flux", &both).failed_with(&["--image", "one image, not 2"]);
    run(&sandbox, "omni", &["a red apple", "--image", "one.png", "--strength", "0.5"])
        .failed_with(&["--strength", "ZImageOmniPipeline"]);
}
