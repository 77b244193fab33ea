//! `oxidiff generate` with a model that takes images apart.

use image::{ColorType, RgbaImage};

use crate::sandbox::{Run, Sandbox};
use crate::small_models::write_qwen_image_layered;

/// A sandbox with a model and an image that is transparent on its left.
fn with_model() -> Sandbox {
    let sandbox = Sandbox::new();
    write_qwen_image_layered(&sandbox.path("model"));
    let alpha = |x: u32| if x < 30 { 0 } else { 255 };
    let image = RgbaImage::from_fn(90, 60, |x, y| [(x * 2) as u8, (y * 4) as u8, 128, alpha(x)].into());
    image.save(sandbox.path("in.png")).unwrap();
    image::DynamicImage::from(image).to_rgb8().save(sandbox.path("opaque.png")).unwrap();
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let usual = ["generate", "a red apple", "--model", "model", "--steps", "2", "--seed", "0"];
    sandbox.run([&usual[..], arguments].concat())
}

#[test]
fn each_layer_has_a_file() {
    let sandbox = with_model();
    let made = run(&sandbox, &["--image", "in.png", "--layers", "2", "--output", "made.png"]);
    let printed = made.succeeded().stdout;
    assert_eq!(printed.lines().collect::<Vec<_>>(), ["made-1.png (seed 0)", "made-2.png (seed 0)"]);
    for name in ["made-1.png", "made-2.png"] {
        let layer = image::open(sandbox.path(name)).unwrap();
        assert_eq!((layer.width(), layer.height(), layer.color()), (768, 512, ColorType::Rgba8));
    }
    let seen = std::fs::read(sandbox.path("made-1.png")).unwrap();
    run(&sandbox, &["--image", "opaque.png", "--layers", "2", "--output", "made.png"]).succeeded();
    assert_ne!(std::fs::read(sandbox.path("made-1.png")).unwrap(), seen, "the model sees transparency");
    let arguments = ["--image", "in.png", "--layers", "1", "--num-images", "2", "--output", "two.npy"];
    run(&sandbox, &arguments).succeeded();
    let bytes = std::fs::read(sandbox.path("two.npy")).unwrap();
    assert_eq!(npyz::NpyFile::new(&bytes[..]).unwrap().shape(), [2, 512, 768, 4]);
}

#[test]
fn what_layers_cannot_be_made_of_is_refused() {
    let sandbox = with_model();
    let image = ["--image", "in.png"];
    let refused = |arguments: &[&str], words: &[&str]| run(&sandbox, arguments).failed_with(words);
    refused(&[&image[..], &["--output", "made.jpg"]].concat(), &["--output made.jpg", "no transparency"]);
    std::fs::create_dir(sandbox.path("made-3.png")).unwrap();
    refused(&[&image[..], &["--output", "made.png"]].concat(), &["--output made.png", "made-3.png"]);
    refused(&[&image[..], &["--layers", "0"]].concat(), &["--layers", "between 1 and 1024"]);
    refused(&[&image[..], &["--resolution", "512"]].concat(), &["--resolution", "640 or 1024"]);
    refused(&[&image[..], &["--height", "512"]].concat(), &["--height", "QwenImageLayeredPipeline"]);
    refused(&[], &["QwenImageLayeredPipeline needs an --image"]);
}

#[test]
fn the_model_says_what_the_image_shows_where_nobody_does() {
    let sandbox = with_model();
    let usual = ["--model", "model", "--image", "in.png", "--steps", "2", "--seed", "0", "--layers", "1"];
    let made = |prompt: &[&str], name: &str| {
        let arguments = [&["generate"], prompt, &usual, &["--output", name]].concat();
        sandbox.run(arguments).succeeded();
        std::fs::read(sandbox.path(name)).unwrap()
    };
    let chinese = made(&[], "chinese.npy");
    assert_eq!(made(&[""], "empty.npy"), chinese);
    assert_ne!(made(&["--use-en-prompt"], "english.npy"), chinese);
    assert_ne!(made(&["a red apple"], "apple.npy"), chinese);
    sandbox.run(["generate", "--model", "model", "--use-en-prompt"]).failed_with(&["needs an --image"]);
}
