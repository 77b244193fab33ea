//! Steps and guidance: the given values, else the checkpoint's, else Python's defaults.

use std::path::Path;

use serde_json::json;

use crate::sandbox::{ROOT, Sandbox, copy_folder};

/// The file that `arguments` make with a small pipeline of the fixtures and this `generation_config` in its folder.
#[track_caller]
fn made(pipeline: &str, generation_config: Option<serde_json::Value>, arguments: &[&str]) -> Vec<u8> {
    let sandbox = Sandbox::new();
    copy_folder(&Path::new(ROOT).join("tests/fixtures").join(pipeline), &sandbox.path("model"));
    if let Some(config) = generation_config {
        std::fs::write(sandbox.path("model/generation_config.json"), config.to_string()).unwrap();
    }
    image::RgbImage::from_fn(64, 64, |x, y| [x as u8, y as u8, 9].into())
        .save(sandbox.path("in.png"))
        .unwrap();
    image::GrayImage::from_fn(64, 64, |x, _| [4 * x as u8].into()).save(sandbox.path("mask.png")).unwrap();
    let all = ["generate", "--model", "model", "--seed", "3", "--output", "x.npy"];
    sandbox.run(all.iter().chain(arguments)).succeeded();
    std::fs::read(sandbox.path("x.npy")).unwrap()
}

/// Requires that the checkpoint's values have the same effect as the options, and that options take precedence.
#[track_caller]
fn decides(pipeline: &str, config: serde_json::Value, options: &[&str], others: &[&str], task: &[&str]) {
    let [with_options, with_others] = [options, others].map(|options| [task, options].concat());
    let by_options = made(pipeline, None, &with_options);
    assert_eq!(made(pipeline, Some(config.clone()), task), by_options, "{pipeline}: the checkpoint's values");
    let by_others = made(pipeline, None, &with_others);
    assert_eq!(made(pipeline, Some(config), &with_others), by_others, "{pipeline}: options come first");
    assert_ne!(by_options, by_others);
}

#[test]
fn the_checkpoint_decides_if_nothing_is_given() {
    let config = json!({"num_inference_steps": 3, "guidance_scale": 2.0});
    let (options, others) =
        (["--steps", "3", "--guidance-scale", "2"], ["--steps", "4", "--guidance-scale", "5"]);
    for task in [
        &["red apple"][..],
        &["red apple", "--image", "in.png"],
        &["red apple", "--image", "in.png", "--mask-image", "mask.png"],
    ] {
        decides("pipelines/sd1", config.clone(), &options, &others, task);
    }
    decides("unconditional/pipelines/dit", config, &options, &others, &["--class-labels", "2"]);
    let config = json!({"num_inference_steps": 3});
    for (pipeline, task) in [
        ("unconditional/pipelines/ddim", &[][..]),
        ("unconditional/pipelines/repaint", &["--image", "in.png", "--mask-image", "mask.png"]),
    ] {
        decides(pipeline, config.clone(), &["--steps", "3"], &["--steps", "5"], task);
    }
}

/// The file of the embedded model must be in the binary, too.
#[test]
fn the_embedded_model_has_its_recommended_arguments() {
    let output = |arguments: &[&str]| {
        let sandbox = Sandbox::new();
        let small = ["generate", "red apple", "--seed", "1", "--height", "64", "--width", "64"];
        sandbox.run(small.iter().chain(arguments)).succeeded();
        std::fs::read(sandbox.path("output.png")).unwrap()
    };
    let plain = output(&[]);
    assert_eq!(plain, output(&["--steps", "25", "--guidance-scale", "4"]));
    assert_ne!(plain, output(&["--steps", "25", "--guidance-scale", "4.5"]));
}

#[test]
fn unknown_fields_are_ignored_with_a_warning() {
    let sandbox = Sandbox::new();
    copy_folder(&Path::new(ROOT).join("tests/fixtures/pipelines/sd1"), &sandbox.path("model"));
    std::fs::write(sandbox.path("model/generation_config.json"), r#"{"guidance": 3}"#).unwrap();
    let run = sandbox.run(["generate", "dog", "--model", "model", "--steps", "1"]).succeeded();
    assert!(run.stderr.contains("WARN") && run.stderr.contains("`guidance`"), "{}", run.stderr);
}
