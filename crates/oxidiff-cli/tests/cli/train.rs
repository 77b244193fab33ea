//! `oxidiff train`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};

use crate::sandbox::Sandbox;
use crate::small_models::write_z_image;

/// A folder with images and the configuration of a small model.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("images")).unwrap();
    for number in 0..8_u8 {
        let image = RgbImage::from_fn(10, 8, |x, _| Rgb([number * 30, x as u8 * 20, 99]));
        image.save(sandbox.path(&format!("images/{number}.png"))).unwrap();
    }
    let config = r#"{
        "_class_name": "UNet2DModel", "sample_size": 8, "layers_per_block": 1, "block_out_channels": [16, 16],
        "norm_num_groups": 4, "down_block_types": ["DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D"]
    }"#;
    fs::write(sandbox.path("config.json"), config).unwrap();
    sandbox
}

/// Flags as the scripts have them.
const FLAGS: [&str; 18] = [
    "train",
    "unconditional",
    "--train_data_dir=images",
    "--model_config_name_or_path",
    "config.json",
    "--resolution=8",
    "--train_batch_size",
    "3",
    "--num_epochs=60",
    "--random_flip",
    "--seed",
    "1",
    "--checkpointing_steps=2",
    "--save_images_epochs=1000",
    "--ddpm_num_inference_steps",
    "2",
    "--eval_batch_size=1",
    "--no-progress",
];

fn flags<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&FLAGS, more].concat()
}

/// The steps and losses of a log, as written.
fn losses(folder: &Path) -> Vec<(String, String)> {
    let log = fs::read_to_string(folder.join("logs/train_unconditional/metrics.csv")).unwrap();
    let fields = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    log.lines().skip(1).map(fields).map(|row| (row[0].clone(), row[2].clone())).collect()
}

/// The steps of the checkpoints in a folder, if it is there.
fn checkpoints(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut steps: Vec<u32> =
        names.filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok()).collect();
    steps.sort_unstable();
    steps
}

fn latest(folder: &Path) -> u32 {
    checkpoints(folder).pop().unwrap_or(0)
}

