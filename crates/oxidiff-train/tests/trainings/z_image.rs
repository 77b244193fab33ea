//! Low-rank layers for Z-Image: against the recordings of the script, and whole trainings.

use std::fs;
use std::path::{Path, PathBuf};

use oxidiff::training::{LowRankInit, LowRankLayers, StateFile, Trained};
use oxidiff::{
    DType, Device, Generator, LoraLoader, Pipeline, Tensor, ZImagePipeline, ZImageTransformer2DModel,
};
use oxidiff_train::{DreamBoothLoraZImageOptions, Outcome, Stop, WeightingScheme, dreambooth_lora_z_image};
use serde_json::Value;
use tempfile::TempDir;

use super::drawn_z_image::{self, copy};
use super::scripts::{Run, part, scripts, set, set_prior};

const WEIGHTS: &str = "pytorch_lora_weights.safetensors";
const PROMPT: &str = "a photo of sks house";
const TARGETS: [&str; 4] = ["to_k", "to_q", "to_v", "to_out.0"];

fn model(folder: &Path) -> String {
    let folder = folder.join("model");
    drawn_z_image::write(&folder);
    folder.to_str().unwrap().to_owned()
}

/// The training that was recorded. An epoch has this many batches.
fn check(
    name: &str,
    steps: u64,
    batches: usize,
    targets: &[&str],
    set_options: impl FnOnce(&mut DreamBoothLoraZImageOptions),
) {
    let run = Run::of("dreambooth_lora_z_image", name);
    let model = model(run.folder.path());
    let images = scripts().join("instance");
    let mut options = DreamBoothLoraZImageOptions::new(&model, images, PROMPT, run.output());
    set(&mut options.common, 3, steps, 2e-3);
    options.common.train_batch_size = 1;
    options.common.checkpointing_steps = steps;
    (options.rank, options.lora_alpha) = (2, 2);
    set_options(&mut options);

    let mut transformer: ZImageTransformer2DModel = part(&model, "transformer");
    let mut generator = Generator::manual_seed(3);
    let (rank, alpha) = (options.rank as usize, f64::from(options.lora_alpha));
    let targets: Vec<String> = targets.iter().map(|target| (*target).to_owned()).collect();
    let init = LowRankInit::Gaussian;
    let layers =
        LowRankLayers::new_for(&mut transformer, &targets, rank, alpha, init, &mut generator).unwrap();
    run.check_initial_layers(vec![layers]);

    let accumulated = options.common.gradient_accumulation_steps as usize;
    run.check_log(dreambooth_lora_z_image(&options, &Stop::default()), batches, accumulated);
    run.check_lora();
    // The configuration of PEFT, of which the script writes more.
    let file = StateFile::open(&run.output().join(WEIGHTS)).unwrap();
    let ours: Value = serde_json::from_str(file.metadata("lora_adapter_metadata").unwrap()).unwrap();
    for (field, theirs) in run.recorded.peft.iter() {
        assert_eq!(ours.get(field), Some(theirs), "{field}");
    }
    assert!(!run.recorded.peft.is_empty());
}

/// The images with captions in place of those with one prompt.
fn set_captions(options: &mut DreamBoothLoraZImageOptions) {
    options.instances.instance_data_dir = None;
    options.instances.dataset_name = Some(scripts().join("images"));
    options.instances.caption_column = Some("text".to_owned());
}

#[test]
fn the_layers_are_those_of_the_script() {
    check("plain", 30, 6, &TARGETS, |options| {
        options.common.checkpointing_steps = 15;
        options.instances.repeats = 2;
        options.random_flip = true;
        (options.rank, options.lora_alpha) = (4, 8);
    });
}

#[test]
fn the_layers_for_a_subject_and_its_class_are_those_of_the_script() {
    check("prior", 20, 9, &TARGETS, |options| {
        set_captions(options);
        set_prior(&mut options.prior);
        options.flow.weighting_scheme = WeightingScheme::LogitNormal;
        (options.flow.logit_mean, options.flow.logit_std) = (0.3, 1.5);
        options.common.lr_scheduler = "polynomial".to_owned();
        options.common.lr_power = 2.0;
        options.common.adam_weight_decay = 0.1;
    });
}

#[test]
fn the_layers_of_kept_latents_in_accumulated_batches_are_those_of_the_script() {
    check("cached", 8, 3, &TARGETS, |options| {
        options.common.train_batch_size = 2;
        options.common.gradient_accumulation_steps = 2;
        options.common.max_grad_norm = Some(0.5);
        options.model.cache_latents = true;
        options.instances.repeats = 2;
        options.flow.weighting_scheme = WeightingScheme::SigmaSqrt;
    });
    check("cached_prior", 12, 9, &TARGETS, |options| {
        set_captions(options);
        set_prior(&mut options.prior);
        options.model.cache_latents = true;
        options.random_flip = true;
        options.flow.weighting_scheme = WeightingScheme::Mode;
        options.flow.mode_scale = 0.8;
    });
}

