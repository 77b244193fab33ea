//! The example `train_emoji`, with a small model on drawn pictures.

#[path = "../../examples/train_emoji/arguments.rs"]
mod arguments;
#[path = "../../examples/train_emoji/autoencoder.rs"]
mod autoencoder;
#[path = "../../examples/train_emoji/diffusion.rs"]
mod diffusion;
#[path = "../../examples/train_emoji/latents.rs"]
mod latents;
#[path = "../../examples/train_emoji/model.rs"]
mod model;
#[path = "../../examples/train_emoji/pictures.rs"]
mod pictures;
#[path = "../../examples/train_emoji/stage.rs"]
mod stage;
#[path = "../../examples/train_emoji/training.rs"]
mod training;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use image::{Rgba, RgbaImage};
use oxidiff::{AutoencoderKL, Config, Model, Pipeline, StableDiffusionPipeline, TextToImage};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use arguments::Arguments;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Four pictures of a coloured disc or bar each, and the shape of the embedded model with few channels.
fn sandbox() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    let mut metadata = String::new();
    for (name, color, is_disc) in [
        ("red disc", [230, 20, 30, 255], true),
        ("blue disc", [20, 60, 240, 255], true),
        ("green bar", [30, 180, 40, 255], false),
        ("yellow bar", [250, 220, 30, 255], false),
    ] {
        let is_inside = |x: u32, y: u32| match is_disc {
            true => (x as i32 - 16).pow(2) + (y as i32 - 16).pow(2) < 100,
            false => (12..20).contains(&x),
        };
        let pixel = |x, y| if is_inside(x, y) { Rgba(color) } else { Rgba([0; 4]) };
        RgbaImage::from_fn(32, 32, pixel).save(pictures.join(format!("{name}.png"))).unwrap();
        metadata += &format!("{}\n", json!({ "file_name": format!("{name}.png"), "text": name }));
    }
    fs::write(pictures.join("metadata.jsonl"), metadata).unwrap();

    let embedded = repository().join("models/emoji-diffusion");
    let like = folder.path().join("like");
    for part in ["scheduler", "tokenizer"] {
        fs::create_dir_all(like.join(part)).unwrap();
        for entry in fs::read_dir(embedded.join(part)).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), like.join(part).join(entry.file_name())).unwrap();
        }
    }
    fs::copy(embedded.join("generation_config.json"), like.join("generation_config.json")).unwrap();
    let text_encoder = json!({ "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1 });
    let unet = json!({
        "block_out_channels": [32, 32, 32], "cross_attention_dim": 32, "layers_per_block": 1, "sample_size": 4
    });
    let vae = json!({ "block_out_channels": [16, 16, 16, 16], "scaling_factor": 0.18215, "sample_size": 32 });
    for (part, changes) in [("text_encoder", text_encoder), ("unet", unet), ("vae", vae)] {
        let text = fs::read_to_string(embedded.join(part).join("config.json")).unwrap();
        let mut config: Map<String, Value> = serde_json::from_str(&text).unwrap();
        for (name, value) in changes.as_object().unwrap() {
            assert!(config.insert(name.clone(), value.clone()).is_some(), "{part} has {name}");
        }
        fs::create_dir_all(like.join(part)).unwrap();
        fs::write(like.join(part).join("config.json"), Value::from(config).to_string()).unwrap();
    }
    folder
}

fn parsed(folder: &Path, output: &str, more: &[&str]) -> Arguments {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let own = ["train_emoji".to_owned(), path("pictures"), path(output), "--like".to_owned(), path("like")];
    Arguments::parse_from(own.into_iter().chain(more.iter().map(|word| (*word).to_owned())))
}

fn mean(losses: &[f32]) -> f32 {
    losses.iter().sum::<f32>() / losses.len() as f32
}

#[test]
fn a_small_model_learns_from_random_weights() {
    let folder = sandbox();
    let flags = [
        "--vae-steps=200",
        "--vae-batch=4",
        "--vae-crop=16",
        "--vae-learning-rate=4e-3",
        "--kl-weight=1e-6",
        "--views=1",
        "--empty-captions=0",
        "--steps=300",
        "--batch=16",
        "--learning-rate=2e-3",
        "--samples=2",
    ];
    let arguments = parsed(folder.path(), "model", &flags);
    let losses = training::train(&arguments).unwrap();
    assert_eq!((losses.autoencoder.len(), losses.diffusion.len()), (200, 300));
    let of = |losses: &[f32]| mean(&losses[..10]) / mean(&losses[losses.len() - 30..]);
    let factors = [of(&losses.autoencoder), of(&losses.diffusion)];
    assert!(factors[0] > 2.5 && factors[1] > 1.5, "{factors:?}");

    let output = arguments.output.to_str().unwrap();
    let mut pipeline = StableDiffusionPipeline::from_pretrained(output).unwrap();
    assert_eq!(pipeline.vae.scaling_factor(), 1.0);
    assert_eq!(pipeline.generation_config().num_inference_steps, Some(25));
    pipeline.set_progress_bar(false);
    let call = TextToImage { num_inference_steps: 2, ..TextToImage::new("red disc") };
    let image = pipeline.call(call).unwrap().images.into_images().remove(0);
    assert_eq!((image.width(), image.height()), (32, 32));
    for name in [
        "training/autoencoder/loss.png",
        "training/autoencoder/samples/step-000200.png",
        "training/diffusion/loss.png",
        "training/diffusion/samples/step-000150.png",
        "training/diffusion/samples/step-000300.png",
        "training/diffusion/logs/diffusion/metrics.csv",
    ] {
        assert!(arguments.output.join(name).is_file(), "{name}");
    }

    // Another model in the same latents, whose channels have mean 0 and deviation 1.
    let vae = arguments.output.join("vae");
    let again = parsed(folder.path(), "again", &["--vae", vae.to_str().unwrap(), "--steps=1", "--samples=1"]);
    let losses = training::train(&again).unwrap();
    assert_eq!((losses.autoencoder.len(), losses.diffusion.len()), (0, 1));
    let written = |output: &Path| fs::read(output.join("vae/diffusion_pytorch_model.safetensors")).unwrap();
    assert!(written(&again.output) == written(&arguments.output));
    let pictures = pictures::load(&arguments.pictures, 32).unwrap();
    let vae = AutoencoderKL::from_pretrained(vae.to_str().unwrap()).unwrap();
    let images = pictures.iter().map(|picture| picture.whole(32)).collect();
    let latents = vae.encode(pictures::stack(images).unwrap()).unwrap().mode();
    for channel in 0..8 {
        let values = latents.clone().narrow(1, channel, 1);
        let mean = values.clone().mean().into_scalar::<f32>();
        let second = values.square().mean().into_scalar::<f32>();
        assert!(mean.abs() < 0.5 && (0.2..2.0).contains(&second), "channel {channel}: {mean}, {second}");
    }
}

#[test]
fn a_normalised_autoencoder_makes_the_same_images() {
    let folder = sandbox();
    let pictures = pictures::load(&folder.path().join("pictures"), 32).unwrap();
    let config = Config::from_file(folder.path().join("like/vae/config.json")).unwrap();
    let vae = AutoencoderKL::from_config(&config, &oxidiff::Device::flex()).unwrap();
    let variation = pictures::Variation { scale: 0.2, mirror: true };
    let normalised = autoencoder::normalised(vae.clone(), &pictures, 32, variation, 0).unwrap();
    let image = || pictures::stack(vec![pictures[0].whole(32)]).unwrap();
    let decoded = [&vae, &normalised].map(|vae| vae.decode(vae.encode(image()).unwrap().mode()).unwrap());
    let difference = (decoded[0].clone() - decoded[1].clone()).abs().max().into_scalar::<f32>();
    assert!(difference < 1e-4, "{difference}");
    let [before, after] = [&vae, &normalised].map(|vae| vae.encode(image()).unwrap());
    // All positions of a channel are divided by the same number. A channel of random weights may
    // have a deviation of 1 to begin with, so one channel that changes is enough.
    let ratio = before.std() / after.std();
    let mut changed = false;
    for channel in 0..8 {
        let ratio = ratio.clone().narrow(1, channel, 1);
        let [least, most] = [ratio.clone().min(), ratio.max()].map(|it| it.into_scalar::<f32>());
        assert!(most / least < 1.0001, "channel {channel}: {least} to {most}");
        changed |= (least - 1.0).abs() > 0.01;
    }
    assert!(changed, "no channel was divided");
}

#[test]
fn what_makes_no_model_is_refused() {
    let folder = sandbox();
    let refused = |output: &str, more: &[&str]| {
        let error =
            training::train(&parsed(folder.path(), output, more)).err().expect("an error").to_string();
        assert!(!folder.path().join(output).exists(), "{error}");
        error
    };
    assert!(refused("a", &["--vae-crop=10"]).contains("--vae-crop must be a multiple of 8"));
    assert!(refused("b", &["--vae", "absent"]).contains("absent"));
    let config = folder.path().join("like/unet/config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"in_channels\":8", "\"in_channels\":4")).unwrap();
    let error = refused("c", &[]);
    assert!(error.contains("the UNet takes 4 channels, but the autoencoder's latents have 8"), "{error}");
    for flags in [&["--vae-share=1"][..], &["--minutes=0"], &["--steps=0"], &["--learning-rate=nan"]] {
        let words = ["train_emoji", "pictures", "output"].into_iter().chain(flags.iter().copied());
        assert!(Arguments::try_parse_from(words).is_err(), "{flags:?}");
    }
}

/// The command of `docs/training.md` has flags that exist.
#[test]
fn the_command_of_the_page_is_understood() {
    let page = fs::read_to_string(repository().join("docs/training.md")).unwrap();
    let (_, rest) = page.split_once("--example train_emoji -- ").expect("the page shows the command");
    let (command, _) = rest.split_once('\n').expect("the next line");
    let words: Vec<&str> = command.split_whitespace().filter(|word| *word != "\\").collect();
    let arguments = Arguments::try_parse_from(["train_emoji"].into_iter().chain(words)).unwrap();
    assert_eq!(arguments.like, Path::new("models/emoji-diffusion"));
    assert!(repository().join(&arguments.like).join("tokenizer/vocab.json").is_file());
}
