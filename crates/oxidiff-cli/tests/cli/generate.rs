//! `oxidiff generate` and `oxidiff inspect` with the embedded model, as a user runs them.

use std::path::Path;

use image::ImageFormat;
use oxidiff::{DPMSolverMultistepScheduler, Scheduler};

use crate::sandbox::{ROOT, Run, Sandbox, copy_folder};

/// Generates with two steps, which are enough to run every part of the pipeline.
#[track_caller]
fn generate(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    sandbox.run([&["generate", "red apple", "--steps", "2"], arguments].concat()).succeeded()
}

/// The file that `arguments` make.
#[track_caller]
fn contents(arguments: &[&str]) -> Vec<u8> {
    let sandbox = Sandbox::new();
    generate(&sandbox, arguments);
    std::fs::read(sandbox.path("output.png")).unwrap()
}

/// Shape and values of an `.npy` file of `float32`.
fn read_npy(bytes: &[u8]) -> (Vec<u64>, Vec<f32>) {
    let file = npyz::NpyFile::new(bytes).unwrap();
    let shape = file.shape().to_vec();
    (shape, file.into_vec::<f32>().unwrap())
}

#[test]
fn a_prompt_is_enough() {
    let sandbox = Sandbox::new();
    let run = generate(&sandbox, &[]);
    assert_eq!(sandbox.files(), ["output.png"]);
    let image = image::open(sandbox.path("output.png")).unwrap();
    assert_eq!((image.width(), image.height()), (128, 128));

    let (file, rest) = run.stdout.split_once(" (seed ").expect(&run.stdout);
    assert_eq!(file, "output.png");
    let seed = rest.trim_end().strip_suffix(')').unwrap();
    assert_eq!(
        std::fs::read(sandbox.path("output.png")).unwrap(),
        contents(&["--seed", seed]),
        "the printed seed makes a different image"
    );
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    for arguments in [
        &["generate", "red apple", "--steps", "1"][..],
        &["inspect"],
        &["bench", "--runs", "1", "--size", "8"],
    ] {
        let sandbox = Sandbox::new();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = sandbox.command().args(arguments).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_seed_decides() {
    let first = contents(&["--seed", "7"]);
    assert_eq!(first, contents(&["--seed", "7"]));
    assert_ne!(first, contents(&["--seed", "8"]));
}

#[test]
fn each_argument_changes_the_image() {
    let plain = contents(&["--seed", "0"]);
    for arguments in [
        &["--guidance-scale", "1"][..],
        &["--guidance-rescale", "0.7"],
        &["--negative-prompt", "green apple"],
        &["--clip-skip", "1"],
        &["--dtype", "bf16"],
        &["--dtype", "f16"],
        &["--scheduler", "DDIMScheduler", "--eta", "1"],
        &["--steps=3"],
    ] {
        let sandbox = Sandbox::new();
        let steps: &[&str] = if arguments == ["--steps=3"] { &[] } else { &["--steps", "2"] };
        sandbox.run([&["generate", "red apple", "--seed", "0"], steps, arguments].concat()).succeeded();
        let changed = std::fs::read(sandbox.path("output.png")).unwrap();
        assert_ne!(plain, changed, "{arguments:?}");
    }
    let sandbox = Sandbox::new();
    sandbox.run(["generate", "--prompt", "red apple", "--steps", "2", "--seed", "0"]).succeeded();
    assert_eq!(plain, std::fs::read(sandbox.path("output.png")).unwrap(), "--prompt is the prompt");
}

#[test]
fn every_compatible_scheduler_works() {
    let own = DPMSolverMultistepScheduler::new(Default::default()).unwrap();
    for scheduler in own.compatibles().into_iter().chain(["LCMScheduler", "TCDScheduler"]) {
        let sandbox = Sandbox::new();
        // PNDM begins with Runge-Kutta steps unless its configuration says otherwise; they need four steps.
        let four_steps =
            ["generate", "red apple", "--seed", "0", "--steps", "4", "--height", "64", "--width", "64"];
        let scheduler_option = ["--scheduler", scheduler, "--output", "x.npy"];
        sandbox.run(four_steps.iter().chain(&scheduler_option)).succeeded();
        let (_, values) = read_npy(&std::fs::read(sandbox.path("x.npy")).unwrap());
        assert!(values.iter().all(|value| value.is_finite()), "{scheduler}");
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((0.1..0.99).contains(&mean), "{scheduler} made an image of mean {mean}");
    }
}

#[test]
fn the_extension_chooses_the_format() {
    for (file, format) in [
        ("x.png", ImageFormat::Png),
        ("x.jpg", ImageFormat::Jpeg),
        ("x.jpeg", ImageFormat::Jpeg),
        ("x.webp", ImageFormat::WebP),
        ("X.PNG", ImageFormat::Png),
    ] {
        let sandbox = Sandbox::new();
        generate(&sandbox, &["--output", file]);
        assert_eq!(sandbox.files(), [file]);
        let bytes = std::fs::read(sandbox.path(file)).unwrap();
        assert_eq!(image::guess_format(&bytes).unwrap(), format, "{file}");
        image::load_from_memory(&bytes).unwrap();
    }
}

#[test]
fn npy_holds_the_values_of_the_image() {
    let sandbox = Sandbox::new();
    generate(&sandbox, &["--seed", "3", "--num-images", "2", "--output", "x.npy"]);
    generate(&sandbox, &["--seed", "3", "--num-images", "2", "--output", "x.png"]);
    assert_eq!(sandbox.files(), ["x-1.png", "x-2.png", "x.npy"]);

    let (shape, values) = read_npy(&std::fs::read(sandbox.path("x.npy")).unwrap());
    assert_eq!(shape, [2, 128, 128, 3]);
    assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
    let bytes: Vec<u8> = values.iter().map(|value| (value * 255.0).round_ties_even() as u8).collect();
    let images =
        ["x-1.png", "x-2.png"].map(|file| image::open(sandbox.path(file)).unwrap().to_rgb8().into_raw());
    assert_eq!(bytes, images.concat());
    assert_ne!(images[0], images[1]);
}

#[test]
fn height_and_width() {
    let sandbox = Sandbox::new();
    generate(&sandbox, &["--height", "96", "--width", "64"]);
    let image = image::open(sandbox.path("output.png")).unwrap();
    assert_eq!((image.height(), image.width()), (96, 64));
}

#[test]
fn a_long_prompt_is_cut_with_a_warning() {
    let sandbox = Sandbox::new();
    let prompt = "a red apple and a green pear ".repeat(10);
    let run = sandbox.run(["generate", &prompt, "--steps", "2"]).succeeded();
    assert!(run.stderr.contains("WARN") && run.stderr.contains("32 tokens"), "{}", run.stderr);
    assert_eq!(sandbox.files(), ["output.png"]);
}

#[test]
fn an_empty_prompt_works() {
    let sandbox = Sandbox::new();
    sandbox.run(["generate", "", "--steps", "2"]).succeeded();
    assert_eq!(sandbox.files(), ["output.png"]);
}

#[test]
fn a_folder_is_the_same_as_the_embedded_model() {
    let sandbox = Sandbox::new();
    copy_folder(Path::new(&format!("{ROOT}/models/emoji-diffusion")), &sandbox.path("model"));
    generate(&sandbox, &["--seed", "5", "--model", "model"]);
    assert_eq!(std::fs::read(sandbox.path("output.png")).unwrap(), contents(&["--seed", "5"]));
}

#[test]
fn inspect_prints_what_python_prints() {
    let sandbox = Sandbox::new();
    for arguments in [&["inspect"][..], &["inspect", &format!("{ROOT}/models/emoji-diffusion")]] {
        let printed = sandbox.run(arguments).succeeded().stdout;
        let json = printed.strip_prefix("StableDiffusionPipeline ").expect("the class comes first");
        let index: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(index["_class_name"], "StableDiffusionPipeline");
        assert_eq!(index["unet"], serde_json::json!(["diffusers", "UNet2DConditionModel"]));
        assert_eq!(index["scheduler"], serde_json::json!(["diffusers", "DPMSolverMultistepScheduler"]));
    }
    assert!(sandbox.files().is_empty());
}

#[test]
fn help_and_version() {
    let sandbox = Sandbox::new();
    let version = sandbox.run(["--version"]).succeeded().stdout;
    assert_eq!(version.trim_end(), format!("oxidiff {}", env!("CARGO_PKG_VERSION")));
    for arguments in [&["--help"][..], &["generate", "--help"], &["inspect", "-h"], &["download", "-h"]] {
        let help = sandbox.run(arguments).succeeded().stdout;
        assert!(help.contains("Usage: oxidiff"), "{help}");
    }
}

#[cfg(unix)]
#[test]
fn the_file_gets_ordinary_permissions() {
    use std::os::unix::fs::PermissionsExt;

    let sandbox = Sandbox::new();
    generate(&sandbox, &[]);
    std::fs::write(sandbox.path("ordinary"), "").unwrap();
    let mode = |name| std::fs::metadata(sandbox.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("output.png"), mode("ordinary"));
}
