//! Whole trainings of small models.

use std::fs;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use oxidiff::training::StateFile;
use oxidiff::{
    DDPMPipeline, DiffusionPipeline, Generator, LoraLoader, LoraOptions, Model, OutputType, Pipeline,
    StableDiffusionXLPipeline, StableDiffusionXLTextToImage,
};
use tempfile::TempDir;

use oxidiff_train::{
    DreamBoothLoraSdxlOptions, Outcome, Stop, TextToImageLoraOptions, TextToImageLoraSdxlOptions,
    TextualInversionOptions, UnconditionalOptions, dreambooth_lora_sdxl, text_to_image_lora,
    text_to_image_lora_sdxl, textual_inversion, unconditional,
};

/// Eight images of two colours with captions, and the configuration of a small model.
fn sandbox() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    fs::create_dir(&images).unwrap();
    let mut metadata = String::new();
    for number in 0..8_u8 {
        let color = |x: u32, y: u32| Rgb([number * 32, if x > y { 255 } else { 30 }, 255 - number * 20]);
        RgbImage::from_fn(12, 10, color).save(images.join(format!("{number}.png"))).unwrap();
        let caption = format!(r#"["a picture", "number {number}"]"#);
        metadata += &format!("{{\"file_name\": \"{number}.png\", \"text\": {caption}}}\n");
    }
    fs::write(images.join("metadata.jsonl"), metadata).unwrap();
    let config = r#"{
        "_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 3, "out_channels": 3, "layers_per_block": 1,
        "block_out_channels": [16, 16], "norm_num_groups": 4, "attention_head_dim": 8,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]
    }"#;
    fs::write(folder.path().join("config.json"), config).unwrap();
    folder
}

fn small(folder: &Path, output: &str) -> UnconditionalOptions {
    let mut options = UnconditionalOptions::new(folder.join("images"), folder.join(output));
    options.model_config_name_or_path = Some(folder.join("config.json"));
    options.ddpm_num_inference_steps = 2;
    options.eval_batch_size = 2;
    options.common.resolution = 8;
    options.common.seed = Some(5);
    options.common.no_progress = true;
    options
}

/// With everything that draws random numbers, and steps that end within and at the end of epochs.
fn eventful(folder: &Path, output: &str) -> UnconditionalOptions {
    let mut options = small(folder, output);
    options.use_ema = true;
    options.dataset.random_flip = true;
    options.common.train_batch_size = 3;
    options.common.gradient_accumulation_steps = 2;
    options.common.num_train_epochs = 3;
    options.common.checkpointing_steps = 1;
    options
}

/// A small model of the fixtures.
fn fixture(path: &str) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    fixtures.join(path).to_str().unwrap().to_owned()
}

const SD1: &str = "pipelines/sd1";
const XL: &str = "stable_diffusion_xl/base";

fn lora(folder: &Path, output: &str) -> TextToImageLoraOptions {
    let mut options = TextToImageLoraOptions::new(&fixture(SD1), folder.join("images"), folder.join(output));
    options.common.resolution = 32;
    options.common.seed = Some(6);
    options.common.no_progress = true;
    options.common.train_batch_size = 3;
    options.common.checkpointing_steps = 2;
    options.common.max_train_steps = Some(5);
    options.noise_offset = 0.1;
    options.snr_gamma = Some(5.0);
    options
}

/// With everything that draws random numbers, and layers of both text encoders.
fn lora_xl(folder: &Path, output: &str) -> TextToImageLoraSdxlOptions {
    let mut options =
        TextToImageLoraSdxlOptions::new(&fixture(XL), folder.join("images"), folder.join(output));
    options.common.resolution = 32;
    options.common.seed = Some(6);
    options.common.no_progress = true;
    options.common.train_batch_size = 3;
    options.common.checkpointing_steps = 2;
    options.common.max_train_steps = Some(4);
    options.common.lr_warmup_steps = 0;
    options.dataset.random_flip = true;
    options.train_text_encoder = true;
    options.noise_offset = 0.1;
    options
}

