//! Files whose contents do not match their names, missing variants, and output files.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::bad_input::Damaged;
use crate::sandbox::{ROOT, Sandbox, copy_folder};

const QUICK: [&str; 8] = ["generate", "red apple", "--steps", "1", "--height", "64", "--width", "64"];

#[test]
fn a_pointer_or_a_page_instead_of_a_file_is_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 335\n";
    let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>";
    for file in [
        "unet/diffusion_pytorch_model.safetensors",
        "unet/config.json",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer.json",
        "model_index.json",
    ] {
        let model = Damaged::new();
        fs::write(model.path(file), pointer).unwrap();
        model.refused(&[file, "git lfs pull"]);
        fs::write(model.path(file), page).unwrap();
        model.refused(&[file, "HTML page"]);
        fs::write(model.path(file), "").unwrap();
        model.refused(&[file, "empty"]);
    }
    let model = Damaged::new();
    fs::write(model.path("unet/diffusion_pytorch_model.safetensors"), b"\x80\x02}q\x00.").unwrap();
    model.refused(&["unet/diffusion_pytorch_model.safetensors", "pickle", ".bin"]);
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("model.gguf"), b"GGUF\x03\0\0\0").unwrap();
    let arguments = ["generate", "red apple", "--model", "model.gguf"];
    sandbox.run(arguments).failed_with(&["model.gguf", "GGUF"]);
}

#[test]
fn a_missing_variant_is_an_error() {
    let model = Damaged::new();
    model.refused_with(&["--variant", "fp61"], &["`fp61`", "available variants: none"]);
    let weights = "unet/diffusion_pytorch_model.safetensors";
    fs::copy(model.path(weights), model.path("unet/diffusion_pytorch_model.fp16.safetensors")).unwrap();
    model.refused_with(&["--variant", "fp61"], &["`fp61`", "available variants: `fp16`"]);

    let arguments = [&QUICK[..], &["--model", "model", "--variant", "fp16"]].concat();
    let run = model.sandbox.run(arguments).succeeded();
    let warning = "no variant `fp16` of ";
    let plain = run.stderr.lines().find_map(|line| line.split_once(warning)).expect(&run.stderr).1;
    assert!(plain.contains("vae") && plain.contains("text_encoder") && !plain.contains("unet"), "{plain}");

    let sandbox = Sandbox::new();
    let embedded = [&QUICK[..], &["--variant", "fp16"]].concat();
    sandbox.run(embedded).failed_with(&["`fp16`"]);
}

#[test]
fn a_model_in_one_file_needs_its_configurations() {
    let model = Damaged::new();
    let weights = "model/unet/diffusion_pytorch_model.safetensors";
    // The weights of one model are not a whole checkpoint.
    let refused = ["generate", "red apple", "--model", weights];
    model.sandbox.run(refused).failed_with(&[weights, "not a whole checkpoint"]);
    let variant = ["generate", "red apple", "--model", weights, "--variant", "fp16"];
    model.sandbox.run(variant).failed_with(&["--variant", "one file"]);
    let config = ["generate", "red apple", "--config", "model"];
    model.sandbox.run(config).failed_with(&["--config", "one file"]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_when_writing() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("pictures")).unwrap();
    fs::write(sandbox.path("pictures/target.png"), "old").unwrap();
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, sandbox.path(name)).unwrap();
    };
    link("pictures/target.png", "link.png");
    link("link.png", "second.png");
    link("pictures/new.png", "dangling.png");
    link("no-folder/new.png", "lost.png");
    link("circle.png", "circle.png");
    let run = |output: &str| sandbox.run([&QUICK[..], &["--output", output]].concat());

    for (name, target) in
        [("link.png", "target.png"), ("second.png", "target.png"), ("dangling.png", "new.png")]
    {
        run(name).succeeded();
        let target = sandbox.path("pictures").join(target);
        assert!(sandbox.path(name).is_symlink(), "{name} was replaced");
        image::open(&target).unwrap();
        fs::write(target, "old").unwrap();
    }
    run("lost.png").failed_with(&["lost.png", "no-folder"]);
    run("circle.png").failed_with(&["circle.png", "links"]);
    // If the run fails, the old file stays.
    let failing = [&QUICK[..], &["--output", "link.png", "--scheduler", "NoScheduler"]].concat();
    sandbox.run(failing).failed_with(&["NoScheduler"]);
    assert_eq!(fs::read(sandbox.path("pictures/target.png")).unwrap(), b"old");
}