#[test]
fn the_layers_of_images_of_several_shapes_are_those_of_the_script() {
    let targets = ["attention.to_q", "feed_forward.w2", "t_embedder.mlp.0", "layers.0.adaLN_modulation.0"];
    check("buckets", 10, 3, &targets, |options| {
        set_captions(options);
        options.common.train_batch_size = 2;
        options.common.gradient_checkpointing = true;
        options.use_aspect_ratio_buckets = true;
        options.flow.weighting_scheme = WeightingScheme::CosMap;
        options.lora_layers =
            Some("attention.to_q, feed_forward.w2,t_embedder.mlp.0,layers.0.adaLN_modulation.0".to_owned());
    });
    check("listed_buckets", 6, 3, &TARGETS, |options| {
        options.use_aspect_ratio_buckets = true;
        options.aspect_ratio_buckets = Some("48,64;64,48;32,80".to_owned());
        options.center_crop = true;
        options.max_sequence_length = 8;
    });
}

/// The script's layers are of bf16 then, as all that it computes. Ours are f32.
#[test]
fn learning_in_bf16_is_close_to_the_script() {
    let run = Run::of("dreambooth_lora_z_image", "bf16");
    let model = model(run.folder.path());
    let images = scripts().join("instance");
    let mut options = DreamBoothLoraZImageOptions::new(&model, images, PROMPT, run.output());
    set(&mut options.common, 3, 10, 2e-3);
    options.common.train_batch_size = 1;
    options.common.mixed_precision = "bf16".to_owned();
    (options.rank, options.lora_alpha) = (2, 2);
    complete(dreambooth_lora_z_image(&options, &Stop::default()).unwrap());
    let ours = losses(&run.output());
    assert_eq!(ours.len(), run.recorded.losses.len());
    for (step, (ours, theirs)) in ours.iter().zip(&run.recorded.losses).enumerate() {
        let ours: f64 = ours.parse().unwrap();
        assert!((ours - theirs).abs() < 0.03 * theirs, "step {step}: {ours}, theirs is {theirs}");
    }
}

fn losses(output: &Path) -> Vec<String> {
    let log = fs::read_dir(output.join("logs")).unwrap().next().unwrap().unwrap().path();
    let mut reader = csv::Reader::from_path(log.join("metrics.csv")).unwrap();
    reader.records().map(|row| row.unwrap()[2].to_owned()).collect()
}

fn complete(outcome: Outcome) {
    assert!(matches!(outcome, Outcome::Complete(_)), "{outcome:?}");
}

/// A small model, and a training that draws all kinds of random numbers.
struct Sandbox {
    folder: TempDir,
    model: String,
}

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = model(folder.path());
        Self { folder, model }
    }

    fn output(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, output: &str) -> DreamBoothLoraZImageOptions {
        let images = scripts().join("instance");
        let mut options = DreamBoothLoraZImageOptions::new(&self.model, images, PROMPT, self.output(output));
        set(&mut options.common, 5, 6, 1e-3);
        options.common.resolution = 32;
        options.common.checkpointing_steps = 2;
        options.instances.repeats = 3;
        options.random_flip = true;
        set_prior(&mut options.prior);
        (options.rank, options.lora_alpha) = (2, 6);
        options
    }
}

/// The values of a file's tensors; the order of its metadata is any.
fn tensors(path: &Path) -> Vec<(String, Vec<f32>)> {
    let file = StateFile::open(path).unwrap();
    file.names().map(|name| (name.to_owned(), file.f32(name).unwrap())).collect()
}

#[test]
fn a_resumed_training_is_the_same() {
    for keeps_latents in [false, true] {
        let sandbox = Sandbox::new();
        let set = |output: &str| {
            let mut options = sandbox.options(output);
            options.model.cache_latents = keeps_latents;
            options
        };
        complete(dreambooth_lora_z_image(&set("whole"), &Stop::default()).unwrap());
        let whole = losses(&sandbox.output("whole"));
        assert_eq!(whole.len(), 6);
        // Within an epoch of four batches, and at its end.
        for step in [2, 4] {
            let name = format!("from-{step}");
            let checkpoint = format!("checkpoint-{step}");
            copy(&sandbox.output("whole").join(&checkpoint), &sandbox.output(&name).join(&checkpoint));
            let mut options = set(&name);
            options.common.seed = None;
            options.common.resume_from_checkpoint = Some("latest".to_owned());
            complete(dreambooth_lora_z_image(&options, &Stop::default()).unwrap());
            assert_eq!(losses(&sandbox.output(&name)), whole[step..]);
            let weights = |output: &str| tensors(&sandbox.output(output).join(WEIGHTS));
            assert!(weights(&name) == weights("whole"));
        }
    }
}