/// With parts of images that are drawn once, images of the class, and layers of both text encoders.
fn subject_xl(folder: &Path, output: &str) -> DreamBoothLoraSdxlOptions {
    let images = folder.join("images");
    _ = fs::remove_file(images.join("metadata.jsonl"));
    let prompt = "a photo of sks house";
    let mut options = DreamBoothLoraSdxlOptions::new(&fixture(XL), &images, prompt, folder.join(output));
    options.common.resolution = 32;
    options.common.seed = Some(6);
    options.common.no_progress = true;
    options.common.train_batch_size = 3;
    options.common.checkpointing_steps = 2;
    options.common.max_train_steps = Some(4);
    options.common.lr_scheduler = "linear".to_owned();
    options.common.lr_warmup_steps = 0;
    options.prior.with_prior_preservation = true;
    options.prior.class_data_dir = Some(images);
    options.prior.class_prompt = Some("a photo of a house".to_owned());
    options.prior.num_class_images = 5;
    options.random_flip = true;
    options.train_text_encoder = true;
    options.text_encoder_lr = 1e-3;
    options
}

/// The steps and losses of a log, as written.
fn losses(output: &Path) -> Vec<(u64, String)> {
    let log = fs::read_dir(output.join("logs")).unwrap().next().unwrap().unwrap().path().join("metrics.csv");
    let mut reader = csv::Reader::from_path(log).unwrap();
    let rows = reader.records().map(Result::unwrap);
    rows.map(|row| (row[0].parse().unwrap(), row[2].to_owned())).collect()
}

fn complete(outcome: Outcome) {
    assert!(matches!(outcome, Outcome::Complete(_)), "{outcome:?}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { _ = fs::copy(entry.path(), target) }
    }
}

#[test]
fn an_unconditional_model_learns() {
    let folder = sandbox();
    let mut options = small(folder.path(), "model");
    options.common.train_batch_size = 8;
    options.common.num_train_epochs = 120;
    options.common.learning_rate = 2e-3;
    options.common.lr_warmup_steps = 10;
    options.save_images_epochs = 1000;
    options.save_model_epochs = 1000;
    complete(unconditional(&options, &Stop::default()).unwrap());
    let output = folder.path().join("model");
    let losses: Vec<f32> = losses(&output).iter().map(|(_, loss)| loss.parse().unwrap()).collect();
    assert_eq!(losses.len(), 120);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&losses[..5]), mean(&losses[100..]));
    assert!(last < first / 2.0, "{first} fell to {last} only");
    let pipeline = DDPMPipeline::from_pretrained(output.to_str().unwrap()).unwrap();
    assert_eq!(pipeline.unet.config().block_out_channels, [16, 16]);
    for name in ["README.md", "loss.png", "samples/step-000120.png", "image_0.png", "model_index.json"] {
        assert!(output.join(name).is_file(), "{name}");
    }
}

#[test]
fn a_resumed_training_is_the_same() {
    let folder = sandbox();
    complete(unconditional(&eventful(folder.path(), "whole"), &Stop::default()).unwrap());
    let whole = folder.path().join("whole");
    let expected = losses(&whole);
    assert_eq!(expected.len(), 6);
    // In the middle of an epoch, and at its end.
    for step in [3, 4] {
        let name = format!("from-{step}");
        let output = folder.path().join(&name);
        copy(&whole.join(format!("checkpoint-{step}")), &output.join(format!("checkpoint-{step}")));
        let mut options = eventful(folder.path(), &name);
        options.common.seed = None;
        options.common.resume_from_checkpoint = Some("latest".to_owned());
        complete(unconditional(&options, &Stop::default()).unwrap());
        assert_eq!(losses(&output), expected[step..]);
        let weights = "unet/diffusion_pytorch_model.safetensors";
        assert!(fs::read(output.join(weights)).unwrap() == fs::read(whole.join(weights)).unwrap());
    }
}

#[test]
fn a_training_may_go_back_to_an_earlier_checkpoint() {
    let folder = sandbox();
    let mut options = eventful(folder.path(), "model");
    complete(unconditional(&options, &Stop::default()).unwrap());
    options.common.resume_from_checkpoint = Some("checkpoint-2".to_owned());
    options.common.overwrite_output_dir = true;
    options.common.checkpoints_total_limit = Some(1);
    let stop = Stop::default();
    stop.request();
    let checkpoint = folder.path().join("model/checkpoint-3");
    assert_eq!(unconditional(&options, &stop).unwrap(), Outcome::Stopped { checkpoint: checkpoint.clone() });
    let left = fs::read_dir(folder.path().join("model")).unwrap().map(|entry| entry.unwrap().path());
    let left = Vec::from_iter(left.filter(|path| path.join("state.safetensors").is_file()));
    assert_eq!(left, [checkpoint]);
}