#[test]
fn messages_are_plain_text_without_repetition() {
    let model = Damaged::new();
    model.set_json("scheduler/scheduler_config.json", json!({"steps_offset": 0}));
    let run = model.sandbox.run([&QUICK[..], &["--model", "model"]].concat()).succeeded();
    assert!(run.stderr.contains("outdated"), "{}", run.stderr);
    assert!(!run.stderr.contains('\u{1b}'), "escape codes: {:?}", run.stderr);

    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("folder")).unwrap();
    let run = sandbox.run([&QUICK[..], &["--image", "folder"]].concat());
    assert_eq!(run.stderr.matches("os error").count(), 1, "{}", run.stderr);
    run.failed_with(&["--image", "folder"]);
}

/// A header may claim more pixels than any memory holds.
#[test]
fn images_of_enormous_size_are_refused() {
    let sandbox = Sandbox::new();
    let mut whole = fs::read(Path::new(ROOT).join("tests/fixtures/image_formats/baseline.jpg")).unwrap();
    // Height and width follow the length and the precision in the start of frame.
    let frame = whole.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap();
    whole[frame + 5..frame + 9].fill(0xff);
    fs::write(sandbox.path("huge.jpg"), whole).unwrap();
    let arguments = [&QUICK[..2], &["--image", "huge.jpg"]].concat();
    sandbox.run(arguments).failed_with(&["--image", "huge.jpg", "65535x65535"]);
}

#[test]
fn options_without_effect_are_reported() {
    let sandbox = Sandbox::new();
    let revision = [&QUICK[..], &["--revision", "main"]].concat();
    sandbox.run(revision).failed_with(&["--revision", "hub"]);
    let run = sandbox.run([&QUICK[..], &["--eta", "0.5"]].concat()).succeeded();
    assert!(run.stderr.contains("--eta has no effect"), "{}", run.stderr);
    let eta = [&QUICK[..], &["--eta", "0.5", "--scheduler", "DDIMScheduler"]].concat();
    assert!(!sandbox.run(eta).succeeded().stderr.contains("--eta"));
}

#[test]
fn the_only_available_variant_is_named() {
    let model = Damaged::new();
    let weights = model.path("unet/diffusion_pytorch_model.safetensors");
    fs::rename(&weights, model.path("unet/diffusion_pytorch_model.fp16.safetensors")).unwrap();
    model.refused(&["model/unet", "available variants", "`fp16`"]);
}

/// Half of a JPEG would decode to a picture with a grey lower half.
#[test]
fn a_truncated_jpeg_is_refused() {
    let sandbox = Sandbox::new();
    let whole = fs::read(Path::new(ROOT).join("tests/fixtures/image_formats/baseline.jpg")).unwrap();
    fs::write(sandbox.path("half.jpg"), &whole[..whole.len() / 2]).unwrap();
    let arguments = [&QUICK[..2], &["--image", "half.jpg"]].concat();
    sandbox.run(arguments).failed_with(&["--image", "half.jpg", "truncated"]);
}

/// The shell limits the address space, of which the program and its threads reserve much.
#[cfg(target_os = "linux")]
#[test]
fn calls_that_do_not_fit_into_memory_are_refused() {
    let sandbox = Sandbox::new();
    copy_folder(&Path::new(ROOT).join("models/emoji-diffusion"), &sandbox.path("model"));
    let limited = |kibibytes: u32, arguments: &str| {
        let binary = env!("CARGO_BIN_EXE_oxidiff");
        let script = format!("ulimit -v {kibibytes}; exec {binary} generate cat --steps 1 {arguments}");
        let output = sandbox.shell(&script);
        assert!(sandbox.files() == ["model"], "{:?}", sandbox.files());
        output
    };
    for size in [2048, 4096] {
        limited(614_400, &format!("--height {size} --width {size}")).failed_with(&["MiB", "smaller"]);
    }
    limited(1 << 21, "--height 8192 --width 8192 --model model").failed_with(&["MiB", "available"]);
    limited(1 << 21, "--num-images 4096").failed_with(&["MiB", "available", "fewer"]);
    limited(1 << 21, "--num-images 20000 --height 8 --width 8").failed_with(&["MiB", "available", "fewer"]);
}

#[test]
fn memory_is_limited_on_demand() {
    let sandbox = Sandbox::new();
    let run = |limit: &str| {
        let arguments = "generate cat --steps 1 --height 512 --width 512 --no-progress --max-memory";
        sandbox.shell(&format!("exec {} {arguments} {limit}", env!("CARGO_BIN_EXE_oxidiff")))
    };
    assert_eq!(run("64GiB").succeeded().stderr, "");
    let limited = run("180MB").succeeded().stderr;
    assert!(limited.contains("decoding 1 x 64x64 latents") && limited.contains("in tiles"), "{limited}");
    run("1MB").failed_with(&["MiB", "available"]);
    run("many").failed_with(&["--max-memory", "12GiB"]);
}
