//! LoRAs, learned words and models in one file.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::sandbox::{ROOT, Run, Sandbox};
use crate::true_size;

fn fixture(path: &str) -> String {
    format!("{ROOT}/tests/fixtures/{path}")
}

/// Makes a small image with a Stable Diffusion XL of random weights, and with what is given.
fn run(sandbox: &Sandbox, prompt: &str, more: &[&str]) -> Run {
    let model = fixture("stable_diffusion_xl/base");
    let base = ["generate", prompt, "--model", &model, "--steps", "1", "--seed", "0", "--output", "x.npy"];
    sandbox.run(base.iter().chain(more))
}

fn image(sandbox: &Sandbox, prompt: &str, more: &[&str]) -> Vec<u8> {
    run(sandbox, prompt, more).succeeded();
    fs::read(sandbox.path("x.npy")).unwrap()
}

#[test]
fn loras_are_applied_with_their_scales() {
    let sandbox = Sandbox::new();
    let kohya = fixture("stable_diffusion_xl/lora/kohya.safetensors");
    let sgm = fixture("stable_diffusion_xl/lora/sgm.safetensors");
    let make = |loras: &[&str]| {
        let options: Vec<&str> = loras.iter().flat_map(|lora| ["--lora", lora]).collect();
        image(&sandbox, "a red apple", &options)
    };
    let (plain, first, second) = (make(&[]), make(&[&kohya]), make(&[&sgm]));
    assert!(plain != first && plain != second && first != second);
    let scaled = |file: &str, scale: &str| format!("{file}:{scale}");
    assert!(make(&[&scaled(&kohya, "1")]) == first);
    assert!(make(&[&scaled(&kohya, "0")]) == plain);
    assert!(make(&[&scaled(&kohya, "-.5")]) != first);
    assert!(make(&[&scaled(&kohya, "0"), &sgm]) == second);
    let both = make(&[&kohya, &sgm]);
    assert!(both != first && both != second);

    #[cfg(unix)]
    {
        let odd = sandbox.path("a:b.safetensors");
        fs::copy(&kohya, odd).unwrap();
        assert!(make(&["a:b.safetensors"]) == first);
        assert!(make(&["a:b.safetensors:0"]) == plain);
    }
}

#[test]
fn learned_words_are_read_in_prompts() {
    let sandbox = Sandbox::new();
    let style = sandbox.path("my-style.safetensors");
    fs::copy(fixture("stable_diffusion_xl/textual_inversion/style.safetensors"), style).unwrap();
    let word = ["--textual-inversion", "my-style.safetensors"];
    let prompt = "apple my-style";
    assert!(image(&sandbox, prompt, &word) != image(&sandbox, prompt, &[]));
    assert!(image(&sandbox, "apple", &word) == image(&sandbox, "apple", &[]));
}

#[test]
fn adapters_that_cannot_be_used_are_refused() {
    let sandbox = Sandbox::new();
    let kohya = fixture("stable_diffusion_xl/lora/kohya.safetensors");
    run(&sandbox, "x", &["--lora", "nothing.safetensors"]).failed_with(&["--lora nothing.safetensors"]);
    run(&sandbox, "x", &["--lora", ":0.5"]).failed_with(&["--lora", "no file"]);
    let missing = ["--textual-inversion", "nothing.safetensors"];
    run(&sandbox, "x", &missing).failed_with(&["--textual-inversion nothing.safetensors"]);
    run(&sandbox, "x", &["--textual-inversion", &kohya])
        .failed_with(&["kohya.safetensors", "no learned word"]);

    for scale in ["abc", "nan", "inf", "-inf", ""] {
        run(&sandbox, "x", &["--lora", &format!("{kohya}:{scale}")]).failed_with(&["scale", "finite number"]);
    }
    run(&sandbox, "x", &["--lora", &format!("{kohya}:1e300")]).failed_with(&[
        "kohya.safetensors",
        "1e300",
        "overflows",
    ]);
    run(&sandbox, "x", &["--lora", &format!("{kohya}:1e38")]).failed_with(&["the loaded adapters"]);

    let unconditional = fixture("unconditional/pipelines/ddpm");
    let model = ["generate", "--model", &unconditional, "--steps", "1"];
    for option in ["--lora", "--textual-inversion"] {
        let arguments = [&model[..], &[option, &kohya]].concat();
        sandbox.run(arguments).failed_with(&[option, "DDPMPipeline", "does not take it"]);
    }
    let words = fixture("formats/textual_inversion/style.safetensors");
    let other = ["generate", "x", "--lora", &words];
    let refused = sandbox.run(other);
    assert_eq!(refused.stderr.matches("style.safetensors").count(), 1, "{}", refused.stderr);
    refused.failed_with(&["--lora", "style.safetensors", "not a LoRA"]);
}