#[test]
fn a_killed_training_goes_on_as_if_it_had_not_been() {
    let sandbox = sandbox();
    sandbox.run(flags(&["--output_dir", "whole"])).succeeded();
    let whole = losses(&sandbox.path("whole"));
    assert_eq!(whole.len(), 180);

    let arguments = flags(&["--output_dir=killed", "--checkpoints_total_limit", "2"]);
    let mut child = sandbox.command().args(&arguments).spawn().unwrap();
    let start = Instant::now();
    while latest(&sandbox.path("killed")) < 6 {
        assert!(start.elapsed() < Duration::from_secs(300), "no checkpoint was written");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(losses(&sandbox.path("killed")).len() < 180, "it was not killed in time");

    let resumed = [&arguments[..], &["--resume_from_checkpoint", "latest"]].concat();
    let run = sandbox.run(resumed).succeeded();
    assert_eq!(run.stdout, "killed\n");
    assert_eq!(losses(&sandbox.path("killed")), whole);
    assert_eq!(checkpoints(&sandbox.path("killed")), [178, 180]);
    let weights = "unet/diffusion_pytorch_model.safetensors";
    let read = |output: &str| fs::read(sandbox.path(output).join(weights)).unwrap();
    assert!(read("killed") == read("whole"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_training_with_a_checkpoint() {
    let sandbox = sandbox();
    let script = format!(
        "$OXIDIFF {} --output_dir model & pid=$!; \
         while [ ! -e model/checkpoint-4 ]; do sleep 0.01; done; kill -INT $pid; wait $pid",
        FLAGS.join(" ")
    );
    let script = script
        .replace("$OXIDIFF", env!("CARGO_BIN_EXE_oxidiff"))
        .replace("--num_epochs=60", "--num_epochs=20000");
    let run = sandbox.shell(&script);
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    assert!(run.stderr.contains("go on with --resume-from-checkpoint latest"), "{}", run.stderr);
    let step = losses(&sandbox.path("model")).last().unwrap().0.clone();
    assert!(sandbox.path(&format!("model/checkpoint-{step}")).is_dir());
}

#[test]
fn bad_input_is_refused() {
    let sandbox = sandbox();
    for (more, expected) in [
        (&["--train_data_dir=absent"][..], "absent"),
        (&["--push_to_hub"], "--push-to-hub is not supported: the result is only written"),
        (&["--allow_tf32"], "--allow-tf32 is not supported"),
        (&["--use_dora"], "--use-dora is not supported"),
        (&["--prodigy_beta3=0.9"], "--prodigy-beta3 is not supported: the optimizer is AdamW"),
        (&["--mixed_precision=fp16"], "--mixed-precision: fp16 is not supported"),
        (&["--resume_from_checkpoint=checkpoint-7"], "checkpoint-7 does not exist"),
        (&["--train_batch_size=0"], "0 is not in 1"),
        (&["--learning_rate", "-1"], "--learning-rate: is -1"),
        (&["--no_such_flag"], "--no-such-flag"),
    ] {
        let words: Vec<_> = flags(more);
        // A flag may be given once.
        let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
        let first = name(more[0]);
        let mut kept: Vec<&str> = Vec::new();
        let mut words = words.into_iter().take(FLAGS.len()).peekable();
        while let Some(word) = words.next() {
            if name(word) != first {
                kept.push(word);
            } else if !word.contains('=') {
                words.next_if(|next| !next.starts_with("--"));
            }
        }
        kept.extend(more);
        let run = sandbox.run(kept);
        assert_eq!(run.code, Some(1), "{more:?}: {}", run.stderr);
        assert!(run.stderr.contains(expected), "{more:?}: {}", run.stderr);
        assert!(!sandbox.path("ddpm-model-64/logs").exists(), "{more:?}");
    }
    let run = sandbox.run(["train", "text-to-image-lora", "--train_data_dir", "images"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("--pretrained-model-name-or-path"), "{}", run.stderr);
    let subject = [
        "train",
        "dreambooth-lora-sdxl",
        "--pretrained_model_name_or_path=absent",
        "--instance_prompt=a dog",
    ];
    for (more, expected) in [
        (&[][..], "--instance-data-dir"),
        (&["--instance_data_dir=images", "--dataset_name=images"], "--dataset-name"),
        (&["--instance_data_dir=images", "--text_encoder_lr=1e-5"], "--train-text-encoder"),
        (&["--instance_data_dir=images", "--caption_column=text"], "--dataset-name"),
        (&["--instance_data_dir=images", "--optimizer=prodigy"], "--optimizer: `prodigy` is not supported"),
    ] {
        let run = sandbox.run([&subject[..], more].concat());
        assert_eq!(run.code, Some(1), "{more:?}: {}", run.stderr);
        assert!(run.stderr.contains(expected), "{more:?}: {}", run.stderr);
    }
    let z_image = [
        "train",
        "dreambooth-lora-z-image",
        "--pretrained_model_name_or_path=absent",
        "--instance_prompt=a dog",
    ];
    for (more, expected) in [
        (&[][..], "--instance-data-dir"),
        (&["--instance_data_dir=images", "--text_encoder_lr=1e-5"], "--text-encoder-lr: has no meaning"),
        (
            &["--instance_data_dir=images", "--adam_weight_decay_text_encoder=0.1"],
            "--adam-weight-decay-text-encoder: has no meaning",
        ),
        (&["--instance_data_dir=images", "--lora_dropout=0.1"], "--lora-dropout is not supported"),
        (&["--instance_data_dir=images", "--use_8bit_adam"], "--use-8bit-adam is not supported"),
        (&["--instance_data_dir=images", "--do_fp8_training"], "--do-fp8-training is not supported"),
        (
            &["--instance_data_dir=images", "--bnb_quantization_config_path=a"],
            "--bnb-quantization-config-path is",
        ),
        (&["--instance_data_dir=images", "--offload"], "--offload is not supported"),
        (&["--instance_data_dir=images", "--fsdp_text_encoder"], "--fsdp-text-encoder is not supported"),
        (&["--instance_data_dir=images", "--optimizer=prodigy"], "--optimizer: `prodigy` is not supported"),
        (
            &["--instance_data_dir=images", "--weighting_scheme=cosine"],
            "sigma_sqrt, logit_normal, mode, cosmap, none",
        ),
        (&["--instance_data_dir=images", "--aspect_ratio_buckets=64,64"], "--use-aspect-ratio-buckets"),
        (&["--instance_data_dir=images", "--mode_scale=-1.5"], "--mode-scale: is -1.5"),
        (&["--instance_data_dir=images"], "absent"),
    ] {
        let run = sandbox.run([&z_image[..], more].concat());
        assert_eq!(run.code, Some(1), "{more:?}: {}", run.stderr);
        assert!(run.stderr.contains(expected), "{more:?}: {}", run.stderr);
    }
    fs::create_dir(sandbox.path("empty")).unwrap();
    let run = sandbox.run(["train", "unconditional", "--train_data_dir", "empty"]);
    assert!(run.code == Some(1) && run.stderr.contains("empty"), "{}", run.stderr);
}

/// The commands of `docs/training.md`, on small models and images.
#[test]
fn the_commands_of_the_page_work() {
    let sandbox = Sandbox::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let scripts = root.join("tests/fixtures/training_scripts");
    for (name, from) in [
        ("butterflies", "images"),
        ("pictures", "images"),
        ("my-dog", "instance"),
        ("dogs", "class"),
        ("toys", "instance"),
        ("outlines", "control"),
    ] {
        fs::create_dir(sandbox.path(name)).unwrap();
        for entry in fs::read_dir(scripts.join(from)).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), sandbox.path(name).join(entry.file_name())).unwrap();
        }
    }
    fs::copy(scripts.join("control/outline_0.png"), sandbox.path("outline.png")).unwrap();
    write_z_image(&sandbox.path("Tongyi-MAI/Z-Image"));
    let models = [
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "pipelines/sd1"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "stable_diffusion_xl/base"),
        ("madebyollin/sdxl-vae-fp16-fix", "stable_diffusion_xl/base/vae"),
    ];

    let page = fs::read_to_string(root.join("docs/training.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands: Vec<String> =
        blocks.flat_map(|block| block.split("\n\n")).map(|command| command.trim().to_owned()).collect();
    assert_eq!(commands.len(), 10);
    for command in commands {
        let mut command = smaller(&command).replacen("oxidiff", env!("CARGO_BIN_EXE_oxidiff"), 1);
        for (name, fixture) in models {
            command = command.replace(name, root.join("tests/fixtures").join(fixture).to_str().unwrap());
        }
        let run = sandbox.shell(&command);
        assert_eq!(run.code, Some(0), "{command}: {}", run.stderr);
        assert!(sandbox.path(run.stdout.trim()).join("README.md").is_file(), "{command}");
    }
}

/// A command with all its flags, but smaller numbers, and what the small model knows.
fn smaller(command: &str) -> String {
    let is_unconditional = command.contains("train unconditional");
    let mut words: Vec<&str> = command.split_whitespace().filter(|word| *word != "\\").collect();
    let mut set = |flag: &'static str, value: &'static str| match words.iter().position(|word| *word == flag)
    {
        Some(at) => words[at + 1] = value,
        None => words.extend([flag, value]),
    };
    set("--max_train_steps", "2");
    if is_unconditional {
        // The script's model halves the images five times.
        set("--resolution", "32");
        set("--ddpm_num_inference_steps", "1");
        set("--eval_batch_size", "1");
        set("--num_epochs", "1");
    } else {
        set("--resolution", "16");
    }
    for (task, flag, value) in [
        ("textual-inversion", "--initializer_token", "apple"),
        ("--num_class_images", "--num_class_images", "4"),
        ("validation_prompt", "--num_validation_images", "1"),
    ] {
        if command.contains(task) {
            set(flag, value);
        }
    }
    words.push("--no-progress");
    words.join(" ")
}
