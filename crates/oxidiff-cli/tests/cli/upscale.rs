//! `oxidiff upscale`.

use std::path::Path;

use image::{GenericImageView, RgbImage, RgbaImage};

use crate::sandbox::{ROOT, Sandbox, copy_folder};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    copy_folder(&Path::new(ROOT).join("tests/fixtures/esrgan"), &sandbox.path("models"));
    let image = RgbImage::from_fn(25, 19, |x, y| [(x * 9) as u8, (y * 13) as u8, 128].into());
    image.save(sandbox.path("small.png")).unwrap();
    sandbox
}

#[test]
fn a_picture_is_enlarged() {
    let sandbox = sandbox();
    for (model, factor) in [("x4.safetensors", 4), ("x2.pth", 2), ("first_x4.pth", 4), ("compact_x2.pth", 2)]
    {
        let model = format!("models/{model}");
        sandbox.run(["upscale", "small.png", "large.png", "--model", &model]).succeeded();
        let large = image::open(sandbox.path("large.png")).unwrap();
        assert_eq!(large.dimensions(), (25 * factor, 19 * factor), "{model}");
    }
    let enlarged = |more: &[&str]| {
        let common = ["upscale", "small.png", "large.png", "--model", "models/x4.safetensors"];
        sandbox.run([&common[..], more].concat()).succeeded();
        image::open(sandbox.path("large.png")).unwrap()
    };
    let whole = enlarged(&["--tile", "0"]);
    assert_eq!(enlarged(&[]), whole, "smaller than a tile");
    assert_ne!(enlarged(&["--tile", "8", "--tile-pad", "0"]), whole);
    assert_ne!(enlarged(&["--pre-pad", "5"]), whole);
    sandbox.run(["upscale", "small.png", "large.npy", "--model", "models/x4.safetensors"]).succeeded();
    assert_eq!(std::fs::metadata(sandbox.path("large.npy")).unwrap().len(), 128 + 100 * 76 * 3 * 4);

    let clear = RgbaImage::from_fn(9, 7, |x, _| [200, 100, 50, (x * 25) as u8].into());
    clear.save(sandbox.path("clear.png")).unwrap();
    sandbox.run(["upscale", "clear.png", "large.png", "--model", "models/x2.pth"]).succeeded();
    assert!(image::open(sandbox.path("large.png")).unwrap().color().has_alpha());
}

#[test]
fn bad_input_is_an_error() {
    let sandbox = sandbox();
    let run =
        |input: &str, output: &str, model: &str| sandbox.run(["upscale", input, output, "--model", model]);
    run("missing.png", "large.png", "models/x2.pth").failed_with(&["IN", "missing.png"]);
    run("small.png", "large.gif", "models/x2.pth").failed_with(&["OUT", "large.gif", ".png"]);
    run("small.png", "missing/large.png", "models/x2.pth").failed_with(&["OUT", "missing"]);
    run("small.png", "large.png", "missing.pth").failed_with(&["--model", "missing.pth"]);
    run("small.png", "large.png", "small.png").failed_with(&["--model", "small.png"]);
    assert!(!sandbox.path("large.png").exists());
}