#[test]
fn damaged_batches_of_a_checkpoint_are_refused() {
    let sandbox = Sandbox::new();
    let mut options = sandbox.options("model");
    options.model.cache_latents = true;
    options.common.max_train_steps = Some(2);
    complete(dreambooth_lora_z_image(&options, &Stop::default()).unwrap());
    options.common.max_train_steps = Some(3);
    options.common.resume_from_checkpoint = Some("checkpoint-2".to_owned());
    let path = sandbox.output("model").join("checkpoint-2/state.safetensors");
    let state = StateFile::open(&path).unwrap();
    type Damage = fn(&mut Vec<u8>);
    let cases: [(&str, Damage, &str); 7] = [
        ("batches", |bytes| bytes.truncate(8), "are not batches"),
        ("batches", |bytes| bytes[0] = 200, "are not batches"),
        ("batches", |bytes| bytes.copy_within(4..8, 0), "are not batches"),
        ("batch_order", |bytes| bytes.copy_within(4..8, 0), "is no order of 4 batches"),
        ("batch_order", |bytes| bytes.truncate(3), "is no order of 4 batches"),
        ("class_cuts", |bytes| bytes.fill(1), "without the part of 32x32"),
        ("cuts", |bytes| bytes.truncate(9), "parts of 1 images"),
    ];
    for (name, damage, expected) in cases {
        let (mut damaged, mut bytes) = (state.clone(), state.bytes(name).unwrap().to_vec());
        damage(&mut bytes);
        damaged.put_bytes(name, bytes);
        damaged.write(&path).unwrap();
        let error = dreambooth_lora_z_image(&options, &Stop::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    // Other layers than those of the checkpoint.
    state.write(&path).unwrap();
    let rank = options.rank;
    options.rank = 3;
    let error = dreambooth_lora_z_image(&options, &Stop::default()).unwrap_err().to_string();
    assert!(error.contains("values"), "{error}");
    options.rank = rank;
    options.lora_layers = Some("to_q".to_owned());
    let error = dreambooth_lora_z_image(&options, &Stop::default()).unwrap_err().to_string();
    assert!(error.contains("to_k") && error.contains("does not learn in this training"), "{error}");
}

#[test]
fn the_pipeline_loads_the_layers_with_their_scale() {
    let sandbox = Sandbox::new();
    let mut options = sandbox.options("model");
    options.common.max_train_steps = Some(3);
    options.common.checkpointing_steps = 3;
    options.lora_layers = Some("to_q, feed_forward.w3".to_owned());
    complete(dreambooth_lora_z_image(&options, &Stop::default()).unwrap());

    let latents = Generator::manual_seed(0).randn([4, 1, 4, 4], DType::F32, &Device::flex());
    let caption = Generator::manual_seed(1).randn([7, 16], DType::F32, &Device::flex());
    let velocity = |transformer: &ZImageTransformer2DModel| -> Tensor<4> {
        transformer
            .forward(std::slice::from_ref(&latents), &[0.4], std::slice::from_ref(&caption))
            .unwrap()
            .remove(0)
    };
    let mut transformer: ZImageTransformer2DModel = part(&sandbox.model, "transformer");
    let plain = velocity(&transformer);

    let targets = ["to_q", "feed_forward.w3"].map(str::to_owned);
    let (init, mut generator) = (LowRankInit::Gaussian, Generator::manual_seed(0));
    let layers = LowRankLayers::new_for(&mut transformer, &targets, 2, 6.0, init, &mut generator).unwrap();
    let state = StateFile::open(&sandbox.output("model").join("checkpoint-3/state.safetensors")).unwrap();
    layers.with_values(&state, "layers").unwrap().apply(&mut transformer, DType::F32).unwrap();
    let expected = velocity(&transformer);

    let mut pipeline = ZImagePipeline::from_pretrained(&sandbox.model).unwrap();
    let folder = sandbox.output("model");
    pipeline.load_lora_weights(folder.to_str().unwrap(), &Default::default()).unwrap();
    let adapted = velocity(&pipeline.transformer);
    let largest = |x: Tensor<4>| x.abs().max().into_scalar::<f32>();
    let change = largest(expected.clone() - plain);
    assert!(change > 1e-4, "{change}");
    assert!(largest(adapted - expected) < 0.02 * change);
}

#[test]
fn gradient_checkpointing_gives_the_same_training() {
    let sandbox = Sandbox::new();
    let run = |output: &str, is_on: bool| {
        let mut options = sandbox.options(output);
        options.common.gradient_checkpointing = is_on;
        options.common.max_train_steps = Some(3);
        complete(dreambooth_lora_z_image(&options, &Stop::default()).unwrap());
        losses(&sandbox.output(output))
    };
    for (recomputed, kept) in run("recomputed", true).iter().zip(run("kept", false)) {
        let [recomputed, kept]: [f32; 2] = [recomputed, &kept].map(|loss| loss.parse().unwrap());
        // Gradients are added up in another order.
        assert!((recomputed - kept).abs() <= 1e-5 * kept, "{recomputed} {kept}");
    }
}

#[test]
fn images_of_the_class_and_of_the_progress_are_made() {
    let sandbox = Sandbox::new();
    let mut options = sandbox.options("model");
    options.common.resolution = 16;
    options.common.max_train_steps = Some(1);
    options.prior.class_data_dir = Some(sandbox.output("class"));
    options.prior.num_class_images = 2;
    options.final_validation_prompt = Some("a photo of sks house in the snow".to_owned());
    options.num_validation_images = 1;
    options.guidance_scale = 0.0;
    complete(dreambooth_lora_z_image(&options, &Stop::default()).unwrap());
    assert_eq!(fs::read_dir(sandbox.output("class")).unwrap().count(), 2);
    let image = image::open(sandbox.output("model").join("image_0.png")).unwrap();
    assert_eq!((image.width(), image.height()), (16, 16));
    let card = fs::read_to_string(sandbox.output("model").join("README.md")).unwrap();
    assert!(card.contains("- z-image\n") && card.contains("apache-2.0"), "{card}");

    let mut options = sandbox.options("without");
    options.common.max_train_steps = Some(1);
    options.common.resolution = 16;
    options.validation_epochs = 5;
    options.skip_final_inference = true;
    options.final_validation_prompt = Some("a photo".to_owned());
    complete(dreambooth_lora_z_image(&options, &Stop::default()).unwrap());
    assert!(!sandbox.output("without").join("image_0.png").exists());
}

#[test]
fn options_have_errors_that_name_them() {
    type Change = fn(&mut DreamBoothLoraZImageOptions);
    let cases: [(&str, Change); 17] = [
        ("--optimizer: `prodigy` is not supported", |options| options.optimizer = "prodigy".into()),
        ("--caption-column: needs --dataset-name", |options| {
            options.instances.caption_column = Some("text".into())
        }),
        ("--instance-data-dir: is needed", |options| options.instances.instance_data_dir = None),
        ("--instance-data-dir: is needed, or else --dataset-name, but not both", |options| {
            options.instances.dataset_name = options.instances.instance_data_dir.clone()
        }),
        ("--class-prompt: is needed", |options| options.prior.class_prompt = None),
        ("--repeats: 16777217 times 3 images", |options| options.instances.repeats = (1 << 24) + 1),
        ("--mode-scale: is 2", |options| options.flow.mode_scale = 2.0),
        ("--guidance-scale: is -1", |options| options.guidance_scale = -1.0),
        ("--aspect-ratio-buckets: needs --use-aspect-ratio-buckets", |options| {
            options.aspect_ratio_buckets = Some("32,32".into())
        }),
        ("--aspect-ratio-buckets: `32,24`: 24 must be a multiple of 16", |options| {
            options.use_aspect_ratio_buckets = true;
            options.aspect_ratio_buckets = Some("32,32;32,24".into())
        }),
        ("--resolution: is 40, but must be a multiple of 16", |options| options.common.resolution = 40),
        (
            "--train-batch-size: is 10, but of the 9 images of the subject no 10 have the same size",
            |options| options.common.train_batch_size = 10,
        ),
        ("--lora-layers: `targets`: the model has no linear layer `ff.net.2`", |options| {
            options.lora_layers = Some("to_k,ff.net.2".into())
        }),
        ("--lora-layers: `targets`: the model has no linear layer ``", |options| {
            options.lora_layers = Some("to_k,".into())
        }),
        ("--mixed-precision: fp16 is not supported", |options| {
            options.common.mixed_precision = "fp16".into()
        }),
        ("--pretrained-model-name-or-path: is `StableDiffusionPipeline`, not Z-Image", |options| {
            let sd1 = scripts().join("../pipelines/sd1");
            options.model.pretrained_model_name_or_path = sd1.to_str().unwrap().to_owned();
        }),
        ("--dataset-name: absent is no folder", |options| {
            options.instances.instance_data_dir = None;
            options.instances.dataset_name = Some("absent".into());
        }),
    ];
    for (expected, change) in cases {
        let sandbox = Sandbox::new();
        let mut options = sandbox.options("none");
        change(&mut options);
        let error = dreambooth_lora_z_image(&options, &Stop::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!sandbox.output("none").exists(), "{expected}");
    }
}
