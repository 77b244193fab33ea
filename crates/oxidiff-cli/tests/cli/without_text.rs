//! `oxidiff generate` with models that are given no text.

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
fn what_such_a_model_cannot_be_told_is_refused() {
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
    refused("ddpm", &["--eta", "1"], &["`eta`", "DDPMPipeline"]);
    refused("ddpm", &["--num-images", "0"], &["--num-images"]);
    refused("ddpm", &["--num-images", "18446744073709551615"], &["--num-images"]);
    refused("consistency", &["--class-labels", "cat"], &["--class-labels cat"]);
    refused("consistency", &["--class-labels", "10"], &["`class_labels`", "10"]);
    refused("dit", &[], &["--class-labels", "DiTPipeline"]);
    refused("dit", &["--class-labels", "whale"], &["--class-labels", "whale"]);
    refused("dit", &["--class-labels", "1", "--eta", "1"], &["--eta"]);
    refused("dit", &["--class-labels", "1", "--num-images", "18446744073709551615"], &["--num-images"]);
}

#[test]
fn a_model_of_texts_needs_one() {
    let emoji = format!("{ROOT}/models/emoji-diffusion");
    let sandbox = Sandbox::new();
    sandbox.run(["generate", "--model", &emoji]).failed_with(&["PROMPT", "StableDiffusionPipeline"]);
    let labels = ["generate", "red apple", "--model", &emoji, "--class-labels", "3"];
    sandbox.run(labels).failed_with(&["--class-labels", "StableDiffusionPipeline"]);
}