/// A copy of a file whose first value in single or half precision is not a number.
fn with_nan(from: &str, to: &Path) {
    let contents = fs::read(from).unwrap();
    let tensors = SafeTensors::deserialize(&contents).unwrap();
    let (_, tensor) = tensors.iter().find(|(key, _)| !key.ends_with("alpha")).unwrap();
    let start = tensor.data().as_ptr().addr() - contents.as_ptr().addr();
    let mut changed = contents.clone();
    let nan: &[u8] = match tensor.dtype() {
        Dtype::F32 => &f32::NAN.to_le_bytes(),
        Dtype::F16 => &[0, 0x7e],
        other => panic!("{other:?}"),
    };
    changed[start..start + nan.len()].copy_from_slice(nan);
    fs::write(to, changed).unwrap();
}

#[test]
fn adapters_with_values_that_are_not_finite_are_to_blame() {
    let sandbox = Sandbox::new();
    with_nan(&fixture("stable_diffusion_xl/lora/kohya.safetensors"), &sandbox.path("lora.safetensors"));
    run(&sandbox, "x", &["--lora", "lora.safetensors"])
        .failed_with(&["--lora lora.safetensors: ", "not finite"]);
    let style = fixture("stable_diffusion_xl/textual_inversion/style.safetensors");
    with_nan(&style, &sandbox.path("word.safetensors"));
    run(&sandbox, "word", &["--textual-inversion", "word.safetensors"])
        .failed_with(&["--textual-inversion word.safetensors: ", "not finite"]);
}

#[test]
fn a_model_in_one_file_needs_no_hub() {
    let sandbox = Sandbox::new();
    let hub = TcpListener::bind("127.0.0.1:0").unwrap();
    hub.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", hub.local_addr().unwrap());
    let online = [("HF_HUB_OFFLINE", "0"), ("HF_ENDPOINT", &*endpoint), ("no_proxy", "*")];
    for (name, class_name) in [("sd1", "StableDiffusionPipeline"), ("xl", "StableDiffusionXLPipeline")] {
        let file = format!("{name}.safetensors");
        true_size::write(name, &sandbox.path(&file), |_| false);
        let inspected = sandbox.run_with(&online, ["inspect", &file]).succeeded();
        assert!(inspected.stdout.starts_with(class_name), "{}", inspected.stdout);
        // All its models but one are there, and their configurations too.
        true_size::write(name, &sandbox.path(&file), |key| key.starts_with("first_stage_model."));
        let generate = ["generate", "x", "--model", &file, "--dtype", "f16", "--steps", "1"];
        sandbox.run_with(&online, generate).failed_with(&[&file, "no weights of AutoencoderKL"]);
        assert!(Path::new(&sandbox.path(&file)).is_file());
    }
    assert!(hub.accept().is_err(), "the hub was asked");
    let revision = ["generate", "x", "--model", "xl.safetensors", "--revision", "main"];
    sandbox.run(revision).failed_with(&["--revision", "hub"]);
}