#[test]
fn a_stopped_training_leaves_a_checkpoint() {
    let folder = sandbox();
    let mut options = eventful(folder.path(), "model");
    options.common.checkpointing_steps = 100;
    let stop = Stop::default();
    stop.request();
    let checkpoint = folder.path().join("model/checkpoint-1");
    assert_eq!(unconditional(&options, &stop).unwrap(), Outcome::Stopped { checkpoint: checkpoint.clone() });
    assert!(checkpoint.join("unet_ema/config.json").is_file());
    let error = unconditional(&options, &stop).unwrap_err().to_string();
    assert!(error.contains("checkpoints of an earlier training"), "{error}");
    options.common.resume_from_checkpoint = Some("latest".to_owned());
    complete(unconditional(&options, &Stop::default()).unwrap());
    assert_eq!(losses(&folder.path().join("model")).len(), 6);
}

#[test]
fn low_rank_layers_learn_and_are_resumed() {
    let folder = sandbox();
    let mut options = lora(folder.path(), "whole");
    options.validation_prompt = Some("a picture".to_owned());
    options.num_validation_images = 1;
    complete(text_to_image_lora(&options, &Stop::default()).unwrap());
    let whole = folder.path().join("whole");
    let expected = losses(&whole);
    assert_eq!(expected.len(), 5);

    let resumed = folder.path().join("resumed");
    copy(&whole.join("checkpoint-2"), &resumed.join("checkpoint-2"));
    let mut options = lora(folder.path(), "resumed");
    options.common.resume_from_checkpoint = Some("checkpoint-2".to_owned());
    complete(text_to_image_lora(&options, &Stop::default()).unwrap());
    assert_eq!(losses(&resumed), expected[2..]);

    let weights = whole.join("pytorch_lora_weights.safetensors");
    assert_eq!(
        fs::read(&weights).unwrap(),
        fs::read(resumed.join("pytorch_lora_weights.safetensors")).unwrap()
    );
    let file = StateFile::open(&weights).unwrap();
    let ups = Vec::from_iter(file.names().filter(|name| name.ends_with(".lora.up.weight")));
    assert!(!ups.is_empty() && ups.iter().all(|name| name.starts_with("unet.")), "{ups:?}");
    assert!(ups.iter().all(|name| file.f32(name).unwrap().iter().any(|value| *value != 0.0)));
    let mut pipeline = DiffusionPipeline::from_pretrained(&fixture(SD1)).unwrap();
    let loader = pipeline.lora_loader().unwrap();
    loader.load_lora_weights(whole.to_str().unwrap(), &Default::default()).unwrap();
}

#[test]
fn low_rank_layers_of_xl_learn_and_are_resumed() {
    let folder = sandbox();
    complete(text_to_image_lora_sdxl(&lora_xl(folder.path(), "whole"), &Stop::default()).unwrap());
    let whole = folder.path().join("whole");
    let expected = losses(&whole);
    assert_eq!(expected.len(), 4);

    let resumed = folder.path().join("resumed");
    copy(&whole.join("checkpoint-2"), &resumed.join("checkpoint-2"));
    let mut options = lora_xl(folder.path(), "resumed");
    options.common.seed = None;
    options.common.resume_from_checkpoint = Some("latest".to_owned());
    complete(text_to_image_lora_sdxl(&options, &Stop::default()).unwrap());
    assert_eq!(losses(&resumed), expected[2..]);

    let weights = whole.join("pytorch_lora_weights.safetensors");
    assert_eq!(
        fs::read(&weights).unwrap(),
        fs::read(resumed.join("pytorch_lora_weights.safetensors")).unwrap()
    );
    let file = StateFile::open(&weights).unwrap();
    for part in ["unet.", "text_encoder.", "text_encoder_2."] {
        let mut ups = file.names().filter(|name| name.starts_with(part) && name.ends_with(".up.weight"));
        assert!(ups.any(|name| file.f32(name).unwrap().iter().any(|value| *value != 0.0)), "{part}");
    }

    let mut pipeline = DiffusionPipeline::from_pretrained(&fixture(XL)).unwrap();
    let loader = pipeline.lora_loader().unwrap();
    loader.load_lora_weights(whole.to_str().unwrap(), &Default::default()).unwrap();
    let adapted = loader.get_list_adapters();
    assert_eq!(adapted.len(), 3);
    assert!(adapted.iter().all(|(_, names)| names.len() == 1), "{adapted:?}");
}

