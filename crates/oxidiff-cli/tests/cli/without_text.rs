//! `oxidiff generate` with models without text input.

use safetensors::SafeTensors;

use crate::sandbox::{ROOT, Sandbox};

/// A small pipeline of the fixtures.
fn model(name: &str) -> String {
    format!("{ROOT}/tests/fixtures/unconditional/pipelines/{name}")
}

/// The values that a run writes.
fn values(arguments: &[&str]) -> (Vec<u64>, Vec<f32>) {
    let sandbox = Sandbox::new();
    sandbox.run([&["generate", "--output", "x.npy"], arguments].concat()).succeeded();
    let bytes = std::fs::read(sandbox.path("x.npy")).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    let shape = file.shape().to_vec();
    (shape, file.into_vec::<f32>().unwrap())
}

/// The images that Python recorded for a call of a pipeline.
fn recorded(name: &str, call: usize) -> Vec<f32> {
    let bytes = std::fs::read(format!("{}/calls.safetensors", model(name))).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor(&format!("{call}.image")).unwrap();
    tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[track_caller]
fn assert_close(ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    let difference = ours.iter().zip(theirs).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-3, "{difference}");
}

#[test]
fn noise_is_enough() {
    let ddpm = ["--model", &model("ddpm"), "--seed", "7"];
    let (shape, values_of_one) = values(&[&ddpm[..], &["--steps", "4"]].concat());
    assert_eq!(shape, [1, 8, 8, 3]);
    assert_close(&values_of_one, &recorded("ddpm", 0));
    let (shape, values_of_two) = values(&[&ddpm[..], &["--steps", "7", "--num-images", "2"]].concat());
    assert_eq!(shape, [2, 8, 8, 3]);
    assert_close(&values_of_two, &recorded("ddpm", 1));

    let (_, default_steps) = values(&["--model", &model("ddim"), "--seed", "9"]);
    assert_close(&default_steps, &recorded("ddim", 1));
    let ddim = ["--model", &model("ddim"), "--seed", "7", "--steps", "4"];
    let (_, noisy) = values(&[&ddim[..], &["--eta", "1", "--num-images", "2"]].concat());
    assert_close(&noisy, &recorded("ddim", 2));
}

#[test]
fn models_of_noise_levels_and_the_pseudo_numerical_method_need_nothing_else() {
    for name in ["pndm", "score_sde_ve"] {
        let model = model(name);
        let (shape, values) = values(&["--model", &model, "--seed", "7", "--steps", "4"]);
        assert_eq!(shape, [1, 8, 8, 3]);
        assert_close(&values, &recorded(name, 0));
    }
}

#[test]
fn an_image_is_repainted_where_its_mask_is_black() {
    let sandbox = Sandbox::new();
    let image = image::RgbImage::from_fn(32, 32, |x, y| [8 * x as u8, 8 * y as u8, 100].into());
    let mask = image::GrayImage::from_fn(32, 32, |x, _| [if x < 16 { 255 } else { 0 }].into());
    image.save(sandbox.path("image.png")).unwrap();
    mask.save(sandbox.path("mask.png")).unwrap();
    let model = model("repaint");
    let call = ["generate", "--model", &model, "--image", "image.png", "--mask-image", "mask.png"];
    let two = ["--steps", "3", "--seed", "1", "--num-images", "2", "--eta", "0.5", "--output", "made.png"];
    sandbox.run([&call[..], &two].concat()).succeeded();
    let made: Vec<_> =
        ["made-1.png", "made-2.png"].map(|name| image::open(sandbox.path(name)).unwrap().to_rgb8()).into();
    let close = |x: u32, made: &image::RgbImage| {
        (0..32).all(|y| {
            image.get_pixel(x, y).0.iter().zip(made.get_pixel(x, y).0).all(|(a, b)| a.abs_diff(b) <= 1)
        })
    };
    assert!(made.iter().all(|made| (0..16).all(|x| close(x, made))), "the known part is kept");
    assert!(made.iter().all(|made| !(16..32).all(|x| close(x, made))), "the rest is new");
    assert_ne!(made[0], made[1]);

    for (more, word) in [
        (["--prompt", "a cat"], "--prompt"),
        (["--strength", "0.5"], "--strength"),
        (["--num-images", "0"], "--num-images"),
        (["--scheduler", "DDIMScheduler"], "RePaintScheduler"),
    ] {
        sandbox.run([&call[..], &more, &["--output", "none.png"]].concat()).failed_with(&[word]);
    }
    sandbox.run(["generate", "--model", &model, "--image", "image.png"]).failed_with(&["--mask-image"]);
    sandbox.run(["generate", "--model", &model]).failed_with(&["--image"]);
    assert!(!sandbox.files().iter().any(|file| file.contains("none") || file.contains("output")));
}