#[test]
fn the_parts_of_a_subjects_images_are_resumed() {
    let folder = sandbox();
    complete(dreambooth_lora_sdxl(&subject_xl(folder.path(), "whole"), &Stop::default()).unwrap());
    let whole = folder.path().join("whole");
    let expected = losses(&whole);
    assert_eq!(expected.len(), 4);

    let resumed = folder.path().join("resumed");
    let checkpoint = resumed.join("checkpoint-2");
    copy(&whole.join("checkpoint-2"), &checkpoint);
    let mut options = subject_xl(folder.path(), "resumed");
    options.common.seed = None;
    options.common.resume_from_checkpoint = Some("latest".to_owned());
    complete(dreambooth_lora_sdxl(&options, &Stop::default()).unwrap());
    assert_eq!(losses(&resumed), expected[2..]);
    let weights = "pytorch_lora_weights.safetensors";
    assert!(fs::read(whole.join(weights)).unwrap() == fs::read(resumed.join(weights)).unwrap());

    // Of each image: top, left, and whether it is mirrored.
    let path = checkpoint.join("state.safetensors");
    let state = StateFile::open(&path).unwrap();
    let cuts = state.bytes("cuts").unwrap().to_vec();
    assert_eq!(cuts.len(), 8 * 9);
    let flips = |flag| cuts.chunks(9).filter(|cut| cut[8] == flag).count();
    assert!(flips(0) > 0 && flips(1) > 0 && flips(0) + flips(1) == 8);
    assert!(cuts.chunks(9).any(|cut| cut[4] > 0), "wide images have parts beside the left edge");
    for (damage, expected) in [
        (
            Box::new(|cuts: &mut Vec<u8>| cuts.truncate(7 * 9)) as Box<dyn Fn(&mut Vec<u8>)>,
            "parts of 7 images",
        ),
        (Box::new(|cuts| cuts[8] = 2), "has a flag that is 2"),
        (Box::new(|cuts| cuts.iter_mut().for_each(|byte| *byte = 1)), "without the part of 32x32"),
    ] {
        let (mut damaged, mut changed) = (state.clone(), cuts.clone());
        damage(&mut changed);
        damaged.put_bytes("cuts", changed);
        damaged.write(&path).unwrap();
        options.common.resume_from_checkpoint = Some("checkpoint-2".to_owned());
        options.common.overwrite_output_dir = true;
        let error = dreambooth_lora_sdxl(&options, &Stop::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn kohyas_layout_has_the_same_layers() {
    let folder = sandbox();
    let mut options = subject_xl(folder.path(), "model");
    options.common.max_train_steps = Some(1);
    options.output_kohya_format = true;
    complete(dreambooth_lora_sdxl(&options, &Stop::default()).unwrap());
    let prompt = || StableDiffusionXLTextToImage {
        num_inference_steps: 1,
        output_type: OutputType::Latent,
        generator: Some(Generator::manual_seed(0).into()),
        ..StableDiffusionXLTextToImage::new("a photo of sks house")
    };
    let latents = |weights: Option<&str>| {
        let mut pipeline = StableDiffusionXLPipeline::from_pretrained(&fixture(XL)).unwrap();
        if let Some(weights) = weights {
            let options = LoraOptions { weight_name: Some(weights.to_owned()), ..Default::default() };
            let folder = folder.path().join("model");
            pipeline.load_lora_weights(folder.to_str().unwrap(), &options).unwrap();
            assert_eq!(pipeline.get_list_adapters().len(), 3);
        }
        let latents = pipeline.call(prompt()).unwrap().images.into_tensor().unwrap();
        latents.into_data().try_to_vec::<f32>().unwrap()
    };
    let kohya = latents(Some("pytorch_lora_weights_kohya.safetensors"));
    assert_eq!(kohya, latents(Some("pytorch_lora_weights.safetensors")));
    assert_ne!(kohya, latents(None));
}

#[test]
fn missing_images_of_the_class_are_made_by_xl() {
    let folder = sandbox();
    let class = folder.path().join("class");
    let mut options = subject_xl(folder.path(), "model");
    options.common.max_train_steps = Some(1);
    options.prior.class_data_dir = Some(class.clone());
    options.prior.num_class_images = 2;
    complete(dreambooth_lora_sdxl(&options, &Stop::default()).unwrap());
    let names = fs::read_dir(&class).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names = Vec::from_iter(names);
    names.sort();
    assert_eq!(names, ["class-00000.png", "class-00001.png"]);

    // Of what is there, only images count, and none is overwritten.
    let kept = fs::read(class.join("class-00001.png")).unwrap();
    fs::remove_file(class.join("class-00000.png")).unwrap();
    fs::write(class.join("notes.txt"), "not an image").unwrap();
    fs::create_dir(class.join("more")).unwrap();
    options.common.overwrite_output_dir = true;
    options.prior.num_class_images = 3;
    complete(dreambooth_lora_sdxl(&options, &Stop::default()).unwrap());
    assert!(fs::read(class.join("class-00001.png")).unwrap() == kept);
    for name in ["class-00000.png", "class-00002.png"] {
        assert!(class.join(name).is_file(), "{name}");
    }
    assert!(!class.join("class-00003.png").exists());
}

#[test]
fn options_of_a_subject_of_xl_have_errors_that_name_them() {
    type Change = fn(&mut DreamBoothLoraSdxlOptions);
    let cases: [(&str, Change); 11] = [
        ("--optimizer: `prodigy` is not supported", |options| options.optimizer = "prodigy".into()),
        ("--text-encoder-lr: is -1", |options| options.text_encoder_lr = -1.0),
        ("--adam-weight-decay-text-encoder: is NaN", |options| {
            options.adam_weight_decay_text_encoder = f64::NAN
        }),
        ("--caption-column: needs --dataset-name", |options| {
            options.instances.caption_column = Some("text".into())
        }),
        ("--instance-data-dir: is needed", |options| options.instances.instance_data_dir = None),
        ("--instance-data-dir: is needed, or else --dataset-name, but not both", |options| {
            options.instances.dataset_name = options.instances.instance_data_dir.clone()
        }),
        ("--class-prompt: is needed", |options| options.prior.class_prompt = None),
        ("--cache-text-embeddings: a text encoder is trained", |options| {
            options.model.cache_text_embeddings = true
        }),
        ("--repeats: 16777217 times 8 images", |options| options.instances.repeats = (1 << 24) + 1),
        ("--snr-gamma: has no meaning for EDM", |options| {
            options.do_edm_style_training = true;
            options.snr_gamma = Some(5.0);
        }),
        ("--pretrained-model-name-or-path: is not Stable Diffusion XL", |options| {
            options.model.pretrained_model_name_or_path = fixture(SD1)
        }),
    ];
    for (expected, change) in cases {
        let folder = sandbox();
        let mut options = subject_xl(folder.path(), "model");
        change(&mut options);
        let error = dreambooth_lora_sdxl(&options, &Stop::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!folder.path().join("model").exists(), "{expected}");
    }
}

#[test]
fn xl_learns_in_bf16_with_either_vae() {
    let folder = sandbox();
    let run = |name: &str, precision: &str, vae: Option<&str>| -> Vec<f32> {
        let mut options = lora_xl(folder.path(), name);
        options.common.mixed_precision = precision.to_owned();
        options.common.max_train_steps = Some(2);
        options.validation_prompt = Some("a picture".to_owned());
        options.num_validation_images = 1;
        options.pretrained_vae_model_name_or_path = vae.map(fixture);
        complete(text_to_image_lora_sdxl(&options, &Stop::default()).unwrap());
        let output = folder.path().join(name);
        assert!(output.join("image_0.png").is_file());
        losses(&output).iter().map(|(_, loss)| loss.parse().unwrap()).collect()
    };
    let vae = Some("stable_diffusion_xl/base/vae");
    let exact = run("exact", "no", None);
    assert_eq!(run("same", "no", vae), exact);
    let (rounded, all_rounded) = (run("rounded", "bf16", None), run("all-rounded", "bf16", vae));
    assert_ne!(rounded, all_rounded);
    for losses in [rounded, all_rounded] {
        for (exact, rounded) in exact.iter().zip(losses) {
            assert!((exact - rounded).abs() < 0.1 * exact, "{exact} {rounded}");
        }
    }
}

#[test]
fn models_of_another_family_are_refused() {
    let folder = sandbox();
    let mut options = lora(folder.path(), "lora");
    options.model.pretrained_model_name_or_path = fixture(XL);
    let error = text_to_image_lora(&options, &Stop::default()).unwrap_err().to_string();
    assert!(
        error.contains("--pretrained-model-name-or-path") && error.contains("text-to-image-lora-sdxl"),
        "{error}"
    );
    let mut options = lora_xl(folder.path(), "lora-xl");
    options.model.pretrained_model_name_or_path = fixture(SD1);
    let error = text_to_image_lora_sdxl(&options, &Stop::default()).unwrap_err().to_string();
    assert!(
        error.contains("--pretrained-model-name-or-path") && error.ends_with("text-to-image-lora`"),
        "{error}"
    );
}

#[test]
fn learning_in_bf16_is_close_to_learning_in_f32() {
    let folder = sandbox();
    let run = |precision: &str| -> Vec<f32> {
        let mut options = small(folder.path(), precision);
        options.common.mixed_precision = precision.to_owned();
        options.common.max_train_steps = Some(3);
        complete(unconditional(&options, &Stop::default()).unwrap());
        losses(&folder.path().join(precision)).iter().map(|(_, loss)| loss.parse().unwrap()).collect()
    };
    let (exact, rounded) = (run("no"), run("bf16"));
    assert_ne!(exact, rounded);
    for (exact, rounded) in exact.iter().zip(&rounded) {
        assert!((exact - rounded).abs() < 0.3 * exact, "{exact} {rounded}");
    }
}

#[test]
fn bad_options_have_errors_that_name_them() {
    type Change = fn(&mut UnconditionalOptions, PathBuf);
    let cases: [(&str, Change); 15] = [
        ("--ddpm-num-inference-steps: is 1000, but there are only 100 timesteps", |options, _| {
            (options.ddpm_num_steps, options.ddpm_num_inference_steps) = (100, 1000)
        }),
        ("--resolution: is 9, but the model takes multiples of 2", |options, _| {
            options.common.resolution = 9
        }),
        ("--train-data-dir: is needed", |options, _| options.dataset.folder.train_data_dir = None),
        ("absent: ", |options, folder| options.dataset.folder.train_data_dir = Some(folder.join("absent"))),
        ("column `picture` does not exist", |options, _| options.dataset.image_column = "picture".into()),
        ("--dataset-name: someone/data is no folder", |options, _| {
            options.dataset.folder.dataset_name = Some("someone/data".into())
        }),
        ("--mixed-precision: fp16", |options, _| options.common.mixed_precision = "fp16".into()),
        ("wandb is not supported", |options, _| options.common.report_to = "wandb".into()),
        ("--learning-rate: is NaN", |options, _| options.common.learning_rate = f64::NAN),
        ("`lr_scheduler`: is `cos`", |options, _| options.common.lr_scheduler = "cos".into()),
        ("--adam-beta1: is 1", |options, _| options.common.adam_beta1 = 1.0),
        ("--prediction-type: is `velocity`", |options, _| options.prediction_type = "velocity".into()),
        ("--ddpm-beta-schedule: cubic", |options, _| options.ddpm_beta_schedule = "cubic".into()),
        ("--resume-from-checkpoint: checkpoint-9 does not exist", |options, _| {
            options.common.resume_from_checkpoint = Some("checkpoint-9".into())
        }),
        ("`max_train_samples`: 9 of the 8", |options, _| options.dataset.folder.max_train_samples = Some(9)),
    ];
    for (expected, change) in cases {
        let folder = sandbox();
        let mut options = small(folder.path(), "model");
        change(&mut options, folder.path().to_owned());
        let error = unconditional(&options, &Stop::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!folder.path().join("model/logs").exists(), "{expected}");
    }
}

#[test]
fn damaged_and_other_checkpoints_are_refused() {
    let folder = sandbox();
    let mut options = eventful(folder.path(), "model");
    options.common.max_train_steps = Some(2);
    complete(unconditional(&options, &Stop::default()).unwrap());
    options.common.resume_from_checkpoint = Some("latest".to_owned());
    let checkpoint = folder.path().join("model/checkpoint-2");
    let refused = |options: &UnconditionalOptions, expected: &str| {
        let error = unconditional(options, &Stop::default()).unwrap_err().to_string();
        assert!(error.contains("checkpoint-2") && error.contains(expected), "{expected}: {error}");
    };

    let mut other = options.clone();
    other.common.train_batch_size = 4;
    refused(&other, "was written with 3 images in a batch");
    other = options.clone();
    other.common.max_train_steps = Some(1);
    refused(&other, "is at step 2, after the last one, 1");
    other = options.clone();
    other.use_ema = false;
    refused(&other, "is the average of a training with --use-ema");
    // An earlier one, while there are later ones.
    other = options.clone();
    other.common.resume_from_checkpoint = Some("checkpoint-1".to_owned());
    refused(&other, "step 1 is before");

    for file in ["state.safetensors", "unet/diffusion_pytorch_model.safetensors", "unet_ema/config.json"] {
        let path = checkpoint.join(file);
        let contents = fs::read(&path).unwrap();
        fs::write(&path, &contents[..contents.len() / 2]).unwrap();
        refused(&options, file);
        fs::write(&path, contents).unwrap();
    }
    fs::rename(checkpoint.join("unet_ema"), checkpoint.join("elsewhere")).unwrap();
    refused(&options, "written without --use-ema");
    fs::rename(checkpoint.join("state.safetensors"), checkpoint.join("other")).unwrap();
    refused(&options, "is no checkpoint of Oxidiff");
}

#[test]
fn gradient_checkpointing_gives_the_same_training() {
    let folder = sandbox();
    let run = |output: &str, is_on: bool| {
        let mut options = small(folder.path(), output);
        options.common.gradient_checkpointing = is_on;
        options.common.max_train_steps = Some(3);
        complete(unconditional(&options, &Stop::default()).unwrap());
        let mut options = lora(folder.path(), &format!("lora-{output}"));
        options.common.gradient_checkpointing = is_on;
        complete(text_to_image_lora(&options, &Stop::default()).unwrap());
        [output.to_owned(), format!("lora-{output}")].map(|output| losses(&folder.path().join(output)))
    };
    let (recomputed, kept) = (run("recomputed", true), run("kept", false));
    for ((step, recomputed), (_, kept)) in recomputed.iter().flatten().zip(kept.iter().flatten()) {
        let [recomputed, kept]: [f32; 2] = [recomputed, kept].map(|loss| loss.parse().unwrap());
        // Gradients are added up in another order.
        assert!((recomputed - kept).abs() <= 1e-5 * kept, "step {step}: {recomputed} {kept}");
    }
}

#[test]
fn caches_do_not_change_a_training() {
    let folder = sandbox();
    let run = |output: &str, is_on: bool| {
        let mut options = lora(folder.path(), output);
        options.common.max_train_steps = Some(6);
        options.model.cache_latents = is_on;
        options.model.cache_text_embeddings = is_on;
        complete(text_to_image_lora(&options, &Stop::default()).unwrap());
        losses(&folder.path().join(output))
    };
    for ((step, kept), (_, computed)) in run("kept", true).iter().zip(run("computed", false)) {
        let [kept, computed]: [f32; 2] = [kept, &computed].map(|loss| loss.parse().unwrap());
        // Images and captions are encoded one by one.
        assert!((kept - computed).abs() <= 1e-5 * computed, "step {step}: {kept} {computed}");
    }
    let images = folder.path().join("images");
    let mut options =
        TextualInversionOptions::new(&fixture(SD1), images, "<new>", "apple", folder.path().join("word"));
    options.model.cache_text_embeddings = true;
    let error = textual_inversion(&options, &Stop::default()).unwrap_err().to_string();
    assert!(error.contains("--cache-text-embeddings: a text encoder is trained"), "{error}");
}