#[test]
fn classes_are_given_by_number_or_by_name() {
    let (_, three) = values(&["--model", &model("consistency"), "--seed", "7", "--class-labels", "3"]);
    assert_close(&three, &recorded("consistency", 0));

    let dit = ["--model", &model("dit"), "--seed", "7", "--steps", "4"];
    for labels in ["999,2", "toilet tissue, white shark"] {
        let more = ["--class-labels", labels, "--guidance-scale", "7"];
        let (shape, two) = values(&[&dit[..], &more].concat());
        assert_eq!(shape, [2, 8, 8, 3]);
        assert_close(&two, &recorded("dit", 1));
    }
    let (shape, _) = values(&[&dit[..], &["--class-labels", "1,2", "--num-images", "2"]].concat());
    assert_eq!(shape[0], 4);
}

#[test]
fn arguments_that_such_a_model_does_not_take_are_refused() {
    let refused = |name: &str, arguments: &[&str], words: &[&str]| {
        let sandbox = Sandbox::new();
        let model = model(name);
        sandbox
            .run([&["generate", "--model", &model, "--steps", "1"], arguments].concat())
            .failed_with(words);
        assert!(sandbox.files().is_empty());
    };
    refused("ddpm", &["a cat"], &["--prompt", "DDPMPipeline"]);
    refused("ddpm", &["--prompt", "a cat"], &["--prompt", "DDPMPipeline"]);
    refused("ddim", &["--negative-prompt", "a dog"], &["--negative-prompt", "DDIMPipeline"]);
    refused("ddpm", &["--height", "64"], &["--height"]);
    refused("ddpm", &["--guidance-scale", "3"], &["--guidance-scale"]);
    refused("ddpm", &["--class-labels", "3"], &["--class-labels"]);
    refused("ddpm", &["--eta", "1"], &["--eta", "DDPMPipeline"]);
    refused("ddpm", &["--num-images", "0"], &["--num-images"]);
    refused("ddpm", &["--num-images", "18446744073709551615"], &["--num-images"]);
    refused("consistency", &["--class-labels", "cat"], &["--class-labels", "cat"]);
    refused("consistency", &["--class-labels", "10"], &["--class-labels", "10"]);
    refused("dit", &[], &["--class-labels", "DiTPipeline"]);
    refused("dit", &["--class-labels", "whale"], &["--class-labels", "whale"]);
    refused("dit", &["--class-labels", "1", "--eta", "1"], &["--eta"]);
    refused("dit", &["--class-labels", "1", "--num-images", "18446744073709551615"], &["--num-images"]);
}

#[test]
fn a_text_to_image_model_needs_a_prompt() {
    let emoji = format!("{ROOT}/models/emoji-diffusion");
    let sandbox = Sandbox::new();
    sandbox.run(["generate", "--model", &emoji]).failed_with(&["PROMPT", "StableDiffusionPipeline"]);
    let labels = ["generate", "red apple", "--model", &emoji, "--class-labels", "3"];
    sandbox.run(labels).failed_with(&["--class-labels", "StableDiffusionPipeline"]);
}
